//! What the policy says about a command, in the form in which the session acts on it: a licence to send it
//! up, with what it must wait for and how it must be changed; or a refusal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Imap;
use super::refusal::Refusal;
use crate::policy::{Denial, Edit, Facts, Mode, Outcome, Pace, Permit, Policy, Question, Throttle, Verdict};
use crate::session::{CommandId, Observation, Outbox, Posture};

/// A command may go up.
#[derive(Debug)]
pub(super) struct Licence {
    pub(super) leave: Leave,
    /// How long it waits first.
    pub(super) wait: Duration,
    /// How fast its content may flow.
    pub(super) pace: Option<Arc<Pace>>,
    /// What must be changed in it.
    pub(super) edits: Vec<Arc<Edit>>,
}

/// Whether the permit is there.
#[derive(Debug)]
pub(super) enum Leave {
    /// It is.
    Granted(Permit),
    /// Somebody else gives it, or does not.
    Asked(Box<Question>),
}

impl Licence {
    /// To send it up as it is, now.
    pub(super) fn plain(permit: Permit) -> Self {
        Self { leave: Leave::Granted(permit), wait: Duration::ZERO, pace: None, edits: Vec::new() }
    }

    /// Nothing is to be done but to send it up.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.leave, Leave::Granted(_)) && self.wait.is_zero() && self.pace.is_none() && self.edits.is_empty()
    }

    /// Somebody else decides.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.leave, Leave::Asked(_))
    }

    fn slow(permit: Permit, throttle: Throttle) -> Self {
        Self { wait: throttle.wait, pace: throttle.pace, ..Self::plain(permit) }
    }

    /// One licence for what needs both. One question can be asked about a command, and only if nothing else is
    /// to be done with it.
    fn and(self, other: Self) -> Result<Self, Refusal> {
        match (self.leave, other.leave) {
            (Leave::Granted(permit), Leave::Granted(_)) => Ok(Self {
                leave: Leave::Granted(permit),
                wait: self.wait.max(other.wait),
                pace: self.pace.or(other.pace),
                edits: self.edits.into_iter().chain(other.edits).collect(),
            }),
            (Leave::Granted(_), Leave::Asked(question)) if self.edits.is_empty() && self.wait.is_zero() => {
                Ok(Self { leave: Leave::Asked(question), ..Self::plain(Policy::own()) })
            }
            (Leave::Asked(question), Leave::Granted(_)) if other.edits.is_empty() && other.wait.is_zero() => {
                Ok(Self { leave: Leave::Asked(question), ..Self::plain(Policy::own()) })
            }
            (_, Leave::Asked(question)) | (Leave::Asked(question), _) => Err(Refusal::denied(&question.refusal)),
        }
    }

    /// The permit, where the command cannot be held or changed: nothing but a plain licence and one that only
    /// slows gives it.
    pub(super) fn at_once(self) -> Result<Permit, Refusal> {
        match self.leave {
            Leave::Granted(permit) => Ok(permit),
            Leave::Asked(question) => Err(Refusal::denied(&question.refusal)),
        }
    }
}

impl Imap {
    /// The policy's verdict on each of these messages of a command; on the command itself if it brings none.
    pub(super) fn ask_of_each(
        &self,
        id: CommandId,
        facts: &Facts<'_>,
        messages: std::ops::RangeInclusive<u32>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        let mut licence: Option<Licence> = None;
        for nth in messages {
            let more = self.ask(id, &Facts { nth_message: Some(nth), ..*facts }, now, out)?;
            licence = Some(match licence {
                None => more,
                Some(licence) => licence.and(more)?,
            });
        }
        licence.map_or_else(|| self.ask(id, facts, now, out), Ok)
    }

    /// The policy's verdict; in posture observe it is only reported.
    pub(super) fn ask(
        &self,
        id: CommandId,
        facts: &Facts<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        let Verdict { outcome, decisions } = self.rules.judge(facts);
        let enforced = self.setup.terms.posture == Posture::Enforce;
        for mut decision in decisions {
            decision.mode = if enforced { decision.mode } else { Mode::Observe };
            out.observe(now, Observation::Decided { id, decision: Box::new(decision) });
        }
        match outcome {
            Outcome::Allow(permit) => Ok(Licence::plain(permit)),
            _ if !enforced => Ok(Licence::plain(Policy::own())),
            Outcome::Throttle(permit, throttle) => Ok(Licence::slow(permit, throttle)),
            Outcome::Edit(permit, edit) => Ok(Licence { edits: vec![edit], ..Licence::plain(permit) }),
            Outcome::Ask(question) => {
                Ok(Licence { leave: Leave::Asked(Box::new(question)), ..Licence::plain(Policy::own()) })
            }
            Outcome::Deny(denial) if is_listing(facts.command) && &*denial.code == "NONEXISTENT" => {
                Err(Refusal::done(format!("{} completed", facts.command)))
            }
            Outcome::Deny(denial) if needs_target(facts.command) && &*denial.code == "NONEXISTENT" => {
                Err(Refusal::denied(&Denial { code: "TRYCREATE".into(), ..denial }))
            }
            Outcome::Deny(denial) => Err(Refusal::denied(&denial)),
            Outcome::Answer(canned) if can_be_claimed(facts.command) => Err(Refusal::canned(&canned)),
            Outcome::Answer(canned) => Err(Refusal::unclaimed(&canned)),
            Outcome::Disconnect(denial) => Err(Refusal::disconnected(&denial)),
        }
    }
}

/// A mailbox that is not there is not listed, and that is no failure (RFC 9051 §6.3.9).
fn is_listing(command: &str) -> bool {
    matches!(command, "LIST" | "LSUB" | "XLIST")
}

/// A mailbox that is not there is told of in this way to who would put messages into it (RFC 9051 §6.3.12, §6.4.7).
fn needs_target(command: &str) -> bool {
    matches!(command, "APPEND" | "COPY" | "MOVE" | "REPLACE")
}

/// Whether the proxy can say that it was done without the server knowing of it: the state of the session must
/// be the same for both.
fn can_be_claimed(command: &str) -> bool {
    !matches!(
        command,
        "AUTHENTICATE"
            | "COMPRESS"
            | "ENABLE"
            | "EXAMINE"
            | "IDLE"
            | "LOGIN"
            | "SELECT"
            | "STARTTLS"
            | "UNAUTHENTICATE"
    )
}

#[cfg(test)]
mod tests;
