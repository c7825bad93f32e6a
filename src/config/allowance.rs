//! What a listener's `allow` may name: neither what `hide` names, nor what no proxy can pass on.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::code::Code;
use super::document::value;
use super::problem::Problem;
use crate::wire::imap::{Spec, capability};
use crate::wire::pop3::{self, Keyword};

/// Looks at the names in one listener's `allow`.
pub(super) fn check(listener: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let hide = names(listener, "hide");
    let pop3 = value(listener, "protocol").and_then(|node| node.get_ref().as_str()) == Some("pop3");
    for (name, span) in names(listener, "allow") {
        let problem = if hide.iter().any(|(hidden, _)| hides(hidden, name)) {
            Some(hidden_too(name, span))
        } else if name.contains('*') {
            let label = "a name is compared as it is written: `*` stands for nothing else here";
            Some(never(name, span, label).help("write each name as the server lists it"))
        } else if pop3 {
            in_pop3(name, span)
        } else {
            in_imap(name, span)
        };
        problems.extend(problem);
    }
}

/// The texts of a list and where each stands.
fn names<'a>(table: &'a DeTable<'_>, key: &str) -> Vec<(&'a str, Range<usize>)> {
    let Some(DeValue::Array(list)) = value(table, key).map(toml::Spanned::get_ref) else { return Vec::new() };
    list.iter().filter_map(|item| item.get_ref().as_str().map(|text| (text, item.span()))).collect()
}

/// A mechanism is hidden by its name with `AUTH=` and without.
fn hides(hidden: &str, name: &str) -> bool {
    let bare = name.get(..5).filter(|start| start.eq_ignore_ascii_case("AUTH=")).and_then(|_| name.get(5..));
    hidden.eq_ignore_ascii_case(name) || bare.is_some_and(|bare| hidden.eq_ignore_ascii_case(bare))
}

fn in_imap(name: &str, span: Range<usize>) -> Option<Problem> {
    if let Some(why) = capability::never(name) {
        return Some(never(name, span, why));
    }
    let needs = Spec::find(name.as_bytes()).map(|spec| spec.needs);
    let is_offered = |needs: &[&str]| needs.is_empty() || needs.iter().any(|need| capability::is_common(need));
    if capability::is_common(name) || needs.is_some_and(is_offered) {
        return Some(needless(name, span));
    }
    // a command that comes with a capability is let through by that
    let brings = needs?.first()?;
    Some(match capability::never(brings) {
        Some(why) => never(name, span, why),
        None => Problem::new(Code::NoEffect, span, format!("`{name}` is not allowed by its own name"))
            .label(format!("the command comes with the capability `{brings}`"))
            .help(format!("write `\"{brings}\"`")),
    })
}

fn in_pop3(name: &str, span: Range<usize>) -> Option<Problem> {
    if let Some(why) = pop3::never(name) {
        return Some(never(name, span, why));
    }
    let is_keyword = Keyword::ALL.iter().any(|keyword| keyword.as_label().eq_ignore_ascii_case(name));
    (is_keyword || pop3::is_common(name)).then(|| needless(name, span))
}

fn hidden_too(name: &str, span: Range<usize>) -> Problem {
    Problem::new(Code::AllowedAndHidden, span, format!("`{name}` is both allowed and hidden"))
        .label("`hide` names it too")
        .help("leave it in one of the two lists")
}

fn never(name: &str, span: Range<usize>, why: &str) -> Problem {
    Problem::new(Code::NeverAllowed, span, format!("`{name}` cannot be allowed"))
        .label(why)
        .help("leave it out; clients do without what they are not offered")
}

fn needless(name: &str, span: Range<usize>) -> Problem {
    Problem::new(Code::NoEffect, span, format!("`{name}` need not be allowed"))
        .label("this program knows it and lets it through")
        .help("leave it out")
}
