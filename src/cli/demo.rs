//! `mailwarden demo`: a mail server, the proxy in front of it, and two short sessions, so that something is
//! seen at once. Everything lives in memory, but for the authority's files in a directory that goes at the end.

mod script;

use std::fmt::Write;
use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_lc_rs::digest;
use rcgen::PublicKeyData;
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::tap::{asked_to_stop, preferred, quoted, shell_word};
use crate::config::Config;
use crate::proxy;
use crate::recording::{Layout, LivePrinter};
use crate::sandbox::{Sandbox, SandboxSettings, SandboxTls};
use crate::session::Event;
use crate::tls::Pin;
use crate::witness::{SessionInfo, Witness};

const USER: &str = "ann";
/// Shown on the screen on purpose: it opens nothing but mail made up by this program.
const PASSWORD: &str = "demo-password";

const AFTER_HELP: &str = "\
Nothing of it is kept, and nothing but this machine can reach it.

Examples:
  mailwarden demo
  mailwarden demo --once
  mailwarden demo --admin 127.0.0.1:9470";

/// Watch IMAP and POP3 go through the proxy, with a built-in server
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// End after the two sessions instead of staying for your own mail program
    #[arg(long)]
    once: bool,
    /// Where metrics and health are shown [default: 127.0.0.1:9469, or a free port]
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<SocketAddr>,
}

/// What the proxy listens on.
#[derive(Debug, Clone, Copy)]
struct Ports {
    imap: SocketAddr,
    pop3: SocketAddr,
    admin: SocketAddr,
}

impl Args {
    /// Plays the sessions, then stays until Ctrl-C unless told otherwise.
    pub(super) async fn run(self, layout: Layout) -> anyhow::Result<ExitCode> {
        let scratch = Scratch::new().context("cannot make a directory for the demo's certificates")?;
        let (tls, pin) = server_identity().context("cannot make the demo server's certificate")?;
        let settings = SandboxSettings::new(USER, PASSWORD).with_tls(SandboxTls::Implicit(tls));
        let sandbox = Sandbox::start(settings).await.context("cannot start the demo's mail server")?;
        let config = configuration(scratch.path(), &sandbox, pin, self.admin.unwrap_or_else(|| preferred(9469)));
        let config: Config = toml::from_str(&config).context("the demo's configuration is not understood")?;

        let shutdown = CancellationToken::new();
        let printer = {
            let stop = shutdown.clone();
            Arc::new(LivePrinter::start(layout, io::stdout(), move || stop.cancel())?)
        };
        let (announce, announced) = oneshot::channel();
        let announce = |bound: &proxy::Bound| {
            // nobody listens only if the demo is already ending
            let _ended = announce.send(Ports::of(bound));
        };
        let endings = Arc::new(Endings::default());
        let witnesses: Vec<Arc<dyn Witness>> = vec![Arc::clone(&printer) as _, Arc::clone(&endings) as _];
        let service = Box::pin(proxy::run(config, witnesses, announce, shutdown.clone()));
        let play = async {
            let _end = shutdown.clone().drop_guard();
            // without an announcement the service has failed and says why itself
            let Ok(Some(ports)) = announced.await else { return Ok(()) };
            printer.say(&format!("Playing one IMAP and one POP3 session through the proxy at {}.\n", ports.imap));
            let ca = scratch.path().join("ca.pem");
            let played = tokio::select! {
                played = script::play(ports.imap, ports.pop3, &ca, &sandbox) => played,
                () = shutdown.cancelled() => return Ok(()),
            };
            played?;
            // so that what comes now stands below the conversation
            endings.reached(2).await;
            printer.say(&ports.summary(&ca, self.once));
            if !self.once {
                tokio::select! {
                    asked = asked_to_stop() => asked?,
                    () = shutdown.cancelled() => {}
                }
            }
            anyhow::Ok(())
        };
        let (served, played) = tokio::join!(service, Box::pin(play));
        sandbox.shutdown().await;
        printer.finish()?;
        served.context("the demo's proxy could not run")?;
        played.context("the demo's session failed")?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Ports {
    fn of(bound: &proxy::Bound) -> Option<Self> {
        let find = |wanted: &str| bound.listeners.iter().find(|(name, _)| name == wanted).map(|(_, address)| *address);
        Some(Self { imap: find("imaps")?, pop3: find("pop3s")?, admin: bound.admin? })
    }

    fn summary(self, ca: &Path, once: bool) -> String {
        let (ca, imap, pop3, admin) = (shell_word(ca), self.imap.port(), self.pop3.port(), self.admin);
        if once {
            return format!(
                "\nDone. Without --once the demo stays up: IMAP at port {imap}, POP3 at {pop3}, metrics at {admin}."
            );
        }
        format!(
            "\nNow yours, until Ctrl-C:\n\
             \x20 user      {USER}\n\
             \x20 password  {PASSWORD}\n\
             \x20 IMAP      localhost, port {imap}, SSL/TLS\n\
             \x20 POP3      localhost, port {pop3}, SSL/TLS\n\
             \x20 trust     {ca}\n\
             \x20 metrics   http://{admin}/metrics\n\n\
             \x20 curl --cacert {ca} -u {USER}:{PASSWORD} 'imaps://localhost:{imap}/INBOX;MAILINDEX=4'\n\
             \x20 curl --cacert {ca} -u {USER}:{PASSWORD} pop3s://localhost:{pop3}/5\n\
             \x20 curl http://{admin}/metrics\n"
        )
    }
}

/// Counts the sessions that are over.
#[derive(Debug, Default)]
struct Endings(watch::Sender<usize>);

impl Endings {
    /// Waits until so many are over, but not for long.
    async fn reached(&self, count: usize) {
        let mut counter = self.0.subscribe();
        let reached = counter.wait_for(|over| *over >= count);
        // a transcript in another order is no reason to wait longer
        let _late = tokio::time::timeout(Duration::from_secs(2), reached).await;
    }
}

impl Witness for Endings {
    fn opened(&self, _info: &SessionInfo) {}

    fn events(&self, _info: &SessionInfo, _events: &[Event]) {}

    fn closed(&self, _info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        self.0.send_modify(|over| *over += 1);
    }
}

/// The configuration, as a file would say it: one rule, so that a refusal is seen.
fn configuration(scratch: &Path, sandbox: &Sandbox, pin: Pin, admin: SocketAddr) -> String {
    let mut text = format!(
        "[admin]\naddress = \"{admin}\"\n\n[authority]\ndirectory = {}\n\n[limits]\ndrain_timeout = \"1s\"\n\n\
         [[rule]]\nname = \"keep-mailboxes\"\ncommand = \"DELETE\"\naction = \"deny\"\n\
         reply = \"Mailboxes are not deleted here\"\n\n",
        quoted(&scratch.to_string_lossy())
    );
    for (protocol, port, upstream) in [("imap", 1993, sandbox.imap_addr), ("pop3", 1995, sandbox.pop3_addr)] {
        let _infallible = write!(
            text,
            "[[listener]]\nname = \"{protocol}s\"\naddress = \"{}\"\nprotocol = \"{protocol}\"\ntls = \"implicit\"\n\
             upstream = \"sandbox-{protocol}\"\ncertificate = \"mint\"\n\n\
             [[upstream]]\nname = \"sandbox-{protocol}\"\naddress = \"{upstream}\"\ntls = \"implicit\"\npin = \"{pin}\"\n\n",
            preferred(port)
        );
    }
    text
}

/// The sandbox's own certificate, and the pin by which the proxy knows it.
fn server_identity() -> anyhow::Result<(Arc<rustls::ServerConfig>, Pin)> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let digest = digest::digest(&digest::SHA256, &signing_key.subject_public_key_info());
    let pin = Pin(digest.as_ref().try_into()?);
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(|error| anyhow!(error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    Ok((Arc::new(config), pin))
}

/// A directory of this process alone, removed at the end.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        for attempt in 0..100 {
            let path = std::env::temp_dir().join(format!("mailwarden-demo-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // what is left in the system's temporary directory is cleared with it
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn makes_a_configuration_that_is_understood() {
        let sandbox = Sandbox::start(SandboxSettings::new(USER, PASSWORD)).await.unwrap();
        let (_, pin) = server_identity().unwrap();
        let text = configuration(Path::new("/a \"b\""), &sandbox, pin, preferred(9469));
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!((config.listeners.len(), config.upstreams.len(), config.rules.len()), (2, 2, 1));
        assert_eq!(config.upstreams[0].pin, Some(pin));
    }

    #[test]
    fn leaves_nothing_behind() {
        let scratch = Scratch::new().unwrap();
        std::fs::write(scratch.path().join("ca.pem"), "x").unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn plays_its_sessions_against_the_sandbox() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&ca, cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let settings = SandboxSettings::new(USER, PASSWORD).with_tls(SandboxTls::Implicit(Arc::new(config)));
        let sandbox = Sandbox::start(settings).await.unwrap();
        // without the proxy nobody refuses the DELETE, and the script notices
        let error = script::play(sandbox.imap_addr, sandbox.pop3_addr, &ca, &sandbox).await.unwrap_err();
        assert!(format!("{error:#}").contains("DELETE"), "{error:#}");
        script::pop3(sandbox.pop3_addr, &ca).await.unwrap();
    }
}
