//! A whole IMAP session through the relay, with clients and servers that deflate for real.

use bytes::Buf;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::tests::{Seen, start};
use super::*;
use crate::session::imap::Imap;
use crate::session::{Places, Setup, Terms, TlsMode};

/// A peer that speaks lines, deflated once it is told so.
struct Talker {
    io: DuplexStream,
    layer: Option<(Compress, Decompress)>,
    /// Octets that were read and not inflated, or (without a layer) not looked at.
    came: BytesMut,
    lines: BytesMut,
}

impl Talker {
    fn new(io: DuplexStream) -> Self {
        Self { io, layer: None, came: BytesMut::new(), lines: BytesMut::new() }
    }

    fn deflate(&mut self) {
        self.layer = Some((Compress::new(Compression::default(), false), Decompress::new(false)));
        self.came = std::mem::take(&mut self.lines);
    }

    fn deflated(&mut self, octets: &[u8]) -> Vec<u8> {
        let Some((deflater, _)) = &mut self.layer else { return octets.to_vec() };
        let mut all = Vec::with_capacity(octets.len() + 1024);
        deflater.compress_vec(octets, &mut all, FlushCompress::Sync).unwrap();
        all
    }

    async fn say(&mut self, octets: impl AsRef<[u8]>) {
        let octets = self.deflated(octets.as_ref());
        self.io.write_all(&octets).await.unwrap();
    }

    /// The next line; empty at the end.
    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.lines.iter().position(|octet| *octet == b'\n') {
                return String::from_utf8(self.lines.split_to(end + 1).to_vec()).unwrap();
            }
            if self.inflate() == 0 && self.io.read_buf(&mut self.came).await.unwrap() == 0 {
                return String::new();
            }
        }
    }

    /// Makes lines of what came; says how many octets.
    fn inflate(&mut self) -> usize {
        let Some((_, inflater)) = &mut self.layer else {
            let clear = self.came.split();
            self.lines.extend_from_slice(&clear);
            return clear.len();
        };
        let before = inflater.total_in();
        let mut made = Vec::with_capacity(1 << 20);
        inflater.decompress_vec(&self.came, &mut made, FlushDecompress::Sync).unwrap();
        self.came.advance(usize::try_from(inflater.total_in() - before).unwrap());
        self.lines.extend_from_slice(&made);
        made.len()
    }

    async fn hears(&mut self, line: &str) {
        assert_eq!(self.line().await, format!("{line}\r\n"));
    }
}

struct Scene {
    client: Talker,
    server: Talker,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

/// A session that has logged in; compression as it is given for each side.
async fn logged_in(offered: bool, used: bool) -> Scene {
    let compression = crate::session::Compression { client: offered, upstream: used, places: Places::new(2) };
    let (client_tls, upstream_tls) = (TlsMode::None, TlsMode::None);
    let terms = Terms { client_tls, upstream_tls, compression, transcript: false, ..Terms::offline() };
    let session = Imap::new(Setup::offline(Arc::new(terms), Protocol::Imap, 1, now()));
    let ((client, near), (server, far)) = (duplex(64 << 10), duplex(64 << 10));
    let layers = Layers { accept: None, connect: None, protocol: Protocol::Imap };
    let (seen, stop, task) = start(session, layers, Stream::Clear(near), Stream::Clear(far));
    let (mut client, mut server) = (Talker::new(client), Talker::new(server));
    server.say("* OK hi\r\n").await;
    client.hears("* OK hi").await;
    client.say("a LOGIN joe word\r\n").await;
    server.hears("a LOGIN joe word").await;
    server.say("a OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in\r\n").await;
    let own = if offered { "COMPRESS=DEFLATE LITERAL+" } else { "LITERAL+" };
    client.hears(&format!("a OK [CAPABILITY IMAP4rev1 {own}] in")).await;
    Scene { client, server, seen, task, stop }
}

impl Scene {
    /// The server accepts the proxy's COMPRESS, with `behind` right behind its OK.
    async fn compress_upstream(&mut self, behind: &str) {
        let asked = self.server.line().await;
        let tag = asked.strip_suffix(" COMPRESS DEFLATE\r\n").unwrap().to_owned();
        let mut octets = format!("{tag} OK go\r\n").into_bytes();
        self.server.deflate();
        octets.extend(self.server.deflated(behind.as_bytes()));
        self.server.io.write_all(&octets).await.unwrap();
    }

    async fn compress_client(&mut self) {
        self.client.say("z COMPRESS DEFLATE\r\n").await;
        self.client.hears("z OK DEFLATE active").await;
        self.client.deflate();
    }

    async fn answer_noop(&mut self) {
        self.client.say("n NOOP\r\n").await;
        self.server.hears("n NOOP").await;
        self.server.say("* 3 EXISTS\r\nn OK done\r\n").await;
        self.client.hears("* 3 EXISTS").await;
        self.client.hears("n OK done").await;
    }

    /// How the session ends, and the breaches until then.
    async fn end(self) -> (Option<CloseReason>, Vec<Violation>) {
        self.task.await.unwrap();
        let reason = self.seen.reason();
        let seen = self.seen.0.lock().unwrap();
        let breaches = seen.iter().filter_map(|seen| match seen {
            Observation::Violated(violation) => Some(violation.clone()),
            _ => None,
        });
        (reason, breaches.collect())
    }
}

#[tokio::test]
async fn each_side_is_compressed_for_itself() {
    for (client, upstream) in [(true, false), (false, true), (true, true)] {
        let mut scene = logged_in(client, upstream).await;
        if upstream {
            scene.compress_upstream("* 1 EXISTS\r\n").await;
            scene.client.hears("* 1 EXISTS").await;
        }
        if client {
            scene.compress_client().await;
        }
        scene.answer_noop().await;
        scene.answer_noop().await;
        let started = scene.seen.0.lock().unwrap();
        let is_start = |seen: &&Observation| matches!(seen, Observation::CompressionStarted { .. });
        assert_eq!(started.iter().filter(is_start).count(), usize::from(client) + usize::from(upstream));
    }
}

#[tokio::test]
async fn a_compressed_command_right_behind_compress_is_read() {
    let mut scene = logged_in(true, false).await;
    let mut octets = b"z COMPRESS DEFLATE\r\n".to_vec();
    scene.client.deflate();
    octets.extend(scene.client.deflated(b"n NOOP\r\n"));
    scene.client.io.write_all(&octets).await.unwrap();
    scene.server.hears("n NOOP").await;
}

#[tokio::test]
async fn a_command_in_clear_right_behind_compress_never_goes_up() {
    let mut scene = logged_in(true, false).await;
    scene.client.say("z COMPRESS DEFLATE\r\na DELETE inbox2\r\n").await;
    scene.client.hears("z OK DEFLATE active").await;
    scene.client.deflate();
    scene.client.hears("* BYE What came is not compressed as agreed").await;
    scene.client.io.shutdown().await.unwrap();
    assert_eq!(scene.server.line().await, "");
    let (reason, breaches) = scene.end().await;
    assert_eq!(reason, Some(CloseReason::ClientViolation));
    assert!(matches!(&breaches[..], [Violation { side: Side::Client, kind: ViolationKind::Compression, .. }]));
}

#[tokio::test]
async fn a_server_whose_octets_cannot_be_inflated_ends_the_session() {
    let mut scene = logged_in(false, true).await;
    let asked = scene.server.line().await;
    let tag = asked.split(' ').next().unwrap();
    // no block of DEFLATE begins so (RFC 1951 §3.2.3)
    scene.server.say([format!("{tag} OK go\r\n").as_bytes(), b"\xff\xff"].concat()).await;
    scene.client.hears("* BYE [UNAVAILABLE] The mail server sent what cannot be inflated").await;
    scene.client.io.shutdown().await.unwrap();
    let (reason, breaches) = scene.end().await;
    assert_eq!(reason, Some(CloseReason::UpstreamViolation));
    assert!(matches!(&breaches[..], [Violation { side: Side::Upstream, kind: ViolationKind::Compression, .. }]));
}

#[tokio::test]
async fn a_large_message_passes_from_a_compressed_server_to_a_compressed_client() {
    let mut scene = logged_in(true, true).await;
    scene.compress_upstream("").await;
    scene.compress_client().await;
    scene.client.say("s SELECT INBOX\r\n").await;
    scene.server.hears("s SELECT INBOX").await;
    scene.server.say("s OK done\r\n").await;
    scene.client.hears("s OK done").await;
    scene.client.say("f FETCH 1 BODY[]\r\n").await;
    scene.server.hears("f FETCH 1 BODY[]").await;
    let text = "Ninety-nine bottles\r\n".repeat(50_000);
    let (mut client, mut server) = (scene.client, scene.server);
    let told = async {
        server.say(format!("* 1 FETCH (BODY[] {{{}}}\r\n{text})\r\nf OK done\r\n", text.len())).await;
        server
    };
    let heard = async {
        client.hears(&format!("* 1 FETCH (BODY[] {{{}}}", text.len())).await;
        for _ in 0..50_000 {
            client.hears("Ninety-nine bottles").await;
        }
        client.hears(")").await;
        client.hears("f OK done").await;
    };
    let (_server, ()) = tokio::join!(told, heard);
}

#[tokio::test]
async fn a_bomb_of_a_client_stops_at_the_limit_of_a_line() {
    let mut scene = logged_in(true, false).await;
    scene.compress_client().await;
    let bomb = scene.client.deflated(&vec![b'x'; 64 << 20]);
    assert!(bomb.len() < 128 << 10);
    let sent = tokio::spawn(async move {
        // it may be hung up on
        let _sent = scene.client.io.write_all(&bomb).await;
        scene.client
    });
    let mut client = sent.await.unwrap();
    client.say("\r\n").await;
    client.hears("* BAD A line is longer than this server takes").await;
}

#[tokio::test]
async fn a_stop_is_told_inside_the_layer() {
    let mut scene = logged_in(true, false).await;
    scene.compress_client().await;
    scene.stop.cancel();
    scene.client.hears("* BYE [UNAVAILABLE] The proxy is being stopped").await;
    assert_eq!(scene.client.line().await, "");
}
