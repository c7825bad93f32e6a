//! What belongs to a policy and stands in other files: rules and groups that are included, members of groups.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::Glob;
use toml::de::DeTable;

use super::code::Code;
use super::problem::{ConfigErrors, Problem};
use super::{Config, GroupSettings, Loaded, OneOrMany, document, files, refuse, syntax, text_of};
use crate::policy::{Group, Rule};

/// The sections that an included file may have.
const INCLUDED: &[&str] = &["rule", "group"];

/// What an included file says.
#[derive(serde::Deserialize)]
struct Included {
    #[serde(rename = "rule", default)]
    rules: Vec<Rule>,
    #[serde(rename = "group", default)]
    groups: Vec<GroupSettings>,
}

/// Reads the files that `loaded` includes and puts their rules and groups behind its own; then the members of its
/// groups that stand in files.
pub(super) fn read(loaded: &mut Loaded, folder: &Path) -> Result<(), ConfigErrors> {
    let whole = |problem| refuse(&loaded.source.name, &loaded.source.text, vec![problem]);
    for pattern in loaded.config.policy.include.as_slice().to_vec() {
        for path in matching(&pattern, folder).map_err(whole)? {
            let (included, warnings) = parse(&path)?;
            loaded.config.rules.extend(included.rules);
            loaded.config.groups.extend(included.groups);
            loaded.elsewhere.extend(warnings);
        }
    }
    one_of_each(&loaded.config).map_err(whole)?;
    for group in &mut loaded.config.groups {
        let Some(file) = group.file.take() else { continue };
        let path = folder.join(&file);
        let octets = files::read(&path).map_err(|problem| refuse(&path.display().to_string(), "", vec![problem]))?;
        let text = text_of(&path.display().to_string(), octets)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let members = group.members.as_slice().iter().cloned().chain(lines.map(str::to_owned)).collect();
        group.members = OneOrMany::Many(members);
    }
    let made = loaded.config.groups.iter().map(made).collect::<Result<_, _>>().map_err(whole)?;
    loaded.config.made_groups = made;
    Ok(())
}

/// The files that the configuration in `path` is read from, that one first, whether they can be read or not.
pub(crate) fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    let folder = path.parent().unwrap_or(Path::new(""));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let policy = table.get("policy").and_then(|policy| policy.get("include")).cloned();
    let patterns: OneOrMany = policy.and_then(|value| value.try_into().ok()).unwrap_or_default();
    for pattern in patterns.as_slice() {
        all.extend(matching(pattern, folder).unwrap_or_default());
    }
    let in_groups = |file: &PathBuf| -> Vec<PathBuf> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let groups = table.get("group").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        groups.iter().filter_map(|group| group.get("file")?.as_str().map(|file| folder.join(file))).collect()
    };
    let members: Vec<PathBuf> = all.iter().flat_map(in_groups).collect();
    all.extend(members);
    all
}

/// The files a pattern stands for, in the order of their names. Its last part may have `*`, `?`, `[…]` and `{…}`.
fn matching(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let whole = folder.join(pattern);
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?', '[', '{']) {
        return Ok(vec![whole]);
    }
    let directory = whole.parent().unwrap_or(folder);
    let unusable = |why: String| {
        Problem::whole(Code::FileMissing, format!("`include`: `{pattern}` cannot be looked up: {why}"))
            .help("write the path of a file, or a folder that exists and a pattern for the files in it: `\"policy.d/*.toml\"`")
    };
    let glob = Glob::new(&name).map_err(|error| unusable(error.kind().to_string()))?.compile_matcher();
    let entries = std::fs::read_dir(directory).map_err(|error| unusable(error.to_string()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| glob.is_match(entry.file_name()) && entry.path().is_file())
        .map(|entry| entry.path())
        // what describes tests of rules stands beside them
        .filter(|path| !path.to_string_lossy().ends_with(".test.toml"))
        .collect();
    found.sort();
    Ok(found)
}

fn parse(path: &Path) -> Result<(Included, Option<ConfigErrors>), ConfigErrors> {
    let name = path.display().to_string();
    let octets = files::read(path).map_err(|problem| refuse(&name, "", vec![problem]))?;
    let text = text_of(&name, octets)?;
    let (root, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        return Err(refuse(&name, &text, errors.iter().map(|error| syntax(&text, error)).collect()));
    }
    let mut problems = document::check(root.get_ref());
    problems.extend(super::across::check_rules(root.get_ref()));
    for (section, span, _) in document::entries(root.get_ref()) {
        if super::schema::section(section).is_some() && !INCLUDED.contains(&section) {
            problems.push(
                Problem::new(Code::MisplacedKey, span, format!("`{section}` cannot stand in an included file"))
                    .label("an included file has rules and groups")
                    .help("move it to the configuration file"),
            );
        }
    }
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
    if problems.iter().any(Problem::is_error) {
        return Err(refuse(&name, &text, problems));
    }
    let included = toml::from_str(&text).map_err(|error| super::refused(&name, &text, &error))?;
    Ok((included, (!problems.is_empty()).then(|| refuse(&name, &text, problems))))
}

/// Names are one's own over all files, and every group that a rule names is there.
fn one_of_each(config: &Config) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    let rules = config.rules.iter().map(|rule| ("rule", rule.name()));
    let groups = config.groups.iter().map(|group| ("group", group.name.as_str()));
    for (what, name) in rules.chain(groups) {
        if !seen.insert((what, name)) {
            return Err(Problem::whole(Code::DuplicateName, format!("two [[{what}]] tables have the name `{name}`"))
                .help("give each a name of its own, over all included files"));
        }
    }
    for rule in &config.rules {
        for group in rule.groups() {
            if !seen.contains(&("group", group)) {
                let message = format!("rule `{}`: there is no [[group]] `{group}`", rule.name());
                return Err(Problem::whole(Code::UnknownGroup, message).help("add the group, or correct the name"));
            }
        }
    }
    Ok(())
}

fn made(group: &GroupSettings) -> Result<Arc<Group>, Problem> {
    let members = group.members.as_slice().iter().map(String::as_str);
    Group::new(&group.name, members).map(Arc::new).map_err(|(member, why)| {
        Problem::whole(Code::Pattern, format!("group `{}`: `{member}` is not a pattern: {why}", group.name))
            .help("`*` stands for any characters, `?` for one, `[ab]` for a or b, `{x,y}` for x or y")
    })
}
