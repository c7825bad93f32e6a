//! POP3 scenes.

use std::fmt::Write as _;

use mailwarden::wire::{Protocol, Side};

use super::imap::mail;
use super::{Expect, Read, Rig, Scene, UNCHANGED};

const GREETING: (Side, &str) = (Side::Upstream, "+OK POP3 ready\r\n");
const LOGIN: [(Side, &str); 4] = [
    (Side::Client, "USER joe\r\n"),
    (Side::Upstream, "+OK\r\n"),
    (Side::Client, "PASS hunter2\r\n"),
    (Side::Upstream, "+OK Logged in.\r\n"),
];

pub(super) const SCENES: &[Scene] = &[
    scene("pop3_login", 3, true, connected, login, 12),
    scene("pop3_stat", 1, false, logged_in, stat, 2),
    scene("pop3_uidl_1000", 1, false, logged_in, uidl, 2),
    scene("pop3_retr_4k", 1, false, logged_in, || retr(4 << 10), 3),
    scene("pop3_retr_1m", 1, false, logged_in, || retr(1 << 20), 3),
];

const fn scene(
    name: &'static str,
    commands: u64,
    fresh: bool,
    start: fn() -> Rig,
    reads: fn() -> Vec<Read>,
    events: u64,
) -> Scene {
    Scene { name, commands, fresh, start, reads, expect: Expect { added: UNCHANGED, events } }
}

fn connected() -> Rig {
    Rig::new(Protocol::Pop3)
}

fn logged_in() -> Rig {
    log_in(connected())
}

/// A session that has just been connected, after the login.
pub(super) fn log_in(rig: Rig) -> Rig {
    rig.after(&[GREETING]).after(&LOGIN)
}

fn login() -> Vec<Read> {
    let quit = [(Side::Client, "QUIT\r\n"), (Side::Upstream, "+OK Logging out.\r\n")];
    let lines = [GREETING].into_iter().chain(LOGIN).chain(quit);
    let read = |(side, line): (Side, &'static str)| match side {
        Side::Client => Read::client(line.as_bytes()).collect::<Vec<_>>(),
        Side::Upstream => Read::upstream(line.as_bytes()).collect(),
    };
    lines.flat_map(read).collect()
}

fn stat() -> Vec<Read> {
    Read::client(b"STAT\r\n").chain(Read::upstream(b"+OK 1000 4711000\r\n")).collect()
}

fn uidl() -> Vec<Read> {
    let mut down = "+OK\r\n".to_owned();
    for number in 1..=1000 {
        // writing to a String cannot fail
        let _ = write!(down, "{number} {:08x}66a1b2c3\r\n", number * 7);
    }
    down.push_str(".\r\n");
    Read::client(b"UIDL\r\n").chain(Read::upstream(down.as_bytes())).collect()
}

pub(super) fn retr(size: usize) -> Vec<Read> {
    let mut down = format!("+OK {size} octets\r\n").into_bytes();
    let mut body = mail(size);
    if let Some(end) = body.get_mut(size - 2..) {
        end.copy_from_slice(b"\r\n");
    }
    down.extend(body);
    down.extend_from_slice(b".\r\n");
    Read::client(b"RETR 7\r\n").chain(Read::upstream(&down)).collect()
}
