//! `mailwarden run`: the service.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::terminal::{complain, refused};
use super::{Globals, LogFormat, on_workers};
use crate::config::{Config, ConfigErrors, Loaded, Problem, Source};
use crate::proxy::{self, Bound, RunError};
use crate::reload::{ReloadHandle, ReloadSource};

const AFTER_HELP: &str = "\
Ctrl-C or SIGTERM lets sessions finish and stops; a second one stops at once.
SIGHUP puts changed rules in force: see mailwarden reload.

Examples:
  mailwarden run --config /etc/mailwarden/mailwarden.toml
  mailwarden run --config mailwarden.toml --log-format json 2>> mailwarden.log
  RUST_LOG=debug mailwarden run --config mailwarden.toml";

/// Start the proxy and keep it running
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let reloads = ReloadHandle::new(&self.config);
        let loaded = match Loaded::read(&self.config) {
            Ok(loaded) => loaded,
            Err(errors) => return Ok(refuse(&errors, globals)),
        };
        for warning in &loaded.warnings {
            warn(&loaded.source, warning);
        }
        on_workers(loaded.config.process.workers, Box::pin(Self::serve(loaded.config, reloads)))
    }

    /// Serves until it is asked to stop.
    async fn serve(config: Config, reloads: (ReloadHandle, ReloadSource)) -> anyhow::Result<ExitCode> {
        let mut stops = Stops::new()?;
        let shutdown = CancellationToken::new();
        let handle = reloads.0.clone();
        let service = proxy::run_reloading(config, Some(reloads), Vec::new(), announce, shutdown.clone());
        let mut service = std::pin::pin!(service);
        let mut reloading = std::pin::pin!(reload_at_sighup(handle)?);
        tokio::select! {
            outcome = &mut service => return finish(outcome),
            never = &mut reloading => match never {},
            name = stops.next() => {
                tracing::info!(signal = name, "stopping: sessions may finish what they are doing; once more stops at once");
            }
        }
        shutdown.cancel();
        tokio::select! {
            outcome = &mut service => finish(outcome),
            name = stops.next() => {
                tracing::warn!(signal = name, "stopped at once; open sessions were cut off");
                Ok(ExitCode::from(if name == "SIGINT" { 130 } else { 143 }))
            }
        }
    }
}

/// SIGHUP has the configuration read again; what comes of it is told by the log.
fn reload_at_sighup(handle: ReloadHandle) -> std::io::Result<impl Future<Output = Infallible>> {
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            if hangups.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            handle.reload("signal").await;
        }
    })
}

fn finish(outcome: Result<(), RunError>) -> anyhow::Result<ExitCode> {
    outcome?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn announce(bound: &Bound) {
    for (name, address) in &bound.listeners {
        tracing::info!(listener = %name, %address, "listening");
    }
    if let Some(address) = bound.admin {
        tracing::info!(%address, "metrics and health at /metrics, /livez, /readyz");
    }
}

/// Says why nothing was started.
fn refuse(errors: &ConfigErrors, globals: &Globals) -> ExitCode {
    if globals.log_format == LogFormat::Human {
        let code = globals.refuse(errors);
        complain("nothing was started\n");
        return code;
    }
    for problem in errors.problems() {
        complain(&format!("{}\n", errors.source_text().json(problem)));
    }
    refused(errors)
}

fn warn(source: &Source, warning: &Problem) {
    let (line, column) = warning.span.as_ref().map_or((1, 1), |span| source.position(span.start));
    let (code, help) = (warning.code.as_str(), &warning.help);
    tracing::warn!(code, line, column, help, "{}", warning.message);
}

/// The two ways a person or a service manager asks for the end.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancel safe: a signal that was not told yet is told by the next call.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
