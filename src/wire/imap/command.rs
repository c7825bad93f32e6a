//! One client command, from its octets to what it means.
//!
//! The input is the command as it came, literals inline, cut by the framer: it ends with the
//! CRLF of the complete command, or behind the CRLF of a literal's announcement. Reading is
//! repeated from the start when more has come; commands are small, messages are never part of
//! the input. What [`parse`] accepts is exactly the grammar of a known command without surplus
//! arguments; everything else is a [`Malformed`], which says how to answer it and whether it may
//! be shown, and never holds the client's octets beside a valid tag.

use std::ops::Range;

use super::grammar;
use super::lexer::{is_name_octet, is_tag_octet};
use super::mailbox::Names;
use super::reader::{Facts, Fault, Reader};
use super::spec::Spec;
use super::tag::Tag;
use crate::wire::{Effect, Operation};

/// A complete command.
#[derive(Debug, Clone)]
pub struct Command {
    /// The client's tag.
    pub tag: Tag,
    /// The name in upper case, `UID` included: `UID FETCH`.
    pub name: &'static str,
    /// Its row in the table of commands.
    pub spec: &'static Spec,
    /// What these arguments make it for.
    pub operation: Operation,
    /// What these arguments can do.
    pub effect: Effect,
    /// The mailboxes it names, decoded, in the order written; empty names are left out.
    pub mailboxes: Vec<String>,
    /// Its literals, in order; a message's own announcement is not among them.
    pub literals: Vec<LiteralSpan>,
    /// Where in the input secrets stand: nothing of these ranges may be shown or kept.
    pub secrets: Vec<Range<usize>>,
    /// Capabilities that the command and its arguments need: of each group one must be offered.
    pub needs: Vec<&'static [&'static str]>,
    /// Messages that begin in it (APPEND, REPLACE); more may follow the octets of the last.
    pub messages: u32,
    /// Facts that only some commands have.
    pub details: Details,
}

impl Command {
    /// The name without `UID`: what a rule calls it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.name.strip_prefix("UID ").unwrap_or(self.name)
    }

    /// Whether it is one line without a secret that may go up octet for octet, and beside other commands.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.literals.is_empty() && self.secrets.is_empty() && !self.spec.secret && !self.spec.barrier
    }
}

/// Facts that only some commands have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Details {
    /// Nothing beyond the common fields.
    #[default]
    None,
    /// LOGIN; the password is among the secrets.
    Login {
        /// The user, octets that are not UTF-8 replaced.
        user: String,
    },
    /// AUTHENTICATE; needs the capability `AUTH=` with the mechanism's name, beside `needs`.
    Authenticate {
        /// In upper case.
        mechanism: String,
        /// Where the initial response stands, `=` included; it is among the secrets.
        initial_response: Option<Range<usize>>,
    },
    /// ENABLE.
    Enable {
        /// As written.
        capabilities: Vec<String>,
    },
    /// NOTIFY NONE: nothing is to be told unasked any more.
    NotifyNone,
    /// ID.
    Id {
        /// Fields in the order written; `None` for NIL.
        fields: Option<Vec<IdField>>,
    },
    /// SELECT, EXAMINE.
    Select {
        /// EXAMINE.
        read_only: bool,
    },
    /// LIST, LSUB, XLIST.
    List {
        /// Reference and pattern, joined and decoded.
        patterns: Vec<String>,
    },
    /// FETCH.
    Fetch {
        /// The most that is asked for.
        content: Content,
        /// Whether it sets `\Seen` (an item of content without `.PEEK`).
        sets_seen: bool,
    },
    /// STORE.
    Store {
        /// Whether `\Deleted` is among what is set.
        deletes: bool,
        /// The flags, or labels, as written.
        flags: Vec<String>,
    },
    /// SEARCH, SORT, THREAD.
    Search {
        /// `RETURN (SAVE)`: the result replaces `$`.
        saves: bool,
    },
}

/// A key and its value in ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdField {
    /// At most 30 octets.
    pub key: Vec<u8>,
    /// At most 1024 octets; `None` for NIL, and always if the field is private.
    pub value: Option<Vec<u8>>,
}

impl IdField {
    /// Whether the key begins with `x-`: servers trust some of these as coming from a proxy of
    /// theirs. Such a field must not go up, and its value is a secret.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.key.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
    }
}

/// How much of a message is asked for, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Header fields, envelope, structure, flags, sizes.
    Headers,
    /// A MIME part, the text, a preview, or an octet range.
    Part,
    /// All of it.
    Whole,
}

/// A literal inside a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralSpan {
    /// `{n}` or `~{n+}` with its CRLF.
    pub announcement: Range<usize>,
    /// The octets.
    pub octets: Range<usize>,
    /// `~{n}` (RFC 3516).
    pub literal8: bool,
    /// The client waits for `+`; if not, `{n+}` (RFC 7888).
    pub sync: bool,
}

/// A literal's announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Where it stands, CRLF included.
    pub at: Range<usize>,
    /// Octets announced; at most 2^63 − 1.
    pub size: u64,
    /// `~{n}` (RFC 3516).
    pub literal8: bool,
    /// The client waits for `+`.
    pub sync: bool,
}

/// Why there is no complete command.
#[derive(Debug, Clone)]
pub enum Stop {
    /// It is not a command that may be forwarded.
    Syntax(Malformed),
    /// The input ends behind an announcement where a string may stand. Read the octets and the line
    /// behind them (up to the next announcement, if it has one), append both, and parse again.
    Literal,
    /// A message begins (APPEND, REPLACE): this is the command so far, valid up to here.
    Message(Box<Head>),
}

/// A refused command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// To answer with; `* BAD` if there is none. Show it only with a known command.
    pub tag: Option<Tag>,
    /// The command, if a known one was read.
    pub command: Option<&'static str>,
    /// What is wrong.
    pub reason: Reason,
    /// Whether the input may hold a secret: no known command was read, or one that carries secrets.
    pub secret: bool,
}

/// What is wrong with a refused command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not the grammar.
    Syntax,
    /// No such command.
    UnknownCommand,
    /// A NUL.
    Nul,
    /// A CR or LF that is not part of a CRLF.
    BareLineEnd,
    /// A literal's announcement that is none, or where none may be.
    Literal,
}

impl Reason {
    /// One sentence for the client's user.
    #[must_use]
    pub fn as_sentence(self) -> &'static str {
        match self {
            Self::Syntax => "The command or its arguments are not valid IMAP",
            Self::UnknownCommand => "Unknown command",
            Self::Nul => "A command may not contain NUL",
            Self::BareLineEnd => "A line must end with CR LF, and neither may stand alone",
            Self::Literal => "A literal is malformed or not allowed here",
        }
    }
}

/// A command whose message is about to come.
#[derive(Debug, Clone)]
pub struct Head {
    /// What was read: name, mailbox, flags and date are valid.
    pub command: Command,
    /// The message.
    pub message: MessageHead,
}

/// One message's announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHead {
    /// The announcement.
    pub announced: Announced,
    /// What must be closed behind the octets.
    pub enclosure: Enclosure,
    /// The flags the message gets.
    pub flags: Vec<String>,
}

/// What stands around a message's literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enclosure {
    /// Nothing.
    None,
    /// `UTF8 (…)` (RFC 9755).
    Utf8,
    /// `CATENATE (…)` (RFC 4469); this is one of its parts.
    Catenate,
}

/// What follows a message's octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendMore {
    /// The command is complete.
    End(Between),
    /// One more message of a MULTIAPPEND (never of a REPLACE: the caller knows which it is), or one
    /// more part of a CATENATE: its announcement, at the end of the input.
    Message(MessageHead, Between),
}

/// What a command has said since the octets of its last message, by CATENATE without octets of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// The mailboxes named by URL; a URL that is relative to the selected mailbox names none.
    pub mailboxes: Vec<String>,
    /// As [`Command::needs`].
    pub needs: Vec<&'static [&'static str]>,
    /// As [`Command::secrets`].
    pub secrets: Vec<Range<usize>>,
    /// Further messages that begin here.
    pub messages: u32,
}

/// Reads one command, its mailbox names in modified UTF-7.
///
/// ```
/// use mailwarden::wire::imap::{Stop, parse};
/// let command = parse(b"a select inbox\r\n").unwrap();
/// assert_eq!((command.name, &command.mailboxes[..]), ("SELECT", &["INBOX".to_owned()][..]));
/// assert!(matches!(parse(b"a LOGIN {3}\r\n"), Err(Stop::Literal)));
/// assert!(matches!(parse(b"a NOOP x\r\n"), Err(Stop::Syntax(_))));
/// ```
pub fn parse(input: &[u8]) -> Result<Command, Stop> {
    parse_with(input, Names::ModifiedUtf7)
}

/// Reads one command, its mailbox names encoded as `names` says.
pub fn parse_with(input: &[u8], names: Names) -> Result<Command, Stop> {
    let mut reader = Reader::new(input, names);
    let tag = read_tag(&mut reader).map_err(|fault| refuse(&fault, None, None))?;
    let spec = match read_name(&mut reader, input) {
        Ok(spec) => spec,
        Err(fault) => return Err(refuse(&fault, Some(tag), None)),
    };
    reader.facts.operation = spec.operation;
    reader.facts.effect = spec.effect;
    reader.facts.needs.extend((!spec.needs.is_empty()).then_some(spec.needs));
    let read = spec.read_arguments(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(assemble(reader, tag, spec)),
        Err(Fault::Message(message)) => {
            Err(Stop::Message(Box::new(Head { command: assemble(reader, tag, spec), message: *message })))
        }
        Err(fault) => Err(refuse(&fault, Some(tag), Some(spec))),
    }
}

/// Reads what follows the octets of a message, which stood in `enclosure`: the input begins right
/// behind them and ends with a CRLF. [`Stop::Literal`] asks for the octets of a CATENATE's URL.
pub fn parse_append_more(input: &[u8], enclosure: Enclosure) -> Result<AppendMore, Stop> {
    let mut reader = Reader::new(input, Names::ModifiedUtf7);
    let read = grammar::append_more(&mut reader, enclosure);
    let Facts { mailboxes, needs, secrets, messages, .. } = reader.facts;
    let between = Between { mailboxes, needs, secrets, messages };
    match read {
        Ok(()) => Ok(AppendMore::End(between)),
        Err(Fault::Message(message)) => Ok(AppendMore::Message(*message, between)),
        Err(fault) => Err(refuse(&fault, None, None)),
    }
}

pub(super) fn read_tag(reader: &mut Reader<'_>) -> Result<Tag, Fault> {
    let octets = reader.take_while(is_tag_octet);
    let end = reader.at();
    reader.space()?;
    Tag::new(octets).ok_or_else(|| reader.fault_at(end))
}

pub(super) fn read_name(reader: &mut Reader<'_>, input: &[u8]) -> Result<&'static Spec, Fault> {
    let start = reader.at();
    let first = reader.name()?;
    if first.eq_ignore_ascii_case(b"UID") {
        reader.space()?;
        reader.name()?;
    }
    let followed = matches!(reader.peek(), Some(b' ' | b'\r'));
    let name = input.get(start..reader.at()).unwrap_or_default();
    debug_assert!(name.iter().all(|octet| is_name_octet(*octet) || *octet == b' '), "two names at most");
    match Spec::find(name) {
        _ if !followed => Err(reader.fault()),
        Some(spec) => Ok(spec),
        None => Err(Fault::Malformed(Reason::UnknownCommand)),
    }
}

fn assemble(reader: Reader<'_>, tag: Tag, spec: &'static Spec) -> Command {
    let facts = reader.facts;
    Command {
        tag,
        name: spec.name,
        spec,
        operation: facts.operation,
        effect: facts.effect,
        mailboxes: facts.mailboxes,
        literals: facts.literals,
        secrets: facts.secrets,
        needs: facts.needs,
        messages: facts.messages,
        details: facts.details,
    }
}

fn refuse(fault: &Fault, tag: Option<Tag>, spec: Option<&'static Spec>) -> Stop {
    let reason = match fault {
        Fault::Literal => return Stop::Literal,
        Fault::Malformed(reason) => *reason,
        // a message where the caller has none to offer
        Fault::Message(_) => Reason::Literal,
    };
    let secret = spec.is_none_or(|spec| spec.secret);
    Stop::Syntax(Malformed { tag, command: spec.map(|spec| spec.name), reason, secret })
}

#[cfg(test)]
mod tests;
