//! Plays a transcript as the shell would: reads what is wanted, calls the session, takes the outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::session::imap::Imap;
use mailwarden::session::pop3::Pop3;
use mailwarden::session::{CommandId, Inboxes, Outbox, Secured, Session, Setup};
use mailwarden::wire::{Protocol, Side};

use super::event::Scribe;
use super::script::{Action, Script, Step};

/// In which pieces octets arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cuts {
    Whole,
    Octets,
    /// The block of one step is cut in two.
    Two {
        block: usize,
        at: usize,
    },
}

impl Cuts {
    fn cut(self, step: usize, octets: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::Octets => octets.iter().map(|octet| vec![*octet]).collect(),
            Self::Two { block, at } if block == step => {
                let (one, two) = octets.split_at(at);
                vec![one.to_vec(), two.to_vec()]
            }
            Self::Two { .. } | Self::Whole => vec![octets.to_vec()],
        }
    }
}

/// What came of each step.
pub(crate) struct Trace {
    pub(crate) steps: Vec<Outcome>,
    leaks: Vec<String>,
}

#[derive(PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    up: Vec<u8>,
    down: Vec<u8>,
    events: Vec<String>,
    /// What a `!` line asked for did not hold.
    complaint: Option<String>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "-> {}", self.up.escape_ascii())?;
        writeln!(f, "<- {}", self.down.escape_ascii())?;
        self.events.iter().chain(&self.complaint).try_for_each(|event| writeln!(f, " = {event}"))
    }
}

pub(crate) fn play(script: &Script, cuts: Cuts) -> Trace {
    let started = Instant::now();
    if let Some(rules) = &script.first_rules {
        script.terms.policy.replace(Policy::new(rules.clone()));
    }
    let setup = Setup::offline(Arc::clone(&script.terms), script.protocol, 1, started);
    let session: Box<dyn Session> = match script.protocol {
        Protocol::Imap => Box::new(Imap::new(setup)),
        Protocol::Pop3 => Box::new(Pop3::new(setup)),
    };
    let mut player = Player {
        session,
        inboxes: Inboxes::default(),
        out: Outbox::new(started),
        now: started,
        on_the_way: [VecDeque::new(), VecDeque::new()],
        scribe: Scribe::default(),
        leaks: Vec::new(),
        questions: VecDeque::new(),
        policy: script.terms.policy.clone(),
    };
    let mut steps = Vec::new();
    for (number, step) in script.steps.iter().enumerate() {
        let complaint = player.act(number, &step.action, cuts);
        steps.push(player.outcome(complaint, &script.secrets));
    }
    Trace { steps, leaks: player.leaks }
}

struct Player {
    session: Box<dyn Session>,
    inboxes: Inboxes,
    out: Outbox,
    now: Instant,
    /// Pieces that a peer has sent and that are not read, client first.
    on_the_way: [VecDeque<Vec<u8>>; 2],
    scribe: Scribe,
    leaks: Vec<String>,
    /// Commands about which somebody was asked.
    questions: VecDeque<CommandId>,
    policy: PolicyHandle,
}

impl Player {
    fn act(&mut self, number: usize, action: &Action, cuts: Cuts) -> Option<String> {
        match action {
            Action::Start => self.advance(),
            Action::Send(side, octets) => {
                self.way(*side).extend(cuts.cut(number, octets));
                self.read();
            }
            Action::End(side) => {
                match side {
                    Side::Client => self.inboxes.client_ended = true,
                    Side::Upstream => self.inboxes.upstream_ended = true,
                }
                self.advance();
            }
            Action::StartTls(side) => return self.start_tls(*side),
            Action::StartDeflate(side) => return self.start_deflate(*side),
            Action::Wait(time) => {
                self.now += *time;
                if self.session.deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.session.expire(self.now, &mut self.out);
                    self.advance();
                    self.read();
                }
            }
            Action::Farewell(reason, sentence) => {
                self.session.farewell(*reason, sentence, self.now, &mut self.out);
            }
            Action::Left(side, octets) => {
                let mut left = self.inboxes.of(*side).to_vec();
                left.extend(self.way(*side).iter().flatten());
                return (left != *octets).then(|| format!("left are {}", left.escape_ascii()));
            }
            Action::Wants(side, wanted) => {
                return (self.session.wants(*side) != *wanted).then(|| format!("wants {side:?}: {}", !wanted));
            }
            Action::Answered(allowed) => {
                let Some(id) = self.questions.pop_front() else { return Some("nothing was asked".to_owned()) };
                self.session.answered(id, *allowed, self.now, &mut self.out);
                self.advance();
                self.read();
            }
            Action::Closed(reason) => {
                let closing = self.out.closing();
                return (closing != Some(*reason)).then(|| format!("closing is {closing:?}"));
            }
            Action::Rules(rules) => self.policy.replace(Policy::new(rules.clone())),
            Action::Open => return self.out.closing().map(|reason| format!("it is closed: {reason:?}")),
        }
        None
    }

    fn start_tls(&mut self, side: Side) -> Option<String> {
        if self.out.starting_tls() != Some(side) {
            return Some(format!("TLS is to start on {:?}", self.out.starting_tls()));
        }
        self.out.tls_taken();
        // what is left in clear goes to the TLS engine
        self.inboxes.of(side).clear();
        self.way(side).clear();
        self.session.tls_started(Secured::offline(side), self.now, &mut self.out);
        self.advance();
        self.read();
        None
    }

    /// What is left is for the inflater, whose octets are played as they are: that they are inflated is
    /// the shell's affair.
    fn start_deflate(&mut self, side: Side) -> Option<String> {
        if self.out.starting_deflate() != Some(side) {
            return Some(format!("DEFLATE is to start on {:?}", self.out.starting_deflate()));
        }
        self.out.deflate_taken();
        let mut left = std::mem::take(self.inboxes.of(side)).to_vec();
        left.extend(std::mem::take(self.way(side)).into_iter().flatten());
        self.session.deflate_started(side, self.now, &mut self.out);
        self.advance();
        self.way(side).extend((!left.is_empty()).then_some(left));
        self.read();
        None
    }

    /// Reads as long as there is something to read from a side that is wanted.
    fn read(&mut self) {
        while let Some(side) =
            [Side::Client, Side::Upstream].into_iter().find(|side| !self.way(*side).is_empty() && self.is_read(*side))
        {
            let piece = self.way(side).pop_front().unwrap_or_default();
            self.inboxes.of(side).extend_from_slice(&piece);
            self.advance();
        }
    }

    fn is_read(&self, side: Side) -> bool {
        self.out.closing().is_none()
            && self.out.starting_tls() != Some(side)
            && self.out.starting_deflate() != Some(side)
            && self.session.wants(side)
    }

    fn advance(&mut self) {
        self.session.advance(&mut self.inboxes, self.now, &mut self.out);
        self.questions.extend(self.out.take_questions().into_iter().map(|(id, _)| id));
    }

    fn way(&mut self, side: Side) -> &mut VecDeque<Vec<u8>> {
        let [client, upstream] = &mut self.on_the_way;
        if side == Side::Client { client } else { upstream }
    }

    fn outcome(&mut self, complaint: Option<String>, secrets: &[String]) -> Outcome {
        let (up, down) = (self.out.take(Side::Upstream), self.out.take(Side::Client));
        let events = self.out.take_events();
        let spoken = format!("{} {events:?}", serde_json::to_string(&events).expect("events serialise"));
        self.leaks.extend(secrets.iter().filter(|secret| spoken.contains(*secret)).cloned());
        let events = events.iter().map(|event| self.scribe.compact(&event.what)).collect();
        Outcome { up, down, events, complaint }
    }
}

impl Trace {
    /// Holds the play against what the transcript says.
    pub(crate) fn hold_against(&self, script: &Script) -> Result<(), String> {
        for (step, outcome) in script.steps.iter().zip(&self.steps) {
            check(step, outcome).map_err(|(line, error)| format!("{}: {error}\n{outcome:?}", script.place(line)))?;
        }
        match self.leaks.first() {
            Some(secret) => Err(format!("{}: the secret `{secret}` is in an event", script.place(0))),
            None => Ok(()),
        }
    }
}

fn check(step: &Step, outcome: &Outcome) -> Result<(), (usize, String)> {
    if let Some(complaint) = &outcome.complaint {
        return Err((step.line, complaint.clone()));
    }
    for (way, expected, got) in [("->", &step.up, &outcome.up), ("<-", &step.down, &outcome.down)] {
        if expected != got {
            let (expected, got) = (expected.escape_ascii(), got.escape_ascii());
            return Err((step.line, format!("octets differ\n  expected {way} {expected}\n  got      {way} {got}")));
        }
    }
    let mut events = outcome.events.iter();
    for (line, expected) in &step.events {
        if !events.any(|event| event == expected) {
            return Err((*line, format!("no such event, or not in this order\n  expected = {expected}\n  got:")));
        }
    }
    Ok(())
}
