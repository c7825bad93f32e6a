//! What a rule may ask about: the session, the command, the answer.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::wire::{Effect, Item, Operation, Protocol};

/// What is known of a connection when it is accepted, and stays so. Made once for each session.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The protocol that is spoken.
    pub protocol: Protocol,
    /// The client's address.
    pub client: IpAddr,
    /// When it was accepted, by the session's clock.
    pub accepted: Instant,
    /// The same moment, in seconds since 1970-01-01 00:00 UTC.
    pub accepted_at: i64,
}

impl Connection {
    /// A connection without a network, from the loopback address: for what plays sessions by itself (tests,
    /// replays, benchmarks).
    #[must_use]
    pub fn offline(protocol: Protocol, accepted: Instant) -> Self {
        let client = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);
        Self { listener: "offline".into(), protocol, client, accepted, accepted_at: 0 }
    }
}

/// TLS towards the client, once it is up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The name the client asked for (RFC 6066 §3), in lower case.
    pub server_name: Option<String>,
    /// The subject of the client's certificate, if it showed one that was verified (RFC 4514).
    pub subject: Option<String>,
}

/// What is known of the session at this moment.
#[derive(Debug, Clone, Copy)]
pub struct SessionFacts<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// TLS towards the client; `None` in clear.
    pub tls: Option<&'a ClientTls>,
    /// This moment.
    pub now: Instant,
    /// Who is logged in, or is trying to.
    pub user: Option<&'a str>,
    /// The login has been accepted. Without a `user` it was one that names nobody (OAUTHBEARER may, RFC 7628
    /// §3.1): a rule that denies to some users then denies, for this may be one of them.
    pub logged_in: bool,
}

impl SessionFacts<'_> {
    /// This moment, in seconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        let since: Duration = self.now.saturating_duration_since(self.connection.accepted);
        self.connection.accepted_at.saturating_add(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// What is known of a command when it is judged. Values are parsed and normalised: whichever
/// spelling the client used (atom, quoted, literal, case, modified UTF-7), the facts are equal.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The session it came in.
    pub session: SessionFacts<'a>,
    /// The exact command in upper case, without `UID`.
    pub command: &'a str,
    /// What it is for.
    pub operation: Operation,
    /// What it can do.
    pub effect: Effect,
    /// The mailboxes it names, decoded to Unicode, `INBOX` in upper case.
    pub mailboxes: &'a [String],
    /// The mailbox that is selected, if the command acts on its messages (COPY and MOVE take from it).
    pub selected: Option<&'a str>,
    /// The POP3 message-number it names.
    pub message: Option<u32>,
    /// Which of the messages that the command brings is judged, from 1 (RFC 3502: an APPEND may bring several).
    pub nth_message: Option<u32>,
    /// What else its arguments say.
    pub arguments: Arguments<'a>,
    /// The answer that is judged; `None` while it is the command.
    pub answer: Option<Answer<'a>>,
}

impl<'a> Facts<'a> {
    /// Of no command: what is known of the session alone.
    pub(super) fn of_session(session: SessionFacts<'a>) -> Self {
        Self {
            session,
            command: "",
            operation: Operation::Unknown,
            effect: Effect::Unknown,
            mailboxes: &[],
            selected: None,
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        }
    }
}

/// What the arguments of a command say, as far as a rule may ask. Empty where they say nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arguments<'a> {
    /// It reaches mailboxes that it does not name: patterns (LIST), subtrees (NOTIFY, ESEARCH IN), all of them.
    pub reaches_further: bool,
    /// Flags that are set, added, removed or given to a new message, as written: `\Deleted`, `$Junk`.
    pub flags: &'a [String],
    /// What of a message is asked for.
    pub items: &'a [Item],
    /// Search keys in upper case, `NOT` and `OR` among them: `SUBJECT`, `BODY`.
    pub keys: &'a [&'static str],
    /// How many messages its set names at most; `None` if that cannot be told (`*`, `$`).
    pub messages: Option<u64>,
    /// Octets of the message, where they are known before any of them flows: of an upload from its
    /// announcement, of a download from an RFC822.SIZE or LIST of this session.
    pub size: Option<u64>,
}

/// What is known of an answer before any of its octets goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What kind of line it is.
    pub kind: AnswerKind,
    /// `OK`, `NO`, `BAD`, `BYE`, `PREAUTH`; POP3: `+OK`, `-ERR`.
    pub status: Option<&'a str>,
    /// The response code, in upper case, without brackets and arguments.
    pub code: Option<&'a str>,
    /// The kind of untagged data, in upper case: `LIST`, `STATUS`, `FETCH`; POP3: `CAPA`, `LIST`, `UIDL`.
    pub data: Option<&'a str>,
    /// The capability that is offered.
    pub capability: Option<&'a str>,
}

crate::label::labelled! {
    /// The kinds of lines a server says.
    AnswerKind {
        /// The first line of a connection.
        Greeting = "greeting",
        /// The line that completes a command.
        Completion = "completion",
        /// Untagged data, or a line of a multi-line answer.
        Data = "data",
        /// One name of a capability list.
        Capability = "capability",
    }
}

impl AnswerKind {
    /// Whether it can be left out of what the client is shown.
    pub(super) fn is_hideable(self) -> bool {
        matches!(self, Self::Data | Self::Capability)
    }
}
