//! Limits and ends: half-open handshakes, too many connections, servers that vanish, stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mailwarden::session::CloseReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::rig::{MINTED, NO_TLS, Proxy, Server, between, greet_and_noop, in_clear, line, minting, noop, soon};

#[tokio::test]
async fn half_open_and_dripping_handshakes_are_closed_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    let config = between(MINTED, server.address, NO_TLS)
        + &minting(&directory.path().join("ca"))
        + "[limits]\nhandshake_timeout = \"300ms\"\n";
    let proxy = Proxy::start(&config).await;
    let begun = Instant::now();
    let mut silent = proxy.connect().await;
    silent.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    let (mut half, mut dripping) = proxy.connect().await.into_split();
    let drip = async {
        while dripping.write_all(&[0x16]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    soon(silent.read_to_end(&mut rest)).await.ok();
    let mut octet = [0];
    let dripped = async { while let Ok(1) = half.read(&mut octet).await {} };
    soon(async {
        tokio::select! { () = drip => {}, () = dripped => {} }
    })
    .await;
    // the limit that counts is the one that is set, not the default, which is over thirty times longer
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(server.heard(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&(in_clear(server.address) + "[limits]\nconnections = 2\n")).await;
    let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
    greet_and_noop(&mut one).await;
    greet_and_noop(&mut two).await;
    let told = line(&mut proxy.connect().await).await;
    assert_eq!(told, "* BYE [UNAVAILABLE] Too many connections, try again later\r\n");
    drop(one);
    proxy.seen.ended().await;
    noop(&mut two).await;
    // the permit comes back a moment after the session's end is reported
    soon(async {
        while !line(&mut proxy.connect().await).await.starts_with("* OK") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_stop_closes_idle_sessions_and_ends_the_proxy() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&in_clear(server.address)).await;
    let mut client = proxy.connect().await;
    greet_and_noop(&mut client).await;
    let address = proxy.address();
    proxy.stop.cancel();
    let mut rest = String::new();
    soon(client.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.is_empty() || rest.starts_with("* BYE"), "{rest}");
    drop(client);
    soon(proxy.task).await.unwrap().unwrap();
    assert_eq!(proxy.seen.closed.lock().unwrap()[0].1, Some(CloseReason::Drain));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake_that_a_client_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    let config = between("tls = \"starttls\"\ncertificate = \"mint\"", server.address, NO_TLS)
        + &minting(&directory.path().join("ca"))
        + "[limits]\nhandshake_timeout = \"1h\"\ndrain_timeout = \"1h\"\n";
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert!(line(&mut client).await.starts_with("* OK"));
    client.write_all(b"a STARTTLS\r\n").await.unwrap();
    assert!(line(&mut client).await.starts_with("a OK"));
    client.write_all(&[0x16, 0x03]).await.unwrap();
    proxy.stop.cancel();
    soon(proxy.task).await.unwrap().unwrap();
    assert_eq!(proxy.seen.closed.lock().unwrap()[0].1, Some(CloseReason::Drain));
}

/// A server that greets, says half a response, and then does what the test wants.
async fn half_a_response(then: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").await.unwrap();
        let mut asked = [0; 256];
        assert!(tcp.read(&mut asked).await.unwrap() > 0);
        tcp.write_all(b"* half a li").await.unwrap();
        then(tcp);
    });
    (address, task)
}

#[tokio::test]
async fn a_server_that_resets_the_connection_ends_the_session_and_says_so() {
    let hang_up = |tcp: TcpStream| tcp.set_zero_linger().unwrap();
    let (address, task) = half_a_response(hang_up).await;
    let proxy = Proxy::start(&in_clear(address)).await;
    let mut client = proxy.connect().await;
    line(&mut client).await;
    client.write_all(b"a NOOP\r\n").await.unwrap();
    let mut rest = Vec::new();
    soon(client.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.windows(4).any(|window| window == b"a OK"), "{rest:?}");
    drop(client);
    let (_, reason) = proxy.seen.ended().await;
    assert_eq!(reason, Some(CloseReason::UpstreamReset));
    task.await.unwrap();
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_resets_its_connection_frees_the_server_at_once() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&in_clear(server.address)).await;
    let mut client = proxy.connect().await;
    greet_and_noop(&mut client).await;
    client.set_zero_linger().unwrap();
    drop(client);
    // no limit of time is shorter than the tests' patience
    let (_, reason) = proxy.seen.ended().await;
    assert_eq!(reason, Some(CloseReason::ClientReset));
    proxy.stop().await;
}
