//! Facts for metrics, logs, the transcript and the audit: what a session reports.
//!
//! These types are the file format of recordings too (`docs/recording.md`), so they serialise,
//! and nothing in them can hold a secret: text is masked before it is put in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::label::labelled;
use crate::policy::Decision;
use crate::wire::{Effect, Operation, ShortText, Side};

/// An observation and when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since the connection was accepted.
    #[serde(rename = "us", with = "micros")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub what: Observation,
}

/// Numbers the commands of a session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u32);

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Observation {
    /// A line or a fold of octets on the wire, masked; only where a transcript is wanted.
    Said(Said),
    /// The server's greeting was accepted and handed on.
    Greeted,
    /// TLS came up on this side in the middle of the session (STARTTLS, STLS).
    TlsStarted {
        /// On which side.
        side: Side,
    },
    /// DEFLATE came up on this side (COMPRESS).
    CompressionStarted {
        /// On which side.
        side: Side,
    },
    /// A command was judged and is being sent up, or is being answered by the proxy.
    CommandBegun {
        /// Its number in this session.
        id: CommandId,
        /// The client's tag (IMAP only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<ShortText>,
        /// The exact command in upper case, `UID` included (`UID FETCH`); `unknown` if not known.
        command: Cow<'static, str>,
        /// What it is for.
        operation: Operation,
        /// What it can do to the mail.
        effect: Effect,
        /// The mailboxes it names, decoded; IMAP only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mailboxes: Vec<String>,
        /// The message it names, with its unique-id if a UIDL of this session told it; POP3 only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<MessageRef>>,
    },
    /// A command was answered.
    CommandCompleted {
        /// The number it began with.
        id: CommandId,
        /// How.
        completion: Completion,
        /// The response code or extended response code, without brackets and arguments (`NOPERM`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ShortText>,
        /// Who answered.
        by: Answered,
        /// Microseconds from the command's end (or a message's announcement) to its answer.
        #[serde(rename = "latency_us", with = "micros")]
        latency: Duration,
    },
    /// The protocol state changed.
    StateChanged {
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// The server accepted NOTIFY (RFC 5465): from here on it tells of changes unasked, or no longer.
    Notifying {
        /// SET; NONE ends it.
        on: bool,
    },
    /// A login was tried and answered.
    Authentication {
        /// The user, as far as the protocol shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// `LOGIN`, `USER`, `APOP`, or the SASL mechanism's name.
        mechanism: Cow<'static, str>,
        /// Whether the server accepted it.
        accepted: bool,
    },
    /// Message content went to the client.
    Retrieved {
        /// The command that asked, if one did (NOTIFY and unsolicited data have none).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Which message.
        message: MessageRef,
        /// How much of it.
        extent: Extent,
        /// Octets of content, as sent.
        octets: u64,
    },
    /// A message was uploaded (APPEND).
    Stored {
        /// The command that carried it.
        id: CommandId,
        /// Octets of content.
        octets: u64,
        /// Where it is, as far as the server told (APPENDUID, RFC 4315 §3).
        message: MessageRef,
    },
    /// The server told that a message of the selected mailbox is gone (EXPUNGE), whoever removed it.
    Expunged {
        /// Which.
        message: MessageRef,
    },
    /// The server told that messages of the selected mailbox are gone, by UID (VANISHED, RFC 7162 §3.2.10).
    Vanished {
        /// The mailbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mailbox: Option<Arc<str>>,
        /// Its UIDVALIDITY.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid_validity: Option<u32>,
        /// The UIDs as the server wrote them, cut at 1000 octets.
        uids: String,
    },
    /// The policy refused or changed something.
    Decided {
        /// The command.
        id: CommandId,
        /// What was decided, and by which rule.
        #[serde(flatten)]
        decision: Box<Decision>,
    },
    /// Octets do not go out as they came in, and why.
    Altered {
        /// Towards which side.
        to: Side,
        /// Why.
        why: Alteration,
        /// Octets received that were replaced or dropped.
        removed: u64,
        /// Octets sent in their place.
        added: u64,
    },
    /// A peer broke the protocol.
    Violated(Violation),
    /// The session is over.
    Closed {
        /// Why.
        reason: CloseReason,
        /// One sentence for a person.
        detail: String,
    },
}

/// Something said on the wire, as a person may read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who said it to whom.
    pub by: Speaker,
    /// The command this belongs to, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The line without its CRLF: secrets masked, CTL and 8-bit escaped, cut at 4096 octets; or, for
    /// content, a fold: `‹literal, 4300121 octets›`, `‹message, 812 lines, 40133 octets›`.
    pub text: String,
    /// Octets on the wire, CRLF included.
    pub octets: u64,
}

labelled! {
    /// Who said it to whom.
    Speaker {
        /// The client, to the proxy, and it was forwarded as it was.
        Client = "client",
        /// The server, to the proxy, and it was forwarded as it was.
        Upstream = "upstream",
        /// The client said it; it did not reach the server (refused, or another form was sent).
        ClientHeld = "client_held",
        /// The server said it; it did not reach the client as it was.
        UpstreamHeld = "upstream_held",
        /// The proxy, to the client.
        ProxyToClient = "proxy_to_client",
        /// The proxy, to the server.
        ProxyToUpstream = "proxy_to_upstream",
    }
}

labelled! {
    /// How a command ended.
    Completion {
        /// `OK`, `+OK`.
        Ok = "ok",
        /// `NO`, and `-ERR` (POP3 knows no difference).
        No = "no",
        /// `BAD`.
        Bad = "bad",
        /// The session ended before the answer.
        Aborted = "aborted",
    }
}

labelled! {
    /// Who answered a command.
    Answered {
        /// The server.
        Upstream = "upstream",
        /// The proxy, because the policy refused the command or answers it itself.
        Policy = "policy",
        /// The proxy, because the command broke the protocol or is not offered.
        Syntax = "syntax",
        /// The proxy, because the command is its own to serve (STARTTLS, STLS, COMPRESS).
        Proxy = "proxy",
    }
}

labelled! {
    /// The states of both protocols (RFC 9051 §3, RFC 1939 §3).
    State {
        /// Connected, the server's greeting not yet accepted.
        Greeting = "greeting",
        /// IMAP not authenticated; POP3 AUTHORIZATION.
        NotAuthenticated = "not_authenticated",
        /// IMAP authenticated.
        Authenticated = "authenticated",
        /// IMAP selected.
        Selected = "selected",
        /// POP3 TRANSACTION.
        Transaction = "transaction",
        /// POP3 UPDATE.
        Update = "update",
        /// IMAP logout, and any session that is closing.
        Logout = "logout",
    }
}

labelled! {
    /// How much of a message was retrieved.
    Extent {
        /// Header fields, envelope-like items: `BODY[HEADER]`, `RFC822.HEADER`, `TOP n 0`.
        Headers = "headers",
        /// The whole message: `BODY[]`, `RFC822`, `BINARY[]`, `RETR`.
        Whole = "whole",
        /// One MIME part or its text: `BODY[1.2]`, `BODY[TEXT]`, `TOP n m`.
        Part = "part",
        /// An octet range: `BODY[]<0>`.
        Partial = "partial",
    }
}

/// A message as far as the wire named it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// Sequence number or message-number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// IMAP UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// UIDVALIDITY of the mailbox: with it, mailbox and UID name one message for ever (RFC 9051 §2.3.1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_validity: Option<u32>,
    /// POP3 unique-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<String>,
    /// The mailbox it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Arc<str>>,
}

labelled! {
    /// Why octets do not go out as they came in. The list is closed; each has a test.
    Alteration {
        /// A client's literal goes up in another form (quoted, or `{n}` for `{n+}`).
        LiteralForm = "literal_form",
        /// A capability list was filtered.
        Capabilities = "capabilities",
        /// A referral was removed (RFC 2193, RFC 2221).
        Referral = "referral",
        /// An `x-` field of ID was removed.
        IdField = "id_field",
        /// A capability was removed from ENABLE's arguments.
        EnableArgument = "enable_argument",
        /// `+` CRLF became `+` SP CRLF.
        Continuation = "continuation",
        /// A text that ended in `{n}` got a full stop.
        TextTail = "text_tail",
        /// NUL padding or an empty line between responses was dropped.
        Padding = "padding",
        /// A bare CR or LF in a POP3 body became CRLF.
        LineEnd = "line_end",
        /// The status text was longer than the limit.
        StatusCut = "status_cut",
        /// A keyword was written in its canonical case or form.
        Canonical = "canonical",
        /// The timestamp in a POP3 greeting was not a valid msg-id, or a code in it was removed.
        Greeting = "greeting",
        /// A command or answer was refused, hidden, replaced or made by the proxy.
        Policy = "policy",
        /// A rule gave a command another form.
        Rewritten = "rewritten",
        /// A command that the proxy serves itself, one that was malformed, or the rest of one that the server
        /// refused before its end.
        Local = "local",
    }
}

/// A peer broke the protocol, and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Who broke it.
    pub side: Side,
    /// How.
    pub kind: ViolationKind,
    /// One sentence for a person; never the peer's own octets.
    pub detail: Cow<'static, str>,
}

labelled! {
    /// How a peer broke the protocol.
    ViolationKind {
        /// A line longer than its limit.
        LineTooLong = "line_too_long",
        /// A bare CR or LF.
        BareLineEnd = "bare_line_end",
        /// A NUL where none may be.
        Nul = "nul",
        /// A literal announcement that is none, or where none may be.
        Literal = "literal",
        /// A literal larger than its limit.
        LiteralTooLarge = "literal_too_large",
        /// Octets sent before the answer they must wait for.
        Early = "early_octets",
        /// A command or argument that the grammar does not know.
        Syntax = "syntax",
        /// A command that is not known, or was not offered.
        UnknownCommand = "unknown_command",
        /// A command in a state that does not allow it, or success where there can be none.
        State = "state",
        /// A login in clear where TLS is required.
        ClearLogin = "clear_login",
        /// A SASL line that is none.
        Sasl = "sasl",
        /// An answer to nothing: unknown tag, unexpected continuation, octets with nothing outstanding.
        Unsolicited = "unsolicited",
        /// An answer before its command was complete.
        TooSoon = "too_soon",
        /// A response that cannot be framed.
        Framing = "framing",
        /// Octets around a STARTTLS or STLS that have no place there.
        Injection = "injection",
        /// A greeting that is none, or PREAUTH where it may not be.
        Greeting = "greeting",
        /// Too many errors.
        TooManyErrors = "too_many_errors",
        /// Octets that are no DEFLATE stream on a compressed side.
        Compression = "compression",
    }
}

impl ViolationKind {
    /// The code under which `docs/errors.md` explains it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::LineTooLong => "MW-3001",
            Self::BareLineEnd => "MW-3002",
            Self::Nul => "MW-3003",
            Self::Literal => "MW-3004",
            Self::LiteralTooLarge => "MW-3005",
            Self::Early => "MW-3006",
            Self::Syntax => "MW-3007",
            Self::UnknownCommand => "MW-3008",
            Self::State => "MW-3009",
            Self::ClearLogin => "MW-3010",
            Self::Sasl => "MW-3011",
            Self::Unsolicited => "MW-3012",
            Self::TooSoon => "MW-3013",
            Self::Framing => "MW-3014",
            Self::Injection => "MW-3015",
            Self::Greeting => "MW-3016",
            Self::TooManyErrors => "MW-3017",
            Self::Compression => "MW-3018",
        }
    }
}

labelled! {
    /// Why a session ended. Log field, metric label and farewell come from it.
    CloseReason {
        /// LOGOUT or QUIT was answered.
        Logout = "logout",
        /// The client closed its connection.
        ClientEof = "client_eof",
        /// The client's connection broke.
        ClientReset = "client_reset",
        /// The client's TLS handshake failed.
        ClientTls = "client_tls",
        /// The server said BYE or `-ERR` and closed.
        ServerBye = "server_bye",
        /// The server closed its connection.
        UpstreamEof = "upstream_eof",
        /// The server's connection broke.
        UpstreamReset = "upstream_reset",
        /// The server could not be reached.
        UpstreamConnect = "upstream_connect",
        /// TLS to the server could not be had, or its certificate is not trusted.
        UpstreamTls = "upstream_tls",
        /// The server's greeting did not come or was none.
        UpstreamGreeting = "upstream_greeting",
        /// The policy ended it.
        Policy = "policy",
        /// Nothing happened for too long.
        Timeout = "timeout",
        /// Too many connections.
        Overload = "overload",
        /// The proxy is being stopped.
        Drain = "drain",
        /// The client broke the protocol in a way that cannot be mended.
        ClientViolation = "client_violation",
        /// The server broke the protocol in a way that cannot be mended.
        UpstreamViolation = "upstream_violation",
        /// A fault of the proxy.
        Internal = "internal",
    }
}

mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}
