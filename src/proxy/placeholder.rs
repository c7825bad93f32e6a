//! Stands where the proxy's entry point comes, with its signature.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::witness::Witness;

/// Where the proxy listens.
#[derive(Debug)]
pub struct Bound {
    /// Each listener's name and address.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The address of metrics and health.
    pub admin: Option<SocketAddr>,
}

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
#[error("this build has no proxy")]
pub struct RunError;

/// Serves until `shutdown` is cancelled and the sessions are drained.
pub async fn run(
    _config: Config,
    _witnesses: Vec<Arc<dyn Witness>>,
    _ready: impl FnOnce(&Bound),
    _shutdown: CancellationToken,
) -> Result<(), RunError> {
    std::future::ready(Err(RunError)).await
}
