//! Rules as tables of facts and verdicts.

use std::sync::LazyLock;
use std::time::Instant;

use super::{Arguments, Connection, Facts, Outcome, Policy, Rule, SessionFacts};
use crate::wire::{Effect, Operation, Protocol};

fn policy(rules: &str) -> Policy {
    #[derive(serde::Deserialize)]
    struct File {
        rule: Vec<Rule>,
    }
    let file: File = toml::from_str(rules).expect("rules");
    Policy::new(file.rule)
}

static CONNECTION: LazyLock<Connection> = LazyLock::new(|| Connection::offline(Protocol::Imap, Instant::now()));

fn ann() -> SessionFacts<'static> {
    SessionFacts {
        connection: &CONNECTION,
        tls: None,
        now: CONNECTION.accepted,
        user: Some("ann@example.org"),
        logged_in: true,
    }
}

fn delete() -> Facts<'static> {
    Facts {
        session: ann(),
        command: "EXPUNGE",
        operation: Operation::Delete,
        effect: Effect::Destroy,
        mailboxes: &[],
        selected: Some("INBOX"),
        message: None,
        nth_message: None,
        arguments: Arguments::default(),
        answer: None,
    }
}

fn denied_by(policy: &Policy, facts: &Facts<'_>) -> Option<String> {
    match policy.judge(facts).outcome {
        Outcome::Deny(denial) => Some(denial.rule.as_ref().to_owned()),
        _ => None,
    }
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    for (conditions, matches) in [
        ("", true),
        ("user = '*@example.org'", true),
        ("user = '*@EXAMPLE.org'", true),
        ("user = '*@example.com'", false),
        ("user = ['bob', 'ann@*']", true),
        ("command = 'expunge'", true),
        ("command = 'CLOSE'", false),
        ("effect = 'destroy'", true),
        ("effect = ['read', 'flag']", false),
        ("operation = 'delete'", true),
        ("mailbox = 'inbox'", true),
        ("mailbox = 'Archive'", false),
        ("message = 1", false),
        ("nth_message = 1", false),
        ("effect = 'destroy'\nmailbox = 'Archive'", false),
    ] {
        let policy = policy(&format!("[[rule]]\nname = 'r'\naction = 'deny'\n{conditions}\n"));
        assert_eq!(denied_by(&policy, &delete()).is_some(), matches, "{conditions}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(
        "[[rule]]\nname = 'ann may'\naction = 'allow'\nuser = 'ann@*'\n\
         [[rule]]\nname = 'nobody else'\naction = 'deny'\neffect = 'destroy'\n",
    );
    assert_eq!(denied_by(&policy, &delete()), None);
    let bob = Facts { session: SessionFacts { user: Some("bob"), ..ann() }, ..delete() };
    assert_eq!(denied_by(&policy, &bob).as_deref(), Some("nobody else"));
}

#[test]
fn a_login_that_names_nobody_is_denied_what_some_users_are() {
    let policy = policy("[[rule]]\nname = 'contractors'\naction = 'deny'\nuser = '*@contractors.example'\n");
    let nameless = Facts { session: SessionFacts { user: None, ..ann() }, ..delete() };
    assert_eq!(denied_by(&policy, &nameless).as_deref(), Some("contractors"));
    let before_login = Facts { session: SessionFacts { user: None, logged_in: false, ..ann() }, ..nameless };
    assert_eq!(denied_by(&policy, &before_login), None);
}

#[test]
fn a_login_that_names_nobody_is_not_allowed_what_some_users_are() {
    let policy = policy(
        "[[rule]]\nname = 'ann may'\naction = 'allow'\nuser = 'ann@*'\n\
         [[rule]]\nname = 'nobody else'\naction = 'deny'\neffect = 'destroy'\n",
    );
    assert_eq!(
        denied_by(&policy, &Facts { session: SessionFacts { user: None, ..ann() }, ..delete() }).as_deref(),
        Some("nobody else")
    );
}

#[test]
fn a_mailbox_condition_looks_at_what_is_named_and_at_what_is_acted_on() {
    let policy = policy("[[rule]]\nname = 'r'\naction = 'deny'\nmailbox = 'Board'\n");
    let names = ["Board".to_owned()];
    assert!(denied_by(&policy, &Facts { mailboxes: &names, selected: None, ..delete() }).is_some());
    assert!(denied_by(&policy, &Facts { selected: Some("Board"), ..delete() }).is_some());
    assert!(denied_by(&policy, &delete()).is_none());
}

#[test]
fn a_rule_for_one_of_several_messages_is_for_no_other() {
    let policy = policy("[[rule]]\nname = 'r'\naction = 'deny'\nnth_message = 2\n");
    for (nth_message, denied) in [(None, false), (Some(1), false), (Some(2), true), (Some(3), false)] {
        let facts = Facts { nth_message, message: Some(2), ..delete() };
        assert_eq!(denied_by(&policy, &facts).is_some(), denied, "{nth_message:?}");
    }
}

#[test]
fn a_policy_permits_all_only_if_no_rule_could_say_otherwise() {
    assert!(Policy::default().permits_all().is_some());
    for rule in ["action = 'deny'\ncommand = 'STORE'", "action = 'allow'\nuser = 'ann@*'"] {
        assert!(policy(&format!("[[rule]]\nname = 'r'\n{rule}\n")).permits_all().is_none(), "{rule}");
    }
}
