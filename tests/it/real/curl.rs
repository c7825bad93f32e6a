//! curl, the client that does one thing at a time.

use std::fs;
use std::process::Command;

use super::command::run;
use super::lab::{Lab, PASSWORD, Tls, USER, same_both_ways, sha256};
use super::mail::awkward;

/// What curl printed (as text when short) and its exit code.
fn curl(lab: &Lab, protocol: &str, path: &str, extra: &[&str]) -> (Option<i32>, String) {
    let port = if protocol == "imap" { lab.ports().imap } else { lab.ports().pop3 };
    let (scheme, more) = match lab.client {
        Tls::Implicit => (format!("{protocol}s"), None),
        Tls::Starttls => (protocol.to_owned(), Some("--ssl-reqd")),
        Tls::None => (protocol.to_owned(), None),
    };
    let mut command = Command::new("curl");
    command.args(["-q", "--silent", "--show-error", "--max-time", "120", "--cacert"]).arg(lab.ca());
    command.args(["--user", &format!("{USER}:{PASSWORD}")]).args(more).args(extra);
    command.arg(format!("{scheme}://localhost:{port}/{path}"));
    let done = run(&mut command);
    let shown = match String::from_utf8(done.stdout) {
        Ok(text) if text.len() < 1_000 => text,
        Ok(text) => sha256(text.as_bytes()),
        Err(not_text) => sha256(not_text.as_bytes()),
    };
    (done.code, shown)
}

/// A list, searches, fetches, an upload, a deletion and a refusal, and the mail the server has after it.
fn imap_errand(lab: &Lab) -> impl std::fmt::Debug + PartialEq + use<> {
    let letter = lab.home("curl").join("letter");
    fs::write(&letter, "From: Ada <ada@example.com>\r\nSubject: by curl\r\n\r\nSent with -T.\r\n").unwrap();
    let letter = letter.to_str().unwrap();
    let seen = [
        curl(lab, "imap", "", &[]),
        curl(lab, "imap", "INBOX?SUBJECT%20dots", &[]),
        curl(lab, "imap", "INBOX", &["--request", "SEARCH BODY special"]),
        curl(lab, "imap", "INBOX;MAILINDEX=2", &[]),
        curl(lab, "imap", "INBOX;MAILINDEX=8", &[]),
        curl(lab, "imap", "INBOX;UID=7;SECTION=1", &[]),
        curl(lab, "imap", "INBOX", &["--request", "FETCH 1:* (FLAGS UID RFC822.SIZE)"]),
        curl(lab, "imap", "INBOX", &["--upload-file", letter]),
        curl(lab, "imap", "INBOX;MAILINDEX=9", &[]),
        curl(lab, "imap", "INBOX", &["--request", "STORE 1 +FLAGS \\Deleted"]),
        curl(lab, "imap", "INBOX", &["--request", "EXPUNGE"]),
        curl(lab, "imap", "Nowhere;MAILINDEX=1", &[]),
        curl(lab, "imap", "INBOX", &["--login-options", "AUTH=PLAIN", "--sasl-ir", "--request", "NOOP"]),
    ];
    assert_eq!(seen[0].0, Some(0), "{seen:#?}\n{}", lab.logs());
    (seen, lab.server.kept())
}

/// The same for a maildrop, with three ways to log in.
fn pop3_errand(lab: &Lab) -> impl std::fmt::Debug + PartialEq + use<> {
    let mut seen = vec![
        curl(lab, "pop3", "", &[]),
        curl(lab, "pop3", "2", &[]),
        curl(lab, "pop3", "8", &[]),
        curl(lab, "pop3", "", &["--request", "UIDL"]),
        curl(lab, "pop3", "", &["--request", "TOP 2 1"]),
        curl(lab, "pop3", "99", &[]),
        curl(lab, "pop3", "1", &["--request", "DELE", "--head"]),
        curl(lab, "pop3", "", &["--login-options", "AUTH=PLAIN", "--sasl-ir"]),
    ];
    if lab.client == Tls::Implicit {
        // What a server says before STLS does not survive it in the proxy, its APOP challenge included.
        seen.push(curl(lab, "pop3", "", &["--login-options", "AUTH=+APOP"]));
    }
    assert_eq!(seen[0].0, Some(0), "{seen:#?}\n{}", lab.logs());
    (seen, lab.server.kept())
}

#[test]
fn curl_does_imap_the_same_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &awkward(), imap_errand);
}

#[test]
fn curl_does_imap_the_same_with_starttls() {
    same_both_ways(Tls::Starttls, &awkward(), imap_errand);
}

#[test]
fn curl_does_pop3_the_same_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &awkward(), pop3_errand);
}

#[test]
fn curl_does_pop3_the_same_with_stls() {
    same_both_ways(Tls::Starttls, &awkward(), pop3_errand);
}
