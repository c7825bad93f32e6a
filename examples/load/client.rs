//! The clients: log in, do one thing many times over, and check the size of all that comes.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::message::{self, LINE};
use crate::upstream::discard;

#[derive(Debug, clap::Args)]
pub(crate) struct Client {
    /// What to do.
    #[arg(value_enum)]
    errand: Errand,
    /// The proxy or the server; implicit TLS, its name is `localhost`.
    #[arg(long)]
    address: SocketAddr,
    /// The authority to trust, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// Messages moved in each session.
    #[arg(long, default_value_t = 1)]
    messages: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 0)]
    size: usize,
    /// The number of the message to get.
    #[arg(long, default_value_t = 1)]
    number: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Errand {
    /// IMAP FETCH.
    Fetch,
    /// IMAP APPEND.
    Append,
    /// POP3 RETR.
    Retr,
    /// IMAP IDLE, held until standard input ends.
    Idle,
}

impl Client {
    /// Opens all sessions first, so that handshakes are not in the time that is printed.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let connector = self.connector()?;
        let mut sessions = Vec::new();
        for _ in 0..self.sessions {
            sessions.push(self.open(&connector).await?);
        }
        if self.errand == Errand::Idle {
            return hold(sessions).await;
        }
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for mut session in sessions {
            let (errand, messages, number, size) = (self.errand, self.messages, self.number, self.size);
            tasks.spawn(async move {
                for _ in 0..messages {
                    session.run(errand, number, size).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let seconds = start.elapsed().as_secs_f64();
        let octets = self.sessions * self.messages * self.size;
        println!("{{\"octets\": {octets}, \"seconds\": {seconds:.4}}}");
        Ok(())
    }

    fn connector(&self) -> anyhow::Result<TlsConnector> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).with_context(|| format!("{}", self.ca.display()))?)?;
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn open(&self, connector: &TlsConnector) -> anyhow::Result<Session> {
        let socket = TcpStream::connect(self.address).await.with_context(|| format!("{}", self.address))?;
        socket.set_nodelay(true)?;
        let stream = connector.connect(ServerName::try_from("localhost")?, socket).await?;
        let mut session = Session { stream: BufReader::with_capacity(64 << 10, stream) };
        session.line().await?;
        let login: &[&str] = match self.errand {
            Errand::Retr => &["USER ada\r\n", "PASS secret\r\n"],
            Errand::Fetch | Errand::Append | Errand::Idle => &["a LOGIN ada secret\r\n", "a SELECT INBOX\r\n"],
        };
        for command in login {
            session.say(command).await?;
            session.done().await?;
        }
        if self.errand == Errand::Idle {
            session.say("a IDLE\r\n").await?;
            let line = session.line().await?;
            ensure!(line.starts_with('+'), "IDLE was answered {line:?}");
        }
        Ok(session)
    }
}

/// Says that all are there, and keeps them open until it is told to stop.
async fn hold(sessions: Vec<Session>) -> anyhow::Result<()> {
    println!("{{\"sessions\": {}}}", sessions.len());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    drop(sessions);
    Ok(())
}

struct Session {
    stream: BufReader<TlsStream<TcpStream>>,
}

impl Session {
    async fn run(&mut self, errand: Errand, number: usize, size: usize) -> anyhow::Result<()> {
        match errand {
            Errand::Fetch => {
                self.say(&format!("a FETCH {number} BODY.PEEK[]\r\n")).await?;
                let line = self.line().await?;
                ensure!(line.ends_with(&format!("{{{size}}}")), "FETCH was answered {line:?}");
                discard(&mut self.stream, size).await?;
                self.done().await
            }
            Errand::Append => {
                self.say(&format!("a APPEND INBOX {{{size}}}\r\n")).await?;
                let line = self.line().await?;
                ensure!(line.starts_with('+'), "APPEND was answered {line:?}");
                message::write(self.stream.get_mut(), size).await?;
                self.say("\r\n").await?;
                self.done().await
            }
            Errand::Retr => {
                self.say(&format!("RETR {number}\r\n")).await?;
                self.done().await?;
                discard(&mut self.stream, size / LINE * LINE).await?;
                let line = self.line().await?;
                ensure!(line == ".", "the message was followed by {line:?}");
                Ok(())
            }
            Errand::Idle => bail!("a session in IDLE does nothing"),
        }
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// A line without its end. The end of the stream is an error: it must not look like success.
    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "the other side closed");
        Ok(line.trim_end().to_owned())
    }

    /// Reads up to the line that completes a command.
    async fn done(&mut self) -> anyhow::Result<()> {
        loop {
            let line = self.line().await?;
            if line.starts_with("a OK") || line.starts_with("+OK") {
                return Ok(());
            }
            ensure!(line.starts_with("* ") || line == ")", "a command was answered {line:?}");
        }
    }
}
