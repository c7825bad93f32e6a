//! Every query of every panel gives data.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::command::succeed;
use super::super::lab::direct_only;
use super::scraper::{Prometheus, dashboards};
use super::traffic::Site;

/// Panels whose every value may be nought although the day had all sorts of incidents. Of processor time the collector
/// counts whole seconds, and the day does not take one; each of its clients with TLS is a new program that has nothing
/// to resume; Dovecot has no NOTIFY.
const QUIET: &[&str] = &[
    "Sessions ended by a panic",
    "Connections turned away",
    "Reloads",
    "Recordings",
    "IMAP sessions that wait",
    "Questions to hooks",
    "Certificates made",
    "CPU",
    "CPU for each GB",
    "Tasks",
    "Handshakes resumed",
];

/// The dashboards as they are in the repository, by file name.
pub(super) fn all() -> BTreeMap<String, Value> {
    let files = fs::read_dir(dashboards()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

/// Panel and query, with the variables filled in as they are at first.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap()))
    });
    let filled = |query: &str| {
        let names = ["$job", "$instance", "$protocol", "$upstream"];
        let query = names.iter().fold(query.to_owned(), |query, name| query.replace(name, ".+"));
        query.replace("$__rate_interval", "1m").replace("$__range", "5m")
    };
    targets.map(|(title, query)| (title.to_owned(), filled(query))).collect()
}

#[test]
fn every_query_of_every_panel_gives_data_under_traffic() {
    if direct_only() {
        return;
    }
    let site = Site::start();
    let prometheus = Prometheus::scraping(site.directory(), site.proxy.admin, "1s");
    // what is counted before the first scrape is not a rate
    prometheus.wait_for("mailwarden_build_info");
    let _visitor = site.visitor();
    site.day();
    // nor is what is there for the first time: rules have no series until they decide
    prometheus.wait_for("mailwarden_policy_decisions_total");
    site.day();
    prometheus.wait_for("sum(increase(mailwarden_policy_decisions_total[1m])) > 0");
    prometheus.wait_for("sum(mailwarden_upstream_connect_failures_total{upstream=\"lost\"}) >= 2");
    let mut table = String::new();
    let mut without = Vec::new();
    for (file, dashboard) in all() {
        for (title, query) in queries(&dashboard) {
            assert!(!query.contains('$'), "{query}");
            let values: Vec<f64> = prometheus.query(&query).into_iter().map(|(_, value)| value).collect();
            let most = values.iter().copied().filter(|value| value.is_finite()).fold(f64::NAN, f64::max);
            if most.is_nan() || (most <= 0.0 && !QUIET.contains(&title.as_str())) {
                without.push(format!("{file}: {title}: {query}: {values:?}"));
            }
            // writing to a String cannot fail
            let _ = writeln!(table, "{file}\t{title}\t{} series\tmost {most:.6}", values.len());
        }
    }
    if let Some(path) = std::env::var_os("MAILWARDEN_PANELS") {
        fs::write(path, &table).unwrap();
    }
    assert!(without.is_empty(), "{without:#?}\n{table}");
    pictures(&site, &prometheus);
}

/// Every dashboard can be drawn. With `MAILWARDEN_PICTURES` the day goes on for six minutes, and that folder is given the
/// pictures, for which Chromium is needed.
fn pictures(site: &Site, prometheus: &Prometheus) {
    let kept = std::env::var_os("MAILWARDEN_PICTURES");
    let folder = kept.as_ref().map_or_else(|| site.directory().join("pictures"), Into::into);
    let mut command = Command::new(dashboards().join("picture"));
    command.arg("--prometheus").arg(prometheus.address()).arg("--folder").arg(&folder);
    if kept.is_some() {
        let end = Instant::now() + Duration::from_mins(6);
        while Instant::now() < end {
            site.post();
            site.day();
        }
        command.args(["--minutes", "6", "--png"]);
    }
    let said = String::from_utf8(succeed(&mut command)).unwrap();
    for (file, dashboard) in all() {
        let name = file.trim_end_matches(".json");
        assert!(said.contains(&format!("{name}: nothing without data\n")), "{said}");
        let page = fs::read_to_string(folder.join(format!("{name}.html"))).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(page.contains(title), "{title} is not drawn");
        }
    }
}

#[test]
fn the_live_endpoint_is_as_promtool_wants_it() {
    if direct_only() {
        return;
    }
    let site = Site::start();
    site.day();
    let answer = site.proxy.metrics();
    let file = site.directory().join("metrics");
    fs::write(&file, answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "promtool check metrics < \"$0\""]).arg(file);
    succeed(&mut command);
}
