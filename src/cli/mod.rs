//! The command line: one file per subcommand, and in each nothing but arguments → library call →
//! printing.
//!
//! A subcommand is a struct that derives [`clap::Args`], with
//! `fn run(self, globals: &Globals) -> anyhow::Result<ExitCode>`, `async` if it has to wait. What it returns is the answer;
//! an error means that it could not do its work, and becomes exit code 3. A new one needs its file,
//! its `mod` line, its variant in `Command` and its line in [`Cli::execute`].

mod ca;
mod check;
mod demo;
mod logging;
mod policy;
mod reload;
mod run;
mod show;
mod tap;
mod terminal;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgAction, Args, Parser, Subcommand};

pub use logging::LogFormat;
use logging::Quietness;
pub use terminal::{ColorChoice, is_broken_pipe, report};

/// The answer is no: a test failed, a configuration was refused.
pub const EXIT_NO: u8 = 1;
/// It could not be done: input or output failed, a permission is missing.
pub const EXIT_COULD_NOT: u8 = 3;

const AFTER_HELP: &str = "\
Exit codes:
  0  done           1  the answer is no     2  wrong usage
  3  could not      4  evidence is broken

Examples:
  mailwarden demo
  mailwarden tap imap.example.com
  mailwarden run --config mailwarden.toml
  mailwarden check --config mailwarden.toml";

/// Stands between mail programs and their mail server, and shows what they say.
#[derive(Debug, Parser)]
#[command(name = "mailwarden", version, after_long_help = AFTER_HELP)]
#[command(
    max_term_width = 80,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options that every subcommand takes.
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options that every subcommand takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Globals {
    /// When to use colour: auto, always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: ColorChoice,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say only what is wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How log lines are written: human or json
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Human)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Tap(tap::Args),
    Show(show::Args),
    Run(run::Args),
    Reload(reload::Args),
    Check(check::Args),
    Policy(policy::Args),
    Ca(ca::Args),
}

impl Cli {
    /// Starts logging and runs the subcommand; those that have to wait get a runtime.
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let globals = &self.globals;
        globals.start_logging(match &self.command {
            Command::Demo(_) | Command::Tap(_) | Command::Show(_) => Quietness::Conversation,
            Command::Run(_) | Command::Reload(_) | Command::Check(_) | Command::Policy(_) | Command::Ca(_) => {
                Quietness::Service
            }
        });
        match self.command {
            Command::Demo(args) => on_workers(None, Box::pin(args.run(globals.layout()))),
            Command::Tap(args) => on_workers(None, Box::pin(args.run(globals.layout()))),
            Command::Show(args) => args.run(globals.layout()),
            Command::Run(args) => args.run(globals),
            Command::Reload(args) => on_workers(None, Box::pin(args.run(globals))),
            Command::Check(args) => args.run(globals),
            Command::Policy(args) => args.run(globals),
            Command::Ca(args) => args.run(globals),
        }
    }
}

/// Runs `work` on a runtime of so many threads; as many as there are processors if nobody says.
fn on_workers(
    workers: Option<NonZeroUsize>,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        runtime.worker_threads(workers.get());
    }
    let runtime = runtime.enable_all().build().context("the program could not start its threads")?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn there_are_as_many_workers_as_asked_for() {
        for workers in [1, 3] {
            let work = async {
                assert_eq!(tokio::runtime::Handle::current().metrics().num_workers(), workers);
                Ok(ExitCode::SUCCESS)
            };
            assert_eq!(on_workers(NonZeroUsize::new(workers), work).unwrap(), ExitCode::SUCCESS);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_a_help_with_two_examples_that_fits_the_screen() {
        let mut pending = vec![Cli::command()];
        while let Some(mut command) = pending.pop() {
            command.build();
            let help = command.render_long_help().to_string();
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{help}");
            let examples = help.split_once("Examples:").map_or(0, |(_, after)| after.matches("mailwarden").count());
            assert!(examples >= 2, "{help}");
            let short = command.render_help().to_string();
            assert!(short.lines().count() <= 24, "{short}");
            pending.extend(command.get_subcommands().cloned());
        }
    }
}
