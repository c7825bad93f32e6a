//! The policy in force.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};

use super::{Meter, Policy};

/// The policy in force, shared by all sessions and replaced as a whole.
#[derive(Debug, Clone)]
pub struct PolicyHandle(Arc<InForce>);

#[derive(Debug)]
struct InForce {
    policy: ArcSwap<Policy>,
    /// The number of that policy, or of the one before while it is being replaced: far cheaper to read.
    number: AtomicU64,
    /// Told how long rules take, if anybody wants to know.
    meter: OnceLock<Arc<dyn Meter>>,
}

impl PolicyHandle {
    /// Puts `policy` in force.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let number = 1;
        let policy = ArcSwap::from_pointee(Policy { number, ..policy });
        Self(Arc::new(InForce { policy, number: AtomicU64::new(number), meter: OnceLock::new() }))
    }

    /// The policy in force at this moment, for this moment.
    pub(super) fn load(&self) -> Guard<Arc<Policy>> {
        self.0.policy.load()
    }

    /// Its number: no two that were in force have the same.
    pub(super) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// Has `meter` told from now on how long rules take, this policy's and all that replace it; the first stays.
    pub fn measure(&self, meter: Arc<dyn Meter>) {
        self.0.meter.get_or_init(|| meter);
    }

    pub(super) fn meter(&self) -> Option<&dyn Meter> {
        self.0.meter.get().map(|meter| &**meter)
    }

    /// The policy in force at this moment.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    /// Replaces the policy; live sessions use it from their next command, and what its throttles share with the old
    /// one they keep.
    pub fn replace(&self, mut policy: Policy) {
        let old = self.0.policy.load();
        policy.inherit(&old);
        policy.number = old.number + 1;
        let number = policy.number;
        self.0.policy.store(Arc::new(policy));
        self.0.number.store(number, Ordering::Release);
    }
}
