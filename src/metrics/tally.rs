//! Counts what one report of a session tells, and hands it on in one step: a hundred answers in one read
//! then cost one addition to each shared counter, not a hundred.

use std::borrow::Cow;

use prometheus::core::{Atomic, GenericCounter};
use prometheus::local::LocalHistogram;
use prometheus::{Histogram, IntCounter};

use super::{Command, commands};
use crate::wire::Protocol;

/// What was counted and is not handed on yet. Mostly a report tells the same of all its commands, so the last
/// counter is enough to remember.
#[derive(Default)]
pub(super) struct Tally<'a> {
    begun: Run<'a>,
    ended: Run<'a>,
    /// The last histogram; what more was told for it, from the second time on.
    latency: Option<(&'a Histogram, Option<LocalHistogram>)>,
    /// The last name that was looked up, and where it stands.
    name: Option<(&'static str, usize)>,
}

#[derive(Default)]
struct Run<'a>(Option<(&'a IntCounter, u64)>);

impl<'a> Run<'a> {
    fn count(&mut self, counter: &'a IntCounter) {
        match &mut self.0 {
            Some((last, count)) if std::ptr::eq(*last, counter) => *count += 1,
            last => {
                hand_on(last.replace((counter, 1)));
            }
        }
    }
}

fn hand_on<P: Atomic<T = u64>>(counted: Option<(&GenericCounter<P>, u64)>) {
    if let Some((counter, count)) = counted {
        counter.inc_by(count);
    }
}

impl<'a> Tally<'a> {
    /// Where the counters of a command stand. Its name is mostly the same constant as the last one's.
    #[expect(clippy::ptr_arg, reason = "only of a name that is a constant does its address say which it is")]
    pub(super) fn position(&mut self, protocol: Protocol, command: &Cow<'static, str>) -> usize {
        let Cow::Borrowed(command) = *command else { return commands::position(protocol, command) };
        match self.name {
            Some((last, position)) if std::ptr::eq(last, command) => position,
            _ => {
                let position = commands::position(protocol, command);
                self.name = Some((command, position));
                position
            }
        }
    }

    /// A command for this began.
    pub(super) fn begun(&mut self, operation: &'a IntCounter) {
        self.begun.count(operation);
    }

    /// A command ended so.
    pub(super) fn ended(&mut self, outcome: &'a IntCounter) {
        self.ended.count(outcome);
    }

    /// The server took so long.
    pub(super) fn took(&mut self, command: &'a Command, seconds: f64) {
        match &mut self.latency {
            Some((last, local)) if std::ptr::eq(*last, &raw const command.latency) => {
                local.get_or_insert_with(|| last.local()).observe(seconds);
            }
            _ => {
                self.flush_latency();
                command.latency.observe(seconds);
                self.latency = Some((&command.latency, None));
            }
        }
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self) {
        hand_on(self.begun.0.take());
        hand_on(self.ended.0.take());
        self.flush_latency();
    }

    fn flush_latency(&mut self) {
        if let Some((_, Some(local))) = self.latency.take() {
            local.flush();
        }
    }
}
