//! `mailwarden tap`: stands in front of one server and shows the conversation as it happens.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::proxy;
use crate::recording::{Layout, LivePrinter, Recorder};
use crate::witness::Witness;

const AFTER_HELP: &str = "\
Protocol and TLS follow from the port: 993 and 995 mean implicit TLS, 143 and
110 STARTTLS. Passwords are masked on the screen and in the recording.

Examples:
  mailwarden tap imap.example.com
  mailwarden tap pop.example.com --protocol pop3 --record case.mwr
  mailwarden tap mail.lan:143 --roots lan-ca.pem --client-tls none";

/// Show the decrypted conversation between a mail program and a server
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// The mail server
    #[arg(value_name = "HOST[:PORT]")]
    server: Target,
    /// imap or pop3 [default: by the port, else imap]
    #[arg(long, value_enum, hide_possible_values = true)]
    protocol: Option<Protocol>,
    /// Where to listen [default: 127.0.0.1:1993 or so]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Write the conversation to a new file, too
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Trust these authorities (PEM) for the server
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Trust exactly this public key of the server
    #[arg(long, value_name = "sha256/…")]
    pin: Option<String>,
    /// implicit, starttls or none [default: by the port]
    #[arg(long, value_enum, value_name = "TLS", hide_possible_values = true)]
    upstream_tls: Option<Tls>,
    /// implicit, starttls or none
    #[arg(long, value_enum, value_name = "TLS", default_value_t = Tls::Implicit, hide_possible_values = true)]
    client_tls: Tls,
    /// Where the local authority is [~/.local/state/…]
    #[arg(long, value_name = "DIR")]
    authority: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    Imap,
    Pop3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    Implicit,
    Starttls,
    None,
}

/// `HOST[:PORT]`; an IPv6 address with a port stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected HOST or HOST:PORT, for example imap.example.com:993";
        let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(EXPECTED)?)),
            // more than one colon without brackets is an IPv6 address alone
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or(EXPECTED)).transpose()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(EXPECTED);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// What the arguments come to.
#[derive(Debug)]
struct Plan {
    protocol: Protocol,
    upstream: String,
    upstream_tls: Tls,
    listen: SocketAddr,
    client_tls: Tls,
    authority: PathBuf,
}

impl Args {
    /// Serves until Ctrl-C.
    pub(super) async fn run(self, layout: Layout) -> anyhow::Result<ExitCode> {
        let plan = Plan::new(&self, state_directory)?;
        let config: Config = toml::from_str(&plan.config(&self)).context("the arguments do not fit together")?;
        let shutdown = CancellationToken::new();
        let printer = {
            let stop = shutdown.clone();
            Arc::new(LivePrinter::start(layout, io::stdout(), move || stop.cancel())?)
        };
        let mut witnesses: Vec<Arc<dyn Witness>> = vec![Arc::clone(&printer) as Arc<dyn Witness>];
        let recorder = match &self.record {
            None => None,
            Some(path) => {
                let teller = Arc::clone(&printer);
                let failed = move || teller.say("\nThe recording ends here: its file cannot be written any more\n");
                Some(Arc::new(Recorder::create(path, failed).with_context(|| {
                    let path = path.display();
                    format!("cannot make the recording {path}: choose a new file in a directory you may write")
                })?))
            }
        };
        witnesses.extend(recorder.clone().map(|recorder| recorder as Arc<dyn Witness>));
        let announce = |bound: &proxy::Bound| {
            let address = bound.listeners.first().map_or(plan.listen, |(_, address)| *address);
            printer.say(&plan.introduction(address, self.record.as_deref()));
        };
        let served = {
            let service = Box::pin(proxy::run(config, witnesses, announce, shutdown.clone()));
            serve_until_asked(service, &shutdown).await
        };
        let written = recorder.map_or(Ok(()), |recorder| recorder.finish());
        if let (Ok(()), Ok(()), Some(path)) = (&served, &written, &self.record) {
            let path = shell_word(path);
            printer.say(&format!("\nThe recording is {path}. To print it again: mailwarden show {path}"));
        }
        printer.finish()?;
        served.context("the tap could not run")?;
        written.context("the recording is not whole")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Drives the service; at Ctrl-C or SIGTERM asks it to end.
async fn serve_until_asked<E>(
    mut service: impl Future<Output = Result<(), E>> + Unpin,
    shutdown: &CancellationToken,
) -> anyhow::Result<()>
where
    anyhow::Error: From<E>,
{
    tokio::select! {
        outcome = &mut service => return Ok(outcome?),
        asked = asked_to_stop() => asked?,
    }
    shutdown.cancel();
    Ok(service.await?)
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn asked_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

impl Plan {
    fn new(args: &Args, home: impl FnOnce() -> Option<PathBuf>) -> anyhow::Result<Self> {
        let by_port = match args.server.port {
            Some(110 | 995) => Protocol::Pop3,
            _ => Protocol::Imap,
        };
        let protocol = args.protocol.unwrap_or(by_port);
        let starts_in_clear = matches!(args.server.port, Some(143 | 110));
        let upstream_tls = args.upstream_tls.unwrap_or(if starts_in_clear { Tls::Starttls } else { Tls::Implicit });
        let port = args.server.port.unwrap_or(usual_port(protocol, upstream_tls));
        let host = &args.server.host;
        let upstream = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let listen = args.listen.unwrap_or_else(|| preferred(1000 + usual_port(protocol, args.client_tls)));
        let authority = args.authority.clone().or_else(|| home().map(|home| home.join("mailwarden/ca")));
        let authority = authority.ok_or_else(|| {
            anyhow!(
                "neither XDG_STATE_HOME nor HOME is set: say where the local authority is kept, with --authority DIR"
            )
        })?;
        Ok(Self { protocol, upstream, upstream_tls, listen, client_tls: args.client_tls, authority })
    }

    /// The same as a configuration file would say it.
    fn config(&self, args: &Args) -> String {
        let mut text = format!(
            "[authority]\ndirectory = {}\n\n[limits]\ndrain_timeout = \"1s\"\n\n\
             [[listener]]\nname = \"tap\"\naddress = \"{}\"\nprotocol = \"{}\"\ntls = \"{}\"\nposture = \"observe\"\n\
             upstream = \"server\"\n{}\n\
             [[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"{}\"\n",
            quoted(&self.authority.to_string_lossy()),
            self.listen,
            self.protocol.word(),
            self.client_tls.word(),
            if self.client_tls == Tls::None { "" } else { "certificate = \"mint\"\n" },
            self.upstream,
            self.upstream_tls.word(),
        );
        if let Some(roots) = &args.roots {
            text += "roots = ";
            text += &quoted(&roots.to_string_lossy());
            text += "\n";
        }
        if let Some(pin) = &args.pin {
            text += "pin = ";
            text += &quoted(pin);
            text += "\n";
        }
        text
    }

    /// How to point a mail program here, and how to trust the authority.
    fn introduction(&self, address: SocketAddr, record: Option<&Path>) -> String {
        let host = if address.ip().is_loopback() || address.ip().is_unspecified() {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        };
        let (protocol, port) = (self.protocol.word(), address.port());
        let kind = match self.client_tls {
            Tls::Implicit => "SSL/TLS",
            Tls::Starttls => "STARTTLS",
            Tls::None => "no encryption",
        };
        let mut text = format!(
            "Tapping {} ({}). All is passed on as it is; secrets are masked here.\n\n\
             Mail program:  server {host}, port {port}, {kind}; user and password as always\n",
            self.upstream,
            protocol.to_uppercase()
        );
        let ca = shell_word(&self.authority.join("ca.pem"));
        let (scheme, curl, openssl) = match self.client_tls {
            Tls::Implicit => (format!("{protocol}s"), "", String::new()),
            Tls::Starttls => (protocol.to_owned(), " --ssl-reqd", format!(" -starttls {protocol}")),
            Tls::None => (protocol.to_owned(), "", String::new()),
        };
        let name = if address.ip().to_string() == host { String::new() } else { format!(" -servername {host}") };
        let _infallible = if self.client_tls == Tls::None {
            writeln!(text, "Or try it:     curl -u USER {scheme}://{host}:{port}/")
        } else {
            writeln!(
                text,
                "Let it trust:  {ca}\n\
                 Or try it:     curl --cacert {ca}{curl} -u USER {scheme}://{host}:{port}/\n\
                 \x20              openssl s_client -CAfile {ca} -verify_return_error -crlf -quiet{openssl}{name} \
                 -connect {host}:{port}"
            )
        };
        if let Some(record) = record {
            let _infallible = writeln!(text, "Recording to:  {}", shell_word(record));
        }
        text + "Ctrl-C ends.\n"
    }
}

impl Protocol {
    fn word(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

impl Tls {
    fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }
}

fn usual_port(protocol: Protocol, tls: Tls) -> u16 {
    match (protocol, tls) {
        (Protocol::Imap, Tls::Implicit) => 993,
        (Protocol::Imap, Tls::Starttls | Tls::None) => 143,
        (Protocol::Pop3, Tls::Implicit) => 995,
        (Protocol::Pop3, Tls::Starttls | Tls::None) => 110,
    }
}

/// This port of the loopback interface if it is free, else any.
pub(super) fn preferred(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_free) => wanted,
        Err(_taken) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn state_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A path as a shell takes it.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> (Args, Plan) {
        let args = Line::try_parse_from(["tap"].into_iter().chain(line.split(' '))).unwrap().args;
        let plan = Plan::new(&args, || Some(PathBuf::from("/state"))).unwrap();
        (args, plan)
    }

    #[test]
    fn takes_protocol_and_tls_from_the_port() {
        let table = [
            ("a.example", "imap", "a.example:993", "implicit"),
            ("a.example --protocol pop3", "pop3", "a.example:995", "implicit"),
            ("a.example:143", "imap", "a.example:143", "starttls"),
            ("a.example:110", "pop3", "a.example:110", "starttls"),
            ("a.example:995", "pop3", "a.example:995", "implicit"),
            ("a.example:110 --protocol imap --upstream-tls none", "imap", "a.example:110", "none"),
            ("a.example --upstream-tls starttls", "imap", "a.example:143", "starttls"),
            ("[2001:db8::1]:993", "imap", "[2001:db8::1]:993", "implicit"),
            ("2001:db8::1", "imap", "[2001:db8::1]:993", "implicit"),
        ];
        for (line, protocol, upstream, tls) in table {
            let (_, plan) = plan(line);
            assert_eq!((plan.protocol.word(), &*plan.upstream, plan.upstream_tls.word()), (protocol, upstream, tls));
        }
    }

    #[test]
    fn refuses_what_is_no_server() {
        for line in ["", ":993", "a:b", "a:0", "a:99999", "[::1", "[::1]993", "a b", "https://a"] {
            assert!(line.parse::<Target>().is_err(), "{line}");
        }
    }

    #[test]
    fn makes_a_configuration_that_is_understood() {
        let lines = [
            "a.example --authority /srv/a\"b --roots r.pem",
            "a.example:143 --client-tls none --listen 127.0.0.1:0",
            "a.example --pin sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ];
        for line in lines {
            let (args, plan) = plan(line);
            let config: Config = toml::from_str(&plan.config(&args)).unwrap();
            assert_eq!(config.listeners[0].upstream, config.upstreams[0].name, "{line}");
            assert_eq!(config.listeners[0].certificate.is_none(), line.contains("none"), "{line}");
        }
    }

    #[test]
    fn says_first_how_to_use_it() {
        let (_, plan) = plan("imap.example.com --listen 127.0.0.1:1993");
        insta::assert_snapshot!(plan.introduction(plan.listen, Some(Path::new("my case.mwr"))));
        let (_, plan) = self::plan("pop.example.com:110 --client-tls starttls --listen 192.0.2.1:1110");
        insta::assert_snapshot!(plan.introduction(plan.listen, None));
    }
}
