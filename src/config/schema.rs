//! Which sections there are, which keys each has, and what may stand behind a key. The sections'
//! own types remain the judge; this table is what lets a mistake be explained where it stands,
//! and several at once. A test holds it against those types.

mod rule;

use std::time::Duration;

pub(super) use rule::{ANSWER, ANSWERS, INCLUDABLE, NO_CONDITIONS};

use crate::wire::{Effect, Operation};

/// A section of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) repeats: bool,
    pub(super) keys: &'static [Key],
}

impl Section {
    /// The section's header as it is written.
    pub(super) fn header(&self) -> String {
        match self.name {
            name if !SECTIONS.iter().any(|section| section.name == name) => format!("`{name} = {{ … }}`"),
            name if self.repeats => format!("[[{name}]]"),
            name => format!("[{name}]"),
        }
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key of a section.
#[derive(Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What to write, for a key that must be given.
    pub(super) needed: Option<&'static str>,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// 1 to 64 printable characters.
    Name,
    /// `address:port`.
    SocketAddress,
    /// `host:port`.
    HostPort,
    /// One of some words.
    Word(&'static [&'static str]),
    /// The name of an `[[upstream]]`.
    Upstream,
    /// `"mint"`, a table of files, or a list of such tables.
    Certificate,
    /// A list of capabilities.
    Capabilities,
    /// A host name or address.
    ServerName,
    /// A path, or a word for the system's own.
    Path,
    /// A public key's digest.
    Pin,
    /// Octets, with a unit; at least, at most.
    Size(u64, u64),
    /// A duration with a unit; at least, at most.
    Duration(Duration, Duration),
    /// A whole number; at least, at most.
    Count(u64, u64),
    /// `true` or `false`.
    Switch,
    /// A number from 0 to 1.
    Share,
    /// A pattern or a list of them.
    Patterns,
    /// A command or a list of them.
    Commands,
    /// An operation or a list of them.
    Operations,
    /// An effect or a list of them.
    Effects,
    /// A sentence for the client.
    Reply,
    /// A condition in words of its own.
    Expression,
    /// A text that is not empty; its own type may say more.
    Text,
    /// Such a text or a list of them.
    Texts,
    /// A word of these or a list of them.
    Words(&'static [&'static str]),
    /// A whole number or a list of them; at least, at most.
    Counts(u64, u64),
    /// A client network or a list of them.
    Networks,
    /// A time of the week or a list of them.
    Times,
    /// A flag or keyword, or a list of them.
    Flags,
    /// What of a message, or a list of it.
    Items,
    /// A search key or a list of them.
    SearchKeys,
    /// Kinds of answers, or a table of what is answered.
    Answer,
    /// A path or a list of them, each with `*` perhaps.
    Paths,
    /// A table with keys of its own.
    Table(&'static Section),
}

const fn needed(name: &'static str, kind: Kind, line: &'static str) -> Key {
    Key { name, kind, needed: Some(line) }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, needed: None }
}

const TLS: Kind = Kind::Word(&["implicit", "starttls", "none"]);
const PAUSE: Kind = Kind::Duration(Duration::from_millis(10), Duration::from_hours(24));
const STAY: Kind = Kind::Duration(Duration::from_millis(10), Duration::from_hours(24 * 30));
const LINE: Kind = Kind::Size(512, 16 << 20);

pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "admin",
        repeats: false,
        keys: &[
            needed("address", Kind::SocketAddress, r#"address = "127.0.0.1:9469""#),
            optional("token_file", Kind::Path),
        ],
    },
    Section {
        name: "tracing",
        repeats: false,
        keys: &[
            needed("endpoint", Kind::Text, r#"endpoint = "http://127.0.0.1:4318""#),
            needed("sample", Kind::Share, "sample = 0.01"),
            optional("headers_file", Kind::Path),
            optional("headers_env", Kind::Text),
            optional("timeout", Kind::Duration(Duration::from_millis(10), Duration::from_mins(1))),
            optional("roots", Kind::Path),
        ],
    },
    Section { name: "process", repeats: false, keys: &[optional("workers", Kind::Count(1, 1024))] },
    Section {
        name: "authority",
        repeats: false,
        keys: &[needed("directory", Kind::Path, r#"directory = "/var/lib/mailwarden/ca""#)],
    },
    Section {
        name: "listener",
        repeats: true,
        keys: &[
            needed("name", Kind::Name, r#"name = "imaps""#),
            needed("address", Kind::SocketAddress, r#"address = "127.0.0.1:1993""#),
            needed("protocol", Kind::Word(&["imap", "pop3"]), r#"protocol = "imap""#),
            needed("tls", TLS, r#"tls = "implicit""#),
            optional("posture", Kind::Word(&["enforce", "observe"])),
            needed("upstream", Kind::Upstream, r#"upstream = "provider""#),
            optional("certificate", Kind::Certificate),
            optional("clients", Kind::Path),
            optional("hide", Kind::Capabilities),
            optional("allow", Kind::Capabilities),
            optional("compress", Kind::Switch),
        ],
    },
    Section {
        name: "upstream",
        repeats: true,
        keys: &[
            needed("name", Kind::Name, r#"name = "provider""#),
            needed("address", Kind::HostPort, r#"address = "imap.example.com:993""#),
            needed("tls", TLS, r#"tls = "implicit""#),
            optional("server_name", Kind::ServerName),
            optional("roots", Kind::Path),
            optional("pin", Kind::Pin),
            optional("compress", Kind::Switch),
        ],
    },
    Section {
        name: "limits",
        repeats: false,
        keys: &[
            optional("inbox", Kind::Size(4 << 10, 64 << 20)),
            optional("command_line_before_login", LINE),
            optional("command_line", LINE),
            optional("literal_before_login", LINE),
            optional("literal", LINE),
            optional("message", Kind::Size(1 << 10, 1 << 40)),
            optional("drain", Kind::Size(0, 1 << 40)),
            optional("sasl_line", LINE),
            optional("status_line", LINE),
            optional("in_flight", Kind::Count(1, 1024)),
            optional("errors_before_login", Kind::Count(1, 1000)),
            optional("errors", Kind::Count(1, 100_000)),
            optional("connections", Kind::Count(1, 1_000_000)),
            optional("compressed_sides", Kind::Count(0, 1_000_000)),
            optional("connect_timeout", PAUSE),
            optional("handshake_timeout", PAUSE),
            optional("greeting_timeout", PAUSE),
            optional("login_timeout", PAUSE),
            optional("idle_timeout", STAY),
            optional("drain_timeout", Kind::Duration(Duration::ZERO, Duration::from_hours(24))),
        ],
    },
    rule::POLICY,
    rule::GROUP,
    rule::HOOK,
    rule::RULE,
];

/// The keys of a `certificate = { … }` table.
pub(super) const CERTIFICATE: Section = Section {
    name: "certificate",
    repeats: false,
    keys: &[needed("chain", Kind::Path, r#"chain = "cert.pem""#), needed("key", Kind::Path, r#"key = "key.pem""#)],
};

pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The words for operations, in the order of their documentation.
pub(super) fn operations() -> Vec<&'static str> {
    Operation::ALL.iter().map(|operation| operation.as_label()).collect()
}

/// The words for effects, in the order of their documentation.
pub(super) fn effects() -> Vec<&'static str> {
    Effect::ALL.iter().map(|effect| effect.as_label()).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::Config;

    /// The keys that the section's own type takes, in the words of its refusal of an unknown one.
    fn keys_of_the_type<T: for<'de> Deserialize<'de> + std::fmt::Debug>(toml: &str) -> Vec<String> {
        let refusal = toml::from_str::<T>(toml).unwrap_err().message().to_owned();
        let (_, expected) = refusal.split_once(", expected ").unwrap_or_else(|| panic!("{refusal}"));
        let mut keys: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn sorted(keys: impl Iterator<Item = &'static str>) -> Vec<String> {
        let mut keys: Vec<String> = keys.map(str::to_owned).collect();
        keys.sort();
        keys
    }

    #[test]
    fn knows_exactly_the_keys_of_the_types() {
        assert_eq!(sorted(SECTIONS.iter().map(|section| section.name)), keys_of_the_type::<Config>("zzz = 1"));
        for section in SECTIONS {
            let toml = format!("{}\nzzz = 1", section.header());
            assert_eq!(sorted(section.keys.iter().map(|key| key.name)), keys_of_the_type::<Config>(&toml));
        }
        let files = keys_of_the_type::<crate::tls::CertificateFiles>("zzz = 1");
        assert_eq!(sorted(CERTIFICATE.keys.iter().map(|key| key.name)), files);
        for (before, inner) in
            [("[policy]", &rule::RECORDINGS), ("[[rule]]", &rule::REWRITE), ("[[rule]]", &rule::THROTTLE)]
        {
            let toml = format!("{before}\n{} = {{ zzz = 1 }}", inner.name);
            assert_eq!(sorted(inner.keys.iter().map(|key| key.name)), keys_of_the_type::<Config>(&toml));
        }
    }

    #[test]
    fn the_manual_has_a_row_for_every_key_of_an_inner_table() {
        let manual = include_str!("../../docs/configuration.md");
        for inner in [&rule::REWRITE, &rule::THROTTLE] {
            let header = format!("\n### `{}`\n", inner.name);
            let (_, text) = manual.split_once(&header).unwrap_or_else(|| panic!("the manual has no{header}"));
            let rows = text.split("\n#").next().into_iter().flat_map(str::lines);
            let keys = rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key);
            assert!(keys.eq(inner.keys.iter().map(|key| key.name)), "{}", inner.name);
        }
    }

    #[test]
    fn demands_exactly_the_keys_that_have_no_default() {
        for section in SECTIONS {
            let lines: Vec<&str> = section.keys.iter().filter_map(|key| key.needed).collect();
            let whole = format!("{}\n{}", section.header(), lines.join("\n"));
            assert!(toml::from_str::<Config>(&whole).is_ok(), "{whole}");
            for left_out in &lines {
                let rest = whole.replace(left_out, "");
                assert!(toml::from_str::<Config>(&rest).is_err(), "{rest}");
            }
        }
    }
}
