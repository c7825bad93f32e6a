//! Commands that are known by their name alone, because the operator allows it. Nothing is known of what
//! they do, so each goes up when nothing is outstanding, and nothing after it until it is answered; and
//! nothing of their arguments is ever shown.

use std::time::Instant;

use bytes::BytesMut;

use super::licence::Licence;
use super::phase::{Kind, Phase, Prepared, Runs, Then};
use super::refusal::Refusal;
use super::{Imap, send, wipe};
use crate::policy::{Arguments, Facts};
use crate::redact::MASK;
use crate::session::{CommandId, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::imap::{Malformed, Reason, Unlisted, parse_unlisted, unlisted_verb};
use crate::wire::{Effect, Operation};

impl Imap {
    /// A command that is in no table, if the operator allows its name: read as far as such a one can be.
    pub(super) fn allowed_by_name(&self, malformed: &Malformed, octets: &[u8]) -> Option<Result<Unlisted, Malformed>> {
        let verb = unlisted_verb(octets).filter(|_| malformed.reason == Reason::UnknownCommand)?;
        self.capability_rules().allows(&verb).then(|| parse_unlisted(octets))
    }

    /// Judges it, then sends it up or answers it.
    pub(super) fn take_unlisted(&mut self, command: Unlisted, mut octets: BytesMut, now: Instant, out: &mut Outbox) {
        let id = self.next_id();
        let (tag, name, mailboxes, message) =
            (Some(command.tag.text().clone()), command.name.clone().into(), Vec::new(), None);
        let (operation, effect) = (Operation::Unknown, Effect::Unknown);
        let begun = Observation::CommandBegun { id, tag, command: name, operation, effect, mailboxes, message };
        out.observe(now, begun);
        let judged = self.judge_unlisted(id, &command, now, out);
        let by = if judged.is_ok() { Speaker::Client } else { Speaker::ClientHeld };
        let arguments = if command.has_arguments { format!(" {MASK}") } else { String::new() };
        let text = format!("{} {}{arguments}", command.tag, command.name);
        self.say_text(by, Some(id), text, octets.len() as u64, now, out);
        match judged {
            Err(refusal) => {
                wipe(&mut octets);
                self.phase = Phase::Answer(Box::new(refusal.answer(command.tag.as_str(), id, now)));
                self.try_answer(now, out);
            }
            Ok(mut licence) => {
                // nothing is known of it that could be changed
                licence.edits.clear();
                let runs = Runs { left: send::encode(octets, &[], None, true).left, then: Then::Command };
                let prepared = Prepared { barrier: true, ..Prepared::new(command.tag, id, now, Kind::Plain, runs) };
                self.launch(Box::new(prepared), licence, now, out);
            }
        }
    }

    fn judge_unlisted(
        &self,
        id: CommandId,
        command: &Unlisted,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        if self.is_own_tag(&command.tag) {
            return Err(Self::reported(ViolationKind::Syntax, Refusal::bad("This tag is not available"), now, out));
        }
        if self.is_in_clear() {
            // it may log in, or carry a secret
            let refusal = Refusal::privacy_required("Start TLS before this command");
            let refusal = Self::reported(ViolationKind::ClearLogin, refusal, now, out);
            if self.enforcing() {
                return Err(refusal);
            }
        }
        let facts = Facts {
            session: self.session_facts(now),
            command: command.verb(),
            operation: Operation::Unknown,
            effect: Effect::Unknown,
            mailboxes: &[],
            selected: self.selected.as_deref(),
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        };
        self.ask(id, &facts, now, out)
    }
}
