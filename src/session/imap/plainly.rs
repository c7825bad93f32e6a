//! The two runs of short lines that a client which pipelines makes: the same command for one message after the
//! other, and the flags and the OK that answer each.
//!
//! What is done here for a line is what `client`, `judge` and `server` would do for it, without asking for each line
//! what is the same for all of them. Whatever is not certain to be that is left to them.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::forward::kind_of;
use super::phase::{Kind, Pending, Phase};
use super::{Imap, OWN};
use crate::policy::Permit;
use crate::session::{Answered, CommandId, Completion, Observation, Outbox};
use crate::wire::imap::{Command, Repeatable, Tag, leading_flags, leading_ok};

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
        let (command, first) = (before.command(), self.pending.len());
        let most = self.setup.terms.limits.in_flight.max(1).saturating_sub(first);
        let is_fetch = matches!(kind_of(command), Kind::Fetch);
        let (tags, passed) = self.repeats(before, input, limit, most);
        let (last, count) = (self.last_id, u32::try_from(tags.len()).unwrap_or(u32::MAX));
        let ids = (0..count).map(|nth| CommandId(last.saturating_add(nth).saturating_add(1)));
        self.last_id = last.saturating_add(count);
        // one kind of thing after the other, each made where it is kept: to make one and move it there takes longer
        // than to read its line
        self.pending.extend(tags.into_iter().zip(ids).map(|(tag, id)| Pending {
            tag,
            id,
            begun: now,
            kind: if is_fetch { Kind::Fetch } else { Kind::Plain },
            barrier: false,
            complete: true,
            rising: true,
            stored: Box::default(),
            // answers are not judged now, but may be by the policy in force when they come
            spec: Some(command.spec),
        }));
        let stand = self.pending.range(first..);
        if command.mailboxes.is_empty() {
            out.report_all(now, stand.map(|pending| begun(pending, command, Vec::new())));
        } else {
            out.report_all(now, stand.map(|pending| begun(pending, command, command.mailboxes.clone())));
        }
        passed
    }

    /// The tags of at most so many lines at the start of `input` that repeat a command, and the octets of these lines.
    fn repeats(&self, before: &Repeatable, input: &[u8], limit: usize, most: usize) -> (Vec<Tag>, usize) {
        let mut passed = 0;
        let mut last = match self.pending.back() {
            Some(last) if !last.rising => return (Vec::new(), 0),
            last => last.map(|last| &last.tag),
        };
        let mut tags = Vec::with_capacity(most.min(input.len() / before.shortest()));
        while tags.len() < most
            && let Some((tag, len)) = before.leading(input.get(passed..).unwrap_or_default())
            && len <= limit
            && last.or(tags.last()).is_none_or(|last| tag.counts_behind(last))
            && !tag.as_bytes().starts_with(OWN.as_bytes())
        {
            last = None;
            passed += len;
            tags.push(tag);
        }
        (tags, passed)
    }

    /// Lets the lines at the start of `input` pass that are flags, or the plain OK to the command that was to be
    /// answered next and from which nothing follows. Their octets.
    pub(super) fn pass_plain_lines(&mut self, input: &[u8], hold: usize, now: Instant, out: &mut Outbox) -> usize {
        let ready = self.responses.at_boundary()
            && self.responses.framer.is_fresh()
            && matches!(self.phase, Phase::Command)
            && !self.is_transcribed(out)
            && !self.looks.answers;
        let (mut rest, mut done) = (if ready { input } else { &[] }, 0);
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
                let next = self.pending.get(done).and_then(|next| plainly_done(next, rest));
                let Some(len) = next.filter(|len| *len <= status_line) else { break };
                done += 1;
                len
            };
            rest = rest.get(len..).unwrap_or_default();
            if done > 0 && done == self.pending.len() {
                break;
            }
        }
        if done > 0 {
            self.plainly_completed(done, now, out);
        }
        if ready { input.len() - rest.len() } else { 0 }
    }

    /// The first `count` of what is outstanding are done, and nothing follows from it but what follows from every
    /// answer.
    fn plainly_completed(&mut self, count: usize, now: Instant, out: &mut Outbox) {
        // what came in one read began at one moment
        let (mut since, mut latency) = (now, Duration::ZERO);
        let completed = |pending: &Pending| {
            if pending.begun != since {
                (since, latency) = (pending.begun, now.saturating_duration_since(pending.begun));
            }
            let (completion, code, by) = (Completion::Ok, None, Answered::Upstream);
            Observation::CommandCompleted { id: pending.id, completion, code, by, latency }
        };
        out.report_all(now, self.pending.range(..count).map(completed));
        self.pending.drain(..count);
        self.deflate_not_yet();
        if self.pending.is_empty() {
            self.compress_upstream(now, out);
        }
    }
}

fn begun(pending: &Pending, command: &Command, mailboxes: Vec<String>) -> Observation {
    Observation::CommandBegun {
        id: pending.id,
        tag: Some(pending.tag.text().clone()),
        command: Cow::Borrowed(command.name),
        operation: command.operation,
        effect: command.effect,
        mailboxes,
        message: None,
    }
}

/// Octets of the line at the start of `rest`, if it is the plain OK to this command and nothing follows from that.
fn plainly_done(next: &Pending, rest: &[u8]) -> Option<usize> {
    let is_plain = next.complete && matches!(next.kind, Kind::Plain | Kind::Fetch);
    if is_plain { leading_ok(rest, &next.tag) } else { None }
}
