//! SEARCH (RFC 9051 §6.4.4). Header and body keys compare the octets as they are, without decoding.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Refusal;
use super::parse::{Cursor, SequenceSet};
use super::view::{Seen, View};
use crate::sandbox::mime::{Part, field, field_octets};
use crate::sandbox::store::{Message, Store};

/// Keys inside keys; deeper is refused.
const DEPTH_LIMIT: usize = 32;

#[derive(Debug)]
enum Key {
    All,
    Flag(String),
    Recent,
    Header(String, Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
    /// Compared with the INTERNALDATE, or with the Date field.
    Dated {
        sent: bool,
        order: Order,
        date: Date,
    },
    Larger(u32),
    Smaller(u32),
    Numbers(SequenceSet),
    Uids(SequenceSet),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Before,
    On,
    Since,
}

/// A parsed search.
#[derive(Debug)]
pub(super) struct Search(Key);

impl Search {
    /// Reads the keys up to the end of the command.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let mut keys = Vec::new();
        loop {
            keys.push(parse_key(cursor, 0, keys.is_empty())?);
            if !cursor.take(b' ') {
                break;
            }
        }
        cursor.end()?;
        Ok(Self(Key::And(keys)))
    }

    /// The positions (from 0) of the messages that match.
    pub(super) fn run(&self, view: &View, store: &Store) -> Vec<usize> {
        let last = Last {
            number: u32::try_from(view.messages.len()).unwrap_or(u32::MAX),
            uid: view.messages.last().map_or(0, |seen| seen.uid),
        };
        let found = |(number, seen): &(u32, &Seen)| {
            let message = store.read(|mailboxes| Some(mailboxes.get(&view.name)?.find(seen.uid)?.message.clone()));
            message.is_some_and(|message| self.0.matches(*number, seen, &message, last))
        };
        (1..).zip(&view.messages).enumerate().filter(|(_, pair)| found(pair)).map(|(at, _)| at).collect()
    }
}

#[derive(Clone, Copy)]
struct Last {
    number: u32,
    uid: u32,
}

fn parse_key(cursor: &mut Cursor<'_>, depth: usize, may_name_charset: bool) -> Result<Key, Refusal> {
    if depth > DEPTH_LIMIT {
        return Err(Refusal::Bad("The search is nested too deeply".to_owned()));
    }
    if cursor.take(b'(') {
        let mut keys = Vec::new();
        loop {
            keys.push(parse_key(cursor, depth + 1, false)?);
            if !cursor.take(b' ') {
                break;
            }
        }
        cursor.expect(b')')?;
        return Ok(Key::And(keys));
    }
    if cursor.peek().is_some_and(|octet| octet.is_ascii_digit() || octet == b'*') {
        return cursor.sequence_set().map(Key::Numbers);
    }
    let word = cursor.run(|octet| octet.is_ascii_alphabetic()).to_ascii_uppercase();
    match word.as_str() {
        "CHARSET" if may_name_charset => {
            cursor.space()?;
            let charset = cursor.astring()?.to_ascii_uppercase();
            if !matches!(charset.as_slice(), b"UTF-8" | b"US-ASCII") {
                return Err(Refusal::No("BADCHARSET (US-ASCII UTF-8)", "Unknown charset".to_owned()));
            }
            cursor.space()?;
            parse_key(cursor, depth + 1, false)
        }
        "NOT" => {
            cursor.space()?;
            Ok(Key::Not(Box::new(parse_key(cursor, depth + 1, false)?)))
        }
        "OR" => {
            cursor.space()?;
            let one = parse_key(cursor, depth + 1, false)?;
            cursor.space()?;
            Ok(Key::Or(Box::new(one), Box::new(parse_key(cursor, depth + 1, false)?)))
        }
        _ => match flag_key(&word) {
            Some(key) => Ok(key),
            None => argument_key(&word, cursor),
        },
    }
}

fn flag_key(word: &str) -> Option<Key> {
    let flag = |name: &str| Key::Flag(format!("\\{name}"));
    let not = |key: Key| Key::Not(Box::new(key));
    Some(match word {
        "ALL" => Key::All,
        "ANSWERED" => flag("Answered"),
        "DELETED" => flag("Deleted"),
        "DRAFT" => flag("Draft"),
        "FLAGGED" => flag("Flagged"),
        "SEEN" => flag("Seen"),
        "UNANSWERED" => not(flag("Answered")),
        "UNDELETED" => not(flag("Deleted")),
        "UNDRAFT" => not(flag("Draft")),
        "UNFLAGGED" => not(flag("Flagged")),
        "UNSEEN" => not(flag("Seen")),
        "RECENT" => Key::Recent,
        "OLD" => not(Key::Recent),
        "NEW" => Key::And(vec![Key::Recent, not(flag("Seen"))]),
        _ => return None,
    })
}

fn argument_key(word: &str, cursor: &mut Cursor<'_>) -> Result<Key, Refusal> {
    let dated = |order, sent, date| Key::Dated { sent, order, date };
    let known = ["BCC", "CC", "FROM", "SUBJECT", "TO", "HEADER", "BODY", "TEXT", "LARGER", "SMALLER", "UID"];
    let more = ["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "KEYWORD", "UNKEYWORD"];
    if !known.contains(&word) && !more.contains(&word) {
        return Err(Refusal::Bad("Unknown search key".to_owned()));
    }
    cursor.space()?;
    Ok(match word {
        "HEADER" => {
            let name = String::from_utf8_lossy(&cursor.astring()?).into_owned();
            cursor.space()?;
            Key::Header(name, cursor.astring()?)
        }
        "BODY" => Key::Body(cursor.astring()?),
        "TEXT" => Key::Text(cursor.astring()?),
        "LARGER" => Key::Larger(cursor.number()?),
        "SMALLER" => Key::Smaller(cursor.number()?),
        "UID" => Key::Uids(cursor.sequence_set()?),
        "KEYWORD" => Key::Flag(cursor.atom()?.to_owned()),
        "UNKEYWORD" => Key::Not(Box::new(Key::Flag(cursor.atom()?.to_owned()))),
        "BEFORE" => dated(Order::Before, false, cursor.date()?),
        "ON" => dated(Order::On, false, cursor.date()?),
        "SINCE" => dated(Order::Since, false, cursor.date()?),
        "SENTBEFORE" => dated(Order::Before, true, cursor.date()?),
        "SENTON" => dated(Order::On, true, cursor.date()?),
        "SENTSINCE" => dated(Order::Since, true, cursor.date()?),
        field => Key::Header(field.to_owned(), cursor.astring()?),
    })
}

impl Key {
    fn matches(&self, number: u32, seen: &Seen, message: &Message, last: Last) -> bool {
        let content = &message.content;
        let inner = |key: &Self| key.matches(number, seen, message, last);
        match self {
            Self::All => true,
            Self::Flag(flag) => message.flags.iter().any(|other| other.eq_ignore_ascii_case(flag)),
            Self::Recent => seen.recent,
            Self::Header(name, wanted) => {
                let header = content.get(Part::parse(content).header).unwrap_or_default();
                field_octets(header, name).is_some_and(|value| contains(&value, wanted))
            }
            Self::Body(wanted) => contains(content.get(Part::parse(content).body).unwrap_or_default(), wanted),
            Self::Text(wanted) => contains(content, wanted),
            Self::Dated { sent, order, date } => {
                let day = if *sent { sent_on(content) } else { Some(message.received.to_zoned(TimeZone::UTC).date()) };
                day.is_some_and(|day| match order {
                    Order::Before => day < *date,
                    Order::On => day == *date,
                    Order::Since => day >= *date,
                })
            }
            Self::Larger(size) => content.len() as u64 > u64::from(*size),
            Self::Smaller(size) => (content.len() as u64) < u64::from(*size),
            Self::Numbers(set) => set.contains(number, last.number),
            Self::Uids(set) => set.contains(seen.uid, last.uid),
            Self::Not(key) => !inner(key),
            Self::Or(one, other) => inner(one) || inner(other),
            Self::And(keys) => keys.iter().all(inner),
        }
    }
}

fn sent_on(content: &[u8]) -> Option<Date> {
    let header = content.get(Part::parse(content).header)?;
    jiff::fmt::rfc2822::parse(&field(header, "date")?).ok().map(|time| time.date())
}

/// Whether `wanted` occurs, without regard to ASCII case. Everything contains the empty string.
fn contains(text: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(&text.to_ascii_lowercase(), &wanted.to_ascii_lowercase()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::samples;

    fn numbers(keys: &str) -> String {
        let store = Store::new(samples());
        let view = View::open(&store, "INBOX", true).unwrap();
        let search = Search::parse(&mut Cursor::new(keys.as_bytes())).map_err(|_| ()).unwrap();
        let found: Vec<String> = search.run(&view, &store).into_iter().map(|at| (at + 1).to_string()).collect();
        found.join(" ")
    }

    #[test]
    fn finds_messages_by_each_kind_of_key() {
        let table = [
            ("ALL", "1 2 3 4 5 6 7 8 9"),
            ("UNSEEN 1:3", "2 3"),
            ("NOT UNSEEN", "1"),
            ("OR FLAGGED SEEN", "1 6"),
            ("(FROM ben) SUBJECT \"lunch\"", "3"),
            ("CHARSET UTF-8 HEADER In-Reply-To \"\"", "4 5"),
            ("LARGER 1000000", "9"),
            ("SMALLER 1000 UID 8:*", "8"),
            ("BODY terrace", "4"),
            ("TEXT {5}\r\npoint", ""),
            ("ON 2-Nov-2026 SENTBEFORE 3-Nov-2026 2:4", "2 3 4"),
            ("SINCE 3-Nov-2026", "6 7 8 9"),
            ("RECENT NOT KEYWORD x 1", "1"),
        ];
        for (keys, expected) in table {
            assert_eq!(numbers(keys), expected, "{keys}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for keys in ["", "NONSENSE", "OR SEEN", "SINCE yesterday", "ALL ", "(ALL"] {
            assert!(Search::parse(&mut Cursor::new(keys.as_bytes())).is_err(), "{keys}");
        }
        let deep = "NOT ".repeat(100) + "ALL";
        assert!(Search::parse(&mut Cursor::new(deep.as_bytes())).is_err());
    }
}
