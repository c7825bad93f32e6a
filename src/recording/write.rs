//! Writes a recording.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::spool::Spool;
use super::{Closed, ClosedLine, EventLine, Gap, GapLine, Head, SessionLine, VERSION};
use crate::session::Event;
use crate::witness::{SessionInfo, Witness};

/// The witness that writes a recording to a file.
#[derive(Debug)]
pub struct Recorder {
    spool: Spool,
    /// As last written, per open session: what is known of it grows.
    known: std::sync::Mutex<std::collections::BTreeMap<u64, SessionInfo>>,
}

impl Recorder {
    /// Makes the file, readable by its owner only, and writes the head. A file that exists is not touched:
    /// the error says so. `failed` is called as soon as the file takes nothing more, as on a full disk.
    pub fn create(path: &Path, failed: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Self::start(file, Timestamp::now(), failed)
    }

    pub(super) fn start(
        out: impl io::Write + Send + 'static,
        created: Timestamp,
        failed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let program = concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned();
        let spool = Spool::start("recorder", BufWriter::new(out), tell_gap, failed)?;
        spool.push(line(&Head { mailwarden_recording: VERSION, created, program }));
        Ok(Self { spool, known: std::sync::Mutex::default() })
    }

    /// Writes what is waiting and closes the file. An error means that the recording is not whole.
    pub fn finish(&self) -> io::Result<()> {
        self.spool.finish()
    }

    /// The session's line, if more is known than was written.
    fn news(&self, info: &SessionInfo) -> String {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.get(&info.id) == Some(info) {
            return String::new();
        }
        known.insert(info.id, info.clone());
        session_line(info)
    }
}

impl Witness for Recorder {
    fn wants_transcript(&self) -> bool {
        true
    }

    fn opened(&self, info: &SessionInfo) {
        self.spool.push(self.news(info));
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        let mut text = self.news(info);
        for event in events {
            text.push_str(&event_line(info.id, event));
        }
        self.spool.push(text);
    }

    fn closed(&self, info: &SessionInfo, client_octets: u64, upstream_octets: u64) {
        let mut text = self.news(info);
        text.push_str(&line(&ClosedLine { closed: Closed { session: info.id, client_octets, upstream_octets } }));
        self.spool.push(text);
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&info.id);
    }
}

fn tell_gap(lines: u64) -> String {
    line(&GapLine { gap: Gap { lines } })
}

pub(super) fn session_line(info: &SessionInfo) -> String {
    line(&SessionLine { session: info })
}

pub(super) fn event_line(session: u64, event: &Event) -> String {
    line(&EventLine { s: session, event })
}

pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have string keys and no failing serialisers") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_has_ended_is_forgotten() {
        let recorder = Recorder::start(io::sink(), Timestamp::UNIX_EPOCH, || ()).unwrap();
        for id in 0..100 {
            let info = SessionInfo::example(id);
            recorder.opened(&info);
            recorder.closed(&info, 0, 0);
        }
        assert!(recorder.known.lock().unwrap().is_empty());
    }
}
