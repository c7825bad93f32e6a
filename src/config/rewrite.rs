//! Whether what a rule changes is what its conditions are about: commands or answers.

use toml::de::DeTable;

use super::across::{called, text, word};
use super::code::Code;
use super::document::{Node, value};
use super::near::{list, nearest};
use super::problem::Problem;
use super::rules::texts;
use crate::policy::places;

/// Conditions that only answers fulfil.
const OF_ANSWERS: [&str; 4] = ["status", "code_is", "capability", "data"];
/// Parts of commands that can be changed.
const OF_COMMANDS: [&str; 6] = ["examine", "peek", "without_flags", "without_items", "mailbox", "arguments"];

/// What can stand between braces in these keys.
const PLACES: [(&str, &[&str]); 2] = [("mailbox", &["mailbox", "user"]), ("arguments", &["arguments", "message"])];

pub(super) fn check(table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let kinds = value(table, "answer").filter(|node| !node.get_ref().is_table());
    let condition = OF_ANSWERS.iter().find_map(|key| value(table, key)).or(kinds);
    let action = word(table, "action");
    let name = called("rule", table);
    if let Some(node) = condition.filter(|_| matches!(action, "throttle" | "answer" | "ask" | "disconnect")) {
        problems.push(
            misfit(node, format!("{name} cannot do this to an answer"))
                .label(format!("this is about what a server answers, and `{action}` is for commands"))
                .help("deny it, or change it: `action = \"rewrite\"`"),
        );
    }
    let Some(rewrite) = value(table, "rewrite").and_then(|node| node.get_ref().as_table()) else { return };
    if action == "rewrite" {
        rewritten(table, rewrite, condition, problems);
    }
    for (key, allowed) in PLACES {
        let Some((written, span)) = text(rewrite, key) else { continue };
        let Some(place) = places(written).find(|place| !allowed.contains(place)) else { continue };
        let problem = Problem::new(Code::Reply, span, format!("`{{{place}}}` stands for nothing here"))
            .label("what stands between braces is filled in");
        let meant = nearest(place, allowed.iter().copied());
        let good = |word: &str| written.replace(&format!("{{{place}}}"), &format!("{{{word}}}"));
        problems.push(match meant {
            Some(meant) => problem.help(format!("did you mean `\"{}\"`?", good(meant))),
            None => problem.help(format!("between braces can stand {}", list(allowed))),
        });
    }
}

fn rewritten(table: &DeTable<'_>, rewrite: &DeTable<'_>, condition: Option<Node<'_, '_>>, problems: &mut Vec<Problem>) {
    let name = called("rule", table);
    let hide = value(rewrite, "hide").filter(|node| node.get_ref().as_bool() == Some(true));
    let answers = hide.or_else(|| value(rewrite, "text"));
    let part = OF_COMMANDS.iter().find(|key| value(rewrite, key).is_some());
    if let Some((node, part)) = value(table, "rewrite").zip(part)
        && (answers.is_some() || condition.is_some())
    {
        let label = match answers {
            Some(_) => format!("`{part}` changes commands, `hide` and `text` change answers"),
            None => format!("the conditions are about answers, which have no `{part}`"),
        };
        problems.push(
            misfit(node, format!("{name} is for commands or for answers, not both"))
                .label(label)
                .help("make two rules of it"),
        );
        return;
    }
    let kinds = texts(table, "answer").unwrap_or_default();
    let hideable = !kinds.is_empty() && kinds.iter().all(|kind| matches!(*kind, "data" | "capability"));
    let named = ["capability", "data", "mailbox"].iter().any(|key| value(table, key).is_some());
    if let Some(node) = hide.filter(|_| !hideable && !named) {
        problems.push(
            misfit(node, format!("{name} does not say what to hide"))
                .label("only data and capabilities can be hidden")
                .help("add a condition, for example `capability = \"IDLE\"`"),
        );
    }
    if let Some(node) = value(rewrite, "text").filter(|_| condition.is_none()) {
        problems.push(
            misfit(node, format!("{name} does not say whose text this is"))
                .label("only answers have a text")
                .help("add a condition, for example `answer = \"greeting\"`"),
        );
    }
    if rewrite.is_empty()
        && let Some(node) = value(table, "rewrite")
    {
        problems.push(
            misfit(node, format!("{name} changes nothing"))
                .label("nothing is said here")
                .help("write what to change: `rewrite = { peek = true }`"),
        );
    }
}

fn misfit(node: Node<'_, '_>, message: String) -> Problem {
    Problem::new(Code::Misfit, node.span(), message)
}
