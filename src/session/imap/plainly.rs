//! The two runs of short lines that a client which pipelines makes: the same command for one message after the
//! other, and the flags and the OK that answer each.
//!
//! What is done here for a line is what `client`, `judge` and `server` would do for it, without asking for each line
//! what is the same for all of them. Whatever is not certain to be that is left to them.

use std::borrow::Cow;
use std::time::Instant;

use super::forward::kind_of;
use super::phase::{Kind, Pending, Phase};
use super::{Imap, OWN};
use crate::policy::Permit;
use crate::session::{Answered, Completion, Observation, Outbox};
use crate::wire::imap::{Repeatable, leading_flags, leading_ok};

impl Imap {
    /// Lets the lines at the start of `input` pass that say again, for other messages, the command that was judged
    /// and passed right before them. Their octets.
    ///
    /// The policy is asked once for all of them, as they go up in one run: it answers for every command or for none.
    pub(super) fn pass_repeats(&mut self, input: &[u8], limit: usize, now: Instant, out: &mut Outbox) -> usize {
        let Some(before) = self.repeatable.take() else { return 0 };
        // judging it found nothing that had to be reported (posture observe)
        let quiet = self.is_allowed_now(before.command().spec.allowed) && !self.is_transcribed(out);
        let mut passed = 0;
        if quiet
            && self.commands.is_fresh()
            && !self.judges_answers()
            && let Some(permit) = self.rules.permits(&self.session_facts(now), self.sort_of(before.command()))
        {
            passed = self.stand_repeats(&before, input, limit, &permit, now, out);
        }
        self.repeatable = Some(before);
        passed
    }

    fn stand_repeats(
        &mut self,
        before: &Repeatable,
        input: &[u8],
        limit: usize,
        _permit: &Permit,
        now: Instant,
        out: &mut Outbox,
    ) -> usize {
        let command = before.command();
        let (is_fetch, most) = (matches!(kind_of(command), Kind::Fetch), self.setup.terms.limits.in_flight.max(1));
        let (mut passed, mut told) = (0, out.reports(now));
        while self.pending.len() < most
            && let Some((tag, len)) = before.leading(input.get(passed..).unwrap_or_default())
            && len <= limit
            && !tag.as_bytes().starts_with(OWN.as_bytes())
            && self.is_rising(&tag)
        {
            let (id, text) = (self.next_id(), tag.text().clone());
            let begun = Observation::CommandBegun {
                id,
                tag: Some(text),
                command: Cow::Borrowed(command.name),
                operation: command.operation,
                effect: command.effect,
                mailboxes: if command.mailboxes.is_empty() { Vec::new() } else { command.mailboxes.clone() },
                message: None,
            };
            told.push(begun);
            let kind = if is_fetch { Kind::Fetch } else { Kind::Plain };
            self.pending.push_back(Pending { complete: true, rising: true, ..Pending::new(tag, id, now, kind) });
            passed += len;
        }
        passed
    }

    /// Lets the lines at the start of `input` pass that are flags, or the plain OK to the command that was to be
    /// answered next and from which nothing follows. Their octets.
    pub(super) fn pass_plain_lines(&mut self, input: &[u8], hold: usize, now: Instant, out: &mut Outbox) -> usize {
        let ready = self.responses.at_boundary()
            && self.responses.framer.is_fresh()
            && matches!(self.phase, Phase::Command)
            && !self.is_transcribed(out)
            && !self.looks.answers;
        let (mut rest, mut took) = (if ready { input } else { &[] }, None);
        let status_line = self.setup.terms.limits.status_line.min(hold);
        while !rest.is_empty() {
            let len = if rest.starts_with(b"* ") {
                let told = leading_flags(rest).filter(|(_, _, len)| *len <= hold);
                let Some((number, uid, len)) = told else { break };
                if let Some(uid) = uid {
                    self.view.learn(number, uid);
                }
                len
            } else {
                let Some(len) = self.next_plainly_done(rest).filter(|len| *len <= status_line) else { break };
                let Some(Pending { id, begun, .. }) = self.pending.pop_front() else { break };
                self.deflate_not_yet();
                let latency = match took {
                    Some((since, latency)) if since == begun => latency,
                    _ => now.saturating_duration_since(begun),
                };
                took = Some((begun, latency));
                let (completion, code, by) = (Completion::Ok, None, Answered::Upstream);
                out.reports(now).push(Observation::CommandCompleted { id, completion, code, by, latency });
                len
            };
            rest = rest.get(len..).unwrap_or_default();
            if self.pending.is_empty() && took.is_some() {
                self.compress_upstream(now, out);
                break;
            }
        }
        if ready { input.len() - rest.len() } else { 0 }
    }

    /// Octets of the line at the start of `rest`, if it is the plain OK to the oldest command and nothing follows
    /// from that.
    fn next_plainly_done(&self, rest: &[u8]) -> Option<usize> {
        let next =
            self.pending.front().filter(|next| next.complete && matches!(next.kind, Kind::Plain | Kind::Fetch))?;
        leading_ok(rest, &next.tag)
    }
}
