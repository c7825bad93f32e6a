//! `mailwarden policy test`: runs the cases that stand beside a policy.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::junit;
use crate::cli::terminal::{complain, say};
use crate::cli::{EXIT_COULD_NOT, EXIT_NO, Globals};
use crate::config::Paint;
use crate::rehearsal::{Difference, FileOutcome, Report, SuiteError, find, run};

const AFTER_HELP: &str = "\
Cases stand in files called NAME.test.toml, beside the policy NAME.toml that
they are about; docs/policy-guide.md says how they are written. Exit code 0:
all passed; 1: one failed, or too few rules matched; 3: a file cannot be read.

Examples:
  mailwarden policy test policies/
  mailwarden policy test --threshold 100 policies/read-only.test.toml";

/// Run the test cases of a policy, through the code that serves clients
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// Folders, case files, or policies with their case files beside them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Run only the cases whose names hold this
    #[arg(long, value_name = "TEXT")]
    run: Option<String>,
    /// Show for each rule whether a case matched it
    #[arg(long)]
    coverage: bool,
    /// Fail if less than this percentage of the rules matched
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    threshold: Option<u8>,
    /// Write the result for build servers too, as XML in the form of `JUnit`
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        match self.report() {
            Ok(report) => self.show(&report, globals),
            Err(error @ SuiteError::Read(..)) => Err(error.into()),
            Err(SuiteError::Policy(errors)) => Ok(globals.refuse(&errors)),
            Err(SuiteError::Broken { text }) => {
                complain(&format!("{}\n", text.trim_end()));
                Ok(ExitCode::from(EXIT_NO))
            }
        }
    }

    fn report(&self) -> Result<Report, SuiteError> {
        let mut files = Vec::new();
        for path in &self.paths {
            files.extend(find(path)?);
        }
        run(&files, self.run.as_deref())
    }

    fn show(&self, report: &Report, globals: &Globals) -> anyhow::Result<ExitCode> {
        let mut out = String::new();
        for file in &report.files {
            show_file(&mut out, file, globals)?;
        }
        if self.coverage {
            show_coverage(&mut out, report)?;
        }
        let (passed, failed) = report.counts();
        if passed + failed == 0 {
            complain("there is no case here: cases stand in files called NAME.test.toml\n");
            return Ok(ExitCode::from(EXIT_COULD_NOT));
        }
        let (matched, rules) = report.coverage();
        let is_enough = self.threshold.is_none_or(|percent| matched * 100 >= rules * usize::from(percent));
        if !is_enough {
            writeln!(out, "fewer than {} % of the rules matched", self.threshold.unwrap_or_default())?;
        }
        writeln!(out, "{}", report.summary())?;
        say(&out)?;
        if let Some(path) = &self.junit {
            let name = path.display();
            std::fs::write(path, junit::document(report)).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(if failed == 0 && is_enough { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
    }
}

fn show_file(out: &mut String, file: &FileOutcome, globals: &Globals) -> std::fmt::Result {
    let (ok, failed) = match globals.paint() {
        Paint::Plain => ("ok  ", "FAIL"),
        Paint::Coloured => ("\x1b[1;32mok  \x1b[0m", "\x1b[1;31mFAIL\x1b[0m"),
    };
    let is_shown = |differences: &[Difference]| !globals.quiet || !differences.is_empty();
    if file.cases.iter().any(|case| is_shown(&case.differences)) {
        writeln!(out, "{}", file.path.display())?;
    }
    for case in file.cases.iter().filter(|case| is_shown(&case.differences)) {
        let mark = if case.differences.is_empty() { ok } else { failed };
        writeln!(out, "  {mark}  {}", case.name)?;
        for difference in &case.differences {
            show_difference(out, difference)?;
        }
    }
    Ok(())
}

/// Lines that are in one only are marked, as in a patch.
fn show_difference(out: &mut String, difference: &Difference) -> std::fmt::Result {
    let Difference { what, expected, actual } = difference;
    if !expected.contains('\n') && !actual.contains('\n') {
        return writeln!(out, "        {what}\n          expected  {expected}\n          actual    {actual}");
    }
    writeln!(out, "        {what}  (- expected, + actual)")?;
    for line in expected.lines() {
        writeln!(out, "          - {line}")?;
    }
    for line in actual.lines() {
        writeln!(out, "          + {line}")?;
    }
    Ok(())
}

fn show_coverage(out: &mut String, report: &Report) -> std::fmt::Result {
    for (policy, rules) in &report.rules {
        writeln!(out, "{}", policy.display())?;
        for (rule, is_matched) in rules {
            writeln!(out, "  {}  {rule}", if *is_matched { "matched" } else { "never  " })?;
        }
    }
    Ok(())
}
