//! One rule of the configuration: conditions that must all hold, and an action.

use core::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::condition::{Condition, Stance};
use super::decision::{ActionKind, Decision, Level, Mode};
use super::edit::Edit;
use super::expression::Expression;
use super::facts::{AnswerKind, Arguments, Facts, SessionFacts};
use super::network::Network;
use super::pattern::{Names, Pattern};
use super::question;
use super::table::Table;
use super::template::Template;
use super::throttle::Throttler;
use super::verdict::{Canned, Denial, Outcome, Permit};
use super::window::Window;
use crate::wire::Protocol;

/// A `[[rule]]` table. Every condition that is given must hold; one that is not given always holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Table")]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) action: Action,
    pub(super) mode: Mode,
    pub(super) conditions: Vec<Condition>,
    refusal: Refusal,
    note: Note,
}

/// What a rule does, and what it needs for it.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Allow,
    Deny,
    Disconnect,
    Rewrite(Arc<Edit>),
    /// The lines before the completion.
    Answer(Arc<[Arc<str>]>),
    Throttle(Throttler),
    /// The hook's name.
    Ask(Arc<str>),
}

/// What a client is told.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) reply: Template,
    pub(super) code: Arc<str>,
    pub(super) pop3_code: Arc<str>,
}

/// How a decision is told to those who watch.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    pub(super) level: Option<Level>,
    pub(super) tags: Vec<Arc<str>>,
    pub(super) alert: bool,
    pub(super) record: bool,
}

/// Why a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The operator's pattern is not a glob.
    #[error("`{0}` is not a pattern: {1}")]
    Pattern(String, #[source] globset::Error),
    /// Not a network of clients.
    #[error("`{0}` is not a network: {1}")]
    Network(String, &'static str),
    /// Not a time of the week.
    #[error("`{0}` is not a time: {1}")]
    Time(String, String),
    /// The reply would break the protocol.
    #[error("{0}")]
    Reply(String),
    /// Not a response code that refuses something.
    #[error("`{0}` is not a response code of a refusal")]
    Code(String),
    /// A rule without a name cannot be reported.
    #[error("a rule needs a name of 1 to 64 characters")]
    Name,
    /// The action needs a key.
    #[error("`{0}` is missing, which this action needs")]
    Missing(&'static str),
    /// The action has no use for a key.
    #[error("`{0}` does not go with `action = \"{1}\"`")]
    Surplus(&'static str, &'static str),
    /// A table that says nothing.
    #[error("`{0}` says nothing")]
    Empty(&'static str),
    /// Nothing at all would pass.
    #[error("a rate of nothing is a refusal: write `action = \"deny\"`")]
    Zero,
    /// A text that is to be sent is not one.
    #[error("a line is printable, and does not end in a literal")]
    Line,
    /// Not an expression.
    #[error("`when`: {0}")]
    When(String),
    /// What an answer is asked cannot be done to a command, or the reverse.
    #[error("{0}")]
    Misfit(&'static str),
}

impl Rule {
    pub(super) fn new(
        name: Arc<str>,
        action: Action,
        mode: Mode,
        refusal: Refusal,
        note: Note,
        conditions: Vec<Condition>,
    ) -> Result<Self, RuleError> {
        let rule = Self { name, action, mode, conditions, refusal, note };
        rule.misfit().map_or(Ok(rule), |why| Err(RuleError::Misfit(why)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it changes nothing and only tells what it would have done.
    #[must_use]
    pub fn only_observes(&self) -> bool {
        self.mode == Mode::Observe
    }

    /// The name of the hook it asks.
    #[must_use]
    pub fn hook(&self) -> Option<&str> {
        if let Action::Ask(hook) = &self.action { Some(hook) } else { None }
    }

    /// Whether `pattern` can be a condition; the error says what is wrong with it.
    pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
        Pattern::new(pattern, Names::Mailboxes).map(|_| ()).map_err(|error| error.kind().to_string())
    }

    /// Whether `reply` can be sent to a client without breaking the protocol; the error says what is wrong.
    pub(crate) fn check_reply(reply: &str) -> Result<(), String> {
        Template::new(reply).map(|_| ())
    }

    /// Its condition that is an expression, if it has one.
    pub(super) fn expressions(&mut self) -> impl Iterator<Item = &mut Expression> {
        self.conditions.iter_mut().filter_map(|condition| match condition {
            Condition::When(expression) => Some(expression.as_mut()),
            _ => None,
        })
    }

    /// Why its parts do not go together, if they do not.
    fn misfit(&self) -> Option<&'static str> {
        let of_answers = self.conditions.iter().any(Condition::is_of_answers);
        let has = |which: fn(&Condition) -> bool| self.conditions.iter().any(which);
        match &self.action {
            Action::Throttle(_) | Action::Answer(_) | Action::Ask(_) | Action::Disconnect if of_answers => {
                Some("what a server answers can be allowed, denied or rewritten")
            }
            Action::Rewrite(edit) => {
                let answers = edit.hide || edit.text.is_some();
                let commands = edit.changes_commands();
                let shown = has(Condition::picks_shown);
                match () {
                    () if answers && commands => Some("a rule rewrites commands or answers, not both"),
                    () if of_answers && commands => {
                        Some("an answer has no such part; `hide` and `text` change answers")
                    }
                    () if edit.hide && !shown => {
                        Some("only data and capabilities can be hidden: add `capability`, `data` or `mailbox`")
                    }
                    () if edit.text.is_some() && !of_answers => {
                        Some("only answers have a text: add `answer`, `status`, `code_is` or `data`")
                    }
                    () => None,
                }
            }
            _ => None,
        }
    }

    /// Whether nothing is left for `later` where this one is looked at first: all that it matches, this one decides. When
    /// in doubt something is left.
    pub(crate) fn covers(&self, later: &Self) -> bool {
        let (ours, theirs) = (self.stance(), later.stance());
        self.mode == Mode::Enforce
            && self.is_for_answers() == later.is_for_answers()
            && self.conditions.iter().all(|one| later.conditions.iter().any(|other| one.covers(other, ours, theirs)))
    }

    /// Whether no command is held against it, for those that it is about pass without a rule being asked (RFC 9051 §6.1).
    /// `served` are the protocols of the sessions that it can meet.
    pub(crate) fn is_of_unjudged(&self, served: &[Protocol]) -> bool {
        let of_imap = !served.contains(&Protocol::Pop3) || self.conditions.iter().any(Condition::is_of_imap);
        of_imap && !self.is_for_answers() && self.conditions.iter().any(Condition::is_of_unjudged)
    }

    /// Whether it asks anything of the session but its protocol.
    pub(super) fn asks_of_session(&self) -> bool {
        let protocol = |condition: &Condition| matches!(condition, Condition::Protocol(_));
        self.conditions.iter().any(|condition| condition.is_of_session() && !protocol(condition))
    }

    /// Whether it can concern sessions of this protocol.
    pub(super) fn may_be_of(&self, protocol: Protocol) -> bool {
        let excludes =
            |condition: &Condition| matches!(condition, Condition::Protocol(all) if !all.contains(&protocol));
        !self.conditions.iter().any(excludes)
    }

    /// Whether what it asks of the session holds.
    pub(super) fn may_concern(&self, session: &SessionFacts<'_>) -> bool {
        let facts = Facts::of_session(*session);
        let stance = self.stance();
        self.conditions.iter().filter(|one| one.is_of_session()).all(|one| one.holds(&facts, stance))
    }

    /// Whether a command about the selected mailbox, and no other, is about what it asks for.
    pub(super) fn may_be_about(&self, session: &SessionFacts<'_>, selected: &str) -> bool {
        let facts = Facts { selected: Some(selected), ..Facts::of_session(*session) };
        let stance = self.stance();
        let mut of_mailboxes = self.conditions.iter().filter(|one| matches!(one, Condition::Mailbox(_)));
        of_mailboxes.all(|one| one.holds(&facts, stance))
    }

    pub(super) fn stance(&self) -> Stance {
        if matches!(self.action, Action::Allow) { Stance::Lenient } else { Stance::Strict }
    }

    /// Whether it looks only at what the server answers.
    pub(super) fn is_for_answers(&self) -> bool {
        let changes = matches!(&self.action, Action::Rewrite(edit) if edit.hide || edit.text.is_some());
        changes || self.conditions.iter().any(Condition::is_of_answers)
    }

    /// Whether data that names a mailbox must be held against it.
    pub(super) fn guards_mailboxes(&self) -> bool {
        let hides = match &self.action {
            Action::Deny | Action::Disconnect => true,
            Action::Rewrite(edit) => edit.hide,
            _ => false,
        };
        hides && self.sees_mailboxes()
    }

    /// Whether it lets data that names a mailbox pass and tells of it. What it asks only of messages, or of commands by
    /// which no mailbox is told of, holds for no such data.
    pub(super) fn tells_of_mailboxes(&self) -> bool {
        matches!(self.action, Action::Allow)
            && self.is_told()
            && self.may_be_of(Protocol::Imap)
            && self.conditions.iter().all(Condition::may_be_of_named)
    }

    /// Whether it asks in any way which mailbox something is about.
    fn sees_mailboxes(&self) -> bool {
        self.conditions.iter().any(Condition::is_of_mailboxes)
    }

    /// Whether it asks for a mailbox.
    pub(super) fn names_mailboxes(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition, Condition::Mailbox(_)))
    }

    /// Whether it is looked at when an answer is judged: it asks about answers, or data names a mailbox and the rule
    /// would let a command read it, or not.
    pub(super) fn concerns(&self, kind: AnswerKind, names_mailboxes: bool) -> bool {
        match &self.action {
            Action::Rewrite(edit) if edit.hide && !kind.is_hideable() => false,
            _ if self.is_for_answers() => true,
            Action::Allow => names_mailboxes,
            Action::Deny | Action::Disconnect => names_mailboxes && self.sees_mailboxes(),
            Action::Rewrite(_) | Action::Answer(_) | Action::Throttle(_) | Action::Ask(_) => false,
        }
    }

    pub(super) fn kind(&self) -> ActionKind {
        match self.action {
            Action::Allow => ActionKind::Allow,
            Action::Deny => ActionKind::Deny,
            Action::Disconnect => ActionKind::Disconnect,
            Action::Rewrite(_) => ActionKind::Rewrite,
            Action::Answer(_) => ActionKind::Answer,
            Action::Throttle(_) => ActionKind::Throttle,
            Action::Ask(_) => ActionKind::Ask,
        }
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        let stance = self.stance();
        self.conditions.iter().all(|condition| condition.holds(facts, stance))
    }

    /// Whether a match is told of: one that only lets pass is not, unless it says so.
    pub(super) fn is_told(&self) -> bool {
        let Note { level, tags, alert, record } = &self.note;
        !matches!(self.action, Action::Allow) || level.is_some() || *alert || *record || !tags.is_empty()
    }

    pub(super) fn outcome(&self, facts: &Facts<'_>) -> Outcome {
        match &self.action {
            Action::Allow => Outcome::Allow(Permit(())),
            Action::Deny => Outcome::Deny(self.denial(facts)),
            Action::Disconnect => Outcome::Disconnect(self.denial(facts)),
            Action::Rewrite(edit) => Outcome::Edit(Permit(()), Arc::clone(edit)),
            Action::Answer(lines) => Outcome::Answer(Canned {
                rule: Arc::clone(&self.name),
                lines: Arc::clone(lines),
                reply: self.refusal.reply.fill(&self.name, facts),
            }),
            Action::Throttle(throttler) => Outcome::Throttle(Permit(()), throttler.verdict(&self.name, facts)),
            Action::Ask(hook) => Outcome::Ask(question::ask(&self.name, hook, facts, self.denial(facts))),
        }
    }

    fn denial(&self, facts: &Facts<'_>) -> Denial {
        if &*self.refusal.code == "NONEXISTENT" && self.is_about_a_new_name(facts) {
            let (code, reply) = ("NOPERM".into(), "Permission denied".into());
            let (rule, pop3_code) = (Arc::clone(&self.name), Arc::clone(&self.refusal.pop3_code));
            return Denial { rule, code, pop3_code, reply };
        }
        Denial {
            rule: Arc::clone(&self.name),
            code: Arc::clone(&self.refusal.code),
            pop3_code: Arc::clone(&self.refusal.pop3_code),
            reply: self.refusal.reply.fill(&self.name, facts),
        }
    }

    /// Whether what is denied is to make a mailbox, or to move one that may be seen: to say that it does not exist would
    /// betray it, and a server that lets nobody make it says so (RFC 5530 §3).
    fn is_about_a_new_name(&self, facts: &Facts<'_>) -> bool {
        let source = facts.mailboxes.get(..1).unwrap_or_default();
        let arguments = Arguments { reaches_further: false, ..facts.arguments };
        match facts.command {
            "CREATE" => true,
            "RENAME" => !self.matches(&Facts { mailboxes: source, arguments, ..*facts }),
            _ => false,
        }
    }

    pub(super) fn decision(&self, facts: &Facts<'_>) -> Decision {
        Decision {
            level: self.note.level.unwrap_or_default(),
            tags: self.note.tags.clone(),
            alert: self.note.alert,
            record: self.note.record,
            ..Decision::of(&self.name, self.kind(), self.mode, facts)
        }
    }
}

/// Whether `text` is a network of clients; the error says why not.
pub(crate) fn check_network(text: &str) -> Result<(), &'static str> {
    text.parse::<Network>().map(|_| ())
}

/// The network that an address with too many bits was probably meant for.
pub(crate) fn network_of(text: &str) -> Option<String> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
    let (first, length) = Network::around(address, bits, bits);
    Some(format!("{first}/{length}"))
}

/// Whether `text` is a time of the week; the error says why not.
pub(crate) fn check_time(text: &str) -> Result<(), String> {
    text.parse::<Window>().map(|_| ())
}
