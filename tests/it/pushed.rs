//! A session that is given octets whether it wants them or not: what no shell does, and what it must bear all the same.

use std::time::Instant;

use mailwarden::session::{Inboxes, Observation, Outbox, Session};
use mailwarden::wire::Side;

pub(crate) struct Pushed<S> {
    pub(crate) session: S,
    pub(crate) inboxes: Inboxes,
    pub(crate) out: Outbox,
    started: Instant,
    /// The longest piece in which octets arrive.
    pub(crate) cut: usize,
    /// What has gone up until now.
    pub(crate) up: Vec<u8>,
    down: Vec<u8>,
    /// How much of `up` was given out as lines.
    given: usize,
}

impl<S: Session> Pushed<S> {
    pub(crate) fn new(session: S, started: Instant, cut: usize) -> Self {
        let (inboxes, out, up, down) = (Inboxes::default(), Outbox::new(started), Vec::new(), Vec::new());
        Self { session, inboxes, out, started, cut, up, down, given: 0 }
    }

    /// Octets of one side, in pieces. A layer of DEFLATE is up as soon as it is asked for.
    pub(crate) fn push(&mut self, from: Side, octets: &[u8]) {
        for piece in octets.chunks(self.cut) {
            if self.out.closing().is_none() {
                self.inboxes.of(from).extend_from_slice(piece);
                self.advance();
            }
            if let Some(side) = self.out.starting_deflate() {
                self.out.deflate_taken();
                self.session.deflate_started(side, self.started, &mut self.out);
                self.advance();
            }
        }
        self.take();
    }

    pub(crate) fn advance(&mut self) {
        self.session.advance(&mut self.inboxes, self.started, &mut self.out);
    }

    /// Whole lines that went up since the last call.
    pub(crate) fn new_lines_up(&mut self) -> Vec<Vec<u8>> {
        let new = self.up.get(self.given..).unwrap_or_default();
        let whole = new.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        self.given += whole;
        let lines = new.get(..whole).unwrap_or_default().split_inclusive(|octet| *octet == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    /// The server ends; gives what went up, what went down and what was told.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u8>, Vec<Observation>) {
        self.inboxes.upstream_ended = true;
        self.advance();
        assert!(self.out.closing().is_some(), "nothing can follow the server's end");
        self.take();
        (self.up, self.down, self.out.take_events().into_iter().map(|event| event.what).collect())
    }

    fn take(&mut self) {
        self.up.extend(self.out.take(Side::Upstream));
        self.down.extend(self.out.take(Side::Client));
    }
}
