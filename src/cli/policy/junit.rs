//! The result of test cases in the form that build servers read.

use std::fmt::Write;

use crate::rehearsal::{FileOutcome, Report};

/// The whole document.
pub(super) fn document(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in &report.files {
        // writing to a string cannot fail
        _ = suite(&mut out, file);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, file: &FileOutcome) -> std::fmt::Result {
    let name = escape(&file.path.display().to_string());
    let failures = file.cases.iter().filter(|case| !case.differences.is_empty()).count();
    writeln!(out, "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\">", file.cases.len())?;
    for case in &file.cases {
        write!(out, "    <testcase classname=\"{name}\" name=\"{}\"", escape(&case.name))?;
        if case.differences.is_empty() {
            writeln!(out, "/>")?;
            continue;
        }
        writeln!(out, ">")?;
        for difference in &case.differences {
            let (what, expected) = (escape(&difference.what), escape(&difference.expected));
            let actual = escape(&difference.actual);
            writeln!(out, "      <failure message=\"{what}\">expected: {expected}\nactual: {actual}</failure>")?;
        }
        writeln!(out, "    </testcase>")?;
    }
    writeln!(out, "  </testsuite>")
}

/// XML takes no other control characters than these (XML 1.0 §2.2).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::{Difference, Outcome};

    #[test]
    fn what_a_peer_said_cannot_break_the_document() {
        let difference = Difference { what: "a".into(), expected: "<b>".into(), actual: "\x00&\"".into() };
        let cases = vec![
            Outcome { name: "one".into(), differences: Vec::new() },
            Outcome { name: "two".into(), differences: vec![difference] },
        ];
        let files = vec![FileOutcome { path: "x".into(), policy: "y".into(), cases }];
        let text = document(&Report { files, ..Report::default() });
        assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
        assert!(text.contains("expected: &lt;b&gt;\nactual: \u{fffd}&amp;&quot;<"), "{text}");
    }
}
