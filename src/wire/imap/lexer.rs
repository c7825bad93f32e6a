//! The classes of octets of RFC 9051 §9, and the few tokens that need no position.

use memchr::memchr;

/// `ATOM-CHAR`: printable ASCII except `atom-specials`. No 8-bit octets: servers differ on them.
pub(super) fn is_atom_octet(octet: u8) -> bool {
    is(ATOM, octet)
}

/// `ASTRING-CHAR`: `ATOM-CHAR` and `]`.
pub(super) fn is_astring_octet(octet: u8) -> bool {
    is(ATOM | CLOSE, octet)
}

/// `list-char`: `ASTRING-CHAR` and the wildcards.
pub(super) fn is_list_octet(octet: u8) -> bool {
    is(ATOM | CLOSE | WILD, octet)
}

/// What a tag is made of; see [`Tag`](super::Tag).
pub(super) fn is_tag_octet(octet: u8) -> bool {
    is(TAG, octet)
}

/// What a command's or data item's name is made of.
pub(super) fn is_name_octet(octet: u8) -> bool {
    is(NAME, octet)
}

/// What ends a word of a FETCH response, or begins what is no word.
pub(super) fn ends_fetch_word(octet: u8) -> bool {
    is(BREAK, octet)
}

/// What a flag in a FETCH response may have in it, or stands between two.
pub(super) fn is_flag_list_octet(octet: u8) -> bool {
    is(FLAGS, octet)
}

/// Octets among which [`line_feed`] looks for itself.
const NEAR: usize = 32;

/// Where the first LF stands. Most lines are short, and to call a search that is made for long ones takes longer than
/// to look at them eight octets at a time.
pub(super) fn line_feed(octets: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const FEEDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    let (words, _) = octets.get(..NEAR).unwrap_or(octets).as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        // the lowest octet that is zero is the lowest whose high bit is set here
        let word = u64::from_le_bytes(*word) ^ FEEDS;
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(nth * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let near = words.len() * 8;
    let rest = octets.get(near..)?;
    let found = if rest.len() < 8 { rest.iter().position(|octet| *octet == b'\n') } else { memchr(b'\n', rest) };
    found.map(|at| near + at)
}

const ATOM: u8 = 1;
const CLOSE: u8 = 2;
const WILD: u8 = 4;
const TAG: u8 = 8;
const NAME: u8 = 16;
const BREAK: u8 = 32;
const FLAGS: u8 = 64;

/// The classes each octet is in: one look for each octet of a line.
static CLASSES: [u8; 256] = classes();

fn is(class: u8, octet: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "there are as many entries as octets")]
    let classes = CLASSES[usize::from(octet)];
    classes & class != 0
}

#[expect(clippy::indexing_slicing, reason = "in a constant, which the compiler computes")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        let atom = octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
        let mut of = if atom { ATOM } else { 0 };
        of |= if octet == b']' { CLOSE } else { 0 };
        of |= if matches!(octet, b'%' | b'*') { WILD } else { 0 };
        of |= if atom && octet != b'+' { TAG } else { 0 };
        of |= if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-') { NAME } else { 0 };
        of |= if matches!(octet, b' ' | b'(' | b')' | b'"' | b'[' | b']') { BREAK } else { 0 };
        let flags = octet == b' ' || (octet.is_ascii_graphic() && of & BREAK == 0);
        of |= if flags { FLAGS } else { 0 };
        table[octet as usize] = of;
        octet += 1;
    }
    table
}

/// Base64 with padding only at its end (RFC 4648 §4), possibly empty: what a SASL line may be.
#[must_use]
pub fn is_base64(octets: &[u8]) -> bool {
    let data = octets.strip_suffix(b"==").or_else(|| octets.strip_suffix(b"=")).unwrap_or(octets);
    let alphabet = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    octets.len().is_multiple_of(4) && data.iter().all(alphabet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_astring_octet, is_atom_octet, is_base64, is_list_octet, is_name_octet, is_tag_octet, line_feed};

    /// RFC 9051 §9, and for a name and a tag what is said at them.
    #[test]
    fn the_table_is_the_grammar() {
        for octet in 0..=u8::MAX {
            let special = matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
            let atom = octet.is_ascii_graphic() && !special;
            assert_eq!(is_atom_octet(octet), atom, "{octet}");
            assert_eq!(is_astring_octet(octet), atom || octet == b']', "{octet}");
            assert_eq!(is_list_octet(octet), atom || matches!(octet, b']' | b'%' | b'*'), "{octet}");
            assert_eq!(is_tag_octet(octet), atom && octet != b'+', "{octet}");
            assert_eq!(is_name_octet(octet), octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'), "{octet}");
        }
    }

    #[test]
    fn knows_base64_by_alphabet_padding_and_length() {
        for good in [&b""[..], b"AGoAcA==", b"AQ==", b"abc=", b"ab+/"] {
            assert!(is_base64(good), "{good:?}");
        }
        for bad in [&b"="[..], b"A=B", b"A=BC", b"abc", b"a===", b"ab c", b"====", b"ab-_", b"*"] {
            assert!(!is_base64(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn finds_the_first_line_feed(octets in proptest::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(0x8a)], 0..120)) {
            prop_assert_eq!(line_feed(&octets), octets.iter().position(|octet| *octet == b'\n'));
        }
    }
}
