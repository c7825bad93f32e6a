//! Every way in against every way out.

use rcgen::CertificateParams;
use tokio::io::AsyncWriteExt;

use super::rig::{Ca, MINTED, NO_TLS, Proxy, Server, between, greet_and_noop, in_clear, line, minting, noop, soon};

fn unchanged(_: &mut CertificateParams) {}

#[tokio::test]
async fn relays_over_every_combination_of_implicit_tls_and_none() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new("test authority");
    let roots = directory.path().join("roots.pem");
    ca.write(&roots);
    let identity = ca.issue(&["127.0.0.1"], unchanged);
    let minted = directory.path().join("ca");
    for tls_in in [false, true] {
        for tls_out in [false, true] {
            let server = Server::start(tls_out.then_some(&identity)).await;
            let inside = if tls_in { MINTED } else { NO_TLS };
            let outside = if tls_out { format!("tls = \"implicit\"\nroots = {roots:?}") } else { NO_TLS.to_owned() };
            let config = between(inside, server.address, &outside) + &minting(&minted);
            let proxy = Proxy::start(&config).await;
            if tls_in {
                let mut client = proxy.connect_tls(&minted.join("ca.pem"), "imap.example.com").await;
                greet_and_noop(&mut client).await;
                client.shutdown().await.unwrap();
            } else {
                let mut client = proxy.connect().await;
                greet_and_noop(&mut client).await;
            }
            let (info, reason) = proxy.seen.ended().await;
            assert_eq!((info.client_tls.is_some(), info.upstream_tls.is_some()), (tls_in, tls_out));
            assert!(reason.is_some(), "{tls_in} {tls_out}");
            proxy.stop().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_for_no_name_is_shown_the_address_it_connected_to() {
    let directory = tempfile::tempdir().unwrap();
    let minted = directory.path().join("ca");
    let server = Server::start(None).await;
    let config =
        between(MINTED, server.address, "tls = \"none\"\nserver_name = \"mail.example.com\"") + &minting(&minted);
    let proxy = Proxy::start(&config).await;
    // an address is never sent as a server name (RFC 6066 §3)
    let mut client = proxy.connect_tls(&minted.join("ca.pem"), "127.0.0.1").await;
    greet_and_noop(&mut client).await;
    proxy.stop().await;
}

#[tokio::test]
async fn the_name_asked_for_chooses_among_certificates_and_the_first_is_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let ca = Ca::new("test authority");
    ca.write(&file("roots.pem"));
    ca.issue(&["one.example.com"], unchanged).write(&file("one.pem"), &file("one.key"));
    ca.issue(&["*.two.example.com", "127.0.0.1"], unchanged).write(&file("two.pem"), &file("two.key"));
    let server = Server::start(None).await;
    let pair = |name: &str| {
        format!("{{ chain = {:?}, key = {:?} }}", file(&format!("{name}.pem")), file(&format!("{name}.key")))
    };
    let tls = format!("tls = \"implicit\"\ncertificate = [{}, {}]", pair("two"), pair("one"));
    let config = between(&tls, server.address, NO_TLS);
    let proxy = Proxy::start(&config).await;
    for name in ["one.example.com", "imap.two.example.com", "127.0.0.1"] {
        let mut client = proxy.connect_tls(&file("roots.pem"), name).await;
        greet_and_noop(&mut client).await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn handshakes_are_resumed_on_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let (minted, roots) = (directory.path().join("ca"), directory.path().join("roots.pem"));
    let ca = Ca::new("test authority");
    ca.write(&roots);
    let server = Server::start(Some(&ca.issue(&["127.0.0.1"], unchanged))).await;
    let config = between(MINTED, server.address, &format!("tls = \"implicit\"\nroots = {roots:?}")) + &minting(&minted);
    let proxy = Proxy::start(&config).await;
    let config = std::sync::Arc::new(super::rig::client_config(&minted.join("ca.pem")));
    let connector = tokio_rustls::TlsConnector::from(config);
    for resumed in [false, true] {
        let tcp = proxy.connect().await;
        let mut client = soon(connector.connect("mail.example.com".try_into().unwrap(), tcp)).await.unwrap();
        greet_and_noop(&mut client).await;
        client.shutdown().await.unwrap();
        let (info, _) = proxy.seen.ended().await;
        assert_eq!(info.client_tls.unwrap().resumed, resumed);
        assert_eq!(info.upstream_tls.unwrap().resumed, resumed);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_offers_another_protocol_by_alpn_is_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let minted = directory.path().join("ca");
    let server = Server::start(None).await;
    let config = between(MINTED, server.address, NO_TLS) + &minting(&minted);
    let proxy = Proxy::start(&config).await;
    for (offered, accepted) in [("http/1.1", false), ("imap", true)] {
        let mut config = super::rig::client_config(&minted.join("ca.pem"));
        config.alpn_protocols = vec![offered.as_bytes().to_vec()];
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let done = soon(connector.connect("m.example.com".try_into().unwrap(), proxy.connect().await)).await;
        assert_eq!(done.is_ok(), accepted, "{offered}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn many_sessions_run_side_by_side() {
    let server = Server::start(None).await;
    let proxy = Proxy::start(&in_clear(server.address)).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = proxy.connect().await;
        assert!(line(&mut client).await.starts_with("* OK"));
        clients.push(client);
    }
    for client in &mut clients {
        noop(client).await;
    }
    proxy.stop().await;
}
