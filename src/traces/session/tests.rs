//! What sessions report, as spans.

use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::metrics::Metrics;
use crate::policy::{ActionKind, Level, Mode};
use crate::session::{Extent, MessageRef, Violation, ViolationKind};
use crate::traces::Share;

struct Rig {
    trace: SessionTrace,
    info: SessionInfo,
    since: Instant,
    spans: Receiver<Span>,
}

fn rig() -> Rig {
    let (queue, spans) = mpsc::channel(10_000);
    let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
    let tracer = Arc::new(Tracer { share: Share::try_from(1.0).unwrap(), queue, metrics });
    let id = tracer.choose().unwrap();
    let facts = TlsFacts {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS13_AES_128_GCM_SHA256".to_owned(),
        server_name: Some("hunter2".to_owned()),
        subject: Some("hunter2".into()),
        resumed: false,
    };
    let info = SessionInfo {
        started: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        trace: Some(id),
        client_tls: Some(facts),
        ..SessionInfo::example(7)
    };
    let since = Instant::now();
    Rig { trace: SessionTrace::begin(tracer, id, &info, since), info, since, spans }
}

impl Rig {
    fn tell(&mut self, millis: u64, what: Observation) {
        self.trace.events(&[Event { at: Duration::from_millis(millis), what }]);
    }

    fn begin(&mut self, millis: u64, id: u32, command: impl Into<Cow<'static, str>>) {
        self.tell(
            millis,
            Observation::CommandBegun {
                id: CommandId(id),
                tag: Some("hunter2".into()),
                command: command.into(),
                operation: Operation::Download,
                effect: Effect::Read,
                mailboxes: vec!["hunter2".to_owned()],
                message: None,
            },
        );
    }

    fn complete(&mut self, millis: u64, id: u32, completion: Completion, code: Option<&str>, by: Answered) {
        let code = code.map(Into::into);
        let latency = Duration::from_millis(4);
        self.tell(millis, Observation::CommandCompleted { id: CommandId(id), completion, code, by, latency });
    }

    fn end(self) -> Vec<Span> {
        let Self { trace, info, since, mut spans } = self;
        trace.end(&info, since + Duration::from_millis(100), 11, 22);
        let mut all = Vec::new();
        while let Ok(span) = spans.try_recv() {
            all.push(span);
        }
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
        all
    }
}

fn value<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[test]
fn a_command_is_a_span_of_its_session() {
    let mut rig = rig();
    rig.begin(10, 1, "UID FETCH");
    let message = MessageRef { mailbox: Some("hunter2".into()), ..MessageRef::default() };
    rig.tell(12, Observation::Retrieved { id: Some(CommandId(1)), message, extent: Extent::Whole, octets: 300 });
    rig.trace.turn(Duration::from_micros(30));
    rig.complete(15, 1, Completion::Ok, Some("HIGHESTMODSEQ"), Answered::Upstream);
    // its last turn counts too
    assert!(rig.spans.try_recv().is_err());
    rig.trace.turn(Duration::from_micros(20));
    rig.trace.turn(Duration::from_millis(1));
    rig.tell(99, Observation::Closed { reason: CloseReason::Logout, detail: "hunter2".to_owned() });
    let spans = rig.end();
    let [command, root] = &spans[..] else { panic!("{spans:?}") };
    let second = 1_700_000_000_000_000_000;
    assert_eq!((command.name, command.start, command.end), ("UID FETCH", second + 10_000_000, second + 15_000_000));
    assert_eq!((command.parent, command.trace), (root.id, root.trace));
    assert_ne!(command.id, root.id);
    assert!(!command.failed && !root.failed);
    for (key, expected) in [
        ("mailwarden.command_id", Value::Number(1)),
        ("mailwarden.operation", Value::Word("download")),
        ("mailwarden.effect", Value::Word("read")),
        ("mailwarden.result", Value::Word("ok")),
        ("mailwarden.answered_by", Value::Word("upstream")),
        ("mailwarden.response_code", Value::Word("HIGHESTMODSEQ")),
        ("mailwarden.messages", Value::Number(1)),
        ("mailwarden.message_octets", Value::Number(300)),
        ("mailwarden.upstream_seconds", Value::Seconds(0.004)),
        ("mailwarden.proxy_seconds", Value::Seconds(0.000_05)),
    ] {
        assert_eq!(value(command, key), Some(&expected), "{key}");
    }
    assert_eq!((root.name, root.parent, root.start, root.end), ("IMAP session", 0, second, second + 100_000_000));
    for (key, expected) in [
        ("mailwarden.session", Value::Number(7)),
        ("mailwarden.listener", Value::Name("imaps".into())),
        ("mailwarden.upstream", Value::Name("provider".into())),
        ("mailwarden.client_octets", Value::Number(11)),
        ("mailwarden.upstream_octets", Value::Number(22)),
        ("mailwarden.commands", Value::Number(1)),
        ("mailwarden.client_tls", Value::Word("1.3")),
        ("mailwarden.close_reason", Value::Word("logout")),
    ] {
        assert_eq!(value(root, key), Some(&expected), "{key}");
    }
}

#[test]
fn a_refusal_is_a_failure_of_whoever_refused() {
    let mut rig = rig();
    for (id, completion, by) in [
        (1, Completion::No, Answered::Upstream),
        (2, Completion::No, Answered::Policy),
        (3, Completion::Bad, Answered::Syntax),
    ] {
        rig.begin(1, id, "NOOP");
        rig.complete(2, id, completion, Some("hunter2"), by);
    }
    rig.begin(3, 4, "IDLE".to_owned());
    rig.tell(4, Observation::Closed { reason: CloseReason::UpstreamEof, detail: String::new() });
    let spans = rig.end();
    let told: Vec<_> = spans.iter().map(|span| (span.name, span.failed)).collect();
    // a name that the client chose is not shown
    assert_eq!(told, [("NOOP", true), ("NOOP", false), ("NOOP", false), ("other", true), ("IMAP session", true)]);
    assert_eq!(value(&spans[0], "mailwarden.response_code"), Some(&Value::Word("other")));
    assert_eq!(value(&spans[1], "mailwarden.upstream_seconds"), None);
    assert_eq!(value(&spans[3], "mailwarden.result"), Some(&Value::Word("aborted")));
    assert_eq!(spans[3].end, spans[4].end);
}

#[test]
fn a_command_that_a_rule_holds_begins_when_the_rule_has_spoken() {
    let mut rig = rig();
    let decision = Decision {
        rule: "slowly".into(),
        action: ActionKind::Throttle,
        mode: Mode::Enforce,
        user: Some("hunter2".into()),
        command: "FETCH".into(),
        operation: Operation::Download,
        effect: Effect::Read,
        mailboxes: vec!["hunter2".to_owned()],
        message: None,
        level: Level::Info,
        tags: Vec::new(),
        alert: false,
        record: false,
    };
    rig.tell(10, Observation::Decided { id: CommandId(1), decision: Box::new(decision) });
    rig.begin(30, 1, "FETCH");
    rig.complete(40, 1, Completion::Ok, None, Answered::Upstream);
    let spans = rig.end();
    assert_eq!(spans[0].end - spans[0].start, 30_000_000);
    assert_eq!(value(&spans[0], "mailwarden.rule"), Some(&Value::Name("slowly".into())));
    assert_eq!(value(&spans[0], "mailwarden.rule_action"), Some(&Value::Word("throttle")));
}

#[test]
fn a_session_without_end_has_a_trace_with_one() {
    let mut rig = rig();
    for id in 1..=u32::try_from(MOST).unwrap() + 5 {
        rig.begin(1, id, "NOOP");
        rig.complete(1, id, Completion::Ok, None, Answered::Upstream);
        rig.trace.turn(Duration::ZERO);
        let detail = "".into();
        rig.tell(1, Observation::Violated(Violation { side: Side::Client, kind: ViolationKind::Nul, detail }));
    }
    let spans = rig.end();
    let root = spans.last().unwrap();
    assert_eq!((spans.len() as u64, root.notes.len()), (MOST + 1, NOTES));
    assert_eq!(value(root, "mailwarden.commands_left_out"), Some(&Value::Number(5)));
    let ids: std::collections::BTreeSet<u64> = spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn handshakes_and_faults_are_told() {
    let mut rig = rig();
    let fault = Fault::new(crate::fault::Code::Expired, "hunter2", "renew it");
    let facts = rig.info.client_tls.clone().unwrap();
    let since = rig.since;
    rig.trace.handshake(Side::Client, since, since + Duration::from_millis(2), Ok(&facts));
    rig.trace.handshake(
        Side::Upstream,
        since + Duration::from_millis(3),
        since + Duration::from_millis(9),
        Err(&fault),
    );
    rig.trace.upstream_failed(&fault, since + Duration::from_millis(9));
    let spans = rig.end();
    let told: Vec<_> = spans.iter().map(|span| (span.name, span.failed, span.end - span.start)).collect();
    assert_eq!(told[..2], [("TLS with the client", false, 2_000_000), ("TLS with the upstream", true, 6_000_000)]);
    assert_eq!(value(&spans[0], "tls.protocol.version"), Some(&Value::Word("1.3")));
    assert_eq!(value(&spans[1], "mailwarden.code"), Some(&Value::Word("MW-2041")));
    assert_eq!(spans[2].notes[0].name, "upstream failed");
}
