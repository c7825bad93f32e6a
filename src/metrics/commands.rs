//! The command names that may be a label value. A name a client invents is `other`.

use super::labels::Row;
use crate::wire::Protocol;

/// Commands of one protocol with a label of their own; the last is `other`.
pub(super) fn known(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Imap => IMAP,
        Protocol::Pop3 => POP3,
    }
}

/// The position of a command in [`known`]; a leading `UID` is looked over, so that `UID FETCH` counts
/// as `FETCH`.
pub(super) fn position(protocol: Protocol, command: &str) -> usize {
    let names = known(protocol);
    let bare = command.strip_prefix("UID ").unwrap_or(command);
    names.iter().position(|name| *name == bare).unwrap_or(names.len() - 1)
}

/// Commands whose latency has a histogram of their own; the last is `other`.
pub(super) fn timed(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Imap => &[
            "LOGIN",
            "AUTHENTICATE",
            "SELECT",
            "LIST",
            "STATUS",
            "SEARCH",
            "FETCH",
            "STORE",
            "APPEND",
            "COPY",
            "MOVE",
            "EXPUNGE",
            "NOOP",
            "other",
        ],
        Protocol::Pop3 => &["PASS", "AUTH", "APOP", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "other"],
    }
}

/// The names of both protocols as values of the labels `protocol` and `command`.
pub(super) fn rows(names: fn(Protocol) -> &'static [&'static str]) -> Vec<Row> {
    let of = |protocol: Protocol| {
        names(protocol).iter().map(move |name| vec![protocol.as_label().to_owned(), (*name).to_owned()])
    };
    of(Protocol::Imap).chain(of(Protocol::Pop3)).collect()
}

/// The frequent ones first: they are looked for in this order, for each command.
const IMAP: &[&str] = &[
    "FETCH",
    "NOOP",
    "STORE",
    "IDLE",
    "SELECT",
    "SEARCH",
    "STATUS",
    "CAPABILITY",
    "LOGOUT",
    "STARTTLS",
    "AUTHENTICATE",
    "LOGIN",
    "ENABLE",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "NAMESPACE",
    "APPEND",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SORT",
    "THREAD",
    "COPY",
    "MOVE",
    "REPLACE",
    "ID",
    "NOTIFY",
    "GETQUOTA",
    "GETQUOTAROOT",
    "SETQUOTA",
    "GETACL",
    "SETACL",
    "DELETEACL",
    "LISTRIGHTS",
    "MYRIGHTS",
    "GETMETADATA",
    "SETMETADATA",
    "COMPRESS",
    "LANGUAGE",
    "UNAUTHENTICATE",
    "other",
];

const POP3: &[&str] = &[
    "RETR", "DELE", "STAT", "LIST", "UIDL", "CAPA", "STLS", "USER", "PASS", "APOP", "AUTH", "TOP", "RSET", "NOOP",
    "QUIT", "UTF8", "LANG", "other",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_names_are_other() {
        let name = |protocol, command| known(protocol)[position(protocol, command)];
        assert_eq!(name(Protocol::Imap, "UID FETCH"), "FETCH");
        assert_eq!(name(Protocol::Imap, "XSECRET"), "other");
        assert_eq!(name(Protocol::Pop3, "RETR"), "RETR");
        assert_eq!(name(Protocol::Pop3, "FETCH"), "other");
    }
}
