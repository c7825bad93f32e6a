//! What may be done with mail: facts in, verdict out. PURE: knows syntax, no protocol state.
//!
//! Every command passes [`Policy::judge`] before any of its octets goes up; sending up takes a
//! [`Permit`], which only this module can make, so that no path can forget to ask. Rules are
//! looked at in the order of the configuration, the first match wins, the default is to allow.

mod rule;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use rule::{Action, Rule, RuleError};

use crate::wire::{Effect, Operation, Protocol};

/// What is known of a command when it is judged. Values are parsed and normalised: whichever
/// spelling the client used (atom, quoted, literal, case, modified UTF-7), the facts are equal.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// Who is logged in, or is trying to.
    pub user: Option<&'a str>,
    /// The login has been accepted. Without a `user` it was one that names nobody (OAUTHBEARER may, RFC 7628
    /// §3.1): a rule that denies to some users then denies, for this may be one of them.
    pub logged_in: bool,
    /// The exact command in upper case, without `UID`.
    pub command: &'a str,
    /// What it is for.
    pub operation: Operation,
    /// What it can do.
    pub effect: Effect,
    /// The mailboxes it names, decoded to Unicode, `INBOX` in upper case.
    pub mailboxes: &'a [String],
    /// The mailbox that is selected, if the command acts on its messages (COPY and MOVE take from it).
    pub selected: Option<&'a str>,
    /// The POP3 message-number it names.
    pub message: Option<u32>,
    /// Which of the messages that the command brings is judged, from 1 (RFC 3502: an APPEND may bring several).
    pub nth_message: Option<u32>,
}

/// Proof that a command was judged and may go up.
#[derive(Debug)]
pub struct Permit(());

/// The policy's answer.
#[derive(Debug)]
pub enum Verdict {
    /// It may go up.
    Allow(Permit),
    /// It may not; the session answers for the server.
    Deny(Denial),
}

/// A refusal and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The sentence for the client; one line of printable ASCII, without a response code.
    pub reply: Arc<str>,
}

/// An ordered list of rules.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// A policy of these rules.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Judges one command. First match wins; with no match it is allowed.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        match self.rules.iter().find(|rule| rule.matches(facts)) {
            Some(rule) if rule.action == Action::Deny => {
                Verdict::Deny(Denial { rule: Arc::clone(&rule.name), reply: Arc::clone(&rule.reply) })
            }
            Some(_) | None => Verdict::Allow(Permit(())),
        }
    }

    /// A permit for any command, whatever its facts, if there is no rule that could say otherwise, report or count
    /// anything about it; none if each command must be judged by itself.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        self.rules.is_empty().then_some(Permit(()))
    }

    /// A permit for the proxy's own traffic and for posture observe, where a verdict is only reported.
    #[must_use]
    pub(crate) fn own() -> Permit {
        Permit(())
    }
}

/// The policy in force, shared by all sessions and replaced as a whole.
#[derive(Debug, Clone)]
pub struct PolicyHandle(Arc<ArcSwap<Policy>>);

impl PolicyHandle {
    /// Puts `policy` in force.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// Judges by the policy in force at this moment.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        self.0.load().judge(facts)
    }

    /// [`Policy::permits_all`] of the policy in force at this moment.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        self.0.load().permits_all()
    }

    /// Replaces the policy; live sessions use it from their next command.
    pub fn replace(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }
}

#[cfg(test)]
mod tests;
