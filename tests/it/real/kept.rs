//! Sessions that a rule wants kept as a recording.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::lab::{PASSWORD, Tls, USER};
use super::policy::{ask, body, imap, lab, pop3, rules};

/// The files, oldest first; waits until so many are complete.
fn complete(directory: &Path, count: usize) -> Vec<PathBuf> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let is_complete = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("{\"closed\":"));
        if files.len() == count && files.iter().all(is_complete) {
            return files;
        }
        assert!(Instant::now() < end, "{files:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn keeping(directory: &Path, bounds: &str, imap: &str, pop3: &str) -> String {
    let record = |conditions: &str| format!("{conditions}\nrecord = true");
    let policy = format!("[policy]\nrecordings = {{ directory = \"{}\", {bounds} }}\n\n", directory.display());
    policy + &rules("allow", &record(imap), &record(pop3))
}

#[test]
fn a_session_is_kept_from_the_command_on_without_secrets_and_without_mail() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("kept");
    let text = keeping(&directory, "most = 10", "command = \"LOGIN\"", "command = \"USER\"");
    let Some(lab) = lab(Tls::None, &text) else { return };
    let mut talk = imap(&lab);
    talk.send(b"a SELECT INBOX\r\nb UID FETCH 1:* BODY.PEEK[]\r\nc APPEND INBOX {6+}\r\ncanary\r\nd LOGOUT\r\n");
    while !talk.line().is_empty() {}
    let mut talk = pop3(&lab);
    talk.send(b"RETR 1\r\n");
    body(&mut talk);
    ask(&mut talk, "QUIT");
    let files = complete(&directory, 2);
    for (path, said) in files.iter().zip(["b UID FETCH 1:* BODY.PEEK[]", "RETR 1"]) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(said) && text.contains(USER), "{text}");
        for secret in [PASSWORD, "canary", "Subject: plain", "nothing special here."] {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_is_kept_is_bounded_in_number_and_size() {
    const SIZE: u64 = 4096;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("kept");
    let bounds = format!("most = 3, size = \"{SIZE} B\"");
    let text = keeping(&directory, &bounds, "command = \"STATUS\"", "command = \"STAT\"");
    let Some(lab) = lab(Tls::None, &text) else { return };
    // who does nothing that the rules are about is not kept
    let mut unkept = imap(&lab);
    ask(&mut unkept, "a NOOP");
    for _ in 0..3 {
        let mut talk = imap(&lab);
        for command in ["STATUS INBOX (MESSAGES)"].iter().chain(&["NOOP"; 100]) {
            assert!(ask(&mut talk, &format!("a {command}")).starts_with("a OK"), "{}", lab.logs());
        }
        drop(talk);
        let mut talk = pop3(&lab);
        for command in ["STAT"].iter().chain(&["NOOP"; 100]) {
            assert!(ask(&mut talk, command).starts_with("+OK"), "{}", lab.logs());
        }
    }
    let files = complete(&directory, 3);
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let (first, last) = (text.lines().nth(2).unwrap(), text.lines().rev().nth(1).unwrap());
        assert!(first.contains("STAT") && last.contains("\"gap\""), "{text}");
        // what tells of the gap and of the end comes on top
        assert!(text.len() as u64 <= SIZE + 256, "{}", text.len());
    }
}
