//! What the policy answers, and the proof that it was asked.

use std::sync::Arc;
use std::time::Duration;

use super::{Decision, Edit};

/// Proof that a command was judged and may go up. Only this room can make one.
#[derive(Debug)]
pub struct Permit(pub(super) ());

/// The policy's answer to one command.
#[derive(Debug)]
pub struct Verdict {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The rules that said so, and those in mode observe that would have, in the order of the policy. A rule
    /// that only allows, and asks for no note, is not among them.
    pub decisions: Vec<Decision>,
}

/// What becomes of a command.
#[derive(Debug)]
pub enum Outcome {
    /// It may go up.
    Allow(Permit),
    /// It may go up once this time has passed and while its content keeps the pace.
    Throttle(Permit, Throttle),
    /// It may go up in another form.
    Edit(Permit, Arc<Edit>),
    /// It may not; the session answers for the server, in the words of a refusal.
    Deny(Denial),
    /// It may not; the session answers with success, and nothing more.
    Answer(Canned),
    /// Somebody else decides: the session holds the command until it is told.
    Ask(Question),
    /// It may not, and the session ends.
    Disconnect(Denial),
}

/// A refusal and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The response code for IMAP, in upper case, without brackets (RFC 5530): `NOPERM`, `NONEXISTENT`. Empty: none.
    pub code: Arc<str>,
    /// The extended response code for POP3 (RFC 2449 §8, RFC 3206): `SYS/PERM`, `AUTH`. Empty: none.
    pub pop3_code: Arc<str>,
    /// The sentence for the client; one line of printable ASCII, without a response code.
    pub reply: Arc<str>,
}

/// A success that the proxy claims for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Lines before the completion, without CRLF: untagged data without `* ` (IMAP), body lines (POP3).
    pub lines: Arc<[Arc<str>]>,
    /// The sentence of the completion.
    pub reply: Arc<str>,
}

/// How slowly something may go.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// The rule's name.
    pub rule: Arc<str>,
    /// How long the command waits before it goes up.
    pub wait: Duration,
    /// The octets of its answer, or of its upload, flow no faster than this allows.
    pub pace: Option<Arc<super::Pace>>,
}

/// What an external service is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The name of the `[[hook]]`.
    pub hook: Arc<str>,
    /// The JSON document (`docs/policy.md`); holds no secret.
    pub document: String,
    /// What the session does if the service says no.
    pub refusal: Denial,
}
