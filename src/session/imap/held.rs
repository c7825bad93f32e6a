//! A command that may not go up yet: it waits for a time, or for the answer of somebody who was asked. What the
//! client says behind it waits in its inbox, so order is kept and nothing grows.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::licence::{Leave, Licence};
use super::phase::{Phase, Prepared};
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

/// The longest that a rule has a command wait: an hour is longer than any client does.
const LONGEST: Duration = Duration::from_hours(1);

impl Gate {
    /// The time has come.
    fn open(&mut self) {
        *self = match std::mem::replace(self, Self::Shut) {
            Self::Until(_, permit) => Self::Open(permit),
            gate => gate,
        };
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

    /// Does what the held command's gate allows now.
    pub(super) fn try_held(&mut self, inbox: &BytesMut, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Hold(prepared) = &mut self.phase else { return Step::Stalled };
        match &mut prepared.gate {
            Gate::Open(_) => {}
            Gate::Shut => return Step::Stalled,
            Gate::Until(time, _) if *time > now => return Step::Stalled,
            gate @ Gate::Until(..) => gate.open(),
            Gate::Asked(asked) => match asked.allowed {
                None => return Step::Stalled,
                Some(false) => return self.refuse_held(!inbox.is_empty(), now, out),
                Some(true) => {
                    let (untold, id) = (asked.untold.take(), Some(prepared.id));
                    prepared.gate = Gate::Open(Policy::granted());
                    if let Some((text, octets)) = untold {
                        self.say_text(Speaker::Client, id, text, octets, now, out);
                    }
                }
            },
        }
        self.try_launch(out)
    }

    /// Who was asked said no: none of it has gone up.
    fn refuse_held(&mut self, early: bool, now: Instant, out: &mut Outbox) -> Step {
        let Phase::Hold(prepared) = std::mem::replace(&mut self.phase, Phase::Command) else { return Step::Stalled };
        let Prepared { tag, id, begun, kind, tail, gate, .. } = *prepared;
        let Gate::Asked(asked) = gate else { return Step::Stalled };
        if let Some((text, octets)) = asked.untold {
            self.say_text(Speaker::ClientHeld, Some(id), text, octets, now, out);
        }
        let answer = asked.refusal.answer(tag.as_str(), id, begun);
        self.refuse_held_command(&kind, answer, tail, early, now, out);
        Step::Advanced
    }

    /// What was asked about a command is answered; what follows is done when the session advances.
    pub(super) fn note_answer(&mut self, id: CommandId, allowed: bool) {
        if let Phase::Hold(prepared) = &mut self.phase
            && prepared.id == id
            && let Gate::Asked(asked) = &mut prepared.gate
        {
            asked.allowed.get_or_insert(allowed);
        }
    }

    /// When the held command may go up, if that is a matter of time.
    pub(super) fn held_until(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Hold(prepared) => match &prepared.gate {
                Gate::Until(time, _) => Some(*time),
                Gate::Shut | Gate::Open(_) | Gate::Asked(_) => None,
            },
            _ => None,
        }
    }
}
