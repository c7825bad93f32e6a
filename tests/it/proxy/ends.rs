//! Limits and ends: half-open handshakes, too many connections, servers that vanish, stops.

use std::time::{Duration, Instant};

use mailwarden::session::CloseReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{PATIENCE, Proxy, Server, greet_and_noop, line, listener, noop, soon, upstream};

#[tokio::test]
async fn half_open_and_dripping_handshakes_are_closed_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    let config = format!(
        "{}{}[authority]\ndirectory = {:?}\n[limits]\nhandshake_timeout = \"300ms\"\n",
        listener("tls = \"implicit\"\ncertificate = \"mint\""),
        upstream(server.address, "tls = \"none\""),
        directory.path().join("ca")
    );
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
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_eq!(server.heard(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let server = Server::start(None).await;
    let config = format!(
        "{}{}[limits]\nconnections = 2\n",
        listener("tls = \"none\""),
        upstream(server.address, "tls = \"none\"")
    );
    let proxy = Proxy::start(&config).await;
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
    let proxy =
        Proxy::start(&format!("{}{}", listener("tls = \"none\""), upstream(server.address, "tls = \"none\""))).await;
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
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
