//! A relay that looks at nothing: TLS on both sides by tokio-rustls, 64 KiB at a time. It is the least
//! that a proxy on these libraries can cost, to compare with one that reads the mail protocols.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use clap::Parser;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Octets read from a socket at a time, and octets decrypted before they are written: four records.
const BUFFER: usize = 64 << 10;
const BACKLOG: u32 = 4096;

#[derive(Debug, Parser)]
#[command(about = "Relays TLS to TLS and looks at nothing")]
struct Arguments {
    /// Where to listen and where to relay to, as `127.0.0.1:1993=127.0.0.1:993`.
    #[arg(long = "route", required = true, value_parser = route)]
    routes: Vec<(SocketAddr, SocketAddr)>,
    /// Certificate chain to show, PEM.
    #[arg(long)]
    chain: PathBuf,
    /// Its private key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// The authority to trust, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

fn route(text: &str) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let (from, to) = text.split_once('=').ok_or_else(|| anyhow::anyhow!("a route has a ="))?;
    Ok((from.parse()?, to.parse()?))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.workers.max(1)).enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_file_iter(&arguments.chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&arguments.key)?;
    let mut server = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&arguments.ca)?)?;
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connector = TlsConnector::from(Arc::new(client));
    let mut listeners = tokio::task::JoinSet::new();
    for (from, to) in arguments.routes {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(from)?;
        listeners.spawn(accept(socket.listen(BACKLOG)?, to, acceptor.clone(), connector.clone()));
    }
    listeners.join_all().await;
    Ok(())
}

async fn accept(listener: TcpListener, to: SocketAddr, acceptor: TlsAcceptor, connector: TlsConnector) {
    loop {
        // An error of accept is of one connection, or passes when others end.
        let Ok((socket, _)) = listener.accept().await else { continue };
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        // How a connection ends is the affair of its ends.
        tokio::spawn(async move { relay(socket, to, acceptor, connector).await.ok() });
    }
}

async fn relay(socket: TcpStream, to: SocketAddr, acceptor: TlsAcceptor, connector: TlsConnector) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let client = acceptor.accept(BufReader::with_capacity(BUFFER, socket)).await?;
    let upstream = TcpStream::connect(to).await?;
    upstream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let upstream = connector.connect(name, BufReader::with_capacity(BUFFER, upstream)).await?;
    let (client_reader, client_writer) = tokio::io::split(client);
    let (upstream_reader, upstream_writer) = tokio::io::split(upstream);
    tokio::try_join!(copy(client_reader, upstream_writer), copy(upstream_reader, client_writer))?;
    Ok(())
}

/// Copies until the end, which it hands on.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut room = vec![0; BUFFER];
    let mut buffer = ReadBuf::new(&mut room);
    loop {
        buffer.clear();
        poll_fn(|context| gather(&mut from, &mut buffer, context)).await?;
        if buffer.filled().is_empty() {
            return to.shutdown().await;
        }
        to.write_all(buffer.filled()).await?;
        to.flush().await?;
    }
}

/// Fills the buffer with what is there; ready when it is full, or holds something and nothing more is there.
fn gather(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut ReadBuf<'_>,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while buffer.remaining() > 0 {
        let before = buffer.filled().len();
        match Pin::new(&mut *from).poll_read(context, buffer) {
            Poll::Pending if before > 0 => return Poll::Ready(Ok(())),
            read => ready!(read)?,
        }
        if buffer.filled().len() == before {
            break;
        }
    }
    Poll::Ready(Ok(()))
}
