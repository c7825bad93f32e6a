//! The admin endpoint beside a working proxy.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Proxy, Server, greet_and_noop, listener, soon, upstream};

async fn get(address: SocketAddr, path: &str) -> String {
    let mut http = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    http.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    soon(http.read_to_string(&mut response)).await.unwrap();
    response
}

#[tokio::test]
async fn shows_health_and_what_sessions_did() {
    let server = Server::start(None).await;
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n{}{}",
        listener("tls = \"none\""),
        upstream(server.address, "tls = \"none\"")
    );
    let proxy = Proxy::start(&config).await;
    let admin = proxy.bound.admin.unwrap();
    assert!(get(admin, "/livez").await.starts_with("HTTP/1.1 200"));
    let ready = get(admin, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"ready\":true"), "{ready}");
    assert!(get(admin, "/").await.starts_with("HTTP/1.1 404"));

    let mut client = proxy.connect().await;
    greet_and_noop(&mut client).await;
    let shown = get(admin, "/metrics").await;
    for line in [
        "mailwarden_connections_accepted_total{listener=\"l\"} 1",
        "mailwarden_sessions_active{listener=\"l\",protocol=\"imap\"} 1",
        "mailwarden_wire_bytes_total{from=\"client\",protocol=\"imap\"} 9",
        "mailwarden_upstream_connect_duration_seconds_count{upstream=\"u\"} 1",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    drop(client);
    proxy.seen.ended().await;
    proxy.stop().await;
}
