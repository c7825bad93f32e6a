//! The policy in force.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Policy;

/// The policy in force, shared by all sessions and replaced as a whole.
#[derive(Debug, Clone)]
pub struct PolicyHandle(Arc<ArcSwap<Policy>>);

impl PolicyHandle {
    /// Puts `policy` in force.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// The policy in force at this moment, for this moment.
    pub(super) fn load(&self) -> Guard<Arc<Policy>> {
        self.0.load()
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
