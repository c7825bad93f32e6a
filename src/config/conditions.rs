//! What may stand in a `[[rule]]`: patterns, commands, operations, effects, the reply.

use toml::de::DeValue;

use super::code::Code;
use super::document::Node;
use super::near::{alias, list, nearest};
use super::negation;
use super::problem::Problem;
use super::schema::Key;
use super::values::wrong_type;
use crate::policy::Rule;

/// Looks at a text, or at each text of a list.
pub(super) fn each(
    key: &Key,
    node: Node<'_, '_>,
    problems: &mut Vec<Problem>,
    check: impl Fn(&str, Node<'_, '_>) -> Option<Problem>,
) {
    let check = |text: &str, node| negation::check(key, text, node).or_else(|| check(text, node));
    let help = "write one in quotes, or several in brackets: `[\"…\", \"…\"]`";
    match node.get_ref() {
        DeValue::String(text) => problems.extend(check(text, node)),
        DeValue::Array(items) => {
            for item in items {
                match item.get_ref().as_str() {
                    Some(text) => problems.extend(check(text, item)),
                    None => problems.push(wrong_type(key.name, "a text or a list of texts", help, item)),
                }
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            problems.push(wrong_type(key.name, "a text or a list of texts", help, node));
        }
    }
}

pub(super) fn pattern(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let error = Rule::check_pattern(text).err()?;
    Some(
        Problem::new(Code::Pattern, node.span(), format!("`{text}` is not a pattern"))
            .label(error)
            .help("`*` stands for any characters, `?` for one, `[ab]` for a or b, `{x,y}` for x or y; write `\\\\` before one that is meant as it is"),
    )
}

/// An operation or an effect.
pub(super) fn label(code: Code, what: &str, words: &[&'static str], text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if words.contains(&text) {
        return None;
    }
    let problem = Problem::new(code, node.span(), format!("`{text}` is not {what}")).label("no such word");
    Some(match alias(text, words).or_else(|| nearest(text, words.iter().copied())) {
        Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
        None => problem.help(format!("write one of {}", list(words))),
    })
}

pub(super) fn command(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let upper = text.to_ascii_uppercase();
    if COMMANDS.contains(&upper.as_str()) {
        return None;
    }
    let problem = |label: &str| {
        Problem::new(Code::Command, node.span(), format!("`{text}` is not a command of IMAP or POP3")).label(label)
    };
    if let Some(bare) = upper.strip_prefix("UID ").map(str::trim).filter(|bare| COMMANDS.contains(bare)) {
        return Some(problem("a rule for a command is also for its UID form").help(format!("write `\"{bare}\"`")));
    }
    if !upper.bytes().all(|octet| octet.is_ascii_graphic()) || upper.is_empty() {
        let first = upper.split_whitespace().next().filter(|first| COMMANDS.contains(first)).unwrap_or("FETCH");
        let help = format!("write the command alone, for example `\"{first}\"`");
        return Some(problem("a command is one word, without arguments").help(help));
    }
    if let Some(meant) = nearest(&upper, COMMANDS.iter().copied()).filter(|_| !upper.starts_with('X')) {
        return Some(problem("no command has this name").help(format!("did you mean `\"{meant}\"`?")));
    }
    Some(
        Problem::new(Code::UncommonCommand, node.span(), format!("`{text}` is no command this program knows"))
            .label("the rule matches only if a client sends exactly this word")
            .help("check the spelling; if the command exists, nothing needs to be done"),
    )
}

pub(super) fn reply(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let error = Rule::check_reply(text).err()?;
    // what has letters of another script would be maimed by leaving them out
    let sentence = text.rsplit_once(']').map_or(text, |(_, rest)| rest);
    let kept: String = sentence.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    let usable = Rule::check_reply(&kept).is_ok() && !kept.contains(['"', '\\']);
    let example = if usable { kept.as_str() } else { "Not allowed by policy" };
    Some(
        Problem::new(Code::Reply, node.span(), "this reply cannot be sent")
            .label(error)
            .help(format!("write for example `\"{example}\"`")),
    )
}

/// The commands of both protocols and of their published extensions, without `UID`.
const COMMANDS: &[&str] = &[
    "ACL",
    "APOP",
    "APPEND",
    "AUTH",
    "AUTHENTICATE",
    "CANCELUPDATE",
    "CAPA",
    "CAPABILITY",
    "CHECK",
    "CLOSE",
    "COMPRESS",
    "CONVERSIONS",
    "CONVERT",
    "COPY",
    "CREATE",
    "DELE",
    "DELETE",
    "DELETEACL",
    "DONE",
    "ENABLE",
    "ESEARCH",
    "EXAMINE",
    "EXPUNGE",
    "FETCH",
    "GENURLAUTH",
    "GETACL",
    "GETJMAPACCESS",
    "GETMETADATA",
    "GETQUOTA",
    "GETQUOTAROOT",
    "ID",
    "IDLE",
    "LANG",
    "LANGUAGE",
    "LIST",
    "LISTRIGHTS",
    "LOGIN",
    "LOGOUT",
    "LSUB",
    "MOVE",
    "MYRIGHTS",
    "NAMESPACE",
    "NOOP",
    "NOTIFY",
    "PASS",
    "QUIT",
    "RENAME",
    "REPLACE",
    "RESETKEY",
    "RETR",
    "RSET",
    "SEARCH",
    "SELECT",
    "SETACL",
    "SETMETADATA",
    "SETQUOTA",
    "SORT",
    "STARTTLS",
    "STAT",
    "STATUS",
    "STLS",
    "STORE",
    "SUBSCRIBE",
    "THREAD",
    "TOP",
    "UIDBATCHES",
    "UIDL",
    "UNAUTHENTICATE",
    "UNSELECT",
    "UNSUBSCRIBE",
    "URLFETCH",
    "USER",
    "UTF8",
    "XLIST",
];
