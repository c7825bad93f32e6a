//! A new policy for sessions that go on: the configuration is read again as a whole, and put in force or not at all.
//!
//! Rules, hooks and what belongs to them change live; everything else is bound to sockets and sessions that exist.
//! If anything else in the file has changed too, nothing is put in force, and what needs a restart is named: two
//! halves of a file that were never meant to run together never do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::policy;
use crate::config::{Loaded, Paint};
use crate::hook::{HookSet, Hooks};
use crate::metrics::Metrics;
use crate::policy::PolicyHandle;
use crate::reload::{Change, Outcome, ReloadSource, Snapshot, stamps};

/// How often files are looked at whether they have changed.
const WATCH: Duration = Duration::from_secs(2);
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
