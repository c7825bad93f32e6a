//! What three real servers execute, held against what the proxy judged and let up.

use std::path::Path;
use std::process::Command;

use super::command::{is_root, run};
use super::lab::direct_only;
use super::mailwarden::program;

/// One session in three is played here; `tests/differential/compare.py` plays them all.
const EVERY: &str = "3";

#[expect(clippy::print_stderr, reason = "a comparison that is left out must not look like one that was made")]
fn leave_out(server: &str) {
    eprintln!("{server} is started by root only: not compared");
}

/// Plays the sessions; none may have a difference, and so many must have been played.
fn executes_what_was_judged(server: &str) {
    if direct_only() {
        return;
    }
    // Cyrus and Courier run in a chroot, with users of their own.
    if !is_root() && server != "dovecot" {
        return leave_out(server);
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let mut command = Command::new("python3");
    command.arg(directory.join("compare.py")).args(["--servers", server, "--every", EVERY]);
    command.env("MAILWARDEN_BIN", program()).env("PYTHONDONTWRITEBYTECODE", "1");
    let done = run(&mut command);
    let text = String::from_utf8_lossy(&done.stdout);
    let last = text.lines().last().unwrap_or_default();
    let count = last.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()).and_then(|count| count.parse().ok());
    assert!(done.code == Some(0) && count > Some(300_u32), "{text}\n{}", done.stderr);
}

#[test]
fn dovecot_executes_exactly_what_the_proxy_judged() {
    executes_what_was_judged("dovecot");
}

#[test]
fn cyrus_executes_exactly_what_the_proxy_judged() {
    executes_what_was_judged("cyrus");
}

#[test]
fn courier_executes_exactly_what_the_proxy_judged() {
    executes_what_was_judged("courier");
}
