//! The admin endpoint beside a working proxy.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{ADMIN, MINTED, NO_TLS, Proxy, Server, between, greet_and_noop, in_clear, line, minting, soon};

pub(super) async fn get(address: SocketAddr, path: &str) -> String {
    get_as(address, path, "*/*").await
}

pub(super) async fn get_as(address: SocketAddr, path: &str, accept: &str) -> String {
    ask(address, &format!("GET {path}"), &format!("Host: {address}\r\nAccept: {accept}\r\n")).await
}

/// The whole answer to a request with these header lines.
pub(super) async fn ask(address: SocketAddr, request: &str, headers: &str) -> String {
    let mut http = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    http.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    soon(http.read_to_string(&mut response)).await.unwrap();
    response
}

async fn status(address: SocketAddr, request: &str, headers: &str) -> String {
    ask(address, request, headers).await.lines().next().unwrap_or_default().to_owned()
}

/// What was sent is what was received, less what was removed, and what was added.
fn balances(shown: &str) {
    let sum = |family: &str, labels: &[&str]| -> u64 {
        let lines =
            shown.lines().filter(|line| line.starts_with(family) && labels.iter().all(|label| line.contains(label)));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    for (from, to) in [("client", "upstream"), ("upstream", "client")] {
        let (from, to) = (format!("from=\"{from}\""), format!("to=\"{to}\""));
        let altered = |change| sum("mailwarden_altered_bytes_total{", &[&to, change]);
        let received = sum("mailwarden_wire_bytes_total{", &[&from]);
        let sent = sum("mailwarden_sent_bytes_total{", &[&to]);
        assert_eq!(sent, received + altered("change=\"added\"") - altered("change=\"removed\""), "{from} {to}");
        assert!(sent > 0);
    }
}

#[tokio::test]
async fn shows_health_and_what_sessions_did() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&(in_clear(server.address) + ADMIN)).await;
    let admin = proxy.admin();
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
        "mailwarden_upstream_greeting_duration_seconds_count{upstream=\"u\"} 1",
        "mailwarden_upstream_connections{upstream=\"u\"} 1",
        "mailwarden_command_duration_seconds_count{command=\"NOOP\",protocol=\"imap\"} 1",
        "mailwarden_sessions_in_state{protocol=\"imap\",state=\"not_authenticated\"} 1",
        "mailwarden_runtime_workers 1",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    balances(&shown);
    let openmetrics = get_as(admin, "/metrics", "application/openmetrics-text;version=1.0.0").await;
    assert!(openmetrics.contains("content-type: application/openmetrics-text; version=1.0.0"), "{openmetrics}");
    assert!(openmetrics.ends_with("# EOF\n"));
    drop(client);
    proxy.seen.ended().await;
    let top = get(admin, "/api/top?by=clients&of=commands").await;
    assert!(top.contains(r#""top":[{"name":"127.0.0.1","value":1,"error":0}]"#), "{top}");
    let shown = get(admin, "/metrics").await;
    assert!(shown.contains("mailwarden_upstream_connections{upstream=\"u\"} 0"), "{shown}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_page_under_another_name_is_not_told_who_the_users_are_and_reloads_nothing() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&(in_clear(server.address) + ADMIN)).await;
    let admin = proxy.admin();
    let port = admin.port();
    for (host, expected) in [("127.0.0.1", "200"), ("localhost", "200"), ("evil.example", "421")] {
        let headers = format!("Host: {host}:{port}\r\n");
        assert_eq!(status(admin, "GET /api/top", &headers).await.split(' ').nth(1), Some(expected), "{host}");
        assert_eq!(status(admin, "GET /metrics", &headers).await.split(' ').nth(1), Some("200"), "{host}");
    }
    let reload = format!("Host: evil.example:{port}\r\nmailwarden-request: reload\r\n");
    assert_eq!(status(admin, "POST /reload", &reload).await, "HTTP/1.1 421 Misdirected Request");
    proxy.stop().await;
}

#[tokio::test]
async fn with_a_token_only_health_is_for_everybody() {
    let server = Server::start(None).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "correct-horse-battery\n").unwrap();
    let token = format!("token_file = {:?}\n", file.path());
    let proxy = Proxy::start(&(in_clear(server.address) + ADMIN + &token)).await;
    let admin = proxy.admin();
    let bare = "Host: mail.example\r\n";
    let wrong = "Host: mail.example\r\nAuthorization: Bearer wrong-horse-battery!!\r\n";
    let right = "Host: mail.example\r\nAuthorization: Bearer correct-horse-battery\r\n";
    for (request, headers, expected) in [
        ("GET /livez", bare, "HTTP/1.1 200 OK"),
        ("GET /readyz", bare, "HTTP/1.1 200 OK"),
        ("GET /metrics", bare, "HTTP/1.1 401 Unauthorized"),
        ("GET /api/top", wrong, "HTTP/1.1 401 Unauthorized"),
        ("POST /reload", wrong, "HTTP/1.1 401 Unauthorized"),
        ("GET /metrics", right, "HTTP/1.1 200 OK"),
        ("GET /api/top", right, "HTTP/1.1 200 OK"),
    ] {
        assert_eq!(status(admin, request, headers).await, expected, "{request} {headers}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_at_a_scrape_is_what_there_is() {
    let server = Server::start(None).await;
    let directory = tempfile::tempdir().unwrap();
    let (minted, kept) = (directory.path().join("ca"), directory.path().join("kept"));
    let config = between(MINTED, server.address, NO_TLS)
        + &minting(&minted)
        + ADMIN
        + "[limits]\ncompressed_sides = 7\n"
        + &format!("[policy]\nrecordings = {{ directory = {kept:?} }}\n")
        + "[[rule]]\nname = \"s\"\naction = \"deny\"\nmode = \"observe\"\nwhen = \"1 / size(groups) > 1\"\n"
        + "[[rule]]\nname = \"r\"\naction = \"allow\"\ncommand = \"LOGIN\"\nrecord = true\n";
    let proxy = Proxy::start(&config).await;
    for _ in 0..3 {
        let mut client = proxy.connect_tls(&minted.join("ca.pem"), "imap.example.com").await;
        greet_and_noop(&mut client).await;
        client.write_all(b"b LOGIN joe pass\r\n").await.unwrap();
        assert_eq!(line(&mut client).await, "b OK done\r\n");
        client.shutdown().await.unwrap();
        proxy.seen.ended().await;
    }
    let files =
        || std::fs::read_dir(&kept).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    // another thread writes them
    soon(async {
        while files().filter(|text| text.contains("{\"closed\":")).count() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let octets: usize = files().map(|text| text.len()).sum();
    let shown = get(proxy.admin(), "/metrics").await;
    for expected in [
        "mailwarden_compressed_sides 0\n",
        "mailwarden_compressed_sides_limit 7\n",
        "mailwarden_certificates_minted_total 1\n",
        "mailwarden_certificate_cache_hits_total 2\n",
        "mailwarden_certificate_expiry_timestamp_seconds{name=\"authority\",usage=\"authority\"} ",
        "mailwarden_tls_handshakes_total{result=\"ok\",side=\"client\"} 3\n",
        "mailwarden_recordings_total 3\n",
        &format!("mailwarden_recording_bytes_total {octets}\n"),
        "mailwarden_recording_failures_total{reason=\"disk\"} 0\n",
        "mailwarden_recording_failures_total{reason=\"busy\"} 0\n",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    assert!(!shown.contains("mailwarden_policy_expression_failures_total 0\n"), "{shown}");
    proxy.stop().await;
}
