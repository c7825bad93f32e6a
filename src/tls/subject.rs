//! The subject of a certificate as text (RFC 4514).

use std::fmt::Write as _;

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::X509Name;

/// The subject of a certificate in DER; `None` if that is no certificate.
pub(super) fn of(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(text(parsed.subject()))
}

/// The last part first (§2.1), the parts of one joined by `+` (§2.2).
fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let oid = attribute.attr_type();
                let word = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), ToOwned::to_owned);
                format!("{word}={}", escaped(attribute.as_str().unwrap_or("?")))
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// §2.4: what would end a value, or not be seen at its ends, stands behind a backslash.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            letter if letter.is_control() => {
                let mut octets = [0; 4];
                for octet in letter.encode_utf8(&mut octets).bytes() {
                    // writing to a String cannot fail
                    let _ = write!(text, "\\{octet:02X}");
                }
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_subject_is_written_with_its_last_part_first_and_escaped() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for (kind, value) in [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Muster, Söhne + Co"),
            (DnType::CommonName, " #joe"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, " #joe");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let subject = of(certificate.der()).unwrap();
        assert_eq!(subject, "CN=\\ #joe,O=Muster\\, Söhne \\+ Co,C=DE");
        assert_eq!(of(b"no certificate"), None);
    }
}
