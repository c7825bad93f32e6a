//! The demo, the tap and recordings, end to end.

#![expect(clippy::unwrap_used, reason = "what a test's helper cannot do fails the test")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mailwarden::sandbox::{Sandbox, SandboxSettings, SandboxTls};
use rcgen::PublicKeyData;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const CANARY: &str = "canary-4711-password";

fn mailwarden(arguments: &[&str], home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailwarden"));
    command.args(arguments).env("XDG_STATE_HOME", home).env("TMPDIR", home).env_remove("RUST_LOG");
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn the_demo_shows_both_protocols_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = mailwarden(&["demo", "--once"], home.path()).output().unwrap();
    let (shown, errors) = (text(&stdout), text(&stderr));
    assert!(status.success(), "{shown}{errors}");
    for expected in [
        "C→  a1 LOGIN ann ‹secret›",
        "a5 UID FETCH 6 (BODYSTRUCTURE BODY.PEEK[2])",
        "denied by rule `keep-mailboxes`",
        "←P  a6 NO [NOPERM] Mailboxes are not deleted here",
        "C→  a7 IDLE",
        "C→  PASS ‹secret›",
        "‹message, ",
        "#2 closed after",
    ] {
        assert!(shown.contains(expected), "{expected:?} is missing in\n{shown}");
    }
    assert!(shown.trim_end().lines().last().unwrap().starts_with("Done."), "{shown}");
    assert!(!shown.contains("demo-password") && !errors.contains("demo-password"), "{shown}{errors}");
    assert!(!shown.contains('\x1b'), "a pipe gets no colours");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the demo leaves nothing behind");
}

/// A sandbox with a certificate that nobody knows, and the pin by which to know it.
async fn private_server(starttls: bool) -> (Sandbox, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()]).unwrap();
    let digest = digest::digest(&digest::SHA256, &signing_key.subject_public_key_info());
    let pin = format!("sha256/{}", BASE64_STANDARD.encode(digest));
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let tls = if starttls { SandboxTls::Starttls(config) } else { SandboxTls::Implicit(config) };
    (Sandbox::start(SandboxSettings::new("ann", CANARY).with_tls(tls)).await.unwrap(), pin)
}

/// A tap that runs, what it has said so far, and where it listens.
struct Tap {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    said: String,
    address: SocketAddr,
}

impl Tap {
    fn start(arguments: &[&str], home: &Path) -> Self {
        let mut child = mailwarden(&[&["tap", "--listen", "127.0.0.1:0"], arguments].concat(), home)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C ends.") {
            assert!(output.read_line(&mut said).unwrap() > 0, "the tap ended: {said}");
        }
        let port = said.split_once("port ").unwrap().1.split(',').next().unwrap().parse().unwrap();
        Self { child, output, said, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Ctrl-C.
    fn stop(mut self) -> String {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let patience = Instant::now() + Duration::from_mins(1);
        self.output.read_to_string(&mut self.said).unwrap();
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < patience, "the tap did not end");
            std::thread::yield_now();
        }
        assert!(self.child.wait().unwrap().success(), "{}", self.said);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // it has ended already, unless the test has failed
        drop(self.child.kill());
    }
}

/// Says these lines over TLS and reads until the server closes.
async fn converse(address: SocketAddr, ca: &Path, lines: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let reading = stream.read_to_end(&mut answers);
    tokio::time::timeout(Duration::from_mins(1), reading).await.unwrap().unwrap();
    text(&answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_shows_and_records_what_show_prints_again() {
    let home = tempfile::tempdir().unwrap();
    let (sandbox, pin) = private_server(true).await;
    let recording: PathBuf = home.path().join("case.mwr");
    let server = sandbox.imap_addr.to_string();
    let record = recording.to_str().unwrap();
    let tap = Tap::start(&[&server, "--upstream-tls", "starttls", "--pin", &pin, "--record", record], home.path());
    let ca = home.path().join("mailwarden/ca/ca.pem");
    assert!(tap.said.contains(ca.to_str().unwrap()), "{}", tap.said);
    let lines = format!("a LOGIN ann {CANARY}\r\nb SELECT INBOX\r\nc FETCH 6 BODY.PEEK[]\r\nd LOGOUT\r\n");
    let answers = converse(tap.address, &ca, &lines).await;
    assert!(answers.contains("c OK Fetch completed") && answers.ends_with("d OK Logged out\r\n"), "{answers}");
    let said = tap.stop();
    assert!(said.contains("C→  a LOGIN ann ‹secret›") && said.contains("‹literal, 4725 octets›"), "{said}");

    let Output { status, stdout, stderr } = mailwarden(&["show", record], home.path()).output().unwrap();
    let shown = text(&stdout);
    assert!(status.success(), "{}", text(&stderr));
    assert!(said.contains(shown.trim_end()), "shown:\n{shown}\nlive:\n{said}");
    let recorded = std::fs::read_to_string(&recording).unwrap();
    for (place, content) in [("live", &said), ("shown", &shown), ("recording", &recorded)] {
        assert!(!content.contains(CANARY), "{place}");
    }
    let none = mailwarden(&["show", record, "--session", "9"], home.path()).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("there is no session 9 in it; it has 1"), "{}", text(&none.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_says_which_pin_to_give_for_a_server_that_nobody_vouches_for() {
    let home = tempfile::tempdir().unwrap();
    let (sandbox, pin) = private_server(false).await;
    let server = sandbox.pop3_addr.to_string();
    let tap = Tap::start(&[&server, "--protocol", "pop3", "--upstream-tls", "implicit"], home.path());
    let ca = home.path().join("mailwarden/ca/ca.pem");
    let answers = converse(tap.address, &ca, "").await;
    assert!(answers.starts_with("-ERR [SYS/TEMP]"), "{answers}");
    let said = tap.stop();
    assert!(said.contains(&pin), "{said}");
}
