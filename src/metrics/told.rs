//! What the shell tells that no session reports, and what sessions report now and then.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use super::evaluations::Evaluations;
use super::histogram::Histograms;
use super::{Metrics, index_of, labels};
use crate::fault::Code;
use crate::policy::{Meter, Mode, Policy};
use crate::session::{CloseReason, Event, Observation, ViolationKind};
use crate::wire::{Protocol, Side};
use crate::witness::{SessionInfo, TlsFacts};

/// What the runtime tells of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime {
    pub(crate) workers: usize,
    pub(crate) tasks: usize,
    pub(crate) queued: usize,
    /// Of all workers, since the start.
    pub(crate) busy: Duration,
}

/// Every so many turns of a session one is measured.
const SAMPLED: u64 = 8;

/// Chooses the turns of a session that are measured.
pub(crate) struct Sampler {
    turns: u64,
    durations: Arc<Histograms>,
    at: usize,
}

impl Sampler {
    /// Whether the turn that begins is one of them.
    pub(crate) fn chooses(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        self.turns.is_multiple_of(SAMPLED)
    }

    /// A turn that was chosen is over.
    pub(crate) fn took(&self, duration: Duration) {
        if let Some(histogram) = self.durations.at(self.at) {
            histogram.took(duration);
        }
    }
}

impl Metrics {
    /// A connection was accepted.
    pub(crate) fn accepted(&self, listener: &str) {
        self.families.accepted.with_label_values(&[listener]).inc();
    }

    /// A connection was turned away; `reason` is one of [`labels::REJECTIONS`].
    pub(crate) fn rejected(&self, listener: &str, reason: &'static str) {
        debug_assert!(labels::REJECTIONS.contains(&reason));
        self.families.rejected.with_label_values(&[listener, reason]).inc();
        self.limit(if reason == "descriptors" { "descriptors" } else { "connections" });
    }

    /// A TLS handshake has ended: with what was agreed, or by a fault.
    pub(crate) fn handshake(&self, side: Side, outcome: Result<&TlsFacts, Code>, took: Duration) {
        let label = side.as_label();
        let result = match outcome {
            Ok(_) => "ok",
            Err(code) => code.as_label(),
        };
        self.families.handshakes.with_label_values(&[label, result]).inc();
        if let Some(duration) = self.families.handshake_duration.with(&[label]) {
            duration.took(took);
        }
        match outcome {
            Ok(facts) => {
                let (version, cipher) = labels::suite(&facts.cipher);
                let resumed = if facts.resumed { "true" } else { "false" };
                self.families.shaken.with_label_values(&[label, version, cipher, resumed]).inc();
            }
            Err(code) => self.fault(code),
        }
    }

    /// A TCP connection to an upstream was made.
    pub(crate) fn dialled(&self, upstream: &str, took: Duration) {
        if let Some(duration) = self.families.connect_duration.with(&[upstream]) {
            duration.took(took);
        }
    }

    /// An upstream greeted, so long after it was connected.
    pub(crate) fn greeted(&self, upstream: &str, took: Duration) {
        if let Some(duration) = self.families.greeting_duration.with(&[upstream]) {
            duration.took(took);
        }
    }

    /// The number of connections to an upstream; whoever has one adds and takes away.
    pub(crate) fn upstream_connections(&self, upstream: &str) -> IntGauge {
        self.families.upstream_connections.with_label_values(&[upstream])
    }

    /// An upstream could not be reached or is not trusted.
    pub(crate) fn upstream_failed(&self, upstream: &str, code: Code) {
        self.families.connect_failures.with_label_values(&[upstream, code.as_label()]).inc();
        if code == Code::UpstreamTimeout {
            self.fault(code);
        }
    }

    /// The counter of plaintext octets from one side.
    pub(crate) fn wire(&self, protocol: Protocol, from: Side) -> IntCounter {
        self.families.wire.with_label_values(&[protocol.as_label(), from.as_label()])
    }

    /// The counter of plaintext octets to one side.
    pub(crate) fn sent(&self, protocol: Protocol, to: Side) -> IntCounter {
        self.families.sent.with_label_values(&[protocol.as_label(), to.as_label()])
    }

    /// Measures the turns of a session. Sessions begin at different turns, so that greetings and logins are
    /// chosen as often as what comes later.
    pub(crate) fn sampler(&self, protocol: Protocol, session: u64) -> Sampler {
        Sampler { turns: session, durations: Arc::clone(&self.families.proxy_duration), at: index_of(protocol) }
    }

    /// The counter of octets of compressed sides; `flow` is `received` or `sent`, `form` is `plain` or `deflated`.
    pub(crate) fn compressed(&self, side: Side, flow: &str, form: &str) -> IntCounter {
        self.families.compressed.with_label_values(&[side.as_label(), flow, form])
    }

    /// A hook was asked; `result` is one of [`labels::HOOK_RESULTS`].
    pub(crate) fn hook_asked(&self, result: &'static str, took: Duration) {
        debug_assert!(labels::HOOK_RESULTS.contains(&result));
        self.families.hook_answers.with_label_values(&[result]).inc();
        if let Some(duration) = self.families.hook_duration.with(&[result]) {
            duration.took(took);
        }
    }

    /// So many spans of traces came to this end; `result` is one of [`labels::SPAN_RESULTS`].
    pub(crate) fn spans(&self, result: &'static str, count: u64) {
        debug_assert!(labels::SPAN_RESULTS.contains(&result));
        self.families.spans.with_label_values(&[result]).inc_by(count);
    }

    /// The configuration was looked at again; `result` is one of [`labels::RELOADS`], and what is in force now was
    /// read at `in_force` (seconds since 1970).
    pub(crate) fn reloaded(&self, result: &'static str, in_force: Option<i64>) {
        debug_assert!(labels::RELOADS.contains(&result));
        self.families.reloads.with_label_values(&[result]).inc();
        self.in_force(in_force);
    }

    /// What is in force was read at this time; `None`: what was last looked at is not in force.
    pub(crate) fn in_force(&self, since: Option<i64>) {
        self.families.reload.set(i64::from(since.is_some()));
        if let Some(since) = since {
            self.families.reloaded_at.set(since);
        }
    }

    /// These rules are in force from now on; `observing`: on a listener that enforces none.
    pub(crate) fn rules_in_force(&self, policy: &Policy, observing: bool) {
        for (rule, action, mode) in policy.told() {
            let rule = self.rules.label(&rule);
            for mode in std::iter::once(mode).chain(observing.then_some(Mode::Observe)) {
                self.families.decisions.with_label_values(&[&*rule, action.as_label(), mode.as_label()]);
            }
        }
    }

    /// Measures how long rules take.
    pub(crate) fn evaluations(&self) -> Arc<dyn Meter> {
        Arc::new(Evaluations(Arc::clone(&self.families.evaluation)))
    }

    /// A session's task panicked.
    pub(crate) fn panicked(&self) {
        self.families.panics.inc();
    }

    /// How the runtime does, told before a scrape.
    pub(crate) fn runtime(&self, runtime: Runtime) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.families.workers.set(number(runtime.workers));
        self.families.tasks.set(number(runtime.tasks));
        self.families.queued.set(number(runtime.queued));
        self.families.busy.inc_by((runtime.busy.as_secs_f64() - self.families.busy.get()).max(0.0));
    }

    fn fault(&self, code: Code) {
        if let Some(limit) = labels::limit_of(code) {
            self.limit(limit);
        }
    }

    pub(super) fn limit(&self, limit: &str) {
        self.families.limits.with_label_values(&[limit]).inc();
    }

    /// What is told now and then: looked up by its labels.
    pub(super) fn rare(&self, info: &SessionInfo, event: &Event) {
        let (protocol, families) = (info.protocol.as_label(), &self.families);
        match &event.what {
            Observation::Authentication { user, mechanism, accepted } => {
                let result = if *accepted { "accepted" } else { "refused" };
                families.authentications.with_label_values(&[protocol, labels::mechanism(mechanism), result]).inc();
                if *accepted && info.protocol == Protocol::Pop3 {
                    self.polled(info, user.as_deref(), event.at);
                }
            }
            Observation::Violated(violation) => {
                let labels = [protocol, violation.side.as_label(), violation.kind.as_label()];
                families.violations.with_label_values(&labels).inc();
                #[expect(clippy::wildcard_enum_match_arm, reason = "few of the breaches are limits")]
                match violation.kind {
                    ViolationKind::LineTooLong => self.limit("line"),
                    ViolationKind::LiteralTooLarge => self.limit("literal"),
                    ViolationKind::TooManyErrors => self.limit("errors"),
                    _ => {}
                }
            }
            Observation::Altered { to, why, removed, added } => {
                for (change, octets) in [("removed", removed), ("added", added)] {
                    let labels = [protocol, to.as_label(), why.as_label(), change];
                    families.altered_bytes.with_label_values(&labels).inc_by(*octets);
                }
            }
            Observation::Decided { decision, .. } => {
                let rule = self.rules.label(&decision.rule);
                let labels = [&*rule, decision.action.as_label(), decision.mode.as_label()];
                families.decisions.with_label_values(&labels).inc();
                if decision.alert {
                    families.alerts.with_label_values(&[protocol]).inc();
                }
            }
            Observation::Closed { reason, .. } => {
                families.closed.with_label_values(&[protocol, &info.listener, reason.as_label()]).inc();
                if *reason == CloseReason::Timeout {
                    self.limit("inactivity");
                }
            }
            Observation::Said(_)
            | Observation::Greeted
            | Observation::TlsStarted { .. }
            | Observation::CompressionStarted { .. }
            | Observation::CommandBegun { .. }
            | Observation::CommandCompleted { .. }
            | Observation::Retrieved { .. }
            | Observation::Stored { .. }
            | Observation::Expunged { .. }
            | Observation::Notifying { .. }
            | Observation::Vanished { .. }
            | Observation::StateChanged { .. } => {}
        }
    }

    /// A POP3 login was accepted: how long after the same user's last one?
    fn polled(&self, info: &SessionInfo, user: Option<&str>, at: Duration) {
        let Some(user) = user else { return };
        let who = self.hasher.hash_one((&*info.listener, user));
        let now = info.started.as_millisecond().saturating_add(i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
        let before = self.polls.get(&who);
        self.polls.insert(who, now);
        if let Some(millis) = before.and_then(|before| u64::try_from(now.saturating_sub(before)).ok())
            && let Some(interval) = self.families.poll_interval.at(0)
        {
            interval.took(Duration::from_millis(millis));
        }
    }
}
