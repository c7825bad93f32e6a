//! An operator's walk: something breaks, and the right alert fires with the right words.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::authority::Authority;
use super::super::command::free_port;
use super::super::dovecot::{Dovecot, open_to_all};
use super::super::lab::{PASSWORD, Ports, Tls, USER, direct_only};
use super::super::mailwarden::{Mailwarden, Upstream};
use super::super::talk::Talk;
use super::scraper::Prometheus;

/// A proxy before this server, and a Prometheus that has scraped it.
fn watched(directory: &Path, own: &Authority, ports: Ports, tls: Tls) -> (Mailwarden, Prometheus) {
    let upstream = Upstream { host: "127.0.0.1".to_owned(), ports, tls, roots: own.ca.clone(), compress: false };
    let proxy = Mailwarden::start(directory, own, Tls::None, &upstream, "");
    let prometheus = Prometheus::start(directory, proxy.admin);
    prometheus.wait_for("mailwarden_build_info");
    (proxy, prometheus)
}

/// Waits until the alert fires, whose text must end like this.
fn expect(prometheus: &Prometheus, alert: &str, end: &str) {
    let texts = prometheus.fired(alert);
    assert!(texts.iter().any(|text| text.ends_with(end)), "{alert}: {texts:?} do not end with {end:?}");
}

#[test]
fn a_server_that_is_down_is_told_by_name_and_a_proxy_that_is_down_too() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let down = Ports { imap: free_port(), pop3: free_port() };
    let (proxy, prometheus) = watched(directory.path(), &own, down, Tls::None);
    assert!(prometheus.firing().is_empty(), "nothing has happened yet: {:?}", prometheus.firing());
    Talk::to(proxy.ports.imap).rest();
    expect(&prometheus, "MailwardenUpstreamFails", ": 100% of the attempts to use imap-server fail.");
    expect(&prometheus, "MailwardenSessionsFail", "through a fault of an upstream or of the proxy.");
    drop(proxy);
    expect(&prometheus, "MailwardenDown", "mail programs that use it may reach no server.");
}

#[test]
fn an_expired_certificate_of_a_server_is_told_with_the_reason() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let authority = Authority::create_for(directory.path(), &["localhost"], Some(yesterday));
    let dovecot = Dovecot::start(directory.path(), &authority, &[]);
    let (proxy, prometheus) = watched(directory.path(), &authority, dovecot.ports(Tls::Implicit), Tls::Implicit);
    Talk::to(proxy.ports.pop3).rest();
    expect(&prometheus, "MailwardenUpstreamNotTrusted", " does not trust pop3-server: expired.");
    expect(&prometheus, "MailwardenUpstreamFails", ": 100% of the attempts to use pop3-server fail.");
}

#[test]
fn a_certificate_of_a_server_that_ends_in_three_days_is_told_before_it_does() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let soon = SystemTime::now() + Duration::from_hours(72);
    let authority = Authority::create_for(directory.path(), &["localhost"], Some(soon));
    let dovecot = Dovecot::start(directory.path(), &authority, &[]);
    let (proxy, prometheus) = watched(directory.path(), &authority, dovecot.ports(Tls::Implicit), Tls::Implicit);
    drop(Talk::greeted(proxy.ports.imap));
    let texts = prometheus.fired("MailwardenUpstreamCertificateExpires");
    let text = ": the certificate that imap-server shows expires in 2d 23h ";
    assert!(texts.iter().any(|one| one.contains(text)), "{texts:?}");
}

#[test]
fn a_mail_program_at_work_raises_no_alert() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let authority = Authority::create(directory.path());
    let dovecot = Dovecot::start(directory.path(), &authority, &[]);
    let (proxy, prometheus) = watched(directory.path(), &authority, dovecot.ports(Tls::Implicit), Tls::Implicit);
    let mut talk = Talk::greeted(proxy.ports.imap);
    for line in [&format!("a LOGIN {USER} {PASSWORD}\r\n"), "a SELECT INBOX\r\n", "a UNSELECT\r\n"] {
        talk.send(line.as_bytes());
        assert!(talk.answer().starts_with("a OK"), "{line}\n{}", proxy.log());
    }
    drop(talk);
    prometheus.wait_for("sum(increase(mailwarden_sessions_closed_total[1m])) > 0");
    assert!(prometheus.firing().is_empty(), "{:?}", prometheus.firing());
}
