//! What sessions report and the shell does, as metrics.
//!
//! Every family is declared in `metrics/families.rs`. Label values are words of closed sets or names of the
//! configuration; nothing a peer sends becomes one. Every series exists from the start, so that a zero
//! can be told from an absence, and so that no session waits for a series to be made; those of rules
//! from when they are in force, for rules come and go while the proxy runs (`rules` bounds their number).

mod codes;
mod commanded;
mod commands;
mod document;
mod evaluations;
mod families;
mod histogram;
mod labels;
mod openmetrics;
mod outstanding;
mod rules;
mod sources;
mod told;

use std::fmt;
use std::time::Duration;

use prometheus::{IntGauge, TextEncoder};
use quick_cache::sync::Cache;

pub(crate) use self::codes::word as response_code;
use self::commanded::{ABORTED, Ended, OfProtocol, Tally};
use self::families::Families;
use self::labels::Names;
pub(crate) use self::openmetrics::CONTENT_TYPE as OPENMETRICS;
use self::outstanding::Outstanding;
use self::rules::RuleNames;
use self::sources::Sources;
pub(crate) use self::sources::{Certificate, Kept, Minting};
pub(crate) use self::told::{Runtime, Sampler};
use crate::per_session::PerSession;
use crate::session::{Answered, CommandId, Completion, Event, Extent, Observation, State};
use crate::wire::{Protocol, ShortText};
use crate::witness::{SessionInfo, Witness};

/// Users whose last POP3 login is remembered, for the interval of their polls.
const POLLERS: usize = 8192;

/// All metrics of one proxy, on a registry of their own.
pub struct Metrics {
    families: Families,
    imap: OfProtocol,
    pop3: OfProtocol,
    /// Position of IDLE among IMAP's commands.
    idle: u16,
    open: PerSession<Pending>,
    /// By a hash of listener and user: when the last POP3 login was, in milliseconds since 1970.
    polls: Cache<u64, i64>,
    hasher: std::hash::RandomState,
    sources: Sources,
    rules: RuleNames,
    asked_for: bool,
}

/// What is remembered of an open session.
#[derive(Debug, Default)]
struct Pending {
    commands: Outstanding,
    state: Option<IntGauge>,
    /// The IDLE that is going on, and when it began.
    idling: Option<(CommandId, Duration)>,
    /// When the last IDLE began.
    idled: Option<Duration>,
    /// Whether the server tells of changes unasked.
    notifying: bool,
}

impl Metrics {
    /// Metrics for listeners and upstreams with these names.
    ///
    /// # Errors
    /// When two families have one name, which a test rules out.
    pub fn new(listeners: &[(String, Protocol)], upstreams: &[String]) -> Result<Self, prometheus::Error> {
        let names = Names { listeners: listeners.to_vec(), upstreams: upstreams.to_vec() };
        let families = Families::new(&names)?;
        families.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let (imap, pop3) = (OfProtocol::new(&families, Protocol::Imap), OfProtocol::new(&families, Protocol::Pop3));
        let idle = narrow(commands::position(Protocol::Imap, "IDLE"));
        Ok(Self {
            families,
            imap,
            pop3,
            idle,
            open: PerSession::new(),
            polls: Cache::new(POLLERS),
            hasher: std::hash::RandomState::new(),
            sources: Sources::default(),
            rules: RuleNames::default(),
            asked_for: true,
        })
    }

    /// Nobody can ask for these metrics, so nothing is measured for them that costs time.
    #[must_use]
    pub(crate) fn for_nobody(self) -> Self {
        Self { asked_for: false, ..self }
    }

    /// Whether anybody can ask.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.asked_for
    }

    /// The text format of Prometheus.
    ///
    /// # Errors
    /// When a family is inconsistent, which a test rules out.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        self.refresh();
        TextEncoder::new().encode_to_string(&self.families.registry.gather())
    }

    /// The `OpenMetrics` text format, version 1.0.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        self.refresh();
        openmetrics::encode(&self.families.registry.gather(), &self.families.command_duration)
    }

    /// The most lines with a value that the endpoint can have, whatever peers do.
    #[must_use]
    pub fn most_series(listeners: &[(String, Protocol)], upstreams: &[String]) -> usize {
        families::most_series(&Names { listeners: listeners.to_vec(), upstreams: upstreams.to_vec() })
    }

    /// The page `docs/metrics.md`.
    #[must_use]
    pub fn document() -> String {
        document::page()
    }

    fn of(&self, protocol: Protocol) -> &OfProtocol {
        match protocol {
            Protocol::Imap => &self.imap,
            Protocol::Pop3 => &self.pop3,
        }
    }

    /// What is told of nearly every command is told here, and the rest elsewhere: a client that pipelines makes
    /// hundreds in one report.
    fn reported(&self, info: &SessionInfo, pending: &mut Pending, events: &[Event]) {
        let (of, mut tally) = (self.of(info.protocol), Tally::default());
        for event in events {
            match &event.what {
                Observation::CommandBegun { id, command, operation, .. } => {
                    let kind = tally.kind(info.protocol, command, *operation);
                    pending.commands.begun(*id, kind);
                    if kind.command == self.idle && info.protocol == Protocol::Imap {
                        self.idle_begun(pending, *id, event.at);
                    }
                }
                Observation::CommandCompleted { id, completion, by, code, latency } => {
                    let Some(kind) = pending.commands.ended(*id) else { continue };
                    if *by == Answered::Proxy && code.as_ref().map(ShortText::as_str) == Some("LIMIT") {
                        self.limit("compressed_sides");
                    }
                    if let Some(trace) = info.trace
                        && *by == Answered::Upstream
                        && *completion != Completion::Aborted
                        && let Ok(at) = info.started.checked_add(event.at)
                    {
                        of.exemplify(kind, *latency, trace, at);
                    }
                    tally.ended(of, Ended { kind, completion: *completion, by: *by, latency: *latency }, code.as_ref());
                    if pending.idling.is_some_and(|(idle, _)| idle == *id) {
                        self.idle_ended(pending, event.at);
                    }
                }
                _ => self.event(info, pending, event, &mut tally),
            }
        }
        tally.finish(of);
    }

    fn event(&self, info: &SessionInfo, pending: &mut Pending, event: &Event, tally: &mut Tally) {
        let of = self.of(info.protocol);
        match &event.what {
            Observation::Retrieved { extent, octets, .. } => {
                tally.retrieved(of, *extent, *octets);
                if *extent == Extent::Whole
                    && let Some(sizes) = self.families.message_bytes.at(index_of(info.protocol))
                {
                    sizes.number(*octets);
                }
            }
            Observation::Stored { octets, .. } => {
                of.stored.0.inc();
                of.stored.1.inc_by(*octets);
            }
            Observation::Expunged { .. } => of.expunged.inc(),
            Observation::Notifying { on } => self.notifying(pending, *on),
            Observation::StateChanged { to, .. } => self.state(info, pending, *to),
            Observation::Greeted | Observation::Said(_) | Observation::Vanished { .. } => {}
            _ => self.rare(info, event),
        }
    }

    fn state(&self, info: &SessionInfo, pending: &mut Pending, to: State) {
        let now = self.families.in_state.with_label_values(&[info.protocol.as_label(), to.as_label()]);
        now.inc();
        if let Some(before) = pending.state.replace(now) {
            before.dec();
        }
    }

    fn notifying(&self, pending: &mut Pending, on: bool) {
        let before = std::mem::replace(&mut pending.notifying, on);
        self.families.notify.add(i64::from(on) - i64::from(before));
    }

    fn idle_begun(&self, pending: &mut Pending, id: CommandId, at: Duration) {
        if pending.idling.replace((id, at)).is_none() {
            self.families.idle.inc();
        }
        if let (Some(before), Some(interval)) = (pending.idled.replace(at), self.families.idle_interval.at(0)) {
            interval.took(at.saturating_sub(before));
        }
    }

    fn idle_ended(&self, pending: &mut Pending, at: Duration) {
        if let (Some((_, since)), Some(duration)) = (pending.idling.take(), self.families.idle_duration.at(0)) {
            self.families.idle.dec();
            duration.took(at.saturating_sub(since));
        }
    }
}

/// The position of a protocol in a family whose one label it is.
fn index_of(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Imap => 0,
        Protocol::Pop3 => 1,
    }
}

/// Positions in the tables here are a few dozen at most.
fn narrow(position: usize) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}

impl Witness for Metrics {
    fn opened(&self, info: &SessionInfo) {
        let labels = [info.protocol.as_label(), &info.listener];
        self.families.opened.with_label_values(&labels).inc();
        self.families.active.with_label_values(&labels).inc();
        let mut pending = Pending::default();
        self.state(info, &mut pending, State::Greeting);
        self.open.open(info.id, pending);
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        self.open.with(info.id, |pending| self.reported(info, pending, events));
    }

    fn closed(&self, info: &SessionInfo, _client_octets: u64, _upstream_octets: u64) {
        let labels = [info.protocol.as_label(), &info.listener];
        self.families.active.with_label_values(&labels).dec();
        let took = Duration::try_from(jiff::Timestamp::now().duration_since(info.started)).unwrap_or_default();
        if let Some(duration) = self.families.session_duration.at(index_of(info.protocol)) {
            duration.took(took);
        }
        let mut left = self.open.close(info.id).unwrap_or_default();
        if let Some(state) = left.state.take() {
            state.dec();
        }
        self.idle_ended(&mut left, took);
        self.notifying(&mut left, false);
        // what was begun and never answered is not forgotten
        for (kind, count) in left.commands.left() {
            self.of(info.protocol).ended(kind, ABORTED, count);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests;
