//! The configuration file: the root `Config`, put together from the sections that live beside what
//! they configure. Unknown keys are refused; a bad configuration never starts half.
//!
//! A file is looked at three times: by the TOML parser; key by key against a table of what may
//! stand where, then part against part, so that everything that is wrong is told at once and where
//! it stands; and last by the sections' own types, which have the final word.

mod across;
mod allowance;
mod code;
mod conditions;
mod details;
mod document;
mod expression;
mod files;
mod group;
mod near;
mod negation;
mod parts;
mod presets;
mod problem;
mod rewrite;
mod rules;
mod schema;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::de::DeTable;

pub use code::{Code, Severity};
pub use group::GroupSettings;
pub use problem::{ConfigErrors, Paint, Problem, Source};

use crate::hook::HookSettings;
use crate::policy::{Fallback, Group, Policy, Rule};
use crate::proxy::{ListenerSettings, UpstreamSettings};
use crate::recording::KeepSettings;
use crate::session::Limits;
use crate::tls::AuthoritySettings;
use crate::traces::TracingSettings;

/// All that a configuration file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[admin]`: the endpoint of metrics and health; none if absent.
    #[serde(default)]
    pub admin: Option<AdminSettings>,
    /// `[tracing]`: where traces of sessions go; none are made if absent.
    #[serde(default)]
    pub tracing: Option<TracingSettings>,
    /// `[process]`: what the program takes of its machine.
    #[serde(default)]
    pub process: ProcessSettings,
    /// `[authority]`: needed by listeners with `certificate = "mint"`.
    #[serde(default)]
    pub authority: Option<AuthoritySettings>,
    /// `[[listener]]` tables.
    #[serde(rename = "listener", default)]
    pub listeners: Vec<ListenerSettings>,
    /// `[[upstream]]` tables.
    #[serde(rename = "upstream", default)]
    pub upstreams: Vec<UpstreamSettings>,
    /// `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// `[policy]`: where rules lead to, and when they are read again.
    #[serde(default)]
    pub policy: PolicySettings,
    /// `[[hook]]` tables.
    #[serde(rename = "hook", default)]
    pub hooks: Vec<HookSettings>,
    /// `[[group]]` tables.
    #[serde(rename = "group", default)]
    pub groups: Vec<GroupSettings>,
    /// `[[rule]]` tables, in order; once it is read from disk, those of included files behind the file's own.
    #[serde(rename = "rule", default)]
    pub rules: Vec<Rule>,
}

/// The `[admin]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// `address:port` of `/metrics`, `/livez`, `/readyz`; loopback unless you know better.
    pub address: SocketAddr,
    /// A file with the word that whoever asks for more than health must send as `authorization: Bearer`; none if absent.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// The `[process]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSettings {
    /// Threads that sessions run on; as many as there are processors if absent.
    #[serde(default)]
    pub workers: Option<NonZeroUsize>,
}

/// The `[policy]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// What becomes of a command that no rule matches.
    #[serde(default = "allow")]
    pub default: Fallback,
    /// Files with more rules, groups and hooks: paths, the last part of which may be a pattern.
    #[serde(default)]
    pub include: Paths,
    /// Rules that ship with the program, by name; looked at behind all others.
    #[serde(default)]
    pub presets: Paths,
    /// Where sessions are recorded that a rule wants kept (`record = true`).
    #[serde(default)]
    pub recordings: Option<KeepSettings>,
    /// Whether a change of the file is put in force by itself.
    #[serde(default)]
    pub watch: bool,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self { default: allow(), include: Paths::default(), presets: Paths::default(), recordings: None, watch: false }
    }
}

fn allow() -> Fallback {
    Fallback::Allow
}

/// One path or name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// One.
    One(String),
    /// Several, or none.
    Many(Vec<String>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The files that the configuration in `path` is read from, that one first; the files of groups are among them.
pub(crate) fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    if let Ok(source) = text_of(path) {
        files.extend(parts::named(&source.text, path.parent().unwrap_or(Path::new(""))));
    }
    files
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To run the proxy.
    Run,
    /// To try its rules out.
    Rules,
}

/// What rules name and another file may have.
const ELSEWHERE: &[Code] = &[Code::NoListener, Code::UnknownListener, Code::UnknownHook];

/// Octets of stack to read a configuration with.
const STACK: usize = 16 << 20;

/// A configuration that can be used, and what is odd about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the file says; its relative paths are already those from the file's folder.
    pub config: Config,
    /// Warnings, in the order of the file.
    pub warnings: Vec<Problem>,
    /// The text, to show warnings with.
    pub source: Source,
    folder: PathBuf,
}

impl Config {
    /// Reads and checks a file. Relative paths in it start at the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Loaded::read(path).map(|loaded| loaded.config)
    }

    /// Checks a text that is called `name` in reports. Relative paths in it stay as they are.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        Loaded::parse(name, text).map(|loaded| loaded.config)
    }
}

impl Loaded {
    /// Like [`Config::load`], with the warnings.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        Self::read_for(path, |_| Purpose::Run)
    }

    fn read_for(path: &Path, purpose: impl FnOnce(&str) -> Purpose) -> Result<Self, ConfigErrors> {
        let source = text_of(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let purpose = purpose(&source.text);
        let mut loaded = Self::build(source, Some(folder), purpose)?;
        folder.clone_into(&mut loaded.folder);
        Ok(loaded)
    }

    /// Like [`read`](Self::read), for who wants the rules only: the file may be one that others include, and have none
    /// of the listeners and hooks that its rules name.
    pub fn read_rules(path: &Path) -> Result<Self, ConfigErrors> {
        Self::read_for(path, |_| Purpose::Rules)
    }

    /// Like [`read`](Self::read), but a file that has nothing but rules and what they name is read for these only.
    pub fn read_any(path: &Path) -> Result<Self, ConfigErrors> {
        Self::read_for(path, |text| if parts::is_one(text) { Purpose::Rules } else { Purpose::Run })
    }

    /// Like [`read_rules`](Self::read_rules), of a text; files that it names are not read.
    pub fn parse_rules(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        Self::build(Source { name: name.into(), text: text.into() }, None, Purpose::Rules)
    }

    /// Like [`Config::parse`], with the warnings. Files that it includes, and those of groups, are not read.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        // some editors put a byte order mark in front; TOML has no use for it
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        Self::build(Source { name: name.into(), text: text.into() }, None, Purpose::Run)
    }

    /// Puts the configuration together; `folder` is where its paths start, if the disk is to be looked at. The parser
    /// of expressions calls itself for what stands in brackets, so it gets the stack it may need.
    fn build(source: Source, folder: Option<&Path>, purpose: Purpose) -> Result<Self, ConfigErrors> {
        let name = source.clone();
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().name("configuration".to_owned()).stack_size(STACK);
            let result = reader.spawn_scoped(scope, || Self::put_together(source, folder, purpose));
            let refused = |error: std::io::Error| {
                let problem = Problem::whole(Code::Unreadable, format!("no thread to read it: {error}"));
                ConfigErrors { source: name, problems: vec![problem.help("the system is out of memory or threads")] }
            };
            result.map_err(refused)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn put_together(source: Source, folder: Option<&Path>, purpose: Purpose) -> Result<Self, ConfigErrors> {
        let main = tree(&source)?;
        let mut problems = document::check(main.get_ref());
        problems.extend(across::check(main.get_ref()));
        let included = folder.map(|folder| parts::included(main.get_ref(), folder, &mut problems));
        let mut included = included.unwrap_or_default();
        included.extend(presets::named(main.get_ref()));
        let trees = parts::trees(&included, &mut problems);
        let root = main.get_ref();
        let parts = included.iter().zip(trees.iter().map(toml::Spanned::get_ref));
        let files: Vec<rules::File<'_, '_>> = std::iter::once((&source, root)).chain(parts).collect();
        rules::check(&files, &mut problems);
        if purpose == Purpose::Rules && document::tables(root, "listener").is_empty() {
            problems.retain(|problem| !ELSEWHERE.contains(&problem.code));
        }
        let mut config = None;
        if !problems.iter().any(Problem::is_error) {
            let parts = files.get(1..).unwrap_or_default();
            let mut made = Config::of((&source, root), parts, folder.unwrap_or(Path::new("")))?;
            if folder.is_some() {
                made.read_groups(&files, &mut problems);
            }
            rules::covered(&rules::written(&files), &made.rules, &mut problems);
            config = Some(made);
        }
        let mut problems: Vec<Problem> = problems.into_iter().map(|problem| problem.unless_within(&source)).collect();
        problems.sort_by_key(|problem| problem.place(&included));
        match config {
            Some(config) if !problems.iter().any(Problem::is_error) => {
                Ok(Self { config, warnings: problems, source, folder: PathBuf::new() })
            }
            _ => {
                problems.retain(|problem| problem.is_error() || problem.code != Code::Unused);
                Err(ConfigErrors { source, problems })
            }
        }
    }

    /// What is wrong with the files the configuration names; looks at the disk.
    #[must_use]
    pub fn check_files(&self) -> Vec<Problem> {
        files::check(&self.source.text, &self.folder)
    }
}

impl Config {
    /// What checked files say; relative paths of the configuration's own start at `folder`.
    fn of(main: rules::File<'_, '_>, parts: &[rules::File<'_, '_>], folder: &Path) -> Result<Self, ConfigErrors> {
        let refused = |source: &Source, error: &toml::de::Error| {
            let problem = Problem::new(Code::Refused, error.span().unwrap_or(0..0), error.message());
            let help = "see the description of this section in docs/configuration.md";
            ConfigErrors { source: source.clone(), problems: vec![problem.help(help)] }
        };
        let (source, _) = main;
        let mut config: Self = toml::from_str(&source.text).map_err(|error| refused(source, &error))?;
        config.resolve(folder);
        for (source, _) in parts {
            let part: parts::Included = toml::from_str(&source.text).map_err(|error| refused(source, &error))?;
            let folder = Path::new(&*source.name).parent().unwrap_or(Path::new(""));
            config.rules.extend(part.rules);
            let (groups, hooks) = (config.groups.len(), config.hooks.len());
            config.groups.extend(part.groups);
            config.hooks.extend(part.hooks);
            resolve_parts(config.groups.iter_mut().skip(groups), config.hooks.iter_mut().skip(hooks), folder);
        }
        Ok(config)
    }

    /// Reads the files of the groups, which stand in `files` in the same order.
    fn read_groups(&mut self, files: &[rules::File<'_, '_>], problems: &mut Vec<Problem>) {
        let tables = files.iter().flat_map(|(source, root)| {
            document::tables(root, "group").into_iter().map(move |(_, table)| (source, table))
        });
        for (group, (source, table)) in self.groups.iter_mut().zip(tables) {
            let mut found = Vec::new();
            group.read_file(table, &mut found);
            problems.extend(found.into_iter().map(|problem| problem.within(source)));
        }
    }

    /// The policy that the rules make.
    #[must_use]
    pub fn make_policy(&self) -> Policy {
        let groups: Vec<Arc<Group>> = self.groups.iter().map(|group| Arc::clone(&group.group)).collect();
        Policy::build(self.rules.clone(), &groups, self.policy.default)
    }

    /// Makes relative paths start at `folder`.
    fn resolve(&mut self, folder: &Path) {
        use crate::tls::{CertificateSettings, Roots};

        let whole = |path: &mut PathBuf| *path = folder.join(&path);
        if let Some(file) = self.admin.as_mut().and_then(|admin| admin.token_file.as_mut()) {
            whole(file);
        }
        if let Some(authority) = &mut self.authority {
            whole(&mut authority.directory);
        }
        if let Some(recordings) = &mut self.policy.recordings {
            whole(&mut recordings.directory);
        }
        if let Some(tracing) = &mut self.tracing {
            tracing.headers_file.as_mut().map(whole);
            if let Roots::File(file) = &mut tracing.roots {
                whole(file);
            }
        }
        resolve_parts(self.groups.iter_mut(), self.hooks.iter_mut(), folder);
        for listener in &mut self.listeners {
            if let Some(clients) = &mut listener.clients {
                whole(clients);
            }
            let pairs = match &mut listener.certificate {
                Some(CertificateSettings::Files(pair)) => std::slice::from_mut(pair),
                Some(CertificateSettings::List(pairs)) => pairs.as_mut_slice(),
                Some(CertificateSettings::Mint(_)) | None => &mut [],
            };
            for pair in pairs {
                whole(&mut pair.chain);
                whole(&mut pair.key);
            }
        }
        for upstream in &mut self.upstreams {
            if let Roots::File(file) = &mut upstream.roots {
                whole(file);
            }
        }
    }
}

/// Makes relative paths of what may stand in included files start at `folder`.
fn resolve_parts<'a>(
    groups: impl Iterator<Item = &'a mut GroupSettings>,
    hooks: impl Iterator<Item = &'a mut HookSettings>,
    folder: &Path,
) {
    for file in groups.filter_map(|group| group.file.as_mut()) {
        *file = folder.join(&file);
    }
    for hook in hooks {
        if let crate::tls::Roots::File(file) = &mut hook.roots {
            *file = folder.join(&file);
        }
    }
}

/// The text of a file.
fn text_of(path: &Path) -> Result<Source, ConfigErrors> {
    let name = path.display().to_string();
    let refuse = |text: &str, problem| ConfigErrors {
        source: Source { name: name.as_str().into(), text: text.into() },
        problems: vec![problem],
    };
    let octets = files::read(path).map_err(|problem| refuse("", problem))?;
    let text = String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let problem = Problem::new(Code::NotUtf8, good..good + 1, "the file is not UTF-8")
            .label("this is where it stops being text")
            .help("save the file as UTF-8");
        refuse(&String::from_utf8_lossy(error.as_bytes()), problem)
    })?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    Ok(Source { name: name.into(), text: text.into() })
}

/// The text as TOML.
fn tree(source: &Source) -> Result<toml::Spanned<DeTable<'_>>, ConfigErrors> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Ok(root);
    }
    let problems = errors.iter().map(|error| syntax(&source.text, error)).collect();
    Err(ConfigErrors { source: source.clone(), problems })
}

/// What the TOML parser found, with a help for what happens most.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    let found = text.get(span.clone()).unwrap_or_default();
    let (message, label) = error.message().split_once(", ").unwrap_or((error.message(), ""));
    if message == "duplicate key" {
        return Problem::new(Code::Repeated, span, format!("`{found}` stands twice"))
            .label("an earlier line sets it")
            .help("keep one of the two; sections that can repeat have double brackets, as `[[listener]]`");
    }
    if let Some(help) = details::escape_help(text, &span).filter(|_| error.message().contains("escape")) {
        return Problem::new(Code::Syntax, span, message).label(label).help(help);
    }
    let (message, label, help) = match message {
        "string values must be quoted" if found.is_empty() => {
            ("there is no value", "", "write a value behind `=`".to_owned())
        }
        "string values must be quoted" => ("a text stands in quotes", "", format!("put it in quotes: `\"{found}\"`")),
        "missing escaped value" => {
            let help = details::escape_help(text, &span).unwrap_or_else(|| "write `\\\\` for a backslash".to_owned());
            ("a backslash has a meaning of its own in double quotes", label, help)
        }
        "invalid basic string" => (message, label, "end the text with a double quote: `\"`".to_owned()),
        "invalid literal string" => (message, label, "end the text with a single quote: `'`".to_owned()),
        _ => (message, label, "a line is `key = value`, `[section]` or `# comment`; see https://toml.io".to_owned()),
    };
    Problem::new(Code::Syntax, span, message).label(label).help(help)
}
