//! Recorded sessions played again under other rules: what would be decided otherwise.
//!
//! The client's lines are played one command at a time through a session of the live proxy's kind, and the server
//! answers what it answered then. A recording holds no secrets and no content, so some things cannot be known; they
//! are told in [`Replayed::unknown`].

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::Duration;

use super::case::{Given, ServerSays, TlsWord};
use super::play::{Played, Scene};
use super::policy::Rehearsed;
use super::recorded::{Session, Spoken, Unplayable, sessions};
use crate::policy::ActionKind;
use crate::recording::{ReadError, Recording};
use crate::session::{CommandId, Completion};
use crate::wire::Protocol;

/// What would be decided about one command, and was decided then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The session's number in the recording.
    pub session: u64,
    /// When the command was said, since the session was accepted.
    pub at: Duration,
    /// The command as it was recorded.
    pub said: String,
    /// What was done to it then, and by which rule.
    pub before: Verdict,
    /// What would be done to it.
    pub after: Verdict,
}

/// An action and the rule that takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is done.
    pub action: ActionKind,
    /// By which rule; none if no rule matched, or none that wants to be named.
    pub rule: Option<String>,
}

/// What came of a recording under other rules.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    /// How many sessions it has.
    pub sessions: usize,
    /// How many commands were judged again.
    pub judged: usize,
    /// What would be decided otherwise, in the order of the sessions.
    pub changes: Vec<Change>,
    /// Commands that meet another state, for an earlier one was decided otherwise: a FETCH behind a SELECT that is denied.
    pub follow: usize,
    /// How many commands each rule would decide.
    pub rules: BTreeMap<String, usize>,
    /// What cannot be known, and of how many commands.
    pub unknown: BTreeMap<Unplayable, usize>,
}

/// Plays a recording under the rules of `policy`.
pub fn replay<R: BufRead>(recording: Recording<R>, policy: &Rehearsed) -> Result<Replayed, ReadError> {
    let mut replayed = Replayed::default();
    for session in sessions(recording)? {
        replayed.sessions += 1;
        play(&session, policy, &mut replayed);
    }
    Ok(replayed)
}

fn play(session: &Session, policy: &Rehearsed, replayed: &mut Replayed) {
    // what is known of the session's beginning is played, not set
    let Ok(mut scene) = Scene::set(&given(session), policy.handle()) else {
        *replayed.unknown.entry(Unplayable::Beginning).or_default() += session.commands.len();
        return;
    };
    if !session.is_whole {
        *replayed.unknown.entry(Unplayable::Beginning).or_default() += 1;
    }
    let mut is_changed = false;
    for (id, command) in &session.commands {
        let lines = match command.lines(session.info.protocol) {
            Ok(lines) => lines,
            Err(why) => {
                *replayed.unknown.entry(why).or_default() += 1;
                continue;
            }
        };
        if command.is_nameless_login() {
            *replayed.unknown.entry(Unplayable::User).or_default() += 1;
        }
        scene.pass_to(command.at);
        policy.forget_the_way();
        let played = scene.play(&lines, &[answer(command, session.info.protocol)]);
        replayed.judged += 1;
        note(replayed, session, *id, command, &played, policy, &mut is_changed);
    }
}

fn note(
    replayed: &mut Replayed,
    session: &Session,
    id: CommandId,
    command: &Spoken,
    played: &Played,
    policy: &Rehearsed,
    is_changed: &mut bool,
) {
    let (action, rule) = policy.verdict(played);
    if let Some(rule) = &rule {
        *replayed.rules.entry(rule.clone()).or_default() += 1;
    }
    let before = command.before();
    if before.action != action {
        *is_changed = true;
        replayed.changes.push(Change {
            session: session.info.id,
            at: command.at,
            said: command.shown(id),
            before,
            after: Verdict { action, rule },
        });
    } else if *is_changed && action == ActionKind::Allow && was_done(command) && !is_done(played) {
        replayed.follow += 1;
    }
}

fn was_done(command: &Spoken) -> bool {
    command.completion == Some(Completion::Ok)
}

/// Whether the last line that the client got is one of success.
fn is_done(played: &Played) -> bool {
    let is_good = |line: &String| line.starts_with("+OK") || line.split(' ').nth(1) == Some("OK") || line == ".";
    played.client_gets.last().is_some_and(is_good)
}

fn given(session: &Session) -> Given {
    let info = &session.info;
    let tls = match &info.client_tls {
        None => TlsWord::None,
        Some(tls) if tls.version.ends_with("1.2") => TlsWord::Tls12,
        Some(_) => TlsWord::Tls13,
    };
    Given {
        protocol: Some(info.protocol),
        listener: Some(info.listener.to_string()),
        client: Some(info.client.ip()),
        tls: Some(tls),
        server_name: info.client_tls.as_ref().and_then(|tls| tls.server_name.clone()),
        time: Some(info.started),
        // who logs in is among the commands, unless the recording began later
        user: Some(if session.is_whole { String::new() } else { session.user.clone().unwrap_or_default() }),
        capabilities: Some(session.capabilities()),
        ..Given::default()
    }
}

/// What the server said then; if it was not asked then, it says yes.
fn answer(command: &Spoken, protocol: Protocol) -> ServerSays {
    let code = command.code.as_deref().map(|code| format!("[{code}] ")).unwrap_or_default();
    let no = match (protocol, command.completion.filter(|_| command.was_answered_by_server)) {
        (Protocol::Imap, Some(Completion::No)) => Some("NO"),
        (Protocol::Imap, Some(Completion::Bad)) => Some("BAD"),
        (Protocol::Pop3, Some(Completion::No | Completion::Bad)) => Some("-ERR"),
        _ => None,
    };
    ServerSays { lines: command.data.clone(), completes: no.map(|word| format!("{word} {code}as recorded")) }
}
