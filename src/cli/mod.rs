//! The command line: one file per subcommand.

mod demo;
mod show;
mod tap;

use std::process::ExitCode;

use crate::recording::Layout;

/// The subcommands.
#[derive(Debug, clap::Parser)]
pub enum Command {
    #[command(flatten)]
    #[allow(missing_docs, reason = "the help is the documentation")]
    All(All),
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
#[expect(private_interfaces, reason = "only clap makes them")]
pub enum All {
    /// See `demo`.
    Demo(demo::Args),
    /// See `tap`.
    Tap(tap::Args),
    /// See `show`.
    Show(show::Args),
}

impl Command {
    /// Runs the subcommand.
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        let Self::All(all) = self;
        let layout = Layout::of_stdout();
        match all {
            All::Demo(args) => Box::pin(args.run(layout)).await,
            All::Tap(args) => Box::pin(args.run(layout)).await,
            All::Show(args) => args.run(layout),
        }
    }
}
