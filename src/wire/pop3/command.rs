//! A client's command line, read by the strict grammar (RFC 1939 §3, RFC 2449 §4, RFC 5034 §4).
//!
//! Servers read the same octets differently (a CR or NUL in a keyword, `LIST` with a trailing
//! space, TAB as a separator), so a line that is not exactly of this grammar has no meaning here.

use memchr::memchr;

use crate::label::labelled;
use crate::wire::{Effect, Operation};

labelled! {
    /// The commands that are known.
    Keyword {
        /// RFC 2449 §5.
        Capa = "CAPA",
        /// RFC 1939 §7.
        User = "USER",
        /// RFC 1939 §7.
        Pass = "PASS",
        /// RFC 1939 §7.
        Apop = "APOP",
        /// RFC 5034 §4; without an argument the older list of mechanisms.
        Auth = "AUTH",
        /// RFC 2595 §4.
        Stls = "STLS",
        /// RFC 6856 §2.1.
        Utf8 = "UTF8",
        /// RFC 6856 §3.
        Lang = "LANG",
        /// RFC 1939 §5.
        Noop = "NOOP",
        /// RFC 1939 §4 and §6.
        Quit = "QUIT",
        /// RFC 1939 §5.
        Stat = "STAT",
        /// RFC 1939 §5.
        List = "LIST",
        /// RFC 1939 §7.
        Uidl = "UIDL",
        /// RFC 1939 §5.
        Retr = "RETR",
        /// RFC 1939 §7.
        Top = "TOP",
        /// RFC 1939 §5.
        Dele = "DELE",
        /// RFC 1939 §5.
        Rset = "RSET",
        /// RFC 1460 §5; fetchmail asks it.
        Last = "LAST",
    }
}

/// A command and its arguments, borrowed from its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its keyword with the arguments the RFCs give it")]
pub enum Command<'a> {
    Capa,
    User(&'a [u8]),
    /// The password is not a field: whoever must have it cuts it from the line.
    Pass,
    /// The digest is not a field.
    Apop {
        user: &'a [u8],
    },
    /// `AUTH` without an argument: which mechanisms are there?
    Mechanisms,
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    Stls,
    Utf8,
    Lang(Option<&'a [u8]>),
    Noop,
    Quit,
    Stat,
    List(Option<u32>),
    Uidl(Option<u32>),
    Retr(u32),
    Top {
        message: u32,
        lines: u32,
    },
    Dele(u32),
    Rset,
    Last,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxError {
    /// A bare CR or LF.
    LineEnd,
    /// A NUL.
    Nul,
    /// A keyword that is not known, or is none.
    Unknown,
    /// A keyword that is known by its name alone, in a line that servers read differently.
    Form,
    /// Arguments that the command does not have, or lacks; or spaces or TABs where none belong.
    Arguments(Keyword),
}

/// The keyword of a line without its end, in upper case, if it could be one. Whatever follows is not looked at.
#[must_use]
pub fn unlisted_keyword(line: &[u8]) -> Option<String> {
    let (word, _) = cut(line);
    let sound = (1..=LONGEST_KEYWORD).contains(&word.len()) && word.iter().all(u8::is_ascii_graphic);
    sound.then(|| word.iter().map(|octet| char::from(octet.to_ascii_uppercase())).collect())
}

/// Whether a line whose keyword is in no table is read alike by every server: words of printable ASCII, one
/// space between them and none at the end (RFC 2449 §4).
#[must_use]
pub fn is_unlisted_sound(line: &[u8]) -> bool {
    line.split(|octet| *octet == b' ').all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
}

/// RFC 2449 §4 has three or four octets; extensions have more.
const LONGEST_KEYWORD: usize = 64;

impl<'a> Command<'a> {
    /// Reads a line without its end.
    pub fn parse(line: &'a [u8]) -> Result<Self, SyntaxError> {
        if line.iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
            return Err(SyntaxError::LineEnd);
        }
        if line.contains(&0) {
            return Err(SyntaxError::Nul);
        }
        let (word, rest) = cut(line);
        let keyword = Keyword::ALL.iter().find(|keyword| keyword.as_label().as_bytes().eq_ignore_ascii_case(word));
        let Some(&keyword) = keyword else { return Err(SyntaxError::Unknown) };
        let command = if line.contains(&b'\t') { None } else { Self::with_arguments(keyword, rest) };
        command.ok_or(SyntaxError::Arguments(keyword))
    }

    fn with_arguments(keyword: Keyword, rest: Option<&'a [u8]>) -> Option<Self> {
        let bare = |command| rest.is_none().then_some(command);
        match keyword {
            Keyword::Capa => bare(Self::Capa),
            Keyword::Stls => bare(Self::Stls),
            Keyword::Utf8 => bare(Self::Utf8),
            Keyword::Noop => bare(Self::Noop),
            Keyword::Quit => bare(Self::Quit),
            Keyword::Stat => bare(Self::Stat),
            Keyword::Rset => bare(Self::Rset),
            Keyword::Last => bare(Self::Last),
            Keyword::User => rest.filter(|name| is_name(name)).map(Self::User),
            // the rest of the line, spaces at both ends included (RFC 1939 §7)
            Keyword::Pass => rest.map(|_| Self::Pass),
            Keyword::Apop => {
                let (user, digest) = cut(rest?);
                let hex = digest?.len() == 32 && digest?.iter().all(u8::is_ascii_hexdigit);
                (hex && is_name(user)).then_some(Self::Apop { user })
            }
            Keyword::Auth => match rest.map(cut) {
                None => Some(Self::Mechanisms),
                Some((mechanism, initial)) => {
                    let sound = initial.is_none_or(|initial| !initial.is_empty() && !initial.contains(&b' '));
                    (is_mechanism(mechanism) && sound).then_some(Self::Auth { mechanism, initial })
                }
            },
            Keyword::Lang => match rest {
                None => Some(Self::Lang(None)),
                Some(tag) => is_language(tag).then_some(Self::Lang(Some(tag))),
            },
            Keyword::List => optional(rest, Self::List),
            Keyword::Uidl => optional(rest, Self::Uidl),
            Keyword::Retr => number(rest?).map(Self::Retr),
            Keyword::Dele => number(rest?).map(Self::Dele),
            Keyword::Top => {
                let (message, lines) = cut(rest?);
                let lines = if lines? == b"0" { 0 } else { number(lines?)? };
                Some(Self::Top { message: number(message)?, lines })
            }
        }
    }

    /// The command's keyword.
    #[must_use]
    pub fn keyword(&self) -> Keyword {
        match self {
            Self::Capa => Keyword::Capa,
            Self::User(_) => Keyword::User,
            Self::Pass => Keyword::Pass,
            Self::Apop { .. } => Keyword::Apop,
            Self::Mechanisms | Self::Auth { .. } => Keyword::Auth,
            Self::Stls => Keyword::Stls,
            Self::Utf8 => Keyword::Utf8,
            Self::Lang(_) => Keyword::Lang,
            Self::Noop => Keyword::Noop,
            Self::Quit => Keyword::Quit,
            Self::Stat => Keyword::Stat,
            Self::List(_) => Keyword::List,
            Self::Uidl(_) => Keyword::Uidl,
            Self::Retr(_) => Keyword::Retr,
            Self::Top { .. } => Keyword::Top,
            Self::Dele(_) => Keyword::Dele,
            Self::Rset => Keyword::Rset,
            Self::Last => Keyword::Last,
        }
    }

    /// What it is for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Capa | Self::Mechanisms | Self::Utf8 | Self::Lang(_) => Operation::Capability,
            Self::User(_) | Self::Pass | Self::Apop { .. } | Self::Auth { .. } => Operation::Authenticate,
            Self::Stls => Operation::Connect,
            Self::Noop | Self::Rset => Operation::Noop,
            Self::Quit => Operation::Logout,
            Self::Stat | Self::List(_) | Self::Uidl(_) | Self::Last => Operation::List,
            Self::Retr(_) => Operation::Download,
            Self::Top { lines: 0, .. } => Operation::Headers,
            Self::Top { .. } => Operation::Part,
            Self::Dele(_) => Operation::Delete,
        }
    }

    /// What it can do to the mail.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self.operation() {
            Operation::List | Operation::Download | Operation::Headers | Operation::Part => Effect::Read,
            Operation::Delete => Effect::Destroy,
            Operation::Connect
            | Operation::Authenticate
            | Operation::Select
            | Operation::Search
            | Operation::Flag
            | Operation::Append
            | Operation::Copy
            | Operation::Move
            | Operation::Folder
            | Operation::Push
            | Operation::Sync
            | Operation::Quota
            | Operation::Acl
            | Operation::Metadata
            | Operation::Capability
            | Operation::Noop
            | Operation::Logout
            | Operation::Unknown => Effect::Session,
        }
    }

    /// The message it names.
    #[must_use]
    pub fn message(&self) -> Option<u32> {
        match *self {
            Self::List(message) | Self::Uidl(message) => message,
            Self::Retr(message) | Self::Dele(message) | Self::Top { message, .. } => Some(message),
            Self::Capa
            | Self::User(_)
            | Self::Pass
            | Self::Apop { .. }
            | Self::Mechanisms
            | Self::Auth { .. }
            | Self::Stls
            | Self::Utf8
            | Self::Lang(_)
            | Self::Noop
            | Self::Quit
            | Self::Stat
            | Self::Rset
            | Self::Last => None,
        }
    }

    /// Whether it logs in, and so may not be said in clear where TLS is required.
    #[must_use]
    pub fn logs_in(&self) -> bool {
        self.operation() == Operation::Authenticate
    }

    /// How many octets at the front of the line are names without case, in canonical form upper case.
    #[must_use]
    pub fn names(&self) -> usize {
        let keyword = self.keyword().as_label().len();
        if let Self::Auth { mechanism, .. } = self { keyword + 1 + mechanism.len() } else { keyword }
    }
}

/// The octets before the first space, and those behind it if there is one.
fn cut(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b' ', line).and_then(|at| line.split_at_checked(at)) {
        Some((word, rest)) => (word, rest.get(1..)),
        None => (line, None),
    }
}

/// A user's name: the rest of the line, but no spaces at its ends, which servers strip or keep.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.first() != Some(&b' ') && name.last() != Some(&b' ')
}

/// RFC 4422 §3.1.
fn is_mechanism(name: &[u8]) -> bool {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (1..=20).contains(&name.len()) && name.iter().all(allowed)
}

/// A language tag (RFC 5646 §2.1) or `*`.
fn is_language(tag: &[u8]) -> bool {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    tag == b"*" || ((1..=35).contains(&tag.len()) && tag.iter().all(allowed))
}

/// `[1-9][0-9]{0,9}`; a number has one spelling, so that what is judged is what is sent.
fn number(digits: &[u8]) -> Option<u32> {
    let sound =
        (1..=10).contains(&digits.len()) && digits.first() != Some(&b'0') && digits.iter().all(u8::is_ascii_digit);
    if sound { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

fn optional<'a>(rest: Option<&[u8]>, command: fn(Option<u32>) -> Command<'a>) -> Option<Command<'a>> {
    match rest {
        None => Some(command(None)),
        Some(digits) => number(digits).map(|number| command(Some(number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_of_the_grammar() {
        for (line, command) in [
            (&b"user joe"[..], Command::User(b"joe")),
            (b"USER joe doe", Command::User(b"joe doe")),
            (b"PASS  a b ", Command::Pass),
            (b"PASS ", Command::Pass),
            (b"APOP joe 0123456789abcdef0123456789abcdef", Command::Apop { user: b"joe" }),
            (b"AUTH", Command::Mechanisms),
            (b"AUTH PLAIN", Command::Auth { mechanism: b"PLAIN", initial: None }),
            (b"auth plain =", Command::Auth { mechanism: b"plain", initial: Some(b"=") }),
            (b"LIST", Command::List(None)),
            (b"LIST 1", Command::List(Some(1))),
            (b"TOP 1 0", Command::Top { message: 1, lines: 0 }),
            (b"RETR 4294967295", Command::Retr(u32::MAX)),
            (b"LANG *", Command::Lang(Some(b"*"))),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_known_by_name_alone_is_held_to_one_form() {
        assert_eq!(unlisted_keyword(b"xtnd XLST a").as_deref(), Some("XTND"));
        for line in [&b"XTND"[..], b"XTND XLST Subject", b"XFOO a=1 \"b"] {
            assert!(is_unlisted_sound(line), "{}", line.escape_ascii());
        }
        for line in [&b"XTND "[..], b"XTND  a", b"XTND\ta", b"XTND \xC3\xA4", b" XTND", b""] {
            assert!(!is_unlisted_sound(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn refuses_what_servers_read_differently() {
        for (line, error) in [
            (&b"LIST "[..], SyntaxError::Arguments(Keyword::List)),
            (b"LIST\t1", SyntaxError::Unknown),
            (b"LIST 1\t", SyntaxError::Arguments(Keyword::List)),
            (b"LI\rST", SyntaxError::LineEnd),
            (b"STAT\nDELE 1", SyntaxError::LineEnd),
            (b"STAT\0", SyntaxError::Nul),
            (b"STAT x", SyntaxError::Arguments(Keyword::Stat)),
            (b"TOP 1", SyntaxError::Arguments(Keyword::Top)),
            (b"RETR 01", SyntaxError::Arguments(Keyword::Retr)),
            (b"RETR 0", SyntaxError::Arguments(Keyword::Retr)),
            (b"RETR 4294967296", SyntaxError::Arguments(Keyword::Retr)),
            (b"RETR  1", SyntaxError::Arguments(Keyword::Retr)),
            (b"PASS", SyntaxError::Arguments(Keyword::Pass)),
            (b"USER  joe", SyntaxError::Arguments(Keyword::User)),
            (b"APOP joe 0123", SyntaxError::Arguments(Keyword::Apop)),
            (b"AUTH PLAIN a b", SyntaxError::Arguments(Keyword::Auth)),
            (b"XTND XLST Subject", SyntaxError::Unknown),
            (b" STAT", SyntaxError::Unknown),
            (b"", SyntaxError::Unknown),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{}", line.escape_ascii());
        }
    }
}
