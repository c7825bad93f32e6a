//! Bounds on everything a peer can make a session hold or do.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

/// The `[limits]` section. Sizes in octets with a unit (`64 KiB`), durations with a unit (`30m`).
///
/// The memory ceiling of a session is the sum of two inboxes, two outboxes (each at most two
/// inboxes long) and one held command (`command_line` + `literal`); see `docs/ARCHITECTURE.md`. A POP3
/// session that has asked UIDL also holds the unique-ids of up to 10,000 messages, at most 1.5 MiB.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Octets read and not yet worked through, per side. Default 128 KiB.
    #[serde(deserialize_with = "size")]
    pub inbox: usize,
    /// An IMAP command line before login, literals not counted. Default 8 KiB.
    #[serde(deserialize_with = "size")]
    pub command_line_before_login: usize,
    /// An IMAP command line after login, literals not counted. Default 64 KiB.
    #[serde(deserialize_with = "size")]
    pub command_line: usize,
    /// A buffered literal (every one but a message's) before login. Default 8 KiB.
    #[serde(deserialize_with = "size")]
    pub literal_before_login: usize,
    /// A buffered literal (every one but a message's) after login. Default 64 KiB.
    #[serde(deserialize_with = "size")]
    pub literal: usize,
    /// The largest message that may be uploaded (APPEND). Default 2 GiB.
    #[serde(deserialize_with = "size")]
    pub message: usize,
    /// A refused non-synchronizing literal is discarded up to this size, beyond it the session is
    /// closed. Default 64 MiB.
    #[serde(deserialize_with = "size")]
    pub drain: usize,
    /// A SASL line, either way. Default 64 KiB.
    #[serde(deserialize_with = "size")]
    pub sasl_line: usize,
    /// A status line of the server; longer text is cut. Default 8 KiB.
    #[serde(deserialize_with = "size")]
    pub status_line: usize,
    /// Commands sent up and not yet answered. IMAP default 128: a client that pipelines waits for the
    /// server once, not once for every few commands; POP3 queues 64.
    pub in_flight: usize,
    /// Syntax errors tolerated before login, then the session is closed. Default 3.
    pub errors_before_login: u32,
    /// Syntax errors tolerated after login, then the session is closed. Default 20.
    pub errors: u32,
    /// Connections at a time, per listener; the next is refused at once. Default 10000.
    pub connections: usize,
    /// Sides of sessions that may be compressed at a time, over all listeners: each holds about 400 KiB until its
    /// session ends. Default 500.
    pub compressed_sides: usize,
    /// Time to connect to the server, each address. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Time for a whole TLS handshake, each side. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// Time for the server's greeting, its STARTTLS included. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub greeting_timeout: Duration,
    /// Time without an octet either way before login. Default 3 min.
    #[serde(with = "humantime_serde")]
    pub login_timeout: Duration,
    /// Time without an octet either way after login; not under 30 min (RFC 9051 §5.4). Default 31 min.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a stop waits for busy sessions. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox: 128 << 10,
            command_line_before_login: 8 << 10,
            command_line: 64 << 10,
            literal_before_login: 8 << 10,
            literal: 64 << 10,
            message: 2 << 30,
            drain: 64 << 20,
            sasl_line: 64 << 10,
            status_line: 8 << 10,
            in_flight: 128,
            errors_before_login: 3,
            errors: 20,
            connections: 10_000,
            compressed_sides: 500,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            greeting_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_mins(3),
            idle_timeout: Duration::from_mins(31),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    usize::try_from(size.as_u64()).map_err(serde::de::Error::custom)
}
