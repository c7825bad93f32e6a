//! Mailbox names as a policy must see them: one Unicode text for each mailbox, whichever way the
//! client wrote it (RFC 9051 §5.1; modified UTF-7 of RFC 3501 §5.1.3).

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// How the names of a session are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Modified UTF-7; a name with 8-bit octets is taken as UTF-8, as servers do.
    #[default]
    ModifiedUtf7,
    /// UTF-8, after `ENABLE UTF8=ACCEPT` or `ENABLE IMAP4rev2`: `&` is a letter like any other.
    Utf8,
}

/// A name that servers would read differently from one another, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A control character, plain or encoded.
    #[error("a mailbox name has a control character")]
    Control,
    /// Octets that are neither ASCII nor UTF-8.
    #[error("a mailbox name is not UTF-8")]
    Utf8,
    /// Modified UTF-7 that is invalid or not in its one canonical form.
    #[error("a mailbox name is not canonical modified UTF-7")]
    ModifiedUtf7,
}

/// The Unicode text of a name, with `INBOX` in upper case, alone and as the first level.
///
/// ```
/// use mailwarden::wire::imap::{Names, decode_mailbox};
/// assert_eq!(decode_mailbox(b"Entw&APw-rfe", Names::ModifiedUtf7).unwrap(), "Entwürfe");
/// assert_eq!(decode_mailbox(b"inbox/a", Names::Utf8).unwrap(), "INBOX/a");
/// assert!(decode_mailbox(b"&AEk-NBOX", Names::ModifiedUtf7).is_err());
/// ```
pub fn decode(octets: &[u8], names: Names) -> Result<String, NameError> {
    let text = std::str::from_utf8(octets).map_err(|_| NameError::Utf8)?;
    let name = match names {
        Names::Utf8 => text.to_owned(),
        Names::ModifiedUtf7 if !text.contains('&') => text.to_owned(),
        // either encoding alone is clear, both in one name are not
        Names::ModifiedUtf7 if !text.is_ascii() => return Err(NameError::ModifiedUtf7),
        Names::ModifiedUtf7 => decode_shifted(text).ok_or(NameError::ModifiedUtf7)?,
    };
    if name.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(fold_inbox(name))
}

/// Decodes what is there, then accepts it only if it is what encoding the result gives: that
/// refuses encoded ASCII, needless shifts and stray bits in one comparison.
fn decode_shifted(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (shifted, plain) = part.split_once('-')?;
        if shifted.is_empty() {
            name.push('&');
        } else {
            let octets = BASE64.decode(shifted).ok()?;
            let (pairs, odd) = octets.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            name.push_str(&odd.is_empty().then(|| String::from_utf16(&units).ok())??);
        }
        name.push_str(plain);
    }
    (encode(&name) == text).then_some(name)
}

/// A name as it stands on the wire, without quotes.
#[must_use]
pub fn encode_as(name: &str, names: Names) -> String {
    match names {
        Names::ModifiedUtf7 => encode(name),
        Names::Utf8 => name.to_owned(),
    }
}

/// The one canonical modified UTF-7 of a name.
fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut run: Vec<u8> = Vec::new();
    let flush = |run: &mut Vec<u8>, text: &mut String| {
        if !run.is_empty() {
            text.push('&');
            BASE64.encode_string(&*run, text);
            text.push('-');
            run.clear();
        }
    };
    for character in name.chars() {
        match character {
            ' '..='~' => {
                flush(&mut run, &mut text);
                text.push(character);
                if character == '&' {
                    text.push('-');
                }
            }
            _ => run.extend(character.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes())),
        }
    }
    flush(&mut run, &mut text);
    text
}

/// The name with `INBOX` in upper case, alone and as the first level.
#[must_use]
pub fn fold_inbox(name: String) -> String {
    const INBOX: &str = "INBOX";
    let Some((first, rest)) = name.split_at_checked(INBOX.len()) else { return name };
    let first_level = rest.is_empty() || rest.starts_with(['/', '.']);
    if first_level && first.eq_ignore_ascii_case(INBOX) { format!("{INBOX}{rest}") } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_names() {
        for (octets, name) in [
            (&b""[..], ""),
            (b"Sent Items", "Sent Items"),
            (b"inBOX", "INBOX"),
            (b"inbox/Inbox", "INBOX/Inbox"),
            (b"inbox.x", "INBOX.x"),
            (b"inboxes", "inboxes"),
            (b"a/inbox", "a/inbox"),
            (b"Q&-A", "Q&A"),
            (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            (b"&2D3eAA-", "😀"),
            ("Entwürfe".as_bytes(), "Entwürfe"),
        ] {
            assert_eq!(decode(octets, Names::ModifiedUtf7).as_deref(), Ok(name));
        }
        assert_eq!(decode(b"Q&A", Names::Utf8).as_deref(), Ok("Q&A"));
    }

    #[test]
    fn refuses_names_that_servers_read_differently() {
        for (octets, error) in [
            (&b"&AEk-NBOX"[..], NameError::ModifiedUtf7),
            (b"Q&A", NameError::ModifiedUtf7),
            (b"&", NameError::ModifiedUtf7),
            (b"&AOk", NameError::ModifiedUtf7),
            (b"&AOk-&AOk-", NameError::ModifiedUtf7),
            (b"&AOl-", NameError::ModifiedUtf7),
            (b"&A-", NameError::ModifiedUtf7),
            (b"&AOkA-", NameError::ModifiedUtf7),
            (b"&AO/-", NameError::ModifiedUtf7),
            (b"&2D0-", NameError::ModifiedUtf7),
            (b"&AOk=-", NameError::ModifiedUtf7),
            (b"&AAo-", NameError::Control),
            ("ü&APw-".as_bytes(), NameError::ModifiedUtf7),
            (b"a\tb", NameError::Control),
            (b"a\x7f", NameError::Control),
            ("a\u{85}".as_bytes(), NameError::Control),
            (b"\xff", NameError::Utf8),
            (b"\xc0\xaf", NameError::Utf8),
        ] {
            assert_eq!(decode(octets, Names::ModifiedUtf7), Err(error), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_has_one_encoding_that_decodes_to_it(name in "[ -~éß台😀&]{0,12}") {
            let decoded = decode(encode(&name).as_bytes(), Names::ModifiedUtf7);
            prop_assert_eq!(decoded, Ok(fold_inbox(name)));
        }

        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            for names in [Names::ModifiedUtf7, Names::Utf8] {
                drop(decode(&octets, names));
            }
        }
    }
}
