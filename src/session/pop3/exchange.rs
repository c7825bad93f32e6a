//! The authentication exchange (RFC 5034 §4): the client's lines are secrets, yet they name the user,
//! so each is read and judged before it goes up, and none is shown.

use std::borrow::Cow;

use bytes::Bytes;

use super::Pop3;
use super::judge::Named;
use super::slot::{Answer, Asked, Ending, ExchangeTurn, Slot};
use super::turn::{Cursor, Turn};
use crate::policy::{Outcome, Permit};
use crate::redact::{MASK, Redacted};
use crate::session::{Alteration, Answered, CommandId, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::pop3::{Keyword, Piece, SaslLine, binds_channel, read_response, text_of};
use crate::wire::{Effect, Operation};

/// What the client's line asks for.
enum Step {
    /// It goes up.
    Pass(Option<String>),
    /// A rule says what becomes of it.
    Hold(Outcome, Option<String>),
    /// It does not, and the exchange is given up.
    GiveUp { reply: String, by: Answered, user: Option<String> },
}

impl Pop3 {
    /// Deals with the client's next line in the exchange; `false`: it is not there yet.
    pub(super) fn exchange(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let Some((id, mechanism, responses, user)) = self.current() else { return false };
        let limit = self.readable(self.setup.terms.limits.sasl_line);
        let (count, ended) = match self.client_lines.next(cursor.rest(), self.line_end(), limit) {
            None => return false,
            Some(Piece::Line(count)) => {
                let line = text_of(cursor.front(count));
                let step = self.judge_line(id, &mechanism, responses, user, line, turn);
                let is_cancel = line == b"*";
                self.take_step(step, id, count, is_cancel, cursor, turn);
                return true;
            }
            Some(Piece::Part(count)) => (count, false),
            Some(Piece::Tail(count)) => (count, true),
        };
        if self.long_line == 0 {
            turn.violated(Side::Client, ViolationKind::LineTooLong, "A line of an authentication exchange is too long");
        }
        if self.enforces() {
            cursor.discard(count, turn.out);
        } else {
            cursor.keep_secret(count, 0, turn.out);
        }
        if !self.is_long_line_over(count, ended, turn) {
            return true;
        }
        let step = if self.enforces() {
            Step::GiveUp { reply: "-ERR That line is too long\r\n".to_owned(), by: Answered::Syntax, user }
        } else {
            Step::Pass(user)
        };
        self.take_step(step, id, 0, false, cursor, turn);
        true
    }

    fn current(&self) -> Option<(CommandId, String, u32, Option<String>)> {
        match self.queue.front()? {
            Slot { id, answer: Answer::Upstream(Asked::Auth(exchange)), .. } => {
                Some((*id, exchange.mechanism.clone(), exchange.responses, exchange.user.clone()))
            }
            _ => None,
        }
    }

    fn judge_line(
        &self,
        id: CommandId,
        mechanism: &str,
        responses: u32,
        user: Option<String>,
        line: &[u8],
        turn: &mut Turn<'_>,
    ) -> Step {
        let give_up = |reply: &str, by, user| Step::GiveUp { reply: format!("-ERR {reply}\r\n"), by, user };
        let user = match read_response(mechanism, responses, line) {
            SaslLine::Cancel => return Step::Pass(user),
            SaslLine::Response { user: named } => named.or(user),
            SaslLine::Malformed => {
                turn.violated(Side::Client, ViolationKind::Sasl, "A line of an authentication exchange is not base64");
                if self.enforces() {
                    return give_up("That is not base64", Answered::Syntax, user);
                }
                user
            }
        };
        if binds_channel(mechanism, responses, line) {
            turn.violated(Side::Client, ViolationKind::Sasl, "Channel binding was asked for, which ends at the proxy");
            if self.enforces() {
                return give_up("Channel binding is not possible here", Answered::Syntax, user);
            }
        }
        let named = Named {
            command: Cow::Borrowed(Keyword::Auth.as_label()),
            operation: Operation::Authenticate,
            effect: Effect::Session,
            message: None,
        };
        let verdict = self.judge(user.as_deref(), &named, &[]);
        turn.note(&verdict.decisions);
        self.report(id, verdict.decisions, turn);
        match verdict.outcome {
            Outcome::Allow(_) => Step::Pass(user),
            outcome if self.enforces() => Step::Hold(outcome, user),
            _ => Step::Pass(user),
        }
    }

    /// `count` octets of the line are still in the inbox.
    fn take_step(
        &mut self,
        step: Step,
        id: CommandId,
        count: usize,
        is_cancel: bool,
        cursor: &mut Cursor<'_>,
        turn: &mut Turn<'_>,
    ) {
        let shown = || if is_cancel { "*".to_owned() } else { MASK.to_owned() };
        match step {
            Step::Pass(user) => {
                turn.said(Speaker::Client, Some(id), count, shown);
                cursor.keep_secret(count, 0, turn.out);
                self.servers_turn(user);
            }
            Step::Hold(outcome, user) => {
                let line = cursor.take(count, turn.out);
                self.hold_response(outcome, id, user, line, turn);
            }
            Step::GiveUp { reply, by, user } => {
                turn.said(Speaker::ClientHeld, Some(id), count, shown);
                cursor.discard(count, turn.out);
                self.give_up(id, (reply, by), user, count, None, turn);
                if by == Answered::Syntax {
                    self.count_error(turn);
                }
            }
        }
    }

    /// A line that was held goes up.
    pub(super) fn pass_response(
        &mut self,
        _permit: Permit,
        user: Option<String>,
        line: Redacted<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) {
        let id = self.queue.front().map(|slot| slot.id);
        turn.said(Speaker::Client, id, line.expose().len(), || MASK.to_owned());
        turn.out.send(Side::Upstream, line.into_wire());
        self.servers_turn(user);
    }

    fn servers_turn(&mut self, user: Option<String>) {
        let Some(Slot { answer: Answer::Upstream(Asked::Auth(exchange)), .. }) = self.queue.front_mut() else { return };
        exchange.user = user;
        exchange.responses += 1;
        exchange.turn = ExchangeTurn::Server;
    }

    /// The proxy gives the exchange up for the client: `count` octets of it do not go up, and it hears `reply` when
    /// the server has heard of it.
    pub(super) fn give_up(
        &mut self,
        id: CommandId,
        (reply, by): (String, Answered),
        user: Option<String>,
        count: usize,
        ending: Option<Ending>,
        turn: &mut Turn<'_>,
    ) {
        let Some(Slot { answer: Answer::Upstream(Asked::Auth(exchange)), .. }) = self.queue.front_mut() else { return };
        exchange.user = user;
        exchange.turn = ExchangeTurn::Cancelled { reply: Bytes::from(reply), by, ending };
        let why = if by == Answered::Policy { Alteration::Policy } else { Alteration::Local };
        turn.altered(Side::Upstream, why, count, 3);
        turn.said(Speaker::ProxyToUpstream, Some(id), 3, || "*".to_owned());
        turn.out.send(Side::Upstream, &b"*\r\n"[..]);
    }
}
