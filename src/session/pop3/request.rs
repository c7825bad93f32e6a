//! A client's command as the session deals with it: owned, without its secrets, ready to be judged.

use std::borrow::Cow;

use super::slot::{Asked, Exchange, ExchangeTurn};
use super::turn::shown;
use crate::policy::{Item, ItemKind};
use crate::redact::MASK;
use crate::session::Extent;
use crate::wire::pop3::{Command, Keyword, SaslLine, SyntaxError, binds_channel, read_response};
use crate::wire::{Effect, Operation};

#[derive(Debug)]
pub(super) struct Request {
    /// The keyword in upper case, or `unknown`.
    pub(super) label: Cow<'static, str>,
    /// `None`: the line is no command.
    pub(super) keyword: Option<Keyword>,
    pub(super) operation: Operation,
    pub(super) effect: Effect,
    pub(super) message: Option<u32>,
    /// The user this command names.
    pub(super) user: Option<String>,
    pub(super) asked: Asked,
    /// The line holds a secret, or may.
    pub(super) is_secret: bool,
    /// Octets at the front of the line that are written in upper case.
    pub(super) names: usize,
    /// The line for a transcript.
    pub(super) shown: String,
    /// What is wrong with an initial response.
    pub(super) initial: Initial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initial {
    Sound,
    Malformed,
    BindsChannel,
}

impl Request {
    pub(super) fn of(command: &Command<'_>, line: &[u8]) -> Self {
        let keyword = command.keyword();
        let label = Cow::Borrowed(keyword.as_label());
        let (mut user, mut initial_state) = (None, Initial::Sound);
        let asked = match *command {
            Command::User(name) => {
                user = Some(text(name));
                Asked::User(text(name))
            }
            Command::Pass => Asked::Pass,
            Command::Apop { user: name } => {
                user = Some(text(name));
                Asked::Apop(text(name))
            }
            Command::Auth { mechanism, initial } => {
                let mechanism = text(mechanism).to_ascii_uppercase();
                if let Some(initial) = initial {
                    (user, initial_state) = initial_response(&mechanism, initial);
                }
                let responses = u32::from(initial.is_some());
                Asked::Auth(Exchange { mechanism, user: user.clone(), responses, turn: ExchangeTurn::Server })
            }
            Command::Capa => Asked::Capabilities,
            Command::Mechanisms => Asked::Mechanisms,
            Command::Stls => Asked::Stls,
            Command::Utf8 => Asked::Utf8,
            Command::Quit => Asked::Quit,
            Command::Lang(None) => Asked::Listing,
            Command::List(None) => Asked::Sizes,
            Command::List(Some(_)) => Asked::Size,
            Command::Uidl(None) => Asked::UniqueIds,
            Command::Uidl(Some(_)) => Asked::UniqueId,
            Command::Retr(number) => Asked::Message { number, extent: Extent::Whole },
            Command::Top { message: number, lines: 0 } => Asked::Message { number, extent: Extent::Headers },
            Command::Top { message: number, .. } => Asked::Message { number, extent: Extent::Part },
            Command::Lang(Some(_))
            | Command::Noop
            | Command::Stat
            | Command::Dele(_)
            | Command::Rset
            | Command::Last => Asked::Status,
        };
        Self {
            label,
            keyword: Some(keyword),
            operation: command.operation(),
            effect: command.effect(),
            message: command.message(),
            is_secret: matches!(asked, Asked::Pass | Asked::Apop(_))
                || matches!(*command, Command::Auth { initial: Some(_), .. }),
            names: command.names(),
            shown: shown_masked(command, line),
            user,
            asked,
            initial: initial_state,
        }
    }

    /// What of a message it asks for.
    pub(super) fn items(&self) -> Vec<Item> {
        let Asked::Message { extent, .. } = self.asked else { return Vec::new() };
        let kind = match extent {
            Extent::Whole => ItemKind::Whole,
            Extent::Headers => ItemKind::Headers,
            Extent::Part | Extent::Partial => ItemKind::Part,
        };
        vec![Item { name: self.label.clone().into_owned(), kind, partial: false, peek: true }]
    }

    /// A command that is known by its name alone, because the operator allows it. Its arguments may be a
    /// secret; its answer is taken for a single line.
    pub(super) fn unlisted(keyword: String, line: &[u8]) -> Self {
        let names = keyword.len();
        let shown = if line.len() > names {
            format!("{} {MASK}", shown(line.get(..names).unwrap_or_default()))
        } else {
            shown(line)
        };
        Self {
            label: Cow::Owned(keyword),
            keyword: None,
            operation: Operation::Unknown,
            effect: Effect::Unknown,
            message: None,
            user: None,
            asked: Asked::Unknown,
            is_secret: true,
            names,
            shown,
            initial: Initial::Sound,
        }
    }

    /// A line that is no command. It may be a password at the wrong place.
    pub(super) fn malformed(error: SyntaxError, octets: usize) -> Self {
        let (label, keyword) = match error {
            SyntaxError::Arguments(keyword) => (keyword.as_label(), None),
            SyntaxError::LineEnd | SyntaxError::Nul | SyntaxError::Unknown | SyntaxError::Form => ("unknown", None),
        };
        Self {
            label: Cow::Borrowed(label),
            keyword,
            operation: Operation::Unknown,
            effect: Effect::Unknown,
            message: None,
            user: None,
            asked: Asked::Unknown,
            is_secret: true,
            names: 0,
            shown: super::turn::unparsable(octets),
            initial: Initial::Sound,
        }
    }
}

/// Whom an initial response names, and what is wrong with it.
fn initial_response(mechanism: &str, initial: &[u8]) -> (Option<String>, Initial) {
    let (user, state) = match read_response(mechanism, 0, initial) {
        SaslLine::Response { user } => (user, Initial::Sound),
        SaslLine::Cancel | SaslLine::Malformed => (None, Initial::Malformed),
    };
    (user, if binds_channel(mechanism, 0, initial) { Initial::BindsChannel } else { state })
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn shown_masked(command: &Command<'_>, line: &[u8]) -> String {
    let open = if let Command::Apop { user } = *command {
        command.names() + 1 + user.len()
    } else if matches!(*command, Command::Pass | Command::Auth { initial: Some(_), .. }) {
        command.names()
    } else {
        return shown(line);
    };
    format!("{} {MASK}", shown(line.get(..open).unwrap_or_default()))
}
