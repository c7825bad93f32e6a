//! The client's label for a command (RFC 9051 §9 `tag`).

use std::fmt;

use super::lexer::is_tag_octet;
use crate::wire::ShortText;

/// A valid tag: 1 to [`Tag::MAX`] of `ASTRING-CHAR` except `+` and `]`.
///
/// The grammar has `]` too, which servers read differently: Courier ends the tag before it and takes the
/// rest for the command, Dovecot refuses the line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(ShortText);

impl Tag {
    /// The longest tag that is accepted, in octets. No client needs more, and every tag is held
    /// until its command is answered.
    pub const MAX: usize = 64;

    /// The tag these octets are, if they are one.
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        let valid = !octets.is_empty() && octets.len() <= Self::MAX && octets.iter().all(|octet| is_tag_octet(*octet));
        if valid { ShortText::from_ascii(octets).map(Self) } else { None }
    }

    /// The tag with which these octets begin, to the first octet that no tag has.
    #[must_use]
    #[inline]
    pub fn leading(octets: &[u8]) -> Option<Self> {
        ShortText::leading(octets, Self::MAX, is_tag_octet).map(Self)
    }

    /// The tag as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The octets of the tag.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The tag as a text.
    #[must_use]
    pub fn text(&self) -> &ShortText {
        &self.0
    }

    /// Whether a client that counts its commands could have used this tag behind `other`: longer, or as long
    /// and of higher octets. Of two tags, one counts behind the other unless they are equal.
    #[must_use]
    pub fn counts_behind(&self, other: &Self) -> bool {
        if let (Some(own), Some(other)) = (self.0.number(), other.0.number()) {
            return own > other;
        }
        let (own, other) = (self.as_bytes(), other.as_bytes());
        own.len() > other.len() || (own.len() == other.len() && own > other)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn accepts_what_the_grammar_calls_a_tag() {
        for octets in [&b"a"[..], b"A1.2-3", b"[x", b"$", &[b'x'; Tag::MAX]] {
            assert_eq!(Tag::new(octets).expect("valid").as_str().as_bytes(), octets);
        }
    }

    #[test]
    fn finds_the_tag_before_a_space() {
        for len in 0..=Tag::MAX + 1 {
            let tag = vec![b'x'; len];
            let found = Tag::leading(&[tag.as_slice(), b" NOOP"].concat());
            assert_eq!(found, Tag::new(&tag), "{len}");
            assert_eq!(Tag::leading(&tag), None);
        }
    }

    #[test]
    fn refuses_specials_controls_and_excess_length() {
        for octets in
            [&b""[..], b"a+", b"a]", b"]", b"*", b"\"a\"", b"a b", b"a\\", b"(", b"{", b"%", b"\x7f", b"\xc3\xa9"]
        {
            assert_eq!(Tag::new(octets), None);
        }
        assert_eq!(Tag::new(&[b'x'; Tag::MAX + 1]), None);
    }
}
