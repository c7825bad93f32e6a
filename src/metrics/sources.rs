//! What is not told but asked for at each scrape: certificates, the authority's counts, and the policy's.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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

type Expiry = Arc<dyn Fn() -> Option<i64> + Send + Sync>;
type Failures = Arc<dyn Fn() -> u64 + Send + Sync>;
type Minted = Arc<dyn Fn() -> Minting + Send + Sync>;

/// Who is asked. No session takes this lock; one scrape asks at a time.
#[derive(Default)]
pub(super) struct Sources(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    expiries: Vec<([String; 2], Expiry)>,
    minting: Option<Minted>,
    failures: Option<Failures>,
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
            let (made, had) = (&self.families.minted, &self.families.mint_hits);
            made.inc_by(minted.saturating_sub(made.get()));
            had.inc_by(hits.saturating_sub(had.get()));
        }
        if let Some(failures) = &asked.failures {
            let failed = &self.families.expression_failures;
            failed.inc_by(failures().saturating_sub(failed.get()));
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}
