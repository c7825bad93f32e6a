//! A policy that is rehearsed: its rules, and which of them a case matched.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::case::{Given, OneOrMany};
use super::play::Played;
use crate::config::{ConfigErrors, Loaded};
use crate::policy::{ActionKind, Explanation, Facts, Group, Policy, PolicyHandle, Verdict, Watch};

/// A policy as a file says it.
#[derive(Debug)]
pub struct Rehearsed {
    handle: PolicyHandle,
    names: Vec<String>,
    groups: Vec<Arc<Group>>,
    asked: Arc<Mutex<Asked>>,
}

/// What the policy was asked.
#[derive(Debug, Default)]
struct Asked {
    /// Since the case began, in order.
    now: Vec<Explanation>,
    /// The rules that ever matched.
    matched: BTreeSet<String>,
}

#[derive(Debug)]
struct Watcher(Arc<Mutex<Asked>>);

impl Watch for Watcher {
    fn judged(&self, policy: &Policy, facts: &Facts<'_>, verdict: &Verdict) {
        let explanation = policy.explain(facts, verdict);
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matched = explanation.rules.iter().filter(|rule| rule.matches());
        asked.matched.extend(matched.map(|rule| rule.name.clone()));
        asked.now.push(explanation);
    }
}

impl Rehearsed {
    /// Reads a policy's file: a whole configuration, or one that is included in such.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        Loaded::read_rules(path).map(|loaded| Self::of(&loaded))
    }

    /// Reads a policy from a text that is called `name` in errors; files that it names are not read.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        Loaded::parse_rules(name, text).map(|loaded| Self::of(&loaded))
    }

    fn of(loaded: &Loaded) -> Self {
        let groups = loaded.config.groups.iter().map(|group| Arc::clone(&group.group)).collect();
        Self { groups, ..Self::new(loaded.config.make_policy()) }
    }

    /// A policy, to be watched.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let names = policy.rules().iter().map(|rule| rule.name().to_owned()).collect();
        let asked = Arc::default();
        let policy = policy.watched(Arc::new(Watcher(Arc::clone(&asked))));
        Self { handle: PolicyHandle::new(policy), names, groups: Vec::new(), asked }
    }

    /// Its rules' names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The same facts with a user who is in the groups that they name. The error says why there is none.
    pub fn settle(&self, given: Given) -> Result<Given, String> {
        let names = match &given.group {
            None => &[],
            Some(OneOrMany::One(name)) => std::slice::from_ref(name),
            Some(OneOrMany::Many(names)) => names.as_slice(),
        };
        let find = |name: &String| {
            let group = self.groups.iter().find(|group| **group.name() == **name);
            group.ok_or_else(|| format!("no group is called `{name}`"))
        };
        let groups = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let Some((first, others)) = groups.split_first() else { return Ok(given) };
        let user = match given.user.as_deref() {
            Some(user) => match groups.iter().find(|group| !group.contains(user)) {
                None => user,
                Some(group) => return Err(format!("`{user}` is not in the group `{}`", group.name())),
            },
            None if others.is_empty() => {
                let name = first.name();
                first.members().next().ok_or_else(|| format!("the group `{name}` names no user; say `user` too"))?
            }
            None => {
                let is_in_all = |user: &&str| groups.iter().all(|group| group.contains(user));
                let mut users = groups.iter().flat_map(|group| group.members());
                users.find(is_in_all).ok_or_else(|| {
                    format!("no user is named who is in all of the groups `{}`; say `user` too", names.join("`, `"))
                })?
            }
        };
        Ok(Given { user: Some(user.to_owned()), ..given })
    }

    /// The policy, for a session.
    #[must_use]
    pub fn handle(&self) -> PolicyHandle {
        self.handle.clone()
    }

    /// Whether a case matched this rule.
    #[must_use]
    pub fn has_matched(&self, rule: &str) -> bool {
        self.lock().matched.contains(rule)
    }

    /// A case begins: what was asked on the way there, and what throttles let through before, is no part of it.
    pub fn begin(&self) {
        self.forget_the_way();
        self.handle.current().forget_taken();
    }

    /// What was asked until now is no part of what comes.
    pub fn forget_the_way(&self) {
        self.lock().now.clear();
    }

    /// What was asked since then, and why it was decided so.
    #[must_use]
    pub fn explanations(&self) -> Vec<Explanation> {
        self.lock().now.clone()
    }

    /// What was done to a case, and by which rule: the first that did more than to let it pass.
    #[must_use]
    pub fn verdict(&self, played: &Played) -> (ActionKind, Option<String>) {
        let acted = played.enforced().find(|decision| decision.action != ActionKind::Allow);
        match acted {
            Some(decision) => (decision.action, Some(decision.rule.to_string())),
            None => (ActionKind::Allow, self.lock().now.iter().find_map(|asked| asked.rule.clone())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
