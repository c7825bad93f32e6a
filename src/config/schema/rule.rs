//! The sections that rules are written in, and the tables inside them.

use std::time::Duration;

use super::{Kind, Section, needed, optional};
use crate::policy::{CODES, POP3_CODES};

const ONE: u64 = 1;
const MOST: u64 = u32::MAX as u64;
const EVER: u64 = i64::MAX as u64;

pub(in crate::config) const POLICY: Section = Section {
    name: "policy",
    repeats: false,
    keys: &[
        optional("default", Kind::Word(&["allow", "deny"])),
        optional("include", Kind::Paths),
        optional("presets", Kind::Words(super::super::presets::NAMES)),
        optional("recordings", Kind::Table(&RECORDINGS)),
        optional("watch", Kind::Switch),
    ],
};

pub(in crate::config) const RECORDINGS: Section = Section {
    name: "recordings",
    repeats: false,
    keys: &[
        needed("directory", Kind::Path, r#"directory = "/var/lib/mailwarden/recordings""#),
        optional("most", Kind::Count(1, 1_000_000)),
        optional("size", Kind::Size(1 << 10, 1 << 40)),
    ],
};

pub(in crate::config) const GROUP: Section = Section {
    name: "group",
    repeats: true,
    keys: &[
        needed("name", Kind::Name, r#"name = "contractors""#),
        optional("members", Kind::Patterns),
        optional("file", Kind::Path),
    ],
};

pub(in crate::config) const HOOK: Section = Section {
    name: "hook",
    repeats: true,
    keys: &[
        needed("name", Kind::Name, r#"name = "office""#),
        needed("url", Kind::Text, r#"url = "https://policy.example.com/mail""#),
        optional("timeout", Kind::Duration(Duration::from_millis(10), Duration::from_mins(1))),
        optional("cache", Kind::Duration(Duration::ZERO, Duration::from_hours(24))),
        optional("on_failure", Kind::Word(&["deny", "allow"])),
        optional("roots", Kind::Path),
    ],
};

pub(in crate::config) const RULE: Section = Section {
    name: "rule",
    repeats: true,
    keys: &[
        needed("name", Kind::Name, r#"name = "nobody deletes""#),
        optional("listener", Kind::Texts),
        optional("protocol", Kind::Words(&["imap", "pop3"])),
        optional("client", Kind::Networks),
        optional("tls", Kind::Words(&["1.2", "1.3", "none"])),
        optional("server_name", Kind::Patterns),
        optional("certificate", Kind::Patterns),
        optional("time", Kind::Times),
        optional("user", Kind::Patterns),
        optional("domain", Kind::Patterns),
        optional("group", Kind::Texts),
        optional("command", Kind::Commands),
        optional("operation", Kind::Operations),
        optional("effect", Kind::Effects),
        optional("mailbox", Kind::Patterns),
        optional("flag", Kind::Flags),
        optional("item", Kind::Items),
        optional("larger_than", Kind::Size(0, EVER)),
        optional("search_key", Kind::SearchKeys),
        optional("messages_over", Kind::Count(0, MOST)),
        optional("message", Kind::Counts(ONE, MOST)),
        optional("nth_message", Kind::Counts(ONE, MOST)),
        optional("answer", Kind::Answer),
        optional("status", Kind::Words(&["OK", "NO", "BAD", "BYE", "PREAUTH", "+OK", "-ERR"])),
        optional("code_is", Kind::Patterns),
        optional("capability", Kind::Patterns),
        optional("data", Kind::Texts),
        optional("when", Kind::Expression),
        needed(
            "action",
            Kind::Word(&["allow", "deny", "rewrite", "answer", "throttle", "disconnect", "ask"]),
            r#"action = "deny""#,
        ),
        optional("reply", Kind::Reply),
        optional("code", Kind::Word(&CODES)),
        optional("pop3_code", Kind::Word(&POP3_CODES)),
        optional("rewrite", Kind::Table(&REWRITE)),
        optional("throttle", Kind::Table(&THROTTLE)),
        optional("hook", Kind::Name),
        optional("mode", Kind::Word(&["enforce", "observe"])),
        optional("log", Kind::Word(&["debug", "info", "warn", "error"])),
        optional("tags", Kind::Texts),
        optional("alert", Kind::Switch),
        optional("record", Kind::Switch),
    ],
};

pub(in crate::config) const REWRITE: Section = Section {
    name: "rewrite",
    repeats: false,
    keys: &[
        optional("examine", Kind::Switch),
        optional("peek", Kind::Switch),
        optional("without_flags", Kind::Flags),
        optional("without_items", Kind::Items),
        optional("mailbox", Kind::Text),
        optional("arguments", Kind::Text),
        optional("hide", Kind::Switch),
        optional("text", Kind::Reply),
    ],
};

pub(in crate::config) const THROTTLE: Section = Section {
    name: "throttle",
    repeats: false,
    keys: &[
        optional("delay", Kind::Duration(Duration::from_millis(1), Duration::from_mins(5))),
        optional("octets_per_second", Kind::Size(1, EVER)),
        optional("messages_per_minute", Kind::Count(1, MOST)),
        optional("per", Kind::Word(&["session", "user", "network"])),
    ],
};

/// What `action = "answer"` says.
pub(in crate::config) const ANSWER: Section =
    Section { name: "answer", repeats: false, keys: &[optional("lines", Kind::Texts)] };

/// What `answer` can be as a condition.
pub(in crate::config) const ANSWERS: &[&str] = &["greeting", "completion", "data", "capability"];

/// Keys of a `[[rule]]` that are not conditions. `answer` is one where it is a table.
pub(in crate::config) const NO_CONDITIONS: &[&str] = &[
    "name",
    "action",
    "reply",
    "code",
    "pop3_code",
    "rewrite",
    "throttle",
    "hook",
    "mode",
    "log",
    "tags",
    "alert",
    "record",
];

/// The sections that an included file may have.
pub(in crate::config) const INCLUDABLE: &[&str] = &["rule", "group", "hook"];
