//! Lines of the client that are no commands: an authentication exchange (RFC 9051 §6.2.2) and the
//! DONE of IDLE (RFC 9051 §6.3.13). Nothing else that is said there ever goes up.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::phase::{Idle, Phase, Sasl, Turn};
use super::server::Fate;
use super::{Imap, Step, secret};
use crate::redact::MASK;
use crate::session::{Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{Piece, is_base64};

const DONE: &[u8] = b"DONE\r\n";
const CANCEL: &[u8] = b"*\r\n";

impl Imap {
    /// A line of the client in an authentication exchange, once it is the client's turn.
    pub(super) fn read_sasl_line(&mut self, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Sasl(Sasl { turn: Turn::Client, .. }) = &self.phase else { return Step::Stalled };
        let limits = &self.setup.terms.limits;
        let limit = limits.sasl_line.min(limits.inbox.saturating_sub(2));
        let Some(piece) = self.commands.next(inbox, limit) else { return Step::Stalled };
        let (len, whole) = match piece {
            Piece::Line { len, .. } => (len, true),
            Piece::Part { len } | Piece::Octets { len, .. } => (len, false),
        };
        let line = inbox.get(..len).unwrap_or_default();
        let text = line.strip_suffix(b"\r\n").unwrap_or_default();
        let cancels = text == b"*";
        if whole && (cancels || is_base64(text)) {
            let shown = if cancels { "*" } else { MASK };
            self.say_text(Speaker::Client, self.open_id(), shown.to_owned(), len as u64, now, out);
            let octets = line.to_vec();
            wipe_front(inbox, len);
            out.send(Side::Upstream, secret(octets));
            self.pass_turn(false);
            return Step::Advanced;
        }
        wipe_front(inbox, len);
        Self::violated(Side::Client, ViolationKind::Sasl, "An authentication line is not base64", now, out);
        self.say_text(Speaker::ClientHeld, self.open_id(), MASK.to_owned(), len as u64, now, out);
        if !whole {
            self.client_fault(ViolationKind::LineTooLong, "An authentication line is too long", now, out);
            return Step::Advanced;
        }
        self.count_error();
        out.send(Side::Upstream, Bytes::from_static(CANCEL));
        self.pass_turn(true);
        Step::Advanced
    }

    fn pass_turn(&mut self, cancel: bool) {
        if let Phase::Sasl(sasl) = &mut self.phase {
            sasl.turn = Turn::Server;
            sasl.answered = true;
            sasl.cancelled |= cancel;
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
                sasl.cancelled = true;
                Bytes::from_static(CANCEL)
            };
            self.say_text(Speaker::UpstreamHeld, id, format!("+ {MASK}"), line.len() as u64, now, out);
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
        if early && sasl.turn == Turn::Server && !sasl.initial && !sasl.answered {
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
        let is_done = inbox.get(..len).is_some_and(|line| line.eq_ignore_ascii_case(DONE));
        if is_done {
            self.say(Speaker::Client, id, DONE, now, out);
        } else {
            let line = inbox.split_to(len);
            self.say_unshown(&line, now, out);
            Self::violated(Side::Client, ViolationKind::Syntax, "Only DONE may be said while idling", now, out);
            self.count_error();
        }
        if is_done {
            inbox.advance(len);
        }
        out.send(Side::Upstream, Bytes::from_static(DONE));
        self.phase = Phase::Idle(if is_done { Idle::Done } else { Idle::Broken(tail) });
        Step::Advanced
    }
}

fn wipe_front(inbox: &mut BytesMut, len: usize) {
    if let Some(octets) = inbox.get_mut(..len) {
        octets.fill(0);
    }
    inbox.advance(len);
}
