//! What only shows when rules are held against each other and against what they name, in whichever file they stand.

use std::ops::Range;

use toml::de::DeTable;

use super::across::{called, text, word};
use super::code::Code;
use super::document::{Node, entries, tables, value};
use super::near::{list, nearest};
use super::negation;
use super::problem::{Problem, Source};
use super::rewrite;
use super::schema::NO_CONDITIONS;
use super::{expression, mailbox};
use crate::policy::Rule;
use crate::wire::Protocol;

/// A file and what it says.
pub(super) type File<'a, 'i> = (&'a Source, &'a DeTable<'i>);

/// A `[[rule]]` and where it stands.
pub(super) struct Written<'a, 'i> {
    source: &'a Source,
    header: Range<usize>,
    table: &'a DeTable<'i>,
}

/// All rules in the order in which they are looked at.
pub(super) fn written<'a, 'i>(files: &[File<'a, 'i>]) -> Vec<Written<'a, 'i>> {
    let rules = |(source, root): &File<'a, 'i>| {
        let source = *source;
        tables(root, "rule").into_iter().map(move |(header, table)| Written { source, header, table })
    };
    files.iter().flat_map(rules).collect()
}

/// Everything that can be said of the rules without reading them as rules.
pub(super) fn check(files: &[File<'_, '_>], problems: &mut Vec<Problem>) {
    for section in ["rule", "group", "hook"] {
        duplicate_names(files, section, problems);
    }
    let names = |section: &str| -> Vec<&str> {
        files.iter().flat_map(|(_, root)| tables(root, section)).map(|(_, table)| word(table, "name")).collect()
    };
    let (groups, hooks, listeners) = (names("group"), names("hook"), names("listener"));
    for rule in written(files) {
        let mut found = Vec::new();
        named(rule.table, "group", "[[group]]", &groups, Code::UnknownGroup, &mut found);
        named(rule.table, "hook", "[[hook]]", &hooks, Code::UnknownHook, &mut found);
        named(rule.table, "listener", "[[listener]]", &listeners, Code::UnknownListener, &mut found);
        expression::check(rule.source, rule.table, &groups, &mut found);
        action(&rule, &mut found);
        rewrite::check(rule.table, &mut found);
        said_in_vain(&rule, &mut found);
        mailbox::check(rule.table, &mut found);
        found.extend(never(&rule));
        problems.extend(found.into_iter().map(|problem| problem.within(rule.source)));
    }
}

fn duplicate_names(files: &[File<'_, '_>], section: &str, problems: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    for (source, root) in files {
        for (_, table) in tables(root, section) {
            let Some((name, span)) = text(table, "name") else { continue };
            if seen.contains(&name) {
                problems.push(super::across::duplicate(section, name, span, &seen).within(source));
            }
            if section == "rule" && name == crate::policy::FALLBACK {
                problems.push(
                    Problem::new(Code::DuplicateName, span_of(table), format!("a rule cannot be named `{name}`"))
                        .label("decisions of the default have this name")
                        .help("give it a name that says what it is for")
                        .within(source),
                );
            }
            seen.push(name);
        }
    }
}

fn span_of(table: &DeTable<'_>) -> Range<usize> {
    text(table, "name").map(|(_, span)| span).unwrap_or_default()
}

/// Names of other sections that a rule gives.
fn named(table: &DeTable<'_>, key: &str, section: &str, names: &[&str], code: Code, problems: &mut Vec<Problem>) {
    let Some(node) = value(table, key) else { return };
    let alone = [node.clone()];
    for item in node.get_ref().as_array().map_or(alone.as_slice(), |items| items) {
        let Some(wanted) = item.get_ref().as_str().filter(|wanted| !names.contains(wanted)) else { continue };
        let problem =
            Problem::new(code, item.span(), format!("{} names a {key} that does not exist", called("rule", table)))
                .label(format!("no {section} has this name"));
        if let Some(bare) = negation::bare(wanted).filter(|_| key != "hook") {
            problems.push(problem.label(negation::LABEL).help(negation::help(key, bare)));
            continue;
        }
        problems.push(match (nearest(wanted, names.iter().copied()), names) {
            (Some(meant), _) => problem.help(format!("did you mean `\"{meant}\"`?")),
            (None, []) => problem.help(format!("add a section `{section}` with the line `name = \"{wanted}\"`")),
            (None, _) => problem.help(format!("write one of {}", list(names))),
        });
    }
}

/// The keys that only one action has a use for.
const TOOLS: [(&str, &str); 3] = [("rewrite", "rewrite"), ("throttle", "throttle"), ("hook", "ask")];

/// Whether the action has what it needs, and nothing that belongs to another.
fn action(rule: &Written<'_, '_>, problems: &mut Vec<Problem>) {
    let table = rule.table;
    let Some((action, span)) = text(table, "action") else { return };
    let name = called("rule", table);
    for (key, wanted) in TOOLS {
        match value(table, key) {
            Some(node) if action != wanted => problems.push(surplus(&name, key, wanted, action, node)),
            None if action == wanted => {
                let line = match key {
                    "rewrite" => "rewrite = { examine = true, peek = true }",
                    "throttle" => "throttle = { delay = \"1s\" }",
                    _ => "hook = \"office\"",
                };
                problems.push(
                    Problem::new(Code::Misfit, span.clone(), format!("{name} does not say how"))
                        .label(format!("this action needs `{key}`"))
                        .help(format!("add for example `{line}`")),
                );
            }
            Some(_) | None => {}
        }
    }
    if let Some(node) = value(table, "answer").filter(|node| node.get_ref().is_table() && action != "answer") {
        problems.push(surplus(&name, "answer", "answer", action, node));
    }
}

fn surplus(rule: &str, key: &str, wanted: &str, action: &str, node: Node<'_, '_>) -> Problem {
    Problem::new(Code::Misfit, node.span(), format!("{rule} has no use for `{key}`"))
        .label(format!("its action is `{action}`"))
        .help(format!("remove this line, or write `action = \"{wanted}\"`"))
}

/// Keys that say something which is never said.
fn said_in_vain(rule: &Written<'_, '_>, problems: &mut Vec<Problem>) {
    let name = called("rule", rule.table);
    let action = word(rule.table, "action");
    let silent = matches!(action, "allow" | "rewrite" | "throttle");
    for key in ["reply", "code", "pop3_code"] {
        let idle = silent || (action == "answer" && key != "reply");
        let Some(node) = value(rule.table, key).filter(|_| idle) else { continue };
        problems.push(
            Problem::new(Code::NoEffect, node.span(), format!("{name} never sends a {key}"))
                .label(format!("with `action = \"{action}\"` nothing is refused"))
                .help("remove this line, or refuse with `action = \"deny\"`"),
        );
    }
}

/// Conditions that only one protocol can fulfil.
const OF_IMAP: &[&str] = &["mailbox", "flag", "search_key", "nth_message"];
const OF_POP3: &[&str] = &["message"];
/// Commands that only POP3 has.
const COMMANDS_OF_POP3: &[&str] = &[
    "APOP", "AUTH", "CAPA", "DELE", "LANG", "PASS", "QUIT", "RETR", "RSET", "STAT", "STLS", "TOP", "UIDL", "USER",
    "UTF8",
];
/// Commands that both have.
const COMMANDS_OF_BOTH: &[&str] = &["LIST", "NOOP"];

/// Two conditions of a rule that nothing fulfils together.
fn never(rule: &Written<'_, '_>) -> Option<Problem> {
    let table = rule.table;
    let all = |key: &str| texts(table, key);
    let given = |key: &&&str| value(table, key).is_some();
    let (imap, pop3) = (OF_IMAP.iter().find(given), OF_POP3.iter().find(given));
    let only = |key: &str, word: &str| all(key).is_some_and(|words| words.iter().all(|given| *given == word));
    let commands = all("command").unwrap_or_default();
    let of_pop3 = |command: &&str| COMMANDS_OF_POP3.contains(&command.to_ascii_uppercase().as_str());
    let of_both = |command: &&str| COMMANDS_OF_BOTH.contains(&command.to_ascii_uppercase().as_str());
    let only_pop3 = !commands.is_empty() && commands.iter().all(of_pop3);
    let only_imap = !commands.is_empty() && !commands.iter().any(|command| of_pop3(command) || of_both(command));
    let kinds = all("answer").unwrap_or_default();
    let asks = |key: &str, kind: &str| value(table, key).is_some() && !kinds.is_empty() && !kinds.contains(&kind);
    let (key, why) = match () {
        () if imap.is_some() && only("protocol", "pop3") => (*imap?, "POP3 has no such thing"),
        () if pop3.is_some() && only("protocol", "imap") => (*pop3?, "only POP3 commands name a message by its number"),
        () if imap.is_some() && pop3.is_some() => (*pop3?, "only POP3 has this, and only IMAP the other conditions"),
        () if only_pop3 && only("protocol", "imap") => ("command", "IMAP has no such command"),
        () if only_imap && only("protocol", "pop3") => ("command", "POP3 has no such command"),
        () if only_pop3 && imap.is_some() => (*imap?, "commands of POP3 have no such thing"),
        () if only_imap && pop3.is_some() => (*pop3?, "commands of IMAP have no such thing"),
        () if only("tls", "none") && value(table, "server_name").is_some() => {
            ("server_name", "without TLS no name is asked for")
        }
        () if only("tls", "none") && value(table, "certificate").is_some() => {
            ("certificate", "without TLS there is none")
        }
        () if all("data").is_some_and(|data| data.iter().all(is_followed)) => (
            "data",
            "what is told of messages, and capabilities, are no data that rules see: say what asks for it, as `item`",
        ),
        () if asks("data", "data") => ("data", "only data has a kind; add `\"data\"` to `answer`"),
        () if asks("capability", "capability") => ("capability", "add `\"capability\"` to `answer`, or leave that out"),
        () => return None,
    };
    let node = value(table, key)?;
    Some(
        Problem::new(Code::NeverMatches, node.span(), format!("{} never matches", called("rule", table)))
            .label(why)
            .help("make two rules of it, or remove one of the conditions"),
    )
}

/// Whether data of this kind is what the proxy follows itself, and no rule is asked about.
fn is_followed(kind: &&str) -> bool {
    const FOLLOWED: [&str; 10] = [
        "CAPABILITY",
        "CONVERTED",
        "ENABLED",
        "EXISTS",
        "EXPUNGE",
        "FETCH",
        "RECENT",
        "UIDFETCH",
        "URLFETCH",
        "VANISHED",
    ];
    FOLLOWED.iter().any(|followed| followed.eq_ignore_ascii_case(kind))
}

/// Rules on commands that are not judged; `rules` are the same in the same order.
pub(super) fn unjudged(
    written: &[Written<'_, '_>],
    rules: &[Rule],
    served: &[(&str, Protocol)],
    problems: &mut Vec<Problem>,
) {
    for (one, rule) in written.iter().zip(rules) {
        let listeners = texts(one.table, "listener").filter(|names| !names.is_empty());
        let meets = |name: &str| listeners.as_ref().is_none_or(|names| names.contains(&name));
        let met: Vec<Protocol> = served.iter().filter(|(name, _)| meets(name)).map(|(_, protocol)| *protocol).collect();
        let met = if met.is_empty() { &[Protocol::Imap, Protocol::Pop3] } else { met.as_slice() };
        let key = if value(one.table, "command").is_some() { "command" } else { "operation" };
        let Some(node) = value(one.table, key).filter(|_| rule.is_of_unjudged(met)) else { continue };
        problems.push(
            Problem::new(Code::NeverMatches, node.span(), format!("{} never matches", called("rule", one.table)))
                .label("CAPABILITY, NOOP, LOGOUT and STARTTLS of IMAP cannot be refused, so that no rule is asked about them")
                .help("remove the rule, or name other commands; what the server answers is met by `answer` and `capability`")
                .within(one.source),
        );
    }
}

/// The texts of a condition that is one or a list.
pub(super) fn texts<'a>(table: &'a DeTable<'_>, key: &str) -> Option<Vec<&'a str>> {
    let node = value(table, key)?.get_ref();
    match node.as_array() {
        Some(items) => Some(items.iter().filter_map(|item| item.get_ref().as_str()).collect()),
        None => node.as_str().map(|text| vec![text]),
    }
}

/// Rules that match everything, and rules that those before them leave nothing to; `rules` are the same in the same order.
pub(super) fn covered(written: &[Written<'_, '_>], rules: &[Rule], problems: &mut Vec<Problem>) {
    for (at, (one, rule)) in written.iter().zip(rules).enumerate() {
        let name = called("rule", one.table);
        let earlier = rules.iter().take(at).position(|earlier| earlier.covers(rule));
        let problem = if let Some(earlier) = earlier {
            let first = written.get(earlier).map_or_else(String::new, |first| called("rule", first.table));
            Problem::new(Code::UnreachedRule, one.header.clone(), format!("{name} never matches"))
                .label(format!("{first} before it matches all that it would"))
                .help(format!("the first match decides: move it before {first}, or remove it"))
        } else if conditions(one.table) == 0 {
            Problem::new(Code::UnconditionalRule, one.header.clone(), format!("{name} has no conditions"))
                .label("it matches every command, the login too")
                .help("if that is not meant, add a condition, for example `effect = \"destroy\"`")
        } else {
            continue;
        };
        problems.push(problem.within(one.source));
    }
}

fn conditions(table: &DeTable<'_>) -> usize {
    let empty = |node: Node<'_, '_>| node.get_ref().as_array().is_some_and(|list| list.is_empty());
    let is_one = |key: &str, node: Node<'_, '_>| {
        let is_canned = key == "answer" && node.get_ref().is_table();
        !(NO_CONDITIONS.contains(&key) || empty(node) || is_canned)
    };
    entries(table).iter().filter(|(key, _, node)| is_one(key, node)).count()
}
