//! Judges the certificate of an upstream, and says in plain words what is wrong with it.
//!
//! There is no switch that turns this off. With a pin the server proves that it holds exactly that
//! key; without, everything a careful client checks is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::settings::Pin;
use crate::fault::{Code, Fault, plain};

/// A refused certificate: the fault travels to the dialler inside the TLS library's own error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) Fault);

/// When the last certificate that was trusted expires.
#[derive(Debug, Default)]
pub(super) struct Expiry(AtomicI64);

impl Expiry {
    /// In seconds since 1970; absent until a certificate was trusted.
    pub(super) fn at(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    fn seen(&self, leaf: Option<&X509Certificate<'_>>) {
        if let Some(leaf) = leaf {
            self.0.store(leaf.validity().not_after.timestamp(), Ordering::Relaxed);
        }
    }
}

/// Verifies with roots, name, dates and purpose; explains a refusal.
#[derive(Debug)]
pub(super) struct Explaining {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    pub(super) upstream: Arc<str>,
    pub(super) expiry: Arc<Expiry>,
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.inner.verify_server_cert(leaf, chain, name, ocsp, now);
        if verdict.is_ok() {
            self.expiry.seen(parse(leaf).as_ref());
        }
        verdict.map_err(|error| refusal(explain(&error, leaf, name, now, &self.upstream)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Trusts one public key and nothing else; that the server holds it is still proved by the
/// handshake's signature.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) pin: Pin,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) upstream: Arc<str>,
    pub(super) expiry: Arc<Expiry>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match parse(leaf) {
            None => Err(refusal(malformed(None, &self.upstream))),
            Some(parsed) if pin_of(&parsed) == self.pin => {
                self.expiry.seen(Some(&parsed));
                Ok(ServerCertVerified::assertion())
            }
            Some(parsed) => Err(refusal(Fault::new(
                Code::PinMismatch,
                format!("the server's key is not the pinned one, but {}", pin_of(&parsed)),
                format!(
                    "if the server's operator confirms the new key, replace the pin in [[upstream]] `{}`: pin = \"{}\"",
                    self.upstream,
                    pin_of(&parsed)
                ),
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn refusal(fault: Fault) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refused(fault)))))
}

fn parse<'a>(leaf: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(leaf).ok().map(|(_, parsed)| parsed)
}

fn pin_of(certificate: &X509Certificate<'_>) -> Pin {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.public_key().raw);
    let mut pin = [0; 32];
    pin.copy_from_slice(digest.as_ref());
    Pin(pin)
}

fn explain(
    error: &rustls::Error,
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
    upstream: &str,
) -> Fault {
    let Some(parsed) = parse(leaf) else { return malformed(None, upstream) };
    let rustls::Error::InvalidCertificate(error) = error else { return malformed(Some(&parsed), upstream) };
    let (code, sentence, advice) = judge(error, &parsed, name, now);
    Fault::new(code, sentence, pin_help(&advice, Some(&parsed), upstream))
}

fn judge(
    error: &CertificateError,
    leaf: &X509Certificate<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> (Code, String, String) {
    use CertificateError as E;

    let name = name.to_str();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum grows; what has no words here is shown in its own"
    )]
    match error {
        E::Expired => dates(Code::Expired, leaf.validity().not_after.timestamp(), leaf, now),
        E::ExpiredContext { not_after, .. } => dates(Code::Expired, seconds(*not_after), leaf, now),
        E::NotValidYet => dates(Code::NotYetValid, leaf.validity().not_before.timestamp(), leaf, now),
        E::NotValidYetContext { not_before, .. } => dates(Code::NotYetValid, seconds(*not_before), leaf, now),
        E::NotValidForName | E::NotValidForNameContext { .. } => name_mismatch(leaf, &name),
        E::UnknownIssuer if leaf.issuer() == leaf.subject() => (
            Code::SelfSigned,
            "the server's certificate is self-signed".to_owned(),
            "add it as roots = \"FILE\" if it is an authority of your own".to_owned(),
        ),
        E::UnknownIssuer => (
            Code::Untrusted,
            format!(
                "the server's certificate is issued by `{}`, which is not trusted here",
                plain(&leaf.issuer().to_string())
            ),
            "name the issuer's certificate: roots = \"FILE\"; or have the server send its intermediate certificates"
                .to_owned(),
        ),
        E::Revoked => (Code::Revoked, "the server's certificate was revoked".to_owned(), "have it replaced".to_owned()),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => (
            Code::Purpose,
            "the server's certificate is not for servers (extended key usage)".to_owned(),
            "have it replaced".to_owned(),
        ),
        E::BadSignature => (
            Code::Signature,
            "a signature in the server's certificate chain is wrong".to_owned(),
            "have the chain repaired".to_owned(),
        ),
        E::UnsupportedSignatureAlgorithmContext { .. } | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            (
                Code::Signature,
                "the server's certificate chain is signed in a way that is no longer trusted".to_owned(),
                "have it replaced".to_owned(),
            )
        }
        _ if leaf.is_ca() => (
            Code::AuthorityAsServer,
            "the server shows an authority's certificate (CA:TRUE) as its own".to_owned(),
            "have it show a certificate with CA:FALSE (other programs may accept this one)".to_owned(),
        ),
        other => (
            Code::Malformed,
            format!("the server's certificate is not acceptable: {}", plain(&other.to_string())),
            "have it replaced".to_owned(),
        ),
    }
}

/// `limit` is the date that was missed, by the leaf or by one of its issuers.
fn dates(code: Code, limit: i64, leaf: &X509Certificate<'_>, now: UnixTime) -> (Code, String, String) {
    let own = [leaf.validity().not_after, leaf.validity().not_before].iter().any(|date| date.timestamp() == limit);
    let whose = if own { "the server's certificate" } else { "the certificate of one of the server's issuers" };
    let when = when(limit, now);
    if code == Code::Expired {
        (code, format!("{whose} expired {when}"), "have it renewed".to_owned())
    } else {
        (code, format!("{whose} becomes valid {when}"), "check the clocks of both machines".to_owned())
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn name_mismatch(leaf: &X509Certificate<'_>, name: &str) -> (Code, String, String) {
    let names = names(leaf);
    let shown = if names.is_empty() {
        "for no name at all (no subjectAltName)".to_owned()
    } else {
        format!("for {}", names.join(", "))
    };
    let advice = names.first().filter(|first| !first.starts_with('*')).map_or_else(
        || "have it issued for the right name".to_owned(),
        |first| format!("if that is the right server, say so: server_name = \"{first}\""),
    );
    (Code::NameMismatch, format!("the server's certificate is not valid for {name}, but {shown}"), advice)
}

/// Up to five names of the certificate, safe to show.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(san)) = leaf.subject_alternative_name() else { return Vec::new() };
    #[expect(clippy::wildcard_enum_match_arm, reason = "servers are known by DNS names and addresses alone (RFC 6125)")]
    let readable = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(octets) => <[u8; 4]>::try_from(*octets)
            .map(std::net::IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*octets).map(std::net::IpAddr::from))
            .ok()
            .map(|address| address.to_string()),
        _ => None,
    };
    san.value.general_names.iter().filter_map(readable).take(5).collect()
}

fn when(timestamp: i64, now: UnixTime) -> String {
    let now = seconds(now);
    let date = jiff::Timestamp::from_second(timestamp)
        .map_or_else(|_| "an impossible date".to_owned(), |time| time.strftime("%Y-%m-%d").to_string());
    match (timestamp - now) / 86_400 {
        0 => format!("today, on {date}"),
        -1 => format!("1 day ago, on {date}"),
        1 => format!("in 1 day, on {date}"),
        days if days < 0 => format!("{} days ago, on {date}", -days),
        days => format!("in {days} days, on {date}"),
    }
}

fn malformed(leaf: Option<&X509Certificate<'_>>, upstream: &str) -> Fault {
    let help = pin_help("have it replaced", leaf, upstream);
    Fault::new(Code::Malformed, "the server's certificate cannot be understood", help)
}

fn pin_help(advice: &str, leaf: Option<&X509Certificate<'_>>, upstream: &str) -> String {
    leaf.map_or_else(
        || advice.to_owned(),
        |leaf| {
            let pin = pin_of(leaf);
            format!("{advice}; or, if this is the server's own key, trust it alone in [[upstream]] `{upstream}`: pin = \"{pin}\"")
        },
    )
}
