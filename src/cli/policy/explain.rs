//! `mailwarden policy explain`: why the policy says what it says to one command.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::terminal::{complain, say};
use crate::cli::{EXIT_NO, Globals};
use crate::config::Paint;
use crate::policy::{ActionKind, Decision, Explanation, Looked, Mode};
use crate::rehearsal::{Given, Rehearsed, Scene, converse, shown_wait};
use crate::wire::Protocol;

const AFTER_HELP: &str = "\
The command goes through the code that serves clients, up to a server that
says yes; nothing is connected to.

Examples:
  mailwarden policy explain --config mailwarden.toml 'a DELETE Archive'
  mailwarden policy explain --config rules.toml --protocol pop3 'DELE 1'
  mailwarden policy explain --config rules.toml --transcript talk.txt";

/// Say which rules a command meets, which conditions hold, and what is decided
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// The configuration, or a file of rules
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// imap or pop3
    #[arg(long, value_name = "NAME", default_value = "imap", value_parser = ["imap", "pop3"])]
    #[arg(hide_possible_values = true)]
    protocol: String,
    /// Who is logged in
    #[arg(long, value_name = "NAME", default_value = "user@example.com")]
    user: String,
    /// The mailbox that is selected (IMAP)
    #[arg(long, value_name = "NAME")]
    selected: Option<String>,
    /// More of the same, as in test cases: 'client = "192.0.2.1"', 'tls = "1.2"'
    #[arg(long, value_name = "KEY=VALUE")]
    given: Vec<String>,
    /// A conversation in a file, with C: and S: before its lines, instead of a command
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    transcript: Option<PathBuf>,
    /// The line or lines that the client sends
    #[arg(value_name = "COMMAND", required_unless_present = "transcript")]
    command: Vec<String>,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let no = |text: &str| {
            complain(&format!("{}\n", text.trim_end()));
            Ok(ExitCode::from(EXIT_NO))
        };
        let policy = match Rehearsed::read(&self.config) {
            Ok(policy) => policy,
            Err(errors) => return Ok(globals.refuse(&errors)),
        };
        let given = match self.facts().and_then(|given| policy.settle(given)) {
            Ok(given) => given,
            Err(text) => return no(&text),
        };
        let conversation = match &self.transcript {
            Some(path) => {
                Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
            }
            None => None,
        };
        let played = match conversation {
            Some(text) => converse(&text, &given, policy.handle()).map(|(played, _)| played),
            None => Scene::set(&given, policy.handle()).map(|mut scene| {
                policy.begin();
                scene.play(&self.command, &[])
            }),
        };
        let mut out = String::new();
        let explanations = policy.explanations();
        let played = match played {
            Ok(played) => played,
            Err(text) => {
                // what was in the way stands among what was asked on it
                for explanation in explanations.iter().filter(|asked| asked.action != ActionKind::Allow) {
                    show(&mut out, explanation, globals.paint())?;
                }
                say(&out)?;
                return no(&text);
            }
        };
        for explanation in &explanations {
            show(&mut out, explanation, globals.paint())?;
        }
        if explanations.is_empty() {
            out.push_str("no rule was asked: the proxy answers this by itself\n");
        }
        for line in &played.client_gets {
            writeln!(out, "client gets: {}", crate::recording::printable(line))?;
        }
        for line in &played.server_gets {
            writeln!(out, "server gets: {}", crate::recording::printable(line))?;
        }
        say(&out)?;
        Ok(ExitCode::SUCCESS)
    }

    fn facts(&self) -> Result<Given, String> {
        let given: Given = toml::from_str(&self.given.join("\n")).map_err(|error| format!("--given: {error}"))?;
        let own = Given {
            protocol: Some(if self.protocol == "pop3" { Protocol::Pop3 } else { Protocol::Imap }),
            user: Some(self.user.clone()),
            selected: self.selected.clone(),
            ..Given::default()
        };
        Ok(given.or(&own))
    }
}

fn show(out: &mut String, explanation: &Explanation, paint: Paint) -> std::fmt::Result {
    writeln!(out, "{}", crate::recording::printable(&explanation.subject))?;
    for rule in &explanation.rules {
        show_rule(out, rule, paint)?;
    }
    let action = explanation.action.as_label();
    match &explanation.rule {
        Some(rule) => writeln!(out, "  → {action}, by rule `{rule}`")?,
        None => writeln!(out, "  → {action}: no rule that acts matches, so the default decides")?,
    }
    if !explanation.wait.is_zero() {
        writeln!(out, "    waits {}", shown_wait(explanation.wait))?;
    }
    for decision in &explanation.decisions {
        let Decision { rule, level, tags, alert, .. } = decision;
        let tags = if tags.is_empty() { String::new() } else { format!(", tags {}", tags.join(" ")) };
        let alert = if *alert { ", alert" } else { "" };
        let would = if decision.mode == Mode::Observe { ", would have acted" } else { "" };
        writeln!(out, "    logged as {}: rule `{rule}`{would}{tags}{alert}", level.as_label())?;
    }
    writeln!(out)
}

fn show_rule(out: &mut String, rule: &Looked, paint: Paint) -> std::fmt::Result {
    let hue = |text: &str, colour: &str| match paint {
        Paint::Plain => text.to_owned(),
        Paint::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
    };
    let mark = |holds: bool| if holds { hue("yes", "32") } else { hue("no ", "2") };
    let only = if rule.mode == Mode::Observe { ", only observed" } else { "" };
    writeln!(out, "  {}  rule `{}` ({}{only})", mark(rule.matches()), rule.name, rule.action.as_label())?;
    for condition in &rule.conditions {
        let found = if condition.found.is_empty() { "not known, or none".to_owned() } else { condition.found.clone() };
        let found = crate::recording::printable(&found);
        writeln!(out, "         {}  {} = {}: {found}", mark(condition.holds), condition.key, condition.wanted)?;
    }
    Ok(())
}
