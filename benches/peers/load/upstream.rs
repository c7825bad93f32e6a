//! The server: takes every login, has the same few messages in every mailbox, and answers from memory.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::message;
use crate::tls;
use crate::wire::Wire;

const BACKLOG: u32 = 4096;

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
}

impl Upstream {
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let acceptor = tls::acceptor(&self.chain, &self.key)?;
        let (imap, pop3) = (listen(self.imap)?, listen(self.pop3)?);
        loop {
            tokio::select! {
                Ok((socket, _)) = imap.accept() => {
                    let acceptor = acceptor.clone();
                    // How a session ends is the client's affair, which measures.
                    tokio::spawn(async move { speak_imap(socket, acceptor).await.ok() });
                }
                Ok((socket, _)) = pop3.accept() => {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move { speak_pop3(socket, acceptor).await.ok() });
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.listen(BACKLOG)?)
}

const CAPABILITY: &str = "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR IDLE ID UIDPLUS AUTH=PLAIN";

async fn speak_imap(socket: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let mut wire = tls::accept(&acceptor, socket).await?;
    wire.say(&format!("* OK [{CAPABILITY}] ready\r\n"));
    let (mut line, mut answer) = (String::new(), String::new());
    loop {
        wire.line(&mut line).await?;
        let mut words = line.split(' ');
        let (tag, name) = (words.next().unwrap_or("*"), words.next().unwrap_or_default());
        answer.clear();
        write!(answer, "{tag} OK done\r\n")?;
        match name.to_ascii_uppercase().as_str() {
            "NOOP" => {}
            "FETCH" => fetch(&mut wire, words.next().unwrap_or_default(), words.next().unwrap_or_default()).await?,
            "CAPABILITY" => wire.say(&format!("* {CAPABILITY}\r\n")),
            "SELECT" => {
                let exists = message::COUNT;
                wire.say(&format!("* FLAGS (\\Seen)\r\n* {exists} EXISTS\r\n* OK [UIDVALIDITY 1] ids\r\n"));
            }
            "IDLE" => {
                wire.say("+ idling\r\n");
                wire.line(&mut String::new()).await?;
            }
            "AUTHENTICATE" => {
                if words.nth(1).is_none() {
                    wire.say("+ \r\n");
                    wire.line(&mut String::new()).await?;
                }
            }
            "LOGOUT" => {
                wire.say("* BYE until then\r\n");
                wire.say(&answer);
                return Ok(wire.end().await?);
            }
            // A literal may end the line of APPEND, and of LOGIN as a proxy writes it.
            _ => take_literals(&mut wire, &mut line).await?,
        }
        wire.say(&answer);
    }
}

async fn fetch<S>(wire: &mut Wire<S>, number: &str, item: &str) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if item.contains("FLAGS") {
        wire.say(&format!("* {number} FETCH (FLAGS (\\Seen))\r\n"));
        return Ok(());
    }
    let size = message::size(number.parse()?).context("no such message")?;
    wire.say(&format!("* {number} FETCH (BODY[] {{{size}}}\r\n"));
    wire.say_message(size).await?;
    wire.say(")\r\n");
    Ok(())
}

async fn take_literals<S>(wire: &mut Wire<S>, line: &mut String) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(announced) = line.strip_suffix('}').and_then(|start| start.rsplit_once('{')) {
        let count: usize = announced.1.trim_end_matches('+').parse()?;
        if !announced.1.ends_with('+') {
            wire.say("+ go on\r\n");
        }
        wire.discard(count).await?;
        wire.line(line).await?;
    }
    Ok(())
}

async fn speak_pop3(socket: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let mut wire = tls::accept(&acceptor, socket).await?;
    wire.say("+OK ready\r\n");
    let mut line = String::new();
    loop {
        wire.line(&mut line).await?;
        let mut words = line.split(' ');
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "CAPA" => wire.say("+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n"),
            "STAT" => wire.say(&format!("+OK {} 1000000\r\n", message::COUNT)),
            "UIDL" => {
                wire.say("+OK\r\n");
                for number in 1..=message::COUNT {
                    wire.say(&format!("{number} unique-{number}\r\n"));
                }
                wire.say(".\r\n");
            }
            "RETR" => {
                let number = words.next().unwrap_or_default().parse()?;
                let size = message::size(number).context("no such message")?;
                wire.say(&format!("+OK {size} octets\r\n"));
                wire.say_message(size).await?;
                wire.say(".\r\n");
            }
            "QUIT" => {
                wire.say("+OK until then\r\n");
                return Ok(wire.end().await?);
            }
            _ => wire.say("+OK\r\n"),
        }
    }
}
