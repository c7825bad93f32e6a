//! IMAP4rev1 in the server's role (RFC 3501), with the extensions its CAPABILITY names.

mod change;
mod fetch;
mod folder;
mod parse;
mod search;
mod structure;
mod view;

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;

use super::Shared;
use super::conn::{Conn, Reply};
use super::store::Store;
use parse::Cursor;
use search::Search;
use view::{Seen, Shifts, View};

/// A literal larger than this is refused.
const LITERAL_LIMIT: usize = 512 << 20;

/// Why a command is not done.
#[derive(Debug)]
enum Refusal {
    /// Response code and text.
    No(&'static str, String),
    /// The command is malformed or out of place.
    Bad(String),
}

/// One connection's state.
struct Session {
    shared: Arc<Shared>,
    state: State,
}

enum State {
    NotAuthenticated,
    Authenticated,
    Selected(View),
}

/// Serves one connection to its end.
pub(super) async fn serve(mut conn: Conn, shared: Arc<Shared>) -> io::Result<()> {
    let mut session = Session { shared, state: State::NotAuthenticated };
    let mut reply = Reply::default();
    reply.line(format!("* OK [CAPABILITY {}] Sandbox ready", session.capabilities(conn.secure)));
    conn.send(&mut reply).await?;
    while let Some(command) = read_command(&mut conn).await? {
        if session.serve_command(&command, &mut conn).await? == Flow::End {
            break;
        }
    }
    conn.close().await;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Next,
    End,
}

/// One command with all its literals in place; `None` at the end of the stream. Only a line can announce
/// a literal, never a literal's own content.
async fn read_command(conn: &mut Conn) -> io::Result<Option<BytesMut>> {
    let mut command = BytesMut::new();
    loop {
        let Some(line) = conn.line().await? else { return Ok(None) };
        command.extend_from_slice(&line);
        let Some((length, waits)) = parse::announced(&line) else { return Ok(Some(command)) };
        if length > LITERAL_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the literal is too large"));
        }
        if waits {
            let mut reply = Reply::default();
            reply.line("+ Go on");
            conn.send(&mut reply).await?;
        }
        command.extend_from_slice(b"\r\n");
        conn.octets(length, &mut command).await?;
    }
}

impl Session {
    async fn serve_command(&mut self, command: &[u8], conn: &mut Conn) -> io::Result<Flow> {
        let mut args = Cursor::new(command);
        let tag = args.run(|octet| octet.is_ascii_graphic() && !matches!(octet, b'+' | b'(' | b'{' | b'"' | b'*'));
        let spaced = args.take(b' ');
        let mut name = args.run(|octet| octet.is_ascii_alphanumeric()).to_ascii_uppercase();
        let mut reply = Reply::default();
        if tag.is_empty() || !spaced || name.is_empty() {
            reply.line("* BAD A command is a tag and a name");
            conn.send(&mut reply).await?;
            return Ok(Flow::Next);
        }
        let by_uid = name == "UID" && args.take(b' ');
        if by_uid {
            name = args.run(|octet| octet.is_ascii_alphabetic()).to_ascii_uppercase();
        }
        let outcome = match name.as_str() {
            "AUTHENTICATE" => self.authenticate(&mut args, conn).await?,
            "IDLE" => self.idle(&args, conn).await?,
            "STARTTLS" => return self.starttls(tag, &args, conn).await,
            _ => self.execute(&name, by_uid, &mut args, conn.secure, &mut reply),
        };
        let logout = name == "LOGOUT" && outcome.is_ok();
        if !logout && let State::Selected(view) = &mut self.state {
            // numbers stay as they are while a command that uses them is answered (RFC 9051 §7.5.1)
            let by_number = !by_uid && matches!(name.as_str(), "FETCH" | "STORE" | "SEARCH");
            let shifts = if by_number { Shifts::Held } else { Shifts::Allowed };
            view.sync(&self.shared.store, shifts, &mut reply);
        }
        reply.line(match outcome {
            Ok(text) => format!("{tag} OK {text}"),
            Err(Refusal::No("", text)) => format!("{tag} NO {text}"),
            Err(Refusal::No(code, text)) => format!("{tag} NO [{code}] {text}"),
            Err(Refusal::Bad(text)) => format!("{tag} BAD {text}"),
        });
        conn.send(&mut reply).await?;
        Ok(if logout { Flow::End } else { Flow::Next })
    }

    /// Commands that need no more octets from the client.
    fn execute(
        &mut self,
        name: &str,
        by_uid: bool,
        args: &mut Cursor<'_>,
        secure: bool,
        reply: &mut Reply,
    ) -> Result<String, Refusal> {
        if by_uid && !matches!(name, "FETCH" | "STORE" | "SEARCH" | "COPY" | "MOVE" | "EXPUNGE") {
            return Err(Refusal::Bad("UID is not for that command".to_owned()));
        }
        match name {
            "CAPABILITY" => {
                args.end()?;
                reply.line(format!("* CAPABILITY {}", self.capabilities(secure)));
                Ok("Capabilities listed".to_owned())
            }
            "NOOP" => args.end().map(|()| "Nothing done".to_owned()),
            "ID" => {
                reply.line("* ID (\"name\" \"Sandbox\")");
                Ok("Nice to meet you".to_owned())
            }
            "LOGOUT" => {
                args.end()?;
                reply.line("* BYE Until next time");
                Ok("Logged out".to_owned())
            }
            "LOGIN" => self.login(args, secure),
            _ if matches!(self.state, State::NotAuthenticated) => {
                Err(Refusal::Bad("Unknown command, or log in first".to_owned()))
            }
            "SELECT" => self.select(false, args, reply),
            "EXAMINE" => self.select(true, args, reply),
            "LIST" | "LSUB" => self.list(name, args, reply),
            "STATUS" => self.status(args, reply),
            "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE" => self.folder(name, args),
            "APPEND" => self.append(args),
            "NAMESPACE" => {
                args.end()?;
                reply.line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                Ok("Namespaces listed".to_owned())
            }
            "ENABLE" => {
                // nothing that is offered needs enabling, and an unknown name is no error (RFC 5161 §3.1)
                reply.line("* ENABLED");
                Ok("Nothing to enable".to_owned())
            }
            _ => self.execute_selected(name, by_uid, args, reply),
        }
    }

    /// Commands on the selected mailbox.
    fn execute_selected(
        &mut self,
        name: &str,
        by_uid: bool,
        args: &mut Cursor<'_>,
        reply: &mut Reply,
    ) -> Result<String, Refusal> {
        match name {
            "FETCH" => {
                args.space()?;
                let set = args.sequence_set()?;
                args.space()?;
                let mut items = fetch::parse_items(args)?;
                args.end()?;
                if by_uid && !items.contains(&fetch::Item::Uid) {
                    items.insert(0, fetch::Item::Uid);
                }
                let (store, view) = self.selected()?;
                let at = view.resolve(&set, by_uid)?;
                fetch::fetch(view, &at, &items, store, reply);
                Ok("Fetch completed".to_owned())
            }
            "SEARCH" => {
                args.space()?;
                let search = Search::parse(args)?;
                let (store, view) = self.selected()?;
                let found: Vec<String> = search
                    .run(view, store)
                    .into_iter()
                    .filter_map(|at| Some((at, view.messages.get(at)?)))
                    .map(|(at, seen)| if by_uid { format!(" {}", seen.uid) } else { format!(" {}", at + 1) })
                    .collect();
                reply.line(format!("* SEARCH{}", found.concat()));
                Ok("Search completed".to_owned())
            }
            "STORE" => self.store(by_uid, args),
            "COPY" | "MOVE" => self.copy(name == "MOVE", by_uid, args, reply),
            "EXPUNGE" => self.expunge(by_uid, args),
            "CHECK" => args.end().map(|()| "Checked".to_owned()),
            "CLOSE" => self.close(args),
            "UNSELECT" => {
                args.end()?;
                self.selected()?;
                self.deselect();
                Ok("Unselected".to_owned())
            }
            _ => Err(Refusal::Bad("Unknown command".to_owned())),
        }
    }

    fn capabilities(&self, secure: bool) -> String {
        let mut words = vec!["IMAP4rev1", "SASL-IR", "LITERAL+", "ID", "ENABLE"];
        match self.state {
            State::NotAuthenticated if self.needs_tls(secure) => words.extend(["STARTTLS", "LOGINDISABLED"]),
            State::NotAuthenticated => words.push("AUTH=PLAIN"),
            State::Authenticated | State::Selected(_) => {
                words.extend(["IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "CHILDREN"]);
            }
        }
        words.join(" ")
    }

    fn needs_tls(&self, secure: bool) -> bool {
        !secure && self.shared.starttls().is_some()
    }

    fn login(&mut self, args: &mut Cursor<'_>, secure: bool) -> Result<String, Refusal> {
        args.space()?;
        let user = args.astring()?;
        args.space()?;
        let password = args.astring()?;
        args.end()?;
        if self.needs_tls(secure) {
            return Err(Refusal::No("PRIVACYREQUIRED", "Say STARTTLS first".to_owned()));
        }
        self.log_in(self.shared.accepts(&user, &password))
    }

    fn log_in(&mut self, accepted: bool) -> Result<String, Refusal> {
        if !matches!(self.state, State::NotAuthenticated) {
            return Err(Refusal::Bad("Already logged in".to_owned()));
        }
        if !accepted {
            return Err(Refusal::No("AUTHENTICATIONFAILED", "Wrong name or password".to_owned()));
        }
        self.state = State::Authenticated;
        Ok(format!("[CAPABILITY {}] Logged in", self.capabilities(true)))
    }

    async fn authenticate(&mut self, args: &mut Cursor<'_>, conn: &mut Conn) -> io::Result<Result<String, Refusal>> {
        let mechanism = if args.take(b' ') { args.atom().unwrap_or_default() } else { "" };
        let initial = args.take(b' ').then(|| args.run(|octet| octet.is_ascii_graphic()).to_owned());
        if self.needs_tls(conn.secure) {
            return Ok(Err(Refusal::No("PRIVACYREQUIRED", "Say STARTTLS first".to_owned())));
        }
        if !mechanism.eq_ignore_ascii_case("PLAIN") || args.end().is_err() {
            return Ok(Err(Refusal::No("CANNOT", "Unknown mechanism".to_owned())));
        }
        let response = if let Some(initial) = initial {
            BytesMut::from(initial.as_str())
        } else {
            let mut reply = Reply::default();
            reply.line("+ ");
            conn.send(&mut reply).await?;
            conn.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?
        };
        // RFC 4959 §3: an initial response of one `=` is an empty one
        let encoded: &[u8] = if response == b"="[..] { b"" } else { &response };
        Ok(match BASE64_STANDARD.decode(encoded) {
            _ if response == b"*"[..] => Err(Refusal::Bad("Cancelled".to_owned())),
            Ok(message) => self.log_in(self.shared.accepts_plain(&message)),
            Err(_) => Err(Refusal::Bad("Not base64".to_owned())),
        })
    }

    async fn starttls(&mut self, tag: &str, args: &Cursor<'_>, conn: &mut Conn) -> io::Result<Flow> {
        let mut reply = Reply::default();
        let acceptor = self.shared.starttls().filter(|_| !conn.secure && args.end().is_ok());
        let Some(acceptor) = acceptor.filter(|_| matches!(self.state, State::NotAuthenticated)) else {
            reply.line(format!("{tag} BAD STARTTLS is not possible here"));
            conn.send(&mut reply).await?;
            return Ok(Flow::Next);
        };
        reply.line(format!("{tag} OK Begin TLS"));
        conn.send(&mut reply).await?;
        conn.upgrade(&acceptor).await?;
        Ok(Flow::Next)
    }

    /// IDLE (RFC 2177): tells of changes until DONE.
    async fn idle(&mut self, args: &Cursor<'_>, conn: &mut Conn) -> io::Result<Result<String, Refusal>> {
        if matches!(self.state, State::NotAuthenticated) || args.end().is_err() {
            return Ok(Err(Refusal::Bad("IDLE is not possible here".to_owned())));
        }
        let mut changes = self.shared.store.watch();
        let mut reply = Reply::default();
        reply.line("+ idling");
        loop {
            if let State::Selected(view) = &mut self.state {
                view.sync(&self.shared.store, Shifts::Allowed, &mut reply);
            }
            conn.send(&mut reply).await?;
            tokio::select! {
                // the store outlives every connection, so the bell cannot be gone
                _rung = changes.changed() => {}
                line = conn.line() => {
                    let line = line?.ok_or(io::ErrorKind::UnexpectedEof)?;
                    let done = line.eq_ignore_ascii_case(b"DONE");
                    let bad = || Refusal::Bad("Expected DONE".to_owned());
                    return Ok(done.then(|| "Idle completed".to_owned()).ok_or_else(bad));
                }
            }
        }
    }

    fn selected(&mut self) -> Result<(&Store, &mut View), Refusal> {
        match &mut self.state {
            State::Selected(view) => Ok((&self.shared.store, view)),
            State::NotAuthenticated | State::Authenticated => {
                Err(Refusal::Bad("Unknown command, or select a mailbox first".to_owned()))
            }
        }
    }

    fn enter(&mut self, view: View) {
        self.state = State::Selected(view);
    }

    fn deselect(&mut self) {
        self.state = State::Authenticated;
    }
}

/// Flags in parentheses, `\Recent` among them.
fn show_flags(seen: &Seen) -> String {
    let recent = seen.recent.then_some("\\Recent");
    let flags: Vec<&str> = seen.flags.iter().map(String::as_str).chain(recent).collect();
    format!("({})", flags.join(" "))
}
