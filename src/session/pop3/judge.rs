//! What the rules are asked about a command, and how what they say is told.

use std::borrow::Cow;

use super::Pop3;
use super::request::Request;
use super::turn::Turn;
use crate::policy::{Arguments, Decision, Facts, Item, Mode, SessionFacts, Verdict};
use crate::session::{CommandId, Observation, State};
use crate::wire::{Effect, Operation};

/// A command as the rules see it; stays with its answer, which may be judged too.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) command: Cow<'static, str>,
    pub(super) operation: Operation,
    pub(super) effect: Effect,
    pub(super) message: Option<u32>,
}

impl Named {
    pub(super) fn of(request: &Request) -> Self {
        let Request { label, operation, effect, message, .. } = request;
        Self { command: label.clone(), operation: *operation, effect: *effect, message: *message }
    }
}

impl Pop3 {
    /// What the policy says of a command of `user`.
    pub(super) fn judge(&self, user: Option<&str>, named: &Named, items: &[Item]) -> Verdict {
        // the whole of a message may come by RETR and by TOP with enough lines
        let content = matches!(named.operation, Operation::Download | Operation::Part);
        let size = named.message.filter(|_| content).and_then(|number| self.sizes.of(number));
        let messages = Some(u64::from(named.message.is_some()));
        let arguments = Arguments { items, messages, size, ..Arguments::default() };
        self.rules.judge(&Facts { arguments, ..self.facts(user, named) })
    }

    /// What is known of the session, and of this user.
    pub(super) fn session_facts<'a>(&'a self, user: Option<&'a str>) -> SessionFacts<'a> {
        SessionFacts {
            connection: &self.setup.connection,
            tls: self.tls.as_ref(),
            now: self.last_activity,
            user,
            logged_in: matches!(self.state, State::Transaction | State::Update),
        }
    }

    /// What is known of a command beside its arguments.
    pub(super) fn facts<'a>(&'a self, user: Option<&'a str>, named: &'a Named) -> Facts<'a> {
        Facts {
            session: self.session_facts(user),
            command: &named.command,
            operation: named.operation,
            effect: named.effect,
            mailboxes: &[],
            selected: None,
            message: named.message,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        }
    }

    /// Tells what the rules said; in posture observe nothing of it is done.
    pub(super) fn report(&self, id: CommandId, decisions: Vec<Decision>, turn: &mut Turn<'_>) {
        for mut decision in decisions {
            decision.mode = if self.enforces() { decision.mode } else { Mode::Observe };
            turn.observe(Observation::Decided { id, decision: Box::new(decision) });
        }
    }
}
