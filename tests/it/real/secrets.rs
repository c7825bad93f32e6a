//! Canaries: a secret for each way of logging in, and for each way of mistyping one, that must occur
//! in nothing the program writes, neither as it is nor encoded.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use super::authority::Authority;
use super::command::{Daemon, free_port};
use super::fake::{Fake, Mood};
use super::lab::{Tls, direct_only, hexadecimal};
use super::mailwarden::{Mailwarden, program};
use super::talk::Talk;

/// A way to log in: the pieces the client sends, each after the answer to the one before it.
/// `SECRET` stands for the canary, `B64(…)` for the base64 of what is inside; `^` is NUL.
struct Way {
    name: &'static str,
    pieces: &'static [&'static str],
    /// Whether the server must get it: what is mistyped must not arrive at all.
    arrives: bool,
}

const fn logs_in(name: &'static str, pieces: &'static [&'static str]) -> Way {
    Way { name, pieces, arrives: true }
}

const fn mistyped(name: &'static str, pieces: &'static [&'static str]) -> Way {
    Way { name, pieces, arrives: false }
}

const IMAP: &[Way] = &[
    logs_in("login atom", &["a LOGIN ada SECRET\r\n"]),
    logs_in("login quoted", &["a LOGIN \"ada\" \"SECRET\"\r\n"]),
    logs_in("login literal", &["a LOGIN {3}\r\n", "ada {SIZE}\r\n", "SECRET\r\n"]),
    logs_in("login literal unasked", &["a LOGIN {3+}\r\nada {SIZE+}\r\nSECRET\r\n"]),
    logs_in("plain", &["a AUTHENTICATE PLAIN\r\n", "B64(^ada^SECRET)\r\n"]),
    logs_in("plain at once", &["a AUTHENTICATE PLAIN B64(^ada^SECRET)\r\n"]),
    logs_in("plain as another", &["a AUTHENTICATE PLAIN B64(babbage^ada^SECRET)\r\n"]),
    logs_in("login mechanism", &["a AUTHENTICATE LOGIN\r\n", "B64(ada)\r\n", "B64(SECRET)\r\n"]),
    logs_in("token", &["a AUTHENTICATE XOAUTH2\r\n", "B64(user=ada\x01auth=Bearer SECRET\x01\x01)\r\n"]),
    logs_in("token at once", &["a AUTHENTICATE XOAUTH2 B64(user=ada\x01auth=Bearer SECRET\x01\x01)\r\n"]),
    mistyped("secret as a command", &["SECRET\r\n"]),
    mistyped("secret as a command name", &["a SECRET\r\n"]),
    mistyped("secret as a tag", &["SECRET LOGIN ada\r\n"]),
    mistyped("login without a tag", &["LOGIN ada SECRET\r\n"]),
    mistyped("login with a word too many", &["a LOGIN ada SECRET x\r\n"]),
    mistyped("login with an open quote", &["a LOGIN ada \"SECRET\r\n"]),
    mistyped("login with two spaces", &["a LOGIN ada  SECRET\r\n"]),
    mistyped("login with a NUL", &["a LOGIN ada SECRET\0\r\n"]),
    mistyped("login with a bare line feed", &["a LOGIN ada SECRET\nx NOOP\r\n"]),
    mistyped("plain not in base64", &["a AUTHENTICATE PLAIN\r\n", "^ada^SECRET!\r\n"]),
    mistyped("plain quoted", &["a AUTHENTICATE PLAIN \"B64(^ada^SECRET)\"\r\n"]),
    mistyped("login twice", &["a LOGIN ada x\r\n", "b LOGIN ada SECRET\r\n"]),
];

const POP3: &[Way] = &[
    logs_in("user and pass", &["USER ada\r\n", "PASS SECRET\r\n"]),
    logs_in("pass with spaces", &["USER ada\r\n", "PASS  SECRET and more \r\n"]),
    logs_in("apop", &["APOP ada SECRET\r\n"]),
    logs_in("plain", &["AUTH PLAIN\r\n", "B64(^ada^SECRET)\r\n"]),
    logs_in("plain at once", &["AUTH PLAIN B64(^ada^SECRET)\r\n"]),
    logs_in("login mechanism", &["AUTH LOGIN\r\n", "B64(ada)\r\n", "B64(SECRET)\r\n"]),
    logs_in("token", &["AUTH XOAUTH2 B64(user=ada\x01auth=Bearer SECRET\x01\x01)\r\n"]),
    mistyped("secret as a command", &["SECRET\r\n"]),
    mistyped("secret as a number", &["RETR SECRET\r\n"]),
    mistyped("keyword in the wrong place", &["ada PASS SECRET\r\n"]),
    mistyped("pass with a NUL", &["USER ada\r\n", "PASS SECRET\0\r\n"]),
    mistyped("apop with a word too many", &["APOP ada x SECRET\r\n"]),
    mistyped("plain not in base64", &["AUTH PLAIN\r\n", "^ada^SECRET!\r\n"]),
    mistyped("pass twice", &["USER ada\r\n", "PASS x\r\n", "PASS SECRET\r\n"]),
];

/// The canary of one way: letters only, so that it is the same in every quoting. As an APOP digest
/// it must be 32 hexadecimal digits.
fn canary(protocol: &str, number: usize) -> String {
    let letters: String = format!("{number:04}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let protocol = if protocol == "imap" { "a1" } else { "b2" };
    format!("fade0facade0{letters}c0ffee{letters}bad{protocol}0").chars().take(32).collect()
}

/// The secret as it may occur: itself, in hexadecimal, and inside base64 at each of three offsets.
fn encodings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), hexadecimal(secret.as_bytes())];
    for (offset, depends_on_what_is_before) in [(0, 0), (1, 2), (2, 3)] {
        let encoded = BASE64_STANDARD.encode([vec![b'x'; offset], secret.as_bytes().to_vec()].concat());
        // The last letters depend on what comes after.
        let whole = (offset + secret.len()) / 3 * 4;
        all.push(encoded[depends_on_what_is_before..whole].to_owned());
    }
    all
}

fn holds(text: &str, secret: &str) -> bool {
    let text = text.to_lowercase();
    encodings(secret).iter().any(|form| text.contains(&form.to_lowercase()))
}

fn fill(piece: &str, secret: &str) -> String {
    let piece = piece.replace("SECRET", secret).replace("SIZE", &secret.len().to_string()).replace('^', "\0");
    match piece.split_once("B64(").and_then(|(before, rest)| Some((before, rest.split_once(')')?))) {
        Some((before, (inside, after))) => format!("{before}{}{after}", BASE64_STANDARD.encode(inside)),
        None => piece,
    }
}

/// Plays every way, each in a connection of its own, and gives the canaries with their ways.
fn play_all(protocol: &str, ways: &'static [Way], port: u16) -> Vec<(String, &'static Way)> {
    let secrets = (0..).map(|number| canary(protocol, number));
    let played = secrets.zip(ways).inspect(|(secret, way)| {
        let mut talk = Talk::greeted(port);
        for piece in way.pieces {
            if !talk.send(fill(piece, secret).as_bytes()) || talk.answer().is_empty() {
                return;
            }
        }
    });
    played.collect()
}

/// What was written holds no canary; the server got those it should, which proves that they were sent.
fn check(written: &[(&str, String)], fake: &Fake, played: &[(String, &Way)], strict: bool) {
    let received = fake.received();
    let mut shown = Vec::new();
    for (secret, way) in played {
        for (name, text) in written {
            let lines = text.lines().filter(|line| holds(line, secret));
            shown.extend(lines.map(|line| format!("{name}, {}: {line}", way.name)));
        }
        if way.arrives || strict {
            assert_eq!(holds(&received, secret), way.arrives, "the secret of {:?} at the server\n{received}", way.name);
        }
    }
    assert!(shown.is_empty(), "secrets are shown: {shown:#?}");
}

#[test]
fn no_secret_reaches_log_or_metrics() {
    let fake = Fake::start(Mood::Obliging);
    if direct_only() {
        let mut played = play_all("imap", IMAP, fake.ports.imap);
        played.extend(play_all("pop3", POP3, fake.ports.pop3));
        return check(&[], &fake, &played, false);
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, &fake.upstream(), "");
    let mut played = play_all("imap", IMAP, proxy.ports.imap);
    played.extend(play_all("pop3", POP3, proxy.ports.pop3));
    let written = [("the log", proxy.log()), ("the metrics", proxy.metrics())];
    assert!(written[0].1.contains("pop3"), "there is a log: {}", written[0].1);
    check(&written, &fake, &played, true);
}

#[test]
fn no_secret_reaches_the_tap_or_its_recording() {
    let fake = Fake::start(Mood::Obliging);
    if direct_only() {
        return;
    }
    let rows = [("imap", fake.ports.imap, IMAP), ("pop3", fake.ports.pop3, POP3)];
    for (protocol, server, ways) in rows {
        let directory = TempDir::new().unwrap();
        let (output, recording) = (directory.path().join("output"), directory.path().join("recording"));
        let (daemon, port) = tap(protocol, server, &output, &recording);
        let played = play_all(protocol, ways, port);
        wait_for_ends(&output, ways.len());
        drop(daemon);
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let written = [("the output", text(&output)), ("the recording", text(&recording))];
        for (name, text) in &written {
            assert!(text.contains("ada") && text.len() > 1_000, "{name} shows the rest: {text}");
        }
        check(&written, &fake, &played, false);
    }
}

fn tap(protocol: &str, server: u16, output: &Path, recording: &Path) -> (Daemon, u16) {
    let port = free_port();
    let file = fs::File::create(output).unwrap();
    let home = output.parent().expect("a file in a directory");
    let mut command = Command::new(program());
    command.args(["tap", &format!("127.0.0.1:{server}"), "--protocol", protocol, "--upstream-tls", "none"]);
    command.args(["--client-tls", "none", "--listen", &format!("127.0.0.1:{port}"), "--record"]).arg(recording);
    command.env("RUST_LOG", "trace").env("XDG_STATE_HOME", home).env("HOME", home);
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut daemon = Daemon::spawn(&mut command);
    assert!(daemon.listens(&[port]), "tap does not start: {}", fs::read_to_string(output).unwrap());
    (daemon, port)
}

/// Until the output tells the end of so many sessions, and of the one that only tried whether anybody listens.
fn wait_for_ends(output: &Path, sessions: usize) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let text = String::from_utf8_lossy(&fs::read(output).unwrap()).into_owned();
        let ended = text.lines().filter(|line| line.starts_with("── #") && line.contains(" closed after ")).count();
        if ended > sessions {
            return;
        }
        assert!(Instant::now() < end, "{ended} of {sessions} and one more have ended: {text}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_canary_is_found_in_every_encoding() {
    let secret = canary("imap", 7);
    for text in ["SECRET", "B64(^ada^SECRET)", "B64(SECRET)", "B64(x^ada^SECRET more)", "B64(ab SECRET)"] {
        assert!(holds(&fill(text, &secret), &secret), "{text}");
    }
    assert!(!holds(&canary("imap", 8), &secret));
}
