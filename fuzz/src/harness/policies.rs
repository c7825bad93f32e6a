//! Policies to play under, each with what it means for a server: told by names and arguments alone, as the
//! reference reader sees them, and not by the rules.

use std::sync::OnceLock;

use mailwarden::policy::{Fallback, Policy, Rule};

use super::reference::Command;

/// The folder that policies deny.
pub const SECRET: &str = "Secret";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Nothing,
    Hidden,
    Kept,
    Rewritten,
    Claimed,
    Expressions,
    Asked,
    Closed,
}

const SETS: [Set; 8] =
    [Set::Nothing, Set::Hidden, Set::Kept, Set::Rewritten, Set::Claimed, Set::Expressions, Set::Asked, Set::Closed];

const ASKED: [&str; 9] = ["CREATE", "SUBSCRIBE", "STORE", "COPY", "APPEND", "SELECT", "RETR", "UIDL", "STATUS"];

impl Set {
    /// One for each value.
    pub fn of(octet: u8) -> Self {
        SETS[usize::from(octet) % SETS.len()]
    }

    fn text(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Hidden => &["action = 'deny'\nmailbox = 'Secret'\ncode = 'NONEXISTENT'"],
            Self::Kept => &["action = 'deny'\neffect = 'destroy'"],
            Self::Rewritten => &[
                "action = 'rewrite'\ncommand = 'SELECT'\nrewrite = { examine = true }",
                "action = 'rewrite'\ncommand = 'FETCH'\nrewrite = { peek = true, without_items = 'ENVELOPE' }",
                "action = 'rewrite'\ncommand = ['STORE', 'APPEND', 'REPLACE']\nrewrite = { without_flags = '\\Deleted' }",
                "action = 'rewrite'\ncommand = 'CREATE'\nrewrite = { mailbox = 'Mapped/{mailbox}' }",
                "action = 'rewrite'\ncommand = 'TOP'\nrewrite = { arguments = '1 0' }",
                "action = 'rewrite'\nanswer = 'completion'\ncode_is = 'R*'\nrewrite = { text = 'fine' }",
                "action = 'rewrite'\nanswer = 'capability'\ncapability = 'I*'\nrewrite = { hide = true }",
            ],
            Self::Claimed => &[
                "action = 'answer'\ncommand = ['NOOP', 'CHECK', 'CLOSE', 'STAT']\nanswer = { lines = ['OK x'] }",
                "action = 'disconnect'\ncommand = ['DELETE', 'RSET']",
                "action = 'throttle'\ncommand = ['STATUS', 'IDLE', 'LIST', 'UIDL', 'SELECT']\nthrottle = { delay = '1s' }",
                "action = 'throttle'\ncommand = ['APPEND', 'COPY', 'FETCH', 'RETR']\nthrottle = { messages_per_minute = 1 }",
            ],
            Self::Expressions => &[
                "action = 'deny'\nwhen = '\"\\\\Deleted\" in flags || mailboxes.exists(m, m.startsWith(\"Secret\"))'",
                "action = 'deny'\nwhen = 'command == \"RETR\" && message > 1 || item_kinds.exists(k, k == \"whole\") && command != \"RETR\"'",
            ],
            Self::Asked => &[
                "action = 'ask'\ncommand = ['CREATE', 'SUBSCRIBE', 'STORE', 'COPY', 'APPEND', 'SELECT', 'RETR', 'UIDL', 'STATUS']\nhook = 'desk'",
            ],
            Self::Closed => &["action = 'allow'\noperation = ['select', 'list', 'headers']"],
        }
    }

    /// The policy, as it is when it has just been loaded.
    pub fn policy(self) -> Policy {
        static RULES: OnceLock<Vec<Vec<Rule>>> = OnceLock::new();
        let read = |set: Set| {
            let rules = set.text().iter().enumerate();
            rules.map(|(at, text)| toml::from_str(&format!("name = '{set:?} {at}'\n{text}")).expect("a rule")).collect()
        };
        let rules = RULES.get_or_init(|| SETS.map(read).into());
        let fallback = if self == Self::Closed { Fallback::Deny } else { Fallback::Allow };
        let rules =
            SETS.iter().zip(rules).find(|(set, _)| **set == self).map_or_else(Vec::new, |(_, rules)| rules.clone());
        Policy::build(rules, &[], fallback)
    }

    /// A service that is asked says no to the command with this number.
    pub fn says_no(number: u32) -> bool {
        number.is_multiple_of(3)
    }

    /// The policy does not let this reach the server. `number` is that of the client's command; the proxy's own have none.
    pub fn forbids(self, command: &Command, number: Option<u32>) -> bool {
        let (verb, is_own) = (command.verb(), command.is_own());
        match self {
            Self::Nothing => false,
            Self::Hidden => {
                command.mailboxes().iter().any(|name| name == SECRET)
                    || verb == "NOTIFY"
                    || acts_on_selected(verb) && command.selected.as_deref() == Some(SECRET)
            }
            Self::Kept => {
                matches!(verb, "CLOSE" | "DELETE" | "EXPUNGE" | "MOVE" | "REPLACE" | "DELE")
                    || verb == "STORE" && deletes(command) && !command.words().any(|word| word.starts_with("-FLAGS"))
            }
            Self::Rewritten => match verb {
                "SELECT" => true,
                "FETCH" => marks_seen_or_tells_envelope(command),
                "STORE" | "APPEND" | "REPLACE" => deletes(command),
                "CREATE" => !is_own && command.mailboxes().iter().any(|name| !name.starts_with("Mapped/")),
                "TOP" => command.arguments != ["1", "0"],
                _ => false,
            },
            // IMAP defines no NO to NOOP, which is not judged (RFC 9051 §6.1.2)
            Self::Claimed => matches!(verb, "CHECK" | "CLOSE" | "STAT" | "DELETE" | "RSET"),
            Self::Expressions => match verb {
                "STORE" | "APPEND" | "REPLACE" if deletes(command) => true,
                "FETCH" => command.words().any(|word| is_whole(&word)),
                "RETR" => command.arguments.first().is_none_or(|number| number != "1"),
                _ => command.mailboxes().iter().any(|name| name.starts_with(SECRET)),
            },
            Self::Asked => ASKED.contains(&verb) && number.is_some_and(Self::says_no),
            Self::Closed => is_beyond_lists(command),
        }
    }
}

/// It is neither what a session needs nor for selecting, lists or headers.
fn is_beyond_lists(command: &Command) -> bool {
    let verb = command.verb();
    let selects = ["SELECT", "EXAMINE", "UNSELECT"];
    let lists = ["LIST", "LSUB", "XLIST", "STATUS", "NAMESPACE", "UIDL", "STAT", "LAST"];
    let basics = [
        "LOGIN",
        "AUTHENTICATE",
        "CAPABILITY",
        "NOOP",
        "CHECK",
        "LOGOUT",
        "ID",
        "STARTTLS",
        "COMPRESS",
        "LANGUAGE",
        "UNAUTHENTICATE",
        "CAPA",
        "USER",
        "PASS",
        "APOP",
        "AUTH",
        "STLS",
        "QUIT",
        "RSET",
        "UTF8",
        "LANG",
    ];
    match verb {
        "FETCH" => command.words().any(|word| is_whole(&word)),
        "TOP" => command.arguments.get(1).is_none_or(|lines| !lines.trim_start_matches('0').is_empty()),
        _ => !selects.contains(&verb) && !lists.contains(&verb) && !basics.contains(&verb),
    }
}

fn acts_on_selected(verb: &str) -> bool {
    matches!(verb, "FETCH" | "STORE" | "SEARCH" | "SORT" | "THREAD" | "COPY" | "MOVE" | "EXPUNGE" | "CLOSE" | "REPLACE")
}

/// `\Deleted` stands among what are flags.
fn deletes(command: &Command) -> bool {
    command.words().any(|word| word == "\\DELETED")
}

fn is_whole(item: &str) -> bool {
    matches!(item, "RFC822" | "BODY[]" | "BODY.PEEK[]" | "BINARY[]" | "BINARY.PEEK[]")
        || ["BODY[]<", "BODY.PEEK[]<", "BINARY[]<", "BINARY.PEEK[]<"].iter().any(|start| item.starts_with(start))
}

fn marks_seen_or_tells_envelope(command: &Command) -> bool {
    command.words().any(|word| {
        matches!(word.as_str(), "ENVELOPE" | "ALL" | "FULL" | "RFC822" | "RFC822.TEXT")
            || word.starts_with("BODY[")
            || word.starts_with("BINARY[")
    })
}
