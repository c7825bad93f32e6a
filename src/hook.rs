//! Services outside that decide about single commands: asked by HTTP, with a document of facts, in bounded time.
//!
//! The question is the future of the session that asks, so a session that ends takes its question along. There
//! is no connection that is kept: what is asked often is answered by the cache. Whatever goes wrong (no
//! connection, no answer in time, an answer that is none) counts as the hook's `on_failure` says.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hyper::StatusCode;
use quick_cache::sync::Cache;
use serde::Deserialize;
use tokio::sync::Semaphore;

pub use settings::{HookSettings, HookUrl, HookUrlError, OnFailure};

use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::policy::Question;
use crate::service::{Service, Unanswered};

/// Answers that a hook remembers.
const REMEMBERED: usize = 4096;
/// Questions that a hook is asked at a time; more wait, within their own time.
const AT_A_TIME: usize = 64;

/// All hooks, replaced as a whole.
#[derive(Debug, Clone)]
pub struct Hooks(Arc<ArcSwap<ByName>>);

type ByName = BTreeMap<Arc<str>, Arc<Hook>>;

/// A set of hooks that is made and not yet asked.
#[derive(Debug, Default)]
pub struct HookSet(ByName);

/// One service.
struct Hook {
    name: Arc<str>,
    service: Service,
    timeout: Duration,
    remember: Duration,
    on_failure: OnFailure,
    permits: Semaphore,
    answers: Cache<[u8; 32], (bool, Instant)>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.name).field("service", &self.service).finish_non_exhaustive()
    }
}

/// What a service answers: `{"allow": true}`. Fields beside it are left alone.
#[derive(Deserialize)]
struct Answer {
    allow: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error(transparent)]
    Exchange(#[from] Unanswered),
    #[error("it said {0}")]
    Status(StatusCode),
    #[error("its answer is longer than 16 KiB, or broke off")]
    Body,
    #[error("its answer is not `{{\"allow\": true}}` or `{{\"allow\": false}}`")]
    Answer,
    #[error("it did not answer within {0:?}")]
    Time(Duration),
    #[error("no hook of this name is configured any more")]
    Unknown,
}

impl HookSet {
    /// Makes hooks; no service is asked by that.
    ///
    /// # Errors
    /// When the roots of one cannot be read.
    pub fn new(settings: &[HookSettings]) -> Result<Self, Fault> {
        settings
            .iter()
            .map(|settings| Hook::new(settings).map(|hook| (Arc::clone(&hook.name), Arc::new(hook))))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Hooks {
    /// Hooks in force.
    #[must_use]
    pub fn new(set: HookSet) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(set.0)))
    }

    /// Puts other hooks in force; questions under way are answered by those that were asked.
    pub fn replace(&self, set: HookSet) {
        self.0.store(Arc::new(set.0));
    }

    /// Asks; whether the command is allowed.
    pub(crate) async fn ask(self, question: Question, metrics: Arc<Metrics>) -> bool {
        let hook = self.0.load().get(&question.hook).map(Arc::clone);
        let Some(hook) = hook else {
            tracing::error!(hook = %question.hook, rule = %question.rule, "{}", Silence::Unknown);
            return false;
        };
        hook.decide(question, &metrics).await
    }
}

impl Hook {
    fn new(settings: &HookSettings) -> Result<Self, Fault> {
        Ok(Self {
            name: settings.name.as_str().into(),
            service: Service::new(&format!("hook `{}`", settings.name), &settings.url.0, &settings.roots)?,
            timeout: settings.timeout,
            remember: settings.cache,
            on_failure: settings.on_failure,
            permits: Semaphore::new(AT_A_TIME),
            answers: Cache::new(REMEMBERED),
        })
    }

    async fn decide(&self, question: Question, metrics: &Metrics) -> bool {
        let Question { rule, document, .. } = question;
        let began = now();
        let key = digest(document.as_bytes());
        if let Some((allowed, _)) = self.answers.get(&key).filter(|(_, until)| began < *until) {
            metrics.hook_asked("cached", Duration::ZERO);
            return allowed;
        }
        let asked = tokio::time::timeout(self.timeout, self.post(document));
        let outcome = asked.await.unwrap_or(Err(Silence::Time(self.timeout)));
        let took = now() - began;
        match outcome {
            Ok(allowed) => {
                metrics.hook_asked(if allowed { "allowed" } else { "denied" }, took);
                if !self.remember.is_zero() {
                    self.answers.insert(key, (allowed, now() + self.remember));
                }
                tracing::debug!(hook = %self.name, %rule, allowed, "a hook has decided");
                allowed
            }
            Err(silence) => {
                metrics.hook_asked("failed", took);
                let allowed = self.on_failure == OnFailure::Allow;
                tracing::warn!(hook = %self.name, %rule, allowed, "a hook gave no answer: {silence}");
                allowed
            }
        }
    }

    async fn post(&self, document: String) -> Result<bool, Silence> {
        // the semaphore is never closed
        let _permit = self.permits.acquire().await;
        let answer = self.service.post("application/json", Vec::new(), document.into()).await?;
        if answer.status != StatusCode::OK {
            return Err(Silence::Status(answer.status));
        }
        let octets = answer.body.ok_or(Silence::Body)?;
        serde_json::from_slice(&octets).map(|answer: Answer| answer.allow).map_err(|_| Silence::Answer)
    }
}

fn digest(octets: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    key
}

/// The clock of the shell, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
