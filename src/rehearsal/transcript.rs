//! Conversations with both sides written out, and what must come of each step.
//!
//! ```text
//! S: * OK ready
//! C: a LOGIN ann secret
//! -> a LOGIN ann secret
//! S: a OK in
//! C: b DELETE Archive
//! <- b NO [NOPERM] *
//! = deny keep-folders
//! ```
//!
//! What went up and what came down is compared where a step says something of it (a lone `->` or `<-` says that
//! there was nothing), verdicts everywhere if there is any line with one.

use super::case::Given;
use super::play::{Played, Scene};
use super::suite::{Difference, lines_match};
use crate::policy::{Decision, Mode, PolicyHandle};
use crate::wire::Side;

/// What one side sends at once, and what must come of it.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    sends: Option<(Side, Vec<String>)>,
    up: Vec<String>,
    down: Vec<String>,
    verdicts: Vec<String>,
}

/// Plays a conversation; gives what came of all of it, and what is not as it is written.
pub fn play(text: &str, given: &Given, policy: PolicyHandle) -> Result<(Played, Vec<Difference>), String> {
    let steps = read(text)?;
    let judges = steps.iter().any(|step| !step.verdicts.is_empty());
    let mut scene = Scene::open(given, policy);
    let mut all = Played::default();
    let mut differences = Vec::new();
    for step in &steps {
        let played = match &step.sends {
            Some((from, lines)) => {
                let octets = lines.iter().fold(String::new(), |octets, line| octets + line + "\r\n");
                scene.step(*from, octets.as_bytes())
            }
            None if scene.start_tls() => Played::default(),
            None => return Err(format!("line {}: nobody asked for TLS here", step.line)),
        };
        let verdicts: Vec<String> = played.decisions.iter().map(verdict).collect();
        for (mark, is_compared, expected, actual) in [
            ("->", !step.up.is_empty(), without_nothing(&step.up), &played.server_gets),
            ("<-", !step.down.is_empty(), without_nothing(&step.down), &played.client_gets),
            ("=", judges, step.verdicts.as_slice(), &verdicts),
        ] {
            if is_compared && !lines_match(expected, actual) {
                let what = format!("line {}, {mark}", step.line);
                differences.push(Difference::new(&what, &expected.join("\n"), &actual.join("\n")));
            }
        }
        all.add(played);
    }
    Ok((all, differences))
}

/// A lone mark says that there was nothing.
fn without_nothing(lines: &[String]) -> &[String] {
    match lines {
        [only] if only.is_empty() => &[],
        lines => lines,
    }
}

/// `deny keep-folders`; `observe deny keep-folders` where it only would have.
pub(super) fn verdict(decision: &Decision) -> String {
    let mode = if decision.mode == Mode::Observe { "observe " } else { "" };
    format!("{mode}{} {}", decision.action.as_label(), decision.rule)
}

/// Lines of one side with nothing between them are sent at once.
fn read(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, whole) in (1..).zip(text.lines()) {
        let (mark, rest) = whole.split_once(' ').unwrap_or((whole, ""));
        let said = rest.to_owned();
        let side = if mark == "C:" { Side::Client } else { Side::Upstream };
        match (mark, steps.last_mut()) {
            ("", _) if rest.trim().is_empty() => {}
            ("#", _) => {}
            ("C:" | "S:", Some(Step { sends: Some((by, lines)), up, down, verdicts, .. }))
                if *by == side && up.is_empty() && down.is_empty() && verdicts.is_empty() =>
            {
                lines.push(said);
            }
            ("C:" | "S:", _) => {
                steps.push(Step { line, sends: Some((side, vec![said])), ..Step::default() });
            }
            ("!", _) if rest == "tls" => steps.push(Step { line, ..Step::default() }),
            ("->", Some(step)) => step.up.push(said),
            ("<-", Some(step)) => step.down.push(said),
            ("=", Some(step)) => step.verdicts.push(said),
            _ => {
                return Err(format!(
                    "line {line} of the conversation: it begins with `C:`, `S:`, `->`, `<-`, `=`, `! tls` or `#`"
                ));
            }
        }
    }
    Ok(steps)
}
