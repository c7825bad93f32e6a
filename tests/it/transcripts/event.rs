//! Events in the compact form of `= ` lines: no times, no numbers of commands.

use std::collections::HashMap;

use mailwarden::policy::Mode;
use mailwarden::session::{CommandId, MessageRef, Observation};
use mailwarden::wire::ShortText;

/// Writes events down; remembers which command a number stands for.
#[derive(Default)]
pub(crate) struct Scribe(HashMap<CommandId, String>);

impl Scribe {
    pub(crate) fn compact(&mut self, what: &Observation) -> String {
        match what {
            Observation::Said(said) => format!("said {} {}", said.by.as_label(), said.text),
            Observation::Greeted => "greeted".to_owned(),
            Observation::TlsStarted { side } => format!("tls {}", side.as_label()),
            Observation::CompressionStarted { side } => format!("deflate {}", side.as_label()),
            Observation::CommandBegun { id, tag, command, operation, effect, mailboxes, message } => {
                let name = tag.iter().map(ShortText::as_str).chain([&**command]).collect::<Vec<_>>().join(" ");
                self.0.insert(*id, name.clone());
                let facts = [operation.as_label(), effect.as_label()].into_iter();
                let facts: Vec<&str> = facts.chain(mailboxes.iter().map(String::as_str)).collect();
                let message = message.as_ref().map(|message| format!(" message {}", reference(message)));
                format!("begun {name} {}{}", facts.join(" "), message.unwrap_or_default())
            }
            Observation::CommandCompleted { id, completion, code, by, .. } => {
                let code = code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
                format!("completed {} {} {}{code}", self.name(*id), completion.as_label(), by.as_label())
            }
            Observation::StateChanged { from, to } => format!("state {} {}", from.as_label(), to.as_label()),
            Observation::Authentication { user, mechanism, accepted } => {
                let result = if *accepted { "accepted" } else { "refused" };
                format!("authentication {mechanism} {} {result}", user.as_deref().unwrap_or("-"))
            }
            Observation::Retrieved { id, message, extent, octets } => {
                let command = id.map_or("-", |id| self.name(id));
                format!("retrieved {command} {} {} {octets}", reference(message), extent.as_label())
            }
            Observation::Stored { id, octets, .. } => format!("stored {} {octets}", self.name(*id)),
            Observation::Notifying { on } => format!("notifying {on}"),
            Observation::Expunged { message } => format!("expunged {}", reference(message)),
            Observation::Vanished { uids, .. } => format!("vanished {uids}"),
            Observation::Decided { id, decision } => {
                let force = if decision.mode == Mode::Enforce { "enforced" } else { "reported" };
                format!("decided {} {} {} {force}", self.name(*id), decision.rule, decision.action.as_label())
            }
            Observation::Altered { to, why, removed, added } => {
                format!("altered {} {} -{removed} +{added}", to.as_label(), why.as_label())
            }
            Observation::Violated(violation) => {
                format!("violated {} {}", violation.side.as_label(), violation.kind.as_label())
            }
            Observation::Closed { reason, .. } => format!("closed {}", reason.as_label()),
        }
    }

    fn name(&self, id: CommandId) -> &str {
        self.0.get(&id).map_or("(never begun)", String::as_str)
    }
}

/// Number, UID, unique-id and mailbox; `-` for what is not known.
fn reference(message: &MessageRef) -> String {
    let numbers = [message.number, message.uid].map(|n| n.map_or("-".to_owned(), |n| n.to_string()));
    let names = [message.unique_id.as_deref(), message.mailbox.as_deref()].map(|name| name.unwrap_or("-"));
    format!("{} {}", numbers.join(" "), names.join(" "))
}
