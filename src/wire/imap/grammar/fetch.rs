//! FETCH (RFC 9051 §6.4.5; RFC 3516, 7162, 8474, 8514, 8970, 9394; Gmail's items).
//!
//! Items without parentheses are refused: some servers serve all of them, others only the first.

use super::super::command::{Content, Details};
use super::super::parts::Part;
use super::super::reader::{Fault, Reader};
use super::{CONDSTORE, GMAIL, OBJECTID, QRESYNC};
use crate::wire::{Item, Operation};

/// What one item, or several, ask for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    content: Content,
    sets_seen: bool,
}

impl Asked {
    pub(super) const NOTHING: Self = Self { content: Content::Headers, sets_seen: false };

    pub(super) fn and(self, other: Self) -> Self {
        Self { content: self.content.max(other.content), sets_seen: self.sets_seen || other.sets_seen }
    }

    pub(super) fn details(self) -> Details {
        Details::Fetch { content: self.content, sets_seen: self.sets_seen }
    }
}

pub(in super::super) fn fetch(reader: &mut Reader<'_>) -> Result<(), Fault> {
    items(reader)?;
    if reader.eat(b' ') { reader.list(modifier) } else { Ok(()) }
}

/// As FETCH, and VANISHED (RFC 7162 §3.2.6) is allowed.
pub(in super::super) fn uid_fetch(reader: &mut Reader<'_>) -> Result<(), Fault> {
    items(reader)?;
    if !reader.eat(b' ') {
        return Ok(());
    }
    reader.list(|reader| {
        if reader.eat_word("VANISHED") {
            reader.need(QRESYNC);
            return Ok(());
        }
        modifier(reader)
    })
}

fn items(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence_set()?;
    reader.space()?;
    let mut asked = Asked::NOTHING;
    let start = reader.at();
    if reader.peek() == Some(b'(') {
        asked = item_list(reader)?;
    } else if let Ok(name) = reader.one_of(&["ALL", "FAST", "FULL"]) {
        reader.collect(start, |parts, span, _| {
            let item = |name: &&str| Part { span: span.clone(), value: Item::of_fetch(name) };
            parts.items.extend(items_of_macro(name).iter().map(item));
        });
    } else {
        asked = item(reader)?;
    }
    reader.collect(start, |parts, span, _| parts.item_list = Some(span));
    reader.facts.operation = match asked.content {
        Content::Headers => Operation::Headers,
        Content::Part => Operation::Part,
        Content::Whole => Operation::Download,
    };
    reader.facts.details = asked.details();
    Ok(())
}

/// RFC 9051 §6.4.5.
fn items_of_macro(name: &str) -> &'static [&'static str] {
    match name {
        "FAST" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
        "ALL" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
        _ => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
    }
}

pub(super) fn item_list(reader: &mut Reader<'_>) -> Result<Asked, Fault> {
    let mut asked = Asked::NOTHING;
    reader.list(|reader| {
        asked = asked.and(item(reader)?);
        Ok(())
    })?;
    Ok(asked)
}

fn modifier(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.one_of(&["CHANGEDSINCE", "PARTIAL"])? == "CHANGEDSINCE" {
        reader.need(CONDSTORE);
        reader.space()?;
        return reader.nz_number64().map(drop);
    }
    reader.need(&["PARTIAL"]);
    reader.space()?;
    partial_range(reader)
}

/// `1:500` or `-1:-100` (RFC 9394 §3.1).
pub(super) fn partial_range(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let from_the_end = reader.eat(b'-');
    reader.nz_number()?;
    reader.expect(b':')?;
    if from_the_end {
        reader.expect(b'-')?;
    }
    reader.nz_number().map(drop)
}

fn item(reader: &mut Reader<'_>) -> Result<Asked, Fault> {
    let start = reader.at();
    let asked = known_item(reader)?;
    reader.collect(start, |parts, span, octets| {
        parts.items.push(Part { span, value: Item::of_fetch(&String::from_utf8_lossy(octets)) });
    });
    Ok(asked)
}

fn known_item(reader: &mut Reader<'_>) -> Result<Asked, Fault> {
    let start = reader.at();
    let name = reader.upper_name()?;
    let metadata = Ok(Asked::NOTHING);
    let content = |content, sets_seen| Ok(Asked { content, sets_seen });
    match name.as_bytes() {
        b"BODY" if reader.peek() != Some(b'[') => metadata,
        b"BODY" => content(section(reader)?, true),
        b"BODY.PEEK" => content(section(reader)?, false),
        b"BINARY" => content(binary(reader)?, true),
        b"BINARY.PEEK" => content(binary(reader)?, false),
        b"RFC822" => content(Content::Whole, true),
        b"RFC822.TEXT" => content(Content::Part, true),
        b"BINARY.SIZE" => {
            reader.need(&["BINARY", "IMAP4rev2"]);
            binary_section(reader)?;
            metadata
        }
        // the beginning of the text, whatever its name
        b"PREVIEW" | b"SNIPPET" => {
            preview(reader, name.as_bytes() == b"SNIPPET")?;
            content(Content::Part, false)
        }
        b"ENVELOPE" | b"FLAGS" | b"INTERNALDATE" | b"BODYSTRUCTURE" | b"UID" | b"RFC822.SIZE" | b"RFC822.HEADER" => {
            metadata
        }
        b"MODSEQ" => {
            reader.need(CONDSTORE);
            metadata
        }
        b"EMAILID" | b"THREADID" => {
            reader.need(OBJECTID);
            metadata
        }
        b"SAVEDATE" => {
            reader.need(&["SAVEDATE"]);
            metadata
        }
        b"X-GM-MSGID" | b"X-GM-THRID" | b"X-GM-LABELS" => {
            reader.need(GMAIL);
            metadata
        }
        _ => Err(reader.fault_at(start)),
    }
}

/// `PREVIEW (LAZY)` (RFC 8970), `SNIPPET (LAZY=FUZZY)` (its draft).
fn preview(reader: &mut Reader<'_>, snippet: bool) -> Result<(), Fault> {
    reader.need(if snippet { &["SNIPPET=FUZZY"] } else { &["PREVIEW"] });
    let modified = reader.starts_with(b" (LAZY") || (snippet && reader.starts_with(b" (FUZZY"));
    if !modified {
        return Ok(());
    }
    reader.space()?;
    reader.list(|reader| {
        let modifiers: &[&str] = if snippet { &["LAZY=FUZZY", "LAZY", "FUZZY"] } else { &["LAZY"] };
        reader.one_of(modifiers).map(drop)
    })
}

/// `[…]` of BODY and the octet range behind it (RFC 9051 §9 `section`, `partial`).
fn section(reader: &mut Reader<'_>) -> Result<Content, Fault> {
    reader.expect(b'[')?;
    let content = if reader.peek() == Some(b']') {
        Content::Whole
    } else if reader.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if part(reader)? { section_text(reader, true)? } else { Content::Part }
    } else {
        section_text(reader, false)?
    };
    reader.expect(b']')?;
    octet_range(reader, content)
}

/// `1.2`, or `1.2.` if a text follows; whether it does.
fn part(reader: &mut Reader<'_>) -> Result<bool, Fault> {
    loop {
        reader.nz_number()?;
        if !reader.eat(b'.') {
            return Ok(false);
        }
        if !reader.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            return Ok(true);
        }
    }
}

fn section_text(reader: &mut Reader<'_>, of_part: bool) -> Result<Content, Fault> {
    let start = reader.fault();
    match reader.upper_name()?.as_bytes() {
        b"TEXT" => Ok(Content::Part),
        b"HEADER" => Ok(Content::Headers),
        b"MIME" if of_part => Ok(Content::Headers),
        b"HEADER.FIELDS" | b"HEADER.FIELDS.NOT" => {
            reader.space()?;
            reader.list(|reader| reader.astring().map(drop))?;
            Ok(Content::Headers)
        }
        _ => Err(start),
    }
}

fn binary(reader: &mut Reader<'_>) -> Result<Content, Fault> {
    reader.need(&["BINARY", "IMAP4rev2"]);
    let content = binary_section(reader)?;
    octet_range(reader, content)
}

fn binary_section(reader: &mut Reader<'_>) -> Result<Content, Fault> {
    reader.expect(b'[')?;
    if reader.eat(b']') {
        return Ok(Content::Whole);
    }
    let open = part(reader)?;
    if open {
        return Err(reader.fault());
    }
    reader.expect(b']')?;
    Ok(Content::Part)
}

fn octet_range(reader: &mut Reader<'_>, content: Content) -> Result<Content, Fault> {
    if !reader.eat(b'<') {
        return Ok(content);
    }
    reader.number64()?;
    reader.expect(b'.')?;
    reader.nz_number64()?;
    reader.expect(b'>')?;
    Ok(content.min(Content::Part))
}
