//! Status responses: which command one completes, what that changes, and what of it may be shown.

use std::time::Instant;

use bytes::Bytes;

use super::phase::{Answer, Completing, Discard, Idle, Kind, Pending, Phase, Sasl};
use super::server::Fate;
use super::view::View;
use super::{Imap, Stray};
use crate::session::{
    Alteration, Answered, CloseReason, CommandId, Completion, Observation, Outbox, Speaker, State, ViolationKind,
};
use crate::wire::Side;
use crate::wire::imap::{Names, StatusLine, StatusWord, Tail};

impl Imap {
    /// A tagged status response.
    #[expect(clippy::too_many_arguments, reason = "a line with what stands around it; private to this module's reader")]
    pub(super) fn tagged(
        &mut self,
        tag: &[u8],
        status: &StatusLine<'_>,
        line: &[u8],
        whole: bool,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Some(at) = self.pending.iter().position(|pending| pending.tag.as_bytes() == tag) else {
            let detail = "An answer to a command that was not sent";
            if self.enforcing() {
                return self.upstream_slip(ViolationKind::Unsolicited, detail, now, out);
            }
            Self::violated(Side::Upstream, ViolationKind::Unsolicited, detail, now, out);
            return self.pass_status(line, status, None, whole, now, out);
        };
        if !matches!(status.word, StatusWord::Ok | StatusWord::No | StatusWord::Bad) {
            return self.upstream_slip(ViolationKind::Framing, "A tagged BYE or PREAUTH", now, out);
        }
        self.note_login(at, status.word);
        self.judge_completion(at, status, now, out);
        if self.pending.get(at).is_some_and(|pending| !pending.complete) {
            return self.open_answered(status, line, whole, early, now, out);
        }
        let Some(pending) = self.pending.remove(at) else { return Fate::Drop };
        match pending.kind {
            Kind::Own => return self.own_answered(line, now, out),
            Kind::Compress => return self.compress_answered(line, status, now, out),
            _ => {}
        }
        let id = Some(pending.id).filter(|_| !matches!(pending.kind, Kind::Raw));
        let fate = self.pass_status(line, status, id, whole, now, out);
        self.completed(pending, status, now, out);
        fate
    }

    /// `tag OK text`, without a code or an announcement, of the command that was to be answered next, from which
    /// nothing follows. Of any other command it must be looked at more closely.
    pub(super) fn plainly_done(&mut self, tag: &[u8], line: &[u8], now: Instant, out: &mut Outbox) -> bool {
        let expected = |next: &mut Pending| {
            next.complete && matches!(next.kind, Kind::Plain | Kind::Fetch) && next.tag.as_bytes() == tag
        };
        if line.len() > self.setup.terms.limits.status_line {
            return false;
        }
        let Some(Pending { id, begun, .. }) = self.pending.pop_front_if(expected) else { return false };
        self.deflate_not_yet();
        self.say_status(Speaker::Upstream, Some(id), line, now, out);
        let (completion, code, by) = (Completion::Ok, None, Answered::Upstream);
        let latency = now.saturating_duration_since(begun);
        out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
        self.compress_upstream(now, out);
        true
    }

    /// The open command is answered before its end.
    fn open_answered(
        &mut self,
        status: &StatusLine<'_>,
        line: &[u8],
        whole: bool,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let refused = status.word != StatusWord::Ok;
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Sasl(sasl) => self.sasl_answered(sasl, status, line, whole, early, now, out),
            Phase::Idle(idle) => self.idle_answered(idle, status, line, whole, now, out),
            Phase::Runs(_) if refused => {
                let Some(pending) = self.pending.pop_back() else { return Fate::Drop };
                let fate = self.pass_status(line, status, Some(pending.id), whole, now, out);
                self.completed(pending, status, now, out);
                fate
            }
            Phase::Announced(body) if refused => {
                let Some(answer) = self.take_answer(status, line, whole, now, out) else { return Fate::Drop };
                self.pending.pop_back();
                self.message_refused(&body, answer, early, now, out);
                Fate::Drop
            }
            Phase::Body(mut body) if refused && body.early.is_none() => {
                body.early = self.take_answer(status, line, whole, now, out).map(Box::new);
                self.phase = Phase::Body(body);
                Fate::Drop
            }
            Phase::BodyTail(mut body) if refused && body.early.is_none() => {
                body.early = self.take_answer(status, line, whole, now, out).map(Box::new);
                self.phase = Phase::BodyTail(body);
                Fate::Drop
            }
            Phase::Slowed(further) if refused => {
                let Some(answer) = self.take_answer(status, line, whole, now, out) else { return Fate::Drop };
                self.further_refused(*further, answer, early, now, out);
                Fate::Drop
            }
            Phase::CallOff(call_off) if refused || call_off.ended => {
                self.say(Speaker::UpstreamHeld, self.open_id(), line, now, out);
                self.called_off(*call_off, refused, early, now, out);
                Fate::Drop
            }
            phase => {
                self.phase = phase;
                self.upstream_slip(ViolationKind::TooSoon, "A command was answered before its end", now, out)
            }
        }
    }

    /// The server's answer to the open command, kept until it can be given.
    fn take_answer(
        &mut self,
        status: &StatusLine<'_>,
        line: &[u8],
        whole: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Answer> {
        let (id, begun) = self.pending.back().map(|pending| (pending.id, pending.begun))?;
        let line = match self.rewritten(line, status, whole, now, out) {
            Some(line) => line.into(),
            None => Bytes::copy_from_slice(line),
        };
        let code = status.code_name();
        let completing = Completing { completion: completion_of(status.word), code, by: Answered::Upstream, begun };
        Some(Answer { line, speaker: Speaker::Upstream, completes: Some((id, completing)), starts: None, close: None })
    }

    #[expect(clippy::too_many_arguments, reason = "a line with what stands around it; private to this module")]
    fn sasl_answered(
        &mut self,
        mut sasl: Sasl,
        status: &StatusLine<'_>,
        line: &[u8],
        whole: bool,
        early: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let accepted = status.word == StatusWord::Ok;
        if sasl.cancelled.is_some() && accepted {
            return self.upstream_slip(ViolationKind::Sasl, "A cancelled authentication was accepted", now, out);
        }
        let Some(pending) = self.pending.pop_back() else { return Fate::Drop };
        let id = pending.id;
        if let Some(refusal) = sasl.cancelled.take() {
            self.say(Speaker::UpstreamHeld, Some(id), line, now, out);
            Self::report_login(&pending.kind, false, now, out);
            let mut answer = refusal.answer(pending.tag.as_str(), id, pending.begun);
            answer.close = self.too_many_errors();
            self.give(answer, now, out);
            return Fate::Drop;
        }
        let fate = self.pass_status(line, status, Some(id), whole, now, out);
        self.completed(pending, status, now, out);
        if !accepted {
            self.sasl_refused(&sasl, early, now, out);
        }
        fate
    }

    fn idle_answered(
        &mut self,
        idle: Idle,
        status: &StatusLine<'_>,
        line: &[u8],
        whole: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Some(pending) = self.pending.pop_back() else { return Fate::Drop };
        if let Idle::Broken { tail, untold } = idle {
            self.say(Speaker::UpstreamHeld, Some(pending.id), line, now, out);
            let mut answer = self.bad(pending.tag.as_str(), "Only DONE may be said while idling");
            answer.completes = Some((pending.id, by_syntax(&pending)));
            match tail {
                Some(tail) => self.refuse(answer, tail, false, now, out),
                None => self.phase = Phase::Discard(Discard { answer: Some(Box::new(answer)), drained: 0, untold }),
            }
            return Fate::Drop;
        }
        if idle != Idle::Done {
            // a DONE that crosses this answer belongs to nobody
            self.stray = Some(Stray::Done);
        }
        let fate = self.pass_status(line, status, Some(pending.id), whole, now, out);
        self.completed(pending, status, now, out);
        fate
    }

    fn report_login(kind: &Kind, accepted: bool, now: Instant, out: &mut Outbox) {
        if let Kind::Authenticate(login) = kind {
            let (user, mechanism) = (login.user.clone(), login.mechanism.clone());
            out.observe(now, Observation::Authentication { user, mechanism, accepted });
        }
    }

    /// The proxy's own command was answered; the answer stays here.
    fn own_answered(&mut self, line: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        self.say(Speaker::UpstreamHeld, None, line, now, out);
        if let Phase::Detach(answer) = std::mem::replace(&mut self.phase, Phase::Command) {
            self.change_state(State::Authenticated, now, out);
            self.phase = Phase::Answer(answer);
        }
        Fate::Drop
    }

    /// A command of the client is answered: what that changes, and what is reported.
    fn completed(&mut self, pending: Pending, status: &StatusLine<'_>, now: Instant, out: &mut Outbox) {
        let ok = status.word == StatusWord::Ok;
        let Pending { id, begun, kind, stored, .. } = pending;
        let latency = now.saturating_duration_since(begun);
        let completion = completion_of(status.word);
        let (code, by) = (status.code_name(), Answered::Upstream);
        out.observe(now, Observation::CommandCompleted { id, completion, code, by, latency });
        Self::report_login(&kind, ok, now, out);
        match kind {
            Kind::Authenticate(login) if ok => {
                self.user = login.user;
                self.change_state(State::Authenticated, now, out);
            }
            Kind::Select { mailbox } if ok => {
                self.change_state(State::Selected, now, out);
                self.selected = Some(mailbox);
                self.stale_result = false;
            }
            Kind::Save if ok => self.stale_result = false,
            Kind::Select { .. } => self.change_state(State::Authenticated, now, out),
            Kind::Leave if ok => self.change_state(State::Authenticated, now, out),
            Kind::Enable { utf8: true } if ok => self.names = Names::Utf8,
            Kind::Notify { on } if ok => out.observe(now, Observation::Notifying { on }),
            Kind::Append { mailbox } if ok => {
                Self::report_stored(id, &stored, mailbox.as_ref(), status.code, now, out);
            }
            Kind::Logout if ok => {
                self.report_open_cut(now, out);
                self.abort_pending(now, out);
                self.phase = Phase::Closed;
                self.change_state(State::Logout, now, out);
                out.close(now, CloseReason::Logout, "The client logged out");
            }
            Kind::Append { .. }
            | Kind::Authenticate(_)
            | Kind::Enable { .. }
            | Kind::Compress
            | Kind::Fetch
            | Kind::Leave
            | Kind::Logout
            | Kind::Notify { .. }
            | Kind::Own
            | Kind::Plain
            | Kind::Raw
            | Kind::Save
            | Kind::UrlFetch => {}
        }
        self.compress_upstream(now, out);
    }

    /// What the server says it enabled, while it is asked to (RFC 5161 §3.2).
    pub(super) fn enabled(&mut self, line: &[u8]) {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let is_utf8 =
            |name: &[u8]| name.eq_ignore_ascii_case(b"UTF8=ACCEPT") || name.eq_ignore_ascii_case(b"IMAP4rev2");
        let asked = self.pending.iter_mut().find_map(|pending| match &mut pending.kind {
            Kind::Enable { utf8 } => Some(utf8),
            _ => None,
        });
        if let Some(utf8) = asked {
            *utf8 |= text.split(|octet| *octet == b' ').any(is_utf8);
        }
    }

    /// The command whose data untagged FETCH responses are: the oldest FETCH that is outstanding.
    pub(super) fn fetching(&self) -> Option<CommandId> {
        self.pending.iter().find(|pending| matches!(pending.kind, Kind::Fetch)).map(|pending| pending.id)
    }

    /// The oldest URLFETCH that is outstanding.
    pub(super) fn fetching_urls(&self) -> Option<CommandId> {
        self.pending.iter().find(|pending| matches!(pending.kind, Kind::UrlFetch)).map(|pending| pending.id)
    }

    /// A status response as the client may see it.
    pub(super) fn pass_status(
        &mut self,
        line: &[u8],
        status: &StatusLine<'_>,
        id: Option<CommandId>,
        whole: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        self.learn_from_code(status);
        match self.rewritten(line, status, whole, now, out) {
            None => {
                self.say_status(Speaker::Upstream, id, line, now, out);
                Fate::Pass
            }
            Some(octets) => {
                self.say_status(Speaker::UpstreamHeld, id, line, now, out);
                self.say_status(Speaker::ProxyToClient, id, &octets, now, out);
                Fate::Replace(octets.into())
            }
        }
    }

    /// Codes that say which messages the view is about.
    fn learn_from_code(&mut self, status: &StatusLine<'_>) {
        let Some(code) = status.code else { return };
        if code.eq_ignore_ascii_case(b"CLOSED") {
            // the end of what is told of the mailbox before (RFC 9051 §7.1)
            self.view = View::default();
        } else if let [value] = code_numbers(code, b"UIDVALIDITY ")[..] {
            self.view.set_uid_validity(value);
        }
    }

    /// A status response in the form in which it may go down, if that is another than the server's:
    /// capabilities filtered, referrals removed, too long a text cut, no braces at its end.
    fn rewritten(
        &mut self,
        line: &[u8],
        status: &StatusLine<'_>,
        whole: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Vec<u8>> {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let most = self.setup.terms.limits.status_line;
        let (text, cut) =
            if text.len() > most || !whole { (text.get(..most).unwrap_or(text), true) } else { (text, false) };
        let mut why = cut.then_some(Alteration::StatusCut);
        let code = status.code.filter(|_| status.code_span.end <= text.len());
        // a code that is cut off may be a list that has to be filtered
        let torn = cut && code.is_none() && text.get(status.code_span.start) == Some(&b'[');
        let text = if torn { text.get(..status.code_span.start)? } else { text };
        let mut octets = match code.map(code_kind) {
            Some(CodeKind::Capability(list)) => {
                let list = self.filter_capabilities(list, now, out);
                list.map(|list| {
                    why = Some(Alteration::Capabilities);
                    spliced(text, status, &[b"[CAPABILITY ", list.as_slice(), b"]"].concat())
                })
            }
            Some(CodeKind::Referral) => {
                why = Some(Alteration::Referral);
                Some(without_code(text, status))
            }
            Some(CodeKind::Other) | None => None,
        };
        if let Some(words) =
            self.worded(octets.as_deref().unwrap_or(text), line.len().saturating_sub(2), text.len(), status)
        {
            why = why.or(Some(Alteration::Policy));
            octets = Some(words);
        }
        if Tail::of(octets.as_deref().unwrap_or(text)) != Tail::Plain {
            why = why.or(Some(Alteration::TextTail));
            octets.get_or_insert_with(|| text.to_vec()).push(b'.');
        }
        let why = why?;
        let mut octets = octets.unwrap_or_else(|| text.to_vec());
        octets.extend_from_slice(b"\r\n");
        let (removed, added) = (line.len() as u64, octets.len() as u64);
        if whole {
            out.observe(now, Observation::Altered { to: Side::Client, why, removed, added });
        } else {
            self.cut_to(added);
        }
        Some(octets)
    }
}

/// The numbers of a code with this name; none if it is another or has something else.
pub(super) fn code_numbers(code: &[u8], name: &[u8]) -> Vec<u32> {
    let Some((start, rest)) = code.split_at_checked(name.len()) else { return Vec::new() };
    if !start.eq_ignore_ascii_case(name) {
        return Vec::new();
    }
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    rest.split(|octet| *octet == b' ').map(number).collect::<Option<_>>().unwrap_or_default()
}

enum CodeKind<'a> {
    Capability(&'a [u8]),
    Referral,
    Other,
}

fn code_kind(code: &[u8]) -> CodeKind<'_> {
    let starts = |name: &[u8]| code.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if starts(b"CAPABILITY ") {
        CodeKind::Capability(code.get(11..).unwrap_or_default())
    } else if starts(b"REFERRAL") {
        CodeKind::Referral
    } else {
        CodeKind::Other
    }
}

/// The line with another code in place of its own.
fn spliced(text: &[u8], status: &StatusLine<'_>, code: &[u8]) -> Vec<u8> {
    let before = text.get(..status.code_span.start).unwrap_or_default();
    let after = text.get(status.code_span.end..).unwrap_or_default();
    [before, code, after].concat()
}

fn without_code(text: &[u8], status: &StatusLine<'_>) -> Vec<u8> {
    let mut octets = spliced(text, status, b"");
    // the SP that separated the code from the text
    if octets.get(status.code_span.start) == Some(&b' ') {
        octets.remove(status.code_span.start);
    }
    octets
}

fn completion_of(word: StatusWord) -> Completion {
    match word {
        StatusWord::Ok => Completion::Ok,
        StatusWord::No => Completion::No,
        StatusWord::Bad | StatusWord::Bye | StatusWord::PreAuth => Completion::Bad,
    }
}

fn by_syntax(pending: &Pending) -> Completing {
    Completing { completion: Completion::Bad, code: None, by: Answered::Syntax, begun: pending.begun }
}
