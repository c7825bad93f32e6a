//! Octets ↔ syntax, for both protocols. PURE: knows no state, no policy, no I/O.
//!
//! A framer (one per direction) only cuts: it finds where a line, a run of literal octets or a
//! run of a multi-line body ends, and never looks at an octet twice. What a line means is
//! read afterwards, from a line that is already cut, and can fail without losing step.

pub mod imap;
mod item;
mod operation;
pub mod pop3;
pub mod sasl;
mod short;

use serde::{Deserialize, Serialize};

pub use item::{Item, ItemKind};
pub use operation::{Effect, Operation};
pub use short::ShortText;

/// One of the two peers of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The mail client that connected to the listener.
    Client,
    /// The mail server the proxy connected to.
    Upstream,
}

impl Side {
    /// The peer on the other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    /// The value of a metric label or log field.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// The protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051).
    Imap,
    /// POP3 (RFC 1939).
    Pop3,
}

impl Protocol {
    /// The value of a metric label or log field.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}
