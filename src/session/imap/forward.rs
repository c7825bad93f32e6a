//! The form in which an allowed command goes up: as it came, but for the few changes that need no rule.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::edit::Edited;
use super::licence::Licence;
use super::phase::{Answer, Completing, Kind, Login, Pending, Phase, Prepared, Runs, Sasl, Then, Turn};
use super::refusal::Refusal;
use super::{Imap, send, wipe};
use crate::policy::{Arguments, Facts};
use crate::redact::Redacted;
use crate::session::{Alteration, Answered, CommandId, Completion, Observation, Outbox, Speaker};
use crate::wire::imap::{Command, Details, IdField, Malformed, Spec};
use crate::wire::sasl::{SaslLine, read_response};
use crate::wire::{Effect, Operation, Side};

impl Imap {
    /// Sends an allowed command up, in the form that the rules give it.
    pub(super) fn send_command(
        &mut self,
        id: CommandId,
        command: Command,
        octets: BytesMut,
        mut licence: Licence,
        now: Instant,
        out: &mut Outbox,
    ) {
        if licence.edits.is_empty() {
            return self.send_unedited(id, command, octets, false, licence, now, out);
        }
        let edits = std::mem::take(&mut licence.edits);
        match self.edit(id, &command, &octets, &edits, now) {
            Edited::Same => self.send_unedited(id, command, octets, false, licence, now, out),
            Edited::Other(other) => {
                let (other, line) = *other;
                self.tell_edited(id, (&command, &octets), (&other, &line), now, out);
                wipe_all(octets);
                self.send_unedited(id, other, line, true, licence, now, out);
            }
            Edited::Nothing(answer) | Edited::Impossible(answer) => {
                self.answer_edited(id, &command, answer, octets, now, out);
            }
            Edited::Head(_) => self.answer_edited(id, &command, super::edit::impossible(), octets, now, out),
        }
    }

    /// Sends an allowed command up as it is, but for the few changes that need no rule. It may have been `told`.
    #[expect(clippy::too_many_arguments, reason = "one step of send_command, which has nearly as many")]
    fn send_unedited(
        &mut self,
        id: CommandId,
        command: Command,
        octets: BytesMut,
        told: bool,
        licence: Licence,
        now: Instant,
        out: &mut Outbox,
    ) {
        let rewritten = match &command.details {
            Details::Id { fields: Some(fields) } => without_private_fields(&command, fields),
            Details::Enable { capabilities } => match self.without_hidden(&command, capabilities) {
                Some(line) if line.is_empty() => return self.answer_enable(id, &command, &octets, now, out),
                line => line.map(|line| (line, Alteration::EnableArgument)),
            },
            _ => None,
        };
        let untold = if licence.is_asked() {
            self.form_of(&command, &octets, out).map(|text| (text, octets.len() as u64))
        } else {
            if !told {
                self.say_command(id, &command, &octets, rewritten.is_none(), now, out);
            }
            None
        };
        if let Some((line, why)) = rewritten {
            send::altered(Side::Upstream, why, (octets.len() as u64, line.len() as u64), now, out);
            self.say(Speaker::ProxyToUpstream, Some(id), line.as_bytes(), now, out);
            wipe_all(octets);
            let runs = Runs { left: [line.into()].into(), then: Then::Command };
            return self.launch_prepared(id, command, runs, licence, now, out);
        }
        if let Details::Authenticate { initial_response, .. } = &command.details {
            let initial = initial_response.clone();
            self.send_authenticate(id, command, initial, octets, licence, now, out);
            return self.tell_later(untold);
        }
        let then = if command.name == "IDLE" { Then::Idle } else { Then::Command };
        let encoded = send::encode(octets, &command.literals, None, !command.secrets.is_empty());
        if let Some(change) = encoded.altered {
            send::altered(Side::Upstream, Alteration::LiteralForm, change, now, out);
        }
        self.launch_prepared(id, command, Runs { left: encoded.left, then }, licence, now, out);
        self.tell_later(untold);
    }

    fn launch_prepared(
        &mut self,
        id: CommandId,
        command: Command,
        runs: Runs,
        licence: Licence,
        now: Instant,
        out: &mut Outbox,
    ) {
        let (kind, barrier) = (kind_of(&command), command.spec.barrier);
        let spec = Some(command.spec);
        let prepared = Prepared { barrier, spec, ..Prepared::new(command.tag, id, now, kind, runs) };
        self.launch(Box::new(prepared), licence, now, out);
    }

    /// AUTHENTICATE. An initial response for a server that takes none on the command line waits for the
    /// first challenge (RFC 4959 §3).
    #[expect(clippy::too_many_arguments, reason = "one step of send_command, which has nearly as many")]
    fn send_authenticate(
        &mut self,
        id: CommandId,
        command: Command,
        initial: Option<std::ops::Range<usize>>,
        mut octets: BytesMut,
        licence: Licence,
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut kind = kind_of(&command);
        if let Kind::Authenticate(login) = &mut kind {
            login.user = initial.clone().and_then(|range| named_by(&command, octets.get(range)?));
        }
        let mut sasl = Sasl {
            held: None,
            turn: Turn::Server,
            cancelled: None,
            responses: u32::from(initial.is_some()),
            waiting: None,
        };
        let left = match initial {
            Some(range) if !self.server.initial_response => {
                let response = octets.get(range.clone()).unwrap_or_default();
                let response = if response == b"=" { Vec::new() } else { response.to_vec() };
                sasl.held = Some(Redacted::new(response));
                let mut line = octets.get(..range.start.saturating_sub(1)).unwrap_or_default().to_vec();
                line.extend_from_slice(b"\r\n");
                let change = (octets.len() as u64, line.len() as u64);
                wipe(&mut octets);
                send::altered(Side::Upstream, Alteration::Canonical, change, now, out);
                [line.into()].into()
            }
            Some(_) => send::encode(octets, &[], None, true).left,
            None => send::encode(octets, &[], None, false).left,
        };
        let runs = Runs { left, then: Then::Sasl(sasl) };
        let (barrier, spec) = (command.spec.barrier, Some(command.spec));
        let prepared = Prepared { barrier, spec, ..Prepared::new(command.tag, id, now, kind, runs) };
        self.launch(Box::new(prepared), licence, now, out);
    }

    /// ENABLE without the capabilities that are hidden: none if nothing changes, empty if nothing is left.
    fn without_hidden(&self, command: &Command, capabilities: &[String]) -> Option<String> {
        let kept: Vec<&str> =
            capabilities.iter().map(String::as_str).filter(|name| self.is_capability_offered(name)).collect();
        if kept.len() == capabilities.len() {
            return None;
        }
        if kept.is_empty() {
            return Some(String::new());
        }
        Some(format!("{} ENABLE {}\r\n", command.tag, kept.join(" ")))
    }

    /// Nothing that may be enabled was asked for: the server would say the same (RFC 5161 §3.1).
    fn answer_enable(&mut self, id: CommandId, command: &Command, octets: &[u8], now: Instant, out: &mut Outbox) {
        self.say_command(id, command, octets, false, now, out);
        let completing = Completing { completion: Completion::Ok, code: None, by: Answered::Proxy, begun: now };
        let line = format!("* ENABLED\r\n{} OK Nothing was enabled\r\n", command.tag);
        let speaker = Speaker::ProxyToClient;
        let answer =
            Answer { line: line.into(), speaker, completes: Some((id, completing)), starts: None, close: None };
        self.phase = Phase::Answer(Box::new(answer));
        self.try_answer(now, out);
    }

    /// Posture observe: a line that is no command goes up as it is, and what the policy would have said is
    /// reported. The number of the command, if its tag could be read.
    pub(super) fn pass_raw(
        &mut self,
        malformed: &Malformed,
        octets: BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<CommandId> {
        out.send(Side::Upstream, octets.freeze());
        let tag = malformed.tag.clone()?;
        let id = self.next_id();
        self.report_raw(id, malformed, now, out);
        self.forget_unanswered(now, out);
        self.stand(Pending { complete: true, ..Pending::new(tag, id, now, Kind::Raw) });
        Some(id)
    }

    fn report_raw(&self, id: CommandId, malformed: &Malformed, now: Instant, out: &mut Outbox) {
        let spec = malformed.command.and_then(|name| Spec::find(name.as_bytes()));
        let (command, operation, effect) = spec
            .map_or(("unknown", Operation::Unknown, Effect::Unknown), |spec| (spec.name, spec.operation, spec.effect));
        // the tag may be anything that was typed where a command is expected
        let (tag, mailboxes, message) = (None, Vec::new(), None);
        let command_name = command.into();
        out.observe(
            now,
            Observation::CommandBegun { id, tag, command: command_name, operation, effect, mailboxes, message },
        );
        let facts = Facts {
            session: self.session_facts(now),
            command: command.strip_prefix("UID ").unwrap_or(command),
            operation,
            effect,
            mailboxes: &[],
            selected: self.selected.as_deref(),
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        };
        // in this posture a refusal is only reported
        let _reported: Result<Licence, Refusal> = self.ask(id, &facts, now, out);
    }

    /// A server answers a line that is no command in ways of its own: the oldest such lines are forgotten.
    fn forget_unanswered(&mut self, now: Instant, out: &mut Outbox) {
        let raw = |pending: &Pending| matches!(pending.kind, Kind::Raw);
        if self.pending.iter().filter(|pending| raw(pending)).count() < MOST_UNANSWERED {
            return;
        }
        let Some(oldest) = self.pending.iter().position(raw).and_then(|at| self.pending.remove(at)) else { return };
        let (id, completion, code, by) = (oldest.id, Completion::Aborted, None, Answered::Upstream);
        let latency = now.saturating_duration_since(oldest.begun);
        out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
    }
}

fn wipe_all(mut octets: BytesMut) {
    wipe(&mut octets);
}

/// Lines that are no commands and may still be answered.
const MOST_UNANSWERED: usize = 64;

/// ID without the fields that some servers take for the client's address (`x-originating-ip`…).
fn without_private_fields(command: &Command, fields: &[IdField]) -> Option<(String, Alteration)> {
    if !fields.iter().any(IdField::is_private) {
        return None;
    }
    let mut list = Vec::new();
    for field in fields.iter().filter(|field| !field.is_private()) {
        if !list.is_empty() {
            list.push(b' ');
        }
        send::quote(&field.key, &mut list);
        list.push(b' ');
        match &field.value {
            Some(value) => send::quote(value, &mut list),
            None => list.extend_from_slice(b"NIL"),
        }
    }
    let list = String::from_utf8_lossy(&list);
    let arguments = if list.is_empty() { "NIL".into() } else { format!("({list})") };
    Some((format!("{} ID {arguments}\r\n", command.tag), Alteration::IdField))
}

/// Who an initial response names.
fn named_by(command: &Command, response: &[u8]) -> Option<String> {
    let Details::Authenticate { mechanism, .. } = &command.details else { return None };
    match read_response(mechanism, 0, response) {
        SaslLine::Response { user } => user,
        SaslLine::Cancel | SaslLine::Malformed => None,
    }
}

/// The first mailbox that a command names.
pub(super) fn named(command: &Command) -> Option<Arc<str>> {
    command.mailboxes.first().map(|name| name.as_str().into())
}

/// What the answer to a command changes.
pub(super) fn kind_of(command: &Command) -> Kind {
    match &command.details {
        Details::Login { user } => {
            Kind::Authenticate(Box::new(Login { user: Some(user.clone()), mechanism: "LOGIN".into() }))
        }
        Details::Authenticate { mechanism, .. } => {
            Kind::Authenticate(Box::new(Login { user: None, mechanism: mechanism.clone().into() }))
        }
        Details::Select { .. } => Kind::Select { mailbox: named(command).unwrap_or_default() },
        // the server's own words say what was enabled, not the client's
        Details::Enable { .. } => Kind::Enable { utf8: false },
        Details::Search { saves: true } => Kind::Save,
        Details::NotifyNone => Kind::Notify { on: false },
        _ => match command.name {
            "CLOSE" | "UNSELECT" => Kind::Leave,
            "LOGOUT" => Kind::Logout,
            "NOTIFY" => Kind::Notify { on: true },
            "FETCH" | "UID FETCH" => Kind::Fetch,
            "URLFETCH" => Kind::UrlFetch,
            _ => Kind::Plain,
        },
    }
}
