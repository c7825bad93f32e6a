//! A file as text, and the text as TOML: what is said before it is known what stands in it.

use std::path::Path;

use toml::de::DeTable;

use super::code::Code;
use super::problem::{ConfigErrors, Problem, Source};
use super::{details, files};

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<Source, ConfigErrors> {
    let name = path.display().to_string();
    let refuse = |text: &str, problem| ConfigErrors {
        source: Source { name: name.as_str().into(), text: text.into() },
        problems: vec![problem],
    };
    let octets = files::read(path).map_err(|problem| refuse("", problem))?;
    let text = String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let problem = Problem::new(Code::NotUtf8, good..good + 1, "the file is not UTF-8")
            .label("this is where it stops being text")
            .help("save the file as UTF-8");
        refuse(&String::from_utf8_lossy(error.as_bytes()), problem)
    })?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    Ok(Source { name: name.into(), text: text.into() })
}

/// The text as TOML.
pub(super) fn tree(source: &Source) -> Result<toml::Spanned<DeTable<'_>>, ConfigErrors> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Ok(root);
    }
    let problems = errors.iter().map(|error| syntax(&source.text, error)).collect();
    Err(ConfigErrors { source: source.clone(), problems })
}

/// What the TOML parser found, with a help for what happens most.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    let found = text.get(span.clone()).unwrap_or_default();
    let (message, label) = error.message().split_once(", ").unwrap_or((error.message(), ""));
    if message == "duplicate key" {
        return Problem::new(Code::Repeated, span, format!("`{found}` stands twice"))
            .label("an earlier line sets it")
            .help("keep one of the two; sections that can repeat have double brackets, as `[[listener]]`");
    }
    if let Some(help) = details::escape_help(text, &span).filter(|_| error.message().contains("escape")) {
        return Problem::new(Code::Syntax, span, message).label(label).help(help);
    }
    let (message, label, help) = match message {
        "string values must be quoted" if found.is_empty() => {
            ("there is no value", "", "write a value behind `=`".to_owned())
        }
        "string values must be quoted" => ("a text stands in quotes", "", format!("put it in quotes: `\"{found}\"`")),
        "missing escaped value" => {
            let help = details::escape_help(text, &span).unwrap_or_else(|| "write `\\\\` for a backslash".to_owned());
            ("a backslash has a meaning of its own in double quotes", label, help)
        }
        "invalid basic string" => (message, label, "end the text with a double quote: `\"`".to_owned()),
        "invalid literal string" => (message, label, "end the text with a single quote: `'`".to_owned()),
        _ => (message, label, "a line is `key = value`, `[section]` or `# comment`; see https://toml.io".to_owned()),
    };
    Problem::new(Code::Syntax, span, message).label(label).help(help)
}
