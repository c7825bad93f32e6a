//! The IMAP state machine (RFC 9051 §3): one instance for a client and its server.
//!
//! The client's octets are assembled into commands, judged, and sent up one at a time in the form
//! in which no server can read them differently (`client`, `judge`, `send`); message literals stream
//! (`append`); authentication exchanges and IDLE have lines that are no commands (`exchange`). The
//! server's octets are paired with what is outstanding and pass in runs (`server`). It must never
//! forward an octet of a command before `judge` has made a permit for it, and never hold more than
//! the limits say.

mod append;
mod asked;
mod client;
mod compress;
mod data;
mod edit;
mod exchange;
mod forward;
mod further;
mod greeting;
mod held;
mod judge;
mod licence;
mod offered;
mod paced;
mod phase;
mod plainly;
mod refusal;
mod script;
mod send;
mod server;
mod shown;
mod sizes;
mod status;
mod tell;
mod unlisted;
mod upload;
mod view;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use self::compress::Deflate;
use self::edit::Mapped;
use self::paced::Paces;
use self::phase::{Answer, FIRST, Greeting, Idle, Kind, Pending, Phase};
use self::server::Responses;
use self::sizes::Sizes;
use self::view::View;
use super::{
    CloseReason, CommandId, Inboxes, Observation, Outbox, Posture, Secured, Session, Setup, Speaker, State, TlsMode,
    ViolationKind,
};
use crate::policy::{ClientTls, Edit, Looks, SessionFacts, SessionRules};
use crate::redact::Redacted;
use crate::wire::Side;
use crate::wire::imap::{Framer, Names, Repeatable, Tag};

/// An IMAP session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own: no two of them form one state")]
pub struct Imap {
    setup: Setup,
    rules: SessionRules,
    state: State,
    selected: Option<Arc<str>>,
    user: Option<String>,
    /// What is known of the selected mailbox's messages.
    view: View,
    sizes: Sizes,
    /// How the client writes mailbox names.
    names: Names,
    client_tls: bool,
    /// What rules may ask about it.
    tls: Option<ClientTls>,
    upstream_tls: bool,
    /// What the server said of itself, as far as the proxy must know.
    server: ServerFacts,
    deflate: Deflate,

    phase: Phase,
    commands: Framer,
    assembly: Assembly,
    pending: VecDeque<Pending>,
    /// How fast what is outstanding may flow.
    paces: Paces,
    /// What rules look at of the server's octets that are being read: asked once for all of them.
    looks: Looks,
    /// How a rule words the status line that is being dealt with.
    wording: Option<Arc<Edit>>,
    /// Mailboxes that go up by another name than the client's.
    mapped: Vec<Mapped>,
    /// The last command that passed, while more of the kind may follow.
    repeatable: Option<Box<Repeatable>>,

    responses: Responses,
    /// What the proxy says to the client at the next response boundary.
    local: VecDeque<Bytes>,
    greeted: bool,
    /// The server said BYE.
    bye: bool,

    last_id: u32,
    last_own: u32,
    errors: u32,
    /// One line that may still come and means nothing: the empty line after a padded message, or a
    /// DONE that crossed the end of IDLE.
    stray: Option<Stray>,
    /// A search that was to replace `$` was denied: `$` is empty for the client, not for the server.
    stale_result: bool,
    last: Instant,
}

/// Capabilities that decide what the proxy itself may do.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "a set of capabilities, each there or not")]
struct ServerFacts {
    initial_response: bool,
    unselect: bool,
    multiappend: bool,
    /// A SCRAM mechanism with channel binding was listed, so none may be offered.
    scram_plus: bool,
}

/// A command whose literals are being read; empty at a command's start.
#[derive(Default)]
struct Assembly {
    octets: Vec<u8>,
    /// Octets that are not a literal's.
    text: usize,
    literals: usize,
}

impl fmt::Debug for Assembly {
    /// Without the octets, among which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { octets, text, literals } = self;
        f.debug_struct("Assembly")
            .field("octets", &octets.len())
            .field("text", text)
            .field("literals", literals)
            .finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stray {
    EmptyLine,
    Done,
}

/// Whether a step changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Advanced,
    Stalled,
}

impl Imap {
    /// A session that has just been connected to its server.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let implicit = |mode: TlsMode| mode == TlsMode::Implicit;
        Self {
            state: FIRST,
            selected: None,
            user: None,
            view: View::default(),
            sizes: Sizes::default(),
            names: Names::default(),
            client_tls: implicit(setup.terms.client_tls),
            tls: setup.client_tls.clone(),
            upstream_tls: implicit(setup.terms.upstream_tls),
            server: ServerFacts::default(),
            deflate: Deflate::default(),
            phase: Phase::Greeting(Greeting::Awaited),
            commands: Framer::default(),
            assembly: Assembly::default(),
            pending: VecDeque::new(),
            paces: Paces::default(),
            looks: Looks::default(),
            wording: None,
            mapped: Vec::new(),
            repeatable: None,
            responses: Responses::default(),
            local: VecDeque::new(),
            greeted: false,
            bye: false,
            last_id: 0,
            last_own: 0,
            errors: 0,
            stray: None,
            stale_result: false,
            last: setup.connection.accepted,
            rules: SessionRules::new(setup.terms.policy.clone()),
            setup,
        }
    }

    fn enforcing(&self) -> bool {
        self.setup.terms.posture == Posture::Enforce
    }

    fn logged_in(&self) -> bool {
        matches!(self.state, State::Authenticated | State::Selected)
    }

    /// What the policy may know of this session now.
    fn session_facts(&self, now: Instant) -> SessionFacts<'_> {
        SessionFacts {
            connection: &self.setup.connection,
            tls: self.tls.as_ref(),
            now,
            user: self.user.as_deref(),
            logged_in: self.logged_in(),
        }
    }

    /// A tag for a command of the proxy's own: unpredictable, so that no reply can be sent ahead of it.
    fn own_tag(&mut self) -> Tag {
        self.last_own += 1;
        let text = format!("{}{}", self.own_prefix(), self.last_own);
        Tag::new(text.as_bytes()).expect("letters and digits, under 64 octets")
    }

    fn own_prefix(&self) -> String {
        format!("{OWN}{:016x}x", self.setup.seed)
    }

    fn next_id(&mut self) -> CommandId {
        self.last_id = self.last_id.saturating_add(1);
        CommandId(self.last_id)
    }

    fn change_state(&mut self, to: State, now: Instant, out: &mut Outbox) {
        if self.state != to {
            let from = std::mem::replace(&mut self.state, to);
            out.observe(now, Observation::StateChanged { from, to });
        }
        if to != State::Selected {
            self.selected = None;
            self.view = View::default();
            self.sizes = Sizes::default();
        }
    }

    /// Ends the session with a farewell where the client is at a response boundary.
    fn end(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.flush_local(out);
        self.report_open_cut(now, out);
        if self.responses.at_boundary() && !matches!(self.phase, Phase::Switch | Phase::Opaque) && !self.bye {
            let code = match why {
                CloseReason::ClientViolation => "",
                CloseReason::Policy => "[NOPERM] ",
                _ => "[UNAVAILABLE] ",
            };
            let line = format!("* BYE {code}{sentence}\r\n");
            self.say_local(line.into(), None, now, out);
        }
        self.abort_pending(now, out);
        self.phase = Phase::Closed;
        self.change_state(State::Logout, now, out);
        out.close(now, why, sentence);
    }

    /// The server did what cannot be mended.
    fn upstream_fault(&mut self, kind: ViolationKind, detail: &'static str, now: Instant, out: &mut Outbox) {
        Self::violated(Side::Upstream, kind, detail, now, out);
        self.end(CloseReason::UpstreamViolation, "The mail server sent an answer that cannot be trusted", now, out);
    }

    /// The client did what cannot be mended.
    fn client_fault(&mut self, kind: ViolationKind, detail: &'static str, now: Instant, out: &mut Outbox) {
        Self::violated(Side::Client, kind, detail, now, out);
        self.end(CloseReason::ClientViolation, detail, now, out);
    }

    /// Octets pass unread from here on, in both directions (posture observe only).
    fn go_opaque(&mut self, side: Side, detail: &'static str, now: Instant, out: &mut Outbox) {
        Self::violated(side, ViolationKind::Framing, detail, now, out);
        self.send_held(out);
        self.abort_pending(now, out);
        self.phase = Phase::Opaque;
    }

    /// All that the client's octets allow, then what the server's do.
    fn advance_both(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox) -> Step {
        let queued = [Side::Client, Side::Upstream].map(|side| out.queued(side));
        let mut step = Step::Stalled;
        let ends = loop {
            if self.responses.is_cutting() || self.read_client(&mut inboxes.client, now, out) == Step::Stalled {
                break false;
            }
            step = Step::Advanced;
            if out.closing().is_some() || out.starting_tls().is_some() {
                break true;
            }
        };
        if !ends && !self.paces.waits(Side::Upstream) {
            let early = !inboxes.client.is_empty();
            if self.read_server(&mut inboxes.upstream, early, now, out) == Step::Advanced {
                step = Step::Advanced;
            }
        }
        self.spend(queued, now, out);
        step
    }

    /// When something that a rule slows down may go on.
    fn slowed_until(&self) -> Option<Instant> {
        [self.held_until(), self.paces.due()].into_iter().flatten().min()
    }

    /// When the silence of the peers has been too long; what a rule has us wait for is not theirs.
    fn silent_until(&self) -> Option<Instant> {
        let limits = &self.setup.terms.limits;
        let last = self.slowed_until().map_or(self.last, |until| until.max(self.last));
        match &self.phase {
            Phase::Closed => None,
            Phase::Greeting(_) => self.setup.connection.accepted.checked_add(limits.greeting_timeout),
            _ if self.logged_in() => last.checked_add(limits.idle_timeout),
            _ => last.checked_add(limits.login_timeout),
        }
    }

    fn pass_opaque(inboxes: &mut Inboxes, out: &mut Outbox) -> Step {
        let mut step = Step::Stalled;
        for side in [Side::Client, Side::Upstream] {
            let inbox = inboxes.of(side);
            if !inbox.is_empty() {
                out.send(side.other(), inbox.split().freeze());
                step = Step::Advanced;
            }
        }
        step
    }

    fn end_of_input(&mut self, inboxes: &Inboxes, now: Instant, out: &mut Outbox) {
        if inboxes.upstream_ended {
            let logging_out = self.pending.iter().any(|pending| matches!(pending.kind, Kind::Logout));
            let (why, sentence) = match (self.greeted, self.bye) {
                _ if logging_out => (CloseReason::Logout, "The client logged out"),
                (_, true) => (CloseReason::ServerBye, "The mail server said goodbye"),
                (false, false) => (CloseReason::UpstreamGreeting, "The mail server hung up before its greeting"),
                (true, false) => (CloseReason::UpstreamEof, "The mail server closed the connection"),
            };
            self.finish_logout(now, out);
            self.end(why, sentence, now, out);
        } else if inboxes.client_ended && self.done_with_client() {
            self.abort_pending(now, out);
            self.phase = Phase::Closed;
            self.change_state(State::Logout, now, out);
            out.close(now, CloseReason::ClientEof, "The client closed the connection");
        }
    }

    /// Nothing is left to be done for a client that will say no more: answers to what it asked are
    /// still delivered, but nothing unfinished is waited for.
    fn done_with_client(&self) -> bool {
        match self.phase {
            _ if self.responses.is_cutting() => false,
            Phase::Hold(_) | Phase::Answer(_) | Phase::Detach(_) => false,
            Phase::Command => self.pending.iter().all(|pending| matches!(pending.kind, Kind::Raw)),
            _ => true,
        }
    }
}

impl Session for Imap {
    fn advance(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox) {
        if !inboxes.client.is_empty() || !inboxes.upstream.is_empty() {
            self.last = now;
        }
        self.paces.relax(now);
        loop {
            if matches!(self.phase, Phase::Closed) || out.closing().is_some() || out.is_switching() {
                break;
            }
            let step = if matches!(self.phase, Phase::Opaque) {
                Self::pass_opaque(inboxes, out)
            } else {
                self.advance_both(inboxes, now, out)
            };
            if step == Step::Stalled {
                self.end_of_input(inboxes, now, out);
                break;
            }
        }
        if self.pending.is_empty() && !matches!(self.phase, Phase::Hold(_)) {
            self.mapped = Vec::new();
            // an idle session holds nothing that it may not need
            self.repeatable = None;
        }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Client => self.phase.reads_client() && !self.message_waits(),
            Side::Upstream => {
                let reads = !matches!(self.phase, Phase::Closed | Phase::Switch | Phase::Greeting(Greeting::Tls));
                reads && !self.paces.waits(Side::Upstream)
            }
        }
    }

    fn tls_started(&mut self, secured: Secured, now: Instant, out: &mut Outbox) {
        out.observe(now, Observation::TlsStarted { side: secured.side() });
        match secured {
            Secured::Client(facts) => {
                self.client_tls = true;
                self.tls = Some(facts);
                // nothing parsed before TLS survives it (RFC 9051 §6.2.1)
                self.commands = Framer::default();
                self.assembly = Assembly::default();
                self.stray = None;
                self.phase = Phase::Command;
            }
            Secured::Upstream => self.upstream_secured(now, out),
        }
    }

    fn deflate_started(&mut self, side: Side, now: Instant, out: &mut Outbox) {
        self.compressed(side, now, out);
    }

    fn answered(&mut self, id: CommandId, allowed: bool, _now: Instant, _out: &mut Outbox) {
        self.note_answer(id, allowed);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.silent_until(), self.slowed_until()].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if self.silent_until().is_some_and(|deadline| deadline <= now) {
            let (why, sentence) = match self.phase {
                Phase::Greeting(_) => (CloseReason::UpstreamGreeting, "The mail server did not greet in time"),
                _ => (CloseReason::Timeout, "Nothing was said for too long"),
            };
            self.end(why, sentence, now, out);
        }
    }

    fn farewell(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox) {
        self.end(why, sentence, now, out);
    }

    fn is_idle(&self) -> bool {
        let quiet = self.pending.is_empty() && self.assembly.octets.is_empty() && self.commands.at_line_start();
        let idling = matches!(self.phase, Phase::Sasl(_) | Phase::Closed)
            || matches!(self.phase, Phase::Idle(Idle::Asked | Idle::Granted));
        self.responses.at_boundary() && (idling || (quiet && matches!(self.phase, Phase::Command)))
    }
}

/// How the tags of the proxy's own commands begin; what follows cannot be guessed.
const OWN: &str = "MW";

/// Drops octets that may be a secret.
fn wipe_front(inbox: &mut BytesMut, len: usize) {
    if let Some(octets) = inbox.get_mut(..len) {
        octets.fill(0);
    }
    inbox.advance(len);
}

/// Overwrites octets that may be a secret before their memory is given back.
fn wipe(octets: &mut BytesMut) {
    octets.fill(0);
    octets.clear();
}

/// Octets for the wire whose memory is wiped once they are sent.
fn secret(octets: Vec<u8>) -> Bytes {
    Redacted::new(octets).into_wire()
}

/// An answer of the proxy that completes no command.
fn bare_answer(line: String) -> Answer {
    let speaker = Speaker::ProxyToClient;
    Answer { line: line.into(), speaker, completes: None, starts: None, close: None }
}
