//! Every metric family: its name, help and labels, and nothing else.
//!
//! Label values are words of closed sets or names of the configuration; nothing a peer sends
//! becomes one. Every series exists from the start, so that a zero can be told from an absence; but those of rules
//! begin with their first decision, for rules come and go while the proxy runs (`rules` bounds their number).
//! Per-command counters are looked up by position, not by label: they are on the data path.

mod commands;
mod families;
mod rules;
mod tally;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, TextEncoder};

use self::families::Families;
use self::rules::RuleNames;
use self::tally::Tally;
use crate::fault::Code;
use crate::per_session::PerSession;
use crate::session::{Answered, CommandId, Completion, Event, Extent, Observation};
use crate::wire::{Operation, Protocol, Side};
use crate::witness::{SessionInfo, Witness};

/// All metrics of one proxy, on a registry of their own.
pub struct Metrics {
    families: Families,
    imap: OfProtocol,
    pop3: OfProtocol,
    open: PerSession<Pending>,
    rules: RuleNames,
}

/// What is counted for each command and message, found by position.
struct OfProtocol {
    commands: Vec<Command>,
    operations: Vec<IntCounter>,
    /// By extent: retrievals and their octets.
    retrieved: Vec<(IntCounter, IntCounter)>,
    stored: (IntCounter, IntCounter),
    expunged: IntCounter,
}

/// The metrics of one command name.
struct Command {
    by_outcome: Vec<IntCounter>,
    latency: Histogram,
}

/// What is remembered of an open session.
#[derive(Default)]
struct Pending {
    /// Commands that are not answered yet; their number is bounded by the session.
    commands: VecDeque<(CommandId, usize)>,
}

/// How a command ended: the values of the label `result`.
const OUTCOMES: &[&str] = &["ok", "no", "bad", "aborted", "denied", "error"];

impl Metrics {
    /// Metrics for listeners and upstreams with these names.
    ///
    /// # Errors
    /// When two families have one name, which a test rules out.
    pub fn new(listeners: &[(String, Protocol)], upstreams: &[String]) -> Result<Self, prometheus::Error> {
        let families = Families::new()?;
        families.start_at_zero(listeners, upstreams);
        let (imap, pop3) = (OfProtocol::new(&families, Protocol::Imap), OfProtocol::new(&families, Protocol::Pop3));
        Ok(Self { families, imap, pop3, open: PerSession::new(), rules: RuleNames::default() })
    }

    /// The text format of Prometheus.
    ///
    /// # Errors
    /// When a family is inconsistent, which a test rules out.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.families.registry.gather())
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self, listener: &str) {
        self.families.accepted.with_label_values(&[listener]).inc();
    }

    /// A connection was turned away; `reason` is one of [`families::REJECTIONS`].
    pub(crate) fn rejected(&self, listener: &str, reason: &'static str) {
        debug_assert!(families::REJECTIONS.contains(&reason));
        self.families.rejected.with_label_values(&[listener, reason]).inc();
    }

    /// A TLS handshake has ended; `result` is `ok` or the label of a [`Code`].
    pub(crate) fn handshake(&self, side: Side, result: &str, took: Duration) {
        self.families.handshakes.with_label_values(&[side.as_label(), result]).inc();
        self.families.handshake_duration.with_label_values(&[side.as_label()]).observe(took.as_secs_f64());
    }

    /// A TCP connection to an upstream was made.
    pub(crate) fn dialled(&self, upstream: &str, took: Duration) {
        self.families.connect_duration.with_label_values(&[upstream]).observe(took.as_secs_f64());
    }

    /// An upstream could not be reached or is not trusted.
    pub(crate) fn upstream_failed(&self, upstream: &str, code: Code) {
        self.families.connect_failures.with_label_values(&[upstream, code.as_label()]).inc();
    }

    /// The counter of plaintext octets from one side.
    pub(crate) fn wire(&self, protocol: Protocol, from: Side) -> IntCounter {
        self.families.wire.with_label_values(&[protocol.as_label(), from.as_label()])
    }

    /// The counter of octets of compressed sides; `flow` is `received` or `sent`, `form` is `plain` or `deflated`.
    pub(crate) fn compressed(&self, side: Side, flow: &str, form: &str) -> IntCounter {
        self.families.compressed.with_label_values(&[side.as_label(), flow, form])
    }

    /// A hook was asked; `result` is one of [`families::HOOK_RESULTS`].
    pub(crate) fn hook_asked(&self, result: &'static str, took: Duration) {
        debug_assert!(families::HOOK_RESULTS.contains(&result));
        self.families.hook_answers.with_label_values(&[result]).inc();
        self.families.hook_duration.with_label_values(&[result]).observe(took.as_secs_f64());
    }

    /// The configuration was looked at again; `result` is one of [`families::RELOADS`], and what is in force now was
    /// read at `in_force` (seconds since 1970).
    pub(crate) fn reloaded(&self, result: &'static str, in_force: Option<i64>) {
        debug_assert!(families::RELOADS.contains(&result));
        self.families.reloads.with_label_values(&[result]).inc();
        self.in_force(in_force);
    }

    /// What is in force was read at this time; `None`: what was last looked at is not in force.
    pub(crate) fn in_force(&self, since: Option<i64>) {
        self.families.reload.with_label_values(&[] as &[&str]).set(i64::from(since.is_some()));
        if let Some(since) = since {
            self.families.reloaded_at.with_label_values(&[] as &[&str]).set(since);
        }
    }

    /// A session's task panicked.
    pub(crate) fn panicked(&self) {
        self.families.panics.inc();
    }

    fn of(&self, protocol: Protocol) -> &OfProtocol {
        match protocol {
            Protocol::Imap => &self.imap,
            Protocol::Pop3 => &self.pop3,
        }
    }

    fn event<'a>(&'a self, info: &SessionInfo, pending: &mut Pending, event: &Observation, tally: &mut Tally<'a>) {
        let of = self.of(info.protocol);
        match event {
            Observation::CommandBegun { id, command, operation, .. } => {
                if let Some(counter) = of.operations.get(operation.index()) {
                    tally.begun(counter);
                }
                pending.commands.push_back((*id, tally.position(info.protocol, command)));
            }
            Observation::CommandCompleted { id, completion, by, latency, .. } => {
                if let Some(command) = pending.ended(*id).and_then(|position| of.commands.get(position)) {
                    command.completed(*completion, *by, *latency, tally);
                }
            }
            Observation::Retrieved { extent, octets, .. } => {
                if let Some((messages, sum)) = of.retrieved.get(extent.index()) {
                    messages.inc();
                    sum.inc_by(*octets);
                }
            }
            Observation::Stored { octets, .. } => {
                of.stored.0.inc();
                of.stored.1.inc_by(*octets);
            }
            Observation::Expunged { .. } => of.expunged.inc(),
            Observation::Greeted
            | Observation::Said(_)
            | Observation::StateChanged { .. }
            | Observation::Vanished { .. } => {}
            _ => self.rare(info, event),
        }
    }

    /// What is told now and then: looked up by its labels.
    fn rare(&self, info: &SessionInfo, event: &Observation) {
        let (protocol, families) = (info.protocol.as_label(), &self.families);
        match event {
            Observation::Authentication { mechanism, accepted, .. } => {
                let result = if *accepted { "accepted" } else { "refused" };
                families.authentications.with_label_values(&[protocol, families::mechanism(mechanism), result]).inc();
            }
            Observation::Violated(violation) => {
                let labels = [protocol, violation.side.as_label(), violation.kind.as_label()];
                families.violations.with_label_values(&labels).inc();
            }
            Observation::Altered { to, why, removed, added } => {
                let labels = [protocol, to.as_label(), why.as_label()];
                families.altered_bytes.with_label_values(&labels).inc_by(removed + added);
            }
            Observation::Decided { decision, .. } => {
                let rule = self.rules.label(&decision.rule);
                let labels = [&*rule, decision.action.as_label(), decision.mode.as_label()];
                families.decisions.with_label_values(&labels).inc();
                if decision.alert {
                    families.alerts.with_label_values(&[protocol]).inc();
                }
            }
            Observation::Closed { reason, .. } => {
                families.closed.with_label_values(&[protocol, &info.listener, reason.as_label()]).inc();
            }
            Observation::Said(_)
            | Observation::Greeted
            | Observation::TlsStarted { .. }
            | Observation::CompressionStarted { .. }
            | Observation::CommandBegun { .. }
            | Observation::CommandCompleted { .. }
            | Observation::Retrieved { .. }
            | Observation::Stored { .. }
            | Observation::Expunged { .. }
            | Observation::Vanished { .. }
            | Observation::StateChanged { .. } => {}
        }
    }
}

impl OfProtocol {
    fn new(families: &Families, protocol: Protocol) -> Self {
        let label = protocol.as_label();
        let command = |name: &&str| Command {
            by_outcome: OUTCOMES
                .iter()
                .map(|outcome| families.commands.with_label_values(&[label, name, outcome]))
                .collect(),
            latency: {
                let timed = if commands::TIMED.contains(name) { name } else { "other" };
                families.command_duration.with_label_values(&[label, timed])
            },
        };
        let operation = |operation: &Operation| families.operations.with_label_values(&[label, operation.as_label()]);
        let retrieved = |extent: &Extent| {
            let labels = [label, extent.as_label()];
            (families.retrieved.with_label_values(&labels), families.retrieved_bytes.with_label_values(&labels))
        };
        Self {
            commands: commands::known(protocol).iter().map(command).collect(),
            operations: Operation::ALL.iter().map(operation).collect(),
            retrieved: Extent::ALL.iter().map(retrieved).collect(),
            stored: (families.stored.with_label_values(&[label]), families.stored_bytes.with_label_values(&[label])),
            expunged: families.expunged.with_label_values(&[label]),
        }
    }
}

impl Command {
    fn completed<'a>(&'a self, completion: Completion, by: Answered, latency: Duration, tally: &mut Tally<'a>) {
        if let Some(counter) = self.by_outcome.get(outcome(completion, by)) {
            tally.ended(counter);
        }
        if completion != Completion::Aborted && by == Answered::Upstream {
            tally.took(self, latency.as_secs_f64());
        }
    }
}

impl Pending {
    /// The position of a command that has ended. Mostly it is the oldest.
    fn ended(&mut self, id: CommandId) -> Option<usize> {
        let at = match self.commands.front() {
            Some((begun, _)) if *begun == id => 0,
            _ => self.commands.iter().position(|(begun, _)| *begun == id)?,
        };
        let (_, position) = self.commands.remove(at)?;
        if self.commands.is_empty() {
            self.commands = VecDeque::new();
        }
        Some(position)
    }
}

fn outcome(completion: Completion, by: Answered) -> usize {
    match (completion, by) {
        (Completion::Aborted, _) => 3,
        (_, Answered::Policy) => 4,
        (_, Answered::Syntax) => 5,
        (Completion::Ok, _) => 0,
        (Completion::No, _) => 1,
        (Completion::Bad, _) => 2,
    }
}

impl Witness for Metrics {
    fn opened(&self, info: &SessionInfo) {
        let labels = [info.protocol.as_label(), &info.listener];
        self.families.opened.with_label_values(&labels).inc();
        self.families.active.with_label_values(&labels).inc();
        self.open.open(info.id, Pending::default());
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        self.open.with(info.id, |pending| {
            let mut tally = Tally::default();
            for event in events {
                self.event(info, pending, &event.what, &mut tally);
            }
            tally.finish();
        });
    }

    fn closed(&self, info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        let labels = [info.protocol.as_label(), &info.listener];
        self.families.active.with_label_values(&labels).dec();
        let took = jiff::Timestamp::now().duration_since(info.started);
        let duration = self.families.session_duration.with_label_values(&[info.protocol.as_label()]);
        duration.observe(took.as_secs_f64().max(0.0));
        // what was begun and never answered is not forgotten
        let left = self.open.close(info.id).unwrap_or_default();
        for (_, position) in left.commands {
            let command = self.of(info.protocol).commands.get(position);
            if let Some(counter) = command.and_then(|command| command.by_outcome.get(3)) {
                counter.inc();
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests;
