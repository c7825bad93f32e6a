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
mod tests {
    use super::super::{Arguments, Connection, SessionFacts};
    use super::*;
    use crate::wire::{Effect, Operation, Protocol};

    fn facts<'a>(connection: &'a Connection, user: &'a str, messages: u64) -> Facts<'a> {
        Facts {
            session: SessionFacts {
                connection,
                tls: None,
                now: connection.accepted,
                user: Some(user),
                logged_in: true,
            },
            command: "FETCH",
            operation: Operation::Download,
            effect: Effect::Read,
            mailboxes: &[],
            selected: Some("INBOX"),
            message: None,
            nth_message: None,
            arguments: Arguments { messages: Some(messages), ..Arguments::default() },
            answer: None,
        }
    }

    fn connection(last: u8) -> Connection {
        let accepted = *START;
        Connection { client: IpAddr::from([192, 0, 2, last]), ..Connection::offline(Protocol::Imap, accepted) }
    }

    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

    fn per_minute(messages: u64, per: Per) -> Throttler {
        let slowing =
            Slowing { delay: Duration::ZERO, octets_per_second: None, messages_per_minute: Some(messages), per };
        Throttler::new(slowing)
    }

    #[test]
    fn messages_beyond_what_passes_at_once_must_be_waited_for() {
        let throttler = per_minute(60, Per::User);
        let connection = connection(1);
        let wait = |user: &str, messages: u64| {
            throttler.verdict(&"r".into(), &facts(&connection, user, messages)).wait.as_millis()
        };
        assert_eq!((wait("ann", 10), wait("ann", 0)), (0, 0));
        assert_eq!(wait("ann", 2), 2_000);
        assert_eq!(wait("ANN", 1), 3_000);
        assert_eq!(wait("bob", 1), 0);
        assert_eq!(wait("ann", 1_000_000), LONGEST_WAIT.as_millis());
    }

    #[test]
    fn who_shares_a_bucket_is_told_by_the_rule() {
        for (per, other_session, other_user, other_network) in
            [(Per::Session, false, false, false), (Per::User, true, false, true), (Per::Network, true, true, false)]
        {
            let throttler = per_minute(6, per);
            let near = connection(1);
            let later = Connection { accepted: near.accepted + Duration::from_nanos(1), ..near.clone() };
            let far = Connection { client: IpAddr::from([198, 51, 100, 1]), ..later.clone() };
            assert!(throttler.verdict(&"r".into(), &facts(&near, "ann", 1)).wait.is_zero());
            for (connection, user, shared) in [
                (&later, "ann", other_session),
                (&near, "bob", other_user || per == Per::Session),
                (&far, "ann", other_network),
            ] {
                let wait = throttler.verdict(&"r".into(), &facts(connection, user, 1)).wait;
                assert_eq!(!wait.is_zero(), shared, "{per:?} {user} {}", connection.client);
            }
        }
    }

    #[test]
    fn buckets_are_bounded_and_the_longest_unused_goes_first() {
        let throttler = per_minute(6, Per::User);
        let connection = connection(1);
        for number in 0..MOST + 10 {
            let user = format!("u{number}");
            let mut facts = facts(&connection, &user, 1);
            facts.session.now += Duration::from_millis(number as u64);
            assert!(throttler.verdict(&"r".into(), &facts).wait.is_zero());
        }
        let buckets = throttler.buckets.lock().unwrap();
        assert!(buckets.len() <= MOST, "{}", buckets.len());
        assert!(!buckets.contains_key(&Key::User("u0".into())));
        assert!(buckets.contains_key(&Key::User("u16000".into())));
    }

    #[test]
    fn a_reload_forgives_nobody_what_he_owes() {
        let (first, connection) = (per_minute(6, Per::User), connection(1));
        let wait = |throttler: &Throttler| throttler.verdict(&"r".into(), &facts(&connection, "ann", 1)).wait;
        assert!(wait(&first).is_zero());
        let (mut same, mut other) = (per_minute(6, Per::User), per_minute(7, Per::User));
        same.inherit(&first);
        other.inherit(&first);
        assert!(!wait(&same).is_zero());
        assert!(wait(&other).is_zero());
    }
}
