//! An operator's walk: something breaks, and the right alert fires with the right words.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::authority::Authority;
use super::super::command::free_port;
use super::super::dovecot::{Dovecot, open_to_all};
use super::super::fake::{Fake, Mood};
use super::super::lab::{PASSWORD, Ports, Tls, USER, direct_only};
use super::super::mail::of_size;
use super::super::mailwarden::{Mailwarden, Upstream};
use super::super::talk::Talk;
use super::scraper::Prometheus;
use super::walk::{Broken, tell};

/// Where a walk begins: a proxy before a server, and a Prometheus that has scraped it and sees nothing wrong.
struct Walk {
    proxy: Mailwarden,
    prometheus: Prometheus,
    directory: TempDir,
}

/// How the proxy is started.
struct Start {
    ports: Ports,
    upstream: Tls,
    client: Tls,
    /// More of its configuration.
    more: String,
    /// The program that becomes it.
    runner: Vec<String>,
}

impl Start {
    fn before(ports: Ports, upstream: Tls) -> Self {
        Self { ports, upstream, client: Tls::None, more: String::new(), runner: Vec::new() }
    }

    /// Before a server that says yes, or in this mood.
    fn before_fake(mood: Mood) -> Self {
        Self::before(Fake::start(mood).ports, Tls::None)
    }

    fn walk(self, directory: TempDir, own: &Authority) -> Walk {
        let Self { ports, upstream, client, more, runner } = self;
        let host = "127.0.0.1".to_owned();
        let upstream = Upstream { host, ports, tls: upstream, roots: own.ca.clone(), compress: false };
        let runner: Vec<&str> = runner.iter().map(String::as_str).collect();
        let proxy = Mailwarden::start_as(&runner, directory.path(), own, client, &upstream, &more);
        let prometheus = Prometheus::start(directory.path(), proxy.admin);
        prometheus.wait_for("mailwarden_build_info");
        Walk { proxy, prometheus, directory }
    }

    /// The same, with certificates like any other.
    fn simple_walk(self) -> Walk {
        let directory = TempDir::new().unwrap();
        let own = Authority::create(directory.path());
        self.walk(directory, &own)
    }
}

impl Walk {
    /// Has the incident happen until each of its alerts has fired; the page has their words.
    fn meets(&self, broken: Broken, alerts: &[&str], mut incident: impl FnMut(&Mailwarden)) {
        for alert in alerts {
            tell(broken, alert, &self.prometheus.fires_while(alert, || incident(&self.proxy)));
        }
    }
}

/// A Dovecot whose certificate is for these names and ends so, and the proxy before it.
fn with_certificate(names: &[&str], ends: Option<SystemTime>) -> (Walk, Dovecot) {
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let authority = Authority::create_for(directory.path(), names, ends);
    let dovecot = Dovecot::start(directory.path(), &authority, &[]);
    let start = Start::before(dovecot.ports(Tls::Implicit), Tls::Implicit);
    (start.walk(directory, &authority), dovecot)
}

fn in_three_days() -> SystemTime {
    SystemTime::now() + Duration::from_hours(72)
}

/// Says these lines after the greeting, and reads an answer to each.
fn says(port: u16, lines: &[&str]) -> Talk {
    let mut talk = Talk::greeted(port);
    for line in lines {
        talk.send(format!("{line}\r\n").as_bytes());
        talk.answer();
    }
    talk
}

#[test]
fn a_server_that_is_down_is_told_by_name_and_a_proxy_that_is_down_too() {
    if direct_only() {
        return;
    }
    let down = Ports { imap: free_port(), pop3: free_port() };
    let walk = Start::before(down, Tls::None).simple_walk();
    walk.prometheus.is_quiet();
    walk.meets(Broken::ServerDown, &["MailwardenUpstreamFails", "MailwardenSessionsFail"], |proxy| {
        assert!(!Talk::to(proxy.ports.imap).rest().is_empty(), "the client is told why");
    });
    let Walk { proxy, prometheus, directory: _directory } = walk;
    drop(proxy);
    tell(Broken::ProxyDown, "MailwardenDown", &prometheus.fires_while("MailwardenDown", || ()));
}

#[test]
fn an_expired_certificate_of_a_server_is_told_with_the_reason() {
    if direct_only() {
        return;
    }
    let (walk, _dovecot) = with_certificate(&["localhost"], Some(SystemTime::now() - Duration::from_hours(24)));
    walk.meets(Broken::CertificateExpired, &["MailwardenUpstreamNotTrusted"], |proxy| {
        Talk::to(proxy.ports.pop3).rest();
    });
}

#[test]
fn a_certificate_of_another_name_is_told_with_the_reason() {
    if direct_only() {
        return;
    }
    let (walk, _dovecot) = with_certificate(&["other.example"], None);
    walk.meets(Broken::CertificateOfOther, &["MailwardenUpstreamNotTrusted"], |proxy| {
        Talk::to(proxy.ports.imap).rest();
    });
}

#[test]
fn a_certificate_of_a_server_that_ends_in_three_days_is_told_before_it_does() {
    if direct_only() {
        return;
    }
    let (walk, _dovecot) = with_certificate(&["localhost"], Some(in_three_days()));
    drop(Talk::greeted(walk.proxy.ports.imap));
    walk.meets(Broken::CertificateEnds, &["MailwardenUpstreamCertificateExpires"], |_| ());
}

#[test]
fn a_certificate_of_the_proxy_that_ends_in_three_days_is_told_and_so_are_clients_without_tls() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create_for(directory.path(), &["localhost"], Some(in_three_days()));
    let start = Start { client: Tls::Implicit, ..Start::before_fake(Mood::Obliging) };
    let walk = start.walk(directory, &own);
    walk.meets(Broken::OwnCertificateEnds, &["MailwardenCertificateExpires"], |_| ());
    walk.meets(Broken::ClientsWithoutTls, &["MailwardenHandshakesFail"], |proxy| {
        let mut talk = Talk::to(proxy.ports.imap);
        talk.send(b"a1 CAPABILITY\r\n");
        talk.octets();
    });
}

#[test]
fn a_reload_that_fails_is_told_until_one_succeeds() {
    if direct_only() {
        return;
    }
    let walk = Start::before_fake(Mood::Obliging).simple_walk();
    let file = walk.directory.path().join("mailwarden.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\n[[rule]]\nname = \"half\n")).unwrap();
    assert!(walk.proxy.ask("POST /reload").starts_with("HTTP/1.1 409"));
    walk.meets(Broken::BadReload, &["MailwardenReloadFailed"], |_| ());
    std::fs::write(&file, good).unwrap();
    assert!(walk.proxy.ask("POST /reload").starts_with("HTTP/1.1 200"));
    walk.prometheus.wait_for("absent(ALERTS{alertname=\"MailwardenReloadFailed\"})");
}

#[test]
fn somebody_who_guesses_is_told_and_the_endpoint_says_from_where() {
    if direct_only() {
        return;
    }
    let walk = Start::before_fake(Mood::Distrustful).simple_walk();
    walk.meets(Broken::Guessing, &["MailwardenBruteForce"], |proxy| {
        drop(says(proxy.ports.imap, &["a LOGIN ada guess", "a LOGIN ada guess2"]));
    });
    let top = walk.proxy.ask("GET /api/top?by=clients&of=failures");
    assert!(top.contains(r#""top":[{"name":"127.0.0.1""#), "{top}");
}

#[test]
fn a_mailbox_that_is_carried_off_is_told_and_the_endpoint_says_by_whom() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    open_to_all(directory.path());
    let authority = Authority::create(directory.path());
    let dovecot = Dovecot::start(directory.path(), &authority, &[of_size(4 << 20)]);
    let walk = Start::before(dovecot.ports(Tls::None), Tls::None).walk(directory, &authority);
    let mut talk = says(walk.proxy.ports.imap, &[&format!("a LOGIN {USER} {PASSWORD}"), "a SELECT INBOX"]);
    walk.meets(Broken::Download, &["MailwardenMassDownload"], |_| {
        talk.send(b"a FETCH 1 BODY.PEEK[]\r\n");
        assert!(std::iter::repeat_with(|| talk.line()).take(1_000_000).any(|line| line.starts_with("a OK")));
    });
    let top = walk.proxy.ask("GET /api/top?by=users&of=octets");
    assert!(top.contains(&format!(r#""top":[{{"name":"{USER}""#)), "{top}");
}

#[test]
fn a_client_that_breaks_the_protocol_is_told() {
    if direct_only() {
        return;
    }
    let walk = Start::before_fake(Mood::Obliging).simple_walk();
    walk.meets(Broken::Nonsense, &["MailwardenViolationsRise"], |proxy| {
        drop(says(proxy.ports.imap, &["a SELECT \"nul\0\""]));
    });
}

#[test]
fn a_rule_that_is_broader_than_meant_is_told() {
    if direct_only() {
        return;
    }
    let more = "[[rule]]\nname = \"no folders\"\noperation = [\"select\", \"list\"]\naction = \"deny\"\n".to_owned();
    let walk = Start { more, ..Start::before_fake(Mood::Obliging) }.simple_walk();
    walk.meets(Broken::BroadRule, &["MailwardenDenialsJump"], |proxy| {
        drop(says(proxy.ports.imap, &[&format!("a LOGIN {USER} {PASSWORD}"), "a SELECT INBOX"]));
    });
}

#[test]
fn a_listener_that_fills_up_is_told_before_it_turns_clients_away_and_when_it_does() {
    if direct_only() {
        return;
    }
    let more = "[limits]\nconnections = 10\n".to_owned();
    let walk = Start { more, ..Start::before_fake(Mood::Obliging) }.simple_walk();
    // one by one, for those that only connect and say nothing count as well
    let nine: Vec<_> = (0..9).map(|_| Talk::greeted(walk.proxy.ports.imap)).collect();
    walk.meets(Broken::NearlyFull, &["MailwardenSessionsNearLimit"], |_| ());
    let _tenth = Talk::greeted(walk.proxy.ports.imap);
    walk.meets(Broken::Full, &["MailwardenTurnsAway"], |proxy| {
        let said = Talk::to(proxy.ports.imap).rest();
        assert!(said.iter().any(|line| line.contains("Too many connections")), "{said:?}");
    });
    drop(nine);
}

#[test]
fn descriptors_that_run_out_are_told() {
    if direct_only() {
        return;
    }
    let runner = ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    let walk = Start { runner, ..Start::before_fake(Mood::Obliging) }.simple_walk();
    let in_use = "process_open_fds / process_max_fds and on (instance) mailwarden_build_info";
    let mut visitors = Vec::new();
    walk.meets(Broken::FewDescriptors, &["MailwardenDescriptorsNearLimit"], |proxy| {
        if walk.prometheus.query(in_use).iter().all(|(_, share)| *share < 0.85) {
            // whoever comes after the share was told, and before it is told again, may be turned away
            let mut visitor = Talk::to(proxy.ports.imap);
            visitor.line();
            visitors.push(visitor);
        }
    });
}

#[test]
fn a_server_that_is_slow_is_told_by_how_much_of_the_allowance_is_spent() {
    if direct_only() {
        return;
    }
    let walk = Start::before_fake(Mood::Slow).simple_walk();
    let mut talk = says(walk.proxy.ports.imap, &[&format!("a LOGIN {USER} {PASSWORD}")]);
    let alerts = ["MailwardenLatencyBurnsFast", "MailwardenLatencyBurnsSlowly"];
    walk.meets(Broken::ServerSlow, &alerts, |_| {
        talk.send(b"a NOOP\r\n");
        assert_eq!(talk.answer(), "a OK done");
    });
}

#[test]
fn a_full_disk_ends_recordings_and_no_session_and_is_told() {
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let kept: PathBuf = directory.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let more = format!(
        "[policy]\nrecordings = {{ directory = \"{}\" }}\n\
         [[rule]]\nname = \"watched\"\ncommand = \"SELECT\"\naction = \"allow\"\nrecord = true\n",
        kept.display()
    );
    let own = Authority::create(directory.path());
    let walk =
        Start { more, runner: on_a_full_disk(&kept), ..Start::before_fake(Mood::Obliging) }.walk(directory, &own);
    walk.meets(Broken::DiskFull, &["MailwardenRecordingsFail"], |proxy| {
        let mut talk = says(proxy.ports.imap, &[&format!("a LOGIN {USER} {PASSWORD}")]);
        for command in ["SELECT INBOX", "NOOP"] {
            talk.send(format!("a {command}\r\n").as_bytes());
            assert_eq!(talk.answer(), "a OK done", "the session goes on");
        }
    });
}

/// Becomes a program for which this directory is a disk of its own without room; nobody else sees it.
fn on_a_full_disk(directory: &Path) -> Vec<String> {
    let script = "mount -t tmpfs -o size=64k tmpfs \"$0\" && head -c 64k /dev/zero > \"$0/filler\" && exec \"$@\"";
    let words = ["unshare", "--mount", "--map-root-user", "sh", "-c", script];
    words.into_iter().map(str::to_owned).chain([directory.display().to_string()]).collect()
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
    let walk = Start::before(dovecot.ports(Tls::Implicit), Tls::Implicit).walk(directory, &authority);
    let mut talk = Talk::greeted(walk.proxy.ports.imap);
    for line in [&format!("a LOGIN {USER} {PASSWORD}\r\n"), "a SELECT INBOX\r\n", "a UNSELECT\r\n"] {
        talk.send(line.as_bytes());
        assert!(talk.answer().starts_with("a OK"), "{line}\n{}", walk.proxy.log());
    }
    drop(talk);
    walk.prometheus.wait_for("sum(increase(mailwarden_sessions_closed_total[1m])) > 0");
    walk.prometheus.is_quiet();
}
