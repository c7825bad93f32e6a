//! What a session asks of the shell, in order.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::observation::{CloseReason, CommandId, Event, Observation};
use crate::policy::Question;
use crate::wire::Side;

/// Octets to send, facts to report, layers to start, and the end.
#[derive(Debug)]
pub struct Outbox {
    client: Queue,
    upstream: Queue,
    events: Vec<Event>,
    start_tls: Option<Side>,
    start_deflate: Option<Side>,
    questions: Vec<(CommandId, Question)>,
    /// A rule wants the rest of this session kept.
    transcribed: bool,
    close: Option<CloseReason>,
    started: Instant,
    /// The last time that was asked for, and its distance from the start: most facts of a call share it.
    clock: (Instant, Duration),
}

/// What a run takes beside its octets: its record, and the smallest buffer with its reference count.
const RUN: usize = 256;

#[derive(Default)]
struct Queue {
    /// The first run: mostly the only one, so that it needs no queue. Empty only if nothing is queued.
    first: Bytes,
    more: VecDeque<Bytes>,
    octets: usize,
}

impl Queue {
    fn push(&mut self, octets: Bytes) {
        self.octets += octets.len();
        if self.first.is_empty() {
            self.first = octets;
        } else {
            self.more.push_back(octets);
        }
    }

    fn len(&self) -> usize {
        self.more.len() + usize::from(!self.first.is_empty())
    }

    fn runs(&self) -> impl Iterator<Item = &Bytes> {
        Some(&self.first).into_iter().filter(|first| !first.is_empty()).chain(&self.more)
    }

    fn drop_front(&mut self, mut count: usize) {
        self.octets = self.octets.saturating_sub(count);
        while count >= self.first.len() {
            count -= self.first.len();
            let Some(next) = self.more.pop_front() else {
                // an idle session holds no buffers
                *self = Self::default();
                return;
            };
            self.first = next;
        }
        self.first.advance(count);
    }
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
        let (events, clock) = (Vec::new(), (started, Duration::ZERO));
        Self {
            client,
            upstream,
            events,
            start_tls: None,
            start_deflate: None,
            questions: Vec::new(),
            transcribed: false,
            close: None,
            started,
            clock,
        }
    }

    // ---- the session's side

    /// Queues octets for one side.
    pub fn send(&mut self, to: Side, octets: impl Into<Bytes>) {
        let octets = octets.into();
        if !octets.is_empty() {
            self.queue_mut(to).push(octets);
        }
    }

    /// Reports a fact.
    pub fn observe(&mut self, now: Instant, what: Observation) {
        let at = self.since_start(now);
        self.transcribed |= matches!(&what, Observation::Decided { decision, .. } if decision.record);
        self.events.push(Event { at, what });
    }

    /// Reports many facts of this moment, none of them a decision. Of an iterator whose length is certain each is made
    /// where it is kept.
    pub(crate) fn report_all(&mut self, now: Instant, facts: impl Iterator<Item = Observation>) {
        let at = self.since_start(now);
        self.events.extend(facts.map(|what| {
            debug_assert!(!matches!(what, Observation::Decided { .. }), "decisions have consequences");
            Event { at, what }
        }));
    }

    fn since_start(&mut self, now: Instant) -> Duration {
        if self.clock.0 != now {
            self.clock = (now, now.saturating_duration_since(self.started));
        }
        self.clock.1
    }

    /// A rule wants the rest of this session kept: it is to report what is said
    /// ([`Observation::Said`]), as if its terms asked for a transcript.
    #[must_use]
    pub fn is_transcribed(&self) -> bool {
        self.transcribed
    }

    /// Has an external service asked about a command, which the session holds until it is
    /// [`answered`](super::Session::answered).
    pub fn ask(&mut self, id: CommandId, question: Question) {
        self.questions.push((id, question));
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
        queue.octets + queue.len() * RUN
    }

    /// Fills `slices` with what is queued for one side, for a vectored write; says how many.
    pub fn slices<'a>(&'a self, to: Side, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, run) in slices.iter_mut().zip(self.queue(to).runs()) {
            *slot = IoSlice::new(run);
            filled += 1;
        }
        filled
    }

    /// Drops `count` octets that were written to one side.
    pub fn written(&mut self, to: Side, count: usize) {
        self.queue_mut(to).drop_front(count);
    }

    /// Takes all that is queued for one side as one run (tests, tools).
    pub fn take(&mut self, to: Side) -> Vec<u8> {
        let queue = std::mem::take(self.queue_mut(to));
        queue.runs().flat_map(|run| run.iter().copied()).collect()
    }

    /// Takes the facts reported since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Lends an empty list with room for facts, so that none has to be made for each read; it comes back from
    /// [`take_events`](Self::take_events). A session that is not at work holds none.
    pub fn lend_events(&mut self, room: Vec<Event>) {
        debug_assert!(room.is_empty(), "facts are reported once");
        if self.events.is_empty() {
            self.events = room;
        }
    }

    /// Takes what is to be asked.
    pub fn take_questions(&mut self) -> Vec<(CommandId, Question)> {
        std::mem::take(&mut self.questions)
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
