//! The head of a command that brings a message (APPEND, REPLACE): judged before any octet of the message is asked
//! for or read.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::edit::{Edited, impossible};
use super::forward::named;
use super::licence::Licence;
use super::phase::{Body, Kind, Prepared, Runs, Then, Whose};
use super::refusal::Refusal;
use super::{Imap, send, wipe};
use crate::session::{Alteration, CommandId, Outbox};
use crate::wire::Side;
use crate::wire::imap::{Head, Tail};

impl Imap {
    /// The head of an APPEND or REPLACE whose message is announced.
    pub(super) fn take_message(&mut self, head: Head, octets: BytesMut, early: bool, now: Instant, out: &mut Outbox) {
        let id = self.next_id();
        Self::report_begun(id, &head.command, now, out);
        let too_large = head.message.announced.size > self.setup.terms.limits.message as u64;
        match self.judge(id, &head.command, &octets, now, out) {
            Ok(_) if too_large => {
                let refusal = Refusal::too_big("The message is larger than this server takes");
                self.refuse_message(id, &head, refusal, octets, early, now, out);
            }
            Ok(licence) => self.send_message(id, head, octets, licence, early, now, out),
            Err(refusal) => self.refuse_message(id, &head, refusal, octets, early, now, out),
        }
    }

    /// None of it goes up, nor of its message.
    #[expect(clippy::too_many_arguments, reason = "one step of take_message, which has nearly as many")]
    fn refuse_message(
        &mut self,
        id: CommandId,
        head: &Head,
        refusal: Refusal,
        mut octets: BytesMut,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.say_command(id, &head.command, &octets, false, now, out);
        let mut tail = tail_of(head, &octets);
        wipe(&mut octets);
        if let Tail::Literal(announced) = &mut tail
            && refusal.is_ok()
            && announced.synchronizing
        {
            // success without the message having been asked for would be none (RFC 9051 §6.3.12)
            announced.synchronizing = false;
            self.say_local(Bytes::from_static(b"+ OK\r\n"), None, now, out);
        }
        let answer = refusal.answer(head.command.tag.as_str(), id, now);
        self.refuse(answer, tail, early, now, out);
    }

    #[expect(clippy::too_many_arguments, reason = "one step of take_message, which has nearly as many")]
    fn send_message(
        &mut self,
        id: CommandId,
        head: Head,
        octets: BytesMut,
        mut licence: Licence,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let edits = std::mem::take(&mut licence.edits);
        let edited = if edits.is_empty() { Edited::Same } else { self.edit(id, &head.command, &octets, &edits, now) };
        match edited {
            Edited::Same if licence.is_asked() => {
                let untold = self.form_of(&head.command, &octets, out).map(|text| (text, octets.len() as u64));
                self.launch_message(id, head, octets, licence, now, out);
                self.tell_later(untold);
            }
            Edited::Same => {
                self.say_command(id, &head.command, &octets, true, now, out);
                self.launch_message(id, head, octets, licence, now, out);
            }
            Edited::Head(other) => {
                let (other, line) = *other;
                self.tell_edited(id, (&head.command, &octets), (&other.command, &line), now, out);
                self.launch_message(id, other, line, licence, now, out);
            }
            Edited::Nothing(refusal) | Edited::Impossible(refusal) => {
                self.refuse_message(id, &head, refusal, octets, early, now, out);
            }
            Edited::Other(_) => self.refuse_message(id, &head, impossible(), octets, early, now, out),
        }
    }

    fn launch_message(
        &mut self,
        id: CommandId,
        head: Head,
        octets: BytesMut,
        licence: Licence,
        now: Instant,
        out: &mut Outbox,
    ) {
        let tail = tail_of(&head, &octets);
        let Head { command, message } = head;
        let encoded = send::encode(octets, &command.literals, Some(&message.announced), !command.secrets.is_empty());
        if let Some(change) = encoded.altered {
            send::altered(Side::Upstream, Alteration::LiteralForm, change, now, out);
        }
        let several = command.verb() == "APPEND";
        let mut body = Body::announced(&message.announced, message.enclosure, several, Whose::Open(command.spec));
        body.nth = command.messages;
        let runs = Runs { left: encoded.left, then: Then::Body(body) };
        let kind = Kind::Append { mailbox: named(&command) };
        // while its literal is open nothing else is sent anyway
        let spec = Some(command.spec);
        let prepared = Prepared { tail, spec, ..Prepared::new(command.tag, id, now, kind, runs) };
        self.launch(Box::new(prepared), licence, now, out);
    }
}

/// How the line ends: what of the command is still to come.
fn tail_of(head: &Head, octets: &[u8]) -> Tail {
    Tail::of(octets.get(..head.message.announced.at.end.saturating_sub(2)).unwrap_or_default())
}
