//! Annotations of mailboxes and of the server (RFC 5464).

use super::super::reader::{Fault, Reader};

/// Options may stand before the mailbox, as the grammar of RFC 5464 §5 says, or behind it, as its
/// examples show and clients write.
pub(in super::super) fn get_metadata(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    if reader.peek() == Some(b'(') {
        reader.list(depth_or_size)?;
        reader.space()?;
    }
    reader.mailbox()?;
    reader.space()?;
    if reader.starts_with(b"(MAXSIZE") || reader.starts_with(b"(DEPTH") {
        reader.list(depth_or_size)?;
        reader.space()?;
    }
    entries(reader)
}

pub(in super::super) fn set_metadata(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.mailbox()?;
    reader.space()?;
    reader.list(|reader| {
        entry(reader)?;
        reader.space()?;
        match reader.peek() {
            Some(b'~') => reader.literal().map(drop),
            _ => reader.nstring().map(drop),
        }
    })
}

pub(super) fn depth_or_size(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.one_of(&["MAXSIZE", "DEPTH"])? == "MAXSIZE" {
        reader.space()?;
        return reader.number().map(drop);
    }
    reader.space()?;
    reader.one_of(&["0", "1", "infinity"]).map(drop)
}

pub(super) fn entries(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.peek() == Some(b'(') { reader.list(entry) } else { entry(reader) }
}

/// An entry name begins with a slash and has no wildcards (RFC 5464 §3.2).
fn entry(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let start = reader.fault();
    let name = reader.astring()?.octets();
    let valid = name.starts_with(b"/") && !name.iter().any(|octet| matches!(octet, b'*' | b'%') || !octet.is_ascii());
    if valid { Ok(()) } else { Err(start) }
}
