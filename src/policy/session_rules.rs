//! The rules in force as one session sees them: those that can still concern it, found once and kept until its user,
//! its mailbox or the policy is another.

use std::cell::RefCell;
use std::sync::Arc;

use super::scope::{About, Looks, Scope, Sort};
use super::{Facts, Permit, Policy, PolicyHandle, SessionFacts, Verdict};

/// Answers for the policy in force as [`Policy`] does for itself, and says the same. Rules whose conditions on the session
/// do not hold are not looked at for each command.
#[derive(Debug)]
pub struct SessionRules {
    policy: PolicyHandle,
    own: RefCell<Option<Box<Own>>>,
}

/// The rules that can concern a session.
#[derive(Debug)]
struct Own {
    /// The policy's.
    stamp: Arc<()>,
    user: Option<Box<str>>,
    in_tls: bool,
    scope: Arc<Scope>,
    /// The mailbox that was selected, and those of the rules on mailboxes that are about it.
    selected: Option<(Box<str>, Arc<Scope>)>,
}

impl SessionRules {
    /// By this policy.
    #[must_use]
    pub fn new(policy: PolicyHandle) -> Self {
        Self { policy, own: RefCell::default() }
    }

    /// Judges one command.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let policy = self.policy.load();
        self.within(&policy, &facts.session, About::of(facts), |own, selected| {
            policy.judge_within(own, selected, facts)
        })
    }

    /// Judges one answer of the server.
    #[must_use]
    pub fn judge_answer(&self, facts: &Facts<'_>) -> Verdict {
        let policy = self.policy.load();
        self.within(&policy, &facts.session, About::Nothing, |own, _| policy.judge_answer_within(own, facts))
    }

    /// A permit for any command of this session, whatever else its facts are, if there is no rule that could say otherwise,
    /// report or count anything about it; none if each command must be judged by itself.
    #[must_use]
    pub fn permits_all(&self, session: &SessionFacts<'_>) -> Option<Permit> {
        let policy = self.policy.load();
        policy
            .permits_all()
            .or_else(|| self.within(&policy, session, About::Nothing, |own, _| policy.permits_all_within(session, own)))
    }

    /// The same for commands of this kind.
    #[must_use]
    pub fn permits(&self, session: &SessionFacts<'_>, sort: Sort<'_>) -> Option<Permit> {
        let policy = self.policy.load();
        policy.permits_all().or_else(|| {
            self.within(&policy, session, sort.about, |own, selected| {
                policy.permits_within(session, own, selected, sort)
            })
        })
    }

    /// What of the server's answers rules look at.
    #[must_use]
    pub fn looks(&self, session: &SessionFacts<'_>) -> Looks {
        let policy = self.policy.load();
        if policy.rules().is_empty() {
            return Looks::default();
        }
        self.within(&policy, session, About::Nothing, |own, _| policy.looks_within(session, own))
    }

    /// Does something with the rules that can concern the session, and those on mailboxes that can concern the selected one
    /// if it is about that.
    fn within<T>(
        &self,
        policy: &Policy,
        session: &SessionFacts<'_>,
        about: About<'_>,
        then: impl FnOnce(&Scope, Option<&Scope>) -> T,
    ) -> T {
        // who may yet become anybody asks little
        if !session.logged_in || policy.rules().is_empty() {
            return then(policy.everybody(session), None);
        }
        let mut own = self.own.borrow_mut();
        let own = match &mut *own {
            Some(own) if own.is_of(policy, session) => own,
            other => other.insert(Box::new(Own::new(policy, session))),
        };
        let About::Selected(name) = about else { return then(&own.scope, None) };
        if own.selected.as_ref().is_none_or(|(selected, _)| **selected != *name) {
            own.selected = Some((name.into(), policy.scope_of_mailbox(session, &own.scope, name)));
        }
        then(&own.scope, own.selected.as_ref().map(|(_, scope)| &**scope))
    }
}

impl Own {
    fn new(policy: &Policy, session: &SessionFacts<'_>) -> Self {
        Self {
            stamp: Arc::clone(policy.stamp()),
            user: session.user.map(Box::from),
            in_tls: session.tls.is_some(),
            scope: policy.scope_of(session),
            selected: None,
        }
    }

    /// The connection stays the same, and TLS once it is up.
    fn is_of(&self, policy: &Policy, session: &SessionFacts<'_>) -> bool {
        Arc::ptr_eq(&self.stamp, policy.stamp())
            && self.in_tls == session.tls.is_some()
            && self.user.as_deref() == session.user
    }
}

#[cfg(test)]
mod tests;
