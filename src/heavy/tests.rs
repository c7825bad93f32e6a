use std::borrow::Cow;

use super::*;
use crate::session::{CommandId, Extent, MessageRef};
use crate::wire::{Effect, Operation};

fn info(id: u64) -> SessionInfo {
    SessionInfo { client: format!("192.0.2.{}:1", id % 200).parse().unwrap(), ..SessionInfo::example(id) }
}

fn session(heavy: &HeavyHitters, id: u64, user: &str, mailbox: &str, octets: u64) {
    let info = info(id);
    heavy.opened(&info);
    let login = |accepted| Observation::Authentication {
        user: Some(user.to_owned()),
        mechanism: Cow::Borrowed("LOGIN"),
        accepted,
    };
    let message = MessageRef { mailbox: Some(mailbox.into()), ..MessageRef::default() };
    let retrieved = Observation::Retrieved { id: Some(CommandId(1)), message, extent: Extent::Whole, octets };
    let events = [login(true), retrieved].map(|what| Event { at: Duration::ZERO, what });
    heavy.events(&info, &events);
    heavy.closed(&info, 0, 0);
}

#[test]
fn who_fetched_most_comes_first() {
    let heavy = HeavyHitters::new();
    session(&heavy, 1, "joe", "INBOX", 100);
    session(&heavy, 2, "ann", "INBOX", 300);
    session(&heavy, 3, "joe", "Board", 250);
    let shown = |by, of| -> Vec<(String, u64)> {
        heavy.top(by, of, 2).rows.iter().map(|row| (row.name.to_string(), row.value)).collect()
    };
    assert_eq!(shown(By::Users, Measure::Octets), [("joe".to_owned(), 350), ("ann".to_owned(), 300)]);
    assert_eq!(shown(By::Users, Measure::Messages), [("joe".to_owned(), 2), ("ann".to_owned(), 1)]);
    assert_eq!(shown(By::Clients, Measure::Octets), [("192.0.2.2".to_owned(), 300), ("192.0.2.3".to_owned(), 250)]);
    let mailboxes = heavy.top(By::Mailboxes, Measure::Octets, 9).rows;
    assert_eq!(mailboxes.len(), 3, "an INBOX is one user's: {mailboxes:?}");
    assert_eq!((&*mailboxes[0].name, mailboxes[0].user.as_deref()), ("INBOX", Some("ann")));
}

#[test]
fn ten_thousand_users_take_the_places_there_are() {
    let heavy = HeavyHitters::new();
    for id in 0..10_000 {
        session(&heavy, id, &format!("user{id}"), &format!("{}{id}", "x".repeat(500)), 10);
        session(&heavy, id, "heavy", "INBOX", 1000);
    }
    let users = heavy.top(By::Users, Measure::Octets, usize::MAX).rows;
    assert_eq!(users.len(), PLACES);
    assert_eq!((&*users[0].name, users[0].value, users[0].error), ("heavy", 10_000_000, 0));
    let mailboxes = heavy.top(By::Mailboxes, Measure::Octets, usize::MAX).rows;
    assert!(mailboxes.iter().all(|row| row.name.chars().count() <= NAME));
}

#[test]
fn a_command_that_names_many_mailboxes_counts_in_each_and_is_not_slow() {
    let (heavy, info) = (HeavyHitters::new(), info(1));
    heavy.opened(&info);
    let names = (0..50_000).map(|number| format!("{}", number % 100));
    let what = Observation::CommandBegun {
        id: CommandId(1),
        tag: None,
        command: "LIST".into(),
        operation: Operation::List,
        effect: Effect::Read,
        mailboxes: names.collect(),
        message: None,
    };
    heavy.events(&info, &[Event { at: Duration::ZERO, what }]);
    let rows = heavy.top(By::Mailboxes, Measure::Commands, usize::MAX).rows;
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| (row.value, row.error) == (500, 0)), "{rows:?}");
}

#[test]
fn what_is_older_than_two_hours_is_forgotten() {
    let heavy = HeavyHitters::new();
    session(&heavy, 1, "joe", "INBOX", 100);
    let mut kept = heavy.kept.lock().unwrap();
    let start = kept.now.since;
    let after = |seconds| start + jiff::SignedDuration::from_secs(seconds);
    kept.turn(after(PERIOD_SECONDS - 1));
    assert_eq!(kept.now.since, start);
    kept.turn(after(PERIOD_SECONDS));
    assert_eq!((kept.before.since, kept.now.since), (start, after(PERIOD_SECONDS)));
    kept.turn(after(9 * PERIOD_SECONDS));
    assert_eq!(kept.before.since, after(9 * PERIOD_SECONDS));
}

#[test]
fn what_is_fetched_from_a_mailbox_with_a_long_name_adds_up() {
    let (heavy, info) = (HeavyHitters::new(), info(1));
    heavy.opened(&info);
    let mailbox: Arc<str> = "x".repeat(NAME + 1).into();
    let retrieved = || {
        let message = MessageRef { mailbox: Some(Arc::clone(&mailbox)), ..MessageRef::default() };
        let what = Observation::Retrieved { id: None, message, extent: Extent::Whole, octets: 100 };
        Event { at: Duration::ZERO, what }
    };
    heavy.events(&info, &[retrieved(), retrieved(), retrieved()]);
    heavy.closed(&info, 0, 0);
    let rows = heavy.top(By::Mailboxes, Measure::Octets, 9).rows;
    assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [300]);
}

/// A session of a user, to which nothing has happened yet.
fn opened(heavy: &HeavyHitters, id: u64, user: &str) -> SessionInfo {
    let info = info(id);
    heavy.opened(&info);
    heavy.events(&info, &[at(0, login(user, true))]);
    info
}

fn at(millis: u64, what: Observation) -> Event {
    Event { at: Duration::from_millis(millis), what }
}

fn login(user: &str, accepted: bool) -> Observation {
    Observation::Authentication { user: Some(user.to_owned()), mechanism: Cow::Borrowed("LOGIN"), accepted }
}

fn begun(mailbox: &str) -> Observation {
    Observation::CommandBegun {
        id: CommandId(1),
        tag: None,
        command: Cow::Borrowed("STATUS"),
        operation: Operation::Search,
        effect: Effect::Read,
        mailboxes: Some(mailbox.to_owned()).filter(|name| !name.is_empty()).into_iter().collect(),
        message: None,
    }
}

fn shown(heavy: &HeavyHitters, by: By, of: Measure) -> Vec<(String, u64)> {
    heavy.top(by, of, 99).rows.iter().map(|row| (row.name.to_string(), row.value)).collect()
}

#[test]
fn every_refusal_is_a_failure_and_no_other_end_is() {
    let heavy = HeavyHitters::new();
    let info = opened(&heavy, 1, "joe");
    let mut failures = 0;
    for (completion, by, failed) in [
        (Completion::Ok, Answered::Upstream, 0),
        (Completion::No, Answered::Upstream, 1),
        (Completion::Bad, Answered::Upstream, 1),
        (Completion::Aborted, Answered::Upstream, 0),
        (Completion::Ok, Answered::Policy, 1),
        (Completion::Bad, Answered::Syntax, 1),
        (Completion::Ok, Answered::Proxy, 0),
    ] {
        let latency = Duration::ZERO;
        let ended = Observation::CommandCompleted { id: CommandId(1), completion, code: None, by, latency };
        heavy.events(&info, &[at(0, ended)]);
        failures += failed;
    }
    heavy.closed(&info, 0, 0);
    assert_eq!(shown(&heavy, By::Users, Measure::Failures), [("joe".to_owned(), failures)]);
}

#[test]
fn who_is_refused_does_what_follows_under_no_other_name() {
    let heavy = HeavyHitters::new();
    let info = opened(&heavy, 1, "joe");
    heavy.events(&info, &[at(0, login("ann", false)), at(0, begun("INBOX")), at(0, begun(""))]);
    heavy.closed(&info, 0, 0);
    assert_eq!(shown(&heavy, By::Users, Measure::Commands), [("joe".to_owned(), 2)]);
    assert_eq!(shown(&heavy, By::Mailboxes, Measure::Commands), [("INBOX".to_owned(), 1)]);
}

#[test]
fn a_session_hands_on_once_a_second_or_when_it_holds_many_mailboxes() {
    let heavy = HeavyHitters::new();
    let info = opened(&heavy, 1, "joe");
    let handed_on = || shown(&heavy, By::Users, Measure::Commands).iter().map(|(_, value)| value).sum::<u64>();
    for (millis, expected) in [(900, 0), (1000, 2), (1900, 2), (2000, 4)] {
        heavy.events(&info, &[at(millis, begun(""))]);
        assert_eq!(handed_on(), expected, "at {millis} ms");
    }
    for number in 0..100 {
        heavy.events(&info, &[at(2000, begun(&format!("m{number}")))]);
        let held = heavy.open.with(1, |adding| adding.mailboxes.len());
        assert!(held.is_some_and(|held| held < MAILBOXES), "{held:?}");
    }
}

#[test]
fn a_client_is_the_same_over_a_socket_for_both_families() {
    let heavy = HeavyHitters::new();
    for (id, client) in [(1, "192.0.2.7:5"), (2, "[::ffff:192.0.2.7]:5")] {
        let info = SessionInfo { client: client.parse().unwrap(), ..info(id) };
        heavy.opened(&info);
        heavy.events(&info, &[at(0, begun(""))]);
        heavy.closed(&info, 0, 0);
    }
    assert_eq!(shown(&heavy, By::Clients, Measure::Commands), [("192.0.2.7".to_owned(), 2)]);
}

#[test]
fn what_a_long_session_does_belongs_to_the_period_in_which_it_is_handed_on() {
    let heavy = HeavyHitters::new();
    let info = opened(&heavy, 1, "joe");
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(5 * PERIOD_SECONDS);
    heavy.kept.lock().unwrap().now = Period::new(long_ago);
    heavy.events(&info, &[at(1000, begun(""))]);
    assert!(heavy.kept.lock().unwrap().now.since > long_ago);
    assert_eq!(shown(&heavy, By::Users, Measure::Commands), [("joe".to_owned(), 1)]);
}
