//! Expressions of rules: any text is one or is refused, and one that is can be asked.

use std::time::Instant;

use mailwarden::policy::{ActionKind, Arguments, Connection, Facts, Outcome, Policy, Rule, SessionFacts};
use mailwarden::wire::{Effect, Operation, Protocol};
use serde_json::json;

/// A text as the condition of a rule that denies and of one that allows.
pub fn expression(octets: &[u8]) {
    let Ok(text) = core::str::from_utf8(octets) else { return };
    let rule = |action: &str| serde_json::from_value::<Rule>(json!({ "name": "r", "action": action, "when": text }));
    let (denies, allows) = (rule("deny"), rule("allow"));
    assert_eq!(denies.is_ok(), allows.is_ok(), "what is an expression does not hang on the action");
    let (Ok(denies), Ok(allows)) = (denies, allows) else { return };
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let (flags, mailboxes) = (["$Junk".to_owned(), "\\deleted".to_owned()], ["a.b/".to_owned()]);
    for (size, messages, reaches_further) in [(Some(5000), Some(2), false), (None, None, true)] {
        let arguments = Arguments { flags: &flags, messages, size, reaches_further, ..Arguments::default() };
        let facts = Facts {
            session: SessionFacts {
                connection: &connection,
                tls: None,
                now: connection.accepted,
                user: Some("Ann@x"),
                logged_in: true,
            },
            command: "STORE",
            operation: Operation::Flag,
            effect: Effect::Flag,
            mailboxes: &mailboxes,
            selected: Some("INBOX"),
            message: None,
            nth_message: None,
            arguments,
            answer: None,
        };
        let policy = Policy::new(vec![denies.clone(), allows.clone()]);
        let verdict = policy.judge(&facts);
        let said = policy.explain(&facts, &verdict);
        let refused = matches!(verdict.outcome, Outcome::Deny(_));
        assert_eq!(refused, said.action == ActionKind::Deny, "{text}");
    }
}
