//! What stands in `dashboards/` without anything running: the layout, the names, the rules and their runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::super::command::succeed;
use super::super::lab::direct_only;
use super::panels::all;
use super::scraper::dashboards;
use super::traffic::Site;

const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");
const ALERTS: &str = include_str!("../../../../dashboards/alerts.yml");
const RECORDING: &str = include_str!("../../../../dashboards/recording.yml");

fn promtool(arguments: &[&str]) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    String::from_utf8(succeed(&mut command)).unwrap()
}

#[test]
fn the_dashboards_are_what_the_script_makes() {
    let made = TempDir::new().unwrap();
    succeed(Command::new(dashboards().join("make")).arg(made.path()));
    let files: BTreeSet<_> = fs::read_dir(made.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let kept: BTreeSet<_> = all().into_keys().map(Into::into).collect();
    assert_eq!(files, kept);
    for name in files {
        let same = fs::read(made.path().join(&name)).unwrap() == fs::read(dashboards().join(&name)).unwrap();
        assert!(same, "{name:?} is not what dashboards/make makes of dashboards/panels.py: run it");
    }
}

#[test]
fn panels_fill_their_rows_and_none_lies_over_another() {
    for (file, dashboard) in all() {
        let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
        let panels = dashboard["panels"].as_array().unwrap();
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
                let before = taken.insert(cell, title.to_owned());
                assert!(before.is_none() && cell.1 < 24, "{file}: {title} and {before:?} at {cell:?}");
            }
        }
        let rows = taken.keys().map(|(row, _)| row + 1).max().unwrap();
        assert_eq!(u64::try_from(taken.len()).unwrap(), rows * 24, "{file}: there are holes");
    }
}

#[test]
fn every_panel_has_words_a_unit_and_a_data_source_that_can_be_chosen() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in all() {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file}");
        assert_eq!(dashboard["links"][0]["tags"], dashboard["tags"], "{file}: each leads to the others");
        let names: Vec<_> =
            dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["datasource", "job", "instance", "protocol", "upstream"], "{file}");
        let mut titles = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title), "{file}: {title} stands there twice");
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{file}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{file}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
        }
    }
}

#[test]
fn the_rules_are_valid_and_every_alert_fires_and_stays_quiet() {
    promtool(&["check", "rules", "dashboards/alerts.yml", "dashboards/recording.yml"]);
    promtool(&["test", "rules", "tests/prometheus/alerts.yml"]);
    let tests = include_str!("../../../prometheus/alerts.yml");
    for name in alerts() {
        for kind in ["fires", "stays quiet"] {
            assert!(tests.contains(&format!("  - name: {name} {kind}\n")), "no test says that {name} {kind}");
        }
    }
}

pub(super) fn alerts() -> Vec<&'static str> {
    ALERTS.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect()
}

#[test]
fn every_alert_has_a_section_of_the_runbook_and_every_section_an_alert() {
    let sections: Vec<_> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts());
    for (name, section) in alerts().into_iter().zip(RUNBOOK.split("\n## ").skip(1)) {
        for part in ["**Means.** ", "**Look.** ", "**Do.** "] {
            assert!(section.contains(part), "{name} lacks {part}");
        }
        assert!(ALERTS.contains(&format!("runbook_url: docs/runbook.md#{}\n", name.to_lowercase())), "{name}");
    }
}

/// The names of families in a text, as the endpoint has them.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = words.filter(|word| word.starts_with("mailwarden_") || word.starts_with("process_"));
    let family = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(family).collect()
}

#[test]
fn every_metric_that_is_named_exists() {
    if direct_only() {
        return;
    }
    // what has a name for each rule is there as soon as a rule decides
    let site = Site::start();
    site.day();
    let endpoint = site.proxy.metrics();
    let types = endpoint.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let known: BTreeSet<&str> = types.collect();
    let readme = fs::read_to_string(Path::new(&dashboards()).join("README.md")).unwrap();
    let panels = all().into_values().map(|dashboard: Value| dashboard.to_string());
    for text in panels.chain([ALERTS, RECORDING, RUNBOOK, &readme].map(ToOwned::to_owned)) {
        for name in named(&text) {
            assert!(known.contains(name.as_str()), "{name} is no family");
        }
    }
}
