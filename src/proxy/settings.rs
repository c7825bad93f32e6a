//! What the configuration says about listeners and upstreams.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::session::{Posture, TlsMode};
use crate::tls::{CertificateSettings, Pin, Roots, Trust};
use crate::wire::Protocol;

/// A `[[listener]]` table: one bound address and where its clients' commands go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Its name in logs, labels and rules; unique.
    pub name: String,
    /// `address:port`; port 0 takes one the system gives.
    pub address: SocketAddr,
    /// `imap` or `pop3`.
    pub protocol: Protocol,
    /// `implicit`, `starttls` or `none`; no default, for it decides security.
    pub tls: TlsMode,
    /// `enforce` (default) or `observe`.
    #[serde(default = "enforce")]
    pub posture: Posture,
    /// The name of an `[[upstream]]`.
    pub upstream: String,
    /// Needed unless `tls = "none"`.
    #[serde(default)]
    pub certificate: Option<CertificateSettings>,
    /// A PEM file of authorities: every client must show a certificate of theirs.
    #[serde(default)]
    pub clients: Option<PathBuf>,
    /// Capabilities never shown to clients and refused when used, beside those always hidden.
    #[serde(default)]
    pub hide: Vec<String>,
    /// Commands and capabilities let through although they would be refused and hidden by default.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Whether clients are offered COMPRESS=DEFLATE (IMAP), whatever the server has. Default `true`.
    #[serde(default = "offered")]
    pub compress: bool,
}

fn offered() -> bool {
    true
}

fn enforce() -> Posture {
    Posture::Enforce
}

/// An `[[upstream]]` table: one mail server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Its name in listeners, logs and labels; unique.
    pub name: String,
    /// `host:port`; IPv6 in brackets.
    pub address: UpstreamAddress,
    /// `implicit`, `starttls` or `none`; no default, for it decides security.
    pub tls: TlsMode,
    /// The name its certificate must be for; default: the host of `address`.
    #[serde(default)]
    pub server_name: Option<String>,
    /// `system` (default) or a PEM file.
    #[serde(default)]
    pub roots: Roots,
    /// Trust exactly this public key instead of roots and name.
    #[serde(default)]
    pub pin: Option<Pin>,
    /// Whether COMPRESS=DEFLATE is used where the server lists it (IMAP). Default `false`.
    #[serde(default)]
    pub compress: bool,
}

impl UpstreamSettings {
    /// Which servers are taken for it.
    pub(crate) fn trust(&self) -> Trust<'_> {
        let server_name = self.server_name.as_deref().unwrap_or(&self.address.host);
        Trust { upstream: &self.name, server_name, roots: &self.roots, pin: self.pin }
    }
}

/// `host:port` of a server; the host is a DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UpstreamAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `host:port`, for example `imap.example.com:993` or `[2001:db8::1]:993`")]
pub struct UpstreamAddressError;

impl TryFrom<String> for UpstreamAddress {
    type Error = UpstreamAddressError;

    fn try_from(text: String) -> Result<Self, UpstreamAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(UpstreamAddressError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(UpstreamAddressError)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            // without brackets it would not be clear where an IPv6 address ends
            None => !host.contains(':') && rustls_pki_types::ServerName::try_from(host).is_ok(),
        };
        let host = bare.unwrap_or(host).to_owned();
        if valid { Ok(Self { host, port }) } else { Err(UpstreamAddressError) }
    }
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
