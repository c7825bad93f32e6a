//! A policy that is rehearsed: its rules, and which of them a case matched.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::play::Played;
use super::suite::SuiteError;
use crate::policy::{ActionKind, Explanation, Facts, Fallback, Group, Policy, PolicyHandle, Rule, Verdict, Watch};

/// A policy as a file says it.
#[derive(Debug)]
pub struct Rehearsed {
    handle: PolicyHandle,
    names: Vec<String>,
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
    fn judged(&self, policy: &Policy, facts: &Facts<'_>, _verdict: &Verdict) {
        let explanation = policy.explain(facts);
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matched = explanation.rules.iter().filter(|rule| rule.matches());
        asked.matched.extend(matched.map(|rule| rule.name.clone()));
        asked.now.push(explanation);
    }
}

/// The sections of a file that are about rules; what else a configuration has is not looked at.
#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    group: Vec<GroupTable>,
    #[serde(default)]
    policy: Section,
}

#[derive(serde::Deserialize)]
struct GroupTable {
    name: String,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Default, serde::Deserialize)]
struct Section {
    default: Option<Fallback>,
}

impl Rehearsed {
    /// Reads a policy's file: a whole configuration, or one that is included in such.
    pub fn read(path: &Path) -> Result<Self, SuiteError> {
        let text = std::fs::read_to_string(path).map_err(|error| SuiteError::Read(path.to_owned(), error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a policy from a text that is called `name` in errors.
    pub fn parse(name: &str, text: &str) -> Result<Self, SuiteError> {
        let broken = |why: String| SuiteError::Broken { text: format!("{name}: {why}") };
        let file: File = toml::from_str(text).map_err(|error| broken(error.to_string()))?;
        let group = |table: &GroupTable| {
            Group::new(&table.name, table.members.iter().map(String::as_str))
                .map(Arc::new)
                .map_err(|(member, why)| broken(format!("`{member}` is no member of a group: {why}")))
        };
        let groups = file.group.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(Policy::build(file.rule, &groups, file.policy.default.unwrap_or(Fallback::Allow))))
    }

    /// A policy, to be watched.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let names = policy.rules().iter().map(|rule| rule.name().to_owned()).collect();
        let asked = Arc::default();
        let policy = policy.watched(Arc::new(Watcher(Arc::clone(&asked))));
        Self { handle: PolicyHandle::new(policy), names, asked }
    }

    /// Its rules' names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
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

    /// What was asked on the way to where a case begins is no part of it.
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
