//! The two lines of which most of a session consists, read in one go: data about a message without a string
//! in it, and a tagged OK without a response code.
//!
//! Nothing is known here that [`response_head`](super::response_head) and
//! [`FetchScanner`](super::FetchScanner) would not say too; it only costs a fraction of theirs.

use super::fetch::plain_fetch;
use super::lexer::{is_flag_list_octet, line_feed};
use super::tag::Tag;

/// A line that needs no closer look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainLine<'a> {
    /// `* 12 FETCH (UID 7 FLAGS (\\Seen))`: no content, no string.
    Fetch {
        /// The sequence number.
        number: u32,
        /// The UID item.
        uid: Option<u32>,
        /// RFC822.SIZE.
        size: Option<u64>,
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
    let (number, rest) = leading_number(rest)?;
    let items = rest.strip_prefix(b" FETCH")?;
    let told = items.starts_with(b" (") && items.ends_with(b")");
    let summary = plain_fetch(items).filter(|_| told)?;
    Some(PlainLine::Fetch { number, uid: summary.uid, size: summary.size })
}

/// Digits of a number that cannot overflow.
const MOST_DIGITS: usize = 9;

/// A FETCH response at the start of `input` that tells flags and at most the UID, without its end being known:
/// sequence number, UID, and octets with the CRLF. `* 12 FETCH (FLAGS (\\Seen))`, `* 12 FETCH (UID 7 FLAGS ())`,
/// `* 12 FETCH (FLAGS () UID 7)`.
#[must_use]
pub fn leading_flags(input: &[u8]) -> Option<(u32, Option<u32>, usize)> {
    let (number, rest) = leading_number(input.strip_prefix(b"* ")?)?;
    let mut rest = rest.strip_prefix(b" FETCH (")?;
    let mut uid = None;
    if let Some(value) = rest.strip_prefix(b"UID ") {
        let (value, behind) = leading_number(value)?;
        uid = Some(value);
        rest = behind.strip_prefix(b" ")?;
    }
    let flags = rest.strip_prefix(b"FLAGS (")?;
    let end = flags.iter().position(|octet| !is_flag_list_octet(*octet))?;
    rest = flags.get(end..)?.strip_prefix(b")")?;
    if let Some(value) = rest.strip_prefix(b" UID ") {
        let (value, behind) = leading_number(value)?;
        uid = Some(value);
        rest = behind;
    }
    let rest = rest.strip_prefix(b")\r\n")?;
    Some((number, uid, input.len() - rest.len()))
}

/// Octets, with the CRLF, of a line at the start of `input` that is `tag OK text`, without a response code or an
/// announcement.
#[must_use]
pub fn leading_ok(input: &[u8], tag: &Tag) -> Option<usize> {
    let text = tag.text().strip_from(input)?.strip_prefix(b" OK ")?;
    // as in `plain_line`
    if tag.as_bytes().starts_with(b"[") || text.starts_with(b"[") {
        return None;
    }
    let end = line_feed(text)?;
    let told = text.get(..end)?.strip_suffix(b"\r")?;
    (!told.ends_with(b"}")).then(|| input.len() - text.len() + end + 1)
}

/// A number at the start of these octets, and what stands behind it; at most nine digits.
fn leading_number(octets: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0;
    for (at, octet) in octets.iter().take(MOST_DIGITS + 1).enumerate() {
        match octet {
            // it cannot overflow with so few digits
            b'0'..=b'9' if at < MOST_DIGITS => number = number * 10 + u32::from(octet - b'0'),
            _ if at > 0 => return Some((number, octets.get(at..)?)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{
        DataKind, FetchScanner, FetchSummary, Framer, Piece, ResponseHead, StatusWord, Tail, response_head,
    };
    use super::*;

    #[test]
    fn knows_the_lines_it_is_for() {
        for (line, plain) in [
            ("* 12 FETCH (UID 7 FLAGS (\\Seen))\r\n", Some(PlainLine::Fetch { number: 12, uid: Some(7), size: None })),
            ("* 3 FETCH (FLAGS ())\r\n", Some(PlainLine::Fetch { number: 3, uid: None, size: None })),
            ("* 3 FETCH (RFC822.SIZE 9)\r\n", Some(PlainLine::Fetch { number: 3, uid: None, size: Some(9) })),
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
                Some(PlainLine::Fetch { number: plain, uid, size }) => {
                    let ResponseHead::Data(DataKind::Fetch { number, uid: false, body }) = head else {
                        panic!("{line:?}: {head:?}");
                    };
                    let mut scanner = FetchScanner::default();
                    scanner.text(&line.as_bytes()[body..line.len() - 2]);
                    prop_assert_eq!(plain, number);
                    prop_assert_eq!(scanner.finish(), FetchSummary { uid, items: Vec::new(), size });
                    prop_assert!(line.ends_with(")\r\n"));
                }
            }
        }
    }

    #[test]
    fn cuts_the_lines_it_is_for() {
        for (line, told) in [
            ("* 12 FETCH (FLAGS (\\Seen $Junk))\r\n", Some((12, None))),
            ("* 12 FETCH (UID 7 FLAGS ())\r\n", Some((12, Some(7)))),
            ("* 12 FETCH (FLAGS () UID 7)\r\n", Some((12, Some(7)))),
            ("* 12 FETCH (FLAGS (a\n))\r\n", None),
            ("* 12 FETCH (FLAGS ())\n", None),
            ("* 12 FETCH (FLAGS () BODY {3}\r\n", None),
            ("* 12 FETCH (FLAGS (", None),
            ("* 1234567890 FETCH (FLAGS ())\r\n", None),
        ] {
            let expected = told.map(|(number, uid)| (number, uid, line.len()));
            assert_eq!(leading_flags(line.as_bytes()), expected, "{line}");
        }
        for (line, done) in [
            ("a1 OK done\r\n", true),
            ("a1 OK done", false),
            ("a1 OK \r\n", true),
            ("a1 OK [X] done\r\n", false),
            ("a1 OK done {3}\r\n", false),
            ("a1 OK bare\nfeed\r\n", false),
            ("a12 OK done\r\n", false),
            ("a1 NO done\r\n", false),
        ] {
            assert_eq!(leading_ok(line.as_bytes(), &tag("a1")), done.then_some(line.len()), "{line}");
        }
        assert_eq!(leading_ok(b"[x OK done\r\n", &tag("[x")), None);
    }

    proptest! {
        #[test]
        fn cuts_and_reads_as_framer_and_reader_would(
            pieces in proptest::collection::vec(piece(), 0..10),
            flags in flags(),
            whole in any::<bool>(),
            behind in "[ -~\r\n]{0,9}",
        ) {
            let input = if whole { flags } else { pieces.concat() + "\r\n" } + &behind;
            let input = input.as_bytes();
            let piece = || Framer::default().next(input, 1000);
            if let Some((number, uid, len)) = leading_flags(input) {
                prop_assert_eq!(piece(), Some(Piece::Line { len, tail: Tail::Plain, broken: false }));
                prop_assert_eq!(plain_line(&input[..len]), Some(PlainLine::Fetch { number, uid, size: None }));
            }
            for tag in ["a1", "[", "a2"].map(tag) {
                if let Some(len) = leading_ok(input, &tag) {
                    prop_assert_eq!(piece(), Some(Piece::Line { len, tail: Tail::Plain, broken: false }));
                    prop_assert_eq!(plain_line(&input[..len]), Some(PlainLine::Done { tag: tag.as_bytes() }));
                }
            }
        }
    }

    fn tag(octets: &str) -> Tag {
        Tag::new(octets.as_bytes()).expect("a tag")
    }

    fn flags() -> impl Strategy<Value = String> {
        let uid = prop_oneof![2 => Just(String::new()), 2 => "UID [0-9]{1,10} "];
        let behind = prop_oneof![2 => Just(String::new()), 2 => " UID [0-9]{1,10}", 1 => " MODSEQ \\([0-9]\\)"];
        let parts = ("[0-9]{1,10}", uid, "[ -~\r\n]{0,6}", behind);
        parts.prop_map(|(number, uid, flags, behind)| format!("* {number} FETCH ({uid}FLAGS ({flags}){behind})\r\n"))
    }

    fn piece() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 15] = [
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
            "RFC822.SIZE 12",
            "\"",
            "* 5 FETCH (",
            "a2 OK ",
        ];
        prop_oneof![6 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[0-9]{1,11}", 1 => "[ -~]{0,9}"]
    }
}
