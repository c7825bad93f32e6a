//! Commands that the table does not know and the operator allows by name.
//!
//! Nothing is known of their meaning, so their form is held to what every server reads alike: one
//! line of atoms, numbers, quoted strings and lists of these, one SP between them. No literal: whether
//! a server would take one here cannot be known, and one that does not would run its octets.

use super::command::{Malformed, Reason};
use super::lexer::{is_astring_octet, is_tag_octet};
use super::mailbox::Names;
use super::reader::{Fault, Reader};
use super::tag::Tag;

/// A command that is known by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// The client's tag.
    pub tag: Tag,
    /// The name in upper case, `UID` included.
    pub name: String,
    /// Whether anything follows the name; it may be a secret.
    pub has_arguments: bool,
}

impl Unlisted {
    /// The name without `UID`: what a rule calls it.
    #[must_use]
    pub fn verb(&self) -> &str {
        verb(&self.name)
    }
}

/// The name, without `UID`, in upper case, of what may be a command; its arguments are not looked at.
#[must_use]
pub fn unlisted_verb(input: &[u8]) -> Option<String> {
    let mut reader = Reader::new(input, Names::ModifiedUtf7);
    let (_, name) = head(&mut reader).ok()?;
    Some(verb(&name).to_owned())
}

/// Reads a command whose name is in no table; the input ends with its CRLF.
///
/// ```
/// use mailwarden::wire::imap::parse_unlisted;
/// let command = parse_unlisted(b"a xfoo 1 (x \"y z\")\r\n").unwrap();
/// assert_eq!((command.tag.as_str(), command.name.as_str()), ("a", "XFOO"));
/// assert!(parse_unlisted(b"a XFOO {3}\r\n").is_err());
/// ```
pub fn parse_unlisted(input: &[u8]) -> Result<Unlisted, Malformed> {
    let mut reader = Reader::new(input, Names::ModifiedUtf7);
    let (tag, name) = head(&mut reader).map_err(|fault| refuse(&fault, None))?;
    let has_arguments = reader.peek() == Some(b' ');
    match arguments(&mut reader) {
        Ok(()) => Ok(Unlisted { tag, name, has_arguments }),
        Err(fault) => Err(refuse(&fault, Some(tag))),
    }
}

fn head(reader: &mut Reader<'_>) -> Result<(Tag, String), Fault> {
    let octets = reader.take_while(is_tag_octet);
    let fault = reader.fault();
    reader.space()?;
    let tag = Tag::new(octets).ok_or(fault)?;
    let mut name = upper(reader.name()?);
    if name == "UID" {
        reader.space()?;
        name = format!("UID {}", upper(reader.name()?));
    }
    if matches!(reader.peek(), Some(b' ' | b'\r')) { Ok((tag, name)) } else { Err(reader.fault()) }
}

fn upper(name: &[u8]) -> String {
    name.iter().map(|octet| char::from(octet.to_ascii_uppercase())).collect()
}

fn verb(name: &str) -> &str {
    name.strip_prefix("UID ").unwrap_or(name)
}

fn arguments(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.eat(b' ') {
        reader.sequence(argument)?;
    }
    reader.end()
}

fn argument(reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.peek() {
        Some(b'(') => reader.list_or_empty(argument),
        Some(b'"') => reader.string().map(drop),
        // with `]`, as in BINARY[1]: servers differ on what it means, but not on where the line ends
        _ if reader.take_while(is_astring_octet).is_empty() => Err(reader.fault()),
        _ => Ok(()),
    }
}

fn refuse(fault: &Fault, tag: Option<Tag>) -> Malformed {
    let reason = match fault {
        Fault::Malformed(reason) => *reason,
        Fault::Literal | Fault::Message(_) => Reason::Literal,
    };
    Malformed { tag, command: None, reason, secret: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_what_every_server_reads_alike() {
        for (line, name, has_arguments) in [
            (&b"a XFOO\r\n"[..], "XFOO", false),
            (b"a xfoo 1 NIL \"{3}\"\r\n", "XFOO", true),
            (b"a UID XFOO 1,3 (a (b \"c d\") ())\r\n", "UID XFOO", true),
        ] {
            let command = parse_unlisted(line).expect("it is of this form");
            assert_eq!((command.name.as_str(), command.has_arguments), (name, has_arguments));
        }
        for (line, reason) in [
            (&b"a XFOO \r\n"[..], Reason::Syntax),
            (b"a XFOO  1\r\n", Reason::Syntax),
            (b"a XFOO \"a\"b\r\n", Reason::Syntax),
            (b"a XFOO (a\r\n", Reason::Syntax),
            (b"a XFOO a\\b\r\n", Reason::Syntax),
            (b"a XFOO \xC3\xA4\r\n", Reason::Syntax),
            (b"a XFOO \0\r\n", Reason::Nul),
            (b"a XFOO b\nc DELETE x\r\n", Reason::BareLineEnd),
            (b"a XFOO {3+}\r\n", Reason::Literal),
            (b"a XFOO ~{3}\r\n", Reason::Literal),
            (b"a XFOO (b {3}\r\n", Reason::Literal),
        ] {
            let malformed = parse_unlisted(line).expect_err("it is not of this form");
            assert_eq!(malformed.reason, reason, "{}", line.escape_ascii());
        }
        let deep = format!("a XFOO {}{}\r\n", "(".repeat(100), ")".repeat(100));
        assert!(parse_unlisted(deep.as_bytes()).is_err());
    }

    #[test]
    fn finds_the_name_whatever_follows() {
        assert_eq!(unlisted_verb(b"a uid xfoo {3}\r\n").as_deref(), Some("XFOO"));
        assert_eq!(unlisted_verb(b"a XFOO\t1\r\n"), None);
        assert_eq!(unlisted_verb(b"XFOO\r\n"), None);
    }
}
