//! Writing to people: colour where it is wanted, and no complaint when nobody listens.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;

use super::{EXIT_COULD_NOT, EXIT_NO, Globals};
use crate::config::{ConfigErrors, Paint};
use crate::recording::Layout;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Globals {
    /// Whether what goes to standard output may be coloured.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint_for(io::stdout().is_terminal())
    }

    /// Whether what goes to standard error may be coloured.
    #[must_use]
    pub fn paint_of_errors(&self) -> Paint {
        self.paint_for(io::stderr().is_terminal())
    }

    /// Says why a configuration cannot be used.
    pub(super) fn refuse(&self, errors: &ConfigErrors) -> ExitCode {
        complain(&errors.render(self.paint_of_errors()));
        refused(errors)
    }

    /// How a conversation is printed on standard output.
    pub(super) fn layout(&self) -> Layout {
        Layout { colour: self.paint() == Paint::Coloured, ..Layout::of_stdout() }
    }

    fn paint_for(&self, terminal: bool) -> Paint {
        // https://no-color.org: any value but the empty one
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.color {
            ColorChoice::Always => Paint::Coloured,
            ColorChoice::Auto if terminal && !unwanted => Paint::Coloured,
            ColorChoice::Auto | ColorChoice::Never => Paint::Plain,
        }
    }
}

/// What a command ends with whose configuration cannot be used.
pub(super) fn refused(errors: &ConfigErrors) -> ExitCode {
    ExitCode::from(if errors.is_unreadable() { EXIT_COULD_NOT } else { EXIT_NO })
}

/// Writes to standard output, at once.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes to standard error, where a failure could be told to nobody.
pub(crate) fn complain(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// Tells a person why something could not be done.
pub fn report(error: &anyhow::Error, paint: Paint) {
    let word = match paint {
        Paint::Plain => "error",
        Paint::Coloured => "\x1b[1;31merror\x1b[0m",
    };
    complain(&format!("{word}: {error:#}\n"));
}

/// Whether an output could not be written because its reader has gone.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}
