//! ENVELOPE and BODYSTRUCTURE (RFC 9051 §7.5.2): what a client shows before it reads a message.

use crate::sandbox::conn::Reply;
use crate::sandbox::mime::{Inside, Part, Value, field, field_octets, split_outside_quotes};

/// Whether the extension data of BODYSTRUCTURE is shown; BODY has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Body,
    BodyStructure,
}

/// Writes an nstring: quoted where that is possible, else a literal, or NIL.
pub(super) fn put_nstring(value: Option<&[u8]>, reply: &mut Reply) {
    match value {
        None => reply.put("NIL"),
        Some(value) => put_string(value, reply),
    }
}

fn put_string(value: &[u8], reply: &mut Reply) {
    if value.iter().any(|octet| !(b' '..=b'~').contains(octet)) {
        reply.put(format!("{{{}}}\r\n", value.len()));
        reply.put(value);
        return;
    }
    reply.put("\"");
    for octet in value {
        if matches!(octet, b'"' | b'\\') {
            reply.put("\\");
        }
        reply.put([*octet]);
    }
    reply.put("\"");
}

/// `(date subject from sender reply-to to cc bcc in-reply-to message-id)`.
pub(super) fn put_envelope(header: &[u8], reply: &mut Reply) {
    let text = |name: &str| field_octets(header, name);
    reply.put("(");
    put_nstring(text("date").as_deref(), reply);
    reply.put(" ");
    put_nstring(text("subject").as_deref(), reply);
    let from = text("from");
    for name in ["from", "sender", "reply-to", "to", "cc", "bcc"] {
        reply.put(" ");
        let value = text(name).filter(|value| !value.is_empty());
        // sender and reply-to are from where they are absent (RFC 9051 §7.5.2)
        let value = if matches!(name, "sender" | "reply-to") { value.or_else(|| from.clone()) } else { value };
        put_addresses(value.as_deref(), reply);
    }
    for name in ["in-reply-to", "message-id"] {
        reply.put(" ");
        put_nstring(text(name).as_deref(), reply);
    }
    reply.put(")");
}

fn put_addresses(value: Option<&[u8]>, reply: &mut Reply) {
    let Some(value) = value else { return reply.put("NIL") };
    let value = String::from_utf8_lossy(value);
    let addresses: Vec<&str> =
        split_outside_quotes(&value, ',').into_iter().map(str::trim).filter(|address| !address.is_empty()).collect();
    if addresses.is_empty() {
        return reply.put("NIL");
    }
    reply.put("(");
    for address in addresses {
        put_address(address, reply);
    }
    reply.put(")");
}

/// `(name route mailbox host)`.
fn put_address(address: &str, reply: &mut Reply) {
    let (name, bare) = match address.rsplit_once('<') {
        Some((name, bare)) => (name.trim(), bare.trim_end_matches('>')),
        None => ("", address.split(" (").next().unwrap_or(address)),
    };
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = quoted.map_or_else(|| name.to_owned(), |name| name.replace("\\\"", "\""));
    let (mailbox, host) = bare.rsplit_once('@').unwrap_or((bare, ""));
    reply.put("(");
    put_nstring(Some(name.as_bytes()).filter(|name| !name.is_empty()), reply);
    reply.put(" NIL ");
    put_string(mailbox.as_bytes(), reply);
    reply.put(" ");
    put_string(host.as_bytes(), reply);
    reply.put(")");
}

/// The structure of a part of `content`.
pub(super) fn put_structure(content: &[u8], part: &Part, detail: Detail, reply: &mut Reply) {
    let header = content.get(part.header.clone()).unwrap_or_default();
    let (kind, subtype) = part.media.token.split_once('/').unwrap_or(("text", "plain"));
    reply.put("(");
    if let Inside::Parts(parts) = &part.inside {
        for part in parts {
            put_structure(content, part, detail, reply);
        }
        reply.put(" ");
        put_string(subtype.to_ascii_uppercase().as_bytes(), reply);
        if detail == Detail::BodyStructure {
            reply.put(" ");
            put_parameters(&part.media, reply);
            put_extension(header, reply);
        }
        return reply.put(")");
    }
    put_string(kind.to_ascii_uppercase().as_bytes(), reply);
    reply.put(" ");
    put_string(subtype.to_ascii_uppercase().as_bytes(), reply);
    reply.put(" ");
    put_parameters(&part.media, reply);
    for name in ["content-id", "content-description"] {
        reply.put(" ");
        put_nstring(field_octets(header, name).as_deref(), reply);
    }
    let encoding = field(header, "content-transfer-encoding").unwrap_or_else(|| "7bit".to_owned());
    reply.put(" ");
    put_string(encoding.to_ascii_uppercase().as_bytes(), reply);
    let body = content.get(part.body.clone()).unwrap_or_default();
    reply.put(format!(" {}", body.len()));
    if let Inside::Message(message) = &part.inside {
        reply.put(" ");
        put_envelope(content.get(message.header.clone()).unwrap_or_default(), reply);
        reply.put(" ");
        put_structure(content, message, detail, reply);
    }
    if kind == "text" || matches!(part.inside, Inside::Message(_)) {
        reply.put(format!(" {}", memchr::memchr_iter(b'\n', body).count()));
    }
    if detail == Detail::BodyStructure {
        reply.put(" ");
        put_nstring(field_octets(header, "content-md5").as_deref(), reply);
        put_extension(header, reply);
    }
    reply.put(")");
}

/// Disposition, language, location.
fn put_extension(header: &[u8], reply: &mut Reply) {
    reply.put(" ");
    match field(header, "content-disposition").map(|value| Value::parse(&value)) {
        None => reply.put("NIL"),
        Some(disposition) => {
            reply.put("(");
            put_string(disposition.token.to_ascii_uppercase().as_bytes(), reply);
            reply.put(" ");
            put_parameters(&disposition, reply);
            reply.put(")");
        }
    }
    for name in ["content-language", "content-location"] {
        reply.put(" ");
        put_nstring(field_octets(header, name).as_deref(), reply);
    }
}

fn put_parameters(value: &Value, reply: &mut Reply) {
    if value.parameters.is_empty() {
        return reply.put("NIL");
    }
    for (at, (name, value)) in value.parameters.iter().enumerate() {
        reply.put(if at == 0 { "(" } else { " " });
        put_string(name.to_ascii_uppercase().as_bytes(), reply);
        reply.put(" ");
        put_string(value.as_bytes(), reply);
    }
    reply.put(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Reply)) -> String {
        let mut reply = Reply::default();
        write(&mut reply);
        String::from_utf8(reply.concat()).unwrap()
    }

    #[test]
    fn writes_an_envelope() {
        let header = "Date: d\r\nSubject: a \"b\"\r\nFrom: \"Ost, Clara\" <c@x.org>, b@y.org (Ben)\r\nTo: é@z\r\n\r\n";
        assert_eq!(
            written(|reply| put_envelope(header.as_bytes(), reply)),
            "(\"d\" \"a \\\"b\\\"\" \
             ((\"Ost, Clara\" NIL \"c\" \"x.org\")(NIL NIL \"b\" \"y.org\")) \
             ((\"Ost, Clara\" NIL \"c\" \"x.org\")(NIL NIL \"b\" \"y.org\")) \
             ((\"Ost, Clara\" NIL \"c\" \"x.org\")(NIL NIL \"b\" \"y.org\")) \
             ((NIL NIL {2}\r\né \"z\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn writes_the_structure_of_a_nested_message() {
        let content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\ntwo\r\n--x\r\n\
            Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nin\r\n--x\r\nContent-Type: application/pdf\r\n\
            Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nAAAA\r\n--x--\r\n";
        let part = Part::parse(content);
        insta::assert_snapshot!(
            written(|reply| put_structure(content, &part, Detail::BodyStructure, reply)),
            @r#"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 1 NIL NIL NIL NIL)("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 16 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 2 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)("APPLICATION" "PDF" NIL NIL NIL "BASE64" 4 NIL ("ATTACHMENT" ("FILENAME" "a.pdf")) NIL NIL) "MIXED" ("BOUNDARY" "x") NIL NIL NIL)"#
        );
        insta::assert_snapshot!(
            written(|reply| put_structure(content, &part.find(&[1]).unwrap().clone(), Detail::Body, reply)),
            @r#"("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 1)"#
        );
    }
}
