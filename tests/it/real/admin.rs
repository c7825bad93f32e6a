//! The admin endpoint with a token, as an operator uses it: the built program, and its own `reload`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::command::{Daemon, Finished, free_port, run};
use super::fake::{Fake, Mood};
use super::lab::direct_only;
use super::mailwarden::program;

const TOKEN: &str = "canary-0d6f1c-token-of-the-endpoint";

/// A running proxy whose endpoint wants what is in `token`.
fn guarded(directory: &Path) -> Daemon {
    let output = File::create(directory.join("log")).unwrap();
    let (admin, listener) = (free_port(), free_port());
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:{admin}\"\ntoken_file = \"token\"\n\
         [[listener]]\nname = \"imap\"\naddress = \"127.0.0.1:{listener}\"\nprotocol = \"imap\"\ntls = \"none\"\n\
         upstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:{}\"\ntls = \"none\"\n",
        Fake::start(Mood::Obliging).ports.imap
    );
    fs::write(directory.join("mailwarden.toml"), text).unwrap();
    let mut command = Command::new(program());
    command.args(["run", "--config"]).arg(directory.join("mailwarden.toml")).env("RUST_LOG", "trace");
    command.stdout(output.try_clone().unwrap()).stderr(output);
    let mut daemon = Daemon::spawn(&mut command);
    let listens = daemon.listens(&[admin, listener]);
    assert!(listens, "{}", fs::read_to_string(directory.join("log")).unwrap());
    daemon
}

fn reload(directory: &Path) -> Finished {
    let mut command = Command::new(program());
    run(command.args(["reload", "--config"]).arg(directory.join("mailwarden.toml")))
}

#[test]
fn reload_shows_the_token_to_the_proxy_and_to_nobody_else() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    fs::write(directory.join("token"), format!("{TOKEN}\n")).unwrap();
    let proxy = guarded(directory);
    let done = reload(directory);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    fs::write(directory.join("token"), "another-word-of-that-length\n").unwrap();
    let refused = reload(directory);
    assert!(refused.code == Some(1) && refused.stderr.contains("token_file"), "{}", refused.stderr);
    fs::write(directory.join("token"), "short\n").unwrap();
    let useless = reload(directory);
    assert!(useless.stderr.contains("MW-2026") && !useless.stderr.contains("short\n"), "{}", useless.stderr);
    drop(proxy);
    let log = fs::read_to_string(directory.join("log")).unwrap();
    for text in [&log, &done.stderr, &refused.stderr] {
        assert!(!text.contains(TOKEN) && !text.contains("another-word"), "{text}");
    }
}
