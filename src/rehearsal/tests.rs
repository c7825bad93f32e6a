use std::fmt::Write;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::policy::{ActionKind, Policy, PolicyHandle};
use crate::recording::Recording;
use crate::session::{Setup, Terms};
use crate::wire::{Protocol, Side};

/// A recording of a session in which the client said these blocks and the server said yes.
fn recording(protocol: Protocol, rules: &str, blocks: &[&str]) -> String {
    let policy = if rules.is_empty() { PolicyHandle::new(Policy::default()) } else { rehearsed(rules).handle() };
    let terms = Arc::new(Terms { policy, ..Terms::offline() });
    let mut stage = Stage::new(Setup::offline(terms, protocol, 1, Instant::now()));
    let offered: &[&str] = match protocol {
        Protocol::Imap => &["IMAP4rev1", "LITERAL+", "IDLE", "SASL-IR", "MULTIAPPEND", "AUTH=PLAIN"],
        Protocol::Pop3 => &["TOP", "UIDL"],
    };
    let capabilities = offered.iter().map(|name| (*name).to_owned()).collect();
    let mut server = Server::new(protocol, Has { sizes: vec![1 << 10, 30 << 20], capabilities });
    let head = r#"{"mailwarden_recording":1,"created":"2026-11-02T08:00:00Z","program":"mailwarden"}"#;
    let session = format!(
        r#"{{"session":{{"id":1,"listener":"l","protocol":"{}","client":"192.0.2.1:5","upstream":"u","upstream_address":"h:1","started":"2026-11-02T08:00:00Z"}}}}"#,
        protocol.as_label()
    );
    let mut text = format!("{head}\n{session}\n");
    let greeting = server.greeting();
    stage.send(Side::Upstream, &greeting);
    for block in [""].iter().chain(blocks) {
        stage.send(Side::Client, block.as_bytes());
        loop {
            let came = stage.take();
            for event in &came.events {
                let event = serde_json::to_string(event).expect("events serialise");
                writeln!(text, "{{\"s\":1,{}", event.strip_prefix('{').expect("an object")).expect("a string");
            }
            if came.up.is_empty() {
                break;
            }
            let answer = server.hear(&came.up);
            stage.send(Side::Upstream, &answer);
        }
    }
    text
}

fn rehearsed(rules: &str) -> Rehearsed {
    Rehearsed::parse("rules.toml", rules).expect("rules as in the manual")
}

fn again(text: &str, rules: &str) -> Replayed {
    let recording = Recording::open(Cursor::new(text.to_owned())).expect("a recording");
    replay(recording, &rehearsed(rules)).expect("a recording")
}

const KEEP: &str = "[[rule]]\nname = 'keep'\naction = 'deny'\noperation = 'folder'\nmailbox = 'Archive'\n";
const NOTHING: &str = "[[rule]]\nname = 'other'\naction = 'deny'\nuser = 'nobody'\neffect = 'destroy'\n";

fn changes(replayed: &Replayed) -> Vec<(&str, ActionKind, ActionKind)> {
    let row = |change: &'_ Change| (change.before.action, change.after.action);
    replayed.changes.iter().map(|change| (change.said.as_str(), row(change).0, row(change).1)).collect()
}

#[test]
fn a_command_that_new_rules_deny_is_told_and_so_is_one_that_they_do_not() {
    let blocks = ["a LOGIN ann secret\r\n", "b CREATE New\r\n", "c DELETE Archive\r\n", "d NOOP\r\n"];
    let text = recording(Protocol::Imap, "", &blocks);
    assert!(changes(&again(&text, NOTHING)).is_empty());
    let denied = again(&text, KEEP);
    assert_eq!(changes(&denied), [("c DELETE Archive", ActionKind::Allow, ActionKind::Deny)]);
    assert_eq!((denied.sessions, denied.judged, denied.rules.get("keep")), (1, 4, Some(&1)));

    let text = recording(Protocol::Imap, KEEP, &blocks);
    assert!(changes(&again(&text, KEEP)).is_empty());
    assert_eq!(changes(&again(&text, NOTHING)), [("c DELETE Archive", ActionKind::Deny, ActionKind::Allow)]);
}

#[test]
fn rules_see_who_was_logged_in_and_what_was_uploaded_and_selected() {
    let blocks = [
        "a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\n",
        "b SELECT Board\r\n",
        "c APPEND Board {3+}\r\nabc\r\n",
        "d IDLE\r\n",
        "DONE\r\n",
        "e FETCH 1 FLAGS\r\n",
    ];
    let text = recording(Protocol::Imap, "", &blocks);
    let upload = "[[rule]]\nname = 'r'\naction = 'deny'\nuser = 'ann'\noperation = 'append'\nmailbox = 'Board'\n";
    assert_eq!(changes(&again(&text, upload)), [("c APPEND Board {3+}", ActionKind::Allow, ActionKind::Deny)]);
    assert!(changes(&again(&text, &upload.replace("ann", "bob"))).is_empty());
    let select = "[[rule]]\nname = 'r'\naction = 'deny'\ncommand = 'SELECT'\n";
    let replayed = again(&text, select);
    assert_eq!(changes(&replayed), [("b SELECT Board", ActionKind::Allow, ActionKind::Deny)]);
    assert_eq!(replayed.follow, 1, "the FETCH meets no mailbox: {replayed:?}");
}

#[test]
fn every_message_of_an_append_is_judged_again() {
    let blocks = [
        "a LOGIN ann secret\r\n",
        "b APPEND Board {3+}\r\nabc (\\Seen) {5+}\r\nabcde\r\n",
        "c APPEND Board {3+}\r\nabc {4+}\r\nabcd\r\n",
        "d NOOP\r\n",
    ];
    let text = recording(Protocol::Imap, "", &blocks);
    for (conditions, expected) in [
        ("nth_message = 2\nlarger_than = '4 B'", &["b APPEND Board {3+}"][..]),
        ("nth_message = 2\nflag = '\\Seen'", &["b APPEND Board {3+}"]),
        ("larger_than = '3 B'", &["b APPEND Board {3+}", "c APPEND Board {3+}"]),
        ("nth_message = 3", &[]),
    ] {
        let rules = format!("[[rule]]\nname = 'r'\naction = 'deny'\ncommand = 'APPEND'\n{conditions}\n");
        let replayed = again(&text, &rules);
        let denied: Vec<&str> = changes(&replayed).iter().map(|(said, ..)| *said).collect();
        assert_eq!(denied, expected, "{conditions}");
        assert_eq!(replayed.judged, 4, "{replayed:?}");
    }
}

#[test]
fn pop3_is_judged_again_as_imap_is() {
    let text = recording(
        Protocol::Pop3,
        "",
        &["USER ann\r\n", "PASS secret\r\n", "RETR 1\r\nDELE 1\r\nRETR 2\r\n", "QUIT\r\n"],
    );
    let rules = "[[rule]]\nname = 'r'\naction = 'deny'\nuser = 'ann'\neffect = 'destroy'\n";
    let replayed = again(&text, rules);
    assert_eq!(changes(&replayed), [("DELE 1", ActionKind::Allow, ActionKind::Deny)]);
    assert_eq!((replayed.judged, replayed.follow), (6, 0));
}

#[test]
fn a_recording_that_begins_inside_a_session_says_so() {
    let whole = recording(Protocol::Imap, "", &["a LOGIN ann secret\r\n", "b DELETE Archive\r\n"]);
    let later: Vec<&str> =
        whole.lines().filter(|line| !line.contains("\"greeted\"") && !line.contains("LOGIN")).collect();
    let replayed = again(&(later.join("\n") + "\n"), NOTHING);
    assert!(replayed.unknown.contains_key(&Unplayable::Beginning), "{replayed:?}");
    assert_eq!(replayed.follow, 0, "no rule decided otherwise: {replayed:?}");

    // the user is who a decision then says he was
    let rules = KEEP.replace("mailbox", "user = 'ann'\nmailbox");
    let whole = recording(Protocol::Imap, &rules, &["a LOGIN ann secret\r\n", "b DELETE Archive\r\n"]);
    let later: Vec<&str> =
        whole.lines().filter(|line| !line.contains("\"greeted\"") && !line.contains("LOGIN")).collect();
    assert!(changes(&again(&(later.join("\n") + "\n"), &rules)).is_empty());
}

#[test]
fn what_was_cut_or_is_too_large_is_not_said_again_and_half_a_line_ends_the_recording() {
    let text = recording(Protocol::Imap, "", &["a LOGIN ann secret\r\n", "b DELETE Archive\r\n", "c NOOP\r\n"]);
    for (line, cut) in
        [("b DELETE Arch…", 1), ("b DELETE ‹literal›", 1), ("b APPEND Archive {70000000+}", 1), ("b DELETE Archive", 0)]
    {
        let replayed = again(&text.replace("b DELETE Archive", line), NOTHING);
        assert_eq!(replayed.unknown.get(&Unplayable::Cut).copied().unwrap_or_default(), cut, "{line}: {replayed:?}");
        assert_eq!(replayed.judged, 3 - cut, "{line}: {replayed:?}");
    }
    let half = text.trim_end();
    assert_eq!(again(half.get(..half.len() - 3).unwrap(), NOTHING).sessions, 1);
}

#[test]
fn rules_about_the_time_see_when_a_command_was_said() {
    let text = recording(Protocol::Imap, "", &["a LOGIN ann secret\r\n", "b DELETE Archive\r\n"]);
    // said at noon of a Monday, and once more when it is evening
    let evening: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(",\"us\":") {
            Some((session, rest)) if line.contains("DELETE") => {
                let (_, event) = rest.split_once(',').expect("an event");
                format!("{session},\"us\":{},{event}", 13_u64 * 3600 * 1_000_000)
            }
            _ => line.to_owned(),
        })
        .collect();
    let rules = "[[rule]]\nname = 'r'\naction = 'deny'\ncommand = 'DELETE'\nwhen = 'hour >= 20'\n";
    assert!(changes(&again(&text, rules)).is_empty());
    assert_eq!(changes(&again(&(evening.join("\n") + "\n"), rules)).len(), 1);
}
