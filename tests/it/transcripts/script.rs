//! Reads a transcript file into steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailwarden::policy::{Policy, PolicyHandle, Rule};
use mailwarden::session::{CloseReason, Compression, Places, Terms};
use mailwarden::wire::{Protocol, Side};

pub(crate) struct Script {
    file: PathBuf,
    pub(crate) protocol: Protocol,
    pub(crate) terms: Arc<Terms>,
    /// The rules in force at the start, if others come later.
    pub(crate) first_rules: Option<Vec<Rule>>,
    /// These must occur in no event and in no `Debug` of the session.
    pub(crate) secrets: Vec<String>,
    /// Whether it is replayed in other pieces too.
    pub(crate) is_cut: bool,
    pub(crate) steps: Vec<Step>,
}

/// Something that happens, and what must come of it.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) action: Action,
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
    /// Events in compact form, each with its line; others may come between.
    pub(crate) events: Vec<(usize, String)>,
}

pub(crate) enum Action {
    /// The session is made.
    Start,
    Send(Side, Vec<u8>),
    End(Side),
    StartTls(Side),
    StartDeflate(Side),
    Wait(Duration),
    Farewell(CloseReason, String),
    /// The octets that the session left for the layer that comes.
    Left(Side, Vec<u8>),
    Wants(Side, bool),
    /// Who was asked by the oldest open question says whether the command may go up.
    Answered(bool),
    Closed(CloseReason),
    Open,
    /// The policy is replaced by one of this rule, or of none.
    Rules(Vec<Rule>),
}

impl Script {
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let mut reader = Reader {
            file: file.to_owned(),
            protocol: Protocol::Imap,
            terms: Terms {
                compression: Compression { places: Places::new(2), ..Compression::default() },
                ..Terms::offline()
            },
            rules: Vec::new(),
            secrets: Vec::new(),
            is_cut: true,
            steps: vec![Step::new(0, Action::Start)],
        };
        reader.file(file, true)?;
        let is_replaced = reader.steps.iter().any(|step| matches!(step.action, Action::Rules(_)));
        let first_rules = is_replaced.then(|| reader.rules.clone());
        let terms = Arc::new(Terms { policy: PolicyHandle::new(Policy::new(reader.rules)), ..reader.terms });
        let Reader { file, protocol, secrets, is_cut, steps, .. } = reader;
        Ok(Self { file, protocol, terms, first_rules, secrets, is_cut, steps })
    }

    /// The blocks that a peer sends, each with the number of its step.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.steps.iter().enumerate().filter_map(|(number, step)| {
            let Action::Send(_, octets) = &step.action else { return None };
            Some((number, &octets[..]))
        })
    }

    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file.display())
    }
}

impl Step {
    fn new(line: usize, action: Action) -> Self {
        Self { line, action, up: Vec::new(), down: Vec::new(), events: Vec::new() }
    }
}

struct Reader {
    file: PathBuf,
    protocol: Protocol,
    terms: Terms,
    rules: Vec<Rule>,
    secrets: Vec<String>,
    is_cut: bool,
    steps: Vec<Step>,
}

impl Reader {
    /// Lines of an included file count as line 0 of the one that includes it.
    fn file(&mut self, file: &Path, is_main: bool) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            let number = if is_main { number + 1 } else { 0 };
            self.line(number, line).map_err(|error| format!("{}:{number}: {error}\n  {line}", file.display()))?;
        }
        Ok(())
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "C:" => self.send(number, Side::Client, octets(text)?),
            "S:" => self.send(number, Side::Upstream, octets(text)?),
            "->" => self.last().up.extend(octets(text)?),
            "<-" => self.last().down.extend(octets(text)?),
            "= " => self.last().events.push((number, text.to_owned())),
            "@ " => self.header(text)?,
            "! " => {
                let action = action(text)?;
                self.steps.push(Step::new(number, action));
            }
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => return Err("a line begins with `C:`, `S:`, `->`, `<-`, `= `, `! `, `@ ` or `#`".to_owned()),
        }
        Ok(())
    }

    /// Lines of one side with nothing between them are one block.
    fn send(&mut self, number: usize, side: Side, octets: Vec<u8>) {
        let last = self.last();
        let is_fresh = last.up.is_empty() && last.down.is_empty() && last.events.is_empty();
        if let Action::Send(by, block) = &mut last.action
            && *by == side
            && is_fresh
        {
            block.extend(octets);
        } else {
            self.steps.push(Step::new(number, Action::Send(side, octets)));
        }
    }

    fn last(&mut self) -> &mut Step {
        self.steps.last_mut().expect("the first step is always there")
    }

    fn header(&mut self, text: &str) -> Result<(), String> {
        let (key, value) = text.split_once(' ').unwrap_or((text, ""));
        let limits = &mut self.terms.limits;
        match key {
            "protocol" => self.protocol = word(value)?,
            "posture" => self.terms.posture = word(value)?,
            "client" => self.terms.client_tls = word(value)?,
            "upstream" => self.terms.upstream_tls = word(value)?,
            "hide" => self.terms.hide.extend(value.split(' ').map(str::to_owned)),
            "allow" => self.terms.allow.extend(value.split(' ').map(str::to_owned)),
            "compress" => match word(value)? {
                Side::Client => self.terms.compression.client = true,
                Side::Upstream => self.terms.compression.upstream = true,
            },
            "places" => {
                let count = value.parse().map_err(|_| "`@ places` takes a number")?;
                self.terms.compression.places = Places::new(count);
            }
            "limit" => *limits = toml::from_str(value).map_err(|error| error.to_string())?,
            "deny" => self.rules.push(rule(value)?),
            "rule" => self.rules.push(whole_rule(value)?),
            "secret" => self.secrets.push(value.to_owned()),
            "uncut" => self.is_cut = false,
            "untold" => self.terms.transcript = false,
            "after" => self.file(&self.file.with_file_name(value), false)?,
            _ => return Err(format!("there is no header `{key}`")),
        }
        Ok(())
    }
}

fn word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| error.to_string())
}

/// `command=RETR message=1 reply="No, thanks"`: conditions of a rule that denies, as TOML.
fn rule(conditions: &str) -> Result<Rule, String> {
    let mut table = "name = \"denied\"\naction = \"deny\"\n".to_owned();
    for condition in conditions.split(' ') {
        let (key, value) = condition.split_once('=').ok_or("a condition is `key=value`")?;
        let quote = if value.parse::<u32>().is_ok() { "" } else { "\"" };
        table.push_str(&[key, "=", quote, value, quote, "\n"].concat());
    }
    toml::from_str(&table).map_err(|error| error.to_string())
}

/// `action = "rewrite", command = "SELECT", rewrite = { examine = true }`: a rule as TOML, on one line; its name is
/// `rule` if it has none.
fn whole_rule(text: &str) -> Result<Rule, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        rule: Rule,
    }
    let name = if text.contains("name = ") { "" } else { "name = \"rule\", " };
    let line: Line = toml::from_str(&format!("rule = {{ {name}{text} }}")).map_err(|error| error.to_string())?;
    Ok(line.rule)
}

fn action(text: &str) -> Result<Action, String> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(match verb {
        "eof" => Action::End(word(rest)?),
        "tls" => Action::StartTls(word(rest)?),
        "deflate" => Action::StartDeflate(word(rest)?),
        "wait" => Action::Wait(Duration::from_secs(rest.parse().map_err(|_| "`! wait` takes seconds")?)),
        "farewell" => Action::Farewell(word(first)?, second.to_owned()),
        "left" => Action::Left(word(first)?, octets(second)?),
        "wants" => Action::Wants(word(first)?, second == "yes"),
        "answered" => Action::Answered(rest == "yes"),
        "closed" => Action::Closed(word(rest)?),
        "open" => Action::Open,
        "rules" if rest.is_empty() => Action::Rules(Vec::new()),
        "rules" => Action::Rules(vec![whole_rule(rest)?]),
        _ => return Err(format!("there is no `! {verb}`")),
    })
}

/// The octets of a line: `\r \n \0 \xNN` and `n×"x"`, CRLF at the end unless that is a lone `\`.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let (text, end) = match text.strip_suffix('\\') {
        Some(text) => (text, &b""[..]),
        None => (text, &b"\r\n"[..]),
    };
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((count, repeated, behind)) = repetition(rest) {
            octets.extend(escaped(repeated)?.repeat(count));
            rest = behind;
        } else {
            let length = match rest.as_bytes() {
                [b'\\', b'x', ..] => 4,
                [b'\\', b'r' | b'n' | b'0', ..] => 2,
                _ => c.len_utf8(),
            };
            let (one, behind) = rest.split_at_checked(length).ok_or("`\\x` takes two hexadecimal digits")?;
            octets.extend(escaped(one)?);
            rest = behind;
        }
    }
    octets.extend_from_slice(end);
    Ok(octets)
}

/// `n×"x"` at the front: the number, what is repeated, and what is behind.
fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (count, behind) = text.split_once("×\"")?;
    let (repeated, behind) = behind.split_once('"')?;
    Some((count.parse().ok()?, repeated, behind))
}

fn escaped(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (octet, length) = match rest.as_bytes() {
            [b'\\', b'r', ..] => (Some(b'\r'), 2),
            [b'\\', b'n', ..] => (Some(b'\n'), 2),
            [b'\\', b'0', ..] => (Some(0), 2),
            [b'\\', b'x', ..] => {
                let digits = rest.get(2..4).ok_or("`\\x` takes two hexadecimal digits")?;
                (Some(u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?), 4)
            }
            _ => (None, c.len_utf8()),
        };
        let (one, behind) = rest.split_at(length);
        match octet {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(one.as_bytes()),
        }
        rest = behind;
    }
    Ok(octets)
}
