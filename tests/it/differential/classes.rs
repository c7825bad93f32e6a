//! Why the two differ, and who is right.

use super::view::{Cut, View};

/// A command that the two read differently.
pub(crate) struct Difference<'a> {
    pub(crate) command: &'a [u8],
    pub(crate) ours: View,
    pub(crate) theirs: View,
}

struct Class {
    name: &'static str,
    holds: fn(&Difference<'_>) -> bool,
}

const CLASSES: &[Class] = &[];

/// Why the framers differ, in the order of the alphabet.
///
/// - *a bare LF*: to imap-codec it ends a line. RFC 9051 §2.2 has lines end in CRLF; a peer that is
///   lenient reads two commands where a strict one reads one, so we see one and refuse it.
/// - *a count of 32 digits or more*: leading zeros are allowed (`1*DIGIT`, RFC 9051 §9), so imap-codec is
///   right; we look at the last 32 octets of a line only, and refuse.
/// - *a count over 32 bits*: `number64` since RFC 9051 §9 and RFC 7888 §4. We count to 2^63 - 1;
///   imap-codec takes such a line for one without a literal.
pub(crate) const CUTS: &[&str] = &["a bare LF", "a count of 32 digits or more", "a count over 32 bits"];

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|class| class.name)
}

/// The first class it belongs to.
pub(crate) fn explain(difference: &Difference<'_>) -> Option<&'static str> {
    CLASSES.iter().find(|class| (class.holds)(difference)).map(|class| class.name)
}

/// Why the two cut the front of `stream` at different places.
pub(crate) fn explain_cut(stream: &[u8], ours: Option<&Cut>, theirs: Option<&Cut>) -> Option<&'static str> {
    let Some(Cut::Line { len, announced }) = theirs else { return None };
    let line = stream.get(..*len)?;
    match (ours, announced) {
        _ if !line.ends_with(b"\r\n") => Some("a bare LF"),
        (Some(Cut::Line { announced: Some((count, _)), .. }), None) if *count > u64::from(u32::MAX) => {
            Some("a count over 32 bits")
        }
        (Some(Cut::Line { announced: None, len: same }), Some(_)) if same == len => {
            let digits = line.iter().rev().skip_while(|octet| !octet.is_ascii_digit());
            (digits.take_while(|octet| octet.is_ascii_digit()).count() >= 32).then_some("a count of 32 digits or more")
        }
        _ => None,
    }
}
