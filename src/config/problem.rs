//! What is wrong with a configuration file, and how a person is told: what, where, what to do.

use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use super::code::{Code, Severity};

/// One thing that is wrong, or probably wrong, with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where, in octets of the text; absent if it concerns the whole file.
    pub span: Option<Range<usize>>,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// What would be right; what can be pasted stands last, between backticks.
    pub help: String,
    /// The file it is in, if that is not the configuration's own.
    source: Option<Source>,
}

impl Problem {
    pub(super) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            help: String::new(),
            source: None,
        }
    }

    pub(super) fn whole(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span: None, label: String::new(), help: String::new(), source: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The same problem, of this file.
    pub(super) fn within(mut self, source: &Source) -> Self {
        self.source.get_or_insert_with(|| source.clone());
        self
    }

    /// The same problem, of the configuration's own file if it is in that.
    pub(super) fn unless_within(mut self, own: &Source) -> Self {
        self.source = self.source.filter(|source| source != own);
        self
    }

    /// Where it comes among others: by file in the order of `files`, then by its place.
    pub(super) fn place(&self, files: &[Source]) -> (usize, usize) {
        let file = self
            .source
            .as_ref()
            .map_or(0, |source| files.iter().position(|file| file == source).unwrap_or(files.len()) + 1);
        (file, self.span.as_ref().map_or(usize::MAX, |span| span.start))
    }

    /// Whether nothing can start with it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }
}

/// Whether a report may use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// A configuration text and what it is called in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
}

impl Source {
    /// The line and column of an offset, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let (line, start, _) = self.line(offset);
        let before = self.text.get(start..offset.clamp(start, self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Number, first octet and text of the line an offset is in.
    fn line(&self, offset: usize) -> (usize, usize, &str) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = before.matches('\n').count() + 1;
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        (number, start, line)
    }

    /// A problem as it is shown to a person, ending in a line end.
    #[must_use]
    pub fn render(&self, problem: &Problem, paint: Paint) -> String {
        let mut out = String::new();
        let file = problem.source.as_ref().unwrap_or(self);
        // writing to a string cannot fail
        _ = file.write(&mut out, problem, paint);
        out
    }

    /// A problem as one JSON object, for machines that read errors.
    #[must_use]
    pub fn json(&self, problem: &Problem) -> String {
        let file = problem.source.as_ref().unwrap_or(self);
        let (line, column) = problem.span.as_ref().map_or((1, 1), |span| file.position(span.start));
        serde_json::json!({
            "level": if problem.is_error() { "ERROR" } else { "WARN" },
            "code": problem.code.as_str(),
            "message": problem.message,
            "file": &*file.name,
            "line": line,
            "column": column,
            "label": problem.label,
            "help": problem.help,
        })
        .to_string()
    }

    fn write(&self, out: &mut String, problem: &Problem, paint: Paint) -> fmt::Result {
        let (word, colour) = if problem.is_error() { ("error", "1;31") } else { ("warning", "1;33") };
        let hue = |text: &str, colour: &str| match paint {
            Paint::Plain => text.to_owned(),
            Paint::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
        };
        let head = hue(&format!("{word}[{}]", problem.code.as_str()), colour);
        writeln!(out, "{head}: {}", clean(&problem.message))?;
        let mut margin = 1;
        match &problem.span {
            None => writeln!(out, "{} {}", hue(" ╭─", "34"), self.name)?,
            Some(span) => {
                let (number, start, line) = self.line(span.start);
                let (_, column) = self.position(span.start);
                let digits = number.to_string();
                margin = digits.len();
                let gap = " ".repeat(margin);
                writeln!(out, "{gap} {} {}:{number}:{column}", hue("╭─", "34"), self.name)?;
                writeln!(out, "{} {} {}", hue(&digits, "34"), hue("│", "34"), clean(line))?;
                let end = span.end.clamp(span.start, start + line.len().max(span.start - start));
                let width = self.text.get(span.start..end).map_or(0, |under| under.chars().count()).max(1);
                let caret = hue(&"^".repeat(width), colour);
                let label =
                    if problem.label.is_empty() { String::new() } else { format!(" {}", clean(&problem.label)) };
                writeln!(out, "{gap} {} {}{caret}{label}", hue("│", "34"), " ".repeat(column - 1))?;
            }
        }
        if !problem.help.is_empty() {
            writeln!(out, "{} {}: {}", " ".repeat(margin), hue("help", "1;36"), clean(&problem.help))?;
        }
        Ok(())
    }
}

/// One column a character: what would move the caret or the terminal's cursor is replaced.
fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A configuration that cannot be used: all that is wrong with it, in the order of the file.
#[derive(Debug, Clone)]
pub struct ConfigErrors {
    pub(super) source: Source,
    pub(super) problems: Vec<Problem>,
}

impl ConfigErrors {
    /// Errors and warnings, in the order of the file; at least one is an error.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The text they are about.
    #[must_use]
    pub fn source_text(&self) -> &Source {
        &self.source
    }

    /// Whether the file could not be read at all, so that nothing is known of its contents.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| problem.code == Code::Unreadable)
    }

    /// The report for a person.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        self.problems.iter().map(|problem| self.source.render(problem, paint)).collect()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Paint::Plain).trim_end())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "a.toml".into(), text: text.into() }
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = source("é = 1\nab = \"ü\" x\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(17), (2, 10));
        assert_eq!(source.position(999), (3, 1));
    }

    #[test]
    fn never_sends_control_characters_to_the_terminal() {
        let source = source("a = \"\x1b[2J\"\t# x");
        let shown = source.render(&Problem::new(Code::Syntax, 4..10, "bad \x07"), Paint::Plain);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }

    #[test]
    fn points_behind_the_last_character_of_a_text_that_ends_too_early() {
        let source = source("a = ");
        insta::assert_snapshot!(source.render(&Problem::new(Code::Syntax, 4..4, "no value"), Paint::Plain), @r"
        error[MW-1003]: no value
          ╭─ a.toml:1:5
        1 │ a = 
          │     ^
        ");
    }
}
