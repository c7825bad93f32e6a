//! What is not told but asked for at each scrape: certificates, what is in use of what is limited, and the counts of
//! those who count for themselves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntCounter;

use super::Metrics;

/// Whose certificate it is: values of the labels `usage` and `name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate<'a> {
    /// What a listener shows from files.
    Listener(&'a str),
    /// The local authority's own.
    Authority,
    /// What an upstream showed.
    Upstream(&'a str),
}

/// How often the authority made a certificate, and how often it had one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Minting {
    pub(crate) minted: u64,
    pub(crate) hits: u64,
}

/// What became of the recordings that rules want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) begun: u64,
    pub(crate) octets: u64,
    /// The file could not be made or written.
    pub(crate) failed: u64,
    /// The disk was slower than what was to be kept.
    pub(crate) outrun: u64,
}

type Expiry = Arc<dyn Fn() -> Option<i64> + Send + Sync>;
type Failures = Arc<dyn Fn() -> u64 + Send + Sync>;
type Minted = Arc<dyn Fn() -> Minting + Send + Sync>;
type Used = Arc<dyn Fn() -> usize + Send + Sync>;
type Keeping = Arc<dyn Fn() -> Kept + Send + Sync>;

/// Who is asked. No session takes this lock; one scrape asks at a time.
#[derive(Default)]
pub(super) struct Sources(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    expiries: Vec<([String; 2], Expiry)>,
    minting: Option<Minted>,
    failures: Option<Failures>,
    /// By listener: its connections.
    connections: Vec<(String, Used)>,
    compressed: Option<Used>,
    kept: Option<Keeping>,
}

impl Metrics {
    /// `expiry` tells when the certificate expires, in seconds since 1970, as soon as that is known.
    pub(crate) fn certificate(&self, whose: Certificate<'_>, expiry: impl Fn() -> Option<i64> + Send + Sync + 'static) {
        let labels = match whose {
            Certificate::Listener(name) => ["listener", name],
            Certificate::Authority => ["authority", "authority"],
            Certificate::Upstream(name) => ["upstream", name],
        };
        let labels = labels.map(ToOwned::to_owned);
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.expiries.retain(|(known, _)| *known != labels);
        asked.expiries.push((labels, Arc::new(expiry)));
    }

    /// `minting` tells what the authority did so far.
    pub(crate) fn authority(&self, minting: impl Fn() -> Minting + Send + Sync + 'static) {
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.minting = Some(Arc::new(minting));
    }

    /// `failures` tells how often an expression of a rule could not be computed so far.
    pub(crate) fn expressions(&self, failures: impl Fn() -> u64 + Send + Sync + 'static) {
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.failures = Some(Arc::new(failures));
    }

    /// A listener takes `limit` connections at a time; `used` tells how many it has.
    pub(crate) fn connections(&self, listener: &str, limit: usize, used: impl Fn() -> usize + Send + Sync + 'static) {
        self.families.connections_limit.with_label_values(&[listener]).set(gauged(limit));
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.connections.push((listener.to_owned(), Arc::new(used)));
    }

    /// `limit` sides may be compressed at a time; `used` tells how many are.
    pub(crate) fn compression(&self, limit: usize, used: impl Fn() -> usize + Send + Sync + 'static) {
        self.families.compressed_limit.set(gauged(limit));
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.compressed = Some(Arc::new(used));
    }

    /// `kept` tells what became of recordings so far.
    pub(crate) fn recordings(&self, kept: impl Fn() -> Kept + Send + Sync + 'static) {
        let mut asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.kept = Some(Arc::new(kept));
    }

    /// Asks, before a scrape.
    pub(super) fn refresh(&self) {
        let asked = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, expiry) in &asked.expiries {
            if let Some(at) = expiry() {
                self.families.expiry.with_label_values(labels).set(at);
            }
        }
        if let Some(minting) = &asked.minting {
            let Minting { minted, hits } = minting();
            raise(&self.families.minted, minted);
            raise(&self.families.mint_hits, hits);
        }
        for (listener, used) in &asked.connections {
            self.families.connections.with_label_values(&[listener]).set(gauged(used()));
        }
        if let Some(used) = &asked.compressed {
            self.families.compressed_sides.set(gauged(used()));
        }
        if let Some(kept) = &asked.kept {
            let Kept { begun, octets, failed, outrun } = kept();
            raise(&self.families.recordings, begun);
            raise(&self.families.recording_bytes, octets);
            raise(&self.families.recording_failures.with_label_values(&["disk"]), failed);
            raise(&self.families.recording_failures.with_label_values(&["busy"]), outrun);
        }
        if let Some(failures) = &asked.failures {
            raise(&self.families.expression_failures, failures());
        }
    }
}

/// A counter follows whoever counts for itself.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}
