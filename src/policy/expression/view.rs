//! What an expression sees: one value for each attribute, made only when it is asked for.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::borrow::Cow;
use std::sync::Arc;

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::condition::Stance;
use super::super::facts::{Answer, Facts};
use super::super::group::Group;
use super::super::pattern::plain_names;
use super::Attribute;
use super::attribute::{DAYS, FLAGS};
use crate::wire::{ItemKind, Operation};

/// A longer list is not known.
pub(super) const LONGEST_LIST: usize = 64;
/// Octets; a longer text is not known, nor is a list whose texts have more together.
const LONGEST_TEXT: usize = 4096;

/// What one expression sees of one command or answer.
pub(super) struct View<'a> {
    facts: &'a Facts<'a>,
    stance: Stance,
    groups: &'a [Arc<Group>],
    met_unknown: AtomicBool,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Datum<'a> {
    Truth(bool),
    Number(i64),
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
}

impl<'a> View<'a> {
    pub(super) fn new(facts: &'a Facts<'a>, stance: Stance, groups: &'a [Arc<Group>]) -> Self {
        Self { facts, stance, groups, met_unknown: AtomicBool::new(false) }
    }

    /// Whether a value was asked for that is not known.
    pub(super) fn met_unknown(&self) -> bool {
        self.met_unknown.load(Ordering::Relaxed)
    }

    /// The value of an attribute, if it is known.
    pub(super) fn value(&self, attribute: Attribute) -> Option<Datum<'a>> {
        let value = self.value_of_any_length(attribute)?;
        let (texts, octets) = match &value {
            Datum::Text(text) => (1, text.len()),
            Datum::Texts(texts) => (texts.len(), texts.iter().map(|text| text.len()).sum()),
            Datum::Truth(_) | Datum::Number(_) => (0, 0),
        };
        (texts <= LONGEST_LIST && octets <= LONGEST_TEXT).then_some(value)
    }

    fn value_of_any_length(&self, attribute: Attribute) -> Option<Datum<'a>> {
        use Attribute as A;
        let (session, arguments) = (&self.facts.session, &self.facts.arguments);
        let connection = session.connection;
        let some = |text: &'a str| Some(Datum::Text(Cow::Borrowed(text)));
        match attribute {
            A::Listener => some(&connection.listener),
            A::Protocol => some(connection.protocol.as_label()),
            A::Client => Some(Datum::Text(connection.client.to_canonical().to_string().into())),
            A::Tls => some(session.tls.map_or("none", |tls| tls.version)),
            A::ServerName => some(session.tls.and_then(|tls| tls.server_name.as_deref()).unwrap_or_default()),
            A::Certificate => some(session.tls.and_then(|tls| tls.subject.as_deref()).unwrap_or_default()),
            A::Weekday | A::Hour | A::Minute => self.time(attribute),
            A::User | A::Domain | A::Groups => self.user(attribute),
            A::Command => some(self.facts.command),
            A::Operation => some(self.facts.operation.as_label()),
            A::Effect => some(self.facts.effect.as_label()),
            A::Mailboxes => self.mailboxes(),
            A::Flags => Some(Datum::Texts(self.flags())),
            A::Items => Some(Datum::Texts(arguments.items.iter().map(|item| item.name.as_str().into()).collect())),
            A::ItemKinds => Some(Datum::Texts(self.kinds())),
            A::Partial => Some(Datum::Truth(arguments.items.iter().any(|item| item.partial))),
            A::Octets => self.octets(),
            A::Messages => self.messages(),
            A::SearchKeys => Some(Datum::Texts(arguments.keys.iter().map(|key| (*key).into()).collect())),
            A::Message => Some(Datum::Number(self.facts.message.unwrap_or_default().into())),
            A::NthMessage => Some(Datum::Number(self.facts.nth_message.unwrap_or_default().into())),
            A::Answer | A::Status | A::Code | A::Capability | A::Data => Some(self.answer(attribute)),
        }
    }

    fn time(&self, attribute: Attribute) -> Option<Datum<'a>> {
        let now = Timestamp::from_second(self.facts.session.unix_seconds()).ok()?;
        let local = TimeZone::UTC.to_datetime(now);
        Some(match attribute {
            Attribute::Hour => Datum::Number(local.hour().into()),
            Attribute::Minute => Datum::Number(local.minute().into()),
            _ => {
                let day = usize::try_from(local.weekday().to_monday_zero_offset()).ok()?;
                Datum::Text(Cow::Borrowed(DAYS.get(day)?))
            }
        })
    }

    /// A login that names nobody may be anybody's (RFC 7628 §3.1); before login there is nobody.
    fn user(&self, attribute: Attribute) -> Option<Datum<'a>> {
        let session = &self.facts.session;
        let user = match session.user {
            None if session.logged_in => return None,
            user => user.unwrap_or_default(),
        };
        Some(match attribute {
            Attribute::Groups => {
                let is_in = |group: &&'a Arc<Group>| session.user.is_some_and(|user| group.contains(user));
                Datum::Texts(self.groups.iter().filter(is_in).map(|group| Cow::Borrowed(&**group.name())).collect())
            }
            Attribute::Domain => {
                Datum::Text(user.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default().to_lowercase().into())
            }
            _ => Datum::Text(user.to_lowercase().into()),
        })
    }

    /// The mailboxes that a command names and the one it acts on. They are not all if it reaches others without naming
    /// them; a list does, and of that, each line is judged.
    fn mailboxes(&self) -> Option<Datum<'a>> {
        let facts = self.facts;
        let names = facts.mailboxes.iter().map(String::as_str).chain(facts.selected);
        let mut texts: Vec<Cow<'a, str>> = names.clone().map(Cow::Borrowed).collect();
        let further = facts.arguments.reaches_further;
        match self.stance {
            Stance::Strict if further && facts.operation != Operation::List => return None,
            Stance::Lenient if further || names.clone().any(|name| plain_names(name).next().is_some()) => {
                return None;
            }
            Stance::Strict => texts.extend(names.flat_map(plain_names).map(Cow::Owned)),
            Stance::Lenient => {}
        }
        Some(Datum::Texts(texts))
    }

    /// An item without .PEEK sets \Seen (RFC 9051 §6.4.5).
    fn flags(&self) -> Vec<Cow<'a, str>> {
        let arguments = &self.facts.arguments;
        let canonical = |flag: &'a String| {
            let of_system = FLAGS.iter().find(|known| known.eq_ignore_ascii_case(flag));
            of_system.map_or_else(|| Cow::Owned(flag.to_lowercase()), |known| Cow::Borrowed(*known))
        };
        let mut flags: Vec<Cow<'a, str>> = arguments.flags.iter().map(canonical).collect();
        if arguments.items.iter().any(|item| !item.peek) && !flags.iter().any(|flag| flag == "\\Seen") {
            flags.push(Cow::Borrowed("\\Seen"));
        }
        flags
    }

    fn kinds(&self) -> Vec<Cow<'a, str>> {
        let items = self.facts.arguments.items;
        let asked = ItemKind::ALL.iter().filter(|kind| items.iter().any(|item| item.kind == **kind));
        asked.map(|kind| Cow::Borrowed(kind.as_label())).collect()
    }

    /// Octets of the message that flows, 0 if none does.
    fn octets(&self) -> Option<Datum<'a>> {
        let arguments = &self.facts.arguments;
        let content = |kind| matches!(kind, ItemKind::Part | ItemKind::Whole);
        let flows = matches!(self.facts.operation, Operation::Download | Operation::Part | Operation::Append)
            || arguments.items.iter().any(|item| content(item.kind));
        match arguments.size {
            Some(size) => Some(number(size)),
            None if flows && self.facts.answer.is_none() => None,
            None => Some(Datum::Number(0)),
        }
    }

    fn messages(&self) -> Option<Datum<'a>> {
        let without =
            self.facts.answer.is_some() || matches!(self.facts.operation, Operation::Connect | Operation::Authenticate);
        match self.facts.arguments.messages {
            Some(count) => Some(number(count)),
            None if without => Some(Datum::Number(0)),
            None => None,
        }
    }

    fn answer(&self, attribute: Attribute) -> Datum<'a> {
        let of = |which: fn(&Answer<'a>) -> Option<&'a str>| self.facts.answer.as_ref().and_then(which);
        let text = match attribute {
            Attribute::Status => of(|answer| answer.status),
            Attribute::Code => of(|answer| answer.code),
            Attribute::Capability => of(|answer| answer.capability),
            Attribute::Data => of(|answer| answer.data),
            _ => return Datum::Text(of(|answer| Some(answer.kind.as_label())).unwrap_or_default().into()),
        };
        Datum::Text(text.unwrap_or_default().to_ascii_uppercase().into())
    }
}

/// What is beyond all numbers of the language is as large as they get.
fn number<'a>(count: u64) -> Datum<'a> {
    Datum::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let value = self.value(Attribute::from_label(variable)?);
        if value.is_none() {
            self.met_unknown.store(true, Ordering::Relaxed);
        }
        Some(match value? {
            Datum::Truth(truth) => CowVal::owned(CelBool::from(truth)),
            Datum::Number(number) => CowVal::owned(CelInt::from(number)),
            Datum::Text(text) => CowVal::owned(lend(text)),
            Datum::Texts(texts) => {
                let boxed = |text| -> Box<dyn Val + 'b> { Box::new(lend(text)) };
                CowVal::owned(CelList::from(texts.into_iter().map(boxed).collect::<Vec<_>>()))
            }
        })
    }
}

fn lend(text: Cow<'_, str>) -> CelString<'_> {
    match text {
        Cow::Borrowed(text) => CelString::from(text),
        Cow::Owned(text) => CelString::from(text),
    }
}

/// As it could stand in an expression.
impl fmt::Display for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Texts(texts) => f.debug_list().entries(texts).finish(),
        }
    }
}
