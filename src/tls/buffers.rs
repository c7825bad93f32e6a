//! The buffers between a socket and the records: what waits, what was opened, what is to be sealed.
//!
//! Large ones belong to the worker, so that an idle connection has none.

use std::cell::RefCell;
use std::io::IoSlice;

use tokio::io::ReadBuf;

/// Octets asked of a socket at once.
pub(crate) const CHUNK: usize = 128 << 10;
/// Spare buffers a worker keeps.
const SPARE: usize = 8;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A worker's buffer, of [`CHUNK`].
pub(crate) fn take_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CHUNK))
}

/// Gives a worker its buffer back.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == CHUNK {
        buffer.clear();
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() < SPARE {
                buffers.push(buffer);
            }
        });
    }
}

/// Octets that are taken from the front; it has a buffer only while there are some.
#[derive(Default)]
pub(super) struct Waiting {
    octets: Vec<u8>,
    /// `taken ≤ octets.len()`; equal only when both are 0
    taken: usize,
}

impl Waiting {
    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Puts behind them what `fill` writes into `size` octets of room; it says how many.
    pub(super) fn extend<E>(&mut self, size: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let len = self.octets.len();
        self.octets.resize(len + size, 0);
        let filled = fill(self.octets.get_mut(len..).unwrap_or_default());
        self.octets.truncate(len + filled.as_ref().map_or(0, |filled| *filled));
        self.take(0);
        filled.map(drop)
    }

    /// Drops octets that were taken from the front.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.octets.len() {
            (self.octets, self.taken) = (Vec::new(), 0);
        }
    }
}

/// Where opened content goes: to the reader, and what it has no room for is kept.
pub(super) struct Plain<'a, 'b> {
    pub(super) reader: &'a mut ReadBuf<'b>,
    pub(super) ahead: &'a mut Waiting,
}

impl Plain<'_, '_> {
    pub(super) fn put(&mut self, octets: &[u8]) {
        let room = if self.ahead.is_empty() { self.reader.remaining() } else { 0 };
        let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
        self.reader.put_slice(now);
        if !later.is_empty() {
            self.ahead.push(later);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.reader.remaining() == 0 || !self.ahead.is_empty()
    }
}

/// Room for sealed records: a buffer that is used again and again.
#[derive(Default)]
pub(super) struct Room {
    octets: Vec<u8>,
    used: usize,
}

impl Room {
    pub(super) fn of(size: usize) -> Self {
        Self { octets: vec![0; size], used: 0 }
    }

    /// Makes it empty, of so many octets.
    pub(super) fn start(&mut self, size: usize) {
        if self.octets.len() < size {
            self.octets.resize(size, 0);
        }
        self.used = 0;
    }

    /// The next `len` octets, which are used then; `None` where there is no such room.
    pub(super) fn next(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = self.used;
        let end = start.checked_add(len).filter(|end| *end <= self.octets.len())?;
        self.used = end;
        self.octets.get_mut(start..end)
    }

    pub(super) fn used(&self) -> &[u8] {
        self.octets.get(..self.used).unwrap_or_default()
    }
}

/// Octets to seal, in pieces, from the front.
pub(super) struct Parts<'a> {
    front: &'a [u8],
    rest: std::slice::Iter<'a, IoSlice<'a>>,
    left: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn new(slices: &'a [IoSlice<'a>]) -> Self {
        let left = slices.iter().map(|slice| slice.len()).sum();
        Self { front: &[], rest: slices.iter(), left }
    }

    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The next `len` octets, if they are in one piece.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        while self.front.is_empty() {
            self.front = self.rest.next()?;
        }
        let (taken, front) = self.front.split_at_checked(len)?;
        self.front = front;
        self.left -= len;
        Some(taken)
    }

    /// Fills `room`, which is no longer than what is left.
    pub(super) fn copy_to(&mut self, mut room: &mut [u8]) {
        while !room.is_empty() {
            let len = self.front.len().min(room.len());
            match self.take(len) {
                Some(part) if !part.is_empty() => {
                    let (now, later) = room.split_at_mut(part.len());
                    now.copy_from_slice(part);
                    room = later;
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}
