//! A reader of commands and answers by the RFCs alone. It shares no code with the proxy, and takes whatever a
//! lenient peer would take.

use std::collections::VecDeque;

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::check::announced;

/// A command as it reached the server.
#[derive(Debug, Clone)]
pub struct Command {
    /// Empty in POP3.
    pub tag: String,
    /// In upper case, `UID` included.
    pub name: String,
    /// What stands behind the name, decoded: atoms, strings, `(` and `)`.
    pub arguments: Vec<String>,
    /// All octets but the last CRLF, literals included.
    pub octets: Vec<u8>,
    /// The mailbox that the server had open.
    pub selected: Option<String>,
    /// Names are UTF-8, not modified UTF-7.
    pub utf8: bool,
}

impl Command {
    /// The command without `UID`.
    pub fn verb(&self) -> &str {
        self.name.strip_prefix("UID ").unwrap_or(&self.name)
    }

    /// The words of its arguments, in upper case.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.arguments.iter().map(|word| word.to_ascii_uppercase())
    }

    /// It was made by the proxy.
    pub fn is_own(&self) -> bool {
        self.tag.starts_with("MW") || (self.tag.is_empty() && self.name == "STLS")
    }

    /// The mailboxes it names, as a lenient server understands them.
    pub fn mailboxes(&self) -> Vec<String> {
        let at = |index: usize| self.arguments.get(index).cloned();
        let names: Vec<Option<String>> = match self.verb() {
            "RENAME" => vec![at(0), at(1)],
            "COPY" | "MOVE" | "REPLACE" => vec![at(1)],
            "LIST" | "LSUB" | "XLIST" => match (at(0), at(1)) {
                (Some(reference), Some(name)) if !name.contains(['%', '*']) => vec![Some(reference + &name)],
                _ => Vec::new(),
            },
            "GETMETADATA" => match self.arguments.iter().position(|word| word == ")") {
                Some(end) if at(0).as_deref() == Some("(") => vec![at(end + 1)],
                _ => vec![at(0)],
            },
            "APPEND" => [at(0)].into_iter().chain(self.urls()).collect(),
            "SELECT" | "EXAMINE" | "STATUS" | "CREATE" | "DELETE" | "SUBSCRIBE" | "UNSUBSCRIBE" | "GETACL"
            | "SETACL" | "DELETEACL" | "LISTRIGHTS" | "MYRIGHTS" | "GETQUOTAROOT" | "SETMETADATA" => vec![at(0)],
            _ => Vec::new(),
        };
        names.into_iter().flatten().map(|name| plain_name(&name, self.utf8)).collect()
    }

    /// The mailboxes of the URLs of a CATENATE (RFC 4469).
    fn urls(&self) -> impl Iterator<Item = Option<String>> {
        let behind = self.arguments.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case("URL"));
        behind.map(|pair| {
            let path = pair[1].trim_start_matches('/');
            let path = path.split([';', '?']).next().unwrap_or_default();
            Some(without_percents(path.trim_end_matches('/')))
        })
    }
}

/// Splits a command of IMAP, literals inline, behind its tag and name.
pub fn arguments(octets: &[u8], name_words: usize) -> Vec<String> {
    let mut words = tokens(octets);
    words.drain(..name_words.min(words.len()));
    words
}

/// Atoms, quoted strings and literals, decoded; parentheses by themselves.
pub fn tokens(mut rest: &[u8]) -> Vec<String> {
    let mut tokens = Vec::new();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    while let [first, behind @ ..] = rest {
        rest = match first {
            b' ' | b'\r' | b'\n' => behind,
            b'(' | b')' => {
                tokens.push(text(&[*first]));
                behind
            }
            b'"' => {
                let (value, behind) = quoted(behind);
                tokens.push(text(&value));
                behind
            }
            _ => {
                let end = rest.iter().position(|octet| b" ()\r\n".contains(octet)).unwrap_or(rest.len());
                let (atom, behind) = rest.split_at(end);
                let literal = announced(atom).filter(|_| behind.starts_with(b"\r\n") && atom_is_announcement(atom));
                if let Some(count) = literal {
                    let body = &behind[2..];
                    let (value, behind) = body.split_at(count.min(body.len()));
                    tokens.push(text(value));
                    behind
                } else {
                    tokens.push(text(atom));
                    behind
                }
            }
        };
    }
    tokens
}

fn atom_is_announcement(atom: &[u8]) -> bool {
    atom.starts_with(b"{") || atom.starts_with(b"~{")
}

fn quoted(octets: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        match octet {
            b'"' => return (value, &octets[at + 1..]),
            b'\\' => {
                at += 1;
                value.extend(octets.get(at));
            }
            octet => value.push(*octet),
        }
        at += 1;
    }
    (value, &[])
}

/// Whole responses of a server to a client, each with where it begins and its literals inline.
pub fn responses(down: &[u8]) -> VecDeque<(usize, &[u8])> {
    let mut found = VecDeque::new();
    let (mut start, mut at) = (0, 0);
    while let Some(end) = down.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair == b"\r\n")) {
        let line = &down[at..at + end];
        at += end + 2;
        if let Some(count) = announced(line) {
            at = at.saturating_add(count);
        } else {
            found.push_back((start, &down[start..at - 2]));
            start = at;
        }
    }
    found
}

/// The mailbox of which a response tells, as a lenient client understands it.
pub fn told_mailbox(response: &[u8], utf8: bool) -> Option<String> {
    let tokens = tokens(response.strip_prefix(b"* ")?);
    let at = |index: usize| tokens.get(index).cloned();
    let name = match tokens.first()?.to_ascii_uppercase().as_str() {
        "LIST" | "LSUB" | "XLIST" => {
            let attributes = tokens.iter().position(|word| word == ")")?;
            at(attributes + 2)
        }
        "STATUS" | "METADATA" | "ACL" | "LISTRIGHTS" | "MYRIGHTS" | "QUOTAROOT" => at(1),
        _ => None,
    };
    name.map(|name| plain_name(&name, utf8))
}

/// A mailbox's name, decoded, without levels that have no name.
pub fn plain_name(name: &str, utf8: bool) -> String {
    let decoded = if utf8 { name.to_owned() } else { decoded(name) };
    decoded.split('/').filter(|level| !level.is_empty()).collect::<Vec<_>>().join("/")
}

/// Modified UTF-7 (RFC 3501 §5.1.3), as far as it can be read.
fn decoded(name: &str) -> String {
    let engine = GeneralPurpose::new(
        &IMAP_MUTF7,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let mut parts = name.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((code, rest)) = part.split_once('-') else { return name.to_owned() };
        if code.is_empty() {
            text.push('&');
        } else {
            let Ok(octets) = engine.decode(code) else { return name.to_owned() };
            let units: Vec<u16> = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            text.push_str(&String::from_utf16_lossy(&units));
        }
        text.push_str(rest);
    }
    text
}

fn without_percents(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let (b'%', Some(octet)) = (first, hex) {
            octets.push(octet);
            rest = &behind[2..];
        } else {
            octets.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}
