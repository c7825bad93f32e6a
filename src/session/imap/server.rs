//! Reads the server: pairs its answers with what is outstanding and lets its octets pass in runs.
//!
//! A run of octets that pass unchanged is handed on as one slice, however many lines it has. Lines are
//! looked at once; a line of data that is too long to be held passes in parts, followed by its
//! scanner; literals are counted. What the proxy has to say itself waits for a response boundary.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::data::Data;
use super::phase::{Idle, Phase};
use super::shown::Unnamed;
use super::{Imap, Step};
use crate::session::{Alteration, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{Framer, Piece, PlainLine, ResponseHead, StatusWord, Tail, plain_line, response_head};

/// Where the server's direction stands.
#[derive(Debug, Default)]
pub(super) struct Responses {
    pub(super) framer: Framer,
    pub(super) progress: Progress,
    /// Octets are being worked through: what the proxy says waits for the run before it.
    busy: bool,
}

/// What the server's octets are inside of.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// At a response boundary.
    #[default]
    Start,
    /// Inside untagged data.
    Data(Data),
    /// Inside data whose mailbox is not known yet.
    Unnamed(Unnamed),
    /// The rest of a status line that was too long: it is thrown away.
    Cut {
        /// Octets of the line so far.
        removed: u64,
        /// Octets that went down in its place, if any did.
        added: Option<u64>,
    },
}

/// What becomes of a piece.
#[derive(Debug)]
pub(super) enum Fate {
    /// It passes as it is.
    Pass,
    /// These octets go in its place.
    Replace(Bytes),
    /// It does not reach the client.
    Drop,
}

impl Responses {
    /// A response of the proxy may be put in here.
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self.progress, Progress::Start)
    }

    /// A rule may be asked about what comes next.
    fn is_judged(&self) -> bool {
        matches!(self.progress, Progress::Start | Progress::Unnamed(_))
    }

    /// Inside a status line that is too long: what follows from it waits for its end.
    pub(super) fn is_cutting(&self) -> bool {
        matches!(self.progress, Progress::Cut { .. })
    }

    /// What the proxy says may go out now.
    pub(super) fn is_open(&self) -> bool {
        self.at_boundary() && !self.busy
    }
}

impl Imap {
    /// Works through the server's octets.
    pub(super) fn read_server(&mut self, inbox: &mut BytesMut, early: bool, now: Instant, out: &mut Outbox) -> Step {
        let hold = self.setup.terms.limits.status_line.saturating_mul(2).min(self.setup.terms.limits.inbox / 2);
        let (mut run, mut step, mut looked) = (0, Step::Stalled, inbox.is_empty());
        // lines of a kind come together: behind one that is not plain, none is looked for until there is one
        let mut seems_plain = !early && self.responses.at_boundary();
        self.responses.busy = true;
        loop {
            if out.closing().is_some() || out.is_switching() || matches!(self.phase, Phase::Opaque) {
                break;
            }
            if self.responses.at_boundary() && !self.local.is_empty() {
                pass(inbox, &mut run, out);
                self.send_local(out);
            }
            // not in the middle of content; behind it, the policy may be another than when it began
            if !looked && self.responses.is_judged() {
                self.looks = self.look_again();
                looked = true;
            }
            let rest = inbox.get(run..).unwrap_or_default();
            let plain = if seems_plain { self.pass_plain_lines(rest, hold, now, out) } else { 0 };
            if plain > 0 {
                run += plain;
                step = Step::Advanced;
                continue;
            }
            let Some(piece) = self.responses.framer.next(rest, hold) else { break };
            step = Step::Advanced;
            let (Piece::Line { len, .. } | Piece::Part { len } | Piece::Octets { len, .. }) = piece;
            let (octets, more) = (rest.get(..len).unwrap_or_default(), rest.len() > len);
            let (outstanding, stood) = (self.pending.len(), early && self.client_stands());
            let is_plain = self.pass_plain(piece, octets, now, out);
            seems_plain = is_plain && !early;
            let fate =
                if is_plain { Fate::Pass } else { self.take_piece(piece, octets, Waiting { early, more }, now, out) };
            match fate {
                Fate::Pass => run += len,
                Fate::Replace(octets) => {
                    pass(inbox, &mut run, out);
                    inbox.advance(len);
                    out.send(Side::Client, octets);
                }
                Fate::Drop => {
                    pass(inbox, &mut run, out);
                    inbox.advance(len);
                }
            }
            // what waited for this answer comes before what the server says next, however its octets arrive
            let answered = self.pending.len() < outstanding;
            let queued = matches!(self.phase, Phase::Hold(_) | Phase::Answer(_));
            if (queued && answered) || (early && (answered || (stood && !self.client_stands()))) {
                break;
            }
        }
        pass(inbox, &mut run, out);
        self.responses.busy = false;
        self.flush_local(out);
        step
    }

    /// Lets a line pass that is what most lines are, and does what follows from it.
    fn pass_plain(&mut self, piece: Piece, line: &[u8], now: Instant, out: &mut Outbox) -> bool {
        let is_whole = matches!(piece, Piece::Line { tail: Tail::Plain, broken: false, .. });
        if !is_whole || !self.responses.at_boundary() || matches!(self.phase, Phase::Greeting(_) | Phase::Detach(_)) {
            return false;
        }
        match plain_line(line) {
            Some(PlainLine::Fetch { number, uid, size }) => {
                if let Some(uid) = uid {
                    self.view.learn(number, uid);
                }
                if let Some(size) = size.filter(|_| !self.asks_no_arguments()) {
                    self.sizes.learn(number, uid.or_else(|| self.view.uid_of(number)), size);
                }
                self.say(Speaker::Upstream, None, line, now, out);
                true
            }
            Some(PlainLine::Done { .. }) if self.looks.answers => false,
            Some(PlainLine::Done { tag }) => self.plainly_done(tag, line, now, out),
            None => false,
        }
    }

    fn take_piece(&mut self, piece: Piece, octets: &[u8], waiting: Waiting, now: Instant, out: &mut Outbox) -> Fate {
        match (&mut self.responses.progress, piece) {
            (Progress::Data(data), Piece::Octets { last, .. }) => data.pass_octets(octets.len(), last),
            (Progress::Data(_), Piece::Line { tail, broken, .. }) => self.data_line(octets, tail, broken, now, out),
            (Progress::Data(_), Piece::Part { .. }) => self.data_part(octets, now, out),
            (Progress::Unnamed(_), Piece::Line { tail, broken, .. }) => {
                self.unnamed_more(octets, Some((tail, broken)), now, out)
            }
            (Progress::Unnamed(_), Piece::Part { .. } | Piece::Octets { .. }) => {
                self.unnamed_more(octets, None, now, out)
            }
            (Progress::Cut { removed, added }, piece) => {
                *removed = removed.saturating_add(octets.len() as u64);
                if let Piece::Line { .. } = piece {
                    let (to, why, removed, added) = (Side::Client, Alteration::StatusCut, *removed, *added);
                    self.responses.progress = Progress::Start;
                    if let Some(added) = added {
                        out.observe(now, Observation::Altered { to, why, removed, added });
                    }
                }
                Fate::Drop
            }
            (Progress::Start, Piece::Line { tail, broken, .. }) => {
                self.first_line(octets, Some((tail, broken)), waiting, now, out)
            }
            (Progress::Start, Piece::Part { .. } | Piece::Octets { .. }) => {
                self.first_line(octets, None, waiting, now, out)
            }
        }
    }

    /// The first line of a response, or (without `end`) the first part of one that is too long to be held.
    fn first_line(
        &mut self,
        line: &[u8],
        end: Option<(Tail, bool)>,
        waiting: Waiting,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let (mut line, mut head) = (line, response_head(line));
        if end.is_none() && matches!(head, ResponseHead::Status(_) | ResponseHead::Tagged { .. }) {
            self.responses.progress = Progress::Cut { removed: line.len() as u64, added: None };
            // however much of it is there
            line = line.get(..self.setup.terms.limits.status_line).unwrap_or(line);
            head = response_head(line);
        }
        if matches!(self.phase, Phase::Greeting(_)) {
            return self.greeting_line(line, &head, end.is_some(), waiting.more, now, out);
        }
        match head {
            ResponseHead::Padding { .. } if end.is_none() => {
                self.upstream_slip(ViolationKind::LineTooLong, "Too much padding before a response", now, out)
            }
            ResponseHead::Padding { len } if len == line.len() => {
                let removed = len as u64;
                let to = Side::Client;
                out.observe(now, Observation::Altered { to, why: Alteration::Padding, removed, added: 0 });
                Fate::Drop
            }
            ResponseHead::Padding { len } => {
                let removed = len as u64;
                let why = Alteration::Padding;
                out.observe(now, Observation::Altered { to: Side::Client, why, removed, added: 0 });
                match self.first_line(line.get(len..).unwrap_or_default(), end, waiting, now, out) {
                    Fate::Pass => Fate::Replace(Bytes::copy_from_slice(line.get(len..).unwrap_or_default())),
                    fate => fate,
                }
            }
            ResponseHead::Data(kind) => self.first_data(line, kind, end, now, out),
            ResponseHead::Status(status) => {
                match status.word {
                    StatusWord::Bye => self.bye = true,
                    StatusWord::PreAuth => {
                        return self.upstream_slip(ViolationKind::Greeting, "PREAUTH after the greeting", now, out);
                    }
                    StatusWord::Ok | StatusWord::No | StatusWord::Bad => {}
                }
                self.pass_status(line, &status, None, end.is_some(), now, out)
            }
            ResponseHead::Tagged { tag, status } => {
                let fate = self.tagged(tag, &status, line, end.is_some(), waiting.early, now, out);
                // an answer that does not reach the client leaves nothing to the next one
                self.wording = None;
                fate
            }
            ResponseHead::Continuation { text, .. } if end.is_some() => self.continuation(line, text, now, out),
            ResponseHead::Continuation { .. } => {
                self.upstream_slip(ViolationKind::LineTooLong, "A continuation request is too long", now, out)
            }
            ResponseHead::Garbage if line.starts_with(b"Server Unavailable") => {
                // Quirk: Exchange says so in clear words and hangs up
                self.end(crate::session::CloseReason::ServerBye, "The mail server is unavailable", now, out);
                Fate::Drop
            }
            ResponseHead::Garbage => self.upstream_slip(ViolationKind::Framing, "A line that is no response", now, out),
        }
    }

    /// `+`: for the open command, or for nobody.
    fn continuation(&mut self, line: &[u8], text: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Runs(runs) => {
                self.say(Speaker::UpstreamHeld, self.open_id(), line, now, out);
                self.next_run(runs, out);
                Fate::Drop
            }
            Phase::Announced(body) => self.message_accepted(line, text, body, now, out),
            Phase::CallOff(call_off) if !call_off.ended => {
                self.say(Speaker::UpstreamHeld, self.open_id(), line, now, out);
                self.end_of_call_off(call_off, now, out);
                Fate::Drop
            }
            Phase::Idle(Idle::Asked) => {
                self.phase = Phase::Idle(Idle::Granted);
                self.say(Speaker::Upstream, self.open_id(), line, now, out);
                Self::spaced_continuation(line, text, now, out)
            }
            phase @ Phase::Sasl(_) => {
                self.phase = phase;
                self.challenged(line, text, now, out)
            }
            phase => {
                self.phase = phase;
                self.upstream_slip(
                    ViolationKind::Unsolicited,
                    "A continuation request that nothing asked for",
                    now,
                    out,
                )
            }
        }
    }

    /// A continuation request as every client can read it: with its SP, and without braces at its end,
    /// which some clients take for a literal.
    pub(super) fn spaced_continuation(line: &[u8], text: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        let bare = line == b"+\r\n";
        if !bare && Tail::of(text) == Tail::Plain {
            return Fate::Pass;
        }
        let why = if bare { Alteration::Continuation } else { Alteration::TextTail };
        let mut octets = b"+ ".to_vec();
        octets.extend_from_slice(text);
        octets.extend_from_slice(if bare { b"\r\n" } else { b".\r\n" });
        let (removed, added) = (line.len() as u64, octets.len() as u64);
        out.observe(now, Observation::Altered { to: Side::Client, why, removed, added });
        Fate::Replace(octets.into())
    }

    /// The server sent what the grammar does not allow: the end in posture enforce, unread from here on in
    /// posture observe.
    pub(super) fn upstream_slip(
        &mut self,
        kind: ViolationKind,
        detail: &'static str,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        if self.enforcing() {
            self.upstream_fault(kind, detail, now, out);
            return Fate::Drop;
        }
        if kind != ViolationKind::Framing {
            Self::violated(Side::Upstream, kind, detail, now, out);
        }
        self.go_opaque(Side::Upstream, detail, now, out);
        Fate::Pass
    }

    /// What goes down in place of a status line that is too long; reported once its length is known.
    pub(super) fn cut_to(&mut self, octets: u64) {
        if let Progress::Cut { added, .. } = &mut self.responses.progress {
            *added = Some(octets);
        }
    }

    /// The session ends before a status line that went down in part does: how long it is will not be known.
    /// What was looked at of it is told, for that does not depend on the reads.
    pub(super) fn report_open_cut(&self, now: Instant, out: &mut Outbox) {
        if let Progress::Cut { added: Some(added), .. } = self.responses.progress {
            let (to, why, removed) = (Side::Client, Alteration::StatusCut, self.setup.terms.limits.status_line as u64);
            out.observe(now, Observation::Altered { to, why, removed, added });
        }
    }
}

/// What is waiting beyond the piece that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// Octets of the client.
    early: bool,
    /// More octets of the server.
    more: bool,
}

/// Hands on the run at the start of the inbox.
fn pass(inbox: &mut BytesMut, run: &mut usize, out: &mut Outbox) {
    if *run > 0 {
        out.send(Side::Client, inbox.split_to(std::mem::take(run)).freeze());
    }
}
