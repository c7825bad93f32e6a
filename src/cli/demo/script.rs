//! The two sessions that the demo plays: what a mail program says, and what must come back.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{PASSWORD, USER};
use crate::sandbox::{Sandbox, large};

/// Nothing here takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(15);

/// Plays both sessions, one after the other.
pub(super) async fn play(imap: SocketAddr, pop3: SocketAddr, ca: &Path, sandbox: &Sandbox) -> anyhow::Result<()> {
    self::imap(imap, ca, sandbox).await.context("IMAP")?;
    self::pop3(pop3, ca).await.context("POP3")
}

async fn imap(address: SocketAddr, ca: &Path, sandbox: &Sandbox) -> anyhow::Result<()> {
    let mut client = Client::connect(address, ca).await?;
    client.line().await?;
    client.tagged("a1", &format!("LOGIN {USER} {PASSWORD}"), "OK").await?;
    client.tagged("a2", "LIST \"\" \"*\"", "OK").await?;
    client.tagged("a3", "SELECT INBOX", "OK").await?;
    client.tagged("a4", "FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])", "OK").await?;
    client.tagged("a5", "UID FETCH 6 (BODYSTRUCTURE BODY.PEEK[2])", "OK").await?;
    client.tagged("a6", "DELETE Archive", "NO").await?;
    client.say("a7 IDLE").await?;
    let begun = client.line().await?;
    ensure!(begun.starts_with('+'), "IDLE was answered with {begun:?}");
    sandbox.deliver("INBOX", large("Delivered while you were watching", 2000));
    while !client.line().await?.contains(" EXISTS") {}
    client.say("DONE").await?;
    client.completed("a7", "OK").await?;
    client.tagged("a8", "LOGOUT", "OK").await
}

pub(super) async fn pop3(address: SocketAddr, ca: &Path) -> anyhow::Result<()> {
    let mut client = Client::connect(address, ca).await?;
    client.line().await?;
    client.multi_line("CAPA").await?;
    client.one_line(&format!("USER {USER}")).await?;
    client.one_line(&format!("PASS {PASSWORD}")).await?;
    client.one_line("STAT").await?;
    for command in ["LIST", "UIDL", "RETR 6", "TOP 1 0"] {
        client.multi_line(command).await?;
    }
    client.one_line("QUIT").await
}

/// The smallest mail program that speaks over TLS.
struct Client {
    stream: BufReader<TlsStream<TcpStream>>,
}

impl Client {
    async fn connect(address: SocketAddr, ca: &Path) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("cannot read {}", ca.display()))? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream);
        let stream = tokio::time::timeout(PATIENCE, connecting).await.context("the handshake took too long")??;
        Ok(Self { stream: BufReader::new(stream) })
    }

    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        let reading = self.stream.read_until(b'\n', &mut line);
        tokio::time::timeout(PATIENCE, reading).await.context("no answer came")??;
        ensure!(!line.is_empty(), "the connection was closed");
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Says a command and reads all up to its completion result.
    async fn tagged(&mut self, tag: &str, command: &str, expected: &str) -> anyhow::Result<()> {
        self.say(&format!("{tag} {command}")).await?;
        // the arguments may be secret
        let name = command.split(' ').next().unwrap_or_default();
        self.completed(tag, expected).await.with_context(|| format!("{name} was not answered as it should be"))
    }

    async fn completed(&mut self, tag: &str, expected: &str) -> anyhow::Result<()> {
        loop {
            let line = self.line().await?;
            if let Some(literal) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
                let mut content = vec![0; literal.1.parse()?];
                let reading = self.stream.read_exact(&mut content);
                tokio::time::timeout(PATIENCE, reading).await.context("a literal did not end")??;
            } else if let Some(result) = line.strip_prefix(tag).and_then(|line| line.strip_prefix(' ')) {
                ensure!(result.starts_with(expected), "expected {expected}, got {line:?}");
                return Ok(());
            }
        }
    }

    async fn one_line(&mut self, command: &str) -> anyhow::Result<()> {
        self.say(command).await?;
        let status = self.line().await?;
        let name = command.split(' ').next().unwrap_or_default();
        if !status.starts_with("+OK") {
            bail!("{name} was answered with {status:?}");
        }
        Ok(())
    }

    async fn multi_line(&mut self, command: &str) -> anyhow::Result<()> {
        self.one_line(command).await?;
        while self.line().await? != "." {}
        Ok(())
    }
}
