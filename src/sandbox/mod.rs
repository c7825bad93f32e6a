//! An embedded mail server, IMAP4rev1 and POP3, in memory: what the demo shows and fast tests use.
//!
//! It is independent on purpose: it parses in the server's role with its own small parsers and never
//! uses the proxy's wire code, so that a conversation through the proxy means something. It has one
//! account, forgets everything when it ends, and must never be offered to a network.
//!
//! `imap` and `pop3` speak, `store` holds the mailboxes, `mime` finds parts, `message` makes sample mail.

mod conn;
mod imap;
mod md5;
mod message;
mod mime;
mod pop3;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use message::{large, samples};
pub use store::Message;

use crate::redact::Redacted;
use crate::wire::Protocol;
use conn::Conn;
use store::Store;

/// How the sandbox speaks TLS.
#[derive(Clone, Default)]
pub enum SandboxTls {
    /// In clear only.
    #[default]
    None,
    /// From the first octet.
    Implicit(Arc<rustls::ServerConfig>),
    /// After STARTTLS or STLS; login in clear is refused before it.
    Starttls(Arc<rustls::ServerConfig>),
}

impl std::fmt::Debug for SandboxTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Implicit(_) => "Implicit",
            Self::Starttls(_) => "Starttls",
        })
    }
}

/// What a sandbox is made from.
#[derive(Debug)]
pub struct SandboxSettings {
    /// The one account.
    pub user: String,
    /// Its password.
    pub password: Redacted<String>,
    /// TLS towards clients.
    pub tls: SandboxTls,
    /// Where IMAP listens; port 0 takes a free one.
    pub imap: SocketAddr,
    /// Where POP3 listens; port 0 takes a free one.
    pub pop3: SocketAddr,
    /// Mailboxes by their name on the wire (modified UTF-7), `/` between levels. INBOX is always there.
    pub mailboxes: Vec<(String, Vec<Message>)>,
}

impl SandboxSettings {
    /// An account with the sample mail, in clear, on free ports of the loopback interface.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            user: user.to_owned(),
            password: Redacted::new(password.to_owned()),
            tls: SandboxTls::None,
            imap: loopback,
            pop3: loopback,
            mailboxes: samples(),
        }
    }

    /// The same with these mailboxes instead of the sample mail.
    #[must_use]
    pub fn with_mailboxes(mut self, mailboxes: Vec<(String, Vec<Message>)>) -> Self {
        self.mailboxes = mailboxes;
        self
    }

    /// The same with TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: SandboxTls) -> Self {
        self.tls = tls;
        self
    }
}

/// A running mail server; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    /// Where IMAP is spoken.
    pub imap_addr: SocketAddr,
    /// Where POP3 is spoken.
    pub pop3_addr: SocketAddr,
    store: Arc<Store>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    user: String,
    password: Redacted<String>,
    tls: SandboxTls,
    store: Arc<Store>,
}

impl Shared {
    fn accepts(&self, user: &[u8], password: &[u8]) -> bool {
        user == self.user.as_bytes() && password == self.password.expose().as_bytes()
    }

    /// Checks a SASL PLAIN message (RFC 4616): authorization identity, user, password, between NULs.
    fn accepts_plain(&self, message: &[u8]) -> bool {
        let mut fields = message.splitn(3, |octet| *octet == 0);
        let (identity, user, password) = (fields.next(), fields.next(), fields.next());
        let own = identity.is_some_and(|identity| identity.is_empty() || Some(identity) == user);
        own && user.zip(password).is_some_and(|(user, password)| self.accepts(user, password))
    }

    /// The acceptor for STARTTLS or STLS, where that is offered.
    fn starttls(&self) -> Option<TlsAcceptor> {
        match &self.tls {
            SandboxTls::Starttls(config) => Some(TlsAcceptor::from(Arc::clone(config))),
            SandboxTls::None | SandboxTls::Implicit(_) => None,
        }
    }
}

impl Sandbox {
    /// Binds both ports and serves until dropped or stopped.
    pub async fn start(settings: SandboxSettings) -> io::Result<Self> {
        let imap = TcpListener::bind(settings.imap).await?;
        let pop3 = TcpListener::bind(settings.pop3).await?;
        let (imap_addr, pop3_addr) = (imap.local_addr()?, pop3.local_addr()?);
        let store = Arc::new(Store::new(settings.mailboxes));
        let shared = Arc::new(Shared {
            user: settings.user,
            password: settings.password,
            tls: settings.tls,
            store: Arc::clone(&store),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        for (listener, protocol) in [(imap, Protocol::Imap), (pop3, Protocol::Pop3)] {
            tasks.spawn(accept(listener, protocol, Arc::clone(&shared), tasks.clone(), stop.clone()));
        }
        let guard = stop.clone().drop_guard();
        Ok(Self { imap_addr, pop3_addr, store, tasks, stop, _guard: guard })
    }

    /// Puts a message into a mailbox, which is made if need be; connections that idle hear of it.
    pub fn deliver(&self, mailbox: &str, message: Message) {
        self.store.change(|mailboxes| {
            // an existing mailbox is as good as a new one
            let _existing = mailboxes.create(mailbox);
            mailboxes.get_mut(mailbox).map(|mailbox| mailbox.add(message))
        });
    }

    /// The messages of a mailbox, in order; none if there is no such mailbox.
    #[must_use]
    pub fn messages(&self, mailbox: &str) -> Vec<Message> {
        let copy = |mailbox: &store::Mailbox| mailbox.messages.iter().map(|stored| stored.message.clone()).collect();
        self.store.read(|mailboxes| mailboxes.get(mailbox).map(copy).unwrap_or_default())
    }

    /// Ends all connections and waits until their tasks are gone.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    protocol: Protocol,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // an accept error concerns one connection that is already gone
        let Ok((stream, _)) = accepted else { continue };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // a client that breaks its connection ends its own session and nothing else
                _ended = serve(stream, protocol, shared) => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, protocol: Protocol, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let conn = match &shared.tls {
        SandboxTls::Implicit(config) => {
            let stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
            Conn::new(Box::new(stream), true)
        }
        SandboxTls::None | SandboxTls::Starttls(_) => Conn::new(Box::new(stream), false),
    };
    match protocol {
        Protocol::Imap => imap::serve(conn, shared).await,
        Protocol::Pop3 => pop3::serve(conn, shared).await,
    }
}

#[cfg(test)]
mod tests;
