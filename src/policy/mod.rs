//! What may be done with mail: facts in, verdict out. PURE: knows syntax, no protocol state.
//!
//! Every command passes [`Policy::judge`] before any of its octets goes up; sending up takes a
//! [`Permit`], which only this module can make, so that no path can forget to ask. Rules are
//! looked at in the order of the configuration, the first match wins, and where none matches the default
//! decides, which is to allow unless the configuration says otherwise.

mod condition;
mod decision;
mod edit;
mod explain;
mod expression;
mod facts;
mod group;
mod handle;
mod index;
mod meter;
mod network;
mod pace;
mod pattern;
mod question;
mod rule;
mod scope;
mod session_rules;
mod table;
mod template;
mod throttle;
mod verdict;
mod window;
mod within;

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

pub use decision::{ActionKind, Decision, Level, Mode};
pub use edit::Edit;
pub use explain::{Explanation, Held, Looked};
pub use expression::Attribute;
pub(crate) use expression::{Expression, ExpressionError, Fault};
pub use facts::{Answer, AnswerKind, Arguments, ClientTls, Connection, Facts, SessionFacts};
pub use group::Group;
pub use handle::PolicyHandle;
pub use meter::Meter;
pub use pace::Pace;
pub use rule::{Rule, RuleError};
pub(crate) use rule::{check_network, check_time, network_of};
pub use scope::{About, Looks, Sort};
pub use session_rules::SessionRules;
pub(crate) use table::{CODES, POP3_CODES};
pub(crate) use template::places;
pub use throttle::Per;
pub use verdict::{Canned, Denial, Outcome, Permit, Question, Throttle, Verdict};

pub use crate::wire::{Item, ItemKind};

use crate::label::labelled;
use crate::wire::{Operation, Protocol};
use condition::{Condition, Membership};
use rule::Action;
use scope::{Scope, Scopes};

labelled! {
    /// What becomes of a command that no rule matches.
    Fallback {
        /// It passes.
        Allow = "allow",
        /// It is refused, unless it is what every session needs: to connect and log in, CAPABILITY, NOOP, LOGOUT and
        /// their like.
        Deny = "deny",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the set marks no default")]
impl Default for Fallback {
    fn default() -> Self {
        Self::Allow
    }
}

/// An ordered list of rules, ready to judge.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    fallback: Fallback,
    /// How often an expression could not be computed.
    failures: Arc<AtomicU64>,
    /// Of each protocol: rules that ask nothing of the session.
    common: [Arc<Scope>; 2],
    /// Of each protocol: the others, whoever the session's user is.
    everybody: [Arc<Scope>; 2],
    /// Those of sessions.
    scopes: Scopes,
    /// Among those that were in force, from 1.
    number: u64,
    /// Absent in the live proxy.
    watch: Option<Arc<dyn Watch>>,
}

/// Told of each judgement: what tries a policy out learns so which rules a session asked, and about what.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// A command or an answer was judged.
    fn judged(&self, policy: &Policy, facts: &Facts<'_>, verdict: &Verdict);
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// What a denial by the default is called in decisions.
pub const FALLBACK: &str = "default";

impl Policy {
    /// A policy of these rules, which name no group; what none matches passes.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self::build(rules, &[], Fallback::Allow)
    }

    /// A policy of these rules. A group that rules name and that is not given has no members.
    #[must_use]
    pub fn build(mut rules: Vec<Rule>, groups: &[Arc<Group>], fallback: Fallback) -> Self {
        for membership in rules.iter_mut().flat_map(|rule| &mut rule.conditions).filter_map(memberships).flatten() {
            if let Some(group) = groups.iter().find(|group| group.name() == membership.name()) {
                *membership = Membership::Of(Arc::clone(group));
            }
        }
        let failures = Arc::default();
        for expression in rules.iter_mut().flat_map(Rule::expressions) {
            expression.bind(groups);
            expression.count_in(&failures);
        }
        let pick = |of: fn(&Rule) -> bool| {
            [Protocol::Imap, Protocol::Pop3].map(|protocol| {
                let is_for = |rule: &&Rule| rule.may_be_of(protocol) && of(rule);
                let numbers = (0..).zip(&rules).filter(|(_, rule)| is_for(rule)).map(|(number, _)| number);
                Arc::new(Scope::new(&rules, &numbers.collect::<Vec<_>>()))
            })
        };
        let (common, everybody) = (pick(|rule| !rule.asks_of_session()), pick(Rule::asks_of_session));
        Self { rules, fallback, common, everybody, scopes: Scopes::default(), number: 0, failures, watch: None }
    }

    /// The same policy, of whose judgements `watch` is told.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Judges one command. First match wins; with no match the default decides.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        self.judge_by(self.concern_of_any(&facts.session).of(Sort::of(facts)), facts)
    }

    fn tell(&self, facts: &Facts<'_>, verdict: Verdict) -> Verdict {
        if let Some(watch) = &self.watch {
            watch.judged(self, facts, &verdict);
        }
        verdict
    }

    /// Judges one answer of the server before the client sees it: whether, and how, it is changed. What is denied is
    /// not shown.
    #[must_use]
    pub fn judge_answer(&self, facts: &Facts<'_>) -> Verdict {
        self.judge_answer_by(&self.concern_of_any(&facts.session), facts)
    }

    /// What the first of these rules that matches says; if none does, those that only would have said something.
    fn first_match<'a>(rules: impl Iterator<Item = &'a Rule>, facts: &Facts<'_>) -> Result<Verdict, Vec<Decision>> {
        let mut decisions = Vec::new();
        for rule in rules.filter(|rule| rule.matches(facts)) {
            if rule.is_told() {
                decisions.push(rule.decision(facts));
            }
            if rule.mode == Mode::Enforce {
                return Ok(Verdict { outcome: rule.outcome(facts), decisions });
            }
        }
        Err(decisions)
    }

    fn fall_back(&self, facts: &Facts<'_>, mut decisions: Vec<Decision>) -> Verdict {
        if self.fallback == Fallback::Allow || is_for_everybody(facts.operation) {
            return allowed(decisions);
        }
        let rule: Arc<str> = FALLBACK.into();
        decisions.push(Decision::of(&rule, ActionKind::Deny, Mode::Enforce, facts));
        let (code, pop3_code, reply) = ("NOPERM".into(), "SYS/PERM".into(), "Not allowed by policy".into());
        Verdict { outcome: Outcome::Deny(Denial { rule, code, pop3_code, reply }), decisions }
    }

    /// A permit for any command, whatever its facts, if there is no rule that could say otherwise, report or count
    /// anything about it; none if each command must be judged by itself. What [`judge`](Self::judge) says must agree.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        (self.rules.is_empty() && self.fallback == Fallback::Allow && self.watch.is_none()).then_some(Permit(()))
    }

    /// Under what names it is told of decisions, by which action and in which mode: each rule whose matches are told,
    /// and the default where it denies.
    pub fn told(&self) -> impl Iterator<Item = (Arc<str>, ActionKind, Mode)> {
        let rules = self.rules.iter().filter(|rule| rule.is_told());
        let fallback = (self.fallback == Fallback::Deny).then(|| (FALLBACK.into(), ActionKind::Deny, Mode::Enforce));
        rules.map(|rule| (Arc::clone(&rule.name), rule.kind(), rule.mode)).chain(fallback)
    }

    /// Its rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How often the expression of a rule could not be computed, as where it divides by zero. That counts as not known.
    #[must_use]
    pub fn expression_failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Throttles of rules that stand in `other` too, and say the same, go on with what they counted; so do expressions.
    pub fn inherit(&mut self, other: &Self) {
        self.failures = Arc::clone(&other.failures);
        for expression in self.rules.iter_mut().flat_map(Rule::expressions) {
            expression.count_in(&other.failures);
        }
        for rule in &mut self.rules {
            let Action::Throttle(throttler) = &mut rule.action else { continue };
            let old = other.rules.iter().find(|old| old.name == rule.name);
            if let Some(Action::Throttle(old)) = old.map(|old| &old.action) {
                throttler.inherit(old);
            }
        }
    }

    /// Throttles forget what was taken of them, as if the policy had just been made.
    pub fn forget_taken(&self) {
        for rule in &self.rules {
            if let Action::Throttle(throttler) = &rule.action {
                throttler.forget();
            }
        }
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

fn allowed(decisions: Vec<Decision>) -> Verdict {
    Verdict { outcome: Outcome::Allow(Permit(())), decisions }
}

/// What a session needs before anything can be asked of it.
fn is_for_everybody(operation: Operation) -> bool {
    use Operation::{Authenticate, Capability, Connect, Logout, Noop};
    matches!(operation, Connect | Authenticate | Capability | Noop | Logout)
}

fn memberships(condition: &mut Condition) -> Option<&mut Vec<Membership>> {
    if let Condition::Group(groups) = condition { Some(groups) } else { None }
}

#[cfg(test)]
mod tests;
