//! The policy in force.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Facts, Interests, Permit, Policy, Verdict};
use crate::wire::{Effect, Operation, Protocol};

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

    /// [`Policy::permits_all`] of the policy in force at this moment.
    #[must_use]
    pub fn permits_all(&self) -> Option<Permit> {
        self.0.load().permits_all()
    }

    /// [`Policy::permits`] of the policy in force at this moment.
    #[must_use]
    pub fn permits(&self, protocol: Protocol, command: &str, operation: Operation, effect: Effect) -> Option<Permit> {
        self.0.load().permits(protocol, command, operation, effect)
    }

    /// What the policy in force at this moment is interested in.
    #[must_use]
    pub fn interests(&self) -> Interests {
        Interests::of(&self.0.load())
    }

    /// The policy in force at this moment.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Replaces the policy; live sessions use it from their next command, and what its throttles share with the old
    /// one they keep.
    pub fn replace(&self, mut policy: Policy) {
        policy.inherit(&self.0.load());
        self.0.store(Arc::new(policy));
    }
}
