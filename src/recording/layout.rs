//! Where things stand on a line, and in which colour.

use std::io::IsTerminal;
use std::time::Duration;

use super::phrase;

/// How a transcript is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Whether ANSI colours are used; they are never the only sign of anything.
    pub colour: bool,
    /// Columns of the terminal, at which lines are wrapped; `None` does not wrap.
    pub width: Option<usize>,
}

/// Narrower terminals are treated as if they were this wide.
const NARROWEST: usize = 48;

/// Columns of text before a remark, where there is no terminal to align it to.
const TEXT_COLUMNS: usize = 64;

/// What a run of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Client,
    Server,
    Proxy,
    Held,
    Alert,
    Faint,
    Plain,
}

/// One entry of the transcript.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) at: Duration,
    /// `#2`, where more than one session is open.
    pub(super) session: Option<u64>,
    /// At most three columns.
    pub(super) mark: &'a str,
    pub(super) ink: Ink,
    pub(super) text: &'a str,
    /// Stands at the right end.
    pub(super) remark: &'a str,
}

impl Layout {
    /// As standard output is: colours and wrapping on a terminal (colours not with `NO_COLOR`), plain text in
    /// a pipe.
    #[must_use]
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self { colour: terminal && !refused, width: width.filter(|_| terminal) }
    }

    pub(super) fn entry(self, entry: &Entry<'_>, out: &mut String) {
        let session = entry.session.map(|id| format!("#{id} ")).unwrap_or_default();
        let millis = format!("{:>9.1}", phrase::millis(entry.at));
        let indent = millis.len() + 2 + session.len() + 4;
        let text = printable(entry.text);
        let columns = self.width.map(|width| width.max(NARROWEST).saturating_sub(indent + 1));
        let mut rows = columns.map_or_else(|| vec![text.clone()], |columns| wrap(&text, columns));
        let last = rows.last().map_or(0, |row| row.chars().count());
        let mut remark = String::new();
        if !entry.remark.is_empty() {
            let remark_columns = entry.remark.chars().count();
            let edge = columns.unwrap_or(TEXT_COLUMNS + remark_columns);
            if columns.is_some() && last + 2 + remark_columns > edge {
                rows.push(String::new());
            }
            let used = rows.last().map_or(0, |row| row.chars().count());
            let gap = edge.saturating_sub(used + remark_columns).max(2);
            remark = format!("{}{}", " ".repeat(gap), self.ink(Ink::Faint, entry.remark));
        }
        out.push_str(&self.ink(Ink::Faint, &millis));
        let mark = format!("{:<3}", entry.mark);
        out.push_str("  ");
        out.push_str(&self.ink(Ink::Faint, &session));
        out.push_str(&self.ink(entry.ink, &mark));
        out.push(' ');
        let text_ink = if matches!(entry.ink, Ink::Client | Ink::Server) { Ink::Plain } else { entry.ink };
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
            }
            out.push_str(&self.ink(text_ink, row));
        }
        out.push_str(&remark);
        out.push('\n');
    }

    /// A line across, with a title.
    pub(super) fn title(self, text: &str, out: &mut String) {
        let text = format!("── {} ", printable(text));
        let width = self.width.unwrap_or(NARROWEST);
        let rest = "─".repeat(width.saturating_sub(text.chars().count() + 1).max(2));
        out.push_str(&self.ink(Ink::Faint, &(text + &rest)));
        out.push('\n');
    }

    pub(super) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Client => "36",
            Ink::Server => "32",
            Ink::Proxy => "35",
            Ink::Held => "33",
            Ink::Alert => "1;31",
            Ink::Faint => "2",
            Ink::Plain => "",
        };
        if self.colour && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Makes control characters, and those that turn the direction of text, visible: a recording may come from
/// anywhere, and must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Cuts text into rows, at a blank in the last third of a row if there is one.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut rest: &str = text;
    while let Some((limit, _)) = rest.char_indices().nth(columns) {
        let (row, _) = rest.split_at(limit);
        let blank = row.rfind(' ').filter(|blank| *blank > limit / 3 * 2);
        let (row, tail) = rest.split_at(blank.map_or(limit, |blank| blank + 1));
        rows.push(row.trim_end().to_owned());
        rest = tail;
    }
    rows.push(rest.to_owned());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(layout: Layout, text: &str, remark: &str) -> String {
        let mut out = String::new();
        let at = Duration::from_micros(31_240);
        layout.entry(&Entry { at, session: None, mark: "C→", ink: Ink::Client, text, remark }, &mut out);
        out
    }

    #[test]
    fn wraps_at_the_width_of_the_terminal_and_keeps_every_octet() {
        let layout = Layout { colour: false, width: Some(50) };
        let text = "a1 OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE]";
        let out = shown(layout, text, "OK 3 ms");
        assert!(out.lines().all(|line| line.chars().count() < 50), "{out}");
        let together: String = out.lines().map(|line| &line[15.min(line.len())..]).collect();
        assert!(together.replace("C→  ", "").contains("NAMESPACE]"), "{out}");
        assert!(out.trim_end().ends_with("OK 3 ms"));
    }

    #[test]
    fn does_not_let_text_steer_the_terminal() {
        let out = shown(Layout::default(), "a\x1b[2J\u{202e}b\tc", "");
        assert_eq!(out, "     31.2  C→  a\\u{1b}[2J\\u{202e}b\\u{9}c\n");
    }

    #[test]
    fn colours_only_where_it_is_asked_to() {
        assert!(!shown(Layout::default(), "x", "y").contains('\x1b'));
        assert!(shown(Layout { colour: true, width: None }, "x", "y").contains("\x1b[36mC→ \x1b[0m x"));
    }
}
