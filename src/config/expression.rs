//! What is wrong with the expression of a rule, shown where it stands in the file.

use std::ops::Range;

use bytesize::ByteSize;
use toml::de::DeTable;

use super::across::{called, text};
use super::code::Code;
use super::near::{alias, list, nearest};
use super::problem::{Problem, Source};
use crate::policy::{Attribute, Expression, ExpressionError, Fault};

/// Tells what is wrong with `when`, if the rule has it. `groups` are the names that a rule can give.
pub(super) fn check(source: &Source, table: &DeTable<'_>, groups: &[&str], problems: &mut Vec<Problem>) {
    let Some((written, span)) = text(table, "when") else { return };
    let place = |at: Range<usize>| place(source.text.get(span.clone()).unwrap_or_default(), written, &span, at);
    match Expression::new(written) {
        Ok(expression) => {
            for (at, name) in expression.groups_named().iter().filter(|(_, name)| !groups.contains(&name.as_str())) {
                let message = format!("{} names a group that does not exist", called("rule", table));
                let problem =
                    Problem::new(Code::UnknownGroup, place(at.clone()), message).label("no [[group]] has this name");
                problems.push(match nearest(name, groups.iter().copied()) {
                    Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
                    None => problem.help(format!("add a section `[[group]]` with the line `name = \"{name}\"`")),
                });
            }
        }
        Err(error) => {
            let message = format!("`when` of {} is not an expression that can be used", called("rule", table));
            let help = help(&error, written);
            let problem = Problem::new(Code::Expression, place(error.at), message);
            problems.push(problem.label(error.fault.to_string()).help(help));
        }
    }
}

/// What rules have other words for, and other languages.
const ALIASES: [(&str, &str); 24] = [
    ("address", "client"),
    ("and", "&&"),
    ("code_is", "code"),
    ("day", "weekday"),
    ("flag", "flags"),
    ("folder", "mailboxes"),
    ("group", "groups"),
    ("ip", "client"),
    ("item", "items"),
    ("item_kind", "item_kinds"),
    ("larger_than", "octets"),
    ("length", "size"),
    ("mailbox", "mailboxes"),
    ("messages_over", "messages"),
    ("not", "!"),
    ("or", "||"),
    ("search_key", "search_keys"),
    ("size", "octets"),
    ("sni", "server_name"),
    ("subject", "certificate"),
    ("time", "hour"),
    ("username", "user"),
    ("verb", "command"),
    ("=", "=="),
];

const FUNCTIONS: [&str; 6] = ["startsWith", "endsWith", "contains", "size", "exists", "all"];
const EXAMPLE: &str = "write for example `when = 'user == \"ann@example.com\" && octets > 1048576'`";

fn help(error: &ExpressionError, written: &str) -> String {
    let meant = |wrong: &str| ALIASES.iter().find(|(other, _)| *other == wrong).map(|(_, meant)| *meant);
    match &error.fault {
        Fault::TooLong | Fault::TooDeep => "make several rules of it: the first that matches decides".to_owned(),
        Fault::Syntax(_) => {
            let at = written.get(error.at.start..).unwrap_or_default();
            let word = at.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
            match at.starts_with('=').then_some("=").or(Some(word)).and_then(meant) {
                Some(operator) => format!("write `{operator}`"),
                None => EXAMPLE.to_owned(),
            }
        }
        Fault::Escape => {
            "in an expression `\"\\\\Deleted\"` is the flag: `when = '\"\\\\Deleted\" in flags'`".to_owned()
        }
        Fault::UnknownAttribute(name) => {
            let names: Vec<&str> = Attribute::ALL.iter().map(|attribute| attribute.as_label()).collect();
            let name = name.trim_start_matches('.');
            match meant(name).or_else(|| nearest(name, names.iter().copied())) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("a text stands in quotes; the attributes are {}", list(&names)),
            }
        }
        Fault::NoParts => "write the name of an attribute alone, as `user`; see docs/policy.md".to_owned(),
        Fault::UnknownFunction(name) => match nearest(name, FUNCTIONS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the functions are {}", list(&FUNCTIONS)),
        },
        Fault::Excluded(_) => "there are texts, whole numbers, lists of these, `true` and `false`".to_owned(),
        Fault::Type("a number", "a text") if octets(written.get(error.at.clone())).is_some() => {
            format!("a size is its octets: write `{}`", octets(written.get(error.at.clone())).unwrap_or_default())
        }
        Fault::Type("true or false", "a number") => "compare it, as `octets > 1048576`".to_owned(),
        Fault::Type(..) | Fault::Uncomparable(..) => {
            "a text stands in quotes, a number does not; what each attribute is stands in docs/policy.md".to_owned()
        }
        Fault::Word(attribute, word) => {
            let words = attribute.words();
            match alias(word, &words).or_else(|| nearest(word, words.iter().copied())) {
                Some(meant) => format!("did you mean `{meant:?}`?"),
                None => format!("write one of {}", list(&words)),
            }
        }
        Fault::Spelling(_, right) => format!("write `{right:?}`"),
        Fault::Nested => "make several rules of it, or use `in`".to_owned(),
        Fault::Costly(_) => "make several rules of it, or ask of the lists outside".to_owned(),
        Fault::Taken => "an attribute has it; call each text of the list `x`".to_owned(),
        Fault::Constant => "name what it hangs on, as `user` or `octets`, or leave `when` out".to_owned(),
    }
}

/// What a size with its unit, in the quotes of an expression, comes to.
fn octets(literal: Option<&str>) -> Option<u64> {
    literal?.trim_matches(['"', '\'']).parse::<ByteSize>().ok().map(|size| size.as_u64())
}

/// Where in the file a range of octets of the text stands; `raw` is how the text is written there.
fn place(raw: &str, text: &str, span: &Range<usize>, at: Range<usize>) -> Range<usize> {
    let Some(places) = places(raw).filter(|places| places.len() == text.len() + 1) else { return span.clone() };
    let place = |octet: usize| places.get(octet).map_or(span.end, |place| span.start + place);
    place(at.start)..place(at.end).max(place(at.start))
}

/// For each octet of a TOML string its place in what is written, and the place of the end.
fn places(raw: &str) -> Option<Vec<usize>> {
    let quote = raw.chars().next()?;
    let quotes = if raw.len() >= 6 && raw.starts_with(&quote.to_string().repeat(3)) { 3 } else { 1 };
    let inner = raw.get(quotes..raw.len().checked_sub(quotes)?)?;
    // a line end right behind three quotes is no part of the text
    let body =
        if quotes == 3 { inner.strip_prefix("\r\n").or(inner.strip_prefix('\n')).unwrap_or(inner) } else { inner };
    let start = quotes + inner.len() - body.len();
    let mut places = Vec::with_capacity(body.len() + 1);
    let mut letters = body.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let octets = match letter {
            '\\' if quote == '"' => match letters.next()?.1 {
                'x' => code(&mut letters, 2)?,
                'u' => code(&mut letters, 4)?,
                'U' => code(&mut letters, 8)?,
                space if space.is_whitespace() => {
                    while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
                    0
                }
                _ => 1,
            },
            letter => letter.len_utf8(),
        };
        places.extend(std::iter::repeat_n(start + at, octets));
    }
    places.push(start + body.len());
    Some(places)
}

/// How many octets the character has that so many digits stand for.
fn code(letters: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<usize> {
    let digits: String = letters.take(digits).map(|(_, digit)| digit).collect();
    Some(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_in_every_kind_of_toml_string() {
        for raw in [
            "'user == \"é\" && X'",
            "\"user == \\\"é\\\" && X\"",
            "\"user == \\\"\\u00e9\\\" && X\"",
            "\"user == \\\"\\U000000e9\\\" \\x26\\x26 X\"",
            "'''\nuser == \"é\" && X'''",
            "'''user == \"é\" && X'''",
            "\"\"\"\nuser == \"é\" && \\\n   X\"\"\"",
        ] {
            let file = format!("when = {raw} # X");
            let table = DeTable::parse(&file).unwrap();
            let (written, span) = text(table.get_ref(), "when").unwrap();
            let at = written.find('X').unwrap();
            let found = place(file.get(span.clone()).unwrap(), written, &span, at..at + 1);
            assert_eq!(file.get(found.clone()), Some("X"), "{raw} {found:?}");
        }
    }
}
