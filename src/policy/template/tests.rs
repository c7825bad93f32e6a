use std::time::Instant;

use super::super::{Connection, SessionFacts};
use super::*;
use crate::wire::{Effect, Operation, Protocol};

#[test]
fn places_are_filled_with_what_can_be_sent() {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let mailboxes = ["[Gmail]/Müll\r\n* BYE".to_owned()];
    let facts = Facts {
        session: SessionFacts {
            connection: &connection,
            tls: None,
            now: connection.accepted,
            user: Some("ann"),
            logged_in: true,
        },
        command: "SELECT",
        operation: Operation::Select,
        effect: Effect::Session,
        mailboxes: &mailboxes,
        selected: None,
        message: None,
        nth_message: None,
        arguments: super::super::Arguments::default(),
        answer: None,
    };
    for (text, said) in [
        ("No", "No"),
        ("{command} of {user}: {rule}", "SELECT of ann: r"),
        ("{mailbox} is closed", "'[Gmail]/M?ll??* BYE is closed"),
    ] {
        assert_eq!(&*Template::new(text).unwrap().fill("r", &facts), said, "{text}");
    }
}

#[test]
fn a_sentence_that_cannot_be_sent_is_refused() {
    for text in ["", "two\nlines", "[ALERT] no", "Löschen", &"x".repeat(201), "{usr} may not"] {
        assert!(Template::new(text).is_err(), "{text}");
    }
    assert!(Template::new("a { b").is_ok());
}
