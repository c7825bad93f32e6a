//! IMAP scenes.

use std::fmt::Write as _;

use mailwarden::wire::{Protocol, Side};

use super::{Expect, Read, Rig, Scene, UNCHANGED};

const GREETING: &str =
    "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] ready\r\n";
const LOGIN: [(Side, &str); 2] = [(Side::Client, "a1 LOGIN joe hunter2\r\n"), (Side::Upstream, "a1 OK Logged in\r\n")];
const SELECT: [(Side, &str); 2] = [
    (Side::Client, "a2 SELECT INBOX\r\n"),
    (
        Side::Upstream,
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n\
         * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Flags permitted.\r\n\
         * 1000 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1700000000] UIDs valid\r\n\
         * OK [UIDNEXT 1001] Predicted next UID\r\na2 OK [READ-WRITE] Select completed.\r\n",
    ),
];

pub(super) const SCENES: &[Scene] = &[
    scene("imap_login", 4, connected, login, (0, -16), 17).each_time(),
    scene("imap_noop", 1, selected, noop, UNCHANGED, 2),
    scene("imap_idle", 1, selected, idle, UNCHANGED, 2),
    scene("imap_fetch_flags_100", 100, selected, fetch_flags, UNCHANGED, 200),
    scene("imap_uid_fetch_flags_1000", 1, selected, uid_fetch_flags, UNCHANGED, 2),
    scene("imap_fetch_headers_100", 1, selected, fetch_headers, UNCHANGED, 102),
    scene("imap_fetch_4k", 1, selected, || fetch(4 << 10), UNCHANGED, 3),
    scene("imap_fetch_64k", 1, selected, || fetch(64 << 10), UNCHANGED, 3),
    scene("imap_fetch_1m", 1, selected, || fetch(1 << 20), UNCHANGED, 3),
    scene("imap_append_1m", 1, selected, || append(1 << 20), UNCHANGED, 3),
    scene("imap_list_1000", 1, selected, list, UNCHANGED, 2),
    scene("imap_store", 1, selected, store, UNCHANGED, 2),
];

const fn scene(
    name: &'static str,
    commands: u64,
    start: fn() -> Rig,
    reads: fn() -> Vec<Read>,
    added: (i64, i64),
    events: u64,
) -> Scene {
    Scene { name, commands, fresh: false, start, reads, expect: Expect { added, events } }
}

impl Scene {
    const fn each_time(mut self) -> Self {
        self.fresh = true;
        self
    }
}

fn connected() -> Rig {
    Rig::new(Protocol::Imap)
}

fn selected() -> Rig {
    select(connected())
}

/// A session that has just been connected, after login and SELECT.
pub(super) fn select(rig: Rig) -> Rig {
    rig.after(&[(Side::Upstream, GREETING)]).after(&LOGIN).after(&SELECT)
}

fn talk(lines: &[(Side, &str)]) -> Vec<Read> {
    let read = |(side, line): &(Side, &str)| match side {
        Side::Client => Read::client(line.as_bytes()).collect::<Vec<_>>(),
        Side::Upstream => Read::upstream(line.as_bytes()).collect(),
    };
    lines.iter().flat_map(read).collect()
}

fn login() -> Vec<Read> {
    let capability = [
        (Side::Client, "a0 CAPABILITY\r\n"),
        (Side::Upstream, "* CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL- AUTH=PLAIN\r\na0 OK done\r\n"),
    ];
    let logout =
        [(Side::Client, "a3 LOGOUT\r\n"), (Side::Upstream, "* BYE Logging out\r\na3 OK Logout completed.\r\n")];
    let lines = [(Side::Upstream, GREETING)].into_iter().chain(capability).chain(LOGIN).chain(SELECT).chain(logout);
    talk(&lines.collect::<Vec<_>>())
}

pub(super) fn noop() -> Vec<Read> {
    talk(&[(Side::Client, "a0042 NOOP\r\n"), (Side::Upstream, "a0042 OK NOOP completed.\r\n")])
}

fn idle() -> Vec<Read> {
    talk(&[
        (Side::Client, "a0043 IDLE\r\n"),
        (Side::Upstream, "+ idling\r\n"),
        (Side::Upstream, "* 1001 EXISTS\r\n"),
        (Side::Upstream, "* 1 RECENT\r\n"),
        (Side::Client, "DONE\r\n"),
        (Side::Upstream, "a0043 OK Idle completed.\r\n"),
    ])
}

fn store() -> Vec<Read> {
    talk(&[
        (Side::Client, "a0044 UID STORE 17 +FLAGS.SILENT (\\Seen)\r\n"),
        (Side::Upstream, "a0044 OK Store completed.\r\n"),
    ])
}

pub(super) fn fetch_flags() -> Vec<Read> {
    let (mut up, mut down) = (String::new(), String::new());
    for number in 1..=100 {
        // writing to a String cannot fail
        let _ = write!(up, "b{number:03} FETCH {number} (FLAGS)\r\n");
        let _ = write!(down, "* {number} FETCH (FLAGS (\\Seen))\r\nb{number:03} OK Fetch completed.\r\n");
    }
    Read::client(up.as_bytes()).chain(Read::upstream(down.as_bytes())).collect()
}

fn uid_fetch_flags() -> Vec<Read> {
    let mut down = String::new();
    for number in 1..=1000 {
        let _ = write!(down, "* {number} FETCH (UID {} FLAGS (\\Seen $Forwarded))\r\n", number + 10);
    }
    down.push_str("c1 OK Fetch completed (0.001 + 0.000 secs).\r\n");
    Read::client(b"c1 UID FETCH 1:* (FLAGS)\r\n").chain(Read::upstream(down.as_bytes())).collect()
}

fn fetch_headers() -> Vec<Read> {
    let up = "c2 UID FETCH 1:100 (UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE \
              BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)])\r\n";
    let mut down = String::new();
    for number in 1..=100 {
        let header =
            format!("Date: Tue, 3 Nov 2026 10:00:00 +0000\r\nFrom: joe{number}@example.org\r\nSubject: x\r\n\r\n");
        let _ = write!(
            down,
            "* {number} FETCH (UID {number} FLAGS (\\Seen) RFC822.SIZE 4711 INTERNALDATE \" 3-Nov-2026 10:00:00 +0000\" \
             ENVELOPE (\"Tue, 3 Nov 2026 10:00:00 +0000\" \"Quarterly figures\" ((\"Joe Q. Public\" NIL \"joe\" \
             \"example.org\")) NIL NIL ((NIL NIL \"ann\" \"example.org\")) NIL NIL NIL \"<{number}@example.org>\") \
             BODY[HEADER.FIELDS (DATE FROM SUBJECT)] {{{}}}\r\n{header})\r\n",
            header.len()
        );
    }
    down.push_str("c2 OK Fetch completed.\r\n");
    Read::client(up.as_bytes()).chain(Read::upstream(down.as_bytes())).collect()
}

pub(super) fn fetch(size: usize) -> Vec<Read> {
    let mut down = format!("* 7 FETCH (UID 17 BODY[] {{{size}}}\r\n").into_bytes();
    down.extend(mail(size));
    down.extend_from_slice(b")\r\nc3 OK Fetch completed.\r\n");
    Read::client(b"c3 UID FETCH 17 (BODY.PEEK[])\r\n").chain(Read::upstream(&down)).collect()
}

fn append(size: usize) -> Vec<Read> {
    let announcement = format!("c4 APPEND INBOX (\\Seen) {{{size}}}\r\n");
    let mut message = mail(size);
    message.extend_from_slice(b"\r\n");
    let done = b"c4 OK [APPENDUID 1700000000 1001] Append completed.\r\n";
    let announced = Read::client(announcement.as_bytes()).chain(Read::upstream(b"+ OK\r\n"));
    announced.chain(Read::client(&message)).chain(Read::upstream(done)).collect()
}

fn list() -> Vec<Read> {
    let mut down = String::new();
    for number in 1..=1000 {
        let _ = write!(down, "* LIST (\\HasNoChildren) \"/\" \"Projects/2026/Customer {number}\"\r\n");
    }
    down.push_str("c5 OK List completed.\r\n");
    Read::client(b"c5 LIST \"\" \"*\"\r\n").chain(Read::upstream(down.as_bytes())).collect()
}

/// Text in lines of 78 octets, cut at `size`.
pub(super) fn mail(size: usize) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog and runs away from all the others\r\n";
    line.bytes().cycle().take(size).collect()
}
