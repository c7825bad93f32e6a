//! The two ends of a measurement: a mail server that serves messages from memory, and clients that ask
//! for them. Neither parses more than it must, so that what stands between them is what is measured.
//!
//! `benches/peers/run` starts both; `docs/performance.md` says how.

#![expect(clippy::print_stdout, reason = "its results are lines of JSON for the program that runs it")]

mod client;
mod message;
mod session;
mod tally;
mod tls;
mod upstream;
mod wire;
mod worker;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "A synthetic mail server and its clients, for measuring what stands between them")]
struct Arguments {
    #[command(subcommand)]
    end: End,
    /// Threads of this end.
    #[arg(long, default_value_t = 1, global = true)]
    threads: usize,
}

#[derive(Debug, Subcommand)]
enum End {
    /// Serve a few messages over IMAP and POP3.
    Upstream(upstream::Upstream),
    /// Open sessions, say so, and work in them for as long as each line of standard input says.
    Client(client::Client),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread needs no scheduler, and takes no wake-ups that would be measured as latency.
    let mut builder = match arguments.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(arguments.threads.max(1)).enable_all().build()?;
    let ended = runtime.block_on(async {
        match arguments.end {
            End::Upstream(upstream) => upstream.serve().await,
            End::Client(client) => client.run().await,
        }
    });
    // A read of standard input may still be waiting for the program that started this one.
    runtime.shutdown_background();
    ended
}
