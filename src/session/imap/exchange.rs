//! Lines of the client that are no commands: an authentication exchange (RFC 9051 §6.2.2) and the
//! DONE of IDLE (RFC 9051 §6.3.13). Nothing else that is said there ever goes up.

use std::borrow::Cow;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::held::{Gate, Passage};
use super::licence::Licence;
use super::phase::{Idle, Kind, Phase, Sasl, Turn, Waiting};
use super::refusal::Refusal;
use super::server::Fate;
use super::{Imap, Step, secret, wipe_front};
use crate::redact::{MASK, Redacted};
use crate::session::{Alteration, CommandId, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{Piece, is_base64};

const DONE: &[u8] = b"DONE\r\n";
const CANCEL: &[u8] = b"*\r\n";
const CANCEL_TEXT: &[u8] = b"*";

impl Imap {
    /// A line of the client in an authentication exchange, once it is the client's turn.
    pub(super) fn read_sasl_line(&mut self, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        match &self.phase {
            Phase::Sasl(Sasl { turn: Turn::Client, .. }) => {}
            Phase::Sasl(Sasl { turn: Turn::Policy, .. }) => return self.try_response(now, out),
            _ => return Step::Stalled,
        }
        let limits = &self.setup.terms.limits;
        let limit = limits.sasl_line.min(limits.inbox.saturating_sub(2));
        let Some(piece) = self.commands.next(inbox, limit) else { return Step::Stalled };
        let (len, whole) = match piece {
            Piece::Line { len, .. } => (len, true),
            Piece::Part { len } | Piece::Octets { len, .. } => (len, false),
        };
        if !whole {
            wipe_front(inbox, len);
            self.client_fault(ViolationKind::LineTooLong, "An authentication line is too long", now, out);
            return Step::Advanced;
        }
        let line = inbox.get(..len).unwrap_or_default().to_vec();
        wipe_front(inbox, len);
        self.take_response(Redacted::new(line), now, out);
        Step::Advanced
    }

    /// A whole line of the client: it goes up, or the exchange is cancelled in its place, or it is held.
    fn take_response(&mut self, line: Redacted<Vec<u8>>, now: Instant, out: &mut Outbox) {
        let text = line.expose().strip_suffix(b"\r\n").unwrap_or_default();
        match self.judge_line(text, now, out) {
            Ok(licence) if licence.as_ref().is_none_or(Licence::is_plain) => self.pass_response(line, now, out),
            Ok(licence) => {
                let id = self.open_id().unwrap_or(CommandId(0));
                let gate = licence.map(|Licence { leave, wait, .. }| Gate::new(leave, wait, id, now, out));
                if let (Some(gate), Phase::Sasl(sasl)) = (gate, &mut self.phase) {
                    sasl.turn = Turn::Policy;
                    sasl.waiting = Some(Box::new(Waiting { line, gate }));
                }
            }
            Err(refusal) => self.cancel_response(&line, refusal, now, out),
        }
    }

    /// Does what the gate of a held response allows now.
    fn try_response(&mut self, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Sasl(Sasl { waiting, .. }) = &mut self.phase else { return Step::Stalled };
        let passage = waiting.as_ref().map_or(Passage::Waits, |waiting| waiting.gate.at(now));
        let Some(held) = waiting.take_if(|_| passage != Passage::Waits) else { return Step::Stalled };
        let Waiting { line, gate } = *held;
        match gate.into_refusal() {
            Some((refusal, _)) => self.cancel_response(&line, refusal, now, out),
            None => self.pass_response(line, now, out),
        }
        Step::Advanced
    }

    fn pass_response(&mut self, line: Redacted<Vec<u8>>, now: Instant, out: &mut Outbox) {
        self.say_response(Speaker::Client, &line, now, out);
        out.send(Side::Upstream, line.into_wire());
        self.pass_turn(None);
    }

    fn cancel_response(&mut self, line: &Redacted<Vec<u8>>, refusal: Refusal, now: Instant, out: &mut Outbox) {
        self.say_response(Speaker::ClientHeld, line, now, out);
        self.say(Speaker::ProxyToUpstream, self.open_id(), CANCEL, now, out);
        out.send(Side::Upstream, Bytes::from_static(CANCEL));
        self.pass_turn(Some(refusal));
    }

    fn say_response(&self, by: Speaker, line: &Redacted<Vec<u8>>, now: Instant, out: &mut Outbox) {
        let shown = if line.expose() == CANCEL { "*" } else { MASK };
        self.say_text(by, self.open_id(), shown.to_owned(), line.expose().len() as u64, now, out);
    }

    /// Whether a line may go up: it is a response, and the user it names, if it does, may log in.
    fn judge_line(&mut self, text: &[u8], now: Instant, out: &mut Outbox) -> Result<Option<Licence>, Refusal> {
        if text == CANCEL_TEXT {
            return Ok(None);
        }
        if !is_base64(text) {
            let detail = "The authentication line is not base64";
            Self::violated(Side::Client, ViolationKind::Sasl, detail, now, out);
            if self.enforcing() {
                self.count_error();
                return Err(Refusal::bad(detail));
            }
        }
        let Phase::Sasl(Sasl { responses, .. }) = &self.phase else { return Ok(None) };
        let Some((id, mechanism)) = self.exchanging() else { return Ok(None) };
        let Some(named) = self.judge_response(&mechanism, *responses, text, now, out)? else { return Ok(None) };
        if let Some(Kind::Authenticate(login)) = self.pending.back_mut().map(|pending| &mut pending.kind) {
            login.user = Some(named.clone());
        }
        self.ask_about_user(id, &named, now, out).map(Some)
    }

    /// The open exchange's command and mechanism.
    fn exchanging(&self) -> Option<(CommandId, Cow<'static, str>)> {
        let pending = self.pending.back()?;
        let Kind::Authenticate(login) = &pending.kind else { return None };
        Some((pending.id, login.mechanism.clone()))
    }

    fn pass_turn(&mut self, cancelled: Option<Refusal>) {
        if let Phase::Sasl(sasl) = &mut self.phase {
            sasl.turn = Turn::Server;
            sasl.responses = sasl.responses.saturating_add(1);
            sasl.cancelled = cancelled;
        }
    }

    /// A challenge of the server, `text` without its `+ `.
    pub(super) fn challenged(&mut self, line: &[u8], text: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        let id = self.open_id();
        let Phase::Sasl(sasl) = &mut self.phase else { return Fate::Drop };
        if sasl.turn == Turn::Client {
            self.upstream_fault(ViolationKind::Unsolicited, "Two challenges without an answer between", now, out);
            return Fate::Drop;
        }
        if let Some(held) = sasl.held.take() {
            let answer = if text.is_empty() {
                let mut answer = held.expose().clone();
                answer.extend_from_slice(b"\r\n");
                secret(answer)
            } else {
                sasl.cancelled = Some(Refusal::bad("The mail server asks for something else first"));
                Bytes::from_static(CANCEL)
            };
            self.say_text(Speaker::UpstreamHeld, id, format_args!("+ {MASK}"), line.len() as u64, now, out);
            out.send(Side::Upstream, answer);
            return Fate::Drop;
        }
        sasl.turn = Turn::Client;
        let shown = if text.is_empty() { "+".to_owned() } else { format!("+ {MASK}") };
        self.say_text(Speaker::Upstream, id, shown, line.len() as u64, now, out);
        Self::spaced_continuation(line, text, now, out)
    }

    /// Octets that the client sent ahead of a challenge which never came are a payload, not a command: they
    /// must not be read as one.
    pub(super) fn sasl_refused(&mut self, sasl: &Sasl, early: bool, now: Instant, out: &mut Outbox) {
        if early && sasl.turn == Turn::Server && sasl.responses == 0 {
            let detail = "An authentication line was sent before it was asked for";
            self.client_fault(ViolationKind::Early, detail, now, out);
        }
    }

    /// A line of the client while IDLE is granted.
    pub(super) fn read_idle_line(&mut self, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        let Some(piece) = self.commands.next(inbox, self.line_limit()) else { return Step::Stalled };
        let id = self.open_id();
        let (len, tail) = match piece {
            Piece::Line { len, tail, .. } => (len, Some(tail)),
            Piece::Part { len } | Piece::Octets { len, .. } => (len, None),
        };
        let untold = if tail.is_none() { len as u64 } else { 0 };
        let is_done = inbox.get(..len).is_some_and(|line| line.eq_ignore_ascii_case(DONE));
        if is_done {
            let line = inbox.split_to(len);
            self.say(Speaker::Client, id, &line, now, out);
            if line != DONE {
                let (to, why, octets) = (Side::Upstream, Alteration::Canonical, len as u64);
                out.observe(now, Observation::Altered { to, why, removed: octets, added: octets });
            }
        } else if !self.enforcing() && tail.is_some() {
            let line = inbox.split_to(len);
            Self::violated(Side::Client, ViolationKind::Syntax, "Only DONE may be said while idling", now, out);
            self.say_passed(&line, now, out);
            out.send(Side::Upstream, line.freeze());
            return Step::Advanced;
        } else {
            if tail.is_some() {
                self.say_unshown(len as u64, now, out);
            }
            wipe_front(inbox, len);
            Self::violated(Side::Client, ViolationKind::Syntax, "Only DONE may be said while idling", now, out);
            self.count_error();
        }
        out.send(Side::Upstream, Bytes::from_static(DONE));
        self.phase = Phase::Idle(if is_done { Idle::Done } else { Idle::Broken { tail, untold } });
        Step::Advanced
    }
}
