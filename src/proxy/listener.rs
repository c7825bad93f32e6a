//! Accepts connections, and does nothing else: what a peer can delay happens in the connection's
//! own task. Running out of descriptors is survived without spinning.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol as Transport, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::connection::{self, Door};
use crate::session::TlsMode;
use crate::wire::Protocol;

const BACKLOG: i32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Binds an address; port 0 takes one the system gives.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the proxy stops.
pub(super) async fn accept_all(listener: TcpListener, door: Arc<Door>, sessions: TaskTracker, stop: CancellationToken) {
    let limit = door.terms.limits.connections.min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(limit));
    let free = Arc::clone(&permits);
    door.metrics.connections(&door.name, limit, move || limit.saturating_sub(free.available_permits()));
    let mut acceptor = Acceptor::new(listener);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Accepted::Connection(tcp, client) => {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    door.metrics.rejected(&door.name, "max_sessions");
                    refuse(&tcp, door.protocol, door.terms.client_tls);
                    continue;
                };
                door.metrics.accepted(&door.name);
                let id = door.next_id();
                let span = tracing::debug_span!("connection", id, %client);
                let (door, stop) = (Arc::clone(&door), stop.clone());
                let task = async move {
                    let _permit = permit;
                    // made in here: a future that is made outside and moved in takes its room twice
                    connection::serve(door, tcp, client, id, stop).await;
                };
                sessions.spawn(task.instrument(span));
            }
            Accepted::Shed(tcp) => {
                door.metrics.rejected(&door.name, "descriptors");
                refuse(&tcp, door.protocol, door.terms.client_tls);
                drop(tcp);
                acceptor.rest().await;
            }
        }
    }
}

/// Says why in clear, where the client can read it, without waiting for it.
fn refuse(tcp: &TcpStream, protocol: Protocol, tls: TlsMode) {
    let sentence: &[u8] = match protocol {
        Protocol::Imap => b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n",
        Protocol::Pop3 => b"-ERR [SYS/TEMP] Too many connections, try again later\r\n",
    };
    if tls != TlsMode::Implicit {
        // the kernel takes so little at once, or the client is gone
        let _sent = SockRef::from(tcp).send(sentence);
    }
}

/// What came of an accept.
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// It was accepted with the last descriptor, and can only be turned away.
    Shed(TcpStream),
}

/// A bound address that keeps one descriptor in reserve: when there is none left, the reserve is
/// spent on turning a connection away, so that clients learn of it and the loop does not spin.
pub(crate) struct Acceptor {
    listener: TcpListener,
    reserve: Option<File>,
    short: bool,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, reserve: spare(), short: false }
    }

    /// The next connection. Cancel safe: a connection is taken from the system only when this ends.
    pub(crate) async fn accept(&mut self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((tcp, client)) => {
                    self.short = false;
                    if self.reserve.is_none() {
                        self.reserve = spare();
                    }
                    return Accepted::Connection(tcp, client);
                }
                Err(error) if of_the_peer(error.kind()) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    if !self.short {
                        tracing::error!(%error, help = "raise the limit of open files (LimitNOFILE), or lower limits.connections", "cannot accept connections");
                        self.short = true;
                    }
                    if self.reserve.take().is_some()
                        && let Ok(Ok((tcp, _))) = tokio::time::timeout(Duration::ZERO, self.listener.accept()).await
                    {
                        return Accepted::Shed(tcp);
                    }
                    self.rest().await;
                }
            }
        }
    }

    /// Waits a moment for descriptors to come free, then takes one in reserve again.
    pub(crate) async fn rest(&mut self) {
        tokio::time::sleep(PAUSE).await;
        if self.reserve.is_none() {
            self.reserve = spare();
        }
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn of_the_peer(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}
