//! How fast content may flow: buckets that fill with time. Deterministic: time is told, never asked.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bucket of octets (or of messages), shared by all that must share it: one session, all sessions of a user, or
/// all of a client network.
#[derive(Debug)]
pub struct Pace {
    /// Units a second.
    rate: u64,
    /// Units it holds when full: what may pass at once.
    burst: u64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// In millionths of a unit; below zero after more was taken than was there.
    fill: i128,
    at: Instant,
}

const PARTS: i128 = 1_000_000;

impl Pace {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: u64, burst: u64, now: Instant) -> Self {
        Self { rate, burst, level: Mutex::new(Level { fill: i128::from(burst) * PARTS, at: now }) }
    }

    /// How much may pass in one go, so that no peer sees nothing for long: what an eighth of a second gives.
    #[must_use]
    pub fn portion(&self) -> usize {
        usize::try_from(self.rate / 8).unwrap_or(usize::MAX).clamp(512, 64 << 10)
    }

    /// Takes `units` that have passed, or are about to; says how long to wait until the bucket is not in debt.
    pub fn take(&self, units: u64, now: Instant) -> Duration {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(level.at).as_micros();
        let gained = i128::try_from(since).unwrap_or(i128::MAX).saturating_mul(i128::from(self.rate));
        level.fill = level.fill.saturating_add(gained).min(i128::from(self.burst) * PARTS) - i128::from(units) * PARTS;
        level.at = level.at.max(now);
        if level.fill >= 0 || self.rate == 0 {
            return Duration::ZERO;
        }
        let rate = i128::from(self.rate);
        let micros = (rate - 1 - level.fill).div_euclid(rate);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
