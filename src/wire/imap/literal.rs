//! Literal announcements at the end of a line (RFC 9051 §4.3, RFC 7888, RFC 3516 §4.2).

/// The most significant digits a count may have: `number64` is below 2^63 (RFC 9051 §9).
const MAX_DIGITS: usize = 19;

/// How far from the end of a line an announcement can begin: `~{`, digits, `+}`. A longer run of
/// digits is [`Tail::Overflow`], whether or not its beginning is still in sight.
pub(super) const WINDOW: usize = 32;

/// `{n}`, `{n+}`, `~{n}` or `~{n+}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// How many octets follow the CRLF.
    pub octets: u64,
    /// Whether the sender waits for a continuation request: no `+` inside the braces.
    pub synchronizing: bool,
    /// Whether it is a literal8, which may hold NUL.
    pub literal8: bool,
    /// Octets of the announcement itself, tilde included, CRLF not.
    pub len: usize,
}

/// What the end of a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// No announcement, or something in braces that is none.
    Plain,
    /// Octets are announced.
    Literal(Announcement),
    /// Octets are announced, more than 2^63-1 of them.
    Overflow {
        /// Whether their sender waits.
        synchronizing: bool,
    },
}

impl Tail {
    /// Reads the end of a line, given without its CRLF. Only the last few octets are looked at.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        let Some(inner) = line.strip_suffix(b"}") else { return Self::Plain };
        let (inner, synchronizing) = match inner.strip_suffix(b"+") {
            Some(inner) => (inner, false),
            None => (inner, true),
        };
        let digits = inner.iter().rev().take(WINDOW).take_while(|octet| octet.is_ascii_digit()).count();
        let (before, digits) = inner.split_at(inner.len() - digits);
        if digits.len() == WINDOW {
            return Self::Overflow { synchronizing };
        }
        let Some(before) = before.strip_suffix(b"{").filter(|_| !digits.is_empty()) else { return Self::Plain };
        let Some(octets) = count(digits) else { return Self::Overflow { synchronizing } };
        let literal8 = before.ends_with(b"~");
        let len = digits.len() + 2 + usize::from(!synchronizing) + usize::from(literal8);
        Self::Literal(Announcement { octets, synchronizing, literal8, len })
    }
}

fn count(digits: &[u8]) -> Option<u64> {
    let zeros = digits.iter().take_while(|octet| **octet == b'0').count();
    if digits.len() - zeros > MAX_DIGITS {
        return None;
    }
    let value = digits.iter().fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    u64::try_from(value).ok().filter(|value| i64::try_from(*value).is_ok())
}

/// What a reader gives a scanner of these segments of a response: the text of each, and the literal that it announces.
#[cfg(test)]
pub(super) fn parts<'a>(segments: &[&'a str]) -> Vec<(&'a [u8], Option<Announcement>)> {
    let part = |segment: &&'a str| match Tail::of(segment.as_bytes()) {
        Tail::Literal(literal) => (&segment.as_bytes()[..segment.len() - literal.len], Some(literal)),
        Tail::Plain | Tail::Overflow { .. } => (segment.as_bytes(), None),
    };
    segments.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(octets: u64, synchronizing: bool, literal8: bool, len: usize) -> Tail {
        Tail::Literal(Announcement { octets, synchronizing, literal8, len })
    }

    #[test]
    fn reads_every_form_and_nothing_else() {
        for (line, expected) in [
            ("a LOGIN {3}", literal(3, true, false, 3)),
            ("a LOGIN {3+}", literal(3, false, false, 4)),
            ("a APPEND x ~{3}", literal(3, true, true, 4)),
            ("a APPEND x (~{12+}", literal(12, false, true, 6)),
            ("{0003}", literal(3, true, false, 6)),
            ("{9223372036854775807}", literal(i64::MAX as u64, true, false, 21)),
            ("{9223372036854775808}", Tail::Overflow { synchronizing: true }),
            ("{99999999999999999999+}", Tail::Overflow { synchronizing: false }),
            ("1111111111111111111111111111111111111111}", Tail::Overflow { synchronizing: true }),
            ("{}", Tail::Plain),
            ("{+}", Tail::Plain),
            ("{-1}", Tail::Plain),
            ("{3 }", Tail::Plain),
            ("{3-}", Tail::Plain),
            ("{0x3}", Tail::Plain),
            ("3}", Tail::Plain),
            ("{3} ", Tail::Plain),
            ("", Tail::Plain),
            ("}", Tail::Plain),
        ] {
            assert_eq!(Tail::of(line.as_bytes()), expected, "{line}");
        }
    }
}
