//! A policy that is rehearsed: its rules, and which of them a case matched.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::play::Played;
use super::suite::SuiteError;
use crate::policy::{ActionKind, Facts, Policy, PolicyHandle, Verdict, Watch};

/// A policy as a file says it.
#[derive(Debug)]
pub struct Rehearsed {
    handle: PolicyHandle,
    names: Vec<String>,
    matched: Arc<Mutex<Matched>>,
}

/// The rules that matched.
#[derive(Debug, Default)]
struct Matched {
    /// Since the case began: what decided, in order.
    now: Vec<String>,
    /// Since ever.
    ever: BTreeSet<String>,
}

#[derive(Debug)]
struct Watcher(Arc<Mutex<Matched>>);

impl Watch for Watcher {
    fn judged(&self, _policy: &Policy, _facts: &Facts<'_>, verdict: &Verdict) {
        let mut matched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for decision in &verdict.decisions {
            matched.now.push(decision.rule.to_string());
            matched.ever.insert(decision.rule.to_string());
        }
    }
}

impl Rehearsed {
    /// Reads a policy's file: a whole configuration, or one that is included in such.
    pub fn read(path: &Path) -> Result<Self, SuiteError> {
        let text = std::fs::read_to_string(path).map_err(|error| SuiteError::Read(path.to_owned(), error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a policy from a text that is called `name` in errors.
    pub fn parse(name: &str, text: &str) -> Result<Self, SuiteError> {
        #[derive(serde::Deserialize)]
        struct File {
            rule: Vec<crate::policy::Rule>,
        }
        let file: File =
            toml::from_str(text).map_err(|error| SuiteError::Broken { text: format!("{name}: {error}") })?;
        let names = file.rule.iter().map(|rule| rule.name().to_owned()).collect();
        let matched = Arc::default();
        let policy = Policy::new(file.rule).watched(Arc::new(Watcher(Arc::clone(&matched))));
        Ok(Self { handle: PolicyHandle::new(policy), names, matched })
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
        self.lock().ever.contains(rule)
    }

    /// What matched before was on the way to where a case begins.
    pub fn forget_the_way(&self) {
        self.lock().now.clear();
    }

    /// What was done to a case, and by which rule: the first that did more than to let it pass.
    #[must_use]
    pub fn verdict(&self, played: &Played) -> (ActionKind, Option<String>) {
        let acted = played.enforced().find(|decision| decision.action != ActionKind::Allow);
        match acted.or_else(|| played.enforced().next()) {
            Some(decision) => (decision.action, Some(decision.rule.to_string())),
            None => (ActionKind::Allow, self.lock().now.first().cloned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Matched> {
        self.matched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
