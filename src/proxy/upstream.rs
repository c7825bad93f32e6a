//! Connects to a mail server: resolves its name, tries both address families, verifies its
//! certificate where TLS is implicit.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::settings::{UpstreamAddress, UpstreamSettings};
use crate::fault::{Code, Fault};
use crate::session::TlsMode;
use crate::tls::Connector;

/// An address that does not answer lets the next one start after this (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(2)).with_interval(Duration::from_secs(30));

/// One mail server, as all sessions to it share it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: Arc<str>,
    /// `host:port`, as configured.
    pub(super) shown: Arc<str>,
    pub(super) tls: TlsMode,
    /// Absent where TLS is `none`.
    pub(super) connector: Option<Arc<Connector>>,
    /// Whether COMPRESS=DEFLATE is used.
    pub(super) compress: bool,
    address: UpstreamAddress,
}

impl Upstream {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, Fault> {
        let connector = match settings.tls {
            TlsMode::None => None,
            TlsMode::Implicit | TlsMode::Starttls => Some(Arc::new(Connector::new(&settings.trust())?)),
        };
        Ok(Self {
            name: settings.name.as_str().into(),
            shown: settings.address.to_string().into(),
            tls: settings.tls,
            connector,
            compress: settings.compress,
            address: settings.address.clone(),
        })
    }

    /// A TCP connection to the first address that answers; `limit` holds for the name's resolution
    /// and for each address.
    pub(super) async fn dial(&self, limit: Duration) -> Result<TcpStream, Fault> {
        let host = (self.address.host.as_str(), self.address.port);
        let found = match timeout(limit, tokio::net::lookup_host(host)).await {
            Ok(Ok(found)) => interleave(found.collect()),
            Ok(Err(error)) => return Err(self.unresolved(&error)),
            Err(_) => return Err(self.unresolved(&io::Error::from(io::ErrorKind::TimedOut))),
        };
        let stream = race(found, limit).await.map_err(|error| self.unreached(&error, limit))?;
        prepare(&stream);
        Ok(stream)
    }

    fn unresolved(&self, error: &dyn fmt::Display) -> Fault {
        Fault::new(
            Code::UpstreamUnknown,
            "the mail server's name cannot be resolved",
            format!(
                "check the address of [[upstream]] `{}` ({}) and this machine's DNS: {error}",
                self.name, self.shown
            ),
        )
    }

    fn unreached(&self, error: &io::Error, limit: Duration) -> Fault {
        let (name, shown) = (&self.name, &self.shown);
        let where_to_look = format!("check that [[upstream]] `{name}` is up and listens on {shown}");
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Fault::new(Code::UpstreamRefused, "the mail server refuses connections", where_to_look)
        } else if error.kind() == io::ErrorKind::TimedOut {
            let sentence = format!("the mail server does not answer within {limit:?}");
            Fault::new(Code::UpstreamTimeout, sentence, format!("{where_to_look}, and the firewalls between"))
        } else {
            let help = format!("{where_to_look}, and the routes to it: {error}");
            Fault::new(Code::UpstreamUnreachable, "the mail server cannot be reached", help)
        }
    }
}

/// What both legs need: no waiting for more octets (Nagle), and a notice when the peer is gone.
pub(super) fn prepare(stream: &TcpStream) {
    // neither is worth a session: without them it is slower, or found dead later
    if let Err(error) = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)) {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// The families by turns, beginning with the one the resolver put first (RFC 8305 §4).
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut order = Vec::new();
    for address in first {
        order.push(address);
        order.extend(second.next());
    }
    order.extend(second);
    order
}

async fn race(addresses: Vec<SocketAddr>, limit: Duration) -> io::Result<TcpStream> {
    if let [only] = addresses.as_slice() {
        return connect(*only, limit).await;
    }
    let mut rest = addresses.into_iter();
    let mut next = rest.next();
    // attempts that lost are aborted when the set is dropped
    let mut attempts = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = next.take() {
            attempts.spawn(connect(address, limit));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => {
                    last = error;
                    next = rest.next();
                }
                Some(Err(error)) => {
                    last = io::Error::other(error);
                    next = rest.next();
                }
                None => return Err(last),
            },
            () = sleep(STAGGER), if rest.len() > 0 => next = rest.next(),
        }
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(interleave(found), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let found = parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(interleave(found), parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
    }

    #[tokio::test]
    async fn goes_on_to_the_next_address_when_one_refuses() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = dead.local_addr().unwrap();
        drop(dead);
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = alive.local_addr().unwrap();
        let stream = race(vec![refused, refused, answers], Duration::from_secs(5)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        let error = race(vec![refused, refused], Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
