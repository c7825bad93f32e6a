//! The server that a scenario is played with: Dovecot, or one of those that `tests/differential` starts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::authority::Authority;
use super::command::succeed;
use super::dovecot::Dovecot;
use super::lab::{PASSWORD, Ports, Tls, USER, maildir};

/// A running server.
pub(crate) enum Server {
    Dovecot(Dovecot),
    Peer(Peer),
}

impl Server {
    /// The one that `MAILWARDEN_SERVER` names, with these messages in its inbox; Dovecot if it names none.
    pub(crate) fn start(directory: &Path, authority: &Authority, messages: &[Vec<u8>]) -> Self {
        match name().as_str() {
            "dovecot" => Self::Dovecot(Dovecot::start(directory, authority, messages)),
            name => Self::Peer(Peer::start(name, directory, authority, messages)),
        }
    }

    /// Where a client that does TLS in this way connects.
    pub(crate) fn ports(&self, tls: Tls) -> Ports {
        match self {
            Self::Dovecot(dovecot) => dovecot.ports(tls),
            Self::Peer(peer) if tls == Tls::Implicit => peer.implicit,
            Self::Peer(peer) => peer.clear,
        }
    }

    /// The mail it has: folder, flags and hash of each message, counted.
    pub(crate) fn kept(&self) -> BTreeMap<String, usize> {
        match self {
            Self::Dovecot(dovecot) => maildir(dovecot.maildir()),
            Self::Peer(peer) => peer.kept(),
        }
    }

    /// What the names of all folders but the inbox begin with.
    pub(crate) fn prefix(&self) -> &'static str {
        match self {
            Self::Peer(peer) if peer.name == "courier" => "INBOX.",
            Self::Peer(_) | Self::Dovecot(_) => "",
        }
    }

    pub(crate) fn log(&self) -> String {
        match self {
            Self::Dovecot(dovecot) => dovecot.log(),
            Self::Peer(peer) => fs::read_to_string(peer.home.join("log")).unwrap_or_default(),
        }
    }
}

/// The name of the server that is tested with.
pub(crate) fn name() -> String {
    std::env::var("MAILWARDEN_SERVER").unwrap_or_else(|_| "dovecot".to_owned())
}

/// Cyrus or Courier, which `tests/differential/servers.py` runs.
pub(crate) struct Peer {
    name: String,
    clear: Ports,
    implicit: Ports,
    home: PathBuf,
    child: Child,
    /// The server ends when this does.
    stdin: Option<ChildStdin>,
}

impl Peer {
    fn start(name: &str, directory: &Path, authority: &Authority, messages: &[Vec<u8>]) -> Self {
        let (home, letters) = (directory.join("server"), directory.join("letters"));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&letters).unwrap();
        for (number, message) in messages.iter().enumerate() {
            fs::write(letters.join(format!("{number:03}")), message).unwrap();
        }
        let mut command = Command::new("python3");
        command.arg(tests().join("differential/servers.py")).arg(name).arg(&home);
        command.arg(&authority.chain).arg(&authority.key).arg(&letters);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONWARNINGS", "ignore");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped above")).read_line(&mut line).unwrap();
        let port = |name: &str| {
            let ports: BTreeMap<String, u16> = serde_json::from_str(&line).expect("the server has started");
            ports[name]
        };
        Self {
            name: name.to_owned(),
            clear: Ports { imap: port("imap"), pop3: port("pop3") },
            implicit: Ports { imap: port("imaps"), pop3: port("pop3s") },
            home,
            child,
            stdin,
        }
    }

    fn kept(&self) -> BTreeMap<String, usize> {
        let mut command = Command::new("python3");
        command.arg(tests().join("clients/kept.py")).args([&self.clear.imap.to_string(), USER, PASSWORD]);
        serde_json::from_slice(&succeed(command.env("PYTHONDONTWRITEBYTECODE", "1"))).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().ok();
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
