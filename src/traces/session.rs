//! One session's spans.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Tracer;
use super::otlp::{Attribute, Note, Span, Value};
use crate::fault::Fault;
use crate::metrics::response_code;
use crate::policy::Decision;
use crate::session::{Answered, CloseReason, CommandId, Completion, Event, Observation};
use crate::wire::{Effect, Operation, Protocol, Side};
use crate::witness::{SessionInfo, TlsFacts, TraceId};

/// Commands of a session with a span; those behind them are counted. No collector likes a trace without end.
const MOST: u64 = 2000;
/// Things noted in the session's own span.
const NOTES: usize = 32;

/// What becomes the trace of one session.
pub(crate) struct SessionTrace {
    tracer: Arc<Tracer>,
    trace: TraceId,
    /// The root's id; those of others are counted from it.
    root: u64,
    given: u64,
    /// When the session began, on both clocks.
    since: Instant,
    began: u64,
    /// What rules said of commands that have not begun yet: one that a hook or its pace holds.
    decided: VecDeque<(CommandId, Duration, Ruled)>,
    /// Commands that are not answered yet; their number is bounded by the session.
    open: VecDeque<Command>,
    /// Commands that were answered in the turn that is going on.
    answered: Vec<Command>,
    commands: u64,
    left_out: u64,
    notes: Vec<Note>,
    reason: Option<CloseReason>,
}

/// A rule that said something.
type Ruled = (Arc<str>, &'static str, &'static str);

struct Command {
    id: CommandId,
    begun: Duration,
    name: &'static str,
    operation: Operation,
    effect: Effect,
    ruled: Option<Ruled>,
    messages: u64,
    octets: u64,
    /// Time of the turns in which it was under way.
    own: Duration,
    end: Option<End>,
}

struct End {
    at: Duration,
    completion: Completion,
    code: Option<&'static str>,
    by: Answered,
    upstream: Duration,
}

impl SessionTrace {
    /// Begins the trace of a session that was accepted at `since`.
    pub(crate) fn begin(tracer: Arc<Tracer>, trace: TraceId, info: &SessionInfo, since: Instant) -> Self {
        Self {
            tracer,
            trace,
            // the half of a trace's name that does not decide whether it is sampled is as random as any
            root: trace.half().max(1),
            given: 0,
            since,
            began: u64::try_from(info.started.as_nanosecond()).unwrap_or_default(),
            decided: VecDeque::new(),
            open: VecDeque::new(),
            answered: Vec::new(),
            commands: 0,
            left_out: 0,
            notes: Vec::new(),
            reason: None,
        }
    }

    /// The session reported these.
    pub(crate) fn events(&mut self, events: &[Event]) {
        for event in events {
            self.event(event);
        }
    }

    fn event(&mut self, event: &Event) {
        match &event.what {
            Observation::CommandBegun { id, command, operation, effect, .. } => {
                // what is no constant of ours was chosen by the client
                let name = if let Cow::Borrowed(name) = *command { name } else { "other" };
                self.begun(*id, event.at, name, *operation, *effect);
            }
            Observation::CommandCompleted { id, completion, code, by, latency } => {
                let code = code.as_ref().map(|code| response_code(code.as_str()));
                let end = End { at: event.at, completion: *completion, code, by: *by, upstream: *latency };
                self.completed(*id, end);
            }
            Observation::Retrieved { id: Some(id), octets, .. } | Observation::Stored { id, octets, .. } => {
                if let Some(command) = self.command(*id) {
                    command.messages += 1;
                    command.octets += octets;
                }
            }
            Observation::Decided { id, decision } => self.decided(*id, event.at, decision),
            Observation::Greeted => self.note(event.at, "greeted", Vec::new()),
            Observation::Violated(violation) => {
                let attributes = vec![
                    ("mailwarden.side", Value::Word(violation.side.as_label())),
                    ("mailwarden.violation", Value::Word(violation.kind.as_label())),
                    ("mailwarden.code", Value::Word(violation.kind.code())),
                ];
                self.note(event.at, "protocol violation", attributes);
            }
            Observation::Closed { reason, .. } => self.reason = Some(*reason),
            Observation::Said(_)
            | Observation::TlsStarted { .. }
            | Observation::CompressionStarted { .. }
            | Observation::StateChanged { .. }
            | Observation::Authentication { .. }
            | Observation::Retrieved { id: None, .. }
            | Observation::Expunged { .. }
            | Observation::Notifying { .. }
            | Observation::Vanished { .. }
            | Observation::Altered { .. } => {}
        }
    }

    fn begun(&mut self, id: CommandId, at: Duration, name: &'static str, operation: Operation, effect: Effect) {
        self.commands += 1;
        let mut command = Command {
            id,
            begun: at,
            name,
            operation,
            effect,
            ruled: None,
            messages: 0,
            octets: 0,
            own: Duration::ZERO,
            end: None,
        };
        while let Some((of, when, ruled)) = self.decided.pop_front() {
            if of == id {
                command.begun = command.begun.min(when);
                command.ruled = Some(ruled);
            }
        }
        if self.commands > MOST {
            self.left_out += 1;
            self.tracer.left_out();
        } else {
            self.open.push_back(command);
        }
    }

    fn decided(&mut self, id: CommandId, at: Duration, decision: &Decision) {
        let ruled = (Arc::clone(&decision.rule), decision.action.as_label(), decision.mode.as_label());
        if let Some(command) = self.command(id) {
            command.ruled = Some(ruled);
        } else if self.decided.len() < NOTES {
            self.decided.push_back((id, at, ruled));
        }
    }

    fn command(&mut self, id: CommandId) -> Option<&mut Command> {
        self.open.iter_mut().chain(&mut self.answered).find(|command| command.id == id)
    }

    fn completed(&mut self, id: CommandId, end: End) {
        let at = self.open.iter().position(|command| command.id == id);
        if let Some(command) = at.and_then(|at| self.open.remove(at)) {
            self.answered.push(Command { end: Some(end), ..command });
        }
    }

    fn note(&mut self, at: Duration, name: &'static str, attributes: Vec<Attribute>) {
        if self.notes.len() < NOTES {
            self.notes.push(Note { at: self.at(at), name, attributes });
        }
    }

    /// A turn is over that took so long: what came was looked at, and what became of it went to the sockets.
    pub(crate) fn turn(&mut self, took: Duration) {
        for command in self.open.iter_mut().chain(&mut self.answered) {
            command.own += took;
        }
        self.put_answered();
    }

    /// A handshake on `side` that began at `since` has ended now.
    pub(crate) fn handshake(&mut self, side: Side, since: Instant, now: Instant, outcome: Result<&TlsFacts, &Fault>) {
        let name = match side {
            Side::Client => "TLS with the client",
            Side::Upstream => "TLS with the upstream",
        };
        let attributes = match outcome {
            Ok(facts) => vec![
                ("tls.protocol.version", Value::Word(version(facts))),
                ("tls.resumed", Value::Switch(facts.resumed)),
            ],
            Err(fault) => vec![("mailwarden.code", Value::Word(fault.code.as_str()))],
        };
        let (start, end) = (self.elapsed(since), self.elapsed(now));
        self.put(name, (start, end), outcome.is_err(), attributes);
    }

    /// The upstream cannot be used.
    pub(crate) fn upstream_failed(&mut self, fault: &Fault, now: Instant) {
        let attributes = vec![("mailwarden.code", Value::Word(fault.code.as_str()))];
        self.note(self.elapsed(now), "upstream failed", attributes);
    }

    /// The session's task ends; the plaintext octets are those received from each side.
    pub(crate) fn end(mut self, info: &SessionInfo, now: Instant, client_octets: u64, upstream_octets: u64) {
        let end = self.elapsed(now);
        self.put_answered();
        for command in std::mem::take(&mut self.open) {
            self.put_command(command, end);
        }
        let mut attributes = vec![
            ("network.protocol.name", Value::Word(info.protocol.as_label())),
            ("mailwarden.session", Value::Number(info.id)),
            ("mailwarden.listener", Value::Name(Arc::clone(&info.listener))),
            ("mailwarden.upstream", Value::Name(Arc::clone(&info.upstream))),
            ("mailwarden.client_octets", Value::Number(client_octets)),
            ("mailwarden.upstream_octets", Value::Number(upstream_octets)),
            ("mailwarden.commands", Value::Number(self.commands)),
        ];
        if self.left_out > 0 {
            attributes.push(("mailwarden.commands_left_out", Value::Number(self.left_out)));
        }
        for (key, facts) in
            [("mailwarden.client_tls", &info.client_tls), ("mailwarden.upstream_tls", &info.upstream_tls)]
        {
            attributes.extend(facts.as_ref().map(|facts| (key, Value::Word(version(facts)))));
        }
        attributes.extend(self.reason.map(|reason| ("mailwarden.close_reason", Value::Word(reason.as_label()))));
        self.tracer.put(Span {
            trace: self.trace,
            id: self.root,
            parent: 0,
            name: match info.protocol {
                Protocol::Imap => "IMAP session",
                Protocol::Pop3 => "POP3 session",
            },
            start: self.began,
            end: self.at(end),
            failed: self.reason.is_some_and(is_failure),
            attributes,
            notes: std::mem::take(&mut self.notes),
        });
    }

    fn put_answered(&mut self) {
        for command in std::mem::take(&mut self.answered) {
            self.put_command(command, Duration::ZERO);
        }
    }

    /// `cut_off`: when a command without an answer ended.
    fn put_command(&mut self, command: Command, cut_off: Duration) {
        let Command { begun, name, operation, effect, ruled, messages, octets, own, end, .. } = command;
        let mut attributes = vec![
            ("mailwarden.command_id", Value::Number(u64::from(command.id.0))),
            ("mailwarden.command", Value::Word(name)),
            ("mailwarden.operation", Value::Word(operation.as_label())),
            ("mailwarden.effect", Value::Word(effect.as_label())),
            ("mailwarden.proxy_seconds", Value::Seconds(own.as_secs_f64())),
        ];
        if messages > 0 {
            attributes.push(("mailwarden.messages", Value::Number(messages)));
            attributes.push(("mailwarden.message_octets", Value::Number(octets)));
        }
        if let Some((rule, action, mode)) = ruled {
            attributes.push(("mailwarden.rule", Value::Name(rule)));
            attributes.push(("mailwarden.rule_action", Value::Word(action)));
            attributes.push(("mailwarden.rule_mode", Value::Word(mode)));
        }
        let result = end.as_ref().map_or(Completion::Aborted, |end| end.completion);
        attributes.push(("mailwarden.result", Value::Word(result.as_label())));
        let mut at = cut_off;
        let mut failed = true;
        if let Some(end) = end {
            at = end.at;
            failed = end.by == Answered::Upstream && end.completion != Completion::Ok;
            attributes.push(("mailwarden.answered_by", Value::Word(end.by.as_label())));
            attributes.extend(end.code.map(|code| ("mailwarden.response_code", Value::Word(code))));
            if end.by == Answered::Upstream {
                attributes.push(("mailwarden.upstream_seconds", Value::Seconds(end.upstream.as_secs_f64())));
            }
        }
        self.put(name, (begun, at), failed, attributes);
    }

    fn put(
        &mut self,
        name: &'static str,
        (start, end): (Duration, Duration),
        failed: bool,
        attributes: Vec<Attribute>,
    ) {
        self.given += 1;
        let id = self.root.wrapping_add(self.given);
        // zero is no id
        let id = if id == 0 { self.root.wrapping_sub(1) } else { id };
        let (start, end) = (self.at(start), self.at(end.max(start)));
        let (trace, parent, notes) = (self.trace, self.root, Vec::new());
        self.tracer.put(Span { trace, id, parent, name, start, end, failed, attributes, notes });
    }

    fn at(&self, since: Duration) -> u64 {
        self.began.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

/// The TLS version as OpenTelemetry writes it.
fn version(facts: &TlsFacts) -> &'static str {
    match facts.version.as_str() {
        "TLSv1.3" => "1.3",
        "TLSv1.2" => "1.2",
        _ => "other",
    }
}

/// Whether a session that ended so is one to look at.
fn is_failure(reason: CloseReason) -> bool {
    match reason {
        CloseReason::ClientTls
        | CloseReason::UpstreamEof
        | CloseReason::UpstreamReset
        | CloseReason::UpstreamConnect
        | CloseReason::UpstreamTls
        | CloseReason::UpstreamGreeting
        | CloseReason::Overload
        | CloseReason::ClientViolation
        | CloseReason::UpstreamViolation
        | CloseReason::Internal => true,
        CloseReason::Logout
        | CloseReason::ClientEof
        | CloseReason::ClientReset
        | CloseReason::ServerBye
        | CloseReason::Policy
        | CloseReason::Timeout
        | CloseReason::Drain => false,
    }
}

impl fmt::Debug for SessionTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTrace").field("trace", &self.trace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
