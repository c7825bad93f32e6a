//! More clients and libraries that others wrote, each played direct and through the proxy.
//!
//! Those that come in packages run always. The libraries that come from registries are installed by
//! `tests/suites/run`, which then runs their tests, ignored elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command::{run, succeed};
use super::lab::{Lab, PASSWORD, Tls, USER, maildir, same_both_ways};
use super::mail::awkward;

const LIMIT: Duration = Duration::from_mins(2);

fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// What `tests/suites/run` installs.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/suites").join(name)
}

/// The program's own words and the mail it left on the server.
fn seen(lab: &Lab, command: &mut Command) -> (String, impl std::fmt::Debug + PartialEq + use<>) {
    let done = run(command, LIMIT);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "{command:?}\n{text}\n{}\n{}", done.stderr, lab.logs());
    (text, maildir(lab.dovecot.maildir()))
}

/// With implicit TLS, then with STARTTLS.
fn both_tls(scenario: impl Fn(&Lab)) {
    for tls in [Tls::Implicit, Tls::Starttls] {
        same_both_ways(tls, &awkward(), |lab| scenario(lab));
    }
}
