//! The files of recordings that are kept: one for each session, in one directory, bounded in number and size.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use super::KeepSettings;
use crate::recording::write::line;
use crate::recording::{Gap, GapLine};

/// What became of recordings since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(super) begun: AtomicU64,
    pub(super) octets: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) outrun: AtomicU64,
}

impl Tally {
    /// Recordings begun, octets written; recordings that the disk did not take, and those it was too slow for.
    pub(crate) fn read(&self) -> [u64; 4] {
        [&self.begun, &self.octets, &self.failed, &self.outrun].map(|count| count.load(Ordering::Relaxed))
    }
}

/// What the thread is to do.
#[derive(Debug)]
pub(super) enum Job {
    Open { session: u64, name: String, text: String },
    Text { session: u64, text: String },
    Close { session: u64, text: String },
}

/// The directory and the files that are being written.
pub(super) struct Shelf {
    directory: PathBuf,
    most: usize,
    size: u64,
    open: BTreeMap<u64, Open>,
    tally: Arc<Tally>,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Octets of whole lines.
    written: u64,
    /// Lines beyond the size.
    beyond: u64,
}

impl Shelf {
    pub(super) fn new(settings: &KeepSettings, tally: Arc<Tally>) -> Self {
        let (directory, most, size) = (settings.directory.clone(), settings.most.max(1), settings.size.as_u64());
        Self { directory, most, size, open: BTreeMap::new(), tally }
    }

    /// Does all there is to do, until nobody can say more.
    pub(super) fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let (session, outcome) = match job {
                Job::Open { session, name, text } => (session, self.open(session, &name, &text)),
                Job::Text { session, text } => (session, self.write(session, &text)),
                Job::Close { session, text } => (session, self.close(session, &text)),
            };
            if let Err(error) = outcome {
                self.give_up(session, &error);
            }
        }
    }

    pub(super) fn open(&mut self, session: u64, name: &str, text: &str) -> io::Result<()> {
        self.make_room(1)?;
        let path = self.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        tracing::info!(session, file = %path.display(), "the session is recorded from here on");
        self.tally.begun.fetch_add(1, Ordering::Relaxed);
        self.open.insert(session, Open { file, path, written: 0, beyond: 0 });
        self.write(session, text)
    }

    pub(super) fn write(&mut self, session: u64, text: &str) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&session) else { return Ok(()) };
        // what is missing is missing at the end, not in between
        if open.beyond > 0 || open.written + text.len() as u64 > self.size {
            open.beyond += text.lines().count() as u64;
            return Ok(());
        }
        open.append(text, &self.tally)
    }

    pub(super) fn close(&mut self, session: u64, text: &str) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&session) else { return Ok(()) };
        if open.beyond > 0 {
            open.append(&line(&GapLine { gap: Gap { lines: open.beyond } }), &self.tally)?;
        }
        open.append(text, &self.tally)?;
        self.open.remove(&session);
        Ok(())
    }

    /// What cannot be written ends there, with its last whole line; the disk may have room for the next.
    pub(super) fn give_up(&mut self, session: u64, error: &io::Error) {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.display();
        tracing::error!(session, %directory, %error, "a recording could not be kept, or ends before its session");
        if let Some(open) = self.open.remove(&session) {
            // a part of a line at the end does no harm that this could add to
            let _cut = open.file.set_len(open.written);
        }
    }

    /// Removes the oldest recordings until there is room for so many more. One that is being written stays.
    pub(super) fn make_room(&mut self, more: usize) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if is_ours(&path) {
                files.push(path);
            }
        }
        files.sort();
        let surplus = (files.len() + more).saturating_sub(self.most);
        let removable = files.iter().filter(|path| !self.open.values().any(|open| open.path == **path));
        for path in removable.take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

impl Open {
    fn append(&mut self, text: &str, tally: &Tally) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.written += text.len() as u64;
        tally.octets.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a file has a name that this program gives: nothing else in the directory is touched.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((stamp, rest)) = name.split_once('-') else { return false };
    let Some(rest) = rest.strip_suffix(".jsonl") else { return false };
    let numbered = rest.split_once('-').is_some_and(|(_, id)| id.bytes().all(|octet| octet.is_ascii_digit()));
    stamp.len() == 23 && stamp.ends_with('Z') && stamp.contains('T') && numbered
}
