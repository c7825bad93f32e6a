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

/// A running Prometheus that scrapes one proxy as `mailwarden` four times a second.
pub(super) struct Prometheus {
    port: u16,
    log: PathBuf,
    _daemon: Daemon,
}

impl Prometheus {
    /// Starts it; the rules of `dashboards/` are loaded, and alerts wait for nothing before they fire.
    pub(super) fn start(directory: &Path, target: u16) -> Self {
        let home = directory.join("prometheus");
        fs::create_dir(&home).unwrap();
        let log = home.join("log");
        for name in ["alerts.yml", "recording.yml"] {
            let text = fs::read_to_string(dashboards().join(name)).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("for: "));
            fs::write(home.join(name), lines.collect::<Vec<_>>().join("\n")).unwrap();
        }
        let configuration = format!(
            "global:\n  scrape_interval: 250ms\n  evaluation_interval: 250ms\nrule_files: [recording.yml, alerts.yml]\n\
             scrape_configs:\n  - job_name: mailwarden\n    static_configs:\n      - targets: ['127.0.0.1:{target}']\n"
        );
        let file = home.join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        for attempt in 0..5 {
            let port = free_port();
            let output = File::options().create(true).append(true).open(&log).unwrap();
            let mut command = Command::new("prometheus");
            command.arg(format!("--config.file={}", file.display()));
            command.arg(format!("--storage.tsdb.path={}", home.join(format!("data{attempt}")).display()));
            command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command.stdout(output.try_clone().unwrap()).stderr(output);
            let mut daemon = Daemon::spawn(&mut command);
            if daemon.listens(&[port]) {
                return Self { port, log, _daemon: daemon };
            }
        }
        panic!("Prometheus does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
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
        let end = Instant::now() + Duration::from_mins(1);
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

    /// Waits until an alert fires, and gives the text of each that does.
    pub(super) fn fired(&self, alert: &str) -> Vec<String> {
        self.wait_for(&format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}"));
        let answer = self.ask("/api/v1/alerts", "");
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let named = alerts.iter().filter(|one| one["labels"]["alertname"] == alert);
        named.map(|one| one["annotations"]["description"].as_str().unwrap().to_owned()).collect()
    }

    /// The names of all alerts that fire.
    pub(super) fn firing(&self) -> Vec<String> {
        let series = self.query("ALERTS{alertstate=\"firing\"}");
        series.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned()).collect()
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
