//! The `[[group]]` section: users that rules speak of by one name.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::code::Code;
use super::document::{Node, value};
use super::files;
use super::negation;
use super::problem::{Problem, Source};
use crate::policy::Group;
use toml::de::DeTable;

/// A `[[group]]` table, with the members its file has once that is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Table")]
pub struct GroupSettings {
    /// The members.
    pub group: Arc<Group>,
    /// A file with one member a line; where it is looked for is settled when the configuration is read.
    pub file: Option<PathBuf>,
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    #[serde(default)]
    members: Members,
    file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Members {
    One(String),
    Many(Vec<String>),
}

impl Default for Members {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl TryFrom<Table> for GroupSettings {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let members = match table.members {
            Members::One(member) => vec![member],
            Members::Many(members) => members,
        };
        let group = Group::new(&table.name, members.iter().map(String::as_str));
        let group = group.map_err(|(member, error)| format!("`{member}` is not a pattern: {error}"))?;
        Ok(Self { group: Arc::new(group), file: table.file, members })
    }
}

impl GroupSettings {
    /// Reads its file, if it names one. `table` is where it stands, to tell of a file that cannot be read.
    pub(super) fn read_file(&mut self, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
        let (Some(path), Some(node)) = (&self.file, value(table, "file")) else { return };
        let name = path.display().to_string();
        let text = match files::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => return problems.push(unreadable(node, &name, "it is not UTF-8", "save the file as UTF-8")),
            Err(problem) => return problems.push(unreadable(node, &name, &problem.message, &problem.help)),
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let place = |member: &str| {
            let start = text.find(member).unwrap_or_default();
            (start..start + member.len(), Source { name: name.as_str().into(), text: text.as_str().into() })
        };
        if let Some(member) = lines.clone().find(|line| negation::bare(line).is_some()) {
            let (span, source) = place(member);
            let problem = Problem::new(Code::Pattern, span, "a group has no `!` for all but one");
            problems.push(problem.label(negation::LABEL).help(negation::help("members", member)).within(&source));
            return;
        }
        match Group::new(self.group.name(), self.members.iter().map(String::as_str).chain(lines)) {
            Ok(group) => self.group = Arc::new(group),
            Err((member, error)) => {
                let (span, source) = place(&member);
                problems.push(
                    Problem::new(Code::Pattern, span, format!("`{member}` is not a pattern"))
                        .label(error)
                        .help("a line is a user's name or a pattern; a comment begins with `#`")
                        .within(&source),
                );
            }
        }
    }
}

fn unreadable(node: Node<'_, '_>, path: &str, why: &str, help: &str) -> Problem {
    Problem::new(Code::FileMissing, node.span(), "the file of this group cannot be read")
        .label(format!("{path}: {why}"))
        .help(help)
}
