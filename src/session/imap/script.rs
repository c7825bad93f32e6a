//! What a client's command looks like in the transcript: secrets masked, literals folded.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Instant;

use super::Imap;
use crate::redact::MASK;
use crate::session::legible::legible;
use crate::session::{CommandId, Outbox, Speaker};
use crate::wire::imap::{Between, Command, LiteralSpan};

/// The longest literal that is shown in place.
const SHORT: usize = 64;

impl Imap {
    /// Reports a command for the transcript; `as_it_came` if its octets go up unchanged.
    pub(super) fn say_command(
        &self,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        as_it_came: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let by = if as_it_came { Speaker::Client } else { Speaker::ClientHeld };
        self.say_form(by, id, command, octets, now, out);
    }

    /// Reports a command in one of its forms.
    pub(super) fn say_form(
        &self,
        by: Speaker,
        id: CommandId,
        command: &Command,
        octets: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(text) = self.form_of(command, octets, out) {
            self.say_text(by, Some(id), text, octets.len() as u64, now, out);
        }
    }

    /// A command as the transcript shows it, if there is one.
    pub(super) fn form_of(&self, command: &Command, octets: &[u8], out: &Outbox) -> Option<String> {
        self.is_transcribed(out).then(|| masked(octets, &command.secrets, &command.literals))
    }

    /// Reports the line behind a message, which goes up as it came unless the session ends.
    pub(super) fn say_between(&self, by: Speaker, between: &Between, line: &[u8], now: Instant, out: &mut Outbox) {
        if self.is_transcribed(out) {
            self.say_text(by, self.open_id(), masked(line, &between.secrets, &[]), line.len() as u64, now, out);
        }
    }
}

/// Octets of a command on one line.
fn masked(octets: &[u8], secrets: &[Range<usize>], literals: &[LiteralSpan]) -> String {
    let secret = |at: usize| secrets.iter().find(|range| range.contains(&at));
    let mut text = String::new();
    let mut at = 0;
    let at_least = |range: &Range<usize>| octets.get(range.clone()).unwrap_or_default();
    while at < octets.len() {
        if let Some(range) = secret(at) {
            text.push_str(MASK);
            at = range.end;
        } else if let Some(literal) = literals.iter().find(|literal| literal.announcement.start == at) {
            text.push_str(&legible(at_least(&literal.announcement)));
            text.push(' ');
            let value = at_least(&literal.octets);
            if secret(literal.octets.start).is_some() {
                text.push_str(MASK);
            } else if value.len() <= SHORT {
                text.push_str(&legible(value));
            } else {
                // writing to a String cannot fail
                let _ = write!(text, "‹{} octets›", value.len());
            }
            at = literal.octets.end.max(at + 1);
        } else {
            let next = secrets.iter().map(|range| range.start);
            let next = next.chain(literals.iter().map(|literal| literal.announcement.start));
            let end = next.filter(|start| *start > at).min().unwrap_or(octets.len());
            text.push_str(&legible(at_least(&(at..end))));
            at = end;
        }
    }
    text
}
