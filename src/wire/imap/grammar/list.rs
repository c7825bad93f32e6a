//! LIST and its relatives (RFC 9051 §6.3.9; RFC 5258, 5819, 6154, 8440, 9590).

use super::super::command::Details;
use super::super::lexer::is_list_octet;
use super::super::mailbox::fold_inbox;
use super::super::parts::Part;
use super::super::reader::{Fault, Reader};
use super::folder::status_items;
use super::metadata::{depth_or_size, entries};

const EXTENDED: &[&str] = &["LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CHILDREN", "IMAP4rev2"];

/// LSUB and XLIST: reference and pattern.
pub(in super::super) fn plain_list(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    let reference = reference(reader)?;
    reader.space()?;
    let pattern = pattern(reader, &reference)?;
    note(reader, vec![pattern]);
    Ok(())
}

pub(in super::super) fn list(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    if reader.peek() == Some(b'(') {
        reader.need(EXTENDED);
        reader.list_or_empty(|reader| {
            reader.one_of(&["SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"]).map(drop)
        })?;
        reader.space()?;
    }
    let reference = reference(reader)?;
    reader.space()?;
    let mut patterns = Vec::new();
    if reader.peek() == Some(b'(') {
        reader.need(EXTENDED);
        reader.list(|reader| {
            patterns.push(pattern(reader, &reference)?);
            Ok(())
        })?;
    } else {
        patterns.push(pattern(reader, &reference)?);
    }
    note(reader, patterns);
    if reader.eat_word_after_space("RETURN") {
        reader.need(EXTENDED);
        reader.space()?;
        reader.list_or_empty(return_option)?;
    }
    Ok(())
}

fn reference(reader: &mut Reader<'_>) -> Result<String, Fault> {
    let text = reader.astring()?;
    reader.decode(&text)
}

fn pattern(reader: &mut Reader<'_>, reference: &str) -> Result<String, Fault> {
    let start = reader.at();
    let text = reader.string_or(is_list_octet)?;
    let pattern = reader.decode(&text)?;
    if reference.is_empty() && !pattern.contains(['%', '*']) {
        reader.collect(start, |parts, span, _| parts.mailboxes.push(Part { span, value: pattern.clone() }));
    }
    Ok(fold_inbox(format!("{reference}{pattern}")))
}

/// A pattern without wildcards names a mailbox.
fn note(reader: &mut Reader<'_>, patterns: Vec<String>) {
    for pattern in &patterns {
        if pattern.contains(['%', '*']) {
            reader.reaches_further();
        } else {
            reader.note_mailbox(pattern.clone());
        }
    }
    reader.facts.details = Details::List { patterns };
}

fn return_option(reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.one_of(&["SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "MYRIGHTS", "STATUS", "METADATA"])? {
        "STATUS" => {
            reader.need(&["LIST-STATUS", "IMAP4rev2"]);
            reader.space()?;
            status_items(reader)
        }
        "METADATA" => {
            reader.need(&["LIST-METADATA"]);
            reader.space()?;
            if reader.starts_with(b"(MAXSIZE") || reader.starts_with(b"(DEPTH") {
                reader.list(depth_or_size)?;
                reader.space()?;
            }
            entries(reader)
        }
        "MYRIGHTS" => {
            reader.need(&["LIST-MYRIGHTS"]);
            Ok(())
        }
        _ => Ok(()),
    }
}
