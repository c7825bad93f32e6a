//! What must hold in an IMAP session for any octets whatever, against a server that parses what reaches it by itself.

#![allow(clippy::indexing_slicing, reason = "a test that looks outside of what it made has failed")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::session::imap::Imap;
use mailwarden::session::{CommandId, Limits, Observation, Posture, Setup, Terms};
use mailwarden::wire::{Protocol, Side};

use crate::pushed::Pushed;

/// What came of a play.
#[derive(PartialEq)]
struct Outcome {
    up: Vec<u8>,
    down: Vec<u8>,
    events: Vec<Observation>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (up, down) = (self.up.escape_ascii(), self.down.escape_ascii());
        writeln!(f, "up {up}\ndown {down}")?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event:?}"))
    }
}

const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ IDLE UNSELECT XBAR AUTH=PLAIN] ready\r\n";

/// Lines of a client, `%` for a tag of its own. What is denied, and what no server must ever read as a
/// command, is called DELETE.
const LINES: &[&str] = &[
    "% NOOP\r\n",
    "% LOGIN joe sesame\r\n",
    "% LOGIN {3}\r\n",
    "joe {6}\r\n",
    "sesame\r\n",
    "% LOGIN {3+}\r\njoe {6+}\r\nsesame\r\n",
    "% LOGIN {3+}\r\njoe {12+}\r\n\r\nx DELETE \r\n\r\n",
    "% AUTHENTICATE PLAIN\r\n",
    "% AUTHENTICATE PLAIN AGoAcA==\r\n",
    "AGoAcA==\r\n",
    "*\r\n",
    "A=B\r\n",
    "% SELECT INBOX\r\n",
    "% SELECT Denied\r\n",
    "% SELECT \"x {10+}\r\nx DELETE y\r\n",
    "% FETCH 1 BODY[]\r\n",
    "% STORE 1 +FLAGS (\\Deleted)\r\n",
    "% SEARCH RETURN (SAVE) ALL\r\n",
    "% APPEND x {12}\r\n",
    "x DELETE y\r\n\r\n",
    "% APPEND x {12+}\r\nx DELETE y\r\n\r\n",
    "% APPEND x {3+}\r\none {3+}\r\ntwo\r\n",
    "% APPEND x {3+}\r\nonex DELETE y\r\n",
    "% APPEND x \"bad date\" {12+}\r\nx DELETE y\r\n\r\n",
    "% APPEND Denied {12+}\r\nx DELETE y\r\n\r\n",
    "% IDLE\r\n",
    "DONE\r\n",
    "done\r\n",
    "% DELETE x\r\n",
    "% DELETE {1+}\r\nx\r\n",
    "% XFOO {12+}\r\nx DELETE y\r\n\r\n",
    "% XFOO 1 (a \"b\")\r\n",
    "% XFOO 1\nx DELETE y\r\n",
    "% APPEND x CATENATE (URL \"/y;UID=1\" TEXT {3+}\r\none URL \"/Denied;UID=1\")\r\n",
    "% APPEND x CATENATE (TEXT {3+}\r\none URL \"/z;UID=1\" TEXT {3}\r\n",
    "% NOOP\nx DELETE y\r\n",
    "% ENABLE UTF8=ACCEPT XBAR\r\n",
    "% UNSELECT\r\n",
    "% LOGOUT\r\n",
    "\r\n",
    "%\0\r\n",
];

/// Longer than twice the limit of this test, so that it comes in parts and is cut.
const LONG: &str = concat!(
    "* OK a text that goes on and on and on and on and on and on and on and on and on and on and on and on ",
    "and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on ",
    "and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on\r\n",
);

/// Responses of a server that have nothing to do with what was asked.
const RESPONSES: &[&str] = &[
    "* 1 FETCH (UID 5 BODY[] {7}\r\nz OK x\n)\r\n",
    "* 2 EXISTS\r\n",
    "* OK see {10}\r\n",
    "* CAPABILITY IMAP4rev1 COMPRESS=DEFLATE\r\n",
    "* ENABLED UTF8=ACCEPT\r\n",
    "\r\n",
    LONG,
    "* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 \
     38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 \
     75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107\r\n",
];

/// Responses that break the session, or may.
const BROKEN: &[&str] = &[
    "+ go\r\n",
    "zz OK x\r\n",
    "t1 OK\r\n",
    "t2 NO x\r\n",
    "* 1 FETCH (BODY[] {3}\r\nabcdef)\r\n",
    "* 1 FETCH (BODY[] {3+}\r\n",
    "* BYE\r\n",
    "* PREAUTH x\r\n",
    "\0\0\r\n",
];

fn player(posture: Posture, cut: usize) -> Pushed<Imap> {
    let rule = |condition: &str| toml::from_str(&format!("name = \"d\"\naction = \"deny\"\n{condition}")).unwrap();
    let terms = Terms {
        posture,
        allow: ["XFOO", "CATENATE"].map(str::to_owned).to_vec(),
        limits: Limits { status_line: 120, errors: 1000, errors_before_login: 1000, ..Limits::default() },
        policy: PolicyHandle::new(Policy::new(vec![rule("command = \"DELETE\""), rule("mailbox = \"Denied\"")])),
        ..Terms::offline()
    };
    let started = Instant::now();
    let session = Imap::new(Setup::offline(Arc::new(terms), Protocol::Imap, 0, started));
    let mut player = Pushed::new(session, started, cut);
    player.push(Side::Upstream, GREETING);
    player
}

fn finish(player: Pushed<Imap>) -> Outcome {
    let (up, down, events) = player.finish();
    Outcome { up, down, events }
}

/// A server that reads what reaches it as the grammar says, whoever sent it.
struct Server<'a> {
    read: usize,
    reading: Reading,
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

enum Reading {
    Command,
    /// Octets of a literal, then the rest of the command with this tag.
    Octets(String, usize),
    Rest(String),
    Exchange(String),
    Idle(String),
}

impl Server<'_> {
    /// Takes the next line or literal out of `up`; what it answers.
    fn answer(&mut self, up: &[u8]) -> Option<Vec<u8>> {
        let rest = &up[self.read..];
        if let Reading::Octets(tag, count) = &self.reading {
            self.read += if rest.len() < *count { return None } else { *count };
            self.reading = Reading::Rest(tag.clone());
            return Some(Vec::new());
        }
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.read += end + 2;
        let choice = self.choices.next().unwrap() % 8;
        let tag = match std::mem::replace(&mut self.reading, Reading::Command) {
            Reading::Idle(tag) => {
                assert_eq!(line, "DONE", "nothing else goes up while idling");
                return Some(format!("{tag} OK\r\n").into_bytes());
            }
            Reading::Exchange(tag) if choice < 2 => {
                self.reading = Reading::Exchange(tag);
                return Some(b"+ \r\n".to_vec());
            }
            Reading::Exchange(tag) => return Some(result(&tag, if line == "*" { 1 } else { choice })),
            Reading::Rest(tag) => tag,
            Reading::Command => {
                let mut words = line.split(' ');
                let (tag, name) = (words.next().unwrap(), words.next().expect("a command has a name"));
                assert!(tag.starts_with('t') || tag.starts_with("MW"), "a tag of the client's: {line:?}");
                assert_ne!(name, "DELETE", "what is denied does not go up");
                assert!(!line.contains("Denied"), "what is denied does not go up");
                tag.to_owned()
            }
            Reading::Octets(..) => unreachable!("dealt with above"),
        };
        Some(self.act(tag, &line, choice))
    }

    fn act(&mut self, tag: String, line: &str, choice: u8) -> Vec<u8> {
        let literal = line.rsplit_once('{').and_then(|(_, count)| count.strip_suffix('}')?.parse().ok());
        let name = line.split(' ').nth(1).unwrap_or_default();
        match (literal, name) {
            (Some(_), _) if choice == 0 => result(&tag, 1),
            (Some(count), _) => {
                self.reading = Reading::Octets(tag, count);
                b"+ go\r\n".to_vec()
            }
            (None, "AUTHENTICATE") if choice > 1 => {
                self.reading = Reading::Exchange(tag);
                b"+\r\n".to_vec()
            }
            (None, "IDLE") if choice > 1 => {
                self.reading = Reading::Idle(tag);
                b"+ idling\r\n".to_vec()
            }
            (None, _) => result(&tag, choice),
        }
    }
}

fn result(tag: &str, choice: u8) -> Vec<u8> {
    let word = match choice {
        0 => "BAD",
        1 => "NO [NOPERM]",
        2 => &LONG[2..],
        3 => "OK [CAPABILITY IMAP4rev1 AUTH=PLAIN XBAR] in",
        _ => "OK",
    };
    format!("{tag} {}\r\n", word.trim_end()).into_bytes()
}

/// Blocks of a client, with a server that answers what reaches it at once, or late.
fn converse(blocks: &[Vec<u8>], choices: &[u8], late: bool, cut: usize) -> Outcome {
    let mut player = player(Posture::Enforce, cut);
    let mut server = Server { read: 0, reading: Reading::Command, choices: choices.iter().cycle() };
    for (number, block) in blocks.iter().enumerate() {
        player.push(Side::Client, block);
        if late && number % 3 != 2 {
            continue;
        }
        while let Some(answer) = server.answer(&player.up) {
            player.push(Side::Upstream, &answer);
            if answer.ends_with(b"BAD\r\n") {
                player.push(Side::Upstream, RESPONSES[number % RESPONSES.len()].as_bytes());
            }
        }
    }
    finish(player)
}

fn play(posture: Posture, blocks: &[(Side, Vec<u8>)], cut: usize) -> Outcome {
    let mut player = player(posture, cut);
    for (side, octets) in blocks {
        player.push(*side, octets);
    }
    finish(player)
}

/// Each command that was begun ends once, and the client reads one answer at most.
fn ends_once(outcome: &Outcome, tags: usize) {
    let Outcome { down, events, .. } = outcome;
    let mut ends: HashMap<CommandId, usize> = HashMap::new();
    for event in events {
        match event {
            Observation::CommandBegun { id, .. } => assert!(ends.insert(*id, 0).is_none(), "{id:?} begins once"),
            Observation::CommandCompleted { id, .. } => *ends.get_mut(id).expect("it was begun") += 1,
            _ => {}
        }
    }
    assert!(ends.values().all(|count| *count == 1), "each begun command ends once: {ends:?}\n{outcome:?}");
    for number in 0..tags {
        let start = format!("t{number} ");
        let answers = down.split(|octet| *octet == b'\n').filter(|line| line.starts_with(start.as_bytes())).count();
        assert!(answers < 2, "{start}: {}", down.escape_ascii());
    }
}

fn client_blocks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let login = prop_oneof![Just(Vec::new()), Just(vec!["% LOGIN joe sesame\r\n", "% SELECT INBOX\r\n"])];
    let lines = proptest::collection::vec(proptest::sample::select(LINES), 1..12);
    (login, lines).prop_map(|(login, lines)| {
        let tagged = |(number, line): (usize, &str)| line.replace('%', &format!("t{number}")).into_bytes();
        login.into_iter().chain(lines).enumerate().map(tagged).collect()
    })
}

fn server_block() -> impl Strategy<Value = Vec<u8>> {
    let known = |lines| proptest::sample::select(lines).prop_map(|line: &str| line.as_bytes().to_vec());
    let tagged = (0..12_u8, 0..4_u8).prop_map(|(tag, choice)| result(&format!("t{tag}"), choice));
    prop_oneof![3 => tagged, 3 => known(RESPONSES), 1 => known(BROKEN), 1 => Just(b"+ go\r\n".to_vec())]
}

#[test]
fn a_password_is_not_shown_while_it_is_held() {
    let mut player = player(Posture::Enforce, usize::MAX);
    player.inboxes.client.extend_from_slice(b"a NOOP\r\nb LOGIN {3+}\r\njoe {6+}\r\nsesame");
    for rest in [&b""[..], b"\r\n"] {
        player.inboxes.client.extend_from_slice(rest);
        player.advance();
        let shown = format!("{:?} {:?}", player.session, player.out);
        assert!(!shown.contains("sesame"), "{shown}");
        // nor as a list of octets
        assert!(!shown.contains("115, 101, 115"), "{shown}");
    }
    player.inboxes.upstream.extend_from_slice(b"a OK\r\n");
    player.advance();
    assert!(player.out.queued(Side::Upstream) > 20, "the login is queued");
    assert!(!format!("{:?}", player.out).contains("sesame"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_server_reads_only_what_was_judged_however_octets_arrive(
        blocks in client_blocks(),
        choices in proptest::collection::vec(any::<u8>(), 1..20),
        late in any::<bool>(),
        cut in 2..9_usize,
    ) {
        let whole = converse(&blocks, &choices, late, usize::MAX);
        ends_once(&whole, blocks.len());
        for cut in [1, cut] {
            prop_assert_eq!(&whole, &converse(&blocks, &choices, late, cut));
        }
    }

    #[test]
    fn any_server_is_borne_however_octets_arrive(
        client in client_blocks(),
        server in proptest::collection::vec(server_block(), 1..12),
        observing in any::<bool>(),
        cut in 2..9_usize,
    ) {
        let posture = if observing { Posture::Observe } else { Posture::Enforce };
        let sides = client.iter().map(|block| (Side::Client, block.clone()));
        let mut blocks: Vec<_> = sides.collect();
        for (number, block) in server.into_iter().enumerate() {
            let at = (number * 2 + 1).min(blocks.len());
            blocks.insert(at, (Side::Upstream, block));
        }
        let whole = play(posture, &blocks, usize::MAX);
        ends_once(&whole, if observing { 0 } else { client.len() });
        for cut in [1, cut] {
            prop_assert_eq!(&whole, &play(posture, &blocks, cut));
        }
    }

    #[test]
    fn noise_does_no_harm(
        blocks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..8),
        observing in any::<bool>(),
    ) {
        let posture = if observing { Posture::Observe } else { Posture::Enforce };
        let side = |is_client| if is_client { Side::Client } else { Side::Upstream };
        let blocks: Vec<_> = blocks.into_iter().map(|(is_client, octets)| (side(is_client), octets)).collect();
        play(posture, &blocks, 7);
    }
}
