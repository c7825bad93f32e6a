//! Traces for `OpenTelemetry`: a sampled session is a trace, each of its commands a span.
//!
//! - `session`: what a session reports becomes spans. It belongs to the session's task, so there is no lock and
//!   nothing is looked up; a session that is not sampled has none.
//! - `export`: a bounded queue, and the task that posts what is in it (OTLP over HTTP). Whatever is wrong with the
//!   collector, a session only ever tries to put a span into the queue.
//! - `otlp`: the twelve messages of the protocol that are needed, by hand: it is stable, and its libraries are fourteen
//!   crates with a queue of their own that does not tell what it drops.
//!
//! No span holds a user, an address, a mailbox, a tag or anything else that a peer chose: words of closed sets,
//! names of the configuration, numbers and times.

mod export;
mod otlp;
mod session;
mod settings;

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

pub(crate) use self::export::Collector;
use self::otlp::Span;
pub(crate) use self::session::SessionTrace;
pub use self::settings::{Share, ShareError, TracingSettings};
use crate::metrics::Metrics;
use crate::witness::TraceId;

/// Chooses sessions, and takes their spans.
pub(crate) struct Tracer {
    share: Share,
    queue: Sender<Span>,
    metrics: Arc<Metrics>,
}

impl Tracer {
    /// The trace of the session that begins, if it is one of the sample.
    pub(crate) fn choose(&self) -> Option<TraceId> {
        TraceId::random().filter(|id| self.share.holds(*id))
    }

    /// Puts a span into the queue, or drops and counts it.
    fn put(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.metrics.spans("queue_full", 1);
        }
    }

    /// A session has too many commands for one trace.
    fn left_out(&self) {
        self.metrics.spans("session_full", 1);
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("share", &self.share).finish_non_exhaustive()
    }
}
