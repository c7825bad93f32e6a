//! Runs files of cases: what passed, what did not and why, and which rules never matched.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::case::{Case, CaseFile, Expect, Given, OneOrMany};
use super::play::{Played, Scene};
use super::policy::Rehearsed;
use super::transcript;
use crate::config::ConfigErrors;

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about: a key of `expect`.
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What came.
    pub actual: String,
}

/// What came of one case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What is not as expected; none if it passed.
    pub differences: Vec<Difference>,
}

/// What came of the cases of one file.
#[derive(Debug, Clone)]
pub struct FileOutcome {
    /// The file of cases.
    pub path: PathBuf,
    /// The policy's file.
    pub policy: PathBuf,
    /// What came of each case, in order.
    pub cases: Vec<Outcome>,
}

/// What came of all.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each file, in order.
    pub files: Vec<FileOutcome>,
    /// Of each policy: its rules in order, each with whether a case matched it.
    pub rules: BTreeMap<PathBuf, Vec<(String, bool)>>,
}

/// Why cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The policy cannot be used, or not be read.
    #[error("the policy cannot be used")]
    Policy(ConfigErrors),
    /// A file is not written as it should be; the text shows where.
    #[error("{text}")]
    Broken {
        /// What to print.
        text: String,
    },
}

impl Report {
    /// How many cases passed and how many did not.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let cases = || self.files.iter().flat_map(|file| &file.cases);
        let failed = cases().filter(|case| !case.differences.is_empty()).count();
        (cases().count() - failed, failed)
    }

    /// How many rules were matched, of how many.
    #[must_use]
    pub fn coverage(&self) -> (usize, usize) {
        let rules = || self.rules.values().flatten();
        (rules().filter(|(_, matched)| *matched).count(), rules().count())
    }

    /// `31 passed, 0 failed; coverage: 9 of 10 rules matched; never matched: …`
    #[must_use]
    pub fn summary(&self) -> String {
        let ((passed, failed), (matched, rules)) = (self.counts(), self.coverage());
        let mut text = format!("{passed} passed, {failed} failed; coverage: {matched} of {rules} rules matched");
        let never = self.rules.values().flatten().filter(|(_, matched)| !matched).map(|(name, _)| format!("`{name}`"));
        let never: Vec<String> = never.collect();
        if !never.is_empty() {
            // writing to a string cannot fail
            _ = write!(text, "; never matched: {}", never.join(", "));
        }
        text
    }
}

/// The files of cases that a path stands for: itself, those of a policy, or all in a folder.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, SuiteError> {
    let unreadable = |error| SuiteError::Read(path.to_owned(), error);
    if path.is_dir() {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() || is_cases(&path) {
                found.extend(find(&path)?);
            }
        }
        found.sort();
        return Ok(found);
    }
    let path = if is_cases(path) { path.to_owned() } else { path.with_extension("test.toml") };
    match std::fs::metadata(&path) {
        Ok(_) => Ok(vec![path]),
        Err(error) => Err(SuiteError::Read(path, error)),
    }
}

fn is_cases(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".test.toml"))
}

/// Runs the cases whose names hold `filter`, of these files.
pub fn run(files: &[PathBuf], filter: Option<&str>) -> Result<Report, SuiteError> {
    let mut report = Report::default();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|error| SuiteError::Read(path.clone(), error))?;
        let broken = |text: String| SuiteError::Broken { text: format!("{}: {text}", path.display()) };
        let file = CaseFile::parse(&text).map_err(broken)?;
        let policy_path = file.policy_of(path);
        let policy = Rehearsed::read(&policy_path).map_err(SuiteError::Policy)?;
        let wanted = |case: &&Case| filter.is_none_or(|filter| case.name.contains(filter));
        let mut cases = Vec::new();
        for case in file.cases.iter().filter(wanted) {
            let folder = path.parent().unwrap_or(Path::new(""));
            cases.push(run_case(case, &file.given, folder, &policy)?);
        }
        let names = policy.names().iter().map(|name| (name.clone(), false)).collect();
        for (name, is_matched) in report.rules.entry(policy_path.clone()).or_insert(names) {
            *is_matched |= policy.has_matched(name);
        }
        report.files.push(FileOutcome { path: path.clone(), policy: policy_path, cases });
    }
    Ok(report)
}

fn run_case(case: &Case, defaults: &Given, folder: &Path, policy: &Rehearsed) -> Result<Outcome, SuiteError> {
    let impossible = |why: &str| vec![Difference::new("given", "the session comes to where the case begins", why)];
    policy.begin();
    let given = match policy.settle(case.given.clone().or(defaults)) {
        Ok(given) => given,
        Err(why) => return Ok(Outcome { name: case.name.clone(), differences: impossible(&why) }),
    };
    let conversation = match &case.transcript_file {
        Some(file) => {
            let path = folder.join(file);
            Some(std::fs::read_to_string(&path).map_err(|error| SuiteError::Read(path, error))?)
        }
        None => case.transcript.clone(),
    };
    let played = match conversation {
        Some(text) => {
            policy.begin();
            transcript::play(&text, &given, policy.handle())
        }
        None => Scene::set(&given, policy.handle()).map(|mut scene| {
            policy.begin();
            (scene.play(&case.send.lines(), &case.server), Vec::new())
        }),
    };
    let differences = match played {
        Ok((played, mut differences)) => {
            differences.extend(compare(&case.expect, &played, policy));
            differences
        }
        Err(why) => impossible(&why),
    };
    Ok(Outcome { name: case.name.clone(), differences })
}

impl Difference {
    pub(super) fn new(what: &str, expected: &str, actual: &str) -> Self {
        Self { what: what.to_owned(), expected: expected.to_owned(), actual: actual.to_owned() }
    }
}

/// Holds what came against what is expected.
fn compare(expect: &Expect, played: &Played, policy: &Rehearsed) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, expected: String, actual: String| {
        if expected != actual {
            differences.push(Difference { what: what.to_owned(), expected, actual });
        }
    };
    let (action, rule) = policy.verdict(played);
    if let Some(expected) = expect.action {
        differ("action", expected.as_label().to_owned(), action.as_label().to_owned());
    }
    if let Some(expected) = &expect.rule {
        differ("rule", expected.clone(), rule.unwrap_or_else(|| "(none)".to_owned()));
    }
    if let Some(expected) = &expect.would {
        let would: Vec<String> = played.would().map(|decision| decision.rule.to_string()).collect();
        differ("would", expected.lines().join(", "), would.join(", "));
    }
    let told = played.told();
    if let Some(expected) = expect.level {
        let level = told.map_or("(not logged)", |decision| decision.level.as_label());
        differ("level", expected.as_label().to_owned(), level.to_owned());
    }
    if let Some(expected) = &expect.tags {
        let tags = told.map(|decision| decision.tags.join(", ")).unwrap_or_default();
        differ("tags", expected.lines().join(", "), tags);
    }
    if let Some(expected) = expect.alert {
        differ("alert", expected.to_string(), told.is_some_and(|decision| decision.alert).to_string());
    }
    if let Some(expected) = &expect.code {
        differ("code", expected.clone(), played.code.clone().unwrap_or_else(|| "none".to_owned()));
    }
    if let Some(expected) = expect.closes {
        differ("closes", expected.to_string(), played.closed.is_some().to_string());
    }
    if let Some(expected) = expect.waits {
        differ("waits", shown_wait(expected), shown_wait(played.waited));
    }
    for (what, expected, actual) in [
        ("client_gets", &expect.client_gets, &played.client_gets),
        ("server_gets", &expect.server_gets, &played.server_gets),
    ] {
        let Some(expected) = expected.as_ref().map(OneOrMany::lines) else { continue };
        if !lines_match(&expected, actual) {
            differences.push(Difference {
                what: what.to_owned(),
                expected: expected.join("\n"),
                actual: actual.join("\n"),
            });
        }
    }
    differences
}

/// A wait in whole milliseconds: a throttle rounds up what it computes.
#[must_use]
pub fn shown_wait(wait: Duration) -> String {
    let whole = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    humantime_serde::re::humantime::format_duration(whole).to_string()
}

/// Whether each line is as expected, `*` standing for any text.
pub(super) fn lines_match(expected: &[String], actual: &[String]) -> bool {
    expected.len() == actual.len() && expected.iter().zip(actual).all(|(pattern, line)| matches(pattern, line))
}

fn matches(pattern: &str, line: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else { return pattern == line };
    let Some(line) = line.strip_prefix(front) else { return false };
    let mut starts = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    starts.any(|at| line.get(at..).is_some_and(|tail| matches(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_any_text_and_nothing_else_is_special() {
        let rows = [
            ("a NO [NOPERM] *", "a NO [NOPERM] not here", true),
            ("a NO [NOPERM] *", "a NO [NOPERM]", false),
            ("* LIST *Board", "* LIST () \"/\" Board", true),
            ("*", "", true),
            ("a [N]", "a N", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
        ];
        for (pattern, line, expected) in rows {
            assert_eq!(matches(pattern, line), expected, "{pattern} {line}");
        }
    }
}
