//! What the session reports of what is said, and of breaches of the protocol.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use super::Imap;
use crate::session::legible::legible;
use crate::session::{CommandId, Observation, Outbox, Said, Speaker, Violation, ViolationKind};
use crate::wire::Side;

impl Imap {
    pub(super) fn violated(
        side: Side,
        kind: ViolationKind,
        detail: impl Into<Cow<'static, str>>,
        now: Instant,
        out: &mut Outbox,
    ) {
        out.observe(now, Observation::Violated(Violation { side, kind, detail: detail.into() }));
    }

    /// Whether what is said is reported.
    pub(super) fn is_transcribed(&self, out: &Outbox) -> bool {
        self.setup.terms.transcript || out.is_transcribed()
    }

    /// Reports a line for the transcript; `line` holds no secret.
    pub(super) fn say(&self, by: Speaker, id: Option<CommandId>, line: &[u8], now: Instant, out: &mut Outbox) {
        if self.is_transcribed(out) {
            let said = Said { by, id, text: legible(line), octets: line.len() as u64 };
            out.observe(now, Observation::Said(said));
        }
    }

    /// Reports a status response. Without a command that it answers, its tag may be anything that was
    /// typed where a command is expected, a password too.
    pub(super) fn say_status(&self, by: Speaker, id: Option<CommandId>, line: &[u8], now: Instant, out: &mut Outbox) {
        let end = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
        if id.is_some() || line.starts_with(b"* ") || line.starts_with(b"[") {
            self.say(by, id, line, now, out);
        } else {
            let rest = fmt::from_fn(|f| write!(f, "‹tag›{}", legible(line.get(end..).unwrap_or_default())));
            self.say_text(by, id, rest, line.len() as u64, now, out);
        }
    }

    /// Reports a text that stands for octets which are not shown. It is made only if it is reported.
    pub(super) fn say_text(
        &self,
        by: Speaker,
        id: Option<CommandId>,
        text: impl fmt::Display,
        octets: u64,
        now: Instant,
        out: &mut Outbox,
    ) {
        if self.is_transcribed(out) {
            let text = text.to_string();
            out.observe(now, Observation::Said(Said { by, id, text, octets }));
        }
    }
}
