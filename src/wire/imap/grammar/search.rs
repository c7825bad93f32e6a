//! SEARCH, SORT and THREAD (RFC 9051 §6.4.4; RFC 5032, 5256, 5267, 6203, 7162, 7377, 8474, 8514).

use super::super::command::Details;
use super::super::date::date;
use super::super::reader::{Fault, Reader};
use super::fetch::partial_range;
use super::notify::mailboxes;
use super::{CONDSTORE, GMAIL, OBJECTID};

pub(in super::super) fn search(reader: &mut Reader<'_>) -> Result<(), Fault> {
    return_options(reader)?;
    if reader.eat_word_after_space("CHARSET") {
        reader.space()?;
        reader.astring()?;
    }
    reader.space()?;
    reader.sequence(key)
}

pub(in super::super) fn sort(reader: &mut Reader<'_>) -> Result<(), Fault> {
    return_options(reader)?;
    reader.space()?;
    reader.list(|reader| {
        if reader.eat_word("REVERSE") {
            reader.space()?;
        }
        let keys = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "RELEVANCY"];
        match reader.one_of(&keys)? {
            "DISPLAYFROM" | "DISPLAYTO" => reader.need(&["SORT=DISPLAY"]),
            "RELEVANCY" => reader.need(&["SEARCH=FUZZY"]),
            _ => {}
        }
        Ok(())
    })?;
    charset_and_keys(reader)
}

pub(in super::super) fn thread(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    match reader.one_of(&["REFERENCES", "ORDEREDSUBJECT", "REFS"])? {
        "REFERENCES" => reader.need(&["THREAD=REFERENCES"]),
        "ORDEREDSUBJECT" => reader.need(&["THREAD=ORDEREDSUBJECT"]),
        _ => reader.need(&["THREAD=REFS"]),
    }
    reader.facts.details = Details::Search { saves: false };
    charset_and_keys(reader)
}

/// ESEARCH, the command of RFC 7377: it searches mailboxes that are not selected.
pub(in super::super) fn multi_search(reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.eat_word_after_space("IN") {
        reader.space()?;
        reader.list(|reader| if reader.peek() == Some(b'(') { scope_options(reader) } else { mailboxes(reader) })?;
    }
    search(reader)
}

fn scope_options(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.list(|reader| reader.atom().map(drop))
}

/// CANCELUPDATE (RFC 5267 §4.4): its arguments are tags, quoted.
pub(in super::super) fn cancel_update(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.sequence(|reader| if reader.peek() == Some(b'"') { reader.string().map(drop) } else { Err(reader.fault()) })
}

fn charset_and_keys(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    reader.astring()?;
    reader.space()?;
    reader.sequence(key)
}

/// `RETURN (MIN MAX …)` (RFC 9051 §6.4.4, RFC 5267, RFC 9394).
fn return_options(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut saves = false;
    if reader.eat_word_after_space("RETURN") {
        reader.need(&["ESEARCH", "SEARCHRES", "ESORT", "IMAP4rev2"]);
        reader.space()?;
        reader.list_or_empty(|reader| {
            match reader.one_of(&["MIN", "MAX", "ALL", "COUNT", "SAVE", "PARTIAL", "CONTEXT", "UPDATE", "RELEVANCY"])? {
                "SAVE" => {
                    reader.need(&["SEARCHRES", "IMAP4rev2"]);
                    saves = true;
                }
                "PARTIAL" => {
                    reader.need(&["PARTIAL", "CONTEXT=SEARCH", "CONTEXT=SORT"]);
                    reader.space()?;
                    partial_range(reader)?;
                }
                "CONTEXT" | "UPDATE" => reader.need(&["CONTEXT=SEARCH", "CONTEXT=SORT"]),
                "RELEVANCY" => reader.need(&["SEARCH=FUZZY"]),
                _ => {}
            }
            Ok(())
        })?;
    }
    reader.facts.details = Details::Search { saves };
    Ok(())
}

/// One search key. NOT, OR and FUZZY stand before their keys, so that counting the keys still owed
/// reads any depth of them without recursion; only parentheses nest.
fn key(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut owed: usize = 1;
    loop {
        if reader.eat_word("OR") {
            note_key(reader, "OR");
            owed += 1;
        } else if reader.eat_word("FUZZY") {
            note_key(reader, "FUZZY");
            reader.need(&["SEARCH=FUZZY"]);
        } else if reader.eat_word("NOT") {
            note_key(reader, "NOT");
        } else {
            simple_key(reader)?;
            owed -= 1;
        }
        if owed == 0 {
            return Ok(());
        }
        reader.space()?;
    }
}

fn simple_key(reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.peek() {
        Some(b'(') => return reader.list(key),
        Some(b'0'..=b'9' | b'*' | b'$') => return reader.sequence_set(),
        _ => {}
    }
    let name = reader.atom()?.to_ascii_uppercase();
    note_key(reader, &name);
    match name.as_str() {
        "ALL" | "ANSWERED" | "DELETED" | "DRAFT" | "FLAGGED" | "NEW" | "OLD" | "RECENT" | "SEEN" | "UNANSWERED"
        | "UNDELETED" | "UNDRAFT" | "UNFLAGGED" | "UNSEEN" => Ok(()),
        "SAVEDATESUPPORTED" => {
            reader.need(&["SAVEDATE"]);
            Ok(())
        }
        "BCC" | "BODY" | "CC" | "FROM" | "SUBJECT" | "TEXT" | "TO" => argument(reader, text),
        "HEADER" => {
            argument(reader, text)?;
            argument(reader, text)
        }
        "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" => argument(reader, date),
        "SAVEDBEFORE" | "SAVEDON" | "SAVEDSINCE" => {
            reader.need(&["SAVEDATE"]);
            argument(reader, date)
        }
        "LARGER" | "SMALLER" => argument(reader, |reader| reader.number64().map(drop)),
        "OLDER" | "YOUNGER" => {
            reader.need(&["WITHIN"]);
            argument(reader, |reader| reader.nz_number().map(drop))
        }
        "KEYWORD" | "UNKEYWORD" => argument(reader, |reader| reader.atom().map(drop)),
        "UID" => argument(reader, Reader::sequence_set),
        "MODSEQ" => argument(reader, mod_sequence),
        "EMAILID" | "THREADID" => {
            reader.need(OBJECTID);
            argument(reader, |reader| reader.atom().map(drop))
        }
        "X-GM-RAW" | "X-GM-LABELS" => {
            reader.need(GMAIL);
            argument(reader, text)
        }
        "X-GM-MSGID" | "X-GM-THRID" => {
            reader.need(GMAIL);
            // Gmail's numbers use all 64 bits
            argument(reader, |reader| reader.atom().map(drop))
        }
        _ => unknown_key(reader),
    }
}

/// Search keys that a rule may name.
#[rustfmt::skip]
pub const SEARCH_KEYS: &[&str] = &[
    "ALL", "ANSWERED", "BCC", "BEFORE", "BODY", "CC", "DELETED", "DRAFT", "EMAILID", "FLAGGED", "FROM", "FUZZY",
    "HEADER", "KEYWORD", "LARGER", "MODSEQ", "NEW", "NOT", "OLD", "OLDER", "ON", "OR", "RECENT", "SAVEDATESUPPORTED",
    "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE", "SEEN", "SENTBEFORE", "SENTON", "SENTSINCE", "SINCE", "SMALLER",
    "SUBJECT", "TEXT", "THREADID", "TO", "UID", "UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNKEYWORD",
    "UNSEEN", "X-GM-LABELS", "X-GM-MSGID", "X-GM-RAW", "X-GM-THRID", "YOUNGER",
];

fn note_key(reader: &mut Reader<'_>, name: &str) {
    reader.collect(reader.at(), |parts, _, _| parts.keys.extend(SEARCH_KEYS.iter().find(|key| **key == name)));
}

fn argument<'a>(reader: &mut Reader<'a>, read: impl FnOnce(&mut Reader<'a>) -> Result<(), Fault>) -> Result<(), Fault> {
    reader.space()?;
    read(reader)
}

fn text(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.astring().map(drop)
}

/// `[entry type] number` (RFC 7162 §3.1.5).
fn mod_sequence(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.need(CONDSTORE);
    if reader.peek() == Some(b'"') {
        reader.string()?;
        reader.space()?;
        reader.one_of(&["priv", "shared", "all"])?;
        reader.space()?;
    }
    reader.number64().map(drop)
}

/// A key of some extension: a search can only read, and its strings are framed like any other's.
/// Words and numbers behind it read as keys of their own.
fn unknown_key(reader: &mut Reader<'_>) -> Result<(), Fault> {
    while reader.starts_with(b" \"") || reader.starts_with(b" {") {
        reader.space()?;
        reader.string()?;
    }
    Ok(())
}
