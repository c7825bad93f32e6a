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
        let log = directory.join("mailwarden.log");
        for _ in 0..5 {
            let ports = Ports { imap: free_port(), pop3: free_port() };
            let admin = free_port();
            let file = directory.join("mailwarden.toml");
            fs::write(&file, configuration(own, ports, admin, client, upstream, more)).unwrap();
            let output = File::options().create(true).append(true).open(&log).unwrap();
            let mut command = Command::new(program());
            command.args(["run", "--config"]).arg(&file).env("RUST_LOG", "trace").env("NO_COLOR", "1");
            command.stdout(output.try_clone().unwrap()).stderr(output);
            let mut daemon = Daemon::spawn(&mut command);
            if daemon.listens(&[ports.imap, ports.pop3, admin]) {
                return Self { ports, admin, log, _daemon: daemon };
            }
        }
        panic!("mailwarden does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// All it logged, at the most talkative level.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// `GET /metrics`.
    pub(crate) fn metrics(&self) -> String {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
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
