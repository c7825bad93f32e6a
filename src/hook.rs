//! Services outside that decide about single commands: asked by HTTP, with a document of facts, in bounded time.
//!
//! The question is the future of the session that asks, so a session that ends takes its question along. There
//! is no connection that is kept: what is asked often is answered by the cache. Whatever goes wrong (no
//! connection, no answer in time, an answer that is none) counts as the hook's `on_failure` says.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use quick_cache::sync::Cache;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

pub use settings::{HookSettings, HookUrl, HookUrlError, OnFailure};

use crate::fault::{Code, Fault, plain};
use crate::metrics::Metrics;
use crate::policy::Question;

/// Answers that a hook remembers.
const REMEMBERED: usize = 4096;
/// Questions that a hook is asked at a time; more wait, within their own time.
const AT_A_TIME: usize = 64;
/// Octets of an answer.
const LONGEST: usize = 16 << 10;

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
    url: HookUrl,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
    remember: Duration,
    on_failure: OnFailure,
    permits: Semaphore,
    answers: Cache<[u8; 32], (bool, Instant)>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
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
    #[error("it cannot be reached: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the exchange broke: {0}")]
    Http(#[source] hyper::Error),
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
        let tls = settings.url.tls.then(|| {
            let name = ServerName::try_from(settings.url.host.clone()).map_err(|_| {
                let sentence = format!("hook `{}`: `{}` is no host name", settings.name, plain(&settings.url.host));
                Fault::new(Code::ServerName, sentence, "write the name in the service's certificate")
            })?;
            Ok::<_, Fault>((crate::tls::client_config(&settings.roots)?, name))
        });
        Ok(Self {
            name: settings.name.as_str().into(),
            url: settings.url.clone(),
            tls: tls.transpose()?,
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
        let connected = TcpStream::connect((self.url.host.as_str(), self.url.port)).await;
        let tcp = connected.map_err(Silence::Connect)?;
        match &self.tls {
            None => self.exchange(tcp, document).await,
            Some((config, name)) => {
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name.clone(), tcp).await.map_err(Silence::Connect)?;
                Box::pin(self.exchange(tls, document)).await
            }
        }
    }

    async fn exchange<IO>(&self, io: IO, document: String) -> Result<bool, Silence>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(Silence::Http)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url.path)
            .header(HOST, &self.url.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("mailwarden/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(document)))
            .expect("the path and the host are parts of an address that was parsed");
        let mut answer = pin!(async move {
            let response = sender.send_request(request).await.map_err(Silence::Http)?;
            if response.status() != StatusCode::OK {
                return Err(Silence::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let octets = body.map_err(|_| Silence::Body)?.to_bytes();
            serde_json::from_slice(&octets).map(|answer: Answer| answer.allow).map_err(|_| Silence::Answer)
        });
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // what was read before the end is still to be looked at
            _ended = &mut connection => answer.await,
        }
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
