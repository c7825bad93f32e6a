//! `docs/operators-walk.md`: what was broken, which alert fired, and what it said. The page is made of what a real
//! Prometheus gave, and compared with it in each run; with `MAILWARDEN_WRITE_DOCS` it is written anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::papers::alerts;
use super::scraper::Fired;

/// The stations, in the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Broken {
    ServerDown,
    ServerSlow,
    CertificateExpired,
    CertificateOfOther,
    CertificateEnds,
    OwnCertificateEnds,
    ClientsWithoutTls,
    ProxyDown,
    BadReload,
    Guessing,
    Download,
    Nonsense,
    BroadRule,
    NearlyFull,
    Full,
    FewDescriptors,
    DiskFull,
}

impl Broken {
    const ALL: [Self; 17] = [
        Self::ServerDown,
        Self::ServerSlow,
        Self::CertificateExpired,
        Self::CertificateOfOther,
        Self::CertificateEnds,
        Self::OwnCertificateEnds,
        Self::ClientsWithoutTls,
        Self::ProxyDown,
        Self::BadReload,
        Self::Guessing,
        Self::Download,
        Self::Nonsense,
        Self::BroadRule,
        Self::NearlyFull,
        Self::Full,
        Self::FewDescriptors,
        Self::DiskFull,
    ];

    fn sentence(self) -> &'static str {
        match self {
            Self::ServerDown => "The mail server is stopped",
            Self::ServerSlow => "The mail server takes longer than a second for each command",
            Self::CertificateExpired => "The server's certificate expired yesterday",
            Self::CertificateOfOther => "The server shows a certificate for another name",
            Self::CertificateEnds => "The server's certificate ends in three days",
            Self::OwnCertificateEnds => "The listener's own certificate ends in three days",
            Self::ClientsWithoutTls => "Clients speak without TLS to a port that wants it",
            Self::ProxyDown => "The proxy is stopped",
            Self::BadReload => "A reload finds a configuration that cannot be used",
            Self::Guessing => "Somebody guesses passwords",
            Self::Download => "One user downloads everything, again and again",
            Self::Nonsense => "A client breaks the protocol",
            Self::BroadRule => "A rule denies what mail programs do all the time",
            Self::NearlyFull => "Nearly all connections of a listener are in use",
            Self::Full => "More clients come than the listener takes",
            Self::FewDescriptors => "Sessions use up the file descriptors of the process",
            Self::DiskFull => "The disk for recordings is full",
        }
    }

    /// The alerts it must lead to.
    fn alerts(self) -> &'static [&'static str] {
        match self {
            Self::ServerDown => &["MailwardenSessionsFail", "MailwardenUpstreamFails"],
            Self::ServerSlow => &["MailwardenLatencyBurnsFast", "MailwardenLatencyBurnsSlowly"],
            Self::CertificateExpired | Self::CertificateOfOther => &["MailwardenUpstreamNotTrusted"],
            Self::CertificateEnds => &["MailwardenUpstreamCertificateExpires"],
            Self::OwnCertificateEnds => &["MailwardenCertificateExpires"],
            Self::ClientsWithoutTls => &["MailwardenHandshakesFail"],
            Self::ProxyDown => &["MailwardenDown"],
            Self::BadReload => &["MailwardenReloadFailed"],
            Self::Guessing => &["MailwardenBruteForce"],
            Self::Download => &["MailwardenMassDownload"],
            Self::Nonsense => &["MailwardenViolationsRise"],
            Self::BroadRule => &["MailwardenDenialsJump"],
            Self::NearlyFull => &["MailwardenSessionsNearLimit"],
            Self::Full => &["MailwardenTurnsAway"],
            Self::FewDescriptors => &["MailwardenDescriptorsNearLimit"],
            Self::DiskFull => &["MailwardenRecordingsFail"],
        }
    }
}

/// Alerts that the walk does not raise: `promtool test rules` alone shows that they fire.
const NOT_WALKED: &[(&str, &str)] = &[
    ("MailwardenAddsDelay", "needs a machine that has no time for the proxy"),
    ("MailwardenPanic", "needs a fault of the proxy; none is known"),
    ("MailwardenMemoryPerSessionHigh", "needs a leak; none is known"),
];

const HEAD: &str = "# An operator's walk

What was broken, which alert fired, and what it said. This page is made by tests (`tests/it/real/prometheus/incidents.rs`)
that break it for real: the built proxy stands before a mail server, Debian's Prometheus scrapes it and has the rules of
`dashboards/` with their durations divided by 120, so that nobody waits for an hour. Each run compares the page with what
fires; numbers may differ. `MAILWARDEN_WRITE_DOCS=1 cargo test --test it prometheus::incidents` writes it anew.

What to do about each is in the [runbook](runbook.md).

| what was broken | alert | what it says |
| --- | --- | --- |
";

/// One run after another reads and writes the page.
static PAGE: Mutex<()> = Mutex::new(());

/// An alert fired for what was broken.
pub(super) fn tell(broken: Broken, alert: &str, fired: &[Fired]) {
    assert!(broken.alerts().contains(&alert), "{alert} is not expected of {broken:?}");
    let rows: Vec<String> = fired.iter().map(|one| row(broken, alert, one)).collect();
    let page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os("MAILWARDEN_WRITE_DOCS").is_some() {
        let mut kept = kept();
        kept.insert((broken, alert.to_owned()), rows.first().unwrap().clone());
        fs::write(path(), written(&kept)).unwrap();
    }
    let kept = kept();
    drop(page);
    let expected = kept.get(&(broken, alert.to_owned())).map(|row| without_numbers(row)).unwrap_or_default();
    let told: Vec<String> = rows.iter().map(|row| without_numbers(row)).collect();
    assert!(told.contains(&expected), "{expected}\nis not among {told:#?}\nMAILWARDEN_WRITE_DOCS=1 writes it anew");
}

#[test]
fn the_page_has_every_station_of_the_walk_and_says_what_is_not_walked() {
    let kept = kept();
    let stations =
        Broken::ALL.iter().flat_map(|broken| broken.alerts().iter().map(|alert| (*broken, (*alert).to_owned())));
    assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), stations.collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(path()).unwrap(), written(&kept));
    let known = |name: &str| NOT_WALKED.iter().any(|(alert, _)| *alert == name);
    for name in alerts() {
        let walked = Broken::ALL.iter().any(|broken| broken.alerts().contains(&name));
        assert!(walked != known(name), "{name}: is it walked, or why not?");
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators-walk.md")
}

fn row(broken: Broken, alert: &str, fired: &Fired) -> String {
    let link = format!("[{alert}](runbook.md#{})", alert.to_lowercase());
    let Fired { severity, summary, description } = fired;
    format!("| {} | {link}, {severity} | **{summary}** {} |", broken.sentence(), stable(description))
}

/// The port of a test is another one in each run.
fn stable(description: &str) -> String {
    let (instance, rest) = description.split_once(' ').unwrap_or((description, ""));
    let colon = if instance.ends_with(':') { ":" } else { "" };
    format!("127.0.0.1:9469{colon} {rest}")
}

/// The rows of the page as it is.
fn kept() -> BTreeMap<(Broken, String), String> {
    let page = fs::read_to_string(path()).unwrap_or_default();
    let station = |row: &str| {
        let broken = Broken::ALL.into_iter().find(|one| row.starts_with(&format!("| {} | ", one.sentence())))?;
        let alert = broken.alerts().iter().find(|alert| row.contains(&format!("[{alert}]")))?;
        Some((broken, (*alert).to_owned()))
    };
    page.lines().filter_map(|row| Some((station(row)?, row.to_owned()))).collect()
}

fn written(rows: &BTreeMap<(Broken, String), String>) -> String {
    let mut page = HEAD.to_owned();
    for broken in Broken::ALL {
        for alert in broken.alerts() {
            if let Some(row) = rows.get(&(broken, (*alert).to_owned())) {
                writeln!(page, "{row}").unwrap();
            }
        }
    }
    page.push_str(
        "\n## Not walked\n\nThat these fire is shown by `promtool test rules` with made-up series alone:\n\n",
    );
    for (alert, why) in NOT_WALKED {
        writeln!(page, "- [{alert}](runbook.md#{}) {why}.", alert.to_lowercase()).unwrap();
    }
    page.push_str("\nThere is no audit journal yet, and so no alert about one.\n");
    page
}

/// Numbers, with the letter that makes them thousands or millions, as `#`.
fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_ascii_digit() {
            kept.push(letter);
            continue;
        }
        while letters.next_if(|next| next.is_ascii_digit() || matches!(next, '.' | 'k' | 'M' | 'i')).is_some() {}
        kept.push('#');
    }
    kept
}
