//! The record of what a rule decided: one type for logs, recordings and the audit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::label::labelled;
use crate::wire::{Effect, Operation};

/// What one rule said about one command or answer. Holds nothing that could be a secret: names, numbers and
/// words of closed sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The rule's name.
    pub rule: Arc<str>,
    /// What it does.
    pub action: ActionKind,
    /// Whether that was done, or only would have been.
    pub mode: Mode,
    /// Who was logged in, or tried to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The exact command in upper case, without `UID`.
    pub command: Arc<str>,
    /// What it is for.
    pub operation: Operation,
    /// What it can do.
    pub effect: Effect,
    /// The mailboxes it names, or the selected one that it acts on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mailboxes: Vec<String>,
    /// The POP3 message-number, or which message of an APPEND.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    /// How loud the log line is.
    #[serde(default)]
    pub level: Level,
    /// The rule's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// Somebody is to be told at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alert: bool,
    /// The rest of this session is to be kept as a recording.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record: bool,
}

impl Decision {
    /// What `rule` said about these facts, told in the usual way.
    pub(super) fn of(rule: &Arc<str>, action: ActionKind, mode: Mode, facts: &Facts<'_>) -> Self {
        let mailboxes = match facts.selected {
            Some(selected) if facts.mailboxes.is_empty() => vec![selected.to_owned()],
            _ => facts.mailboxes.to_vec(),
        };
        Self {
            rule: Arc::clone(rule),
            action,
            mode,
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
}

labelled! {
    /// What a rule does with what it matches.
    ActionKind {
        /// It passes.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
        /// It passes in another form.
        Rewrite = "rewrite",
        /// The proxy answers it with success.
        Answer = "answer",
        /// It passes slowly.
        Throttle = "throttle",
        /// It is refused and the session ends.
        Disconnect = "disconnect",
        /// A hook decides.
        Ask = "ask",
    }
}

labelled! {
    /// Whether a rule acts.
    Mode {
        /// It does.
        Enforce = "enforce",
        /// It only tells what it would have done; later rules are looked at as if it were not there.
        Observe = "observe",
    }
}

labelled! {
    /// How loud the log line of a decision is.
    Level {
        /// For who looks closely.
        Debug = "debug",
        /// The usual.
        Info = "info",
        /// Somebody should look.
        Warn = "warn",
        /// Somebody must look.
        Error = "error",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the set marks no default")]
impl Default for Level {
    fn default() -> Self {
        Self::Info
    }
}
