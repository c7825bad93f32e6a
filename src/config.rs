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
mod loaded;
mod mailbox;
mod near;
mod negation;
mod parts;
mod presets;
mod problem;
mod relative;
mod rewrite;
mod rules;
mod schema;
mod text;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

pub use code::{Code, Severity};
pub use group::GroupSettings;
pub use loaded::Loaded;
pub(crate) use loaded::files_of;
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

impl Config {
    /// Reads and checks a file. Relative paths in it start at the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Loaded::read(path).map(|loaded| loaded.config)
    }

    /// Checks a text that is called `name` in reports. Relative paths in it stay as they are.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        Loaded::parse(name, text).map(|loaded| loaded.config)
    }

    /// The policy that the rules make.
    #[must_use]
    pub fn make_policy(&self) -> Policy {
        let groups: Vec<Arc<Group>> = self.groups.iter().map(|group| Arc::clone(&group.group)).collect();
        Policy::build(self.rules.clone(), &groups, self.policy.default)
    }
}
