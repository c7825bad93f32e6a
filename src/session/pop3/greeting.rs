//! The server's greeting, and the proxy's own STLS that may come before the client is greeted.

use super::answers::Ruled;
use super::turn::{Cursor, Turn, shown};
use super::{Phase, Pop3};
use crate::policy::Denial;
use crate::redact::MASK;
use crate::session::{Alteration, CloseReason, Observation, Speaker, State, TlsMode, ViolationKind};
use crate::wire::Side;
use crate::wire::pop3::{Indicator, Piece, Status, has_bare_line_end, mended_greeting, text_of};

impl Pop3 {
    /// The greeting, and the answer to the proxy's own STLS.
    pub(super) fn before_open(&mut self, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        let limit = self.readable(self.setup.terms.limits.status_line);
        let count = match self.upstream_lines.next(cursor.rest(), self.line_end(), limit) {
            None => return false,
            Some(Piece::Line(count)) => count,
            Some(Piece::Part(_) | Piece::Tail(_)) => return self.no_greeting(turn),
        };
        let line = text_of(cursor.front(count));
        let indicator = Status::parse(line).map(|status| status.indicator).filter(|_| !has_bare_line_end(line));
        match (self.phase, indicator) {
            (Phase::UpstreamStls { greeting }, Some(Indicator::Ok)) => {
                self.stls_accepted(greeting, count, cursor, turn)
            }
            (Phase::UpstreamStls { .. }, _) => {
                let detail = "The server refused STLS";
                self.end(CloseReason::UpstreamTls, detail, Some("The mail server does not offer TLS"), turn);
                false
            }
            (_, Some(Indicator::Ok)) if self.setup.terms.upstream_tls == TlsMode::Starttls => {
                self.ask_for_tls(count, cursor, turn)
            }
            (_, Some(Indicator::Ok)) => {
                self.greet(count, cursor, turn);
                true
            }
            (_, Some(Indicator::Err)) => {
                if self.setup.terms.upstream_tls == TlsMode::Starttls {
                    turn.said(Speaker::UpstreamHeld, None, count, || shown(line));
                    let sentence = "The mail server does not accept connections; try again later";
                    self.end(CloseReason::ServerBye, "The server greeted with -ERR", Some(sentence), turn);
                } else {
                    turn.said(Speaker::Upstream, None, count, || shown(line));
                    cursor.keep(count);
                    cursor.flush(turn.out);
                    self.end(CloseReason::ServerBye, "The server greeted with -ERR", None, turn);
                }
                false
            }
            (_, Some(Indicator::Continue) | None) => self.no_greeting(turn),
        }
    }

    fn no_greeting(&mut self, turn: &mut Turn<'_>) -> bool {
        let detail = "The server's greeting is none of POP3";
        turn.violated(Side::Upstream, ViolationKind::Greeting, detail);
        let sentence = "The mail server did not greet as one; try again later";
        self.end(CloseReason::UpstreamGreeting, detail, Some(sentence), turn);
        false
    }

    /// Nothing that came in clear reaches the client: neither text nor, above all, an APOP timestamp.
    fn ask_for_tls(&mut self, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        turn.said(Speaker::UpstreamHeld, None, count, || shown_greeting(cursor.front(count)));
        cursor.skip(count, turn.out);
        if !cursor.rest().is_empty() {
            return self.injected(turn);
        }
        turn.said(Speaker::ProxyToUpstream, None, 6, || "STLS".to_owned());
        turn.out.send(Side::Upstream, &b"STLS\r\n"[..]);
        self.phase = Phase::UpstreamStls { greeting: count };
        false
    }

    fn stls_accepted(&mut self, greeting: usize, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) -> bool {
        turn.said(Speaker::UpstreamHeld, None, count, || shown(cursor.front(count)));
        cursor.skip(count, turn.out);
        if !cursor.rest().is_empty() {
            return self.injected(turn);
        }
        self.phase = Phase::UpstreamTls { greeting };
        turn.out.start_tls(Side::Upstream);
        false
    }

    /// Octets in clear around STLS would be taken for the server's under TLS (RFC 2595 §4).
    fn injected(&mut self, turn: &mut Turn<'_>) -> bool {
        let detail = "The server sent octets in clear that have no place around STLS";
        turn.violated(Side::Upstream, ViolationKind::Injection, detail);
        let sentence = "The connection to the mail server is not safe";
        self.end(CloseReason::UpstreamViolation, detail, Some(sentence), turn);
        false
    }

    fn greet(&mut self, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        let line = text_of(cursor.front(count));
        let hidden = self.setup.terms.hide.iter().any(|name| name.eq_ignore_ascii_case("APOP"));
        let (mended, apop) = mended_greeting(line, hidden);
        self.apop = apop;
        let mended = mended.filter(|_| self.enforces());
        let (mended, why) = match self.ruled_greeting(mended.as_deref().unwrap_or(line), turn) {
            Ruled::AsItIs => (mended, Alteration::Greeting),
            Ruled::Instead(line) => (Some(line), Alteration::Policy),
            Ruled::Refused(denial) => return self.turn_away(&denial, count, cursor, turn),
        };
        match mended {
            None => {
                turn.said(Speaker::Upstream, None, count, || shown_greeting(cursor.front(count)));
                cursor.keep(count);
            }
            Some(mut line) => {
                line.extend_from_slice(b"\r\n");
                turn.said(Speaker::UpstreamHeld, None, count, || shown_greeting(cursor.front(count)));
                turn.said(Speaker::ProxyToClient, None, line.len(), || shown_greeting(&line));
                turn.altered(Side::Client, why, count, line.len());
                cursor.skip(count, turn.out);
                cursor.insert(line, turn.out);
            }
        }
        self.greeted(turn);
    }

    /// A rule refuses the client before it is greeted; `count` octets of the server's greeting are still there.
    fn turn_away(&mut self, denial: &Denial, count: usize, cursor: &mut Cursor<'_>, turn: &mut Turn<'_>) {
        turn.said(Speaker::UpstreamHeld, None, count, || shown_greeting(cursor.front(count)));
        cursor.skip(count, turn.out);
        let line = format!("-ERR [{}] {}\r\n", denial.pop3_code, denial.reply);
        turn.altered(Side::Client, Alteration::Policy, count, line.len());
        turn.tell_client(None, line.into());
        self.end(CloseReason::Policy, "A rule refused the client", None, turn);
    }

    /// Behind the proxy's own STLS the server does not greet again (RFC 2595 §4).
    pub(super) fn greet_in_own_words(&mut self, dropped: usize, turn: &mut Turn<'_>) {
        let mut line = b"+OK POP3 ready".to_vec();
        match self.ruled_greeting(&line, turn) {
            Ruled::AsItIs => {}
            Ruled::Instead(instead) => line = instead,
            Ruled::Refused(denial) => {
                line = format!("-ERR [{}] {}\r\n", denial.pop3_code, denial.reply).into_bytes();
                turn.altered(Side::Client, Alteration::Policy, dropped, line.len());
                turn.tell_client(None, line.into());
                return self.end(CloseReason::Policy, "A rule refused the client", None, turn);
            }
        }
        line.extend_from_slice(b"\r\n");
        turn.altered(Side::Client, Alteration::Greeting, dropped, line.len());
        turn.tell_client(None, line.into());
        self.greeted(turn);
    }

    fn greeted(&mut self, turn: &mut Turn<'_>) {
        turn.observe(Observation::Greeted);
        self.phase = Phase::Open;
        self.enter(State::NotAuthenticated, turn);
    }
}

/// A timestamp together with the digest lets a password be guessed off line, so it is not shown.
fn shown_greeting(line: &[u8]) -> String {
    let text = shown(line);
    match (text.find('<'), text.rfind('>')) {
        (Some(open), Some(close)) if open < close => {
            let (before, behind) = (text.get(..open).unwrap_or_default(), text.get(close + 1..).unwrap_or_default());
            format!("{before}<{MASK}>{behind}")
        }
        _ => text,
    }
}
