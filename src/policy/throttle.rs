//! What a `throttle` rule keeps count of: who has taken how much.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Pace;
use super::facts::Facts;
use super::network::Network;
use super::verdict::Throttle;
use crate::label::labelled;

labelled! {
    /// Who shares what a throttle lets through.
    Per {
        /// Each session has its own.
        Session = "session",
        /// All sessions of one user.
        User = "user",
        /// All sessions from one network: the first 24 bits of an IPv4 address, 64 of an IPv6 one.
        Network = "network",
    }
}

/// How a rule slows commands and what they bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slowing {
    /// Before each command.
    pub(crate) delay: Duration,
    /// Of content, either way.
    pub(crate) octets_per_second: Option<u64>,
    /// That commands are about.
    pub(crate) messages_per_minute: Option<u64>,
    pub(crate) per: Per,
}

/// The buckets of one rule, and how they fill. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Throttler {
    pub(crate) slowing: Slowing,
    buckets: Arc<Mutex<BTreeMap<Key, Bucket>>>,
}

/// A session has no number here: two of one address that were accepted in the same nanosecond share a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Session(IpAddr, Instant),
    /// In lower case.
    User(Box<str>),
    Network(IpAddr, u8),
}

#[derive(Debug, Clone)]
struct Bucket {
    octets: Option<Arc<Pace>>,
    /// In sixtieths of a message, so that each second brings as many as are allowed a minute.
    messages: Option<Arc<Pace>>,
    used: Instant,
}

/// Buckets that one rule keeps at most; beyond it those that were not used for longest go, and are full when
/// they are needed again.
const MOST: usize = 16_384;
/// A command waits no longer than this, whatever it owes: clients take longer silence for a dead server.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Sixtieths.
const MESSAGE: u64 = 60;

impl Throttler {
    pub(crate) fn new(slowing: Slowing) -> Self {
        Self { slowing, buckets: Arc::default() }
    }

    /// Goes on with another's buckets, if they are of the same size: a reload forgives nobody what he owes.
    pub(crate) fn inherit(&mut self, other: &Self) {
        if self.slowing == other.slowing {
            self.buckets = Arc::clone(&other.buckets);
        }
    }

    /// Forgets what was taken: all buckets are full.
    pub(crate) fn forget(&self) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What becomes of one command.
    pub(crate) fn verdict(&self, rule: &Arc<str>, facts: &Facts<'_>) -> Throttle {
        let now = facts.session.now;
        let mut wait = self.slowing.delay;
        let mut pace = None;
        if self.slowing.octets_per_second.is_some() || self.slowing.messages_per_minute.is_some() {
            let bucket = self.bucket(facts);
            if let Some(messages) = bucket.messages {
                let taken = facts.arguments.messages.unwrap_or(1);
                wait = wait.max(messages.take(taken.saturating_mul(MESSAGE), now));
            }
            pace = bucket.octets;
        }
        Throttle { rule: Arc::clone(rule), wait: wait.min(LONGEST_WAIT.max(self.slowing.delay)), pace }
    }

    fn bucket(&self, facts: &Facts<'_>) -> Bucket {
        let (key, now) = (self.key(facts), facts.session.now);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(&key) && buckets.len() >= MOST {
            forget(&mut buckets);
        }
        let bucket = buckets.entry(key).or_insert_with(|| self.slowing.bucket(now));
        bucket.used = bucket.used.max(now);
        bucket.clone()
    }

    fn key(&self, facts: &Facts<'_>) -> Key {
        let connection = facts.session.connection;
        match (self.slowing.per, facts.session.user) {
            (Per::User, Some(user)) => Key::User(user.to_lowercase().into()),
            (Per::Network, _) => {
                let (first, length) = Network::around(connection.client, 24, 64);
                Key::Network(first, length)
            }
            (Per::Session, _) | (Per::User, None) => Key::Session(connection.client, connection.accepted),
        }
    }
}

impl Slowing {
    /// A second's octets, and ten seconds' messages but at least one, may pass at once.
    fn bucket(&self, now: Instant) -> Bucket {
        let pace = |rate: u64, burst: u64| Arc::new(Pace::new(rate, burst, now));
        Bucket {
            octets: self.octets_per_second.map(|rate| pace(rate, rate)),
            messages: self.messages_per_minute.map(|rate| pace(rate, rate.saturating_mul(10).max(MESSAGE))),
            used: now,
        }
    }
}

/// Drops the eighth that was not used for longest.
fn forget(buckets: &mut BTreeMap<Key, Bucket>) {
    let mut times: Vec<Instant> = buckets.values().map(|bucket| bucket.used).collect();
    times.sort_unstable();
    let Some(oldest) = times.get(times.len() / 8).copied() else { return };
    let mut left = times.len() / 8 + 1;
    buckets.retain(|_, bucket| {
        let goes = bucket.used <= oldest && left > 0;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests;
