//! Mail programs at work through a proxy, and some that do what they should not.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::authority::Authority;
use super::super::command::{free_port, run};
use super::super::dovecot::{Dovecot, open_to_all};
use super::super::lab::{PASSWORD, Tls, USER};
use super::super::mail::{awkward, of_size};
use super::super::mailwarden::{Mailwarden, Upstream};
use super::super::talk::Talk;

/// A proxy with listeners in clear for both protocols, one with TLS, and one whose server is down.
pub(super) struct Site {
    pub(super) proxy: Mailwarden,
    tls: u16,
    dead: u16,
    /// What the listener with TLS is to be trusted for.
    ca: PathBuf,
    _dovecot: Dovecot,
    directory: TempDir,
}

impl Site {
    pub(super) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        open_to_all(directory.path());
        let ends = SystemTime::now() + Duration::from_hours(24 * 60);
        let authority = Authority::create_for(directory.path(), &["localhost", "127.0.0.1"], Some(ends));
        let dovecot = Dovecot::start(directory.path(), &authority, &awkward());
        let host = "127.0.0.1".to_owned();
        let ports = dovecot.ports(Tls::Implicit);
        let upstream = Upstream { host, ports, tls: Tls::Implicit, roots: authority.ca.clone(), compress: true };
        let (tls, dead) = (free_port(), free_port());
        let more = format!(
            "[[listener]]\nname = \"imaps\"\naddress = \"127.0.0.1:{tls}\"\nprotocol = \"imap\"\ntls = \"implicit\"\n\
             upstream = \"imap-server\"\ncertificate = {{ chain = \"{}\", key = \"{}\" }}\n\
             [[listener]]\nname = \"lost\"\naddress = \"127.0.0.1:{dead}\"\nprotocol = \"imap\"\ntls = \"none\"\n\
             upstream = \"lost\"\n[[upstream]]\nname = \"lost\"\naddress = \"127.0.0.1:{}\"\ntls = \"none\"\n\
             [policy]\nrecordings = {{ directory = \"{}\" }}\n\
             [[rule]]\nname = \"folders stay\"\ncommand = \"DELETE\"\naction = \"deny\"\nrecord = true\n",
            authority.chain.display(),
            authority.key.display(),
            free_port(),
            directory.path().join("kept").display(),
        );
        let proxy = Mailwarden::start(directory.path(), &authority, Tls::None, &upstream, &more);
        Self { proxy, tls, dead, ca: authority.ca, _dovecot: dovecot, directory }
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Everything once.
    pub(super) fn day(&self) {
        self.imap();
        self.pop3();
        self.handshakes();
        self.strangers();
    }

    /// A session that stays, and waits for mail.
    pub(super) fn visitor(&self) -> Talk {
        let mut talk = Talk::greeted(self.proxy.ports.imap);
        for line in [&format!("a1 LOGIN {USER} {PASSWORD}"), "a1 SELECT INBOX", "a1 IDLE"] {
            exchange(&mut talk, line);
        }
        talk
    }

    /// Mail comes in, so that a long day does not run out of it.
    pub(super) fn post(&self) {
        let mut talk = Talk::greeted(self.proxy.ports.imap);
        exchange(&mut talk, &format!("a1 LOGIN {USER} {PASSWORD}"));
        for octets in [2_000, 20_000, 200_000] {
            let message = of_size(octets);
            talk.send(format!("a1 APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes());
            talk.send(&message);
            exchange(&mut talk, "");
        }
        exchange(&mut talk, "a1 LOGOUT");
    }

    /// Retrievals of every extent, an upload, a deletion, push, and what a rule forbids.
    fn imap(&self) {
        let mut talk = Talk::greeted(self.proxy.ports.imap);
        for line in [
            &format!("a1 LOGIN {USER} {PASSWORD}"),
            "a1 SELECT INBOX",
            "a1 FETCH 1:3 (FLAGS BODY.PEEK[])",
            "a1 FETCH 1:3 (BODY.PEEK[HEADER])",
            "a1 FETCH 1:3 (BODY.PEEK[1])",
            "a1 FETCH 1 (BODY.PEEK[]<0.10>)",
            "a1 APPEND INBOX {4+}\r\nx: y",
            "a1 STORE 1 +FLAGS (\\Deleted)",
            "a1 EXPUNGE",
            "a1 DELETE Nothing",
            "a1 SELECT Nowhere",
            "a1 XINVENTED",
        ] {
            exchange(&mut talk, line);
        }
        for _ in 0..2 {
            exchange(&mut talk, "a1 IDLE");
            exchange(&mut talk, "DONE");
        }
        exchange(&mut talk, "a1 LOGOUT");
    }

    /// Two polls, each with retrievals; a deletion.
    fn pop3(&self) {
        for _ in 0..2 {
            let mut talk = Talk::greeted(self.proxy.ports.pop3);
            for line in [&format!("USER {USER}"), &format!("PASS {PASSWORD}"), "STAT", "DELE 2", "LIST 99"] {
                exchange(&mut talk, line);
            }
            for line in ["RETR 1", "TOP 1 0", "TOP 1 1"] {
                exchange(&mut talk, line);
                while talk.line() != "." {}
            }
            exchange(&mut talk, "QUIT");
        }
    }

    /// A client with TLS that trusts the certificate, and one that does not.
    fn handshakes(&self) {
        for trust in [Some(&self.ca), None] {
            let mut command = Command::new("curl");
            command.args(["-q", "--silent", "--max-time", "120", "--user", &format!("{USER}:{PASSWORD}")]);
            if let Some(ca) = trust {
                command.arg("--cacert").arg(ca);
            }
            let done = run(command.arg(format!("imaps://localhost:{}/", self.tls)));
            assert_eq!(done.code == Some(0), trust.is_some(), "{}\n{}", done.stderr, self.proxy.log());
        }
    }

    /// Someone who guesses, someone who speaks nonsense, and someone whose server is down.
    fn strangers(&self) {
        exchange(&mut Talk::greeted(self.proxy.ports.imap), &format!("a1 LOGIN {USER} wrong"));
        let mut talk = Talk::greeted(self.proxy.ports.pop3);
        exchange(&mut talk, &format!("USER {USER}"));
        exchange(&mut talk, "PASS wrong");
        for port in [self.proxy.ports.imap, self.proxy.ports.pop3] {
            exchange(&mut Talk::greeted(port), "a1 SELECT \"nul\0\"");
        }
        // longer than any line may be before a login
        exchange(&mut Talk::greeted(self.proxy.ports.imap), &format!("a1 SELECT {}", "x".repeat(100_000)));
        assert!(!Talk::to(self.dead).rest().is_empty(), "the client is told why");
    }
}

/// Sends a line and waits for the answer to it; the content of messages comes before that.
fn exchange(talk: &mut Talk, line: &str) {
    talk.send(format!("{line}\r\n").as_bytes());
    let is_answer =
        |line: &str| ["a1 ", "+ ", "+OK", "-ERR", "* BAD", "* BYE"].iter().any(|start| line.starts_with(start));
    assert!((0..10_000).any(|_| is_answer(&talk.line())), "{line}: no answer");
}
