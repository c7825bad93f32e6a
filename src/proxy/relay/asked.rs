//! Questions to services outside that are under way: asked beside the relay, which goes on in both directions.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::hook::Hooks;
use crate::metrics::Metrics;
use crate::policy::Question;
use crate::session::CommandId;

/// Whom to ask, and what was asked. A session without questions holds two pointers and an empty list.
pub(in crate::proxy) struct Asked {
    hooks: Hooks,
    metrics: Arc<Metrics>,
    pending: Vec<Pending>,
}

struct Pending {
    id: CommandId,
    answer: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Asked {
    pub(in crate::proxy) fn new(hooks: Hooks, metrics: Arc<Metrics>) -> Self {
        Self { hooks, metrics, pending: Vec::new() }
    }

    /// Begins to ask. How many questions a session may have is bounded by the session, which holds their commands.
    pub(super) fn ask(&mut self, id: CommandId, question: Question) {
        let answer = Box::pin(self.hooks.clone().ask(question, Arc::clone(&self.metrics)));
        self.pending.push(Pending { id, answer });
    }

    /// The next answer. Cancel safe: the questions are in `self`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(CommandId, bool)> {
        for at in 0..self.pending.len() {
            let Some(pending) = self.pending.get_mut(at) else { break };
            if let Poll::Ready(allowed) = pending.answer.as_mut().poll(cx) {
                let id = pending.id;
                drop(self.pending.swap_remove(at));
                return Poll::Ready((id, allowed));
            }
        }
        Poll::Pending
    }
}
