//! The server: takes every login, has two messages in every mailbox: number 1 of the size asked for,
//! number 2 a small one to warm up with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::message::{self, LINE};

#[derive(Debug, clap::Args)]
pub(crate) struct Upstream {
    /// Where to serve IMAP with implicit TLS.
    #[arg(long)]
    imap: SocketAddr,
    /// Where to serve POP3 with implicit TLS.
    #[arg(long)]
    pop3: SocketAddr,
    /// Certificate chain, PEM.
    #[arg(long)]
    chain: PathBuf,
    /// Its private key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Octets of message 1; POP3 rounds down to whole lines.
    #[arg(long)]
    size: usize,
}

impl Upstream {
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let chain = CertificateDer::pem_file_iter(&self.chain)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let imap = TcpListener::bind(self.imap).await.with_context(|| format!("cannot listen on {}", self.imap))?;
        let pop3 = TcpListener::bind(self.pop3).await.with_context(|| format!("cannot listen on {}", self.pop3))?;
        let size = self.size;
        loop {
            tokio::select! {
                Ok((socket, _)) = imap.accept() => {
                    let acceptor = acceptor.clone();
                    // How a session ends is the client's affair, which measures.
                    tokio::spawn(async move { speak_imap(socket, acceptor, size).await.ok() });
                }
                Ok((socket, _)) = pop3.accept() => {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move { speak_pop3(socket, acceptor, size).await.ok() });
                }
            }
        }
    }
}

async fn accept(socket: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<impl AsyncRead + AsyncWrite + Unpin> {
    socket.set_nodelay(true)?;
    acceptor.accept(socket).await
}

/// Octets of message 2.
const SMALL: usize = 64 << 10;

/// The size of the message whose number is the last but `after` of the command's words.
fn size_of(line: &str, after: usize, size: usize) -> usize {
    if line.split_ascii_whitespace().nth_back(after) == Some("2") { SMALL } else { size }
}

const CAPABILITY: &str = "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR IDLE ID UIDPLUS AUTH=PLAIN";

async fn speak_imap(socket: TcpStream, acceptor: TlsAcceptor, size: usize) -> anyhow::Result<()> {
    let mut stream = BufReader::new(accept(socket, acceptor).await?);
    say(&mut stream, &format!("* OK [{CAPABILITY}] ready\r\n")).await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_ascii_whitespace();
        let (tag, name) = (words.next().unwrap_or("*"), words.next().unwrap_or_default().to_ascii_uppercase());
        let done = format!("{tag} OK done\r\n");
        match name.as_str() {
            "CAPABILITY" => say(&mut stream, &format!("* {CAPABILITY}\r\n")).await?,
            "SELECT" => say(&mut stream, "* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 1] ids\r\n").await?,
            "FETCH" => {
                let size = size_of(&line, 1, size);
                say(&mut stream, &format!("* 1 FETCH (BODY[] {{{size}}}\r\n")).await?;
                message::write(stream.get_mut(), size).await?;
                say(&mut stream, ")\r\n").await?;
            }
            "IDLE" => {
                say(&mut stream, "+ idling\r\n").await?;
                stream.read_line(&mut String::new()).await?;
            }
            // A literal may end the line of APPEND, and of LOGIN as a proxy writes it.
            _ => take_literals(&mut stream, &line).await?,
        }
        say(&mut stream, &done).await?;
        if name == "LOGOUT" {
            return Ok(());
        }
    }
}

async fn take_literals<S>(stream: &mut BufReader<S>, first: &str) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = first.to_owned();
    while let Some(announced) = line.trim_end().strip_suffix('}').and_then(|start| start.rsplit_once('{')) {
        let count: usize = announced.1.trim_end_matches('+').parse()?;
        if !announced.1.ends_with('+') {
            say(stream, "+ go on\r\n").await?;
        }
        discard(stream, count).await?;
        line.clear();
        stream.read_line(&mut line).await?;
    }
    Ok(())
}

/// Reads `count` octets and forgets them.
pub(crate) async fn discard(stream: &mut (impl AsyncRead + Unpin), count: usize) -> std::io::Result<()> {
    let mut left = count;
    let mut scratch = vec![0; 64 << 10];
    while left > 0 {
        let room = scratch.len().min(left);
        let read = stream.read(scratch.get_mut(..room).unwrap_or_default()).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        left -= read;
    }
    Ok(())
}

async fn speak_pop3(socket: TcpStream, acceptor: TlsAcceptor, size: usize) -> anyhow::Result<()> {
    let mut stream = BufReader::new(accept(socket, acceptor).await?);
    say(&mut stream, "+OK ready\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let name = line.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match name.as_str() {
            "CAPA" => say(&mut stream, "+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n").await?,
            "STAT" => say(&mut stream, &format!("+OK 2 {}\r\n", size + SMALL)).await?,
            "RETR" => {
                let size = size_of(&line, 0, size) / LINE * LINE;
                say(&mut stream, &format!("+OK {size} octets\r\n")).await?;
                message::write(stream.get_mut(), size).await?;
                say(&mut stream, ".\r\n").await?;
            }
            _ => say(&mut stream, "+OK\r\n").await?,
        }
        if name == "QUIT" {
            return Ok(());
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut BufReader<S>, text: &str) -> std::io::Result<()>
where
    BufReader<S>: AsyncWrite,
{
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}
