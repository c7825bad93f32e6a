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

use super::settings::{Pin, Roots};
use super::store;
use super::stream::{Shaken, TlsStream};
use super::verify::{Expiry, Explaining, Pinned, Refused};
use crate::fault::{Code, Fault, plain};
use crate::wire::Protocol;

/// Which servers are taken for an upstream.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The upstream's name, for what is said of it.
    pub upstream: &'a str,
    /// The name its certificate must be for.
    pub server_name: &'a str,
    /// The authorities that may have issued it.
    pub roots: &'a Roots,
    /// Trust exactly this public key instead of roots and name.
    pub pin: Option<Pin>,
}

impl Trust<'_> {
    /// The name that is sent and verified.
    ///
    /// # Errors
    /// When it is neither a DNS name nor an IP address.
    pub fn name(&self) -> Result<ServerName<'static>, Fault> {
        ServerName::try_from(self.server_name.to_owned()).map_err(|_| {
            let (upstream, name) = (self.upstream, plain(self.server_name));
            Fault::new(
                Code::ServerName,
                format!("upstream `{upstream}`: `{name}` is neither a DNS name nor an IP address"),
                "write the name in the server's certificate: server_name = \"imap.example.com\"",
            )
        })
    }

    fn unusable(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::new(
            Code::Roots,
            format!("upstream `{}` cannot be verified with these roots: {error}", self.upstream),
            "name a PEM file of the authority that issued its certificate: roots = \"ca.pem\"",
        )
    }
}

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
    pub fn new(trust: &Trust<'_>) -> Result<Self, Fault> {
        let name = trust.name()?;
        let provider = store::provider();
        let upstream: Arc<str> = trust.upstream.into();
        let expiry = Arc::new(Expiry::default());
        let verifier: Arc<dyn ServerCertVerifier> = if let Some(pin) = trust.pin {
            Arc::new(Pinned { pin, provider: Arc::clone(&provider), upstream, expiry: Arc::clone(&expiry) })
        } else {
            let roots = Arc::new(store::roots(trust.roots)?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| trust.unusable(&error))?;
            Arc::new(Explaining { inner, upstream, expiry: Arc::clone(&expiry) })
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| trust.unusable(&error))?
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
