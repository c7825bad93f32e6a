//! Commands that name mailboxes (RFC 9051 §6.3, §6.4; RFC 6154, 7162, 8438, 8474).

use super::super::command::Details;
use super::super::reader::{Fault, Reader};
use super::{CONDSTORE, OBJECTID, QRESYNC};

pub(in super::super) fn one_mailbox(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.mailbox()
}

pub(in super::super) fn rename(reader: &mut Reader<'_>) -> Result<(), Fault> {
    // what is below goes with it (RFC 9051 §6.3.6)
    reader.reaches_further();
    one_mailbox(reader)?;
    one_mailbox(reader)
}

/// `CREATE x (USE (\Sent))` (RFC 6154 §5.2).
pub(in super::super) fn create(reader: &mut Reader<'_>) -> Result<(), Fault> {
    one_mailbox(reader)?;
    if !reader.eat(b' ') {
        return Ok(());
    }
    reader.need(&["CREATE-SPECIAL-USE"]);
    reader.list(|reader| {
        reader.expect_word("USE")?;
        reader.space()?;
        reader.list_or_empty(|reader| {
            reader.expect(b'\\')?;
            reader.atom().map(drop)
        })
    })
}

pub(in super::super) fn select(reader: &mut Reader<'_>) -> Result<(), Fault> {
    open(reader)?;
    reader.facts.details = Details::Select { read_only: false };
    Ok(())
}

pub(in super::super) fn examine(reader: &mut Reader<'_>) -> Result<(), Fault> {
    open(reader)?;
    reader.facts.details = Details::Select { read_only: true };
    Ok(())
}

fn open(reader: &mut Reader<'_>) -> Result<(), Fault> {
    one_mailbox(reader)?;
    if reader.eat(b' ') { reader.list(open_parameter) } else { Ok(()) }
}

fn open_parameter(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.one_of(&["CONDSTORE", "QRESYNC"])? == "CONDSTORE" {
        reader.need(CONDSTORE);
        return Ok(());
    }
    reader.need(QRESYNC);
    reader.space()?;
    reader.expect(b'(')?;
    resynchronisation(reader)?;
    reader.expect(b')')
}

/// UIDVALIDITY, change number, known UIDs, and matching message numbers and UIDs (RFC 7162 §3.2.5).
fn resynchronisation(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.nz_number()?;
    reader.space()?;
    reader.nz_number64()?;
    let mut more = reader.eat(b' ');
    if more && reader.peek() != Some(b'(') {
        reader.sequence_set()?;
        more = reader.eat(b' ');
    }
    if more {
        reader.expect(b'(')?;
        reader.sequence_set()?;
        reader.space()?;
        reader.sequence_set()?;
        reader.expect(b')')?;
    }
    Ok(())
}

pub(in super::super) fn status(reader: &mut Reader<'_>) -> Result<(), Fault> {
    one_mailbox(reader)?;
    reader.space()?;
    status_items(reader)
}

/// `(MESSAGES UIDNEXT …)`, of STATUS and of LIST's return option.
pub(super) fn status_items(reader: &mut Reader<'_>) -> Result<(), Fault> {
    const ITEMS: &[&str] = &[
        "MESSAGES",
        "RECENT",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
        "DELETED",
        "DELETED-STORAGE",
        "SIZE",
        "HIGHESTMODSEQ",
        "APPENDLIMIT",
        "MAILBOXID",
    ];
    reader.list(|reader| {
        match reader.one_of(ITEMS)? {
            "HIGHESTMODSEQ" => reader.need(CONDSTORE),
            "MAILBOXID" => reader.need(OBJECTID),
            _ => {}
        }
        Ok(())
    })
}

/// COPY and MOVE.
pub(in super::super) fn copy(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence_set()?;
    one_mailbox(reader)
}

pub(in super::super) fn uid_expunge(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence_set()
}
