//! What goes up, in which order, and what the proxy says itself.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::forward::kind_of;
use super::held::Gate;
use super::licence::Licence;
use super::phase::{Answer, Body, Completing, Idle, Kind, Layer, Pending, Phase, Prepared, Runs, Then, Whose};
use super::sizes::Sizes;
use super::view::View;
use super::{Imap, Step, secret};
use crate::session::{Alteration, Answered, CommandId, Completion, Observation, Outbox, Speaker};
use crate::wire::Side;
use crate::wire::imap::{Announced, Command, Enclosure, LiteralSpan, Tag};

/// The longest literal that goes up as a quoted string; servers bound those (Cyrus: maxquoted).
const LONGEST_QUOTED: usize = 1000;

impl Imap {
    /// Sends the held command up if nothing is in its way.
    pub(super) fn try_launch(&mut self, out: &mut Outbox) -> Step {
        let Phase::Hold(prepared) = &self.phase else { return Step::Stalled };
        if !matches!(prepared.gate, Gate::Open(_)) {
            return Step::Stalled;
        }
        // a continuation request must have one meaning: nothing is outstanding while a literal is open
        let alone = prepared.barrier || prepared.runs.left.len() > 1 || matches!(prepared.runs.then, Then::Body(_));
        if self.is_blocked(&prepared.tag) || (alone && !self.is_all_answered()) {
            return Step::Stalled;
        }
        let Phase::Hold(prepared) = std::mem::replace(&mut self.phase, Phase::Command) else { return Step::Stalled };
        let Prepared { tag, id, begun, kind, barrier, runs, pace, spec, .. } = *prepared;
        self.paces.begin(id, pace);
        if matches!(kind, Kind::Select { .. }) {
            // what comes from now on is told of the new mailbox
            self.view = View::default();
            self.sizes = Sizes::default();
        }
        self.stand(Pending { barrier, spec, ..Pending::new(tag, id, begun, kind) });
        self.next_run(runs, out);
        Step::Advanced
    }

    /// A command that goes up as it came, whole, with those around it: only what it is must be remembered. The
    /// licence is the proof of judgement.
    pub(super) fn stand_whole(&mut self, command: &Command, id: CommandId, now: Instant, _licence: Licence) {
        let whole = Pending::new(command.tag.clone(), id, now, kind_of(command));
        self.stand(Pending { complete: true, spec: Some(command.spec), ..whole });
    }

    /// A command is outstanding from here on.
    pub(super) fn stand(&mut self, mut pending: Pending) {
        pending.rising = self.is_rising(&pending.tag);
        self.pending.push_back(pending);
    }

    /// The tag counts behind all that are outstanding, as those of most clients do.
    pub(super) fn is_rising(&self, tag: &Tag) -> bool {
        self.pending.back().is_none_or(|last| last.rising && tag.counts_behind(&last.tag))
    }

    /// No command with this tag may go up now.
    pub(super) fn is_blocked(&self, tag: &Tag) -> bool {
        let most = self.setup.terms.limits.in_flight.max(1);
        self.barrier_outstanding()
            || (self.pending.len() >= most && self.in_flight() >= most)
            || (!self.is_rising(tag) && self.pending.iter().any(|pending| pending.tag == *tag))
    }

    /// Sends the next run of the open command; the phase says what is awaited then.
    pub(super) fn next_run(&mut self, mut runs: Runs, out: &mut Outbox) {
        if let Some(run) = runs.left.pop_front() {
            out.send(Side::Upstream, run);
        }
        if !runs.left.is_empty() {
            self.phase = Phase::Runs(runs);
            return;
        }
        self.phase = match runs.then {
            Then::Body(body) => Phase::Announced(body),
            Then::Sasl(sasl) => Phase::Sasl(sasl),
            Then::Idle => Phase::Idle(Idle::Asked),
            Then::Command => {
                self.complete_open();
                Phase::Command
            }
            Then::Detach(answer) => {
                self.complete_open();
                Phase::Detach(answer)
            }
        };
    }

    fn complete_open(&mut self) {
        if let Some(open) = self.pending.back_mut() {
            open.complete = true;
        }
    }

    /// No command is outstanding that will be answered.
    fn is_all_answered(&self) -> bool {
        self.pending.iter().all(|pending| matches!(pending.kind, Kind::Raw))
    }

    /// A command is outstanding after which nothing may be sent until it is answered.
    pub(super) fn barrier_outstanding(&self) -> bool {
        let last = self.pending.back().is_some_and(|pending| pending.barrier);
        debug_assert_eq!(last, self.pending.iter().any(|pending| pending.barrier), "nothing goes up behind a barrier");
        last
    }

    fn in_flight(&self) -> usize {
        self.pending.iter().filter(|pending| !matches!(pending.kind, Kind::Raw)).count()
    }

    /// Gives the held answer if every earlier command is answered.
    pub(super) fn try_answer(&mut self, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Answer(answer) = &self.phase else { return Step::Stalled };
        // one answer at most waits for a response boundary, so that a stalled server makes nothing grow
        let waits = !self.is_all_answered() || !self.local.is_empty();
        if waits || (answer.starts.is_some() && !self.responses.is_open()) {
            return Step::Stalled;
        }
        let Phase::Answer(answer) = std::mem::replace(&mut self.phase, Phase::Command) else { return Step::Stalled };
        self.give(*answer, now, out);
        Step::Advanced
    }

    /// Says the proxy's answer to a command, and reports the command as completed.
    pub(super) fn give(&mut self, answer: Answer, now: Instant, out: &mut Outbox) {
        let id = answer.completes.as_ref().map(|(id, _)| *id);
        if !answer.line.is_empty() {
            self.say_status(answer.speaker, id, &answer.line, now, out);
            self.local.push_back(answer.line);
            self.flush_local(out);
        }
        if let Some((id, completing)) = answer.completes {
            let latency = now.saturating_duration_since(completing.begun);
            let Completing { completion, code, by, .. } = completing;
            out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
        }
        if let Some(layer) = answer.starts {
            self.phase = Phase::Switch;
            match layer {
                Layer::Tls => out.start_tls(Side::Client),
                Layer::Deflate => out.start_deflate(Side::Client),
            }
        }
        if let Some((why, sentence)) = answer.close {
            self.end(why, &sentence, now, out);
        }
    }

    /// Says a line to the client at the next response boundary, which is now unless a response is
    /// being forwarded.
    pub(super) fn say_local(&mut self, line: Bytes, id: Option<CommandId>, now: Instant, out: &mut Outbox) {
        self.say(Speaker::ProxyToClient, id, &line, now, out);
        self.local.push_back(line);
        self.flush_local(out);
    }

    /// Sends what the proxy has to say if the client is at a response boundary.
    pub(super) fn flush_local(&mut self, out: &mut Outbox) {
        if !self.local.is_empty() && self.responses.is_open() {
            self.send_local(out);
        }
    }

    /// Sends what the proxy has to say.
    pub(super) fn send_local(&mut self, out: &mut Outbox) {
        for line in std::mem::take(&mut self.local) {
            out.send(Side::Client, line);
        }
    }

    /// Sends up what was held of a command, before octets pass unread behind it.
    pub(super) fn send_held(&mut self, out: &mut Outbox) {
        let assembly = std::mem::take(&mut self.assembly);
        out.send(Side::Upstream, secret(assembly.octets));
        let left = match &mut self.phase {
            Phase::Hold(prepared) => std::mem::take(&mut prepared.runs.left),
            Phase::Runs(runs) => std::mem::take(&mut runs.left),
            _ => VecDeque::new(),
        };
        for run in left {
            out.send(Side::Upstream, run);
        }
    }

    /// Ends every command that will not be answered any more.
    pub(super) fn abort_pending(&mut self, now: Instant, out: &mut Outbox) {
        let sent = std::mem::take(&mut self.pending).into_iter();
        let sent = sent.filter(|pending| !matches!(pending.kind, Kind::Own | Kind::Compress));
        let sent = sent.map(|pending| (pending.id, pending.begun, Answered::Upstream));
        let unanswered = |answer: Box<Answer>| {
            let (id, completing) = answer.completes?;
            Some((id, completing.begun, completing.by))
        };
        let unsent = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Answer(answer) | Phase::Detach(answer) => unanswered(answer),
            Phase::Discard(discard) => discard.answer.and_then(unanswered),
            Phase::Hold(prepared) => match prepared.runs.then {
                Then::Detach(answer) => unanswered(answer),
                Then::Command | Then::Body(_) | Then::Sasl(_) | Then::Idle => {
                    Some((prepared.id, prepared.begun, Answered::Upstream))
                }
            },
            phase => {
                self.phase = phase;
                None
            }
        };
        for (id, begun, by) in sent.chain(unsent) {
            let (completion, code, latency) = (Completion::Aborted, None, now.saturating_duration_since(begun));
            out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
        }
    }

    /// A server that closed after LOGOUT without a word: BYE and OK are said for it (RFC 9051 §6.1.3).
    pub(super) fn finish_logout(&mut self, now: Instant, out: &mut Outbox) {
        let Some(at) = self.pending.iter().position(|pending| matches!(pending.kind, Kind::Logout)) else { return };
        if !self.responses.at_boundary() {
            return;
        }
        let Some(pending) = self.pending.remove(at) else { return };
        if !self.bye {
            self.say_local(Bytes::from_static(b"* BYE Logging out\r\n"), Some(pending.id), now, out);
            self.bye = true;
        }
        let line = format!("{} OK Logout completed\r\n", pending.tag);
        self.say_local(line.into(), Some(pending.id), now, out);
        let (id, completion, code, by) = (pending.id, Completion::Ok, None, Answered::Proxy);
        let latency = now.saturating_duration_since(pending.begun);
        out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
    }
}

/// A command as it goes up, and by how much it differs from what came.
pub(super) struct Encoded {
    pub(super) left: VecDeque<Bytes>,
    pub(super) altered: Option<(u64, u64)>,
}

/// Puts a command into runs: octet for octet, except that no literal goes up as the client framed it
/// (RFC 7888 §4 lets a server that refuses a command run the octets): it becomes a quoted string where
/// every server can read one, else a synchronizing literal. `message` is a message's announcement at
/// the end of `octets`, if there is one; with `hide` every copy is wiped once it is sent.
pub(super) fn encode(
    mut octets: BytesMut,
    literals: &[LiteralSpan],
    message: Option<&Announced>,
    hide: bool,
) -> Encoded {
    if literals.is_empty() && message.is_none_or(is_canonical) {
        let run = if hide { secret(take_wiping(octets)) } else { octets.freeze() };
        return Encoded { left: VecDeque::from([run]), altered: None };
    }
    let (mut left, mut run, mut from) = (VecDeque::new(), Vec::with_capacity(octets.len() + 16), 0);
    let at = |range: std::ops::Range<usize>| octets.get(range).unwrap_or_default();
    for span in literals {
        run.extend_from_slice(at(from..span.announcement.start));
        let value = at(span.octets.clone());
        from = span.octets.end;
        if !span.literal8 && is_quotable(value) {
            quote(value, &mut run);
        } else {
            announce(value.len() as u64, span.literal8, &mut run);
            left.push_back(finish(std::mem::take(&mut run), hide));
            run.extend_from_slice(value);
        }
    }
    match message {
        Some(message) => {
            run.extend_from_slice(at(from..message.at.start));
            announce(message.size, message.literal8, &mut run);
        }
        None => run.extend_from_slice(at(from..octets.len())),
    }
    left.push_back(finish(run, hide));
    let sent: usize = left.iter().map(Bytes::len).sum();
    let altered = Some((octets.len() as u64, sent as u64));
    if hide {
        octets.fill(0);
    }
    Encoded { left, altered }
}

/// Synchronizing, and its count without leading zeros.
fn is_canonical(message: &Announced) -> bool {
    let digits = message.size.to_string().len();
    message.sync && message.at.len() == digits + 4 + usize::from(message.literal8)
}

fn finish(run: Vec<u8>, hide: bool) -> Bytes {
    if hide { secret(run) } else { run.into() }
}

fn take_wiping(mut octets: BytesMut) -> Vec<u8> {
    let copy = octets.to_vec();
    octets.fill(0);
    copy
}

fn is_quotable(value: &[u8]) -> bool {
    value.len() <= LONGEST_QUOTED
        && value.iter().all(|octet| matches!(octet, 1..=127) && !matches!(octet, b'\r' | b'\n'))
}

pub(super) fn quote(value: &[u8], run: &mut Vec<u8>) {
    run.push(b'"');
    for octet in value {
        if matches!(octet, b'"' | b'\\') {
            run.push(b'\\');
        }
        run.push(*octet);
    }
    run.push(b'"');
}

pub(super) fn announce(count: u64, literal8: bool, run: &mut Vec<u8>) {
    let tilde = if literal8 { "~" } else { "" };
    run.extend_from_slice(format!("{tilde}{{{count}}}\r\n").as_bytes());
}

/// Reports that a command goes up in another form than it came.
pub(super) fn altered(to: Side, why: Alteration, (removed, added): (u64, u64), now: Instant, out: &mut Outbox) {
    out.observe(now, Observation::Altered { to, why, removed, added });
}

impl Body {
    /// A message literal that was announced by the client.
    pub(super) fn announced(message: &Announced, enclosure: Enclosure, several: bool, whose: Whose) -> Self {
        let (octets, client_waits, stored, before, nth) = (message.size, message.sync, Vec::new(), 0, 1);
        Self { octets, client_waits, enclosure, several, nth, stored, before, early: None, whose }
    }
}
