//! Plays a transcript as the shell would, on the stage of rehearsals.

use std::sync::Arc;
use std::time::Instant;

use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::rehearsal::{Came, Stage};
use mailwarden::session::Setup;
use mailwarden::wire::Side;

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
    fn cut(self, step: usize, octets: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Octets => octets.chunks(1).collect(),
            Self::Two { block, at } if block == step => {
                let (one, two) = octets.split_at(at);
                vec![one, two]
            }
            Self::Two { .. } | Self::Whole => vec![octets],
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
    if let Some(rules) = &script.first_rules {
        script.terms.policy.replace(Policy::new(rules.clone()));
    }
    let setup = Setup::offline(Arc::clone(&script.terms), script.protocol, 1, Instant::now());
    let mut player = Player {
        stage: Stage::new(setup),
        scribe: Scribe::default(),
        leaks: Vec::new(),
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
    stage: Stage,
    scribe: Scribe,
    leaks: Vec<String>,
    policy: PolicyHandle,
}

impl Player {
    /// Does it, or says what about it does not hold.
    fn act(&mut self, number: usize, action: &Action, cuts: Cuts) -> Option<String> {
        let stage = &mut self.stage;
        match action {
            Action::Start => {}
            Action::Send(side, octets) => stage.send_in_pieces(*side, cuts.cut(number, octets)),
            Action::End(side) => stage.end(*side),
            Action::StartTls(side) => return started(stage.start_tls(), *side),
            Action::StartDeflate(side) => return started(stage.start_deflate(), *side),
            Action::Wait(time) => stage.pass(*time),
            Action::Farewell(reason, sentence) => stage.farewell(*reason, sentence),
            Action::Left(side, octets) => {
                let left = stage.left(*side);
                return (left != *octets).then(|| format!("left are {}", left.escape_ascii()));
            }
            Action::Wants(side, wanted) => {
                return (stage.wants(*side) != *wanted).then(|| format!("wants {side:?}: {}", !wanted));
            }
            Action::Answered(allowed) => return (!stage.answer(*allowed)).then(|| "nothing was asked".to_owned()),
            Action::Closed(reason) => {
                let closing = stage.closing();
                return (closing != Some(*reason)).then(|| format!("closing is {closing:?}"));
            }
            Action::Rules(rules) => self.policy.replace(Policy::new(rules.clone())),
            Action::Open => return stage.closing().map(|reason| format!("it is closed: {reason:?}")),
        }
        None
    }

    fn outcome(&mut self, complaint: Option<String>, secrets: &[String]) -> Outcome {
        let Came { up, down, events } = self.stage.take();
        let spoken = format!("{} {events:?}", serde_json::to_string(&events).expect("events serialise"));
        self.leaks.extend(secrets.iter().filter(|secret| spoken.contains(*secret)).cloned());
        let events = events.iter().map(|event| self.scribe.compact(&event.what)).collect();
        Outcome { up, down, events, complaint }
    }
}

fn started(side: Option<Side>, expected: Side) -> Option<String> {
    (side != Some(expected)).then(|| format!("that layer is to start on {side:?}"))
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
