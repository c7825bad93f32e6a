//! What became of each scenario, for the table that `tests/suites/run` prints.

use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::lab::Tls;
use super::server;

/// Begins what `Lab::logs` gives: it differs from run to run.
pub(crate) const LOGS: &str = "--- proxy\n";

/// A scenario's result, or why it failed, without what differs from run to run.
pub(crate) fn attempt<T>(scenario: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(scenario)).map_err(|panic| steady(&text_of(&*panic)))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Ports, times and the names of temporary directories are left out.
fn steady(reason: &str) -> String {
    let reason = reason.split(LOGS).next().unwrap_or_default();
    let words = reason.split_inclusive(|c: char| c.is_whitespace() || "\"'/:,;()[]".contains(c));
    let kept = words.filter(|word| !word.starts_with(".tmp"));
    kept.flat_map(str::chars).filter(|c| !c.is_ascii_digit()).collect()
}

/// Adds a line to the file that `MAILWARDEN_TABLE` names: suite, server, mode, outcome and reason, by tabs.
pub(crate) fn record<T: PartialEq>(client: Tls, direct: &Result<T, String>, proxied: &Result<T, String>) {
    let Some(path) = std::env::var_os("MAILWARDEN_TABLE") else { return };
    let outcome = match (direct, proxied) {
        _ if direct != proxied => "differs",
        (Ok(_), _) => "same",
        (Err(_), _) => "same failure",
    };
    let reason = direct.as_ref().err().or(proxied.as_ref().err()).map_or("", String::as_str);
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let current = thread::current();
    let suite = current.name().unwrap_or_default().rsplit("::").next().unwrap_or_default();
    let line = format!("{suite}\t{}\t{}\t{outcome}\t{reason}\n", server::name(), client.word());
    File::options().create(true).append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
}
