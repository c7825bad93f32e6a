//! A session on a stage: it is given octets, time and answers as the live proxy would, without a network.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::session::{CloseReason, CommandId, Event, Inboxes, Limits, Outbox, Secured, Session, Setup};
use crate::wire::Side;

/// No rule can make a session wait longer than this altogether: a rehearsal ends.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A held command is looked at again no more often than this.
const MOST_WAITS: usize = 100_000;

/// One session, the octets that are on the way to it, and its clock.
pub struct Stage {
    session: Box<dyn Session + Send>,
    inboxes: Inboxes,
    out: Outbox,
    begun: Instant,
    now: Instant,
    /// Pieces that a peer has sent and that are not read, client first.
    on_the_way: [VecDeque<Vec<u8>>; 2],
    /// What an external service was asked and has not answered, the oldest first.
    asked: VecDeque<CommandId>,
    limits: Limits,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("out", &self.out).finish_non_exhaustive()
    }
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Came {
    /// What went up to the server.
    pub up: Vec<u8>,
    /// What went down to the client.
    pub down: Vec<u8>,
    /// What was observed.
    pub events: Vec<Event>,
}

impl Stage {
    /// The session as it is before the server's greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let now = setup.connection.accepted;
        let limits = setup.terms.limits.clone();
        let mut stage = Self {
            session: setup.begin(),
            inboxes: Inboxes::default(),
            out: Outbox::new(now),
            begun: now,
            now,
            on_the_way: [VecDeque::new(), VecDeque::new()],
            asked: VecDeque::new(),
            limits,
        };
        stage.advance();
        stage
    }

    /// A peer sends octets that arrive in one piece; they are read as far as the session wants them.
    pub fn send(&mut self, from: Side, octets: &[u8]) {
        self.send_in_pieces(from, std::iter::once(octets));
    }

    /// A peer sends octets that arrive in these pieces.
    pub fn send_in_pieces<'a>(&mut self, from: Side, pieces: impl IntoIterator<Item = &'a [u8]>) {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).map(<[u8]>::to_vec);
        self.way(from).extend(pieces);
        self.read();
    }

    /// A peer will send no more.
    pub fn end(&mut self, from: Side) {
        match from {
            Side::Client => self.inboxes.client_ended = true,
            Side::Upstream => self.inboxes.upstream_ended = true,
        }
        self.advance();
    }

    /// What came of all that was done since the last call.
    pub fn take(&mut self) -> Came {
        Came { up: self.out.take(Side::Upstream), down: self.out.take(Side::Client), events: self.out.take_events() }
    }

    /// The external service answers what it was asked first; whether there was anything.
    pub fn answer(&mut self, allowed: bool) -> bool {
        let Some(id) = self.asked.pop_front() else { return false };
        self.session.answered(id, allowed, self.now, &mut self.out);
        self.advance();
        self.read();
        true
    }

    /// Lets time pass until the session does something by itself, which is given with the time it took; `None` if it
    /// does not.
    pub fn wait(&mut self) -> Option<Duration> {
        let begun = self.now;
        for _ in 0..MOST_WAITS {
            let deadline = self.session.deadline()?;
            if deadline.saturating_duration_since(begun) > LONGEST_WAIT {
                return None;
            }
            self.now = self.now.max(deadline);
            self.expire();
            if self.out.queued(Side::Client) + self.out.queued(Side::Upstream) > 0 || self.closing().is_some() {
                return Some(self.now.saturating_duration_since(begun));
            }
        }
        None
    }

    /// Time passes to so long after the session began, without anything said.
    pub fn pass_to(&mut self, since_begun: Duration) {
        self.now = self.now.max(self.begun + since_begun);
    }

    /// Time passes, and what is due by then is done.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.expire();
        }
    }

    /// The session is asked to end.
    pub fn farewell(&mut self, why: CloseReason, sentence: &str) {
        self.session.farewell(why, sentence, self.now, &mut self.out);
    }

    /// Why the session ends, once it does.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        self.out.closing()
    }

    /// Whether every command was answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// Whether octets of this side could be used now.
    #[must_use]
    pub fn wants(&self, side: Side) -> bool {
        self.session.wants(side)
    }

    /// What a peer has sent and the session has not worked through.
    pub fn left(&mut self, from: Side) -> Vec<u8> {
        let mut left = self.inboxes.of(from).to_vec();
        left.extend(self.way(from).iter().flatten());
        left
    }

    /// The session has asked for TLS, and now it is up; on which side. What that peer had sent in clear goes to
    /// the TLS engine.
    pub fn start_tls(&mut self) -> Option<Side> {
        let side = self.out.starting_tls()?;
        self.out.tls_taken();
        self.inboxes.of(side).clear();
        self.way(side).clear();
        self.session.tls_started(Secured::offline(side), self.now, &mut self.out);
        self.advance();
        self.read();
        Some(side)
    }

    /// The session has asked for DEFLATE, and now it is up; on which side. Octets are played as they are: that they
    /// are inflated is the shell's affair.
    pub fn start_deflate(&mut self) -> Option<Side> {
        let side = self.out.starting_deflate()?;
        self.out.deflate_taken();
        let left = self.left(side);
        self.inboxes.of(side).clear();
        self.way(side).clear();
        self.session.deflate_started(side, self.now, &mut self.out);
        self.advance();
        self.send(side, &left);
        Some(side)
    }

    /// Reads as long as there is something to read from a side that is wanted, as much as there is room for.
    fn read(&mut self) {
        while let Some(side) = [Side::Client, Side::Upstream].into_iter().find(|side| self.is_read(*side)) {
            let room = self.limits.inbox.saturating_sub(self.inboxes.of(side).len()).max(1);
            let mut piece = self.way(side).pop_front().unwrap_or_default();
            if piece.len() > room {
                self.way(side).push_front(piece.split_off(room));
            }
            self.inboxes.of(side).extend_from_slice(&piece);
            self.advance();
        }
    }

    fn is_read(&mut self, side: Side) -> bool {
        !self.way(side).is_empty()
            && self.out.closing().is_none()
            && !self.out.is_switching()
            && self.session.wants(side)
    }

    fn expire(&mut self) {
        self.session.expire(self.now, &mut self.out);
        self.advance();
        self.read();
    }

    fn advance(&mut self) {
        self.session.advance(&mut self.inboxes, self.now, &mut self.out);
        self.asked.extend(self.out.take_questions().into_iter().map(|(id, _)| id));
    }

    fn way(&mut self, side: Side) -> &mut VecDeque<Vec<u8>> {
        let [client, upstream] = &mut self.on_the_way;
        if side == Side::Client { client } else { upstream }
    }
}
