//! Access by URL (RFC 4467): it hands out messages beside FETCH, so it is hidden unless the operator allows
//! it, and its URLs are secrets, for they grant access.

use super::super::mailbox::{Names, decode};
use super::super::reader::{Fault, Reader, Text};

pub(in super::super) fn url_fetch(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence(url)
}

pub(in super::super) fn gen_url_auth(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence(|reader| {
        url(reader)?;
        reader.space()?;
        reader.atom().map(drop)
    })
}

pub(in super::super) fn reset_key(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if !reader.eat(b' ') {
        // the keys of all mailboxes
        reader.reaches_further();
        return Ok(());
    }
    reader.mailbox()?;
    if reader.eat(b' ') { reader.sequence(|reader| reader.atom().map(drop)) } else { Ok(()) }
}

/// A URL as an astring: a secret that names a mailbox.
pub(super) fn url(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let start = reader.fault();
    let text = reader.astring()?;
    reader.facts.secrets.push(text.span.clone());
    let name = mailbox(&text).ok_or(start)?;
    reader.note_mailbox(name);
    Ok(())
}

/// The mailbox of `imap://host/Name;UIDVALIDITY=1/;UID=2` or `/Name/;UID=2` (RFC 5092 §2): empty
/// if the URL is relative to the selected mailbox, none if its name cannot be read.
fn mailbox(url: &Text<'_>) -> Option<String> {
    let octets = url.octets();
    let text = std::str::from_utf8(&octets).ok()?;
    let authority = text.get(..7).filter(|start| start.eq_ignore_ascii_case("imap://"));
    let path = match authority {
        Some(start) => text.strip_prefix(start)?.split_once('/').map_or("", |(_, path)| path),
        None => text.strip_prefix('/').unwrap_or(text),
    };
    let name = path.split(';').next().unwrap_or_default();
    decode(&percent_decode(name.strip_suffix('/').unwrap_or(name))?, Names::Utf8).ok()
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let value = digits.bytes().all(|octet| octet.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok());
        octets.push(value??);
        octets.extend_from_slice(rest.as_bytes());
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::super::super::command::parse;

    #[test]
    fn finds_the_mailbox_of_a_url() {
        for (url, mailboxes) in [
            ("imap://joe@example.com/INBOX/;uid=20/;section=1.2", &["INBOX"][..]),
            ("IMAP://example.com/Q%26A%20/x;UIDVALIDITY=1/;UID=2", &["Q&A /x"]),
            ("/Entw%C3%BCrfe;UID=1", &["Entwürfe"]),
            (";UID=1", &[]),
        ] {
            let command = parse(format!("a URLFETCH \"{url}\"\r\n").as_bytes()).expect(url);
            assert_eq!(command.mailboxes, mailboxes);
        }
        for url in ["/a%0Ab;UID=1", "/a%;UID=1", "/a%zz;UID=1", "/%FF;UID=1"] {
            assert!(parse(format!("a URLFETCH \"{url}\"\r\n").as_bytes()).is_err(), "{url}");
        }
    }
}
