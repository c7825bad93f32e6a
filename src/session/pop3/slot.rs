//! The answer queue: one slot per client command, in order; only the first slot speaks to the client.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::judge::Named;
use crate::policy::Pace;
use crate::session::{Answered, CloseReason, CommandId, Extent};
use crate::wire::ShortText;

/// A command that is not yet answered.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: CommandId,
    /// When the command was complete.
    pub(super) begun: Instant,
    pub(super) answer: Answer,
    /// The response code of a status line whose body is still coming.
    pub(super) code: Option<ShortText>,
    /// What rules about its answer see of it; only where there are any.
    pub(super) named: Option<Named>,
    /// The body of its answer flows no faster than this allows.
    pub(super) pace: Option<Arc<Pace>>,
}

/// The session ends behind an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) reason: CloseReason,
    pub(super) detail: &'static str,
}

/// Where the answer comes from.
#[derive(Debug)]
pub(super) enum Answer {
    /// The proxy; it waits for its turn.
    Local { reply: Bytes, by: Answered, ending: Option<Ending> },
    /// The server.
    Upstream(Asked),
}

/// What was asked of the server: this decides how its answer is framed and what it changes.
#[derive(Debug)]
pub(super) enum Asked {
    /// A status line, and nothing follows from it.
    Status,
    /// `UIDL n`: one unique-id in the status line.
    UniqueId,
    /// `LIST n`: the size of a message in the status line.
    Size,
    User(String),
    Pass,
    Apop(String),
    Auth(Exchange),
    Utf8,
    Quit,
    /// CAPA: a list that is filtered.
    Capabilities,
    /// AUTH without an argument: a list that is filtered.
    Mechanisms,
    /// LANG: a list that passes.
    Listing,
    /// LIST: a list that passes and is remembered.
    Sizes,
    /// UIDL: a list that passes and is remembered.
    UniqueIds,
    /// RETR, TOP: a message that passes.
    Message {
        number: u32,
        extent: Extent,
    },
    /// Served by the proxy, never sent.
    Stls,
    /// A command nobody here knows: allowed by name, or in posture observe.
    Unknown,
}

impl Asked {
    /// Whether a success has a body (RFC 1939 §3).
    pub(super) fn has_body(&self) -> bool {
        matches!(
            self,
            Self::Capabilities
                | Self::Mechanisms
                | Self::Listing
                | Self::Sizes
                | Self::UniqueIds
                | Self::Message { .. }
        )
    }

    /// Whether what comes behind this command may mean something else once it is answered, so that
    /// it is sent alone (RFC 2449 §6.6).
    pub(super) fn stands_alone(&self) -> bool {
        match self {
            Self::User(_)
            | Self::Pass
            | Self::Apop(_)
            | Self::Auth(_)
            | Self::Utf8
            | Self::Quit
            | Self::Stls
            | Self::Unknown => true,
            Self::Status
            | Self::UniqueId
            | Self::Size
            | Self::Capabilities
            | Self::Mechanisms
            | Self::Listing
            | Self::Sizes
            | Self::UniqueIds
            | Self::Message { .. } => false,
        }
    }
}

/// An authentication exchange (RFC 5034 §4).
#[derive(Debug)]
pub(super) struct Exchange {
    /// In upper case.
    pub(super) mechanism: String,
    /// Who wants to be logged in, once a response has said it.
    pub(super) user: Option<String>,
    /// Responses of the client so far.
    pub(super) responses: u32,
    pub(super) turn: ExchangeTurn,
}

/// Whose line is next.
#[derive(Debug)]
pub(super) enum ExchangeTurn {
    Server,
    Client,
    /// The proxy gave up for the client: the server's refusal is replaced by this.
    Cancelled {
        reply: Bytes,
        by: Answered,
        ending: Option<Ending>,
    },
}
