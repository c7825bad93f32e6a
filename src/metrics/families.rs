//! The families, as they are registered.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

use crate::fault::Code;
use crate::session::{Alteration, CloseReason, Extent, ViolationKind};
use crate::wire::{Operation, Protocol, Side};

/// Why a connection is turned away.
pub(super) const REJECTIONS: &[&str] = &["max_sessions", "descriptors"];
/// SASL mechanisms and login commands with a label of their own; the last is the rest.
const MECHANISMS: &[&str] = &[
    "LOGIN",
    "USER",
    "APOP",
    "PLAIN",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "XOAUTH2",
    "OAUTHBEARER",
    "GSSAPI",
    "EXTERNAL",
    "other",
];
/// What comes of a question to a hook.
pub(super) const HOOK_RESULTS: &[&str] = &["allowed", "denied", "failed", "cached"];
/// What comes of a reload.
pub(super) const RELOADS: &[&str] = &["applied", "unchanged", "refused", "restart_needed"];
/// Which way octets go, seen from the proxy.
const FLOWS: [&str; 2] = ["received", "sent"];
/// Without and with DEFLATE.
const FORMS: [&str; 2] = ["plain", "deflated"];
const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];
const SIDES: [Side; 2] = [Side::Client, Side::Upstream];

const COMMAND_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];
const HANDSHAKE_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];
const SESSION_SECONDS: &[f64] =
    &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0];

pub(super) fn mechanism(name: &str) -> &'static str {
    MECHANISMS.iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(&"other")
}

macro_rules! families {
    ($($field:ident: $make:ident $family:ident, $name:literal, $help:literal, $labels:expr $(, $buckets:ident)?;)+) => {
        /// The families that are written to; those of the process and the build are on the registry alone.
        pub(super) struct Families {
            pub(super) registry: Registry,
            pub(super) panics: IntCounter,
            $(pub(super) $field: $family,)+
        }

        impl Families {
            pub(super) fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                process(&registry)?;
                Ok(Self {
                    panics: panics(&registry)?,
                    $($field: $make(&registry, $name, $help, &$labels $(, $buckets)?)?,)+
                    registry,
                })
            }
        }
    };
}

families! {
    accepted: counter IntCounterVec, "connections_accepted_total", "Connections accepted.", ["listener"];
    rejected: counter IntCounterVec, "connections_rejected_total", "Connections turned away.", ["listener", "reason"];
    opened: counter IntCounterVec, "sessions_opened_total", "Sessions opened.", ["protocol", "listener"];
    closed: counter IntCounterVec, "sessions_closed_total", "Sessions ended, by reason.",
        ["protocol", "listener", "reason"];
    active: gauge IntGaugeVec, "sessions_active", "Sessions open now.", ["protocol", "listener"];
    session_duration: histogram HistogramVec, "session_duration_seconds", "How long sessions last.",
        ["protocol"], SESSION_SECONDS;
    handshakes: counter IntCounterVec, "tls_handshakes_total", "TLS handshakes ended, by result.", ["side", "result"];
    handshake_duration: histogram HistogramVec, "tls_handshake_duration_seconds", "How long TLS handshakes take.",
        ["side"], HANDSHAKE_SECONDS;
    connect_duration: histogram HistogramVec, "upstream_connect_duration_seconds",
        "How long connecting to an upstream takes, name resolution included.", ["upstream"], HANDSHAKE_SECONDS;
    connect_failures: counter IntCounterVec, "upstream_connect_failures_total",
        "Upstreams not reached or not trusted, by reason.", ["upstream", "reason"];
    commands: counter IntCounterVec, "commands_total", "Commands ended, by result.",
        ["protocol", "command", "result"];
    command_duration: histogram HistogramVec, "command_duration_seconds",
        "From a command's end to the upstream's answer.", ["protocol", "command"], COMMAND_SECONDS;
    operations: counter IntCounterVec, "operations_total", "Commands begun, by what they are for.",
        ["protocol", "operation"];
    wire: counter IntCounterVec, "wire_bytes_total", "Plaintext bytes received, by side.", ["protocol", "from"];
    compressed: counter IntCounterVec, "compression_bytes_total",
        "Bytes of compressed sides, as they are without (plain) and with (deflated) the layer.",
        ["side", "flow", "form"];
    retrieved: counter IntCounterVec, "messages_retrieved_total", "Retrievals of message content.",
        ["protocol", "extent"];
    retrieved_bytes: counter IntCounterVec, "retrieved_bytes_total",
        "Bytes of message content that went to clients.", ["protocol", "extent"];
    stored: counter IntCounterVec, "messages_stored_total", "Messages uploaded.", ["protocol"];
    expunged: counter IntCounterVec, "messages_expunged_total", "Messages a server told to be gone.", ["protocol"];
    stored_bytes: counter IntCounterVec, "stored_bytes_total", "Bytes of messages uploaded.", ["protocol"];
    authentications: counter IntCounterVec, "auth_attempts_total", "Logins tried, by result.",
        ["protocol", "mechanism", "result"];
    violations: counter IntCounterVec, "violations_total", "Breaches of the protocol, by who and how.",
        ["protocol", "side", "kind"];
    altered_bytes: counter IntCounterVec, "altered_bytes_total",
        "Bytes that went out otherwise than they came in: removed and added.", ["protocol", "to", "why"];
    hook_answers: counter IntCounterVec, "hook_answers_total", "Questions to hooks, by what came of them.", ["result"];
    hook_duration: histogram HistogramVec, "hook_duration_seconds", "How long hooks take to answer, or to fail.",
        ["result"], HANDSHAKE_SECONDS;
    reloads: counter IntCounterVec, "reloads_total", "Reloads of the configuration, by result.", ["result"];
    reload: gauge IntGaugeVec, "config_last_reload_successful",
        "Whether the configuration that was last looked at is in force.", [];
    reloaded_at: gauge IntGaugeVec, "config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read, in seconds since 1970.", [];
    alerts: counter IntCounterVec, "policy_alerts_total", "Decisions of rules with alert = true.", ["protocol"];
    decisions: counter IntCounterVec, "policy_decisions_total", "What rules decided, or would have.",
        ["rule", "action", "mode"];
}

impl Families {
    /// Makes the series that are known beforehand, so that each is there with a zero.
    pub(super) fn start_at_zero(&self, listeners: &[(String, Protocol)], upstreams: &[String]) {
        for (listener, protocol) in listeners {
            self.accepted.with_label_values(&[listener]);
            for reason in REJECTIONS {
                self.rejected.with_label_values(&[listener.as_str(), reason]);
            }
            self.opened.with_label_values(&[protocol.as_label(), listener]);
            self.active.with_label_values(&[protocol.as_label(), listener]);
            for reason in CloseReason::ALL {
                self.closed.with_label_values(&[protocol.as_label(), listener, reason.as_label()]);
            }
        }
        for upstream in upstreams {
            self.connect_duration.with_label_values(&[upstream]);
            for code in Code::ALL.iter().filter(|code| upstream_can(**code)) {
                self.connect_failures.with_label_values(&[upstream.as_str(), code.as_label()]);
            }
        }
        for side in SIDES {
            self.handshakes.with_label_values(&[side.as_label(), "ok"]);
            self.handshake_duration.with_label_values(&[side.as_label()]);
            for (flow, form) in FLOWS.into_iter().flat_map(|flow| FORMS.map(|form| (flow, form))) {
                self.compressed.with_label_values(&[side.as_label(), flow, form]);
            }
        }
        for result in HOOK_RESULTS {
            self.hook_answers.with_label_values(&[result]);
            self.hook_duration.with_label_values(&[result]);
        }
        for result in RELOADS {
            self.reloads.with_label_values(&[result]);
        }
        for result in [Code::ClientHandshake, Code::ClientTimeout] {
            self.handshakes.with_label_values(&[Side::Client.as_label(), result.as_label()]);
        }
        for code in Code::ALL.iter().filter(|code| upstream_can(**code) && code.as_str() >= "MW-2041") {
            self.handshakes.with_label_values(&[Side::Upstream.as_label(), code.as_label()]);
        }
        for protocol in PROTOCOLS {
            self.protocol_at_zero(protocol);
        }
    }

    fn protocol_at_zero(&self, protocol: Protocol) {
        let protocol = protocol.as_label();
        self.session_duration.with_label_values(&[protocol]);
        self.alerts.with_label_values(&[protocol]);
        self.stored.with_label_values(&[protocol]);
        self.stored_bytes.with_label_values(&[protocol]);
        self.expunged.with_label_values(&[protocol]);
        for operation in Operation::ALL {
            self.operations.with_label_values(&[protocol, operation.as_label()]);
        }
        for extent in Extent::ALL {
            self.retrieved.with_label_values(&[protocol, extent.as_label()]);
            self.retrieved_bytes.with_label_values(&[protocol, extent.as_label()]);
        }
        for side in SIDES {
            self.wire.with_label_values(&[protocol, side.as_label()]);
            for kind in ViolationKind::ALL {
                self.violations.with_label_values(&[protocol, side.as_label(), kind.as_label()]);
            }
            for why in Alteration::ALL {
                self.altered_bytes.with_label_values(&[protocol, side.as_label(), why.as_label()]);
            }
        }
        for mechanism in MECHANISMS {
            for result in ["accepted", "refused"] {
                self.authentications.with_label_values(&[protocol, mechanism, result]);
            }
        }
    }
}

/// Whether a fault of this kind can be the reason of a failed upstream connection.
fn upstream_can(code: Code) -> bool {
    let code = code.as_str();
    ("MW-2001".."MW-2011").contains(&code) || code >= "MW-2041"
}

fn panics(registry: &Registry) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::new("mailwarden_task_panics_total", "Sessions ended by a fault of the proxy.")?)
}

fn process(registry: &Registry) -> Result<(), prometheus::Error> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let opts = Opts::new("mailwarden_build_info", "The version that runs.");
    let build = IntGaugeVec::new(opts, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(format!("mailwarden_{name}"), help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(Opts::new(format!("mailwarden_{name}"), help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new(format!("mailwarden_{name}"), help).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(opts, labels)?)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
