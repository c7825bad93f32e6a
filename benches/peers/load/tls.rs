//! Both ends of TLS. They offer one version, one cipher suite and, in the first place, one group, so that
//! every peer between them works with the same: TLS 1.3, AES-128-GCM, X25519. P-256 is for those which
//! have no other group.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::wire::Wire;

/// rustls asks a socket for a few KiB at a time; the ends must not be what is slow.
const SOCKET_BUFFER: usize = 256 << 10;

pub(crate) type Client = tokio_rustls::client::TlsStream<BufReader<TcpStream>>;
pub(crate) type Server = tokio_rustls::server::TlsStream<BufReader<TcpStream>>;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    })
}

/// Opens sessions, each with a full handshake, or with a ticket where there is one.
pub(crate) fn connector(ca: &Path, resume: bool) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).with_context(|| format!("{}", ca.display()))?)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = if resume { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(crate) fn acceptor(chain: &PathBuf, key: &PathBuf) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connects, and checks that what was agreed on is what is to be measured.
pub(crate) async fn connect(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> anyhow::Result<(Wire<Client>, bool)> {
    let socket = TcpStream::connect(address).await.with_context(|| format!("{address}"))?;
    socket.set_nodelay(true)?;
    let socket = BufReader::with_capacity(SOCKET_BUFFER, socket);
    let stream = connector.connect(ServerName::try_from("localhost")?, socket).await.context("TLS handshake")?;
    let tls = stream.get_ref().1;
    ensure!(tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3), "not TLS 1.3");
    let resumed = tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Ok((Wire::new(stream), resumed))
}

pub(crate) async fn accept(acceptor: &TlsAcceptor, socket: TcpStream) -> std::io::Result<Wire<Server>> {
    socket.set_nodelay(true)?;
    let mut stream = acceptor.accept(BufReader::with_capacity(SOCKET_BUFFER, socket)).await?;
    // As many records a system call as the socket takes.
    stream.get_mut().1.set_buffer_limit(Some(SOCKET_BUFFER));
    Ok(Wire::new(stream))
}
