//! A command in the form that a rule gives it. What changes is written anew in canonical form, token by token as
//! the grammar read them; the whole is then read again by the same grammar, and goes up only as what that
//! makes of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::refusal::Refusal;
use super::{Imap, send, wipe};
use crate::policy::{Arguments, Edit, Facts, Outcome};
use crate::session::{Alteration, CommandId, Outbox, Speaker};
use crate::wire::imap::{Command, Head, Part, Parts, Stop, decode_mailbox, encode_mailbox, parse_with};
use crate::wire::{Item, ItemKind, Side};

/// What became of a command that rules change.
pub(super) enum Edited {
    /// None of the rules fits it.
    Same,
    /// It goes up so.
    Other(Box<(Command, BytesMut)>),
    /// It brings a message, and its head goes up so.
    Head(Box<(Head, BytesMut)>),
    /// Nothing is left of it: it is answered so.
    Nothing(Refusal),
    /// What the rules make of it is no command.
    Impossible(Refusal),
}

/// A name that a command carries in place of the client's, until it is answered.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) id: CommandId,
    /// As the client named the mailbox, decoded.
    pub(super) client: String,
    /// As the server knows it, decoded.
    pub(super) server: String,
}

/// Tokens to be replaced.
#[derive(Default)]
struct Changes(Vec<(Range<usize>, Vec<u8>)>);

impl Changes {
    fn put(&mut self, span: Range<usize>, octets: Vec<u8>) {
        self.0.push((span, octets));
    }

    /// The input with these tokens in place of its own.
    fn apply(mut self, input: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(span, _)| span.start);
        let (mut octets, mut from) = (Vec::with_capacity(input.len()), 0);
        for (span, token) in self.0 {
            octets.extend_from_slice(input.get(from..span.start).unwrap_or_default());
            octets.extend_from_slice(&token);
            from = span.end;
        }
        octets.extend_from_slice(input.get(from..).unwrap_or_default());
        octets
    }
}

impl Imap {
    /// The command as these rules change it.
    pub(super) fn edit(
        &mut self,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        edits: &[Arc<Edit>],
        now: Instant,
    ) -> Edited {
        let Some(parts) = Parts::read(octets, self.names) else { return Edited::Same };
        let mut changes = Changes::default();
        for edit in edits {
            if let Some(nothing) = self.edit_tokens((id, now), edit, command, &parts, octets, &mut changes) {
                return Edited::Nothing(nothing);
            }
        }
        let mut line = changes.apply(octets);
        for template in edits.iter().filter_map(|edit| edit.arguments.as_deref()) {
            match self.with_arguments(&line, template) {
                Some(other) => line = other,
                None => return Edited::Impossible(impossible()),
            }
        }
        if line == octets {
            return Edited::Same;
        }
        self.read_again(command, &line)
    }

    /// What the grammar makes of it.
    fn read_again(&self, command: &Command, line: &[u8]) -> Edited {
        let is_kin = |other: &Command| {
            let may_be = other.name == command.name || (other.name == "EXAMINE" && command.name == "SELECT");
            may_be && other.tag == command.tag
        };
        match parse_with(line, self.names) {
            Ok(mut other) if is_kin(&other) => {
                Self::keep_names(command, &mut other);
                Edited::Other(Box::new((other, BytesMut::from(line))))
            }
            Err(Stop::Message(mut head)) if is_kin(&head.command) => {
                Self::keep_names(command, &mut head.command);
                Edited::Head(Box::new((*head, BytesMut::from(line))))
            }
            Ok(_) | Err(_) => Edited::Impossible(impossible()),
        }
    }

    /// The session goes on to know mailboxes by the client's names.
    fn keep_names(command: &Command, other: &mut Command) {
        if command.mailboxes.len() == other.mailboxes.len() {
            other.mailboxes.clone_from(&command.mailboxes);
        }
    }

    /// Notes what one rule changes; the answer, if nothing is left of the command.
    fn edit_tokens(
        &mut self,
        at: (CommandId, Instant),
        edit: &Edit,
        command: &Command,
        parts: &Parts,
        octets: &[u8],
        changes: &mut Changes,
    ) -> Option<Refusal> {
        if edit.examine && command.name == "SELECT" {
            changes.put(parts.name.clone(), b"EXAMINE".to_vec());
        }
        if let Some(template) = &edit.mailbox {
            for name in parts.mailboxes.iter().filter(|name| !name.value.is_empty()) {
                if parts.mailboxes.len() == 1 || self.is_about(edit, command, &name.value, at.1) {
                    self.map_name(at.0, name, template, changes);
                }
            }
        }
        if !edit.without_flags.is_empty() && !edit_flags(edit, parts, changes) && command.verb() == "STORE" {
            return Some(nothing_left(command));
        }
        if (edit.peek || !edit.without_items.is_empty()) && !edit_items(edit, parts, octets, changes) {
            return Some(nothing_left(command));
        }
        None
    }

    /// A mailbox that the rule is about goes up by another name.
    fn map_name(&mut self, id: CommandId, name: &Part<String>, template: &str, changes: &mut Changes) {
        let user = self.user.as_deref().unwrap_or_default();
        let server = template.replace("{mailbox}", &name.value).replace("{user}", user);
        let written = encode_mailbox(&server, self.names);
        // a name that could not be read back is no name
        if server == name.value || decode_mailbox(written.as_bytes(), self.names).as_deref() != Ok(&server) {
            return;
        }
        let mut token = Vec::new();
        send::quote(written.as_bytes(), &mut token);
        changes.put(name.span.clone(), token);
        let pending = &self.pending;
        self.mapped.retain(|mapped| mapped.id == id || pending.iter().any(|pending| pending.id == mapped.id));
        self.mapped.push(Mapped { id, client: name.value.clone(), server });
    }

    /// Whether the rule would change the command if this were the mailbox it is about.
    fn is_about(&self, edit: &Edit, command: &Command, name: &String, now: Instant) -> bool {
        let facts = Facts {
            session: self.session_facts(now),
            command: command.verb(),
            operation: command.operation,
            effect: command.effect,
            mailboxes: std::slice::from_ref(name),
            selected: None,
            message: None,
            nth_message: None,
            arguments: Arguments::default(),
            answer: None,
        };
        matches!(self.rules.judge(&facts).outcome, Outcome::Edit(_, other) if other.rule == edit.rule)
    }

    /// The command with the arguments that the template makes of its own. None if that cannot be on one line.
    fn with_arguments(&self, line: &[u8], template: &str) -> Option<Vec<u8>> {
        let parts = Parts::read(line, self.names).filter(|parts| parts.announced.is_none())?;
        let (before, own) = (line.get(..parts.name.end)?, line.get(parts.arguments.clone())?);
        if own.contains(&b'\n') {
            return None;
        }
        let own = std::str::from_utf8(own).ok()?;
        let arguments = template.replace("{arguments}", own);
        let arguments = arguments.trim();
        let space: &[u8] = if arguments.is_empty() { b"" } else { b" " };
        let is_sound = !arguments.contains(['\r', '\n', '\0']) && !arguments.ends_with('}');
        is_sound.then(|| [before, space, arguments.as_bytes(), b"\r\n"].concat())
    }

    /// Tells of a command that goes up in another form than it came.
    pub(super) fn tell_edited(
        &self,
        id: CommandId,
        came: (&Command, &[u8]),
        goes: (&Command, &[u8]),
        now: Instant,
        out: &mut Outbox,
    ) {
        self.say_command(id, came.0, came.1, false, now, out);
        self.say_form(Speaker::ProxyToUpstream, id, goes.0, goes.1, now, out);
        let change = (came.1.len() as u64, goes.1.len() as u64);
        send::altered(Side::Upstream, Alteration::Rewritten, change, now, out);
    }

    /// Answers a command of which the rules leave nothing.
    pub(super) fn answer_edited(
        &mut self,
        id: CommandId,
        command: &Command,
        answer: Refusal,
        mut octets: BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.say_command(id, command, &octets, false, now, out);
        wipe(&mut octets);
        let done = answer.is_ok();
        self.refuse_judged(command, done, answer.answer(command.tag.as_str(), id, now), now, out);
    }
}

/// The rest of a line behind a message, with the flags that rules take out of it.
pub(super) fn edit_more(line: &[u8], parts: &Parts, edits: &[Arc<Edit>]) -> Vec<u8> {
    let mut changes = Changes::default();
    for edit in edits {
        edit_flags(edit, parts, &mut changes);
    }
    changes.apply(line)
}

/// Takes flags out; whether one is left, or there was none.
fn edit_flags(edit: &Edit, parts: &Parts, changes: &mut Changes) -> bool {
    let (mut had, mut left) = (false, false);
    for list in &parts.flags {
        let goes = |flag: &&String| edit.without_flags.iter().any(|out| out.eq_ignore_ascii_case(flag));
        let kept: Vec<&str> = list.value.iter().filter(|flag| !goes(flag)).map(String::as_str).collect();
        had |= !list.value.is_empty();
        left |= !kept.is_empty();
        if kept.len() < list.value.len() {
            changes.put(list.span.clone(), format!("({})", kept.join(" ")).into_bytes());
        }
    }
    left || !had
}

/// Takes items out, and has the rest leave `\Seen` alone; whether one is left, or there was none.
fn edit_items(edit: &Edit, parts: &Parts, octets: &[u8], changes: &mut Changes) -> bool {
    let Some(list) = &parts.item_list else { return true };
    let goes = |item: &Item| {
        let named = |out: &Arc<str>| out.eq_ignore_ascii_case(&item.name) || is_kind(out, item);
        edit.without_items.iter().any(named)
    };
    let kept: Vec<_> = parts.items.iter().filter(|item| !goes(&item.value)).collect();
    let seen = edit.peek && kept.iter().any(|item| !item.value.peek);
    if kept.is_empty() {
        return parts.items.is_empty();
    }
    if kept.len() == parts.items.len() && !seen {
        return true;
    }
    let mut written = Vec::new();
    for item in &kept {
        let is_of_macro = parts.items.iter().filter(|other| other.span == item.span).count() > 1;
        let own = octets.get(item.span.clone()).unwrap_or_default();
        let own = if is_of_macro { item.value.name.as_bytes() } else { own };
        written.push(if edit.peek && !item.value.peek { peeking(own) } else { own.to_vec() });
    }
    changes.put(list.clone(), [b"(", &*written.join(&b' '), b")"].concat());
    true
}

fn is_kind(word: &str, item: &Item) -> bool {
    let kinds = [ItemKind::Data, ItemKind::Headers, ItemKind::Part, ItemKind::Whole];
    kinds.into_iter().any(|kind| kind == item.kind && word.eq_ignore_ascii_case(kind.as_label()))
}

/// The item that brings the same and leaves `\Seen` alone.
fn peeking(item: &[u8]) -> Vec<u8> {
    match item.iter().position(|octet| *octet == b'[') {
        Some(at) => {
            let (name, section) = item.split_at(at);
            [name, b".PEEK", section].concat()
        }
        None if item.len() == b"RFC822".len() => b"BODY.PEEK[]".to_vec(),
        None => b"BODY.PEEK[TEXT]".to_vec(),
    }
}

fn nothing_left(command: &Command) -> Refusal {
    Refusal::done(format!("{} completed", command.verb()))
}

pub(super) fn impossible() -> Refusal {
    Refusal::cannot("The command cannot be given the form that is required here")
}

#[cfg(test)]
mod tests;
