//! The protocol state of one connection pair. PURE: octets and time in, actions out.
//!
//! A session knows both directions' state, pairs answers with commands under pipelining, asks
//! the policy before any octet of a command goes up, and fills an [`Outbox`] in order. It never
//! touches a socket, a task, a log or a metric: the shell in `proxy` executes the outbox, and
//! the transcript tests, the fuzzers and the replay of a recording run this very code.

mod compression;
mod legible;
mod limits;
mod observation;
mod outbox;

pub mod imap;
pub mod pop3;

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

pub use compression::{Compression, Place, Places};
pub use limits::Limits;
pub use observation::{
    Alteration, Answered, CloseReason, CommandId, Completion, Event, Extent, MessageRef, Observation, Said, Speaker,
    State, Violation, ViolationKind,
};
pub use outbox::Outbox;

use crate::policy::{ClientTls, Connection, Policy, PolicyHandle};
use crate::wire::{Protocol, Side};

/// What a listener does in doubt (see `docs/ARCHITECTURE.md`, "Two postures").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Posture {
    /// No octet reaches the server unjudged; what cannot be framed or is not known is refused.
    Enforce,
    /// The peers talk as if nobody stood between; the same findings are only reported.
    Observe,
}

/// How TLS comes to be on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// TLS from the first octet (ports 993 and 995; RFC 8314).
    Implicit,
    /// In clear until STARTTLS or STLS (RFC 9051 §6.2.1, RFC 2595); login is refused before it.
    Starttls,
    /// In clear, by the operator's explicit choice.
    None,
}

/// What all sessions of one listener share. Held once, behind an [`Arc`].
#[derive(Debug, Clone)]
pub struct Terms {
    /// What to do in doubt.
    pub posture: Posture,
    /// TLS towards the client.
    pub client_tls: TlsMode,
    /// TLS towards the server.
    pub upstream_tls: TlsMode,
    /// Capabilities hidden from clients beyond those that are always hidden; compared without
    /// regard to case, e.g. `QRESYNC`, `AUTH=PLAIN`, `XOAUTH2`.
    pub hide: Vec<String>,
    /// Commands and capabilities let through although they would be refused and hidden by default;
    /// compared without regard to case, e.g. `CATENATE`, `XFOO`. `hide` outweighs it.
    pub allow: Vec<String>,
    /// COMPRESS=DEFLATE, of the proxy's own on each side.
    pub compression: Compression,
    /// Bounds on everything a peer can make us hold.
    pub limits: Limits,
    /// The rules in force; read anew at each command.
    pub policy: PolicyHandle,
    /// Whether [`Observation::Said`] events are made (tap, recordings): they cost a copy per line.
    pub transcript: bool,
}

impl Terms {
    /// TLS on both sides, posture enforce, no rules and all that is said told, for what plays sessions by itself:
    /// tests, replays, benchmarks.
    #[must_use]
    pub fn offline() -> Self {
        Self {
            posture: Posture::Enforce,
            client_tls: TlsMode::Implicit,
            upstream_tls: TlsMode::Implicit,
            hide: Vec::new(),
            allow: Vec::new(),
            compression: Compression::default(),
            limits: Limits::default(),
            policy: PolicyHandle::new(Policy::default()),
            transcript: true,
        }
    }
}

/// What one session is made from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The listener's terms.
    pub terms: Arc<Terms>,
    /// Randomness for the tags of the proxy's own commands.
    pub seed: u64,
    /// The connection; event times count from when it was accepted.
    pub connection: Arc<Connection>,
    /// TLS towards the client, if it is up before the session begins ([`TlsMode::Implicit`]).
    pub client_tls: Option<ClientTls>,
}

/// A side on which TLS came up, and what rules may ask about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secured {
    /// The client's; this is what its handshake told.
    Client(ClientTls),
    /// The server's.
    Upstream,
}

impl Secured {
    /// Which side it is.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::Client(_) => Side::Client,
            Self::Upstream => Side::Upstream,
        }
    }

    /// One of which nothing is told, for what plays sessions by itself: tests, fuzzers, benchmarks.
    #[must_use]
    pub fn offline(side: Side) -> Self {
        match side {
            Side::Client => Self::Client(ClientTls { version: "1.3", ..ClientTls::default() }),
            Side::Upstream => Self::Upstream,
        }
    }
}

impl Setup {
    /// A session without a network, for what plays sessions by itself: tests, replays, benchmarks.
    #[must_use]
    pub fn offline(terms: Arc<Terms>, protocol: Protocol, seed: u64, started: Instant) -> Self {
        let client_tls =
            (terms.client_tls == TlsMode::Implicit).then(|| ClientTls { version: "1.3", ..ClientTls::default() });
        Self { terms, seed, connection: Arc::new(Connection::offline(protocol, started)), client_tls }
    }

    /// The session, in the connection's protocol.
    #[must_use]
    pub fn begin(self) -> Box<dyn Session + Send> {
        match self.connection.protocol {
            Protocol::Imap => Box::new(imap::Imap::new(self)),
            Protocol::Pop3 => Box::new(pop3::Pop3::new(self)),
        }
    }
}

/// Octets received and not yet worked through, per side, and whether more can come.
#[derive(Debug, Default)]
pub struct Inboxes {
    /// From the client.
    pub client: BytesMut,
    /// From the server.
    pub upstream: BytesMut,
    /// The client will send no more.
    pub client_ended: bool,
    /// The server will send no more.
    pub upstream_ended: bool,
}

impl Inboxes {
    /// The inbox of one side.
    pub fn of(&mut self, side: Side) -> &mut BytesMut {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}

/// One protocol's state machine. The shell's whole contract with it:
///
/// 1. Call [`advance`](Self::advance) after each read, after end of file (flag in the inboxes set),
///    after [`tls_started`](Self::tls_started), [`deflate_started`](Self::deflate_started),
///    [`answered`](Self::answered) or [`expire`](Self::expire), and once at the start.
/// 2. Report the outbox's events, write its queues in order.
/// 3. If the outbox asks to start TLS on a side: flush that side's queue, hand the octets left in
///    that side's inbox to the TLS engine (never back to the session), then call `tls_started`.
/// 4. If the outbox asks to start DEFLATE on a side: when that side's queue is flushed, hand the octets
///    left in that side's inbox to the inflater, deflate what is queued from then on, then call
///    [`deflate_started`](Self::deflate_started).
/// 5. If the outbox is closing: flush both queues as far as the peers take them, then close.
/// 6. Ask what [`Outbox::take_questions`] gives, without waiting for the answers, and bring each by
///    [`answered`](Self::answered). Until then the session holds the command.
/// 7. Read from a side only while [`wants`](Self::wants) says so and the other side's queue is
///    under its high-water mark. An inbox never grows beyond [`Limits::inbox`].
pub trait Session {
    /// Works through the inboxes until nothing more can be done. `now` never runs backwards.
    fn advance(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox);

    /// Whether octets of this side could be used now. The client is not wanted before the
    /// greeting, nor while a layer is being switched.
    fn wants(&self, side: Side) -> bool;

    /// TLS is up on this side, after the outbox asked for it.
    fn tls_started(&mut self, secured: Secured, now: Instant, out: &mut Outbox);

    /// DEFLATE is up on this side, after the outbox asked for it. A protocol without compression never asks.
    fn deflate_started(&mut self, _side: Side, _now: Instant, _out: &mut Outbox) {}

    /// What was asked by [`Outbox::ask`] about this command is answered. An answer to what is not asked, or not any
    /// more, changes nothing.
    fn answered(&mut self, _id: CommandId, _allowed: bool, _now: Instant, _out: &mut Outbox) {}

    /// When [`expire`](Self::expire) must be called if nothing happens until then.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed. If a held command or content may go on now, it does; if a peer was silent too
    /// long, a farewell and the close are put into the outbox.
    fn expire(&mut self, now: Instant, out: &mut Outbox);

    /// The shell wants to end the session (drain, upstream could not be reached, task limit): queues
    /// `* BYE …` or `-ERR …` with the sentence of `why` where a response boundary allows it, and closes.
    fn farewell(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox);

    /// Nothing is outstanding in either direction: a drain may end the session here.
    fn is_idle(&self) -> bool;
}
