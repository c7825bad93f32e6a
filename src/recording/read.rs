//! Reads a recording, line by line, and says where and why it cannot.

use std::io::{self, BufRead, Read};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ClosedLine, EventLine, GapLine, Head, Record, SessionLine, VERSION};

/// No line of a recording is longer: text is cut when it is observed.
const LINE_LIMIT: u64 = 1 << 20;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read on after line {line}")]
    Io {
        /// The last line that was read.
        line: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first line is not the head of a recording.
    #[error("this is not a recording: its first line does not begin with {{\"mailwarden_recording\":…")]
    NotARecording,
    /// The recording was made by a later version of the program.
    #[error("the recording has format {found}, this program reads up to {VERSION}: use a newer mailwarden")]
    TooNew {
        /// Its format.
        found: u64,
    },
    /// A line is not what it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// Which one, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The last line has no end: the program that recorded was killed, or is still running.
    #[error("line {line} is cut off: the recording was not ended; all before it is good")]
    CutOff {
        /// Which one, from 1.
        line: u64,
    },
}

/// A recording that is being read: an iterator over its records, which ends after the first error.
#[derive(Debug)]
pub struct Recording<R> {
    input: R,
    line: u64,
    ended: bool,
    head: Head,
}

impl<R: BufRead> Recording<R> {
    /// Reads the head.
    pub fn open(mut input: R) -> Result<Self, ReadError> {
        let mut line = 0;
        let text = match next_line(&mut input, &mut line) {
            Ok(Some(text)) => text,
            Ok(None) | Err(ReadError::Line { .. } | ReadError::CutOff { .. }) => return Err(ReadError::NotARecording),
            Err(error) => return Err(error),
        };
        let value: Value = serde_json::from_slice(&text).map_err(|_| ReadError::NotARecording)?;
        let found = value.get("mailwarden_recording").and_then(Value::as_u64).ok_or(ReadError::NotARecording)?;
        if found > u64::from(VERSION) {
            return Err(ReadError::TooNew { found });
        }
        Ok(Self { input, line, ended: false, head: typed(value, line)? })
    }

    /// What the first line says.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    fn record(&mut self) -> Result<Option<Record>, ReadError> {
        let Some(text) = next_line(&mut self.input, &mut self.line)? else { return Ok(None) };
        let line = self.line;
        let value: Value = serde_json::from_slice(&text).map_err(|error| ReadError::Line {
            line,
            problem: format!("not JSON from column {} on", error.column()),
        })?;
        let has = |key: &str| value.get(key).is_some();
        let record = if has("event") {
            let EventLine { s, event } = typed(value, line)?;
            Record::Event { session: s, event }
        } else if has("session") {
            let SessionLine { session } = typed(value, line)?;
            Record::Session(session)
        } else if has("closed") {
            let ClosedLine { closed } = typed(value, line)?;
            Record::Closed(closed)
        } else if has("gap") {
            let GapLine { gap } = typed(value, line)?;
            Record::Gap(gap)
        } else {
            let problem = "expected `event`, `session`, `closed` or `gap`".to_owned();
            return Err(ReadError::Line { line, problem });
        };
        Ok(Some(record))
    }
}

impl<R: BufRead> Iterator for Recording<R> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

fn typed<T: DeserializeOwned>(value: Value, line: u64) -> Result<T, ReadError> {
    serde_json::from_value(value).map_err(|error| ReadError::Line { line, problem: error.to_string() })
}

/// The next line without its end; counts it.
fn next_line(input: &mut impl BufRead, line: &mut u64) -> Result<Option<Vec<u8>>, ReadError> {
    let mut text = Vec::new();
    let read = input.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text);
    let read = read.map_err(|source| ReadError::Io { line: *line, source })?;
    if read == 0 {
        return Ok(None);
    }
    *line += 1;
    if text.pop() == Some(b'\n') {
        Ok(Some(text))
    } else if read as u64 == LINE_LIMIT {
        Err(ReadError::Line { line: *line, problem: format!("longer than {LINE_LIMIT} octets") })
    } else {
        Err(ReadError::CutOff { line: *line })
    }
}
