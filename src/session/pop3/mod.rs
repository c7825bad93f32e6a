//! The POP3 state machine (RFC 1939).
//!
//! Answers are paired with commands by their order alone, so everything hangs on knowing where each
//! ends. The session asks a server for one thing at a time unless it advertised PIPELINING; what
//! the client sends ahead waits, unread, in its inbox, and is judged when its turn comes: behind
//! the answer to PASS, by the rules for the user who is then logged in. It must never let octets of the
//! server pass that answer nothing, and never end a body that the server did not end.
//!
//! A command that nobody here knows reaches the server in posture observe, or if the operator allows its
//! name. A single-line answer is assumed; if what comes next is no status line, or answers nothing, then in
//! posture observe it is taken for the body of a multi-line response and passes up to its end, and in
//! posture enforce, where it could be mail that was never judged, the session ends.

mod answers;
mod bare_lf;
mod client;
mod edit;
mod ending;
mod exchange;
mod greeting;
mod held;
mod judge;
mod multiline;
mod request;
mod sizes;
mod slot;
mod turn;
mod unique_ids;
mod upstream;

use std::collections::VecDeque;
use std::time::Instant;

use self::bare_lf::BareLf;
use self::held::Held;
use self::multiline::Reading;
use self::sizes::Sizes;
use self::slot::{Answer, Asked, ExchangeTurn, Slot};
use self::turn::Turn;
use self::unique_ids::UniqueIds;
use super::{CloseReason, CommandId, Inboxes, Observation, Outbox, Posture, Secured, Session, Setup, State, TlsMode};
use crate::policy::{ClientTls, SessionRules};
use crate::wire::Side;
use crate::wire::pop3::{Advertised, LineEnd, LineFramer};

/// The session.
#[derive(Debug)]
pub struct Pop3 {
    setup: Setup,
    phase: Phase,
    state: State,
    queue: VecDeque<Slot>,
    reading: Reading,
    client_lines: LineFramer,
    upstream_lines: LineFramer,
    /// The front of a status line that is longer than its limit.
    long_status: Option<Vec<u8>>,
    /// Octets so far of a client's line that is longer than its limit.
    long_line: u64,
    bare_lf: Option<BareLf>,
    rules: SessionRules,
    /// The user who is logged in, or whom the server let go on to PASS.
    user: Option<String>,
    /// The greeting that the client saw offers APOP.
    apop: bool,
    /// The server has accepted UTF8: STLS is over (RFC 6856 §2.1).
    utf8: bool,
    client_layer: Layer,
    /// What rules may ask about TLS towards the client.
    tls: Option<ClientTls>,
    advertised: Advertised,
    /// The last answer was to a command that is not known, and may have a body.
    after_unknown: bool,
    unique_ids: UniqueIds,
    sizes: Sizes,
    /// A command that was judged and may not go up yet.
    held: Option<Held>,
    /// The server is not heard until then: a rule slows down what it sends.
    paced_until: Option<Instant>,
    commands: u32,
    errors: u32,
    last_activity: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Clear,
    Tls,
}

/// Where the session is between its two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server's greeting is awaited.
    Greeting,
    /// The server was sent STLS; `greeting` octets of it were put aside.
    UpstreamStls { greeting: usize },
    /// The shell is to start TLS towards the server.
    UpstreamTls { greeting: usize },
    /// Both peers talk.
    Open,
    /// The shell is to start TLS towards the client.
    ClientTls,
    /// Framing is lost and the posture is observe: octets pass unread from here on.
    Opaque,
    /// Nothing more happens.
    Closed,
}

impl Pop3 {
    /// A session that has just been connected to its server.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let client_layer = if setup.terms.client_tls == TlsMode::Implicit { Layer::Tls } else { Layer::Clear };
        let last_activity = setup.connection.accepted;
        Self {
            tls: setup.client_tls.clone(),
            rules: SessionRules::new(setup.terms.policy.clone()),
            setup,
            phase: Phase::Greeting,
            state: State::Greeting,
            queue: VecDeque::new(),
            reading: Reading::Status,
            client_lines: LineFramer::default(),
            upstream_lines: LineFramer::default(),
            long_status: None,
            long_line: 0,
            bare_lf: None,
            user: None,
            apop: false,
            utf8: false,
            client_layer,
            advertised: Advertised::default(),
            after_unknown: false,
            unique_ids: UniqueIds::default(),
            sizes: Sizes::default(),
            held: None,
            paced_until: None,
            commands: 0,
            errors: 0,
            last_activity,
        }
    }

    fn turn<'a>(&self, now: Instant, out: &'a mut Outbox) -> Turn<'a> {
        let transcript = self.setup.terms.transcript || out.is_transcribed();
        Turn { out, now, transcript }
    }

    fn enforces(&self) -> bool {
        self.setup.terms.posture == Posture::Enforce
    }

    fn line_end(&self) -> LineEnd {
        match self.setup.terms.posture {
            Posture::Enforce => LineEnd::Strict,
            Posture::Observe => LineEnd::Lenient,
        }
    }

    /// A line's limit, never more than can be read: a longer line would wait for its end for ever.
    fn readable(&self, limit: usize) -> usize {
        limit.min(self.setup.terms.limits.inbox)
    }

    /// The client must not log in before it has done STLS.
    fn is_in_clear(&self) -> bool {
        self.setup.terms.client_tls == TlsMode::Starttls && self.client_layer == Layer::Clear
    }

    fn enter(&mut self, to: State, turn: &mut Turn<'_>) {
        if self.state != to {
            turn.observe(Observation::StateChanged { from: self.state, to });
            self.state = to;
        }
    }

    /// The exchange that waits for a line of the client.
    fn is_clients_turn(&self) -> bool {
        let Some(Slot { answer: Answer::Upstream(Asked::Auth(exchange)), .. }) = self.queue.front() else {
            return false;
        };
        matches!(exchange.turn, ExchangeTurn::Client) && self.held.is_none()
    }
}

/// How many commands may be waiting for their answers; then the client is not read.
const QUEUE: usize = 64;

impl Session for Pop3 {
    fn advance(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox) {
        self.last_activity = now;
        let mut turn = self.turn(now, out);
        self.wake(&mut turn);
        loop {
            self.hear(&mut inboxes.upstream, &mut turn);
            if !self.serve(&mut inboxes.client, &mut turn) {
                break;
            }
        }
        if inboxes.upstream_ended && self.paced_until.is_none() {
            self.upstream_ended(&mut turn);
        } else if inboxes.client_ended {
            self.client_ended(&mut turn);
        }
    }

    fn wants(&self, side: Side) -> bool {
        match (self.phase, side) {
            (Phase::Open, Side::Client) => self.queue.len() < QUEUE && self.state != State::Update,
            (Phase::Open, Side::Upstream) => self.paced_until.is_none(),
            (Phase::Opaque | Phase::ClientTls, Side::Upstream) | (Phase::Opaque, Side::Client) => true,
            (Phase::Greeting | Phase::UpstreamStls { .. }, side) => side == Side::Upstream,
            (Phase::ClientTls, Side::Client) | (Phase::UpstreamTls { .. } | Phase::Closed, _) => false,
        }
    }

    fn tls_started(&mut self, secured: Secured, now: Instant, out: &mut Outbox) {
        self.last_activity = now;
        let mut turn = self.turn(now, out);
        let side = secured.side();
        match (self.phase, secured) {
            (Phase::UpstreamTls { greeting }, Secured::Upstream) => {
                turn.observe(Observation::TlsStarted { side });
                self.upstream_lines = LineFramer::default();
                // a greeting in clear may be anyone's: it must not decide how lines end under TLS
                self.bare_lf = None;
                self.greet_in_own_words(greeting, &mut turn);
            }
            (Phase::ClientTls, Secured::Client(facts)) => {
                turn.observe(Observation::TlsStarted { side });
                self.tls = Some(facts);
                self.client_lines = LineFramer::default();
                self.client_layer = Layer::Tls;
                self.user = None;
                self.phase = Phase::Open;
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: CommandId, allowed: bool, now: Instant, out: &mut Outbox) {
        self.last_activity = now;
        let mut turn = self.turn(now, out);
        self.told(id, allowed, &mut turn);
    }

    fn deadline(&self) -> Option<Instant> {
        // what waits by a rule is no silence of a peer
        self.wakes().or_else(|| self.silent_until())
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let mut turn = self.turn(now, out);
        if self.wakes().is_some() {
            self.last_activity = now;
            self.wake(&mut turn);
        } else {
            self.expired(&mut turn);
        }
    }

    fn farewell(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox) {
        let mut turn = self.turn(now, out);
        self.end(why, sentence, Some(sentence), &mut turn);
    }

    fn is_idle(&self) -> bool {
        let nothing = self.queue.is_empty() && self.held.is_none();
        self.phase == Phase::Open && nothing && matches!(self.reading, Reading::Status)
    }
}

impl Pop3 {
    /// When something goes on that a rule has slowed down.
    fn wakes(&self) -> Option<Instant> {
        self.held_until().into_iter().chain(self.paced_until).min()
    }

    /// What waited for this moment goes on.
    fn wake(&mut self, turn: &mut Turn<'_>) {
        if self.paced_until.is_some_and(|until| until <= turn.now) {
            self.paced_until = None;
        }
        self.release_due(turn);
    }

    /// When the silence of a peer has lasted too long.
    fn silent_until(&self) -> Option<Instant> {
        let limits = &self.setup.terms.limits;
        match self.phase {
            Phase::Greeting | Phase::UpstreamStls { .. } => {
                Some(self.setup.connection.accepted + limits.greeting_timeout)
            }
            Phase::Open | Phase::Opaque if self.state == State::NotAuthenticated => {
                Some(self.last_activity + limits.login_timeout)
            }
            Phase::Open | Phase::Opaque => Some(self.last_activity + limits.idle_timeout),
            // the handshake is under the shell's own limit
            Phase::UpstreamTls { .. } | Phase::ClientTls | Phase::Closed => None,
        }
    }
}
