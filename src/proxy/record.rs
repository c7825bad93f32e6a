//! One session's line to its witnesses. Whatever way the session's task ends, a panic included,
//! its end is reported: by the drop of the [`Record`].

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus::{IntCounter, IntGauge};

use super::deflate::Tally;
use super::relay::now;
use crate::fault::Fault;
use crate::metrics::{Metrics, Sampler};
use crate::session::{CloseReason, Event, Observation};
use crate::traces::{SessionTrace, Tracer};
use crate::wire::Side;
use crate::witness::{SessionInfo, TlsFacts, Witness};

/// All who are told.
pub(super) type Witnesses = Arc<[Arc<dyn Witness>]>;

/// The upstream is connected.
struct Connected {
    /// How many are; one less when this session is over.
    now: IntGauge,
    /// Until it has greeted: since when it could.
    greets: Option<Instant>,
}

/// What is known of a session and whom it is told.
pub(super) struct Record {
    info: SessionInfo,
    witnesses: Witnesses,
    metrics: Arc<Metrics>,
    wire: [IntCounter; 2],
    sent: [IntCounter; 2],
    /// Measures turns, where anybody can ask for what comes of it.
    sampler: Option<Sampler>,
    /// When the turn that is measured began, and whether it is for `sampler`.
    turn: Option<(Instant, bool)>,
    /// Of a session that is traced.
    trace: Option<Box<SessionTrace>>,
    connected: Option<Connected>,
    octets: [u64; 2],
    started: Instant,
    closed: bool,
}

impl Record {
    /// Opens the record, and says so.
    pub(super) fn open(
        info: SessionInfo,
        witnesses: Witnesses,
        metrics: Arc<Metrics>,
        tracer: Option<&Arc<Tracer>>,
        started: Instant,
    ) -> Self {
        for witness in witnesses.iter() {
            witness.opened(&info);
        }
        let wire = [Side::Client, Side::Upstream].map(|side| metrics.wire(info.protocol, side));
        let sent = [Side::Client, Side::Upstream].map(|side| metrics.sent(info.protocol, side));
        let sampler = metrics.are_asked_for().then(|| metrics.sampler(info.protocol, info.id));
        let trace = info
            .trace
            .zip(tracer)
            .map(|(trace, tracer)| Box::new(SessionTrace::begin(Arc::clone(tracer), trace, &info, started)));
        Self {
            info,
            witnesses,
            metrics,
            wire,
            sent,
            sampler,
            turn: None,
            trace,
            connected: None,
            octets: [0; 2],
            started,
            closed: false,
        }
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

    /// Plaintext octets went to `side`.
    pub(super) fn sent(&self, side: Side, count: usize) {
        let [client, upstream] = &self.sent;
        let counter = if side == Side::Client { client } else { upstream };
        counter.inc_by(count as u64);
    }

    /// The upstream is connected, with TLS where that is implicit, and greets next.
    pub(super) fn connected(&mut self) {
        let now = self.metrics.upstream_connections(&self.info.upstream);
        now.inc();
        self.connected = Some(Connected { now, greets: Some(Instant::now()) });
    }

    /// The session looks at what came.
    pub(super) fn turn_begins(&mut self, now: Instant) {
        let sampled = self.sampler.as_mut().is_some_and(Sampler::chooses);
        self.turn = (sampled || self.trace.is_some()).then_some((now, sampled));
    }

    /// What came of it went to the sockets as far as they took it.
    pub(super) fn turn_ends(&mut self) {
        let Some((since, sampled)) = self.turn.take() else { return };
        let took = now().saturating_duration_since(since);
        if let Some(sampler) = self.sampler.as_ref().filter(|_| sampled) {
            sampler.took(took);
        }
        if let Some(trace) = &mut self.trace {
            trace.turn(took);
        }
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
            if let Some(connected) = &mut self.connected
                && let Some(since) = connected.greets
                && events.iter().any(|event| matches!(event.what, Observation::Greeted))
            {
                connected.greets = None;
                self.metrics.greeted(&self.info.upstream, since.elapsed());
            }
            self.closed |= events.iter().any(|event| matches!(event.what, Observation::Closed { .. }));
            for witness in self.witnesses.iter() {
                witness.events(&self.info, events);
            }
            if let Some(trace) = &mut self.trace {
                trace.events(events);
            }
        }
    }

    /// A handshake on `side` that began at `since` has ended.
    pub(super) fn handshake(&mut self, side: Side, since: Instant, outcome: Result<&TlsFacts, &Fault>) {
        self.metrics.handshake(side, outcome.map_err(|fault| fault.code), since.elapsed());
        if let Some(trace) = &mut self.trace {
            trace.handshake(side, since, now(), outcome);
        }
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
    pub(super) fn upstream_failed(&mut self, fault: &Fault) {
        self.metrics.upstream_failed(&self.info.upstream, fault.code);
        if let Some(trace) = &mut self.trace {
            trace.upstream_failed(fault, now());
        }
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
        if let Some(connected) = &self.connected {
            connected.now.dec();
        }
        let [client, upstream] = self.octets;
        for witness in self.witnesses.iter() {
            witness.closed(&self.info, client, upstream);
        }
        if let Some(trace) = self.trace.take() {
            trace.end(&self.info, now(), client, upstream);
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("info", &self.info).field("octets", &self.octets).finish_non_exhaustive()
    }
}
