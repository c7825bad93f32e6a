//! TLS towards an upstream: one client configuration each, so that its ticket store outlives a
//! connection and handshakes are resumed.
//!
//! The name sent (SNI) is the name verified. ALPN says `imap` or `pop3`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::settings::Roots;
use super::store;
use super::stream::{Shaken, TlsStream};
use super::verify::{Expiry, Explaining, Pinned, Refused};
use crate::fault::{Code, Fault, plain};
use crate::proxy::UpstreamSettings;
use crate::wire::Protocol;

/// The TLS client side of one upstream.
#[derive(Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    expiry: Arc<Expiry>,
}

impl Connector {
    /// A connector that verifies as the settings say.
    ///
    /// # Errors
    /// When the roots cannot be read or the server name is none.
    pub fn new(upstream: &UpstreamSettings) -> Result<Self, Fault> {
        let name = server_name(upstream)?;
        let provider = store::provider();
        let label: Arc<str> = upstream.name.as_str().into();
        let expiry = Arc::new(Expiry::default());
        let verifier: Arc<dyn ServerCertVerifier> = if let Some(pin) = upstream.pin {
            Arc::new(Pinned { pin, provider: Arc::clone(&provider), upstream: label, expiry: Arc::clone(&expiry) })
        } else {
            let roots = Arc::new(store::roots(&upstream.roots)?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| unusable(upstream, &error))?;
            Arc::new(Explaining { inner, upstream: label, expiry: Arc::clone(&expiry) })
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| unusable(upstream, &error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // for opening and sealing records in place (`records`): nobody else is given them
        config.enable_secret_extraction = true;
        Ok(Self { config: Arc::new(config), name, expiry })
    }

    /// When the last certificate that the upstream showed and was trusted for expires, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        self.expiry.at()
    }

    /// The name that is sent and verified.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Does the handshake; the certificate is verified when this returns a stream. `before` was read from
    /// the socket already.
    ///
    /// # Errors
    /// When the certificate is refused, the handshake fails, or takes longer than `limit`.
    pub(crate) async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        before: &[u8],
        protocol: Protocol,
        limit: Duration,
    ) -> Result<Shaken<IO>, Fault> {
        let alpn = vec![protocol.as_label().as_bytes().to_vec()];
        let handshake = TlsStream::connect(io, before, Arc::clone(&self.config), self.name.clone(), alpn);
        match tokio::time::timeout(limit, handshake).await {
            Ok(done) => done.map_err(|error| handshake_fault(&error)),
            Err(_) => Err(Fault::new(
                Code::UpstreamHandshakeTimeout,
                format!("the server did not finish its TLS handshake within {limit:?}"),
                "check the server's load, and that the port speaks TLS from the start (tls = \"implicit\")",
            )),
        }
    }
}

/// TLS towards a service that is none of mail, verified by these roots.
///
/// # Errors
/// When the roots cannot be read.
pub(crate) fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, Fault> {
    let roots = store::roots(roots)?;
    let builder = ClientConfig::builder_with_provider(store::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| {
            let help = "report this as a fault of the proxy";
            Fault::new(Code::Roots, format!("TLS cannot be set up: {error}"), help)
        })?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// The name an upstream's certificate must be for.
pub(crate) fn server_name(upstream: &UpstreamSettings) -> Result<ServerName<'static>, Fault> {
    let name = upstream.server_name.as_deref().unwrap_or(&upstream.address.host);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Fault::new(
            Code::ServerName,
            format!("upstream `{}`: `{}` is neither a DNS name nor an IP address", upstream.name, plain(name)),
            "write the name in the server's certificate: server_name = \"imap.example.com\"",
        )
    })
}

fn unusable(upstream: &UpstreamSettings, error: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        Code::Roots,
        format!("upstream `{}` cannot be verified with these roots: {error}", upstream.name),
        "name a PEM file of the authority that issued its certificate: roots = \"ca.pem\"",
    )
}

fn handshake_fault(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            if let Some(Refused(fault)) = other.0.downcast_ref::<Refused>() {
                return fault.clone();
            }
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            return Fault::new(
                Code::UpstreamNotTls,
                "the server does not speak TLS on this port",
                "set tls = \"starttls\" if it is port 143 or 110, or use port 993 or 995",
            );
        }
        Some(_) | None => {}
    }
    Fault::new(
        Code::UpstreamHandshake,
        format!("the TLS handshake with the server failed: {}", plain(&error.to_string())),
        "see the server's log; it must offer TLS 1.2 or 1.3 with a cipher suite that is still trusted",
    )
}
