//! `!` before a value of a rule: there is no such thing, and what was meant is an expression.

use super::code::Code;
use super::document::Node;
use super::problem::Problem;
use super::schema::{Key, Kind};

/// Tells of a value that begins with `!` where none does. A name that really begins with it is written `'\!name'`.
pub(super) fn check(key: &Key, text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let bare = bare(text)?;
    let code = match key.kind {
        Kind::Patterns => Code::Pattern,
        Kind::Commands => Code::Command,
        Kind::Operations => Code::Operation,
        Kind::Effects => Code::Effect,
        Kind::Words(_) if expression(key.name, bare).is_some() => Code::Word,
        _ => return None,
    };
    let problem = Problem::new(code, node.span(), format!("`{}` has no `!` for all but one", key.name));
    let name = if key.kind == Kind::Patterns { "; for a name that begins with `!` write `'\\!…'`" } else { "" };
    Some(problem.label(LABEL).help(format!("{}{name}", help(key.name, bare))))
}

/// What it is said of.
pub(super) const LABEL: &str = "this is no exception, but a value that nothing has";

/// What stands behind the `!`, if there is one.
pub(super) fn bare(text: &str) -> Option<&str> {
    text.strip_prefix('!').map(str::trim_start)
}

/// What to write for all but `bare`.
pub(super) fn help(key: &str, bare: &str) -> String {
    match expression(key, bare) {
        Some(expression) => format!("write `when = '{expression}'`"),
        None if key == "members" => {
            "name who is in it; what a rule makes an exception of stands in its `when`, as `user != \"ann\"`".to_owned()
        }
        None => "say it in `when`, where `!` negates, or name all others".to_owned(),
    }
}

/// The expression for all but `bare`.
fn expression(key: &str, bare: &str) -> Option<String> {
    let is_plain =
        |text: &str| !text.is_empty() && !text.contains(['*', '?', '[', ']', '{', '}', '\\', '\'', '"', '\n']);
    match key {
        "group" if is_plain(bare) => Some(format!("!(\"{bare}\" in groups)")),
        "mailbox" => match bare.strip_suffix("/**").filter(|name| is_plain(name)) {
            Some(name) => Some(format!("!mailboxes.exists(m, m.startsWith(\"{name}/\"))")),
            None if bare.eq_ignore_ascii_case("INBOX") => Some("!(\"INBOX\" in mailboxes)".to_owned()),
            None => is_plain(bare).then(|| format!("!(\"{bare}\" in mailboxes)")),
        },
        "user" | "domain" | "server_name" | "certificate" => {
            // expressions have these in lower case, but for the subject
            let bare = if key == "certificate" { bare.to_owned() } else { bare.to_lowercase() };
            let bare = bare.as_str();
            match bare.strip_prefix('*').filter(|end| is_plain(end)) {
                Some(end) => Some(format!("!{key}.endsWith(\"{end}\")")),
                None => is_plain(bare).then(|| format!("{key} != \"{bare}\"")),
            }
        }
        "command" if is_plain(bare) => Some(format!("command != \"{}\"", bare.to_ascii_uppercase())),
        "listener" | "protocol" | "tls" | "operation" | "effect" | "status" if is_plain(bare) => {
            Some(format!("{key} != \"{bare}\""))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Expression;

    #[test]
    fn what_is_proposed_is_an_expression() {
        for (key, bare, proposed) in [
            ("user", "carol@acme.example", "user != \"carol@acme.example\""),
            ("user", "*@Acme.example", "!user.endsWith(\"@acme.example\")"),
            ("group", "hr", "!(\"hr\" in groups)"),
            ("mailbox", "HR", "!(\"HR\" in mailboxes)"),
            ("mailbox", "inbox", "!(\"INBOX\" in mailboxes)"),
            ("mailbox", "HR/**", "!mailboxes.exists(m, m.startsWith(\"HR/\"))"),
            ("command", "fetch", "command != \"FETCH\""),
            ("effect", "read", "effect != \"read\""),
            ("operation", "search", "operation != \"search\""),
            ("protocol", "imap", "protocol != \"imap\""),
            ("tls", "none", "tls != \"none\""),
            ("status", "OK", "status != \"OK\""),
            ("listener", "imaps", "listener != \"imaps\""),
        ] {
            assert_eq!(expression(key, bare).as_deref(), Some(proposed));
            assert!(Expression::new(proposed).is_ok(), "{proposed}");
        }
        for (key, bare) in [("user", "a*b"), ("user", ""), ("user", "a\"b"), ("mailbox", "a?"), ("certificate", "a'b")]
        {
            assert_eq!(expression(key, bare), None, "{bare}");
        }
    }
}
