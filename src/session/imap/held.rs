//! A command that may not go up yet: it waits for a time, or for the answer of somebody who was asked. What the
//! client says behind it waits in its inbox, so order is kept and nothing grows.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::licence::{Leave, Licence};
use super::phase::{Phase, Prepared, Sasl};
use super::refusal::Refusal;
use super::{Imap, Step};
use crate::policy::{Permit, Policy};
use crate::session::{CommandId, Outbox, Speaker};

/// What a command that was judged still waits for, beside its turn.
#[derive(Debug)]
pub(super) enum Gate {
    /// It has not been judged.
    Shut,
    /// Nothing.
    Open(Permit),
    /// A rule slows it down.
    Until(Instant, Permit),
    /// Somebody was asked.
    Asked(Box<Asked>),
}

/// A question that is open, and what follows from its answer.
#[derive(Debug)]
pub(super) struct Asked {
    /// The answer, once it has come.
    allowed: Option<bool>,
    refusal: Refusal,
    /// The command as the transcript shows it, with its octets: whether it reaches the server is not known yet.
    pub(super) untold: Option<(String, u64)>,
}

/// What a gate lets happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Nothing yet.
    Waits,
    /// The command may go up.
    Opens,
    /// It may not.
    Refused,
}

/// The longest that a rule has a command wait: an hour is longer than any client does.
pub(super) const LONGEST: Duration = Duration::from_hours(1);

impl Gate {
    /// What it lets happen at this moment.
    pub(super) fn at(&self, now: Instant) -> Passage {
        match self {
            Self::Shut => Passage::Waits,
            Self::Open(_) => Passage::Opens,
            Self::Until(time, _) => {
                if *time > now {
                    Passage::Waits
                } else {
                    Passage::Opens
                }
            }
            Self::Asked(asked) => match asked.allowed {
                None => Passage::Waits,
                Some(true) => Passage::Opens,
                Some(false) => Passage::Refused,
            },
        }
    }

    /// What was asked is answered; the first answer counts.
    fn note(&mut self, allowed: bool) {
        if let Self::Asked(asked) = self {
            asked.allowed.get_or_insert(allowed);
        }
    }

    /// When time opens it.
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Until(time, _) => Some(*time),
            Self::Shut | Self::Open(_) | Self::Asked(_) => None,
        }
    }

    /// It opens; what was to be told of the command.
    fn open(&mut self) -> Option<(String, u64)> {
        let (permit, untold) = match std::mem::replace(self, Self::Shut) {
            Self::Open(permit) | Self::Until(_, permit) => (permit, None),
            Self::Asked(asked) if asked.allowed == Some(true) => (Policy::granted(), asked.untold),
            Self::Shut | Self::Asked(_) => return None,
        };
        *self = Self::Open(permit);
        untold
    }

    /// The refusal, if somebody who was asked refused.
    pub(super) fn into_refusal(self) -> Option<(Refusal, Option<(String, u64)>)> {
        match self {
            Self::Asked(asked) if asked.allowed == Some(false) => Some((asked.refusal, asked.untold)),
            _ => None,
        }
    }

    /// What the licence asks for; a question is asked now.
    pub(super) fn new(leave: Leave, wait: Duration, id: CommandId, now: Instant, out: &mut Outbox) -> Self {
        match leave {
            Leave::Granted(permit) if wait.is_zero() => Self::Open(permit),
            Leave::Granted(permit) => Self::Until(now + wait.min(LONGEST), permit),
            Leave::Asked(question) => {
                let refusal = Refusal::denied(&question.refusal);
                out.ask(id, *question);
                Self::Asked(Box::new(Asked { allowed: None, refusal, untold: None }))
            }
        }
    }
}

impl Imap {
    /// Sends a judged command up, now or when its turn comes. The licence is the proof of judgement.
    pub(super) fn launch(&mut self, mut prepared: Box<Prepared>, licence: Licence, now: Instant, out: &mut Outbox) {
        let Licence { leave, wait, pace, edits } = licence;
        debug_assert!(edits.is_empty(), "edits are made before");
        prepared.gate = Gate::new(leave, wait, prepared.id, now, out);
        prepared.pace = pace;
        self.phase = Phase::Hold(prepared);
        self.try_launch(out);
    }

    /// A command that is asked about is told when it is known whether it goes up.
    pub(super) fn tell_later(&mut self, untold: Option<(String, u64)>) {
        if let Phase::Hold(prepared) = &mut self.phase
            && let Gate::Asked(asked) = &mut prepared.gate
        {
            asked.untold = untold;
        }
    }

    /// Does what the held command's gate allows now; sends a line of an APPEND whose time has come.
    pub(super) fn try_held(&mut self, inbox: &BytesMut, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Hold(prepared) = &mut self.phase else { return self.try_further(now, out) };
        match prepared.gate.at(now) {
            Passage::Waits => Step::Stalled,
            Passage::Refused => self.refuse_held(!inbox.is_empty(), now, out),
            Passage::Opens => {
                let (untold, id) = (prepared.gate.open(), Some(prepared.id));
                if let Some((text, octets)) = untold {
                    self.say_text(Speaker::Client, id, text, octets, now, out);
                }
                self.try_launch(out)
            }
        }
    }

    /// Who was asked said no: none of it has gone up.
    fn refuse_held(&mut self, early: bool, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Hold(prepared) = std::mem::replace(&mut self.phase, Phase::Command) else { return Step::Stalled };
        let Prepared { tag, id, begun, kind, tail, gate, .. } = *prepared;
        let Some((refusal, untold)) = gate.into_refusal() else { return Step::Stalled };
        if let Some((text, octets)) = untold {
            self.say_text(Speaker::ClientHeld, Some(id), text, octets, now, out);
        }
        self.refuse_held_command(&kind, refusal.answer(tag.as_str(), id, begun), tail, early, now, out);
        Step::Advanced
    }

    /// What was asked about a command is answered; what follows is done when the session advances.
    pub(super) fn note_answer(&mut self, id: CommandId, allowed: bool) {
        let open = self.open_id();
        match &mut self.phase {
            Phase::Hold(prepared) if prepared.id == id => prepared.gate.note(allowed),
            Phase::Sasl(Sasl { waiting: Some(waiting), .. }) if open == Some(id) => waiting.gate.note(allowed),
            _ => {}
        }
    }

    /// When what is held may go up, if that is a matter of time.
    pub(super) fn held_until(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Hold(prepared) => prepared.gate.until(),
            Phase::Slowed(further) => Some(further.until()),
            Phase::Sasl(Sasl { waiting: Some(waiting), .. }) => waiting.gate.until(),
            _ => None,
        }
    }
}
