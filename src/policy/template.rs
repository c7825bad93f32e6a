//! Sentences for clients, with places that are filled when they are said.

use std::sync::Arc;

use super::facts::Facts;

/// The words that can stand between braces.
pub(crate) const PLACEHOLDERS: [&str; 4] = ["rule", "user", "command", "mailbox"];

/// The longest sentence that is written, in octets.
const LONGEST: usize = 200;
/// The longest that is said once its places are filled.
const LONGEST_FILLED: usize = 400;

/// A sentence.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    text: Arc<str>,
    has_places: bool,
}

impl Template {
    /// A sentence that can be sent without breaking the protocol: one line of printable ASCII, without a response
    /// code. The error says what is wrong.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        if !(1..=LONGEST).contains(&text.len()) || !text.chars().all(printable) || text.starts_with('[') {
            return Err("a reply is one line of at most 200 printable ASCII characters".to_owned());
        }
        if let Some(place) = places(text).find(|place| !PLACEHOLDERS.contains(place)) {
            return Err(format!("`{{{place}}}` stands for nothing"));
        }
        Ok(Self { text: text.into(), has_places: places(text).next().is_some() })
    }

    /// The sentence for one command.
    pub(crate) fn fill(&self, rule: &str, facts: &Facts<'_>) -> Arc<str> {
        if !self.has_places {
            return Arc::clone(&self.text);
        }
        let mailbox = facts.mailboxes.first().map(String::as_str).or(facts.selected).unwrap_or_default();
        let mut filled = String::with_capacity(LONGEST_FILLED);
        let mut rest = &*self.text;
        while let Some((before, place, after)) = next_place(rest) {
            filled.push_str(before);
            let value = match place {
                "rule" => rule,
                "user" => facts.session.user.unwrap_or_default(),
                "command" => facts.command,
                _ => mailbox,
            };
            filled.extend(value.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }));
            rest = after;
        }
        filled.push_str(rest);
        // all of it is ASCII by now
        filled.truncate(LONGEST_FILLED);
        // what begins with a bracket would be a response code
        if filled.starts_with('[') {
            filled.insert(0, '\'');
        }
        if filled.is_empty() { "-".into() } else { filled.into() }
    }
}

/// What stands between braces, if it looks like a place.
pub(crate) fn places(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (_, place, after) = next_place(rest)?;
        rest = after;
        Some(place)
    })
}

fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once('{')?;
    let (place, after) = opened.split_once('}')?;
    Some((before, place, after))
}

#[cfg(test)]
mod tests;
