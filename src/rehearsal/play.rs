//! Brings a session to where a case begins, plays the case, and tells what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use jiff::Timestamp;

use super::case::{Given, HookWord, ServerSays, TlsWord};
use super::server::{Has, Says, Server};
use super::stage::{Came, Stage};
use crate::policy::{ActionKind, ClientTls, Connection, Decision, Mode, PolicyHandle};
use crate::session::{Answered, CloseReason, Event, Observation, Setup, Terms, TlsMode};
use crate::wire::imap::{Names, encode_mailbox};
use crate::wire::{Protocol, Side};

/// Noon of a Monday: where a case says no time, offices are open.
const NOON: i64 = 1_767_614_400;

/// What came of a case.
#[derive(Debug, Default)]
pub struct Played {
    /// Lines that reached the server.
    pub server_gets: Vec<String>,
    /// Lines that reached the client.
    pub client_gets: Vec<String>,
    /// What rules said, in order; the same twice in a row is told once.
    pub decisions: Vec<Decision>,
    /// The response code of the first answer by a rule, if it has one.
    pub code: Option<String>,
    /// Why the session ended, if it did.
    pub closed: Option<CloseReason>,
    /// How long it held commands or content.
    pub waited: Duration,
}

/// A session with its server, at the place where a case begins.
#[derive(Debug)]
pub struct Scene {
    protocol: Protocol,
    stage: Stage,
    server: Server,
    hook: Option<HookWord>,
    waited: Duration,
}

impl Scene {
    /// Brings a session to where the facts say it is; the error says what is in the way.
    pub fn set(given: &Given, policy: PolicyHandle) -> Result<Self, String> {
        let mut scene = Self::open(given, policy);
        let greeting = scene.server.greeting();
        scene.stage.send(Side::Upstream, &greeting);
        scene.settle();
        if let Some(user) = given.user() {
            scene.log_in(user)?;
        }
        if let Some(mailbox) = given.selected() {
            scene.ask(
                &format!("s0 SELECT {}\r\n", mailbox_name(mailbox)),
                "s0 OK",
                "the mailbox cannot be selected",
            )?;
        }
        if given.sizes.is_some() {
            match scene.protocol {
                Protocol::Imap if given.selected().is_some() => {
                    scene.ask("s1 FETCH 1:* RFC822.SIZE\r\n", "s1 OK", "the sizes cannot be asked for")?;
                }
                Protocol::Imap => {}
                Protocol::Pop3 => scene.ask("LIST\r\n", "+OK", "the sizes cannot be asked for")?,
            }
        }
        Ok(scene)
    }

    /// The connection only, before the server's greeting.
    #[must_use]
    pub fn open(given: &Given, policy: PolicyHandle) -> Self {
        let protocol = given.protocol();
        let has = Has {
            sizes: given
                .sizes
                .as_ref()
                .map_or_else(|| vec![1_000; 3], |sizes| sizes.iter().map(ByteSize::as_u64).collect()),
            capabilities: given.capabilities.clone().unwrap_or_else(|| usual(protocol)),
        };
        let connection = Connection {
            listener: given.listener.as_deref().unwrap_or(protocol.as_label()).into(),
            client: given.client.unwrap_or(Connection::offline(protocol, Instant::now()).client),
            accepted_at: given.time.map_or(NOON, Timestamp::as_second),
            ..Connection::offline(protocol, Instant::now())
        };
        let client_tls = tls(given);
        let terms = Terms {
            client_tls: if client_tls.is_some() { TlsMode::Implicit } else { TlsMode::None },
            allow: given.allow.clone().unwrap_or_default(),
            policy,
            ..Terms::offline()
        };
        let stage = Stage::new(Setup { terms: Arc::new(terms), seed: 1, connection: Arc::new(connection), client_tls });
        Self { protocol, stage, server: Server::new(protocol, has), hook: given.hook, waited: Duration::ZERO }
    }

    fn log_in(&mut self, user: &str) -> Result<(), String> {
        let refused = "the user cannot log in";
        match self.protocol {
            Protocol::Imap => self.ask(&format!("l0 LOGIN {} \"secret\"\r\n", quoted(user)), "l0 OK", refused),
            Protocol::Pop3 => {
                self.ask(&format!("USER {user}\r\n"), "+OK", refused)?;
                self.ask("PASS secret\r\n", "+OK", refused)
            }
        }
    }

    /// One command on the way to where the case begins.
    fn ask(&mut self, line: &str, answer: &str, otherwise: &str) -> Result<(), String> {
        self.stage.send(Side::Client, line.as_bytes());
        let came = self.settle();
        let down = String::from_utf8_lossy(&came.down).into_owned();
        if down.lines().any(|line| line.starts_with(answer)) {
            return Ok(());
        }
        let last = down.lines().last().unwrap_or("no answer").to_owned();
        Err(format!("{otherwise}: {last}"))
    }

    /// Plays the lines that the client sends.
    pub fn play(&mut self, lines: &[String], server: &[ServerSays]) -> Played {
        let says = |says: &ServerSays| Says { lines: says.lines.clone(), completes: says.completes.clone() };
        self.server.will_say(server.iter().map(says).collect());
        self.waited = Duration::ZERO;
        let mut came = Came::default();
        for piece in pieces(lines) {
            if piece.needs_go_ahead && !last_line(&came.down).starts_with("+ ") {
                continue;
            }
            self.stage.send(Side::Client, &piece.octets);
            let more = self.settle();
            came.up.extend(more.up);
            came.down.extend(more.down);
            came.events.extend(more.events);
        }
        Played::of(came, self.waited)
    }

    /// One step of a conversation whose server is written out.
    pub fn step(&mut self, from: Side, octets: &[u8]) -> Played {
        self.stage.send(from, octets);
        while self.answer_hook() {}
        Played::of(self.stage.take(), Duration::ZERO)
    }

    /// Time passes without anything said, to so long after the connection was accepted.
    pub fn pass_to(&mut self, since_accepted: Duration) {
        self.stage.pass_to(since_accepted);
    }

    /// TLS comes up where it was asked for.
    pub fn start_tls(&mut self) -> bool {
        self.stage.start_tls().is_some()
    }

    /// Lets the server answer and time pass until nothing more happens.
    fn settle(&mut self) -> Came {
        let mut all = Came::default();
        loop {
            let came = self.stage.take();
            let answer = self.server.hear(&came.up);
            all.up.extend(came.up);
            all.down.extend(came.down);
            all.events.extend(came.events);
            if !answer.is_empty() {
                self.stage.send(Side::Upstream, &answer);
            } else if self.answer_hook() {
            } else if self.is_held(&all.events)
                && let Some(time) = self.stage.wait()
            {
                self.waited += time;
            } else {
                return all;
            }
        }
    }

    fn answer_hook(&mut self) -> bool {
        self.hook.is_some_and(|word| self.stage.answer(word == HookWord::Allow))
    }

    /// A rule slowed something down and the session is not through with it.
    fn is_held(&self, events: &[Event]) -> bool {
        let slowed = |event: &Event| match &event.what {
            Observation::Decided { decision, .. } => decision.action == ActionKind::Throttle,
            _ => false,
        };
        self.stage.closing().is_none() && !self.stage.is_idle() && events.iter().any(slowed)
    }
}

impl Played {
    fn of(came: Came, waited: Duration) -> Self {
        let mut played =
            Self { server_gets: lines(&came.up), client_gets: lines(&came.down), waited, ..Self::default() };
        for event in came.events {
            match event.what {
                Observation::Decided { decision, .. } => played.decisions.push(*decision),
                Observation::CommandCompleted { code: Some(code), by: Answered::Policy, .. } => {
                    played.code.get_or_insert_with(|| code.to_string());
                }
                Observation::Closed { reason, .. } => played.closed = Some(reason),
                _ => {}
            }
        }
        played.decisions.dedup();
        played
    }

    /// Takes what came of a later step.
    pub(super) fn add(&mut self, later: Self) {
        self.server_gets.extend(later.server_gets);
        self.client_gets.extend(later.client_gets);
        self.decisions.extend(later.decisions);
        self.decisions.dedup();
        self.code = self.code.take().or(later.code);
        self.closed = self.closed.or(later.closed);
        self.waited += later.waited;
    }

    /// What rules did, those that only watch left out.
    pub fn enforced(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.mode == Mode::Enforce)
    }

    /// What is told of it: by the first rule that did something, or else by the first that would have.
    #[must_use]
    pub fn told(&self) -> Option<&Decision> {
        let acts = |decision: &&Decision| decision.action != ActionKind::Allow;
        self.enforced().find(acts).or_else(|| self.enforced().next()).or_else(|| self.would().next())
    }

    /// The rules that would have acted if they were enforced.
    pub fn would(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.mode == Mode::Observe)
    }
}

fn tls(given: &Given) -> Option<ClientTls> {
    let version = match given.tls.unwrap_or(TlsWord::Tls13) {
        TlsWord::None => return None,
        TlsWord::Tls12 => "1.2",
        TlsWord::Tls13 => "1.3",
    };
    let server_name = given.server_name.as_ref().map(|name| name.to_ascii_lowercase());
    Some(ClientTls { version, server_name, subject: given.certificate.clone() })
}

/// What servers usually offer.
pub(super) fn usual(protocol: Protocol) -> Vec<String> {
    let offered = match protocol {
        Protocol::Imap => {
            "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN SPECIAL-USE MOVE \
             MULTIAPPEND REPLACE LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH MULTISEARCH SORT THREAD=REFERENCES \
             CONDSTORE QRESYNC BINARY PREVIEW OBJECTID ACL QUOTA METADATA NOTIFY UTF8=ACCEPT AUTH=PLAIN"
        }
        Protocol::Pop3 => "USER TOP UIDL PIPELINING RESP-CODES AUTH-RESP-CODE UTF8",
    };
    offered.split_whitespace().map(str::to_owned).collect()
}

/// A mailbox's name as a client spells it that has not asked for UTF-8 (RFC 3501 §5.1.3).
fn mailbox_name(name: &str) -> String {
    quoted(&encode_mailbox(name, Names::default()))
}

/// A name as a quoted string (RFC 9051 §4.3).
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn lines(octets: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(octets).split_terminator("\r\n").map(str::to_owned).collect()
}

fn last_line(octets: &[u8]) -> String {
    lines(octets).pop().unwrap_or_default()
}

/// What the client sends at once, and whether it waits for `+` before.
struct Piece {
    octets: Vec<u8>,
    needs_go_ahead: bool,
}

/// A client waits before each literal that is not announced with `{n+}` (RFC 9051 §4.3); and does not send
/// that literal, and what belongs to its command, if it is refused.
fn pieces(lines: &[String]) -> Vec<Piece> {
    let mut pieces = vec![Piece { octets: Vec::new(), needs_go_ahead: false }];
    // octets of a literal that are still to come, while a command goes on behind one
    let mut literal: Option<usize> = None;
    let mut waits = false;
    for line in lines {
        let is_next_command = literal.is_none() && pieces.last().is_some_and(|piece| piece.needs_go_ahead);
        match pieces.last_mut().filter(|_| !waits && !is_next_command) {
            Some(piece) => piece.octets.extend_from_slice(format!("{line}\r\n").as_bytes()),
            None => {
                pieces.push(Piece { octets: format!("{line}\r\n").into_bytes(), needs_go_ahead: waits });
            }
        }
        waits = false;
        if let Some(left) = literal.filter(|left| *left > line.len()) {
            literal = Some(left.saturating_sub(line.len() + 2));
            continue;
        }
        let announced = announcement(line);
        literal = announced.map(|(size, _)| size);
        waits = announced.is_some_and(|(_, waits)| waits);
    }
    pieces
}

/// The size of the literal that is announced at a line's end, and whether the client waits before it.
fn announcement(line: &str) -> Option<(usize, bool)> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    Some((size.trim_end_matches('+').parse().ok()?, !size.ends_with('+')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(lines: &[&str]) -> Vec<(String, bool)> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let text = |piece: Piece| (String::from_utf8_lossy(&piece.octets).replace("\r\n", "|"), piece.needs_go_ahead);
        pieces(&lines).into_iter().map(text).collect()
    }

    #[test]
    fn a_client_waits_before_a_literal_and_not_before_the_next_command() {
        let rows = cut(&["a NOOP", "b APPEND x {4}", "abcd", "c NOOP", "d NOOP"]);
        let expected = [("a NOOP|b APPEND x {4}|", false), ("abcd|", true), ("c NOOP|d NOOP|", false)];
        assert_eq!(rows, expected.map(|(text, waits)| (text.to_owned(), waits)));
    }

    #[test]
    fn a_client_does_not_wait_before_a_literal_that_is_not_synchronising() {
        assert_eq!(cut(&["b APPEND x {4+}", "abcd", "c NOOP"]), [("b APPEND x {4+}|abcd|c NOOP|".to_owned(), false)]);
    }
}
