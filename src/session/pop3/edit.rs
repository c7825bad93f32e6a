//! Commands in the form that a `rewrite` rule gives them. Whatever a rule says, what goes up is one line that the
//! strict grammar takes for the same command.

use super::request::Request;
use super::slot::Asked;
use crate::policy::Edit;
use crate::session::Extent;
use crate::wire::pop3::{Command, text_of};

/// What becomes of a command.
pub(super) enum Edited {
    /// Nothing of the rule fits it.
    AsItIs,
    /// This goes up, with its CRLF.
    Line(Box<(String, Request)>),
    /// What it asks for is taken out, or the rule's form of it is no such command.
    Nothing,
}

/// Applies `edit` to a command and its line.
pub(super) fn edited(request: &Request, line: &[u8], edit: &Edit) -> Edited {
    let Ok(text) = std::str::from_utf8(text_of(line)) else { return Edited::AsItIs };
    let (keyword, given) = text.split_once(' ').unwrap_or((text, ""));
    let mut arguments = given.to_owned();
    let mut changed = false;
    if request.is_secret {
        return Edited::AsItIs;
    }
    if let Some(template) = &edit.arguments {
        let message = request.message.map(|number| number.to_string()).unwrap_or_default();
        arguments = template.replace("{arguments}", given).replace("{message}", &message);
        changed = true;
    }
    if let Asked::Message { number, extent } = request.asked {
        let taken = |name: &str| edit.without_items.iter().any(|item| item.eq_ignore_ascii_case(name));
        match extent {
            Extent::Whole if taken("RETR") || taken("whole") => return Edited::Nothing,
            _ if taken("TOP") => return Edited::Nothing,
            Extent::Headers if taken("headers") => return Edited::Nothing,
            // the header is left
            Extent::Part | Extent::Partial if taken("part") && !taken("headers") => {
                arguments = format!("{number} 0");
                changed = true;
            }
            Extent::Part | Extent::Partial if taken("part") => return Edited::Nothing,
            Extent::Whole | Extent::Headers | Extent::Part | Extent::Partial => {}
        }
    }
    if !changed || arguments == given {
        return Edited::AsItIs;
    }
    let space = if arguments.is_empty() { "" } else { " " };
    let line = [&keyword.to_ascii_uppercase(), space, &arguments].concat();
    match Command::parse(line.as_bytes()) {
        Ok(command) if Some(command.keyword()) == request.keyword && line.len() <= LONGEST => {
            let request = Request::of(&command, line.as_bytes());
            Edited::Line(Box::new((line + "\r\n", request)))
        }
        Ok(_) | Err(_) => Edited::Nothing,
    }
}

/// A command line without its CRLF (RFC 2449 §4).
const LONGEST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(line: &str, edit: &Edit) -> String {
        let request = Request::of(&Command::parse(line.as_bytes()).unwrap(), line.as_bytes());
        match edited(&request, format!("{line}\r\n").as_bytes(), edit) {
            Edited::AsItIs => "as it is".to_owned(),
            Edited::Line(instead) => instead.0.trim_end().to_owned(),
            Edited::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_template_gives_the_arguments_and_the_grammar_judges_them() {
        for (line, template, expected) in [
            ("top 3 999", "{message} 20", "TOP 3 20"),
            ("TOP 3 20", "{arguments}", "as it is"),
            ("RETR 3", "1", "RETR 1"),
            ("RETR 3", "1 2", "nothing"),
            ("LIST 3", "", "LIST"),
            ("NOOP", "x", "nothing"),
            ("STAT", "1\r\nDELE 1", "nothing"),
            ("PASS x", "y", "as it is"),
        ] {
            let edit = Edit { arguments: Some(template.into()), ..Edit::default() };
            assert_eq!(outcome(line, &edit), expected, "{line} {template:?}");
        }
    }

    #[test]
    fn what_is_taken_out_of_a_message_leaves_the_header_or_nothing() {
        for (line, items, expected) in [
            ("RETR 3", &["whole"][..], "nothing"),
            ("RETR 3", &["retr"], "nothing"),
            ("RETR 3", &["part"], "as it is"),
            ("TOP 3 9", &["part"], "TOP 3 0"),
            ("TOP 3 9", &["part", "headers"], "nothing"),
            ("TOP 3 0", &["headers"], "nothing"),
            ("TOP 3 0", &["part", "whole"], "as it is"),
            ("TOP 3 0", &["TOP"], "nothing"),
            ("DELE 3", &["whole"], "as it is"),
        ] {
            let without_items = items.iter().map(|item| (*item).into()).collect();
            assert_eq!(outcome(line, &Edit { without_items, ..Edit::default() }), expected, "{line} {items:?}");
        }
    }
}
