//! Log lines, to standard error. Wire text is never a log line; what sessions report is logged as
//! fields.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::Globals;
use crate::config::Paint;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Human,
    /// One JSON object a line, for machines
    Json,
}

impl Globals {
    /// Starts logging; `RUST_LOG`, where it is set, decides which lines.
    pub fn start_logging(&self) {
        let default = match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "info",
            (false, 1) => "info,mailwarden=debug",
            (false, _) => "info,mailwarden=trace",
        };
        let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
            Ok(wanted) if !wanted.is_empty() => EnvFilter::builder().parse_lossy(wanted),
            Ok(_) | Err(_) => EnvFilter::new(default),
        };
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        // a log that cannot be written must not end the program
        let lines = lines.log_internal_errors(false);
        match self.log_format {
            LogFormat::Human => {
                lines.with_target(false).with_ansi(self.paint_of_errors() == Paint::Coloured).init();
            }
            LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).init(),
        }
    }
}
