//! The closed sets that label values come from. A dimension gives one label or several that belong
//! together, and every row of values that can occur; what a peer invents has no row.

use super::{codes, commands};
use crate::fault::Code;
use crate::policy::{ActionKind, Mode};
use crate::session::{Alteration, CloseReason, Extent, State, ViolationKind};
use crate::wire::{Operation, Protocol};

/// What the configuration names.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) listeners: Vec<(String, Protocol)>,
    pub(super) upstreams: Vec<String>,
}

/// Label values, in the order of the labels.
pub(super) type Row = Vec<String>;

/// Labels and the values they can have together.
pub(super) struct Dimension {
    pub(super) labels: &'static [&'static str],
    /// Where the values come from, if not from a set that is written here.
    pub(super) configured: Option<&'static str>,
    pub(super) rows: fn(&Names) -> Vec<Row>,
}

/// A dimension whose values are the words of an enum.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $label:literal of $set:ty;)+) => {
        $($(#[$doc])* pub(super) const $name: Dimension = Dimension {
            labels: &[$label],
            configured: None,
            rows: |_| <$set>::ALL.iter().map(|value| vec![value.as_label().to_owned()]).collect(),
        };)+
    };
}

words! {
    CLOSE_REASON: "reason" of CloseReason;
    STATE: "state" of State;
    OPERATION: "operation" of Operation;
    EXTENT: "extent" of Extent;
    VIOLATION: "kind" of ViolationKind;
    ALTERATION: "why" of Alteration;
    ACTION: "action" of ActionKind;
    MODE: "mode" of Mode;
}

/// A dimension whose values are these words.
const fn listed(labels: &'static [&'static str], rows: fn(&Names) -> Vec<Row>) -> Dimension {
    Dimension { labels, configured: None, rows }
}

fn column(words: &[&str]) -> Vec<Row> {
    words.iter().map(|word| vec![(*word).to_owned()]).collect()
}

pub(super) const PROTOCOL: Dimension = listed(&["protocol"], |_| column(&["imap", "pop3"]));
pub(super) const SIDE: Dimension = listed(&["side"], |_| column(SIDES));
pub(super) const FROM: Dimension = listed(&["from"], |_| column(SIDES));
pub(super) const TO: Dimension = listed(&["to"], |_| column(SIDES));
pub(super) const FLOW: Dimension = listed(&["flow"], |_| column(&["received", "sent"]));
pub(super) const FORM: Dimension = listed(&["form"], |_| column(&["plain", "deflated"]));
pub(super) const CHANGE: Dimension = listed(&["change"], |_| column(&["removed", "added"]));
pub(super) const RESUMED: Dimension = listed(&["resumed"], |_| column(&["false", "true"]));
pub(super) const LOGIN: Dimension = listed(&["result"], |_| column(&["accepted", "refused"]));
pub(super) const REJECTION: Dimension = listed(&["reason"], |_| column(REJECTIONS));
pub(super) const LIMIT: Dimension = listed(&["limit"], |_| column(LIMITS));
pub(super) const HOOKED: Dimension = listed(&["result"], |_| column(HOOK_RESULTS));
pub(super) const RECORDING_FAULT: Dimension = listed(&["reason"], |_| column(RECORDING_FAULTS));
pub(super) const SPANNED: Dimension = listed(&["result"], |_| column(SPAN_RESULTS));
pub(super) const RELOAD: Dimension = listed(&["result"], |_| column(RELOADS));
pub(super) const OUTCOME: Dimension = listed(&["result"], |_| column(OUTCOMES));
pub(super) const CLASS: Dimension = listed(&["class"], |_| column(codes::CLASSES));
pub(super) const MECHANISM: Dimension = listed(&["mechanism"], |_| column(MECHANISMS));
pub(super) const VERSION: Dimension = listed(&["version"], |_| column(&[env!("CARGO_PKG_VERSION")]));
pub(super) const COMMAND: Dimension = listed(&["protocol", "command"], |_| commands::rows(commands::known));
pub(super) const TIMED: Dimension = listed(&["protocol", "command"], |_| commands::rows(commands::timed));
pub(super) const HANDSHAKE: Dimension = listed(&["side", "result"], handshakes);
pub(super) const SUITE: Dimension = listed(&["version", "cipher"], |_| {
    SUITES.iter().map(|(version, cipher)| vec![(*version).to_owned(), (*cipher).to_owned()]).collect()
});
pub(super) const UPSTREAM_FAULT: Dimension = listed(&["reason"], |_| {
    Code::ALL.iter().filter(|code| is_upstream_fault(**code)).map(|code| vec![code.as_label().to_owned()]).collect()
});

pub(super) const LISTENER: Dimension = Dimension {
    labels: &["listener"],
    configured: Some("the listeners' names"),
    rows: |names| names.listeners.iter().map(|(name, _)| vec![name.clone()]).collect(),
};
/// A listener and the protocol it speaks.
pub(super) const DOOR: Dimension = Dimension {
    labels: &["protocol", "listener"],
    configured: Some("the listeners' names, each with its protocol"),
    rows: |names| {
        names.listeners.iter().map(|(name, protocol)| vec![protocol.as_label().to_owned(), name.clone()]).collect()
    },
};
pub(super) const UPSTREAM: Dimension = Dimension {
    labels: &["upstream"],
    configured: Some("the upstreams' names"),
    rows: |names| names.upstreams.iter().map(|name| vec![name.clone()]).collect(),
};
/// Rules come and go with reloads, so only the series of the rest are made beforehand.
pub(super) const RULE: Dimension = Dimension {
    labels: &["rule"],
    configured: Some("the names of the first 4,096 rules that were in force since the start; `other` for the rest"),
    rows: |_| column(&["other"]),
};
pub(super) const CERTIFICATE: Dimension = Dimension {
    labels: &["usage", "name"],
    configured: Some("`listener` and `upstream` with their names, and `authority` with `authority`"),
    rows: |names| {
        let row = |usage: &str, name: &str| vec![usage.to_owned(), name.to_owned()];
        (names.listeners.iter().map(|(name, _)| row("listener", name)))
            .chain(names.upstreams.iter().map(|name| row("upstream", name)))
            .chain([row("authority", "authority")])
            .collect()
    },
};

const SIDES: &[&str] = &["client", "upstream"];
/// Why a connection is turned away.
pub(super) const REJECTIONS: &[&str] = &["max_sessions", "descriptors"];
/// Limits whose reaching is seen from what sessions report.
const LIMITS: &[&str] = &[
    "connections",
    "descriptors",
    "line",
    "literal",
    "errors",
    "compressed_sides",
    "inactivity",
    "connect_time",
    "client_handshake_time",
    "upstream_handshake_time",
];
/// What comes of a question to a hook.
pub(super) const HOOK_RESULTS: &[&str] = &["allowed", "denied", "failed", "cached"];
/// Why a recording is missing or not whole.
const RECORDING_FAULTS: &[&str] = &["disk", "busy"];
/// What becomes of a span.
pub(super) const SPAN_RESULTS: &[&str] = &["exported", "queue_full", "session_full", "refused", "failed"];
/// What comes of a reload.
pub(super) const RELOADS: &[&str] = &["applied", "unchanged", "refused", "restart_needed"];
/// How a command ended.
pub(super) const OUTCOMES: &[&str] = &["ok", "no", "bad", "aborted", "denied", "error"];
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
/// What the TLS library speaks with this provider; the last is the rest.
pub(super) const SUITES: &[(&str, &str)] = &[
    ("1.3", "TLS13_AES_256_GCM_SHA384"),
    ("1.3", "TLS13_AES_128_GCM_SHA256"),
    ("1.3", "TLS13_CHACHA20_POLY1305_SHA256"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("other", "other"),
];

/// The label of a login command or SASL mechanism.
pub(super) fn mechanism(name: &str) -> &'static str {
    MECHANISMS.iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(&"other")
}

/// The labels `version` and `cipher` of a cipher suite.
pub(super) fn suite(cipher: &str) -> (&'static str, &'static str) {
    SUITES.iter().find(|(_, known)| *known == cipher).copied().unwrap_or(("other", "other"))
}

/// Whether a fault of this kind can be the reason of a failed upstream connection.
pub(super) fn is_upstream_fault(code: Code) -> bool {
    let code = code.as_str();
    ("MW-2001".."MW-2011").contains(&code) || code >= "MW-2041"
}

/// The limit that a fault says to be reached.
pub(super) fn limit_of(code: Code) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the faults are limits")]
    match code {
        Code::UpstreamTimeout => Some("connect_time"),
        Code::ClientTimeout => Some("client_handshake_time"),
        Code::UpstreamHandshakeTimeout => Some("upstream_handshake_time"),
        _ => None,
    }
}

fn handshakes(_: &Names) -> Vec<Row> {
    let client = |code: &&str| ("MW-2011".."MW-2021").contains(code);
    let upstream = |code: &&str| *code >= "MW-2041";
    let of = |side: &str, fits: &dyn Fn(&&str) -> bool| -> Vec<Row> {
        let failed = Code::ALL.iter().filter(|code| fits(&code.as_str())).map(|code| code.as_label());
        ["ok"].into_iter().chain(failed).map(|result| vec![side.to_owned(), result.to_owned()]).collect()
    };
    [of("client", &client), of("upstream", &upstream)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_suite_of_the_provider_has_a_label() {
        for offered in rustls::crypto::aws_lc_rs::default_provider().cipher_suites {
            let name = format!("{:?}", offered.suite());
            assert_eq!(suite(&name).1, name);
        }
        assert_eq!(suite("TLS_RSA_WITH_NULL_MD5"), ("other", "other"));
    }

    #[test]
    fn no_dimension_has_a_row_twice() {
        for dimension in [HANDSHAKE, COMMAND, TIMED, SUITE, UPSTREAM_FAULT, MECHANISM, CLASS, LIMIT] {
            let mut rows = (dimension.rows)(&Names::default());
            let all = rows.len();
            rows.sort();
            rows.dedup();
            assert_eq!(rows.len(), all, "{:?}", dimension.labels);
        }
    }
}
