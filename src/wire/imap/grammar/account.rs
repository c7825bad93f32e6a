//! Quota and access rights (RFC 9208, RFC 4314).

use super::super::reader::{Fault, Reader};

pub(in super::super) fn quota_root(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.astring().map(drop)
}

pub(in super::super) fn set_quota(reader: &mut Reader<'_>) -> Result<(), Fault> {
    quota_root(reader)?;
    reader.space()?;
    reader.list_or_empty(|reader| {
        reader.atom()?;
        reader.space()?;
        reader.number64().map(drop)
    })
}

/// A mailbox and an identifier: DELETEACL, LISTRIGHTS.
pub(in super::super) fn acl_identifier(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.mailbox()?;
    reader.space()?;
    reader.astring().map(drop)
}

/// Rights are lower-case letters and digits, behind `+` or `-` if they are added or removed.
pub(in super::super) fn set_acl(reader: &mut Reader<'_>) -> Result<(), Fault> {
    acl_identifier(reader)?;
    reader.space()?;
    let start = reader.fault();
    let rights = reader.astring()?.octets();
    let letters = rights.strip_prefix(b"+").or_else(|| rights.strip_prefix(b"-")).unwrap_or(&rights);
    let valid = letters.iter().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit());
    if valid { Ok(()) } else { Err(start) }
}
