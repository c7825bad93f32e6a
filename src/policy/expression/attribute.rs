//! What an expression may name, and what each is.

use super::super::facts::AnswerKind;
use crate::label::labelled;
use crate::wire::{Effect, ItemKind, Operation, Protocol};

labelled! {
    /// What an expression may name.
    Attribute {
        /// The listener's name.
        Listener = "listener",
        /// The protocol that is spoken.
        Protocol = "protocol",
        /// The client's address.
        Client = "client",
        /// The version of TLS towards the client.
        Tls = "tls",
        /// The name that the client asked for in TLS.
        ServerName = "server_name",
        /// The subject of the client's certificate.
        Certificate = "certificate",
        /// The day of the week, by UTC.
        Weekday = "weekday",
        /// The hour of the day, by UTC.
        Hour = "hour",
        /// The minute of the hour.
        Minute = "minute",
        /// Who is logged in, or tries to.
        User = "user",
        /// What stands behind the last `@` of the user.
        Domain = "domain",
        /// The groups that the user is in.
        Groups = "groups",
        /// The exact command, without `UID`.
        Command = "command",
        /// What it is for.
        Operation = "operation",
        /// What it can do.
        Effect = "effect",
        /// The mailboxes that it is about.
        Mailboxes = "mailboxes",
        /// The flags that it changes or gives.
        Flags = "flags",
        /// What it asks of a message.
        Items = "items",
        /// What kinds of things these are.
        ItemKinds = "item_kinds",
        /// Whether it asks for a range of octets.
        Partial = "partial",
        /// How large the message is.
        Octets = "octets",
        /// How many messages it is about.
        Messages = "messages",
        /// What it searches by.
        SearchKeys = "search_keys",
        /// The POP3 message-number.
        Message = "message",
        /// Which of the messages that an APPEND brings.
        NthMessage = "nth_message",
        /// What kind of line the server says.
        Answer = "answer",
        /// Its status.
        Status = "status",
        /// Its response code.
        Code = "code",
        /// The capability that it offers.
        Capability = "capability",
        /// The kind of its untagged data.
        Data = "data",
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Truth,
    Number,
    Text(Texts),
    Numbers,
    Texts(Texts),
}

/// Which texts a text can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    Any,
    /// Those of this attribute.
    Of(Attribute),
}

impl Type {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text(_) => "a text",
            Self::Numbers => "a list of numbers",
            Self::Texts(_) => "a list of texts",
        }
    }
}

/// How texts of an attribute are written, where that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    Freely,
    Lower,
    Upper,
    /// `INBOX` is in upper case.
    Mailbox,
    /// Those with a backslash are these, others are in lower case.
    Flag(&'static [&'static str]),
    Words(Vec<&'static str>),
}

/// The flags of the system (RFC 9051 §2.3.2).
pub(super) const FLAGS: [&str; 6] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\Recent"];
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const STATUSES: [&str; 7] = ["OK", "NO", "BAD", "BYE", "PREAUTH", "+OK", "-ERR"];

impl Attribute {
    /// Those that only answers have.
    pub(crate) const OF_ANSWERS: &'static [Self] =
        &[Self::Answer, Self::Status, Self::Code, Self::Capability, Self::Data];

    pub(super) fn kind(self) -> Type {
        match self {
            Self::Partial => Type::Truth,
            Self::Hour | Self::Minute | Self::Octets | Self::Messages | Self::Message | Self::NthMessage => {
                Type::Number
            }
            Self::Groups | Self::Mailboxes | Self::Flags | Self::Items | Self::ItemKinds | Self::SearchKeys => {
                Type::Texts(Texts::Of(self))
            }
            _ => Type::Text(Texts::Of(self)),
        }
    }

    /// What it is, in a word or two.
    #[cfg(test)]
    pub(super) fn type_name(self) -> &'static str {
        self.kind().name()
    }

    pub(super) fn written(self) -> Written {
        match self {
            Self::User | Self::Domain | Self::ServerName => Written::Lower,
            Self::Command | Self::Items | Self::SearchKeys | Self::Code | Self::Capability | Self::Data => {
                Written::Upper
            }
            Self::Mailboxes => Written::Mailbox,
            Self::Flags => Written::Flag(&FLAGS),
            Self::Protocol => Written::Words([Protocol::Imap, Protocol::Pop3].map(Protocol::as_label).to_vec()),
            Self::Tls => Written::Words(vec!["1.2", "1.3", "none"]),
            Self::Weekday => Written::Words(DAYS.to_vec()),
            Self::Operation => Written::Words(Operation::ALL.iter().map(|one| one.as_label()).collect()),
            Self::Effect => Written::Words(Effect::ALL.iter().map(|one| one.as_label()).collect()),
            Self::ItemKinds => Written::Words(ItemKind::ALL.iter().map(|one| one.as_label()).collect()),
            Self::Answer => Written::Words(AnswerKind::ALL.iter().map(|one| one.as_label()).collect()),
            Self::Status => Written::Words(STATUSES.to_vec()),
            _ => Written::Freely,
        }
    }

    /// The words that it can be, if these are all.
    pub(crate) fn words(self) -> Vec<&'static str> {
        if let Written::Words(words) = self.written() { words } else { Vec::new() }
    }
}
