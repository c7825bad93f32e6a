//! The conditions of a rule, each over one attribute of what is judged.

use std::sync::Arc;

use super::expression::{Attribute, Expression, Truth};
use super::facts::{AnswerKind, Facts};
use super::group::Group;
use super::network::Network;
use super::pattern::{Patterns, other_names, plain_names};
use super::window::Window;
use crate::wire::imap::{Spec, asking_by_name};
use crate::wire::pop3::Keyword;
use crate::wire::{Effect, Item, ItemKind, Operation, Protocol};

/// What a rule wants when something is not known, or when a command is about several things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// The rule lets pass: it is sure only if everything is as it says.
    Lenient,
    /// The rule restrains: one thing that is as it says, or could be, is enough.
    Strict,
}

/// A condition. Where it has several values, one of them must fit.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Listener(Vec<Arc<str>>),
    Protocol(Vec<Protocol>),
    Client(Vec<Network>),
    /// `1.2`, `1.3` or `none`.
    Tls(Vec<Arc<str>>),
    ServerName(Patterns),
    Certificate(Patterns),
    Time(Vec<Window>),
    User(Patterns),
    /// What stands behind the last `@` of the user.
    Domain(Patterns),
    Group(Vec<Membership>),
    /// In upper case.
    Command(Vec<Arc<str>>),
    Operation(Vec<Operation>),
    Effect(Vec<Effect>),
    Mailbox(Patterns),
    Flag(Vec<Arc<str>>),
    Item(Vec<Wanted>),
    LargerThan(u64),
    /// In upper case.
    SearchKey(Vec<Arc<str>>),
    MessagesOver(u64),
    Message(Vec<u32>),
    NthMessage(Vec<u32>),
    Answer(Vec<AnswerKind>),
    /// In upper case.
    Status(Vec<Arc<str>>),
    Code(Patterns),
    Capability(Patterns),
    /// In upper case.
    Data(Vec<Arc<str>>),
    When(Box<Expression>),
}

/// A group that a rule names; before the policy is put together, only the name.
#[derive(Debug, Clone)]
pub(crate) enum Membership {
    Named(Arc<str>),
    Of(Arc<Group>),
}

impl Membership {
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Named(name) => name,
            Self::Of(group) => group.name(),
        }
    }

    fn has(&self, user: &str) -> bool {
        match self {
            Self::Named(_) => false,
            Self::Of(group) => group.contains(user),
        }
    }
}

/// What of a message an `item` condition means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Kind(ItemKind),
    /// A range of octets of whatever it is.
    Partial,
    /// In upper case.
    Name(Arc<str>),
}

impl Wanted {
    pub(crate) fn new(word: &str) -> Self {
        match ItemKind::from_label(word) {
            Some(kind) => Self::Kind(kind),
            None if word == "partial" => Self::Partial,
            None => Self::Name(word.to_ascii_uppercase().into()),
        }
    }

    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Kind(kind) => kind.as_label(),
            Self::Partial => "partial",
            Self::Name(name) => name,
        }
    }

    fn is(&self, item: &Item) -> bool {
        match self {
            Self::Kind(kind) => *kind == item.kind,
            Self::Partial => item.partial,
            Self::Name(name) => **name == *item.name,
        }
    }
}

impl Condition {
    /// Whether what is judged is as this says.
    pub(crate) fn holds(&self, facts: &Facts<'_>, stance: Stance) -> bool {
        let session = &facts.session;
        let connection = session.connection;
        match self {
            Self::Listener(names) => names.contains(&connection.listener),
            Self::Protocol(protocols) => protocols.contains(&connection.protocol),
            Self::Client(networks) => networks.iter().any(|network| network.contains(connection.client)),
            Self::Tls(versions) => {
                let version = session.tls.map_or("none", |tls| tls.version);
                versions.iter().any(|wanted| **wanted == *version)
            }
            Self::ServerName(patterns) => {
                session.tls.and_then(|tls| tls.server_name.as_deref()).is_some_and(|name| patterns.match_any(name))
            }
            Self::Certificate(patterns) => {
                session.tls.and_then(|tls| tls.subject.as_deref()).is_some_and(|subject| patterns.match_any(subject))
            }
            Self::Time(windows) => windows.iter().any(|window| window.contains(session.unix_seconds())),
            Self::User(_) | Self::Domain(_) | Self::Group(_) => self.holds_of_user(facts, stance),
            Self::Command(names) => names.iter().any(|name| **name == *facts.command),
            Self::Operation(operations) => operations.contains(&facts.operation),
            Self::Effect(effects) => effects.contains(&facts.effect),
            Self::Mailbox(patterns) => mailbox(patterns, facts, stance),
            Self::Flag(_) | Self::Item(_) | Self::LargerThan(_) | Self::SearchKey(_) | Self::MessagesOver(_) => {
                self.holds_of_arguments(facts, stance)
            }
            Self::Message(numbers) => facts.message.is_some_and(|number| numbers.contains(&number)),
            Self::NthMessage(numbers) => facts.nth_message.is_some_and(|number| numbers.contains(&number)),
            Self::Answer(_) | Self::Status(_) | Self::Code(_) | Self::Capability(_) | Self::Data(_) => {
                self.holds_of_answer(facts)
            }
            Self::When(expression) => match expression.ask(facts, stance) {
                Truth::Holds => true,
                Truth::Fails => false,
                Truth::Unknown => stance == Stance::Strict,
            },
        }
    }

    /// A login that names nobody may be anybody's (RFC 7628 §3.1).
    fn holds_of_user(&self, facts: &Facts<'_>, stance: Stance) -> bool {
        let Some(user) = facts.session.user else {
            return facts.session.logged_in && stance == Stance::Strict;
        };
        match self {
            Self::User(patterns) => patterns.match_any(user),
            Self::Domain(patterns) => user.rsplit_once('@').is_some_and(|(_, domain)| patterns.match_any(domain)),
            Self::Group(groups) => groups.iter().any(|group| group.has(user)),
            _ => false,
        }
    }

    fn holds_of_arguments(&self, facts: &Facts<'_>, stance: Stance) -> bool {
        let arguments = &facts.arguments;
        match self {
            Self::Flag(flags) => {
                let wanted = |flag: &String| flags.iter().any(|wanted| wanted.eq_ignore_ascii_case(flag));
                // an item without .PEEK sets \Seen (RFC 9051 §6.4.5)
                let sets_seen = arguments.items.iter().any(|item| !item.peek);
                let seen = flags.iter().any(|wanted| wanted.eq_ignore_ascii_case("\\Seen"));
                match stance {
                    Stance::Strict => (sets_seen && seen) || arguments.flags.iter().any(wanted),
                    Stance::Lenient => every(arguments.flags, wanted) && (seen || !sets_seen),
                }
            }
            Self::Item(wanted) => {
                let fits = |item: &Item| wanted.iter().any(|wanted| wanted.is(item));
                some_or_every(arguments.items, fits, stance)
            }
            Self::SearchKey(keys) => {
                let wanted = |key: &&'static str| keys.iter().any(|wanted| **wanted == **key);
                some_or_every(arguments.keys, wanted, stance)
            }
            Self::LargerThan(size) => arguments.size.is_some_and(|octets| octets > *size),
            Self::MessagesOver(most) => match arguments.messages {
                Some(messages) => messages > *most,
                None => stance == Stance::Strict,
            },
            _ => false,
        }
    }

    fn holds_of_answer(&self, facts: &Facts<'_>) -> bool {
        let Some(answer) = &facts.answer else { return false };
        match self {
            Self::Answer(kinds) => kinds.contains(&answer.kind),
            Self::Status(words) => is_among(words, answer.status),
            Self::Code(patterns) => answer.code.is_some_and(|code| patterns.match_any(code)),
            Self::Capability(patterns) => answer.capability.is_some_and(|name| patterns.match_any(name)),
            Self::Data(words) => is_among(words, answer.data),
            _ => false,
        }
    }

    /// Whether this holds wherever `other` does, for rules that take these stances. When in doubt it does not.
    pub(crate) fn covers(&self, other: &Self, ours: Stance, theirs: Stance) -> bool {
        // what holds for who restrains may not hold for who lets pass: several names, or nothing known
        let alike = ours == theirs || ours == Stance::Strict;
        match (self, other) {
            (Self::Listener(ours), Self::Listener(theirs))
            | (Self::Tls(ours), Self::Tls(theirs))
            | (Self::Command(ours), Self::Command(theirs))
            | (Self::Status(ours), Self::Status(theirs))
            | (Self::Data(ours), Self::Data(theirs)) => contains(ours, theirs),
            (Self::Protocol(ours), Self::Protocol(theirs)) => contains(ours, theirs),
            (Self::Operation(ours), Self::Operation(theirs)) => contains(ours, theirs),
            (Self::Effect(ours), Self::Effect(theirs)) => contains(ours, theirs),
            (Self::Answer(ours), Self::Answer(theirs)) => contains(ours, theirs),
            (Self::Message(ours), Self::Message(theirs)) | (Self::NthMessage(ours), Self::NthMessage(theirs)) => {
                contains(ours, theirs)
            }
            (Self::Client(ours), Self::Client(theirs)) => {
                theirs.iter().all(|theirs| ours.iter().any(|ours| ours.covers(theirs)))
            }
            (Self::Time(ours), Self::Time(theirs)) => {
                theirs.iter().all(|theirs| ours.iter().any(|ours| ours.text() == theirs.text()))
            }
            (Self::ServerName(ours), Self::ServerName(theirs))
            | (Self::Certificate(ours), Self::Certificate(theirs))
            | (Self::Code(ours), Self::Code(theirs))
            | (Self::Capability(ours), Self::Capability(theirs)) => ours.covers(theirs),
            (Self::LargerThan(ours), Self::LargerThan(theirs)) => ours <= theirs,
            (Self::MessagesOver(ours), Self::MessagesOver(theirs)) => alike && ours <= theirs,
            (Self::User(ours), Self::User(theirs))
            | (Self::Domain(ours), Self::Domain(theirs))
            | (Self::Mailbox(ours), Self::Mailbox(theirs)) => alike && ours.covers(theirs),
            (Self::Group(ours), Self::Group(theirs)) => {
                alike && theirs.iter().all(|theirs| ours.iter().any(|ours| ours.name() == theirs.name()))
            }
            (Self::Flag(ours), Self::Flag(theirs)) | (Self::SearchKey(ours), Self::SearchKey(theirs)) => {
                alike && contains(ours, theirs)
            }
            (Self::Item(ours), Self::Item(theirs)) => alike && contains(ours, theirs),
            (Self::When(ours), Self::When(theirs)) => alike && ours.text() == theirs.text(),
            _ => false,
        }
    }

    /// Whether it is about the session: what it says of one stays so while the user and TLS are the same.
    pub(crate) fn is_of_session(&self) -> bool {
        matches!(
            self,
            Self::Listener(_)
                | Self::Protocol(_)
                | Self::Client(_)
                | Self::Tls(_)
                | Self::ServerName(_)
                | Self::Certificate(_)
                | Self::User(_)
                | Self::Domain(_)
                | Self::Group(_)
        )
    }

    /// Whether it is about an answer of the server.
    pub(crate) fn is_of_answers(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Status(_) | Self::Code(_) | Self::Capability(_) | Self::Data(_) => true,
            Self::When(expression) => expression.names_any(Attribute::OF_ANSWERS),
            _ => false,
        }
    }

    /// Whether it asks which mailbox something is about.
    pub(crate) fn is_of_mailboxes(&self) -> bool {
        match self {
            Self::Mailbox(_) => true,
            Self::When(expression) => expression.names_any(&[Attribute::Mailboxes]),
            _ => false,
        }
    }

    /// Whether it can hold for data that names a mailbox, where the rule allows.
    pub(crate) fn may_be_of_named(&self) -> bool {
        let is_asked = |by: &dyn Fn(&Spec) -> bool| asking_by_name().any(by);
        match self {
            Self::Command(names) => is_asked(&|spec| names.iter().any(|name| **name == *spec.name)),
            Self::Operation(operations) => is_asked(&|spec| operations.contains(&spec.operation)),
            Self::Effect(effects) => is_asked(&|spec| effects.contains(&spec.effect)),
            Self::Flag(_)
            | Self::Item(_)
            | Self::LargerThan(_)
            | Self::SearchKey(_)
            | Self::MessagesOver(_)
            | Self::Message(_)
            | Self::NthMessage(_) => false,
            _ => true,
        }
    }

    /// Whether it holds for no command of IMAP but those of which no rule is asked.
    pub(crate) fn is_of_unjudged(&self) -> bool {
        let unjudged = |is_one: &dyn Fn(&Spec) -> bool| {
            let mut found = Spec::all().iter().filter(|spec| is_one(spec)).peekable();
            found.peek().is_some() && found.all(|spec| !spec.is_judged())
        };
        match self {
            Self::Command(names) => names.iter().all(|name| unjudged(&|spec| *spec.name == **name)),
            Self::Operation(operations) => operations.iter().all(|one| unjudged(&|spec| spec.operation == *one)),
            _ => false,
        }
    }

    /// Whether only IMAP has such a thing.
    pub(crate) fn is_of_imap(&self) -> bool {
        match self {
            Self::Mailbox(_) | Self::Flag(_) | Self::SearchKey(_) | Self::NthMessage(_) => true,
            Self::Protocol(protocols) => !protocols.contains(&Protocol::Pop3),
            Self::Command(names) => !names.iter().any(|name| Keyword::from_label(name).is_some()),
            _ => false,
        }
    }

    /// Whether it picks out something that can be left out of an answer.
    pub(crate) fn picks_shown(&self) -> bool {
        match self {
            Self::Capability(_) | Self::Data(_) | Self::Mailbox(_) => true,
            Self::Answer(kinds) => kinds.iter().all(|kind| kind.is_hideable()),
            Self::When(expression) => {
                expression.names_any(&[Attribute::Capability, Attribute::Data, Attribute::Mailboxes])
            }
            _ => false,
        }
    }
}

fn contains<T: PartialEq>(ours: &[T], theirs: &[T]) -> bool {
    theirs.iter().all(|theirs| ours.contains(theirs))
}

fn is_among(words: &[Arc<str>], word: Option<&str>) -> bool {
    word.is_some_and(|word| words.iter().any(|wanted| wanted.eq_ignore_ascii_case(word)))
}

fn every<T>(things: &[T], fits: impl Fn(&T) -> bool) -> bool {
    !things.is_empty() && things.iter().all(fits)
}

fn some_or_every<T>(things: &[T], fits: impl Fn(&T) -> bool, stance: Stance) -> bool {
    match stance {
        Stance::Strict => things.iter().any(fits),
        Stance::Lenient => every(things, fits),
    }
}

/// Whether a command is about such a mailbox: one that it names, the one that is selected, or, for who restrains,
/// any that it reaches without naming it.
fn mailbox(patterns: &Patterns, facts: &Facts<'_>, stance: Stance) -> bool {
    let mut names = facts.mailboxes.iter().map(String::as_str).chain(facts.selected);
    match stance {
        Stance::Strict => {
            let taken_for =
                |name: &str| patterns.match_any(name) || other_names(name).any(|other| patterns.match_any(&other));
            names.any(taken_for) || reaches(patterns, facts)
        }
        Stance::Lenient => {
            let is_one =
                |name: &str| patterns.match_any(name) && plain_names(name).all(|plain| patterns.match_any(&plain));
            let mut names = names.peekable();
            names.peek().is_some() && names.all(is_one) && !facts.arguments.reaches_further
        }
    }
}

/// Whether a command gets at such a mailbox without naming it. A list does not count: of that, each line is judged.
fn reaches(patterns: &Patterns, facts: &Facts<'_>) -> bool {
    if !facts.arguments.reaches_further || facts.operation == Operation::List {
        return false;
    }
    // RENAME takes what is below along, and nothing else (RFC 9051 §6.3.6)
    let is_above =
        |name: &String| patterns.reach_below(name) || other_names(name).any(|other| patterns.reach_below(&other));
    facts.command != "RENAME" || facts.mailboxes.iter().any(is_above)
}
