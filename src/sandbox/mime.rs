//! Finds the parts of a message (RFC 2045, RFC 2046) and the fields of their headers.

use std::ops::Range;

/// Deeper nesting than this is one opaque part.
const DEPTH_LIMIT: usize = 16;

/// One part, or the whole message. The ranges count from the start of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The header with the empty line that ends it.
    pub(super) header: Range<usize>,
    /// What follows.
    pub(super) body: Range<usize>,
    /// What it is.
    pub(super) media: Value,
    /// What lies within.
    pub(super) inside: Inside,
}

/// What lies within a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inside {
    /// Content.
    Content,
    /// The parts of a multipart.
    Parts(Vec<Part>),
    /// The message of a message/rfc822.
    Message(Box<Part>),
}

/// A field value of the form `token; name=value; …`. Token and names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) token: String,
    pub(super) parameters: Vec<(String, String)>,
}

impl Value {
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = split_outside_quotes(text, ';').into_iter();
        let token = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameter = |piece: &str| {
            let (name, value) = piece.split_once('=')?;
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = bare.map_or_else(|| value.to_owned(), |quoted| quoted.replace("\\\"", "\""));
            Some((name.trim().to_ascii_lowercase(), value))
        };
        Self { token, parameters: pieces.filter_map(parameter).collect() }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Splits at `separator` where it does not stand in a quoted string.
pub(super) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c: char| {
        let cut = c == separator && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        cut
    })
    .collect()
}

impl Part {
    /// Reads a message.
    pub(super) fn parse(content: &[u8]) -> Self {
        Self::within(content, 0..content.len(), "text/plain", 0)
    }

    fn within(content: &[u8], whole: Range<usize>, default: &str, depth: usize) -> Self {
        let octets = content.get(whole.clone()).unwrap_or_default();
        let header_end = whole.start + header_length(octets);
        let (header, body) = (whole.start..header_end, header_end..whole.end);
        let fields = content.get(header.clone()).unwrap_or_default();
        let mut media = field(fields, "content-type").map(|value| Value::parse(&value)).unwrap_or_default();
        if !media.token.contains('/') {
            media = Value::parse(default);
            if media.token == "text/plain" {
                media.parameters.push(("charset".to_owned(), "us-ascii".to_owned()));
            }
        }
        let boundary = media.parameter("boundary").filter(|_| media.token.starts_with("multipart/"));
        let inside = if depth >= DEPTH_LIMIT {
            Inside::Content
        } else if let Some(boundary) = boundary {
            let default = if media.token == "multipart/digest" { "message/rfc822" } else { "text/plain" };
            let parts = delimited(content, body.clone(), boundary);
            Inside::Parts(parts.into_iter().map(|part| Self::within(content, part, default, depth + 1)).collect())
        } else if media.token == "message/rfc822" {
            Inside::Message(Box::new(Self::within(content, body.clone(), "text/plain", depth + 1)))
        } else {
            Inside::Content
        };
        // a multipart without a part has no structure IMAP could show
        let inside = if inside == Inside::Parts(Vec::new()) { Inside::Content } else { inside };
        Self { header, body, media, inside }
    }

    /// The part that a section path names, seen from a message (RFC 9051 §6.4.5.1): a message that is
    /// not multipart is its own part 1.
    pub(super) fn find(&self, path: &[u32]) -> Option<&Self> {
        let (first, rest) = path.split_first()?;
        let part = match &self.inside {
            Inside::Parts(parts) => parts.get(usize::try_from(*first).ok()?.checked_sub(1)?)?,
            Inside::Content | Inside::Message(_) => (*first == 1).then_some(self)?,
        };
        if rest.is_empty() { Some(part) } else { part.descend(rest) }
    }

    fn descend(&self, path: &[u32]) -> Option<&Self> {
        match &self.inside {
            Inside::Parts(_) => self.find(path),
            Inside::Message(message) => message.find(path),
            Inside::Content => None,
        }
    }
}

/// The length of a header with its empty line.
fn header_length(octets: &[u8]) -> usize {
    if octets.starts_with(b"\r\n") {
        return 2;
    }
    memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4)
}

/// The parts between the delimiter lines of a multipart body; the CRLF before a delimiter belongs to it
/// (RFC 2046 §5.1.1).
fn delimited(content: &[u8], body: Range<usize>, boundary: &str) -> Vec<Range<usize>> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = body.start;
    while at < body.end {
        let rest = content.get(at..body.end).unwrap_or_default();
        let next = memchr::memchr(b'\n', rest).map_or(body.end, |end| at + end + 1);
        let line = content.get(at..next).unwrap_or_default().trim_ascii_end();
        if let Some(tail) = line.strip_prefix(delimiter.as_slice()).filter(|tail| matches!(*tail, b"" | b"--")) {
            if let Some(start) = open.take() {
                parts.push(start..at.saturating_sub(2).max(start));
            }
            if tail == b"--" {
                return parts;
            }
            open = Some(next);
        }
        at = next;
    }
    parts.extend(open.map(|start| start..body.end));
    parts
}

/// The fields of a header: each name, and the whole field with its continuation lines and CRLF.
pub(super) fn fields(header: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut fields = Vec::new();
    let mut rest = header;
    while let Some(colon) = memchr::memchr2(b':', b'\n', rest) {
        let mut end = 0;
        loop {
            let tail = rest.get(end..).unwrap_or_default();
            end += memchr::memchr(b'\n', tail).map_or(tail.len(), |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (whole, next) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if whole.get(colon) == Some(&b':') {
            fields.push((whole.get(..colon).unwrap_or_default().trim_ascii_end(), whole));
        }
        rest = next;
    }
    fields
}

/// The first field of that name, unfolded and without outer blanks, as octets.
pub(super) fn field_octets(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let (_, whole) = fields(header).into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))?;
    let value = whole.get(memchr::memchr(b':', whole)? + 1..)?;
    let unfolded: Vec<u8> = value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    Some(unfolded.trim_ascii().to_vec())
}

/// The same as text; octets that are not UTF-8 are replaced.
pub(super) fn field(header: &[u8], name: &str) -> Option<String> {
    field_octets(header, name).map(|octets| String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "Subject: a\r\n b\r\nContent-Type: multipart/mixed; boundary=\"x;y\"\r\n\r\npreamble\r\n\
        --x;y\r\n\r\nfirst\r\n--x;y\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n\
        --x;y\r\nContent-Type: multipart/alternative; boundary=q\r\n\r\n--q\r\n\r\np1\r\n--q\r\n\
        Content-Type: text/html\r\n\r\np2\r\n--q--\r\n\r\n--x;y--\r\nepilogue\r\n";

    fn body(path: &[u32]) -> &'static str {
        let message = Part::parse(NESTED.as_bytes());
        message.find(path).map_or("none", |part| &NESTED[part.body.clone()])
    }

    #[test]
    fn finds_parts_by_their_section_path() {
        let table: [(&[u32], &str); 8] = [
            (&[1], "first"),
            (&[2], "Subject: in\r\n\r\ninner"),
            (&[2, 1], "inner"),
            (&[2, 2], "none"),
            (&[3, 1], "p1"),
            (&[3, 2], "p2"),
            (&[4], "none"),
            (&[1, 1], "none"),
        ];
        for (path, expected) in table {
            assert_eq!(body(path), expected, "{path:?}");
        }
    }

    #[test]
    fn sees_a_plain_message_as_its_own_part_one() {
        let message = Part::parse(b"A: b\r\n\r\nbody\r\n");
        assert_eq!(message.find(&[1]), Some(&message));
        assert_eq!(message.media.token, "text/plain");
        assert_eq!(message.body, 8..14);
    }

    #[test]
    fn unfolds_fields_and_keeps_them_whole() {
        let header = &NESTED.as_bytes()[..Part::parse(NESTED.as_bytes()).header.end];
        assert_eq!(field(header, "SUBJECT").unwrap(), "a b");
        assert_eq!(fields(header)[0].1, b"Subject: a\r\n b\r\n");
        assert_eq!(fields(header).len(), 2);
    }

    #[test]
    fn reads_parameters_with_quotes() {
        let value = Value::parse("Attachment; filename=\"a;b \\\"c\\\".pdf\"; size=3");
        assert_eq!(value.token, "attachment");
        assert_eq!(value.parameter("filename"), Some("a;b \"c\".pdf"));
        assert_eq!(value.parameter("size"), Some("3"));
    }

    #[test]
    fn survives_a_message_without_structure() {
        for content in ["", "\r\n", "no header", "A: b", "Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts"] {
            let part = Part::parse(content.as_bytes());
            assert_eq!(part.inside, Inside::Content, "{content}");
            assert_eq!(part.body.end, content.len());
        }
    }
}
