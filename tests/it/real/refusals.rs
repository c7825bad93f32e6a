//! What no client may send: the exact answer, whether the session goes on, and that nothing of it
//! reaches the server.

use tempfile::TempDir;

use super::authority::Authority;
use super::fake::{Fake, Mood};
use super::lab::{Ports, Tls, direct_only};
use super::mailwarden::Mailwarden;
use super::talk::Talk;

/// What follows the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The next command is answered.
    GoesOn,
    /// The session ends.
    Closes,
}

/// What the client sends (each holds the word `smuggled`), how the answer starts, and what follows.
type Row = (Vec<u8>, &'static str, Then);

fn imap_rows() -> Vec<Row> {
    let row = |octets: &str, answer, then| (octets.as_bytes().to_vec(), answer, then);
    vec![
        row("a SELECT \"smuggled\0\"\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled\rx\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled\nb NOOP\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT \"smuggled\nb DELETE y\"\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled{3}\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled {}\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled {-1}\r\n", "a BAD ", Then::GoesOn),
        row("a SELECT smuggled {0x3}\r\n", "a BAD ", Then::GoesOn),
        row("a APPEND smuggled {99999999999999999999}\r\n", "a BAD ", Then::GoesOn),
        row("a  SELECT smuggled\r\n", "", Then::GoesOn),
        row("a+ SELECT smuggled\r\n", "* BAD ", Then::GoesOn),
        row("* SELECT smuggled\r\n", "* BAD ", Then::GoesOn),
        (overlong("a SELECT smuggled"), "a BAD ", Then::GoesOn),
        (overlong("(smuggled)"), "* BAD ", Then::GoesOn),
        // More octets than are worth discarding: where the next command starts will not be known.
        row("a SELECT smuggled {99999999999+}\r\n", "", Then::Closes),
    ]
}

fn pop3_rows() -> Vec<Row> {
    let row = |octets: &str, then| (octets.as_bytes().to_vec(), "-ERR", then);
    vec![
        row("UIDL smuggled\0\r\n", Then::GoesOn),
        row("RETR smug\rled smuggled\r\n", Then::GoesOn),
        row("LIST\tsmuggled\r\n", Then::GoesOn),
        row("RETR smuggled\r\n", Then::GoesOn),
        row("STAT smuggled\r\n", Then::GoesOn),
        row("SMUGGLED smuggled\r\n", Then::GoesOn),
        (overlong("UIDL smuggled"), "-ERR", Then::GoesOn),
    ]
}

/// A line of 100 KB, beyond every line limit.
fn overlong(start: &str) -> Vec<u8> {
    let mut line = format!("{start} {}", "x".repeat(100_000)).into_bytes();
    line.extend(b"\r\n");
    line
}

/// Plays the rows, each in a session of its own after login.
fn refuses(rows: Vec<Row>, choose: fn(Ports) -> u16, login: &[&str], probe: &str, answer_to_probe: &str) {
    let fake = Fake::start(Mood::Obliging);
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, &fake.upstream(), "");
    for (octets, start, then) in rows {
        let shown = String::from_utf8_lossy(&octets[..octets.len().min(60)]).into_owned();
        let mut talk = Talk::greeted(choose(proxy.ports));
        for line in login {
            talk.send(line.as_bytes());
            let answer = talk.answer();
            assert!(answer.contains("OK"), "{line:?}: {answer:?}\n{}", proxy.log());
        }
        talk.send(&octets);
        let answer = talk.answer();
        assert!(is_refusal(&answer) && answer.starts_with(start), "{shown:?}: {answer:?}\n{}", proxy.log());
        match then {
            Then::GoesOn => {
                talk.send(probe.as_bytes());
                assert_eq!(talk.answer().get(..answer_to_probe.len()), Some(answer_to_probe), "after {shown:?}");
            }
            Then::Closes => {
                let rest = talk.rest();
                assert!(rest.iter().all(|line| is_refusal(line)), "after {shown:?}: {rest:?}");
            }
        }
    }
    let received = fake.received();
    assert!(received.contains(login[0].trim_end()), "the rest arrives: {received}");
    assert!(!received.to_lowercase().contains("smug"), "{received}");
}

fn is_refusal(line: &str) -> bool {
    ["a BAD ", "* BAD ", "* BYE ", "-ERR"].iter().any(|start| line.starts_with(start))
}

#[test]
fn refuses_imap_commands_it_cannot_frame_with_certainty() {
    refuses(imap_rows(), |ports| ports.imap, &["l LOGIN ada x\r\n"], "z NOOP\r\n", "z OK");
}

#[test]
fn refuses_pop3_commands_it_cannot_frame_with_certainty() {
    refuses(pop3_rows(), |ports| ports.pop3, &["USER ada\r\n", "PASS x\r\n"], "STAT\r\n", "+OK");
}
