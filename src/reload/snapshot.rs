//! The files of a configuration at one time: whether they have changed, and what of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use toml::{Table, Value};

use super::Change;
use crate::config::files_of;

/// Sections that change without a restart.
const LIVE: &[&str] = &["rule", "group", "hook", "policy"];
/// Keys of `[policy]` that do not.
const BOUND: &[&str] = &["recordings"];

/// The files of a configuration as they were read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// SHA-256 over all files, in hexadecimal digits.
    pub(crate) digest: String,
    root: Table,
    rules: BTreeMap<String, Value>,
    files: Vec<PathBuf>,
}

impl Snapshot {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let files = files_of(path);
        let (mut root, mut rules) = (Table::new(), BTreeMap::new());
        for (number, file) in files.iter().enumerate() {
            let octets = fs::read(file)?;
            context.update(&octets);
            let table: Table = std::str::from_utf8(&octets).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
            for rule in table.get("rule").and_then(Value::as_array).into_iter().flatten() {
                let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
                rules.insert(name.to_owned(), rule.clone());
            }
            if number == 0 {
                root = table;
            }
        }
        let mut digest = String::new();
        for octet in context.finish().as_ref() {
            // writing to a String cannot fail
            let _ = write!(digest, "{octet:02x}");
        }
        Ok(Self { digest, root, rules, files })
    }

    /// What cannot change live and has, as it is written in the file.
    pub(crate) fn bound_parts_that_differ(&self, before: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.root.keys().chain(before.root.keys()).collect();
        let differs = |name: &str| self.root.get(name) != before.root.get(name);
        let sections = names.into_iter().filter(|name| !LIVE.contains(&name.as_str()) && differs(name));
        let header = |name: &String| match self.root.get(name).or_else(|| before.root.get(name)) {
            Some(Value::Array(_)) => format!("[[{name}]]"),
            _ => format!("[{name}]"),
        };
        let key = |snapshot: &Self, key: &str| snapshot.root.get("policy").and_then(|policy| policy.get(key)).cloned();
        let keys = BOUND.iter().filter(|name| key(self, name) != key(before, name));
        sections.map(header).chain(keys.map(|name| format!("`{name}` of [policy]"))).collect()
    }

    /// What is different from before, by the names of rules.
    pub(crate) fn change_since(&self, before: Option<&Self>) -> Change {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |before| &before.rules);
        Change {
            added: self.rules.keys().filter(|name| !old.contains_key(*name)).count(),
            removed: old.keys().filter(|name| !self.rules.contains_key(*name)).count(),
            changed: self.rules.iter().filter(|(name, rule)| old.get(*name).is_some_and(|old| old != *rule)).count(),
            rules: self.rules.len(),
        }
    }
}

/// When each file was written last; a file that is not there differs from one that is.
pub(crate) fn stamps(snapshot: Option<&Snapshot>, path: &Path) -> Vec<Option<(SystemTime, u64)>> {
    let alone = [path.to_owned()];
    let files = snapshot.map_or(&alone[..], |snapshot| &snapshot.files);
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.toml");
        fs::write(&path, text).unwrap();
        Snapshot::read(&path).unwrap()
    }

    #[test]
    fn what_is_bound_to_sockets_and_sessions_is_named() {
        let base = "[admin]\naddress = '127.0.0.1:1'\n[[listener]]\nname = 'a'\n[[rule]]\nname = 'r'\n";
        let before = snapshot(base);
        for (text, expected) in [
            (base.replace("'r'", "'s'"), &[][..]),
            (format!("{base}[policy]\nwatch = true\n"), &[]),
            (base.replace("'a'", "'b'"), &["[[listener]]"]),
            (format!("{base}[limits]\nerrors = 3\n"), &["[limits]"]),
            (format!("{base}[policy]\nrecordings = {{ directory = 'x' }}\n"), &["`recordings` of [policy]"]),
            (base.replace("[admin]\naddress = '127.0.0.1:1'\n", ""), &["[admin]"]),
        ] {
            assert_eq!(snapshot(&text).bound_parts_that_differ(&before), expected, "{text}");
        }
    }

    #[test]
    fn a_change_is_told_by_the_names_of_rules() {
        let rule = |name: &str, action: &str| format!("[[rule]]\nname = '{name}'\naction = '{action}'\n");
        let before = snapshot(&[rule("a", "deny"), rule("b", "deny"), rule("c", "deny")].concat());
        let after = snapshot(&[rule("b", "allow"), rule("c", "deny"), rule("d", "deny"), rule("e", "deny")].concat());
        assert_eq!(after.change_since(Some(&before)), Change { added: 2, removed: 1, changed: 1, rules: 4 });
        assert_ne!(before.digest, after.digest);
    }
}
