//! The `[[rule]]` table as it is written, and how it becomes a rule.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::condition::{Condition, Membership, Wanted};
use super::decision::{ActionKind, Level, Mode};
use super::edit::Edit;
use super::expression::Expression;
use super::facts::AnswerKind;
use super::pattern::{Names, Patterns};
use super::rule::{Action, Note, Refusal, Rule, RuleError};
use super::template::Template;
use super::throttle::{Per, Slowing, Throttler};
use crate::wire::{Effect, Operation, Protocol};

/// The keys of a rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    name: String,
    action: ActionKind,
    mode: Option<Mode>,
    reply: Option<String>,
    code: Option<String>,
    pop3_code: Option<String>,
    log: Option<Level>,
    #[serde(default)]
    tags: OneOrMany<Arc<str>>,
    #[serde(default)]
    alert: bool,
    #[serde(default)]
    record: bool,

    rewrite: Option<RewriteTable>,
    throttle: Option<ThrottleTable>,
    hook: Option<Arc<str>>,
    answer: Option<AnswerKey>,

    #[serde(default)]
    listener: OneOrMany<Arc<str>>,
    #[serde(default)]
    protocol: OneOrMany<Protocol>,
    #[serde(default)]
    client: OneOrMany<String>,
    #[serde(default)]
    tls: OneOrMany<Arc<str>>,
    #[serde(default)]
    server_name: OneOrMany<String>,
    #[serde(default)]
    certificate: OneOrMany<String>,
    #[serde(default)]
    time: OneOrMany<String>,
    #[serde(default)]
    user: OneOrMany<String>,
    #[serde(default)]
    domain: OneOrMany<String>,
    #[serde(default)]
    group: OneOrMany<Arc<str>>,
    #[serde(default)]
    command: OneOrMany<String>,
    #[serde(default)]
    operation: OneOrMany<Operation>,
    #[serde(default)]
    effect: OneOrMany<Effect>,
    #[serde(default)]
    mailbox: OneOrMany<String>,
    #[serde(default)]
    flag: OneOrMany<Arc<str>>,
    #[serde(default)]
    item: OneOrMany<String>,
    larger_than: Option<ByteSize>,
    #[serde(default)]
    search_key: OneOrMany<String>,
    messages_over: Option<u64>,
    #[serde(default)]
    message: OneOrMany<u32>,
    #[serde(default)]
    nth_message: OneOrMany<u32>,
    #[serde(default)]
    status: OneOrMany<String>,
    #[serde(default)]
    code_is: OneOrMany<String>,
    #[serde(default)]
    capability: OneOrMany<String>,
    #[serde(default)]
    data: OneOrMany<String>,
    when: Option<String>,
}

/// `answer` is a condition where it is words, and what `action = "answer"` says where it is a table.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnswerKey {
    Canned(AnswerTable),
    Kinds(OneOrMany<AnswerKind>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerTable {
    #[serde(default)]
    lines: OneOrMany<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewriteTable {
    #[serde(default)]
    examine: bool,
    #[serde(default)]
    peek: bool,
    #[serde(default)]
    without_flags: OneOrMany<Arc<str>>,
    #[serde(default)]
    without_items: OneOrMany<Arc<str>>,
    mailbox: Option<Arc<str>>,
    arguments: Option<Arc<str>>,
    #[serde(default)]
    hide: bool,
    text: Option<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleTable {
    #[serde(default, with = "humantime_serde")]
    delay: Option<Duration>,
    octets_per_second: Option<ByteSize>,
    messages_per_minute: Option<u64>,
    per: Option<Per>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(value: OneOrMany<T>) -> Self {
        match value {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl TryFrom<Table> for Rule {
    type Error = RuleError;

    fn try_from(mut table: Table) -> Result<Self, RuleError> {
        if table.name.is_empty() || table.name.chars().count() > 64 {
            return Err(RuleError::Name);
        }
        let name: Arc<str> = table.name.as_str().into();
        let refusal = table.refusal()?;
        let note = table.note();
        let mode = table.mode.unwrap_or(Mode::Enforce);
        let answer = table.answer.take();
        let (canned, kinds) = match answer {
            Some(AnswerKey::Canned(canned)) => (Some(canned), Vec::new()),
            Some(AnswerKey::Kinds(kinds)) => (None, kinds.into()),
            None => (None, Vec::new()),
        };
        let action = table.take_action(&name, canned)?;
        let conditions = table.into_conditions(kinds)?;
        Self::new(name, action, mode, refusal, note, conditions)
    }
}

impl Table {
    fn refusal(&self) -> Result<Refusal, RuleError> {
        let reply = match (&self.reply, self.action) {
            (Some(reply), _) => reply,
            (None, ActionKind::Answer) => "Done",
            (None, _) => "Not allowed by policy",
        };
        let reply = Template::new(reply).map_err(RuleError::Reply)?;
        let code = code(self.code.as_deref().unwrap_or("NOPERM"), &CODES)?;
        let pop3_code = code_of_pop3(self.pop3_code.as_deref())?;
        Ok(Refusal { reply, code, pop3_code })
    }

    fn note(&mut self) -> Note {
        let tags = Vec::from(std::mem::take(&mut self.tags));
        Note { level: self.log, tags, alert: self.alert, record: self.record }
    }

    fn take_action(&mut self, name: &Arc<str>, canned: Option<AnswerTable>) -> Result<Action, RuleError> {
        let (rewrite, throttle, hook) = (self.rewrite.take(), self.throttle.take(), self.hook.take());
        let surplus = [
            ("rewrite", rewrite.is_some(), ActionKind::Rewrite),
            ("throttle", throttle.is_some(), ActionKind::Throttle),
            ("hook", hook.is_some(), ActionKind::Ask),
            ("answer", canned.is_some(), ActionKind::Answer),
        ];
        if let Some((key, ..)) = surplus.into_iter().find(|(_, given, action)| *given && *action != self.action) {
            return Err(RuleError::Surplus(key, self.action.as_label()));
        }
        Ok(match self.action {
            ActionKind::Allow => Action::Allow,
            ActionKind::Deny => Action::Deny,
            ActionKind::Disconnect => Action::Disconnect,
            ActionKind::Rewrite => {
                let edit = rewrite.ok_or(RuleError::Missing("rewrite"))?.into_edit(Arc::clone(name))?;
                Action::Rewrite(Arc::new(edit))
            }
            ActionKind::Answer => Action::Answer(canned.map_or_else(|| Ok([].into()), AnswerTable::into_lines)?),
            ActionKind::Throttle => {
                let slowing = throttle.ok_or(RuleError::Missing("throttle"))?.into_slowing()?;
                Action::Throttle(Throttler::new(slowing))
            }
            ActionKind::Ask => Action::Ask(hook.ok_or(RuleError::Missing("hook"))?),
        })
    }

    fn into_conditions(self, kinds: Vec<AnswerKind>) -> Result<Vec<Condition>, RuleError> {
        let mut list = Conditions(Vec::new());
        list.put(self.protocol, Condition::Protocol);
        list.put(self.operation, Condition::Operation);
        list.put(self.effect, Condition::Effect);
        list.put(upper(self.command), Condition::Command);
        list.put(OneOrMany::Many(kinds), Condition::Answer);
        list.put(self.message, Condition::Message);
        list.put(self.nth_message, Condition::NthMessage);
        list.put(self.listener, Condition::Listener);
        list.put(self.tls, Condition::Tls);
        list.extend(self.larger_than, |size| Condition::LargerThan(size.as_u64()));
        list.extend(self.messages_over, Condition::MessagesOver);
        let networks = Vec::from(self.client)
            .into_iter()
            .map(|text: String| text.parse().map_err(|error| RuleError::Network(text, error)));
        list.put(OneOrMany::Many(networks.collect::<Result<_, _>>()?), Condition::Client);
        list.patterns(self.user, Names::Folded, Condition::User)?;
        list.patterns(self.domain, Names::Folded, Condition::Domain)?;
        let groups = Vec::from(self.group).into_iter().map(Membership::Named).collect();
        list.put(OneOrMany::Many(groups), Condition::Group);
        list.put(self.flag, Condition::Flag);
        let items = Vec::from(self.item).iter().map(|word: &String| Wanted::new(word)).collect();
        list.put(OneOrMany::Many(items), Condition::Item);
        list.put(upper(self.search_key), Condition::SearchKey);
        list.patterns(self.mailbox, Names::Mailboxes, Condition::Mailbox)?;
        list.patterns(self.server_name, Names::Folded, Condition::ServerName)?;
        list.patterns(self.certificate, Names::Folded, Condition::Certificate)?;
        list.put(upper(self.status), Condition::Status);
        list.patterns(self.code_is, Names::Folded, Condition::Code)?;
        list.patterns(self.capability, Names::Folded, Condition::Capability)?;
        list.put(upper(self.data), Condition::Data);
        let windows = Vec::from(self.time)
            .into_iter()
            .map(|text: String| text.parse().map_err(|error| RuleError::Time(text, error)));
        list.put(OneOrMany::Many(windows.collect::<Result<_, _>>()?), Condition::Time);
        let when = self.when.as_deref().map(Expression::new).transpose();
        list.extend(when.map_err(|error| RuleError::When(error.to_string()))?, |expression| {
            Condition::When(Box::new(expression))
        });
        Ok(list.0)
    }
}

/// Conditions in the order in which they are tried: what costs least and says most comes first.
struct Conditions(Vec<Condition>);

impl Conditions {
    fn put<T>(&mut self, values: OneOrMany<T>, condition: impl FnOnce(Vec<T>) -> Condition) {
        let values = Vec::from(values);
        if !values.is_empty() {
            self.0.push(condition(values));
        }
    }

    fn extend<T>(&mut self, value: Option<T>, condition: impl FnOnce(T) -> Condition) {
        self.0.extend(value.map(condition));
    }

    fn patterns(
        &mut self,
        texts: OneOrMany<String>,
        names: Names,
        condition: impl FnOnce(Patterns) -> Condition,
    ) -> Result<(), RuleError> {
        let texts = Vec::from(texts);
        if !texts.is_empty() {
            let patterns = Patterns::new(&texts, names).map_err(|(text, error)| RuleError::Pattern(text, error))?;
            self.0.push(condition(patterns));
        }
        Ok(())
    }
}

fn upper(words: OneOrMany<String>) -> OneOrMany<Arc<str>> {
    OneOrMany::Many(Vec::from(words).iter().map(|word| word.to_ascii_uppercase().into()).collect())
}

/// Response codes that say why something is refused (RFC 5530, RFC 9051 §7.1).
pub(crate) const CODES: [&str; 18] = [
    "NOPERM",
    "NONEXISTENT",
    "CANNOT",
    "LIMIT",
    "OVERQUOTA",
    "UNAVAILABLE",
    "CONTACTADMIN",
    "EXPIRED",
    "PRIVACYREQUIRED",
    "AUTHENTICATIONFAILED",
    "AUTHORIZATIONFAILED",
    "ALREADYEXISTS",
    "INUSE",
    "SERVERBUG",
    "CLIENTBUG",
    "TRYCREATE",
    "ALERT",
    NO_CODE,
];

/// Extended response codes (RFC 2449 §8, RFC 3206).
pub(crate) const POP3_CODES: [&str; 6] = ["SYS/PERM", "SYS/TEMP", "AUTH", "IN-USE", "LOGIN-DELAY", NO_CODE];

/// What stands for a refusal without a code.
const NO_CODE: &str = "none";

fn code(word: &str, among: &[&str]) -> Result<Arc<str>, RuleError> {
    if word == NO_CODE {
        return Ok("".into());
    }
    if among.contains(&word) { Ok(word.into()) } else { Err(RuleError::Code(word.to_owned())) }
}

fn code_of_pop3(word: Option<&str>) -> Result<Arc<str>, RuleError> {
    code(word.unwrap_or("SYS/PERM"), &POP3_CODES)
}

impl RewriteTable {
    fn into_edit(self, rule: Arc<str>) -> Result<Edit, RuleError> {
        let edit = Edit {
            rule,
            examine: self.examine,
            peek: self.peek,
            without_flags: self.without_flags.into(),
            without_items: self.without_items.into(),
            mailbox: self.mailbox,
            arguments: self.arguments,
            hide: self.hide,
            text: self.text,
        };
        if edit == (Edit { rule: Arc::clone(&edit.rule), ..Edit::default() }) {
            return Err(RuleError::Empty("rewrite"));
        }
        if let Some(text) = &edit.text {
            Template::new(text).map_err(RuleError::Reply)?;
        }
        let one_line = |text: &Arc<str>| !text.contains(['\r', '\n', '\0']);
        if !edit.mailbox.iter().chain(&edit.arguments).all(one_line) {
            return Err(RuleError::Line);
        }
        Ok(edit)
    }
}

impl AnswerTable {
    fn into_lines(self) -> Result<Arc<[Arc<str>]>, RuleError> {
        let lines = Vec::from(self.lines);
        let good = |line: &String| {
            // a literal could not follow (RFC 9051 §4.3)
            let printable = |c: char| c.is_ascii_graphic() || c == ' ';
            line.len() <= 1000 && line.chars().all(printable) && !line.ends_with('}')
        };
        if lines.len() > 100 || !lines.iter().all(good) {
            return Err(RuleError::Line);
        }
        Ok(lines.into_iter().map(Arc::from).collect())
    }
}

impl ThrottleTable {
    fn into_slowing(self) -> Result<Slowing, RuleError> {
        let octets_per_second = self.octets_per_second.map(|size| size.as_u64());
        let slowing = Slowing {
            delay: self.delay.unwrap_or_default(),
            octets_per_second,
            messages_per_minute: self.messages_per_minute,
            per: self.per.unwrap_or(Per::Session),
        };
        if slowing.delay.is_zero() && octets_per_second.is_none() && slowing.messages_per_minute.is_none() {
            return Err(RuleError::Empty("throttle"));
        }
        if octets_per_second == Some(0) || slowing.messages_per_minute == Some(0) {
            return Err(RuleError::Zero);
        }
        Ok(slowing)
    }
}
