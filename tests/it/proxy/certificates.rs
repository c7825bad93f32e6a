//! Upstreams whose certificate must not be trusted: the client is never greeted, nothing of the
//! client's reaches the server, and the error says what is wrong and which line to add.

use std::time::{Duration, SystemTime};

use mailwarden::fault::{Code, Fault};
use mailwarden::session::CloseReason;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};
use tokio::io::AsyncWriteExt;

use super::rig::{Ca, Identity, NO_TLS, Proxy, Server, between, greet_and_noop, in_clear, line};

const DAY: Duration = Duration::from_hours(24);

/// Goes through the proxy to a server with this certificate; what the client was told, and the fault.
async fn refused(identity: &Identity, tls: &str) -> Fault {
    let server = Server::start(Some(identity)).await;
    let proxy = Proxy::start(&between(NO_TLS, server.address, tls)).await;
    let mut client = proxy.connect().await;
    client.write_all(b"a LOGIN user canary\r\n").await.unwrap();
    let told = line(&mut client).await;
    assert!(told.is_empty() || told.starts_with("* BYE "), "{told:?}");
    drop(client);
    let (_, reason) = proxy.seen.ended().await;
    assert_eq!(reason, Some(CloseReason::UpstreamTls));
    assert_eq!(server.heard(), 0);
    let fault = proxy.seen.faults.lock().unwrap().remove(0);
    proxy.stop().await;
    fault
}

fn unchanged(_: &mut CertificateParams) {}

#[tokio::test]
async fn each_fault_of_a_certificate_is_named_with_its_code_and_the_pin_to_add() {
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    let (ca, stranger) = (Ca::new("test authority"), Ca::new("Nobody's CA"));
    ca.write(&roots);
    let trusted = format!("tls = \"implicit\"\nroots = {roots:?}");
    let (now, here) = (SystemTime::now(), ["127.0.0.1"]);
    let expired = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = ((now - DAY * 40).into(), (now - DAY * 3 - DAY / 2).into());
    };
    let early = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = ((now + DAY * 2 + DAY / 2).into(), (now + DAY * 40).into());
    };
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let for_clients =
        |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    for (identity, code, words) in [
        (ca.issue(&here, expired), Code::Expired, "expired 3 days ago, on "),
        (ca.issue(&here, early), Code::NotYetValid, "becomes valid in 2 days, on "),
        (
            ca.issue(&["a.example", "b.example"], unchanged),
            Code::NameMismatch,
            "not valid for 127.0.0.1, but for a.example, b.example",
        ),
        (stranger.issue(&here, unchanged), Code::Untrusted, "issued by `CN=Nobody's CA`"),
        (Identity::self_signed(&here, unchanged), Code::SelfSigned, "self-signed"),
        (ca.issue(&here, authority), Code::AuthorityAsServer, "(CA:TRUE)"),
        (ca.issue(&here, for_clients), Code::Purpose, "not for servers"),
    ] {
        let fault = refused(&identity, &trusted).await;
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.sentence.contains(words), "{fault}");
        assert!(fault.help.contains("[[upstream]] `u`: pin = \"sha256/"), "{}", fault.help);
        assert!(fault.farewell().ends_with(&format!("({code})")), "{fault}");
    }
}

#[tokio::test]
async fn the_pin_that_the_error_offers_is_accepted_and_another_is_not() {
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for identity in [
        Identity::self_signed(&["elsewhere.example"], unchanged),
        Identity::self_signed(&["elsewhere.example"], authority),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let roots = directory.path().join("roots.pem");
        Ca::new("test authority").write(&roots);
        let fault = refused(&identity, &format!("tls = \"implicit\"\nroots = {roots:?}")).await;
        let pin = fault.help.split("pin = ").nth(1).unwrap().to_owned();

        let server = Server::start(Some(&identity)).await;
        let tls = format!("tls = \"implicit\"\npin = {pin}");
        let config = between(NO_TLS, server.address, &tls);
        let proxy = Proxy::start(&config).await;
        greet_and_noop(&mut proxy.connect().await).await;
        proxy.stop().await;

        let other = Identity::self_signed(&["elsewhere.example"], unchanged);
        let fault = refused(&other, &tls).await;
        assert_eq!(fault.code, Code::PinMismatch);
        assert!(fault.help.contains("replace the pin"), "{}", fault.help);
    }
}

#[tokio::test]
async fn a_server_without_tls_on_the_port_is_told_apart_from_one_that_is_not_there() {
    let server = Server::start(None).await;
    let pin = "pin = \"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"";
    let config = between(NO_TLS, server.address, &format!("tls = \"implicit\"\n{pin}"));
    let proxy = Proxy::start(&config).await;
    let told = line(&mut proxy.connect().await).await;
    assert!(!told.starts_with("* OK"), "{told}");
    proxy.seen.ended().await;
    assert_eq!(proxy.seen.faults.lock().unwrap()[0].code, Code::UpstreamNotTls);
    proxy.stop().await;

    let address = server.address;
    drop(server);
    tokio::task::yield_now().await;
    let proxy = Proxy::start(&in_clear(address)).await;
    let told = line(&mut proxy.connect().await).await;
    assert!(!told.starts_with("* OK"), "{told}");
    let (_, reason) = proxy.seen.ended().await;
    assert_eq!(reason, Some(CloseReason::UpstreamConnect));
    assert_eq!(proxy.seen.faults.lock().unwrap()[0].code, Code::UpstreamRefused);
    proxy.stop().await;
}
