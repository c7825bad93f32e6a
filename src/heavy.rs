//! Who does most: users, clients and mailboxes by messages, octets, commands and failures, for `GET /api/top`.
//!
//! They are never labels of metrics: peers choose their names and their number. Memory is bounded: two
//! Sketches of 512 places for each of twelve questions, with names cut to 128 characters.
//!
//! A session adds up for itself and hands on about once a second; while somebody asks it adds up a little
//! longer, and waits for nobody before its end.

mod sketch;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use serde::Serialize;

use self::sketch::Sketch;
use crate::label::labelled;
use crate::per_session::PerSession;
use crate::session::{Answered, Completion, Event, Observation};
use crate::witness::{SessionInfo, Witness};

const PLACES: usize = 512;
/// Characters of a name that are kept.
const NAME: usize = 128;
/// How long a session adds up before it hands on.
const HANDED_ON: Duration = Duration::from_secs(1);
/// Mailboxes of a session for which it adds up; with more it hands on sooner.
const MAILBOXES: usize = 16;
/// How long a sketch is added to before the next one begins.
const PERIOD_SECONDS: i64 = 3600;

labelled! {
    /// Whose sums.
    By {
        /// Logged-in users.
        Users = "users",
        /// Addresses of clients.
        Clients = "clients",
        /// Mailboxes of users.
        Mailboxes = "mailboxes",
    }
}

labelled! {
    /// Sums of what.
    Measure {
        /// Octets of message content that went to the client.
        Octets = "octets",
        /// Messages of which content went to the client.
        Messages = "messages",
        /// Commands.
        Commands = "commands",
        /// Commands that server, policy or syntax refused, logins among them.
        Failures = "failures",
    }
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The user, address or mailbox.
    name: Arc<str>,
    /// Whose mailbox it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Arc<str>>,
    /// At least the true sum.
    value: u64,
    /// It is too large by this at most.
    error: u64,
}

/// An answer of `/api/top`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Top {
    by: By,
    of: Measure,
    /// From when on, in RFC 3339.
    since: jiff::Timestamp,
    #[serde(rename = "top")]
    rows: Vec<Row>,
}

/// Name, and for a mailbox whose it is.
type Key = (Arc<str>, Option<Arc<str>>);

/// Sums in the order of [`Measure::ALL`].
type Sums = [u64; Measure::ALL.len()];

/// All sketches.
pub struct HeavyHitters {
    kept: Mutex<Kept>,
    open: PerSession<Adding>,
}

struct Kept {
    now: Period,
    before: Period,
}

struct Period {
    since: jiff::Timestamp,
    /// By [`By`], then by [`Measure`].
    sketches: [[Sketch<Key>; Measure::ALL.len()]; By::ALL.len()],
}

/// What a session has added up.
#[derive(Debug, Default)]
struct Adding {
    user: Option<Arc<str>>,
    sums: Sums,
    /// Few, mostly one.
    mailboxes: Vec<(Arc<str>, Sums)>,
    handed_on: Duration,
}

impl Period {
    fn new(since: jiff::Timestamp) -> Self {
        Self { since, sketches: std::array::from_fn(|_| std::array::from_fn(|_| Sketch::new(PLACES))) }
    }

    fn add(&mut self, by: By, key: &Key, sums: &Sums) {
        let sketches = self.sketches.get_mut(by.index()).into_iter().flatten();
        for (sketch, sum) in sketches.zip(sums).filter(|(_, sum)| **sum > 0) {
            sketch.add(key, *sum);
        }
    }
}

impl Kept {
    fn turn(&mut self, now: jiff::Timestamp) {
        let age = now.as_second().saturating_sub(self.now.since.as_second());
        if age >= PERIOD_SECONDS {
            let ended = std::mem::replace(&mut self.now, Period::new(now));
            // what ended long ago is not the period before
            self.before = if age < 2 * PERIOD_SECONDS { ended } else { Period::new(now) };
        }
    }

    fn take(&mut self, info: &SessionInfo, adding: &mut Adding) {
        let sums = std::mem::take(&mut adding.sums);
        let client: Arc<str> = info.client.ip().to_canonical().to_string().into();
        self.now.add(By::Clients, &(client, None), &sums);
        if let Some(user) = &adding.user {
            self.now.add(By::Users, &(Arc::clone(user), None), &sums);
        }
        for (mailbox, sums) in std::mem::take(&mut adding.mailboxes) {
            self.now.add(By::Mailboxes, &(mailbox, adding.user.clone()), &sums);
        }
    }
}

/// Whether a command was refused, by whomever.
fn has_failed(completion: Completion, by: Answered) -> bool {
    matches!(by, Answered::Policy | Answered::Syntax) || matches!(completion, Completion::No | Completion::Bad)
}

impl Adding {
    /// Of what is not told of every command.
    fn event(&mut self, event: &Observation) {
        match event {
            Observation::CommandBegun { mailboxes, .. } => {
                self.count(Measure::Commands, 1);
                for mailbox in mailboxes {
                    self.count_in(mailbox, Measure::Commands, 1);
                }
            }
            Observation::Retrieved { message, octets, .. } => {
                for (measure, value) in [(Measure::Messages, 1), (Measure::Octets, *octets)] {
                    self.count(measure, value);
                    if let Some(mailbox) = &message.mailbox {
                        self.count_in(mailbox, measure, value);
                    }
                }
            }
            Observation::Authentication { user, accepted, .. } if *accepted => {
                self.user = user.as_deref().map(|user| cut(user).into());
            }
            _ => {}
        }
    }

    fn count(&mut self, measure: Measure, value: u64) {
        add(&mut self.sums, measure, value);
    }

    fn count_in(&mut self, mailbox: &str, measure: Measure, value: u64) {
        let name = cut(mailbox);
        // one command can name ten thousand; a name that stands twice is added up when it is handed on
        let mut near = self.mailboxes.iter_mut().rev().take(MAILBOXES);
        if let Some((_, sums)) = near.find(|(known, _)| **known == *name) {
            return add(sums, measure, value);
        }
        let mut sums = Sums::default();
        add(&mut sums, measure, value);
        if self.mailboxes.len() < MAILBOXES {
            // an idle session keeps it until it does something again
            self.mailboxes.reserve_exact(1);
        }
        self.mailboxes.push((name.into(), sums));
    }

    fn is_due(&self, at: Duration) -> bool {
        at.saturating_sub(self.handed_on) >= HANDED_ON || self.mailboxes.len() >= MAILBOXES
    }
}

fn add(sums: &mut Sums, measure: Measure, value: u64) {
    if let Some(sum) = sums.get_mut(measure.index()) {
        *sum = sum.saturating_add(value);
    }
}

/// As much of the name as is kept.
fn cut(name: &str) -> &str {
    if name.len() <= NAME {
        return name;
    }
    name.char_indices().nth(NAME).map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}

impl Default for HeavyHitters {
    fn default() -> Self {
        Self::new()
    }
}

impl HeavyHitters {
    /// Nobody has done anything.
    #[must_use]
    pub fn new() -> Self {
        let now = jiff::Timestamp::now();
        let kept = Kept { now: Period::new(now), before: Period::new(now) };
        Self { kept: Mutex::new(kept), open: PerSession::new() }
    }

    /// Who has most, the first `most` of them.
    pub fn top(&self, by: By, of: Measure, most: usize) -> Top {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn(jiff::Timestamp::now());
        let sketch =
            |period: &Period| period.sketches.get(by.index()).and_then(|sketches| sketches.get(of.index())).cloned();
        let (now, before, since) = (sketch(&kept.now), sketch(&kept.before), kept.before.since);
        drop(kept);
        let places = now.zip(before).map(|(now, before)| now.together(&before, most)).unwrap_or_default();
        let row = |place: sketch::Place<Key>| {
            let (name, user) = place.key;
            Row { name, user, value: place.value, error: place.error }
        };
        Top { by, of, since, rows: places.into_iter().map(row).collect() }
    }
}

impl Witness for HeavyHitters {
    fn opened(&self, info: &SessionInfo) {
        self.open.open(info.id, Adding::default());
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        self.open.with(info.id, |adding| {
            let (mut commands, mut failures) = (0, 0);
            for event in events {
                match &event.what {
                    Observation::CommandBegun { mailboxes, .. } if mailboxes.is_empty() => commands += 1,
                    Observation::CommandCompleted { completion, by, .. } => {
                        failures += u64::from(has_failed(*completion, *by));
                    }
                    what => adding.event(what),
                }
            }
            adding.count(Measure::Commands, commands);
            adding.count(Measure::Failures, failures);
            let Some(last) = events.last().filter(|last| adding.is_due(last.at)) else { return };
            let mut kept = match self.kept.try_lock() {
                Ok(kept) => kept,
                Err(TryLockError::Poisoned(kept)) => kept.into_inner(),
                // somebody asks, or another session is faster: later
                Err(TryLockError::WouldBlock) if adding.mailboxes.len() < 2 * MAILBOXES => return,
                Err(TryLockError::WouldBlock) => self.kept.lock().unwrap_or_else(PoisonError::into_inner),
            };
            kept.turn(jiff::Timestamp::now());
            kept.take(info, adding);
            adding.handed_on = last.at;
        });
    }

    fn closed(&self, info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        if let Some(mut adding) = self.open.close(info.id) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.turn(jiff::Timestamp::now());
            kept.take(info, &mut adding);
        }
    }
}

impl fmt::Debug for HeavyHitters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeavyHitters")
    }
}

#[cfg(test)]
mod tests;
