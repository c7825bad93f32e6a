//! Who is told what the sessions report: metrics, the log, a printer, a recorder.
//!
//! The pure core fills an outbox; the shell hands its events to a [`Witness`]. A witness must be
//! quick and must never block: it runs in the session's own task.

mod trace_id;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::trace_id::{TraceId, TraceIdError};
use crate::fault::Fault;
use crate::session::Event;
use crate::wire::Protocol;

/// What is known of a session beside its events. Serialises as the head of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Unique in this process, from 1.
    pub id: u64,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// The client's address.
    pub client: SocketAddr,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The upstream's configured address, `host:port`.
    pub upstream_address: Arc<str>,
    /// When the connection was accepted.
    pub started: jiff::Timestamp,
    /// The trace it is exported as, if it is one of the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// TLS on the client's side; absent while in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<TlsFacts>,
    /// TLS on the server's side; absent while in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_tls: Option<TlsFacts>,
}

#[cfg(test)]
impl SessionInfo {
    /// The one that tests speak of: IMAP, in clear.
    pub(crate) fn example(id: u64) -> Self {
        Self {
            id,
            listener: "imaps".into(),
            protocol: Protocol::Imap,
            client: "192.0.2.1:5".parse().unwrap(),
            upstream: "provider".into(),
            upstream_address: "imap.example.com:993".into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            trace: None,
            client_tls: None,
            upstream_tls: None,
        }
    }
}

/// What a TLS handshake came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: String,
    /// The cipher suite's name.
    pub cipher: String,
    /// The server name the client asked for, or that was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The subject of the client's certificate (RFC 4514), if it had to show one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<str>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// Is told what sessions report, in order per session.
pub trait Witness: Send + Sync + fmt::Debug {
    /// A session was opened: the client's TLS, if implicit, is up; the upstream is not yet dialled.
    fn opened(&self, info: &SessionInfo);

    /// Whether this witness wants [`Observation::Said`](crate::session::Observation::Said) events;
    /// asked once, when the proxy starts.
    fn wants_transcript(&self) -> bool {
        false
    }

    /// The upstream of this session could not be reached or is not trusted; the fault says what to do.
    fn upstream_failed(&self, _info: &SessionInfo, _fault: &Fault) {}

    /// The session reported these. `info` may know more than before (TLS facts).
    fn events(&self, info: &SessionInfo, events: &[Event]);

    /// The session's task has ended; `client_octets` and `upstream_octets` are the plaintext octets
    /// received from each side.
    fn closed(&self, info: &SessionInfo, client_octets: u64, upstream_octets: u64);
}
