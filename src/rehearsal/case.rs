//! Cases as they are written: a file of `[[case]]` tables beside the policy that they are about.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use jiff::Timestamp;
use serde::Deserialize;

use crate::policy::{ActionKind, Level};
use crate::wire::Protocol;

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The policy's file, from this file's folder; without it, the file of the same name without `.test`.
    #[serde(default)]
    pub policy: Option<PathBuf>,
    /// What holds for every case that does not say otherwise.
    #[serde(default)]
    pub given: Given,
    /// The cases.
    #[serde(rename = "case", default)]
    pub cases: Vec<Case>,
}

/// One command, or a few, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence about what the policy does.
    pub name: String,
    /// Who does it, and where.
    #[serde(default)]
    pub given: Given,
    /// The lines that the client sends.
    #[serde(default)]
    pub send: OneOrMany,
    /// What the server says to the commands that reach it, one entry each.
    #[serde(default)]
    pub server: Vec<ServerSays>,
    /// Instead of `send`: a conversation, in the form of `docs/policy-guide.md`.
    #[serde(default)]
    pub transcript: Option<String>,
    /// Instead of `send`: the file of such a conversation.
    #[serde(default)]
    pub transcript_file: Option<PathBuf>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// Who does it, and where. What is not said is as it usually is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// `imap` or `pop3`; the default is IMAP.
    pub protocol: Option<Protocol>,
    /// The listener's name; the default is the protocol's.
    pub listener: Option<String>,
    /// The client's address; the default is 127.0.0.1.
    pub client: Option<IpAddr>,
    /// `1.2`, `1.3` or `none`; the default is 1.3.
    pub tls: Option<TlsWord>,
    /// The name that the client asked for in its handshake.
    pub server_name: Option<String>,
    /// The subject of the client's certificate.
    pub certificate: Option<String>,
    /// The moment, as `2026-01-05T12:00:00Z`, which is the default: a Monday.
    pub time: Option<Timestamp>,
    /// Who is logged in; the default is `user@example.com`. `""`: nobody is.
    pub user: Option<String>,
    /// Instead of `user`, or beside it: a group that he is in, or several.
    pub group: Option<OneOrMany>,
    /// IMAP: the mailbox that is selected; without it, or with `""`, none is.
    pub selected: Option<String>,
    /// The messages, by their sizes; the client has been told them. Without it there are three of unknown size.
    pub sizes: Option<Vec<ByteSize>>,
    /// What the server offers, in place of what servers usually do.
    pub capabilities: Option<Vec<String>>,
    /// Commands and capabilities that the listener allows although they are refused by default.
    pub allow: Option<Vec<String>>,
    /// What an external service answers: `allow` or `deny`. Without it, nothing.
    pub hook: Option<HookWord>,
}

/// TLS of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsWord {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
    /// In clear.
    #[serde(rename = "none")]
    None,
}

/// What a hook answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookWord {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// What the server says to one command.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSays {
    /// Untagged data, with its `* `; POP3: the lines of the answer behind the first.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The completion without its tag; POP3: the first line.
    #[serde(default)]
    pub completes: Option<String>,
}

/// What must come of a case. What is not said is not looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The action that is taken; `allow`: no rule does anything to it.
    pub action: Option<ActionKind>,
    /// The rule that takes it.
    pub rule: Option<String>,
    /// The rules in mode `observe` that would have acted.
    pub would: Option<OneOrMany>,
    /// How loud it is logged; of this and the next two: what `rule` says, or else the first of `would`.
    pub level: Option<Level>,
    /// The tags it is logged with, in the rule's order.
    pub tags: Option<OneOrMany>,
    /// Whether somebody is told at once.
    pub alert: Option<bool>,
    /// The response code of the refusal, without brackets; `none`: without one, or nothing is refused.
    pub code: Option<String>,
    /// The lines that the client gets; `*` stands for any text.
    pub client_gets: Option<OneOrMany>,
    /// The lines that the server gets; `*` stands for any text.
    pub server_gets: Option<OneOrMany>,
    /// Whether the session ends.
    pub closes: Option<bool>,
    /// How long the session held it.
    #[serde(default, with = "humantime_serde")]
    pub waits: Option<Duration>,
}

/// A text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One; it may have several lines.
    One(String),
    /// Several, each a line.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::One(text) => text.lines().map(str::to_owned).collect(),
            Self::Many(lines) => lines.clone(),
        }
    }
}

impl Given {
    /// Each fact of `self`, or else of `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let mut other = other.clone();
        // who is said here is not whom the other says
        if self.user.is_some() || self.group.is_some() {
            (other.user, other.group) = (None, None);
        }
        Self {
            protocol: self.protocol.or(other.protocol),
            listener: self.listener.or(other.listener),
            client: self.client.or(other.client),
            tls: self.tls.or(other.tls),
            server_name: self.server_name.or(other.server_name),
            certificate: self.certificate.or(other.certificate),
            time: self.time.or(other.time),
            user: self.user.or(other.user),
            group: self.group.or(other.group),
            selected: self.selected.or(other.selected),
            sizes: self.sizes.or(other.sizes),
            capabilities: self.capabilities.or(other.capabilities),
            allow: self.allow.or(other.allow),
            hook: self.hook.or(other.hook),
        }
    }

    /// The protocol, IMAP if none is named.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(Protocol::Imap)
    }

    /// Who logs in; `None` if nobody does.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self.user.as_deref() {
            None => Some("user@example.com"),
            Some("") => None,
            Some(user) => Some(user),
        }
    }
}

impl Given {
    /// The mailbox that is selected, where there are mailboxes.
    #[must_use]
    pub fn selected(&self) -> Option<&str> {
        let selected = self.selected.as_deref().filter(|name| !name.is_empty());
        selected.filter(|_| self.protocol() == Protocol::Imap)
    }
}

impl CaseFile {
    /// Reads cases from a text; the error shows the place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for case in &file.cases {
            let ways = [!case.send.lines().is_empty(), case.transcript.is_some(), case.transcript_file.is_some()];
            if ways.into_iter().filter(|given| *given).count() != 1 {
                let name = &case.name;
                return Err(format!("case `{name}` needs one of `send`, `transcript` and `transcript_file`\n"));
            }
        }
        Ok(file)
    }

    /// The file of the policy that a file of cases is about.
    #[must_use]
    pub fn policy_of(&self, path: &Path) -> PathBuf {
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(policy) = &self.policy {
            return folder.join(policy);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        folder.join(name.replacen(".test.toml", ".toml", 1))
    }
}
