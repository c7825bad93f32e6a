//! A conversation on disk and on the screen: one format that is written, read and printed.
//!
//! A recording is what the sessions reported and nothing else, as JSON lines (`docs/recording.md`), so
//! secrets are masked before they come here. `Recorder` and `LivePrinter` are witnesses: they never block
//! a session, but hand their text to a thread (`spool`) and count what it had no room for.

mod keep;
mod layout;
mod live;
mod phrase;
mod print;
mod read;
mod spool;
mod transcribe;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use keep::{KeepSettings, Keeper};
pub use layout::Layout;
pub(crate) use layout::printable;
pub use live::LivePrinter;
pub use print::Printer;
pub use read::{ReadError, Recording};
pub use transcribe::{TranscribeError, transcribe};
pub use write::Recorder;

use crate::session::Event;
use crate::witness::SessionInfo;

/// The version of the format that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the format.
    pub mailwarden_recording: u32,
    /// When it was begun.
    pub created: Timestamp,
    /// What wrote it: name and version.
    pub program: String,
}

/// One line of a recording after the first.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "lines are read one at a time")]
pub enum Record {
    /// A session was opened, or more is known of it than before.
    Session(SessionInfo),
    /// A session reported something.
    Event {
        /// The session's number.
        session: u64,
        /// What it reported.
        event: Event,
    },
    /// A session is over.
    Closed(Closed),
    /// Lines are missing here.
    Gap(Gap),
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The session's number.
    #[serde(rename = "s")]
    pub session: u64,
    /// Plaintext octets received from the client.
    pub client_octets: u64,
    /// Plaintext octets received from the server.
    pub upstream_octets: u64,
}

/// Lines that could not be kept, because the disk was slower than the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many.
    pub lines: u64,
}

/// The shape of an event's line.
#[derive(Serialize, Deserialize)]
struct EventLine<E> {
    s: u64,
    #[serde(flatten)]
    event: E,
}

#[derive(Serialize, Deserialize)]
struct SessionLine<S> {
    session: S,
}

#[derive(Serialize, Deserialize)]
struct ClosedLine {
    closed: Closed,
}

#[derive(Serialize, Deserialize)]
struct GapLine {
    gap: Gap,
}

#[cfg(test)]
mod tests;
