//! Renders what sessions report as a conversation: who said what, when, and what the proxy did about it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layout::{Entry, Ink, Layout};
use super::{Closed, Gap, phrase};
use crate::fault::Fault;
use crate::policy::Mode;
use crate::session::{CommandId, Completion, Event, Extent, Observation, Said, Speaker};
use crate::wire::{Operation, Side};
use crate::witness::{SessionInfo, TlsFacts};

/// The state of a transcript: what is open, and what waits for its answer.
///
/// ```
/// use mailwarden::recording::{Layout, Printer};
///
/// let mut printer = Printer::new(Layout { colour: false, width: Some(80) });
/// assert!(printer.gap(mailwarden::recording::Gap { lines: 12 }).contains("12 lines"));
/// ```
#[derive(Debug)]
pub struct Printer {
    layout: Layout,
    talks: BTreeMap<u64, Talk>,
}

/// One open session.
#[derive(Debug, Default)]
struct Talk {
    client_tls_shown: bool,
    upstream_tls_shown: bool,
    running: BTreeMap<CommandId, Running>,
    /// When the last thing happened.
    last: Duration,
    /// Why it ended.
    end: Option<String>,
}

/// A command that is not answered yet.
#[derive(Debug, Default)]
struct Running {
    /// Tag and name.
    name: String,
    /// The message it deletes, as a person reads it.
    deletes: Option<String>,
    /// Octets of its answers.
    octets: u64,
    /// Whether its completion was seen.
    answered: bool,
}

impl Printer {
    /// A transcript with nothing in it.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, talks: BTreeMap::new() }
    }

    /// A session was opened, or more is known of it.
    #[must_use]
    pub fn session(&mut self, info: &SessionInfo) -> String {
        let mut out = String::new();
        if !self.talks.contains_key(&info.id) {
            let (protocol, started) = (info.protocol.as_label().to_uppercase(), info.started.strftime("%F %T%.3f"));
            let (client, server) = (info.client, &info.upstream_address);
            self.layout.title(&format!("#{} {protocol}  {client} → {server}  {started} UTC", info.id), &mut out);
            self.talks.insert(info.id, Talk::default());
        }
        let Some(talk) = self.talks.get_mut(&info.id) else { return out };
        let legs = [
            ("client", &info.client_tls, &mut talk.client_tls_shown),
            ("server", &info.upstream_tls, &mut talk.upstream_tls_shown),
        ];
        let mut news = Vec::new();
        for (leg, facts, shown) in legs {
            if let Some(facts) = facts.as_ref().filter(|_| !*shown) {
                *shown = true;
                news.push(tls(leg, facts));
            }
        }
        let last = talk.last;
        for text in news {
            self.note(info.id, last, &text, &mut out);
        }
        out
    }

    /// A session reported these. Lines are shown with their outcome where both were reported at one moment,
    /// so hand over together what was reported together.
    #[must_use]
    pub fn events(&mut self, session: u64, events: &[Event]) -> String {
        let mut out = String::new();
        // a recording does not keep which moments were reported together, and must print the same
        for moment in events.chunk_by(|one, next| one.at.as_micros() == next.at.as_micros()) {
            self.moment(session, moment, &mut out);
        }
        out
    }

    fn moment(&mut self, session: u64, events: &[Event], out: &mut String) {
        let mut talk = self.talks.remove(&session).unwrap_or_default();
        self.talks.insert(session, Talk::default());
        let events = joined(events);
        let remarks = talk.remarks(&events);
        for (at, event) in events.iter().enumerate() {
            talk.last = event.at;
            let remark = remarks.get(&at).map_or("", String::as_str);
            if let Observation::Said(said) = &event.what {
                self.said(session, event.at, said, remark, out);
            } else if let Some((mark, ink, text)) = talk.sentence(&event.what, remark) {
                self.entry(session, event.at, (mark, ink), &text, "", out);
            }
        }
        self.talks.insert(session, talk);
    }

    /// A session is over.
    #[must_use]
    pub fn closed(&mut self, closed: Closed) -> String {
        let mut out = String::new();
        let talk = self.talks.remove(&closed.session).unwrap_or_default();
        let end = talk.end.unwrap_or_else(|| "the session ended".to_owned());
        let (client, server) = (phrase::octets(closed.client_octets), phrase::octets(closed.upstream_octets));
        let text = format!("{end}; {client} from the client, {server} from the server");
        self.talks.insert(closed.session, Talk::default());
        self.note(closed.session, talk.last, &text, &mut out);
        self.talks.remove(&closed.session);
        self.layout.title(&format!("#{} closed after {}", closed.session, phrase::latency(talk.last)), &mut out);
        out
    }

    /// The server of a session could not be reached or is not trusted.
    #[must_use]
    pub fn fault(&mut self, session: u64, fault: &Fault) -> String {
        let mut out = String::new();
        let at = self.talks.get(&session).map_or(Duration::ZERO, |talk| talk.last);
        self.entry(session, at, (" !", Ink::Alert), &fault.to_string(), "", &mut out);
        self.entry(session, at, ("", Ink::Plain), &fault.help, "", &mut out);
        out
    }

    /// Lines are missing.
    #[must_use]
    pub fn gap(&mut self, gap: Gap) -> String {
        self.layout.ink(Ink::Alert, &gap_text(gap.lines))
    }

    fn said(&self, session: u64, at: Duration, said: &Said, remark: &str, out: &mut String) {
        let sign = match said.by {
            Speaker::Client => ("C→", Ink::Client),
            Speaker::Upstream => ("←S", Ink::Server),
            Speaker::ClientHeld => ("C→×", Ink::Held),
            Speaker::UpstreamHeld => ("×←S", Ink::Held),
            Speaker::ProxyToClient => ("←P", Ink::Proxy),
            Speaker::ProxyToUpstream => ("P→", Ink::Proxy),
        };
        self.entry(session, at, sign, &said.text, remark, out);
    }

    fn note(&self, session: u64, at: Duration, text: &str, out: &mut String) {
        self.entry(session, at, (" ·", Ink::Faint), text, "", out);
    }

    fn entry(&self, session: u64, at: Duration, sign: (&str, Ink), text: &str, remark: &str, out: &mut String) {
        let session = (self.talks.len() > 1).then_some(session);
        self.layout.entry(&Entry { at, session, mark: sign.0, ink: sign.1, text, remark }, out);
    }
}

/// The text of a gap, without colour.
pub(super) fn gap_text(lines: u64) -> String {
    format!("        …  {lines} lines not shown: the output was slower than the conversation\n")
}

fn tls(leg: &str, facts: &TlsFacts) -> String {
    let name = facts.server_name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let resumed = if facts.resumed { ", resumed" } else { "" };
    format!("TLS with the {leg}: {}, {}{name}{resumed}", facts.version, facts.cipher)
}

impl Talk {
    /// What stands beside the lines among these events: a command's outcome beside its completing line, and
    /// why beside a line that was held. Outcomes without a line keep their own position.
    fn remarks(&mut self, events: &[Event]) -> BTreeMap<usize, String> {
        let mut remarks = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            match &event.what {
                Observation::CommandBegun { id, tag, command, operation, message, .. } => {
                    let running = self.running.entry(*id).or_default();
                    running.name = tag.as_ref().map_or_else(|| command.to_string(), |tag| format!("{tag} {command}"));
                    running.deletes =
                        message.as_deref().filter(|_| *operation == Operation::Delete).map(phrase::message);
                }
                Observation::Said(said) => {
                    if let Some(id) = said.id.or_else(|| self.only_running()).filter(|_| is_answer(said.by)) {
                        self.running.entry(id).or_default().octets += said.octets;
                    }
                    if is_held(said.by)
                        && let Some(why) = held_because(said, events)
                    {
                        remarks.insert(at, why);
                    }
                }
                Observation::CommandCompleted { id, completion, latency, .. } => {
                    let running = self.running.entry(*id).or_default();
                    running.answered = true;
                    let octets = running.octets;
                    let outcome = phrase::completion(*completion);
                    let latency = phrase::latency(*latency);
                    let size = if octets > 0 { phrase::octets(octets) } else { String::new() };
                    let remark = format!("{outcome:<3} {latency:>8} {size:>9}");
                    remarks.insert(completing_line(*id, at, events).unwrap_or(at), remark);
                }
                Observation::Greeted
                | Observation::TlsStarted { .. }
                | Observation::CompressionStarted { .. }
                | Observation::StateChanged { .. }
                | Observation::Notifying { .. }
                | Observation::Authentication { .. }
                | Observation::Retrieved { .. }
                | Observation::Stored { .. }
                | Observation::Expunged { .. }
                | Observation::Vanished { .. }
                | Observation::Decided { .. }
                | Observation::Altered { .. }
                | Observation::Violated(_)
                | Observation::Closed { .. } => {}
            }
        }
        remarks
    }

    /// The command that untagged data must belong to: the one that is running, if it is one.
    fn only_running(&self) -> Option<CommandId> {
        let mut open = self.running.iter().filter(|(_, running)| !running.answered).map(|(id, _)| *id);
        open.next().filter(|_| open.next().is_none())
    }

    /// What a fact that is not a line is shown as, if it is shown.
    fn sentence(&mut self, what: &Observation, remark: &str) -> Option<(&'static str, Ink, String)> {
        let note = |text: String| Some((" ·", Ink::Faint, text));
        let alert = |text: String| Some((" !", Ink::Alert, text));
        match what {
            Observation::Said(_)
            | Observation::Greeted
            | Observation::CommandBegun { .. }
            | Observation::StateChanged { .. }
            | Observation::Retrieved { extent: Extent::Headers, .. } => None,
            Observation::TlsStarted { side } => note(phrase::started("TLS", *side)),
            Observation::CompressionStarted { side } => note(phrase::started("DEFLATE", *side)),
            Observation::CommandCompleted { id, completion, .. } => {
                let Running { name, deletes, .. } = self.running.remove(id).unwrap_or_default();
                let words: Vec<&str> = remark.split_whitespace().collect();
                let outcome = (!remark.is_empty()).then(|| format!("{name}  {}", words.join(" ")));
                let deleted = deletes.filter(|_| *completion == Completion::Ok);
                let parts = [outcome, deleted.map(|message| format!("{message} marked for deletion"))];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                if parts.is_empty() { None } else { note(parts.join("; ")) }
            }
            Observation::Authentication { user, mechanism, accepted } => {
                let user = user.as_deref().unwrap_or("(unknown)");
                if *accepted {
                    note(format!("logged in as {user} ({mechanism})"))
                } else {
                    alert(format!("login refused: {user} ({mechanism})"))
                }
            }
            Observation::Retrieved { message, extent, octets, .. } => {
                let (message, extent) = (phrase::message(message), phrase::extent(*extent));
                note(format!("{message}: {extent}, {}", phrase::octets(*octets)))
            }
            Observation::Stored { octets, message, .. } => {
                note(format!("{} stored: {}", phrase::message(message), phrase::octets(*octets)))
            }
            Observation::Notifying { on: true } => note("the server tells of changes from here on (NOTIFY)".to_owned()),
            Observation::Notifying { on: false } => note("the server no longer tells of changes (NOTIFY)".to_owned()),
            Observation::Expunged { message } => note(format!("{} is gone", phrase::message(message))),
            Observation::Vanished { mailbox, uids, .. } => {
                let mailbox = mailbox.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
                note(format!("messages with UID {uids}{mailbox} are gone"))
            }
            Observation::Decided { id, decision } => {
                let name = self.running.get(id).map_or("", |running| running.name.as_str());
                let mood = if decision.mode == Mode::Enforce { "" } else { " (only reported: mode observe)" };
                let (done, rule) = (phrase::action(decision.action), &decision.rule);
                alert(format!("{name}  {done} by rule `{rule}`{mood}"))
            }
            Observation::Altered { to, why, removed, added } => {
                let (to, why) = (phrase::side(*to), phrase::alteration(*why));
                alert(format!("altered towards the {to}: {why} (−{removed} +{added} octets)"))
            }
            Observation::Violated(violation) => alert(phrase::violation(violation)),
            Observation::Closed { reason, detail } => {
                self.end = Some(format!("{detail} ({})", reason.as_label()));
                None
            }
        }
    }
}

/// Puts a literal and what follows it on the line that announced it.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::with_capacity(events.len());
    for event in events {
        if let Observation::Said(next) = &event.what
            && let Some(Event { what: Observation::Said(said), .. }) = joined.last_mut()
            && said.by == next.by
            && continues(&said.text, &next.text)
        {
            said.text.push(' ');
            said.text.push_str(&next.text);
            said.octets += next.octets;
            said.id = said.id.or(next.id);
        } else {
            joined.push(event.clone());
        }
    }
    joined
}

fn continues(text: &str, next: &str) -> bool {
    let announces = text.ends_with('}') && next.starts_with("‹literal");
    announces || (text.ends_with('›') && text.contains("} ‹literal"))
}

fn is_answer(by: Speaker) -> bool {
    matches!(by, Speaker::Upstream | Speaker::ProxyToClient)
}

fn is_held(by: Speaker) -> bool {
    matches!(by, Speaker::ClientHeld | Speaker::UpstreamHeld)
}

/// The line that completed a command: the nearest before the completion, or else after it.
fn completing_line(id: CommandId, at: usize, events: &[Event]) -> Option<usize> {
    let completes =
        |event: &Event| matches!(&event.what, Observation::Said(said) if said.id == Some(id) && is_answer(said.by));
    let lines = || events.iter().enumerate().filter(|(_, event)| completes(event)).map(|(at, _)| at);
    lines().rfind(|line| *line < at).or_else(|| lines().find(|line| *line > at))
}

/// Why a line was held, as far as what was reported together tells.
fn held_because(said: &Said, events: &[Event]) -> Option<String> {
    let from = if said.by == Speaker::ClientHeld { Side::Client } else { Side::Upstream };
    let same = |id: &CommandId| said.id.is_none() || said.id == Some(*id);
    let reasons = |event: &Event| match &event.what {
        Observation::Decided { id, decision } if same(id) => Some((0, format!("held: rule `{}`", decision.rule))),
        Observation::Violated(violation) if violation.side == from => {
            Some((1, format!("held: {}", violation.kind.as_label())))
        }
        Observation::Altered { to, why, .. } if *to == from.other() => {
            Some((2, format!("held: {}", phrase::alteration(*why))))
        }
        Observation::CommandCompleted { id, by, .. } if same(id) => {
            phrase::held_by(*by).map(|why| (3, format!("held: {why}")))
        }
        Observation::Said(_)
        | Observation::Greeted
        | Observation::TlsStarted { .. }
        | Observation::CompressionStarted { .. }
        | Observation::CommandBegun { .. }
        | Observation::CommandCompleted { .. }
        | Observation::StateChanged { .. }
        | Observation::Notifying { .. }
        | Observation::Authentication { .. }
        | Observation::Retrieved { .. }
        | Observation::Stored { .. }
        | Observation::Expunged { .. }
        | Observation::Vanished { .. }
        | Observation::Decided { .. }
        | Observation::Altered { .. }
        | Observation::Violated(_)
        | Observation::Closed { .. } => None,
    };
    events.iter().filter_map(reasons).min().map(|(_, why)| why)
}
