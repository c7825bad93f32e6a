//! A configuration read from its files: every check, and what the files say together.

use std::path::{Path, PathBuf};

use super::code::Code;
use super::problem::{ConfigErrors, Problem, Source};
use super::relative::resolve_parts;
use super::{Config, across, document, files, parts, presets, rules, text};

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

impl Loaded {
    /// Like [`Config::load`], with the warnings.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        Self::read_for(path, |_| Purpose::Run)
    }

    fn read_for(path: &Path, purpose: impl FnOnce(&str) -> Purpose) -> Result<Self, ConfigErrors> {
        let source = text::read(path)?;
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
        let main = text::tree(&source)?;
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
            let written = rules::written(&files);
            rules::covered(&written, &made.rules, &mut problems);
            let served = made.listeners.iter().map(|listener| (&*listener.name, listener.protocol));
            rules::unjudged(&written, &made.rules, &served.collect::<Vec<_>>(), &mut problems);
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
}

/// The files that the configuration in `path` is read from, that one first; the files of groups are among them.
pub(crate) fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    if let Ok(source) = text::read(path) {
        files.extend(parts::named(&source.text, path.parent().unwrap_or(Path::new(""))));
    }
    files
}
