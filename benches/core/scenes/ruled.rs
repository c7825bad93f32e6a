//! The same under a thousand rules, none of which is about what the sessions do.

use mailwarden::policy::{Policy, Rule};
use mailwarden::wire::Protocol;
use serde_json::{Value, json};

use super::{Expect, Read, Rig, Scene, UNCHANGED, imap, pop3};

pub(super) const SCENES: &[Scene] = &[
    scene("imap_noop_mailbox_rules", 1, || selected(of_mailbox), imap::noop, 2),
    scene("imap_fetch_flags_100_mailbox_rules", 100, || selected(of_mailbox), imap::fetch_flags, 200),
    scene("imap_fetch_4k_mailbox_rules", 1, || selected(of_mailbox), || imap::fetch(4 << 10), 3),
    scene("imap_fetch_1m_mailbox_rules", 1, || selected(of_mailbox), || imap::fetch(1 << 20), 3),
    scene("imap_noop_user_rules", 1, || selected(of_user), imap::noop, 2),
    scene("imap_fetch_flags_100_user_rules", 100, || selected(of_user), imap::fetch_flags, 200),
    scene("imap_fetch_4k_user_rules", 1, || selected(of_user), || imap::fetch(4 << 10), 3),
    scene("imap_fetch_1m_user_rules", 1, || selected(of_user), || imap::fetch(1 << 20), 3),
    scene("pop3_retr_4k_mailbox_rules", 1, || logged_in(of_mailbox), || pop3::retr(4 << 10), 3),
    scene("pop3_retr_4k_user_rules", 1, || logged_in(of_user), || pop3::retr(4 << 10), 3),
];

const fn scene(name: &'static str, commands: u64, start: fn() -> Rig, reads: fn() -> Vec<Read>, events: u64) -> Scene {
    Scene { name, commands, fresh: false, start, reads, expect: Expect { added: UNCHANGED, events } }
}

fn selected(rule: fn(u32) -> Value) -> Rig {
    imap::select(Rig::under(thousand(rule), Protocol::Imap))
}

fn logged_in(rule: fn(u32) -> Value) -> Rig {
    pop3::log_in(Rig::under(thousand(rule), Protocol::Pop3))
}

fn thousand(rule: fn(u32) -> Value) -> Policy {
    let rule = |number| serde_json::from_value::<Rule>(rule(number)).expect("it is written as rules are");
    Policy::new((0..1000).map(rule).collect())
}

/// On mailboxes that the sessions do not use, some for what they do, some for all.
fn of_mailbox(number: u32) -> Value {
    let (name, mailbox) = (format!("rule {number}"), format!("Projects/{number}"));
    match number % 3 {
        0 => json!({ "name": name, "action": "deny", "mailbox": mailbox }),
        1 => json!({ "name": name, "action": "deny", "mailbox": mailbox, "command": ["FETCH", "NOOP", "RETR"] }),
        _ => json!({ "name": name, "action": "deny", "mailbox": [mailbox, "Archive/**"], "effect": "read" }),
    }
}

/// On users who are not the sessions'.
fn of_user(number: u32) -> Value {
    let (name, user) = (format!("rule {number}"), format!("user{number}@example.org"));
    match number % 3 {
        0 => json!({ "name": name, "action": "deny", "user": user }),
        1 => json!({ "name": name, "action": "deny", "user": user, "command": ["FETCH", "NOOP", "RETR"] }),
        _ => json!({ "name": name, "action": "deny", "user": [user, "*@contractors.example"], "effect": "read" }),
    }
}
