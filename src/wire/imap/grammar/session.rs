//! Commands about the session and who is in it (RFC 9051 §6.1, §6.2; RFC 2971, 4978, 5161, 5255).

use std::ops::Range;

use super::super::command::{Details, IdField, Reason};
use super::super::lexer::is_base64;
use super::super::reader::{Fault, Reader};

/// RFC 2971 §3.3: at most 30 pairs, keys of at most 30 octets, values of at most 1024.
const ID_FIELDS: usize = 30;
const ID_KEY: usize = 30;
const ID_VALUE: usize = 1024;
/// RFC 4422 §3.1.
const MECHANISM: usize = 20;

#[expect(clippy::unnecessary_wraps, reason = "a grammar like the others in the table")]
pub(in super::super) fn nothing(_reader: &mut Reader<'_>) -> Result<(), Fault> {
    Ok(())
}

pub(in super::super) fn login(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    let user = reader.astring()?.octets();
    reader.space()?;
    let password = reader.astring()?;
    reader.facts.secrets.push(password.span);
    reader.facts.details = Details::Login { user: String::from_utf8_lossy(&user).into_owned() };
    Ok(())
}

/// The mechanism is an atom and the initial response bare base64 or `=` (RFC 9051 §6.2.2). One
/// server takes the rest of the line as it stands, so that a literal here would be a password
/// for it and a literal for others.
pub(in super::super) fn authenticate(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let start = reader.fault();
    let mechanism = reader.take_while(valid);
    if mechanism.is_empty() || mechanism.len() > MECHANISM {
        return Err(start);
    }
    let initial_response = initial_response(reader)?;
    reader.facts.secrets.extend(initial_response.clone());
    let mechanism = mechanism.iter().map(|octet| char::from(octet.to_ascii_uppercase())).collect();
    reader.facts.details = Details::Authenticate { mechanism, initial_response };
    Ok(())
}

fn initial_response(reader: &mut Reader<'_>) -> Result<Option<Range<usize>>, Fault> {
    if !reader.eat(b' ') {
        return Ok(None);
    }
    let start = reader.at();
    let fault = reader.fault();
    let response = reader.take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
    if response != b"=" && (response.is_empty() || !is_base64(response)) {
        return Err(fault);
    }
    Ok(Some(start..reader.at()))
}

pub(in super::super) fn enable(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    let mut capabilities = Vec::new();
    reader.sequence(|reader| {
        capabilities.push(reader.atom()?.to_owned());
        Ok(())
    })?;
    reader.facts.details = Details::Enable { capabilities };
    Ok(())
}

pub(in super::super) fn id(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    let mut fields = Vec::new();
    let nil = reader.eat_word("NIL");
    if !nil {
        reader.list_or_empty(|reader| {
            fields.push(id_field(reader)?);
            if fields.len() > ID_FIELDS { Err(Fault::Malformed(Reason::Syntax)) } else { Ok(()) }
        })?;
    }
    reader.facts.details = Details::Id { fields: (!nil).then_some(fields) };
    Ok(())
}

fn id_field(reader: &mut Reader<'_>) -> Result<IdField, Fault> {
    let key = reader.string()?.octets().into_owned();
    reader.space()?;
    let value = reader.nstring()?;
    if key.len() > ID_KEY || value.as_ref().is_some_and(|value| value.octets().len() > ID_VALUE) {
        return Err(Fault::Malformed(Reason::Syntax));
    }
    let mut field = IdField { key, value: None };
    if field.is_private() {
        reader.facts.secrets.extend(value.map(|value| value.span));
    } else {
        field.value = value.map(|value| value.octets().into_owned());
    }
    Ok(field)
}

pub(in super::super) fn language(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.eat(b' ') { reader.sequence(|reader| reader.astring().map(drop)) } else { Ok(()) }
}

pub(in super::super) fn compress(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    // the one algorithm there is (RFC 4978 §6)
    reader.expect_word("DEFLATE")
}
