//! Untagged data about a mailbox that it names: which one, and where its name stands.

use std::borrow::Cow;
use std::ops::Range;

use super::literal::{Announcement, Tail};
use super::mailbox::{Names, decode, fold_inbox};
use super::spec::Spec;

/// Untagged data about mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedData {
    /// The word of the data in upper case: `LIST`, `STATUS`.
    pub word: &'static str,
    /// The command by which a client asks for this about one mailbox by its name.
    pub asked_by: &'static Spec,
    /// The name.
    pub name: DataName,
    /// The name that the mailbox had before, where that is told (`OLDNAME`, RFC 9051 §6.3.9.7).
    pub old_name: Option<String>,
}

/// The mailbox that data is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataName {
    /// It is named here.
    Known {
        /// The token, quotes or a literal's announcement included.
        span: Range<usize>,
        /// What it says, as [`decode`] gives it; as it stands if the server does not keep to an encoding.
        name: String,
    },
    /// It is the literal that the line announces at its end.
    Literal(Announcement),
    /// It is about no mailbox by name: the selected one, or the server.
    None,
    /// It cannot be read.
    Unreadable,
}

/// Data that can name a mailbox, and the command that asks for it.
const WORDS: [(&str, &str); 11] = [
    ("LIST", "LIST"),
    ("LSUB", "LSUB"),
    ("XLIST", "XLIST"),
    ("STATUS", "STATUS"),
    ("METADATA", "GETMETADATA"),
    // of the draft that became RFC 5464
    ("ANNOTATION", "GETMETADATA"),
    ("ACL", "GETACL"),
    ("LISTRIGHTS", "LISTRIGHTS"),
    ("MYRIGHTS", "MYRIGHTS"),
    ("QUOTAROOT", "GETQUOTAROOT"),
    ("ESEARCH", "ESEARCH"),
];

/// The commands by which a client asks for such data.
pub fn asking_by_name() -> impl Iterator<Item = &'static Spec> {
    WORDS.into_iter().filter_map(|(_, command)| Spec::find(command.as_bytes()))
}

/// Reads data that may name a mailbox; none of any other line. `octets` is one line, the first part of one, or a
/// line with the literals and lines that follow it.
#[must_use]
pub fn named_data(octets: &[u8], names: Names) -> Option<NamedData> {
    let rest = octets.strip_prefix(b"* ")?;
    let end = rest.iter().position(|octet| matches!(octet, b' ' | b'\r'))?;
    let word = rest.get(..end)?;
    let (word, command) = WORDS.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()))?;
    let asked_by = Spec::find(command.as_bytes())?;
    let mut reader = Reader { octets, at: end + 2, names };
    let name = match word {
        "LIST" | "LSUB" | "XLIST" => reader.listed(),
        "ESEARCH" => reader.searched(),
        _ => reader.first(),
    };
    let name = name.unwrap_or(DataName::Unreadable);
    let is_extended = word == "LIST" && matches!(name, DataName::Known { .. });
    let old_name = if is_extended { reader.old_name().unwrap_or(DataName::Unreadable) } else { DataName::None };
    let (name, old_name) = match old_name {
        DataName::Known { name: old_name, .. } => (name, Some(old_name)),
        DataName::None => (name, None),
        DataName::Literal(_) | DataName::Unreadable => (DataName::Unreadable, None),
    };
    Some(NamedData { word, asked_by, name, old_name })
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
    names: Names,
}

enum Token<'a> {
    Text(Cow<'a, [u8]>),
    Literal(Announcement),
}

impl<'a> Reader<'a> {
    /// ` (attributes) delimiter name` (RFC 9051 §7.3.1).
    fn listed(&mut self) -> Option<DataName> {
        self.expect(b' ')?;
        self.expect(b'(')?;
        self.at += self.rest().iter().position(|octet| *octet == b')')? + 1;
        self.expect(b' ')?;
        self.token()?;
        let name = self.first()?;
        // one that goes on behind a parenthesis or a quote is another to who reads on
        let ends = matches!(name, DataName::Literal(_)) || matches!(self.rest().first(), Some(b' ' | b'\r' | b'\n'));
        ends.then_some(name)
    }

    /// ` (TAG "a" MAILBOX name UIDVALIDITY 1)`, of the command of RFC 7377 only.
    fn searched(&mut self) -> Option<DataName> {
        if !self.rest().starts_with(b" (") {
            return Some(DataName::None);
        }
        self.at += 2;
        loop {
            let Token::Text(key) = self.token()? else { return None };
            self.expect(b' ')?;
            if key.eq_ignore_ascii_case(b"MAILBOX") {
                return self.name();
            }
            self.token()?;
            if self.expect(b' ').is_none() {
                return self.rest().starts_with(b")").then_some(DataName::None);
            }
        }
    }

    /// The name behind one SP.
    fn first(&mut self) -> Option<DataName> {
        self.expect(b' ')?;
        self.name()
    }

    fn name(&mut self) -> Option<DataName> {
        let start = self.at;
        Some(match self.token()? {
            Token::Literal(announcement) => DataName::Literal(announcement),
            Token::Text(text) if text.is_empty() => DataName::None,
            Token::Text(text) => {
                let raw = || fold_inbox(String::from_utf8_lossy(&text).into_owned());
                let name = decode(&text, self.names).unwrap_or_else(|_| raw());
                DataName::Known { span: start..self.at, name }
            }
        })
    }

    /// The old name among the extended data behind a name.
    fn old_name(&mut self) -> Option<DataName> {
        const OLD_NAME: &[u8] = b"OLDNAME";
        let rest = self.rest();
        let line = rest.strip_suffix(b"\n")?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if Tail::of(line) != Tail::Plain || line.contains(&b'\n') {
            return None;
        }
        let found = line.windows(OLD_NAME.len()).position(|word| word.eq_ignore_ascii_case(OLD_NAME));
        let Some(found) = found else { return Some(DataName::None) };
        self.at += found + OLD_NAME.len();
        if self.rest().starts_with(b"\"") {
            self.at += 1;
        }
        self.expect(b' ')?;
        self.expect(b'(')?;
        self.name()
    }

    fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    fn expect(&mut self, octet: u8) -> Option<()> {
        let here = self.rest().first() == Some(&octet);
        self.at += usize::from(here);
        here.then_some(())
    }

    /// A quoted string, a literal, or what stands up to the next SP or parenthesis.
    fn token(&mut self) -> Option<Token<'a>> {
        match self.rest().first()? {
            b'"' => self.quoted().map(Token::Text),
            b'{' => self.literal(),
            _ => {
                let end = |octet: &u8| matches!(octet, b' ' | b'(' | b')' | b'\r' | b'\n');
                let rest = self.rest();
                // a part of a line that ends here may end in the middle of the name
                let text = rest.get(..rest.iter().position(end)?).filter(|text| !text.is_empty())?;
                self.at += text.len();
                Some(Token::Text(Cow::Borrowed(text)))
            }
        }
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        let (mut value, mut escaped) = (Vec::new(), false);
        for (at, octet) in self.rest().iter().enumerate().skip(1) {
            match octet {
                b'\\' if !escaped => escaped = true,
                b'"' if !escaped => {
                    self.at += at + 1;
                    return Some(Cow::Owned(value));
                }
                b'\r' | b'\n' => return None,
                _ => {
                    escaped = false;
                    value.push(*octet);
                }
            }
        }
        None
    }

    fn literal(&mut self) -> Option<Token<'a>> {
        let line = self.rest().split(|octet| *octet == b'\n').next()?;
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        let Tail::Literal(announced) = Tail::of(text) else { return None };
        if announced.len != text.len() {
            return None;
        }
        let start = line.len() + 1;
        let Some(behind) = self.rest().get(start..).filter(|behind| !behind.is_empty()) else {
            return Some(Token::Literal(announced));
        };
        let text = behind.get(..usize::try_from(announced.octets).ok()?)?;
        self.at += start + text.len();
        Some(Token::Text(Cow::Borrowed(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn old_name_of(line: &str) -> Option<String> {
        let data = named_data(line.as_bytes(), Names::ModifiedUtf7)?;
        assert_eq!(data.word, "LIST", "{line}");
        match data.name {
            DataName::Known { name, .. } => Some(format!("{name} {}", data.old_name.as_deref().unwrap_or("-"))),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn finds_the_name_that_a_mailbox_had() {
        for (line, names) in [
            ("* LIST () \"/\" New (\"OLDNAME\" (\"Secret\"))\r\n", "New Secret"),
            ("* LIST () \"/\" {3}\r\nNew (OldName (inbox))\r\n", "New INBOX"),
            ("* LIST () \"/\" New (\"CHILDINFO\" (\"SUBSCRIBED\") \"oldname\" (\"S&AOQ-\"))\r\n", "New Sä"),
            ("* LIST () \"/\" New (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", "New -"),
            ("* LIST () \"/\" OLDNAME\r\n", "OLDNAME -"),
            ("* LIST () \"/\" New (\"OLDNAME\" (\"Secret\"", "Unreadable"),
            ("* LIST () \"/\" New (\"OLDNAME\" \"Secret\")\r\n", "Unreadable"),
            ("* LIST () \"/\" New (\"OLDNAME\" ({6}\r\n", "Unreadable"),
            ("* LIST () \"/\" New ({7}\r\nOLDNAME (\"Secret\"))\r\n", "Unreadable"),
        ] {
            assert_eq!(old_name_of(line).as_deref(), Some(names), "{line}");
        }
    }

    fn name_of(line: &str) -> Option<(&'static str, String)> {
        let data = named_data(line.as_bytes(), Names::ModifiedUtf7)?;
        let name = match data.name {
            DataName::Known { span, name } => format!("{name} {}", &line[span]),
            other => format!("{other:?}"),
        };
        Some((data.word, name))
    }

    #[test]
    fn finds_the_mailbox_that_data_is_about() {
        for (line, word, name) in [
            ("* LIST (\\HasNoChildren) \"/\" Secret\r\n", "LIST", "Secret Secret"),
            ("* lsub () NIL \"a \\\"b\"\r\n", "LSUB", "a \"b \"a \\\"b\""),
            ("* XLIST (\\Inbox) \".\" inbox\r\n", "XLIST", "INBOX inbox"),
            ("* LIST () \"\\\\\" {6}\r\nSecret\r\n", "LIST", "Secret {6}\r\nSecret"),
            ("* STATUS \"S&AOQ-\" (MESSAGES 1)\r\n", "STATUS", "Sä \"S&AOQ-\""),
            ("* STATUS Q&A (MESSAGES 1)\r\n", "STATUS", "Q&A Q&A"),
            ("* METADATA \"\" (/a \"b\")\r\n", "METADATA", "None"),
            ("* METADATA Secret /a\r\n", "METADATA", "Secret Secret"),
            ("* ACL Secret ann lr\r\n", "ACL", "Secret Secret"),
            ("* QUOTAROOT Secret \"\"\r\n", "QUOTAROOT", "Secret Secret"),
            ("* ESEARCH (TAG \"a\" MAILBOX \"Secret\" UIDVALIDITY 1) UID ALL 1\r\n", "ESEARCH", "Secret \"Secret\""),
            ("* ESEARCH (TAG \"a\") UID ALL 1\r\n", "ESEARCH", "None"),
            ("* ESEARCH UID COUNT 1\r\n", "ESEARCH", "None"),
            ("* LIST () \"/\" Secr", "LIST", "Unreadable"),
            ("* LIST () \"/\" \"Secr", "LIST", "Unreadable"),
            ("* LIST\r\n", "LIST", "Unreadable"),
            ("* LIST () \"/\" Secret(2)\r\n", "LIST", "Unreadable"),
            ("* LIST () \"/\" \"Secret\"2\r\n", "LIST", "Unreadable"),
        ] {
            assert_eq!(name_of(line), Some((word, name.to_owned())), "{line}");
        }
        assert_eq!(name_of("* SEARCH 1 2\r\n"), None);
        assert_eq!(name_of("* 3 EXISTS\r\n"), None);
        let open = named_data(b"* LIST () \"/\" {6}\r\n", Names::Utf8).map(|data| data.name);
        assert!(matches!(open, Some(DataName::Literal(Announcement { octets: 6, .. }))), "{open:?}");
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..40), word in 0..WORDS.len()) {
            let line = [b"* ", WORDS[word].0.as_bytes(), b" (", &octets].concat();
            if let Some(NamedData { name: DataName::Known { span, .. }, .. }) = named_data(&line, Names::Utf8) {
                prop_assert!(span.start < span.end && span.end <= line.len());
            }
        }
    }
}
