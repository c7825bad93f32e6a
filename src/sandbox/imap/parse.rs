//! The grammar of a command's arguments (RFC 3501 §9), read from a command whose literals are all there.

use std::collections::BTreeSet;

use bytes::BytesMut;
use jiff::civil::Date;
use jiff::fmt::strtime;
use jiff::{Timestamp, tz};

use super::Refusal;

/// What has not been read of a command.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// Numbers and ranges; `None` is `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceSet(Vec<(Option<u32>, Option<u32>)>);

impl SequenceSet {
    /// Whether the set names `number`, where `*` is `last`.
    pub(super) fn contains(&self, number: u32, last: u32) -> bool {
        self.0.iter().any(|(one, other)| {
            let (one, other) = (one.unwrap_or(last), other.unwrap_or(last));
            (one.min(other)..=one.max(other)).contains(&number)
        })
    }

    /// The largest number that is named outright.
    pub(super) fn largest(&self) -> Option<u32> {
        self.0.iter().flat_map(|(one, other)| [*one, *other]).flatten().max()
    }
}

fn bad<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Bad(what.to_owned()))
}

impl<'a> Cursor<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes this octet if it is next.
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let tail = self.rest.strip_prefix(&[octet]);
        self.rest = tail.unwrap_or(self.rest);
        tail.is_some()
    }

    pub(super) fn expect(&mut self, octet: u8) -> Result<(), Refusal> {
        if self.take(octet) { Ok(()) } else { bad(&format!("Expected {:?}", char::from(octet))) }
    }

    pub(super) fn space(&mut self) -> Result<(), Refusal> {
        if self.take(b' ') { Ok(()) } else { bad("Missing argument") }
    }

    pub(super) fn end(&self) -> Result<(), Refusal> {
        if self.rest.is_empty() { Ok(()) } else { bad("Unexpected arguments") }
    }

    fn split(&mut self, at: usize) -> &'a [u8] {
        let (head, tail) = self.rest.split_at_checked(at).unwrap_or((self.rest, &[]));
        self.rest = tail;
        head
    }

    /// Octets as long as they fit, perhaps none.
    pub(super) fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest.iter().position(|octet| !fits(*octet) || !octet.is_ascii()).unwrap_or(self.rest.len());
        std::str::from_utf8(self.split(length)).unwrap_or_default()
    }

    pub(super) fn atom(&mut self) -> Result<&'a str, Refusal> {
        let atom = self.run(|octet| is_atom(octet) && octet != b']');
        if atom.is_empty() { bad("Expected a word") } else { Ok(atom) }
    }

    pub(super) fn number(&mut self) -> Result<u32, Refusal> {
        self.run(|octet| octet.is_ascii_digit()).parse().or_else(|_| bad("Expected a number"))
    }

    /// A quoted string or a literal.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, Refusal> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(<[u8]>::to_vec),
            _ => bad("Expected a string"),
        }
    }

    pub(super) fn astring(&mut self) -> Result<Vec<u8>, Refusal> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let word = self.run(is_atom);
        if word.is_empty() { bad("Expected a string") } else { Ok(word.as_bytes().to_vec()) }
    }

    /// A mailbox name, as it is on the wire.
    pub(super) fn mailbox(&mut self) -> Result<String, Refusal> {
        String::from_utf8(self.astring()?).or_else(|_| bad("A mailbox name is not text"))
    }

    /// A mailbox name in which `%` and `*` may stand.
    pub(super) fn list_mailbox(&mut self) -> Result<String, Refusal> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.mailbox();
        }
        Ok(self.run(|octet| is_atom(octet) || matches!(octet, b'%' | b'*')).to_owned())
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Refusal> {
        self.expect(b'"')?;
        let mut value = Vec::new();
        loop {
            match self.split(1) {
                [b'"'] => return Ok(value),
                [b'\\'] => value.extend_from_slice(self.split(1)),
                [octet] => value.push(*octet),
                _ => return bad("A quoted string does not end"),
            }
        }
    }

    pub(super) fn literal(&mut self) -> Result<&'a [u8], Refusal> {
        self.take(b'~');
        self.expect(b'{')?;
        let length = self.number()?;
        self.take(b'+');
        for octet in *b"}\r\n" {
            self.expect(octet)?;
        }
        let literal = self.split(usize::try_from(length).unwrap_or(usize::MAX));
        if literal.len() as u64 == u64::from(length) { Ok(literal) } else { bad("A literal is cut off") }
    }

    pub(super) fn sequence_set(&mut self) -> Result<SequenceSet, Refusal> {
        let mut set = Vec::new();
        loop {
            let one = self.sequence_number()?;
            let other = if self.take(b':') { self.sequence_number()? } else { one };
            set.push((one, other));
            if !self.take(b',') {
                return Ok(SequenceSet(set));
            }
        }
    }

    fn sequence_number(&mut self) -> Result<Option<u32>, Refusal> {
        if self.take(b'*') {
            return Ok(None);
        }
        match self.number()? {
            0 => bad("Numbers begin at 1"),
            number => Ok(Some(number)),
        }
    }

    /// `(\Seen word …)`; STORE also allows the flags without parentheses.
    pub(super) fn flags(&mut self) -> Result<BTreeSet<String>, Refusal> {
        let mut flags = BTreeSet::new();
        let enclosed = self.take(b'(');
        if enclosed && self.take(b')') {
            return Ok(flags);
        }
        loop {
            let system = self.take(b'\\');
            let word = self.atom()?;
            flags.insert(if system { system_flag(word)? } else { word.to_owned() });
            if !self.take(b' ') {
                break;
            }
        }
        if enclosed {
            self.expect(b')')?;
        }
        Ok(flags)
    }

    /// `"17-Jul-1996 02:44:25 -0700"`.
    pub(super) fn date_time(&mut self) -> Result<Timestamp, Refusal> {
        let text = String::from_utf8(self.quoted()?).unwrap_or_default();
        strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start())
            .and_then(|time| time.to_timestamp())
            .or_else(|_| bad("The date is not valid"))
    }

    /// `1-Feb-1994`, quoted or not.
    pub(super) fn date(&mut self) -> Result<Date, Refusal> {
        let text = String::from_utf8(self.astring()?).unwrap_or_default();
        Date::strptime("%d-%b-%Y", &text).or_else(|_| bad("The date is not valid"))
    }
}

fn system_flag(word: &str) -> Result<String, Refusal> {
    let known = ["Seen", "Answered", "Flagged", "Deleted", "Draft"];
    match known.into_iter().find(|known| known.eq_ignore_ascii_case(word)) {
        Some(known) => Ok(format!("\\{known}")),
        None => bad("Unknown system flag"),
    }
}

fn is_atom(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// An INTERNALDATE as the wire shows it.
pub(super) fn show_date_time(time: Timestamp) -> String {
    time.to_zoned(tz::TimeZone::UTC).strftime("\"%e-%b-%Y %H:%M:%S %z\"").to_string()
}

/// The length and kind of a literal that a line announces at its end: octets, and whether the client waits.
pub(super) fn announced(line: &BytesMut) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    let digits = inner.get(open + 1..)?;
    let bare = digits.strip_suffix(b"+");
    let length = std::str::from_utf8(bare.unwrap_or(digits)).ok()?.parse().ok()?;
    Some((length, bare.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_string_in_each_of_its_spellings() {
        for spelling in ["a b", "\"a b\"", "{3}\r\na b", "{3+}\r\na b", "\"a\\ b\""] {
            let value = Cursor::new(spelling.as_bytes()).astring().unwrap();
            assert_eq!(value, if spelling == "a b" { &b"a"[..] } else { b"a b" }, "{spelling}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_string() {
        for spelling in ["", "(", "\"a", "{4}\r\na b", "{x}\r\n", "{1}\n"] {
            assert!(Cursor::new(spelling.as_bytes()).astring().is_err(), "{spelling}");
        }
    }

    #[test]
    fn understands_sequence_sets() {
        let set = Cursor::new(b"2,4:*,9:7").sequence_set().unwrap();
        let named: Vec<u32> = (1..=10).filter(|number| set.contains(*number, 5)).collect();
        assert_eq!((named, set.largest()), (vec![2, 4, 5, 7, 8, 9], Some(9)));
        assert!(Cursor::new(b"0").sequence_set().is_err());
    }

    #[test]
    fn sees_announced_literals() {
        let table = [("a {3}", Some((3, true))), ("{0+}", Some((0, false))), ("a {3", None), ("a {x}", None)];
        for (line, expected) in table {
            assert_eq!(announced(&BytesMut::from(line)), expected, "{line}");
        }
    }

    #[test]
    fn reads_the_date_it_shows() {
        let time = Cursor::new(b"\" 7-Jul-2026 02:44:25 -0700\"").date_time().unwrap();
        assert_eq!(show_date_time(time), "\" 7-Jul-2026 09:44:25 +0000\"");
        assert_eq!(Cursor::new(b"1-Feb-1994").date().unwrap(), Date::constant(1994, 2, 1));
    }
}
