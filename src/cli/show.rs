//! `mailwarden show`: prints a recording again.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::recording::{Layout, Printer, ReadError, Recording, TranscribeError, transcribe};

const AFTER_HELP: &str = "\
Examples:
  mailwarden show case.mwr
  mailwarden show case.mwr --session 2 | less";

/// Print a recording as the conversation it was
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// A recording made with `tap --record`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print only this session
    #[arg(long, value_name = "N")]
    session: Option<u64>,
}

impl Args {
    /// Prints to standard output. The answer is no (1) if the file is no recording, is damaged, or has no
    /// such session.
    pub(super) fn run(self, layout: Layout) -> anyhow::Result<ExitCode> {
        let name = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("cannot open {name}"))?;
        let mut out = BufWriter::new(io::stdout().lock());
        let transcribed = Recording::open(BufReader::new(file)).map_err(TranscribeError::from).and_then(|recording| {
            let mut printer = Printer::new(layout);
            transcribe(recording, self.session, &mut printer, |text| out.write_all(text.as_bytes()))
        });
        out.flush()?;
        let no = |why: String| {
            // where standard error is closed, the exit code still tells
            let _unheard = writeln!(io::stderr(), "error: {name}: {why}");
            Ok(ExitCode::from(1))
        };
        match (transcribed, self.session) {
            (Ok(seen), Some(wanted)) if !seen.contains(&wanted) => {
                let known: Vec<String> = seen.iter().map(u64::to_string).collect();
                no(format!("there is no session {wanted} in it; it has {}", known.join(", ")))
            }
            (Ok(_), _) => Ok(ExitCode::SUCCESS),
            (Err(TranscribeError::Read(error @ ReadError::Io { .. })), _) => {
                Err(anyhow::Error::new(error).context(format!("cannot read {name}")))
            }
            (Err(TranscribeError::Read(error)), _) => no(error.to_string()),
            (Err(error @ TranscribeError::Write(_)), _) => Err(error.into()),
        }
    }
}
