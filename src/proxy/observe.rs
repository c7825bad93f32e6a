//! The log: one line per session at its end, a line per refusal and breach, commands at `debug`.
//!
//! Fields, not sentences. What is said on the wire appears at `trace` alone, masked by the session.

use std::collections::HashMap;
use std::time::Duration;

use crate::fault::Fault;
use crate::per_session::PerSession;
use crate::policy::{Decision, Level};
use crate::session::{Answered, CommandId, Event, Observation};
use crate::wire::ShortText;
use crate::witness::{SessionInfo, Witness};

/// Logs what sessions report, with `tracing`.
#[derive(Debug)]
pub(super) struct LogWitness(PerSession<Summary>);

/// What a session's last line will say.
#[derive(Debug, Default)]
struct Summary {
    user: Option<String>,
    reason: &'static str,
    detail: String,
    commands: u64,
    refused: u64,
    last: Duration,
    /// Names of commands that are not answered yet; kept only while they are logged.
    open: HashMap<CommandId, String>,
}

impl LogWitness {
    pub(super) fn new() -> Self {
        Self(PerSession::new())
    }
}

impl Summary {
    /// Of what is not told of every command.
    fn event(&mut self, info: &SessionInfo, event: &Event) {
        let session = info.id;
        match &event.what {
            Observation::Said(said) => {
                tracing::trace!(session, by = said.by.as_label(), octets = said.octets, text = said.text, "said");
            }
            Observation::Authentication { user, mechanism, accepted } => {
                tracing::debug!(session, user, %mechanism, accepted, "authentication");
                if *accepted {
                    self.user.clone_from(user);
                }
            }
            Observation::Decided { id, decision } => {
                decided(info, *id, decision);
            }
            Observation::Violated(violation) => {
                tracing::warn!(
                    session,
                    trace = info.trace.map(display),
                    listener = %info.listener,
                    client = %info.client,
                    side = violation.side.as_label(),
                    kind = violation.kind.as_label(),
                    code = violation.kind.code(),
                    detail = %violation.detail,
                    "protocol violation"
                );
            }
            Observation::Closed { reason, detail } => {
                self.reason = reason.as_label();
                self.detail.clone_from(detail);
            }
            Observation::Greeted
            | Observation::CommandBegun { .. }
            | Observation::CommandCompleted { .. }
            | Observation::TlsStarted { .. }
            | Observation::CompressionStarted { .. }
            | Observation::StateChanged { .. }
            | Observation::Notifying { .. }
            | Observation::Retrieved { .. }
            | Observation::Stored { .. }
            | Observation::Expunged { .. }
            | Observation::Vanished { .. }
            | Observation::Altered { .. } => {}
        }
    }
}

impl Summary {
    /// One line for each command and each answer.
    fn command(&mut self, session: u64, event: &Observation) {
        if let Observation::CommandBegun { id, tag, command, operation, effect, .. } = event {
            let (operation, effect) = (operation.as_label(), effect.as_label());
            let tag = tag.as_ref().map(ShortText::as_str);
            tracing::debug!(session, command_id = id.0, tag, %command, operation, effect, "command begun");
            self.open.insert(*id, command.to_string());
        }
        if let Observation::CommandCompleted { id, completion, code, by, latency } = event {
            tracing::debug!(
                session,
                command_id = id.0,
                command = self.open.remove(id),
                result = completion.as_label(),
                code = code.as_ref().map(ShortText::as_str),
                by = by.as_label(),
                latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
                "command completed"
            );
        }
    }
}

/// One line for each decision, with the level that its rule gives it. A decision that is only observed would have
/// been taken.
fn decided(info: &SessionInfo, id: CommandId, decision: &Decision) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                session = info.id,
                trace = info.trace.map(display),
                listener = %info.listener,
                client = %info.client,
                command_id = id.0,
                rule = %decision.rule,
                action = decision.action.as_label(),
                mode = decision.mode.as_label(),
                user = decision.user.as_deref(),
                command = %decision.command,
                operation = decision.operation.as_label(),
                effect = decision.effect.as_label(),
                mailboxes = ?decision.mailboxes,
                message = decision.message,
                tags = (!decision.tags.is_empty()).then(|| decision.tags.join(",")),
                alert = decision.alert.then_some(true),
                recorded = decision.record.then_some(true),
                "policy decision"
            )
        };
    }
    match decision.level {
        _ if decision.alert => line!(error),
        Level::Error => line!(error),
        Level::Warn => line!(warn),
        Level::Info => line!(info),
        Level::Debug => line!(debug),
    }
}

impl Witness for LogWitness {
    fn wants_transcript(&self) -> bool {
        tracing::enabled!(tracing::Level::TRACE)
    }

    fn opened(&self, info: &SessionInfo) {
        self.0.open(info.id, Summary::default());
    }

    fn upstream_failed(&self, info: &SessionInfo, fault: &Fault) {
        tracing::warn!(
            session = info.id,
            trace = info.trace.map(display),
            listener = %info.listener,
            upstream = %info.upstream,
            address = %info.upstream_address,
            code = %fault.code,
            help = fault.help,
            "{}",
            fault.sentence
        );
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        let debug = tracing::enabled!(tracing::Level::DEBUG);
        self.0.with(info.id, |summary| {
            if let Some(last) = events.last() {
                summary.last = last.at;
            }
            let (mut commands, mut refused) = (0, 0);
            for event in events {
                match &event.what {
                    Observation::CommandBegun { .. } => commands += 1,
                    Observation::CommandCompleted { by, .. } => {
                        refused += u64::from(matches!(by, Answered::Policy | Answered::Syntax));
                    }
                    _ => {
                        summary.event(info, event);
                        continue;
                    }
                }
                if debug {
                    summary.command(info.id, &event.what);
                }
            }
            summary.commands += commands;
            summary.refused += refused;
        });
    }

    fn closed(&self, info: &SessionInfo, client_octets: u64, upstream_octets: u64) {
        let summary = self.0.close(info.id).unwrap_or_default();
        let tls = |facts: &Option<crate::witness::TlsFacts>| facts.as_ref().map(|facts| facts.version.clone());
        tracing::info!(
            session = info.id,
            trace = info.trace.map(display),
            listener = %info.listener,
            protocol = info.protocol.as_label(),
            client = %info.client,
            upstream = %info.upstream,
            client_tls = tls(&info.client_tls),
            upstream_tls = tls(&info.upstream_tls),
            user = summary.user,
            reason = summary.reason,
            detail = summary.detail,
            client_octets,
            upstream_octets,
            duration_ms = u64::try_from(summary.last.as_millis()).unwrap_or(u64::MAX),
            commands = summary.commands,
            refused = summary.refused,
            "session ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::session::{CloseReason, Completion, Said, Speaker};
    use crate::wire::{Effect, Operation};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: tracing::Level) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, a_session);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn a_session() {
        let info = SessionInfo::example(7);
        let said = Said { by: Speaker::Client, id: None, text: "a LOGIN joe ‹secret›".to_owned(), octets: 20 };
        let id = CommandId(1);
        let events = [
            Observation::Said(said),
            Observation::CommandBegun {
                id,
                tag: None,
                command: "LOGIN".into(),
                operation: Operation::Authenticate,
                effect: Effect::Session,
                mailboxes: Vec::new(),
                message: None,
            },
            Observation::Authentication { user: Some("joe".to_owned()), mechanism: "LOGIN".into(), accepted: true },
            Observation::CommandCompleted {
                id,
                completion: Completion::Ok,
                code: None,
                by: Answered::Upstream,
                latency: Duration::from_millis(2),
            },
            Observation::Closed { reason: CloseReason::Logout, detail: "The client logged out".to_owned() },
        ]
        .map(|what| Event { at: Duration::from_millis(1500), what });
        let witness = LogWitness::new();
        witness.opened(&info);
        witness.events(&info, &events);
        witness.closed(&info, 20, 300);
    }

    #[test]
    fn a_session_is_one_line_at_info() {
        let lines = logged(tracing::Level::INFO);
        insta::assert_snapshot!(lines.join("\n"), @r#" INFO session ended session=7 listener=imaps protocol="imap" client=192.0.2.1:5 upstream=provider user="joe" reason="logout" detail="The client logged out" client_octets=20 upstream_octets=300 duration_ms=1500 commands=1 refused=0"#);
    }

    #[test]
    fn what_is_said_appears_at_trace_alone() {
        assert!(!logged(tracing::Level::DEBUG).iter().any(|line| line.contains("said")));
        let lines = logged(tracing::Level::TRACE);
        assert!(lines.iter().any(|line| line.contains("a LOGIN joe ‹secret›")), "{lines:?}");
    }
}
