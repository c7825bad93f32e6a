//! The server's status lines, and what they change.

use bytes::BytesMut;

use super::bare_lf::BareLf;
use super::multiline::Reading;
use super::slot::{Answer, Asked, Ending, ExchangeTurn, Slot};
use super::turn::{Cursor, Turn, shown};
use super::{Phase, Pop3};
use crate::redact::MASK;
use crate::session::{Alteration, Answered, Completion, Observation, Speaker, State, ViolationKind};
use crate::wire::pop3::{Body, Indicator, Piece, Status, has_bare_line_end, text_of, without_referral};
use crate::wire::{ShortText, Side};

/// What a status line says, without its octets.
struct Heard {
    indicator: Option<Indicator>,
    code: Option<ShortText>,
    /// The line to send in its place.
    instead: Option<Vec<u8>>,
    has_bare_line_end: bool,
}

impl Pop3 {
    /// Works through the server's octets.
    pub(super) fn hear(&mut self, inbox: &mut BytesMut, turn: &mut Turn<'_>) {
        if self.paced_until.is_some() {
            return;
        }
        let limit = self.setup.terms.limits.status_line.saturating_sub(1);
        if self.phase == Phase::Greeting && self.bare_lf.is_none() && BareLf::is_spoken(inbox, limit) == Some(true) {
            turn.violated(Side::Upstream, ViolationKind::BareLineEnd, "The server ends its lines in bare LF");
            self.bare_lf = Some(BareLf::new());
        }
        if let Some(bare_lf) = &mut self.bare_lf {
            bare_lf.mend(inbox);
        }
        let mut cursor = Cursor::new(inbox, Side::Client);
        while self.paced_until.is_none() && self.hear_one(&mut cursor, turn) {}
        cursor.flush(turn.out);
        if let Some(bare_lf) = &mut self.bare_lf {
            bare_lf.left(inbox.len());
        }
    }

    fn hear_one(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        match self.phase {
            Phase::Greeting | Phase::UpstreamStls { .. } => self.before_open(cursor, turn),
            Phase::Open => match self.reading {
                Reading::Status => self.status(cursor, turn),
                Reading::Message { .. } => self.message(cursor, turn),
                Reading::List { .. } => self.list(cursor, turn),
                Reading::Collected(_) => self.collect(cursor, turn),
            },
            Phase::Opaque => {
                cursor.keep(cursor.rest().len());
                false
            }
            Phase::UpstreamTls { .. } | Phase::ClientTls | Phase::Closed => false,
        }
    }

    /// A status line, or octets that answer nothing.
    fn status(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        if self.queue.is_empty() && self.long_status.is_none() {
            return self.unasked(cursor, turn);
        }
        let limits = &self.setup.terms.limits;
        let in_exchange = matches!(self.queue.front(), Some(Slot { answer: Answer::Upstream(Asked::Auth(_)), .. }));
        let limit = self.readable(if in_exchange { limits.sasl_line } else { limits.status_line });
        match self.upstream_lines.next(cursor.rest(), self.line_end(), limit) {
            None => false,
            Some(Piece::Line(count)) => {
                let line = text_of(cursor.front(count)).to_vec();
                self.status_line(&line, count, cursor, turn)
            }
            Some(Piece::Part(count)) => {
                if self.long_status.is_none() {
                    self.long_status = Some(cursor.front(count).to_vec());
                }
                self.pass_long_status(count, cursor, turn);
                true
            }
            Some(Piece::Tail(count)) => {
                let line = self.long_status.take().unwrap_or_default();
                self.pass_long_status(count, cursor, turn);
                self.long_status_line(&line, cursor, turn)
            }
        }
    }

    fn pass_long_status(&self, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        if self.enforces() {
            cursor.skip(count, turn.out);
        } else {
            cursor.keep(count);
        }
    }

    /// A text longer than the limit is cut; `line` is the front of it.
    fn long_status_line(&mut self, line: &[u8], cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        turn.violated(Side::Upstream, ViolationKind::LineTooLong, "A status line is too long");
        if self.enforces() {
            if has_bare_line_end(line) {
                let detail = "A status line has a bare CR or LF in it";
                return self.lost(ViolationKind::BareLineEnd, detail, cursor, turn);
            }
            let cut = [line, b"\r\n"].concat();
            turn.altered(Side::Client, Alteration::StatusCut, cut.len(), cut.len());
            if Status::parse(line).is_some_and(|status| status.indicator != Indicator::Continue) {
                let heard = hear_line(line);
                let instead = heard.instead.is_none().then_some(cut);
                return self.heard(Heard { instead: instead.or(heard.instead), ..heard }, line, 0, cursor, turn);
            }
            return self.lost(ViolationKind::Framing, "A line of the server is no status line", cursor, turn);
        }
        let heard = hear_line(line);
        self.heard(Heard { instead: None, ..heard }, line, 0, cursor, turn)
    }

    fn status_line(&mut self, line: &[u8], count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let heard = hear_line(line);
        let sound = heard.indicator.is_some();
        if !sound && self.after_unknown {
            return self.stray(turn);
        }
        if heard.has_bare_line_end && self.enforces() {
            let detail = "A status line has a bare CR or LF in it";
            return self.lost(ViolationKind::BareLineEnd, detail, cursor, turn);
        }
        if !cursor.front(count).ends_with(b"\r\n") {
            turn.violated(Side::Upstream, ViolationKind::BareLineEnd, "A status line ends in a bare LF");
        }
        self.heard(heard, line, count, cursor, turn)
    }

    /// `count` octets of the line are still in the inbox.
    fn heard(&mut self, heard: Heard, line: &[u8], count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let Some(indicator) = heard.indicator else {
            return self.lost(ViolationKind::Framing, "A line of the server is no status line", cursor, turn);
        };
        let id = self.queue.front().map(|slot| slot.id);
        if let Some(exchange) = self.front_exchange() {
            match (&exchange.turn, indicator) {
                (ExchangeTurn::Server, Indicator::Continue) => {
                    exchange.turn = ExchangeTurn::Client;
                    turn.said(Speaker::Upstream, id, count, || challenge(line));
                    cursor.keep(count);
                    return true;
                }
                (ExchangeTurn::Cancelled { .. }, Indicator::Err) => {
                    return self.cancelled(line, count, cursor, turn);
                }
                (ExchangeTurn::Server, Indicator::Ok | Indicator::Err) => {}
                (ExchangeTurn::Client | ExchangeTurn::Cancelled { .. }, _) => {
                    let detail = "The server answered before the client's line, or took a login that was given up";
                    return self.lost(ViolationKind::TooSoon, detail, cursor, turn);
                }
            }
        }
        if indicator == Indicator::Continue {
            return self.lost(ViolationKind::Unsolicited, "A continuation that was not asked for", cursor, turn);
        }
        let instead = heard.instead.filter(|_| self.enforces());
        let whole = instead.as_deref().unwrap_or(line);
        let (instead, why) = match self.reworded(indicator, whole, turn).filter(|_| count > 0) {
            Some(reworded) => (Some(reworded), Alteration::Policy),
            None => (instead, Alteration::Referral),
        };
        match instead {
            None => {
                turn.said(Speaker::Upstream, id, count, || shown(line));
                cursor.keep(count);
            }
            Some(mut instead) => {
                if !instead.ends_with(b"\r\n") {
                    instead.extend_from_slice(b"\r\n");
                    turn.altered(Side::Client, why, count, instead.len());
                }
                turn.said(Speaker::UpstreamHeld, id, count, || shown(line));
                turn.said(Speaker::ProxyToClient, id, instead.len(), || shown(&instead));
                cursor.skip(count, turn.out);
                cursor.insert(instead, turn.out);
            }
        }
        self.answered(indicator, heard.code, line, cursor, turn);
        true
    }

    fn front_exchange(&mut self) -> Option<&mut super::slot::Exchange> {
        match self.queue.front_mut() {
            Some(Slot { answer: Answer::Upstream(Asked::Auth(exchange)), .. }) => Some(exchange),
            _ => None,
        }
    }

    /// The server took the proxy's `*`; the client hears why the proxy sent it.
    fn cancelled(&mut self, line: &[u8], count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let Some(slot) = self.queue.pop_front() else { return false };
        turn.said(Speaker::UpstreamHeld, Some(slot.id), count, || shown(line));
        cursor.skip(count, turn.out);
        let Answer::Upstream(Asked::Auth(exchange)) = slot.answer else { return false };
        let ExchangeTurn::Cancelled { reply, by, ending } = exchange.turn else { return false };
        let why = if by == Answered::Policy { Alteration::Policy } else { Alteration::Local };
        turn.altered(Side::Client, why, count, reply.len());
        self.queue.push_front(Slot { answer: Answer::Local { reply, by, ending: None }, ..slot });
        self.deliver(turn);
        turn.observe(Observation::Authentication {
            user: exchange.user,
            mechanism: exchange.mechanism.into(),
            accepted: false,
        });
        if let Some(Ending { reason, detail }) = ending {
            self.end(reason, detail, None, turn);
        }
        true
    }

    /// The first slot has its status line.
    fn answered(
        &mut self,
        indicator: Indicator,
        code: Option<ShortText>,
        line: &[u8],
        cursor: &mut Cursor<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(Slot { answer: Answer::Upstream(asked), .. }) = self.queue.front() else { return };
        if indicator == Indicator::Ok {
            if matches!(asked, Asked::UniqueId) {
                self.unique_ids.learn(line.strip_prefix(b"+OK ").unwrap_or_default());
            } else if matches!(asked, Asked::Size) {
                self.sizes.learn(line.strip_prefix(b"+OK ").unwrap_or_default());
            }
            if let Some(reading) = self.body_of(asked) {
                self.reading = reading;
                if let Some(slot) = self.queue.front_mut() {
                    slot.code = code;
                }
                return;
            }
        }
        self.complete(indicator, code, cursor, turn);
    }

    /// The first command is answered whole.
    pub(super) fn complete(
        &mut self,
        indicator: Indicator,
        code: Option<ShortText>,
        cursor: &mut Cursor<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(slot) = self.queue.pop_front() else { return };
        let Answer::Upstream(asked) = slot.answer else { return };
        let accepted = indicator == Indicator::Ok;
        let completion = if accepted { Completion::Ok } else { Completion::No };
        turn.observe(Observation::CommandCompleted {
            id: slot.id,
            completion,
            code: slot.code.or(code),
            by: Answered::Upstream,
            latency: turn.now.saturating_duration_since(slot.begun),
        });
        match asked {
            Asked::User(name) => self.user = accepted.then_some(name),
            Asked::Pass => self.logged_in(self.user.clone(), "USER".to_owned(), accepted, turn),
            Asked::Apop(user) => self.logged_in(Some(user), "APOP".to_owned(), accepted, turn),
            Asked::Auth(exchange) => self.logged_in(exchange.user, exchange.mechanism, accepted, turn),
            Asked::Utf8 => self.utf8 |= accepted,
            Asked::Quit => {
                cursor.flush(turn.out);
                self.quit_answered(turn);
            }
            // a body that nobody here can tell the end of passes where nothing is enforced
            Asked::Unknown => self.after_unknown = accepted && !self.enforces(),
            Asked::Status
            | Asked::UniqueId
            | Asked::Size
            | Asked::Capabilities
            | Asked::Mechanisms
            | Asked::Listing
            | Asked::Sizes
            | Asked::UniqueIds
            | Asked::Message { .. }
            | Asked::Stls => {}
        }
        if matches!(self.queue.front(), Some(Slot { answer: Answer::Local { .. }, .. })) {
            cursor.flush(turn.out);
            self.deliver(turn);
        }
    }

    fn logged_in(&mut self, user: Option<String>, mechanism: String, accepted: bool, turn: &mut Turn<'_>) {
        turn.observe(Observation::Authentication { user: user.clone(), mechanism: mechanism.into(), accepted });
        if accepted {
            self.user = user;
            self.errors = 0;
            self.enter(State::Transaction, turn);
        }
    }

    fn unasked(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        if cursor.rest().is_empty() {
            return false;
        }
        if self.after_unknown {
            return self.stray(turn);
        }
        self.lost(ViolationKind::Unsolicited, "The server sent octets that answer nothing", cursor, turn)
    }

    /// The answer to a command nobody here knows seems to have been a multi-line one.
    fn stray(&mut self, turn: &mut Turn<'_>) -> bool {
        turn.violated(Side::Upstream, ViolationKind::Unsolicited, "The answer to an unknown command has a body");
        self.after_unknown = false;
        self.reading = Reading::Message { body: Body::new(self.repair()), octets: 0, stray: true };
        true
    }
}

fn hear_line(line: &[u8]) -> Heard {
    let status = Status::parse(line);
    Heard {
        indicator: status.map(|status| status.indicator),
        code: status.and_then(|status| status.code()).map(ShortText::from),
        instead: without_referral(line),
        has_bare_line_end: has_bare_line_end(line),
    }
}

/// A challenge may hold salts and errors with tokens in them.
fn challenge(line: &[u8]) -> String {
    if line.len() > 2 { format!("+ {MASK}") } else { shown(line) }
}
