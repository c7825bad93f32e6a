//! Lets clients in, as far as there is room: what a peer can delay happens in the connection's own task.

use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::connection::{self, Door};
use crate::accept::{Accepted, Acceptor};
use crate::session::TlsMode;
use crate::wire::Protocol;

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
