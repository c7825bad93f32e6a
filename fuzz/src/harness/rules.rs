//! A client's script against a server that answers what reaches it, while one policy is in force and then
//! another. What the policies mean is judged by what the server got and what the client saw.

use std::collections::BTreeMap;
use std::sync::Arc;

use mailwarden::policy::PolicyHandle;
use mailwarden::session::{Answered, Observation, Posture, Terms};
use mailwarden::wire::{Protocol, Side};

use super::check;
use super::pair::all_judged;
use super::play::{Cuts, Outcome, Shell, compare};
use super::policies::{SECRET, Set};
use super::reference::{self, Command};
use super::script::{Action, Script};
use super::server::Server;

/// The first octet names the two policies, the rest is a script as that of [`super::pair`].
pub fn rules(octets: &[u8]) {
    let [first, script @ ..] = octets else { return };
    let sets = [Set::of(first & 7), Set::of(first >> 3 & 7)];
    let script = Script::read(script);
    compare(script.seed, |cuts| play(&script, sets, cuts));
}

/// From here on a policy was in force.
#[derive(Debug)]
struct Phase {
    set: Set,
    events: usize,
    commands: usize,
    down: usize,
}

fn play(script: &Script, sets: [Set; 2], cuts: Cuts) -> Outcome {
    let protocol = if script.options.pop3 { Protocol::Pop3 } else { Protocol::Imap };
    let enforces = script.options.posture == Posture::Enforce;
    let mut answers = script.actions.iter().filter_map(Action::upstream).cloned();
    let greeting = answers.next().unwrap_or_default();
    let mut server = Server::new(protocol, answers.collect());
    let policy = PolicyHandle::new(sets[0].policy());
    let terms = Terms { policy: policy.clone(), ..Terms::clone(&script.options.terms()) };
    let mut shell = Shell::of(Arc::new(terms), protocol, cuts);
    let mut phases = vec![Phase { set: sets[0], events: 0, commands: 0, down: 0 }];
    let mut seen = 0;
    shell.send(Side::Upstream, &greeting);
    for action in script.actions.iter().filter(|action| action.upstream().is_none()) {
        if *action == Action::Reload {
            let set = sets[phases.len() % 2];
            policy.replace(set.policy());
            let (events, down) = (shell.outcome.events.len(), shell.outcome.down.len());
            phases.push(Phase { set, events, commands: server.commands.len(), down });
        }
        shell.act(action);
        while seen < shell.outcome.up.len() && enforces {
            let said = server.take(&shell.outcome.up[seen..]);
            seen = shell.outcome.up.len();
            shell.send(Side::Upstream, &said);
        }
    }
    let rests = enforces && server.is_tame && !shell.is_closing() && shell.is_idle();
    let (answered, client) = (shell.outcome.down.len(), shell.read(Side::Client).to_vec());
    if rests {
        assert!(check::none_owed(&shell.outcome.events), "an idle session owes an answer");
        if protocol == Protocol::Imap && !shell.is_layered() {
            all_answered(&shell.outcome.events, &shell.outcome.down[..answered]);
        }
    }
    let layered = shell.is_layered();
    let outcome = shell.finish();
    if enforces && server.is_tame {
        all_judged(&server.commands, &outcome.events);
        none_forbidden(&server.commands, &outcome.events, &phases);
        if !layered {
            as_they_came(&server.commands, &outcome.events, &client);
        }
    }
    if enforces && protocol == Protocol::Imap {
        hidden_stays_hidden(&outcome.down, &phases, server.commands.iter().any(|command| command.utf8));
    }
    outcome
}

/// No command reached the server that the policy denies under which it was judged. The last that is in question is taken
/// if the client used a tag more than once.
fn none_forbidden(commands: &[Command], events: &[Observation], phases: &[Phase]) {
    let went_up = |id| {
        !events.iter().any(|event| {
            matches!(event, Observation::CommandCompleted { id: of, by, .. } if *of == id && *by != Answered::Upstream)
        })
    };
    let judged: Vec<(Set, u32, &str, &str)> = events
        .iter()
        .enumerate()
        .filter_map(|(at, event)| match event {
            Observation::CommandBegun { id, tag, command, .. } if went_up(*id) => {
                let phase = phases.iter().rfind(|phase| phase.events <= at)?;
                Some((phase.set, id.0, tag.as_deref().unwrap_or_default(), command.as_ref()))
            }
            _ => None,
        })
        .collect();
    for (at, command) in commands.iter().enumerate() {
        let in_force = phases.iter().rfind(|phase| phase.commands <= at).map_or(Set::Nothing, |phase| phase.set);
        let is_one = |(_, _, tag, name): &&(Set, u32, &str, &str)| {
            *tag == command.tag && (*name == command.name || (*name == "SELECT" && command.name == "EXAMINE"))
        };
        let mut candidates = judged.iter().filter(is_one).peekable();
        let is_fine = match candidates.peek() {
            None => command.is_own() && !in_force.forbids(command, None) || !command.is_own(),
            Some(_) => candidates.any(|(set, number, ..)| !set.forbids(command, Some(*number))),
        };
        assert!(is_fine, "forbidden by {in_force:?}: {command:?}");
    }
}

/// What a client said on one line reaches the server as that line, unless an event says that it was altered.
fn as_they_came(commands: &[Command], events: &[Observation], client: &[u8]) {
    let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
    for line in client.split(|octet| *octet == b'\n') {
        *left.entry(line.strip_suffix(b"\r").unwrap_or(line)).or_default() += 1;
    }
    let others = commands.iter().filter(|command| !command.is_own() && !command.octets.contains(&b'\n'));
    let others = others.filter(|command| match left.get_mut(command.octets.as_slice()).filter(|count| **count > 0) {
        Some(count) => {
            *count -= 1;
            false
        }
        None => true,
    });
    let others: Vec<&Command> = others.collect();
    let told = events.iter().filter(|event| matches!(event, Observation::Altered { to: Side::Upstream, .. })).count();
    assert!(others.len() <= told, "other than they came, and not told: {others:?}");
}

/// Every command that was completed has an answer with its tag; that none has two is seen to by
/// [`check::answered_once`], for what cannot be read is answered without having begun.
fn all_answered(events: &[Observation], down: &[u8]) {
    let mut owed: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut open = BTreeMap::new();
    for event in events {
        match event {
            Observation::CommandBegun { id, tag: Some(tag), .. } => drop(open.insert(*id, tag.as_bytes())),
            Observation::CommandCompleted { id, .. } => {
                if let Some(tag) = open.remove(id) {
                    *owed.entry(tag).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    for (_, response) in reference::responses(down) {
        let mut words = response.split(|octet| *octet == b' ');
        let (tag, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if tag != b"*"
            && tag != b"+"
            && matches!(word, b"OK" | b"NO" | b"BAD")
            && let Some(count) = owed.get_mut(tag)
        {
            *count = count.saturating_sub(1);
        }
    }
    owed.retain(|_, count| *count > 0);
    assert!(owed.is_empty(), "not answered: {owed:?}");
}

/// While the policy hides the folder, nothing names it that tells of mailboxes.
fn hidden_stays_hidden(down: &[u8], phases: &[Phase], utf8: bool) {
    for (at, response) in reference::responses(down) {
        let set = phases.iter().rfind(|phase| phase.down <= at).map_or(Set::Nothing, |phase| phase.set);
        if set == Set::Hidden {
            let told = reference::told_mailbox(response, utf8);
            assert!(told.as_deref() != Some(SECRET), "down: {}", response.escape_ascii());
        }
    }
}
