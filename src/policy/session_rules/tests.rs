//! What a session's own rules say is what looking at every rule says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::super::{
    Arguments, ClientTls, Connection, Facts, Fallback, Group, Meter, Outcome, Policy, PolicyHandle, Rule,
};
use super::super::{SessionFacts, Sort, Verdict};
use super::SessionRules;
use crate::wire::{Effect, Operation, Protocol};

/// Conditions of rules, which are tried in every order of two, with every action.
const CONDITIONS: [&str; 14] = [
    "",
    "user = 'ann'",
    "user = ['bob', 'carl']\ncommand = 'FETCH'",
    "group = 'staff'\noperation = 'delete'",
    "domain = 'example.org'",
    "listener = 'offline'\neffect = 'read'",
    "listener = 'elsewhere'",
    "client = '127.0.0.0/8'\nmailbox = 'Board'",
    "tls = '1.3'",
    "server_name = 'mail.*'\nmailbox = 'B*'",
    "protocol = 'imap'\nuser = 'ann'",
    "mailbox = 'Board'",
    "mailbox = ['INBOX', 'Board']\nuser = '*'",
    "command = ['EXPUNGE', 'LIST']",
];

fn policy(conditions: &[&str]) -> Policy {
    let rules = conditions.iter().enumerate().map(|(number, conditions)| {
        let action = ["deny", "allow"][number % 2];
        toml::from_str::<Rule>(&format!("name = 'r{number}'\naction = '{action}'\nlog = 'info'\n{conditions}")).unwrap()
    });
    let staff = Group::new("staff", ["ann"]).unwrap();
    Policy::build(rules.collect(), &[Arc::new(staff)], Fallback::Deny)
}

/// The rule that decides, if one does.
fn decider(verdict: &Verdict) -> Option<String> {
    verdict.decisions.last().map(|decision| decision.rule.to_string())
}

/// The same by looking at each.
fn first_of_all(policy: &Policy, facts: &Facts<'_>) -> Option<String> {
    let first = policy.rules().iter().find(|rule| rule.matches(facts)).map(|rule| rule.name().to_owned());
    let passes = super::super::is_for_everybody(facts.operation);
    first.or_else(|| (!passes).then(|| super::super::FALLBACK.to_owned()))
}

/// Sessions of every kind that the conditions tell apart.
fn each_session(connection: &Connection, mut then: impl FnMut(SessionFacts<'_>)) {
    let tls = ClientTls { version: "1.3", server_name: Some("mail.example".to_owned()), subject: None };
    let users = [
        (None, false),
        (Some("ann"), false),
        (None, true),
        (Some("ann"), true),
        (Some("bob@example.org"), true),
        (Some("BOB"), true),
    ];
    for tls in [None, Some(&tls)] {
        for (user, logged_in) in users {
            then(SessionFacts { connection, tls, now: connection.accepted, user, logged_in });
        }
    }
}

/// Commands of every kind that they tell apart.
fn each_command(session: SessionFacts<'_>, mut then: impl FnMut(&Facts<'_>)) {
    let mailboxes = [vec![], vec!["Board".to_owned()], vec!["Board".to_owned(), "INBOX".to_owned()]];
    let commands = [
        ("NOOP", Operation::Noop, Effect::Session),
        ("FETCH", Operation::Download, Effect::Read),
        ("EXPUNGE", Operation::Delete, Effect::Destroy),
        ("LIST", Operation::List, Effect::Read),
    ];
    let reaching = [false, true].map(|reaches_further| Arguments { reaches_further, ..Arguments::default() });
    let selected = [None, Some("Board"), Some("INBOX"), Some("Other")];
    for (command, operation, effect) in commands {
        for (mailboxes, selected, arguments) in product(&mailboxes, &selected, &reaching) {
            let facts = Facts { command, operation, effect, mailboxes, ..Facts::of_session(session) };
            then(&Facts { selected: *selected, arguments: *arguments, ..facts });
        }
    }
}

fn product<'a, A, B, C>(
    first: &'a [A],
    second: &'a [B],
    third: &'a [C],
) -> impl Iterator<Item = (&'a A, &'a B, &'a C)> {
    first.iter().flat_map(move |a| second.iter().flat_map(move |b| third.iter().map(move |c| (a, b, c))))
}

fn each_facts(connection: &Connection, mut then: impl FnMut(&Facts<'_>)) {
    each_session(connection, |session| each_command(session, &mut then));
}

#[test]
fn a_session_is_judged_as_if_every_rule_were_looked_at() {
    let connections = [Protocol::Imap, Protocol::Pop3].map(|protocol| Connection::offline(protocol, Instant::now()));
    let handle = PolicyHandle::new(Policy::default());
    // one for all: what it found for another user, mailbox or policy must not count
    let rules = connections.each_ref().map(|_| SessionRules::new(handle.clone()));
    for first in CONDITIONS {
        for second in CONDITIONS {
            handle.replace(policy(&[first, second]));
            let policy = handle.current();
            for (connection, rules) in connections.iter().zip(&rules) {
                each_facts(connection, |facts| {
                    let expected = first_of_all(&policy, facts);
                    assert_eq!(decider(&rules.judge(facts)), expected, "{first}; {second}: {facts:?}");
                    assert_eq!(
                        decider(&policy.judge(facts)),
                        expected,
                        "without a session: {first}; {second}: {facts:?}"
                    );
                    let permitted = rules.permits(&facts.session, Sort::of(facts)).is_some();
                    assert!(!permitted || expected.is_none(), "{first}; {second}: {facts:?}");
                    assert!(rules.permits_all(&facts.session).is_none(), "the default denies");
                });
            }
        }
    }
}

#[test]
fn a_command_that_rules_for_others_are_about_is_permitted_unseen() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let now = connection.accepted;
    let session = |user| SessionFacts { connection: &connection, tls: None, now, user: Some(user), logged_in: true };
    let text = "name = 'r'\naction = 'deny'\nuser = 'bob'";
    let rules = SessionRules::new(PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()])));
    assert!(rules.permits_all(&session("ann")).is_some());
    assert!(rules.permits_all(&session("bob")).is_none());
    assert!(rules.permits_all(&SessionFacts { logged_in: false, ..session("ann") }).is_none());
}

#[test]
fn a_selected_mailbox_that_no_rule_is_about_is_looked_up_once() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let (now, user) = (connection.accepted, Some("ann"));
    let session = SessionFacts { connection: &connection, tls: None, now, user, logged_in: true };
    let text = "name = 'r'\naction = 'deny'\nmailbox = 'Board'";
    let rules = SessionRules::new(PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()])));
    let facts = |selected| Facts { command: "FETCH", selected, ..Facts::of_session(session) };
    for (selected, permitted) in [(Some("Board"), false), (Some("INBOX"), true), (None, true), (Some("Board"), false)] {
        let sort = Sort::of(&facts(selected));
        assert_eq!(rules.permits(&session, sort).is_some(), permitted, "{selected:?}");
    }
}

#[test]
fn what_was_found_before_the_login_is_for_any_user() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let session = |user, logged_in| {
        let (connection, now) = (&connection, connection.accepted);
        SessionFacts { connection, tls: None, now, user, logged_in }
    };
    let text = "name = 'r'\naction = 'deny'\nmailbox = 'Board'\nuser = 'ann'";
    let rules = SessionRules::new(PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()])));
    for (user, logged_in, denied) in [
        (None, false, false),
        (Some("ann"), false, true),
        (Some("bob"), false, false),
        (Some("ann"), false, true),
        (Some("bob"), true, false),
        (Some("ann"), true, true),
    ] {
        let facts = Facts { command: "FETCH", selected: Some("Board"), ..Facts::of_session(session(user, logged_in)) };
        let says = decider(&rules.judge(&facts)).is_some();
        assert_eq!(says, denied, "{user:?}, logged in: {logged_in}");
        assert!(!denied || rules.permits(&facts.session, Sort::of(&facts)).is_none(), "{user:?}");
    }
}

#[derive(Debug)]
struct Counter(Instant, AtomicU32);

impl Meter for Counter {
    fn begin(&self) -> Instant {
        self.0
    }

    fn decided(&self, since: Instant) {
        assert_eq!(since, self.0);
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_first_command_that_rules_are_looked_at_for_is_measured_and_each_eighth() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let now = connection.accepted;
    let session = SessionFacts { connection: &connection, tls: None, now, user: Some("ann"), logged_in: true };
    let text = "name = 'r'\naction = 'deny'\ncommand = 'FETCH'\nmailbox = 'Board'";
    let handle = PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()]));
    let counter = Arc::new(Counter(now, AtomicU32::new(0)));
    handle.measure(Arc::<Counter>::clone(&counter));
    let rules = SessionRules::new(handle);
    let times = |count: u32, facts: Facts<'_>| {
        for _ in 0..count {
            let _verdict = rules.judge(&facts);
        }
        counter.1.load(Ordering::Relaxed)
    };
    let fetch = Facts { command: "FETCH", selected: Some("Board"), ..Facts::of_session(session) };
    assert_eq!(times(100, Facts { selected: Some("INBOX"), ..fetch }), 0);
    assert_eq!(times(100, Facts { command: "STORE", ..fetch }), 0);
    assert_eq!(times(1, fetch), 1);
    assert_eq!(times(8, fetch), 2);
}

#[test]
fn sessions_that_the_same_rules_concern_share_what_was_found() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let now = connection.accepted;
    let text = "name = 'r'\naction = 'deny'\nuser = 'b*'";
    let handle = PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()]));
    let judged = |user| {
        let session = SessionFacts { connection: &connection, tls: None, now, user: Some(user), logged_in: true };
        let rules = SessionRules::new(handle.clone());
        let denied = matches!(rules.judge(&Facts::of_session(session)).outcome, Outcome::Deny(_));
        (denied, rules)
    };
    let scope = |rules: &SessionRules| rules.own.borrow().as_ref().unwrap().concern.own();
    let [(ann, first), (bob, second), (ben, third)] = ["ann", "bob", "ben"].map(judged);
    assert_eq!((ann, bob, ben), (false, true, true));
    assert!(Arc::ptr_eq(&scope(&second), &scope(&third)) && !Arc::ptr_eq(&scope(&first), &scope(&second)));
}

#[test]
fn what_was_set_aside_in_clear_is_looked_at_once_tls_is_up() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let (now, user) = (connection.accepted, Some("ann"));
    let tls = ClientTls { version: "1.3", ..ClientTls::default() };
    let text = "name = 'r'\naction = 'deny'\ntls = '1.3'";
    let rules = SessionRules::new(PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()])));
    for (tls, denied) in [(None, false), (Some(&tls), true), (None, false)] {
        let session = SessionFacts { connection: &connection, tls, now, user, logged_in: true };
        let verdict = rules.judge(&Facts::of_session(session));
        assert_eq!(matches!(verdict.outcome, Outcome::Deny(_)), denied, "{tls:?}");
    }
}
