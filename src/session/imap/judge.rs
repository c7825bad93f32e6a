//! Decides about a complete command, before any of its octets goes up.

use std::borrow::Cow;
use std::time::Instant;

use bytes::BytesMut;

use super::licence::Licence;
use super::phase::{Answer, Kind, Phase, Prepared, Runs, Then};
use super::refusal::Refusal;
use super::{Imap, OWN, wipe};
use crate::policy::{Arguments, Facts, Policy, SessionFacts};
use crate::session::{Answered, CommandId, Observation, Outbox, Speaker, State, TlsMode, ViolationKind};
use crate::wire::imap::{Allowed, Command, Details, Spec, Tag, Tail};
use crate::wire::sasl::{SaslLine, binds_channel, read_response};
use crate::wire::{Effect, Operation, Side};

/// A command that does not pass as it came.
#[derive(Debug)]
pub(super) enum Aside {
    /// It is refused.
    Refused(Refusal),
    /// It goes up by itself, in another form or at another time.
    Licensed(Licence),
}

impl Imap {
    /// A complete command: judge it, then send it up, answer it, or serve it here.
    pub(super) fn take_command(&mut self, command: Command, octets: BytesMut, now: Instant, out: &mut Outbox) {
        let id = self.next_id();
        Self::report_begun(id, &command, now, out);
        match self.judge(id, &command, &octets, now, out) {
            Err(refusal) => self.refuse_command(id, &command, refusal, octets, now, out),
            Ok(licence) => {
                if command.name == "STARTTLS" {
                    self.say_command(id, &command, &octets, false, now, out);
                    return self.serve_starttls(id, &command, now, out);
                }
                if command.name == "COMPRESS" {
                    self.say_command(id, &command, &octets, false, now, out);
                    return self.serve_compress(id, &command, now, out);
                }
                self.send_command(id, command, octets, licence, now, out);
            }
        }
    }

    /// A command that was found not to pass as it came.
    pub(super) fn take_aside(
        &mut self,
        id: CommandId,
        command: Command,
        aside: Aside,
        octets: BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) {
        match aside {
            Aside::Refused(refusal) => self.refuse_command(id, &command, refusal, octets, now, out),
            Aside::Licensed(licence) => self.send_command(id, command, octets, licence, now, out),
        }
    }

    /// A command that may not go up: none of its octets does, and the proxy answers it.
    pub(super) fn refuse_command(
        &mut self,
        id: CommandId,
        command: &Command,
        refusal: Refusal,
        mut octets: BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.say_command(id, command, &octets, false, now, out);
        wipe(&mut octets);
        // the server still has the result before it, the client believes that there is none
        self.stale_result |= command.details == Details::Search { saves: true };
        let ok = refusal.is_ok();
        self.refuse_judged(command, ok, refusal.answer(command.tag.as_str(), id, now), now, out);
    }

    /// Judges a command that may pass as it came, among others; it is outstanding then. `line` is all of it.
    pub(super) fn pass_judged(
        &mut self,
        command: &Command,
        line: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), (CommandId, Aside)> {
        let id = self.next_id();
        Self::report_begun(id, command, now, out);
        let licence = self.judge(id, command, line, now, out).map_err(|refusal| (id, Aside::Refused(refusal)))?;
        if !licence.is_plain() {
            return Err((id, Aside::Licensed(licence)));
        }
        self.say_command(id, command, line, true, now, out);
        self.stand_whole(command, id, now, licence);
        Ok(())
    }

    pub(super) fn report_begun(id: CommandId, command: &Command, now: Instant, out: &mut Outbox) {
        out.observe(
            now,
            Observation::CommandBegun {
                id,
                tag: Some(command.tag.text().clone()),
                command: Cow::Borrowed(command.name),
                operation: command.operation,
                effect: command.effect,
                mailboxes: command.mailboxes.clone(),
                message: None,
            },
        );
    }

    /// Whether a command may go up. In this order: what the protocol says, what is offered, what is safe,
    /// what the policy says.
    pub(super) fn judge(
        &self,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        if self.is_own_tag(&command.tag) {
            return Err(Self::reported(ViolationKind::Syntax, Refusal::bad("This tag is not available"), now, out));
        }
        if !self.is_allowed_now(command.spec.allowed) {
            let sentence = match command.spec.allowed {
                Allowed::NotAuthenticated => "Already authenticated",
                Allowed::Selected if self.state == State::Authenticated => "No mailbox selected",
                _ => "Log in first",
            };
            let refusal = Self::reported(ViolationKind::State, Refusal::bad(sentence), now, out);
            if self.enforcing() {
                return Err(refusal);
            }
        }
        if self.is_clear_login(command) {
            let refusal = Refusal::privacy_required("Start TLS before logging in");
            return Err(Self::reported(ViolationKind::ClearLogin, refusal, now, out));
        }
        if !self.is_offered(command) {
            let refusal = Refusal::bad("This command is not offered here");
            return Err(Self::reported(ViolationKind::UnknownCommand, refusal, now, out));
        }
        if self.stale_result && uses_saved_result(command) {
            return Err(Refusal::refused("No search result is saved"));
        }
        let named;
        let user = match &command.details {
            Details::Login { user } => Some(user.as_str()),
            Details::Authenticate { mechanism, initial_response: Some(range) } => {
                let response = octets.get(range.clone()).unwrap_or_default();
                named = self.judge_response(mechanism, 0, response, now, out)?;
                named.as_deref()
            }
            _ => self.user.as_deref(),
        };
        self.ask_policy(id, command, octets, user, now, out)
    }

    /// Who a response of an authentication exchange names; refused if it asks for what cannot be had here.
    pub(super) fn judge_response(
        &self,
        mechanism: &str,
        nth: u32,
        response: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Option<String>, Refusal> {
        if binds_channel(mechanism, nth, response) {
            // the proof would be of the channel that ends here (RFC 5802 §6)
            let refusal = Refusal::bad("Channel binding is not possible here");
            let refusal = Self::reported(ViolationKind::Sasl, refusal, now, out);
            if self.enforcing() {
                return Err(refusal);
            }
        }
        match read_response(mechanism, nth, response) {
            SaslLine::Response { user } => Ok(user),
            SaslLine::Cancel | SaslLine::Malformed => Ok(None),
        }
    }

    /// What the client is told, once it is reported that it broke the protocol.
    pub(super) fn reported(kind: ViolationKind, refusal: Refusal, now: Instant, out: &mut Outbox) -> Refusal {
        Self::violated(Side::Client, kind, refusal.sentence().to_owned(), now, out);
        refusal
    }

    /// The tag could be one of the proxy's own commands.
    pub(super) fn is_own_tag(&self, tag: &Tag) -> bool {
        tag.as_bytes().starts_with(OWN.as_bytes()) && tag.as_bytes().starts_with(self.own_prefix().as_bytes())
    }

    pub(super) fn is_allowed_now(&self, allowed: Allowed) -> bool {
        match allowed {
            Allowed::Always => true,
            Allowed::NotAuthenticated => self.state == State::NotAuthenticated,
            Allowed::Authenticated => self.logged_in(),
            Allowed::Selected => self.state == State::Selected,
        }
    }

    /// Logging in while the client's side is in clear and should not be.
    fn is_clear_login(&self, command: &Command) -> bool {
        self.is_in_clear() && matches!(command.details, Details::Login { .. } | Details::Authenticate { .. })
    }

    /// TLS towards the client is to be started, and is not yet.
    pub(super) fn is_in_clear(&self) -> bool {
        !self.client_tls && self.setup.terms.client_tls == TlsMode::Starttls
    }

    /// The selected mailbox, if the command acts on its messages. A URL may be relative to it (RFC 5092 §9), and
    /// ESEARCH searches it where nothing else is said (RFC 7377 §2).
    pub(super) fn acted_on(&self, spec: &Spec, needs: &[&[&str]]) -> Option<&str> {
        let by_url = needs.iter().any(|group| group.contains(&"CATENATE") || group.contains(&"URLAUTH"));
        let may_act = spec.allowed == Allowed::Selected || by_url || spec.name == "ESEARCH";
        self.selected.as_deref().filter(|_| may_act)
    }

    /// The policy's verdict on the response that names the user of an authentication exchange.
    pub(super) fn ask_about_user(
        &self,
        id: CommandId,
        user: &str,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        let facts = Facts {
            session: SessionFacts { user: Some(user), ..self.session_facts(now) },
            command: "AUTHENTICATE",
            operation: Operation::Authenticate,
            effect: Effect::Session,
            mailboxes: &[],
            selected: None,
            message: None,
            nth_message: None,
            // a name, and no message
            arguments: Arguments { messages: Some(0), ..Arguments::default() },
            answer: None,
        };
        self.ask(id, &facts, now, out)
    }

    /// Answers a refused command; a refused SELECT first leaves the mailbox that the client now believes
    /// it has left (RFC 9051 §6.3.2), without CLOSE, which would expunge. So does a CLOSE or UNSELECT that the
    /// proxy calls done.
    pub(super) fn refuse_judged(
        &mut self,
        command: &Command,
        done: bool,
        answer: Answer,
        now: Instant,
        out: &mut Outbox,
    ) {
        let leaves =
            matches!(command.details, Details::Select { .. }) || (done && matches!(command.name, "CLOSE" | "UNSELECT"));
        let by_policy = answer.completes.as_ref().is_some_and(|(_, completing)| completing.by == Answered::Policy);
        if leaves && by_policy && self.state == State::Selected {
            return self.detach(answer, now, out);
        }
        self.phase = Phase::Answer(Box::new(answer));
        self.try_answer(now, out);
    }

    /// The same of a command that was held: `tail` is how its line ended.
    pub(super) fn refuse_held_command(
        &mut self,
        kind: &Kind,
        answer: Answer,
        tail: Tail,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.stale_result |= matches!(kind, Kind::Save);
        if matches!(kind, Kind::Select { .. }) && self.state == State::Selected {
            return self.detach(answer, now, out);
        }
        self.refuse(answer, tail, early, now, out);
    }

    /// Sends the proxy's own UNSELECT (or EXAMINE of a mailbox that cannot be) before a denial.
    fn detach(&mut self, answer: Answer, now: Instant, out: &mut Outbox) {
        let tag = self.own_tag();
        let line = if self.server.unselect {
            format!("{tag} UNSELECT\r\n")
        } else {
            format!("{tag} EXAMINE \"{}\"\r\n", tag.as_str())
        };
        self.say(Speaker::ProxyToUpstream, None, line.as_bytes(), now, out);
        let runs = Runs { left: [line.into()].into(), then: Then::Detach(Box::new(answer)) };
        let (id, kind) = (CommandId(0), Kind::Own);
        // behind all that was asked of the mailbox before
        let prepared = Prepared { barrier: true, ..Prepared::new(tag, id, now, kind, runs) };
        self.launch(Box::new(prepared), Licence::plain(Policy::own()), now, out);
    }
}

/// `$` stands for the result of the last search that was saved (RFC 5182 §2.1).
fn uses_saved_result(command: &Command) -> bool {
    let is_needed = command.needs.iter().any(|group| group.contains(&"SEARCHRES"));
    is_needed && command.details != Details::Search { saves: true }
}
