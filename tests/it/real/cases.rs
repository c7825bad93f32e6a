//! The protocol cases: a scripted client and a scripted server, octet by octet, the proxy between them.

use std::path::Path;
use std::process::Command;

use super::command::run;
use super::lab::direct_only;
use super::mailwarden::program;

/// Runs of cases that must pass at least, so that a player that skips does not look like success.
const REQUIRED: usize = 318;

#[test]
fn every_protocol_case_passes() {
    if direct_only() {
        return;
    }
    let player = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/player.py");
    let mut command = Command::new("python3");
    // Long waits cost time only where a case fails, and keep a busy machine from looking like a fault.
    command.arg(player).args(["--quiet", "--wait", "30", "--deadline", "90"]);
    command.env("MAILWARDEN_BIN", program()).env("PYTHONDONTWRITEBYTECODE", "1");
    let done = run(&mut command);
    let text = String::from_utf8_lossy(&done.stdout);
    let last = text.lines().last().unwrap_or_default();
    let passed = last.strip_suffix(" passed, 0 failed, 0 skipped").and_then(|count| count.parse::<usize>().ok());
    let enough = passed.is_some_and(|passed| passed >= REQUIRED);
    assert!(done.code == Some(0) && enough, "{text}\n{}", done.stderr);
}
