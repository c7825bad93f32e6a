//! Times conditions of rules: keys beside expressions that say the same, the costliest that may be written, and
//! reading each.
//!
//! `cargo bench --package mailwarden-core --bench expressions`

#![allow(missing_docs, unreachable_pub, reason = "a program; criterion's macros make public functions")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use mailwarden::policy::{Arguments, ClientTls, Connection, Facts, Policy, Rule, SessionFacts};
use mailwarden::wire::{Effect, Operation, Protocol};
use serde_json::{Value, json};

/// The conditions of a rule. None holds, so that all of each is looked at.
fn conditions() -> Vec<(&'static str, Value)> {
    // thirty times through the longest list
    let costliest = ["flags.all(x,!x.contains(\"ab\"))"; 30].join("&&");
    vec![
        ("keys: larger_than", json!({ "larger_than": 6000 })),
        ("when: octets > 6000", json!({ "when": "octets > 6000" })),
        ("keys: user, larger_than", json!({ "user": "*@example.org", "larger_than": 6000 })),
        ("when: user and octets", json!({ "when": "user.endsWith(\"@example.org\") && octets > 6000" })),
        ("keys: mailbox", json!({ "mailbox": "Shared/**" })),
        ("when: mailboxes.exists", json!({ "when": "mailboxes.exists(m, m.startsWith(\"Shared/\"))" })),
        (
            "when: six attributes",
            json!({ "when": "command == \"STORE\" && user == \"ann@example.org\" && !(domain in [\"a.example\", \"b.example\"]) \
                && messages < 100 && octets > 4000 && tls == \"1.2\"" }),
        ),
        ("when: the costliest", json!({ "when": format!("!({costliest})") })),
    ]
}

fn rule(conditions: &Value) -> Rule {
    let name = json!({ "name": "r", "action": "deny" });
    let table = [&name, conditions].into_iter().filter_map(Value::as_object).flatten();
    let table: serde_json::Map<_, _> = table.map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_json::from_value(table.into()).expect("a rule of this file can be read")
}

fn expressions(criterion: &mut Criterion) {
    let connection = Connection::offline(Protocol::Imap, Instant::now());
    let tls = ClientTls { version: "1.3", server_name: None, subject: None };
    // as many as an expression looks at, as long as it looks at
    let flags: Vec<String> = (0..64).map(|number| format!("{number:0>64}")).collect();
    let facts = Facts {
        session: SessionFacts {
            connection: &connection,
            tls: Some(&tls),
            now: connection.accepted,
            user: Some("ann@example.org"),
            logged_in: true,
        },
        command: "STORE",
        operation: Operation::Flag,
        effect: Effect::Flag,
        mailboxes: &[],
        selected: Some("Archive"),
        message: None,
        nth_message: None,
        arguments: Arguments { flags: &flags, messages: Some(1), size: Some(5000), ..Arguments::default() },
        answer: None,
    };
    let mut group = criterion.benchmark_group("judging");
    for (name, conditions) in conditions() {
        let policy = Policy::new(vec![rule(&conditions)]);
        assert_eq!(policy.explain(&facts, &policy.judge(&facts)).rule, None, "{name} does not hold");
        group.bench_function(name, |bencher| bencher.iter(|| policy.judge(black_box(&facts))));
    }
    group.finish();
    let mut group = criterion.benchmark_group("reading");
    for (name, conditions) in conditions() {
        group.bench_function(name, |bencher| bencher.iter(|| rule(black_box(&conditions))));
    }
}

criterion_group!(benches, expressions);
criterion_main!(benches);
