//! Text on its way to a slow place: a thread writes, and whoever hands it text never waits.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Octets that may wait to be written. More is dropped and counted.
const BUDGET: usize = 8 << 20;

/// A place that takes nothing for so long is left at the end: a paused terminal or a pipe that nobody
/// reads must not keep the program.
const PATIENCE: Duration = Duration::from_secs(5);

/// The writing thread, and what tells that it has ended: its sender is dropped.
struct Writer {
    thread: JoinHandle<io::Result<()>>,
    ended: Receiver<()>,
}

/// A bounded queue of text and the thread that writes it.
pub(super) struct Spool {
    sender: Mutex<Option<Sender<String>>>,
    writer: Mutex<Option<Writer>>,
    /// Octets handed over and not yet written.
    waiting: Arc<AtomicUsize>,
    /// Lines dropped since the last gap was told.
    dropped: AtomicU64,
    /// Tells of a gap of so many lines, as text.
    tell_gap: fn(u64) -> String,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("waiting", &self.waiting).field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Spool {
    /// Starts the thread. `failed` is called there if writing fails; what comes after is dropped.
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
        tell_gap: fn(u64) -> String,
        failed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        let (running, ended) = mpsc::channel::<()>();
        let work = move || {
            let _running = running;
            let result = drain(out, &receiver, &counter);
            if result.is_err() {
                failed();
            }
            result
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(Writer { thread, ended })),
            waiting,
            dropped: AtomicU64::new(0),
            tell_gap,
        })
    }

    /// Hands over whole lines, or drops and counts them if too much is waiting. Never blocks.
    pub(super) fn push(&self, mut text: String) {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        if self.waiting.load(Ordering::Relaxed) + text.len() > BUDGET {
            self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
            return;
        }
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            text.insert_str(0, &(self.tell_gap)(lost));
        }
        self.send(text);
    }

    /// Writes what is waiting, ends the thread, and says how the writing went. Later calls find nothing to do.
    /// A place that takes nothing more is an error of the kind `TimedOut`.
    pub(super) fn finish(&self) -> io::Result<()> {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.send((self.tell_gap)(lost));
        }
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writer { thread, ended }) = writer else { return Ok(()) };
        let mut before = self.waiting.load(Ordering::Relaxed);
        while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let waiting = self.waiting.load(Ordering::Relaxed);
            if waiting == before {
                let stuck = format!("nothing was taken for {PATIENCE:?}, and {waiting} octets were left unwritten");
                return Err(io::Error::new(io::ErrorKind::TimedOut, stuck));
            }
            before = waiting;
        }
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
    }

    fn send(&self, text: String) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return };
        self.waiting.fetch_add(text.len(), Ordering::Relaxed);
        // the thread is gone only if writing failed, which `finish` tells
        let _gone = sender.send(text);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // whoever wanted to know how the writing went has called `finish`
        let _unasked = self.finish();
    }
}

/// Writes until the senders are gone; flushes whenever nothing is waiting.
fn drain(mut out: impl Write, receiver: &Receiver<String>, waiting: &AtomicUsize) -> io::Result<()> {
    loop {
        let text = match receiver.try_recv() {
            Ok(text) => text,
            Err(TryRecvError::Disconnected) => return out.flush(),
            Err(TryRecvError::Empty) => {
                out.flush()?;
                let Ok(text) = receiver.recv() else { return Ok(()) };
                text
            }
        };
        out.write_all(text.as_bytes())?;
        waiting.fetch_sub(text.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    /// Writes nothing until it is let.
    struct Gate(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(octets.to_vec()).unwrap();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Spool, SyncSender<()>, Receiver<Vec<u8>>) {
        let (open, gate) = sync_channel(16);
        let (written, lines) = mpsc::channel();
        let spool = Spool::start("test", Gate(gate, written), |lines| format!("gap {lines}\n"), || ()).unwrap();
        (spool, open, lines)
    }

    #[test]
    fn drops_and_counts_what_a_slow_writer_has_no_room_for() {
        let (spool, open, written) = gated();
        let big = "x".repeat(BUDGET - 10) + "\n";
        spool.push(big.clone());
        spool.push("one\ntwo\nthree three\n".to_owned());
        open.send(()).unwrap();
        assert_eq!(written.recv().unwrap().len(), big.len());
        while spool.waiting.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        for _ in 0..2 {
            open.send(()).unwrap();
        }
        spool.push("four\n".to_owned());
        spool.finish().unwrap();
        assert_eq!(written.recv().unwrap(), b"gap 3\nfour\n");
    }

    #[test]
    fn does_not_wait_for_a_place_that_takes_nothing() {
        let (spool, _open, _written) = gated();
        spool.push("stuck\n".to_owned());
        assert_eq!(spool.finish().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn tells_that_writing_failed() {
        let (spool, open, _written) = gated();
        drop(open);
        spool.push("lost\n".to_owned());
        assert!(spool.finish().is_err());
        spool.push("after the end\n".to_owned());
        assert!(spool.finish().is_ok());
    }
}
