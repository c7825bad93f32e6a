//! Libraries that come from registries; `tests/suites/run` installs them and runs these.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{both_tls, clients, seen};
use crate::real::command::succeed;
use crate::real::lab::{Lab, PASSWORD, Tls, USER, same_both_ways};
use crate::real::mail::awkward;

/// What `tests/suites/run` installs.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/suites").join(name)
}

fn python(lab: &Lab, library: &str) -> Command {
    let mut command = Command::new(installed("python/bin/python3"));
    command.arg(clients("library_session.py")).args(["--port", &lab.ports().imap.to_string()]);
    command.args(["--tls", lab.client.word(), "--ca"]).arg(lab.ca()).args(["--user", USER, "--password", PASSWORD]);
    command.args(["--library", library]).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn imapclient_sees_the_same() {
    both_tls(|lab| seen(lab, &mut python(lab, "imapclient")));
}

#[test]
fn imap_tools_sees_the_same() {
    both_tls(|lab| seen(lab, &mut python(lab, "imap_tools")));
}

#[test]
fn aioimaplib_sees_the_same() {
    // it has no STARTTLS
    same_both_ways(Tls::Implicit, &awkward(), |lab| seen(lab, &mut python(lab, "aioimaplib")));
    same_both_ways(Tls::None, &awkward(), |lab| seen(lab, &mut python(lab, "aioimaplib")));
}

#[test]
fn imapflow_sees_the_same() {
    both_tls(|lab| {
        let mut command = Command::new("node");
        command.arg(clients("imapflow_session.mjs")).env("NODE_PATH", installed("node/node_modules"));
        command.args(["localhost", &lab.ports().imap.to_string(), lab.client.word()]).arg(lab.ca());
        seen(lab, command.args([USER, PASSWORD]))
    });
}

#[test]
fn async_imap_sees_the_same() {
    both_tls(|lab| {
        let mut command = Command::new(installed("async-imap/debug/async-imap-session"));
        command.args(["localhost", &lab.ports().imap.to_string(), lab.client.word()]).arg(lab.ca());
        seen(lab, command.args([USER, PASSWORD]))
    });
}

#[test]
fn javamail_sees_the_same_by_imap_and_pop3() {
    for protocol in ["imap", "pop3"] {
        both_tls(|lab| {
            let trust = lab.home("java").join("trust.jks");
            let mut keytool = Command::new("keytool");
            keytool.args(["-importcert", "-noprompt", "-storepass", "changeit", "-keystore"]).arg(&trust);
            succeed(keytool.arg("-file").arg(lab.ca()));
            let port = if protocol == "imap" { lab.ports().imap } else { lab.ports().pop3 };
            let mut command = Command::new("java");
            command.arg(format!("-Djavax.net.ssl.trustStore={}", trust.display()));
            command.arg("-Djavax.net.ssl.trustStorePassword=changeit");
            command.args(["-cp", "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"]);
            command.arg(clients("JavaMailSession.java"));
            seen(lab, command.args([protocol, "localhost", &port.to_string(), lab.client.word(), USER, PASSWORD]))
        });
    }
}
