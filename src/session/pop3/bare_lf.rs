//! Servers that end their lines in LF alone: the greeting tells, and from there on every LF of this
//! server counts as CRLF, for the whole connection. Never decided later: in mid-session a bare LF
//! is a mail's, and would let it end its own body.

use bytes::BytesMut;

/// Puts a CR before each LF that lacks one.
#[derive(Debug)]
pub(super) struct BareLf {
    /// Octets at the front of the inbox that are in order already.
    done: usize,
    last: u8,
    /// CRs put in so far.
    added: u64,
}

impl BareLf {
    /// Whether a greeting of at most `limit` octets ends in a bare LF; `None`: it has no end yet, or is longer.
    pub(super) fn is_spoken(greeting: &[u8], limit: usize) -> Option<bool> {
        let end = memchr::memchr(b'\n', greeting.get(..limit).unwrap_or(greeting))?;
        Some(end.checked_sub(1).and_then(|before| greeting.get(before)) != Some(&b'\r'))
    }

    pub(super) fn new() -> Self {
        Self { done: 0, last: 0, added: 0 }
    }

    /// Brings the new octets of the inbox in order.
    pub(super) fn mend(&mut self, inbox: &mut BytesMut) {
        let new = inbox.split_off(self.done.min(inbox.len()));
        for octet in new {
            if octet == b'\n' && self.last != b'\r' {
                inbox.extend_from_slice(b"\r");
                self.added += 1;
            }
            inbox.extend_from_slice(&[octet]);
            self.last = octet;
        }
    }

    /// Octets put in that the server did not send.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// The session has worked through the inbox and left `rest` octets, all in order.
    pub(super) fn left(&mut self, rest: usize) {
        self.done = rest;
    }
}
