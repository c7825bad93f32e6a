//! What the metrics ask for when somebody looks at them, and who knows it.

use super::plan::Plan;
use crate::metrics::{Certificate, Kept, Metrics, Minting};
use crate::recording::Keeper;
use crate::tls::Acceptor;

/// When certificates expire, how many sides are compressed, and what expressions could not be computed.
pub(super) fn of_plan(plan: &Plan, metrics: &Metrics) {
    if let Some(authority) = plan.authority.clone() {
        let expires = jiff::Timestamp::try_from(authority.not_after()).map(jiff::Timestamp::as_second).ok();
        metrics.certificate(Certificate::Authority, move || expires);
        metrics.authority(move || {
            let (minted, hits) = authority.minting();
            Minting { minted, hits }
        });
    }
    for listener in &plan.listeners {
        let expires = listener.acceptor.as_ref().and_then(Acceptor::expires);
        metrics.certificate(Certificate::Listener(&listener.name), move || expires);
        if let Some(connector) = listener.upstream.connector.clone() {
            metrics.certificate(Certificate::Upstream(&listener.upstream.name), move || connector.expires());
        }
    }
    let policy = plan.policy.clone();
    metrics.expressions(move || policy.current().expression_failures());
    let (limit, places) = plan.compression.clone();
    metrics.compression(limit, move || limit.saturating_sub(places.free()));
}

/// What became of the recordings that rules asked for.
pub(super) fn of_recordings(keeper: &Keeper, metrics: &Metrics) {
    let tally = keeper.tally();
    metrics.recordings(move || {
        let [begun, octets, failed, outrun] = tally.read();
        Kept { begun, octets, failed, outrun }
    });
}
