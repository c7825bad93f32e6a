//! One rule of the configuration: conditions that must all hold, and an action.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use super::{ActionKind, Decision, Denial, Facts, Level, Mode};
use crate::wire::{Effect, Operation};

/// A `[[rule]]` table. Every condition that is given must hold; one that is not given always holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Table")]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) action: Action,
    pub(super) reply: Arc<str>,
    user: Vec<GlobMatcher>,
    command: Vec<String>,
    operation: Vec<Operation>,
    effect: Vec<Effect>,
    mailbox: Vec<GlobMatcher>,
    message: Option<u32>,
    nth_message: Option<u32>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The command goes up.
    Allow,
    /// The command is refused with the rule's reply.
    Deny,
}

/// Why a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The operator's pattern is not a glob.
    #[error("`{0}` is not a pattern: {1}")]
    Pattern(String, #[source] globset::Error),
    /// The reply would break the protocol.
    #[error("a reply is one line of at most 200 printable ASCII characters")]
    Reply,
    /// A rule without a name cannot be reported.
    #[error("a rule needs a name of 1 to 64 characters")]
    Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    action: Action,
    #[serde(default)]
    reply: Option<String>,
    #[serde(default)]
    user: OneOrMany<String>,
    #[serde(default)]
    command: OneOrMany<String>,
    #[serde(default)]
    operation: OneOrMany<Operation>,
    #[serde(default)]
    effect: OneOrMany<Effect>,
    #[serde(default)]
    mailbox: OneOrMany<String>,
    #[serde(default)]
    message: Option<u32>,
    #[serde(default)]
    nth_message: Option<u32>,
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

    fn try_from(table: Table) -> Result<Self, RuleError> {
        if table.name.is_empty() || table.name.chars().count() > 64 {
            return Err(RuleError::Name);
        }
        let reply = table.reply.unwrap_or_else(|| "Not allowed by policy".to_owned());
        Self::check_reply(&reply)?;
        Ok(Self {
            name: table.name.into(),
            action: table.action,
            reply: reply.into(),
            user: globs(table.user.into(), true)?,
            command: Vec::from(table.command).iter().map(|name| name.to_ascii_uppercase()).collect(),
            operation: table.operation.into(),
            effect: table.effect.into(),
            mailbox: globs(table.mailbox.into(), false)?,
            message: table.message,
            nth_message: table.nth_message,
        })
    }
}

fn globs(patterns: Vec<String>, fold_case: bool) -> Result<Vec<GlobMatcher>, RuleError> {
    let compile =
        |pattern: String| glob(&pattern, fold_case).map_err(|error| RuleError::Pattern(pattern.clone(), error));
    patterns.into_iter().map(compile).collect()
}

fn glob(pattern: &str, fold_case: bool) -> Result<GlobMatcher, globset::Error> {
    // INBOX is the one name that is compared without regard to case (RFC 9051 §5.1)
    let folded = if pattern.eq_ignore_ascii_case("INBOX") { "INBOX" } else { pattern };
    let glob = GlobBuilder::new(folded).case_insensitive(fold_case).literal_separator(!fold_case).build()?;
    Ok(glob.compile_matcher())
}

impl Rule {
    /// Whether `pattern` can be a condition; the error says what is wrong with it.
    pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
        glob(pattern, false).map(|_| ()).map_err(|error| error.kind().to_string())
    }

    /// Whether `reply` can be sent to a client without breaking the protocol.
    pub(crate) fn check_reply(reply: &str) -> Result<(), RuleError> {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        let good = (1..=200).contains(&reply.len()) && reply.chars().all(printable) && !reply.starts_with('[');
        if good { Ok(()) } else { Err(RuleError::Reply) }
    }

    pub(super) fn names_mailboxes(&self) -> bool {
        !self.mailbox.is_empty()
    }

    pub(super) fn denial(&self) -> Denial {
        Denial {
            rule: Arc::clone(&self.name),
            code: "NOPERM".into(),
            pop3_code: "SYS/PERM".into(),
            reply: Arc::clone(&self.reply),
        }
    }

    pub(super) fn decision(&self, facts: &Facts<'_>) -> Decision {
        let mailboxes = match facts.selected {
            Some(selected) if facts.mailboxes.is_empty() => vec![selected.to_owned()],
            _ => facts.mailboxes.to_vec(),
        };
        Decision {
            rule: Arc::clone(&self.name),
            action: match self.action {
                Action::Allow => ActionKind::Allow,
                Action::Deny => ActionKind::Deny,
            },
            mode: Mode::Enforce,
            user: facts.session.user.map(Arc::from),
            command: facts.command.into(),
            operation: facts.operation,
            effect: facts.effect,
            mailboxes,
            message: facts.message.or(facts.nth_message),
            level: Level::default(),
            tags: Vec::new(),
            alert: false,
            record: false,
        }
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        let user = |user: &str| self.user.iter().any(|glob| glob.is_match(user));
        let mailbox = |name: &str| self.matches_mailbox(name);
        let nameless = facts.session.user.is_none() && facts.session.logged_in && self.action == Action::Deny;
        (self.user.is_empty() || facts.session.user.is_some_and(user) || nameless)
            && (self.command.is_empty() || self.command.iter().any(|name| name == facts.command))
            && (self.operation.is_empty() || self.operation.contains(&facts.operation))
            && (self.effect.is_empty() || self.effect.contains(&facts.effect))
            && (self.mailbox.is_empty()
                || facts.mailboxes.iter().any(|name| mailbox(name))
                || facts.selected.is_some_and(mailbox))
            && (self.message.is_none() || self.message == facts.message)
            && (self.nth_message.is_none() || self.nth_message == facts.nth_message)
    }

    /// Servers differ in whether `Secret/` and `/Secret` are other mailboxes than `Secret`: whoever is
    /// refused it is refused these too, and whoever is allowed it is not thereby allowed them.
    fn matches_mailbox(&self, name: &str) -> bool {
        let matches = |name: &str| self.mailbox.iter().any(|glob| glob.is_match(name));
        match (without_empty_levels(name), self.action) {
            (None, _) => matches(name),
            (Some(plain), Action::Deny) => matches(name) || matches(&plain),
            (Some(plain), Action::Allow) => matches(name) && matches(&plain),
        }
    }
}

/// The name without the levels of hierarchy that have no name, if it has such: Cyrus takes `Secret/`,
/// `/Secret` and `a//b` for `Secret` and `a/b`. Either of the separators that servers use may be meant.
fn without_empty_levels(name: &str) -> Option<String> {
    let is_separator = |letter: char| letter == '/' || letter == '.';
    let mut plain = String::with_capacity(name.len());
    for letter in name.trim_matches(is_separator).chars() {
        if !(is_separator(letter) && plain.ends_with(letter)) {
            plain.push(letter);
        }
    }
    (plain.len() != name.len() && !plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::{Rule, without_empty_levels};

    #[test]
    fn finds_the_name_behind_levels_without_one() {
        let rows = [
            ("Secret/", Some("Secret")),
            ("/Secret", Some("Secret")),
            ("a//b", Some("a/b")),
            ("a..b./", Some("a.b")),
            ("a/b", None),
            ("Secret", None),
            ("", None),
            ("/", None),
        ];
        for (name, plain) in rows {
            assert_eq!(without_empty_levels(name).as_deref(), plain, "{name:?}");
        }
    }

    #[test]
    fn a_denied_mailbox_is_denied_with_empty_levels_and_an_allowed_one_not_allowed_by_them() {
        let rule = |action: &str| -> Rule {
            toml::from_str(&format!("name = \"r\"\naction = \"{action}\"\nmailbox = \"Secret\"")).expect("a rule")
        };
        let rows =
            [("Secret", true, true), ("Secret/", true, false), ("//Secret", true, false), ("Secrets", false, false)];
        for (name, denied, allowed) in rows {
            assert_eq!(rule("deny").matches_mailbox(name), denied, "{name:?}");
            assert_eq!(rule("allow").matches_mailbox(name), allowed, "{name:?}");
        }
    }
}
