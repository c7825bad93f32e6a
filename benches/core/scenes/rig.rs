//! A session in the hands of a shell without sockets.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::session::{Event, Inboxes, Outbox, Session, Setup, Terms};
use mailwarden::wire::{Protocol, Side};

use super::READ;

/// What one read brought.
pub struct Read {
    /// From whom.
    pub from: Side,
    /// What.
    pub octets: BytesMut,
}

impl Read {
    /// What the client says, in reads of [`READ`].
    pub fn client(octets: &[u8]) -> impl Iterator<Item = Self> + '_ {
        Self::cut(Side::Client, octets)
    }

    /// What the server says, in reads of [`READ`].
    pub fn upstream(octets: &[u8]) -> impl Iterator<Item = Self> + '_ {
        Self::cut(Side::Upstream, octets)
    }

    fn cut(from: Side, octets: &[u8]) -> impl Iterator<Item = Self> + '_ {
        octets.chunks(READ).map(move |chunk| Self { from, octets: BytesMut::from(chunk) })
    }

    pub(super) fn goes_up(&self) -> bool {
        self.from == Side::Client
    }
}

/// What came of playing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Octets that went up.
    pub up: u64,
    /// Octets that went down.
    pub down: u64,
    /// Facts that were reported.
    pub events: u64,
}

/// A session with its inboxes and outbox.
pub struct Rig {
    session: Box<dyn Session + Send>,
    inboxes: Inboxes,
    out: Outbox,
    /// Lent for each call.
    events: Vec<Event>,
    now: Instant,
}

impl Rig {
    /// A session of the default configuration that has just been connected, TLS on both sides.
    pub fn new(protocol: Protocol) -> Self {
        Self::under(Policy::default(), protocol)
    }

    /// The same under this policy.
    pub fn under(policy: Policy, protocol: Protocol) -> Self {
        let now = Instant::now();
        let terms = Terms { policy: PolicyHandle::new(policy), transcript: false, ..Terms::offline() };
        let session = Setup::offline(Arc::new(terms), protocol, 1, now).begin();
        let mut rig = Self { session, inboxes: Inboxes::default(), out: Outbox::new(now), events: Vec::new(), now };
        rig.session.advance(&mut rig.inboxes, now, &mut rig.out);
        rig
    }

    /// After these lines, each of which is one side's: `(Side, line with its CRLF)`.
    pub fn after(mut self, lines: &[(Side, &str)]) -> Self {
        self.play(lines.iter().flat_map(|(side, line)| Read::cut(*side, line.as_bytes())));
        self
    }

    /// Plays reads, and takes everything that comes of each.
    pub fn play(&mut self, reads: impl IntoIterator<Item = Read>) -> Sums {
        let mut sums = Sums::default();
        for read in reads {
            let inbox = self.inboxes.of(read.from);
            if inbox.is_empty() {
                *inbox = read.octets;
            } else {
                inbox.unsplit(read.octets);
            }
            self.out.lend_events(std::mem::take(&mut self.events));
            self.session.advance(&mut self.inboxes, self.now, &mut self.out);
            for inbox in [&mut self.inboxes.client, &mut self.inboxes.upstream] {
                if inbox.is_empty() {
                    *inbox = BytesMut::new();
                }
            }
            self.events = self.out.take_events();
            sums.events += self.events.len() as u64;
            self.events.clear();
            sums.up += self.write(Side::Upstream);
            sums.down += self.write(Side::Client);
        }
        sums
    }

    fn write(&mut self, to: Side) -> u64 {
        let octets = self.out.queued(to);
        self.out.written(to, octets);
        octets as u64
    }
}
