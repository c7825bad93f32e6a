//! One session's line to its witnesses. Whatever way the session's task ends, a panic included,
//! its end is reported: by the drop of the [`Record`].

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus::IntCounter;

use super::deflate::Tally;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::session::{CloseReason, Event, Observation};
use crate::wire::Side;
use crate::witness::{SessionInfo, TlsFacts, Witness};

/// All who are told.
pub(super) type Witnesses = Arc<[Arc<dyn Witness>]>;

/// What is known of a session and whom it is told.
pub(super) struct Record {
    info: SessionInfo,
    witnesses: Witnesses,
    metrics: Arc<Metrics>,
    wire: [IntCounter; 2],
    octets: [u64; 2],
    started: Instant,
    closed: bool,
}

impl Record {
    /// Opens the record, and says so.
    pub(super) fn open(info: SessionInfo, witnesses: Witnesses, metrics: Arc<Metrics>, started: Instant) -> Self {
        for witness in witnesses.iter() {
            witness.opened(&info);
        }
        let wire = [Side::Client, Side::Upstream].map(|side| metrics.wire(info.protocol, side));
        Self { info, witnesses, metrics, wire, octets: [0; 2], started, closed: false }
    }

    /// What was known of the session when it was opened.
    pub(super) fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Plaintext octets came from `side`.
    pub(super) fn received(&mut self, side: Side, count: usize) {
        let count = count as u64;
        let [client, upstream] = &mut self.octets;
        let [client_wire, upstream_wire] = &self.wire;
        let (total, counter) = match side {
            Side::Client => (client, client_wire),
            Side::Upstream => (upstream, upstream_wire),
        };
        *total += count;
        counter.inc_by(count);
    }

    /// The counters of a compressed side.
    pub(super) fn tally(&self, side: Side) -> Tally {
        let counter = |flow, form| self.metrics.compressed(side, flow, form);
        Tally {
            received_plain: counter("received", "plain"),
            received_deflated: counter("received", "deflated"),
            sent_plain: counter("sent", "plain"),
            sent_deflated: counter("sent", "deflated"),
        }
    }

    /// The session reported these.
    pub(super) fn events(&mut self, events: &[Event]) {
        if !events.is_empty() {
            self.closed |= events.iter().any(|event| matches!(event.what, Observation::Closed { .. }));
            for witness in self.witnesses.iter() {
                witness.events(&self.info, events);
            }
        }
    }

    /// A handshake on `side` that began at `since` has ended.
    pub(super) fn handshake(&mut self, side: Side, since: Instant, outcome: Result<&TlsFacts, &Fault>) {
        self.metrics.handshake(side, outcome.map_or_else(|fault| fault.code.as_label(), |_| "ok"), since.elapsed());
        match side {
            Side::Client => self.info.client_tls = outcome.ok().cloned(),
            Side::Upstream => self.info.upstream_tls = outcome.ok().cloned(),
        }
    }

    /// The client's handshake in the middle of the session failed.
    pub(super) fn client_failed(&self, fault: &Fault) {
        let (session, listener, client) = (self.info.id, &self.info.listener, &self.info.client);
        tracing::info!(session, %listener, %client, code = %fault.code, help = fault.help, "{}", fault.sentence);
    }

    /// The upstream cannot be used.
    pub(super) fn upstream_failed(&self, fault: &Fault) {
        self.metrics.upstream_failed(&self.info.upstream, fault.code);
        for witness in self.witnesses.iter() {
            witness.upstream_failed(&self.info, fault);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.metrics.panicked();
        }
        if !self.closed {
            let detail = "The session's task ended before the session did".to_owned();
            let what = Observation::Closed { reason: CloseReason::Internal, detail };
            self.events(&[Event { at: self.started.elapsed(), what }]);
        }
        let [client, upstream] = self.octets;
        for witness in self.witnesses.iter() {
            witness.closed(&self.info, client, upstream);
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("info", &self.info).field("octets", &self.octets).finish_non_exhaustive()
    }
}
