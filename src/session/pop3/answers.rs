//! What rules change of what the server says: the greeting's text, the text of completions, capabilities.
//! Nothing of this is looked at where no rule can concern an answer.

use std::borrow::Cow;

use super::Pop3;
use super::judge::Named;
use super::slot::{Answer, Asked, Slot};
use super::turn::Turn;
use crate::policy::{self, AnswerKind, Denial, Edit, Facts, Outcome};
use crate::session::CommandId;
use crate::wire::pop3::{Indicator, Status, text_of};
use crate::wire::{Effect, Operation};

/// What becomes of a line of the server.
pub(super) enum Ruled {
    AsItIs,
    Instead(Vec<u8>),
    Refused(Denial),
}

impl Pop3 {
    /// Whether any rule can concern an answer.
    pub(super) fn judges_answers(&self) -> bool {
        self.rules.looks(&self.session_facts(self.user.as_deref())).answers
    }

    fn judge_answer(
        &self,
        id: CommandId,
        named: &Named,
        answer: policy::Answer<'_>,
        turn: &mut Turn<'_>,
    ) -> Option<Outcome> {
        let facts = Facts { answer: Some(answer), ..self.facts(self.user.as_deref(), named) };
        let verdict = self.rules.judge_answer(&facts);
        self.report(id, verdict.decisions, turn);
        self.enforces().then_some(verdict.outcome)
    }

    /// The greeting `line`, without its end.
    pub(super) fn ruled_greeting(&self, line: &[u8], turn: &mut Turn<'_>) -> Ruled {
        if !self.judges_answers() {
            return Ruled::AsItIs;
        }
        let status = Status::parse(line);
        let code = status.and_then(|status| status.code()).map(str::to_ascii_uppercase);
        let answer = policy::Answer {
            kind: AnswerKind::Greeting,
            status: Some("+OK"),
            code: code.as_deref(),
            data: None,
            capability: None,
        };
        match self.judge_answer(CommandId(0), &greeting(), answer, turn) {
            Some(Outcome::Deny(denial) | Outcome::Disconnect(denial)) => Ruled::Refused(denial),
            Some(Outcome::Edit(_, edit)) => edit.text.as_ref().map_or(Ruled::AsItIs, |text| {
                // without the timestamp there would be no APOP (RFC 1939 §7)
                let stamp = line.iter().rposition(|octet| *octet == b'<').filter(|_| self.apop);
                let stamp = stamp.and_then(|at| line.get(at..)).unwrap_or_default();
                let space: &[u8] = if stamp.is_empty() { b"" } else { b" " };
                Ruled::Instead([b"+OK ", text.as_bytes(), space, stamp].concat())
            }),
            Some(Outcome::Allow(_) | Outcome::Throttle(..) | Outcome::Answer(_) | Outcome::Ask(_)) | None => {
                Ruled::AsItIs
            }
        }
    }

    /// The status line of the first command that is not answered, with another text if a rule says so.
    pub(super) fn reworded(&self, indicator: Indicator, line: &[u8], turn: &mut Turn<'_>) -> Option<Vec<u8>> {
        let Slot { id, named: Some(named), answer: Answer::Upstream(asked), .. } = self.queue.front()? else {
            return None;
        };
        let status = Status::parse(line)?;
        let code = status.code().map(str::to_ascii_uppercase);
        let word = if indicator == Indicator::Ok { "+OK" } else { "-ERR" };
        let answer = policy::Answer {
            kind: AnswerKind::Completion,
            status: Some(word),
            code: code.as_deref(),
            data: None,
            capability: None,
        };
        let outcome = self.judge_answer(*id, named, answer, turn)?;
        let edit = edit_of(&outcome)?;
        let is_data = match asked {
            Asked::UniqueId | Asked::Size => true,
            Asked::Status => matches!(&*named.command, "STAT" | "LAST"),
            _ => false,
        };
        let text = edit.text.as_ref().filter(|_| !(is_data && indicator == Indicator::Ok))?;
        let end = status.text.iter().position(|octet| *octet == b']').filter(|_| status.code().is_some());
        let code = end.and_then(|end| status.text.get(..=end)).unwrap_or_default();
        let space: &[u8] = if code.is_empty() { b"" } else { b" " };
        Some([word.as_bytes(), b" ", code, space, text.as_bytes()].concat())
    }

    /// Which capabilities of a list rules hide: mechanisms as `AUTH=PLAIN`.
    pub(super) fn ruled_out(&self, lines: &[u8], of_capa: bool, turn: &mut Turn<'_>) -> Vec<String> {
        let Some(Slot { id, named: Some(named), .. }) = self.queue.front() else { return Vec::new() };
        let mut offers = Vec::new();
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            let line = String::from_utf8_lossy(text_of(line)).to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            let mechanism = |word: &str| format!("AUTH={word}");
            match words.next() {
                Some("SASL") if of_capa => {
                    offers.push("SASL".to_owned());
                    offers.extend(words.map(mechanism));
                }
                Some(name) if of_capa => offers.push(name.to_owned()),
                Some(name) => offers.push(mechanism(name)),
                None => {}
            }
        }
        if of_capa {
            // the proxy's own offer
            offers.push("PIPELINING".to_owned());
        }
        offers.sort();
        offers.dedup();
        offers.retain(|name| {
            let outcome = self.judge_answer(*id, named, capability(name), turn);
            outcome.is_some_and(|outcome| hides(&outcome))
        });
        offers
    }

    /// Whether a rule hides this capability, so that the command behind it is refused too.
    pub(super) fn is_ruled_out(&self, name: &str) -> bool {
        if !self.judges_answers() || !self.enforces() {
            return false;
        }
        let named = Named { command: Cow::Borrowed("CAPA"), operation: Operation::Capability, ..greeting() };
        let facts = Facts { answer: Some(capability(name)), ..self.facts(self.user.as_deref(), &named) };
        hides(&self.rules.judge_answer(&facts).outcome)
    }
}

fn edit_of(outcome: &Outcome) -> Option<&Edit> {
    if let Outcome::Edit(_, edit) = outcome { Some(edit) } else { None }
}

/// A capability is not shown where a rule hides it, or denies it.
fn hides(outcome: &Outcome) -> bool {
    edit_of(outcome).is_some_and(|edit| edit.hide) || matches!(outcome, Outcome::Deny(_) | Outcome::Disconnect(_))
}

fn capability(name: &str) -> policy::Answer<'_> {
    let (kind, capability) = (AnswerKind::Capability, Some(name));
    policy::Answer { kind, status: None, code: None, data: None, capability }
}

/// What the greeting counts as: no command asked for it.
fn greeting() -> Named {
    Named { command: Cow::Borrowed(""), operation: Operation::Connect, effect: Effect::Session, message: None }
}
