//! A client's script against a server that answers what reaches it.

use mailwarden::session::{Observation, Posture};
use mailwarden::wire::{Protocol, Side};

use super::check;
use super::play::{Cuts, Outcome, Shell, compare};
use super::reference::Command;
use super::script::{Action, Script};
use super::server::Server;

/// Plays the client's blocks; the blocks of the server are its answers, in turn.
pub fn pair(octets: &[u8]) {
    let script = Script::read(octets);
    compare(script.seed, |cuts| play(&script, cuts));
}

fn play(script: &Script, cuts: Cuts) -> Outcome {
    let protocol = if script.options.pop3 { Protocol::Pop3 } else { Protocol::Imap };
    let enforces = script.options.posture == Posture::Enforce;
    let mut answers = script.actions.iter().filter_map(Action::upstream).cloned();
    let greeting = answers.next().unwrap_or_default();
    let mut server = Server::new(protocol, answers.collect());
    let mut shell = Shell::new(script.options, protocol, cuts);
    let mut seen = 0;
    shell.send(Side::Upstream, &greeting);
    for action in script.actions.iter().filter(|action| action.upstream().is_none()) {
        shell.act(action);
        while seen < shell.outcome.up.len() && enforces {
            let said = server.take(&shell.outcome.up[seen..]);
            seen = shell.outcome.up.len();
            shell.send(Side::Upstream, &said);
        }
    }
    if enforces && server.is_tame && !shell.is_closing() && shell.is_idle() {
        assert!(check::none_owed(&shell.outcome.events), "an idle session owes an answer");
    }
    let outcome = shell.finish();
    if enforces && server.is_tame {
        all_judged(&server.commands, &outcome.events);
    }
    outcome
}

/// What the server took for commands are commands that were judged, in the order in which they were.
pub(super) fn all_judged(commands: &[Command], events: &[Observation]) {
    let mut judged = events.iter().filter_map(|event| match event {
        Observation::CommandBegun { tag, command, .. } => Some((tag.as_deref().unwrap_or_default(), command.as_ref())),
        _ => None,
    });
    for Command { tag, name, .. } in commands {
        let own = tag.starts_with("MW") || (tag.is_empty() && name == "STLS");
        // a rule may have opened a mailbox in another way
        let is_one = |judged: (&str, &str)| judged == (tag, name) || (judged == (tag, "SELECT") && name == "EXAMINE");
        assert!(own || judged.any(is_one), "not judged: {tag:?} {name:?}");
    }
}
