//! The classes of octets of RFC 9051 §9, and the few tokens that need no position.

/// `ATOM-CHAR`: printable ASCII except `atom-specials`. No 8-bit octets: servers differ on them.
pub(super) fn is_atom_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`: `ATOM-CHAR` and `]`.
pub(super) fn is_astring_octet(octet: u8) -> bool {
    is_atom_octet(octet) || octet == b']'
}

/// `list-char`: `ASTRING-CHAR` and the wildcards.
pub(super) fn is_list_octet(octet: u8) -> bool {
    is_astring_octet(octet) || matches!(octet, b'%' | b'*')
}

/// What a command's or data item's name is made of.
pub(super) fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-')
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
    use super::is_base64;

    #[test]
    fn knows_base64_by_alphabet_padding_and_length() {
        for good in [&b""[..], b"AGoAcA==", b"AQ==", b"abc=", b"ab+/"] {
            assert!(is_base64(good), "{good:?}");
        }
        for bad in [&b"="[..], b"A=B", b"A=BC", b"abc", b"a===", b"ab c", b"====", b"ab-_", b"*"] {
            assert!(!is_base64(bad), "{bad:?}");
        }
    }
}
