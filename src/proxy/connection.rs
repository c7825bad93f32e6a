//! One connection, as a straight line: the client's TLS, the upstream, the relay. The upstream is
//! connected and verified before an octet of the client's protocol is read and before the client
//! is greeted, so no client is led to a server it would not have trusted itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::record::{Record, Witnesses};
use super::relay::{Asked, Layers, Peer, Relay, now};
use super::stream::{Stream, for_rules};
use super::upstream::{Upstream, prepare};
use crate::fault::Fault;
use crate::hook::Hooks;
use crate::metrics::Metrics;
use crate::policy::{ClientTls, Connection};
use crate::session::{CloseReason, Inboxes, Outbox, Session, Setup, Terms, TlsMode};
use crate::tls::Acceptor;
use crate::traces::Tracer;
use crate::wire::{Protocol, Side};
use crate::witness::{SessionInfo, TlsFacts};

/// What all connections of one listener share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) terms: Arc<Terms>,
    /// Absent where TLS towards clients is `none`.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) hooks: Hooks,
    pub(super) witnesses: Witnesses,
    pub(super) metrics: Arc<Metrics>,
    /// Absent where no session is traced.
    pub(super) tracer: Option<Arc<Tracer>>,
    /// Numbers the sessions of the whole process.
    pub(super) ids: Arc<AtomicU64>,
}

impl Door {
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn session(&self, connection: Arc<Connection>, client_tls: Option<ClientTls>) -> Box<dyn Session + Send> {
        let mut seed = [0; 8];
        // without randomness the tags of our own commands can be guessed, which costs little
        let _filled = aws_lc_rs::rand::fill(&mut seed);
        Setup { terms: Arc::clone(&self.terms), seed: u64::from_ne_bytes(seed), connection, client_tls }.begin()
    }
}

/// Serves a connection from its first octet to its last. An idle session keeps this future and the relay; what
/// is needed only to come to it, or to end, is in boxes that are gone by then or not made yet.
pub(super) async fn serve(door: Arc<Door>, tcp: TcpStream, client: SocketAddr, id: u64, stop: CancellationToken) {
    if let Some(mut relay) = Box::pin(connect(door, tcp, client, id, stop.clone())).await {
        relay.run(&stop).await;
    }
}

/// The relay to the upstream, or to the farewell if there is none.
async fn connect(
    door: Arc<Door>,
    tcp: TcpStream,
    client: SocketAddr,
    id: u64,
    stop: CancellationToken,
) -> Option<Box<Relay<TcpStream>>> {
    let started = now();
    prepare(&tcp);
    let accepted = Accepted { door, client, id, started };
    let secured = tokio::select! {
        secured = accepted.secure(tcp) => secured?,
        () = stop.cancelled() => return None,
    };
    let dialled = tokio::select! {
        dialled = secured.dial() => dialled,
        () = stop.cancelled() => None,
    };
    Some(Box::new(secured.relay(dialled)))
}

/// A connection of which nothing is known yet.
struct Accepted {
    door: Arc<Door>,
    client: SocketAddr,
    id: u64,
    started: Instant,
}

/// The client's TLS is up, if it is implicit.
struct Secured {
    door: Arc<Door>,
    started: Instant,
    stream: Stream<TcpStream>,
    config: Option<Arc<ServerConfig>>,
    record: Record,
}

/// What came of dialling: the upstream's stream and since when its handshake ran.
type Dialled = Result<(Stream<TcpStream>, Option<(Instant, TlsFacts)>), Undialled>;

/// Why there is no upstream.
struct Undialled {
    reason: CloseReason,
    fault: Fault,
    /// When its handshake began, if it came to one.
    handshake: Option<Instant>,
}

impl Accepted {
    async fn secure(self, tcp: TcpStream) -> Option<Secured> {
        let Self { door, client, id, started } = self;
        let local = tcp.local_addr().ok()?.ip();
        let config = door.acceptor.as_ref().map(|acceptor| acceptor.config(local));
        let implicit = config.as_ref().filter(|_| door.terms.client_tls == TlsMode::Implicit);
        let (stream, facts) = match implicit {
            None => (Stream::Clear(tcp), None),
            Some(config) => {
                let limit = door.terms.limits.handshake_timeout;
                match Stream::accept(tcp, &[], Arc::clone(config), limit).await {
                    Ok((stream, facts)) => (stream, Some(facts)),
                    Err(fault) => {
                        door.metrics.handshake(Side::Client, Err(fault.code), now() - started);
                        tracing::info!(
                            listener = %door.name,
                            %client,
                            code = %fault.code,
                            help = fault.help,
                            "{}",
                            fault.sentence
                        );
                        return None;
                    }
                }
            }
        };
        let info = SessionInfo {
            id,
            listener: Arc::clone(&door.name),
            protocol: door.protocol,
            client,
            upstream: Arc::clone(&door.upstream.name),
            upstream_address: Arc::clone(&door.upstream.shown),
            started: accepted_at(started),
            trace: door.tracer.as_ref().and_then(|tracer| tracer.choose()),
            client_tls: facts.clone(),
            upstream_tls: None,
        };
        let (witnesses, metrics) = (Arc::clone(&door.witnesses), Arc::clone(&door.metrics));
        let mut record = Record::open(info, witnesses, metrics, door.tracer.as_ref(), started);
        if let Some(facts) = &facts {
            record.handshake(Side::Client, started, Ok(facts));
        }
        Some(Secured { door, started, stream, config, record })
    }
}

/// The time of day at that moment.
fn accepted_at(started: Instant) -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    now.checked_sub(self::now() - started).unwrap_or(now)
}

impl Secured {
    async fn dial(&self) -> Option<Dialled> {
        let (upstream, limits) = (&self.door.upstream, &self.door.terms.limits);
        let began = now();
        let tcp = match upstream.dial(limits.connect_timeout).await {
            Ok(tcp) => tcp,
            Err(fault) => return Some(Err(Undialled { reason: CloseReason::UpstreamConnect, fault, handshake: None })),
        };
        self.door.metrics.dialled(&upstream.name, now() - began);
        let implicit = upstream.connector.as_ref().filter(|_| upstream.tls == TlsMode::Implicit);
        let Some(connector) = implicit else { return Some(Ok((Stream::Clear(tcp), None))) };
        let began = now();
        let connected = Stream::connect(tcp, &[], connector, self.door.protocol, limits.handshake_timeout).await;
        Some(match connected {
            Ok((stream, facts)) => Ok((stream, Some((began, facts)))),
            Err(fault) => Err(Undialled { reason: CloseReason::UpstreamTls, fault, handshake: Some(began) }),
        })
    }

    /// The relay to the upstream, or to the farewell if there is none; `None`: the proxy is stopping.
    fn relay(self, dialled: Option<Dialled>) -> Relay<TcpStream> {
        let Self { door, started, stream, config, mut record } = self;
        let mut refused = None;
        let stopping = dialled.is_none();
        let upstream = match dialled {
            Some(Ok((upstream, handshake))) => {
                if let Some((began, facts)) = handshake {
                    record.handshake(Side::Upstream, began, Ok(&facts));
                }
                record.connected();
                upstream
            }
            Some(Err(undialled)) => {
                if let Some(began) = undialled.handshake {
                    record.handshake(Side::Upstream, began, Err(&undialled.fault));
                }
                refused = Some(undialled);
                Stream::Gone
            }
            None => Stream::Gone,
        };
        let connection = Connection {
            listener: Arc::clone(&door.name),
            protocol: door.protocol,
            client: record.info().client.ip(),
            accepted: started,
            accepted_at: record.info().started.as_second(),
        };
        let client_tls = record.info().client_tls.as_ref().map(for_rules);
        let mut relay = Relay {
            session: door.session(Arc::new(connection), client_tls),
            out: Outbox::new(started),
            inboxes: Inboxes::default(),
            client: Peer::new(stream),
            upstream: Peer::new(upstream),
            record,
            layers: Layers { accept: config, connect: door.upstream.connector.clone(), protocol: door.protocol },
            limits: door.terms.limits.clone(),
            asked: Asked::new(door.hooks.clone(), Arc::clone(&door.metrics)),
            drain_by: None,
        };
        if let Some(undialled) = refused {
            relay.refuse_upstream(undialled.reason, &undialled.fault);
        } else if stopping {
            relay.farewell_drain();
        }
        relay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, E, F: Future>(_of: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Octets; every idle session takes them. Raise them on purpose only.
    #[test]
    fn a_session_is_a_small_task_and_one_relay() {
        assert!(size_of_future(serve) <= 512, "{}", size_of_future(serve));
        assert!(size_of::<Relay<TcpStream>>() <= 1280, "{}", size_of::<Relay<TcpStream>>());
    }
}
