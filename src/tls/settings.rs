//! What the configuration says about TLS.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// The `[authority]` section: the local certificate authority that mints leaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthoritySettings {
    /// Where `ca.pem` and `ca.key` (mode 0600) are kept; made on first start.
    pub directory: PathBuf,
}

/// `certificate = …` of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected \"mint\", { chain = \"…\", key = \"…\" }, or a list of such tables")]
pub enum CertificateSettings {
    /// `"mint"`: a leaf per server name the client asks for, signed by the local authority.
    Mint(MintWord),
    /// One pair of files.
    Files(CertificateFiles),
    /// Several pairs, chosen by the server name the client asks for; the first is the default.
    List(Vec<CertificateFiles>),
}

/// The word `mint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MintWord {
    /// Mint certificates.
    Mint,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
}

/// `roots = …` of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Roots {
    /// `"system"`: the operating system's trust store.
    #[default]
    System,
    /// A PEM file of certificate authorities, used instead of the system's.
    File(PathBuf),
}

impl From<String> for Roots {
    fn from(text: String) -> Self {
        if text == "system" { Self::System } else { Self::File(text.into()) }
    }
}

/// `pin = "sha256/…"`: the SHA-256 of the server's `SubjectPublicKeyInfo`, base64 (RFC 7469 §2.4).
/// With a pin the server must prove it holds that key; its name, dates and issuer are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pin(pub [u8; 32]);

/// Not a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is `sha256/` and the base64 of 32 octets")]
pub struct PinError;

impl TryFrom<String> for Pin {
    type Error = PinError;

    fn try_from(text: String) -> Result<Self, PinError> {
        let encoded = text.strip_prefix("sha256/").ok_or(PinError)?;
        let octets = BASE64_STANDARD.decode(encoded).map_err(|_| PinError)?;
        octets.try_into().map(Self).map_err(|_| PinError)
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256/{}", BASE64_STANDARD.encode(self.0))
    }
}
