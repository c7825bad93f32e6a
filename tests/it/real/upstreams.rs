//! A server that cannot be used: what the client reads instead of a greeting, and what the log says.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::authority::Authority;
use super::command::free_port;
use super::dovecot::{Dovecot, open_to_all};
use super::fake::{Fake, Mood};
use super::lab::{Ports, Tls, direct_only};
use super::mailwarden::{Mailwarden, Upstream};
use super::talk::Talk;

const IMPATIENT: &str = "[limits]\nconnect_timeout = \"1s\"\nhandshake_timeout = \"1s\"\ngreeting_timeout = \"1s\"\n";

/// Connects with both protocols: a plain sentence with the right code, then the end; never a greeting.
/// `hint` stands in the sentence.
fn refuses_to_greet(upstream: &Upstream, limits: &str, hint: &str) {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, upstream, limits);
    let rows = [(proxy.ports.imap, "* BYE [UNAVAILABLE] "), (proxy.ports.pop3, "-ERR [SYS/TEMP] ")];
    for (port, start) in rows {
        let lines = Talk::to(port).rest();
        let [line] = lines.as_slice() else { panic!("one line was due: {lines:?}\n{}", proxy.log()) };
        let sentence = line.strip_prefix(start).unwrap_or_else(|| panic!("{line:?}\n{}", proxy.log()));
        assert!(sentence.contains(hint) && sentence.contains(' '), "{sentence:?} has no {hint:?}");
        assert!(line.len() <= 510 && line.is_ascii(), "{line:?}");
    }
    for name in ["imap-server", "pop3-server"] {
        // the line is written when the session's task ends, which may be after its last octet
        let named = (0..100).any(|_| {
            let named = proxy.log().contains(name);
            if !named {
                std::thread::sleep(Duration::from_millis(50));
            }
            named
        });
        assert!(named, "the log names {name}:\n{}", proxy.log());
    }
    assert!(proxy.metrics().contains("mailwarden_"), "it is still up");
}

fn in_clear(host: &str, ports: Ports) -> Upstream {
    Upstream { host: host.to_owned(), ports, tls: Tls::None, roots: PathBuf::new(), compress: false }
}

#[test]
fn says_that_a_server_is_down() {
    refuses_to_greet(&in_clear("127.0.0.1", Ports { imap: free_port(), pop3: free_port() }), IMPATIENT, "");
}

#[test]
fn says_that_a_server_is_unreachable() {
    // RFC 5737 §3: no host has this address.
    refuses_to_greet(&in_clear("192.0.2.1", Ports { imap: 143, pop3: 110 }), IMPATIENT, "");
}

#[test]
fn says_that_a_server_is_slow_to_greet() {
    refuses_to_greet(&in_clear("127.0.0.1", Fake::start(Mood::Silent).ports), IMPATIENT, "");
}

#[test]
fn says_that_a_server_hangs_up() {
    refuses_to_greet(&in_clear("127.0.0.1", Fake::start(Mood::HangsUp).ports), IMPATIENT, "");
}

#[test]
fn says_that_a_server_refuses() {
    let fake = Fake::start(Mood::Refuses);
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, &in_clear("127.0.0.1", fake.ports), IMPATIENT);
    // The server's own words are passed on, or the proxy's stand for them; a greeting is neither.
    for (port, start) in [(proxy.ports.imap, "* BYE "), (proxy.ports.pop3, "-ERR ")] {
        let lines = Talk::to(port).rest();
        assert!(lines.len() == 1 && lines[0].starts_with(start), "{lines:?}\n{}", proxy.log());
    }
}

#[test]
fn says_that_a_server_never_answers_the_tls_handshake() {
    let roots = TempDir::new().unwrap();
    let authority = Authority::create(roots.path());
    let mut upstream = in_clear("127.0.0.1", Fake::start(Mood::Silent).ports);
    (upstream.tls, upstream.roots) = (Tls::Implicit, authority.ca);
    refuses_to_greet(&upstream, IMPATIENT, "");
}

/// A Dovecot with the certificate made by `leaf`, trusted as `roots` says.
fn bad_certificate(leaf: impl Fn(&TempDir) -> Authority, roots: impl Fn(&Authority) -> PathBuf) {
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let authority = leaf(&directory);
    let dovecot = Dovecot::start(directory.path(), &authority, &[]);
    for tls in [Tls::Implicit, Tls::Starttls] {
        let host = "127.0.0.1".to_owned();
        let upstream = Upstream { host, ports: dovecot.ports(tls), tls, roots: roots(&authority), compress: false };
        refuses_to_greet(&upstream, "", "MW-2");
    }
    assert!(!dovecot.log().contains("Login:"), "{}", dovecot.log());
}

#[test]
fn says_that_a_certificate_is_for_another_name() {
    bad_certificate(
        |directory| Authority::create_for(directory.path(), &["elsewhere.example"], None),
        |authority| authority.ca.clone(),
    );
}

#[test]
fn says_that_a_certificate_is_from_an_unknown_authority() {
    let stranger = TempDir::new().unwrap();
    let other = Authority::create(stranger.path());
    bad_certificate(|directory| Authority::create(directory.path()), |_| other.ca.clone());
}

#[test]
fn says_that_a_certificate_has_expired() {
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    bad_certificate(
        |directory| Authority::create_for(directory.path(), &["localhost"], Some(yesterday)),
        |authority| authority.ca.clone(),
    );
}
