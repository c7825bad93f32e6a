//! Reads the client: assembles commands, discards what was refused, in step whatever comes.

use std::borrow::Cow;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::compress::could_compress;
use super::judge::Aside;
use super::phase::{Answer, Body, Discard, Idle, Phase, Turn, Whose};
use super::{Assembly, Imap, Step, Stray, bare_answer, wipe, wipe_front};
use crate::session::{Alteration, CloseReason, CommandId, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{
    Announcement, Command, Enclosure, Malformed, Piece, Reason, Repeatable, Stop, Tail, parse_with,
};

/// Literals one command may have; each makes the command be read again from its start.
const MOST_LITERALS: usize = 64;

/// What is known of a line of the client before it is taken out of the inbox.
enum Line {
    /// A command that passes; its octets stay where they are until the run goes up.
    Passed { len: usize },
    /// A command that was judged and does not pass as it came.
    Aside(Box<(CommandId, Command, Aside)>),
    /// It was read, and is no command that passes as it came.
    Read(Box<Result<Command, Stop>>),
    /// Nothing yet.
    Unread,
}

impl Imap {
    /// Does the next thing that the client's octets, or those waiting for their turn, allow.
    pub(super) fn read_client(&mut self, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        match &self.phase {
            Phase::Hold(_) | Phase::Slowed(_) => self.try_held(inbox, now, out),
            Phase::Body(_) if self.message_waits() => Step::Stalled,
            Phase::Answer(_) => self.try_answer(now, out),
            Phase::Command if self.barrier_outstanding() => Step::Stalled,
            Phase::Command | Phase::Literal | Phase::Discard(_) | Phase::Body(_) | Phase::BodyTail(_) => {
                self.read_piece(inbox, now, out)
            }
            Phase::Sasl(_) => self.read_sasl_line(inbox, now, out),
            Phase::Idle(Idle::Granted) => self.read_idle_line(inbox, now, out),
            Phase::Greeting(_)
            | Phase::Runs(_)
            | Phase::Announced(_)
            | Phase::CallOff(_)
            | Phase::Idle(_)
            | Phase::Detach(_)
            | Phase::Switch
            | Phase::Opaque
            | Phase::Closed => Step::Stalled,
        }
    }

    /// The client's octets wait for the server.
    pub(super) fn client_stands(&self) -> bool {
        match &self.phase {
            Phase::Command => self.barrier_outstanding(),
            Phase::Sasl(sasl) => sasl.turn != Turn::Client,
            Phase::Idle(idle) => *idle != Idle::Granted,
            Phase::Literal | Phase::Discard(_) | Phase::Body(_) | Phase::BodyTail(_) => false,
            _ => true,
        }
    }

    /// Commands that may pass as they came go up in one run; what is anything else is taken out and dealt with.
    fn read_piece(&mut self, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        let (limit, mut run) = (self.line_limit(), 0);
        loop {
            let rest = inbox.get(run..).unwrap_or_default();
            let piece = self.commands.next(rest, limit);
            let line = piece.map(|piece| self.pass_command(piece, rest, now, out));
            if let Some(Line::Passed { len }) = line {
                run += len;
                run += self.pass_repeats(inbox.get(run..).unwrap_or_default(), limit, now, out);
                continue;
            }
            if run > 0 {
                out.send(Side::Upstream, inbox.split_to(run).freeze());
            }
            return match (piece, line) {
                (Some(piece), Some(line)) => self.take_out(piece, line, inbox, now, out),
                _ if run > 0 => Step::Advanced,
                _ => Step::Stalled,
            };
        }
    }

    /// Lets a line pass that is a whole command and nothing special, if it may and nothing is in its way.
    fn pass_command(&mut self, piece: Piece, rest: &[u8], now: Instant, out: &mut Outbox) -> Line {
        let (Piece::Line { len, tail: Tail::Plain, .. }, Phase::Command) = (piece, &self.phase) else {
            return Line::Unread;
        };
        if !self.assembly.octets.is_empty() || self.stray.is_some() {
            return Line::Unread;
        }
        let line = rest.get(..len).unwrap_or_default();
        if let Some(mut before) = self.repeatable.take()
            && let Some(command) = before.read(line)
            && !self.is_blocked(&command.tag)
        {
            let judged = self.pass_judged(command, line, now, out);
            let passed = judged.map_err(|(id, aside)| (id, command.clone(), aside));
            self.repeatable = Some(before);
            return passed.map_or_else(|aside| Line::Aside(Box::new(aside)), |()| Line::Passed { len });
        }
        let command = match parse_with(line, self.names) {
            Ok(command) if command.may_pass() && !self.is_blocked(&command.tag) => command,
            read => return Line::Read(Box::new(read)),
        };
        match self.pass_judged(&command, line, now, out) {
            Ok(()) => {
                // it may be the first of many
                let is_pipelined = rest.len() > len;
                self.repeatable = if is_pipelined { Repeatable::new(command, line).map(Box::new) } else { None };
                Line::Passed { len }
            }
            Err((id, aside)) => Line::Aside(Box::new((id, command, aside))),
        }
    }

    /// Takes a piece out of the inbox and deals with it.
    fn take_out(&mut self, piece: Piece, line: Line, inbox: &mut BytesMut, now: Instant, out: &mut Outbox) -> Step {
        // what it is may change how others are to be read
        self.repeatable = None;
        match (piece, &self.phase) {
            (Piece::Octets { len, last }, Phase::Body(_)) => self.pass_message(inbox, len, last, out),
            (Piece::Octets { len, last }, Phase::Literal) => self.keep_literal(inbox, len, last),
            (Piece::Octets { len, .. }, Phase::Discard(_)) => wipe_front(inbox, len),
            (Piece::Part { len }, Phase::Discard(_)) => {
                wipe_front(inbox, len);
                self.count_untold(len as u64);
            }
            (Piece::Line { len, tail, .. }, Phase::Discard(_)) => {
                wipe_front(inbox, len);
                self.tell_untold(len as u64, now, out);
                self.discarded_line(tail, !inbox.is_empty(), now, out);
            }
            (Piece::Line { len, tail, .. }, Phase::BodyTail(_)) => {
                let line = inbox.split_to(len);
                self.after_message(line, tail, !inbox.is_empty(), now, out);
            }
            (Piece::Part { len }, Phase::BodyTail(_)) => {
                let part = inbox.split_to(len);
                self.overlong_tail(part, now, out);
            }
            (Piece::Line { len, tail, .. }, _) => {
                let octets = inbox.split_to(len);
                let early = !inbox.is_empty();
                match line {
                    Line::Aside(aside) => {
                        let (id, command, aside) = *aside;
                        self.take_aside(id, command, aside, octets, now, out);
                    }
                    Line::Read(read) => self.command_line(octets, Some(*read), tail, early, now, out),
                    Line::Passed { .. } | Line::Unread => self.command_line(octets, None, tail, early, now, out),
                }
            }
            (Piece::Part { len } | Piece::Octets { len, .. }, _) => {
                let part = inbox.split_to(len);
                self.overlong_line(part, now, out);
            }
        }
        Step::Advanced
    }

    /// Octets a line may have; a little less than an inbox, in which it is assembled.
    pub(super) fn line_limit(&self) -> usize {
        let limits = &self.setup.terms.limits;
        let limit = if self.logged_in() { limits.command_line } else { limits.command_line_before_login };
        // the CRLF does not count
        limit.saturating_add(2).min(limits.inbox.saturating_sub(2))
    }

    fn keep_literal(&mut self, inbox: &mut BytesMut, len: usize, last: bool) {
        if let Some(octets) = inbox.get_mut(..len) {
            self.assembly.octets.extend_from_slice(octets);
            // it may be a password
            octets.fill(0);
        }
        inbox.advance(len);
        if last {
            self.phase = Phase::Command;
        }
    }

    /// A line of a command: the whole of it, or what stands before, between or behind its literals.
    fn command_line(
        &mut self,
        line: BytesMut,
        read: Option<Result<Command, Stop>>,
        tail: Tail,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        if self.is_stray(&line) {
            out.observe(now, padding(line.len() as u64));
            return;
        }
        let octets = self.assemble(line);
        if self.assembly.text > self.line_limit() || self.assembly.literals > MOST_LITERALS {
            return self.refuse_excess(octets, tail, early, now, out);
        }
        match read.unwrap_or_else(|| parse_with(&octets, self.names)) {
            Ok(command) => {
                self.assembly = Assembly::default();
                self.take_command(command, octets, now, out);
            }
            Err(Stop::Literal) => self.await_literal(octets, tail, early, now, out),
            Err(Stop::Message(head)) => {
                self.assembly = Assembly::default();
                self.take_message(*head, octets, early, now, out);
            }
            Err(Stop::Syntax(malformed)) => {
                self.assembly = Assembly::default();
                match self.allowed_by_name(&malformed, &octets) {
                    Some(Ok(command)) => self.take_unlisted(command, octets, now, out),
                    Some(Err(malformed)) => self.refuse_malformed(&malformed, octets, tail, early, now, out),
                    None => self.refuse_malformed(&malformed, octets, tail, early, now, out),
                }
            }
        }
    }

    /// A line that crossed the end of what it belonged to is ignored, once.
    fn is_stray(&mut self, line: &[u8]) -> bool {
        match self.stray.take() {
            Some(Stray::EmptyLine) => self.assembly.octets.is_empty() && line == b"\r\n",
            Some(Stray::Done) => line.eq_ignore_ascii_case(b"DONE\r\n"),
            None => false,
        }
    }

    /// The command so far: the line itself, without a copy, unless literals came before it.
    fn assemble(&mut self, mut line: BytesMut) -> BytesMut {
        self.assembly.text += line.len();
        if self.assembly.octets.is_empty() {
            return line;
        }
        let mut octets = std::mem::take(&mut self.assembly.octets);
        octets.extend_from_slice(&line);
        wipe(&mut line);
        // the one copy of a command with literals; the vector's own memory is wiped
        let whole = BytesMut::from(octets.as_slice());
        octets.fill(0);
        whole
    }

    /// The line announces a literal where a string may stand: ask for it and keep what came.
    fn await_literal(&mut self, mut octets: BytesMut, tail: Tail, early: bool, now: Instant, out: &mut Outbox) {
        let limits = &self.setup.terms.limits;
        let limit = if self.logged_in() { limits.literal } else { limits.literal_before_login };
        let Tail::Literal(announcement) = tail else {
            return self.refuse_excess(octets, tail, early, now, out);
        };
        let held = self.assembly.octets.len().saturating_add(octets.len());
        let room = limit.saturating_add(self.line_limit()).saturating_sub(held);
        if announcement.octets > limit as u64 || announcement.octets > room as u64 {
            return self.refuse_large_literal(octets, announcement, early, now, out);
        }
        self.assembly.octets = octets.to_vec();
        self.assembly.literals += 1;
        wipe(&mut octets);
        if announcement.octets > 0 {
            self.commands.expect_octets(announcement.octets);
            self.phase = Phase::Literal;
        }
        if announcement.synchronizing {
            self.say_local(bytes::Bytes::from_static(b"+ OK\r\n"), None, now, out);
        }
    }

    fn refuse_large_literal(
        &mut self,
        mut octets: BytesMut,
        announcement: Announcement,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        Self::violated(Side::Client, ViolationKind::LiteralTooLarge, "A literal is larger than its limit", now, out);
        let tag = tag_of(&octets);
        let line = format!("{tag} BAD [TOOBIG] The literal is larger than this server takes\r\n");
        self.say_unshown(octets.len() as u64, now, out);
        wipe(&mut octets);
        self.assembly = Assembly::default();
        self.refuse(bare_answer(line), Tail::Literal(announcement), early, now, out);
    }

    /// A command of too many octets or literals.
    fn refuse_excess(&mut self, mut octets: BytesMut, tail: Tail, early: bool, now: Instant, out: &mut Outbox) {
        let tag = tag_of(&octets);
        self.assembly = Assembly::default();
        self.say_unshown(octets.len() as u64, now, out);
        wipe(&mut octets);
        let detail = "The command is longer than this server takes";
        Self::violated(Side::Client, ViolationKind::LineTooLong, detail, now, out);
        self.count_error();
        self.refuse(self.bad(&tag, detail), tail, early, now, out);
    }

    /// The first part of a line that is longer than its limit.
    fn overlong_line(&mut self, mut part: BytesMut, now: Instant, out: &mut Outbox) {
        let first = if self.assembly.octets.is_empty() { tag_of(&part) } else { tag_of(&self.assembly.octets) };
        let detail = "A line is longer than this server takes";
        Self::violated(Side::Client, ViolationKind::LineTooLong, detail, now, out);
        if !self.enforcing() && self.assembly.octets.is_empty() {
            // what cannot be held cannot be judged, and here it need not be
            out.send(Side::Upstream, part.freeze());
            return self.go_opaque(Side::Client, "A line is too long to be followed", now, out);
        }
        let untold = self.assembly.octets.len().saturating_add(part.len()) as u64;
        wipe(&mut part);
        self.assembly = Assembly::default();
        self.count_error();
        let answer = self.bad(&first, detail);
        self.phase = Phase::Discard(Discard { answer: Some(Box::new(answer)), drained: 0, untold });
    }

    fn count_untold(&mut self, octets: u64) {
        if let Phase::Discard(discard) = &mut self.phase {
            discard.untold = discard.untold.saturating_add(octets);
        }
    }

    /// Tells of an overlong line once its end has come, so that the telling does not depend on the reads.
    fn tell_untold(&mut self, octets: u64, now: Instant, out: &mut Outbox) {
        if let Phase::Discard(Discard { untold, .. }) = &mut self.phase
            && *untold > 0
        {
            let octets = std::mem::take(untold).saturating_add(octets);
            self.say_unshown(octets, now, out);
        }
    }

    /// The line is no command that may go up.
    fn refuse_malformed(
        &mut self,
        malformed: &Malformed,
        mut octets: BytesMut,
        tail: Tail,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let kind = match malformed.reason {
            Reason::Syntax => ViolationKind::Syntax,
            Reason::UnknownCommand => ViolationKind::UnknownCommand,
            Reason::Nul => ViolationKind::Nul,
            Reason::BareLineEnd => ViolationKind::BareLineEnd,
            Reason::Literal => ViolationKind::Literal,
        };
        Self::violated(Side::Client, kind, malformed.reason.as_sentence(), now, out);
        if !self.enforcing() && !could_compress(&octets) {
            return self.pass_malformed(malformed, octets, tail, now, out);
        }
        self.say_unshown(octets.len() as u64, now, out);
        wipe(&mut octets);
        self.count_error();
        let tag = malformed.tag.as_ref().map_or("*", |tag| tag.as_str());
        self.refuse(self.bad(tag, malformed.reason.as_sentence()), tail, early, now, out);
    }

    /// Gives `answer` once what belongs to the refused command has been thrown away (RFC 7888 §4). With a
    /// synchronizing literal nothing more may come: octets that are there already (`early`) show a
    /// client that did not wait, whose message would be run as commands.
    pub(super) fn refuse(&mut self, answer: Answer, tail: Tail, early: bool, now: Instant, out: &mut Outbox) {
        let discard = Discard { answer: Some(Box::new(answer)), drained: 0, untold: 0 };
        self.phase = Phase::Discard(discard);
        self.discarded_line(tail, early, now, out);
    }

    /// A line has been thrown away; its end says what more belongs to it.
    fn discarded_line(&mut self, tail: Tail, early: bool, now: Instant, out: &mut Outbox) {
        let Phase::Discard(discard) = &mut self.phase else { return };
        match tail {
            Tail::Literal(Announcement { octets, synchronizing: false, .. }) => {
                discard.drained = discard.drained.saturating_add(octets);
                if discard.drained > self.setup.terms.limits.drain as u64 {
                    let detail = "[TOOBIG] A refused literal is too large to be skipped";
                    return self.client_fault(ViolationKind::LiteralTooLarge, detail, now, out);
                }
                self.commands.expect_octets(octets);
            }
            Tail::Overflow { synchronizing: false } => {
                let detail = "[TOOBIG] A literal is larger than any message";
                self.client_fault(ViolationKind::LiteralTooLarge, detail, now, out);
            }
            Tail::Literal(_) | Tail::Overflow { .. } if early => {
                let detail = "A literal was sent without waiting for the go-ahead";
                self.client_fault(ViolationKind::Early, detail, now, out);
            }
            Tail::Literal(_) | Tail::Overflow { .. } | Tail::Plain => match discard.answer.take() {
                Some(answer) => {
                    self.phase = Phase::Answer(answer);
                    self.try_answer(now, out);
                }
                None => self.phase = Phase::Command,
            },
        }
    }

    /// A tagged BAD, or an untagged one where no tag was read; closes after too many.
    pub(super) fn bad(&self, tag: &str, sentence: &str) -> Answer {
        let mut answer = bare_answer(format!("{tag} BAD {sentence}\r\n"));
        answer.close = self.too_many_errors();
        answer
    }

    /// Why the session ends behind the answer to an error, if it does.
    pub(super) fn too_many_errors(&self) -> Option<(CloseReason, Cow<'static, str>)> {
        let limits = &self.setup.terms.limits;
        let most = if self.logged_in() { limits.errors } else { limits.errors_before_login };
        (self.errors > most).then(|| (CloseReason::ClientViolation, "Too many errors".into()))
    }

    pub(super) fn count_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
    }

    /// What could not be parsed may be a secret: only its length is told.
    pub(super) fn say_unshown(&self, octets: u64, now: Instant, out: &mut Outbox) {
        let text = format!("‹unparsable line, {octets} octets›");
        self.say_text(Speaker::ClientHeld, None, text, octets, now, out);
        let (to, why) = (Side::Upstream, Alteration::Local);
        out.observe(now, Observation::Altered { to, why, removed: octets, added: 0 });
    }

    /// The same of a line that goes up all the same.
    pub(super) fn say_passed(&self, octets: &[u8], now: Instant, out: &mut Outbox) {
        let text = format!("‹unparsable line, {} octets›", octets.len());
        self.say_text(Speaker::Client, None, text, octets.len() as u64, now, out);
    }

    /// Posture observe: the server sees what the client said, and answers it itself.
    fn pass_malformed(&mut self, malformed: &Malformed, octets: BytesMut, tail: Tail, now: Instant, out: &mut Outbox) {
        self.say_passed(&octets, now, out);
        let id = self.pass_raw(malformed, octets, now, out);
        self.raw_literal(id, Vec::new(), tail, now, out);
    }

    /// Posture observe: what the end of a line announces that was passed unjudged, for the command `id`.
    pub(super) fn raw_literal(
        &mut self,
        id: Option<CommandId>,
        stored: Vec<u64>,
        tail: Tail,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Tail::Literal(Announcement { octets, synchronizing, .. }) = tail else { return };
        let open = self.pending.iter_mut().find(|pending| Some(pending.id) == id);
        let (client_waits, several, nth, before, early) = (synchronizing, true, 1, 0, None);
        let (enclosure, whose) = (Enclosure::None, Whose::Unjudged(id));
        let body = Body { octets, client_waits, enclosure, several, nth, stored, before, early, whose };
        match open {
            _ if !synchronizing => self.begin_octets(body, now, out),
            Some(open) => {
                open.complete = false;
                self.phase = Phase::Announced(body);
            }
            // whether the server wants it cannot be told: what follows is read as it comes
            None => {}
        }
    }
}

fn padding(removed: u64) -> Observation {
    Observation::Altered { to: Side::Upstream, why: Alteration::Padding, removed, added: 0 }
}

/// The tag of a command that was not read to its end; `*` if there is no valid one.
fn tag_of(octets: &[u8]) -> String {
    let end = octets.iter().take(crate::wire::imap::Tag::MAX + 1).position(|octet| *octet == b' ');
    let tag = end.and_then(|end| octets.get(..end)).and_then(crate::wire::imap::Tag::new);
    tag.map_or_else(|| "*".to_owned(), |tag| tag.as_str().to_owned())
}
