//! The queue's other end: spans are posted in batches, and whatever becomes of them is counted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::CancellationToken;

use super::otlp::{self, Resource, Span, Value};
use super::settings::Headers;
use super::{Share, Tracer, TracingSettings};
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::service::{Service, Unanswered};

/// Spans that wait to be posted, at most; one takes about 1 KiB.
const QUEUE: usize = 8192;
/// Spans posted at once.
const BATCH: usize = 512;
/// How long the first of a batch waits for more.
const GATHERED: Duration = Duration::from_secs(1);
/// How long to wait after each attempt that failed, before the next.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// A collector that can be posted to, and what it is posted.
pub(crate) struct Collector {
    share: Share,
    service: Service,
    headers: Headers,
    timeout: Duration,
}

/// Posts what is in the queue.
pub(crate) struct Exporter {
    queue: Receiver<Span>,
    collector: Collector,
    resource: Resource,
    metrics: Arc<Metrics>,
    pauses: [Duration; 4],
    /// The last delivery failed, and that was told.
    failing: bool,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("it did not answer within {0:?}")]
    Time(Duration),
    #[error("it said {0}")]
    Status(StatusCode),
}

impl Refusal {
    /// Whether it may be otherwise the next time (OTLP 1.x, "Failures" of OTLP/HTTP).
    fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) | Self::Time(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502..=504),
        }
    }
}

impl Collector {
    /// Makes what is needed to post; nothing is sent by that.
    ///
    /// # Errors
    /// When the headers or the roots cannot be read.
    pub(crate) fn new(settings: &TracingSettings) -> Result<Self, Fault> {
        let url = settings.endpoint.clone().or_path("/v1/traces");
        Ok(Self {
            share: settings.sample,
            service: Service::new("[tracing]", &url, &settings.roots)?,
            headers: settings.headers()?,
            timeout: settings.timeout,
        })
    }

    /// The queue's two ends.
    pub(crate) fn start(self, metrics: &Arc<Metrics>) -> (Arc<Tracer>, Exporter) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let tracer = Tracer { share: self.share, queue: sender, metrics: Arc::clone(metrics) };
        let (resource, metrics) = (resource(), Arc::clone(metrics));
        (Arc::new(tracer), Exporter { queue, collector: self, resource, metrics, pauses: PAUSES, failing: false })
    }

    /// Posts a document once; how many of its spans were not taken.
    async fn post(&self, document: Bytes) -> Result<u64, Refusal> {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::from_bytes(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((name.clone(), value))
        });
        let posted = self.service.post("application/x-protobuf", headers.collect(), document);
        let answer = tokio::time::timeout(self.timeout, posted).await.map_err(|_| Refusal::Time(self.timeout))??;
        if !answer.status.is_success() {
            return Err(Refusal::Status(answer.status));
        }
        Ok(answer.body.map_or(0, |body| otlp::rejected(&body)))
    }
}

/// What OpenTelemetry is to know of this process.
fn resource() -> Resource {
    let mut instance = [0; 8];
    // without it, two proxies of one name cannot be told apart
    let _filled = aws_lc_rs::rand::fill(&mut instance);
    let instance = format!("{:016x}", u64::from_ne_bytes(instance));
    vec![
        ("service.name", Value::Word("mailwarden")),
        ("service.version", Value::Word(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", Value::Name(instance.into())),
    ]
}

impl Exporter {
    /// Posts until `stop`, and then what is left, within the time of one delivery.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.gather(&mut batch) => {}
            }
            self.deliver(&mut batch, &stop).await;
        }
        let patience = self.collector.timeout;
        let rest = tokio::time::timeout(patience, self.deliver_rest(&mut batch)).await;
        if rest.is_err() || !batch.is_empty() {
            self.lost(&mut batch, &Refusal::Time(patience));
        }
        let mut left = 0;
        while self.queue.try_recv().is_ok() {
            left += 1;
        }
        self.metrics.spans("failed", left);
    }

    /// Waits for a batch. Cancel safe: what was taken from the queue is in `batch`.
    async fn gather(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() && self.queue.recv_many(batch, BATCH).await == 0 {
            // nobody is left who could put in anything
            std::future::pending::<()>().await;
        }
        let enough = tokio::time::sleep(GATHERED);
        tokio::pin!(enough);
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                () = &mut enough => break,
                taken = self.queue.recv_many(batch, BATCH - batch.len()) => if taken == 0 { break },
            }
        }
    }

    /// Posts a batch until it is taken, refused for good or too often; or until `stop`, when it may be left.
    async fn deliver(&mut self, batch: &mut Vec<Span>, stop: &CancellationToken) {
        for pause in self.pauses.map(Some).into_iter().chain([None]) {
            let Err(refusal) = self.attempt(batch).await else { return };
            match pause {
                Some(pause) if refusal.may_pass() => {
                    self.tell(&refusal);
                    if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
                _ => return self.lost(batch, &refusal),
            }
        }
    }

    /// Posts all there is, each batch once, until one is not taken.
    async fn deliver_rest(&mut self, batch: &mut Vec<Span>) {
        loop {
            while batch.len() < BATCH {
                let Ok(span) = self.queue.try_recv() else { break };
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            if let Err(refusal) = self.attempt(batch).await {
                return self.lost(batch, &refusal);
            }
        }
    }

    async fn attempt(&mut self, batch: &mut Vec<Span>) -> Result<(), Refusal> {
        let rejected = self.collector.post(otlp::request(&self.resource, batch).into()).await?;
        let count = batch.len() as u64;
        batch.clear();
        self.metrics.spans("refused", rejected.min(count));
        self.metrics.spans("exported", count.saturating_sub(rejected));
        if self.failing {
            self.failing = false;
            tracing::info!("traces are taken again");
        }
        Ok(())
    }

    fn lost(&mut self, batch: &mut Vec<Span>, refusal: &Refusal) {
        self.tell(refusal);
        self.metrics.spans(if refusal.may_pass() { "failed" } else { "refused" }, batch.len() as u64);
        batch.clear();
    }

    /// Once, until it is well again.
    fn tell(&mut self, refusal: &Refusal) {
        if !self.failing {
            self.failing = true;
            tracing::warn!(
                "traces are not taken by the collector of [tracing]: {refusal}; sessions go on, and what is lost is \
                 counted in mailwarden_trace_spans_total"
            );
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("service", &self.collector.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
