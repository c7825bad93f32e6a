//! What follows a message inside its APPEND: a further message (RFC 3502), or more of a CATENATE
//! (RFC 4469). Each message is judged when it begins. Octets that have gone up cannot be taken back, but
//! the command can be called off as a whole: a message of no octets tells the server to store none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::edit::{edit_more, impossible};
use super::held::LONGEST;
use super::licence::Licence;
use super::phase::{Answer, Body, CallOff, Kind, Phase, Whose};
use super::refusal::Refusal;
use super::{Imap, Step, send, wipe};
use crate::policy::Facts;
use crate::session::{Alteration, Answered, CloseReason, Completion, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{AppendMore, Between, Enclosure, MessageHead, Parts, Spec, Tail, parse_append_more};

/// A line behind a message, that may go up; a rule may have it wait.
#[derive(Debug)]
pub(super) struct Further {
    until: Instant,
    spec: &'static Spec,
    more: AppendMore,
    body: Body,
    line: BytesMut,
}

impl Further {
    /// When it goes up.
    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

/// What the rules make of such a line.
struct Leave {
    /// Another line, if it is one.
    changed: Option<(AppendMore, BytesMut)>,
    wait: Duration,
}

/// A line behind a message, that cannot go up.
struct Refused<'a> {
    body: &'a Body,
    between: &'a Between,
    line: BytesMut,
    tail: Tail,
    refusal: Refusal,
}

impl Imap {
    /// The line behind a message was read: judge what it begins, then send it up.
    pub(super) fn more_of_message(
        &mut self,
        more: AppendMore,
        body: Body,
        line: BytesMut,
        tail: Tail,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Whose::Open(spec) = body.whose else { return };
        let (AppendMore::End(between) | AppendMore::Message(_, between)) = &more;
        let judged = if self.are_offered(&between.needs) && (body.several || between.needs.is_empty()) {
            self.judge_further(spec, &body, between, &line, now, out)
        } else {
            Err(Refusal::bad("A further message is of a kind that is not offered here"))
        };
        let judged = judged.and_then(|licence| self.licensed_further(licence, &body, &line));
        let Leave { changed, wait } = match (&more, judged) {
            (AppendMore::Message(message, _), Ok(_)) if self.is_too_large(message, between, &body) => {
                let refusal = Refusal::too_big("A message of the command is larger than this server takes");
                return self.refuse_further(Refused { body: &body, between, line, tail, refusal }, now, out);
            }
            (_, Ok(leave)) => leave,
            (_, Err(refusal)) => {
                return self.refuse_further(Refused { body: &body, between, line, tail, refusal }, now, out);
            }
        };
        let until = now + wait.min(LONGEST);
        if let Some((other, changed)) = changed {
            let change = (line.len() as u64, changed.len() as u64);
            self.say_between(Speaker::ClientHeld, between, &line, now, out);
            let (AppendMore::End(between) | AppendMore::Message(_, between)) = &other;
            self.say_between(Speaker::ProxyToUpstream, between, &changed, now, out);
            send::altered(Side::Upstream, Alteration::Rewritten, change, now, out);
            return self.pass_further(Further { until, spec, more: other, body, line: changed }, now, out);
        }
        self.say_between(Speaker::Client, between, &line, now, out);
        self.pass_further(Further { until, spec, more, body, line }, now, out);
    }

    fn pass_further(&mut self, further: Further, now: Instant, out: &mut Outbox) {
        if further.until > now {
            self.phase = Phase::Slowed(Box::new(further));
            return;
        }
        let Further { spec, more, body, line, .. } = further;
        match more {
            AppendMore::End(_) => self.end_message_command(body, line, out),
            AppendMore::Message(message, between) => self.next_message(spec, &message, &between, body, line, now, out),
        }
    }

    /// Sends the line that a rule slowed down, once its time has come. Away from what happens to each run of octets.
    #[cold]
    pub(super) fn try_further(&mut self, now: Instant, out: &mut Outbox) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Slowed(further) if further.until <= now => {
                self.pass_further(*further, now, out);
                Step::Advanced
            }
            phase => {
                self.phase = phase;
                Step::Stalled
            }
        }
    }

    /// The server refused the command while its next line was waiting.
    pub(super) fn further_refused(
        &mut self,
        further: Further,
        answer: Answer,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Further { mut body, line, .. } = further;
        body.early = Some(Box::new(answer));
        let tail = Tail::of(line.strip_suffix(b"\r\n").unwrap_or(&line));
        self.finish_refused(body, line, tail, early, now, out);
    }

    /// What the rules make of the line. Nobody can be asked about it: what has gone up waits for it.
    fn licensed_further(&mut self, licence: Option<Licence>, body: &Body, line: &[u8]) -> Result<Leave, Refusal> {
        let Some(mut licence) = licence else { return Ok(Leave { changed: None, wait: Duration::ZERO }) };
        let (edits, pace, wait) = (std::mem::take(&mut licence.edits), licence.pace.take(), licence.wait);
        licence.at_once()?;
        if let Some(open) = self.pending.back() {
            self.paces.begin(open.id, pace);
        }
        let parts = Parts::read_more(line, body.enclosure).filter(|_| !edits.is_empty());
        let Some(changed) = parts.map(|parts| edit_more(line, &parts, &edits)).filter(|changed| changed != line) else {
            return Ok(Leave { changed: None, wait });
        };
        match parse_append_more(&changed, body.enclosure) {
            Ok(more) => Ok(Leave { changed: Some((more, BytesMut::from(&*changed))), wait }),
            Err(_) => Err(impossible()),
        }
    }

    /// The policy's verdict on the messages that begin here, and on what a CATENATE copies from elsewhere;
    /// none if there are none.
    fn judge_further(
        &self,
        spec: &Spec,
        body: &Body,
        between: &Between,
        line: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Option<Licence>, Refusal> {
        let copies = between.needs.iter().any(|group| group.contains(&"CATENATE")) || !between.mailboxes.is_empty();
        let Some(open) = self.pending.back().filter(|_| copies || between.messages > 0) else { return Ok(None) };
        let mailboxes: Vec<String> = Self::target(&open.kind)
            .into_iter()
            .map(|name| name.as_ref().to_owned())
            .chain(between.mailboxes.iter().cloned())
            .collect();
        let gathered = self.gather_more(line, body.enclosure);
        let facts = Facts {
            session: self.session_facts(now),
            command: spec.name.strip_prefix("UID ").unwrap_or(spec.name),
            operation: spec.operation,
            effect: spec.effect,
            mailboxes: &mailboxes,
            selected: self.acted_on(spec, &between.needs),
            message: None,
            nth_message: None,
            arguments: gathered.lend(),
            answer: None,
        };
        // what is copied may belong to the message that has begun
        let first = if copies { body.nth } else { body.nth.saturating_add(1) };
        let last = body.nth.saturating_add(between.messages);
        self.ask_of_each(open.id, &facts, first..=last, now, out).map(Some)
    }

    fn is_too_large(&self, message: &MessageHead, between: &Between, body: &Body) -> bool {
        let before = octets_before(between, body).unwrap_or_default();
        message.announced.size.saturating_add(before) > self.setup.terms.limits.message as u64
    }

    /// Calls the command off where the server knows how that is done; else it stays unfinished and the session
    /// ends, for a server that takes one message only could store it.
    fn refuse_further(&mut self, refused: Refused<'_>, now: Instant, out: &mut Outbox) {
        let Refused { body, between, line, refusal, .. } = &refused;
        self.say_between(Speaker::ClientHeld, between, line, now, out);
        let text = refusal.text();
        let breach = match refusal.by() {
            Answered::Policy => None,
            _ if refusal.is_bad() => Some(ViolationKind::UnknownCommand),
            _ => Some(ViolationKind::LiteralTooLarge),
        };
        if let Some(kind) = breach {
            Self::violated(Side::Client, kind, text.clone(), now, out);
        }
        match breach {
            _ if body.several && self.server.multiappend => self.call_off(refused, now, out),
            Some(_) => self.end(CloseReason::ClientViolation, &text, now, out),
            None => self.deny_begun(refusal.sentence(), now, out),
        }
    }

    fn call_off(&mut self, refused: Refused<'_>, now: Instant, out: &mut Outbox) {
        let Refused { body, mut line, tail, refusal, .. } = refused;
        let Some((tag, id, begun)) = self.pending.back().map(|open| (open.tag.clone(), open.id, open.begun)) else {
            return;
        };
        let none: &[u8] = match body.enclosure {
            Enclosure::None => b" {0}\r\n",
            Enclosure::Utf8 | Enclosure::Catenate => b") {0}\r\n",
        };
        let why = if refusal.by() == Answered::Policy { Alteration::Policy } else { Alteration::Local };
        send::altered(Side::Upstream, why, (line.len() as u64, none.len() as u64), now, out);
        wipe(&mut line);
        self.say(Speaker::ProxyToUpstream, Some(id), none, now, out);
        out.send(Side::Upstream, Bytes::from_static(none));
        let answer = refusal.answer(tag.as_str(), id, begun);
        let stored = body.stored.clone();
        self.phase = Phase::CallOff(Box::new(CallOff { answer, tail, stored, ended: false }));
    }

    /// The server takes the message of no octets: that is all.
    pub(super) fn end_of_call_off(&mut self, mut call_off: Box<CallOff>, now: Instant, out: &mut Outbox) {
        send::altered(Side::Upstream, Alteration::Local, (0, 2), now, out);
        self.say(Speaker::ProxyToUpstream, self.open_id(), b"\r\n", now, out);
        out.send(Side::Upstream, Bytes::from_static(b"\r\n"));
        call_off.ended = true;
        self.phase = Phase::CallOff(call_off);
    }

    /// The server has answered the command that was called off; what the client still sends of it is thrown away.
    pub(super) fn called_off(&mut self, call_off: CallOff, refused: bool, early: bool, now: Instant, out: &mut Outbox) {
        let CallOff { answer, tail, stored, .. } = call_off;
        if let Some(open) = self.pending.pop_back().filter(|_| !refused) {
            // The refused message has not gone up, so the refusal stands; but what went before it is there.
            let detail = "A command that was called off was carried out";
            Self::violated(Side::Upstream, ViolationKind::State, detail, now, out);
            let mailbox = Self::target(&open.kind);
            Self::report_stored(open.id, &stored, mailbox, None, now, out);
        }
        self.refuse(answer, tail, early, now, out);
    }

    /// The mailbox that an APPEND is for.
    fn target(kind: &Kind) -> Option<&Arc<str>> {
        match kind {
            Kind::Append { mailbox } => mailbox.as_ref(),
            _ => None,
        }
    }

    /// What has gone up of the command cannot be taken back, so the session ends with the command unfinished.
    fn deny_begun(&mut self, sentence: &str, now: Instant, out: &mut Outbox) {
        if let Some(open) = self.pending.pop_back() {
            let (id, completion, code, by) = (open.id, Completion::Aborted, None, Answered::Policy);
            let latency = now.saturating_duration_since(open.begun);
            out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
        }
        self.end(CloseReason::Policy, sentence, now, out);
    }

    #[expect(clippy::too_many_arguments, reason = "one step of more_of_message, which has nearly as many")]
    fn next_message(
        &mut self,
        spec: &'static Spec,
        message: &MessageHead,
        between: &Between,
        body: Body,
        line: BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) {
        let before = octets_before(between, &body);
        let encoded = send::encode(line, &[], Some(&message.announced), !between.secrets.is_empty());
        if let Some(change) = encoded.altered {
            send::altered(Side::Upstream, Alteration::LiteralForm, change, now, out);
        }
        let mut next = Body::announced(&message.announced, message.enclosure, body.several, Whose::Open(spec));
        next.nth = body.nth.saturating_add(between.messages);
        next.stored = body.stored;
        if let Some(before) = before {
            next.stored.pop();
            next.before = before;
        }
        for run in encoded.left {
            out.send(Side::Upstream, run);
        }
        self.phase = Phase::Announced(next);
    }
}

/// Octets that went before of the message that goes on here, if one does: a CATENATE of several parts.
fn octets_before(between: &Between, body: &Body) -> Option<u64> {
    body.stored.last().copied().filter(|_| body.enclosure == Enclosure::Catenate && between.messages == 0)
}
