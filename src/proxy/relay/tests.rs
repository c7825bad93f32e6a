use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::metrics::Metrics;
use crate::proxy::UpstreamSettings;
use crate::session::{Event, Observation, Secured};
use crate::tls::{Acceptor, Authority, AuthoritySettings, CertificateSettings};
use crate::witness::{SessionInfo, Witness};

/// Relays everything, ends when told by its plan.
#[derive(Debug, Default)]
struct Pipe {
    /// Close when this side has ended; without it, when both have.
    close_with: Option<Side>,
    /// A line from the client that asks for TLS on this side.
    starttls: Option<Side>,
    deadline: Option<Instant>,
    busy: bool,
    /// Panic at this line of the client.
    panic_at: Option<&'static [u8]>,
}

impl Session for Pipe {
    fn advance(&mut self, inboxes: &mut Inboxes, now: Instant, out: &mut Outbox) {
        if out.starting_tls().is_some() {
            return;
        }
        assert!(self.panic_at.is_none_or(|line| !inboxes.client.starts_with(line)), "as the test wants it");
        let asked = b"STARTTLS\r\n";
        if let Some(side) = self.starttls
            && inboxes.of(side).starts_with(asked)
        {
            drop(inboxes.of(side).split_to(asked.len()));
            out.send(side, &b"OK\r\n"[..]);
            out.start_tls(side);
            return;
        }
        for side in [Side::Client, Side::Upstream] {
            let octets = inboxes.of(side).split().freeze();
            out.send(side.other(), octets);
        }
        let ended = match self.close_with {
            Some(Side::Client) => inboxes.client_ended,
            Some(Side::Upstream) => inboxes.upstream_ended,
            None => inboxes.client_ended && inboxes.upstream_ended,
        };
        if ended {
            out.close(now, CloseReason::Logout, "all was said");
        }
    }

    fn wants(&self, _side: Side) -> bool {
        true
    }

    fn tls_started(&mut self, secured: Secured, now: Instant, out: &mut Outbox) {
        out.observe(now, Observation::TlsStarted { side: secured.side() });
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        self.farewell(CloseReason::Timeout, "too slow", now, out);
    }

    fn farewell(&mut self, why: CloseReason, sentence: &str, now: Instant, out: &mut Outbox) {
        out.send(Side::Client, format!("BYE {sentence}\r\n").into_bytes());
        out.close(now, why, sentence);
    }

    fn is_idle(&self) -> bool {
        !self.busy
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen(pub(super) Mutex<Vec<Observation>>, Mutex<Option<SessionInfo>>);

impl Witness for Seen {
    fn opened(&self, _info: &SessionInfo) {}

    fn events(&self, _info: &SessionInfo, events: &[Event]) {
        self.0.lock().unwrap().extend(events.iter().map(|event| event.what.clone()));
    }

    fn closed(&self, info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        *self.1.lock().unwrap() = Some(info.clone());
    }
}

impl Seen {
    pub(super) fn reason(&self) -> Option<CloseReason> {
        let seen = self.0.lock().unwrap();
        seen.iter().find_map(|seen| if let Observation::Closed { reason, .. } = seen { Some(*reason) } else { None })
    }
}

struct Rig {
    client: DuplexStream,
    server: DuplexStream,
    seen: Arc<Seen>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(session: Pipe, accept: Option<Arc<ServerConfig>>) -> Self {
        Self::with(session, accept, None, 64 << 10)
    }

    fn with(session: Pipe, accept: Option<Arc<ServerConfig>>, connect: Option<Arc<Connector>>, pipe: usize) -> Self {
        let ((client, near), (server, far)) = (duplex(pipe), duplex(pipe));
        let layers = Layers { accept, connect, protocol: Protocol::Imap };
        let (seen, stop, task) = start(session, layers, Stream::Clear(near), Stream::Clear(far));
        Self { client, server, seen, stop, task }
    }

    /// With so much time for a busy session, once the proxy is stopped.
    fn draining(session: Pipe, drain_timeout: Duration) -> Self {
        let ((client, near), (server, far)) = (duplex(64), duplex(64));
        let layers = Layers { accept: None, connect: None, protocol: Protocol::Imap };
        let limits = Limits { drain_timeout, ..Limits::default() };
        let (seen, stop, task) = start_within(limits, session, layers, Stream::Clear(near), Stream::Clear(far));
        Self { client, server, seen, stop, task }
    }
}

pub(super) fn start(
    session: impl Session + Send + 'static,
    layers: Layers,
    client: Stream<DuplexStream>,
    upstream: Stream<DuplexStream>,
) -> (Arc<Seen>, CancellationToken, tokio::task::JoinHandle<()>) {
    let limits = Limits { handshake_timeout: Duration::from_secs(2), ..Limits::default() };
    start_within(limits, session, layers, client, upstream)
}

fn start_within(
    limits: Limits,
    session: impl Session + Send + 'static,
    layers: Layers,
    client: Stream<DuplexStream>,
    upstream: Stream<DuplexStream>,
) -> (Arc<Seen>, CancellationToken, tokio::task::JoinHandle<()>) {
    let seen = Arc::new(Seen::default());
    let witness: Arc<dyn Witness> = Arc::clone(&seen) as _;
    let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
    let hooks = crate::hook::Hooks::new(crate::hook::HookSet::default());
    let mut relay = Relay {
        session: Box::new(session),
        out: Outbox::new(now()),
        inboxes: Inboxes::default(),
        client: Peer::new(client),
        upstream: Peer::new(upstream),
        record: Record::open(SessionInfo::example(1), [witness].into(), Arc::clone(&metrics), None, now()),
        layers,
        limits,
        asked: Asked::new(hooks, metrics),
        drain_by: None,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { relay.run(&stopped).await });
    (seen, stop, task)
}

async fn read_all(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await.unwrap();
    all
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..=250).cycle().map(|octet: u8| octet ^ seed).take(len).collect()
}

#[tokio::test]
async fn both_sides_may_send_ten_mebibytes_at_once_before_either_reads() {
    let rig = Rig::new(Pipe::default(), None);
    let (up, down) = (pattern(10 << 20, 1), pattern(10 << 20, 2));
    let (client_in, mut client_out) = tokio::io::split(rig.client);
    let (server_in, mut server_out) = tokio::io::split(rig.server);
    let (sent_up, sent_down) = (up.clone(), down.clone());
    let sending = tokio::spawn(async move {
        let client = async {
            client_out.write_all(&sent_up).await.unwrap();
            client_out.shutdown().await.unwrap();
        };
        let server = async {
            server_out.write_all(&sent_down).await.unwrap();
            server_out.shutdown().await.unwrap();
        };
        tokio::join!(client, server);
    });
    let (got_down, got_up) = tokio::join!(read_all(client_in), read_all(server_in));
    assert!(got_up == up && got_down == down);
    sending.await.unwrap();
    rig.task.await.unwrap();
    assert_eq!(rig.seen.reason(), Some(CloseReason::Logout));
}

#[tokio::test]
async fn both_sides_may_send_ten_mebibytes_at_once_in_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (accept, connector) = minting(directory.path());
    let connector = Arc::new(connector);
    let ((client, near), (server, far)) = (duplex(32 << 10), duplex(32 << 10));
    let limit = Duration::from_mins(1);
    let server = tokio_rustls::TlsAcceptor::from(Arc::clone(&accept)).accept(server);
    let (client, near, server, far) = tokio::join!(
        connector.connect(client, &[], Protocol::Imap, limit),
        Stream::accept(near, &[], accept, limit),
        server,
        Stream::connect(far, &[], &connector, Protocol::Imap, limit),
    );
    let layers = Layers { accept: None, connect: None, protocol: Protocol::Imap };
    let (seen, _stop, task) = start(Pipe::default(), layers, near.unwrap().0, far.unwrap().0);
    let (client_in, mut client_out) = tokio::io::split(client.unwrap().stream);
    let (server_in, mut server_out) = tokio::io::split(server.unwrap());
    let (up, down) = (pattern(10 << 20, 1), pattern(10 << 20, 2));
    let (sent_up, sent_down) = (up.clone(), down.clone());
    let sending = tokio::spawn(async move {
        tokio::try_join!(client_out.write_all(&sent_up), server_out.write_all(&sent_down)).unwrap();
        tokio::try_join!(client_out.shutdown(), server_out.shutdown()).unwrap();
    });
    let (got_down, got_up) = tokio::join!(read_all(client_in), read_all(server_in));
    assert!(got_up == up && got_down == down);
    sending.await.unwrap();
    task.await.unwrap();
    assert_eq!(seen.reason(), Some(CloseReason::Logout));
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_and_bounds_what_is_held() {
    let mut rig = Rig::with(Pipe::default(), None, None, 4096);
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), rig.server.write(&[9; 4096])).await {
        sent += written.unwrap();
        assert!(sent < 1 << 20, "nothing stops the sender");
    }
    assert!(sent >= HIGH_WATER, "{sent}");
    let mut got = vec![0; sent];
    rig.client.read_exact(&mut got).await.unwrap();
    // the other direction works meanwhile, and this one again after
    rig.client.write_all(b"up").await.unwrap();
    let mut up = [0; 2];
    rig.server.read_exact(&mut up).await.unwrap();
    rig.server.write_all(b"x").await.unwrap();
    rig.client.read_exact(&mut up[..1]).await.unwrap();
    assert_eq!(&up, b"xp");
}

#[tokio::test]
async fn an_octet_at_a_time_is_held_in_no_more_memory() {
    let mut rig = Rig::with(Pipe::default(), None, None, 64);
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(300), rig.server.write_all(b"x")).await.is_ok() {
        sent += 1;
        assert!(sent < HIGH_WATER / 64, "nothing stops the sender");
        // each octet is read by itself
        tokio::task::yield_now().await;
    }
    let mut got = vec![0; sent];
    rig.client.read_exact(&mut got).await.unwrap();
}

#[tokio::test]
async fn a_half_closed_client_still_gets_what_the_server_has_to_say() {
    let mut rig = Rig::new(Pipe { close_with: Some(Side::Upstream), ..Pipe::default() }, None);
    rig.client.write_all(b"a LOGOUT\r\n").await.unwrap();
    rig.client.shutdown().await.unwrap();
    let mut asked = [0; 10];
    rig.server.read_exact(&mut asked).await.unwrap();
    rig.server.write_all(b"* BYE\r\na OK\r\n").await.unwrap();
    drop(rig.server);
    assert_eq!(read_all(rig.client).await, b"* BYE\r\na OK\r\n");
    rig.task.await.unwrap();
}

#[tokio::test]
async fn what_is_queued_for_a_client_is_delivered_after_the_server_has_gone() {
    let mut rig = Rig::with(Pipe { close_with: Some(Side::Upstream), ..Pipe::default() }, None, None, 1024);
    let told = pattern(60_000, 3);
    let sending = tokio::spawn({
        let told = told.clone();
        async move {
            rig.server.write_all(&told).await.unwrap();
            drop(rig.server);
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(read_all(rig.client).await == told);
    sending.await.unwrap();
}

#[tokio::test]
async fn the_deadline_ends_the_session_with_a_farewell() {
    let deadline = now() + Duration::from_millis(200);
    let rig = Rig::new(Pipe { deadline: Some(deadline), ..Pipe::default() }, None);
    assert_eq!(read_all(rig.client).await, b"BYE too slow\r\n");
    rig.task.await.unwrap();
    assert!(now() >= deadline);
    assert_eq!(rig.seen.reason(), Some(CloseReason::Timeout));
}

#[tokio::test]
async fn a_stop_ends_an_idle_session_at_once_and_a_busy_one_after_its_time() {
    for (busy, drain) in [(false, Duration::from_hours(1)), (true, Duration::from_millis(400))] {
        let begun = now();
        let rig = Rig::draining(Pipe { busy, ..Pipe::default() }, drain);
        rig.stop.cancel();
        let told = tokio::time::timeout(Duration::from_mins(1), read_all(rig.client)).await.unwrap();
        assert_eq!(told, b"BYE The proxy is being stopped\r\n");
        assert!(!busy || now() - begun >= drain);
        rig.task.await.unwrap();
        assert_eq!(rig.seen.reason(), Some(CloseReason::Drain));
    }
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_session_as_reset() {
    let mut rig = Rig::new(Pipe::default(), None);
    drop(rig.client);
    // the first octets find nobody to take them
    rig.server.write_all(b"hello").await.unwrap();
    rig.task.await.unwrap();
    assert_eq!(rig.seen.reason(), Some(CloseReason::ClientReset));
    assert_eq!(read_all(rig.server).await, b"");
}

fn minting(directory: &std::path::Path) -> (Arc<ServerConfig>, Connector) {
    let settings = AuthoritySettings { directory: directory.to_owned() };
    let authority = Arc::new(Authority::open_or_create(&settings).unwrap());
    let mint = CertificateSettings::Mint(serde_json::from_str("\"mint\"").unwrap());
    let acceptor = Acceptor::new(&mint, Some(&authority), "mail.example.com", Protocol::Imap, None).unwrap();
    let upstream =
        format!("name = \"u\"\naddress = \"mail.example.com:143\"\ntls = \"starttls\"\nroots = {:?}", authority.path());
    let upstream: UpstreamSettings = toml::from_str(&upstream).unwrap();
    let connector = Connector::new(&upstream.trust()).unwrap();
    (acceptor.config("127.0.0.1".parse().unwrap()), connector)
}

#[tokio::test]
async fn a_client_side_starttls_hands_what_was_read_ahead_to_the_tls_engine() {
    let directory = tempfile::tempdir().unwrap();
    let (accept, connector) = minting(directory.path());
    let rig = Rig::new(Pipe { starttls: Some(Side::Client), ..Pipe::default() }, Some(accept));
    // the ClientHello travels in the same octets as the command (RFC 9051 §6.2.1 lets it wait; this does not)
    let (mut plain, tls_side) = (rig.client, duplex(64 << 10));
    let (inner, mut wire) = tls_side;
    let handshake = connector.connect(inner, &[], Protocol::Imap, Duration::from_mins(1));
    let pump = async {
        let mut hello = vec![0; 16 << 10];
        let count = wire.read(&mut hello).await.unwrap();
        plain.write_all(&[b"STARTTLS\r\n", &hello[..count]].concat()).await.unwrap();
        let mut answer = [0; 4];
        plain.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK\r\n");
        tokio::io::copy_bidirectional(&mut plain, &mut wire).await.ok();
    };
    let mut server = rig.server;
    let talk = async {
        let mut tls = handshake.await.unwrap().stream;
        tls.write_all(b"secret").await.unwrap();
        tls.flush().await.unwrap();
        let mut got = [0; 6];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"secret");
        server.write_all(b"answer").await.unwrap();
        tls.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"answer");
    };
    tokio::select! { () = pump => panic!("it ended early"), () = talk => {} }
    drop(server);
    rig.stop.cancel();
    rig.task.await.unwrap();
    let info = rig.seen.1.lock().unwrap().clone().unwrap();
    assert_eq!(info.client_tls.unwrap().version, "TLSv1.3");
}

#[tokio::test]
async fn an_upstream_side_starttls_verifies_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let (accept, connector) = minting(directory.path());
    let session = Pipe { starttls: Some(Side::Upstream), ..Pipe::default() };
    let mut rig = Rig::with(session, None, Some(Arc::new(connector)), 64 << 10);
    rig.server.write_all(b"STARTTLS\r\n").await.unwrap();
    let mut answer = [0; 4];
    rig.server.read_exact(&mut answer).await.unwrap();
    let mut tls = tokio_rustls::TlsAcceptor::from(accept).accept(rig.server).await.unwrap();
    assert_eq!(tls.get_ref().1.server_name(), Some("mail.example.com"));
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"imap"[..]));
    tls.write_all(b"hello").await.unwrap();
    tls.flush().await.unwrap();
    let mut got = [0; 5];
    rig.client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
}

#[tokio::test]
async fn an_upstream_that_is_not_trusted_after_starttls_is_refused_with_its_code() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((accept, _), (_, connector)) = (minting(one.path()), minting(other.path()));
    let session = Pipe { starttls: Some(Side::Upstream), ..Pipe::default() };
    let mut rig = Rig::with(session, None, Some(Arc::new(connector)), 64 << 10);
    rig.server.write_all(b"STARTTLS\r\n").await.unwrap();
    let mut answer = [0; 4];
    rig.server.read_exact(&mut answer).await.unwrap();
    tokio_rustls::TlsAcceptor::from(accept).accept(rig.server).await.unwrap_err();
    let told = String::from_utf8(read_all(rig.client).await).unwrap();
    assert!(told.starts_with("BYE ") && told.contains("(MW-20"), "{told}");
    rig.task.await.unwrap();
    assert_eq!(rig.seen.reason(), Some(CloseReason::UpstreamTls));
}

#[tokio::test]
async fn a_silent_handshake_after_starttls_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (accept, _) = minting(directory.path());
    let mut rig = Rig::new(Pipe { starttls: Some(Side::Client), ..Pipe::default() }, Some(accept));
    rig.client.write_all(b"STARTTLS\r\n").await.unwrap();
    rig.task.await.unwrap();
    assert_eq!(rig.seen.reason(), Some(CloseReason::ClientTls));
}

#[tokio::test]
async fn a_session_that_panics_is_still_reported_as_ended() {
    let mut rig = Rig::new(Pipe { panic_at: Some(b"boom"), ..Pipe::default() }, None);
    rig.client.write_all(b"boom\r\n").await.unwrap();
    assert!(rig.task.await.unwrap_err().is_panic());
    assert_eq!(rig.seen.reason(), Some(CloseReason::Internal));
    assert!(rig.seen.1.lock().unwrap().is_some());
    assert_eq!(read_all(rig.server).await, b"");
}
