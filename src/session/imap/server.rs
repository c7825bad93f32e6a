//! Reads the server: pairs its answers with what is outstanding and lets its octets pass in runs.
//!
//! A run of octets that pass unchanged is handed on as one slice, however many lines it has. Lines are
//! looked at once; a line of data that is too long to be held passes in parts, followed by its
//! scanner; literals are counted. What the proxy has to say itself waits for a response boundary.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::phase::{Idle, Phase};
use super::{Imap, Step};
use crate::session::legible::legible;
use crate::session::{Alteration, Extent, MessageRef, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{
    Announcement, DataKind, FetchScanner, FetchSummary, Framer, Piece, ResponseHead, StatusWord, Tail, response_head,
};

/// Octets of a VANISHED set that are told.
const LONGEST_SET: usize = 1000;

/// Where the server's direction stands.
#[derive(Debug, Default)]
pub(super) struct Responses {
    framer: Framer,
    progress: Progress,
    /// Octets are being worked through: what the proxy says waits for the run before it.
    busy: bool,
}

#[derive(Debug, Default)]
enum Progress {
    /// At a response boundary.
    #[default]
    Start,
    /// Inside untagged data.
    Data(Data),
    /// The rest of a status line that was too long: it is thrown away.
    Cut {
        /// Octets of the line so far.
        removed: u64,
        /// Octets that went down in its place, if any did.
        added: Option<u64>,
    },
}

/// Untagged data that is passing.
#[derive(Debug)]
struct Data {
    fetch: Option<Box<Fetch>>,
    /// It does not reach the client.
    drop: bool,
    behind: Behind,
    /// Octets of parts that were not told yet.
    untold: u64,
    /// The last octet of the text that is not a space is `)`.
    closed: bool,
}

#[derive(Debug)]
struct Fetch {
    scanner: FetchScanner,
    number: u32,
    uid: bool,
}

/// What stands right before a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Text,
    Literal,
    /// A literal and one empty line, which some servers insert.
    EmptyLine,
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

impl Data {
    fn note_end(&mut self, text: &[u8]) {
        if let Some(last) = text.iter().rev().find(|octet| !octet.is_ascii_whitespace()) {
            self.closed = *last == b')';
        }
    }
}

impl Responses {
    /// A response of the proxy may be put in here.
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self.progress, Progress::Start)
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
        let (mut run, mut step) = (0, Step::Stalled);
        self.responses.busy = true;
        loop {
            if out.closing().is_some() || out.is_switching() || matches!(self.phase, Phase::Opaque) {
                break;
            }
            if self.responses.at_boundary() && !self.local.is_empty() {
                pass(inbox, &mut run, out);
                self.send_local(out);
            }
            let rest = inbox.get(run..).unwrap_or_default();
            let Some(piece) = self.responses.framer.next(rest, hold) else { break };
            step = Step::Advanced;
            let (Piece::Line { len, .. } | Piece::Part { len } | Piece::Octets { len, .. }) = piece;
            let more = rest.len() > len;
            let (outstanding, stood) = (self.pending.len(), self.client_stands());
            let fate = self.take_piece(piece, rest.get(..len).unwrap_or_default(), Waiting { early, more }, now, out);
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

    fn take_piece(&mut self, piece: Piece, octets: &[u8], waiting: Waiting, now: Instant, out: &mut Outbox) -> Fate {
        match (&mut self.responses.progress, piece) {
            (Progress::Data(data), Piece::Octets { last, .. }) => {
                if last {
                    data.behind = Behind::Literal;
                }
                if data.drop { Fate::Drop } else { Fate::Pass }
            }
            (Progress::Data(_), Piece::Line { tail, broken, .. }) => self.data_line(octets, tail, broken, now, out),
            (Progress::Data(_), Piece::Part { .. }) => self.data_part(octets, now, out),
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
                self.tagged(tag, &status, line, end.is_some(), waiting.early, now, out)
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

    fn first_data(
        &mut self,
        line: &[u8],
        kind: DataKind,
        end: Option<(Tail, bool)>,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let mut data = Data { fetch: None, drop: false, behind: Behind::Text, untold: 0, closed: false };
        let mut from = 0;
        match kind {
            DataKind::Capability { list } => return self.pass_capabilities(line, list, end.is_some(), now, out),
            DataKind::Fetch { number, uid, body } => {
                let scanner = FetchScanner::default();
                data.fetch = Some(Box::new(Fetch { scanner, number, uid }));
                data.drop = matches!(self.phase, Phase::Detach(_));
                from = body;
            }
            // what the mailbox left behind says is not for a client that has left it
            DataKind::Size | DataKind::Expunge { .. } | DataKind::Vanished { .. }
                if matches!(self.phase, Phase::Detach(_)) =>
            {
                data.drop = true;
            }
            DataKind::Expunge { number } => self.expunged(number, now, out),
            DataKind::Vanished { set } => self.vanished(line.get(set..).unwrap_or_default(), now, out),
            DataKind::Enabled if end.is_some() => self.enabled(line),
            DataKind::Size | DataKind::Enabled | DataKind::Other => {}
        }
        self.responses.progress = Progress::Data(data);
        match end {
            Some((tail, broken)) => self.data_segment(line, from, tail, broken, now, out),
            None => self.data_part_from(line, from, now, out),
        }
    }

    fn data_line(&mut self, line: &[u8], tail: Tail, broken: bool, now: Instant, out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        let fetch = data.fetch.is_some();
        let fits = match (data.behind, line.first()) {
            (Behind::Literal, Some(b'\r')) if fetch && line == b"\r\n" => {
                data.behind = Behind::EmptyLine;
                return if data.drop { Fate::Drop } else { Fate::Pass };
            }
            (Behind::Text, _) | (_, Some(b' ' | b')')) | (Behind::Literal, Some(b']')) => true,
            (Behind::Literal, Some(b'\r')) => line == b"\r\n",
            (Behind::Literal | Behind::EmptyLine, _) => false,
        };
        if !fits {
            // the count was too small, or the line is forged: what follows is mail text (RFC 9051 §4.3)
            return self.upstream_slip(ViolationKind::Framing, "A literal is longer than announced", now, out);
        }
        self.data_segment(line, 0, tail, broken, now, out)
    }

    fn data_part(&mut self, part: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        if data.behind != Behind::Text && !matches!(part.first(), Some(b' ' | b')' | b']')) {
            return self.upstream_slip(ViolationKind::Framing, "A literal is longer than announced", now, out);
        }
        self.data_part_from(part, 0, now, out)
    }

    fn data_part_from(&mut self, part: &[u8], from: usize, _now: Instant, _out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        data.behind = Behind::Text;
        data.untold = data.untold.saturating_add(part.len() as u64);
        data.note_end(part);
        if let Some(fetch) = &mut data.fetch {
            fetch.scanner.text(part.get(from..).unwrap_or_default());
        }
        if data.drop { Fate::Drop } else { Fate::Pass }
    }

    /// A segment of data to its line end; `from` is where its values begin.
    fn data_segment(
        &mut self,
        line: &[u8],
        from: usize,
        tail: Tail,
        broken: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Progress::Data(mut data) = std::mem::take(&mut self.responses.progress) else { return Fate::Drop };
        let announced = match tail {
            Tail::Plain if !broken => None,
            Tail::Literal(announced) if announced.synchronizing && !broken => Some(announced),
            Tail::Plain | Tail::Literal(_) | Tail::Overflow { .. } => {
                self.responses.progress = Progress::Data(data);
                return self.upstream_slip(ViolationKind::Literal, "A literal that servers may not send", now, out);
            }
        };
        let speaker = if data.drop { Speaker::UpstreamHeld } else { Speaker::Upstream };
        if data.untold > 0 {
            let octets = std::mem::take(&mut data.untold) + line.len() as u64;
            self.say_text(speaker, None, format!("‹long line, {octets} octets›"), octets, now, out);
        } else {
            self.say(speaker, None, line, now, out);
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        data.note_end(text);
        // of a line that came in parts, the announcement has passed already
        let announcement = announced.map_or(0, |announced| announced.len);
        let text = text.get(..text.len().saturating_sub(announcement)).unwrap_or_default();
        if let Some(fetch) = &mut data.fetch {
            fetch.scanner.text(text.get(from..).unwrap_or_default());
        }
        let fate = if data.drop { Fate::Drop } else { Fate::Pass };
        match announced {
            Some(announced) => self.enter_literal(data, announced, now, out),
            None if data.fetch.is_some() && !data.closed => {
                self.responses.progress = Progress::Data(data);
                return self.upstream_slip(ViolationKind::Framing, "A FETCH response without its end", now, out);
            }
            None => {
                if let Some(fetch) = data.fetch.filter(|_| !data.drop) {
                    self.report_retrieved(*fetch, now, out);
                }
            }
        }
        fate
    }

    fn enter_literal(&mut self, mut data: Data, announced: Announcement, now: Instant, out: &mut Outbox) {
        let octets = announced.octets;
        if let Some(fetch) = &mut data.fetch {
            fetch.scanner.literal(announced);
        }
        let speaker = if data.drop { Speaker::UpstreamHeld } else { Speaker::Upstream };
        self.say_text(speaker, None, format!("‹literal, {octets} octets›"), octets, now, out);
        self.responses.framer.expect_octets(octets);
        data.behind = Behind::Literal;
        self.responses.progress = Progress::Data(data);
    }

    fn report_retrieved(&mut self, fetch: Fetch, now: Instant, out: &mut Outbox) {
        let FetchSummary { uid, items } = fetch.scanner.finish();
        if let Some(uid) = uid.filter(|_| !fetch.uid) {
            self.view.learn(fetch.number, uid);
        }
        let id = self.fetching();
        for (item, octets) in items {
            let uid = uid.or_else(|| self.view.uid_of(fetch.number));
            let (number, uid) = if fetch.uid { (None, Some(fetch.number)) } else { (Some(fetch.number), uid) };
            let message = self.message(number, uid);
            out.observe(now, Observation::Retrieved { id, message, extent: extent_of(&item), octets });
        }
    }

    /// A message of the selected mailbox.
    fn message(&self, number: Option<u32>, uid: Option<u32>) -> MessageRef {
        let (uid_validity, mailbox) = (self.view.uid_validity(), self.selected.clone());
        MessageRef { number, uid, uid_validity, unique_id: None, mailbox }
    }

    fn expunged(&mut self, number: u32, now: Instant, out: &mut Outbox) {
        let uid = self.view.expunge(number);
        let message = self.message(Some(number), uid);
        out.observe(now, Observation::Expunged { message });
    }

    /// `VANISHED`: with `(EARLIER)` they were never part of this view (RFC 7162 §3.2.10.1).
    fn vanished(&mut self, set: &[u8], now: Instant, out: &mut Outbox) {
        let set = set.strip_suffix(b"\r\n").unwrap_or(set);
        let uids = set.strip_prefix(b"(EARLIER) ").unwrap_or(set);
        if uids.len() == set.len() {
            self.view.vanish_set(uids);
        }
        let uids = legible(uids.get(..LONGEST_SET).unwrap_or(uids));
        let (mailbox, uid_validity) = (self.selected.clone(), self.view.uid_validity());
        out.observe(now, Observation::Vanished { mailbox, uid_validity, uids });
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

/// How much of a message a FETCH item is: `BODY[1.2.HEADER]<0>` and its like, in upper case.
fn extent_of(item: &str) -> Extent {
    let section = item.split_once('[').map_or("", |(_, rest)| rest.rsplit_once(']').map_or(rest, |(name, _)| name));
    if item.ends_with('>') {
        return Extent::Partial;
    }
    match section {
        "" if item == "RFC822.HEADER" => Extent::Headers,
        "" if item == "RFC822.TEXT" => Extent::Part,
        "" => Extent::Whole,
        _ if section.contains("HEADER") || section.ends_with("MIME") => Extent::Headers,
        _ => Extent::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, extent_of};

    #[test]
    fn knows_how_much_an_item_is() {
        for (item, extent) in [
            ("BODY[]", Extent::Whole),
            ("RFC822", Extent::Whole),
            ("BINARY[]", Extent::Whole),
            ("BODY[]<0>", Extent::Partial),
            ("BODY[HEADER.FIELDS (SUBJECT)]", Extent::Headers),
            ("BODY[1.MIME]", Extent::Headers),
            ("RFC822.HEADER", Extent::Headers),
            ("RFC822.TEXT", Extent::Part),
            ("BODY[TEXT]", Extent::Part),
            ("BODY[1.2]", Extent::Part),
        ] {
            assert_eq!(extent_of(item), extent, "{item}");
        }
    }
}
