//! Fixed sessions, played through the pure core as the shell drives it: octets into an inbox, one call,
//! queues and events taken. No socket, no task, no clock.
//!
//! The same scenes are timed (`sessions.rs`) and counted (`src/guard.rs`).

mod imap;
mod pop3;
mod rig;
mod ruled;

pub use rig::{Read, Rig, Sums};

/// What one reading of a socket brings at most.
pub const READ: usize = 64 << 10;

/// A piece of a session that is played again and again.
#[derive(Clone, Copy)]
pub struct Scene {
    /// For tables and recorded figures.
    pub name: &'static str,
    /// Commands in it.
    pub commands: u64,
    /// It starts with the server's greeting: each time is another session.
    pub fresh: bool,
    start: fn() -> Rig,
    reads: fn() -> Vec<Read>,
    /// What must come of it; the octets pass unchanged but for what is said here.
    expect: Expect,
}

/// What must come of playing a scene.
#[derive(Clone, Copy)]
struct Expect {
    /// Octets that go out in addition to what came in, or less if negative: up, down.
    added: (i64, i64),
    /// Facts that are reported.
    events: u64,
}

const UNCHANGED: (i64, i64) = (0, 0);

impl Scene {
    /// All scenes.
    pub fn all() -> Vec<Self> {
        [imap::SCENES, pop3::SCENES, ruled::SCENES].concat().into_iter().collect()
    }

    /// The session in which the scene is played.
    pub fn start(&self) -> Rig {
        (self.start)()
    }

    /// What the peers say, read by read.
    pub fn reads(&self) -> Vec<Read> {
        (self.reads)()
    }

    /// Octets of both peers.
    pub fn octets(&self) -> u64 {
        self.reads().iter().map(|read| read.octets.len() as u64).sum()
    }

    /// Plays it twice and holds what came of it against what must.
    ///
    /// # Panics
    /// When it is not played as it should be.
    pub fn check(&self) {
        let mut rig = self.start();
        for _ in 0..2 {
            if self.fresh {
                rig = self.start();
            }
            let reads = self.reads();
            let came = |up: bool| reads.iter().filter(move |read| read.goes_up() == up).map(|read| read.octets.len());
            let (up, down) = (total(came(true)) + self.expect.added.0, total(came(false)) + self.expect.added.1);
            let expected = Sums { up: up.unsigned_abs(), down: down.unsigned_abs(), events: self.expect.events };
            assert_eq!(rig.play(reads), expected, "{}", self.name);
        }
    }
}

fn total(sizes: impl Iterator<Item = usize>) -> i64 {
    i64::try_from(sizes.sum::<usize>()).unwrap_or(i64::MAX)
}
