//! The two lines of which most of a session consists, read in one go: data about a message without a string
//! in it, and a tagged OK without a response code.
//!
//! Nothing is known here that [`response_head`](super::response_head) and
//! [`FetchScanner`](super::FetchScanner) would not say too; it only costs a fraction of theirs.

use super::fetch::plain_fetch;

/// A line that needs no closer look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainLine<'a> {
    /// `* 12 FETCH (UID 7 FLAGS (\\Seen))`: no content, no string.
    Fetch {
        /// The sequence number.
        number: u32,
        /// The UID item.
        uid: Option<u32>,
    },
    /// `tag OK text`.
    Done {
        /// The tag as received.
        tag: &'a [u8],
    },
}

/// Reads a whole line that announces no literal, if it is one of these two and written as all servers do.
#[must_use]
pub fn plain_line(line: &[u8]) -> Option<PlainLine<'_>> {
    let text = line.strip_suffix(b"\r\n")?;
    let Some(rest) = text.strip_prefix(b"* ") else {
        let end = text.iter().position(|octet| *octet == b' ')?;
        let (tag, rest) = text.split_at(end);
        // a `[` at the start is a response code without its `* OK`
        let plain = !matches!(tag, [] | [b'[' | b'+' | b'*' | 0, ..]) && rest.starts_with(b" OK ");
        return (plain && rest.get(4) != Some(&b'[')).then_some(PlainLine::Done { tag });
    };
    let mut number = 0;
    for (at, octet) in rest.iter().take(MOST_DIGITS + 1).enumerate() {
        match octet {
            // it cannot overflow with so few digits
            b'0'..=b'9' if at < MOST_DIGITS => number = number * 10 + u32::from(octet - b'0'),
            b' ' if at > 0 => {
                let items = rest.get(at..)?.strip_prefix(b" FETCH")?;
                let told = items.starts_with(b" (") && items.ends_with(b")");
                return plain_fetch(items)
                    .filter(|_| told)
                    .map(|summary| PlainLine::Fetch { number, uid: summary.uid });
            }
            _ => return None,
        }
    }
    None
}

const MOST_DIGITS: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DataKind, FetchScanner, FetchSummary, ResponseHead, StatusWord, response_head};
    use super::*;

    #[test]
    fn knows_the_lines_it_is_for() {
        for (line, plain) in [
            ("* 12 FETCH (UID 7 FLAGS (\\Seen))\r\n", Some(PlainLine::Fetch { number: 12, uid: Some(7) })),
            ("* 3 FETCH (FLAGS ())\r\n", Some(PlainLine::Fetch { number: 3, uid: None })),
            ("a1 OK done\r\n", Some(PlainLine::Done { tag: b"a1" })),
            ("a1 OK [READ-WRITE] done\r\n", None),
            ("a1 NO done\r\n", None),
            ("[x OK done\r\n", None),
            ("* OK done\r\n", None),
            ("+ OK done\r\n", None),
            ("* 3 FETCH (ENVELOPE (\"a\"))\r\n", None),
            ("* 3 FETCH (FLAGS ()\r\n* ", None),
            ("* 3 EXISTS\r\n", None),
            ("* 4294967296 FETCH (UID 1)\r\n", None),
        ] {
            assert_eq!(plain_line(line.as_bytes()), plain, "{line}");
        }
    }

    proptest! {
        #[test]
        fn says_what_a_closer_look_would_say(pieces in proptest::collection::vec(piece(), 0..10)) {
            let line = pieces.concat() + "\r\n";
            let head = response_head(line.as_bytes());
            match plain_line(line.as_bytes()) {
                None => {}
                Some(PlainLine::Done { tag: plain }) => {
                    let ResponseHead::Tagged { tag, status } = head else { panic!("{line:?}: {head:?}") };
                    prop_assert_eq!((plain, StatusWord::Ok, None), (tag, status.word, status.code));
                }
                Some(PlainLine::Fetch { number: plain, uid }) => {
                    let ResponseHead::Data(DataKind::Fetch { number, uid: false, body }) = head else {
                        panic!("{line:?}: {head:?}");
                    };
                    let mut scanner = FetchScanner::default();
                    scanner.text(&line.as_bytes()[body..line.len() - 2]);
                    prop_assert_eq!(plain, number);
                    prop_assert_eq!(scanner.finish(), FetchSummary { uid, items: Vec::new() });
                    prop_assert!(line.ends_with(")\r\n"));
                }
            }
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 14] = [
            "* ",
            " ",
            "a1",
            " OK ",
            "[",
            "]",
            "(",
            ")",
            " FETCH (",
            "FLAGS (\\Seen)",
            "UID 7",
            "\"",
            "* 5 FETCH (",
            "a2 OK ",
        ];
        prop_oneof![6 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[0-9]{1,11}", 1 => "[ -~]{0,9}"]
    }
}
