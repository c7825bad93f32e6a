//! The program under test, run as its users run it: `mailwarden run --config FILE`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::authority::Authority;
use super::command::{Daemon, free_port};
use super::lab::{Ports, Tls};

/// Where and how the proxy reaches a server.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) host: String,
    pub(crate) ports: Ports,
    pub(crate) tls: Tls,
    /// A PEM file, for servers with TLS.
    pub(crate) roots: PathBuf,
    /// Whether it asks the server for COMPRESS.
    pub(crate) compress: bool,
}

/// A running proxy with one listener for each protocol.
pub(crate) struct Mailwarden {
    pub(crate) ports: Ports,
    /// The port of the endpoint with metrics.
    pub(crate) admin: u16,
    log: PathBuf,
    _daemon: Daemon,
}

impl Mailwarden {
    /// Starts it; `more` is added to the configuration as it is.
    pub(crate) fn start(directory: &Path, own: &Authority, client: Tls, upstream: &Upstream, more: &str) -> Self {
        Self::start_as(&[], directory, own, client, upstream, more)
    }

    /// The same, run by a program that becomes what it is told to run: `env`, `sh -c '… exec "$@"' sh`.
    pub(crate) fn start_as(
        runner: &[&str],
        directory: &Path,
        own: &Authority,
        client: Tls,
        upstream: &Upstream,
        more: &str,
    ) -> Self {
        let log = directory.join("mailwarden.log");
        let ports = Ports { imap: free_port(), pop3: free_port() };
        let admin = free_port();
        let file = directory.join("mailwarden.toml");
        fs::write(&file, configuration(own, ports, admin, client, upstream, more)).unwrap();
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let program = program();
        let mut words = runner.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words).args(["run", "--config"]).arg(&file).env("RUST_LOG", "trace").env("NO_COLOR", "1");
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let mut daemon = Daemon::spawn(&mut command);
        let listens = daemon.listens(&[ports.imap, ports.pop3, admin]);
        assert!(listens, "mailwarden does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
        Self { ports, admin, log, _daemon: daemon }
    }

    /// All it logged, at the most talkative level.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// `GET /metrics`.
    pub(crate) fn metrics(&self) -> String {
        let answer = self.ask("GET /metrics");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// The whole answer of the admin endpoint to a method and a path.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)).unwrap();
        let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nMailwarden-Request: reload\r\nConnection: close\r\n\r\n";
        write!(socket, "{request} {head}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// The built program; `MAILWARDEN_BIN` names another build of it, such as the release one.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("MAILWARDEN_BIN").map_or_else(|| env!("CARGO_BIN_EXE_mailwarden").into(), Into::into)
}

fn configuration(own: &Authority, ports: Ports, admin: u16, client: Tls, upstream: &Upstream, more: &str) -> String {
    let certificate = match client {
        Tls::None => String::new(),
        Tls::Implicit | Tls::Starttls => {
            format!("certificate = {{ chain = \"{}\", key = \"{}\" }}\n", own.chain.display(), own.key.display())
        }
    };
    let roots = match upstream.tls {
        Tls::None => String::new(),
        Tls::Implicit | Tls::Starttls => {
            format!("server_name = \"localhost\"\nroots = \"{}\"\n", upstream.roots.display())
        }
    };
    let compress = upstream.compress;
    let (client, server, host) = (client.word(), upstream.tls.word(), &upstream.host);
    let pairs = [("imap", ports.imap, upstream.ports.imap), ("pop3", ports.pop3, upstream.ports.pop3)];
    let tables = pairs.map(|(protocol, port, server_port)| {
        format!(
            "[[listener]]\nname = \"{protocol}\"\naddress = \"127.0.0.1:{port}\"\nprotocol = \"{protocol}\"\n\
             tls = \"{client}\"\nupstream = \"{protocol}-server\"\n{certificate}\n\
             [[upstream]]\nname = \"{protocol}-server\"\naddress = \"{host}:{server_port}\"\n\
             tls = \"{server}\"\ncompress = {compress}\n{roots}\n"
        )
    });
    format!("[admin]\naddress = \"127.0.0.1:{admin}\"\n\n{}{more}", tables.concat())
}
