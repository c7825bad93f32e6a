use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::testing::configs;
use super::*;

fn in_place() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    configs(&version::TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Our server with rustls's own client.
async fn served(
    (client, server): (Arc<ClientConfig>, Arc<ServerConfig>),
    pipe: usize,
) -> (tokio_rustls::client::TlsStream<DuplexStream>, Shaken<DuplexStream>) {
    let (near, far) = duplex(pipe);
    let (client, server) =
        tokio::join!(TlsConnector::from(client).connect(localhost(), near), TlsStream::accept(far, &[], server));
    (client.unwrap(), server.unwrap())
}

/// Our client with rustls's own server.
async fn connected(
    (client, server): (Arc<ClientConfig>, Arc<ServerConfig>),
    pipe: usize,
) -> (Shaken<DuplexStream>, tokio_rustls::server::TlsStream<DuplexStream>) {
    let (near, far) = duplex(pipe);
    let (client, server) =
        tokio::join!(TlsStream::connect(near, &[], client, localhost(), vec![]), TlsAcceptor::from(server).accept(far));
    (client.unwrap(), server.unwrap())
}

/// A hundred thousand octets each way at once, closed in order by both.
async fn exchange(mut one: impl AsyncRead + AsyncWrite + Unpin, mut other: impl AsyncRead + AsyncWrite + Unpin) {
    async fn talk(side: &mut (impl AsyncRead + AsyncWrite + Unpin), say: &[u8]) -> Vec<u8> {
        let (mut reader, mut writer) = tokio::io::split(side);
        let say = async {
            for piece in say.chunks(7001) {
                writer.write_all(piece).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let ((), heard_all) = tokio::join!(say, reader.read_to_end(&mut heard));
        heard_all.unwrap();
        heard
    }
    let [up, down] = [251_u8, 241].map(|last| (0..last).cycle().take(100_000).collect::<Vec<_>>());
    let (at_one, at_other) = tokio::time::timeout(Duration::from_mins(1), async {
        tokio::join!(talk(&mut one, &up), talk(&mut other, &down))
    })
    .await
    .unwrap();
    assert!(at_one == down && at_other == up);
}

#[tokio::test]
async fn what_one_side_says_the_other_hears_whatever_the_version_suite_and_pipe() {
    for (version, suite) in [
        (&version::TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&version::TLS13, CipherSuite::TLS13_AES_256_GCM_SHA384),
        (&version::TLS13, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        (&version::TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let configs = configs(version, suite);
        // a server's handshake ends when its tickets are taken, for which the smallest pipe has room
        for pipe in [1500, 5000, 1 << 20] {
            let (client, server) = served(configs.clone(), pipe).await;
            assert_eq!(server.suite, Some(suite));
            let is_in_place = matches!(server.stream.engine, Engine::InPlace(_));
            let can_be =
                version.version == ProtocolVersion::TLSv1_3 && suite != CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
            assert_eq!(is_in_place, can_be, "{suite:?}");
            exchange(client, server.stream).await;
            let (client, server) = connected(configs.clone(), pipe).await;
            exchange(client.stream, server).await;
        }
    }
}

#[tokio::test]
async fn the_name_a_client_asks_for_is_known_and_tickets_resume() {
    #[derive(Debug)]
    struct Noting(Arc<dyn rustls::server::ResolvesServerCert>);
    impl rustls::server::ResolvesServerCert for Noting {
        fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            asked::note(hello.server_name());
            self.0.resolve(hello)
        }
    }
    let (client, server) = in_place();
    let mut server = ServerConfig::clone(&server);
    server.cert_resolver = Arc::new(Noting(Arc::clone(&server.cert_resolver)));
    let server = Arc::new(server);
    let mut resumed = Vec::new();
    for _ in 0..3 {
        let (near, far) = duplex(1 << 16);
        let (us_client, us_server) = tokio::join!(
            TlsStream::connect(near, &[], Arc::clone(&client), localhost(), vec![]),
            TlsStream::accept(far, &[], Arc::clone(&server))
        );
        let (us_client, us_server) = (us_client.unwrap(), us_server.unwrap());
        assert_eq!(us_server.asked.as_deref(), Some("localhost"));
        assert_eq!(us_client.resumed, us_server.resumed);
        resumed.push(us_client.resumed);
        // the tickets come with the first octets
        exchange(us_client.stream, us_server.stream).await;
    }
    assert_eq!(resumed, [false, true, true]);
}

#[tokio::test]
async fn keys_are_updated_when_rustls_asks() {
    let (mut client, server) = served(in_place(), 1 << 20).await;
    let mut server = server.stream;
    let mut heard = [0; 5];
    for _ in 0..3 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(b"hello").await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        server.write_all(b"again").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"again");
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_told_apart_from_one_with_it() {
    let (mut client, server) = served(in_place(), 1 << 20).await;
    let mut server = server.stream;
    client.write_all(b"the last words").await.unwrap();
    client.flush().await.unwrap();
    drop(client);
    let mut heard = Vec::new();
    let error = server.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!((heard.as_slice(), error.kind()), (b"the last words".as_slice(), io::ErrorKind::UnexpectedEof));

    let (mut client, server) = served(in_place(), 1 << 20).await;
    let mut server = server.stream;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
    // its other half goes on
    server.write_all(b"mail").await.unwrap();
    server.shutdown().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"mail");
}

#[tokio::test]
async fn a_damaged_record_ends_the_connection_and_the_peer_is_told() {
    let (client, server) = in_place();
    let (near, mut far) = duplex(1 << 20);
    let (mut wire, inner) = duplex(1 << 20);
    let connect = TlsConnector::from(client).connect(localhost(), near);
    let accept = TlsStream::accept(inner, &[], server);
    // both ways until the handshakes are done; then one octet is changed
    let relay = async {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut far, &mut wire) => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    };
    let (client, server, ()) = tokio::join!(connect, accept, relay);
    let (mut client, mut server) = (client.unwrap(), server.unwrap().stream);
    for line in [b"a1 NOOP\r\n", b"a2 NOOP\r\n"] {
        client.write_all(line).await.unwrap();
        client.flush().await.unwrap();
    }
    let mut record = vec![0; 200];
    let count = far.read(&mut record).await.unwrap();
    record[count - 1] ^= 1;
    wire.write_all(&record[..count]).await.unwrap();
    // what came before it is authentic, and is heard although it came in the same read
    let mut heard = [0; 100];
    let len = server.read(&mut heard).await.unwrap();
    assert_eq!(&heard[..len], b"a1 NOOP\r\n");
    let error = server.read(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let count = wire.read(&mut record).await.unwrap();
    far.write_all(&record[..count]).await.unwrap();
    let error = client.read(&mut [0; 100]).await.unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    assert!(server.write_all(b"more").await.is_err(), "nothing is said on a connection that has failed");
}

#[tokio::test]
async fn what_is_no_tls_fails_the_handshake_at_once() {
    for octets in
        [&b"a1 LOGIN joe sesame\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[22, 3, 1, 255, 255, 0], &[23, 3, 3, 0, 1, 0]]
    {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(octets).await.unwrap();
        let done = tokio::time::timeout(Duration::from_mins(1), TlsStream::accept(far, &[], in_place().1)).await;
        let error = done.unwrap().map(drop).unwrap_err();
        assert!(error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).is_some(), "{octets:?}: {error}");
    }
    let (near, far) = duplex(1 << 16);
    drop(near);
    let error = TlsStream::accept(far, &[], in_place().1).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut client, server) = served(in_place(), 1 << 20).await;
    let mut server = server.stream;
    let mut heard = vec![0; 100_000];
    client.write_all(&heard.clone()).await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut heard).await.unwrap();
    server.write_all(&heard).await.unwrap();
    server.flush().await.unwrap();
    let held = (server.incoming.capacity(), server.ahead.is_empty(), server.outgoing.is_empty());
    assert_eq!(held, (0, true, true));
}
