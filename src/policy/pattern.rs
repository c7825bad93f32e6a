//! Patterns of rules: what a name must look like. Most are a plain name, or end in `*`'s simplest uses, and cost
//! a comparison; the rest are globs.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use crate::wire::imap::fold_inbox;

/// How names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Case does not matter, `*` stands for any characters: users, hosts, subjects.
    Folded,
    /// Case matters but for INBOX, `*` and `?` stop at `/`: mailboxes.
    Mailboxes,
}

/// One pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: Arc<str>,
    names: Names,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Anything,
    Exactly,
    /// Everything that ends in the pattern's text behind its `*`, which is ASCII.
    EndsWith,
    /// Everything that begins with the pattern's text before its `**`.
    StartsWith,
    Glob(GlobMatcher),
}

const META: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn new(text: &str, names: Names) -> Result<Self, globset::Error> {
        // INBOX is the one name that is compared without regard to case (RFC 9051 §5.1)
        let folded = (names == Names::Mailboxes).then(|| fold_inbox(text.to_owned()));
        let text = folded.as_deref().unwrap_or(text);
        let plain = |text: &str| !text.contains(META);
        let how = match names {
            _ if plain(text) => How::Exactly,
            Names::Folded if text == "*" => How::Anything,
            Names::Mailboxes if text == "**" => How::Anything,
            Names::Folded if text.is_ascii() && text.strip_prefix('*').is_some_and(plain) => How::EndsWith,
            Names::Mailboxes if text.strip_suffix("/**").is_some_and(plain) => How::StartsWith,
            Names::Folded | Names::Mailboxes => {
                let folded = names == Names::Folded;
                let glob = GlobBuilder::new(text).case_insensitive(folded).literal_separator(!folded).build()?;
                How::Glob(glob.compile_matcher())
            }
        };
        Ok(Self { text: text.into(), names, how })
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is one name and no other.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.how, How::Exactly)
    }

    /// Whether a name is such.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.how {
            How::Anything => true,
            How::Exactly if self.names == Names::Mailboxes => *self.text == *name,
            How::Exactly if self.text.is_ascii() => self.text.eq_ignore_ascii_case(name),
            How::Exactly => self.text.to_lowercase() == name.to_lowercase(),
            How::EndsWith => {
                let end = self.text.as_bytes().get(1..).unwrap_or_default();
                let at = name.len().checked_sub(end.len());
                at.and_then(|at| name.as_bytes().get(at..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
            }
            // the slash before the asterisks is part of it
            How::StartsWith => name.len() >= self.text.len() - 2 && name.starts_with(self.text.trim_end_matches('*')),
            How::Glob(glob) => glob.is_match(name),
        }
    }

    /// Whether everything that `other` matches is matched by this one; when in doubt it is not.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        matches!(self.how, How::Anything)
            || self.text == other.text
            || (matches!(other.how, How::Exactly) && self.matches(&other.text))
    }

    /// Whether it could match something below `name`, whichever of the usual separators the server has; when in
    /// doubt it could.
    pub(crate) fn reaches_below(&self, name: &str) -> bool {
        if name.trim_matches(['/', '.']).is_empty() {
            // the root
            return true;
        }
        let fixed = self.text.split(META).next().unwrap_or_default();
        let ends = fixed.len() == self.text.len();
        ['/', '.'].iter().any(|separator| {
            let below = format!("{name}{separator}");
            fixed.starts_with(&below) || (!ends && below.starts_with(fixed))
        })
    }
}

/// Patterns of which one must match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

impl Patterns {
    pub(crate) fn new(texts: &[String], names: Names) -> Result<Self, (String, globset::Error)> {
        let read = |text: &String| Pattern::new(text, names).map_err(|error| (text.clone(), error));
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn match_any(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.covers(theirs)))
    }

    pub(crate) fn reach_below(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.reaches_below(name))
    }

    /// The patterns as they are written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Pattern::text)
    }
}

/// The other names that servers may take a mailbox's name for: `Secret/`, `/Secret` and `a//b` are `Secret` and
/// `a/b` to Cyrus, and where levels are separated by a dot, `a.b` is what a rule calls `a/b`.
pub(crate) fn other_names(name: &str) -> impl Iterator<Item = String> {
    let plain = without_empty_levels(name);
    let slashed = name.contains('.').then(|| name.replace('.', "/"));
    let both = slashed.as_deref().and_then(without_empty_levels);
    let climbed = climbed(name);
    let apart = climbed.as_deref().filter(|name| name.contains('.')).map(|name| name.replace('.', "/"));
    [plain, slashed, both, climbed, apart].into_iter().flatten().map(fold_inbox)
}

/// The plainer names that servers may take a name for, if it has levels without a name or ones that lead up.
pub(crate) fn plain_names(name: &str) -> impl Iterator<Item = String> {
    [without_empty_levels(name), climbed(name)].into_iter().flatten().map(fold_inbox)
}

/// The name that `x/../Secret` has for a server whose mailboxes are files.
fn climbed(name: &str) -> Option<String> {
    let mut levels = Vec::new();
    for level in name.split('/') {
        match level {
            ".." => drop(levels.pop()),
            "" | "." => {}
            level => levels.push(level),
        }
    }
    name.split('/').any(|level| matches!(level, "." | "..")).then(|| levels.join("/"))
}

/// The name without the levels of hierarchy that have no name, if it has such. Either of the separators that
/// servers use may be meant.
fn without_empty_levels(name: &str) -> Option<String> {
    let is_separator = |letter: char| letter == '/' || letter == '.';
    let mut plain = String::with_capacity(name.len());
    for letter in name.trim_matches(is_separator).chars() {
        if !(is_separator(letter) && plain.ends_with(letter)) {
            plain.push(letter);
        }
    }
    (plain.len() != name.len() && !plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_as_its_kind_is() {
        use Names::{Folded, Mailboxes};
        #[rustfmt::skip]
        let rows = [
            (Folded, "ann@example.org", "Ann@Example.ORG", true),
            (Folded, "*@example.org", "ann@EXAMPLE.org", true),
            (Folded, "*@example.org", "ann@example.com", false),
            (Folded, "*@example.org", "x", false),
            (Folded, "*", "", true),
            (Folded, "*a*", "xay", true),
            (Folded, "jürgen", "JÜRGEN", true),
            (Folded, "{ann,bob}@x", "BOB@x", true),
            (Mailboxes, "inbox", "INBOX", true),
            (Mailboxes, "Inbox/**", "INBOX/a/b", true),
            (Mailboxes, "inbox/*", "INBOX/a", true),
            (Mailboxes, "inbox.Secret", "INBOX.Secret", true),
            (Mailboxes, "inbox2/**", "INBOX2/a", false),
            (Mailboxes, "Board", "board", false),
            (Mailboxes, "Board/**", "Board/2026/x", true),
            (Mailboxes, "Board/**", "Board", false),
            (Mailboxes, "Board/**", "Boards/x", false),
            (Mailboxes, "Board/*", "Board/2026/x", false),
            (Mailboxes, "*", "a/b", false),
            (Mailboxes, "**", "a/b", true),
            (Mailboxes, "Arch?ve", "Archive", true),
        ];
        for (names, pattern, name, matches) in rows {
            assert_eq!(Pattern::new(pattern, names).unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn what_covers_another_matches_all_that_it_does() {
        for (one, other, covers) in [
            ("*", "x", true),
            ("*@a.org", "ann@a.org", true),
            ("ann@a.org", "*@a.org", false),
            ("*@a.org", "*@a.org", true),
            ("*@a.org", "bob@a.org.uk", false),
        ] {
            let pattern = |text: &str| Pattern::new(text, Names::Folded).unwrap();
            assert_eq!(pattern(one).covers(&pattern(other)), covers, "{one} {other}");
        }
    }

    #[test]
    fn knows_whether_something_below_a_name_could_match() {
        for (pattern, name, reaches) in [
            ("Board/**", "Board", true),
            ("Board/2026/**", "Board", true),
            ("Board.2026", "Board", true),
            ("Board", "Board", false),
            ("Board", "Boa", false),
            ("*/secret", "Any", true),
            ("Board/**", "Archive", false),
            ("Board/**", "Board/2026", true),
            ("Board", "", true),
            ("Board", "/", true),
        ] {
            let pattern = Pattern::new(pattern, Names::Mailboxes).unwrap();
            assert_eq!(pattern.reaches_below(name), reaches, "{} {name}", pattern.text());
        }
    }

    #[test]
    fn finds_the_name_behind_levels_that_lead_up() {
        for (name, plain) in [
            ("x/../Secret", Some("Secret")),
            ("../Secret/", Some("Secret")),
            ("a/b/../../c/./d", Some("c/d")),
            ("a/./b", Some("a/b")),
            ("./a.", Some("a.")),
            ("a/..", Some("")),
            ("a/..b", None),
            ("a..b", None),
            ("..", Some("")),
        ] {
            assert_eq!(climbed(name).as_deref(), plain, "{name:?}");
        }
    }

    #[test]
    fn finds_the_name_behind_levels_without_one() {
        let rows = [
            ("Secret/", Some("Secret")),
            ("/Secret", Some("Secret")),
            ("a//b", Some("a/b")),
            ("a..b./", Some("a.b")),
            ("a/b", None),
            ("Secret", None),
            ("", None),
            ("/", None),
        ];
        for (name, plain) in rows {
            assert_eq!(without_empty_levels(name).as_deref(), plain, "{name:?}");
        }
    }
}
