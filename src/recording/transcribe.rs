//! Prints a recording as it was printed live.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use super::{Printer, ReadError, Record, Recording};
use crate::session::Event;

/// Why a transcript is not whole.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError {
    /// The recording cannot be read on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The transcript cannot be written.
    #[error("cannot write the transcript")]
    Write(#[source] io::Error),
}

/// Prints all sessions, or the one that is asked for, piece by piece; says which sessions there were.
///
/// What one session reported at one moment is handed to the printer together, as it was live.
pub fn transcribe<R: BufRead>(
    recording: Recording<R>,
    only: Option<u64>,
    printer: &mut Printer,
    mut write: impl FnMut(&str) -> io::Result<()>,
) -> Result<BTreeSet<u64>, TranscribeError> {
    let mut seen = BTreeSet::new();
    let mut together = Together::default();
    let wanted = |session: u64| only.is_none_or(|only| only == session);
    for record in recording {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                write(&together.flush(printer)).map_err(TranscribeError::Write)?;
                return Err(error.into());
            }
        };
        let text = match record {
            Record::Event { session, event } if wanted(session) => {
                let before = if together.belongs(session, &event) { String::new() } else { together.flush(printer) };
                together.session = session;
                together.events.push(event);
                before
            }
            Record::Session(info) => {
                seen.insert(info.id);
                together.flush(printer) + &if wanted(info.id) { printer.session(&info) } else { String::new() }
            }
            Record::Closed(closed) if wanted(closed.session) => together.flush(printer) + &printer.closed(closed),
            Record::Gap(gap) => together.flush(printer) + &printer.gap(gap),
            Record::Event { .. } | Record::Closed(_) => String::new(),
        };
        write(&text).map_err(TranscribeError::Write)?;
    }
    write(&together.flush(printer)).map_err(TranscribeError::Write)?;
    Ok(seen)
}

/// Events of one session at one moment.
#[derive(Default)]
struct Together {
    session: u64,
    events: Vec<Event>,
}

impl Together {
    fn belongs(&self, session: u64, event: &Event) -> bool {
        self.session == session && self.events.last().is_none_or(|last| last.at == event.at)
    }

    fn flush(&mut self, printer: &mut Printer) -> String {
        if self.events.is_empty() {
            return String::new();
        }
        printer.events(self.session, &std::mem::take(&mut self.events))
    }
}
