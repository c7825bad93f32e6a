//! Where the client's direction stands, and what is outstanding: the states a session can be in,
//! each holding just its own data.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::further::Further;
use super::held::Gate;
use super::refusal::Refusal;
use crate::policy::Pace;
use crate::redact::Redacted;
use crate::session::{Answered, CloseReason, CommandId, Completion, Speaker, State};
use crate::wire::ShortText;
use crate::wire::imap::{Enclosure, Spec, Tag, Tail};

/// What the octets at the start of the client's inbox are, or why they wait. At most one command is
/// open (its end not yet sent up) at any time, so this is one value, not a flag each.
#[derive(Debug)]
pub(super) enum Phase {
    /// The client has not been greeted; its octets are not read.
    Greeting(Greeting),
    /// At a command, or inside one whose literal has just been read.
    Command,
    /// Octets of a buffered literal are awaited.
    Literal,
    /// What follows on this line, and every literal its sender will not wait for, is thrown away;
    /// then the answer is given (RFC 7888 §4).
    Discard(Discard),
    /// A complete command waits for its turn to go up.
    Hold(Box<Prepared>),
    /// The answer of the proxy waits until every earlier command is answered.
    Answer(Box<Answer>),
    /// A continuation request is awaited; the next run goes up then.
    Runs(Runs),
    /// A message literal was announced to the server, whose continuation request is awaited.
    Announced(Body),
    /// Octets of a message literal stream up.
    Body(Body),
    /// The line that follows a message literal is awaited.
    BodyTail(Body),
    /// The line that followed a message waits for its time: a rule slows it down.
    Slowed(Box<Further>),
    /// A further message was refused and the command is being called off; the server's answer is awaited.
    CallOff(Box<CallOff>),
    /// An authentication exchange (RFC 9051 §6.2.2).
    Sasl(Sasl),
    /// IDLE (RFC 9051 §6.3.13).
    Idle(Idle),
    /// The proxy's own UNSELECT is outstanding; then the denial is answered.
    Detach(Box<Answer>),
    /// STARTTLS or COMPRESS was answered; the layer comes next.
    Switch,
    /// Framing was lost in posture observe: octets pass unread from here on.
    Opaque,
    /// The session has ended.
    Closed,
}

/// Steps before the client is greeted.
#[derive(Debug)]
pub(super) enum Greeting {
    /// The server's greeting is awaited.
    Awaited,
    /// STARTTLS was sent to the server under this tag.
    Starttls(Tag),
    /// TLS to the server is being started.
    Tls,
    /// CAPABILITY was sent to the server inside TLS, under this tag; the list as the client may see it.
    Capability { tag: Tag, list: Option<Vec<u8>> },
}

/// An answer that is given when its turn comes.
#[derive(Debug)]
pub(super) struct Answer {
    /// What is said.
    pub(super) line: Bytes,
    /// Whose words they are.
    pub(super) speaker: Speaker,
    /// The command it completes, with who answers and when it began; none for lines that were no command.
    pub(super) completes: Option<(CommandId, Completing)>,
    /// What starts on the client's side behind it.
    pub(super) starts: Option<Layer>,
    /// The session ends after it.
    pub(super) close: Option<(CloseReason, Cow<'static, str>)>,
}

/// A layer under the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// STARTTLS.
    Tls,
    /// COMPRESS.
    Deflate,
}

/// What completing a command by the proxy's own answer reports.
#[derive(Debug)]
pub(super) struct Completing {
    pub(super) completion: Completion,
    pub(super) code: Option<ShortText>,
    pub(super) by: Answered,
    pub(super) begun: Instant,
}

/// What is done after the discarding.
#[derive(Debug)]
pub(super) struct Discard {
    /// The answer; none if the server's reply has been forwarded already or the octets were noise.
    pub(super) answer: Option<Box<Answer>>,
    /// Octets of literals thrown away so far.
    pub(super) drained: u64,
    /// Octets of an overlong line that were thrown away and not told yet.
    pub(super) untold: u64,
}

/// A command that was judged, in the form in which it goes up.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) tag: Tag,
    pub(super) id: CommandId,
    pub(super) begun: Instant,
    pub(super) kind: Kind,
    /// Sent only when nothing is outstanding, and nothing after it until it is answered.
    pub(super) barrier: bool,
    pub(super) runs: Runs,
    /// What it waits for beside its turn.
    pub(super) gate: Gate,
    /// How fast its content may flow.
    pub(super) pace: Option<Arc<Pace>>,
    /// How its line ended: what of it the client still sends if it does not go up.
    pub(super) tail: Tail,
    /// Its row in the table of commands, if it is in one.
    pub(super) spec: Option<&'static Spec>,
}

impl Prepared {
    /// A command that is no barrier, and waits for its turn alone.
    pub(super) fn new(tag: Tag, id: CommandId, begun: Instant, kind: Kind, runs: Runs) -> Self {
        let (barrier, gate, pace, tail, spec) = (false, Gate::Shut, None, Tail::Plain, None);
        Self { tag, id, begun, kind, barrier, runs, gate, pace, tail, spec }
    }
}

/// Runs of octets between which continuation requests are awaited.
pub(super) struct Runs {
    pub(super) left: VecDeque<Bytes>,
    /// What follows the last run.
    pub(super) then: Then,
}

impl fmt::Debug for Runs {
    /// Without the octets, among which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("left", &self.left.len()).field("then", &self.then).finish()
    }
}

/// What follows the last run of a command.
#[derive(Debug)]
pub(super) enum Then {
    /// The command is complete.
    Command,
    /// A message literal, announced at the end of the last run.
    Body(Body),
    /// An authentication exchange.
    Sasl(Sasl),
    /// IDLE.
    Idle,
    /// The denial of a SELECT, behind the proxy's own UNSELECT.
    Detach(Box<Answer>),
}

/// A message literal on its way up.
#[derive(Debug)]
pub(super) struct Body {
    /// Its size in octets.
    pub(super) octets: u64,
    /// The client waits for a continuation request before it sends.
    pub(super) client_waits: bool,
    /// What must be closed behind it.
    pub(super) enclosure: Enclosure,
    /// The command may carry more than one message: APPEND, not REPLACE (RFC 8508 §3.3).
    pub(super) several: bool,
    /// Which of the command's messages it is, or is of; counted from 1.
    pub(super) nth: u32,
    /// Sizes of the messages of this command that have been sent.
    pub(super) stored: Vec<u64>,
    /// Octets of the same message that went before: earlier parts of a CATENATE.
    pub(super) before: u64,
    /// The server answered NO or BAD before the command was complete; said when it is.
    pub(super) early: Option<Box<Answer>>,
    /// Which command it belongs to.
    pub(super) whose: Whose,
}

/// An APPEND that is called off by a message of no octets (RFC 3502 §6.3.11).
#[derive(Debug)]
pub(super) struct CallOff {
    /// What the client is told once the server has given it up.
    pub(super) answer: Answer,
    /// How the refused line ended: what of it the client still sends.
    pub(super) tail: Tail,
    /// Sizes of the messages before the refused one.
    pub(super) stored: Vec<u64>,
    /// The server asked for the message of no octets, and the command's end was sent.
    pub(super) ended: bool,
}

/// Which command a message literal belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// The open command, which was judged; its row in the table of commands.
    Open(&'static Spec),
    /// Posture observe: this command, if its tag could be read, which could not be parsed; what follows
    /// passes unjudged, and its answer may come at any time.
    Unjudged(Option<CommandId>),
}

/// An authentication exchange.
#[derive(Debug)]
pub(super) struct Sasl {
    /// The initial response of a client whose server takes none on the command line.
    pub(super) held: Option<Redacted<Vec<u8>>>,
    pub(super) turn: Turn,
    /// The proxy cancelled, and answers this.
    pub(super) cancelled: Option<Refusal>,
    /// Responses that the client has given, an initial one included.
    pub(super) responses: u32,
    /// The response that may not go up yet, where it is the policy's turn.
    pub(super) waiting: Option<Box<Waiting>>,
}

/// A response of the client that names a user about whom a rule has more to say than yes or no.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) line: Redacted<Vec<u8>>,
    pub(super) gate: Gate,
}

/// Who speaks next in an authentication exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Server,
    Client,
    /// Neither: what the client said is held.
    Policy,
}

/// IDLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// The continuation request is awaited.
    Asked,
    /// The server may push; DONE is awaited.
    Granted,
    /// DONE was sent.
    Done,
    /// The client said something else: DONE was sent for it, and BAD is answered.
    Broken {
        /// How its line ended; none if its end has not come.
        tail: Option<Tail>,
        /// Octets of the line that were thrown away and not told yet.
        untold: u64,
    },
}

/// A command that was sent up and is not yet answered.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) tag: Tag,
    pub(super) id: CommandId,
    pub(super) begun: Instant,
    pub(super) kind: Kind,
    pub(super) barrier: bool,
    /// All of it has been sent.
    pub(super) complete: bool,
    /// Its tag counts behind those of all that were outstanding when it went up; see [`Tag::counts_behind`].
    pub(super) rising: bool,
    /// Sizes of the messages it carried.
    pub(super) stored: Box<[u64]>,
    /// Its row in the table of commands, if it is in one.
    pub(super) spec: Option<&'static Spec>,
}

impl Pending {
    /// A command that has just gone up, or begun to.
    pub(super) fn new(tag: Tag, id: CommandId, begun: Instant, kind: Kind) -> Self {
        Self {
            tag,
            id,
            begun,
            kind,
            barrier: false,
            complete: false,
            rising: false,
            stored: Box::default(),
            spec: None,
        }
    }
}

/// Who logs in, and how.
#[derive(Debug)]
pub(super) struct Login {
    /// As far as the protocol shows it.
    pub(super) user: Option<String>,
    pub(super) mechanism: Cow<'static, str>,
}

/// What a command's answer changes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// OK authenticates.
    Authenticate(Box<Login>),
    /// OK selects, anything else leaves nothing selected (RFC 9051 §6.3.2).
    Select { mailbox: Arc<str> },
    /// OK leaves the mailbox.
    Leave,
    /// OK after `* BYE` ends the session.
    Logout,
    /// Its untagged answers carry messages.
    Fetch,
    /// Its untagged answers carry what URLs name.
    UrlFetch,
    /// APPEND, REPLACE.
    Append { mailbox: Option<Arc<str>> },
    /// ENABLE: OK makes names UTF-8 if the server has said that it enabled that.
    Enable { utf8: bool },
    /// OK begins or ends what the server tells unasked (RFC 5465 §3).
    Notify { on: bool },
    /// SEARCH whose result replaces `$`.
    Save,
    /// Posture observe: a line that could not be parsed; it may never be answered.
    Raw,
    /// The proxy's own command; its answer is not the client's.
    Own,
    /// The proxy's own COMPRESS.
    Compress,
}

/// Sub-states that several places ask for.
impl Phase {
    /// Whether octets of the client could be used now.
    pub(super) fn reads_client(&self) -> bool {
        !matches!(self, Self::Greeting(_) | Self::Switch | Self::Closed)
    }
}

/// The state a session is in before anything was said.
pub(super) const FIRST: State = State::Greeting;
