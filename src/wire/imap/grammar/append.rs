//! APPEND and REPLACE (RFC 9051 §6.3.12; RFC 3502, 3516, 4469, 8508, 9755).
//!
//! Flags and date are read here and not left to the server: one that refuses them may do so
//! without consuming the message.

use super::super::command::{Enclosure, MessageHead};
use super::super::date::date_time;
use super::super::parts::Part;
use super::super::reader::{Fault, Reader};
use super::url::url;

pub(in super::super) fn append(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.mailbox()?;
    reader.space()?;
    message(reader)?;
    further_messages(reader)
}

pub(in super::super) fn replace(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence_number()?;
    reader.space()?;
    reader.mailbox()?;
    reader.space()?;
    message(reader)
}

/// Behind the octets of a message, to the end of the command.
pub(in super::super) fn append_more(reader: &mut Reader<'_>, enclosure: Enclosure) -> Result<(), Fault> {
    match enclosure {
        Enclosure::None => {}
        Enclosure::Utf8 => reader.expect(b')')?,
        Enclosure::Catenate => {
            if !reader.eat(b')') {
                reader.space()?;
                parts(reader, Vec::new())?;
            }
        }
    }
    further_messages(reader)?;
    reader.end()
}

fn further_messages(reader: &mut Reader<'_>) -> Result<(), Fault> {
    while reader.eat(b' ') {
        reader.need(&["MULTIAPPEND"]);
        message(reader)?;
    }
    Ok(())
}

/// `[(flags)] ["date"] data`. Comes back only if the data was a CATENATE without octets of its own.
fn message(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.facts.messages = reader.facts.messages.saturating_add(1);
    let mut flags = Vec::new();
    if reader.peek() == Some(b'(') {
        let start = reader.at();
        reader.list_or_empty(|reader| {
            flags.push(reader.flag()?);
            Ok(())
        })?;
        reader.collect(start, |parts, span, _| parts.flags.push(Part { span, value: flags.clone() }));
        reader.space()?;
    }
    if reader.peek() == Some(b'"') {
        date_time(reader)?;
        reader.space()?;
    }
    match reader.peek() {
        Some(b'{') => Err(announced(reader, Enclosure::None, flags)),
        Some(b'~') => {
            reader.need(&["BINARY"]);
            Err(announced(reader, Enclosure::None, flags))
        }
        _ if reader.eat_word("UTF8") => {
            reader.need(&["UTF8=ACCEPT", "UTF8=ONLY"]);
            reader.space()?;
            reader.expect(b'(')?;
            if reader.peek() == Some(b'~') {
                return Err(announced(reader, Enclosure::Utf8, flags));
            }
            Err(reader.fault())
        }
        _ => {
            reader.expect_word("CATENATE")?;
            reader.need(&["CATENATE"]);
            reader.space()?;
            reader.expect(b'(')?;
            parts(reader, flags)
        }
    }
}

/// The parts of a CATENATE up to the next one that brings octets, or to the closing parenthesis.
fn parts(reader: &mut Reader<'_>, flags: Vec<String>) -> Result<(), Fault> {
    loop {
        if reader.one_of(&["URL", "TEXT"])? == "TEXT" {
            reader.space()?;
            return Err(announced(reader, Enclosure::Catenate, flags));
        }
        reader.space()?;
        url(reader)?;
        if reader.eat(b')') {
            return Ok(());
        }
        reader.space()?;
    }
}

fn announced(reader: &mut Reader<'_>, enclosure: Enclosure, flags: Vec<String>) -> Fault {
    match reader.announced() {
        Ok(announced) => Fault::Message(Box::new(MessageHead { announced, enclosure, flags })),
        Err(fault) => fault,
    }
}
