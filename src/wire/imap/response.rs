//! What a server's line is, from its first tokens (RFC 9051 §7, RFC 3501 §7).

use std::ops::Range;

use crate::wire::ShortText;

/// What kind of response a line begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseHead<'a> {
    /// `+`: a continuation request; its text, without `+`, one SP and CRLF.
    Continuation {
        /// The text or base64 behind `+ `; empty for a bare `+`.
        text: &'a [u8],
        /// Whether the SP behind `+` was there.
        spaced: bool,
    },
    /// `* OK …` and its like; also `* [CODE] …` and `[CODE] …`, which some servers send for an untagged OK.
    Status(StatusLine<'a>),
    /// `tag OK …`.
    Tagged {
        /// The tag as received.
        tag: &'a [u8],
        /// The rest.
        status: StatusLine<'a>,
    },
    /// `* …` with data.
    Data(DataKind),
    /// An empty line, or NUL octets before a response: `len` octets to drop.
    Padding {
        /// How many octets.
        len: usize,
    },
    /// None of these.
    Garbage,
}

/// OK, NO, BAD, BYE, PREAUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWord {
    /// Success.
    Ok,
    /// Failure.
    No,
    /// Protocol error.
    Bad,
    /// The server is closing.
    Bye,
    /// Greeting of a connection that is authenticated already.
    PreAuth,
}

/// A status response behind its `*` or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// The word.
    pub word: StatusWord,
    /// The response code between its brackets, if there is one.
    pub code: Option<&'a [u8]>,
    /// The code with its brackets, as octets of the line.
    pub code_span: Range<usize>,
    /// The text behind it, without CRLF.
    pub text: &'a [u8],
}

impl StatusLine<'_> {
    /// The code's name in upper case, if it is an atom of letters, digits, `-` and `/`.
    #[must_use]
    pub fn code_name(&self) -> Option<ShortText> {
        const MOST: usize = 40;
        let name = self.code?.split(|octet| *octet == b' ').next()?;
        let atom = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'/' | b'.' | b'=');
        if name.is_empty() || !name.iter().all(atom) {
            return None;
        }
        let mut upper = [0; MOST];
        let upper = upper.get_mut(..name.len())?;
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        std::str::from_utf8(upper).ok().map(ShortText::from)
    }
}

/// Untagged data, as far as the proxy must tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// `* n FETCH (…)`, `* n UIDFETCH (…)`; and `* n CONVERTED (TAG …) (…)` (RFC 5259 §9), whose items are alike.
    Fetch {
        /// The sequence number, or the UID of UIDFETCH.
        number: u32,
        /// Whether `number` is a UID (RFC 9586).
        uid: bool,
        /// Where the text behind `FETCH` begins in the line.
        body: usize,
    },
    /// `* URLFETCH …` (RFC 4467 §7): URLs and what they name.
    UrlFetch {
        /// Where the first URL, or the SP before it, begins in the line.
        urls: usize,
    },
    /// `* n EXISTS`, `* n RECENT`: sizes of the selected mailbox.
    Size {
        /// How many messages it has; none of RECENT.
        exists: Option<u32>,
    },
    /// `* n EXPUNGE`: the message with this sequence number is gone.
    Expunge {
        /// Its sequence number.
        number: u32,
    },
    /// `* VANISHED …` (RFC 7162 §3.2.10): messages are gone, by UID.
    Vanished {
        /// Where the set, or `(EARLIER)` and the set, begins in the line.
        set: usize,
    },
    /// `* CAPABILITY …`; where the list begins.
    Capability {
        /// Index of the first name in the line.
        list: usize,
    },
    /// `* ENABLED …`.
    Enabled,
    /// Anything else.
    Other,
}

/// Reads the beginning of a response. `line` is a line with or without its CRLF, or the first part of
/// one that is too long to be held.
#[must_use]
pub fn response_head(line: &[u8]) -> ResponseHead<'_> {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    let nuls = text.iter().take_while(|octet| **octet == 0).count();
    if nuls > 0 {
        // Quirk: some servers send NUL before a response
        return ResponseHead::Padding { len: if nuls == text.len() { line.len() } else { nuls } };
    }
    match text {
        [] => ResponseHead::Padding { len: line.len() },
        [b'+'] => ResponseHead::Continuation { text: &[], spaced: false },
        [b'+', b' ', rest @ ..] => ResponseHead::Continuation { text: rest, spaced: true },
        [b'*', b' ', ..] => untagged(text),
        // Quirk: home.pl and Office 365 send `[CODE] text` for `* OK [CODE] text`
        [b'[', ..] => status_from(text, 0, StatusWord::Ok).map_or(ResponseHead::Garbage, ResponseHead::Status),
        _ => tagged(text),
    }
}

fn untagged(text: &[u8]) -> ResponseHead<'_> {
    if text.get(2) == Some(&b'[') {
        return status_from(text, 2, StatusWord::Ok).map_or(ResponseHead::Garbage, ResponseHead::Status);
    }
    let (word, end) = word_at(text, 2);
    if word.first().is_some_and(u8::is_ascii_digit) {
        return ResponseHead::Data(numbered(text, word, end));
    }
    if let Some(word) = status_word(word) {
        return status_behind(text, end, word).map_or(ResponseHead::Data(DataKind::Other), ResponseHead::Status);
    }
    ResponseHead::Data(if word.eq_ignore_ascii_case(b"CAPABILITY") {
        DataKind::Capability { list: (end + 1).min(text.len()) }
    } else if word.eq_ignore_ascii_case(b"ENABLED") {
        DataKind::Enabled
    } else if word.eq_ignore_ascii_case(b"VANISHED") {
        DataKind::Vanished { set: (end + 1).min(text.len()) }
    } else if word.eq_ignore_ascii_case(b"URLFETCH") {
        DataKind::UrlFetch { urls: end }
    } else {
        DataKind::Other
    })
}

fn numbered(text: &[u8], digits: &[u8], end: usize) -> DataKind {
    let number = digits.iter().try_fold(0_u32, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u32::from(digit - b'0')),
        _ => None,
    });
    let (exists, number) = (number, number.unwrap_or(0));
    let (word, body) = word_at(text, end + 1);
    if word.eq_ignore_ascii_case(b"FETCH") || word.eq_ignore_ascii_case(b"CONVERTED") {
        DataKind::Fetch { number, uid: false, body }
    } else if word.eq_ignore_ascii_case(b"UIDFETCH") {
        DataKind::Fetch { number, uid: true, body }
    } else if word.eq_ignore_ascii_case(b"EXPUNGE") {
        DataKind::Expunge { number }
    } else if word.eq_ignore_ascii_case(b"EXISTS") {
        DataKind::Size { exists }
    } else if word.eq_ignore_ascii_case(b"RECENT") {
        DataKind::Size { exists: None }
    } else {
        DataKind::Other
    }
}

fn tagged(text: &[u8]) -> ResponseHead<'_> {
    let (tag, end) = word_at(text, 0);
    let (word, behind) = word_at(text, end + 1);
    match status_word(word).and_then(|word| status_behind(text, behind, word)) {
        Some(status) => ResponseHead::Tagged { tag, status },
        None => ResponseHead::Garbage,
    }
}

/// The octets from `from` to the next SP or the end, and where that is.
fn word_at(text: &[u8], from: usize) -> (&[u8], usize) {
    let rest = text.get(from..).unwrap_or_default();
    let len = rest.iter().position(|octet| *octet == b' ').unwrap_or(rest.len());
    (rest.get(..len).unwrap_or_default(), from + len)
}

/// A status response whose word ends at `end`.
fn status_behind(text: &[u8], end: usize, word: StatusWord) -> Option<StatusLine<'_>> {
    status_from(text, (end + 1).min(text.len()), word)
}

/// What stands behind a status response's word, at `behind`: an optional code, the text.
fn status_from(text: &[u8], behind: usize, word: StatusWord) -> Option<StatusLine<'_>> {
    let rest = text.get(behind..)?;
    let close = rest.first().filter(|octet| **octet == b'[').and_then(|_| code_end(rest));
    let Some(close) = close else {
        return Some(StatusLine { word, code: None, code_span: behind..behind, text: rest });
    };
    let after = rest.get(close + 1..)?;
    Some(StatusLine {
        word,
        code: rest.get(1..close),
        code_span: behind..behind + close + 1,
        text: after.strip_prefix(b" ").unwrap_or(after),
    })
}

/// The index of the `]` that ends a response code: the first one outside quotes. Quirk: Gmail puts
/// `]` into flags of PERMANENTFLAGS, so a `]` inside parentheses does not end a code either.
fn code_end(rest: &[u8]) -> Option<usize> {
    let (mut quoted, mut depth) = (false, 0_u32);
    let mut first = None;
    for (at, octet) in rest.iter().enumerate() {
        match octet {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b']' if !quoted && depth == 0 => return Some(at),
            b']' if !quoted && first.is_none() => first = Some(at),
            _ => {}
        }
    }
    first
}

fn status_word(word: &[u8]) -> Option<StatusWord> {
    const WORDS: [(&[u8], StatusWord); 5] = [
        (b"OK", StatusWord::Ok),
        (b"NO", StatusWord::No),
        (b"BAD", StatusWord::Bad),
        (b"BYE", StatusWord::Bye),
        (b"PREAUTH", StatusWord::PreAuth),
    ];
    // most words are longer than these
    if !matches!(word.len(), 2 | 3 | 7) {
        return None;
    }
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(line: &str) -> (StatusWord, Option<String>, String) {
        let status = match response_head(line.as_bytes()) {
            ResponseHead::Status(status) | ResponseHead::Tagged { status, .. } => status,
            other => panic!("{line}: {other:?}"),
        };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (status.word, status.code.map(text), text(status.text))
    }

    #[test]
    fn splits_status_responses() {
        let some = |code: &str| Some(code.to_owned());
        for (line, word, code, text) in [
            ("* OK hello\r\n", StatusWord::Ok, None, "hello"),
            ("* OK [HIGHESTMODSEQ 5]\r\n", StatusWord::Ok, some("HIGHESTMODSEQ 5"), ""),
            ("a1 no [NOPERM] x y\r\n", StatusWord::No, some("NOPERM"), "x y"),
            ("a OK\r\n", StatusWord::Ok, None, ""),
            ("* BYE [x\r\n", StatusWord::Bye, None, "[x"),
            ("* [UNAVAILABLE] x\r\n", StatusWord::Ok, some("UNAVAILABLE"), "x"),
            ("[UNAVAILABLE] x\r\n", StatusWord::Ok, some("UNAVAILABLE"), "x"),
            (r"* OK [PERMANENTFLAGS (a]b \*)] ok", StatusWord::Ok, some(r"PERMANENTFLAGS (a]b \*)"), "ok"),
        ] {
            assert_eq!(status_of(line), (word, code, text.to_owned()), "{line}");
        }
    }

    #[test]
    fn tells_data_apart() {
        for (line, kind) in [
            ("* 12 FETCH (UID 5)\r\n", DataKind::Fetch { number: 12, uid: false, body: 10 }),
            ("* 7 uidfetch (BODY[] {3}", DataKind::Fetch { number: 7, uid: true, body: 12 }),
            ("* 2 converted (TAG \"a\") (", DataKind::Fetch { number: 2, uid: false, body: 13 }),
            ("* URLFETCH \"x\" {3}", DataKind::UrlFetch { urls: 10 }),
            ("* 5 EXISTS\r\n", DataKind::Size { exists: Some(5) }),
            ("* 4294967296 exists\r\n", DataKind::Size { exists: None }),
            ("* 2 RECENT\r\n", DataKind::Size { exists: None }),
            ("* 5 EXPUNGE\r\n", DataKind::Expunge { number: 5 }),
            ("* VANISHED 1:3\r\n", DataKind::Vanished { set: 11 }),
            ("* capability IMAP4rev1\r\n", DataKind::Capability { list: 13 }),
            ("* SEARCH 1 2 \r\n", DataKind::Other),
            ("* 99999999999 FETCH (UID 5)\r\n", DataKind::Fetch { number: 0, uid: false, body: 19 }),
        ] {
            assert_eq!(response_head(line.as_bytes()), ResponseHead::Data(kind), "{line}");
        }
    }

    #[test]
    fn knows_continuations_padding_and_garbage() {
        assert_eq!(response_head(b"+\r\n"), ResponseHead::Continuation { text: b"", spaced: false });
        assert_eq!(response_head(b"+ \r\n"), ResponseHead::Continuation { text: b"", spaced: true });
        assert_eq!(response_head(b"+ go on\r\n"), ResponseHead::Continuation { text: b"go on", spaced: true });
        assert_eq!(response_head(b"\r\n"), ResponseHead::Padding { len: 2 });
        assert_eq!(response_head(b"\0\0* OK\r\n"), ResponseHead::Padding { len: 2 });
        assert_eq!(response_head(b"hello world\r\n"), ResponseHead::Garbage);
        assert_eq!(response_head(b"Server Unavailable.\r\n"), ResponseHead::Garbage);
    }
}
