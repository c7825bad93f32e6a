//! `mailwarden policy`: what rules do, tried out without a server.

mod explain;
mod junit;
mod replay;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

use super::Globals;

const AFTER_HELP: &str = "\
Examples:
  mailwarden policy test policies/
  mailwarden policy explain --config rules.toml 'a DELETE Archive'
  mailwarden policy replay monday.mwr --with new-rules.toml";

/// Try rules out before they are in force
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Args),
    Explain(explain::Args),
    Replay(replay::Args),
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Test(args) => args.run(globals),
            Command::Explain(args) => args.run(globals),
            Command::Replay(args) => args.run(globals),
        }
    }
}
