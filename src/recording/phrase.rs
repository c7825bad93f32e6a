//! Facts as sentences a person reads.

use std::time::Duration;

use crate::policy::ActionKind;
use crate::session::{Alteration, Answered, Completion, Extent, MessageRef, Violation};
use crate::wire::Side;

/// Milliseconds. A recording keeps whole microseconds, and must print the same as was printed live, so only
/// these count.
pub(super) fn millis(time: Duration) -> f64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

/// `0.4 ms`, `37 ms`, `1.24 s`.
pub(super) fn latency(time: Duration) -> String {
    let millis = millis(time);
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1000.0),
    }
}

/// `512 B`, `38.1 KiB`, `4.1 MiB`.
pub(super) fn octets(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let (mut value, mut units) = (count as f64, ["KiB", "MiB", "GiB"].into_iter().peekable());
    if count < 1024 {
        return format!("{count} B");
    }
    let mut unit = "B";
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A layer came up in the middle of the session.
pub(super) fn started(layer: &str, with: Side) -> String {
    format!("{layer} started with the {}", side(with))
}

pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Upstream => "server",
    }
}

pub(super) fn completion(completion: Completion) -> &'static str {
    match completion {
        Completion::Ok => "OK",
        Completion::No => "NO",
        Completion::Bad => "BAD",
        Completion::Aborted => "cut",
    }
}

/// Why a command did not reach the server, by who answered it.
pub(super) fn held_by(by: Answered) -> Option<&'static str> {
    match by {
        Answered::Upstream => None,
        Answered::Policy => Some("refused by policy"),
        Answered::Syntax => Some("malformed or not offered"),
        Answered::Proxy => Some("served by the proxy"),
    }
}

pub(super) fn alteration(why: Alteration) -> &'static str {
    match why {
        Alteration::LiteralForm => "a literal in another form",
        Alteration::Capabilities => "the capability list is filtered",
        Alteration::Referral => "a referral is removed",
        Alteration::IdField => "an x- field of ID is removed",
        Alteration::EnableArgument => "a capability is removed from ENABLE",
        Alteration::Continuation => "the bare + gets a blank",
        Alteration::TextTail => "a text that looked like a literal gets a full stop",
        Alteration::Padding => "padding between responses is dropped",
        Alteration::LineEnd => "a bare CR or LF becomes CRLF",
        Alteration::StatusCut => "a long status text is cut",
        Alteration::Canonical => "a keyword in its canonical form",
        Alteration::Greeting => "the greeting is corrected",
        Alteration::Policy => "refused or replaced by policy",
        Alteration::Rewritten => "given another form by policy",
        Alteration::Local => "served or refused by the proxy",
    }
}

pub(super) fn violation(violation: &Violation) -> String {
    let (kind, code) = (violation.kind.as_label(), violation.kind.code());
    format!("{kind} by the {}: {} ({code})", side(violation.side), violation.detail)
}

/// `message 7 (UID 12) of INBOX`.
pub(super) fn message(message: &MessageRef) -> String {
    let number = message.number.map(|number| format!(" {number}")).unwrap_or_default();
    let uid = message.uid.map(|uid| format!(" (UID {uid})")).unwrap_or_default();
    let unique = message.unique_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let mailbox = message.mailbox.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    format!("message{number}{uid}{unique}{mailbox}")
}

pub(super) fn extent(extent: Extent) -> &'static str {
    match extent {
        Extent::Headers => "headers",
        Extent::Whole => "whole",
        Extent::Part => "one part",
        Extent::Partial => "a range",
    }
}

/// What became of a command, as a participle.
pub(super) fn action(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Allow => "allowed",
        ActionKind::Deny => "denied",
        ActionKind::Rewrite => "rewritten",
        ActionKind::Answer => "answered",
        ActionKind::Throttle => "slowed down",
        ActionKind::Disconnect => "refused, and the session ended,",
        ActionKind::Ask => "put to a hook",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_times_and_sizes_with_the_digits_that_matter() {
        let times = [(400, "0.4 ms"), (37_400, "37 ms"), (1_240_000, "1.24 s")];
        for (micros, expected) in times {
            assert_eq!(latency(Duration::from_micros(micros)), expected);
        }
        let sizes =
            [(0, "0 B"), (1023, "1023 B"), (39_014, "38.1 KiB"), (4_300_121, "4.1 MiB"), (5 << 40, "5120.0 GiB")];
        for (count, expected) in sizes {
            assert_eq!(octets(count), expected);
        }
    }
}
