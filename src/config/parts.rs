//! The files that a configuration is made of: its own, and those that `[policy] include` names.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::code::Code;
use super::document::{Node, check_included, tables, value};
use super::group::GroupSettings;
use super::problem::{Problem, Source};
use super::schema::INCLUDABLE;
use super::{files, text};
use crate::hook::HookSettings;
use crate::policy::Rule;

/// More files than anybody has rules for.
const MOST: usize = 1000;

/// What an included file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Included {
    #[serde(rename = "rule", default)]
    pub(super) rules: Vec<Rule>,
    #[serde(rename = "group", default)]
    pub(super) groups: Vec<GroupSettings>,
    #[serde(rename = "hook", default)]
    pub(super) hooks: Vec<HookSettings>,
}

/// Whether a text has what an included file may have, and nothing else.
pub(super) fn is_one(text: &str) -> bool {
    let (root, _) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    !root.is_empty() && root.iter().all(|(name, _)| INCLUDABLE.contains(&name.get_ref().as_ref()))
}

/// The included files in the order in which they are named, those of one pattern by their names.
pub(super) fn included(root: &DeTable<'_>, folder: &Path, problems: &mut Vec<Problem>) -> Vec<Source> {
    let mut sources = Vec::new();
    for node in patterns(root) {
        let Some(written) = node.get_ref().as_str() else { continue };
        let paths = match paths_of(written, folder) {
            Ok(paths) => paths,
            Err(why) => {
                problems.push(missing(node, &folder.join(written), &why));
                continue;
            }
        };
        if paths.is_empty() {
            problems.push(
                Problem::new(Code::NoEffect, node.span(), format!("no file matches `{written}`"))
                    .label("nothing is included by this")
                    .help("unless files are to be put there later, check the path: a relative one starts at this file's folder"),
            );
        }
        for path in paths {
            match text::read(&path) {
                Ok(source) if sources.len() < MOST => sources.push(source),
                Ok(_) => {
                    problems.push(missing(node, &path, "there are more than 1000 included files"));
                    return sources;
                }
                Err(errors) if errors.is_unreadable() => {
                    let why = errors.problems().first().map_or("", |problem| &problem.message);
                    problems.push(missing(node, &path, why));
                }
                Err(errors) => {
                    problems
                        .extend(errors.problems().iter().map(|problem| problem.clone().within(errors.source_text())));
                }
            }
        }
    }
    sources
}

/// Included files as TOML, each checked by itself.
pub(super) fn trees<'a>(sources: &'a [Source], problems: &mut Vec<Problem>) -> Vec<Spanned<DeTable<'a>>> {
    let mut trees = Vec::with_capacity(sources.len());
    for source in sources {
        match text::tree(source) {
            Ok(root) => {
                problems.extend(check_included(root.get_ref()).into_iter().map(|problem| problem.within(source)));
                trees.push(root);
            }
            Err(errors) => {
                problems.extend(errors.problems().iter().map(|problem| problem.clone().within(source)));
                trees.push(DeTable::parse_recoverable("").0);
            }
        }
    }
    trees
}

/// The files that a configuration names as parts of itself: included ones, and those of groups.
pub(super) fn named(text: &str, folder: &Path) -> Vec<PathBuf> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut paths: Vec<PathBuf> = Vec::new();
    for written in patterns(root.get_ref()).into_iter().filter_map(|node| node.get_ref().as_str()) {
        paths.extend(paths_of(written, folder).unwrap_or_default());
    }
    let groups = |root: &DeTable<'_>, folder: &Path| -> Vec<PathBuf> {
        let files = tables(root, "group")
            .into_iter()
            .filter_map(|(_, table)| value(table, "file")?.get_ref().as_str().map(|file| folder.join(file)));
        files.collect()
    };
    let mut files = groups(root.get_ref(), folder);
    for path in &paths {
        let Ok(source) = text::read(path) else { continue };
        let (root, _) = DeTable::parse_recoverable(&source.text);
        files.extend(groups(root.get_ref(), path.parent().unwrap_or(Path::new(""))));
    }
    paths.extend(files);
    paths
}

fn patterns<'a, 'i>(root: &'a DeTable<'i>) -> Vec<Node<'a, 'i>> {
    let include = tables(root, "policy").into_iter().find_map(|(_, table)| value(table, "include"));
    match include {
        None => Vec::new(),
        Some(node) => match node.get_ref() {
            DeValue::Array(items) => items.iter().collect::<Vec<&Spanned<DeValue<'_>>>>(),
            _ => vec![node],
        },
    }
}

/// The files of one pattern, of which only the last part may have wildcards; a file that is named must be there when it
/// is read.
fn paths_of(written: &str, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let whole = folder.join(written);
    let last = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !last.contains(['*', '?', '[', '{']) {
        return Ok(vec![whole]);
    }
    let glob = GlobBuilder::new(last).build().map_err(|error| error.kind().to_string())?.compile_matcher();
    let directory = whole.parent().unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(if directory.as_os_str().is_empty() { Path::new(".") } else { directory }) {
        Ok(entries) => entries,
        Err(error) => return Err(files::plain(&error)),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| glob.is_match(Path::new(name))) && path.is_file());
    // test cases of rules stand beside them
    paths.retain(|path| !path.to_string_lossy().ends_with(".test.toml"));
    paths.sort();
    Ok(paths)
}

fn missing(node: Node<'_, '_>, path: &Path, why: &str) -> Problem {
    Problem::new(Code::FileMissing, node.span(), "a file that is included cannot be read")
        .label(format!("{}: {why}", path.display()))
        .help("check the path; a relative one starts at the configuration file's folder")
}
