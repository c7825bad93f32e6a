//! The client's commands: read by the strict grammar, judged, and only then sent up.

use std::time::Instant;

use bytes::BytesMut;

use super::judge::Named;
use super::request::{Initial, Request};
use super::slot::{Answer, Asked, Ending, Slot};
use super::turn::{Cursor, Turn, shown};
use super::{Phase, Pop3, QUEUE};
use crate::policy::{Outcome, Permit, Policy, Verdict};
use crate::session::{
    Alteration, Answered, CloseReason, CommandId, Completion, MessageRef, Observation, Speaker, State, ViolationKind,
};
use crate::wire::pop3::{
    Command, Keyword, Names, Piece, Status, SyntaxError, Unknown, is_offered, is_unlisted_sound, text_of,
    unlisted_keyword,
};
use crate::wire::{Operation, ShortText, Side};

/// Why a command is not for the server.
struct Objection {
    kind: ViolationKind,
    reply: &'static str,
    /// It holds in posture observe too: the octets would do harm or could not work.
    always: bool,
}

/// A command line with its CRLF (RFC 2449 §4).
const COMMAND_LINE: usize = 255;

impl Pop3 {
    /// Works through the client's octets as far as answers owed allow; says whether anything was done.
    pub(super) fn serve(&mut self, inbox: &mut BytesMut, turn: &mut Turn<'_>) -> bool {
        let mut cursor = Cursor::new(inbox, Side::Upstream);
        let mut progress = false;
        while self.serve_one(&mut cursor, turn) {
            progress = true;
        }
        cursor.flush(turn.out);
        progress
    }

    fn serve_one(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        match self.phase {
            Phase::Opaque => {
                cursor.keep(cursor.rest().len());
                return false;
            }
            Phase::Open if self.is_clients_turn() => return self.exchange(cursor, turn),
            Phase::Open if self.may_begin() => {}
            Phase::Open
            | Phase::Greeting
            | Phase::UpstreamStls { .. }
            | Phase::UpstreamTls { .. }
            | Phase::ClientTls
            | Phase::Closed => return false,
        }
        let is_auth = cursor.front(5).eq_ignore_ascii_case(b"AUTH ");
        // an initial response may be long (RFC 5034 §4)
        let limit = if is_auth { self.readable(self.setup.terms.limits.sasl_line) } else { COMMAND_LINE };
        match self.client_lines.next(cursor.rest(), self.line_end(), limit) {
            None => false,
            Some(Piece::Line(count)) => self.command_line(count, cursor, turn),
            Some(Piece::Part(count)) => self.long_line(count, false, cursor, turn),
            Some(Piece::Tail(count)) => self.long_line(count, true, cursor, turn),
        }
    }

    /// Whether the next command's turn has come: nothing is owed, or the server takes commands ahead.
    fn may_begin(&self) -> bool {
        if self.held.is_some() {
            return false;
        }
        match self.queue.back() {
            None => self.state != State::Update,
            Some(Slot { answer: Answer::Upstream(asked), .. }) if asked.stands_alone() => false,
            Some(Slot { answer: Answer::Local { ending: Some(_), .. }, .. }) => false,
            Some(_) => self.advertised.pipelining && self.queue.len() < QUEUE,
        }
    }

    fn command_line(&mut self, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let line = text_of(cursor.front(count));
        let parsed = match Command::parse(line) {
            Ok(command) => Ok(Request::of(&command, line)),
            Err(SyntaxError::Unknown) => self.unlisted(line),
            Err(error) => Err(error),
        };
        let bare_lf = !cursor.front(count).ends_with(b"\r\n");
        let stands_alone = parsed.as_ref().map_or(!self.enforces(), |request| request.asked.stands_alone());
        if stands_alone && !self.queue.is_empty() {
            return false;
        }
        match parsed {
            Ok(request) => self.command(request, count, bare_lf, cursor, turn),
            Err(error) => self.malformed(error, count, cursor, turn),
        }
        true
    }

    fn command(&mut self, request: Request, count: usize, bare_lf: bool, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        let id = self.new_id();
        let objection = self.objection(&request);
        if let Some(objection) = objection.as_ref().filter(|objection| objection.always || self.enforces()) {
            self.begin(id, &request, Speaker::ClientHeld, count, turn);
            turn.violated(Side::Client, objection.kind, objection.reply);
            cursor.discard(count, turn.out);
            self.answer_locally(id, count, format!("-ERR {}\r\n", objection.reply), Answered::Syntax, None, turn);
            self.count_error(turn);
            return;
        }
        let user = request.user.as_deref().or(self.user.as_deref());
        let Verdict { outcome, decisions } = self.judge(user, &Named::of(&request), &request.items());
        turn.note(&decisions);
        let outcome = if self.enforces() { outcome } else { Outcome::Allow(Policy::own()) };
        let (permit, pace) = match outcome {
            Outcome::Allow(permit) => (permit, None),
            Outcome::Throttle(permit, throttle) if throttle.wait.is_zero() => (permit, throttle.pace),
            outcome => return self.carry_out(outcome, decisions, (id, request, count), cursor, turn),
        };
        if matches!(request.asked, Asked::Stls) {
            self.begin(id, &request, Speaker::ClientHeld, count, turn);
            cursor.discard(count, turn.out);
            self.stls(id, count, turn);
            return;
        }
        let canonical = if self.enforces() { request.names } else { 0 };
        let lower = cursor.front(canonical).iter().filter(|octet| octet.is_ascii_lowercase()).count();
        let by = if lower > 0 { Speaker::ClientHeld } else { Speaker::Client };
        self.begin(id, &request, by, count, turn);
        self.report(id, decisions, turn);
        if let Some(Objection { kind, reply, .. }) = objection {
            turn.violated(Side::Client, kind, reply);
        }
        if bare_lf {
            turn.violated(Side::Client, ViolationKind::BareLineEnd, "A command line ends in a bare LF");
        }
        send_up(permit, &request, id, count, if lower > 0 { canonical } else { 0 }, cursor, turn);
        let slot = Slot { pace, ..self.slot(id, turn.now, || Named::of(&request)) };
        self.await_answer(request.asked, slot, turn);
    }

    /// A line that is no command: refused, or passed on as it is to a server that may know better.
    fn malformed(&mut self, error: SyntaxError, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        let id = self.new_id();
        let (kind, reply) = match error {
            SyntaxError::LineEnd => (ViolationKind::BareLineEnd, "A line ends in CRLF and has no other CR or LF"),
            SyntaxError::Nul => (ViolationKind::Nul, "A line has no NUL"),
            SyntaxError::Unknown => (ViolationKind::UnknownCommand, "That command is not known here"),
            SyntaxError::Form | SyntaxError::Arguments(_) => {
                (ViolationKind::Syntax, "Those are not the arguments of that command")
            }
        };
        let request = Request::malformed(error, count);
        if self.enforces() {
            self.begin(id, &request, Speaker::ClientHeld, count, turn);
            turn.violated(Side::Client, kind, reply);
            cursor.discard(count, turn.out);
            self.answer_locally(id, count, format!("-ERR {reply}\r\n"), Answered::Syntax, None, turn);
            self.count_error(turn);
            return;
        }
        self.begin(id, &request, Speaker::Client, count, turn);
        turn.violated(Side::Client, kind, reply);
        let user = self.user.as_deref();
        let verdict = self.judge(user, &Named::of(&request), &[]);
        self.report(id, verdict.decisions, turn);
        cursor.keep_secret(count, 0, turn.out);
        let slot = self.slot(id, turn.now, || Named::of(&request));
        self.await_answer(request.asked, slot, turn);
    }

    /// A piece of a line longer than its limit: dropped up to the line's end and refused there, or
    /// passed on unread.
    fn long_line(&mut self, count: usize, ended: bool, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let detail = "A command line is too long";
        if self.long_line == 0 {
            turn.violated(Side::Client, ViolationKind::LineTooLong, detail);
        }
        if self.enforces() {
            cursor.discard(count, turn.out);
        } else {
            cursor.keep_secret(count, 0, turn.out);
        }
        let so_far = usize::try_from(self.long_line).unwrap_or(usize::MAX).saturating_add(count);
        if !self.is_long_line_over(count, ended, turn) {
            return true;
        }
        let id = self.new_id();
        let request = Request::malformed(SyntaxError::Unknown, so_far);
        if self.enforces() {
            self.begin(id, &request, Speaker::ClientHeld, so_far, turn);
            self.answer_locally(id, so_far, format!("-ERR {detail}\r\n"), Answered::Syntax, None, turn);
            self.count_error(turn);
        } else {
            self.begin(id, &request, Speaker::Client, so_far, turn);
            let slot = self.slot(id, turn.now, || Named::of(&request));
            self.await_answer(Asked::Unknown, slot, turn);
        }
        true
    }

    /// Counts a piece of a long line; whether the line is over and the session goes on.
    pub(super) fn is_long_line_over(&mut self, count: usize, ended: bool, turn: &mut Turn<'_>) -> bool {
        self.long_line = self.long_line.saturating_add(count as u64);
        if self.enforces() && self.long_line > self.setup.terms.limits.drain as u64 {
            let detail = "A command line had no end";
            self.end(CloseReason::ClientViolation, detail, Some("That line is too long"), turn);
            return false;
        }
        if ended {
            self.long_line = 0;
        }
        ended
    }

    fn objection(&self, request: &Request) -> Option<Objection> {
        let object = |kind, reply, always| Some(Objection { kind, reply, always });
        let Some(keyword) = request.keyword else {
            // known by its name alone: it may log in, or carry a secret
            let in_clear = object(ViolationKind::ClearLogin, "That command needs TLS: send STLS first", false);
            return in_clear.filter(|_| self.is_in_clear());
        };
        if keyword == Keyword::Stls {
            let offered = self.is_in_clear() && self.state == State::NotAuthenticated && !self.utf8;
            // where STLS is not the proxy's to do, it is nobody's: the server's TLS is not the client's
            return if offered { None } else { object(ViolationKind::State, "STLS is not available here", true) };
        }
        if self.is_in_clear() && request.operation == Operation::Authenticate {
            return object(ViolationKind::ClearLogin, "Logging in needs TLS: send STLS first", true);
        }
        if self.is_hidden(keyword) {
            return object(ViolationKind::UnknownCommand, "That command is not available here", true);
        }
        if !is_allowed(keyword, self.state) {
            return object(ViolationKind::State, "That command is not valid in this state", false);
        }
        if let Asked::Auth(exchange) = &request.asked {
            return self.objection_to_mechanism(&exchange.mechanism, request.initial);
        }
        if matches!(request.asked, Asked::Pass) && self.user.is_none() {
            return object(ViolationKind::State, "Send USER first", false);
        }
        if matches!(request.asked, Asked::Apop(_)) && !self.apop {
            return object(ViolationKind::UnknownCommand, "APOP is not available here", false);
        }
        None
    }

    fn objection_to_mechanism(&self, mechanism: &str, initial: Initial) -> Option<Objection> {
        let object = |kind, reply, always| Some(Objection { kind, reply, always });
        let (listed, names) = (self.advertised.channel_binding, self.names());
        let offered = |unknown| is_offered(mechanism.as_bytes(), listed, unknown, names);
        if self.is_ruled_out(&format!("AUTH={mechanism}")) {
            return object(ViolationKind::UnknownCommand, "That mechanism is not available here", true);
        }
        if !offered(Unknown::Hide) {
            let always = !offered(Unknown::Show);
            return object(ViolationKind::UnknownCommand, "That mechanism is not available here", always);
        }
        match initial {
            Initial::Sound => None,
            Initial::Malformed => object(ViolationKind::Sasl, "The initial response is not base64", false),
            Initial::BindsChannel => object(ViolationKind::Sasl, "Channel binding is not possible here", false),
        }
    }

    /// What the operator says of names.
    pub(super) fn names(&self) -> Names<'_> {
        Names { hide: &self.setup.terms.hide, allow: &self.setup.terms.allow }
    }

    /// A command that is in no table, if the operator allows its name.
    fn unlisted(&self, line: &[u8]) -> Result<Request, SyntaxError> {
        let keyword = unlisted_keyword(line).filter(|keyword| self.names().allows(keyword));
        let keyword = keyword.ok_or(SyntaxError::Unknown)?;
        if is_unlisted_sound(line) { Ok(Request::unlisted(keyword, line)) } else { Err(SyntaxError::Form) }
    }

    /// What the operator hides from CAPA is refused as a command too.
    fn is_hidden(&self, keyword: Keyword) -> bool {
        // the capability that offers a command is not always named as the command is
        let offer = match keyword {
            Keyword::Pass => Keyword::User.as_label(),
            Keyword::Auth => "SASL",
            other => other.as_label(),
        };
        let names = [offer, keyword.as_label()];
        self.setup.terms.hide.iter().any(|hidden| names.iter().any(|name| hidden.eq_ignore_ascii_case(name)))
            || names.iter().any(|name| self.is_ruled_out(name))
    }

    /// STLS is between the client and the proxy (RFC 2595 §4). What the client sent behind it stays in
    /// the inbox and goes to the TLS engine, never to the parser.
    pub(super) fn stls(&mut self, id: CommandId, count: usize, turn: &mut Turn<'_>) {
        self.answer_locally(id, count, "+OK Begin TLS negotiation\r\n".to_owned(), Answered::Proxy, None, turn);
        self.phase = Phase::ClientTls;
        turn.out.start_tls(Side::Client);
    }

    fn begin(&self, id: CommandId, request: &Request, by: Speaker, octets: usize, turn: &mut Turn<'_>) {
        turn.said(by, Some(id), octets, || request.shown.clone());
        self.begun(id, request, turn);
    }

    /// Reports a command of which nothing is said yet.
    pub(super) fn begun(&self, id: CommandId, request: &Request, turn: &mut Turn<'_>) {
        let message = request.message.map(|number| {
            let (number, unique_id) = (Some(number), self.unique_ids.of(number));
            Box::new(MessageRef { number, unique_id, ..MessageRef::default() })
        });
        turn.observe(Observation::CommandBegun {
            id,
            tag: None,
            command: request.label.clone(),
            operation: request.operation,
            effect: request.effect,
            mailboxes: Vec::new(),
            message,
        });
    }

    fn new_id(&mut self) -> CommandId {
        self.commands = self.commands.saturating_add(1);
        CommandId(self.commands)
    }

    /// The place in the queue of a command that goes up.
    pub(super) fn slot(&self, id: CommandId, begun: Instant, named: impl FnOnce() -> Named) -> Slot {
        let named = self.judges_answers().then(named);
        Slot { id, begun, answer: Answer::Upstream(Asked::Status), code: None, named, pace: None }
    }

    pub(super) fn await_answer(&mut self, asked: Asked, slot: Slot, turn: &mut Turn<'_>) {
        self.after_unknown = false;
        if matches!(asked, Asked::Quit) && self.state == State::Transaction {
            self.enter(State::Update, turn);
        }
        self.queue.push_back(Slot { answer: Answer::Upstream(asked), ..slot });
    }

    /// Gives the answers of the proxy whose turn has come. What is kept of the server must be out.
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_>) {
        while let Some(Slot { id, begun, answer: Answer::Local { reply, by, ending }, .. }) =
            self.queue.pop_front_if(|slot| matches!(slot.answer, Answer::Local { .. }))
        {
            let completion = if reply.starts_with(b"+OK") { Completion::Ok } else { Completion::No };
            let first = reply.split(|octet| *octet == b'\r').next().unwrap_or_default();
            let code = Status::parse(first).and_then(|status| status.code()).map(ShortText::from);
            for line in reply.split_inclusive(|octet| *octet == b'\n') {
                turn.said(Speaker::ProxyToClient, Some(id), line.len(), || shown(line));
            }
            turn.out.send(Side::Client, reply);
            let latency = turn.now.saturating_duration_since(begun);
            turn.observe(Observation::CommandCompleted { id, completion, code, by, latency });
            if let Some(Ending { reason, detail }) = ending {
                return self.end(reason, detail, None, turn);
            }
        }
    }

    /// Counts a fault of the client and ends the session when there are too many.
    pub(super) fn count_error(&mut self, turn: &mut Turn<'_>) {
        let limits = &self.setup.terms.limits;
        let limit = if self.state == State::NotAuthenticated { limits.errors_before_login } else { limits.errors };
        self.errors = self.errors.saturating_add(1);
        if self.errors > limit {
            let detail = "The client made too many errors";
            turn.violated(Side::Client, ViolationKind::TooManyErrors, detail);
            self.end(CloseReason::ClientViolation, detail, Some("Too many errors"), turn);
        }
    }
}

/// Sends a command that may go up, the first `canonical` octets in upper case.
fn send_up(
    _permit: Permit,
    request: &Request,
    id: CommandId,
    count: usize,
    canonical: usize,
    cursor: &mut Cursor<'_>,
    turn: &mut Turn<'_>,
) {
    if canonical > 0 {
        self::canonical(request, id, count, turn);
    }
    if request.is_secret {
        cursor.keep_secret(count, canonical, turn.out);
    } else if canonical > 0 {
        let mut line = cursor.front(count).to_vec();
        if let Some(names) = line.get_mut(..canonical) {
            names.make_ascii_uppercase();
        }
        cursor.skip(count, turn.out);
        cursor.insert(line, turn.out);
    } else {
        cursor.keep(count);
    }
}

/// Tells that the names at the front of a command go up in upper case.
pub(super) fn canonical(request: &Request, id: CommandId, count: usize, turn: &mut Turn<'_>) {
    turn.altered(Side::Upstream, Alteration::Canonical, request.names, request.names);
    turn.said(Speaker::ProxyToUpstream, Some(id), count, || canonical_text(&request.shown, request.names));
}

/// The names at the front of a line are plain ASCII, so they are as long when shown.
fn canonical_text(text: &str, names: usize) -> String {
    let mut text = text.to_owned();
    if let Some(names) = text.get_mut(..names) {
        names.make_ascii_uppercase();
    }
    text
}

/// The commands of each state (RFC 1939 §4 to §6, RFC 2449 §5, RFC 6856).
fn is_allowed(keyword: Keyword, state: State) -> bool {
    let (authorization, transaction) = match keyword {
        Keyword::User | Keyword::Pass | Keyword::Apop | Keyword::Auth | Keyword::Stls | Keyword::Utf8 => (true, false),
        Keyword::Capa | Keyword::Lang | Keyword::Noop | Keyword::Quit => (true, true),
        Keyword::Stat
        | Keyword::List
        | Keyword::Uidl
        | Keyword::Retr
        | Keyword::Top
        | Keyword::Dele
        | Keyword::Rset
        | Keyword::Last => (false, true),
    };
    match state {
        State::NotAuthenticated => authorization,
        State::Transaction => transaction,
        State::Greeting | State::Authenticated | State::Selected | State::Update | State::Logout => false,
    }
}
