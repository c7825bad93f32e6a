use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::session::{CloseReason, Violation, ViolationKind};
use crate::wire::{Effect, Operation};

fn metrics() -> Metrics {
    Metrics::new(&[("imaps".to_owned(), Protocol::Imap)], &["provider".to_owned()]).unwrap()
}

fn info() -> SessionInfo {
    SessionInfo {
        id: 1,
        listener: Arc::from("imaps"),
        protocol: Protocol::Imap,
        client: "127.0.0.1:1".parse().unwrap(),
        upstream: Arc::from("provider"),
        upstream_address: Arc::from("127.0.0.1:2"),
        started: jiff::Timestamp::now(),
        client_tls: None,
        upstream_tls: None,
    }
}

fn events(of: Vec<Observation>) -> Vec<Event> {
    of.into_iter().map(|what| Event { at: Duration::ZERO, what }).collect()
}

fn begun(id: u32, command: &str) -> Observation {
    Observation::CommandBegun {
        id: CommandId(id),
        tag: Some("a".into()),
        command: Cow::Owned(command.to_owned()),
        operation: Operation::Download,
        effect: Effect::Read,
        mailboxes: Vec::new(),
        message: None,
    }
}

fn completed(id: u32, by: Answered) -> Observation {
    let latency = Duration::from_millis(3);
    Observation::CommandCompleted { id: CommandId(id), completion: Completion::No, code: None, by, latency }
}

fn shows(metrics: &Metrics, line: &str) {
    let text = metrics.render().unwrap();
    assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
}

#[test]
fn every_series_is_there_from_the_start_and_within_the_budget() {
    let metrics = metrics();
    let text = metrics.render().unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 2_000, "{series}");
    shows(&metrics, r#"mailwarden_commands_total{command="FETCH",protocol="imap",result="ok"} 0"#);
    shows(&metrics, r#"mailwarden_sessions_closed_total{listener="imaps",protocol="imap",reason="drain"} 0"#);
    shows(&metrics, r#"mailwarden_upstream_connect_failures_total{reason="expired",upstream="provider"} 0"#);
    assert!(text.contains("process_open_fds"));
}

#[test]
fn commands_are_counted_under_known_names_by_how_they_ended() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    metrics.events(&info, &events(vec![begun(1, "UID FETCH"), begun(2, "XYZZY"), begun(3, "FETCH"), begun(4, "IDLE")]));
    metrics.events(&info, &events(vec![completed(2, Answered::Syntax), completed(1, Answered::Upstream)]));
    metrics.events(&info, &events(vec![completed(3, Answered::Policy)]));
    shows(&metrics, r#"mailwarden_sessions_active{listener="imaps",protocol="imap"} 1"#);
    metrics.closed(&info, 0, 0);
    shows(&metrics, r#"mailwarden_commands_total{command="FETCH",protocol="imap",result="no"} 1"#);
    shows(&metrics, r#"mailwarden_commands_total{command="FETCH",protocol="imap",result="denied"} 1"#);
    shows(&metrics, r#"mailwarden_commands_total{command="other",protocol="imap",result="error"} 1"#);
    shows(&metrics, r#"mailwarden_commands_total{command="IDLE",protocol="imap",result="aborted"} 1"#);
    shows(&metrics, r#"mailwarden_command_duration_seconds_count{command="FETCH",protocol="imap"} 1"#);
    shows(&metrics, r#"mailwarden_sessions_active{listener="imaps",protocol="imap"} 0"#);
    assert!(!metrics.render().unwrap().contains("XYZZY"));
}

#[test]
fn nothing_a_peer_names_becomes_a_label() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let mechanism = Cow::Owned("X-HOSTILE".to_owned());
    let violation = Violation { side: Side::Client, kind: ViolationKind::Nul, detail: Cow::Borrowed("x") };
    metrics.events(
        &info,
        &events(vec![
            Observation::Authentication { user: Some("hostile".to_owned()), mechanism, accepted: false },
            Observation::Violated(violation),
            Observation::Closed { reason: CloseReason::ClientEof, detail: "hostile".to_owned() },
        ]),
    );
    shows(&metrics, r#"mailwarden_auth_attempts_total{mechanism="other",protocol="imap",result="refused"} 1"#);
    shows(&metrics, r#"mailwarden_violations_total{kind="nul",protocol="imap",side="client"} 1"#);
    shows(&metrics, r#"mailwarden_sessions_closed_total{listener="imaps",protocol="imap",reason="client_eof"} 1"#);
    assert!(!metrics.render().unwrap().to_lowercase().contains("hostile"));
}
