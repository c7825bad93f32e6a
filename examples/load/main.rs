//! The two ends of a measurement: a mail server that serves one message from memory, and clients that
//! ask for it. Neither parses more than it must, so that what stands between them is what is measured.
//!
//! `tests/measure/measure.py` runs it; `docs/CONTRIBUTING.md` says how.

#![expect(clippy::print_stdout, reason = "its results are lines of JSON for the program that runs it")]

mod client;
mod message;
mod upstream;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "A synthetic mail server and its clients, for measuring what stands between them")]
struct Arguments {
    #[command(subcommand)]
    end: End,
}

#[derive(Debug, Subcommand)]
enum End {
    /// Serve one message over IMAP and POP3.
    Upstream(upstream::Upstream),
    /// Move it, or hold idle sessions, and print what was moved and how long it took.
    Client(client::Client),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().end {
        End::Upstream(upstream) => upstream.serve().await,
        End::Client(client) => client.run().await,
    }
}
