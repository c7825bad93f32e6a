//! How sessions end. A body is never ended by the proxy, and QUIT is never sent for the client: the
//! one would show a torn message as whole, the other would commit deletions (RFC 1939 §3, §6).

use bytes::Bytes;

use super::bare_lf::BareLf;
use super::multiline::Reading;
use super::slot::{Answer, Asked, ExchangeTurn};
use super::turn::{Cursor, Turn};
use super::{Phase, Pop3};
use crate::session::{Alteration, Answered, CloseReason, Completion, Observation, Speaker, State, ViolationKind};
use crate::wire::Side;

impl Pop3 {
    /// Ends the session; with a `sentence`, the client is told it where a response may stand.
    pub(super) fn end(&mut self, reason: CloseReason, detail: &str, sentence: Option<&str>, turn: &mut Turn<'_>) {
        if self.phase == Phase::Closed {
            return;
        }
        if let Some(sentence) = sentence.filter(|_| self.is_at_boundary()) {
            let code = if reason == CloseReason::Policy { "SYS/PERM" } else { "SYS/TEMP" };
            let id = self.queue.front().map(|slot| slot.id);
            turn.tell_client(id, Bytes::from(format!("-ERR [{code}] {}\r\n", printable(sentence))));
        }
        self.body_torn(turn);
        self.drop_held(turn);
        for slot in std::mem::take(&mut self.queue) {
            let by = match slot.answer {
                Answer::Local { by, .. }
                | Answer::Upstream(Asked::Auth(super::slot::Exchange {
                    turn: ExchangeTurn::Cancelled { by, .. },
                    ..
                })) => by,
                Answer::Upstream(_) => Answered::Upstream,
            };
            let latency = turn.now.saturating_duration_since(slot.begun);
            let completion = Completion::Aborted;
            turn.observe(Observation::CommandCompleted { id: slot.id, completion, code: slot.code, by, latency });
        }
        if let Some(added) = self.bare_lf.as_ref().map(BareLf::added) {
            turn.observe(Observation::Altered { to: Side::Client, why: Alteration::LineEnd, removed: 0, added });
        }
        self.phase = Phase::Closed;
        turn.out.close(turn.now, reason, detail);
    }

    /// Whether the client would take a line for a response of its own.
    fn is_at_boundary(&self) -> bool {
        match self.phase {
            Phase::Greeting | Phase::UpstreamStls { .. } | Phase::UpstreamTls { .. } => true,
            Phase::Open => {
                let torn = self.long_status.is_some() && !self.enforces();
                matches!(self.reading, Reading::Status) && !torn
            }
            Phase::ClientTls | Phase::Opaque | Phase::Closed => false,
        }
    }

    /// The server cannot be followed any further: closed in posture enforce, opaque in observe. Says
    /// whether the session goes on.
    pub(super) fn lost(
        &mut self,
        kind: ViolationKind,
        detail: &'static str,
        cursor: &mut Cursor<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        cursor.flush(turn.out);
        turn.violated(Side::Upstream, kind, detail);
        if self.enforces() || !matches!(self.phase, Phase::Open) {
            let sentence = "The mail server broke the protocol; try again later";
            self.end(CloseReason::UpstreamViolation, detail, Some(sentence), turn);
            return false;
        }
        turn.said(Speaker::Upstream, None, 0, || "‹framing lost: opaque from here on›".to_owned());
        self.phase = Phase::Opaque;
        true
    }

    pub(super) fn upstream_ended(&mut self, turn: &mut Turn<'_>) {
        let (reason, sentence) = match self.phase {
            Phase::Greeting | Phase::UpstreamStls { .. } => (
                CloseReason::UpstreamGreeting,
                "The mail server closed the connection before it greeted; try again later",
            ),
            Phase::UpstreamTls { .. } | Phase::Open | Phase::ClientTls | Phase::Opaque | Phase::Closed => {
                (CloseReason::UpstreamEof, "The mail server closed the connection; try again later")
            }
        };
        self.end(reason, "The server closed the connection", Some(sentence), turn);
    }

    /// A client that has closed its sending half still gets the answers to what it asked.
    pub(super) fn client_ended(&mut self, turn: &mut Turn<'_>) {
        let owed = self.held.is_some() || (!self.queue.is_empty() && !self.is_clients_turn());
        let waits = self.phase == Phase::Open && owed;
        if !waits {
            self.end(CloseReason::ClientEof, "The client closed the connection", None, turn);
        }
    }

    pub(super) fn expired(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Greeting | Phase::UpstreamStls { .. }) {
            let sentence = "The mail server did not greet in time; try again later";
            self.end(CloseReason::UpstreamGreeting, "The server did not greet in time", Some(sentence), turn);
            return;
        }
        // an autologout says nothing (RFC 1939 §3), but a command is owed its answer
        let owed = (!self.queue.is_empty()).then_some("The mail server did not answer in time; try again later");
        self.end(CloseReason::Timeout, "Nothing was sent for too long", owed, turn);
    }

    /// QUIT was answered.
    pub(super) fn quit_answered(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::Update {
            self.enter(State::Logout, turn);
        }
        self.end(CloseReason::Logout, "The client logged out", None, turn);
    }
}

/// A sentence as it may stand in a response line (512 octets with all, RFC 2449 §4).
fn printable(sentence: &str) -> String {
    let safe = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    sentence.chars().take(400).map(safe).collect()
}
