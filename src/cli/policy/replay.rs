//! `mailwarden policy replay`: what other rules would have said to recorded sessions.

use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::terminal::{complain, say};
use crate::cli::{EXIT_NO, Globals};
use crate::policy::ActionKind;
use crate::recording::{ReadError, Recording};
use crate::rehearsal::{Rehearsed, Replayed, Verdict, replay};

const AFTER_HELP: &str = "\
Nothing is connected to. Exit code 0: nothing would be decided otherwise; 1:
something would, or a file is refused; 3: a file cannot be read.

Examples:
  mailwarden policy replay monday.mwr --with new-rules.toml
  mailwarden policy replay recordings/*.mwr --with mailwarden.toml";

/// Judge recorded sessions again, and say what would change
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// Recordings, made with `tap --record` or by a rule with `record = true`
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<PathBuf>,
    /// The configuration, or the file of rules
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let policy = match Rehearsed::read(&self.with) {
            Ok(policy) => policy,
            Err(errors) => return Ok(globals.refuse(&errors)),
        };
        let mut is_changed = false;
        for path in &self.recordings {
            let name = path.display();
            let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
            match Recording::open(BufReader::new(file)).and_then(|recording| replay(recording, &policy)) {
                Ok(replayed) => {
                    is_changed |= !replayed.changes.is_empty();
                    say(&shown(&name.to_string(), &replayed)?)?;
                }
                Err(error @ ReadError::Io { .. }) => {
                    return Err(anyhow::Error::new(error).context(format!("cannot read {name}")));
                }
                Err(error) => {
                    complain(&format!("error: {name}: {error}\n"));
                    return Ok(ExitCode::from(EXIT_NO));
                }
            }
        }
        Ok(if is_changed { ExitCode::from(EXIT_NO) } else { ExitCode::SUCCESS })
    }
}

fn shown(name: &str, replayed: &Replayed) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let Replayed { sessions, judged, changes, follow, .. } = replayed;
    writeln!(out, "{name}: {} and {} judged again", plural(*sessions, "session"), plural(*judged, "command"))?;
    for change in changes {
        let (session, seconds) = (change.session, change.at.as_secs_f64());
        let said = crate::recording::printable(&change.said);
        let (before, after) = (verdict(&change.before), verdict(&change.after));
        writeln!(out, "  #{session} {seconds:>9.3} s  {said}\n                 then {before}, now {after}")?;
    }
    for (rule, count) in &replayed.rules {
        writeln!(out, "  rule `{rule}` decides {}", plural(*count, "command"))?;
    }
    for (what, count) in &replayed.unknown {
        writeln!(out, "  cannot be known ({}): {what}", plural(*count, "command"))?;
    }
    let same = judged.saturating_sub(changes.len());
    write!(out, "{same} as then, {} changed", changes.len())?;
    if *follow > 0 {
        write!(out, "; {follow} of the others would fail because of them")?;
    }
    out.push('\n');
    Ok(out)
}

fn verdict(verdict: &Verdict) -> String {
    let action = match verdict.action {
        ActionKind::Allow => "allowed",
        ActionKind::Deny => "denied",
        ActionKind::Rewrite => "rewritten",
        ActionKind::Answer => "answered by the proxy",
        ActionKind::Throttle => "slowed down",
        ActionKind::Disconnect => "ended with the session",
        ActionKind::Ask => "asked about",
    };
    match &verdict.rule {
        Some(rule) => format!("{action} by `{rule}`"),
        None => action.to_owned(),
    }
}

fn plural(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
