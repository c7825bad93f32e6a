//! Message literals on their way up: announced, streamed, followed by the rest of the command
//! (RFC 9051 §6.3.12, RFC 3502, RFC 4469). Their octets are counted and handed on, not looked at.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::phase::{Answer, Body, Phase, Whose};
use super::server::Fate;
use super::status::code_numbers;
use super::{Imap, Stray, send, wipe};
use crate::session::{Alteration, CommandId, MessageRef, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{Announcement, Stop, Tail, parse_append_more};

const LINE_END: &[u8] = b"\r\n";

impl Imap {
    /// The server takes the message: let its octets through, and tell a client that waits.
    pub(super) fn message_accepted(
        &mut self,
        line: &[u8],
        text: &[u8],
        body: Body,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let id = self.open_id();
        let fate = if body.client_waits {
            self.say(Speaker::Upstream, id, line, now, out);
            Self::spaced_continuation(line, text, now, out)
        } else {
            self.say(Speaker::UpstreamHeld, id, line, now, out);
            Fate::Drop
        };
        self.begin_octets(body, now, out);
        fate
    }

    /// The octets of a message literal follow.
    pub(super) fn begin_octets(&mut self, mut body: Body, now: Instant, out: &mut Outbox) {
        let octets = body.octets;
        self.say_text(Speaker::Client, self.open_id(), format_args!("‹literal, {octets} octets›"), octets, now, out);
        self.commands.expect_octets(octets);
        body.stored.push(body.before.saturating_add(octets));
        if let Whose::Unjudged(id) = body.whose
            && let Some(open) = self.pending.iter_mut().find(|pending| Some(pending.id) == id)
        {
            open.complete = true;
        }
        self.phase = if octets == 0 { Phase::BodyTail(body) } else { Phase::Body(body) };
    }

    /// A run of the message's octets.
    pub(super) fn pass_message(&mut self, inbox: &mut BytesMut, len: usize, last: bool, out: &mut Outbox) {
        out.send(Side::Upstream, inbox.split_to(len).freeze());
        if last && let Phase::Body(body) = std::mem::replace(&mut self.phase, Phase::Command) {
            self.phase = Phase::BodyTail(body);
        }
    }

    /// The line behind a message: the end of the command, or its next message or part.
    pub(super) fn after_message(&mut self, line: BytesMut, tail: Tail, early: bool, now: Instant, out: &mut Outbox) {
        let Phase::BodyTail(body) = std::mem::replace(&mut self.phase, Phase::Command) else { return };
        if let Whose::Unjudged(id) = body.whose {
            return self.after_raw_message(id, body, line, tail, now, out);
        }
        if body.early.is_some() {
            // refused already: the octets owed have been sent, the rest is thrown away, the line end closes it
            return self.finish_refused(body, line, tail, early, now, out);
        }
        match parse_append_more(&line, body.enclosure) {
            Ok(more) => self.more_of_message(more, body, line, tail, now, out),
            Err(_) if !self.enforcing() => {
                Self::violated(
                    Side::Client,
                    ViolationKind::Syntax,
                    "What follows a message is not valid IMAP",
                    now,
                    out,
                );
                let id = self.open_id();
                self.after_raw_message(id, body, line, tail, now, out);
            }
            // what has gone up cannot be taken back but by leaving the command unfinished
            Err(Stop::Syntax(_) | Stop::Literal | Stop::Message(_)) => {
                let detail = "What follows a message is not valid IMAP";
                self.client_fault(ViolationKind::Syntax, detail, now, out);
            }
        }
    }

    pub(super) fn end_message_command(&mut self, body: Body, line: BytesMut, out: &mut Outbox) {
        out.send(Side::Upstream, line.freeze());
        self.stray = Some(Stray::EmptyLine);
        if let Some(open) = self.pending.back_mut() {
            open.complete = true;
            open.stored = body.stored.into();
        }
    }

    /// The server refused in the middle of the message; all that it was promised has been sent but the
    /// line end, then its answer is said.
    pub(super) fn finish_refused(
        &mut self,
        body: Body,
        mut line: BytesMut,
        tail: Tail,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        if line != LINE_END {
            let change = (line.len() as u64, LINE_END.len() as u64);
            send::altered(Side::Upstream, Alteration::Local, change, now, out);
        }
        wipe(&mut line);
        out.send(Side::Upstream, Bytes::from_static(LINE_END));
        self.stray = Some(Stray::EmptyLine);
        self.pending.pop_back();
        if let Some(answer) = body.early {
            self.refuse(*answer, tail, early, now, out);
        }
    }

    fn after_raw_message(
        &mut self,
        id: Option<CommandId>,
        body: Body,
        line: BytesMut,
        tail: Tail,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.say_passed(&line, now, out);
        out.send(Side::Upstream, line.freeze());
        if let Some(open) = self.pending.iter_mut().find(|pending| Some(pending.id) == id) {
            open.complete = true;
            open.stored = body.stored.as_slice().into();
        }
        self.raw_literal(id, body.stored, tail, now, out);
    }

    /// A line behind a message that is too long to be one.
    pub(super) fn overlong_tail(&mut self, mut part: BytesMut, now: Instant, out: &mut Outbox) {
        wipe(&mut part);
        let detail = "A line is longer than this server takes";
        self.client_fault(ViolationKind::LineTooLong, detail, now, out);
    }

    /// The server refused the message instead of asking for it. A client that did not wait has sent it all
    /// the same: it is thrown away, and the server's answer given then.
    pub(super) fn message_refused(&mut self, body: &Body, answer: Answer, early: bool, now: Instant, out: &mut Outbox) {
        let (octets, synchronizing) = (body.octets, body.client_waits);
        let announced = Announcement { octets, synchronizing, literal8: false, len: 0 };
        self.refuse(answer, Tail::Literal(announced), early, now, out);
    }

    /// Reports the messages that an answered APPEND stored; `code` may be APPENDUID, which tells the UID of
    /// a single message (RFC 4315 §3; of several it tells a set, which is not taken apart).
    pub(super) fn report_stored(
        id: CommandId,
        stored: &[u64],
        mailbox: Option<&Arc<str>>,
        code: Option<&[u8]>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let numbers = code.map(|code| code_numbers(code, b"APPENDUID ")).unwrap_or_default();
        let (uid_validity, uid) = match numbers[..] {
            [uid_validity, uid] => (Some(uid_validity), Some(uid)),
            _ => (None, None),
        };
        for octets in stored {
            let message = MessageRef { uid, uid_validity, mailbox: mailbox.cloned(), ..MessageRef::default() };
            out.observe(now, Observation::Stored { id, octets: *octets, message });
        }
    }

    /// The number of the open command.
    pub(super) fn open_id(&self) -> Option<CommandId> {
        self.pending.back().map(|pending| pending.id)
    }
}
