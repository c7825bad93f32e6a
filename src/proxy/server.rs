//! The whole proxy as one function: the binary and the end-to-end tests call it alike.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Door;
use super::listener::{accept_all, bind};
use super::observe::LogWitness;
use super::plan::{Plan, PlannedListener, plan};
use super::record::Witnesses;
use super::reload::{self, InForce, ReloadHandle, ReloadSource};
use crate::admin::{self, Readiness, Served};
use crate::config::Config;
use crate::fault::Fault;
use crate::heavy::HeavyHitters;
use crate::hook::Hooks;
use crate::metrics::{Certificate, Metrics, Minting};
use crate::recording::{KeepSettings, Keeper};
use crate::tls::Acceptor;
use crate::traces::Tracer;
use crate::wire::Protocol;
use crate::witness::Witness;

/// What a stop allows sessions beyond `limits.drain_timeout` for their farewell: a client that takes
/// nothing more needs 11 s of it (`relay::finish`).
const FAREWELL: Duration = Duration::from_secs(12);

/// What was bound, with the ports the system gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Listeners by name, in the order of the configuration.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin endpoint.
    pub admin: Option<SocketAddr>,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operator's configuration cannot be used.
    #[error("{}", Faults(.0))]
    Refused(Vec<Fault>),
    /// An address cannot be bound.
    #[error("{what} cannot listen on {address}: {source}; {}", bind_help(source))]
    Bind {
        /// The listener, or the admin endpoint.
        what: String,
        /// The configured address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory for the recordings that rules want cannot be used.
    #[error("recordings cannot be kept in {}: {source}; choose another `directory` in `recordings` of [policy]", directory.display())]
    Keep {
        /// The directory.
        directory: std::path::PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A fault of the proxy: the metrics contradict each other.
    #[error("the metrics cannot be set up")]
    Metrics(#[source] prometheus::Error),
}

/// Like [`run_reloading`], for a proxy whose configuration does not change.
///
/// # Errors
/// When the configuration cannot be used or an address cannot be bound; nothing has been started.
pub async fn run(
    config: Config,
    witnesses: Vec<Arc<dyn Witness>>,
    ready: impl FnOnce(&Bound),
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    Box::pin(run_reloading(config, None, witnesses, ready, shutdown)).await
}

/// Runs the proxy until `shutdown`, then lets busy sessions finish for `limits.drain_timeout`.
/// `ready` is called once, when every address is bound. With `reloads` the policy of the configuration's file
/// can be put in force anew.
///
/// # Errors
/// When the configuration cannot be used or an address cannot be bound; nothing has been started.
pub async fn run_reloading(
    config: Config,
    reloads: Option<(ReloadHandle, ReloadSource)>,
    witnesses: Vec<Arc<dyn Witness>>,
    ready: impl FnOnce(&Bound),
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let drain = config.limits.drain_timeout;
    let mut witnesses = [witnesses, vec![Arc::new(LogWitness::new())]].concat();
    let transcript = witnesses.iter().any(|witness| witness.wants_transcript());
    let (names, upstreams) = names(&config);
    let (keep, watch) = (config.policy.recordings.clone(), config.policy.watch);
    let plan = plan(config, transcript).map_err(RunError::Refused)?;
    if let Some(settings) = keep {
        witnesses.push(Arc::new(keeper(settings)?));
    }
    let metrics = Metrics::new(&names, &upstreams).map_err(RunError::Metrics)?;
    let metrics = Arc::new(if plan.admin.is_some() { metrics } else { metrics.for_nobody() });
    let heavy = Arc::new(HeavyHitters::new());
    if metrics.are_asked_for() {
        witnesses.push(Arc::<HeavyHitters>::clone(&heavy));
        witnesses.push(Arc::<Metrics>::clone(&metrics));
        certificates(&plan, &metrics);
    }

    let admin = plan.admin.map(|address| bind_as("the admin endpoint", address)).transpose()?;
    let bound = plan.listeners.into_iter().map(|listener| {
        let socket = bind_as(&format!("listener `{}`", listener.name), listener.address)?;
        Ok((listener, socket))
    });
    let bound = bound.collect::<Result<Vec<_>, RunError>>()?;
    let report = report(&bound, admin.as_ref().zip(plan.admin));

    let readiness = Arc::new(Readiness::starting());
    let (sessions, helpers) = (TaskTracker::new(), TaskTracker::new());
    // metrics are shown, and traces posted, to the end of the last session
    let late_stop = CancellationToken::new();
    let tracer = plan.collector.map(|collector| {
        let (tracer, exporter) = collector.start(&metrics);
        helpers.spawn(exporter.run(late_stop.clone()));
        tracer
    });
    if let Some(socket) = admin {
        let reload = reloads.as_ref().map(|(handle, _)| handle.clone());
        let served = Served { metrics: Arc::clone(&metrics), heavy, readiness: Arc::clone(&readiness), reload };
        helpers.spawn(admin::serve(socket, served, late_stop.clone()));
    }
    if let Some((_, source)) = reloads {
        let (policy, hooks, metrics) = (plan.policy, plan.hooks.clone(), Arc::clone(&metrics));
        let in_force = InForce { policy, hooks, metrics, watch };
        helpers.spawn(reload::serve(source, in_force, shutdown.clone()));
    }
    let witnesses: Witnesses = witnesses.into();
    let ids = Arc::new(AtomicU64::new(1));
    for (listener, socket) in bound {
        let shared = Shared { hooks: &plan.hooks, witnesses: &witnesses, metrics: &metrics, tracer: tracer.as_ref() };
        let door = door(listener, &shared, &ids);
        helpers.spawn(accept_all(socket, door, sessions.clone(), shutdown.clone()));
    }
    readiness.ready();
    ready(&report);

    shutdown.cancelled().await;
    readiness.draining();
    end(&sessions, drain + FAREWELL).await;
    late_stop.cancel();
    helpers.close();
    helpers.wait().await;
    Ok(())
}

/// The names of listeners, with their protocols, and of upstreams.
fn names(config: &Config) -> (Vec<(String, Protocol)>, Vec<String>) {
    let listeners = config.listeners.iter().map(|listener| (listener.name.clone(), listener.protocol));
    (listeners.collect(), config.upstreams.iter().map(|upstream| upstream.name.clone()).collect())
}

fn report(bound: &[(PlannedListener, TcpListener)], admin: Option<(&TcpListener, SocketAddr)>) -> Bound {
    let listeners = bound.iter().map(|(listener, socket)| (listener.name.clone(), local(socket, listener.address)));
    Bound { listeners: listeners.collect(), admin: admin.map(|(socket, address)| local(socket, address)) }
}

/// Waits for the sessions to finish what they are doing, for so long at most.
async fn end(sessions: &TaskTracker, patience: Duration) {
    sessions.close();
    if tokio::time::timeout(patience, sessions.wait()).await.is_err() {
        tracing::warn!(sessions = sessions.len(), "sessions were cut off: they did not end in time");
    }
}

/// Tells the metrics whom to ask for certificates.
fn certificates(plan: &Plan, metrics: &Metrics) {
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
}

fn keeper(settings: KeepSettings) -> Result<Keeper, RunError> {
    Keeper::start(&settings).map_err(|source| RunError::Keep { directory: settings.directory, source })
}

/// What all listeners share.
struct Shared<'a> {
    hooks: &'a Hooks,
    witnesses: &'a Witnesses,
    metrics: &'a Arc<Metrics>,
    tracer: Option<&'a Arc<Tracer>>,
}

fn door(listener: PlannedListener, shared: &Shared<'_>, ids: &Arc<AtomicU64>) -> Arc<Door> {
    Arc::new(Door {
        name: listener.name.into(),
        protocol: listener.protocol,
        terms: listener.terms,
        acceptor: listener.acceptor,
        upstream: listener.upstream,
        hooks: shared.hooks.clone(),
        witnesses: Arc::clone(shared.witnesses),
        metrics: Arc::clone(shared.metrics),
        tracer: shared.tracer.map(Arc::clone),
        ids: Arc::clone(ids),
    })
}

fn bind_as(what: &str, address: SocketAddr) -> Result<TcpListener, RunError> {
    bind(address).map_err(|source| RunError::Bind { what: what.to_owned(), address, source })
}

fn local(socket: &TcpListener, configured: SocketAddr) -> SocketAddr {
    socket.local_addr().unwrap_or(configured)
}

fn bind_help(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's reasons are an open set")]
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port",
        io::ErrorKind::PermissionDenied => {
            "ports under 1024 need CAP_NET_BIND_SERVICE: grant it, or choose a higher port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has the address: use one of its own, or 0.0.0.0"
        }
        _ => "choose another address",
    }
}

struct Faults<'a>(&'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}error[{}]: {}\n  help: {}", fault.code, fault.sentence, fault.help)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_and_nothing_runs() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let text = format!(
            "[[listener]]\nname = \"l\"\naddress = \"{address}\"\nprotocol = \"pop3\"\ntls = \"none\"\nupstream = \"u\"\n\
             [[upstream]]\nname = \"u\"\naddress = \"127.0.0.1:1\"\ntls = \"none\""
        );
        let config = toml::from_str(&text).unwrap();
        let error = run(config, Vec::new(), |_| panic!("it is not ready"), CancellationToken::new()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("listener `l`") && said.contains(&address.to_string()), "{said}");
        assert!(said.contains("another program"), "{said}");
    }

    #[test]
    fn faults_are_shown_with_code_and_help() {
        let fault = Fault::new(crate::fault::Code::NoListener, "there is no [[listener]]", "add one");
        insta::assert_snapshot!(RunError::Refused(vec![fault]).to_string(), @"
        error[MW-1307]: there is no [[listener]]
          help: add one
        ");
    }
}
