//! Hand-made sessions, written, read and printed.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::policy::{ActionKind, Decision, Level, Mode};
use crate::session::{
    Alteration, Answered, CloseReason, CommandId, Completion, Extent, MessageRef, Observation, Said, Speaker, State,
    Violation, ViolationKind,
};
use crate::wire::{Effect, Operation, Side};
use crate::witness::{TlsFacts, Witness};

pub(super) fn info(id: u64) -> SessionInfo {
    SessionInfo {
        client: "127.0.0.1:50000".parse().unwrap(),
        upstream_address: Arc::from("imap.example.org:993"),
        started: "2026-11-02T08:00:00.25Z".parse().unwrap(),
        client_tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
            server_name: Some("localhost".to_owned()),
            subject: None,
            resumed: false,
        }),
        ..SessionInfo::example(id)
    }
}

fn event(micros: u64, what: Observation) -> Event {
    Event { at: Duration::from_micros(micros), what }
}

pub(super) fn said(by: Speaker, id: Option<u32>, text: &str) -> Observation {
    Observation::Said(Said { by, id: id.map(CommandId), text: text.to_owned(), octets: text.len() as u64 + 2 })
}

fn begun(id: u32, tag: &str, command: &'static str, operation: Operation, effect: Effect) -> Observation {
    let (tag, command) = (Some(tag.into()), Cow::Borrowed(command));
    Observation::CommandBegun {
        id: CommandId(id),
        tag,
        command,
        operation,
        effect,
        mailboxes: vec!["INBOX".to_owned()],
        message: None,
    }
}

fn completed(id: u32, completion: Completion, by: Answered, micros: u64) -> Observation {
    let latency = Duration::from_micros(micros);
    Observation::CommandCompleted { id: CommandId(id), completion, code: None, by, latency }
}

/// The batches of a session in which everything happens that can be shown.
fn batches() -> Vec<Vec<Event>> {
    [first_batches(), later_batches()].concat()
}

/// Its first half.
fn first_batches() -> Vec<Vec<Event>> {
    let mailbox = Some("INBOX".into());
    let whole = MessageRef { number: Some(7), uid: Some(12), mailbox, ..MessageRef::default() };
    vec![
        vec![event(900, said(Speaker::Upstream, None, "* OK ready")), event(900, Observation::Greeted)],
        vec![
            event(1200, begun(1, "a1", "LOGIN", Operation::Authenticate, Effect::Session)),
            event(1200, said(Speaker::Client, Some(1), "a1 LOGIN ann ‹secret›")),
        ],
        vec![
            event(32_400, said(Speaker::UpstreamHeld, Some(1), "a1 OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in")),
            event(
                32_400,
                Observation::Altered { to: Side::Client, why: Alteration::Capabilities, removed: 17, added: 0 },
            ),
            event(32_400, said(Speaker::ProxyToClient, Some(1), "a1 OK [CAPABILITY IMAP4rev1] in")),
            event(32_400, completed(1, Completion::Ok, Answered::Upstream, 31_200)),
            event(
                32_400,
                Observation::Authentication {
                    user: Some("ann".to_owned()),
                    mechanism: Cow::Borrowed("LOGIN"),
                    accepted: true,
                },
            ),
            event(32_400, Observation::StateChanged { from: State::NotAuthenticated, to: State::Authenticated }),
        ],
        vec![
            event(44_000, begun(2, "a2", "FETCH", Operation::Download, Effect::Read)),
            event(44_000, said(Speaker::Client, Some(2), "a2 FETCH 7 BODY.PEEK[]")),
        ],
        vec![
            event(812_000, said(Speaker::Upstream, Some(2), "* 7 FETCH (BODY[] {4300121}")),
            event(
                812_000,
                Observation::Said(Said {
                    by: Speaker::Upstream,
                    id: Some(CommandId(2)),
                    text: "‹literal, 4300121 octets›".to_owned(),
                    octets: 4_300_121,
                }),
            ),
            event(
                812_000,
                Observation::Retrieved {
                    id: Some(CommandId(2)),
                    message: whole,
                    extent: Extent::Whole,
                    octets: 4_300_121,
                },
            ),
        ],
    ]
}

pub(super) fn decision() -> Decision {
    Decision {
        rule: "no-expunge".into(),
        action: ActionKind::Deny,
        mode: Mode::Enforce,
        user: Some("ann".into()),
        command: "EXPUNGE".into(),
        operation: Operation::Delete,
        effect: Effect::Destroy,
        mailboxes: vec!["INBOX".to_owned()],
        message: None,
        level: Level::default(),
        tags: Vec::new(),
        alert: false,
        record: false,
    }
}

/// And its second half.
fn later_batches() -> Vec<Vec<Event>> {
    vec![
        vec![
            event(984_000, said(Speaker::Upstream, Some(2), "a2 OK Fetch completed")),
            event(984_000, completed(2, Completion::Ok, Answered::Upstream, 940_000)),
        ],
        vec![
            event(990_000, begun(3, "a3", "EXPUNGE", Operation::Delete, Effect::Destroy)),
            event(990_000, said(Speaker::ClientHeld, Some(3), "a3 EXPUNGE")),
            event(990_000, Observation::Decided { id: CommandId(3), decision: Box::new(decision()) }),
            event(990_000, said(Speaker::ProxyToClient, Some(3), "a3 NO [NOPERM] Deleting is disabled")),
            event(990_000, completed(3, Completion::No, Answered::Policy, 100)),
        ],
        vec![event(
            995_000,
            Observation::Violated(Violation {
                side: Side::Client,
                kind: ViolationKind::BareLineEnd,
                detail: Cow::Borrowed("a line ends in a bare LF"),
            }),
        )],
        vec![event(
            1_240_000,
            Observation::Closed {
                reason: CloseReason::ClientEof,
                detail: "The client closed the connection".to_owned(),
            },
        )],
    ]
}

/// Takes what is written and can be looked at afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn play(witness: &dyn Witness, ids: &[u64]) {
    for id in ids {
        witness.opened(&info(*id));
    }
    for batch in batches() {
        for id in ids {
            witness.events(&info(*id), &batch);
        }
    }
    for id in ids {
        witness.closed(&info(*id), 120, 4_300_300);
    }
}

fn printed(layout: Layout, ids: &[u64]) -> String {
    let sink = Sink::default();
    let printer = LivePrinter::start(layout, sink.clone(), || ()).unwrap();
    play(&printer, ids);
    printer.finish().unwrap();
    sink.text()
}

fn recorded(ids: &[u64]) -> String {
    let sink = Sink::default();
    let recorder = Recorder::start(sink.clone(), "2026-11-02T08:00:00Z".parse().unwrap(), || ()).unwrap();
    play(&recorder, ids);
    recorder.finish().unwrap();
    sink.text()
}

fn read(text: &str) -> Result<Vec<Record>, ReadError> {
    Recording::open(text.as_bytes())?.collect()
}

#[test]
fn prints_a_conversation() {
    insta::assert_snapshot!(printed(Layout::default(), &[1]));
}

#[test]
fn prints_a_conversation_on_a_narrow_terminal() {
    insta::assert_snapshot!(printed(Layout { colour: false, width: Some(72) }, &[1]));
}

#[test]
fn says_which_message_is_marked_for_deletion() {
    let message = Box::new(MessageRef { number: Some(3), unique_id: Some("def".to_owned()), ..MessageRef::default() });
    let deletion = |completion| {
        let (id, tag, command, mailboxes) = (CommandId(1), None, "DELE".into(), Vec::new());
        let (operation, effect, message) = (Operation::Delete, Effect::Destroy, Some(message.clone()));
        let begun = Observation::CommandBegun { id, tag, command, operation, effect, mailboxes, message };
        let answered = completed(1, completion, Answered::Upstream, 2000);
        let mut printer = Printer::new(Layout::default());
        printer.session(&info(1)) + &printer.events(1, &[event(1000, begun), event(3000, answered)])
    };
    let text = deletion(Completion::Ok);
    assert!(text.contains("DELE  OK 2.0 ms; message 3 (def) marked for deletion"), "{text}");
    assert!(!deletion(Completion::No).contains("message 3"));
}

#[test]
fn names_the_session_when_several_are_open() {
    let both = printed(Layout::default(), &[1, 2]);
    assert!(both.contains("#1 C→  a1 LOGIN ann ‹secret›") && both.contains("#2 C→  a1 LOGIN ann ‹secret›"), "{both}");
    assert!(!printed(Layout::default(), &[1]).contains("#1 C→"));
    let mut printer = Printer::new(Layout::default());
    let mut line = |id, text| printer.events(id, &[event(0, said(Speaker::Client, None, text))]);
    assert!(!line(1, "a").contains('#'));
    assert!(line(2, "b").contains("#2 C→"));
    let end = printer.closed(Closed { session: 1, client_octets: 0, upstream_octets: 0 });
    assert!(end.contains("#1 closed"), "{end}");
    let alone = printer.events(2, &[event(0, said(Speaker::Client, None, "c"))]);
    assert!(!alone.contains('#'), "{alone}");
}

#[test]
fn reads_back_what_was_recorded() {
    let records = read(&recorded(&[1, 2])).unwrap();
    let events = |id: u64| -> Vec<Event> {
        let of = |record: &Record| match record {
            Record::Event { session, event } if *session == id => Some(event.clone()),
            Record::Event { .. } | Record::Session(_) | Record::Closed(_) | Record::Gap(_) => None,
        };
        records.iter().filter_map(of).collect()
    };
    assert_eq!(events(1), batches().concat());
    assert_eq!(events(2), batches().concat());
    assert_eq!(records[0], Record::Session(info(1)));
    let last = Closed { session: 2, client_octets: 120, upstream_octets: 4_300_300 };
    assert_eq!(records.last(), Some(&Record::Closed(last)));
}

#[test]
fn prints_a_recording_as_it_was_printed_live() {
    let text = recorded(&[1]);
    let mut printer = Printer::new(Layout::default());
    let mut out = String::new();
    transcribe(Recording::open(text.as_bytes()).unwrap(), None, &mut printer, |part| {
        out.push_str(part);
        Ok(())
    })
    .unwrap();
    assert_eq!(out, printed(Layout::default(), &[1]));
}

#[test]
fn prints_the_one_session_that_is_asked_for() {
    let (text, mut out) = (recorded(&[1, 2]), String::new());
    let recording = Recording::open(text.as_bytes()).unwrap();
    let seen = transcribe(recording, Some(2), &mut Printer::new(Layout::default()), |part| {
        out.push_str(part);
        Ok(())
    });
    assert_eq!(seen.unwrap().into_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(out, printed(Layout::default(), &[2]));
}

#[test]
fn writes_one_self_describing_file() {
    let text = recorded(&[1]);
    let lines: Vec<&str> = text.lines().collect();
    insta::assert_snapshot!([lines[0], lines[1], lines[2], lines[5], lines[lines.len() - 1]].join("\n"), @r#"
    {"mailwarden_recording":1,"created":"2026-11-02T08:00:00Z","program":"mailwarden 0.1.0"}
    {"session":{"id":1,"listener":"imaps","protocol":"imap","client":"127.0.0.1:50000","upstream":"provider","upstream_address":"imap.example.org:993","started":"2026-11-02T08:00:00.25Z","client_tls":{"version":"TLSv1.3","cipher":"TLS13_AES_256_GCM_SHA384","server_name":"localhost","resumed":false}}}
    {"s":1,"us":900,"event":"said","by":"upstream","text":"* OK ready","octets":12}
    {"s":1,"us":1200,"event":"said","by":"client","id":1,"text":"a1 LOGIN ann ‹secret›","octets":27}
    {"closed":{"s":1,"client_octets":120,"upstream_octets":4300300}}
    "#);
}

#[test]
fn keeps_a_recording_to_its_owner_and_never_overwrites_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("case.mwr");
    let recorder = Recorder::create(&path, || ()).unwrap();
    play(&recorder, &[1]);
    recorder.finish().unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Recorder::create(&path, || ()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn writes_a_session_again_when_more_is_known_of_it() {
    let sink = Sink::default();
    let recorder = Recorder::start(sink.clone(), Timestamp::UNIX_EPOCH, || ()).unwrap();
    recorder.opened(&info(1));
    recorder.events(&info(1), &[]);
    let more = SessionInfo { upstream_tls: info(1).client_tls, ..info(1) };
    recorder.events(&more, &[]);
    recorder.finish().unwrap();
    assert_eq!(read(&sink.text()).unwrap(), [Record::Session(info(1)), Record::Session(more)]);
}

#[test]
fn says_where_and_why_a_recording_cannot_be_read() {
    let head = "{\"mailwarden_recording\":1,\"created\":\"2026-11-02T08:00:00Z\",\"program\":\"p\"}\n";
    let after = |line: &str| format!("{head}{line}");
    let table = [
        String::new(),
        "From: ann\n".to_owned(),
        "{}\n".to_owned(),
        "{\"mailwarden_recording\":2,\"anything\":true}\n".to_owned(),
        "{\"mailwarden_recording\":1}\n".to_owned(),
        after("{\"s\":1\n"),
        after("{\"x\":1}\n"),
        after("{\"s\":1,\"us\":5,\"event\":\"sung\"}\n"),
        after("{\"s\":1,\"event\":\"greeted\"}\n"),
        after("{\"gap\":{\"lines\":3}}\n{\"s\":1,\"us\":5,\"ev"),
        after(&("x".repeat(1 << 20) + "\n")),
    ];
    let errors: Vec<String> = table.iter().map(|text| read(text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn the_manual_knows_every_word_of_the_format() {
    let manual = include_str!("../../docs/recording.md");
    let words = [
        Operation::ALL.iter().map(|word| word.as_label()).collect::<Vec<_>>(),
        Effect::ALL.iter().map(|word| word.as_label()).collect(),
        Alteration::ALL.iter().map(|word| word.as_label()).collect(),
        ViolationKind::ALL.iter().map(|word| word.as_label()).collect(),
        CloseReason::ALL.iter().map(|word| word.as_label()).collect(),
        Speaker::ALL.iter().map(|word| word.as_label()).collect(),
        Completion::ALL.iter().map(|word| word.as_label()).collect(),
        Answered::ALL.iter().map(|word| word.as_label()).collect(),
        State::ALL.iter().map(|word| word.as_label()).collect(),
        Extent::ALL.iter().map(|word| word.as_label()).collect(),
    ];
    for word in words.concat() {
        assert!(manual.contains(&format!("`{word}`")), "`{word}` is missing in docs/recording.md");
    }
}
