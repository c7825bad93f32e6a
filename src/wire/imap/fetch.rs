//! Follows a FETCH response across its segments and literals, to say which message content it carries.
//!
//! It never decides framing: a literal is a literal by its announcement alone, whatever the quotes
//! before it look like (real servers send unescaped `"` in ENVELOPE). It only names the item that a
//! literal or string belongs to, and finds the UID.

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
}

/// The incremental scanner. Feed it the text segments and announcements in order.
#[derive(Debug, Default)]
pub struct FetchScanner {
    depth: u32,
    bracket: bool,
    quoted: Quoted,
    word: Vec<u8>,
    /// The name of the item whose value is being read, at depth 1.
    name: Vec<u8>,
    string: u64,
    /// The last octets of the text, for the one case in which the quotes cannot be believed.
    window: Vec<u8>,
    summary: FetchSummary,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    #[default]
    No,
    Yes,
    Escape,
}

impl FetchScanner {
    /// Reads a run of text (without the announcement at its end and without CRLF).
    pub fn text(&mut self, text: &[u8]) {
        for octet in text {
            self.octet(*octet);
        }
        self.window.extend_from_slice(text.get(text.len().saturating_sub(NAME)..).unwrap_or_default());
        let surplus = self.window.len().saturating_sub(NAME);
        self.window.drain(..surplus);
    }

    /// A literal follows; the item it belongs to.
    pub fn literal(&mut self, announcement: Announcement) {
        // inside a quoted string there are no literals: the quotes were stray, look at the octets instead
        let stray = std::mem::take(&mut self.quoted) != Quoted::No;
        let name = if stray { last_word(&self.window) } else { &self.name };
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

    fn octet(&mut self, octet: u8) {
        match (self.quoted, octet) {
            (Quoted::Escape, _) => {
                self.quoted = Quoted::Yes;
                self.string += 1;
            }
            (Quoted::Yes, b'\\') => self.quoted = Quoted::Escape,
            (Quoted::Yes, b'"') => self.end_string(),
            (Quoted::Yes, _) => self.string += 1,
            (Quoted::No, b'"') if !self.bracket => {
                self.quoted = Quoted::Yes;
                self.string = 0;
            }
            (Quoted::No, b'[') => {
                self.bracket = true;
                self.push(octet);
            }
            (Quoted::No, b']') => {
                self.bracket = false;
                self.push(octet);
            }
            (Quoted::No, _) if self.bracket => self.push(octet),
            (Quoted::No, b'(') => {
                self.end_word();
                self.depth += 1;
            }
            (Quoted::No, b')') => {
                self.end_word();
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 1 {
                    self.name.clear();
                }
            }
            (Quoted::No, b' ') => self.end_word(),
            (Quoted::No, _) => self.push(octet),
        }
    }

    fn push(&mut self, octet: u8) {
        if self.word.len() < NAME {
            self.word.push(octet);
        }
    }

    /// A word at depth 1 is an item's name, or the value of the item named before it.
    fn end_word(&mut self) {
        if self.word.is_empty() || self.depth != 1 {
            self.word.clear();
            return;
        }
        let word = std::mem::take(&mut self.word);
        if self.name.is_empty() {
            self.name = word;
            return;
        }
        if self.name.eq_ignore_ascii_case(b"UID") {
            self.summary.uid = std::str::from_utf8(&word).ok().and_then(|digits| digits.parse().ok());
        }
        self.name.clear();
    }

    fn end_string(&mut self) {
        self.quoted = Quoted::No;
        self.word.clear();
        if self.depth == 1 {
            if is_content(&self.name) {
                let (name, octets) = (upper(&self.name), self.string);
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
    use super::*;
    use crate::wire::imap::literal::Tail;

    /// Scans segments; one that ends in an announcement is followed by its literal.
    fn scan(segments: &[&str]) -> FetchSummary {
        let mut scanner = FetchScanner::default();
        for segment in segments {
            match Tail::of(segment.as_bytes()) {
                Tail::Literal(literal) => {
                    scanner.text(&segment.as_bytes()[..segment.len() - literal.len]);
                    scanner.literal(literal);
                }
                _ => scanner.text(segment.as_bytes()),
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
