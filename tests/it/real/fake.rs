//! Servers for what Dovecot does not do: they take any password by any mechanism and remember every
//! octet, or behave badly in one given way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::lab::{Ports, Tls};
use super::mailwarden::Upstream;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Says yes to everything.
    Obliging,
    /// As obliging, but no password is right.
    Distrustful,
    /// As obliging, and slow with every answer to NOOP.
    Slow,
    /// Takes the connection and says nothing.
    Silent,
    /// Takes the connection and ends it.
    HangsUp,
    /// Greets with a refusal.
    Refuses,
    /// As obliging, and sends this many octets of untagged lines while it takes the literal of APPEND.
    Talkative(usize),
}

/// One IMAP and one POP3 server.
pub(crate) struct Fake {
    pub(crate) ports: Ports,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Fake {
    /// These servers as the proxy is told of them.
    pub(crate) fn upstream(&self) -> Upstream {
        let host = "127.0.0.1".to_owned();
        Upstream { host, ports: self.ports, tls: Tls::None, roots: PathBuf::new(), compress: false }
    }

    pub(crate) fn start(mood: Mood) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let serve = |session: fn(Peer) -> Option<()>| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let received = Arc::clone(&received);
            // Its threads end with the test's process; what a session returns says only that it ended.
            thread::spawn(move || {
                for socket in listener.incoming().flatten() {
                    let peer = Peer { reader: BufReader::new(socket), received: Arc::clone(&received), mood };
                    thread::spawn(move || session(peer));
                }
            });
            port
        };
        Self { ports: Ports { imap: serve(imap), pop3: serve(pop3) }, received }
    }

    /// All that any client sent.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

/// One connection. Its functions give `None` when it has ended.
struct Peer {
    reader: BufReader<TcpStream>,
    received: Arc<Mutex<Vec<u8>>>,
    mood: Mood,
}

impl Peer {
    fn say(&mut self, text: &str) -> Option<()> {
        self.reader.get_mut().write_all(text.as_bytes()).ok()
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        self.received.lock().unwrap().extend(&line);
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// The first line of a command whose literals and further lines have been taken in.
    fn command(&mut self) -> Option<String> {
        let first = self.line()?;
        let mut line = first.clone();
        while let Some((announced, count)) = literal(&line) {
            if !announced.ends_with('+') {
                self.say("+ go on\r\n")?;
            }
            let chatter = match self.mood {
                Mood::Talkative(octets) => Some(self.chatter(octets)),
                Mood::Obliging | Mood::Distrustful | Mood::Slow | Mood::Silent | Mood::HangsUp | Mood::Refuses => None,
            };
            let mut octets = vec![0; count];
            self.reader.read_exact(&mut octets).ok()?;
            if count < 10_000 {
                self.received.lock().unwrap().extend(&octets);
            }
            if let Some(chatter) = chatter {
                chatter.join().unwrap();
            }
            line = self.line()?;
        }
        Some(first)
    }

    fn chatter(&self, octets: usize) -> thread::JoinHandle<()> {
        let mut socket = self.reader.get_ref().try_clone().unwrap();
        thread::spawn(move || {
            let line = format!("* OK {}\r\n", "news ".repeat(800));
            for _ in 0..=octets / line.len() {
                socket.write_all(line.as_bytes()).unwrap();
            }
        })
    }

    /// False when the session is to end here.
    fn greet(&mut self, welcome: &str, refusal: &str) -> bool {
        match self.mood {
            Mood::Obliging | Mood::Distrustful | Mood::Slow | Mood::Talkative(_) => self.say(welcome).is_some(),
            Mood::Silent => {
                thread::sleep(Duration::from_mins(1));
                false
            }
            Mood::HangsUp => false,
            Mood::Refuses => {
                self.say(refusal);
                false
            }
        }
    }
}

fn literal(line: &str) -> Option<(&str, usize)> {
    let (_, announced) = line.strip_suffix('}')?.rsplit_once('{')?;
    Some((announced, announced.trim_end_matches('+').parse().ok()?))
}

const CAPABILITIES: &str = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2";

fn imap(mut peer: Peer) -> Option<()> {
    if !peer.greet(&format!("* OK [CAPABILITY {CAPABILITIES}] ready\r\n"), "* BYE go away\r\n") {
        return None;
    }
    loop {
        let command = peer.command()?;
        let mut words = command.split_whitespace();
        let (tag, name) = (words.next().unwrap_or("*"), words.next().unwrap_or_default().to_uppercase());
        match name.as_str() {
            "CAPABILITY" => peer.say(&format!("* CAPABILITY {CAPABILITIES}\r\n"))?,
            "AUTHENTICATE" => sasl(&mut peer, &command, 2)?,
            "LOGIN" if peer.mood == Mood::Distrustful => {
                peer.say(&format!("{tag} NO [AUTHENTICATIONFAILED] not that\r\n"))?;
                continue;
            }
            "NOOP" if peer.mood == Mood::Slow => thread::sleep(Duration::from_millis(1200)),
            "SELECT" => peer.say("* 1 EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen)\r\n")?,
            "LOGOUT" => peer.say("* BYE bye\r\n")?,
            _ => {}
        }
        peer.say(&format!("{tag} OK done\r\n"))?;
        if name == "LOGOUT" {
            return None;
        }
    }
}

fn pop3(mut peer: Peer) -> Option<()> {
    if !peer.greet("+OK ready <1896.697170952@localhost>\r\n", "-ERR go away\r\n") {
        return None;
    }
    loop {
        let command = peer.line()?;
        let name = command.split_whitespace().next().unwrap_or_default().to_uppercase();
        match name.as_str() {
            "CAPA" => peer.say("+OK\r\nUSER\r\nUIDL\r\nTOP\r\nSASL PLAIN LOGIN XOAUTH2\r\nPIPELINING\r\n.\r\n")?,
            "AUTH" => {
                sasl(&mut peer, &command, 1)?;
                peer.say("+OK\r\n")?;
            }
            "STAT" => peer.say("+OK 0 0\r\n")?,
            _ => peer.say("+OK\r\n")?,
        }
        if name == "QUIT" {
            return None;
        }
    }
}

/// Asks for what the mechanism sends and is not there yet; `before` words come before the mechanism.
fn sasl(peer: &mut Peer, command: &str, before: usize) -> Option<()> {
    let given = command.split_whitespace().count() - before - 1;
    let login = command.to_uppercase().contains(" LOGIN");
    for _ in given..if login { 2 } else { 1 } {
        peer.say("+ \r\n")?;
        peer.line()?;
    }
    Some(())
}
