//! What of the server's answers a rule keeps from the client, or words in another way.
//!
//! Data that names a mailbox is shown if the client could have asked for it by that name: so a rule that denies a
//! folder hides it wherever a server names it, asked or not.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::Imap;
use super::data::Data;
use super::phase::{Kind, Pending};
use super::send;
use super::server::{Fate, Progress};
use crate::policy::{Answer, AnswerKind, Arguments, Edit, Facts, Looks, Mode, Outcome, Verdict};
use crate::session::{Alteration, CommandId, Observation, Outbox, Posture, Speaker, ViolationKind};
use crate::wire::imap::{DataName, NamedData, Spec, StatusLine, StatusWord, Tail, encode_mailbox, named_data};
use crate::wire::{Effect, Operation, ShortText, Side};

/// Octets of data whose mailbox's name is a literal, up to the end of the line behind it.
const MOST_NAMED: usize = 4096;

/// Extensions that tell of mailboxes which nobody named: NOTIFY by what it reports, Gmail's by the labels of messages, which
/// are folders.
const TELLING: [&str; 2] = ["NOTIFY", "X-GM-EXT-1"];

/// Data that is held until its mailbox's name is there.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    octets: BytesMut,
}

impl Imap {
    /// What rules look at of the server's answers in this session, by the policy in force at this moment.
    pub(super) fn look_again(&self) -> Looks {
        self.rules.looks(&self.session_facts(self.last))
    }

    /// Whether a rule may look at every line of the server.
    pub(super) fn judges_answers(&self) -> bool {
        self.look_again().answers
    }

    /// What becomes of untagged data, if that is anything but what becomes of all data.
    pub(super) fn judge_data(
        &mut self,
        line: &[u8],
        end: Option<(Tail, bool)>,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Fate> {
        let looks = self.looks;
        let Some(NamedData { word, asked_by, name, old_name }) = named_data(line, self.names) else {
            return if looks.answers { self.judge_other(line, end, now, out) } else { None };
        };
        match name {
            DataName::Literal(announced) => {
                self.responses.framer.expect_octets(announced.octets);
                self.responses.progress = Progress::Unnamed(Unnamed { octets: BytesMut::from(line) });
                let is_long = line.len() as u64 + announced.octets > MOST_NAMED as u64;
                is_long
                    .then(|| self.upstream_slip(ViolationKind::LineTooLong, "A mailbox's name is too long", now, out))
                    .or(Some(Fate::Drop))
            }
            DataName::Known { span, name } => {
                let both = [name, old_name.unwrap_or_default()];
                let [name, old_name] = &both;
                let names = if old_name.is_empty() { std::slice::from_ref(name) } else { both.as_slice() };
                if looks.any() && self.hides(word, asked_by, names, now, out) {
                    return Some(self.hide_data(line, end, now, out));
                }
                let is_open = |id| self.pending.iter().any(|pending| pending.id == id);
                let mapped = self.mapped.iter().find(|mapped| mapped.server == *name && is_open(mapped.id))?;
                let client = mapped.client.clone();
                let mut token = Vec::new();
                send::quote(encode_mailbox(&client, self.names).as_bytes(), &mut token);
                let before = line.get(..span.start).unwrap_or_default();
                let octets = [before, &*token, line.get(span.end..).unwrap_or_default()].concat();
                let fate = self.follow_data(line, end, now, out);
                Some(self.replace_line(fate, line, octets, now, out))
            }
            DataName::None => {
                let hides = looks.any() && self.hides(word, asked_by, &[], now, out);
                hides.then(|| self.hide_data(line, end, now, out))
            }
            // what is not known to be shown is not
            DataName::Unreadable => {
                let protects = looks.mailboxes && self.enforcing();
                protects.then(|| self.hide_data(line, end, now, out))
            }
        }
    }

    /// More of data whose mailbox is not known yet.
    pub(super) fn unnamed_more(
        &mut self,
        octets: &[u8],
        end: Option<(Tail, bool)>,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Progress::Unnamed(unnamed) = &mut self.responses.progress else { return Fate::Drop };
        unnamed.octets.extend_from_slice(octets);
        if unnamed.octets.len() > MOST_NAMED + self.setup.terms.limits.status_line.saturating_mul(2) {
            return self.upstream_slip(ViolationKind::LineTooLong, "A mailbox's name is too long", now, out);
        }
        let Some(end) = end else { return Fate::Drop };
        let Progress::Unnamed(unnamed) = std::mem::take(&mut self.responses.progress) else { return Fate::Drop };
        let whole = unnamed.octets;
        match self
            .judge_data(&whole, Some(end), now, out)
            .unwrap_or_else(|| self.follow_data(&whole, Some(end), now, out))
        {
            Fate::Pass => Fate::Replace(whole.freeze()),
            fate => fate,
        }
    }

    /// Data about no mailbox.
    fn judge_other(&mut self, line: &[u8], end: Option<(Tail, bool)>, now: Instant, out: &mut Outbox) -> Option<Fate> {
        let rest = line.strip_prefix(b"* ")?;
        let word = rest.split(|octet| matches!(octet, b' ' | b'\r')).next()?.to_ascii_uppercase();
        let word = String::from_utf8(word).ok().filter(|word| word.bytes().all(|octet| octet.is_ascii_alphabetic()))?;
        let answer = Answer { data: Some(&word), ..said(AnswerKind::Data) };
        let spec = self.pending.front().and_then(|pending| pending.spec);
        let edit = self.judge_answer(spec, &[], answer, now, out)?;
        if word == "ID" && matches!(end, Some((Tail::Plain, false))) {
            let octets = match &edit.text {
                _ if edit.hide => b"* ID NIL\r\n".to_vec(),
                Some(text) => {
                    let mut octets = b"* ID (\"name\" ".to_vec();
                    send::quote(text.as_bytes(), &mut octets);
                    octets.extend_from_slice(b")\r\n");
                    octets
                }
                None => return None,
            };
            return Some(self.replace_line(Fate::Pass, line, octets, now, out));
        }
        edit.hide.then(|| self.hide_data(line, end, now, out))
    }

    /// Whether data of this kind about the mailbox of these names is kept from the client.
    fn hides(&self, word: &str, asked_by: &'static Spec, names: &[String], now: Instant, out: &mut Outbox) -> bool {
        let answer = Answer { data: Some(word), ..said(AnswerKind::Data) };
        self.judge_answer(Some(asked_by), names, answer, now, out).is_some_and(|edit| edit.hide)
    }

    fn facts_of<'a>(&'a self, spec: Option<&'a Spec>, mailboxes: &'a [String], now: Instant) -> Facts<'a> {
        let name = spec.map_or("unknown", |spec| spec.name);
        Facts {
            session: self.session_facts(now),
            command: name.strip_prefix("UID ").unwrap_or(name),
            operation: spec.map_or(Operation::Unknown, |spec| spec.operation),
            effect: spec.map_or(Effect::Unknown, |spec| spec.effect),
            mailboxes,
            selected: None,
            message: None,
            nth_message: None,
            // it is about no message
            arguments: Arguments { messages: Some(0), ..Arguments::default() },
            answer: None,
        }
    }

    /// What a rule makes of an answer, if it changes it. One that denies an answer hides it.
    fn judge_answer(
        &self,
        spec: Option<&Spec>,
        mailboxes: &[String],
        answer: Answer<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Arc<Edit>> {
        let facts = Facts { answer: Some(answer), ..self.facts_of(spec, mailboxes, now) };
        let Verdict { outcome, decisions } = self.rules.judge_answer(&facts);
        let enforced = self.setup.terms.posture == Posture::Enforce;
        let id = self.pending.front().map_or(CommandId(0), |pending| pending.id);
        for mut decision in decisions {
            decision.mode = if enforced { decision.mode } else { Mode::Observe };
            out.observe(now, Observation::Decided { id, decision: Box::new(decision) });
        }
        match outcome {
            Outcome::Edit(_, edit) if enforced => Some(edit),
            Outcome::Deny(_) | Outcome::Disconnect(_) if enforced => {
                Some(Arc::new(Edit { hide: true, ..Edit::default() }))
            }
            _ => None,
        }
    }

    /// The data goes on as all data does; its end may be far.
    fn follow_data(&mut self, line: &[u8], end: Option<(Tail, bool)>, now: Instant, out: &mut Outbox) -> Fate {
        self.responses.progress = Progress::Data(Data::of_text());
        self.data_from(line, end, now, out)
    }

    /// None of it reaches the client.
    fn hide_data(&mut self, line: &[u8], end: Option<(Tail, bool)>, now: Instant, out: &mut Outbox) -> Fate {
        self.responses.progress = Progress::Data(Data::hidden());
        self.data_from(line, end, now, out)
    }

    /// Another line goes down in place of this one, if it would have passed.
    fn replace_line(&self, fate: Fate, line: &[u8], octets: Vec<u8>, now: Instant, out: &mut Outbox) -> Fate {
        if !matches!(fate, Fate::Pass) {
            return fate;
        }
        self.say(Speaker::ProxyToClient, None, &octets, now, out);
        let (removed, added) = (line.len() as u64, octets.len() as u64);
        out.observe(now, Observation::Altered { to: Side::Client, why: Alteration::Policy, removed, added });
        Fate::Replace(octets.into())
    }

    // ---- status lines

    /// Before a tagged status line is dealt with: how a rule words it.
    pub(super) fn judge_completion(&mut self, at: usize, status: &StatusLine<'_>, now: Instant, out: &mut Outbox) {
        if !self.judges_answers() {
            return;
        }
        let answered = self.pending.get(at);
        if answered.is_some_and(|pending| matches!(pending.kind, Kind::Own | Kind::Compress)) {
            return;
        }
        let spec = answered.and_then(|pending: &Pending| pending.spec);
        let code = status.code_name();
        let answer = Answer {
            status: Some(word_of(status.word)),
            code: code.as_ref().map(ShortText::as_str),
            ..said(AnswerKind::Completion)
        };
        self.wording = self.judge_answer(spec, &[], answer, now, out);
    }

    /// The same of the greeting.
    pub(super) fn judge_greeting(&mut self, word: StatusWord, now: Instant, out: &mut Outbox) {
        if !self.judges_answers() {
            return;
        }
        let answer = Answer { status: Some(word_of(word)), ..said(AnswerKind::Greeting) };
        self.wording = self.judge_answer(None, &[], answer, now, out);
    }

    /// The status line as a rule words it, if it does. `line` is what has been made of it so far, of which the last
    /// octets are the server's words; these begin in the server's line of `came` octets where `status` says, and it
    /// may have been cut to `cut` octets. The code stays.
    pub(super) fn worded(&mut self, line: &[u8], came: usize, cut: usize, status: &StatusLine<'_>) -> Option<Vec<u8>> {
        let edit = self.wording.take()?;
        let own = cut.checked_sub(came.checked_sub(status.text.len())?)?;
        let (head, own) = line.split_at_checked(line.len().checked_sub(own)?)?;
        let is_sound = |text: &&str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let words = edit.text.as_deref().filter(is_sound).map_or(own, str::as_bytes);
        let space: &[u8] = if head.ends_with(b" ") || words.is_empty() { b"" } else { b" " };
        let worded = [head, space, words].concat();
        (worded != line).then_some(worded)
    }

    // ---- capabilities

    /// The names of a capability list that the policy hides: by a rule, or because they open a door beside one.
    pub(super) fn hidden_of(&self, list: &[u8], now: Instant, out: &mut Outbox) -> Vec<String> {
        let looks = self.look_again();
        if !looks.any() {
            return Vec::new();
        }
        let names = list.split(|octet| *octet == b' ').filter_map(|name| std::str::from_utf8(name).ok());
        let names = names.filter(|name| !name.is_empty());
        names.filter(|name| self.is_hidden_name(looks, name, now, out)).map(str::to_owned).collect()
    }

    /// Whether the policy hides a capability.
    pub(super) fn hides_capability(&self, name: &str, now: Instant) -> bool {
        // it was told when the list was filtered
        let mut untold = Outbox::new(now);
        self.is_hidden_name(self.look_again(), name, now, &mut untold)
    }

    fn is_hidden_name(&self, looks: Looks, name: &str, now: Instant, out: &mut Outbox) -> bool {
        let allowed = || self.setup.terms.allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
        let tells = TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(name));
        if looks.mailboxes && self.enforcing() && tells && !allowed() {
            return true;
        }
        if !looks.answers {
            return false;
        }
        let upper = name.to_ascii_uppercase();
        let answer = Answer { capability: Some(&upper), ..said(AnswerKind::Capability) };
        let spec = Spec::find(b"CAPABILITY");
        self.judge_answer(spec, &[], answer, now, out).is_some_and(|edit| edit.hide)
    }
}

/// An answer of which nothing else is known.
fn said<'a>(kind: AnswerKind) -> Answer<'a> {
    Answer { kind, status: None, code: None, data: None, capability: None }
}

fn word_of(word: StatusWord) -> &'static str {
    match word {
        StatusWord::Ok => "OK",
        StatusWord::No => "NO",
        StatusWord::Bad => "BAD",
        StatusWord::Bye => "BYE",
        StatusWord::PreAuth => "PREAUTH",
    }
}
