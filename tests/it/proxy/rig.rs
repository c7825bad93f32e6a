//! A proxy, a mail server and clients in one process, with certificates made for the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailwarden::config::Config;
use mailwarden::fault::Fault;
use mailwarden::proxy::{Bound, RunError, run_reloading};
use mailwarden::reload::{ReloadHandle, ReloadSource};
use mailwarden::session::{CloseReason, Event, Observation};
use mailwarden::witness::{SessionInfo, Witness};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Fails the test if `work` takes too long.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes too long")
}

/// An authority made for one test.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).unwrap();
    }

    /// A server's certificate for these names, changed by `change`.
    pub(crate) fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

/// A server's certificate and key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Identity {
    pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    pub(crate) fn write(&self, chain: &Path, key: &Path) {
        std::fs::write(chain, &self.pem).unwrap();
        std::fs::write(key, self.key.serialize_pem()).unwrap();
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"imap".to_vec(), b"pop3".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// A small IMAP server: greets, and answers every command with OK.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Octets of protocol it was sent.
    pub(crate) heard: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(identity: Option<&Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let (acceptor, counter) = (identity.map(Identity::acceptor), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(tcp, acceptor.clone(), Arc::clone(&counter)));
            }
        });
        Self { address, heard, task }
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(tcp: TcpStream, acceptor: Option<TlsAcceptor>, heard: Arc<AtomicUsize>) {
    let Some(acceptor) = acceptor else { return converse(tcp, &heard).await };
    // a proxy that does not trust us ends the handshake
    if let Ok(tls) = acceptor.accept(tcp).await {
        converse(tls, &heard).await;
    }
}

async fn converse<IO: AsyncRead + AsyncWrite + Unpin>(io: IO, heard: &AtomicUsize) {
    let mut io = BufReader::new(io);
    if io.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").await.is_err() || io.flush().await.is_err() {
        return;
    }
    let mut line = String::new();
    while let Ok(1..) = io.read_line(&mut line).await {
        heard.fetch_add(line.len(), Ordering::SeqCst);
        let tag = line.split(' ').next().unwrap_or("*");
        let answer = format!("{tag} OK done\r\n");
        if io.write_all(answer.as_bytes()).await.is_err() || io.flush().await.is_err() {
            return;
        }
        line.clear();
    }
}

/// Remembers what sessions reported.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) faults: Mutex<Vec<Fault>>,
    pub(crate) closed: Mutex<Vec<(SessionInfo, Option<CloseReason>)>>,
    reason: Mutex<Option<CloseReason>>,
    ended: tokio::sync::Notify,
}

impl Witness for Seen {
    fn opened(&self, _info: &SessionInfo) {}

    fn upstream_failed(&self, _info: &SessionInfo, fault: &Fault) {
        self.faults.lock().unwrap().push(fault.clone());
    }

    fn events(&self, _info: &SessionInfo, events: &[Event]) {
        for event in events {
            if let Observation::Closed { reason, .. } = &event.what {
                *self.reason.lock().unwrap() = Some(*reason);
            }
        }
    }

    fn closed(&self, info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        self.closed.lock().unwrap().push((info.clone(), self.reason.lock().unwrap().take()));
        self.ended.notify_one();
    }
}

impl Seen {
    /// Waits for the next session to end.
    pub(crate) async fn ended(&self) -> (SessionInfo, Option<CloseReason>) {
        soon(self.ended.notified()).await;
        self.closed.lock().unwrap().last().cloned().unwrap()
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) bound: Bound,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), RunError>>,
}

impl Proxy {
    pub(crate) async fn start(config: &str) -> Self {
        Self::launch(toml::from_str(config).unwrap(), None).await
    }

    /// A proxy that reads this file, and again when it is asked to.
    pub(crate) async fn start_from(file: &Path) -> (Self, ReloadHandle) {
        let (handle, source) = ReloadHandle::new(file);
        (Self::launch(Config::load(file).unwrap(), Some((handle.clone(), source))).await, handle)
    }

    async fn launch(config: Config, reloads: Option<(ReloadHandle, ReloadSource)>) -> Self {
        let seen = Arc::new(Seen::default());
        let witnesses: Vec<Arc<dyn Witness>> = vec![Arc::<Seen>::clone(&seen)];
        let stop = CancellationToken::new();
        let (report, bound) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        let ready = move |bound: &Bound| report.send(bound.clone()).unwrap();
        let task =
            tokio::spawn(async move { Box::pin(run_reloading(config, reloads, witnesses, ready, stopped)).await });
        let bound = soon(bound).await.expect("the proxy starts");
        Self { bound, seen, stop, task }
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.bound.listeners[0].1
    }

    /// The address of the admin endpoint.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.bound.admin.unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// A TLS client that trusts the authority in `roots`, and asks for `name`.
    pub(crate) async fn connect_tls(&self, roots: &Path, name: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(client_config(roots)));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        soon(connector.connect(name, self.connect().await)).await.unwrap()
    }

    /// Stops the proxy and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon(self.task).await.unwrap().unwrap();
    }
}

/// The settings of a client that trusts the authority in `roots` alone.
pub(crate) fn client_config(roots: &Path) -> ClientConfig {
    trusting(roots).with_no_client_auth()
}

/// The same for a client that shows a certificate.
pub(crate) fn client_config_with(roots: &Path, identity: &Identity) -> ClientConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    trusting(roots).with_client_auth_cert(vec![identity.certificate.clone()], key).unwrap()
}

fn trusting(roots: &Path) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    use rustls::pki_types::pem::PemObject;

    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots).unwrap() {
        store.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
}

/// What a side without TLS says of it.
pub(crate) const NO_TLS: &str = "tls = \"none\"";
/// What a listener says of TLS whose certificates are minted; see [`minting`].
pub(crate) const MINTED: &str = "tls = \"implicit\"\ncertificate = \"mint\"";
/// The admin endpoint's section.
pub(crate) const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// A listener `l` in front of upstream `u` at this address; `inside` and `outside` set what else there is to each.
pub(crate) fn between(inside: &str, server: SocketAddr, outside: &str) -> String {
    format!(
        "[[listener]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\nprotocol = \"imap\"\nupstream = \"u\"\n{inside}\n\
         [[upstream]]\nname = \"u\"\naddress = \"{server}\"\n{outside}\n"
    )
}

/// The same without TLS.
pub(crate) fn in_clear(server: SocketAddr) -> String {
    between(NO_TLS, server, NO_TLS)
}

/// The section of an authority that keeps its files in this directory.
pub(crate) fn minting(directory: &Path) -> String {
    format!("[authority]\ndirectory = \"{}\"\n", directory.display())
}

/// Reads one line; empty at the end of file.
pub(crate) async fn line<IO: AsyncRead + Unpin>(io: &mut IO) -> String {
    let mut line = Vec::new();
    soon(async {
        while let Ok(octet) = io.read_u8().await {
            line.push(octet);
            if octet == b'\n' {
                break;
            }
        }
    })
    .await;
    String::from_utf8(line).unwrap()
}

/// Reads the greeting, sends a NOOP, and expects its answer.
pub(crate) async fn greet_and_noop<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) {
    let greeting = line(io).await;
    assert!(greeting.starts_with("* OK"), "{greeting:?}");
    noop(io).await;
}

/// Sends a NOOP and expects its answer.
pub(crate) async fn noop<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) {
    io.write_all(b"a1 NOOP\r\n").await.unwrap();
    io.flush().await.unwrap();
    assert_eq!(line(io).await, "a1 OK done\r\n");
}
