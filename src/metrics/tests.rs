use std::borrow::Cow;

use super::*;
use crate::session::{Answered, CloseReason, Completion, MessageRef, Violation, ViolationKind};
use crate::wire::{Effect, Operation, Side};

fn names() -> (Vec<(String, Protocol)>, Vec<String>) {
    (vec![("imaps".to_owned(), Protocol::Imap)], vec!["provider".to_owned()])
}

fn metrics() -> Metrics {
    Metrics::new(&names().0, &names().1).unwrap()
}

fn info() -> SessionInfo {
    SessionInfo::example(1)
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

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn every_series_is_there_from_the_start() {
    let metrics = metrics();
    let text = metrics.render().unwrap();
    shows(&metrics, r#"mailwarden_commands_total{command="FETCH",protocol="imap",result="ok"} 0"#);
    shows(&metrics, r#"mailwarden_sessions_closed_total{listener="imaps",protocol="imap",reason="drain"} 0"#);
    shows(&metrics, r#"mailwarden_upstream_connect_failures_total{reason="expired",upstream="provider"} 0"#);
    shows(&metrics, r#"mailwarden_tls_handshakes_total{result="certificate_refused",side="client"} 0"#);
    assert!(text.contains("process_open_fds"));
    // three expiries are not known yet
    assert_eq!(series(&text) + 3, Metrics::most_series(&names().0, &names().1));
}

#[test]
fn a_rule_is_counted_from_when_it_is_in_force() {
    use crate::policy::{Fallback, Policy, Rule};

    let metrics = metrics();
    let rule = |text: &str| toml::from_str::<Rule>(text).unwrap();
    let rules = vec![
        rule("name = 'no'\naction = 'deny'"),
        rule("name = 'look'\naction = 'throttle'\nmode = 'observe'\nthrottle = { delay = '1s' }"),
        rule("name = 'fine'\naction = 'allow'"),
    ];
    metrics.rules_in_force(&Policy::build(rules, &[], Fallback::Deny), false);
    shows(&metrics, r#"mailwarden_policy_decisions_total{action="deny",mode="enforce",rule="no"} 0"#);
    shows(&metrics, r#"mailwarden_policy_decisions_total{action="throttle",mode="observe",rule="look"} 0"#);
    shows(&metrics, r#"mailwarden_policy_decisions_total{action="deny",mode="enforce",rule="default"} 0"#);
    let text = metrics.render().unwrap();
    // what only lets pass is told of nowhere
    assert!(!text.contains(r#"rule="fine""#) && !text.contains(r#"mode="observe",rule="no""#), "{text}");
    metrics.rules_in_force(&Policy::new(vec![rule("name = 'no'\naction = 'deny'")]), true);
    shows(&metrics, r#"mailwarden_policy_decisions_total{action="deny",mode="observe",rule="no"} 0"#);
}

#[test]
fn ten_thousand_inventions_make_no_series() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let before = series(&metrics.render().unwrap());
    for number in 0..10_000_u32 {
        let invented = |what: &str| format!("X{what}{number}");
        let mut begun = begun(number, &invented("COMMAND"));
        if let Observation::CommandBegun { mailboxes, .. } = &mut begun {
            mailboxes.push(invented("mailbox"));
        }
        let login = Observation::Authentication {
            user: Some(invented("user")),
            mechanism: Cow::Owned(invented("MECHANISM")),
            accepted: true,
        };
        let mut completed = completed(number, Answered::Upstream);
        if let Observation::CommandCompleted { code, .. } = &mut completed {
            *code = Some(invented("CODE").as_str().into());
        }
        metrics.events(&info, &events(vec![begun, login, completed]));
    }
    let text = metrics.render().unwrap();
    assert_eq!(series(&text), before);
    shows(&metrics, r#"mailwarden_commands_total{command="other",protocol="imap",result="no"} 10000"#);
    shows(&metrics, r#"mailwarden_command_failures_total{class="other",command="other",protocol="imap"} 10000"#);
    shows(&metrics, r#"mailwarden_auth_attempts_total{mechanism="other",protocol="imap",result="accepted"} 10000"#);
    let openmetrics = metrics.render_openmetrics();
    assert_eq!(series(&openmetrics), before);
    assert!(openmetrics.ends_with("# EOF\n"));
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("MAILWARDEN_WRITE_DOCS").is_some() {
        std::fs::write(&path, Metrics::document()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == Metrics::document(), "docs/metrics.md is old: run this test with MAILWARDEN_WRITE_DOCS=1");
}

#[test]
fn idling_and_states_are_levels_that_come_back() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    shows(&metrics, r#"mailwarden_sessions_in_state{protocol="imap",state="greeting"} 1"#);
    let selected = Observation::StateChanged { from: State::Greeting, to: State::Selected };
    metrics.events(&info, &events(vec![selected, begun(1, "IDLE")]));
    shows(&metrics, r#"mailwarden_sessions_in_state{protocol="imap",state="greeting"} 0"#);
    shows(&metrics, r#"mailwarden_sessions_in_state{protocol="imap",state="selected"} 1"#);
    shows(&metrics, "mailwarden_idle_active 1");
    metrics.events(&info, &events(vec![completed(1, Answered::Upstream), begun(2, "IDLE")]));
    shows(&metrics, "mailwarden_idle_active 1");
    shows(&metrics, "mailwarden_idle_reissue_interval_seconds_count 1");
    metrics.closed(&info, 0, 0);
    shows(&metrics, "mailwarden_idle_active 0");
    shows(&metrics, "mailwarden_idle_duration_seconds_count 2");
    shows(&metrics, r#"mailwarden_sessions_in_state{protocol="imap",state="selected"} 0"#);
}

#[test]
fn notify_is_a_level_that_comes_back() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let told = |on| metrics.events(&info, &events(vec![Observation::Notifying { on }]));
    for (on, level) in [(false, 0), (true, 1), (true, 1), (false, 0), (true, 1)] {
        told(on);
        shows(&metrics, &format!("mailwarden_notify_active {level}"));
    }
    metrics.closed(&info, 0, 0);
    shows(&metrics, "mailwarden_notify_active 0");
}

#[test]
fn what_is_used_is_shown_beside_its_limit() {
    let metrics = metrics();
    metrics.connections("imaps", 10_000, || 7);
    metrics.compression(500, || 2);
    metrics.recordings(|| Kept { begun: 4, octets: 1000, failed: 1, outrun: 2 });
    for line in [
        r#"mailwarden_connections_active{listener="imaps"} 7"#,
        r#"mailwarden_connections_limit{listener="imaps"} 10000"#,
        "mailwarden_compressed_sides 2",
        "mailwarden_compressed_sides_limit 500",
        "mailwarden_recordings_total 4",
        "mailwarden_recording_bytes_total 1000",
        r#"mailwarden_recording_failures_total{reason="disk"} 1"#,
        r#"mailwarden_recording_failures_total{reason="busy"} 2"#,
    ] {
        shows(&metrics, line);
    }
}

#[test]
fn a_client_that_gets_no_compression_has_hit_a_limit() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    for (id, by) in [(1, Answered::Upstream), (2, Answered::Proxy)] {
        let mut declined = completed(id, by);
        if let Observation::CommandCompleted { code, .. } = &mut declined {
            *code = Some("LIMIT".into());
        }
        metrics.events(&info, &events(vec![begun(id, "COMPRESS"), declined]));
    }
    shows(&metrics, r#"mailwarden_limits_hit_total{limit="compressed_sides"} 1"#);
}

#[test]
fn the_interval_of_polls_is_known_from_the_second_on() {
    let (metrics, mut info) = (metrics(), info());
    info.protocol = Protocol::Pop3;
    metrics.opened(&info);
    let login = |user: &str, accepted| Observation::Authentication {
        user: Some(user.to_owned()),
        mechanism: Cow::Borrowed("USER"),
        accepted,
    };
    metrics.events(&info, &events(vec![login("joe", true), login("ann", true), login("joe", false)]));
    shows(&metrics, "mailwarden_pop3_poll_interval_seconds_count 0");
    metrics.events(&info, &events(vec![login("joe", true)]));
    shows(&metrics, "mailwarden_pop3_poll_interval_seconds_count 1");
}

#[test]
fn a_certificate_is_shown_when_its_end_is_known() {
    let metrics = metrics();
    metrics.certificate(Certificate::Upstream("provider"), || None);
    metrics.certificate(Certificate::Listener("imaps"), || Some(1_800_000_000));
    metrics.authority(|| Minting { minted: 2, hits: 5 });
    shows(&metrics, r#"mailwarden_certificate_expiry_timestamp_seconds{name="imaps",usage="listener"} 1800000000"#);
    assert!(!metrics.render().unwrap().contains(r#"usage="upstream""#));
    shows(&metrics, "mailwarden_certificates_minted_total 2");
    shows(&metrics, "mailwarden_certificate_cache_hits_total 5");
}

#[test]
fn expressions_that_could_not_be_computed_are_asked_for() {
    let metrics = metrics();
    shows(&metrics, "mailwarden_policy_expression_failures_total 0");
    metrics.expressions(|| 3);
    shows(&metrics, "mailwarden_policy_expression_failures_total 3");
    shows(&metrics, "mailwarden_policy_expression_failures_total 3");
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

#[test]
fn only_what_the_server_refuses_has_a_class() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let answered = [Answered::Upstream, Answered::Policy, Answered::Syntax, Answered::Proxy];
    for (id, by) in (1..).zip(answered) {
        metrics.events(&info, &events(vec![begun(id, "FETCH"), completed(id, by)]));
    }
    shows(&metrics, r#"mailwarden_command_failures_total{class="none",command="FETCH",protocol="imap"} 1"#);
}

#[test]
fn a_command_is_counted_by_what_it_does_whatever_the_last_one_of_its_name_did() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let mut report = Vec::new();
    for (id, does) in [(1, Operation::Download), (2, Operation::Search)] {
        let mut begun = begun(id, "FETCH");
        if let Observation::CommandBegun { command, operation, .. } = &mut begun {
            (*command, *operation) = (Cow::Borrowed("FETCH"), does);
        }
        report.extend([begun, completed(id, Answered::Upstream)]);
    }
    metrics.events(&info, &events(report));
    for does in ["download", "search"] {
        let line = format!(r#"mailwarden_operations_total{{operation="{does}",protocol="imap",result="no"}} 1"#);
        shows(&metrics, &line);
    }
}

#[test]
fn messages_that_come_together_add_up_and_whole_ones_have_a_size() {
    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let retrieved =
        |extent, octets| Observation::Retrieved { id: None, message: MessageRef::default(), extent, octets };
    metrics.events(
        &info,
        &events(vec![
            retrieved(Extent::Whole, 1000),
            retrieved(Extent::Whole, 20),
            retrieved(Extent::Headers, 300),
            retrieved(Extent::Headers, 4),
        ]),
    );
    for line in [
        r#"mailwarden_messages_retrieved_total{extent="whole",protocol="imap"} 2"#,
        r#"mailwarden_retrieved_bytes_total{extent="whole",protocol="imap"} 1020"#,
        r#"mailwarden_retrieved_bytes_total{extent="headers",protocol="imap"} 304"#,
        r#"mailwarden_retrieved_message_bytes_count{protocol="imap"} 2"#,
        r#"mailwarden_retrieved_message_bytes_sum{protocol="imap"} 1020"#,
    ] {
        shows(&metrics, line);
    }
}

#[test]
fn only_what_the_server_answers_leads_to_a_trace() {
    let trace = "0af7651916cd43dd8448eb211c80319c".parse().ok();
    for (completion, by, leads) in [
        (Completion::No, Answered::Upstream, true),
        (Completion::Aborted, Answered::Upstream, false),
        (Completion::No, Answered::Policy, false),
        (Completion::No, Answered::Proxy, false),
    ] {
        let (metrics, info) = (metrics(), SessionInfo { trace, ..info() });
        metrics.opened(&info);
        let mut ended = completed(1, by);
        if let Observation::CommandCompleted { completion: how, .. } = &mut ended {
            *how = completion;
        }
        metrics.events(&info, &events(vec![begun(1, "FETCH"), ended]));
        assert_eq!(metrics.render_openmetrics().contains("trace_id"), leads, "{completion:?} {by:?}");
    }
}

#[test]
fn one_turn_of_eight_is_measured_and_sessions_begin_at_different_ones() {
    let metrics = metrics();
    for session in 0..8 {
        let mut sampler = metrics.sampler(Protocol::Imap, session);
        let chosen: Vec<bool> = (0..16).map(|_| sampler.chooses()).collect();
        assert_eq!(chosen.iter().filter(|chosen| **chosen).count(), 2, "{chosen:?}");
        assert_eq!(chosen.iter().position(|chosen| *chosen), usize::try_from(7 - session).ok());
    }
}

#[test]
fn polls_of_two_listeners_are_not_one_users() {
    let (metrics, mut info) = (metrics(), info());
    info.protocol = Protocol::Pop3;
    for listener in ["pop3s", "other"] {
        info.listener = listener.into();
        metrics.open.open(info.id, Pending::default());
        let (user, mechanism) = (Some("joe".to_owned()), Cow::Borrowed("USER"));
        metrics.events(&info, &events(vec![Observation::Authentication { user, mechanism, accepted: true }]));
    }
    shows(&metrics, "mailwarden_pop3_poll_interval_seconds_count 0");
}

#[test]
fn a_limit_is_hit_once_for_each_time_it_is_reached() {
    use crate::fault::Code;

    let metrics = metrics();
    let took = Duration::from_secs(1);
    metrics.upstream_failed("provider", Code::UpstreamTimeout);
    metrics.handshake(Side::Upstream, Err(Code::UpstreamHandshakeTimeout), took);
    metrics.upstream_failed("provider", Code::UpstreamHandshakeTimeout);
    metrics.handshake(Side::Client, Err(Code::ClientTimeout), took);
    metrics.rejected("imaps", "descriptors");
    metrics.rejected("imaps", "max_sessions");
    for limit in ["connect_time", "upstream_handshake_time", "client_handshake_time", "descriptors", "connections"] {
        shows(&metrics, &format!(r#"mailwarden_limits_hit_total{{limit="{limit}"}} 1"#));
    }
}

#[test]
fn the_runtime_is_as_busy_as_it_says_however_often_it_is_asked() {
    let metrics = metrics();
    for seconds in [3, 5, 5] {
        let busy = Duration::from_secs(seconds);
        metrics.runtime(Runtime { workers: 2, tasks: 7, queued: 1, busy });
    }
    shows(&metrics, "mailwarden_runtime_worker_busy_seconds_total 5");
}

#[test]
fn an_alert_is_what_a_rule_calls_one() {
    use crate::policy::{ActionKind, Decision, Level, Mode};

    let (metrics, info) = (metrics(), info());
    metrics.opened(&info);
    let decided = |alert| {
        let decision = Decision {
            rule: "r".into(),
            action: ActionKind::Deny,
            mode: Mode::Enforce,
            user: None,
            command: "EXPUNGE".into(),
            operation: Operation::Delete,
            effect: Effect::Destroy,
            mailboxes: Vec::new(),
            message: None,
            level: Level::default(),
            tags: Vec::new(),
            alert,
            record: false,
        };
        Observation::Decided { id: CommandId(1), decision: Box::new(decision) }
    };
    metrics.events(&info, &events(vec![decided(true), decided(false)]));
    shows(&metrics, r#"mailwarden_policy_alerts_total{protocol="imap"} 1"#);
    shows(&metrics, r#"mailwarden_policy_decisions_total{action="deny",mode="enforce",rule="r"} 2"#);
}
