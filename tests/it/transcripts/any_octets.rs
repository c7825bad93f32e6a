//! What must hold for any octets whatever, in POP3.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::session::pop3::Pop3;
use mailwarden::session::{Compression, Inboxes, Limits, Observation, Outbox, Posture, Session, Setup, Terms, TlsMode};
use mailwarden::wire::Protocol;
use mailwarden::wire::Side;

/// What came of a play: octets up, octets down, facts.
type Outcome = (Vec<u8>, Vec<u8>, Vec<Observation>);

fn session(posture: Posture, started: Instant) -> Pop3 {
    let terms = Terms {
        posture,
        client_tls: TlsMode::Implicit,
        upstream_tls: TlsMode::Implicit,
        hide: Vec::new(),
        allow: Vec::new(),
        compression: Compression::default(),
        limits: Limits { sasl_line: 40, status_line: 30, errors: 1000, errors_before_login: 1000, ..Limits::default() },
        policy: PolicyHandle::new(Policy::default()),
        transcript: true,
    };
    Pop3::new(Setup::offline(Arc::new(terms), Protocol::Pop3, 0, started))
}

/// Plays blocks of octets, each from one side, in pieces of `cut`.
fn play(posture: Posture, blocks: &[(Side, Vec<u8>)], cut: usize) -> Outcome {
    let mut player = Player::new(posture, cut);
    for (side, octets) in blocks {
        player.feed(*side, octets);
    }
    player.finish()
}

/// Plays blocks of a client with a server that answers each line that reaches it, as `answers` say.
fn converse(blocks: &[Vec<u8>], answers: &[(u8, Vec<u8>)], cut: usize) -> Outcome {
    let (mut player, mut answers) = (Player::new(Posture::Enforce, cut), answers.iter().cycle());
    let mut in_exchange = false;
    player.feed(Side::Upstream, b"+OK hi <1.2@x>\r\n");
    for block in blocks {
        player.feed(Side::Client, block);
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
            player.feed(Side::Upstream, &replies);
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

struct Player {
    session: Pop3,
    inboxes: Inboxes,
    out: Outbox,
    started: Instant,
    cut: usize,
    up: Vec<u8>,
    /// How much of `up` the server has answered.
    answered: usize,
}

impl Player {
    fn new(posture: Posture, cut: usize) -> Self {
        let started = Instant::now();
        let (session, out) = (session(posture, started), Outbox::new(started));
        Self { session, inboxes: Inboxes::default(), out, started, cut, up: Vec::new(), answered: 0 }
    }

    fn feed(&mut self, side: Side, octets: &[u8]) {
        for piece in octets.chunks(self.cut) {
            if self.out.closing().is_none() {
                self.inboxes.of(side).extend_from_slice(piece);
                self.session.advance(&mut self.inboxes, self.started, &mut self.out);
            }
        }
        self.up.extend(self.out.take(Side::Upstream));
    }

    fn new_lines_up(&mut self) -> Vec<Vec<u8>> {
        let new = self.up.get(self.answered..).unwrap_or_default();
        let whole = new.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        let lines =
            new.get(..whole).unwrap_or_default().split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
        self.answered += whole;
        lines
    }

    fn finish(mut self) -> Outcome {
        self.inboxes.upstream_ended = true;
        self.session.advance(&mut self.inboxes, self.started, &mut self.out);
        assert!(self.out.closing().is_some(), "nothing can follow the server's end");
        self.up.extend(self.out.take(Side::Upstream));
        let events = self.out.take_events().into_iter().map(|event| event.what).collect();
        (self.up, self.out.take(Side::Client), events)
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
