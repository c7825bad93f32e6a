//! What must hold for any octets whatever, in POP3.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use mailwarden::session::pop3::Pop3;
use mailwarden::session::{Limits, Observation, Posture, Setup, Terms};
use mailwarden::wire::{Protocol, Side};

use crate::pushed::Pushed;

/// What came of a play: octets up, octets down, facts.
type Outcome = (Vec<u8>, Vec<u8>, Vec<Observation>);

fn player(posture: Posture, cut: usize) -> Pushed<Pop3> {
    let limits =
        Limits { sasl_line: 40, status_line: 30, errors: 1000, errors_before_login: 1000, ..Limits::default() };
    let terms = Arc::new(Terms { posture, limits, ..Terms::offline() });
    let started = Instant::now();
    Pushed::new(Pop3::new(Setup::offline(terms, Protocol::Pop3, 0, started)), started, cut)
}

/// Plays blocks of octets, each from one side, in pieces of `cut`.
fn play(posture: Posture, blocks: &[(Side, Vec<u8>)], cut: usize) -> Outcome {
    let mut player = player(posture, cut);
    for (side, octets) in blocks {
        player.push(*side, octets);
    }
    player.finish()
}

/// Plays blocks of a client with a server that answers each line that reaches it, as `answers` say.
fn converse(blocks: &[Vec<u8>], answers: &[(u8, Vec<u8>)], cut: usize) -> Outcome {
    let (mut player, mut answers) = (player(Posture::Enforce, cut), answers.iter().cycle());
    let mut in_exchange = false;
    player.push(Side::Upstream, b"+OK hi <1.2@x>\r\n");
    for block in blocks {
        player.push(Side::Client, block);
        loop {
            let lines = player.new_lines_up();
            if lines.is_empty() {
                break;
            }
            let mut replies = Vec::new();
            for line in &lines {
                let (kind, body) = answers.next().expect("answers are repeated for ever");
                // behind a continuation the line is a response, whatever it looks like
                let line: &[u8] = if in_exchange { b"" } else { line };
                let reply = answer(line, *kind, body);
                in_exchange = reply.starts_with(b"+ ");
                replies.extend(reply);
            }
            player.push(Side::Upstream, &replies);
        }
    }
    player.finish()
}

fn answer(line: &[u8], kind: u8, body: &[u8]) -> Vec<u8> {
    // what comes behind the end answers nothing, and whether that is told depends on when it arrives
    let whole = [b"\r\n", body, b"\r\n.\r\n"].concat();
    let ends_early = memchr::memmem::find(&whole, b"\r\n.\r\n").is_none_or(|end| end + 5 < whole.len());
    let body = if ends_early { b"a" } else { body };
    let is_multi_line =
        [&b"CAPA"[..], b"LIST", b"UIDL", b"RETR", b"TOP"].iter().any(|keyword| line.starts_with(keyword));
    match kind % 12 {
        0 => b"-ERR [AUTH] no\r\n".to_vec(),
        1 => b"-ERR a text that is longer than the limit of this test\r\n".to_vec(),
        2 | 3 => b"+ \r\n".to_vec(),
        4 => body.to_vec(),
        _ if is_multi_line => [b"+OK\r\n", body, b"\r\n.\r\n"].concat(),
        _ => b"+OK 1 abc\r\n".to_vec(),
    }
}

fn client_octets() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(vec![
        "USER joe\r\n",
        "PASS x\r\n",
        "USER joe\r\nPASS x\r\n",
        "AUTH PLAIN\r\n",
        "AUTH PLAIN AGoAcA==\r\n",
        "AGoAcA==\r\n",
        "capa\r\n",
        "LIST\r\n",
        "UIDL\r\n",
        "RETR 1\r\n",
        "TOP 1 0\r\n",
        "STAT\r\n",
        "NOOP\n",
        "*\r\n",
        "XYZ\r\0\r\n",
    ]);
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![9 => proptest::collection::vec(line, 1..5).prop_map(|lines| lines.concat().into_bytes()), 1 => noise]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        proptest::sample::select(vec!["a", "\n", "\r", "\r\n", ".", "PIPELINING\r\n", "1 abc\r\n", "SASL NTLM"]);
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn does_not_depend_on_how_octets_arrive(
        blocks in proptest::collection::vec(client_octets(), 0..8),
        answers in proptest::collection::vec((any::<u8>(), body()), 1..12),
        cut in 1usize..20,
    ) {
        let (up, down, events) = converse(&blocks, &answers, usize::MAX);
        let (cut_up, cut_down, cut_events) = converse(&blocks, &answers, cut);
        prop_assert_eq!(up.escape_ascii().to_string(), cut_up.escape_ascii().to_string());
        prop_assert_eq!(down.escape_ascii().to_string(), cut_down.escape_ascii().to_string());
        prop_assert_eq!(events, cut_events);
    }

    #[test]
    fn survives_any_octets(
        blocks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..12),
        observe in any::<bool>(),
        cut in 1usize..20,
    ) {
        let posture = if observe { Posture::Observe } else { Posture::Enforce };
        let side = |client| if client { Side::Client } else { Side::Upstream };
        let blocks: Vec<_> = blocks.into_iter().map(|(client, octets)| (side(client), octets)).collect();
        play(posture, &blocks, cut);
    }

    /// Nothing to object to: what comes in is what goes out.
    #[test]
    fn passes_clean_bodies_to_the_octet(lines in proptest::collection::vec("[ -~]{0,90}", 0..40), cut in 1usize..200) {
        let stuffed = |line: &String| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" });
        let body = lines.iter().map(stuffed).collect::<String>();
        let upstream = format!("+OK\r\n{body}.\r\n").into_bytes();
        let login = |line: &str| [(Side::Client, line.as_bytes().to_vec()), (Side::Upstream, b"+OK\r\n".to_vec())];
        let mut blocks = vec![(Side::Upstream, b"+OK\r\n".to_vec())];
        blocks.extend(login("USER joe\r\n").into_iter().chain(login("PASS x\r\n")));
        blocks.extend([(Side::Client, b"RETR 1\r\n".to_vec()), (Side::Upstream, upstream.clone())]);
        let (_, down, events) = play(Posture::Enforce, &blocks, cut);
        prop_assert!(down.windows(upstream.len()).any(|window| window == upstream));
        let altered = events.iter().any(|event| matches!(event, Observation::Altered { .. }));
        prop_assert!(!altered);
    }
}
