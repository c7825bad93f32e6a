//! The clients: open their sessions, say that they are there, and work when they are told to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use crate::tally::Tally;
use crate::tls;
use crate::worker::{Errand, Plan, Worker};

/// Sessions that are opened, or moved out of IDLE, at the same time.
const AT_A_TIME: usize = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct Client {
    /// What to do.
    #[arg(value_enum)]
    errand: Errand,
    /// Where IMAP with implicit TLS is spoken; its name is `localhost`.
    #[arg(long)]
    imap: SocketAddr,
    /// Where POP3 with implicit TLS is spoken.
    #[arg(long)]
    pop3: SocketAddr,
    /// The authority to trust, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// The message to move: 1 is 4 KiB, 2 is 64 KiB, 3 is 1 MiB, 4 is 25 MiB, 5 is 200 MiB.
    #[arg(long, default_value_t = 1)]
    number: usize,
    /// Begin sessions with a ticket of an earlier one.
    #[arg(long)]
    resume: bool,
}

impl Client {
    /// Each line of standard input is a number of seconds to work for; each is answered with a line of figures.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let plan = Arc::new(Plan {
            errand: self.errand,
            number: self.number,
            imap: self.imap,
            pop3: self.pop3,
            connector: tls::connector(&self.ca, self.resume)?,
        });
        let mut workers = open(&plan, self.sessions).await?;
        println!("{{\"ready\": {}}}", workers.len());
        while let Some(time) = tokio::task::spawn_blocking(next_order).await?? {
            let start = Instant::now();
            let (back, tally) = match self.errand {
                Errand::Idle => once_each(workers).await?,
                _ => for_a_time(workers, time).await?,
            };
            workers = back;
            tally.print(start.elapsed().as_secs_f64());
        }
        Ok(())
    }
}

/// The time of the next line of standard input.
fn next_order() -> anyhow::Result<Option<Duration>> {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(Duration::try_from_secs_f64(line.trim().parse().context("a number of seconds is asked for")?)?))
}

async fn open(plan: &Arc<Plan>, sessions: usize) -> anyhow::Result<Vec<Worker>> {
    let mut workers = Vec::with_capacity(sessions);
    let mut opening = JoinSet::new();
    for index in 0..sessions {
        if opening.len() == AT_A_TIME {
            workers.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        opening.spawn(Worker::start(Arc::clone(plan), u64::try_from(index)?));
    }
    while let Some(opened) = opening.join_next().await {
        workers.push(opened??);
    }
    Ok(workers)
}

/// All workers at once, each until the time is over and what it began is done.
async fn for_a_time(workers: Vec<Worker>, time: Duration) -> anyhow::Result<(Vec<Worker>, Tally)> {
    let end = Instant::now() + time;
    let mut working = JoinSet::new();
    for mut worker in workers {
        working.spawn(async move {
            let mut tally = Tally::new()?;
            loop {
                worker.once(&mut tally).await?;
                if Instant::now() >= end {
                    return anyhow::Ok((worker, tally));
                }
            }
        });
    }
    let (mut back, mut total) = (Vec::new(), Tally::new()?);
    while let Some(ended) = working.join_next().await {
        let (worker, tally) = ended??;
        back.push(worker);
        total.add(&tally)?;
    }
    Ok((back, total))
}

/// Each worker once, a few at a time.
async fn once_each(workers: Vec<Worker>) -> anyhow::Result<(Vec<Worker>, Tally)> {
    let (mut back, mut total) = (Vec::new(), Tally::new()?);
    let mut working = JoinSet::new();
    for mut worker in workers {
        if working.len() == AT_A_TIME
            && let Some(ended) = working.join_next().await
        {
            let (worker, tally) = ended??;
            back.push(worker);
            total.add(&tally)?;
        }
        working.spawn(async move {
            let mut tally = Tally::new()?;
            worker.once(&mut tally).await?;
            anyhow::Ok((worker, tally))
        });
    }
    while let Some(ended) = working.join_next().await {
        let (worker, tally) = ended??;
        back.push(worker);
        total.add(&tally)?;
    }
    Ok((back, total))
}
