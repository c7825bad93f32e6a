//! Services that rules ask: one that never answers, one that is not there, one whose answers are remembered.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::command::free_port;
use super::lab::Tls;
use super::policy::{ask, body, decide, imap, lab, pop3};

/// A service that takes questions and never answers. It ends with the tests' process.
fn silent() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    port
}

/// A service that allows what is about the word, and counts what it was asked.
fn counting(allowed: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            decide(connection, allowed).unwrap();
        }
    });
    (port, asked)
}

fn hook(name: &str, port: u16, more: &str) -> String {
    format!("[[hook]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/\"\n{more}\n\n")
}

fn rule(command: &str, hook: &str) -> String {
    format!(
        "[[rule]]\nname = \"{command}\"\naction = \"ask\"\ncommand = \"{command}\"\nhook = \"{hook}\"\nreply = \"Nobody says yes\"\n\n"
    )
}

#[test]
fn without_an_answer_a_command_passes_or_not_as_the_hook_says_and_the_session_goes_on() {
    let (open, shut) = ("on_failure = \"allow\"\ntimeout = \"200ms\"", "on_failure = \"deny\"\ntimeout = \"200ms\"");
    let (nobody, absent) = (silent(), free_port());
    let hooks = [
        hook("silent-open", nobody, open),
        hook("silent-shut", nobody, shut),
        hook("absent-open", absent, open),
        hook("absent-shut", absent, shut),
    ];
    let rules = [
        rule("CREATE", "silent-open"),
        rule("DELETE", "silent-shut"),
        rule("SUBSCRIBE", "absent-open"),
        rule("UNSUBSCRIBE", "absent-shut"),
        rule("RETR", "silent-open"),
        rule("DELE", "silent-shut"),
        rule("TOP", "absent-open"),
        rule("UIDL", "absent-shut"),
    ];
    let Some(lab) = lab(Tls::None, &(hooks.concat() + &rules.concat())) else { return };
    let mut talk = imap(&lab);
    talk.send(b"a CREATE Yes\r\nb DELETE Yes\r\nc SUBSCRIBE Yes\r\nd UNSUBSCRIBE Yes\r\ne STATUS Yes (MESSAGES)\r\n");
    assert!(talk.answer().starts_with("a OK"), "{}", lab.logs());
    assert_eq!(talk.answer(), "b NO [NOPERM] Nobody says yes");
    assert!(talk.answer().starts_with("c OK"), "{}", lab.logs());
    assert_eq!(talk.answer(), "d NO [NOPERM] Nobody says yes");
    assert!(talk.answer().starts_with("e OK"), "it is still there: {}", lab.logs());
    let mut talk = pop3(&lab);
    talk.send(b"RETR 1\r\nDELE 1\r\nTOP 1 0\r\nUIDL\r\nNOOP\r\n");
    assert!(body(&mut talk).iter().any(|line| line == "Subject: plain"), "{}", lab.logs());
    assert_eq!(talk.line(), "-ERR [SYS/PERM] Nobody says yes");
    assert!(body(&mut talk).iter().any(|line| line == "Subject: plain"), "{}", lab.logs());
    assert_eq!(talk.line(), "-ERR [SYS/PERM] Nobody says yes");
    assert!(talk.line().starts_with("+OK"));
}

#[test]
fn an_answer_is_remembered_for_the_same_question_of_all_sessions() {
    let (imap_port, of_imap) = counting("Yes");
    let (pop3_port, of_pop3) = counting("RETR");
    let hooks = hook("imap", imap_port, "cache = \"1h\"") + &hook("pop3", pop3_port, "cache = \"1h\"");
    let rules = [rule("SUBSCRIBE", "imap"), rule("RETR", "pop3"), rule("DELE", "pop3")].concat();
    let Some(lab) = lab(Tls::None, &(hooks + &rules)) else { return };
    let before = lab.server.kept();
    for _ in 0..2 {
        let mut talk = imap(&lab);
        for _ in 0..2 {
            let answer = ask(&mut talk, "a SUBSCRIBE Yes");
            assert!(answer.starts_with("a ") && !answer.contains("Nobody"), "{answer}");
            assert_eq!(ask(&mut talk, "b SUBSCRIBE No"), "b NO [NOPERM] Nobody says yes");
        }
        let mut talk = pop3(&lab);
        for _ in 0..2 {
            talk.send(b"RETR 1\r\n");
            assert!(body(&mut talk).iter().any(|line| line == "Subject: plain"), "{}", lab.logs());
            assert_eq!(ask(&mut talk, "DELE 1"), "-ERR [SYS/PERM] Nobody says yes");
        }
        assert!(ask(&mut talk, "QUIT").starts_with("+OK"));
    }
    assert_eq!(of_imap.load(Ordering::SeqCst), 2, "one for each folder");
    assert_eq!(of_pop3.load(Ordering::SeqCst), 2, "one for each command");
    assert_eq!(lab.server.kept().len(), before.len(), "nothing was deleted");
}
