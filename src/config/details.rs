//! What may stand in a rule's conditions about networks, times, flags, items and search keys, and in its tables.

use std::ops::Range;

use toml::de::DeValue;

use super::code::Code;
use super::conditions::each;
use super::document::{Node, check_table};
use super::near::{list, nearest};
use super::problem::Problem;
use super::schema::{ANSWER, ANSWERS, Key, Section};
use super::values::wrong_type;
use crate::policy;
use crate::wire::imap::SEARCH_KEYS;

pub(super) fn network(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let error = policy::check_network(text).err()?;
    let example = policy::network_of(text).unwrap_or_else(|| "192.0.2.0/24".to_owned());
    Some(
        Problem::new(Code::Network, node.span(), format!("`{text}` is not a network"))
            .label(error)
            .help(format!("write an address, or address and number of bits, for example `\"{example}\"`")),
    )
}

/// A number from 0 to 1.
pub(super) fn share(key: &Key, node: Node<'_, '_>) -> Option<Problem> {
    let written = match node.get_ref() {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Some(wrong_type(
                key.name,
                "a number",
                "write a share, for example `0.01` for one in a hundred",
                node,
            ));
        }
    };
    let within = written.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    (!within).then(|| {
        Problem::new(Code::Range, node.span(), format!("`{}` is out of the range that makes sense", key.name))
            .label("a share is 0 (none) to 1 (all)")
            .help("write for example `0.01` for one in a hundred")
    })
}

pub(super) fn time(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let error = policy::check_time(text).err()?;
    let help = if error.starts_with("there is no") {
        "write for example `[\"Mon-Fri 00:00-08:00 Europe/Berlin\", \"Mon-Fri 18:00-24:00 Europe/Berlin\", \
         \"Sat-Sun Europe/Berlin\"]`"
    } else {
        "write days, hours and place, for example `\"Mon-Fri 08:00-18:00 Europe/Berlin\"`"
    };
    Some(Problem::new(Code::Time, node.span(), format!("`{text}` is not a time of the week")).label(error).help(help))
}

const FLAGS: [&str; 6] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\Recent"];

pub(super) fn flag(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let problem = |label: &str| Problem::new(Code::Flag, node.span(), format!("`{text}` is not a flag")).label(label);
    let bare = text.strip_prefix('\\').unwrap_or(text);
    // a keyword is an atom (RFC 9051 §2.3.2)
    let is_atom = |c: char| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c);
    if bare.is_empty() || !bare.chars().all(is_atom) {
        return Some(
            problem("one word, of a flag or a keyword").help("write it as clients do, for example `'\\Deleted'`"),
        );
    }
    let is_system = FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(text));
    let without = FLAGS.iter().find(|flag| flag.get(1..).is_some_and(|name| name.eq_ignore_ascii_case(text)));
    if let Some(meant) = without {
        return Some(problem("a flag of the system begins with a backslash").help(format!("write `'{meant}'`")));
    }
    if text.starts_with('\\') && !is_system {
        let problem = problem("no flag of the system has this name");
        return Some(match nearest(text, FLAGS) {
            Some(meant) => problem.help(format!("did you mean `'{meant}'`?")),
            None => problem.help(format!("write one of {}, or a keyword without a backslash", list(&FLAGS))),
        });
    }
    None
}

/// Items without a section, and the words for kinds of them.
const ITEMS: [&str; 24] = [
    "data",
    "headers",
    "part",
    "whole",
    "partial",
    "BODY",
    "BODY[]",
    "BODYSTRUCTURE",
    "EMAILID",
    "ENVELOPE",
    "FLAGS",
    "INTERNALDATE",
    "MODSEQ",
    "PREVIEW",
    "RETR",
    "RFC822",
    "RFC822.HEADER",
    "RFC822.SIZE",
    "RFC822.TEXT",
    "SAVEDATE",
    "THREADID",
    "TOP",
    "UID",
    "X-GM-LABELS",
];

pub(super) fn item(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let problem = |label: &str| {
        Problem::new(Code::Item, node.span(), format!("`{text}` is nothing that is asked of a message")).label(label)
    };
    let upper = text.to_ascii_uppercase();
    if let Some((name, section)) = upper.split_once(".PEEK[") {
        let help = format!("write `\"{name}[{section}\"`");
        return Some(problem("an item is named without .PEEK, and is meant with it too").help(help));
    }
    if upper.contains('<') {
        let bare = upper.split('<').next().unwrap_or_default();
        let help = format!("write `\"{bare}\"`, or for ranges of anything `\"partial\"`");
        return Some(problem("an item is named without its range of octets").help(help));
    }
    let sectioned = ["BODY[", "BINARY[", "BINARY.SIZE["].iter().any(|start| upper.starts_with(start));
    if (sectioned && upper.ends_with(']')) || ITEMS.contains(&text) || ITEMS.contains(&upper.as_str()) {
        return None;
    }
    let problem = problem("no such item, and no word for a kind of them");
    Some(match nearest(text, ITEMS) {
        Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
        None => {
            problem.help("write one of `data`, `headers`, `part`, `whole`, `partial`, or an item as `\"BODY[TEXT]\"`")
        }
    })
}

pub(super) fn search_key(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if SEARCH_KEYS.contains(&text.to_ascii_uppercase().as_str()) {
        return None;
    }
    let problem = Problem::new(Code::SearchKey, node.span(), format!("`{text}` is not a search key"))
        .label("no key of SEARCH has this name");
    Some(match nearest(text, SEARCH_KEYS.iter().copied()) {
        Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
        None => problem.help("write the key alone, without its argument, for example `\"SUBJECT\"`"),
    })
}

/// A word of a closed set, which may stand in a list of them.
pub(super) fn word(key: &str, words: &[&'static str], text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if words.contains(&text) {
        return None;
    }
    let problem = Problem::new(Code::Word, node.span(), format!("`{key}` cannot be `{text}`"))
        .label(format!("expected one of {}", list(words)));
    Some(match super::near::alias(text, words).or_else(|| nearest(text, words.iter().copied())) {
        Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
        None => problem.help(format!("write one or more of {}", list(words))),
    })
}

/// A text that says something, on one line.
pub(super) fn text(key: &Key, text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let good = !text.is_empty() && !text.contains(char::is_control);
    (!good).then(|| {
        Problem::new(Code::Name, node.span(), format!("`{}` cannot be this text", key.name))
            .label("a text has one line and is not empty")
            .help("write what is meant, or leave the key out")
    })
}

pub(super) fn table(key: &Key, section: &'static Section, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    if let Some(table) = node.get_ref().as_table() {
        check_table(section, node.span(), table, &[], problems);
    } else {
        let first = section.keys.first().map_or("key", |key| key.name);
        let help = format!("a table stands in braces: `{{ {first} = … }}`");
        problems.push(wrong_type(key.name, "a table", &help, node));
    }
}

/// Kinds of answers, as a condition; or what is answered.
pub(super) fn answer(key: &Key, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    match node.get_ref() {
        DeValue::Table(_) => table(key, &ANSWER, node, problems),
        _ => each(key, node, problems, |text, node| word(key.name, ANSWERS, text, node)),
    }
}

/// Numbers, one or a list.
pub(super) fn counts(node: Node<'_, '_>, problems: &mut Vec<Problem>, check: impl Fn(Node<'_, '_>) -> Option<Problem>) {
    match node.get_ref() {
        DeValue::Array(items) => problems.extend(items.iter().filter_map(check)),
        _ => problems.extend(check(node)),
    }
}

/// What the TOML parser says of a backslash that it does not know is best answered with single quotes.
pub(super) fn escape_help(text: &str, span: &Range<usize>) -> Option<String> {
    let start = text.get(..span.start)?.rfind('"')?;
    let rest = text.get(start + 1..)?;
    let inner = rest.get(..rest.find('"')?)?;
    (inner.contains('\\') && !inner.contains(['\'', '\n'])).then(|| format!("put it in single quotes: `'{inner}'`"))
}
