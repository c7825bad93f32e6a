//! Python's imaplib and poplib, getmail and fetchmail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{is_root, succeed};
use super::dovecot::give_away;
use super::lab::{Lab, PASSWORD, Route, Tls, USER, direct_only, maildir, same_both_ways};
use super::mail::awkward;

/// Runs one of `tests/clients` and gives the JSON it prints.
pub(crate) fn script(lab: &Lab, name: &str, port: u16, extra: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let mut command = Command::new("python3");
    command.arg(path).args(["--port", &port.to_string(), "--tls", lab.client.word(), "--ca"]).arg(lab.ca());
    command.args(["--user", USER, "--password", PASSWORD]).args(extra).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("MAILBOX_PREFIX", lab.server.prefix());
    let done = super::command::run(&mut command);
    assert_eq!(done.code, Some(0), "{name} {extra:?}\n{}\n{}", done.stderr, lab.logs());
    String::from_utf8(done.stdout).unwrap()
}

/// The server's mail counts as much as what the client saw.
fn imap_day(lab: &Lab, auth: &str) -> (String, impl std::fmt::Debug + PartialEq + use<>) {
    let seen = script(lab, "imap_session.py", lab.ports().imap, &["--auth", auth]);
    (seen, lab.server.kept())
}

fn pop3_day(lab: &Lab, auth: &str) -> (String, impl std::fmt::Debug + PartialEq + use<>) {
    let seen = script(lab, "pop3_session.py", lab.ports().pop3, &["--auth", auth]);
    (seen, lab.server.kept())
}

#[test]
fn imaplib_sees_the_same_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &awkward(), |lab| imap_day(lab, "login"));
}

#[test]
fn imaplib_sees_the_same_with_starttls() {
    same_both_ways(Tls::Starttls, &awkward(), |lab| imap_day(lab, "plain"));
}

#[test]
fn imaplib_sees_the_same_in_clear() {
    same_both_ways(Tls::None, &awkward(), |lab| imap_day(lab, "sasl-login"));
}

#[test]
fn poplib_sees_the_same_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &awkward(), |lab| pop3_day(lab, "login"));
}

#[test]
fn poplib_sees_the_same_with_stls() {
    same_both_ways(Tls::Starttls, &awkward(), |lab| pop3_day(lab, "plain-ir"));
}

#[test]
fn poplib_sees_the_same_in_clear() {
    same_both_ways(Tls::None, &awkward(), |lab| pop3_day(lab, "plain"));
}

#[test]
fn poplib_logs_in_with_apop() {
    same_both_ways(Tls::Implicit, &awkward(), |lab| pop3_day(lab, "apop"));
}

#[test]
fn every_kind_of_tls_goes_with_every_other() {
    let short = |lab: &Lab| {
        let imap = script(lab, "imap_session.py", lab.ports().imap, &["--short"]);
        (imap, script(lab, "pop3_session.py", lab.ports().pop3, &["--short"]))
    };
    let direct = short(&Lab::start(Route::Direct, Tls::Implicit, &awkward()));
    for (client, server) in Tls::ALL.into_iter().flat_map(|client| Tls::ALL.map(|server| (client, server))) {
        let route = if direct_only() { Route::Direct } else { Route::Proxied(server) };
        let seen = short(&Lab::start(route, client, &awkward()));
        assert!(seen == direct, "client {client:?}, server {server:?}:\n{seen:#?}\ndirect:\n{direct:#?}");
    }
}

#[test]
fn getmail_fetches_the_same_by_pop3_and_imap() {
    for protocol in ["POP3", "IMAP"] {
        same_both_ways(Tls::Implicit, &awkward(), |lab| {
            let inbox = getmail(lab, protocol);
            (maildir(&inbox), lab.server.kept())
        });
    }
}

fn getmail(lab: &Lab, protocol: &str) -> PathBuf {
    let home = lab.home("getmail");
    let inbox = home.join("inbox");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(inbox.join(folder)).unwrap();
    }
    let port = if protocol == "IMAP" { lab.ports().imap } else { lab.ports().pop3 };
    let file = home.join("getmailrc");
    let text = format!(
        "[retriever]\ntype = Simple{protocol}SSLRetriever\nserver = localhost\nport = {port}\nusername = {USER}\n\
         password = {PASSWORD}\nca_certs = {}\nssl_cert_hostname = localhost\n\n\
         [destination]\ntype = Maildir\npath = {}/\n{}\n\
         [options]\ndelivered_to = false\nreceived = false\ndelete = true\nverbose = 1\n",
        lab.ca().display(),
        inbox.display(),
        // It delivers nothing as root.
        if is_root() { "user = nobody\n" } else { "" },
    );
    if is_root() {
        give_away(&inbox);
    }
    fs::write(&file, text).unwrap();
    succeed(Command::new("getmail").arg("--getmaildir").arg(&home).arg("--rcfile").arg(&file));
    inbox
}

#[test]
fn fetchmail_fetches_the_same_with_implicit_tls() {
    for protocol in ["pop3", "imap"] {
        same_both_ways(Tls::Implicit, &awkward(), |lab| (fetchmail(lab, protocol), lab.server.kept()));
    }
}

#[test]
fn fetchmail_fetches_the_same_with_starttls() {
    for protocol in ["pop3", "imap"] {
        same_both_ways(Tls::Starttls, &awkward(), |lab| (fetchmail(lab, protocol), lab.server.kept()));
    }
}

/// All messages in the order in which they came, as fetchmail hands them on.
fn fetchmail(lab: &Lab, protocol: &str) -> String {
    let home = lab.home("fetchmail");
    let port = if protocol == "imap" { lab.ports().imap } else { lab.ports().pop3 };
    let how = if lab.client == Tls::Implicit { "ssl sslproto \"TLS1.2+\"" } else { "sslproto \"TLS1.2+\"" };
    let file = home.join("fetchmailrc");
    let text = format!(
        "set invisible\npoll localhost proto {protocol} port {port} user \"{USER}\" password \"{PASSWORD}\" {how} \
         sslcertck sslcertfile \"{}\" sslcommonname \"localhost\" no rewrite fetchall mda \"cat >> '{}'\"\n",
        lab.ca().display(),
        home.join("mail").display(),
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("fetchmail");
    command.args(["--fetchmailrc"]).arg(&file).arg("--pidfile").arg(home.join("pid")).arg("--idfile");
    command.arg(home.join("ids")).env("HOME", &home).env("FETCHMAILHOME", &home);
    succeed(&mut command);
    super::lab::sha256(&fs::read(home.join("mail")).unwrap())
}
