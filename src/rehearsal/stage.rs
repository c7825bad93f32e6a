//! A session on a stage: it is given octets, time and answers as the live proxy would, without a network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::policy::{ClientTls, Connection, PolicyHandle, Question};
use crate::session::imap::Imap;
use crate::session::pop3::Pop3;
use crate::session::{
    CommandId, Compression, Event, Inboxes, Limits, Outbox, Places, Posture, Secured, Session, Setup, Terms, TlsMode,
};
use crate::wire::{Protocol, Side};

/// No rule can make a session wait longer than this altogether: a rehearsal ends.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A held command is looked at again no more often than this.
const MOST_WAITS: usize = 100_000;

/// One session, the octets that are on the way to it, and its clock.
pub struct Stage {
    session: Box<dyn Session>,
    inboxes: Inboxes,
    out: Outbox,
    begun: Instant,
    now: Instant,
    /// Sent by a peer and not read yet, client first.
    on_the_way: [Vec<u8>; 2],
    asked: Vec<(CommandId, Question)>,
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
    /// A session of this connection under these rules, in posture enforce, as it is before the server's greeting.
    /// `allow` is what the listener lets through although it is refused by default.
    #[must_use]
    pub fn new(connection: Connection, tls: Option<ClientTls>, allow: Vec<String>, policy: PolicyHandle) -> Self {
        let (now, protocol) = (connection.accepted, connection.protocol);
        let terms = Terms {
            posture: Posture::Enforce,
            client_tls: if tls.is_some() { TlsMode::Implicit } else { TlsMode::None },
            upstream_tls: TlsMode::Implicit,
            hide: Vec::new(),
            allow,
            compression: Compression { client: false, upstream: false, places: Places::new(0) },
            limits: Limits::default(),
            policy,
            transcript: true,
        };
        let setup = Setup { terms: Arc::new(terms), seed: 1, connection: Arc::new(connection), client_tls: tls };
        let session: Box<dyn Session> = match protocol {
            Protocol::Imap => Box::new(Imap::new(setup)),
            Protocol::Pop3 => Box::new(Pop3::new(setup)),
        };
        let mut stage = Self {
            session,
            inboxes: Inboxes::default(),
            out: Outbox::new(now),
            begun: now,
            now,
            on_the_way: [Vec::new(), Vec::new()],
            asked: Vec::new(),
        };
        stage.advance();
        stage
    }

    /// A peer sends octets; they are read as far as the session wants them.
    pub fn send(&mut self, from: Side, octets: &[u8]) {
        self.way(from).extend_from_slice(octets);
        self.read();
    }

    /// What came of all that was done since the last call.
    pub fn take(&mut self) -> Came {
        Came { up: self.out.take(Side::Upstream), down: self.out.take(Side::Client), events: self.out.take_events() }
    }

    /// The external service answers what it was asked, and so whatever it is asked from then on.
    pub fn answer_questions(&mut self, allowed: bool) -> bool {
        let asked = std::mem::take(&mut self.asked);
        for (id, _) in &asked {
            self.session.answered(*id, allowed, self.now, &mut self.out);
        }
        self.advance();
        self.read();
        !asked.is_empty()
    }

    /// What the session asked of an external service and was not answered.
    #[must_use]
    pub fn asked(&self) -> &[(CommandId, Question)] {
        &self.asked
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
            self.session.expire(self.now, &mut self.out);
            self.advance();
            self.read();
            if self.out.queued(Side::Client) + self.out.queued(Side::Upstream) > 0 || self.is_closing() {
                return Some(self.now.saturating_duration_since(begun));
            }
        }
        None
    }

    /// Time passes to so long after the session began, without anything said.
    pub fn pass_to(&mut self, since_begun: Duration) {
        self.now = self.now.max(self.begun + since_begun);
    }

    /// Whether the session ends.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.out.closing().is_some()
    }

    /// Whether every command was answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// The session has asked for TLS on this side, and now it is up.
    pub fn start_tls(&mut self) -> bool {
        let Some(side) = self.out.starting_tls() else { return false };
        self.out.tls_taken();
        self.inboxes.of(side).clear();
        self.way(side).clear();
        self.session.tls_started(Secured::offline(side), self.now, &mut self.out);
        self.advance();
        self.read();
        true
    }

    fn read(&mut self) {
        while let Some(side) = [Side::Client, Side::Upstream].into_iter().find(|side| self.is_read(*side)) {
            let room = Limits::default().inbox.saturating_sub(self.inboxes.of(side).len()).max(1);
            let way = self.way(side);
            let piece: Vec<u8> = way.drain(..room.min(way.len())).collect();
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

    fn advance(&mut self) {
        self.session.advance(&mut self.inboxes, self.now, &mut self.out);
        self.asked.append(&mut self.out.take_questions());
    }

    fn way(&mut self, side: Side) -> &mut Vec<u8> {
        let [client, upstream] = &mut self.on_the_way;
        if side == Side::Client { client } else { upstream }
    }
}
