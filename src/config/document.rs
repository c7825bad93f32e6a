//! Looks at a parsed document section by section and key by key, and tells what is wrong with each.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::code::Code;
use super::near::{list, nearest};
use super::problem::Problem;
use super::schema::{self, INCLUDABLE, Key, Kind, SECTIONS, Section};
use super::values;

/// A value and where it stands.
pub(super) type Node<'a, 'i> = &'a Spanned<DeValue<'i>>;

/// The entries of a table in the order of the file.
pub(super) fn entries<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a str, Range<usize>, Node<'a, 'i>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// The value of one key.
pub(super) fn value<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<Node<'a, 'i>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

/// The tables of a section, whether or not it may repeat, each with the place of its header.
pub(super) fn tables<'a, 'i>(root: &'a DeTable<'i>, section: &str) -> Vec<(Range<usize>, &'a DeTable<'i>)> {
    let Some(node) = value(root, section) else { return Vec::new() };
    match node.get_ref() {
        DeValue::Table(table) => vec![(node.span(), table)],
        DeValue::Array(array) => {
            array.iter().filter_map(|item| item.get_ref().as_table().map(|table| (item.span(), table))).collect()
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            Vec::new()
        }
    }
}

/// Everything that can be said of a document without comparing its parts.
pub(super) fn check(root: &DeTable<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let upstreams: Vec<&str> = tables(root, "upstream")
        .iter()
        .filter_map(|(_, table)| value(table, "name").and_then(|name| name.get_ref().as_str()))
        .collect();
    for (name, span, node) in entries(root) {
        let Some(section) = schema::section(name) else {
            problems.push(unknown_section(name, span, node.get_ref().is_table() || node.get_ref().is_array()));
            continue;
        };
        let tables = tables(root, name);
        let repeats = node.get_ref().is_array();
        if repeats != section.repeats || (tables.is_empty() && !repeats) {
            problems.push(wrong_shape(section, node));
        }
        for (header, table) in tables {
            check_table(section, header, table, &upstreams, &mut problems);
        }
    }
    problems
}

/// The same of a file that is included, which may have only some of the sections.
pub(super) fn check_included(root: &DeTable<'_>) -> Vec<Problem> {
    let mut problems = check(root);
    for (name, span, _) in entries(root) {
        if schema::section(name).is_some_and(|section| !INCLUDABLE.contains(&section.name)) {
            problems.push(
                Problem::new(Code::NotIncluded, span, format!("`{name}` does not belong in an included file"))
                    .label("an included file has rules, and the groups and hooks they name")
                    .help("move this section to the configuration file"),
            );
        }
    }
    problems
}

pub(super) fn check_table(
    section: &'static Section,
    header: Range<usize>,
    table: &DeTable<'_>,
    upstreams: &[&str],
    problems: &mut Vec<Problem>,
) {
    let mut near_misses = Vec::new();
    for (name, span, node) in entries(table) {
        if let Some(key) = section.key(name) {
            values::check(key, node, problems);
            continue;
        }
        let (problem, meant) = unknown_key(section, table, name, span);
        near_misses.extend(meant);
        problems.push(problem);
    }
    for key in section.keys {
        let Some(line) = key.needed else { continue };
        // a key that is only misspelt is not missing as well
        if value(table, key.name).is_none() && !near_misses.contains(&key.name) {
            problems.push(missing(section, key, line, header.clone(), upstreams));
        }
    }
}

fn missing(section: &Section, key: &Key, line: &str, header: Range<usize>, upstreams: &[&str]) -> Problem {
    let line = match upstreams {
        [first, ..] if key.kind == Kind::Upstream => format!("upstream = \"{first}\""),
        _ => line.to_owned(),
    };
    let choice =
        if let Kind::Word(words) = key.kind { format!("one of {}; for example ", list(words)) } else { String::new() };
    Problem::new(Code::MissingKey, header, format!("`{}` is missing in {}", key.name, section.header()))
        .label(format!("this section needs `{}`", key.name))
        .help(format!("add {choice}`{line}`"))
}

/// The problem, and the key of this section that was probably meant.
fn unknown_key(
    section: &Section,
    table: &DeTable<'_>,
    name: &str,
    span: Range<usize>,
) -> (Problem, Option<&'static str>) {
    let free = section.keys.iter().map(|key| key.name).filter(|key| value(table, key).is_none());
    let header = section.header();
    let homes: Vec<String> = SECTIONS.iter().filter(|other| other.key(name).is_some()).map(Section::header).collect();
    if !homes.is_empty() {
        let problem = Problem::new(Code::MisplacedKey, span, format!("`{name}` does not belong in {header}"))
            .label("this key belongs to another section")
            .help(format!("move it: this key belongs to {}", list(&homes)));
        return (problem, None);
    }
    let problem =
        Problem::new(Code::UnknownKey, span, format!("unknown key `{name}` in {header}")).label("no key has this name");
    if let Some(meant) = nearest(name, free) {
        return (problem.help(format!("did you mean `{meant}`?")), Some(meant));
    }
    if let Some(meant) = nearest(name, section.keys.iter().map(|key| key.name)) {
        return (problem.help(format!("remove it: this section has its `{meant}` already")), None);
    }
    let keys: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    (problem.help(format!("remove it, or write one of the keys of {header}: {}", list(&keys))), None)
}

fn unknown_section(name: &str, span: Range<usize>, is_section: bool) -> Problem {
    let headers: Vec<String> = SECTIONS.iter().map(Section::header).collect();
    let homes: Vec<String> =
        SECTIONS.iter().filter(|section| section.key(name).is_some()).map(Section::header).collect();
    if !is_section && !homes.is_empty() {
        return Problem::new(Code::MisplacedKey, span, format!("`{name}` stands before any section"))
            .label("this key belongs to a section")
            .help(format!("move it below {}", list(&homes)));
    }
    let problem =
        Problem::new(Code::UnknownSection, span, format!("unknown section `{name}`")).label("no section has this name");
    match nearest(name, SECTIONS.iter().map(|section| section.name)) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("remove it; the sections are {}", list(&headers))),
    }
}

fn wrong_shape(section: &Section, node: Node<'_, '_>) -> Problem {
    let once = if section.repeats { "can stand several times" } else { "stands once" };
    // of several tables the second is the one too many
    let span = node.get_ref().as_array().and_then(|array| array.get(1)).map_or(node.span(), Spanned::span);
    let name = section.name;
    Problem::new(Code::SectionShape, span, format!("`{name}` is not written this way"))
        .label(format!("this section {once}"))
        .help(format!("write `{}`", section.header()))
}
