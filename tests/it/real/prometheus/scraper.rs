//! A Prometheus of the test's own, and what is asked of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::command::{Daemon, free_port};

/// The files that operators are given.
pub(super) fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// Time in the rules runs faster by so much: an alert that waits for five minutes waits for two seconds and a half, and a
/// rate over an hour is one over half a minute. Nothing else in the rules is changed.
const FASTER: u64 = 120;

/// A running Prometheus that scrapes one proxy as `mailwarden` four times a second.
pub(super) struct Prometheus {
    port: u16,
    log: PathBuf,
    _daemon: Daemon,
}

impl Prometheus {
    /// Starts it; the rules of `dashboards/` are loaded, with their durations divided by [`FASTER`].
    pub(super) fn start(directory: &Path, target: u16) -> Self {
        Self::scraping(directory, target, "250ms")
    }

    /// The same, and it scrapes and computes that often; a scrape that takes longer has failed.
    pub(super) fn scraping(directory: &Path, target: u16, interval: &str) -> Self {
        let home = directory.join("prometheus");
        fs::create_dir(&home).unwrap();
        let log = home.join("log");
        for name in ["alerts.yml", "recording.yml"] {
            let text = fs::read_to_string(dashboards().join(name)).unwrap();
            fs::write(home.join(name), hurried(&text)).unwrap();
        }
        let configuration = format!(
            "global:\n  scrape_interval: {interval}\n  evaluation_interval: {interval}\nrule_files: [recording.yml, alerts.yml]\n\
             scrape_configs:\n  - job_name: mailwarden\n    static_configs:\n      - targets: ['127.0.0.1:{target}']\n"
        );
        let file = home.join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let port = free_port();
        let output = File::create(&log).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", home.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let mut daemon = Daemon::spawn(&mut command);
        assert!(daemon.listens(&[port]), "Prometheus: {}", fs::read_to_string(&log).unwrap_or_default());
        Self { port, log, _daemon: daemon }
    }

    /// Where others can ask it.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The series that a query gives now: labels and value of each.
    pub(super) fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let answer = self.ask("/api/v1/query", query);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }

    /// Waits until a query gives a series.
    pub(super) fn wait_for(&self, query: &str) -> Vec<(Value, f64)> {
        let end = Instant::now() + Duration::from_mins(3);
        loop {
            // a young server answers that it is not ready yet
            let answer = self.ask("/api/v1/query", query);
            if answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty()) {
                return self.query(query);
            }
            assert!(Instant::now() < end, "{query} gives nothing\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Has the incident happen again and again until the alert fires, and gives what it says.
    pub(super) fn fires_while(&self, alert: &str, mut incident: impl FnMut()) -> Vec<Fired> {
        let end = Instant::now() + Duration::from_mins(10);
        loop {
            incident();
            let answer = self.ask("/api/v1/alerts", "");
            let alerts = answer["data"]["alerts"].as_array().into_iter().flatten();
            let fired: Vec<_> = alerts
                .filter(|one| one["labels"]["alertname"] == alert && one["state"] == "firing")
                .map(Fired::of)
                .collect();
            if !fired.is_empty() {
                self.every_rule_can_be_computed();
                return fired;
            }
            assert!(Instant::now() < end, "{alert} does not fire: {answer}\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// No rule, of whatever alert, has failed with the series that are there.
    fn every_rule_can_be_computed(&self) {
        let answer = self.ask("/api/v1/rules", "");
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let failed: Vec<_> = rules.filter(|rule| rule["health"] == "err").collect();
        assert!(failed.is_empty() && !groups.is_empty(), "{failed:#?}");
    }

    /// No alert fires, or one only because a busy machine was late for a scrape, which passes.
    pub(super) fn is_quiet(&self) {
        let end = Instant::now() + Duration::from_mins(3);
        loop {
            let series = self.query("ALERTS{alertstate=\"firing\"}");
            if series.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "fires without a reason: {series:?}");
            thread::sleep(Duration::from_millis(250));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `GET`, with the query if it is not empty. HTTP/1.0, so that the end of the answer is the end of the connection.
    fn ask(&self, path: &str, query: &str) -> Value {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let query = if query.is_empty() { String::new() } else { format!("?query={}", escaped(query)) };
        write!(socket, "GET {path}{query} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut text, octet| {
        write!(text, "%{octet:02X}").unwrap();
        text
    })
}

/// What an alert that fires tells an operator.
#[derive(Debug)]
pub(super) struct Fired {
    pub(super) severity: String,
    pub(super) summary: String,
    pub(super) description: String,
}

impl Fired {
    fn of(alert: &Value) -> Self {
        let text = |part: &str, name: &str| alert[part][name].as_str().unwrap().to_owned();
        Self {
            severity: text("labels", "severity"),
            summary: text("annotations", "summary"),
            description: text("annotations", "description"),
        }
    }
}

/// Rules with each `for: 5m` and each window `[5m]` divided.
fn hurried(rules: &str) -> String {
    let mut left = rules;
    let mut text = String::new();
    while let Some((at, opening)) =
        ["for: ", "["].iter().filter_map(|opening| Some((left.find(opening)?, *opening))).min()
    {
        let (before, after) = left.split_at(at + opening.len());
        text.push_str(before);
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = (after.get(..digits).unwrap(), after.get(digits..=digits).unwrap_or_default());
        let seconds = ["s", "m", "h", "d"].iter().zip([1, 60, 3600, 86400]).find(|(name, _)| **name == unit);
        left = match (number.parse::<u64>(), seconds) {
            (Ok(count), Some((_, seconds))) => {
                write!(text, "{}ms", count * seconds * 1000 / FASTER).unwrap();
                &after[digits + 1..]
            }
            _ => after,
        };
    }
    text + left
}

#[test]
fn time_in_rules_runs_faster_and_nothing_else_changes() {
    let rules = "expr: a[5m] / rate(b{c=~\"[x]\"}[1d]) > 14 * 86400\nfor: 1h\nsummary: for: all [sic]\n";
    let faster =
        "expr: a[2500ms] / rate(b{c=~\"[x]\"}[720000ms]) > 14 * 86400\nfor: 30000ms\nsummary: for: all [sic]\n";
    assert_eq!(hurried(rules), faster);
}
