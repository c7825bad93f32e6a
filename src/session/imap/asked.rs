//! What a rule may ask about a command: its facts, gathered only where there are rules.

use std::time::Instant;

use super::Imap;
use super::licence::Licence;
use super::refusal::Refusal;
use crate::policy::{About, Arguments, Facts, Item, Policy, SessionFacts, Sort};
use crate::session::{CommandId, Outbox};
use crate::wire::imap::{Allowed, Command, Enclosure, Parts};

/// The arguments of one command, to be lent to the policy.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    reaches_further: bool,
    flags: Vec<String>,
    items: Vec<Item>,
    keys: Vec<&'static str>,
    messages: Option<u64>,
    size: Option<u64>,
}

impl Gathered {
    fn new(parts: Parts, size: Option<u64>) -> Self {
        Self {
            reaches_further: parts.reaches_further,
            flags: parts.flags.into_iter().flat_map(|list| list.value).collect(),
            items: parts.items.into_iter().map(|item| item.value).collect(),
            keys: parts.keys,
            messages: parts.messages,
            size,
        }
    }

    pub(super) fn lend(&self) -> Arguments<'_> {
        let Self { reaches_further, flags, items, keys, messages, size } = self;
        Arguments { reaches_further: *reaches_further, flags, items, keys, messages: *messages, size: *size }
    }
}

impl Imap {
    /// No rule looks at arguments, or at sizes.
    pub(super) fn asks_no_arguments(&self) -> bool {
        self.rules.permits_all(&self.session_facts(self.last)).is_some()
    }

    /// What the arguments of a command say.
    fn gather(&self, command: &Command, octets: &[u8]) -> Gathered {
        let Some(parts) = Parts::read(octets, self.names) else { return Gathered::default() };
        let downloads = command.verb() == "FETCH";
        let known = || {
            let set = parts.set.clone().filter(|_| downloads).and_then(|set| octets.get(set))?;
            self.sizes.largest(set, command.name.starts_with("UID "), &self.view)
        };
        let size = parts.announced.or_else(known);
        // a set names no message twice, and none that is not there
        let exists = self.view.exists().filter(|_| parts.set.is_some()).map(u64::from);
        let messages = parts.messages.into_iter().chain(exists).min();
        Gathered { messages, ..Gathered::new(parts, size) }
    }

    /// What kind of command it is, before its arguments are looked at.
    pub(super) fn sort_of<'a>(&'a self, command: &'a Command) -> Sort<'a> {
        // of the commands on the selected mailbox none reaches another that it does not name
        let about = match self.acted_on(command.spec, &command.needs) {
            Some(name) if command.mailboxes.is_empty() && command.spec.allowed == Allowed::Selected => {
                About::Selected(name)
            }
            _ => About::Mailboxes,
        };
        Sort { command: command.verb(), operation: command.operation, effect: command.effect, about }
    }

    /// The same of what follows a message inside its command.
    pub(super) fn gather_more(&self, line: &[u8], enclosure: Enclosure) -> Gathered {
        if self.asks_no_arguments() {
            return Gathered::default();
        }
        Parts::read_more(line, enclosure).map_or_else(Gathered::default, |parts| {
            let size = parts.announced;
            Gathered::new(parts, size)
        })
    }

    pub(super) fn ask_policy(
        &self,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        user: Option<&str>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Licence, Refusal> {
        if !command.spec.is_judged() {
            return Ok(Licence::plain(Policy::own()));
        }
        let session = SessionFacts { user, ..self.session_facts(now) };
        if let Some(permit) = self.rules.permits(&session, self.sort_of(command)) {
            return Ok(Licence::plain(permit));
        }
        let gathered = self.gather(command, octets);
        let facts = Facts {
            session,
            command: command.verb(),
            operation: command.operation,
            effect: command.effect,
            mailboxes: &command.mailboxes,
            selected: self.acted_on(command.spec, &command.needs),
            message: None,
            nth_message: None,
            arguments: gathered.lend(),
            answer: None,
        };
        self.ask_of_each(id, &facts, 1..=command.messages, now, out)
    }
}
