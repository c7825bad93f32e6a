//! The one table of all families. `docs/metrics.md` is made of it, and so is the number of series that can be.

use std::sync::Arc;

use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector};

use super::histogram::{Buckets, Histograms, Registered};
use super::labels::{self as of, Dimension, Names, Row};

/// The series of a histogram.
type Timings = Arc<Histograms>;

/// What a family measures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family as it is declared.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) dimensions: &'static [Dimension],
    pub(super) buckets: Option<&'static Buckets>,
}

impl Family {
    pub(super) fn full_name(&self) -> String {
        format!("mailwarden_{}", self.name)
    }

    pub(super) fn labels(&self) -> Vec<&'static str> {
        self.dimensions.iter().flat_map(|dimension| dimension.labels).copied().collect()
    }

    /// Every row of label values that can be.
    pub(super) fn rows(&self, names: &Names) -> Vec<Row> {
        self.dimensions.iter().fold(vec![Row::new()], |rows, dimension| {
            let further = (dimension.rows)(names);
            rows.iter().flat_map(|row| further.iter().map(|more| [row.as_slice(), more].concat())).collect()
        })
    }

    /// Lines on the endpoint, at most: a histogram has one per bucket, one for what is beyond, sum and count.
    pub(super) fn series(&self, names: &Names) -> usize {
        self.rows(names).len() * self.buckets.map_or(1, |buckets| buckets.bounds.len() + 3)
    }
}

const COMMAND_SECONDS: &Buckets = &Buckets {
    bounds: &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0],
    steps: 1e6,
    why: "A server on the same network answers in a few milliseconds, a person notices a quarter of a second, and \
          mail programs give up after a minute.",
};
const HANDSHAKE_SECONDS: &Buckets = &Buckets {
    bounds: &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0],
    steps: 1e6,
    why: "One to three round trips and a signature: from a millisecond on one machine to half a second over a bad \
          line; what takes longer than a second waits for something else.",
};
const SESSION_SECONDS: &Buckets = &Buckets {
    bounds: &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0],
    steps: 1e3,
    why: "A POP3 poll takes seconds, an IMAP program stays for a day; 1800 seconds is the shortest inactivity timeout \
          that RFC 9051 §5.4 allows.",
};
const PROXY_SECONDS: &Buckets = &Buckets {
    bounds: &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05],
    steps: 1e7,
    why: "A turn is some tens of microseconds; a worker that is late, or a rule that is slow, shows from a \
          millisecond on.",
};
const EVALUATION_SECONDS: &Buckets = &Buckets {
    bounds: &[5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2],
    steps: 1e9,
    why: "A few rules take less than a microsecond, a thousand that all must be looked at some tens; a turn of a session \
          takes as much.",
};
const IDLE_SECONDS: &Buckets = &Buckets {
    bounds: &[1.0, 10.0, 60.0, 120.0, 300.0, 540.0, 900.0, 1500.0, 1740.0, 1800.0, 3600.0],
    steps: 1e3,
    why: "RFC 2177 asks for a new IDLE at least every 29 minutes (1740 seconds); programs on mobile networks do it \
          every 9 or sooner; what ends at once is not a real IDLE.",
};
const POLL_SECONDS: &Buckets = &Buckets {
    bounds: &[10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0],
    steps: 1e3,
    why: "Mail programs poll each 1, 5, 10, 15, 30 or 60 minutes; less than a minute is what LOGIN-DELAY (RFC 2449 \
          §6.5) is against.",
};
const MESSAGE_BYTES: &Buckets = &Buckets {
    bounds: &[1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0],
    steps: 1.0,
    why: "Powers of four from a short text without attachments (4 KiB) to the limits that mail servers have (25 to 50 \
          MiB).",
};

/// The static form of what a field of [`Families`] is made with.
macro_rules! families {
    ($($field:ident: $kind:ident $family:ident, $name:literal, $help:literal, [$($dimension:ident),*]
        $(, $buckets:ident)?;)+) => {
        /// Every family, in the order of `docs/metrics.md`.
        pub(super) const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            dimensions: &[$(of::$dimension),*],
            buckets: families!(@buckets $($buckets)?),
        },)+];

        /// What is written to.
        pub(super) struct Families {
            pub(super) registry: Registry,
            $(pub(super) $field: $family,)+
        }

        impl Families {
            /// Makes every series there can be, so that a zero can be told from an absence.
            pub(super) fn new(names: &Names) -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                #[cfg(target_os = "linux")]
                registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
                let mut declared = FAMILIES.iter();
                let mut next = || declared.next().ok_or_else(|| prometheus::Error::Msg("the table is short".to_owned()));
                Ok(Self { $($field: <$family as Make>::make(next()?, names, &registry)?,)+ registry })
            }
        }
    };
    (@buckets) => { None };
    (@buckets $buckets:ident) => { Some($buckets) };
}

families! {
    accepted: Counter IntCounterVec, "connections_accepted_total", "Connections accepted.", [LISTENER];
    rejected: Counter IntCounterVec, "connections_rejected_total", "Connections turned away.", [LISTENER, REJECTION];
    connections: Gauge IntGaugeVec, "connections_active",
        "Connections open now, those in their first TLS handshake included: what the limit counts.", [LISTENER];
    connections_limit: Gauge IntGaugeVec, "connections_limit", "Connections that a listener takes at a time.", [LISTENER];
    opened: Counter IntCounterVec, "sessions_opened_total", "Sessions opened.", [DOOR];
    closed: Counter IntCounterVec, "sessions_closed_total", "Sessions ended, by reason.", [DOOR, CLOSE_REASON];
    active: Gauge IntGaugeVec, "sessions_active", "Sessions open now.", [DOOR];
    in_state: Gauge IntGaugeVec, "sessions_in_state", "Sessions open now, by the state of the protocol.",
        [PROTOCOL, STATE];
    session_duration: Histogram Timings, "session_duration_seconds", "How long sessions last.",
        [PROTOCOL], SESSION_SECONDS;
    panics: Counter IntCounter, "task_panics_total", "Sessions ended by a fault of the proxy.", [];
    handshakes: Counter IntCounterVec, "tls_handshakes_total",
        "TLS handshakes ended, by result; certificate_refused: the client did not trust what it was shown.", [HANDSHAKE];
    shaken: Counter IntCounterVec, "tls_sessions_total", "TLS handshakes that succeeded, by what was agreed.",
        [SIDE, SUITE, RESUMED];
    handshake_duration: Histogram Timings, "tls_handshake_duration_seconds",
        "How long TLS handshakes take, those that fail included.", [SIDE], HANDSHAKE_SECONDS;
    expiry: Gauge IntGaugeVec, "certificate_expiry_timestamp_seconds",
        "When a certificate expires, in seconds since 1970: the earliest of a listener's files, the authority's own, and \
         the last one an upstream showed and was trusted for. Absent until it is known.", [CERTIFICATE];
    minted: Counter IntCounter, "certificates_minted_total", "Certificates that the authority made.", [];
    mint_hits: Counter IntCounter, "certificate_cache_hits_total",
        "Handshakes for which the authority had a certificate already.", [];
    connect_duration: Histogram Timings, "upstream_connect_duration_seconds",
        "How long connecting to an upstream takes, name resolution included.", [UPSTREAM], HANDSHAKE_SECONDS;
    greeting_duration: Histogram Timings, "upstream_greeting_duration_seconds",
        "From the connection, with TLS where that is implicit, to the server's greeting.", [UPSTREAM], HANDSHAKE_SECONDS;
    connect_failures: Counter IntCounterVec, "upstream_connect_failures_total",
        "Upstreams not reached or not trusted, by reason.", [UPSTREAM, UPSTREAM_FAULT];
    upstream_connections: Gauge IntGaugeVec, "upstream_connections", "Connections to an upstream in use now.",
        [UPSTREAM];
    commands: Counter IntCounterVec, "commands_total",
        "Commands ended, by result: the server's ok, no (-ERR) or bad; aborted by the session's end; denied by policy; \
         error: refused as malformed or not offered.", [COMMAND, OUTCOME];
    command_failures: Counter IntCounterVec, "command_failures_total",
        "Commands that the server refused, by the class of its response code.", [COMMAND, CLASS];
    command_duration: Histogram Timings, "command_duration_seconds",
        "Upstream time: from a command's end to the server's answer.", [TIMED], COMMAND_SECONDS;
    operations: Counter IntCounterVec, "operations_total",
        "Commands ended, by what they are for, in words shared by both protocols.", [PROTOCOL, OPERATION, OUTCOME];
    operation_failures: Counter IntCounterVec, "operation_failures_total",
        "Commands that the server refused, by what they are for.", [PROTOCOL, OPERATION, CLASS];
    operation_duration: Histogram Timings, "operation_duration_seconds",
        "Upstream time, by what commands are for.", [PROTOCOL, OPERATION], COMMAND_SECONDS;
    proxy_duration: Histogram Timings, "proxy_duration_seconds",
        "Proxy time: from octets having been read to what came of them having been given to the sockets as far as \
         they took it. Every eighth turn of a session is measured.", [PROTOCOL], PROXY_SECONDS;
    wire: Counter IntCounterVec, "wire_bytes_total", "Plaintext bytes received, by side.", [PROTOCOL, FROM];
    sent: Counter IntCounterVec, "sent_bytes_total", "Plaintext bytes sent, by side.", [PROTOCOL, TO];
    compressed: Counter IntCounterVec, "compression_bytes_total",
        "Bytes of compressed sides, as they are without (plain) and with (deflated) the layer.", [SIDE, FLOW, FORM];
    compressed_sides: Gauge IntGauge, "compressed_sides", "Sides of sessions that are compressed now.", [];
    compressed_limit: Gauge IntGauge, "compressed_sides_limit",
        "Sides of sessions that may be compressed at a time, over all listeners.", [];
    retrieved: Counter IntCounterVec, "messages_retrieved_total", "Retrievals of message content.", [PROTOCOL, EXTENT];
    retrieved_bytes: Counter IntCounterVec, "retrieved_bytes_total",
        "Bytes of message content that went to clients.", [PROTOCOL, EXTENT];
    message_bytes: Histogram Timings, "retrieved_message_bytes", "Sizes of messages retrieved whole.",
        [PROTOCOL], MESSAGE_BYTES;
    stored: Counter IntCounterVec, "messages_stored_total", "Messages uploaded.", [PROTOCOL];
    stored_bytes: Counter IntCounterVec, "stored_bytes_total", "Bytes of messages uploaded.", [PROTOCOL];
    expunged: Counter IntCounterVec, "messages_expunged_total", "Messages a server told to be gone.", [PROTOCOL];
    authentications: Counter IntCounterVec, "auth_attempts_total", "Logins tried, by result.",
        [PROTOCOL, MECHANISM, LOGIN];
    idle: Gauge IntGauge, "idle_active", "IMAP sessions in IDLE now.", [];
    idle_duration: Histogram Timings, "idle_duration_seconds", "How long an IDLE lasts.", [], IDLE_SECONDS;
    idle_interval: Histogram Timings, "idle_reissue_interval_seconds",
        "From the start of an IDLE to the start of the next in the same session.", [], IDLE_SECONDS;
    notify: Gauge IntGauge, "notify_active", "IMAP sessions whose server tells of changes unasked (NOTIFY) now.", [];
    poll_interval: Histogram Timings, "pop3_poll_interval_seconds",
        "From a POP3 login to the next of the same user at the same listener, for the last few thousand users.",
        [], POLL_SECONDS;
    violations: Counter IntCounterVec, "violations_total", "Breaches of the protocol, by who and how.",
        [PROTOCOL, SIDE, VIOLATION];
    limits: Counter IntCounterVec, "limits_hit_total", "Limits that were reached.", [LIMIT];
    altered_bytes: Counter IntCounterVec, "altered_bytes_total",
        "Bytes that went out otherwise than they came in: bytes sent are bytes received, less those removed, and those \
         added.", [PROTOCOL, TO, ALTERATION, CHANGE];
    decisions: Counter IntCounterVec, "policy_decisions_total",
        "What rules decided, or would have. A rule's series is there from when the rule is in force.", [RULE, ACTION, MODE];
    evaluation: Histogram Timings, "policy_evaluation_seconds",
        "How long rules take to decide about a command, once those that can concern the session are found. Of the \
         commands of a session for which rules are looked at, the first is measured and every eighth after it.",
        [], EVALUATION_SECONDS;
    expression_failures: Counter IntCounter, "policy_expression_failures_total",
        "Conditions `when` that could not be computed, as by a division by zero; they count as not known.", [];
    alerts: Counter IntCounterVec, "policy_alerts_total", "Decisions of rules with alert = true.", [PROTOCOL];
    hook_answers: Counter IntCounterVec, "hook_answers_total", "Questions to hooks, by what came of them.", [HOOKED];
    hook_duration: Histogram Timings, "hook_duration_seconds", "How long hooks take to answer, or to fail.",
        [HOOKED], HANDSHAKE_SECONDS;
    recordings: Counter IntCounter, "recordings_total", "Recordings begun of sessions that rules want kept.", [];
    recording_bytes: Counter IntCounter, "recording_bytes_total", "Bytes written to these recordings.", [];
    recording_failures: Counter IntCounterVec, "recording_failures_total",
        "Recordings that are missing or not whole; disk: the file could not be made or written, and ends there; busy: \
         the disk was slower than what was to be kept.", [RECORDING_FAULT];
    spans: Counter IntCounterVec, "trace_spans_total",
        "Spans of traced sessions, by what became of them: exported; dropped as the queue was full, or as the session had \
         too many; refused by the collector; failed: the collector was not reached in time.", [SPANNED];
    reloads: Counter IntCounterVec, "reloads_total", "Reloads of the configuration, by result.", [RELOAD];
    reload: Gauge IntGauge, "config_last_reload_successful",
        "Whether the configuration that was last looked at is in force.", [];
    reloaded_at: Gauge IntGauge, "config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read, in seconds since 1970.", [];
    workers: Gauge IntGauge, "runtime_workers", "Threads that sessions run on.", [];
    tasks: Gauge IntGauge, "runtime_tasks_alive", "Tasks that have begun and not ended.", [];
    queued: Gauge IntGauge, "runtime_queue_depth", "Tasks that wait for a worker in the queue they share.", [];
    busy: Counter Counter, "runtime_worker_busy_seconds_total", "Time that workers were not waiting, all together.", [];
    build: Gauge IntGaugeVec, "build_info", "The version that runs.", [VERSION];
}

/// What a field can be made as.
trait Make: Sized {
    fn make(family: &Family, names: &Names, registry: &Registry) -> Result<Self, prometheus::Error>;
}

fn options(family: &Family) -> Opts {
    Opts::new(family.full_name(), family.help)
}

/// Expiries are not known at the start, and no certificate expired in 1970.
fn is_known_later(family: &Family) -> bool {
    family.name == "certificate_expiry_timestamp_seconds"
}

impl Make for IntCounterVec {
    fn make(family: &Family, names: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        let made = Self::new(options(family), &family.labels())?;
        for row in family.rows(names) {
            made.with_label_values(&row);
        }
        register(registry, made)
    }
}

impl Make for IntGaugeVec {
    fn make(family: &Family, names: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        let made = Self::new(options(family), &family.labels())?;
        for row in family.rows(names).iter().filter(|_| !is_known_later(family)) {
            made.with_label_values(row);
        }
        register(registry, made)
    }
}

impl Make for IntCounter {
    fn make(family: &Family, _: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        register(registry, Self::with_opts(options(family))?)
    }
}

impl Make for IntGauge {
    fn make(family: &Family, _: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        register(registry, Self::with_opts(options(family))?)
    }
}

impl Make for Counter {
    fn make(family: &Family, _: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        register(registry, Self::with_opts(options(family))?)
    }
}

impl Make for Arc<Histograms> {
    fn make(family: &Family, names: &Names, registry: &Registry) -> Result<Self, prometheus::Error> {
        let buckets =
            family.buckets.ok_or_else(|| prometheus::Error::Msg(format!("{} has no buckets", family.name)))?;
        let (labels, rows) = (family.labels(), family.rows(names));
        let made = Self::new(Histograms::new(family.full_name(), family.help, labels, rows, buckets)?);
        registry.register(Box::new(Registered(Self::clone(&made))))?;
        Ok(made)
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// Lines of the process's own families: CPU time, descriptors and their limit, memory twice, start, threads.
pub(super) const PROCESS_SERIES: usize = 7;

/// The most lines the endpoint can have with these names, whatever peers do.
pub(super) fn most_series(names: &Names) -> usize {
    PROCESS_SERIES + FAMILIES.iter().map(|family| family.series(names)).sum::<usize>()
}
