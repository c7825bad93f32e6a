//! Decides about a complete command, before any of its octets goes up.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Instant;

use bytes::BytesMut;

use super::forward::named;
use super::phase::{Answer, Body, Completing, Kind, Phase, Prepared, Runs, Then, Whose};
use super::send;
use super::{Imap, OWN, wipe};
use crate::policy::{Arguments, Facts, Mode, Outcome, Permit, Policy, SessionFacts, Verdict};
use crate::session::{
    Alteration, Answered, CommandId, Completion, Observation, Outbox, Posture, Speaker, State, TlsMode, ViolationKind,
};
use crate::wire::imap::{Allowed, Command, Details, Head, Spec, Tag, Tail};
use crate::wire::sasl::{SaslLine, binds_channel, read_response};
use crate::wire::{Effect, Operation, ShortText, Side};

/// Why a command is answered by the proxy.
#[derive(Debug)]
pub(super) struct Refusal {
    word: &'static str,
    code: Option<ShortText>,
    sentence: String,
    by: Answered,
}

impl Refusal {
    pub(super) fn bad(sentence: &str) -> Self {
        Self { word: "BAD", code: None, sentence: sentence.to_owned(), by: Answered::Syntax }
    }

    /// A command that may carry a secret, in clear where TLS is to be started first.
    pub(super) fn privacy_required(sentence: &str) -> Self {
        let (sentence, by) = (sentence.to_owned(), Answered::Syntax);
        Self { word: "NO", code: Some("PRIVACYREQUIRED".into()), sentence, by }
    }

    /// A message that is larger than the limit.
    pub(super) fn too_big(sentence: &str) -> Self {
        let (sentence, by) = (sentence.to_owned(), Answered::Syntax);
        Self { word: "NO", code: Some("TOOBIG".into()), sentence, by }
    }

    /// What the client is told.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// What the client is told, with the response code.
    pub(super) fn text(&self) -> String {
        let code = self.code.as_ref().map_or_else(String::new, |code| format!("[{code}] "));
        format!("{code}{}", self.sentence)
    }

    /// The client did what it may not do here.
    pub(super) fn is_bad(&self) -> bool {
        self.word == "BAD"
    }

    /// Who refuses.
    pub(super) fn by(&self) -> Answered {
        self.by
    }

    pub(super) fn answer(self, tag: &str, id: CommandId, begun: Instant) -> Answer {
        let line = format!("{tag} {} {}\r\n", self.word, self.text());
        let completion = match self.word {
            "OK" => Completion::Ok,
            "NO" => Completion::No,
            _ => Completion::Bad,
        };
        let completing = Completing { completion, code: self.code, by: self.by, begun };
        Answer {
            line: line.into(),
            speaker: Speaker::ProxyToClient,

            completes: Some((id, completing)),
            starts: None,
            close: None,
        }
    }
}

impl Imap {
    /// A complete command: judge it, then send it up, answer it, or serve it here.
    pub(super) fn take_command(&mut self, command: Command, octets: BytesMut, now: Instant, out: &mut Outbox) {
        let id = self.next_id();
        Self::report_begun(id, &command, now, out);
        match self.judge(id, &command, &octets, now, out) {
            Err(refusal) => self.refuse_command(id, &command, refusal, octets, now, out),
            Ok(permit) => {
                if command.name == "STARTTLS" {
                    self.say_command(id, &command, &octets, false, now, out);
                    return self.serve_starttls(id, &command, now, out);
                }
                if command.name == "COMPRESS" {
                    self.say_command(id, &command, &octets, false, now, out);
                    return self.serve_compress(id, &command, now, out);
                }
                self.send_command(id, command, octets, permit, now, out);
            }
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
        self.refuse_judged(command, refusal.answer(command.tag.as_str(), id, now), now, out);
    }

    /// Judges a command that may pass as it came, among others; it is outstanding then. `line` is all of it.
    pub(super) fn pass_judged(
        &mut self,
        command: &Command,
        line: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), (CommandId, Refusal)> {
        let id = self.next_id();
        Self::report_begun(id, command, now, out);
        let permit = self.judge(id, command, line, now, out).map_err(|refusal| (id, refusal))?;
        self.say_command(id, command, line, true, now, out);
        self.stand_whole(command, id, now, permit);
        Ok(())
    }

    /// The head of an APPEND or REPLACE whose message is announced.
    pub(super) fn take_message(&mut self, head: Head, octets: BytesMut, early: bool, now: Instant, out: &mut Outbox) {
        let Head { command, message } = head;
        let id = self.next_id();
        Self::report_begun(id, &command, now, out);
        let too_large = message.announced.size > self.setup.terms.limits.message as u64;
        let judged = self.judge(id, &command, &octets, now, out);
        let refusal = match judged {
            Ok(_) if too_large => Err(Refusal::too_big("The message is larger than this server takes")),
            judged => judged,
        };
        self.say_command(id, &command, &octets, refusal.is_ok(), now, out);
        match refusal {
            Err(refusal) => {
                let answer = refusal.answer(command.tag.as_str(), id, now);
                let announced = &message.announced;
                let tail = Tail::of(octets.get(..announced.at.end.saturating_sub(2)).unwrap_or_default());
                self.refuse(answer, tail, early, now, out);
            }
            Ok(permit) => {
                let hide = !command.secrets.is_empty();
                let encoded = send::encode(octets, &command.literals, Some(&message.announced), hide);
                if let Some(change) = encoded.altered {
                    send::altered(Side::Upstream, Alteration::LiteralForm, change, now, out);
                }
                let several = command.verb() == "APPEND";
                let mut body =
                    Body::announced(&message.announced, message.enclosure, several, Whose::Open(command.spec));
                body.nth = command.messages;
                let runs = Runs { left: encoded.left, then: Then::Body(body) };
                let kind = Kind::Append { mailbox: named(&command) };
                // while its literal is open nothing else is sent anyway
                let prepared = Prepared { tag: command.tag, id, begun: now, kind, barrier: false, runs };
                self.launch(Box::new(prepared), permit, out);
            }
        }
    }

    fn report_begun(id: CommandId, command: &Command, now: Instant, out: &mut Outbox) {
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
    fn judge(
        &self,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Permit, Refusal> {
        let violated = |kind, refusal: Refusal, out: &mut Outbox| {
            Self::violated(Side::Client, kind, refusal.sentence.clone(), now, out);
            Err(refusal)
        };
        if self.is_own_tag(&command.tag) {
            return violated(ViolationKind::Syntax, Refusal::bad("This tag is not available"), out);
        }
        if !self.is_allowed_now(command.spec.allowed) {
            let sentence = match command.spec.allowed {
                Allowed::NotAuthenticated => "Already authenticated",
                Allowed::Selected if self.state == State::Authenticated => "No mailbox selected",
                _ => "Log in first",
            };
            let refused = violated(ViolationKind::State, Refusal::bad(sentence), out);
            if self.enforcing() {
                return refused;
            }
        }
        if self.is_clear_login(command) {
            let refusal = Refusal::privacy_required("Start TLS before logging in");
            return violated(ViolationKind::ClearLogin, refusal, out);
        }
        if !self.is_offered(command) {
            return violated(ViolationKind::UnknownCommand, Refusal::bad("This command is not offered here"), out);
        }
        if self.stale_result && uses_saved_result(command) {
            return Err(Refusal {
                word: "NO",
                code: None,
                sentence: "No search result is saved".to_owned(),
                by: Answered::Policy,
            });
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
        self.ask_policy(id, command, user, now, out)
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
            Self::violated(Side::Client, ViolationKind::Sasl, refusal.sentence.clone(), now, out);
            if self.enforcing() {
                return Err(refusal);
            }
        }
        match read_response(mechanism, nth, response) {
            SaslLine::Response { user } => Ok(user),
            SaslLine::Cancel | SaslLine::Malformed => Ok(None),
        }
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

    /// The selected mailbox, if the command acts on its messages. A URL may be relative to it (RFC 5092 §9).
    pub(super) fn acted_on(&self, spec: &Spec, needs: &[&[&str]]) -> Option<&str> {
        let by_url = needs.iter().any(|group| group.contains(&"CATENATE") || group.contains(&"URLAUTH"));
        self.selected.as_deref().filter(|_| spec.allowed == Allowed::Selected || by_url)
    }

    fn ask_policy(
        &self,
        id: CommandId,
        command: &Command,
        user: Option<&str>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Permit, Refusal> {
        let facts = Facts {
            session: SessionFacts { user, ..self.session_facts(now) },
            command: command.verb(),
            operation: command.operation,
            effect: command.effect,
            mailboxes: &command.mailboxes,
            selected: self.acted_on(command.spec, &command.needs),
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        };
        // NO is no defined answer to these (RFC 9051 §6.1)
        if matches!(command.name, "CAPABILITY" | "NOOP" | "LOGOUT" | "STARTTLS") {
            return Ok(Policy::own());
        }
        self.ask_of_each(id, &facts, 1..=command.messages, now, out)
    }

    /// The policy's verdict on each of these messages of a command; on the command itself if it brings none.
    pub(super) fn ask_of_each(
        &self,
        id: CommandId,
        facts: &Facts<'_>,
        messages: RangeInclusive<u32>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Permit, Refusal> {
        let mut permit = None;
        for nth in messages {
            permit = Some(self.ask(id, &Facts { nth_message: Some(nth), ..*facts }, now, out)?);
        }
        permit.map_or_else(|| self.ask(id, facts, now, out), Ok)
    }

    /// The policy's verdict on the response that names the user of an authentication exchange.
    pub(super) fn ask_about_user(
        &self,
        id: CommandId,
        user: &str,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Permit, Refusal> {
        let facts = Facts {
            session: SessionFacts { user: Some(user), ..self.session_facts(now) },
            command: "AUTHENTICATE",
            operation: Operation::Authenticate,
            effect: Effect::Session,
            mailboxes: &[],
            selected: None,
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        };
        self.ask(id, &facts, now, out)
    }

    /// The policy's verdict; in posture observe it is only reported.
    pub(super) fn ask(
        &self,
        id: CommandId,
        facts: &Facts<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Permit, Refusal> {
        let Verdict { outcome, decisions } = self.setup.terms.policy.judge(facts);
        let enforced = self.setup.terms.posture == Posture::Enforce;
        for mut decision in decisions {
            decision.mode = if enforced { decision.mode } else { Mode::Observe };
            out.observe(now, Observation::Decided { id, decision: Box::new(decision) });
        }
        let denial = match outcome {
            Outcome::Allow(permit) => return Ok(permit),
            Outcome::Deny(denial) if enforced => denial,
            _ => return Ok(Policy::own()),
        };
        Err(Refusal {
            word: "NO",
            code: Some(denial.code.as_ref().into()),
            sentence: denial.reply.as_ref().to_owned(),
            by: Answered::Policy,
        })
    }

    /// Answers a refused command; a refused SELECT first leaves the mailbox that the client now believes
    /// it has left (RFC 9051 §6.3.2), without CLOSE, which would expunge.
    fn refuse_judged(&mut self, command: &Command, answer: Answer, now: Instant, out: &mut Outbox) {
        let leaves = matches!(command.details, Details::Select { .. }) && self.state == State::Selected;
        let by_policy = answer.completes.as_ref().is_some_and(|(_, completing)| completing.by == Answered::Policy);
        if leaves && by_policy {
            return self.detach(answer, now, out);
        }
        self.phase = Phase::Answer(Box::new(answer));
        self.try_answer(now, out);
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
        let prepared = Prepared { tag, id, begun: now, kind, barrier: true, runs };
        self.launch(Box::new(prepared), Policy::own(), out);
    }
}

/// `$` stands for the result of the last search that was saved (RFC 5182 §2.1).
fn uses_saved_result(command: &Command) -> bool {
    let is_needed = command.needs.iter().any(|group| group.contains(&"SEARCHRES"));
    is_needed && command.details != Details::Search { saves: true }
}
