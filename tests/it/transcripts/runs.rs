//! Runs of like commands in IMAP, and what answers them: taken together or octet by octet, the same comes of them.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use mailwarden::policy::{Policy, PolicyHandle, Rule};
use mailwarden::session::imap::Imap;
use mailwarden::session::{Compression, Limits, Observation, Places, Posture, Setup, Terms};
use mailwarden::wire::{Protocol, Side};

use crate::pushed::Pushed;

/// What came of a play: octets up, octets down, facts.
type Outcome = (String, String, Vec<Observation>);

/// Rules under which runs are more than runs.
const RULES: [&str; 10] = [
    "",
    "action = 'deny'\ncommand = 'STORE'",
    "action = 'deny'\ncommand = 'FETCH'\nmode = 'observe'",
    "action = 'allow'\ncommand = 'STORE'\nrecord = true",
    "action = 'throttle'\ncommand = 'COPY'\nthrottle = { delay = '1s' }",
    "action = 'rewrite'\nanswer = 'completion'\ncommand = 'FETCH'\nrewrite = { text = 'other' }",
    "action = 'deny'\nmailbox = 'Secret'",
    "action = 'deny'\nuser = 'nobody'",
    "action = 'rewrite'\nmailbox = 'Other'\nrewrite = { mailbox = 'Else' }",
    "action = 'deny'\nwhen = 'messages > 1 && !(\"\\\\Seen\" in flags)'",
];

#[derive(Debug, Clone)]
struct Setting {
    rule: &'static str,
    observe: bool,
    transcript: bool,
    in_flight: usize,
    compress: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    let parts = (proptest::sample::select(&RULES[..]), any::<bool>(), any::<bool>(), 1_usize..9, any::<bool>());
    parts.prop_map(|(rule, observe, transcript, in_flight, compress)| Setting {
        rule,
        observe,
        transcript,
        in_flight,
        compress,
    })
}

fn player(setting: &Setting) -> Pushed<Imap> {
    let started = Instant::now();
    let rule = |text: &str| toml::from_str::<Rule>(&format!("name = 'r'\n{text}")).expect("a rule");
    let rules = Some(setting.rule).filter(|text| !text.is_empty()).map(rule);
    let terms = Terms {
        posture: if setting.observe { Posture::Observe } else { Posture::Enforce },
        compression: Compression { upstream: setting.compress, places: Places::new(2), ..Compression::default() },
        limits: Limits { status_line: 60, in_flight: setting.in_flight, ..Limits::default() },
        policy: PolicyHandle::new(Policy::new(rules.into_iter().collect())),
        transcript: setting.transcript,
        ..Terms::offline()
    };
    Pushed::new(Imap::new(Setup::offline(Arc::new(terms), Protocol::Imap, 0, started)), started, usize::MAX)
}

fn converse(setting: &Setting, blocks: &[Vec<(usize, usize, usize)>], answers: &[(u8, bool)], cut: usize) -> Outcome {
    let (mut player, mut kinds) = (player(setting), answers.iter().cycle());
    player.push(Side::Upstream, b"* OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS] hi\r\n");
    player.push(Side::Client, b"l LOGIN u p\r\n");
    player.push(Side::Upstream, b"l OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS COMPRESS=DEFLATE] in\r\n");
    if player.up.ends_with(b"COMPRESS DEFLATE\r\n") {
        let own = player.new_lines_up().pop().unwrap_or_default();
        player.push(Side::Upstream, format!("{} NO not now\r\n", tag(&own)).as_bytes());
    }
    player.push(Side::Client, b"y SELECT INBOX\r\n");
    player.push(Side::Upstream, b"y OK [READ-WRITE] in\r\n");
    player.new_lines_up();
    player.cut = cut;
    let mut held = Vec::new();
    for block in blocks {
        player.push(Side::Client, text_of(block).as_bytes());
        for _ in 0..20 {
            let lines = player.new_lines_up();
            if lines.is_empty() && held.is_empty() {
                break;
            }
            let mut replies = std::mem::take(&mut held);
            for (number, line) in lines.iter().enumerate() {
                let (kind, reversed) = kinds.next().expect("repeated for ever");
                let reply = answer(&tag(line), *kind, number + 1);
                match (kind % 16, reversed) {
                    (9, _) => held.push(reply),
                    (_, true) => replies.insert(0, reply),
                    (_, false) => replies.push(reply),
                }
            }
            player.push(Side::Upstream, replies.concat().as_bytes());
        }
    }
    let (up, down, events) = player.finish();
    (up.escape_ascii().to_string(), down.escape_ascii().to_string(), events)
}

fn tag(line: &[u8]) -> String {
    String::from_utf8_lossy(line).split(' ').next().unwrap_or_default().to_owned()
}

fn answer(tag: &str, kind: u8, number: usize) -> String {
    match kind % 16 {
        0..=4 => format!("* {number} FETCH (FLAGS (\\Seen))\r\n{tag} OK done\r\n"),
        5 => format!("* {number} FETCH (UID 7 FLAGS ())\r\n* 2 FETCH (FLAGS ())\r\n{tag} OK done\r\n"),
        6 => format!("{tag} OK [MODIFIED 7] done\r\n"),
        7 => format!("{tag} NO no\r\n"),
        8 => format!("* 1 EXPUNGE\r\n{tag} OK done\r\n"),
        9 => format!("{tag} OK late\r\n"),
        10 => format!("{tag} OK {}\r\n", "x".repeat(70)),
        11 => format!("* LIST () \"/\" Secret\r\n{tag} OK done\r\n"),
        12 => format!("* OK [UIDVALIDITY 9] hm\r\n{tag} OK done {{3}}\r\n"),
        13 => format!("* {number} FETCH (BODY[] {{3}}\r\nabc)\r\n{tag} OK done\r\n"),
        14 => format!("{tag} OK done\r\n{tag} OK twice\r\n"),
        _ => format!("{tag} OK \r\n"),
    }
}

fn text_of(block: &[(usize, usize, usize)]) -> String {
    let mut count = 0;
    let lines = block.iter().map(|(tag, command, number)| {
        count += 1;
        let tag = match tag % 14 {
            0..=6 => format!("a{count}"),
            7 => format!("b{number}"),
            8 => format!("t{count:015}"),
            9 => format!("t{count:016}"),
            10 => format!("t{count:063}"),
            11 => format!("t{count:064}"),
            12 => format!("MW{number}"),
            _ => "a1".to_owned(),
        };
        let command = match command % 12 {
            0..=4 => format!("FETCH {number} (FLAGS)"),
            5 => format!("UID FETCH {number} (FLAGS)"),
            6 | 7 => format!("STORE {number} +FLAGS (\\Seen)"),
            8 => format!("COPY {number}:* Secret"),
            9 => format!("COPY {number} Other"),
            10 => "NOOP".to_owned(),
            _ => format!("FETCH 0{number} (FLAGS)"),
        };
        format!("{tag} {command}\r\n")
    });
    lines.collect()
}

fn blocks() -> impl Strategy<Value = Vec<Vec<(usize, usize, usize)>>> {
    let line = (0_usize..14, 0_usize..12, 1_usize..4);
    // the same command several times
    let run = (line, 1_usize..6).prop_map(|(line, times)| vec![line; times]);
    proptest::collection::vec(proptest::collection::vec(run, 1..6).prop_map(|runs| runs.concat()), 1..4)
}

proptest! {
    #[test]
    fn a_run_is_what_its_lines_are(
        setting in setting(),
        blocks in blocks(),
        answers in proptest::collection::vec((any::<u8>(), proptest::bool::weighted(0.1)), 1..12),
        cut in 1_usize..60,
    ) {
        let (up, down, events) = converse(&setting, &blocks, &answers, usize::MAX);
        let (cut_up, cut_down, cut_events) = converse(&setting, &blocks, &answers, cut);
        prop_assert_eq!(up, cut_up);
        prop_assert_eq!(down, cut_down);
        prop_assert_eq!(events, cut_events);
    }
}
