//! A client's lines in an authentication exchange: who wants to be logged in (RFC 4422 §3).
//!
//! The policy must know the user before the line goes up, whichever mechanism names them.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// What a client's line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslLine {
    /// `*`: the client gives up (RFC 5034 §4).
    Cancel,
    /// A response, and the user if it names one.
    Response {
        /// Who wants to be logged in: the authorization identity, or else the authentication identity.
        user: Option<String>,
    },
    /// Neither.
    Malformed,
}

/// Reads a line without its end. `nth` counts the client's responses in this exchange from 0, an
/// initial response included.
#[must_use]
pub fn read_response(mechanism: &str, nth: u32, line: &[u8]) -> SaslLine {
    if line == b"*" {
        return SaslLine::Cancel;
    }
    match decode(line) {
        Some(octets) => SaslLine::Response { user: user(mechanism, nth, &octets) },
        None => SaslLine::Malformed,
    }
}

/// Whether a first response asks for binding to the TLS channel, which ends at the proxy
/// (RFC 5802 §6, `p=` in the gs2-header).
#[must_use]
pub fn binds_channel(mechanism: &str, nth: u32, line: &[u8]) -> bool {
    let gs2 = mechanism.starts_with("SCRAM-") || mechanism.starts_with("GS2-") || mechanism == "OAUTHBEARER";
    gs2 && nth == 0 && decode(line).is_some_and(|octets| octets.starts_with(b"p="))
}

/// `=` stands for an empty response (RFC 5034 §4).
fn decode(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if line == b"=" {
        return Some(Zeroizing::default());
    }
    // Quirk: clients leave out the padding, or pad with bits set; servers take it.
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(line).ok().map(Zeroizing::new)
}

fn user(mechanism: &str, nth: u32, octets: &[u8]) -> Option<String> {
    let text = |name: &[u8]| (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
    let first = nth == 0;
    match mechanism {
        // [authzid] NUL authcid NUL password (RFC 4616 §2); with a part missing, another may be the secret
        "PLAIN" | "PLAIN-CLIENTTOKEN" if first => {
            let mut parts = octets.split(|octet| *octet == 0);
            let (authorization, authentication, _password) = (parts.next()?, parts.next()?, parts.next()?);
            text(authorization).or_else(|| text(authentication))
        }
        "LOGIN" if first => text(octets),
        // user SP digest (RFC 2195 §2); a name may hold spaces
        "CRAM-MD5" if first => text(octets.get(..octets.iter().rposition(|octet| *octet == b' ')?)?),
        // user=name ^A auth=Bearer token ^A ^A; without the ^A between them the name would hold the token
        "XOAUTH2" if first => {
            let mut parts = octets.split(|octet| *octet == 1);
            parts.clone().find(|part| part.starts_with(b"auth="))?;
            text(parts.find_map(|part| part.strip_prefix(b"user="))?)
        }
        // gs2-header (RFC 7628 §3.1), which ends at the first ^A
        "OAUTHBEARER" if first => {
            let header = octets.split(|octet| *octet == 1).next()?;
            gs2_identity(header, 1, b"a=").and_then(|name| text(&name))
        }
        // gs2-header n=name,r=nonce (RFC 5802 §5.1)
        _ if first && mechanism.starts_with("SCRAM-") => {
            let identity = gs2_identity(octets, 1, b"a=").or_else(|| gs2_identity(octets, 2, b"n="));
            identity.and_then(|name| text(&name))
        }
        _ => None,
    }
}

/// The value of the attribute at its one place, with `=2C` and `=3D` undone (RFC 5802 §5.1, §7). Looked
/// for elsewhere, it could be an extension that the server does not read.
fn gs2_identity(octets: &[u8], place: usize, attribute: &[u8]) -> Option<Vec<u8>> {
    let value = octets.split(|octet| *octet == b',').nth(place)?.strip_prefix(attribute)?;
    let mut name = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, behind @ ..] = rest {
        let (octet, behind) = match rest {
            [b'=', b'2', b'C', behind @ ..] => (b',', behind),
            [b'=', b'3', b'D', behind @ ..] => (b'=', behind),
            _ => (*first, behind),
        };
        name.push(octet);
        rest = behind;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(mechanism: &str, response: &[u8]) -> Option<String> {
        let line = base64::engine::general_purpose::STANDARD.encode(response);
        match read_response(mechanism, 0, line.as_bytes()) {
            SaslLine::Response { user } => user,
            SaslLine::Cancel | SaslLine::Malformed => panic!("no response: {mechanism}"),
        }
    }

    #[test]
    fn tells_the_user_of_each_mechanism() {
        for (mechanism, response, user) in [
            ("PLAIN", &b"\0joe\0secret"[..], "joe"),
            ("PLAIN", b"jane\0joe\0secret", "jane"),
            ("LOGIN", b"joe", "joe"),
            ("CRAM-MD5", b"joe doe 0123", "joe doe"),
            ("XOAUTH2", b"user=joe@x\x01auth=Bearer t\x01\x01", "joe@x"),
            ("OAUTHBEARER", b"n,a=joe@x,\x01auth=Bearer t\x01\x01", "joe@x"),
            ("SCRAM-SHA-256", b"n,,n=j=2Co=3De,r=abc", "j,o=e"),
            ("SCRAM-SHA-256", b"n,a=jane,n=joe,r=abc", "jane"),
        ] {
            assert_eq!(named(mechanism, response).as_deref(), Some(user), "{mechanism}");
        }
    }

    #[test]
    fn takes_no_secret_of_a_malformed_response_for_a_name() {
        for (mechanism, response) in [
            ("PLAIN", &b"\0joe:secret"[..]),
            ("PLAIN", b"joe\0secret"),
            ("XOAUTH2", b"user=joe@x^Aauth=Bearer secret^A^A"),
            ("XOAUTH2", b"user=joe@x auth=Bearer secret\x01\x01"),
        ] {
            assert_eq!(named(mechanism, response), None, "{mechanism}");
        }
        assert_eq!(named("OAUTHBEARER", b"n,a=joe\x01auth=Bearer secret\x01\x01").as_deref(), Some("joe"));
    }

    #[test]
    fn reads_an_identity_at_its_place_alone() {
        assert_eq!(named("SCRAM-SHA-256", b"n,,n=joe,r=abc,a=jane").as_deref(), Some("joe"));
        assert_eq!(named("SCRAM-SHA-256", b"n,,n=joe,r=abc,n=jane").as_deref(), Some("joe"));
        assert_eq!(named("OAUTHBEARER", b"n,,\x01auth=Bearer t,a=jane\x01\x01"), None);
    }

    #[test]
    fn tells_lines_apart() {
        assert_eq!(read_response("PLAIN", 0, b"*"), SaslLine::Cancel);
        assert_eq!(read_response("PLAIN", 0, b"="), SaslLine::Response { user: None });
        assert_eq!(read_response("XOAUTH2", 1, b""), SaslLine::Response { user: None });
        assert_eq!(read_response("PLAIN", 0, b"not base64"), SaslLine::Malformed);
        assert!(binds_channel("SCRAM-SHA-1", 0, b"cD10bHMtdW5pcXVlLCxuPWEscj1i"));
    }
}
