use super::super::{Arguments, Connection, SessionFacts};
use super::*;
use crate::wire::{Effect, Operation, Protocol};

fn facts<'a>(connection: &'a Connection, user: &'a str, messages: u64) -> Facts<'a> {
    Facts {
        session: SessionFacts { connection, tls: None, now: connection.accepted, user: Some(user), logged_in: true },
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
    let slowing = Slowing { delay: Duration::ZERO, octets_per_second: None, messages_per_minute: Some(messages), per };
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

#[test]
fn a_bucket_that_is_used_again_is_not_the_longest_unused() {
    let (throttler, connection) = (per_minute(6, Per::User), connection(1));
    let ask = |number: usize, at: usize| {
        let user = format!("u{number}");
        let mut facts = facts(&connection, &user, 1);
        facts.session.now += Duration::from_millis(at as u64);
        throttler.verdict(&"r".into(), &facts)
    };
    for number in 0..MOST {
        ask(number, number);
    }
    ask(0, MOST);
    ask(MOST, MOST + 1);
    let buckets = throttler.buckets.lock().unwrap();
    assert!(buckets.contains_key(&Key::User("u0".into())), "it still owes");
    assert!(!buckets.contains_key(&Key::User("u1".into())));
}
