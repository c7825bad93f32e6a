//! Accepts connections, and does nothing else. Running out of descriptors is survived without spinning.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

const BACKLOG: i32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Binds an address; port 0 takes one the system gives.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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
