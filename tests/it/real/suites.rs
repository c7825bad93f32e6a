//! More clients and libraries that others wrote, each played direct and through the proxy.
//!
//! Those that come in packages run always. The libraries that come from registries are in `outside`, for which
//! `tests/suites/run` installs them.

#[cfg(feature = "suites")]
mod outside;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{run, succeed};
use super::lab::{Lab, PASSWORD, Route, Tls, USER, same_both_ways};
use super::mail::awkward;

fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// The program's own words and the mail it left on the server.
fn seen(lab: &Lab, command: &mut Command) -> (String, impl std::fmt::Debug + PartialEq + use<>) {
    let done = run(command.env("MAILBOX_PREFIX", lab.server.prefix()));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "{command:?}\n{text}\n{}\n{}", done.stderr, lab.logs());
    (text, lab.server.kept())
}

/// With implicit TLS, then with STARTTLS.
fn both_tls<T: std::fmt::Debug + PartialEq>(scenario: impl Fn(&Lab) -> T) {
    for tls in [Tls::Implicit, Tls::Starttls] {
        same_both_ways(tls, &awkward(), &scenario);
    }
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
        succeed(Command::new("mpop").arg("-C").arg(&file).arg("a").env("HOME", &home));
        (without_from_lines(&home.join("mbox")), lab.server.kept())
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

// imaplib2, on which it stands, waits for itself for ever now and then, direct too: no test for every run
#[cfg(feature = "suites")]
#[test]
fn outside_offlineimap_synchronises_the_same() {
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
        let sync = || succeed(Command::new("offlineimap").arg("-c").arg(&file).args(["-1", "-o"]).env("HOME", &home));
        sync();
        let letter = "From: ada@example.com\nSubject: written offline\n\nx\n";
        fs::write(home.join("mail/INBOX/cur/1704070800_9.lab:2,S"), letter).unwrap();
        sync();
        let (local, kept) = (super::lab::maildir(&home.join("mail")), lab.server.kept().len());
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
        succeed(command.env("HOME", &home).env("TERM", "vt100"));
        let mail = lab.server.kept();
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
        succeed(Command::new("interimap").arg(format!("--config={}", file.display())).env("HOME", &home));
        let copies = other.server.kept();
        assert_eq!(copies.values().sum::<usize>(), awkward().len(), "{}", lab.logs());
        (copies, lab.server.kept())
    });
}
