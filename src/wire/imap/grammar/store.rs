//! STORE (RFC 9051 §6.4.6; RFC 7162; Gmail's labels).

use super::super::command::Details;
use super::super::parts::Part;
use super::super::reader::{Fault, Reader};
use super::{CONDSTORE, GMAIL};
use crate::wire::{Effect, Operation};

pub(in super::super) fn store(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence_set()?;
    reader.space()?;
    if reader.peek() == Some(b'(') {
        reader.need(CONDSTORE);
        reader.list(|reader| {
            reader.expect_word("UNCHANGEDSINCE")?;
            reader.space()?;
            // zero is allowed here: it asks that the flag was never set (RFC 7162 §3.1.3)
            reader.number64().map(drop)
        })?;
        reader.space()?;
    }
    let removes = reader.eat(b'-');
    if !removes {
        reader.eat(b'+');
    }
    match reader.one_of(&["FLAGS.SILENT", "FLAGS", "X-GM-LABELS.SILENT", "X-GM-LABELS"])? {
        "FLAGS.SILENT" | "FLAGS" => flags(reader, removes),
        _ => labels(reader, removes),
    }
}

fn flags(reader: &mut Reader<'_>, removes: bool) -> Result<(), Fault> {
    let flags = values(reader, Reader::flag)?;
    let deletes = !removes && flags.iter().any(|flag| flag == "\\Deleted");
    if deletes {
        reader.facts.operation = Operation::Delete;
        reader.facts.effect = Effect::Destroy;
    }
    reader.facts.details = Details::Store { deletes, flags };
    Ok(())
}

/// A label is a folder: putting one on files the message there, and `\Trash` deletes it.
fn labels(reader: &mut Reader<'_>, removes: bool) -> Result<(), Fault> {
    reader.need(GMAIL);
    let labels = values(reader, label)?;
    let trashes = |label: &String| ["\\Trash", "\\Spam"].iter().any(|name| label.eq_ignore_ascii_case(name));
    let deletes = !removes && labels.iter().any(trashes);
    (reader.facts.operation, reader.facts.effect) =
        if deletes { (Operation::Delete, Effect::Destroy) } else { (Operation::Flag, Effect::File) };
    reader.facts.details = Details::Store { deletes, flags: labels };
    Ok(())
}

fn label(reader: &mut Reader<'_>) -> Result<String, Fault> {
    if reader.eat(b'\\') {
        return reader.atom().map(|name| format!("\\{name}"));
    }
    let text = reader.astring()?;
    let name = reader.decode(&text)?;
    reader.note_mailbox(name.clone());
    Ok(name)
}

/// `(a b)`, `()` or `a b`.
fn values<'a>(
    reader: &mut Reader<'a>,
    mut value: impl FnMut(&mut Reader<'a>) -> Result<String, Fault>,
) -> Result<Vec<String>, Fault> {
    reader.space()?;
    let start = reader.at();
    let mut values = Vec::new();
    let mut add = |reader: &mut Reader<'a>| {
        values.push(value(reader)?);
        Ok(())
    };
    if reader.peek() == Some(b'(') {
        reader.list_or_empty(&mut add)?;
    } else {
        reader.sequence(&mut add)?;
    }
    reader.collect(start, |parts, span, _| parts.flags.push(Part { span, value: values.clone() }));
    Ok(values)
}
