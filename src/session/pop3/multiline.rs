//! Multi-line responses: messages stream, lists are read as they pass, capability lists are filtered.

use std::collections::BTreeSet;

use super::slot::{Answer, Asked, Slot};
use super::turn::{Cursor, Turn, shown};
use super::{Phase, Pop3};
use crate::session::{Alteration, CommandId, MessageRef, Observation, Posture, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::pop3::{Body, Filter, Indicator, Names, Passed, Piece, Repair, Unknown, has_bare_line_end, text_of};

/// What the server's next octets are part of.
#[derive(Debug)]
pub(super) enum Reading {
    /// A status line.
    Status,
    /// A message; `stray`: what seems to be the body of an answer to a command nobody here knows.
    Message { body: Body, octets: u64, stray: bool },
    /// LIST, UIDL, LANG.
    List { body: Body, tap: LineTap },
    /// CAPA, AUTH: the lines so far.
    Collected(Vec<u8>),
}

/// Lines of a list as they pass.
#[derive(Debug, Default)]
pub(super) struct LineTap {
    /// The line so far, up to `LONGEST` octets of it.
    line: Vec<u8>,
    lines: u64,
    folded: (u64, u64),
}

impl LineTap {
    /// No line of a list that means something is longer; a longer one is known by its front.
    const LONGEST: usize = 512;
    /// So many lines of a list stand in a transcript.
    const SHOWN: u64 = 100;

    fn feed(&mut self, octets: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            let room = Self::LONGEST.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.last() == Some(&b'\n') {
                each(&self.line);
                self.line.clear();
            }
        }
    }
}

/// All capabilities and mechanisms of a server; known ones need less than one KiB.
const COLLECTED: usize = 16 << 10;

impl Pop3 {
    /// The server said `+OK` to this and its body follows; `None`: the status line was all.
    pub(super) fn body_of(&self, asked: &Asked) -> Option<Reading> {
        let body = || Body::new(self.repair());
        match asked {
            Asked::Message { .. } => Some(Reading::Message { body: body(), octets: 0, stray: false }),
            Asked::Listing | Asked::Sizes | Asked::UniqueIds => {
                Some(Reading::List { body: body(), tap: LineTap::default() })
            }
            Asked::Capabilities | Asked::Mechanisms => Some(Reading::Collected(Vec::new())),
            Asked::Status
            | Asked::UniqueId
            | Asked::Size
            | Asked::User(_)
            | Asked::Pass
            | Asked::Apop(_)
            | Asked::Auth(_)
            | Asked::Utf8
            | Asked::Quit
            | Asked::Stls
            | Asked::Unknown => None,
        }
    }

    pub(super) fn repair(&self) -> Repair {
        match self.setup.terms.posture {
            Posture::Enforce => Repair::Mend,
            Posture::Observe => Repair::Keep,
        }
    }

    /// A run of a message.
    pub(super) fn message(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let Reading::Message { body, octets, .. } = &mut self.reading else { return false };
        let Some(Passed { taken, mended, ended }) = body.next(portion(self.queue.front(), cursor.rest())) else {
            return false;
        };
        let sent = mended.as_ref().map_or(taken, Vec::len) as u64;
        // the terminating line is no content
        *octets += if ended { sent.saturating_sub(3) } else { sent };
        hand_on(cursor, taken, mended, turn);
        self.slow_down(taken, turn);
        if ended {
            self.body_done(turn);
            self.finish(cursor, turn);
        }
        true
    }

    /// A run of a list.
    pub(super) fn list(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let Some(slot) = self.queue.front() else { return false };
        let id = slot.id;
        let learns = |asked: fn(&Asked) -> bool| matches!(&slot.answer, Answer::Upstream(of) if asked(of));
        let learns_ids = learns(|asked| matches!(asked, Asked::UniqueIds));
        let learns_sizes = learns(|asked| matches!(asked, Asked::Sizes));
        let Reading::List { body, tap } = &mut self.reading else { return false };
        let rest = portion(Some(slot), cursor.rest());
        let Some(Passed { taken, mended, ended }) = body.next(rest) else { return false };
        let sent = mended.as_deref().unwrap_or_else(|| cursor.front(taken));
        let content = if ended { sent.split_last_chunk::<3>().map_or(sent, |(content, _)| content) } else { sent };
        let (ids, sizes, mut lines, mut folded) = (&mut self.unique_ids, &mut self.sizes, tap.lines, tap.folded);
        tap.feed(content, |line| {
            if learns_ids {
                ids.learn(text_of(line));
            } else if learns_sizes {
                sizes.learn(text_of(line));
            }
            lines += 1;
            if lines <= LineTap::SHOWN {
                turn.said(Speaker::Upstream, Some(id), line.len(), || shown(line));
            } else {
                folded = (folded.0 + 1, folded.1 + line.len() as u64);
            }
        });
        (tap.lines, tap.folded) = (lines, folded);
        hand_on(cursor, taken, mended, turn);
        self.slow_down(taken, turn);
        if ended {
            self.body_done(turn);
            self.finish(cursor, turn);
        }
        true
    }

    /// Octets of a body have passed: what its rule allows decides when more may.
    fn slow_down(&mut self, taken: usize, turn: &Turn<'_>) {
        let Some(pace) = self.queue.front().and_then(|slot| slot.pace.as_ref()) else { return };
        let wait = pace.take(taken as u64, turn.now);
        self.paced_until = (!wait.is_zero()).then(|| turn.now + wait);
    }

    /// A line of a list that is filtered as a whole.
    pub(super) fn collect(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let limit = self.readable(self.setup.terms.limits.status_line);
        let count = match self.upstream_lines.next(cursor.rest(), self.line_end(), limit) {
            None => return false,
            Some(Piece::Line(count)) => count,
            Some(Piece::Part(_) | Piece::Tail(_)) => {
                return self.lost(ViolationKind::LineTooLong, "A line of a capability list is too long", cursor, turn);
            }
        };
        let Reading::Collected(lines) = &mut self.reading else { return false };
        let line = cursor.front(count);
        if text_of(line) == b"." {
            let (lines, end) = (std::mem::take(lines), line.to_vec());
            cursor.skip(count, turn.out);
            self.filter(&lines, &end, cursor, turn);
            self.finish(cursor, turn);
            return true;
        }
        if has_bare_line_end(text_of(line)) && self.enforces() {
            let detail = "A line of a capability list has a bare CR or LF in it";
            return self.lost(ViolationKind::BareLineEnd, detail, cursor, turn);
        }
        let Reading::Collected(lines) = &mut self.reading else { return false };
        if lines.len() + count > COLLECTED {
            return self.lost(ViolationKind::Framing, "A capability list is too long", cursor, turn);
        }
        lines.extend_from_slice(line);
        cursor.skip(count, turn.out);
        true
    }

    /// The list as the client may see it, and its `end` as the server wrote it.
    fn filter(&mut self, lines: &[u8], end: &[u8], cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        let stls = self.is_in_clear() && self.state == crate::session::State::NotAuthenticated && !self.utf8;
        let unknown = if self.enforces() { Unknown::Hide } else { Unknown::Show };
        let of_capa = matches!(self.queue.front(), Some(Slot { answer: Answer::Upstream(Asked::Capabilities), .. }));
        let mut hide = self.ruled_out(lines, of_capa, turn);
        let names = if hide.is_empty() {
            self.names()
        } else {
            hide.extend_from_slice(&self.setup.terms.hide);
            Names { hide: &hide, ..self.names() }
        };
        let filter = Filter { unknown, names, login: !self.is_in_clear(), stls };
        let (filtered, advertised) = if of_capa { filter.capabilities(lines) } else { filter.mechanisms(lines) };
        if of_capa {
            self.advertised = advertised;
        } else {
            self.advertised.channel_binding |= advertised.channel_binding;
        }
        let id = self.queue.front().map(|slot| slot.id);
        if turn.transcript {
            say_both(lines, &filtered.octets, id, turn);
        }
        if (filtered.removed, filtered.added) != (0, 0) {
            let (to, why) = (Side::Client, Alteration::Capabilities);
            turn.observe(Observation::Altered { to, why, removed: filtered.removed, added: filtered.added });
        }
        let mut octets = filtered.octets;
        octets.extend_from_slice(end);
        cursor.insert(octets, turn.out);
    }

    fn is_stray(&self) -> bool {
        matches!(self.reading, Reading::Message { stray: true, .. })
    }

    /// The end of a multi-line response: the command is answered.
    fn finish(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        let stray = self.is_stray();
        self.reading = Reading::Status;
        if stray {
            return;
        }
        self.complete(Indicator::Ok, None, cursor, turn);
    }

    /// The session ends in the middle of a body.
    pub(super) fn body_torn(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Open {
            self.body_done(turn);
        }
        self.reading = Reading::Status;
    }

    /// Reports what passed of a body.
    fn body_done(&mut self, turn: &mut Turn<'_>) {
        let slot = if self.is_stray() { None } else { self.queue.front() };
        let id = slot.map(|slot| slot.id);
        let body = match &self.reading {
            Reading::Status | Reading::Collected(_) => return,
            Reading::Message { body, octets, .. } => {
                say_message(body, *octets, id, turn);
                if let Some(Slot { answer: Answer::Upstream(Asked::Message { number, extent }), .. }) = slot {
                    let unique_id = self.unique_ids.of(*number);
                    let message = MessageRef { number: Some(*number), unique_id, ..MessageRef::default() };
                    turn.observe(Observation::Retrieved { id, message, extent: *extent, octets: *octets });
                }
                body
            }
            Reading::List { body, tap } => {
                let (lines, octets) = tap.folded;
                if lines > 0 {
                    let size = usize::try_from(octets).unwrap_or(usize::MAX);
                    turn.said(Speaker::Upstream, id, size, || format!("‹{lines} more lines, {octets} octets›"));
                }
                body
            }
        };
        if body.is_dirty() {
            turn.violated(
                Side::Upstream,
                ViolationKind::BareLineEnd,
                "A body has line ends or dots that are not clean",
            );
        }
        let (removed, added) = body.altered();
        if self.enforces() && (removed, added) != (0, 0) {
            turn.observe(Observation::Altered { to: Side::Client, why: Alteration::LineEnd, removed, added });
        }
    }
}

/// The octets that may pass in one go.
fn portion<'a>(slot: Option<&Slot>, rest: &'a [u8]) -> &'a [u8] {
    let Some(pace) = slot.and_then(|slot| slot.pace.as_ref()) else { return rest };
    rest.get(..pace.portion()).unwrap_or(rest)
}

fn hand_on(cursor: &mut Cursor<'_>, taken: usize, mended: Option<Vec<u8>>, turn: &mut Turn<'_>) {
    match mended {
        None => cursor.keep(taken),
        Some(octets) => {
            cursor.skip(taken, turn.out);
            cursor.insert(octets, turn.out);
        }
    }
}

fn say_message(body: &Body, octets: u64, id: Option<CommandId>, turn: &mut Turn<'_>) {
    let size = usize::try_from(octets).unwrap_or(usize::MAX);
    turn.said(Speaker::Upstream, id, size, || format!("‹message, {} lines, {octets} octets›", body.lines()));
}

/// Shows a filtered list: what came, whether it went on, and what the proxy put in.
fn say_both(received: &[u8], sent: &[u8], id: Option<CommandId>, turn: &mut Turn<'_>) {
    let lines = |octets| <[u8]>::split_inclusive(octets, |octet: &u8| *octet == b'\n');
    let (came, went): (BTreeSet<&[u8]>, BTreeSet<&[u8]>) = (lines(received).collect(), lines(sent).collect());
    for line in lines(received) {
        let by = if went.contains(line) { Speaker::Upstream } else { Speaker::UpstreamHeld };
        turn.said(by, id, line.len(), || shown(line));
    }
    for line in lines(sent).filter(|line| !came.contains(line)) {
        turn.said(Speaker::ProxyToClient, id, line.len(), || shown(line));
    }
}
