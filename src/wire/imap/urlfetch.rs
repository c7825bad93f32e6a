//! Follows a URLFETCH response across its segments and literals, to say how much content it carries
//! (RFC 4467 §7, RFC 5524 §3). Like the FETCH scanner it never decides framing.

use crate::wire::imap::literal::Announcement;

/// Octets of a URL that are kept; what says how much of a message it names stands at its end.
const URL: usize = 1000;
/// Values of one response that are told.
const MOST: usize = 64;

/// How much of a message a URL names (RFC 5092 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlExtent {
    /// All of it.
    Whole,
    /// `/;section=`.
    Section,
    /// `/;partial=`.
    Partial,
}

/// What stands next, outside parentheses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Url,
    Value,
    /// Behind a list comes another one of the same URL, or the next URL.
    Either,
}

/// The incremental scanner. Feed it the text behind `URLFETCH` and the announcements, in order.
#[derive(Debug, Default)]
pub struct UrlScanner {
    next: Next,
    depth: u32,
    /// The first word of a list: what its string is.
    word: Vec<u8>,
    quoted: bool,
    escaped: bool,
    octets: u64,
    /// The URL's last octets: it may hold a token, so it is not given out.
    url: Vec<u8>,
    found: Vec<(UrlExtent, u64)>,
}

impl UrlScanner {
    /// Reads a run of text, without the announcement at its end and without CRLF.
    pub fn text(&mut self, text: &[u8]) {
        for octet in text {
            self.octet(*octet);
        }
    }

    /// A literal follows.
    pub fn literal(&mut self, announcement: Announcement) {
        self.quoted = false;
        self.begin();
        self.string(announcement.octets);
    }

    /// The values that the response carried; at most 64.
    #[must_use]
    pub fn finish(self) -> Vec<(UrlExtent, u64)> {
        self.found
    }

    fn octet(&mut self, octet: u8) {
        if self.quoted {
            match octet {
                _ if self.escaped => self.escaped = false,
                b'\\' => {
                    self.escaped = true;
                    return;
                }
                b'"' => {
                    self.quoted = false;
                    let octets = self.octets;
                    return self.string(octets);
                }
                _ => {}
            }
            self.octets += 1;
            return self.keep(octet);
        }
        match octet {
            b'"' => {
                self.begin();
                self.quoted = true;
                self.octets = 0;
            }
            b'(' => {
                self.depth += 1;
                self.word.clear();
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.next = Next::Either;
                }
            }
            b' ' if self.depth == 0 => self.end_atom(),
            b' ' => {}
            _ if self.depth == 0 => {
                self.begin();
                self.octets = 1;
                self.keep(octet);
            }
            _ if self.depth == 1 && self.word.len() < URL => self.word.push(octet),
            _ => {}
        }
    }

    /// NIL, or a URL that is an atom.
    fn end_atom(&mut self) {
        if std::mem::take(&mut self.octets) > 0 {
            self.turn();
        }
    }

    /// Something that is no list begins.
    fn begin(&mut self) {
        if self.depth == 0 && self.next == Next::Either {
            self.next = Next::Url;
            self.url.clear();
        }
    }

    /// A URL or its value has ended.
    fn turn(&mut self) {
        if self.next == Next::Value {
            self.next = Next::Url;
            self.url.clear();
        } else {
            self.next = Next::Value;
        }
    }

    /// A string has ended: a URL, its value, or something in a list.
    fn string(&mut self, octets: u64) {
        self.octets = 0;
        if self.depth > 0 {
            let is = |name: &[u8]| self.word.eq_ignore_ascii_case(name);
            if self.depth == 1 && (is(b"BODY") || is(b"BINARY")) {
                self.note(octets);
            }
        } else {
            if self.next == Next::Value {
                self.note(octets);
            }
            self.turn();
        }
    }

    fn keep(&mut self, octet: u8) {
        if self.depth > 0 || self.next == Next::Value {
            return;
        }
        if self.url.len() == URL {
            self.url.drain(..URL / 2);
        }
        self.url.push(octet.to_ascii_lowercase());
    }

    fn note(&mut self, octets: u64) {
        let has = |part: &[u8]| self.url.windows(part.len()).any(|window| window == part);
        let extent = if has(b";partial=") {
            UrlExtent::Partial
        } else if has(b";section=") {
            UrlExtent::Section
        } else {
            UrlExtent::Whole
        };
        if self.found.len() < MOST {
            self.found.push((extent, octets));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::imap::literal::parts;

    fn scan(segments: &[&str]) -> Vec<(UrlExtent, u64)> {
        let mut scanner = UrlScanner::default();
        for (text, literal) in parts(segments) {
            scanner.text(text);
            if let Some(literal) = literal {
                scanner.literal(literal);
            }
        }
        scanner.finish()
    }

    #[test]
    fn counts_the_value_of_each_url() {
        use UrlExtent::{Partial, Section, Whole};
        type Row = (&'static [&'static str], &'static [(UrlExtent, u64)]);
        let rows: [Row; 6] = [
            (&[" \"imap://h/INBOX/;UID=2\" {30}", ""], &[(Whole, 30)]),
            (&[" \"/a;UID=2/;SECTION=1\" \"a\\\"b\" \"/a;uid=3\" NIL"], &[(Section, 3)]),
            (&[" /a;uid=2/;section=1/;partial=0.9 {9}", " /b;uid=1 {5}", ""], &[(Partial, 9), (Whole, 5)]),
            (&[" {8}", " {7}", ""], &[(Whole, 7)]),
            (&[" \"/a;uid=1\" (BODYPARTSTRUCTURE (\"text\" \"plain\" NIL)) (BINARY ~{12}", ")"], &[(Whole, 12)]),
            (&[" \"/a;uid=1\" (BODY \"abc\") \"/b;uid=1/;section=2\" (BODY {4}", ")"], &[(Whole, 3), (Section, 4)]),
        ];
        for (segments, found) in rows {
            assert_eq!(scan(segments), found, "{segments:?}");
        }
    }
}
