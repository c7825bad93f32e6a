//! `mailwarden check`: all that can be known of a configuration before it is started.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::terminal::say;
use super::{EXIT_NO, Globals};
use crate::config::{Config, Loaded, Paint, Problem};
use crate::proxy::{self, ListenerSettings, UpstreamSettings};
use crate::session::{Limits, Posture, TlsMode};
use crate::tls::{CertificateSettings, Roots};

const AFTER_HELP: &str = "\
Opens the files the configuration names; listens on nothing, connects to
nothing. A file with rules, groups and hooks alone is checked as one that is
included. Exit code 0: it can be used; 1: it is refused; 3: it cannot be read.

Examples:
  mailwarden check --config /etc/mailwarden/mailwarden.toml
  mailwarden check --quiet --config mailwarden.toml && echo good";

/// Say what is wrong with a configuration file, and what would be right
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// The configuration file, or a file of rules
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let loaded = match Loaded::read_any(&self.config) {
            Ok(loaded) => loaded,
            Err(errors) if errors.is_unreadable() => return Ok(globals.refuse(&errors)),
            Err(errors) => {
                let problems: Vec<&Problem> = errors.problems().iter().collect();
                say(&format!("{}{}", errors.render(globals.paint()), summary(&problems, 0)))?;
                return Ok(ExitCode::from(EXIT_NO));
            }
        };
        let unreadable = loaded.check_files();
        // a file that cannot be opened has been told already, with its place
        let runs = !loaded.config.listeners.is_empty();
        let findings = if runs && unreadable.is_empty() { proxy::check(&loaded.config).err() } else { None };
        let findings = findings.unwrap_or_default();
        let problems: Vec<&Problem> = loaded.warnings.iter().chain(&unreadable).collect();
        let mut out = String::new();
        if !globals.quiet {
            sections(&mut out, &self.config, &loaded.config, globals.paint())?;
        }
        for problem in &problems {
            out.push_str(&loaded.source.render(problem, globals.paint()));
        }
        for finding in &findings {
            writeln!(out, "error[{}]: {}\n  help: {}", finding.code, finding.sentence, finding.help)?;
        }
        if !globals.quiet || !problems.is_empty() || !findings.is_empty() {
            out.push_str(&summary(&problems, findings.len()));
        }
        say(&out)?;
        let refused = !findings.is_empty() || !unreadable.is_empty();
        Ok(if refused { ExitCode::from(EXIT_NO) } else { ExitCode::SUCCESS })
    }
}

fn summary(problems: &[&Problem], findings: usize) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count() + findings;
    let warnings = problems.iter().filter(|problem| !problem.is_error()).count();
    format!("{}, {}\n", plural(errors, "error"), plural(warnings, "warning"))
}

fn plural(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// One line for each section: what the program has understood.
fn sections(out: &mut String, path: &std::path::Path, config: &Config, paint: Paint) -> std::fmt::Result {
    let ok = match paint {
        Paint::Plain => "ok",
        Paint::Coloured => "\x1b[1;32mok\x1b[0m",
    };
    let mut line = |what: &str, text: String| writeln!(out, "{ok}    {what:<11} {text}");
    if config.listeners.is_empty() {
        // nothing else is read without one
        line("rules", format!("{} ({})", path.display(), rules_line(config)))?;
        return Ok(());
    }
    let counts = [
        plural(config.listeners.len(), "listener"),
        plural(config.upstreams.len(), "upstream"),
        plural(config.rules.len(), "rule"),
    ];
    line("config", format!("{} ({})", path.display(), counts.join(", ")))?;
    if let Some(admin) = &config.admin {
        line("admin", admin.address.to_string())?;
    }
    if let Some(authority) = &config.authority {
        let known = authority.directory.join("ca.pem").exists();
        let made = if known { "" } else { ", made on first start" };
        line("authority", format!("{}{made}", authority.directory.display()))?;
    }
    for listener in &config.listeners {
        line("listener", listener_line(listener))?;
    }
    for upstream in &config.upstreams {
        line("upstream", upstream_line(upstream))?;
    }
    let usual = config.limits == Limits::default();
    line("limits", if usual { "as they come" } else { "some changed" }.to_owned())?;
    if !config.rules.is_empty() {
        line("rules", rules_line(config))?;
    }
    Ok(())
}

fn rules_line(config: &Config) -> String {
    let mut line = plural(config.rules.len(), "rule");
    let observing = config.rules.iter().filter(|rule| rule.only_observes()).count();
    if observing > 0 {
        line = format!("{line} ({observing} only observing)");
    }
    for (count, thing) in [(config.groups.len(), "group"), (config.hooks.len(), "hook")] {
        if count > 0 {
            line = format!("{line}, {}", plural(count, thing));
        }
    }
    let default = config.policy.default.as_label();
    format!("{line}; the first rule that matches decides, otherwise {default}")
}

fn listener_line(listener: &ListenerSettings) -> String {
    let certificate = match &listener.certificate {
        None => "",
        Some(CertificateSettings::Mint(_)) => ", certificates minted",
        Some(CertificateSettings::Files(_)) => ", own certificate",
        Some(CertificateSettings::List(_)) => ", own certificates by name",
    };
    let posture = match listener.posture {
        Posture::Enforce => "enforces",
        Posture::Observe => "observes",
    };
    let (name, address, protocol) = (&listener.name, listener.address, listener.protocol.as_label());
    let (tls, upstream) = (tls_words(listener.tls), &listener.upstream);
    format!("{name} {address}: {protocol}, {tls}{certificate}, {posture}, to {upstream}")
}

fn upstream_line(upstream: &UpstreamSettings) -> String {
    let verified = match (upstream.tls, &upstream.pin, &upstream.roots) {
        (TlsMode::None, ..) => ", not verified".to_owned(),
        (_, Some(_), _) => ", verified by its pinned key".to_owned(),
        (_, None, Roots::System) => ", verified by the system's roots".to_owned(),
        (_, None, Roots::File(file)) => format!(", verified by {}", file.display()),
    };
    format!("{} {}: {}{verified}", upstream.name, upstream.address, tls_words(upstream.tls))
}

fn tls_words(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Implicit => "TLS",
        TlsMode::Starttls => "TLS after STARTTLS",
        TlsMode::None => "no encryption",
    }
}
