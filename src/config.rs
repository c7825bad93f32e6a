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
mod document;
mod files;
mod include;
mod near;
mod problem;
mod schema;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::de::DeTable;

pub(crate) use include::files_of;

pub use code::{Code, Severity};
pub use problem::{ConfigErrors, Paint, Problem, Source};

use crate::hook::HookSettings;
use crate::policy::{Fallback, Group, Rule};
use crate::proxy::{ListenerSettings, UpstreamSettings};
use crate::recording::KeepSettings;
use crate::session::Limits;
use crate::tls::AuthoritySettings;

/// All that a configuration file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[admin]`: the endpoint of metrics and health; none if absent.
    #[serde(default)]
    pub admin: Option<AdminSettings>,
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
    /// The groups with all their members, those from files too.
    #[serde(skip)]
    pub made_groups: Vec<Arc<Group>>,
    /// `[[rule]]` tables, in order.
    #[serde(rename = "rule", default)]
    pub rules: Vec<Rule>,
}

/// The `[admin]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// `address:port` of `/metrics`, `/livez`, `/readyz`; loopback unless you know better.
    pub address: SocketAddr,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// What becomes of a command that no rule matches.
    #[serde(default)]
    pub default: Fallback,
    /// Further files of rules and groups, looked at behind those of this file; a pattern stands for all that fit, by name.
    #[serde(default)]
    pub include: OneOrMany,
    /// Where sessions are recorded that a rule wants kept (`record = true`).
    #[serde(default)]
    pub recordings: Option<KeepSettings>,
    /// Whether a change of the file is put in force by itself.
    #[serde(default)]
    pub watch: bool,
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A `[[group]]` of users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// What rules call it.
    pub name: String,
    /// Users, or patterns of them.
    #[serde(default)]
    pub members: OneOrMany,
    /// A file with further members, one a line; a line that begins with `#` is a comment.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

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
    /// What is odd about included files, file by file.
    pub elsewhere: Vec<ConfigErrors>,
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
        let name = path.display().to_string();
        let octets = files::read(path).map_err(|problem| refuse(&name, "", vec![problem]))?;
        let text = text_of(&name, octets)?;
        let mut loaded = Self::parsed(&name, &text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        loaded.config.resolve(folder);
        folder.clone_into(&mut loaded.folder);
        include::read(&mut loaded, folder)?;
        Ok(loaded)
    }

    /// Like [`Config::parse`], with the warnings.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let mut loaded = Self::parsed(name, text)?;
        include::read(&mut loaded, Path::new(""))?;
        Ok(loaded)
    }

    fn parsed(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        // some editors put a byte order mark in front; TOML has no use for it
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(refuse(name, text, errors.iter().map(|error| syntax(text, error)).collect()));
        }
        let mut problems = document::check(root.get_ref());
        problems.extend(across::check(root.get_ref()));
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
        if problems.iter().any(Problem::is_error) {
            problems.retain(|problem| problem.is_error() || problem.code != Code::Unused);
            return Err(refuse(name, text, problems));
        }
        let config = toml::from_str(text).map_err(|error| refused(name, text, &error))?;
        let source = Source { name: name.into(), text: text.into() };
        Ok(Self { config, warnings: problems, source, folder: PathBuf::new(), elsewhere: Vec::new() })
    }

    /// What is wrong with the files the configuration names; looks at the disk.
    #[must_use]
    pub fn check_files(&self) -> Vec<Problem> {
        files::check(&self.source.text, &self.folder)
    }
}

impl Config {
    /// Makes relative paths start at `folder`.
    fn resolve(&mut self, folder: &Path) {
        use crate::tls::{CertificateSettings, Roots};

        let whole = |path: &mut PathBuf| *path = folder.join(&path);
        if let Some(authority) = &mut self.authority {
            whole(&mut authority.directory);
        }
        if let Some(recordings) = &mut self.policy.recordings {
            whole(&mut recordings.directory);
        }
        for hook in &mut self.hooks {
            if let Roots::File(file) = &mut hook.roots {
                whole(file);
            }
        }
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

fn text_of(name: &str, octets: Vec<u8>) -> Result<String, ConfigErrors> {
    String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let lossy = String::from_utf8_lossy(error.as_bytes());
        let problem = Problem::new(Code::NotUtf8, good..good + 1, "the file is not UTF-8")
            .label("this is where it stops being text")
            .help("save the file as UTF-8");
        refuse(name, &lossy, vec![problem])
    })
}

/// What a section's own type says.
fn refused(name: &str, text: &str, error: &toml::de::Error) -> ConfigErrors {
    let span = error.span().unwrap_or(0..0);
    let problem = Problem::new(Code::Refused, span, error.message());
    refuse(name, text, vec![problem.help("see the description of this section in docs/configuration.md")])
}

fn refuse(name: &str, text: &str, problems: Vec<Problem>) -> ConfigErrors {
    ConfigErrors { source: Source { name: name.into(), text: text.into() }, problems }
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
    let (message, label, help) = match message {
        "string values must be quoted" if found.is_empty() => {
            ("there is no value", "", "write a value behind `=`".to_owned())
        }
        "string values must be quoted" => ("a text stands in quotes", "", format!("put it in quotes: `\"{found}\"`")),
        "invalid basic string" => (message, label, "end the text with a double quote: `\"`".to_owned()),
        "invalid literal string" => (message, label, "end the text with a single quote: `'`".to_owned()),
        _ => (message, label, "a line is `key = value`, `[section]` or `# comment`; see https://toml.io".to_owned()),
    };
    Problem::new(Code::Syntax, span, message).label(label).help(help)
}
