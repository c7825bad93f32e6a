//! A new policy for sessions that go on: the configuration is read again as a whole, and put in force or not at all.
//!
//! Rules, hooks and what belongs to them change live; everything else is bound to sockets and sessions that exist.
//! If anything else in the file has changed too, nothing is put in force, and what needs a restart is named: two
//! halves of a file that were never meant to run together never do.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use super::plan::policy;
use crate::config::{Loaded, Paint};
use crate::hook::{HookSet, Hooks};
use crate::metrics::Metrics;
use crate::policy::PolicyHandle;

/// How often files are looked at whether they have changed.
const WATCH: Duration = Duration::from_secs(2);
/// Sections that change without a restart.
const LIVE: &[&str] = &["rule", "group", "hook", "policy"];
/// Keys of `[policy]` that do not.
const BOUND: &[&str] = &["recordings"];

/// Asks the running proxy to reload.
#[derive(Debug, Clone)]
pub struct ReloadHandle(mpsc::Sender<Request>);

/// The other end, for [`run`](super::run).
#[derive(Debug)]
pub struct ReloadSource {
    path: PathBuf,
    /// As the files were before the proxy read them, so that no change between goes unseen.
    current: Option<Snapshot>,
    requests: mpsc::Receiver<Request>,
}

#[derive(Debug)]
struct Request {
    why: &'static str,
    answer: oneshot::Sender<Outcome>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The file's policy is in force.
    Applied(Change),
    /// The file is as it was.
    Unchanged,
    /// These parts of the file have changed and need a restart; nothing was put in force.
    RestartNeeded(Vec<String>),
    /// The file cannot be used, and this is why; nothing was put in force.
    Refused(String),
    /// The proxy is being stopped, or was started without a file.
    NotNow,
}

/// What a reload changed, by the names of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Rules there were not.
    pub added: usize,
    /// Rules there are not any more.
    pub removed: usize,
    /// Rules that say something else.
    pub changed: usize,
    /// Rules there are.
    pub rules: usize,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(Change { added, removed, changed, rules }) => write!(
                f,
                "the new policy is in force: {rules} rules; {added} added, {removed} removed, {changed} changed"
            ),
            Self::Unchanged => f.write_str("the configuration is as it was"),
            Self::RestartNeeded(parts) => write!(f, "nothing was changed; restart needed for: {}", parts.join(", ")),
            Self::Refused(why) => write!(f, "nothing was changed; the configuration cannot be used:\n{why}"),
            Self::NotNow => f.write_str("nothing was changed: this proxy does not reload now"),
        }
    }
}

impl Outcome {
    /// The word for logs and metrics.
    #[must_use]
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Unchanged => "unchanged",
            Self::RestartNeeded(_) => "restart_needed",
            Self::Refused(_) | Self::NotNow => "refused",
        }
    }

    /// Whether what the file says is in force.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        matches!(self, Self::Applied(_) | Self::Unchanged)
    }
}

impl ReloadHandle {
    /// A handle for a proxy that is going to be started with the configuration in this file: to be made before that
    /// is read.
    #[must_use]
    pub fn new(path: &Path) -> (Self, ReloadSource) {
        let (sender, requests) = mpsc::channel(4);
        (Self(sender), ReloadSource { path: path.to_owned(), current: Snapshot::read(path).ok(), requests })
    }

    /// Reads the configuration again; `why` is the word for the log.
    pub async fn reload(&self, why: &'static str) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        if self.0.send(Request { why, answer }).await.is_err() {
            return Outcome::NotNow;
        }
        outcome.await.unwrap_or(Outcome::NotNow)
    }
}

/// What a reload replaces.
pub(super) struct InForce {
    pub(super) policy: PolicyHandle,
    pub(super) hooks: Hooks,
    pub(super) metrics: Arc<Metrics>,
    /// On a listener nothing is enforced.
    pub(super) observing: bool,
    pub(super) watch: bool,
}

impl InForce {
    /// Whoever counts what rules decide learns which there are.
    pub(super) fn tell_of_rules(&self) {
        if self.metrics.are_asked_for() {
            self.metrics.rules_in_force(&self.policy.current(), self.observing);
        }
    }
}

/// Reloads when asked, and when a file has changed, until the proxy stops.
pub(super) async fn serve(source: ReloadSource, mut in_force: InForce, stop: CancellationToken) {
    let ReloadSource { path, mut current, mut requests } = source;
    in_force.metrics.in_force(Some(jiff::Timestamp::now().as_second()));
    let mut seen = stamps(current.as_ref(), &path);
    let mut watch = tokio::time::interval(WATCH);
    watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let request = tokio::select! {
            () = stop.cancelled() => return,
            request = requests.recv() => request,
            _ = watch.tick(), if in_force.watch => {
                if stamps(current.as_ref(), &path) == seen {
                    continue;
                }
                None
            }
        };
        let why = request.as_ref().map_or("file", |request| request.why);
        // a change while it is read is seen the next time
        let before = stamps(current.as_ref(), &path);
        let outcome = reload(&path, &mut current, &mut in_force).await;
        seen = if outcome.is_in_force() { stamps(current.as_ref(), &path) } else { before };
        tell(why, &path, current.as_ref(), &outcome, &in_force.metrics);
        if let Some(request) = request {
            // who asked may have gone
            let _gone = request.answer.send(outcome);
        }
    }
}

async fn reload(path: &Path, current: &mut Option<Snapshot>, in_force: &mut InForce) -> Outcome {
    let file = path.to_owned();
    // reading and compiling may take long with many rules: not on a worker that has sessions to serve
    let read = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::read(&file).map_err(|error| format!("{}: {error}", file.display()));
        let loaded = Loaded::read(&file).map_err(|errors| errors.render(Paint::Plain))?;
        let snapshot = snapshot?;
        let hooks = HookSet::new(&loaded.config.hooks).map_err(|fault| format!("{fault}\n  help: {}", fault.help))?;
        let watch = loaded.config.policy.watch;
        Ok::<_, String>((policy(&loaded.config), hooks, watch, snapshot))
    });
    let (policy, hooks, watch, snapshot) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => return Outcome::Refused(why),
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    if let Some(before) = current {
        if before.digest == snapshot.digest {
            return Outcome::Unchanged;
        }
        let bound = snapshot.bound_parts_that_differ(before);
        if !bound.is_empty() {
            return Outcome::RestartNeeded(bound);
        }
    }
    let change = snapshot.change_since(current.as_ref());
    in_force.hooks.replace(hooks);
    in_force.policy.replace(policy);
    in_force.watch = watch;
    in_force.tell_of_rules();
    *current = Some(snapshot);
    Outcome::Applied(change)
}

fn tell(why: &str, path: &Path, current: Option<&Snapshot>, outcome: &Outcome, metrics: &Metrics) {
    let result = outcome.as_label();
    metrics.reloaded(result, outcome.is_in_force().then(|| jiff::Timestamp::now().as_second()));
    let (file, sha256) = (path.display(), current.map_or("", |snapshot| &snapshot.digest));
    match outcome {
        Outcome::Applied(Change { added, removed, changed, rules }) => {
            tracing::info!(why, result, %file, sha256, rules, added, removed, changed, "configuration reloaded");
        }
        Outcome::Unchanged => tracing::info!(why, result, %file, sha256, "configuration reloaded"),
        Outcome::RestartNeeded(_) | Outcome::Refused(_) | Outcome::NotNow => {
            tracing::error!(why, result, %file, sha256, "configuration not reloaded: {outcome}");
        }
    }
}

/// The files of a configuration as they were read.
#[derive(Debug)]
struct Snapshot {
    /// SHA-256 over all files, in hexadecimal digits.
    digest: String,
    root: Table,
    rules: BTreeMap<String, Value>,
    files: Vec<PathBuf>,
}

impl Snapshot {
    fn read(path: &Path) -> std::io::Result<Self> {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let files = crate::config::files_of(path);
        let (mut root, mut rules) = (Table::new(), BTreeMap::new());
        for (number, file) in files.iter().enumerate() {
            let octets = std::fs::read(file)?;
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
    fn bound_parts_that_differ(&self, before: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.root.keys().chain(before.root.keys()).collect();
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

    fn change_since(&self, before: Option<&Self>) -> Change {
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
fn stamps(snapshot: Option<&Snapshot>, path: &Path) -> Vec<Option<(SystemTime, u64)>> {
    let alone = [path.to_owned()];
    let files = snapshot.map_or(&alone[..], |snapshot| &snapshot.files);
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
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
        std::fs::write(&path, text).unwrap();
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
