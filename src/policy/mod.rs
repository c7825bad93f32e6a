//! What may be done with mail: facts in, verdict out. PURE: knows syntax, no protocol state.
//!
//! Every command passes [`Policy::judge`] before any of its octets goes up; sending up takes a
//! [`Permit`], which only this module can make, so that no path can forget to ask. Rules are
//! looked at in the order of the configuration, the first match wins, the default is to allow.

mod decision;
mod edit;
mod facts;
mod pace;
mod rule;
mod verdict;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use crate::wire::{Item, ItemKind};
pub use decision::{ActionKind, Decision, Level, Mode};
pub use edit::Edit;
pub use facts::{Answer, AnswerKind, Arguments, ClientTls, Connection, Facts, SessionFacts};
pub use pace::Pace;
pub use rule::{Action, Rule, RuleError};
pub use verdict::{Canned, Denial, Outcome, Permit, Question, Throttle, Verdict};

/// An ordered list of rules.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Absent in the live proxy.
    watch: Option<Arc<dyn Watch>>,
}

/// Told of each judgement: what tries a policy out learns so which rules a session asked, and about what.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// A command or an answer was judged.
    fn judged(&self, policy: &Policy, facts: &Facts<'_>, verdict: &Verdict);
}

impl Policy {
    /// A policy of these rules.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, watch: None }
    }

    /// The same policy, of whose judgements `watch` is told.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Judges one command. First match wins; with no match it is allowed.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let verdict = self.decide(facts);
        if let Some(watch) = &self.watch {
            watch.judged(self, facts, &verdict);
        }
        verdict
    }

    fn decide(&self, facts: &Facts<'_>) -> Verdict {
        match self.rules.iter().find(|rule| rule.matches(facts)) {
            Some(rule) if rule.action == Action::Deny => {
                let decisions = vec![rule.decision(facts)];
                Verdict { outcome: Outcome::Deny(rule.denial()), decisions }
            }
            Some(_) | None => Verdict { outcome: Outcome::Allow(Permit(())), decisions: Vec::new() },
        }
    }

    /// A permit for any command, whatever its facts, if there is no rule that could say otherwise, report or count
    /// anything about it; none if each command must be judged by itself. What [`judge`](Self::judge) says must agree.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        self.rules.is_empty().then_some(Permit(()))
    }

    /// Judges one answer of the server before the client sees it: whether, and how, it is changed.
    #[must_use]
    pub fn judge_answer(&self, _facts: &Facts<'_>) -> Verdict {
        Verdict { outcome: Outcome::Allow(Permit(())), decisions: Vec::new() }
    }

    /// Whether any rule can concern an answer; if not, none needs to be judged.
    #[must_use]
    pub fn looks_at_answers(&self) -> bool {
        false
    }

    /// Whether any rule names mailboxes; if not, data that names some needs not to be judged.
    #[must_use]
    pub fn looks_at_mailboxes(&self) -> bool {
        self.rules.iter().any(Rule::names_mailboxes)
    }

    /// A permit for the proxy's own traffic and for posture observe, where a verdict is only reported.
    #[must_use]
    pub(crate) fn own() -> Permit {
        Permit(())
    }

    /// The permit for a command that an external service, asked by a rule, allows.
    #[must_use]
    pub(crate) fn granted() -> Permit {
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

    /// Judges an answer by the policy in force at this moment.
    #[must_use]
    pub fn judge_answer(&self, facts: &Facts<'_>) -> Verdict {
        self.0.load().judge_answer(facts)
    }

    /// Whether any rule in force can concern an answer.
    #[must_use]
    pub fn looks_at_answers(&self) -> bool {
        self.0.load().looks_at_answers()
    }

    /// [`Policy::permits_all`] of the policy in force at this moment.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        self.0.load().permits_all()
    }

    /// The policy in force at this moment.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Replaces the policy; live sessions use it from their next command.
    pub fn replace(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }
}

#[cfg(test)]
mod tests;
