//! TLS towards clients: one server configuration per listener, so that its tickets and its session
//! cache outlive a connection and clients can resume.
//!
//! Only TLS 1.2 and 1.3 are spoken. ALPN is `imap` or `pop3` (RFC 7301, against cross-protocol
//! attacks): a client that offers names must offer ours, one that offers none is let in.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::asked;
use super::authority::Authority;
use super::settings::{CertificateFiles, CertificateSettings, Roots};
use super::store;
use crate::fault::{Code, Fault};
use crate::wire::Protocol;

/// TLS 1.2 sessions kept for resumption by id; those with tickets and TLS 1.3 take no room.
const SESSIONS: usize = 4096;
/// Local addresses whose configuration is kept; a machine has a few.
const ADDRESSES: usize = 64;

/// The TLS server side of one listener.
#[derive(Debug)]
pub struct Acceptor {
    base: Arc<ServerConfig>,
    mint: Option<Mint>,
    expires: Option<i64>,
}

#[derive(Debug)]
struct Mint {
    authority: Arc<Authority>,
    upstream_name: String,
    by_address: Cache<IpAddr, Arc<ServerConfig>>,
}

impl Acceptor {
    /// An acceptor that shows what `certificate` says. `authority` is needed to mint;
    /// `upstream_name` is shown to clients that ask for no name. With `clients`, a PEM file of authorities, every
    /// client must show a certificate that one of them has signed.
    ///
    /// # Errors
    /// When a file cannot be used, or there is no authority to mint with.
    pub fn new(
        certificate: &CertificateSettings,
        authority: Option<&Arc<Authority>>,
        upstream_name: &str,
        protocol: Protocol,
        clients: Option<&Path>,
    ) -> Result<Self, Fault> {
        let of_files = |list: &[CertificateFiles]| {
            let files = Files::load(list)?;
            let expires = files.expires();
            Ok((Arc::new(files) as Arc<dyn ResolvesServerCert>, None, expires))
        };
        let (resolver, mint, expires): (Arc<dyn ResolvesServerCert>, _, _) = match certificate {
            CertificateSettings::Files(files) => of_files(std::slice::from_ref(files))?,
            CertificateSettings::List(list) => of_files(list)?,
            CertificateSettings::Mint(_) => {
                let authority = Arc::clone(authority.ok_or_else(no_authority)?);
                let upstream_name = upstream_name.to_owned();
                let resolver = Minted { authority: Arc::clone(&authority), without_sni: vec![upstream_name.clone()] };
                let mint = Mint { authority, upstream_name, by_address: Cache::new(ADDRESSES) };
                (Arc::new(resolver), Some(mint), None)
            }
        };
        Ok(Self { base: Arc::new(server_config(resolver, protocol, clients)?), mint, expires })
    }

    /// When the first of the certificates from files expires, in seconds since 1970; minted ones are renewed.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// The configuration for a connection to this local address. A client that asks for no name is
    /// shown a minted leaf for the upstream's name and the address it connected to.
    #[must_use]
    pub fn config(&self, local: IpAddr) -> Arc<ServerConfig> {
        let Some(mint) = &self.mint else { return Arc::clone(&self.base) };
        let local = local.to_canonical();
        if let Some(config) = mint.by_address.get(&local) {
            return config;
        }
        let mut without_sni = vec![mint.upstream_name.clone(), local.to_string()];
        if local.is_loopback() {
            without_sni.push("localhost".to_owned());
        }
        without_sni.dedup();
        let mut config = ServerConfig::clone(&self.base);
        config.cert_resolver = Arc::new(Minted { authority: Arc::clone(&mint.authority), without_sni });
        let config = Arc::new(config);
        mint.by_address.insert(local, Arc::clone(&config));
        config
    }
}

fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    protocol: Protocol,
    clients: Option<&Path>,
) -> Result<ServerConfig, Fault> {
    let broken = |error: rustls::Error| {
        Fault::new(
            Code::ClientHandshake,
            format!("TLS cannot be set up: {error}"),
            "report this as a fault of the proxy",
        )
    };
    let mut config = ServerConfig::builder_with_provider(store::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(broken)?
        .with_client_cert_verifier(clients.map_or_else(|| Ok(WebPkiClientVerifier::no_client_auth()), verifier)?)
        .with_cert_resolver(resolver);
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(broken)?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    // for opening and sealing records in place (`records`): nobody else is given them
    config.enable_secret_extraction = true;
    config.alpn_protocols = vec![protocol.as_label().as_bytes().to_vec()];
    Ok(config)
}

/// A client without a certificate of one of the authorities in this file is not let in.
fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, Fault> {
    let roots = store::roots(&Roots::File(path.to_owned()))?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), store::provider()).build().map_err(|error| {
        Fault::new(
            Code::Roots,
            format!("clients cannot be verified by {}: {error}", path.display()),
            "name a PEM file of the authorities that sign clients' certificates",
        )
    })
}

fn no_authority() -> Fault {
    Fault::new(
        Code::NoAuthority,
        "a listener has certificate = \"mint\", but there is no [authority] section",
        "add [authority] with a directory of its own, or name certificate files",
    )
}

/// The operator's own certificates: the name asked for chooses, the first is the default.
#[derive(Debug)]
struct Files(Vec<(Arc<CertifiedKey>, Vec<String>)>);

impl Files {
    fn load(list: &[CertificateFiles]) -> Result<Self, Fault> {
        if list.is_empty() {
            return Err(Fault::new(
                Code::NoCertificate,
                "the list of certificates is empty",
                "name at least one pair of files",
            ));
        }
        let provider = store::provider();
        let load = |files: &CertificateFiles| {
            let key = store::certified_key(files, &provider)?;
            let names = key.end_entity_cert().map(|leaf| dns_names(leaf)).unwrap_or_default();
            Ok((Arc::new(key), names))
        };
        list.iter().map(load).collect::<Result<_, _>>().map(Self)
    }
}

impl Files {
    fn expires(&self) -> Option<i64> {
        self.0.iter().filter_map(|(key, _)| store::not_after(key.end_entity_cert().ok()?)).min()
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        asked::note(hello.server_name());
        let chosen = hello.server_name().and_then(|asked| {
            // an exact name goes before a wildcard, whatever their order in the configuration
            let by = |fits: fn(&str, &str) -> bool| {
                self.0.iter().find(|(_, names)| names.iter().any(|name| fits(name, asked)))
            };
            by(str::eq_ignore_ascii_case).or_else(|| by(wildcard_fits))
        });
        chosen.or_else(|| self.0.first()).map(|(key, _)| Arc::clone(key))
    }
}

fn dns_names(leaf: &[u8]) -> Vec<String> {
    use x509_parser::extensions::GeneralName;

    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else { return Vec::new() };
    let Ok(Some(san)) = parsed.subject_alternative_name() else { return Vec::new() };
    let dns =
        |name: &GeneralName<'_>| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None };
    san.value.general_names.iter().filter_map(dns).collect()
}

/// `*.example.com` stands for exactly one label (RFC 6125 §6.4.3).
fn wildcard_fits(pattern: &str, name: &str) -> bool {
    let (Some(parent), Some((label, rest))) = (pattern.strip_prefix("*."), name.split_once('.')) else { return false };
    !label.is_empty() && parent.eq_ignore_ascii_case(rest)
}

/// A leaf of the local authority for whatever name is asked for.
#[derive(Debug)]
struct Minted {
    authority: Arc<Authority>,
    without_sni: Vec<String>,
}

impl ResolvesServerCert for Minted {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        asked::note(hello.server_name());
        let leaf = match hello.server_name() {
            Some(name) => self.authority.leaf(&[name.to_ascii_lowercase()]),
            None => self.authority.leaf(&self.without_sni),
        };
        leaf.inspect_err(|fault| tracing::error!(code = %fault.code, help = fault.help, "{}", fault.sentence)).ok()
    }
}

/// Says how a client's handshake failed.
#[must_use]
pub fn client_fault(error: &std::io::Error) -> Fault {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (code, help) = match rustls {
        Some(rustls::Error::AlertReceived(
            rustls::AlertDescription::UnknownCA
            | rustls::AlertDescription::BadCertificate
            | rustls::AlertDescription::CertificateExpired
            | rustls::AlertDescription::CertificateRevoked
            | rustls::AlertDescription::UnsupportedCertificate
            | rustls::AlertDescription::CertificateUnknown,
        )) => (
            Code::ClientDistrusts,
            "the client does not trust the certificate it was shown: have it trust the authority (mailwarden ca export)",
        ),
        Some(rustls::Error::InvalidMessage(_)) => {
            (Code::ClientNotTls, "the client did not speak TLS: set it to SSL/TLS, not STARTTLS or none, for this port")
        }
        Some(rustls::Error::NoApplicationProtocol) => (
            Code::ClientIncompatible,
            "the client asked for another protocol by ALPN: it is not a mail client for this port",
        ),
        Some(
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                rustls::AlertDescription::ProtocolVersion | rustls::AlertDescription::HandshakeFailure,
            ),
        ) => (Code::ClientIncompatible, "the client is too old for TLS 1.2 and its cipher suites: renew it"),
        Some(_) | None => (Code::ClientHandshake, "see the client's own log"),
    };
    Fault::new(code, format!("the client's TLS handshake failed: {error}"), help)
}

/// A client that did not finish its handshake in time.
#[must_use]
pub fn client_timeout(limit: Duration) -> Fault {
    Fault::new(
        Code::ClientTimeout,
        format!("the client did not finish its TLS handshake within {limit:?}"),
        "a slow network or a port scanner; limits.handshake_timeout sets the time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (pattern, name, fits) in [
            ("*.example.com", "imap.example.com", true),
            ("*.example.com", "IMAP.EXAMPLE.COM", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("imap.example.com", "imap.example.com", false),
        ] {
            assert_eq!(wildcard_fits(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn minting_needs_an_authority() {
        let mint: CertificateSettings = CertificateSettings::Mint(serde_json::from_str("\"mint\"").unwrap());
        let fault = Acceptor::new(&mint, None, "imap.example.com", Protocol::Imap, None).unwrap_err();
        assert_eq!(fault.code, Code::NoAuthority);
    }

    #[test]
    fn a_clients_failure_is_told_by_its_kind() {
        use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

        for (error, code) in [
            (Error::AlertReceived(AlertDescription::UnknownCA), Code::ClientDistrusts),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), Code::ClientNotTls),
            (Error::NoApplicationProtocol, Code::ClientIncompatible),
            (Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), Code::ClientIncompatible),
            (Error::DecryptError, Code::ClientHandshake),
        ] {
            assert_eq!(client_fault(&std::io::Error::other(error)).code, code);
        }
    }
}
