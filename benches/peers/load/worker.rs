//! The errands: what a worker does over and over, in one session that it keeps or in one after another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tokio_rustls::TlsConnector;

use crate::session::Session;
use crate::tally::Tally;

/// Commands in one piece of `Errand::Flags`.
const PIPELINED: u64 = 100;
/// Numbers of the messages of 4 KiB, 64 KiB and 1 MiB.
const SMALL: usize = 1;
const MIDDLE: usize = 2;
const LARGE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Errand {
    /// IMAP FETCH of a message.
    Fetch,
    /// IMAP APPEND of a message.
    Append,
    /// POP3 RETR of a message.
    Retr,
    /// IMAP NOOP, one after another.
    Noop,
    /// IMAP FETCH FLAGS, a hundred commands in one piece.
    Flags,
    /// IMAP connect, LOGIN, LOGOUT, close.
    Session,
    /// POP3 connect, USER, PASS, STAT, UIDL, RETR, QUIT, close.
    Collect,
    /// IMAP IDLE; when told to run, each session fetches one message of 1 MiB and goes idle again.
    Idle,
    /// A mixture of all but IDLE.
    Mixed,
}

/// What all workers of a run share.
pub(crate) struct Plan {
    pub(crate) errand: Errand,
    pub(crate) number: usize,
    pub(crate) imap: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) connector: TlsConnector,
}

pub(crate) struct Worker {
    plan: Arc<Plan>,
    /// The session that is kept, in errands that keep one.
    session: Option<Session>,
    /// State of the mixture's choice; the same in every run.
    chance: u64,
}

impl Worker {
    /// Opens the session if one is kept, and does the work once in small, so that no first time is measured.
    pub(crate) async fn start(plan: Arc<Plan>, index: u64) -> anyhow::Result<Self> {
        let session = match plan.errand {
            Errand::Session | Errand::Collect => None,
            Errand::Retr => {
                let mut session = Session::open(&plan.connector, plan.pop3).await?;
                session.login_pop3().await?;
                session.retrieve(MIDDLE).await?;
                Some(session)
            }
            errand => {
                let mut session = Session::open(&plan.connector, plan.imap).await?;
                session.login_imap().await?;
                session.select().await?;
                match errand {
                    Errand::Idle => session.idle().await?,
                    Errand::Append => drop(session.append(MIDDLE).await?),
                    Errand::Noop | Errand::Flags => session.noop().await?,
                    _ => drop(session.fetch(MIDDLE).await?),
                }
                Some(session)
            }
        };
        let mut worker = Self { plan, session, chance: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * index + 1) };
        if worker.session.is_none() {
            worker.once(&mut Tally::new()?).await?;
        }
        Ok(worker)
    }

    /// Does the work once and counts it.
    pub(crate) async fn once(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        let start = Instant::now();
        let plan = Arc::clone(&self.plan);
        let (operations, octets) = match (plan.errand, self.session.as_mut()) {
            (Errand::Session, _) => self.log_in_and_out(tally).await?,
            (Errand::Collect, _) => self.collect(tally, plan.number).await?,
            (_, None) => anyhow::bail!("this errand keeps a session"),
            (Errand::Fetch, Some(session)) => (1, session.fetch(plan.number).await?),
            (Errand::Append, Some(session)) => (1, session.append(plan.number).await?),
            (Errand::Retr, Some(session)) => (1, session.retrieve(plan.number).await?),
            (Errand::Noop, Some(session)) => session.noop().await.map(|()| (1, 0))?,
            (Errand::Flags, Some(session)) => session.fetch_flags(PIPELINED).await.map(|()| (PIPELINED, 0))?,
            (Errand::Idle, Some(session)) => {
                session.stop_idle().await?;
                let octets = session.fetch(LARGE).await?;
                session.idle().await?;
                (1, octets)
            }
            (Errand::Mixed, Some(_)) => self.mixed(tally).await?,
        };
        tally.took(start.elapsed());
        tally.operations += operations;
        tally.octets += u64::try_from(octets)?;
        Ok(())
    }

    async fn log_in_and_out(&self, tally: &mut Tally) -> anyhow::Result<(u64, usize)> {
        let mut session = Session::open(&self.plan.connector, self.plan.imap).await?;
        tally.resumed += u64::from(session.resumed);
        session.login_imap().await?;
        session.logout().await?;
        Ok((1, 0))
    }

    async fn collect(&self, tally: &mut Tally, number: usize) -> anyhow::Result<(u64, usize)> {
        let mut session = Session::open(&self.plan.connector, self.plan.pop3).await?;
        tally.resumed += u64::from(session.resumed);
        session.login_pop3().await?;
        Ok((1, session.collect(number).await?))
    }

    /// One of many things, most of them small, as mail programs do them.
    async fn mixed(&mut self, tally: &mut Tally) -> anyhow::Result<(u64, usize)> {
        let choice = self.roll();
        let session = self.session.as_mut().context("a session is kept")?;
        Ok(match choice {
            0..40 => session.noop().await.map(|()| (1, 0))?,
            40..65 => session.fetch_flags(10).await.map(|()| (10, 0))?,
            65..85 => (1, session.fetch(SMALL).await?),
            85..92 => (1, session.fetch(MIDDLE).await?),
            92..94 => (1, session.append(MIDDLE).await?),
            94..96 => (1, session.fetch(LARGE).await?),
            96..98 => self.log_in_and_out(tally).await?,
            _ => self.collect(tally, SMALL).await?,
        })
    }

    /// 0 to 99, from a xorshift generator.
    fn roll(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % 100
    }
}
