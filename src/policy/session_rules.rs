//! The rules in force as one session sees them: those that can still concern it, found once and kept until its user,
//! its mailbox or the policy is another.

use std::cell::{Cell, RefCell};

use super::scope::{About, Looks, Sort};
use super::within::Concern;
use super::{Facts, Meter, Permit, Policy, PolicyHandle, SessionFacts, Verdict};

/// Answers for the policy in force as [`Policy`] does for itself, and says the same. Rules whose conditions on the session
/// do not hold are not looked at for each command.
#[derive(Debug)]
pub struct SessionRules {
    policy: PolicyHandle,
    /// The number of a policy that permits everything to everybody, which is looked at no more; 0 if there was none.
    permissive: Cell<u64>,
    own: RefCell<Option<Box<Own>>>,
    /// How often rules were looked at for a command.
    times: Cell<u32>,
}

/// How long it takes is measured the first time, and then every so many: the clock takes as long as a few rules.
const MEASURED: u32 = 8;

/// The rules that can concern a session.
#[derive(Debug)]
struct Own {
    /// The policy's number.
    number: u64,
    /// `None` while nobody is logged in.
    user: Option<Box<str>>,
    logged_in: bool,
    in_tls: bool,
    concern: Concern,
    /// The mailbox that was selected, and the rules that can concern what is done with its messages.
    selected: Option<(Box<str>, Concern)>,
}

impl SessionRules {
    /// By the policy in force.
    #[must_use]
    pub fn new(policy: PolicyHandle) -> Self {
        Self { policy, permissive: Cell::new(0), own: RefCell::default(), times: Cell::new(0) }
    }

    /// Judges one command.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let policy = self.policy.load();
        let mut own = self.own.borrow_mut();
        let sort = Sort::of(facts);
        let candidates = Own::find(&mut own, &policy, &facts.session, sort.about).of(sort);
        let meter = self.policy.meter().filter(|_| !candidates.is_empty() && self.is_measured());
        let begun = meter.map(Meter::begin);
        let verdict = policy.judge_by(candidates, facts);
        if let (Some(meter), Some(begun)) = (meter, begun) {
            meter.decided(begun);
        }
        verdict
    }

    /// Judges one answer of the server.
    #[must_use]
    pub fn judge_answer(&self, facts: &Facts<'_>) -> Verdict {
        let policy = self.policy.load();
        let mut own = self.own.borrow_mut();
        policy.judge_answer_by(Own::find(&mut own, &policy, &facts.session, About::Nothing), facts)
    }

    /// A permit for any command of this session, whatever else its facts are, if there is no rule that could say otherwise,
    /// report or count anything about it; none if each command must be judged by itself.
    #[must_use]
    pub fn permits_all(&self, session: &SessionFacts<'_>) -> Option<Permit> {
        if self.is_permissive() {
            return Some(Policy::own());
        }
        self.ask(session, About::Nothing, Concern::permits_all)
    }

    /// The same for commands of this kind.
    #[must_use]
    pub fn permits(&self, session: &SessionFacts<'_>, sort: Sort<'_>) -> Option<Permit> {
        if self.is_permissive() {
            return Some(Policy::own());
        }
        self.ask(session, sort.about, |concern| concern.permits(sort))
    }

    /// What of the server's answers rules look at.
    #[must_use]
    pub fn looks(&self, session: &SessionFacts<'_>) -> Looks {
        if self.is_permissive() {
            return Looks::default();
        }
        self.ask(session, About::Nothing, Concern::looks)
    }

    /// Whether this is one of the times that are measured.
    fn is_measured(&self) -> bool {
        let time = self.times.get();
        self.times.set(time.wrapping_add(1));
        time.is_multiple_of(MEASURED)
    }

    /// Most policies have no rules, and all is asked of them often.
    fn is_permissive(&self) -> bool {
        self.permissive.get() == self.policy.number()
    }

    fn ask<T>(&self, session: &SessionFacts<'_>, about: About<'_>, ask: impl FnOnce(&Concern) -> T) -> T {
        let mut own = self.own.borrow_mut();
        let number = self.policy.number();
        if let Some(concern) = own.as_ref().filter(|own| own.is_of(number, session)).and_then(|own| own.about(about)) {
            return ask(concern);
        }
        let policy = self.policy.load();
        if policy.permits_all().is_some() {
            self.permissive.set(policy.number);
            return ask(&policy.concern_of_any(session));
        }
        ask(Own::find(&mut own, &policy, session, about))
    }
}

impl Own {
    /// The rules that can concern the session; of those on mailboxes, if it is about the selected one, only those that can
    /// concern that.
    fn find<'a>(
        own: &'a mut Option<Box<Self>>,
        policy: &Policy,
        session: &SessionFacts<'_>,
        about: About<'_>,
    ) -> &'a Concern {
        if own.as_ref().is_none_or(|own| !own.is_of(policy.number, session)) {
            *own = None;
        }
        let own = own.get_or_insert_with(|| Box::new(Self::new(policy, session)));
        if let About::Selected(name) = about
            && own.about(about).is_none()
        {
            own.selected = Some((name.into(), own.concern.about(policy, session, name)));
        }
        own.about(about).unwrap_or(&own.concern)
    }

    fn new(policy: &Policy, session: &SessionFacts<'_>) -> Self {
        let SessionFacts { logged_in, user, .. } = session;
        // who is not logged in may yet be anybody, and asks little
        let concern = if *logged_in { policy.concern_of(session) } else { policy.concern_of_any(session) };
        let user = user.filter(|_| *logged_in).map(Box::from);
        Self {
            number: policy.number,
            user,
            logged_in: *logged_in,
            in_tls: session.tls.is_some(),
            concern,
            selected: None,
        }
    }

    /// The connection stays the same, and TLS once it is up. Before the login what was found is for any user.
    fn is_of(&self, number: u64, session: &SessionFacts<'_>) -> bool {
        let is_same = |user: Option<&str>| !self.logged_in || self.user.as_deref() == user;
        self.number == number
            && self.logged_in == session.logged_in
            && self.in_tls == session.tls.is_some()
            && is_same(session.user)
    }

    fn about(&self, about: About<'_>) -> Option<&Concern> {
        match (about, &self.selected) {
            (About::Selected(name), Some((selected, concern))) if **selected == *name => Some(concern),
            (About::Selected(_), _) if self.concern.names_mailboxes() => None,
            _ => Some(&self.concern),
        }
    }
}

#[cfg(test)]
mod tests;
