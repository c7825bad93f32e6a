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
use super::lab::{Lab, PASSWORD, Route, Tls, USER, direct_only, maildir, same_both_ways};
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
fn both_tls<T: std::fmt::Debug + PartialEq>(scenario: impl Fn(&Lab) -> T) {
    for tls in [Tls::Implicit, Tls::Starttls] {
        same_both_ways(tls, &awkward(), &scenario);
    }
}

fn python(lab: &Lab, library: &str) -> Command {
    let mut command = Command::new(installed("python/bin/python3"));
    command.arg(clients("library_session.py")).args(["--port", &lab.ports().imap.to_string()]);
    command.args(["--tls", lab.client.word(), "--ca"]).arg(lab.ca()).args(["--user", USER, "--password", PASSWORD]);
    command.args(["--library", library]).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
#[ignore = "tests/suites/run installs it"]
fn imapclient_sees_the_same() {
    both_tls(|lab| seen(lab, &mut python(lab, "imapclient")));
}

#[test]
#[ignore = "tests/suites/run installs it"]
fn imap_tools_sees_the_same() {
    both_tls(|lab| seen(lab, &mut python(lab, "imap_tools")));
}

#[test]
#[ignore = "tests/suites/run installs it"]
fn aioimaplib_sees_the_same() {
    // it has no STARTTLS
    same_both_ways(Tls::Implicit, &awkward(), |lab| seen(lab, &mut python(lab, "aioimaplib")));
    same_both_ways(Tls::None, &awkward(), |lab| seen(lab, &mut python(lab, "aioimaplib")));
}

#[test]
#[ignore = "tests/suites/run installs it"]
fn imapflow_sees_the_same() {
    both_tls(|lab| {
        let mut command = Command::new("node");
        command.arg(clients("imapflow_session.mjs")).env("NODE_PATH", installed("node/node_modules"));
        command.args(["localhost", &lab.ports().imap.to_string(), lab.client.word()]).arg(lab.ca());
        seen(lab, command.args([USER, PASSWORD]))
    });
}

#[test]
#[ignore = "tests/suites/run installs it"]
fn javamail_sees_the_same_by_imap_and_pop3() {
    for protocol in ["imap", "pop3"] {
        both_tls(|lab| {
            let trust = lab.home("java").join("trust.jks");
            let mut keytool = Command::new("keytool");
            keytool.args(["-importcert", "-noprompt", "-storepass", "changeit", "-keystore"]).arg(&trust);
            succeed(keytool.arg("-file").arg(lab.ca()), LIMIT);
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

/// Dovecot's own test of servers: scripts, each of which says what a server must answer. Two of its 71 groups
/// hold what the proxy refuses on purpose: `atoms` selects a name that is not canonical modified UTF-7, `id`
/// sends a line of 32 KB, longer than the default limit.
#[test]
#[ignore = "tests/suites/run installs it"]
fn imaptest_passes_but_for_what_is_refused_on_purpose() {
    let failed = imaptest(&Lab::start(Route::Direct, Tls::None, &awkward()));
    assert!(failed.is_empty(), "direct: {failed:?}");
    if !direct_only() {
        let failed = imaptest(&Lab::start(Route::Proxied(Tls::Implicit), Tls::None, &awkward()));
        assert_eq!(failed, ["atoms", "id"]);
    }
}

/// The groups that failed.
fn imaptest(lab: &Lab) -> Vec<String> {
    let sources = installed("imaptest/src");
    let mut command = Command::new(sources.join("imaptest"));
    command.args(["host=127.0.0.1", &format!("port={}", lab.ports().imap), &format!("user={USER}")]);
    command.arg(format!("pass={PASSWORD}")).arg(format!("test={}", sources.join("tests").display()));
    command.arg(format!("mbox={}", sources.join("tests/default.mbox").display()));
    command.env("LD_LIBRARY_PATH", "/usr/lib/dovecot");
    let done = run(command.current_dir(lab.home("imaptest")), LIMIT);
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &done.stderr;
    assert!(text.contains("71 test groups: "), "it did not run them all:\n{text}");
    let mut failed: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("*** Test ")?.split(' ').next().map(ToOwned::to_owned))
        .collect();
    failed.sort();
    failed.dedup();
    failed
}

#[test]
fn perl_mail_imapclient_sees_the_same() {
    both_tls(|lab| {
        let mut command = Command::new("/usr/bin/perl");
        command.arg(clients("mail_imapclient.pl")).args(["localhost", &lab.ports().imap.to_string()]);
        seen(lab, command.arg(lab.client.word()).arg(lab.ca()).args([USER, PASSWORD]))
    });
}

#[test]
fn mpop_fetches_the_same() {
    both_tls(|lab| {
        let home = lab.home("mpop");
        let file = home.join("mpoprc");
        let starttls = if lab.client == Tls::Starttls { "on" } else { "off" };
        let text = format!(
            "account a\nhost localhost\nport {}\nuser {USER}\npassword {PASSWORD}\nauth user\ntls on\n\
             tls_starttls {starttls}\ntls_trust_file {}\nkeep off\nreceived_header off\nuidls_file {}\ndelivery mbox {}\n",
            lab.ports().pop3,
            lab.ca().display(),
            home.join("uidls").display(),
            home.join("mbox").display(),
        );
        write_private(&file, &text);
        succeed(Command::new("mpop").arg("-C").arg(&file).arg("a").env("HOME", &home), LIMIT);
        (without_from_lines(&home.join("mbox")), maildir(lab.dovecot.maildir()))
    });
}

/// An mbox without the lines that hold the time of delivery.
fn without_from_lines(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("From ")).collect();
    super::lab::sha256(kept.join("\n").as_bytes())
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn offlineimap_synchronises_the_same() {
    both_tls(|lab| {
        let home = lab.home("offlineimap");
        let (ssl, starttls) = if lab.client == Tls::Starttls { ("no", "yes") } else { ("yes", "no") };
        let text = format!(
            "[general]\naccounts = a\nmetadata = {home}/meta\nui = quiet\n[Account a]\nlocalrepository = l\n\
             remoterepository = r\n[Repository l]\ntype = Maildir\nlocalfolders = {home}/mail\n[Repository r]\n\
             type = IMAP\nremotehost = localhost\nremoteport = {}\nremoteuser = {USER}\nremotepass = {PASSWORD}\n\
             ssl = {ssl}\nstarttls = {starttls}\nsslcacertfile = {}\n",
            lab.ports().imap,
            lab.ca().display(),
            home = home.display(),
        );
        let file = home.join("offlineimaprc");
        write_private(&file, &text);
        // -1: with threads it waits for itself for ever now and then, direct too
        let sync =
            || succeed(Command::new("offlineimap").arg("-c").arg(&file).args(["-1", "-o"]).env("HOME", &home), LIMIT);
        sync();
        let letter = "From: ada@example.com\nSubject: written offline\n\nx\n";
        fs::write(home.join("mail/INBOX/cur/1704070800_9.lab:2,S"), letter).unwrap();
        sync();
        let (local, kept) = (maildir(&home.join("mail")), maildir(lab.dovecot.maildir()).len());
        assert_eq!(local.values().sum::<usize>(), awkward().len() + 1, "{}", lab.logs());
        (local, kept)
    });
}

#[test]
fn neomutt_reads_and_files_the_same() {
    both_tls(|lab| {
        let home = lab.home("neomutt");
        let scheme = if lab.client == Tls::Implicit { "imaps" } else { "imap" };
        let url = format!("{scheme}://{USER}@localhost:{}/", lab.ports().imap);
        let text = format!(
            "set imap_pass=\"{PASSWORD}\"\nset certificate_file=\"{}\"\nset ssl_starttls=yes\nset ssl_force_tls=yes\n\
             set folder=\"{url}\"\nset spoolfile=\"{url}INBOX\"\nset header_cache=\"\"\nset confirmcreate=no\n\
             set confirmappend=no\nset delete=yes\nset quit=yes\nset sleep_time=0\nset move=no\n\
             push \"<last-entry><copy-message>=Work<enter><first-entry><delete-message><sync-mailbox><quit>\"\n",
            lab.ca().display(),
        );
        let file = home.join("muttrc");
        write_private(&file, &text);
        // it wants a terminal, which `script` gives
        let mut command = Command::new("script");
        command.args(["-qec", &format!("neomutt -n -F {}", file.display()), "/dev/null"]);
        succeed(command.env("HOME", &home).env("TERM", "vt100"), LIMIT);
        let mail = maildir(lab.dovecot.maildir());
        assert!(mail.keys().any(|name| name.starts_with(".Work/")), "it copied a message: {mail:#?}");
        mail
    });
}

#[test]
fn interimap_synchronises_the_same() {
    both_tls(|lab| {
        let home = lab.home("interimap");
        let other = Lab::start(Route::Direct, Tls::Implicit, &[]);
        let server = |lab: &Lab, tls: Tls| {
            let kind = if tls == Tls::Implicit { "imaps" } else { "imap" };
            format!(
                "type = {kind}\nhost = localhost\nport = {}\nusername = {USER}\npassword = {PASSWORD}\n\
                 STARTTLS = YES\nSSL_CAfile = {}\n",
                lab.ports().imap,
                lab.ca().display(),
            )
        };
        let file = home.join("config");
        let text = format!(
            "database = {}/db\nlist-mailbox = *\n[local]\n{}\n[remote]\n{}\n",
            home.display(),
            server(&other, Tls::Implicit),
            server(lab, lab.client),
        );
        write_private(&file, &text);
        succeed(Command::new("interimap").arg(format!("--config={}", file.display())).env("HOME", &home), LIMIT);
        let copies = maildir(other.dovecot.maildir());
        assert_eq!(copies.values().sum::<usize>(), awkward().len(), "{}", lab.logs());
        (copies, maildir(lab.dovecot.maildir()))
    });
}
