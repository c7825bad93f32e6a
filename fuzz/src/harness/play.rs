//! Plays a conversation as the shell does: reads what is wanted, as much as there is room for, calls the
//! session, takes the outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mailwarden::session::imap::Imap;
use mailwarden::session::pop3::Pop3;
use mailwarden::session::{
    CloseReason, Inboxes, Observation, Outbox, Posture, Secured, Session, Setup, Terms, Violation, ViolationKind,
};
use mailwarden::wire::{Protocol, Side};

use super::check;
use super::policies::Set;
use super::script::{Action, Options, Script};

/// In which pieces octets arrive.
#[derive(Debug, Clone, Copy)]
pub enum Cuts {
    Whole,
    /// The server's line by line, the client's whole.
    Lines,
    Octets,
    /// Some up to this many, by chance from this seed.
    Chance(u32),
}

impl Cuts {
    fn next(&mut self, from: Side, octets: &[u8]) -> usize {
        match self {
            Self::Lines if from == Side::Upstream => {
                octets.iter().position(|octet| *octet == b'\n').map_or(octets.len(), |end| end + 1)
            }
            Self::Whole | Self::Lines => usize::MAX,
            Self::Octets => 1,
            Self::Chance(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 17;
                *state ^= *state << 5;
                1 + (*state >> (*state & 7)) as usize % 40
            }
        }
    }
}

/// What came of a play.
#[derive(Default)]
pub struct Outcome {
    pub up: Vec<u8>,
    pub down: Vec<u8>,
    pub events: Vec<Observation>,
}

impl Outcome {
    /// What the session did hangs on which octets came together: it saw some that should have waited, of a
    /// client for a go-ahead, of a server for the command that waits for the answer before.
    fn hangs_on_arrival(&self) -> bool {
        use ViolationKind::{Early, Injection, Unsolicited};
        self.events.iter().any(|event| match event {
            Observation::Violated(Violation { side, kind, .. }) => {
                matches!(kind, Early | Injection | Unsolicited) || *side == Side::Upstream
            }
            _ => false,
        })
    }
}

/// A session, its inboxes and its outbox, and what the peers have sent that is not read yet.
pub struct Shell {
    session: Box<dyn Session>,
    terms: Arc<Terms>,
    protocol: Protocol,
    inboxes: Inboxes,
    out: Outbox,
    now: Instant,
    way: [Vec<u8>; 2],
    cuts: Cuts,
    /// Octets read.
    read: [Vec<u8>; 2],
    /// That side says no more once what is on the way is read.
    ended: [bool; 2],
    layered: bool,
    pub outcome: Outcome,
}

impl Shell {
    pub fn new(options: Options, protocol: Protocol, cuts: Cuts) -> Self {
        Self::of(options.terms(), protocol, cuts)
    }

    /// A session on these terms.
    pub fn of(terms: Arc<Terms>, protocol: Protocol, cuts: Cuts) -> Self {
        static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        static PLAYS: AtomicU64 = AtomicU64::new(0);
        // each play is a connection of its own, of which a rule keeps count
        let since = Duration::from_micros(PLAYS.fetch_add(1, Ordering::Relaxed));
        let started = *STARTED.get_or_init(Instant::now) + since;
        let setup = Setup::offline(Arc::clone(&terms), protocol, 1, started);
        let session: Box<dyn Session> = match protocol {
            Protocol::Imap => Box::new(Imap::new(setup)),
            Protocol::Pop3 => Box::new(Pop3::new(setup)),
        };
        let (inboxes, out) = (Inboxes::default(), Outbox::new(started));
        let (way, read, ended, outcome) = Default::default();
        let mut shell = Self {
            session,
            terms,
            protocol,
            inboxes,
            out,
            now: started,
            way,
            cuts,
            read,
            ended,
            layered: false,
            outcome,
        };
        shell.advance();
        shell
    }

    /// Octets of one side, as far as they are wanted; the rest waits.
    pub fn send(&mut self, from: Side, octets: &[u8]) {
        if !self.ended[index(from)] {
            self.way[index(from)].extend_from_slice(octets);
        }
        self.pump(from);
        let before = (self.outcome.up.len(), self.outcome.down.len(), self.outcome.events.len());
        self.advance();
        let after = (self.outcome.up.len(), self.outcome.down.len(), self.outcome.events.len());
        assert_eq!(before, after, "a session does all it can at once");
    }

    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Send(side, octets) => return self.send(*side, octets),
            Action::End(side) => self.ended[index(*side)] = true,
            Action::Wait => {
                self.now += Duration::from_hours(1);
                if self.session.deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.session.expire(self.now, &mut self.out);
                }
            }
            Action::Farewell => {
                self.session.farewell(CloseReason::Drain, "The server is stopping", self.now, &mut self.out);
            }
            // whoever holds the policy has replaced it
            Action::Reload => {}
        }
        self.advance();
        self.pump(Side::Client);
    }

    /// Both sides end; then nothing may be left to do.
    pub fn finish(mut self) -> Outcome {
        self.check_quiet();
        self.inboxes.client_ended = true;
        self.inboxes.upstream_ended = true;
        self.advance();
        assert!(self.out.closing().is_some(), "nothing can follow the end of both sides");
        self.session.farewell(CloseReason::Drain, "too late", self.now, &mut self.out);
        self.collect();
        check::events(&self.outcome.events);
        if self.protocol == Protocol::Imap && self.enforces() && !self.layered {
            check::answered_once(&self.read[0], &self.outcome.down);
        }
        self.outcome
    }

    pub fn is_closing(&self) -> bool {
        self.out.closing().is_some()
    }

    pub fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// What was read of a side.
    pub fn read(&self, side: Side) -> &[u8] {
        &self.read[index(side)]
    }

    /// TLS came up in mid-session.
    pub fn is_layered(&self) -> bool {
        self.layered
    }

    fn enforces(&self) -> bool {
        self.terms.posture == Posture::Enforce
    }

    /// Where nothing is outstanding and nothing was objected to, what went out is what came in.
    fn check_quiet(&self) {
        if self.is_closing() || !self.is_idle() {
            return;
        }
        for side in [Side::Client, Side::Upstream] {
            let (unread, wants) = (!self.way[index(side)].is_empty(), self.session.wants(side));
            // an inbox full of them: the rest is left to the sender
            let for_its_turn = side == Side::Client && check::awaits_word(&self.outcome.events);
            assert!(!(unread && wants) || for_its_turn, "an idle session leaves octets of {side:?} unread");
        }
        let whole = self.inboxes.client.is_empty() && self.inboxes.upstream.is_empty();
        if whole && !self.layered && check::nothing_objected(&self.outcome.events) {
            let [client, upstream] = &self.read;
            assert_eq!(self.outcome.up.escape_ascii().to_string(), client.escape_ascii().to_string());
            assert_eq!(self.outcome.down.escape_ascii().to_string(), upstream.escape_ascii().to_string());
        }
    }

    /// Reads as long as there is something to read from a side that is wanted, the one that spoke last first.
    fn pump(&mut self, first: Side) {
        while let Some(side) = [first, first.other()].into_iter().find(|side| self.is_read(*side)) {
            let room = self.room(side);
            let way = &self.way[index(side)];
            let len = self.cuts.next(side, way).min(room).min(way.len());
            let piece = &self.way[index(side)][..len];
            self.inboxes.of(side).extend_from_slice(piece);
            self.read[index(side)].extend_from_slice(piece);
            self.way[index(side)].drain(..len);
            self.advance();
        }
        let [client, upstream] = [0, 1].map(|side: usize| self.ended[side] && self.way[side].is_empty());
        if (client, upstream) != (self.inboxes.client_ended, self.inboxes.upstream_ended) {
            (self.inboxes.client_ended, self.inboxes.upstream_ended) = (client, upstream);
            self.advance();
            self.pump(first);
        }
    }

    fn is_read(&mut self, side: Side) -> bool {
        !self.way[index(side)].is_empty() && self.room(side) > 0 && !self.is_closing() && self.session.wants(side)
    }

    fn room(&mut self, side: Side) -> usize {
        let (limit, len) = (self.terms.limits.inbox, self.inboxes.of(side).len());
        // CRs that a server left out are put in
        assert!(len <= 2 * limit, "an inbox holds what was read");
        limit.saturating_sub(len)
    }

    fn advance(&mut self) {
        let held = self.inboxes.client.len() + self.inboxes.upstream.len();
        self.session.advance(&mut self.inboxes, self.now, &mut self.out);
        for side in [Side::Client, Side::Upstream] {
            // a line of the proxy's own for each few octets, and what was held of a command
            let most = 20 * held + 2 * self.terms.limits.inbox + 4096;
            assert!(self.out.queued(side) <= most, "{} octets from {held}", self.out.queued(side));
        }
        self.collect();
        for (id, _) in self.out.take_questions() {
            // some are allowed and some are not, however octets arrive
            self.session.answered(id, !Set::says_no(id.0), self.now, &mut self.out);
            self.advance();
        }
        if let Some(side) = self.out.starting_tls() {
            self.start_tls(side);
        }
        if let Some(side) = self.out.starting_deflate() {
            self.start_deflate(side);
        }
    }

    /// What is left is played as if it had been inflated: that is the shell's affair.
    fn start_deflate(&mut self, side: Side) {
        self.out.deflate_taken();
        self.session.deflate_started(side, self.now, &mut self.out);
        self.advance();
    }

    fn start_tls(&mut self, side: Side) {
        self.out.tls_taken();
        self.layered = true;
        // what is left in clear goes to the TLS engine
        self.inboxes.of(side).clear();
        self.way[index(side)].clear();
        self.session.tls_started(Secured::offline(side), self.now, &mut self.out);
        self.advance();
    }

    fn collect(&mut self) {
        for (side, sent) in [(Side::Upstream, &mut self.outcome.up), (Side::Client, &mut self.outcome.down)] {
            if self.out.queued(side) > 0 {
                sent.append(&mut self.out.take(side));
            }
        }
        self.outcome.events.extend(self.out.take_events().into_iter().map(|event| event.what));
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Upstream => 1,
    }
}

/// Plays a script in which both sides say what they say.
pub fn session(protocol: Protocol, octets: &[u8]) {
    let script = Script::read(octets);
    let play = |cuts| {
        let mut shell = Shell::new(script.options, protocol, cuts);
        script.actions.iter().for_each(|action| shell.act(action));
        shell.finish()
    };
    compare(script.seed, play);
}

/// The same comes of it however octets arrive. What a peer's command that waited does may come between two
/// lines of the other or behind them, so octets and events agree in full where the server's lines arrive
/// one by one; where several come in one read, what goes up does.
pub fn compare(seed: u8, play: impl Fn(Cuts) -> Outcome) {
    let lines = play(Cuts::Lines);
    for cuts in [Cuts::Whole, Cuts::Octets, Cuts::Chance(u32::from(seed) + 1)] {
        let cut = play(cuts);
        if lines.hangs_on_arrival() || cut.hangs_on_arrival() {
            continue;
        }
        assert_eq!(lines.up.escape_ascii().to_string(), cut.up.escape_ascii().to_string(), "up, {cuts:?}");
        if let Cuts::Octets = cuts {
            assert_eq!(lines.down.escape_ascii().to_string(), cut.down.escape_ascii().to_string(), "down");
            for (one, other) in lines.events.iter().zip(&cut.events) {
                assert_eq!(one, other);
            }
            assert_eq!(lines.events.len(), cut.events.len());
        }
    }
}
