//! How long rules take: the clock that the policy has not.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::histogram::Histograms;
use crate::policy::Meter;

pub(super) struct Evaluations(pub(super) Arc<Histograms>);

impl Meter for Evaluations {
    fn begin(&self) -> Instant {
        Instant::now()
    }

    fn decided(&self, since: Instant) {
        if let Some(histogram) = self.0.at(0) {
            histogram.took(since.elapsed());
        }
    }
}

impl fmt::Debug for Evaluations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluations").finish_non_exhaustive()
    }
}
