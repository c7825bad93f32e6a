//! Content that a rule slows down: once more has passed than the pace allows, its side is not read until the
//! time for it has come.

use std::sync::Arc;
use std::time::Instant;

use super::Imap;
use super::phase::Phase;
use crate::policy::Pace;
use crate::session::{CommandId, Outbox};
use crate::wire::Side;

/// The paces of commands that are outstanding.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// In the order in which they went up; as many at most as commands may be in flight.
    running: Vec<(CommandId, Arc<Pace>)>,
    /// Messages of the client are not read until then.
    client: Option<Instant>,
    /// Answers of the server are not read until then.
    upstream: Option<Instant>,
}

impl Paces {
    /// A command with a pace goes up.
    pub(super) fn begin(&mut self, id: CommandId, pace: Option<Arc<Pace>>) {
        self.running.extend(pace.map(|pace| (id, pace)));
    }

    fn until(&mut self, side: Side) -> &mut Option<Instant> {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Whether content of this side waits.
    pub(super) fn waits(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client.is_some(),
            Side::Upstream => self.upstream.is_some(),
        }
    }

    /// The next moment at which something may go on.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.client, self.upstream].into_iter().flatten().min()
    }

    /// What has waited long enough may go on.
    pub(super) fn relax(&mut self, now: Instant) {
        for side in [Side::Client, Side::Upstream] {
            let until = self.until(side);
            *until = until.filter(|until| *until > now);
        }
    }

    /// Octets that came from this side have passed.
    fn spend(&mut self, from: Side, octets: usize, now: Instant) {
        let waits = self.running.iter().map(|(_, pace)| pace.take(octets as u64, now));
        let wait = waits.max().filter(|wait| !wait.is_zero());
        *self.until(from) = wait.and_then(|wait| now.checked_add(wait));
    }
}

impl Imap {
    /// Counts what went out since there was so much queued, where that has a pace.
    pub(super) fn spend(&mut self, queued: [usize; 2], now: Instant, out: &Outbox) {
        if !self.paces.running.is_empty() {
            self.spend_paced(queued, now, out);
        }
    }

    fn spend_paced(&mut self, queued: [usize; 2], now: Instant, out: &Outbox) {
        let [down, up] = [(Side::Client, queued[0]), (Side::Upstream, queued[1])]
            .map(|(side, before)| out.queued(side).saturating_sub(before));
        if down > 0 {
            self.paces.spend(Side::Upstream, down, now);
        }
        // commands are not content
        if up > 0 && matches!(self.phase, Phase::Body(_) | Phase::BodyTail(_)) {
            self.paces.spend(Side::Client, up, now);
        }
        let pending = &self.pending;
        self.paces.running.retain(|(id, _)| pending.iter().any(|pending| pending.id == *id));
    }

    /// A message of the client, that must go more slowly, waits.
    pub(super) fn message_waits(&self) -> bool {
        self.paces.waits(Side::Client) && matches!(self.phase, Phase::Body(_))
    }
}
