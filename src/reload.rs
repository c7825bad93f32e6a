//! Asking the running proxy to read its configuration again, and what comes of it.
//!
//! Who asks (a signal, the admin endpoint) knows nothing of the proxy; who answers is a task of its own in `proxy`.

mod snapshot;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

pub(crate) use self::snapshot::{Snapshot, stamps};

/// Asks the running proxy to reload.
#[derive(Debug, Clone)]
pub struct ReloadHandle(mpsc::Sender<Request>);

/// The other end, for [`run_reloading`](crate::proxy::run_reloading).
#[derive(Debug)]
pub struct ReloadSource {
    pub(crate) path: PathBuf,
    /// As the files were before the proxy read them, so that no change between goes unseen.
    pub(crate) current: Option<Snapshot>,
    pub(crate) requests: mpsc::Receiver<Request>,
}

/// Somebody asks, and waits for the answer.
#[derive(Debug)]
pub(crate) struct Request {
    /// The word for the log.
    pub(crate) why: &'static str,
    pub(crate) answer: oneshot::Sender<Outcome>,
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
