//! One session of a client, and what can be done in it.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio_rustls::TlsConnector;

use crate::message;
use crate::tls::{self, Client};
use crate::wire::Wire;

#[derive(Debug)]
pub(crate) struct Session {
    wire: Wire<Client>,
    line: String,
    /// Whether it began with a ticket.
    pub(crate) resumed: bool,
}

impl Session {
    /// Connects, and takes the greeting.
    pub(crate) async fn open(connector: &TlsConnector, address: SocketAddr) -> anyhow::Result<Self> {
        let (wire, resumed) = tls::connect(connector, address).await?;
        let mut session = Self { wire, line: String::new(), resumed };
        session.line().await.context("greeting")?;
        Ok(session)
    }

    pub(crate) async fn login_imap(&mut self) -> anyhow::Result<()> {
        self.say("a LOGIN ada secret\r\n");
        self.done("a OK").await.context("LOGIN")
    }

    pub(crate) async fn select(&mut self) -> anyhow::Result<()> {
        self.say("a SELECT INBOX\r\n");
        self.done("a OK").await.context("SELECT")
    }

    pub(crate) async fn login_pop3(&mut self) -> anyhow::Result<()> {
        for command in ["USER ada\r\n", "PASS secret\r\n"] {
            self.say(command);
            self.done("+OK").await.context("USER and PASS")?;
        }
        Ok(())
    }

    pub(crate) async fn noop(&mut self) -> anyhow::Result<()> {
        self.say("a NOOP\r\n");
        self.done("a OK").await.context("NOOP")
    }

    /// `count` commands in one piece, then their answers.
    pub(crate) async fn fetch_flags(&mut self, count: u64) -> anyhow::Result<()> {
        for number in 1..=count {
            self.say(&format!("f{number} FETCH {number} (FLAGS)\r\n"));
        }
        for number in 1..=count {
            self.line().await?;
            ensure!(self.line.starts_with("* "), "FETCH FLAGS was answered {:?}", self.line);
            self.line().await?;
            let tag = self.line.strip_prefix('f').and_then(|line| line.split_once(" OK"));
            ensure!(tag.is_some_and(|(tag, _)| tag == number.to_string()), "f{number} was answered {:?}", self.line);
        }
        Ok(())
    }

    /// Gets a message and returns its octets.
    pub(crate) async fn fetch(&mut self, number: usize) -> anyhow::Result<usize> {
        let size = message::size(number).context("no such message")?;
        self.say(&format!("a FETCH {number} (BODY.PEEK[])\r\n"));
        self.line().await?;
        ensure!(self.line.ends_with(&format!("{{{size}}}")), "FETCH was answered {:?}", self.line);
        self.wire.discard(size).await?;
        self.done("a OK").await.context("FETCH")?;
        Ok(size)
    }

    pub(crate) async fn append(&mut self, number: usize) -> anyhow::Result<usize> {
        let size = message::size(number).context("no such message")?;
        self.say(&format!("a APPEND INBOX {{{size}}}\r\n"));
        self.line().await?;
        ensure!(self.line.starts_with('+'), "APPEND was answered {:?}", self.line);
        self.wire.say_message(size).await?;
        self.say("\r\n");
        self.done("a OK").await.context("APPEND")?;
        Ok(size)
    }

    pub(crate) async fn retrieve(&mut self, number: usize) -> anyhow::Result<usize> {
        let size = message::size(number).context("no such message")?;
        self.say(&format!("RETR {number}\r\n"));
        self.done("+OK").await.context("RETR")?;
        self.wire.discard(size).await?;
        self.line().await?;
        ensure!(self.line == ".", "the message was followed by {:?}", self.line);
        Ok(size)
    }

    /// `STAT`, `UIDL`, one message, `QUIT`: what a program does that looks for new mail.
    pub(crate) async fn collect(mut self, number: usize) -> anyhow::Result<usize> {
        self.say("STAT\r\n");
        self.done("+OK").await.context("STAT")?;
        self.say("UIDL\r\n");
        self.done("+OK").await.context("UIDL")?;
        while self.line != "." {
            self.line().await?;
        }
        let size = self.retrieve(number).await?;
        self.say("QUIT\r\n");
        self.done("+OK").await.context("QUIT")?;
        self.wire.close().await;
        Ok(size)
    }

    pub(crate) async fn logout(mut self) -> anyhow::Result<()> {
        self.say("a LOGOUT\r\n");
        self.done("a OK").await.context("LOGOUT")?;
        self.wire.close().await;
        Ok(())
    }

    pub(crate) async fn idle(&mut self) -> anyhow::Result<()> {
        self.say("a IDLE\r\n");
        self.line().await?;
        ensure!(self.line.starts_with('+'), "IDLE was answered {:?}", self.line);
        Ok(())
    }

    pub(crate) async fn stop_idle(&mut self) -> anyhow::Result<()> {
        self.say("DONE\r\n");
        self.done("a OK").await.context("DONE")
    }

    fn say(&mut self, text: &str) {
        self.wire.say(text);
    }

    async fn line(&mut self) -> anyhow::Result<()> {
        Ok(self.wire.line(&mut self.line).await?)
    }

    /// Reads up to the line that completes a command.
    async fn done(&mut self, good: &str) -> anyhow::Result<()> {
        loop {
            self.line().await?;
            if self.line.starts_with(good) {
                return Ok(());
            }
            if !(self.line.starts_with("* ") || self.line == ")") {
                bail!("the answer is {:?}", self.line);
            }
        }
    }
}
