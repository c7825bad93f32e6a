//! Listeners that let in only clients with a certificate.

use std::sync::Arc;

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::rig::{
    Ca, NO_TLS, Proxy, Server, between, client_config, client_config_with, greet_and_noop, minting, soon,
};

#[tokio::test]
async fn a_client_is_let_in_by_a_certificate_of_the_named_authorities_and_known_by_its_subject() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let (office, elsewhere) = (Ca::new("office"), Ca::new("elsewhere"));
    office.write(&file("office.pem"));
    let server = Server::start(None).await;
    let tls = format!("tls = \"implicit\"\ncertificate = \"mint\"\nclients = {:?}", file("office.pem"));
    let config = between(&tls, server.address, NO_TLS) + &minting(&file("ca"));
    let proxy = Proxy::start(&config).await;
    let roots = file("ca").join("ca.pem");
    let identity = |ca: &Ca| {
        ca.issue(&["joe"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Example");
            params.distinguished_name.push(DnType::CommonName, "joe");
        })
    };
    for config in [client_config(&roots), client_config_with(&roots, &identity(&elsewhere))] {
        let connector = TlsConnector::from(Arc::new(config));
        let name = "mail.example.com".try_into().unwrap();
        // with TLS 1.3 a client learns of it when it reads
        if let Ok(mut tls) = soon(connector.connect(name, proxy.connect().await)).await {
            assert!(soon(tls.read_u8()).await.is_err());
        }
    }
    assert_eq!(server.heard(), 0);
    // the second time by a ticket, which has to remember who it is
    let connector = TlsConnector::from(Arc::new(client_config_with(&roots, &identity(&office))));
    for resumed in [false, true] {
        let name = "Mail.example.com".try_into().unwrap();
        let mut tls = soon(connector.connect(name, proxy.connect().await)).await.unwrap();
        greet_and_noop(&mut tls).await;
        tls.shutdown().await.unwrap();
        let (info, _) = proxy.seen.ended().await;
        let facts = info.client_tls.unwrap();
        assert_eq!((facts.subject.as_deref(), facts.resumed), (Some("CN=joe,O=Example"), resumed));
    }
    proxy.stop().await;
}
