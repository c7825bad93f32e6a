//! Patterns of mailboxes that no name is like.

use toml::de::DeTable;

use super::across::called;
use super::code::Code;
use super::document::value;
use super::problem::Problem;
use crate::wire::imap::{Names, decode_mailbox, fold_inbox};

/// What a rule has among its mailboxes, and no mailbox is called so.
pub(super) fn check(table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let Some(node) = value(table, "mailbox") else { return };
    let alone = [node.clone()];
    for item in node.get_ref().as_array().map_or(alone.as_slice(), |items| items) {
        let Some((why, help)) = item.get_ref().as_str().and_then(mistaken) else { continue };
        problems.push(
            Problem::new(
                Code::NeverMatches,
                item.span(),
                format!("{} never matches this mailbox", called("rule", table)),
            )
            .label(why)
            .help(help),
        );
    }
}

/// Why nothing is called so, and what to write.
fn mistaken(pattern: &str) -> Option<(&'static str, String)> {
    if let Some(name) = pattern.strip_suffix('/') {
        let name = name.trim_end_matches('/');
        let help = format!("write {name:?} for the folder alone, and for what is in it `\"{name}/**\"`");
        return Some(("no name ends in a separator", help));
    }
    let name = decode_mailbox(pattern.as_bytes(), Names::ModifiedUtf7).ok()?;
    let read = name != fold_inbox(pattern.to_owned());
    read.then(|| ("names are compared as they read, not as the protocol encodes them", format!("write `\"{name}\"`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_is_called_is_told_of() {
        for mistake in ["Secret/", "Secret//", "Entw&APw-rfe", "Entw&APw-rfe/**", "R&-D", "inbox/Entw&APw-rfe"] {
            assert!(mistaken(mistake).is_some(), "{mistake}");
        }
        for pattern in ["Secret", "Secret/**", "**", "*", "inbox", "inbox/x", "R&D", "Entwürfe", "/Secret", "[ab]?", ""]
        {
            assert_eq!(mistaken(pattern), None, "{pattern}");
        }
    }
}
