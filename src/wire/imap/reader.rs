//! Reads one command from left to right, strictly.
//!
//! Servers differ on everything that is not exactly the grammar (double spaces, stray escapes,
//! braces in atoms), so nothing of it is tolerated: what this reader accepts, every server reads
//! alike. It never goes back more than a token, and its recursion is bounded by [`MAX_DEPTH`].

use std::borrow::Cow;
use std::ops::Range;

use super::command::{self, Announced, Details, LiteralSpan, MessageHead, Reason};
use super::lexer::{is_astring_octet, is_atom_octet, is_name_octet};
use super::literal::WINDOW;
use super::mailbox::{self, Names};
use super::parts::{Part, Parts};
use super::spec::Spec;
use crate::wire::{Effect, Operation};

/// The deepest nesting of parentheses and of `NOT`, `OR`, `FUZZY`. Searches made by people stay
/// under ten; a peer must not be able to choose the depth of our stack.
const MAX_DEPTH: u8 = 64;

/// Why reading ended before the command did.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not a command.
    Malformed(Reason),
    /// The octets of a buffered literal are needed.
    Literal,
    /// A message begins.
    Message(Box<MessageHead>),
}

/// What reading has found out so far.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) operation: Operation,
    pub(super) effect: Effect,
    pub(super) mailboxes: Vec<String>,
    pub(super) literals: Vec<LiteralSpan>,
    pub(super) secrets: Vec<Range<usize>>,
    pub(super) needs: Vec<&'static [&'static str]>,
    pub(super) messages: u32,
    pub(super) details: Details,
}

/// A string in whichever form it was written.
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
    /// Where the octets stand in the input, without quotes or announcement.
    pub(super) span: Range<usize>,
}

impl<'a> Text<'a> {
    /// The value: escapes of a quoted string undone.
    pub(super) fn octets(&self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut value = Vec::with_capacity(self.raw.len());
        let mut octets = self.raw.iter();
        while let Some(octet) = octets.next() {
            // an escape stands for the octet behind it; the reader has checked that there is one
            value.extend(if *octet == b'\\' { octets.next() } else { Some(octet) });
        }
        Cow::Owned(value)
    }
}

/// The input and how far it has been read.
pub(super) struct Reader<'a> {
    input: &'a [u8],
    /// `at ≤ input.len()`
    at: usize,
    depth: u8,
    names: Names,
    pub(super) facts: Facts,
    /// Where things stand, if that is wanted.
    parts: Option<Box<Parts>>,
}

/// A name in upper case. One that is longer than every name known here is empty, and equal to none.
pub(super) struct UpperName {
    octets: [u8; UpperName::MOST],
    len: usize,
}

impl UpperName {
    /// `HEADER.FIELDS.NOT` has 17.
    const MOST: usize = 24;

    fn of(name: &[u8]) -> Self {
        let mut octets = [0; Self::MOST];
        let Some(place) = octets.get_mut(..name.len()) else { return Self { octets, len: 0 } };
        place.copy_from_slice(name);
        octets.make_ascii_uppercase();
        Self { octets, len: name.len() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], names: Names) -> Self {
        let facts = Facts {
            operation: Operation::Unknown,
            effect: Effect::Unknown,
            mailboxes: Vec::new(),
            literals: Vec::new(),
            secrets: Vec::new(),
            needs: Vec::new(),
            messages: 0,
            details: Details::None,
        };
        Self { input, at: 0, depth: 0, names, facts, parts: None }
    }

    /// One that notes where things stand.
    pub(super) fn collecting(input: &'a [u8], names: Names) -> Self {
        Self { parts: Some(Box::default()), ..Self::new(input, names) }
    }

    /// Tag and name: the command's row, and where its name stands.
    pub(super) fn command_name(&mut self) -> Result<(&'static Spec, Range<usize>), Fault> {
        command::read_tag(self)?;
        let start = self.at;
        let spec = command::read_name(self, self.input)?;
        Ok((spec, start..self.at))
    }

    /// What was noted.
    pub(super) fn take_parts(self) -> Parts {
        self.parts.map_or_else(Parts::default, |parts| *parts)
    }

    /// Notes something that stands from `start` to here, if that is wanted.
    pub(super) fn collect(&mut self, start: usize, add: impl FnOnce(&mut Parts, Range<usize>, &'a [u8])) {
        let span = start..self.at;
        if let Some(parts) = &mut self.parts {
            let octets = self.input.get(span.clone()).unwrap_or_default();
            add(parts, span, octets);
        }
    }

    /// Notes that mailboxes are reached which are not named.
    pub(super) fn reaches_further(&mut self) {
        self.collect(self.at, |parts, _, _| parts.reaches_further = true);
    }

    // ---- octets

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    pub(super) fn starts_with(&self, octets: &[u8]) -> bool {
        self.rest().get(..octets.len()).is_some_and(|start| start.eq_ignore_ascii_case(octets))
    }

    /// The fault of the octet that stands here: what a person should be told is wrong with it.
    pub(super) fn fault(&self) -> Fault {
        self.fault_at(self.at)
    }

    /// The fault of the octet that stands at `at`, which may be where a token began.
    pub(super) fn fault_at(&self, at: usize) -> Fault {
        Fault::Malformed(match self.input.get(at..).unwrap_or_default() {
            [0, ..] => Reason::Nul,
            [b'\r', b'\n', ..] => Reason::Syntax,
            [b'\r' | b'\n', ..] => Reason::BareLineEnd,
            [b'{', ..] | [b'~', b'{', ..] => Reason::Literal,
            _ => Reason::Syntax,
        })
    }

    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let here = self.peek() == Some(octet);
        self.at += usize::from(here);
        here
    }

    pub(super) fn expect(&mut self, octet: u8) -> Result<(), Fault> {
        if self.eat(octet) { Ok(()) } else { Err(self.fault()) }
    }

    /// Exactly one SP; a second one fails as what should follow (RFC 9051 §9 note 2).
    pub(super) fn space(&mut self) -> Result<(), Fault> {
        self.expect(b' ')
    }

    /// The CRLF that ends the command, and the input with it.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if self.rest() == b"\r\n" {
            self.at = self.input.len();
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|octet| !wanted(*octet)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn take_some(&mut self, wanted: impl Fn(u8) -> bool) -> Result<&'a [u8], Fault> {
        let octets = self.take_while(wanted);
        if octets.is_empty() { Err(self.fault()) } else { Ok(octets) }
    }

    // ---- words

    pub(super) fn atom(&mut self) -> Result<&'a str, Fault> {
        let octets = self.take_some(is_atom_octet)?;
        std::str::from_utf8(octets).map_err(|_| self.fault())
    }

    /// A name of letters, digits, `.` and `-`, as written.
    pub(super) fn name(&mut self) -> Result<&'a [u8], Fault> {
        self.take_some(is_name_octet)
    }

    /// The same in upper case, to be compared with names that are known.
    pub(super) fn upper_name(&mut self) -> Result<UpperName, Fault> {
        self.name().map(UpperName::of)
    }

    /// `word` in any case, not followed by more of an atom; or nothing.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let whole = self.starts_with(word.as_bytes())
            && !self.rest().get(word.len()).is_some_and(|octet| is_atom_octet(*octet));
        self.at += if whole { word.len() } else { 0 };
        whole
    }

    /// A SP and `word`, or nothing.
    pub(super) fn eat_word_after_space(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.eat(b' ') && self.eat_word(word);
        if !found {
            self.at = start;
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), Fault> {
        if self.eat_word(word) { Ok(()) } else { Err(self.fault()) }
    }

    /// One of `words`, in any case.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> Result<&'static str, Fault> {
        let found = words.iter().copied().find(|word| self.eat_word(word));
        found.ok_or_else(|| self.fault())
    }

    // ---- numbers

    fn digits(&mut self, largest: u64) -> Result<u64, Fault> {
        let start = self.at;
        let digits = self.take_some(|octet| octet.is_ascii_digit())?;
        let add = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        let value = digits.iter().try_fold(0_u64, add).filter(|value| *value <= largest);
        value.ok_or_else(|| self.fault_at(start))
    }

    /// `number`: 32 bits.
    pub(super) fn number(&mut self) -> Result<u64, Fault> {
        self.digits(u64::from(u32::MAX))
    }

    /// `number64`: 63 bits (RFC 9051 §9).
    pub(super) fn number64(&mut self) -> Result<u64, Fault> {
        self.digits(i64::MAX.unsigned_abs())
    }

    /// `nz-number`, not zero and not written with a leading zero.
    pub(super) fn nz_number(&mut self) -> Result<u64, Fault> {
        if self.peek() == Some(b'0') { Err(self.fault()) } else { self.number() }
    }

    /// `nz-number64`.
    pub(super) fn nz_number64(&mut self) -> Result<u64, Fault> {
        if self.peek() == Some(b'0') { Err(self.fault()) } else { self.number64() }
    }

    // ---- strings

    /// `{n}`, `{n+}` and, where `~` is allowed by the caller having seen it, `~{n}`, with its CRLF.
    pub(super) fn announced(&mut self) -> Result<Announced, Fault> {
        let wrong = Fault::Malformed(Reason::Literal);
        let start = self.at;
        let literal8 = self.eat(b'~');
        self.expect(b'{')?;
        let digits = self.at;
        let Ok(size) = self.number64() else { return Err(wrong) };
        // what the framer takes for too large, whatever the zeros before it
        let is_overlong = self.at - digits >= WINDOW;
        let sync = !self.eat(b'+');
        if is_overlong || !self.rest().starts_with(b"}\r\n") {
            return Err(wrong);
        }
        self.at += b"}\r\n".len();
        Ok(Announced { at: start..self.at, size, literal8, sync })
    }

    /// A buffered literal: its announcement and its octets, which must be there with the line
    /// behind them.
    pub(super) fn literal(&mut self) -> Result<Text<'a>, Fault> {
        let Announced { at: announcement, size, literal8, sync } = self.announced()?;
        let rest = self.rest();
        if rest.is_empty() {
            return Err(Fault::Literal);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let raw = rest.get(..size).ok_or(Fault::Malformed(Reason::Literal))?;
        // C programs cut a name at NUL, so server and policy would see two names
        if !literal8 && memchr::memchr(0, raw).is_some() {
            return Err(Fault::Malformed(Reason::Nul));
        }
        let span = self.at..self.at + size;
        self.at = span.end;
        self.facts.literals.push(LiteralSpan { announcement, octets: span.clone(), literal8, sync });
        Ok(Text { raw, escaped: false, span })
    }

    fn quoted(&mut self) -> Result<Text<'a>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0));
            match self.rest() {
                [b'"', ..] => break,
                [b'\\', b'"' | b'\\', ..] => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return Err(self.fault()),
            }
        }
        let span = start..self.at;
        self.at += 1;
        // one server reads `"a"b` as two arguments
        if !matches!(self.peek(), Some(b' ' | b')' | b'\r' | b']')) {
            return Err(self.fault());
        }
        Ok(Text { raw: self.input.get(span.clone()).unwrap_or_default(), escaped, span })
    }

    /// `string`: quoted or literal.
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        match self.peek() {
            Some(b'{') => self.literal(),
            _ => self.quoted(),
        }
    }

    /// A string, or an unquoted run of `wanted` octets.
    pub(super) fn string_or(&mut self, wanted: impl Fn(u8) -> bool) -> Result<Text<'a>, Fault> {
        if matches!(self.peek(), Some(b'{' | b'"')) {
            return self.string();
        }
        let start = self.at;
        let raw = self.take_some(wanted)?;
        Ok(Text { raw, escaped: false, span: start..self.at })
    }

    /// `astring`: atom, quoted or literal.
    pub(super) fn astring(&mut self) -> Result<Text<'a>, Fault> {
        self.string_or(is_astring_octet)
    }

    /// `nstring`: string or NIL.
    pub(super) fn nstring(&mut self) -> Result<Option<Text<'a>>, Fault> {
        if self.eat_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    // ---- compounds

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault());
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    /// `(item SP item …)` with at least one item.
    pub(super) fn list(&mut self, item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.expect(b'(')?;
        self.nested(|reader| reader.sequence(item))?;
        self.expect(b')')
    }

    /// `(item SP item …)` or `()`.
    pub(super) fn list_or_empty(&mut self, item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.starts_with(b"()") {
            self.at += 2;
            return Ok(());
        }
        self.list(item)
    }

    /// `item SP item …` with at least one item, as long as a SP follows.
    pub(super) fn sequence(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        item(self)?;
        while self.eat(b' ') {
            item(self)?;
        }
        Ok(())
    }

    /// A mailbox name, noted among the facts unless it is empty.
    pub(super) fn mailbox(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let text = self.astring()?;
        let name = self.decode(&text)?;
        self.collect(start, |parts, span, _| parts.mailboxes.push(Part { span, value: name.clone() }));
        self.note_mailbox(name);
        Ok(())
    }

    /// Notes a decoded name among the facts unless it is empty.
    pub(super) fn note_mailbox(&mut self, name: String) {
        self.facts.mailboxes.extend(Some(name).filter(|name| !name.is_empty()));
    }

    /// The decoded form of a mailbox name or pattern.
    pub(super) fn decode(&self, text: &Text<'_>) -> Result<String, Fault> {
        mailbox::decode(&text.octets(), self.names).map_err(|_| Fault::Malformed(Reason::Syntax))
    }

    /// Notes that the arguments use an extension: one of `names` must be offered.
    pub(super) fn need(&mut self, names: &'static [&'static str]) {
        if !self.facts.needs.contains(&names) {
            self.facts.needs.push(names);
        }
    }

    /// `sequence-set` (RFC 9051 §9), `$` included.
    pub(super) fn sequence_set(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.eat(b'$') {
            self.need(&["SEARCHRES", "IMAP4rev2"]);
            self.collect(start, |parts, span, _| parts.note_set(span, None));
            return Ok(());
        }
        let mut count = Some(0_u64);
        loop {
            let first = self.sequence_number()?;
            let range = if self.eat(b':') { first.zip(self.sequence_number()?) } else { Some((0, 0)) };
            let more = range.map(|(first, last)| first.abs_diff(last) + 1);
            count = count.zip(more).map(|(count, more)| count.saturating_add(more));
            if !self.eat(b',') {
                self.collect(start, |parts, span, _| parts.note_set(span, count));
                return Ok(());
            }
        }
    }

    /// `seq-number`: a number or `*`, which is none.
    pub(super) fn sequence_number(&mut self) -> Result<Option<u64>, Fault> {
        if self.eat(b'*') { Ok(None) } else { self.nz_number().map(Some) }
    }

    /// A flag that a client may set: one of the five of RFC 9051 §2.3.2, or a keyword. Others are
    /// refused here, for a server that refuses a flag of APPEND may run the message as commands.
    pub(super) fn flag(&mut self) -> Result<String, Fault> {
        if !self.eat(b'\\') {
            return self.atom().map(str::to_owned);
        }
        let name = self.one_of(&["Seen", "Answered", "Flagged", "Deleted", "Draft"])?;
        Ok(format!("\\{name}"))
    }
}
