//! The POP3 state machine (RFC 1939).

use std::time::Instant;

use super::{CloseReason, Inboxes, Outbox, Session, Setup};
use crate::wire::Side;

/// The session.
#[derive(Debug)]
pub struct Pop3 {
    _setup: Setup,
}

impl Pop3 {
    /// A session that has just been connected to its server.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { _setup: setup }
    }
}

impl Session for Pop3 {
    fn advance(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox) {
        for side in [Side::Client, Side::Upstream] {
            let octets = inboxes.of(side).split().freeze();
            out.send(side.other(), octets);
        }
        if inboxes.client_ended {
            out.close(now, CloseReason::ClientEof, "The client closed the connection");
        }
    }

    fn wants(&self, _side: Side) -> bool {
        true
    }

    fn tls_started(&mut self, _side: Side, _now: Instant, _out: &mut Outbox) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _now: Instant, _out: &mut Outbox) {}

    fn farewell(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox) {
        out.close(now, why, sentence);
    }

    fn is_idle(&self) -> bool {
        true
    }
}
