//! POP3 in the server's role (RFC 1939, RFC 2449, RFC 5034).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};

use super::Shared;
use super::conn::{Conn, Reply};
use super::md5::md5_hex;

/// What APOP digests are made of; always the same, for the sandbox's conversations are deterministic.
const TIMESTAMP: &str = "<1.1793606400@sandbox.example>";

/// Serves one connection to its end.
pub(super) async fn serve(mut conn: Conn, shared: Arc<Shared>) -> io::Result<()> {
    let mut session = Session { shared, user: None, maildrop: None };
    let mut reply = Reply::default();
    reply.line(format!("+OK Sandbox ready {TIMESTAMP}"));
    conn.send(&mut reply).await?;
    while let Some(line) = conn.line().await? {
        let text = String::from_utf8_lossy(&line).into_owned();
        let (keyword, argument) = text.split_once(' ').unwrap_or((&text, ""));
        let keyword = keyword.to_ascii_uppercase();
        match keyword.as_str() {
            "STLS" => session.stls(&mut conn).await?,
            "AUTH" => session.auth(argument, &mut conn).await?,
            _ => {
                match session.execute(&keyword, argument, conn.secure, &mut reply) {
                    Ok(()) => {}
                    Err(why) => reply.line(format!("-ERR {why}")),
                }
                conn.send(&mut reply).await?;
            }
        }
        if keyword == "QUIT" {
            break;
        }
    }
    conn.close().await;
    Ok(())
}

struct Session {
    shared: Arc<Shared>,
    user: Option<String>,
    maildrop: Option<Maildrop>,
}

/// The state TRANSACTION: the INBOX as it was at login, and what is to go at QUIT.
struct Maildrop {
    messages: Vec<(u32, Bytes)>,
    uid_validity: u32,
    deleted: BTreeSet<u32>,
}

impl Session {
    fn execute(&mut self, keyword: &str, argument: &str, secure: bool, reply: &mut Reply) -> Result<(), &'static str> {
        match keyword {
            "CAPA" => {
                self.capabilities(secure, reply);
                return Ok(());
            }
            "QUIT" => {
                self.quit(reply);
                return Ok(());
            }
            _ => {}
        }
        match &mut self.maildrop {
            None => self.authorize(keyword, argument, secure, reply),
            Some(maildrop) => maildrop.execute(keyword, argument, reply),
        }
    }

    fn capabilities(&self, secure: bool, reply: &mut Reply) {
        reply.line("+OK Capability list follows");
        if self.maildrop.is_none() && !secure && self.shared.starttls().is_some() {
            reply.line("STLS");
        } else {
            reply.line("USER");
            reply.line("SASL PLAIN");
        }
        for capability in ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "IMPLEMENTATION Sandbox", "."] {
            reply.line(capability);
        }
    }

    /// Commands of the state AUTHORIZATION.
    fn authorize(
        &mut self,
        keyword: &str,
        argument: &str,
        secure: bool,
        reply: &mut Reply,
    ) -> Result<(), &'static str> {
        if self.needs_tls(secure) && matches!(keyword, "USER" | "PASS" | "APOP") {
            return Err("[AUTH] Say STLS first");
        }
        match keyword {
            "USER" if argument.is_empty() => Err("USER needs a name"),
            "USER" => {
                self.user = Some(argument.to_owned());
                reply.line("+OK Send PASS");
                Ok(())
            }
            "PASS" => {
                let user = self.user.take().ok_or("USER comes first")?;
                self.log_in(self.shared.accepts(user.as_bytes(), argument.as_bytes()), reply)
            }
            "APOP" => {
                let (user, digest) = argument.split_once(' ').ok_or("APOP needs a name and a digest")?;
                let expected = md5_hex(format!("{TIMESTAMP}{}", self.shared.password.expose()).as_bytes());
                self.log_in(user == self.shared.user && digest.eq_ignore_ascii_case(&expected), reply)
            }
            "STAT" | "LIST" | "UIDL" | "RETR" | "TOP" | "DELE" | "RSET" | "NOOP" => Err("Log in first"),
            _ => Err("Unknown command"),
        }
    }

    fn needs_tls(&self, secure: bool) -> bool {
        !secure && self.shared.starttls().is_some()
    }

    fn log_in(&mut self, accepted: bool, reply: &mut Reply) -> Result<(), &'static str> {
        if !accepted {
            return Err("[AUTH] Wrong name or password");
        }
        let maildrop = self.shared.store.read(|mailboxes| {
            let inbox = mailboxes.get("INBOX")?;
            let messages = inbox.messages.iter().map(|stored| (stored.uid, stored.message.content.clone())).collect();
            Some(Maildrop { messages, uid_validity: inbox.uid_validity, deleted: BTreeSet::new() })
        });
        let maildrop = maildrop.ok_or("[SYS/TEMP] No INBOX")?;
        reply.line(format!("+OK Logged in, {} messages", maildrop.messages.len()));
        self.maildrop = Some(maildrop);
        Ok(())
    }

    /// QUIT: only here, and only from TRANSACTION, are messages removed (RFC 1939 §6).
    fn quit(&mut self, reply: &mut Reply) {
        if let Some(maildrop) = self.maildrop.take().filter(|maildrop| !maildrop.deleted.is_empty()) {
            self.shared.store.change(|mailboxes| {
                if let Some(inbox) = mailboxes.get_mut("INBOX") {
                    inbox.messages.retain(|stored| !maildrop.deleted.contains(&stored.uid));
                }
            });
            reply.line(format!("+OK Bye, {} messages deleted", maildrop.deleted.len()));
        } else {
            reply.line("+OK Bye");
        }
    }

    async fn stls(&mut self, conn: &mut Conn) -> io::Result<()> {
        let mut reply = Reply::default();
        let Some(acceptor) = self.shared.starttls().filter(|_| !conn.secure && self.maildrop.is_none()) else {
            reply.line("-ERR STLS is not possible here");
            return conn.send(&mut reply).await;
        };
        reply.line("+OK Begin TLS");
        conn.send(&mut reply).await?;
        self.user = None;
        conn.upgrade(&acceptor).await
    }

    /// AUTH PLAIN with and without an initial response (RFC 5034 §4); AUTH alone lists mechanisms, as old
    /// clients ask.
    async fn auth(&mut self, argument: &str, conn: &mut Conn) -> io::Result<()> {
        let mut reply = Reply::default();
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        if self.maildrop.is_some() || self.needs_tls(conn.secure) {
            reply.line("-ERR [AUTH] Not possible here");
        } else if mechanism.is_empty() {
            reply.line("+OK\r\nPLAIN\r\n.");
        } else if !mechanism.eq_ignore_ascii_case("PLAIN") {
            reply.line("-ERR [AUTH] Unknown mechanism");
        } else {
            let mut response = BytesMut::from(initial);
            if initial.is_empty() {
                reply.line("+ ");
                conn.send(&mut reply).await?;
                response = conn.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            let outcome = match BASE64_STANDARD.decode(&response) {
                _ if response == b"*"[..] => Err("Cancelled"),
                Ok(message) => self.log_in(self.shared.accepts_plain(&message), &mut reply),
                Err(_) => Err("Not base64"),
            };
            if let Err(why) = outcome {
                reply.line(format!("-ERR {why}"));
            }
        }
        conn.send(&mut reply).await
    }
}

impl Maildrop {
    fn execute(&mut self, keyword: &str, argument: &str, reply: &mut Reply) -> Result<(), &'static str> {
        let mut arguments = argument.split_ascii_whitespace();
        let (first, second) = (arguments.next(), arguments.next());
        match keyword {
            "NOOP" => reply.line("+OK"),
            "RSET" => {
                self.deleted.clear();
                reply.line(format!("+OK {} messages", self.messages.len()));
            }
            "STAT" => {
                let octets: usize = self.present().map(|(_, _, content)| content.len()).sum();
                reply.line(format!("+OK {} {octets}", self.present().count()));
            }
            "LIST" => self.listing(first, reply, |_, content| content.len().to_string())?,
            "UIDL" => {
                let validity = self.uid_validity;
                self.listing(first, reply, |uid, _| format!("{validity:08x}{uid:08x}"))?;
            }
            "RETR" => {
                let (_, content) = self.message(first)?;
                reply.line(format!("+OK {} octets", content.len()));
                put_stuffed(content, reply);
            }
            "TOP" => {
                let (_, content) = self.message(first)?;
                let lines = second.and_then(|lines| lines.parse().ok()).ok_or("TOP needs a number of lines")?;
                reply.line("+OK");
                put_stuffed(&top(content, lines), reply);
            }
            "DELE" => {
                let uid = self.message(first)?.0;
                self.deleted.insert(uid);
                reply.line("+OK Marked for deletion");
            }
            "USER" | "PASS" | "APOP" => return Err("Already logged in"),
            _ => return Err("Unknown command"),
        }
        Ok(())
    }

    /// Message-number, UID and content of what is not marked as deleted.
    fn present(&self) -> impl Iterator<Item = (usize, u32, &Bytes)> {
        let numbered = self.messages.iter().enumerate().map(|(at, (uid, content))| (at + 1, *uid, content));
        numbered.filter(|(_, uid, _)| !self.deleted.contains(uid))
    }

    fn message(&self, number: Option<&str>) -> Result<(u32, &Bytes), &'static str> {
        let number: usize = number.and_then(|number| number.parse().ok()).ok_or("A message-number is needed")?;
        let found = self.present().find(|(other, _, _)| *other == number);
        found.map(|(_, uid, content)| (uid, content)).ok_or("No such message")
    }

    fn listing(
        &self,
        number: Option<&str>,
        reply: &mut Reply,
        show: impl Fn(u32, &Bytes) -> String,
    ) -> Result<(), &'static str> {
        if let Some(number) = number {
            let (uid, content) = self.message(Some(number))?;
            reply.line(format!("+OK {number} {}", show(uid, content)));
            return Ok(());
        }
        let mut lines = String::from("+OK\r\n");
        for (number, uid, content) in self.present() {
            let _infallible = write!(lines, "{number} {}\r\n", show(uid, content));
        }
        lines.push('.');
        reply.line(lines);
        Ok(())
    }
}

/// A multi-line response's content and end: lines that begin with the termination octet are byte-stuffed
/// (RFC 1939 §3).
fn put_stuffed(content: &Bytes, reply: &mut Reply) {
    let mut done = 0;
    let at_start = content.starts_with(b".").then_some(0);
    let later = memchr::memmem::find_iter(content, b"\n.").map(|at| at + 1);
    for dot in at_start.into_iter().chain(later) {
        reply.run(content.slice(done..dot));
        reply.put(".");
        done = dot;
    }
    reply.run(content.slice(done..));
    reply.put(if content.is_empty() || content.ends_with(b"\r\n") { ".\r\n" } else { "\r\n.\r\n" });
}

/// The header, the empty line, and so many lines of the body (RFC 1939 §7).
fn top(content: &Bytes, lines: usize) -> Bytes {
    let body = memchr::memmem::find(content, b"\r\n\r\n").map_or(content.len(), |at| at + 4);
    let rest = content.get(body..).unwrap_or_default();
    let end = match lines.checked_sub(1) {
        None => 0,
        Some(last) => memchr::memchr_iter(b'\n', rest).nth(last).map_or(rest.len(), |at| at + 1),
    };
    content.slice(..body + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffs_every_line_that_begins_with_a_dot() {
        let table: [(&[u8], &[u8]); 5] = [
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b".a\r\n..\r\nb.\r\n", b"..a\r\n...\r\nb.\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
        ];
        for (content, expected) in table {
            let mut reply = Reply::default();
            put_stuffed(&Bytes::from_static(content), &mut reply);
            assert_eq!(reply.concat(), expected);
        }
    }

    #[test]
    fn shows_the_top_of_a_message() {
        let content = Bytes::from_static(b"A: b\r\n\r\none\r\ntwo\r\n");
        let table: [(usize, &[u8]); 4] = [
            (0, b"A: b\r\n\r\n"),
            (1, b"A: b\r\n\r\none\r\n"),
            (2, b"A: b\r\n\r\none\r\ntwo\r\n"),
            (9, b"A: b\r\n\r\none\r\ntwo\r\n"),
        ];
        for (lines, expected) in table {
            assert_eq!(top(&content, lines), expected);
        }
    }
}
