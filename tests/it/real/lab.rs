//! One server, and before it the proxy or nothing: the two places a scenario is played in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use aws_lc_rs::digest;
use tempfile::TempDir;

use super::authority::Authority;
use super::dovecot::open_to_all;
use super::mailwarden::{Mailwarden, Upstream};
use super::server::{self, Server};
use super::table;

/// The one user of every test server.
pub(crate) const USER: &str = "ada";
/// Their password.
pub(crate) const PASSWORD: &str = "correct-horse-1815";

/// How one side does TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Implicit,
    Starttls,
    None,
}

impl Tls {
    pub(crate) const ALL: [Self; 3] = [Self::Implicit, Self::Starttls, Self::None];

    /// As it stands in configurations and on command lines.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }
}

/// One port for each protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) imap: u16,
    pub(crate) pop3: u16,
}

/// What stands between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Direct,
    /// The proxy, which reaches the server in this way.
    Proxied(Tls),
    /// As `Proxied` with implicit TLS, and the proxy asks the server for COMPRESS.
    Compressed,
}

/// A server with or without a proxy before it.
pub(crate) struct Lab {
    pub(crate) client: Tls,
    pub(crate) server: Server,
    pub(crate) proxy: Option<Mailwarden>,
    authority: Authority,
    directory: TempDir,
}

impl Lab {
    /// A fresh server with these messages in its inbox, for clients that do TLS as `client` says.
    pub(crate) fn start(route: Route, client: Tls, messages: &[Vec<u8>]) -> Self {
        Self::start_with(route, client, messages, "")
    }

    /// The same; `more` is added to the proxy's configuration as it is.
    pub(crate) fn start_with(route: Route, client: Tls, messages: &[Vec<u8>], more: &str) -> Self {
        let directory = TempDir::new().unwrap();
        open_to_all(directory.path());
        let authority = Authority::create(directory.path());
        let server = Server::start(directory.path(), &authority, messages);
        let proxy = match route {
            Route::Direct => None,
            Route::Proxied(_) | Route::Compressed => {
                let compress = route == Route::Compressed;
                let tls = if let Route::Proxied(tls) = route { tls } else { Tls::Implicit };
                let host = "127.0.0.1".to_owned();
                let upstream = Upstream { host, ports: server.ports(tls), tls, roots: authority.ca.clone(), compress };
                Some(Mailwarden::start(directory.path(), &authority, client, &upstream, more))
            }
        };
        Self { client, server, proxy, authority, directory }
    }

    /// Where the client connects.
    pub(crate) fn ports(&self) -> Ports {
        self.proxy.as_ref().map_or_else(|| self.server.ports(self.client), |proxy| proxy.ports)
    }

    /// The authority clients trust.
    pub(crate) fn ca(&self) -> &Path {
        &self.authority.ca
    }

    /// A new directory for a client's own files.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// All that helps to understand a failure.
    pub(crate) fn logs(&self) -> String {
        let proxy = self.proxy.as_ref().map(Mailwarden::log).unwrap_or_default();
        format!("{}{proxy}\n--- server\n{}", table::LOGS, self.server.log())
    }
}

/// Plays a scenario direct and through the proxy, which must not be seen: both give the same. A scenario that
/// fails direct is a fault with Dovecot; what another server does not do must fail alike through the proxy.
pub(crate) fn same_both_ways<T: Debug + PartialEq>(client: Tls, messages: &[Vec<u8>], scenario: impl Fn(&Lab) -> T) {
    let play = |route| table::attempt(|| scenario(&Lab::start(route, client, messages)));
    let mut direct = play(Route::Direct);
    if server::name() != "dovecot" && direct.as_ref().is_err_and(|reason| reason.contains(" hung for ")) {
        // Courier's TLS stands still now and then
        direct = play(Route::Direct);
    }
    if direct_only() {
        assert!(direct.is_ok(), "{direct:#?}");
        return;
    }
    // A client in clear behind a server with TLS is the case of an old device in a machine room.
    let tls = match client {
        Tls::Starttls => Tls::Starttls,
        // Courier offers less in clear, so there it is compared in clear
        Tls::None if server::name() != "dovecot" => Tls::None,
        Tls::None | Tls::Implicit => Tls::Implicit,
    };
    let proxied = play(Route::Proxied(tls));
    table::record(client, &direct, &proxied);
    let may_fail = server::name() != "dovecot";
    assert!(direct == proxied && (may_fail || direct.is_ok()), "direct:  {direct:#?}\nproxied: {proxied:#?}");
}

/// `MAILWARDEN_ROUTES=direct` proves servers, clients and scenarios without the proxy.
pub(crate) fn direct_only() -> bool {
    std::env::var_os("MAILWARDEN_ROUTES").is_some_and(|routes| routes == "direct")
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(octets: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, octets).as_ref())
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

/// The messages of a Maildir (and its folders): folder, flags and hash of each, counted, for names differ.
/// Left out of the hash is the line `X-TUID`, a random mark that mbsync puts into what it copies.
///
/// A server that closes a mailbox moves what is new in it from folder to folder, for which a look may miss a
/// message or meet it twice; so what counts is a look with the same files before and after it.
pub(crate) fn maildir(root: &Path) -> BTreeMap<String, usize> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match look(root) {
            Ok(Some(found)) => return found,
            Ok(None) | Err(_) if Instant::now() < deadline => thread::yield_now(),
            Ok(None) => panic!("{} does not come to rest", root.display()),
            Err(error) => panic!("{}: {error}", root.display()),
        }
    }
}

/// Nothing, where files came, went or moved meanwhile.
fn look(root: &Path) -> io::Result<Option<BTreeMap<String, usize>>> {
    let before = files(root)?;
    let mut found = BTreeMap::new();
    for path in &before {
        let folder = path.parent().expect("found in a folder");
        let name = path.file_name().unwrap().to_string_lossy();
        let flags = name.rsplit_once(":2,").map_or("", |(_, flags)| flags);
        let place = folder.parent().unwrap().strip_prefix(root).unwrap().display();
        let key = format!("{place}/{flags} {}", sha256(&without_mark(&fs::read(path)?)));
        *found.entry(key).or_default() += 1;
    }
    Ok((files(root)? == before).then_some(found))
}

/// The files of all messages below `root`.
fn files(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let inside = folder.file_name().is_some_and(|name| name == "cur" || name == "new");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if inside {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

fn without_mark(message: &[u8]) -> Vec<u8> {
    let lines = message.split_inclusive(|octet| *octet == b'\n');
    lines.filter(|line| !line.starts_with(b"X-TUID: ")).collect::<Vec<_>>().concat()
}
