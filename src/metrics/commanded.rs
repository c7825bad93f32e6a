//! What is counted for commands and messages, found by position, not by label: it is on the data path.
//!
//! What one report of a session tells is handed on in one step: a hundred answers in one read then cost
//! one addition to each shared counter, not a hundred.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use super::families::Families;
use super::histogram::{Gathered, Histograms};
use super::labels::OUTCOMES;
use super::{codes, commands, narrow};
use crate::session::{Answered, Completion, Extent};
use crate::wire::{Operation, Protocol, ShortText};
use crate::witness::TraceId;

/// All of one protocol.
pub(super) struct OfProtocol {
    commands: Vec<Counted>,
    operations: Vec<Counted>,
    command_duration: Arc<Histograms>,
    operation_duration: Arc<Histograms>,
    /// By extent: retrievals and their octets.
    retrieved: Vec<(IntCounter, IntCounter)>,
    pub(super) stored: (IntCounter, IntCounter),
    pub(super) expunged: IntCounter,
}

/// One command name or operation.
struct Counted {
    by_outcome: Vec<IntCounter>,
    by_class: Vec<IntCounter>,
    /// Where its histogram stands in the family.
    duration: usize,
}

/// What a command is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Position of its name among the known.
    pub(super) command: u16,
    /// Index of its operation.
    pub(super) operation: u16,
}

/// How a command ended, but for its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) kind: Kind,
    pub(super) completion: Completion,
    pub(super) by: Answered,
    pub(super) latency: Duration,
}

/// What was counted and is not handed on yet. Mostly a report tells the same of all its commands, so the
/// last of each is enough to remember.
#[derive(Default)]
pub(super) struct Tally {
    ended: Option<(Ended, u32)>,
    latency: Option<(Kind, Gathered)>,
    retrieved: Option<(Extent, u64, u64)>,
    /// The last command that was looked up, and what it is counted as.
    looked_up: Option<(&'static str, Operation, Kind)>,
}

/// The index in [`OUTCOMES`] of a command that the session's end cut off.
pub(super) const ABORTED: usize = 3;

impl OfProtocol {
    pub(super) fn new(families: &Families, protocol: Protocol) -> Self {
        let label = protocol.as_label();
        let counted = |name: &str,
                       (ended, failed): (&prometheus::IntCounterVec, &prometheus::IntCounterVec),
                       duration| {
            let by_outcome = OUTCOMES.iter().map(|outcome| ended.with_label_values(&[label, name, outcome])).collect();
            let by_class = codes::CLASSES.iter().map(|class| failed.with_label_values(&[label, name, class])).collect();
            Counted { by_outcome, by_class, duration }
        };
        let command = |name: &&str| {
            let timed = if commands::timed(protocol).contains(name) { name } else { "other" };
            let duration = families.command_duration.position(&[label, timed]).unwrap_or(usize::MAX);
            counted(name, (&families.commands, &families.command_failures), duration)
        };
        let operation = |operation: &Operation| {
            let name = operation.as_label();
            let duration = families.operation_duration.position(&[label, name]).unwrap_or(usize::MAX);
            counted(name, (&families.operations, &families.operation_failures), duration)
        };
        let retrieved = |extent: &Extent| {
            let labels = [label, extent.as_label()];
            (families.retrieved.with_label_values(&labels), families.retrieved_bytes.with_label_values(&labels))
        };
        Self {
            commands: commands::known(protocol).iter().map(command).collect(),
            operations: Operation::ALL.iter().map(operation).collect(),
            command_duration: Arc::clone(&families.command_duration),
            operation_duration: Arc::clone(&families.operation_duration),
            retrieved: Extent::ALL.iter().map(retrieved).collect(),
            stored: (families.stored.with_label_values(&[label]), families.stored_bytes.with_label_values(&[label])),
            expunged: families.expunged.with_label_values(&[label]),
        }
    }

    fn of(&self, kind: Kind) -> [Option<&Counted>; 2] {
        [self.commands.get(usize::from(kind.command)), self.operations.get(usize::from(kind.operation))]
    }

    /// Commands ended so.
    pub(super) fn ended(&self, kind: Kind, outcome: usize, count: u64) {
        for counted in self.of(kind).into_iter().flatten() {
            if let Some(counter) = counted.by_outcome.get(outcome) {
                counter.inc_by(count);
            }
        }
    }

    /// The server refused a command.
    fn refused(&self, kind: Kind, code: Option<&str>) {
        let class = codes::class(code);
        for counted in self.of(kind).into_iter().flatten() {
            if let Some(counter) = counted.by_class.get(class) {
                counter.inc();
            }
        }
    }

    fn took(&self, kind: Kind, gathered: &Gathered) {
        let [command, operation] = self.of(kind);
        if let Some(histogram) = command.and_then(|command| self.command_duration.at(command.duration)) {
            histogram.hand_on(gathered);
        }
        if let Some(histogram) = operation.and_then(|operation| self.operation_duration.at(operation.duration)) {
            histogram.hand_on(gathered);
        }
    }

    /// A command that was counted occurred in this trace.
    pub(super) fn exemplify(&self, kind: Kind, latency: Duration, trace: TraceId, at: jiff::Timestamp) {
        let counted = self.commands.get(usize::from(kind.command));
        if let Some(histogram) = counted.and_then(|counted| self.command_duration.at(counted.duration)) {
            histogram.exemplify(latency, trace, at);
        }
    }

    fn retrieved(&self, extent: Extent, messages: u64, octets: u64) {
        if let Some((count, sum)) = self.retrieved.get(extent.index()) {
            count.inc_by(messages);
            sum.inc_by(octets);
        }
    }
}

impl Tally {
    /// What a command is counted as. Its name is mostly the same constant as the last one's.
    #[expect(clippy::ptr_arg, reason = "only of a name that is a constant does its address say which it is")]
    pub(super) fn kind(&mut self, protocol: Protocol, command: &Cow<'static, str>, operation: Operation) -> Kind {
        match (self.looked_up, command) {
            (Some((name, does, kind)), Cow::Borrowed(command)) if std::ptr::eq(name, *command) && does == operation => {
                return kind;
            }
            _ => {}
        }
        let kind =
            Kind { command: narrow(commands::position(protocol, command)), operation: narrow(operation.index()) };
        if let Cow::Borrowed(command) = command {
            self.looked_up = Some((command, operation, kind));
        }
        kind
    }

    /// A command ended. What came together mostly ends alike.
    pub(super) fn ended(&mut self, of: &OfProtocol, ended: Ended, code: Option<&ShortText>) {
        match &mut self.ended {
            Some((last, times)) if *last == ended => *times += 1,
            other => {
                if let Some((ended, times)) = other.replace((ended, 1)) {
                    self.hand_on(of, ended, times);
                }
            }
        }
        if ended.by == Answered::Upstream && !matches!(ended.completion, Completion::Ok | Completion::Aborted) {
            of.refused(ended.kind, code.map(ShortText::as_str));
        }
    }

    fn hand_on(&mut self, of: &OfProtocol, ended: Ended, times: u32) {
        let Ended { kind, completion, by, latency } = ended;
        of.ended(kind, outcome(completion, by), u64::from(times));
        if completion == Completion::Aborted || by != Answered::Upstream {
            return;
        }
        if self.latency.as_ref().is_none_or(|(last, _)| *last != kind)
            && let Some((kind, gathered)) = self.latency.replace((kind, Gathered::default()))
        {
            of.took(kind, &gathered);
        }
        // both families have the same bounds
        if let Some((_, gathered)) = &mut self.latency
            && let Some(histogram) = of.command_duration.at(0)
        {
            histogram.gather(latency, times, gathered);
        }
    }

    /// Content of a message went to the client.
    pub(super) fn retrieved(&mut self, of: &OfProtocol, extent: Extent, octets: u64) {
        match &mut self.retrieved {
            Some((last, messages, sum)) if *last == extent => {
                *messages += 1;
                *sum += octets;
            }
            other => {
                if let Some((extent, messages, sum)) = other.replace((extent, 1, octets)) {
                    of.retrieved(extent, messages, sum);
                }
            }
        }
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self, of: &OfProtocol) {
        if let Some((ended, times)) = self.ended.take() {
            self.hand_on(of, ended, times);
        }
        if let Some((kind, gathered)) = self.latency {
            of.took(kind, &gathered);
        }
        if let Some((extent, messages, sum)) = self.retrieved {
            of.retrieved(extent, messages, sum);
        }
    }
}

/// The index in [`OUTCOMES`].
fn outcome(completion: Completion, by: Answered) -> usize {
    match (completion, by) {
        (Completion::Aborted, _) => ABORTED,
        (_, Answered::Policy) => 4,
        (_, Answered::Syntax) => 5,
        (Completion::Ok, _) => 0,
        (Completion::No, _) => 1,
        (Completion::Bad, _) => 2,
    }
}
