//! Follows a FETCH response across its segments and literals, to say which message content it carries.
//!
//! It never decides framing: a literal is a literal by its announcement alone, whatever the quotes
//! before it look like (real servers send unescaped `"` in ENVELOPE). It only names the item that a
//! literal or string belongs to, and finds the UID.

use memchr::memchr2;

use super::lexer::ends_fetch_word;
use crate::wire::imap::literal::Announcement;

/// The longest item name kept; a longer one is header fields, of which the beginning says enough.
const NAME: usize = 64;

/// What one FETCH response carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// The UID item.
    pub uid: Option<u32>,
    /// Each item of message content with its octets, in order; at most 64 are kept.
    pub items: Vec<(String, u64)>,
    /// RFC822.SIZE: octets of the message.
    pub size: Option<u64>,
}

/// The incremental scanner. Feed it the text segments and announcements in order.
#[derive(Debug, Default)]
pub struct FetchScanner {
    depth: u32,
    bracket: bool,
    quoted: Quoted,
    word: Name,
    /// The name of the item whose value is being read, at depth 1.
    name: Name,
    string: u64,
    /// The last octets of the text, for the one case in which the quotes cannot be believed.
    window: Name,
    summary: FetchSummary,
}

/// Up to [`NAME`] octets.
#[derive(Debug, Clone)]
struct Name {
    octets: [u8; NAME],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self { octets: [0; NAME], len: 0 }
    }
}

impl Name {
    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds octets behind, as many as there is room for.
    fn push(&mut self, octets: &[u8]) {
        let room = self.octets.get_mut(self.len..).unwrap_or_default();
        let taken = octets.len().min(room.len());
        for (place, octet) in room.iter_mut().zip(octets) {
            *place = *octet;
        }
        self.len += taken;
    }

    /// Keeps the last octets of what it holds and these behind it.
    fn slide(&mut self, octets: &[u8]) {
        let new = octets.get(octets.len().saturating_sub(NAME)..).unwrap_or_default();
        let kept = self.len.min(NAME - new.len());
        self.octets.copy_within(self.len - kept..self.len, 0);
        self.len = kept;
        self.push(new);
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    #[default]
    No,
    Yes,
    Escape,
}

/// What a response told that is one line of numbers, flags and other atoms: `(UID 7 FLAGS (\Seen))`. It
/// carries no content, so a [`FetchScanner`] would find out no more. None if there are strings or sections
/// in it, which that must read; `text` is what stands behind `FETCH`.
pub(super) fn plain_fetch(text: &[u8]) -> Option<FetchSummary> {
    let (mut rest, mut depth, mut uid, mut size) = (text, 0_u32, None, None);
    let mut name: &[u8] = b"";
    loop {
        let (word, behind) = rest.split_at(rest.iter().position(|octet| ends_fetch_word(*octet)).unwrap_or(rest.len()));
        if depth == 1 && !word.is_empty() {
            if name.eq_ignore_ascii_case(b"UID") {
                uid = number(word);
            } else if name.eq_ignore_ascii_case(b"RFC822.SIZE") {
                size = long_number(word);
            }
            name = if name.is_empty() { word } else { b"" };
        }
        let Some((end, behind)) = behind.split_first() else {
            return Some(FetchSummary { uid, items: Vec::new(), size });
        };
        match end {
            b' ' => {}
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                name = if depth == 1 { b"" } else { name };
            }
            _ => return None,
        }
        rest = behind;
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

fn long_number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

impl FetchScanner {
    /// Reads a run of text (without the announcement at its end and without CRLF).
    pub fn text(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let taken = match self.quoted {
                Quoted::Escape => {
                    self.quoted = Quoted::Yes;
                    self.string += 1;
                    1
                }
                Quoted::Yes => self.string_run(rest),
                Quoted::No => self.word_run(rest),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.window.slide(text);
    }

    /// A literal follows; the item it belongs to.
    pub fn literal(&mut self, announcement: Announcement) {
        // inside a quoted string there are no literals: the quotes were stray, look at the octets instead
        let stray = std::mem::take(&mut self.quoted) != Quoted::No;
        let name = if stray { last_word(self.window.as_bytes()) } else { self.name.as_bytes() };
        if is_content(name) {
            let name = upper(name);
            self.note(name, announcement.octets);
        }
        if stray {
            self.depth = 1;
            self.bracket = false;
        }
        self.word.clear();
        self.name.clear();
    }

    /// The response has ended.
    #[must_use]
    pub fn finish(mut self) -> FetchSummary {
        self.end_word();
        self.summary
    }

    /// Octets of a quoted string, to its end or the next escape.
    fn string_run(&mut self, rest: &[u8]) -> usize {
        let run = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        self.string += run as u64;
        match rest.get(run) {
            None => return run,
            Some(b'"') => self.end_string(),
            Some(_) => self.quoted = Quoted::Escape,
        }
        run + 1
    }

    /// Octets of a word, and what ends it.
    fn word_run(&mut self, rest: &[u8]) -> usize {
        let end = if self.bracket {
            memchr2(b'[', b']', rest)
        } else {
            rest.iter().position(|octet| ends_fetch_word(*octet))
        };
        let run = end.unwrap_or(rest.len());
        self.word.push(rest.get(..run).unwrap_or_default());
        let Some(end) = rest.get(run) else { return run };
        match end {
            b'"' => {
                self.quoted = Quoted::Yes;
                self.string = 0;
            }
            b'[' | b']' => {
                self.bracket = *end == b'[';
                self.word.push(&[*end]);
            }
            b'(' => {
                self.end_word();
                self.depth += 1;
            }
            b')' => {
                self.end_word();
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 1 {
                    self.name.clear();
                }
            }
            _ => self.end_word(),
        }
        run + 1
    }

    /// A word at depth 1 is an item's name, or the value of the item named before it.
    fn end_word(&mut self) {
        if self.word.is_empty() || self.depth != 1 {
            self.word.clear();
            return;
        }
        if self.name.is_empty() {
            std::mem::swap(&mut self.name, &mut self.word);
        } else {
            if self.name.as_bytes().eq_ignore_ascii_case(b"UID") {
                self.summary.uid = number(self.word.as_bytes());
            } else if self.name.as_bytes().eq_ignore_ascii_case(b"RFC822.SIZE") {
                self.summary.size = long_number(self.word.as_bytes());
            }
            self.name.clear();
        }
        self.word.clear();
    }

    fn end_string(&mut self) {
        self.quoted = Quoted::No;
        self.word.clear();
        if self.depth == 1 {
            if is_content(self.name.as_bytes()) {
                let (name, octets) = (upper(self.name.as_bytes()), self.string);
                self.note(name, octets);
            }
            self.name.clear();
        }
    }

    fn note(&mut self, name: String, octets: u64) {
        if self.summary.items.len() < 64 {
            self.summary.items.push((name, octets));
        }
    }
}

/// The item name at the end of `text`: back to a SP or `(` that is not inside brackets.
fn last_word(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_end();
    let mut bracket = false;
    let start = text.iter().rposition(|octet| {
        match octet {
            b']' => bracket = true,
            b'[' => bracket = false,
            _ => {}
        }
        !bracket && matches!(octet, b' ' | b'(')
    });
    text.get(start.map_or(0, |start| start + 1)..).unwrap_or_default()
}

fn upper(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_uppercase()
}

/// Items whose value is message text: `BODY[…]`, `BINARY[…]`, `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`.
fn is_content(name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let is = |whole: &[u8]| name.eq_ignore_ascii_case(whole);
    starts(b"BODY[") || starts(b"BINARY[") || is(b"RFC822") || is(b"RFC822.HEADER") || is(b"RFC822.TEXT")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::imap::literal::{Tail, parts};

    /// Scans segments; one that ends in an announcement is followed by its literal.
    fn scan(segments: &[&str]) -> FetchSummary {
        let mut scanner = FetchScanner::default();
        for (text, literal) in parts(segments) {
            scanner.text(text);
            if let Some(literal) = literal {
                scanner.literal(literal);
            }
        }
        scanner.finish()
    }

    fn items(summary: &FetchSummary) -> Vec<(&str, u64)> {
        summary.items.iter().map(|(name, octets)| (name.as_str(), *octets)).collect()
    }

    #[test]
    fn names_what_each_literal_carries() {
        let summary =
            scan(&["(FLAGS (\\Seen) BODY[HEADER.FIELDS (SUBJECT \"X Y\")] {2}", " UID 7 body[1.2]<0> {30}", ")"]);
        assert_eq!(items(&summary), [("BODY[HEADER.FIELDS (SUBJECT \"X Y\")]", 2), ("BODY[1.2]<0>", 30)]);
        assert_eq!(summary.uid, Some(7));
    }

    #[test]
    fn counts_quoted_content_and_skips_nil() {
        let summary = scan(&["(UID 9 RFC822 \"a\\\"b\" BODY[TEXT] NIL RFC822.SIZE 44)"]);
        assert_eq!(items(&summary), [("RFC822", 3)]);
        assert_eq!(summary.uid, Some(9));
    }

    proptest! {
        /// Strings and sections, numbers and lists, well formed or not.
        #[test]
        fn a_plain_response_is_read_as_by_the_scanner(pieces in proptest::collection::vec(piece(), 0..14)) {
            let text = pieces.concat();
            if let Some(plain) = plain_fetch(text.as_bytes()) {
                prop_assert_eq!(scan(&[&text]), plain);
            }
        }

        #[test]
        fn chunks_do_not_matter(pieces in proptest::collection::vec(piece(), 0..14), cut in 0_usize..60) {
            let text = pieces.concat();
            let cut = cut.min(text.len());
            let (mut whole, mut by_octet) = (FetchScanner::default(), FetchScanner::default());
            whole.text(text.as_bytes());
            text.as_bytes().chunks(1).for_each(|octet| by_octet.text(octet));
            let mut in_two = FetchScanner::default();
            in_two.text(&text.as_bytes()[..cut]);
            in_two.text(&text.as_bytes()[cut..]);
            let Tail::Literal(literal) = Tail::of(b"{7}") else { unreachable!() };
            for scanner in [&mut whole, &mut by_octet, &mut in_two] {
                scanner.literal(literal);
            }
            let whole = whole.finish();
            prop_assert_eq!(&by_octet.finish(), &whole);
            prop_assert_eq!(&in_two.finish(), &whole);
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 13] =
            ["(", ")", " ", "UID", "uid ", "FLAGS (\\Seen $x)", "BODY[", "BODY[]", "]", "\"", "\\\"", "\\", "RFC822 "];
        prop_oneof![6 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 2 => "[0-9]{1,11}", 1 => "[ -~]{0,70}"]
    }

    #[test]
    fn finds_the_item_behind_stray_quotes() {
        let summary = scan(&["(ENVELOPE (\"d\" \"a\"b\" NIL) BODY[] {12}", ")"]);
        assert_eq!(items(&summary), [("BODY[]", 12)]);
    }

    #[test]
    fn an_envelope_literal_is_no_content() {
        let summary = scan(&["(ENVELOPE (NIL {5}", " NIL) UID 3 BODY[] {1}", ")"]);
        assert_eq!((items(&summary), summary.uid), (vec![("BODY[]", 1)], Some(3)));
    }
}
