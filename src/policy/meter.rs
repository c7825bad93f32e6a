//! How long judging takes. This room has no clock: who wants to know brings one.

use std::fmt::Debug;
use std::time::Instant;

/// Measures how long rules take.
pub trait Meter: Debug + Send + Sync {
    /// Rules begin to be looked at: what time it is.
    fn begin(&self) -> Instant;

    /// They were looked at, and it was decided what becomes of the command.
    fn decided(&self, since: Instant);
}
