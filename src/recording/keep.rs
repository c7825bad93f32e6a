//! Recordings of single sessions that a rule wants kept: a file each in one directory, bounded in number and size.
//!
//! A thread makes and writes the files; what it has no room for is counted and told in the file. The oldest files
//! go when there are too many, so that the directory always holds what happened last.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytesize::ByteSize;
use jiff::Timestamp;
use serde::Deserialize;

use super::write::{event_line, line, session_line};
use super::{Closed, ClosedLine, Gap, GapLine, Head, VERSION};
use crate::per_session::PerSession;
use crate::session::{Event, Observation};
use crate::witness::{SessionInfo, Witness};

mod shelf;

pub(crate) use shelf::Tally;
use shelf::{Job, Shelf};

/// `recordings = { … }` of the `[policy]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepSettings {
    /// Where the files are; made if it is not there, readable by its owner only.
    pub directory: PathBuf,
    /// How many files there are at most; the oldest go.
    #[serde(default = "thousand")]
    pub most: usize,
    /// Octets of one file at most; what a session says beyond that is counted and not kept.
    #[serde(default = "sixteen_mebibytes")]
    pub size: ByteSize,
}

fn thousand() -> usize {
    1000
}

fn sixteen_mebibytes() -> ByteSize {
    ByteSize::mib(16)
}

/// Pieces of text that may wait to be written.
const WAITING: usize = 1024;

/// The witness that keeps what rules want kept.
#[derive(Debug)]
pub struct Keeper {
    /// `None`: finished.
    sender: Mutex<Option<SyncSender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    kept: PerSession<Kept>,
    /// How many are kept now: mostly none, and then no session is looked up.
    count: AtomicUsize,
    tally: Arc<Tally>,
}

/// What is remembered of a session that is kept.
#[derive(Debug, Default)]
struct Kept {
    /// Lines the thread had no room for.
    lost: AtomicU64,
    /// Whether there ever were any.
    outrun: AtomicBool,
}

impl Keeper {
    /// Makes the directory and starts the thread.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn start(settings: &KeepSettings) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.directory)?;
        let tally = Arc::<Tally>::default();
        let mut shelf = Shelf::new(settings, Arc::clone(&tally));
        shelf.make_room(0)?;
        let (sender, receiver) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || shelf.work(&receiver))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
            kept: PerSession::new(),
            count: AtomicUsize::new(0),
            tally,
        })
    }

    /// Counts that go on.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    fn send(&self, job: Job) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        match sender.as_ref().map(|sender| sender.try_send(job)) {
            Some(Ok(())) | None => true,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) => false,
        }
    }

    /// Writes what waits and ends the thread.
    pub fn finish(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // a panic of the thread was told by its hook
            let _ended = writer.join();
        }
    }

    fn begin(&self, info: &SessionInfo, text: String) {
        let name = format!("{}-{}-{}.jsonl", stamp(Timestamp::now()), info.protocol.as_label(), info.id);
        let program = concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned();
        let head = line(&Head { mailwarden_recording: VERSION, created: Timestamp::now(), program });
        let text = [head, session_line(info), text].concat();
        if self.send(Job::Open { session: info.id, name, text }) {
            self.kept.open(info.id, Kept::default());
            self.count.fetch_add(1, Ordering::Relaxed);
        } else {
            self.tally.outrun.fetch_add(1, Ordering::Relaxed);
            tracing::error!(session = info.id, "a recording was not begun: the disk is slower than what is to be kept");
        }
    }

    fn go_on(&self, session: u64, kept: &Kept, events: &[Event]) {
        let lost = kept.lost.swap(0, Ordering::Relaxed);
        let gap = if lost > 0 { line(&GapLine { gap: Gap { lines: lost } }) } else { String::new() };
        if !self.send(Job::Text { session, text: gap + &lines(session, events) }) {
            kept.lost.fetch_add(lost + events.len() as u64, Ordering::Relaxed);
            if !kept.outrun.swap(true, Ordering::Relaxed) {
                self.tally.outrun.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Witness for Keeper {
    fn opened(&self, _info: &SessionInfo) {}

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        let is_kept = self.count.load(Ordering::Relaxed) > 0
            && self.kept.with(info.id, |kept| self.go_on(info.id, kept, events)).is_some();
        let wanted = |event: &Event| matches!(&event.what, Observation::Decided { decision, .. } if decision.record);
        if !is_kept && events.iter().any(wanted) {
            self.begin(info, lines(info.id, events));
        }
    }

    fn closed(&self, info: &SessionInfo, client_octets: u64, upstream_octets: u64) {
        if self.count.load(Ordering::Relaxed) == 0 || self.kept.close(info.id).is_none() {
            return;
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        let closed = Closed { session: info.id, client_octets, upstream_octets };
        self.send(Job::Close { session: info.id, text: line(&ClosedLine { closed }) });
    }
}

fn lines(session: u64, events: &[Event]) -> String {
    events.iter().map(|event| event_line(session, event)).collect()
}

/// The time as it may stand in a file's name, sorting as times do.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::Duration;

    use crate::recording::Recording;
    use crate::recording::tests::{decision, info, said as line_said};
    use crate::session::{CommandId, Speaker};

    fn said(text: &str) -> Event {
        Event { at: Duration::ZERO, what: line_said(Speaker::Client, None, text) }
    }

    fn decided(record: bool) -> Event {
        let decision = Box::new(crate::policy::Decision { record, ..decision() });
        Event { at: Duration::ZERO, what: Observation::Decided { id: CommandId(1), decision } }
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_session_is_kept_from_the_decision_on_and_no_other_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept");
        let keeper =
            Keeper::start(&KeepSettings { directory: path.clone(), most: 10, size: ByteSize::mib(1) }).unwrap();
        for id in [1, 2] {
            keeper.opened(&info(id));
            keeper.events(&info(id), &[said("before")]);
        }
        keeper.events(&info(1), &[said("the command"), decided(true)]);
        keeper.events(&info(2), &[decided(false), said("elsewhere")]);
        keeper.events(&info(1), &[said("after")]);
        for id in [1, 2] {
            keeper.closed(&info(id), 1, 2);
        }
        keeper.finish();
        let kept = files(&path);
        assert_eq!(kept.len(), 1, "{kept:?}");
        let text = fs::read_to_string(&kept[0]).unwrap();
        for (piece, there) in [("the command", true), ("after", true), ("before", false), ("elsewhere", false)] {
            assert_eq!(text.contains(piece), there, "{piece}\n{text}");
        }
        let input = io::BufReader::new(File::open(&kept[0]).unwrap());
        let lines = Recording::open(input).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(lines.len(), 5, "{text}");
    }

    #[test]
    fn the_oldest_files_go_and_what_is_not_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("notes.jsonl"), "mine").unwrap();
        let settings = KeepSettings { directory: directory.path().to_owned(), most: 2, size: ByteSize::mib(1) };
        let keeper = Keeper::start(&settings).unwrap();
        for id in 1..=4 {
            keeper.events(&info(id), &[decided(true)]);
            keeper.closed(&info(id), 0, 0);
        }
        keeper.finish();
        let names: Vec<_> =
            files(directory.path()).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names[0].ends_with("-3.jsonl") && names[1].ends_with("-4.jsonl"), "{names:?}");
    }

    #[test]
    fn a_recording_that_cannot_be_made_is_counted_and_the_next_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept");
        let keeper =
            Keeper::start(&KeepSettings { directory: path.clone(), most: 10, size: ByteSize::mib(1) }).unwrap();
        fs::remove_dir(&path).unwrap();
        keeper.events(&info(1), &[decided(true)]);
        keeper.events(&info(1), &[said("after")]);
        while keeper.tally.failed.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        fs::create_dir(&path).unwrap();
        keeper.events(&info(2), &[decided(true)]);
        keeper.finish();
        let written = files(&path).iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
        assert_eq!(keeper.tally.read(), [1, written, 1, 0]);
    }

    #[test]
    fn what_the_disk_does_not_take_ends_at_its_last_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let tally = Arc::<Tally>::default();
        let settings = KeepSettings { directory: directory.path().to_owned(), most: 2, size: ByteSize::mib(1) };
        let mut shelf = Shelf::new(&settings, Arc::clone(&tally));
        shelf.open(1, "one", "a line\n").unwrap();
        fs::write(directory.path().join("one"), "a line\na torn o").unwrap();
        shelf.give_up(1, &io::Error::from(io::ErrorKind::StorageFull));
        shelf.write(1, "what comes later\n").unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("one")).unwrap(), "a line\n");
        assert_eq!(tally.read(), [1, 7, 1, 0]);
    }

    #[test]
    fn nothing_is_kept_behind_what_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let settings = KeepSettings { directory: directory.path().to_owned(), most: 2, size: ByteSize::b(20) };
        let mut shelf = Shelf::new(&settings, Arc::default());
        shelf.open(1, "one", "first\n").unwrap();
        for text in ["of a batch that is\ntoo large\n", "small\n"] {
            shelf.write(1, text).unwrap();
        }
        shelf.close(1, "end\n").unwrap();
        let kept = fs::read_to_string(directory.path().join("one")).unwrap();
        assert_eq!(kept, "first\n{\"gap\":{\"lines\":3}}\nend\n");
    }

    #[test]
    fn a_file_grows_to_its_size_and_tells_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let settings = KeepSettings { directory: directory.path().to_owned(), most: 2, size: ByteSize::kib(2) };
        let keeper = Keeper::start(&settings).unwrap();
        keeper.events(&info(1), &[decided(true)]);
        for _ in 0..100 {
            keeper.events(&info(1), &[said(&"x".repeat(100))]);
        }
        keeper.closed(&info(1), 0, 0);
        keeper.finish();
        let text = fs::read_to_string(&files(directory.path())[0]).unwrap();
        assert!(text.len() < 3000 && text.contains("\"gap\""), "{text}");
    }

    #[test]
    fn what_the_thread_has_no_room_for_is_told_in_its_place_and_counted_once() {
        let (sender, jobs) = sync_channel(1);
        let keeper = Keeper {
            sender: Mutex::new(Some(sender)),
            writer: Mutex::new(None),
            kept: PerSession::new(),
            count: AtomicUsize::new(0),
            tally: Arc::default(),
        };
        keeper.events(&info(1), &[decided(true)]);
        // its place is taken: nothing is kept of this one, and not all of the other
        keeper.events(&info(2), &[decided(true)]);
        keeper.events(&info(1), &[said("one"), said("two")]);
        keeper.events(&info(1), &[said("three")]);
        assert!(matches!(jobs.recv(), Ok(Job::Open { session: 1, .. })));
        keeper.events(&info(2), &[said("of no recording")]);
        keeper.events(&info(1), &[said("four")]);
        let Ok(Job::Text { session: 1, text }) = jobs.recv() else { panic!("the rest was handed on") };
        assert!(text.starts_with("{\"gap\":{\"lines\":3}}\n") && text.contains("four"), "{text}");
        assert_eq!(keeper.tally.read(), [0, 0, 0, 2], "a recording that was not begun, and one that has a gap");
        keeper.closed(&info(2), 0, 0);
        keeper.closed(&info(1), 0, 0);
        assert!(matches!(jobs.recv(), Ok(Job::Close { session: 1, .. })));
        assert_eq!(keeper.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn surplus_files_go_at_the_start_and_never_those_that_are_being_written() {
        let directory = tempfile::tempdir().unwrap();
        let name = |second: u8| format!("20261102T0800{second:02}.000000Z-imap-{second}.jsonl");
        for second in 0..4 {
            fs::write(directory.path().join(name(second)), "").unwrap();
        }
        let settings = KeepSettings { directory: directory.path().to_owned(), most: 2, size: ByteSize::kib(2) };
        Keeper::start(&settings).unwrap().finish();
        let here = || files(directory.path()).len();
        assert_eq!(here(), 2);
        let mut shelf = Shelf::new(&settings, Arc::default());
        for second in 10..14 {
            shelf.open(u64::from(second), &name(second), "a line\n").unwrap();
        }
        assert_eq!(here(), 4, "all four are being written");
        shelf.close(10, "").unwrap();
        shelf.open(14, &name(14), "a line\n").unwrap();
        assert!(!directory.path().join(name(10)).exists());
        assert_eq!(here(), 4);
    }
}
