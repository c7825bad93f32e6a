//! Why the policy says what it says: each rule that is looked at, and each of its conditions with what it was held
//! against. For people; the live proxy does not explain itself.

use std::time::Duration;

use super::condition::{Condition, Stance, Wanted};
use super::decision::{ActionKind, Decision, Mode};
use super::facts::Facts;
use super::rule::Rule;
use super::verdict::{Outcome, Verdict};
use super::{Fallback, Policy, is_for_everybody};

/// Why a command or an answer is judged as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was judged, for a person: `SELECT Board`, or `data LIST Board` for an answer.
    pub subject: String,
    /// The rules that were looked at, in order, up to the one that decided.
    pub rules: Vec<Looked>,
    /// The action that is taken.
    pub action: ActionKind,
    /// The rule that takes it; `None` if the default decides.
    pub rule: Option<String>,
    /// What is logged of it, of rules that would have acted too.
    pub decisions: Vec<Decision>,
    /// How long it waits before it goes up.
    pub wait: Duration,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Its name.
    pub name: String,
    /// What it does.
    pub action: ActionKind,
    /// Whether it acts.
    pub mode: Mode,
    /// Its conditions, in the order in which they were looked at.
    pub conditions: Vec<Held>,
}

impl Looked {
    /// Whether all conditions hold.
    #[must_use]
    pub fn matches(&self) -> bool {
        self.conditions.iter().all(|condition| condition.holds)
    }
}

/// One condition and what it was held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The key of the rule.
    pub key: &'static str,
    /// What the rule wants.
    pub wanted: String,
    /// What there was; empty if nothing is known.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Policy {
    /// Why [`judge`](Self::judge) or, for an answer, [`judge_answer`](Self::judge_answer) says `verdict`.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>, verdict: &Verdict) -> Explanation {
        let decisions = verdict.decisions.clone();
        let wait = if let Outcome::Throttle(_, throttle) = &verdict.outcome { throttle.wait } else { Duration::ZERO };
        let subject = subject(facts);
        let mut rules = Vec::new();
        for rule in self.rules.iter().filter(|rule| is_for(rule, facts)) {
            rules.push(look(rule, facts));
            if rule.mode == Mode::Enforce && rule.matches(facts) {
                let (action, rule) = (rule.kind(), Some(rule.name().to_owned()));
                return Explanation { subject, rules, action, rule, decisions, wait };
            }
        }
        let passes = facts.answer.is_some() || self.fallback == Fallback::Allow || is_for_everybody(facts.operation);
        let action = if passes { ActionKind::Allow } else { ActionKind::Deny };
        Explanation { subject, rules, action, rule: None, decisions, wait }
    }
}

/// Whether a rule is looked at: each is made for commands or for answers; one that guards mailboxes is for both.
fn is_for(rule: &Rule, facts: &Facts<'_>) -> bool {
    match &facts.answer {
        Some(answer) => rule.concerns(answer.kind, !facts.mailboxes.is_empty()),
        None => !rule.is_for_answers(),
    }
}

fn look(rule: &Rule, facts: &Facts<'_>) -> Looked {
    let stance = rule.stance();
    let held = |condition: &Condition| Held {
        key: condition.key(),
        wanted: condition.wanted().join(" or "),
        found: condition.found(facts, stance),
        holds: condition.holds(facts, stance),
    };
    Looked {
        name: rule.name().to_owned(),
        action: rule.kind(),
        mode: rule.mode,
        conditions: rule.conditions.iter().map(held).collect(),
    }
}

fn subject(facts: &Facts<'_>) -> String {
    let what = match &facts.answer {
        None => facts.command.to_owned(),
        Some(answer) => {
            let name = [answer.status, answer.data, answer.capability].into_iter().flatten().next().unwrap_or_default();
            format!("{} {name}", answer.kind.as_label())
        }
    };
    let names = facts.mailboxes.iter().map(String::as_str);
    let message = facts.message.map(|number| number.to_string());
    std::iter::once(what.as_str()).chain(names).chain(message.as_deref()).collect::<Vec<_>>().join(" ")
}

impl Condition {
    /// The key in a `[[rule]]`.
    fn key(&self) -> &'static str {
        match self {
            Self::Listener(_) => "listener",
            Self::Protocol(_) => "protocol",
            Self::Client(_) => "client",
            Self::Tls(_) => "tls",
            Self::ServerName(_) => "server_name",
            Self::Certificate(_) => "certificate",
            Self::Time(_) => "time",
            Self::User(_) => "user",
            Self::Domain(_) => "domain",
            Self::Group(_) => "group",
            Self::Command(_) => "command",
            Self::Operation(_) => "operation",
            Self::Effect(_) => "effect",
            Self::Mailbox(_) => "mailbox",
            Self::Flag(_) => "flag",
            Self::Item(_) => "item",
            Self::LargerThan(_) => "larger_than",
            Self::SearchKey(_) => "search_key",
            Self::MessagesOver(_) => "messages_over",
            Self::Message(_) => "message",
            Self::NthMessage(_) => "nth_message",
            Self::Answer(_) => "answer",
            Self::Status(_) => "status",
            Self::Code(_) => "code_is",
            Self::Capability(_) => "capability",
            Self::Data(_) => "data",
            Self::When(_) => "when",
        }
    }

    /// What the rule gives, each value as it is written.
    fn wanted(&self) -> Vec<String> {
        fn words<T: ToString>(values: &[T]) -> Vec<String> {
            values.iter().map(T::to_string).collect()
        }
        match self {
            Self::Protocol(protocols) => protocols.iter().map(|protocol| protocol.as_label().to_owned()).collect(),
            Self::Client(networks) => words(networks),
            Self::ServerName(patterns)
            | Self::Certificate(patterns)
            | Self::User(patterns)
            | Self::Domain(patterns)
            | Self::Mailbox(patterns)
            | Self::Code(patterns)
            | Self::Capability(patterns) => patterns.texts().map(str::to_owned).collect(),
            Self::Time(windows) => windows.iter().map(|window| window.text().to_owned()).collect(),
            Self::Group(groups) => groups.iter().map(|group| group.name().to_string()).collect(),
            Self::Listener(words_given)
            | Self::Tls(words_given)
            | Self::Command(words_given)
            | Self::Flag(words_given)
            | Self::SearchKey(words_given)
            | Self::Status(words_given)
            | Self::Data(words_given) => words(words_given),
            Self::Operation(operations) => operations.iter().map(|one| one.as_label().to_owned()).collect(),
            Self::Effect(effects) => effects.iter().map(|one| one.as_label().to_owned()).collect(),
            Self::Item(items) => items.iter().map(Wanted::word).map(str::to_owned).collect(),
            Self::LargerThan(size) => vec![octets(*size)],
            Self::MessagesOver(most) => vec![most.to_string()],
            Self::Message(numbers) | Self::NthMessage(numbers) => words(numbers),
            Self::Answer(kinds) => kinds.iter().map(|kind| kind.as_label().to_owned()).collect(),
            Self::When(expression) => vec![expression.text().to_owned()],
        }
    }

    /// What there is; empty if it is not known or there is none.
    fn found(&self, facts: &Facts<'_>, stance: Stance) -> String {
        let session = &facts.session;
        let tls = session.tls;
        let or_nothing = |text: Option<&str>| text.unwrap_or_default().to_owned();
        match self {
            Self::Listener(_) => session.connection.listener.to_string(),
            Self::Protocol(_) => session.connection.protocol.as_label().to_owned(),
            Self::Client(_) => session.connection.client.to_string(),
            Self::Tls(_) => tls.map_or("none", |tls| tls.version).to_owned(),
            Self::ServerName(_) => or_nothing(tls.and_then(|tls| tls.server_name.as_deref())),
            Self::Certificate(_) => or_nothing(tls.and_then(|tls| tls.subject.as_deref())),
            Self::Time(_) => {
                jiff::Timestamp::from_second(session.unix_seconds()).map(|time| time.to_string()).unwrap_or_default()
            }
            Self::User(_) | Self::Group(_) => or_nothing(session.user),
            Self::Domain(_) => {
                or_nothing(session.user.and_then(|user| user.rsplit_once('@')).map(|(_, domain)| domain))
            }
            Self::Command(_) => facts.command.to_owned(),
            Self::Operation(_) => facts.operation.as_label().to_owned(),
            Self::Effect(_) => facts.effect.as_label().to_owned(),
            Self::Mailbox(_) => found_mailboxes(facts),
            Self::Flag(_) | Self::Item(_) | Self::LargerThan(_) | Self::SearchKey(_) | Self::MessagesOver(_) => {
                self.found_arguments(facts)
            }
            Self::Message(_) => facts.message.map(|number| number.to_string()).unwrap_or_default(),
            Self::NthMessage(_) => facts.nth_message.map(|number| number.to_string()).unwrap_or_default(),
            Self::Answer(_) => or_nothing(facts.answer.map(|answer| answer.kind.as_label())),
            Self::Status(_) => or_nothing(facts.answer.and_then(|answer| answer.status)),
            Self::Code(_) => or_nothing(facts.answer.and_then(|answer| answer.code)),
            Self::Capability(_) => or_nothing(facts.answer.and_then(|answer| answer.capability)),
            Self::Data(_) => or_nothing(facts.answer.and_then(|answer| answer.data)),
            Self::When(expression) => expression.found(facts, stance),
        }
    }

    fn found_arguments(&self, facts: &Facts<'_>) -> String {
        let arguments = &facts.arguments;
        match self {
            Self::Flag(_) => arguments.flags.join(" "),
            Self::Item(_) => {
                let named = |item: &super::Item| format!("{} ({})", item.name, item.kind.as_label());
                arguments.items.iter().map(named).collect::<Vec<_>>().join(", ")
            }
            Self::SearchKey(_) => arguments.keys.join(" "),
            Self::LargerThan(_) => arguments.size.map(octets).unwrap_or_default(),
            Self::MessagesOver(_) => arguments.messages.map(|count| count.to_string()).unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// Without a unit that would round it.
fn octets(size: u64) -> String {
    format!("{size} octets")
}

fn found_mailboxes(facts: &Facts<'_>) -> String {
    let selected = facts.selected.map(|name| format!("{name} (selected)"));
    let further = facts.arguments.reaches_further.then(|| "others that it does not name".to_owned());
    facts.mailboxes.iter().cloned().chain(selected).chain(further).collect::<Vec<_>>().join(", ")
}
