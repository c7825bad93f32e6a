//! One call of the session: where octets and facts go.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use zeroize::Zeroize;

use crate::policy::Decision;
use crate::redact::Redacted;
use crate::session::{Alteration, CommandId, Observation, Outbox, Said, Speaker, Violation, ViolationKind};
use crate::wire::Side;
use crate::wire::pop3::text_of;

/// The outbox and the time of this call.
pub(super) struct Turn<'a> {
    pub(super) out: &'a mut Outbox,
    pub(super) now: Instant,
    pub(super) transcript: bool,
}

impl Turn<'_> {
    pub(super) fn observe(&mut self, what: Observation) {
        self.out.observe(self.now, what);
    }

    pub(super) fn violated(&mut self, side: Side, kind: ViolationKind, detail: &'static str) {
        self.observe(Observation::Violated(Violation { side, kind, detail: detail.into() }));
    }

    pub(super) fn altered(&mut self, to: Side, why: Alteration, removed: usize, added: usize) {
        self.observe(Observation::Altered { to, why, removed: removed as u64, added: added as u64 });
    }

    /// What is said from here on is reported if one of these wants it, the command they are about included.
    pub(super) fn note(&mut self, decisions: &[Decision]) {
        self.transcript |= decisions.iter().any(|decision| decision.record);
    }

    /// Puts a line or a fold into the transcript, if there is one.
    pub(super) fn said(&mut self, by: Speaker, id: Option<CommandId>, octets: usize, text: impl FnOnce() -> String) {
        if self.transcript {
            self.observe(Observation::Said(Said { by, id, text: text(), octets: octets as u64 }));
        }
    }

    /// A line of the proxy's own to the client, with its CRLF.
    pub(super) fn tell_client(&mut self, id: Option<CommandId>, line: Bytes) {
        self.said(Speaker::ProxyToClient, id, line.len(), || shown(&line));
        self.out.send(Side::Client, line);
    }
}

/// A line as a person may read it: without its end, CTL and 8-bit escaped, cut at 4096 octets.
pub(super) fn shown(line: &[u8]) -> String {
    use std::fmt::Write as _;
    let text = text_of(line);
    let mut shown = String::with_capacity(text.len());
    for &octet in text.iter().take(4096) {
        match octet {
            b'\r' => shown.push_str("\\r"),
            b'\n' => shown.push_str("\\n"),
            0 => shown.push_str("\\0"),
            b' '..=b'~' => shown.push(char::from(octet)),
            // writing to a String cannot fail
            _ => {
                // writing to a String cannot fail
                let _ = write!(shown, "\\x{octet:02X}");
            }
        }
    }
    shown
}

/// What stands in the transcript for a line that may be a secret in the wrong place.
pub(super) fn unparsable(octets: usize) -> String {
    format!("‹unparsable line, {octets} octets›")
}

/// The front of an inbox on its way to the other side: octets that pass unchanged gather into one
/// run, and go out as one slice when something else comes between.
pub(super) struct Cursor<'a> {
    inbox: &'a mut BytesMut,
    /// Octets at the front that pass unchanged; never more than the inbox holds.
    kept: usize,
    to: Side,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(inbox: &'a mut BytesMut, to: Side) -> Self {
        Self { inbox, kept: 0, to }
    }

    /// The octets not yet dealt with.
    pub(super) fn rest(&self) -> &[u8] {
        self.inbox.get(self.kept..).unwrap_or_default()
    }

    /// The next `count` octets, not yet dealt with.
    pub(super) fn front(&self, count: usize) -> &[u8] {
        self.rest().get(..count).unwrap_or_default()
    }

    /// `count` octets pass unchanged.
    pub(super) fn keep(&mut self, count: usize) {
        self.kept = self.inbox.len().min(self.kept + count);
    }

    /// `count` octets go nowhere. They may be a secret in the wrong place, so they are wiped.
    pub(super) fn discard(&mut self, count: usize, out: &mut Outbox) {
        drop(Redacted::new(self.cut_out(count, out)));
    }

    /// `count` octets wait elsewhere; they may be a secret, so they leave no copy behind.
    pub(super) fn take(&mut self, count: usize, out: &mut Outbox) -> Redacted<Vec<u8>> {
        Redacted::new(self.cut_out(count, out))
    }

    /// `count` octets go nowhere.
    pub(super) fn skip(&mut self, count: usize, out: &mut Outbox) {
        self.flush(out);
        self.inbox.advance(count.min(self.inbox.len()));
    }

    /// These octets go out here.
    pub(super) fn insert(&mut self, octets: impl Into<Bytes>, out: &mut Outbox) {
        self.flush(out);
        out.send(self.to, octets);
    }

    /// `count` octets are a secret: they pass, the first `names` in upper case, and leave no copy behind.
    pub(super) fn keep_secret(&mut self, count: usize, names: usize, out: &mut Outbox) {
        let mut secret = self.cut_out(count, out);
        if let Some(names) = secret.get_mut(..names) {
            names.make_ascii_uppercase();
        }
        out.send(self.to, Redacted::new(secret).into_wire());
    }

    /// Sends what was kept.
    pub(super) fn flush(&mut self, out: &mut Outbox) {
        if self.kept > 0 {
            out.send(self.to, self.inbox.split_to(self.kept).freeze());
            self.kept = 0;
        }
    }

    fn cut_out(&mut self, count: usize, out: &mut Outbox) -> Vec<u8> {
        self.flush(out);
        let count = count.min(self.inbox.len());
        let Some(region) = self.inbox.get_mut(..count) else { return Vec::new() };
        let octets = region.to_vec();
        region.zeroize();
        self.inbox.advance(count);
        octets
    }
}
