//! What a rule may ask about a command's arguments, and where in the command they stand.
//!
//! Read only where a rule asks, by the same grammar that decides whether the command is one: it notes
//! what it passes.

use std::ops::Range;

use super::grammar;
use super::mailbox::Names;
use super::reader::{Fault, Reader};
use super::spec::Spec;
use crate::wire::Item;

/// Something in a command, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// The token or tokens as they stand in the input: quotes, parentheses and announcements included.
    pub span: Range<usize>,
    /// What is meant.
    pub value: T,
}

/// The parts of one command, or of what follows a message inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The command's name, `UID` included.
    pub name: Range<usize>,
    /// All behind the name and its SP, to before the CRLF or up to a message's announcement.
    pub arguments: Range<usize>,
    /// Mailbox names that stand for themselves, decoded: not those in URLs and not patterns.
    pub mailboxes: Vec<Part<String>>,
    /// Items of FETCH in order, those of a macro one by one; of NOTIFY too.
    pub items: Vec<Part<Item>>,
    /// All items of a FETCH, with their parentheses.
    pub item_list: Option<Range<usize>>,
    /// Each list of flags: that of STORE, and one for each message that is brought.
    pub flags: Vec<Part<Vec<String>>>,
    /// Search keys in upper case, as far as they are known; `NOT`, `OR` and `FUZZY` among them.
    pub keys: Vec<&'static str>,
    /// The set of messages it is about.
    pub set: Option<Range<usize>>,
    /// How many messages that names at most, zero without a set; `None` if that cannot be told.
    pub messages: Option<u64>,
    /// It reaches mailboxes that it does not name: patterns, subtrees, all of them.
    pub reaches_further: bool,
    /// Octets of the message that is announced at the end of the input.
    pub announced: Option<u64>,
}

impl Parts {
    /// Of a command that [`parse_with`](super::parse_with) has read; none of another.
    #[must_use]
    pub fn read(input: &[u8], names: Names) -> Option<Self> {
        let mut reader = Reader::collecting(input, names);
        let (spec, name) = reader.command_name().ok()?;
        let start = (reader.at() + 1).min(input.len());
        let announced = match spec.read_arguments(&mut reader) {
            Ok(()) => None,
            Err(Fault::Message(message)) => Some(message.announced),
            Err(Fault::Malformed(_) | Fault::Literal) => return None,
        };
        let end = announced.as_ref().map_or(reader.at(), |announced| announced.at.start);
        let mut parts = reader.take_parts();
        (parts.name, parts.arguments) = (name, start.min(end)..end);
        parts.announced = announced.map(|announced| announced.size);
        if parts.set.is_none() || !is_about_a_set(spec) {
            (parts.set, parts.messages) = (None, unnamed_messages(spec));
        }
        Some(parts)
    }

    /// Of what [`parse_append_more`](super::parse_append_more) has read.
    #[must_use]
    pub fn read_more(input: &[u8], enclosure: super::Enclosure) -> Option<Self> {
        let mut reader = Reader::collecting(input, Names::ModifiedUtf7);
        let announced = match grammar::append_more(&mut reader, enclosure) {
            Ok(()) => None,
            Err(Fault::Message(message)) => Some(message.announced.size),
            Err(Fault::Malformed(_) | Fault::Literal) => return None,
        };
        Some(Self { announced, messages: Some(1), ..reader.take_parts() })
    }
}

impl Parts {
    /// The first set is what the command is about; others stand in search keys and parameters.
    pub(super) fn note_set(&mut self, span: Range<usize>, count: Option<u64>) {
        if self.set.is_none() {
            (self.set, self.messages) = (Some(span), count);
        }
    }
}

/// Without a set, CLOSE and EXPUNGE are about any number of messages, all others about none.
fn unnamed_messages(spec: &Spec) -> Option<u64> {
    match spec.name {
        "CLOSE" | "EXPUNGE" => None,
        "APPEND" | "REPLACE" | "UID REPLACE" => Some(1),
        _ => Some(0),
    }
}

fn is_about_a_set(spec: &Spec) -> bool {
    matches!(spec.name.strip_prefix("UID ").unwrap_or(spec.name), "FETCH" | "STORE" | "COPY" | "MOVE" | "EXPUNGE")
}

/// The ranges of a set of messages or UIDs, lower end first; `*` is the largest number there is. None of `$`.
#[must_use]
pub fn ranges_of(set: &[u8]) -> Option<Vec<(u32, u32)>> {
    let number = |text: &str| if text == "*" { Some(u32::MAX) } else { text.parse().ok() };
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        Some((first.min(last), first.max(last)))
    };
    std::str::from_utf8(set).ok()?.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Parts {
        Parts::read(line.as_bytes(), Names::ModifiedUtf7).expect("a command")
    }

    fn at(line: &str, span: &Range<usize>) -> String {
        line[span.clone()].to_owned()
    }

    #[test]
    fn a_fetch_tells_its_set_and_its_items() {
        let line = "a UID FETCH 3:9,12 (FLAGS BODY[]<0.5> BODY.PEEK[HEADER.FIELDS (To)]) (CHANGEDSINCE 1)\r\n";
        let read = parts(line);
        assert_eq!((at(line, &read.name), read.messages), ("UID FETCH".to_owned(), Some(8)));
        let names: Vec<&str> = read.items.iter().map(|item| item.value.name.as_str()).collect();
        assert_eq!(names, ["FLAGS", "BODY[]", "BODY[HEADER.FIELDS]"]);
        assert_eq!(at(line, &read.items[1].span), "BODY[]<0.5>");
        assert_eq!(
            at(line, &read.item_list.clone().expect("a list")),
            "(FLAGS BODY[]<0.5> BODY.PEEK[HEADER.FIELDS (To)])"
        );
        assert!(at(line, &read.arguments).ends_with("(CHANGEDSINCE 1)"));
        let macro_items = parts("a FETCH 1 FAST\r\n").items;
        let names: Vec<&str> = macro_items.iter().map(|item| item.value.name.as_str()).collect();
        assert_eq!(names, ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]);
    }

    #[test]
    fn counts_the_messages_of_a_set() {
        for (set, count) in [
            ("1", Some(1)),
            ("*", Some(1)),
            ("1:5,7,9:8", Some(8)),
            ("1:4294967295,1:4294967295", Some(8_589_934_590)),
            ("1:*", None),
            ("*:2,3", None),
            ("$", None),
        ] {
            assert_eq!(parts(&format!("a COPY {set} x\r\n")).messages, count, "{set}");
        }
        for (line, count) in [
            ("a NOOP\r\n", Some(0)),
            ("a EXPUNGE\r\n", None),
            ("a CLOSE\r\n", None),
            ("a UID EXPUNGE 4\r\n", Some(1)),
            ("a APPEND x {3}\r\n", Some(1)),
            ("a REPLACE 4 x {3}\r\n", Some(1)),
            ("a SEARCH 1:*\r\n", Some(0)),
        ] {
            assert_eq!(parts(line).messages, count, "{line}");
        }
    }

    #[test]
    fn tells_flags_keys_mailboxes_and_what_is_announced() {
        let line = "a STORE 1 -FLAGS.SILENT (\\Seen $Junk)\r\n";
        let read = parts(line);
        assert_eq!(read.flags[0].value, ["\\Seen", "$Junk"]);
        assert_eq!(at(line, &read.flags[0].span), "(\\Seen $Junk)");
        let line = "a APPEND \"S&-T\" (\\Draft) {30}\r\n";
        let read = parts(line);
        assert_eq!((at(line, &read.mailboxes[0].span), &*read.mailboxes[0].value), ("\"S&-T\"".to_owned(), "S&T"));
        assert_eq!((read.flags[0].value.len(), read.announced), (1, Some(30)));
        assert_eq!(at(line, &read.arguments), "\"S&-T\" (\\Draft) ");
        let read = parts("a SEARCH NOT subject x OR (BODY y) XFOO \"z\"\r\n");
        assert_eq!(read.keys, ["NOT", "SUBJECT", "OR", "BODY"]);
    }

    #[test]
    fn knows_what_reaches_mailboxes_without_their_names() {
        for (line, further) in [
            ("a LIST \"\" *\r\n", true),
            ("a LIST \"\" x\r\n", false),
            ("a LSUB \"\" x/%\r\n", true),
            ("a NOTIFY SET (PERSONAL (MessageNew))\r\n", true),
            ("a NOTIFY SET (SUBTREE x (MessageNew))\r\n", true),
            ("a NOTIFY SET (MAILBOXES x (MessageNew))\r\n", false),
            ("a NOTIFY SET (SELECTED (MessageNew))\r\n", false),
            ("a ESEARCH IN (SUBSCRIBED) ALL\r\n", true),
            ("a ESEARCH IN (MAILBOXES x) ALL\r\n", false),
            ("a RESETKEY\r\n", true),
            ("a RENAME x y\r\n", true),
            ("a DELETE x\r\n", false),
        ] {
            assert_eq!(parts(line).reaches_further, further, "{line}");
        }
    }

    #[test]
    fn reads_the_ranges_of_a_set() {
        assert_eq!(ranges_of(b"1,7:5,9:*"), Some(vec![(1, 1), (5, 7), (9, u32::MAX)]));
        assert_eq!(ranges_of(b"$"), None);
    }

    #[test]
    fn tells_what_follows_a_message() {
        let line = b" (\\Seen) {5}\r\n";
        let read = Parts::read_more(line, super::super::Enclosure::None).expect("a further message");
        assert_eq!((read.announced, &read.flags[0].value[..]), (Some(5), &["\\Seen".to_owned()][..]));
    }
}
