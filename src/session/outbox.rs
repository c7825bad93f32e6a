//! What a session asks of the shell, in order.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::observation::{CloseReason, Event, Observation};
use crate::wire::Side;

/// Octets to send, facts to report, layers to start, and the end.
#[derive(Debug)]
pub struct Outbox {
    client: Queue,
    upstream: Queue,
    events: Vec<Event>,
    start_tls: Option<Side>,
    start_deflate: Option<Side>,
    close: Option<CloseReason>,
    started: Instant,
}

/// What a run takes beside its octets: its record, and the smallest buffer with its reference count.
const RUN: usize = 256;

#[derive(Default)]
struct Queue {
    runs: VecDeque<Bytes>,
    octets: usize,
}

impl fmt::Debug for Queue {
    /// Without the octets, among which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("octets", &self.octets).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An empty outbox; `started` is when the connection was accepted.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        let (client, upstream) = Default::default();
        Self { client, upstream, events: Vec::new(), start_tls: None, start_deflate: None, close: None, started }
    }

    // ---- the session's side

    /// Queues octets for one side.
    pub fn send(&mut self, to: Side, octets: impl Into<Bytes>) {
        let octets = octets.into();
        if !octets.is_empty() {
            let queue = self.queue_mut(to);
            queue.octets += octets.len();
            queue.runs.push_back(octets);
        }
    }

    /// Reports a fact.
    pub fn observe(&mut self, now: Instant, what: Observation) {
        self.events.push(Event { at: now.saturating_duration_since(self.started), what });
    }

    /// Asks for TLS on `side` as soon as what is queued for it is flushed.
    pub fn start_tls(&mut self, side: Side) {
        debug_assert!(!self.is_switching(), "one layer at a time");
        self.start_tls = Some(side);
    }

    /// Asks for DEFLATE on `side`, both ways, behind what is queued for it (RFC 4978).
    pub fn start_deflate(&mut self, side: Side) {
        debug_assert!(!self.is_switching(), "one layer at a time");
        self.start_deflate = Some(side);
    }

    /// A layer was asked for and is not up: nothing more may be read or said until it is.
    #[must_use]
    pub fn is_switching(&self) -> bool {
        self.start_tls.is_some() || self.start_deflate.is_some()
    }

    /// Ends the session once the queues are flushed; the first reason stands.
    pub fn close(&mut self, now: Instant, reason: CloseReason, detail: impl Into<String>) {
        if self.close.is_none() {
            self.close = Some(reason);
            self.observe(now, Observation::Closed { reason, detail: detail.into() });
        }
    }

    // ---- the shell's side

    /// Octets queued for one side.
    #[must_use]
    pub fn queued(&self, to: Side) -> usize {
        self.queue(to).octets
    }

    /// Memory that what is queued for one side takes, as far as it counts: a peer that sends an octet
    /// at a time makes many small runs, and each has its buffer and its place in the queue.
    #[must_use]
    pub fn held(&self, to: Side) -> usize {
        let queue = self.queue(to);
        queue.octets + queue.runs.len() * RUN
    }

    /// Fills `slices` with what is queued for one side, for a vectored write; says how many.
    pub fn slices<'a>(&'a self, to: Side, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, run) in slices.iter_mut().zip(&self.queue(to).runs) {
            *slot = IoSlice::new(run);
            filled += 1;
        }
        filled
    }

    /// Drops `count` octets that were written to one side.
    pub fn written(&mut self, to: Side, mut count: usize) {
        let queue = self.queue_mut(to);
        queue.octets = queue.octets.saturating_sub(count);
        while count > 0 {
            let Some(run) = queue.runs.front_mut() else { break };
            if run.len() > count {
                run.advance(count);
                break;
            }
            count -= run.len();
            queue.runs.pop_front();
        }
        if queue.runs.is_empty() {
            // an idle session holds no buffers
            queue.runs = VecDeque::new();
        }
    }

    /// Takes all that is queued for one side as one run (tests, tools).
    pub fn take(&mut self, to: Side) -> Vec<u8> {
        let queue = std::mem::take(self.queue_mut(to));
        queue.runs.iter().flat_map(|run| run.iter().copied()).collect()
    }

    /// Takes the facts reported since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The side on which TLS is to be started, taken once its queue is flushed.
    #[must_use]
    pub fn starting_tls(&self) -> Option<Side> {
        self.start_tls
    }

    /// The shell has begun to start TLS.
    pub fn tls_taken(&mut self) {
        self.start_tls = None;
    }

    /// The side on which DEFLATE is to be started, taken once its queue is flushed.
    #[must_use]
    pub fn starting_deflate(&self) -> Option<Side> {
        self.start_deflate
    }

    /// The shell has started DEFLATE.
    pub fn deflate_taken(&mut self) {
        self.start_deflate = None;
    }

    /// Why the session ends, once it does.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        self.close
    }

    fn queue(&self, to: Side) -> &Queue {
        match to {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }

    fn queue_mut(&mut self, to: Side) -> &mut Queue {
        match to {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}
