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
use super::gauges;
use super::listener::accept_all;
use super::observe::LogWitness;
use super::plan::{Plan, PlannedListener, plan};
use super::record::Witnesses;
use super::reload::{self, InForce};
use crate::accept::bind;
use crate::admin::{self, Readiness, Served};
use crate::config::Config;
use crate::fault::Fault;
use crate::heavy::HeavyHitters;
use crate::hook::Hooks;
use crate::metrics::Metrics;
use crate::recording::{KeepSettings, Keeper};
use crate::reload::{ReloadHandle, ReloadSource};
use crate::session::Posture;
use crate::traces::Tracer;
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
    let mut witnesses = witnesses;
    witnesses.push(Arc::new(LogWitness::new()));
    let transcript = witnesses.iter().any(|witness| witness.wants_transcript());
    let metrics = Arc::new(metrics_for(&config)?);
    let (keep, watch) = (config.policy.recordings.clone(), config.policy.watch);
    let observing = config.listeners.iter().any(|listener| listener.posture == Posture::Observe);
    let plan = plan(config, transcript).map_err(RunError::Refused)?;
    let keeper = keep.map(keeper).transpose()?;
    let heavy = Arc::new(HeavyHitters::new());
    enlist(&mut witnesses, &plan, keeper, &metrics, &heavy);

    let admin = plan.admin.map(|address| bind_as("the admin endpoint", address)).transpose()?;
    let bound = bind_all(plan.listeners)?;
    let report = report(&bound, admin.as_ref().zip(plan.admin));

    let readiness = Arc::new(Readiness::starting());
    let (sessions, helpers) = (TaskTracker::new(), TaskTracker::new());
    let (admin_stop, traces_stop) = (CancellationToken::new(), CancellationToken::new());
    let tracer = plan.collector.map(|collector| {
        let (tracer, exporter) = collector.start(&metrics);
        helpers.spawn(exporter.run(traces_stop.clone()));
        tracer
    });
    if let Some(socket) = admin {
        let served = Served {
            metrics: Arc::clone(&metrics),
            heavy,
            readiness: Arc::clone(&readiness),
            reload: reloads.as_ref().map(|(handle, _)| handle.clone()),
            token: plan.token,
        };
        helpers.spawn(admin::serve(socket, served, admin_stop.clone()));
    }
    let in_force =
        InForce { policy: plan.policy, hooks: plan.hooks.clone(), metrics: Arc::clone(&metrics), observing, watch };
    in_force.tell_of_rules();
    if let Some((_, source)) = reloads {
        helpers.spawn(reload::serve(source, in_force, shutdown.clone()));
    }
    let shared =
        Shared { hooks: plan.hooks, witnesses: witnesses.into(), metrics, tracer, ids: Arc::new(AtomicU64::new(1)) };
    for (listener, socket) in bound {
        let door = Arc::new(shared.door(listener));
        helpers.spawn(accept_all(socket, door, sessions.clone(), shutdown.clone()));
    }
    readiness.ready();
    ready(&report);

    shutdown.cancelled().await;
    readiness.draining();
    end(&sessions, drain + FAREWELL).await;
    // the last spans come with the ends of the sessions
    traces_stop.cancel();
    admin_stop.cancel();
    helpers.close();
    helpers.wait().await;
    Ok(())
}

/// Whoever is configured to be told becomes a witness, and the metrics learn whom to ask.
fn enlist(
    witnesses: &mut Vec<Arc<dyn Witness>>,
    plan: &Plan,
    keeper: Option<Keeper>,
    metrics: &Arc<Metrics>,
    heavy: &Arc<HeavyHitters>,
) {
    if metrics.are_asked_for() {
        witnesses.push(Arc::<HeavyHitters>::clone(heavy));
        witnesses.push(Arc::<Metrics>::clone(metrics));
        gauges::of_plan(plan, metrics);
        plan.policy.measure(metrics.evaluations());
    }
    if let Some(keeper) = keeper {
        gauges::of_recordings(&keeper, metrics);
        witnesses.push(Arc::new(keeper));
    }
}

fn bind_all(listeners: Vec<PlannedListener>) -> Result<Vec<(PlannedListener, TcpListener)>, RunError> {
    let bound = listeners.into_iter().map(|listener| {
        let socket = bind_as(&format!("listener `{}`", listener.name), listener.address)?;
        Ok((listener, socket))
    });
    bound.collect()
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

fn keeper(settings: KeepSettings) -> Result<Keeper, RunError> {
    Keeper::start(&settings).map_err(|source| RunError::Keep { directory: settings.directory, source })
}

/// What all listeners share.
struct Shared {
    hooks: Hooks,
    witnesses: Witnesses,
    metrics: Arc<Metrics>,
    tracer: Option<Arc<Tracer>>,
    ids: Arc<AtomicU64>,
}

impl Shared {
    fn door(&self, listener: PlannedListener) -> Door {
        Door {
            name: listener.name.into(),
            protocol: listener.protocol,
            terms: listener.terms,
            acceptor: listener.acceptor,
            upstream: listener.upstream,
            hooks: self.hooks.clone(),
            witnesses: Arc::clone(&self.witnesses),
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            ids: Arc::clone(&self.ids),
        }
    }
}

/// Metrics of what is configured; without an endpoint nobody can ask for them.
fn metrics_for(config: &Config) -> Result<Metrics, RunError> {
    let listeners: Vec<_> =
        config.listeners.iter().map(|listener| (listener.name.clone(), listener.protocol)).collect();
    let upstreams: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let metrics = Metrics::new(&listeners, &upstreams).map_err(RunError::Metrics)?;
    Ok(if config.admin.is_some() { metrics } else { metrics.for_nobody() })
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
