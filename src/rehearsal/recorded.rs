//! What a recording tells of each session, as far as it can be said again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::play::usual;
use super::replay::Verdict;
use crate::policy::{ActionKind, Decision, Mode};
use crate::recording::{ReadError, Record, Recording};
use crate::redact::MASK;
use crate::session::{Answered, CommandId, Completion, Event, Observation, Said, Speaker};
use crate::wire::{Protocol, Side};
use crate::witness::SessionInfo;

/// A larger message is not said again: only its announcement is judged anyway.
const LARGEST_MESSAGE: usize = 64 << 20;

/// Why a command cannot be judged as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unplayable {
    /// The recording begins later than the session.
    Beginning,
    /// The login names nobody.
    User,
    /// No line of the client is recorded for it.
    Unsaid,
    /// Its line was cut, or part of it is masked as a secret where it matters.
    Cut,
    /// It switches a layer (STARTTLS, COMPRESS), or it was no command by the grammar.
    Layer,
}

impl fmt::Display for Unplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Beginning => "what came before the recording began: state, and what the server had told",
            Self::User => "who logged in: the login named nobody",
            Self::Unsaid => "commands of which no line was recorded",
            Self::Cut => "commands whose line was cut or is masked",
            Self::Layer => "commands that switch a layer or break the grammar: no rule judges them",
        })
    }
}

/// One session of a recording.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) info: SessionInfo,
    pub(super) commands: BTreeMap<CommandId, Spoken>,
    /// Its greeting is in the recording.
    pub(super) is_whole: bool,
    /// Who was logged in, as far as a decision tells it.
    pub(super) user: Option<String>,
    offered: BTreeSet<String>,
    /// Commands that are not answered, in order.
    open: Vec<CommandId>,
}

/// One command of a recording.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    pub(super) at: Duration,
    name: String,
    tag: Option<String>,
    line: Option<String>,
    /// What the client said later in the same command.
    more: Vec<String>,
    /// The user of a login.
    user: Option<String>,
    is_answered_login: bool,
    decisions: Vec<Decision>,
    /// What the server said before the completion, as far as it matters later.
    pub(super) data: Vec<String>,
    pub(super) completion: Option<Completion>,
    pub(super) code: Option<String>,
    pub(super) was_answered_by_server: bool,
    is_malformed: bool,
}

/// Reads a recording whole.
pub(super) fn sessions<R: BufRead>(recording: Recording<R>) -> Result<Vec<Session>, ReadError> {
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    for record in recording {
        match record {
            Ok(Record::Session(info)) => {
                match sessions.entry(info.id) {
                    Entry::Vacant(place) => _ = place.insert(Session::new(info)),
                    // it comes again when more is known of it
                    Entry::Occupied(place) => place.into_mut().info = info,
                }
            }
            Ok(Record::Event { session, event }) => {
                if let Some(session) = sessions.get_mut(&session) {
                    session.take(event);
                }
            }
            Ok(Record::Closed(_) | Record::Gap(_)) => {}
            // a program that was killed leaves half a line; all before it is good
            Err(ReadError::CutOff { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sessions.into_values().collect())
}

impl Session {
    fn new(info: SessionInfo) -> Self {
        Self {
            info,
            commands: BTreeMap::new(),
            is_whole: false,
            user: None,
            offered: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    /// All that the server was ever seen to offer, and what servers usually do: what was said then can be said again.
    pub(super) fn capabilities(&self) -> Vec<String> {
        let mut all = usual(self.info.protocol);
        if self.info.protocol == Protocol::Pop3 {
            all.push("SASL PLAIN".to_owned());
        }
        let more = self.offered.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>();
        all.extend(more);
        all
    }

    fn take(&mut self, event: Event) {
        let at = event.at;
        match event.what {
            Observation::Greeted => self.is_whole = true,
            Observation::CommandBegun { id, tag, command, .. } => {
                self.open.push(id);
                // its line may have been told before
                let begun = self.command(id);
                begun.tag = tag.map(|tag| tag.as_str().to_owned());
                (begun.at, begun.name) = (at, command.into_owned());
            }
            Observation::Said(said) => self.said(said),
            Observation::Decided { id, decision } => {
                self.user = self.user.take().or_else(|| decision.user.as_deref().map(str::to_owned));
                self.command(id).decisions.push(*decision);
            }
            Observation::Authentication { user, .. } => {
                // it is told when the last command of the login is answered, and no other goes up beside that
                if let Some(login) = self.commands.values_mut().rev().find(|command| command.is_login()) {
                    (login.user, login.is_answered_login) = (user, true);
                }
            }
            Observation::CommandCompleted { id, completion, code, by, .. } => {
                self.open.retain(|open| *open != id);
                let command = self.command(id);
                command.completion = Some(completion);
                command.code = code.map(|code| code.as_str().to_owned());
                command.was_answered_by_server = by == Answered::Upstream;
                command.is_malformed = by == Answered::Syntax;
            }
            Observation::Violated(violation) if violation.side == Side::Client => {
                if let Some(id) = self.open.last().copied() {
                    self.command(id).is_malformed = true;
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, id: CommandId) -> &mut Spoken {
        self.commands.entry(id).or_default()
    }

    fn said(&mut self, said: Said) {
        match said.by {
            Speaker::Client | Speaker::ClientHeld => {
                if let Some(id) = said.id {
                    let command = self.command(id);
                    match &command.line {
                        None => command.line = Some(said.text),
                        Some(_) if said.text.starts_with('‹') => {}
                        Some(_) => command.more.push(said.text),
                    }
                }
            }
            Speaker::Upstream | Speaker::UpstreamHeld => {
                self.offered.extend(offered(&said.text));
                let Some(id) = self.open.first().copied() else { return };
                let data = match self.info.protocol {
                    Protocol::Imap => size_of(&said.text),
                    Protocol::Pop3 => Some(said.text).filter(|text| is_listing(text)),
                };
                self.command(id).data.extend(data);
            }
            Speaker::ProxyToClient | Speaker::ProxyToUpstream => {}
        }
    }
}

impl Spoken {
    /// The lines that the client says again.
    pub(super) fn lines(&self, protocol: Protocol) -> Result<Vec<String>, Unplayable> {
        let is_layer = matches!(self.name.as_str(), "STARTTLS" | "STLS" | "COMPRESS" | "unknown" | "");
        if is_layer || (self.is_malformed && self.decisions.is_empty()) {
            return Err(Unplayable::Layer);
        }
        if matches!(self.name.as_str(), "AUTHENTICATE" | "AUTH" | "APOP") {
            return Ok(vec![self.sasl(protocol)]);
        }
        let text = self.line.as_ref().ok_or(Unplayable::Unsaid)?.replace(MASK, "secret");
        if text.contains('…') || text.contains('‹') {
            return Err(Unplayable::Cut);
        }
        let mut lines: Vec<String> = unescape(&text).split("\r\n").map(str::to_owned).collect();
        let (mut more, mut octets) = (self.more.iter(), 0_usize);
        while let Some(size) = lines.last().and_then(|line| message(line)) {
            octets = octets.saturating_add(size);
            if octets > LARGEST_MESSAGE {
                return Err(Unplayable::Cut);
            }
            // what follows a message begins behind its last octet (RFC 3502)
            let behind = more.next().map(|text| unescape(text));
            lines.push("x".repeat(size) + behind.as_deref().unwrap_or_default().trim_end_matches("\r\n"));
        }
        if self.name == "IDLE" {
            lines.push("DONE".to_owned());
        }
        Ok(lines)
    }

    /// A login whose exchange is masked, said in the one mechanism that is enough to name the user.
    fn sasl(&self, protocol: Protocol) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        let response = STANDARD.encode(format!("\0{user}\0secret"));
        match protocol {
            Protocol::Imap => format!("{} AUTHENTICATE PLAIN {response}", self.tag.as_deref().unwrap_or("x")),
            Protocol::Pop3 => format!("AUTH PLAIN {response}"),
        }
    }

    fn is_login(&self) -> bool {
        matches!(self.name.as_str(), "LOGIN" | "AUTHENTICATE" | "PASS" | "AUTH" | "APOP")
    }

    pub(super) fn is_nameless_login(&self) -> bool {
        self.is_answered_login && self.user.is_none()
    }

    /// What was decided then.
    pub(super) fn before(&self) -> Verdict {
        let enforced = || self.decisions.iter().filter(|decision| decision.mode == Mode::Enforce);
        let acted = enforced().find(|decision| decision.action != ActionKind::Allow).or_else(|| enforced().next());
        Verdict {
            action: acted.map_or(ActionKind::Allow, |decision| decision.action),
            rule: acted.map(|decision| decision.rule.to_string()),
        }
    }

    /// The command as a person reads it.
    pub(super) fn shown(&self, id: CommandId) -> String {
        let fallback = || format!("command {} ({})", id.0, self.name);
        self.line.clone().unwrap_or_else(fallback)
    }
}

/// Octets that were escaped to be read (`session::legible`).
fn unescape(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let hexadecimal = rest.strip_prefix("\\x").and_then(|rest| rest.get(..2));
        let (octet, length) = match rest.as_bytes() {
            [b'\\', b'r', ..] => (Some(b'\r'), 2),
            [b'\\', b'n', ..] => (Some(b'\n'), 2),
            [b'\\', b't', ..] => (Some(b'\t'), 2),
            _ => match hexadecimal.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(octet) => (Some(octet), 4),
                None => (None, letter.len_utf8()),
            },
        };
        let (one, behind) = rest.split_at(length);
        match octet {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(one.as_bytes()),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The size of the message that a line announces.
fn message(line: &str) -> Option<usize> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    size.trim_end_matches('+').parse().ok()
}

/// The names of a capability list, wherever it stands.
fn offered(text: &str) -> Vec<String> {
    let list = text.strip_prefix("* CAPABILITY ").or_else(|| text.split_once("[CAPABILITY ").map(|(_, rest)| rest));
    let names = list.unwrap_or_default().split(']').next().unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

/// What a FETCH answer told of a message's size, without the rest.
fn size_of(text: &str) -> Option<String> {
    let (number, items) = text.strip_prefix("* ")?.split_once(" FETCH (")?;
    let behind = |name: &str| {
        let (_, rest) = items.split_once(name)?;
        rest.split([' ', ')']).next()?.parse::<u64>().ok()
    };
    let size = behind("RFC822.SIZE ")?;
    let uid = behind("UID ").map(|uid| format!("UID {uid} ")).unwrap_or_default();
    number.parse::<u32>().ok()?;
    Some(format!("* {number} FETCH ({uid}RFC822.SIZE {size})"))
}

/// `3 1024`, a line of a POP3 LIST.
fn is_listing(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(number, size)| number.parse::<u32>().is_ok() && size.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_readable_is_said_again_as_it_was() {
        assert_eq!(unescape(r"a SELECT {3}\r\nW\xc3\xa9"), "a SELECT {3}\r\nW\u{e9}");
        assert_eq!(unescape(r"a\q\x"), r"a\q\x");
    }

    #[test]
    fn a_size_is_read_wherever_it_stands() {
        let rows = [
            ("* 3 FETCH (UID 9 RFC822.SIZE 735 BODY[HEADER] {80}", Some("* 3 FETCH (UID 9 RFC822.SIZE 735)")),
            ("* 3 FETCH (RFC822.SIZE 735)", Some("* 3 FETCH (RFC822.SIZE 735)")),
            ("* 3 FETCH (FLAGS ())", None),
            ("* 3 EXISTS", None),
        ];
        for (text, size) in rows {
            assert_eq!(size_of(text).as_deref(), size, "{text}");
        }
    }
}
