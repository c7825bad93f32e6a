//! Commands and lines that were judged and do not simply go up: refused, answered, changed, or held until a time
//! comes or somebody else has decided. What the client sends behind a held one stays unread in its inbox, so
//! that order and judgement are as if the client had waited itself.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Pop3;
use super::edit::{Edited, edited};
use super::judge::Named;
use super::request::Request;
use super::slot::{Answer, Asked, Ending, Slot};
use super::turn::{Cursor, Turn, shown};
use crate::policy::{Canned, Decision, Denial, Outcome, Pace, Permit, Policy};
use crate::redact::{MASK, Redacted};
use crate::session::{Alteration, Answered, CloseReason, CommandId, Completion, Observation, Speaker};
use crate::wire::{Operation, Side};

/// What was judged and waits.
#[derive(Debug)]
pub(super) struct Held {
    id: CommandId,
    begun: Instant,
    /// As it came, with its CRLF.
    line: Redacted<Vec<u8>>,
    what: What,
    until: Until,
}

#[derive(Debug)]
enum What {
    Command(Box<Request>),
    /// A line of an authentication exchange, which names this user.
    Response(Option<String>),
}

/// What it waits for.
#[derive(Debug)]
enum Until {
    Time(Instant, Permit, Option<Arc<Pace>>),
    /// An external service; if it says no, this is the refusal.
    Told(Denial),
}

impl Pop3 {
    /// Does what the policy says with a command that may not simply go up. Its line is still in the inbox.
    pub(super) fn carry_out(
        &mut self,
        outcome: Outcome,
        decisions: Vec<Decision>,
        command: (CommandId, Request, usize),
        cursor: &mut Cursor<'_>,
        turn: &mut Turn<'_>,
    ) {
        let (id, request, count) = command;
        let waits = matches!(outcome, Outcome::Throttle(..) | Outcome::Ask(_) | Outcome::Allow(_));
        if !waits {
            turn.said(Speaker::ClientHeld, Some(id), count, || request.shown.clone());
        }
        self.begun(id, &request, turn);
        self.report(id, decisions, turn);
        let line = cursor.take(count, turn.out);
        match outcome {
            Outcome::Deny(denial) => self.deny(id, count, &request, &denial, None, turn),
            Outcome::Disconnect(denial) => self.deny(id, count, &request, &denial, Some(RULED), turn),
            Outcome::Answer(canned) => self.answer_for(id, count, &request, &canned, turn),
            Outcome::Edit(permit, edit) => match edited(&request, line.expose(), &edit) {
                Edited::AsItIs => self.hold(id, line, What::Command(request.into()), at_once(permit, turn.now)),
                Edited::Line(instead) => self.send_instead(permit, id, &request, *instead, count, turn),
                Edited::Nothing => {
                    let reply = "-ERR [SYS/PERM] Not allowed by policy\r\n".to_owned();
                    self.answer_locally(id, count, reply, Answered::Policy, None, turn);
                }
            },
            Outcome::Throttle(permit, throttle) => {
                let until = Until::Time(turn.now + throttle.wait, permit, throttle.pace);
                self.hold(id, line, What::Command(request.into()), until);
            }
            Outcome::Ask(question) => {
                let until = Until::Told(question.refusal.clone());
                turn.out.ask(id, question);
                self.hold(id, line, What::Command(request.into()), until);
            }
            Outcome::Allow(permit) => {
                self.hold(id, line, What::Command(request.into()), at_once(permit, turn.now));
            }
        }
        self.release_due(turn);
    }

    fn hold(&mut self, id: CommandId, line: Redacted<Vec<u8>>, what: What, until: Until) {
        self.held = Some(Held { id, begun: self.last_activity, line, what, until });
    }

    /// Does what the policy says with a line of an exchange, `false`: it is refused.
    pub(super) fn hold_response(
        &mut self,
        outcome: Outcome,
        id: CommandId,
        user: Option<String>,
        line: Redacted<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) {
        let until = match outcome {
            Outcome::Throttle(permit, throttle) => Until::Time(turn.now + throttle.wait, permit, None),
            Outcome::Ask(question) => {
                let refusal = question.refusal.clone();
                turn.out.ask(id, question);
                Until::Told(refusal)
            }
            Outcome::Allow(permit) | Outcome::Edit(permit, _) => at_once(permit, turn.now),
            Outcome::Deny(denial) => return self.refuse_response(id, &denial, None, user, line.expose().len(), turn),
            Outcome::Disconnect(denial) => {
                return self.refuse_response(id, &denial, Some(RULED), user, line.expose().len(), turn);
            }
            // a login cannot be claimed for the server
            Outcome::Answer(canned) => {
                let denial = not_claimed(&canned);
                return self.refuse_response(id, &denial, None, user, line.expose().len(), turn);
            }
        };
        self.hold(id, line, What::Response(user), until);
        self.release_due(turn);
    }

    /// When what is held may go, if that depends on time alone.
    pub(super) fn held_until(&self) -> Option<Instant> {
        match self.held.as_ref()?.until {
            Until::Time(at, ..) => Some(at),
            Until::Told(_) => None,
        }
    }

    /// Sends up what is held if its time has come; says whether it had.
    pub(super) fn release_due(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.held_until().is_none_or(|at| at > turn.now) {
            return false;
        }
        let Some(Held { id, begun, line, what, until: Until::Time(_, permit, pace) }) = self.held.take() else {
            return false;
        };
        self.send_held(permit, Released { id, begun, line, what, pace }, turn);
        true
    }

    /// The external service has decided about what is held.
    pub(super) fn told(&mut self, id: CommandId, allowed: bool, turn: &mut Turn<'_>) {
        let asked = |held: &mut Held| held.id == id && matches!(held.until, Until::Told(_));
        let Some(Held { begun, line, what, until: Until::Told(refusal), .. }) = self.held.take_if(asked) else {
            return;
        };
        if allowed {
            return self.send_held(Policy::granted(), Released { id, begun, line, what, pace: None }, turn);
        }
        let count = line.expose().len();
        match what {
            What::Command(request) => {
                turn.said(Speaker::ClientHeld, Some(id), count, || request.shown.clone());
                self.deny(id, count, &request, &refusal, None, turn);
            }
            What::Response(user) => self.refuse_response(id, &refusal, None, user, count, turn),
        }
    }

    fn send_held(&mut self, permit: Permit, released: Released, turn: &mut Turn<'_>) {
        let Released { id, begun, line, what, pace } = released;
        let count = line.expose().len();
        let request = match what {
            What::Response(user) => return self.pass_response(permit, user, line, turn),
            What::Command(request) => *request,
        };
        if matches!(request.asked, Asked::Stls) {
            turn.said(Speaker::ClientHeld, Some(id), count, || request.shown.clone());
            return self.stls(id, count, turn);
        }
        let names = line.expose().get(..request.names).unwrap_or_default();
        if names.iter().any(u8::is_ascii_lowercase) {
            turn.said(Speaker::ClientHeld, Some(id), count, || request.shown.clone());
            super::client::canonical(&request, id, count, turn);
        } else {
            turn.said(Speaker::Client, Some(id), count, || request.shown.clone());
        }
        let mut octets = line.expose().clone();
        drop(line);
        if let Some(names) = octets.get_mut(..request.names) {
            names.make_ascii_uppercase();
        }
        go_up(permit, Redacted::new(octets).into_wire(), turn);
        let slot = Slot { pace, ..self.slot(id, begun, || Named::of(&request)) };
        self.await_answer(request.asked, slot, turn);
    }

    /// Another line goes up for the client's.
    fn send_instead(
        &mut self,
        permit: Permit,
        id: CommandId,
        request: &Request,
        instead: (String, Request),
        count: usize,
        turn: &mut Turn<'_>,
    ) {
        let (line, edited) = instead;
        turn.altered(Side::Upstream, Alteration::Policy, count, line.len());
        turn.said(Speaker::ProxyToUpstream, Some(id), line.len(), || shown(line.as_bytes()));
        go_up(permit, Bytes::from(line), turn);
        // what is told of the command stays what the client asked
        let named = Named::of(request);
        let slot = self.slot(id, turn.now, || named);
        self.await_answer(edited.asked, slot, turn);
    }

    /// A refusal; with `ending` the session ends behind it.
    pub(super) fn deny(
        &mut self,
        id: CommandId,
        count: usize,
        request: &Request,
        denial: &Denial,
        ending: Option<Ending>,
        turn: &mut Turn<'_>,
    ) {
        if matches!(request.asked, Asked::User(_)) {
            // the server would combine the next PASS with the name before
            self.user = None;
        }
        self.answer_locally(id, count, refusal_line(denial), Answered::Policy, ending, turn);
    }

    /// The proxy claims success. Not for a login, which the session could not follow, nor for STLS.
    fn answer_for(&mut self, id: CommandId, count: usize, request: &Request, canned: &Canned, turn: &mut Turn<'_>) {
        if request.operation == Operation::Authenticate || matches!(request.asked, Asked::Stls) {
            return self.deny(id, count, request, &not_claimed(canned), None, turn);
        }
        let mut reply = format!("+OK {}\r\n", canned.reply);
        if request.asked.has_body() {
            for line in canned.lines.iter() {
                let stuffing = if line.starts_with('.') { "." } else { "" };
                reply.push_str(&[stuffing, line, "\r\n"].concat());
            }
            reply.push_str(".\r\n");
        }
        // without the server's own QUIT nothing is deleted (RFC 1939 §6)
        let ending = matches!(request.asked, Asked::Quit)
            .then_some(Ending { reason: CloseReason::Logout, detail: "A rule answered QUIT" });
        self.answer_locally(id, count, reply, Answered::Policy, ending, turn);
    }

    fn refuse_response(
        &mut self,
        id: CommandId,
        denial: &Denial,
        ending: Option<Ending>,
        user: Option<String>,
        count: usize,
        turn: &mut Turn<'_>,
    ) {
        turn.said(Speaker::ClientHeld, Some(id), count, || MASK.to_owned());
        self.give_up(id, (refusal_line(denial), Answered::Policy), user, count, ending, turn);
    }

    /// The session ends while something is held.
    pub(super) fn drop_held(&mut self, turn: &mut Turn<'_>) {
        let Some(Held { id, begun, what: What::Command(_), .. }) = self.held.take() else { return };
        let latency = turn.now.saturating_duration_since(begun);
        let (completion, by) = (Completion::Aborted, Answered::Proxy);
        turn.observe(Observation::CommandCompleted { id, completion, code: None, by, latency });
    }

    /// Puts an answer of the proxy in its place.
    pub(super) fn answer_locally(
        &mut self,
        id: CommandId,
        held: usize,
        reply: String,
        by: Answered,
        ending: Option<Ending>,
        turn: &mut Turn<'_>,
    ) {
        let why = if by == Answered::Policy { Alteration::Policy } else { Alteration::Local };
        turn.altered(Side::Upstream, why, held, 0);
        turn.altered(Side::Client, why, 0, reply.len());
        let answer = Answer::Local { reply: Bytes::from(reply), by, ending };
        self.queue.push_back(Slot { id, begun: turn.now, answer, code: None, named: None, pace: None });
        self.deliver(turn);
    }
}

/// What is released, with all it takes along.
struct Released {
    id: CommandId,
    begun: Instant,
    line: Redacted<Vec<u8>>,
    what: What,
    pace: Option<Arc<Pace>>,
}

const RULED: Ending = Ending { reason: CloseReason::Policy, detail: "A rule ended the session" };

fn at_once(permit: Permit, now: Instant) -> Until {
    Until::Time(now, permit, None)
}

fn go_up(_permit: Permit, octets: Bytes, turn: &mut Turn<'_>) {
    turn.out.send(Side::Upstream, octets);
}

fn refusal_line(denial: &Denial) -> String {
    if denial.pop3_code.is_empty() {
        return format!("-ERR {}\r\n", denial.reply);
    }
    format!("-ERR [{}] {}\r\n", denial.pop3_code, denial.reply)
}

/// The refusal where a success cannot be claimed.
fn not_claimed(canned: &Canned) -> Denial {
    Denial {
        rule: Arc::clone(&canned.rule),
        code: "NOPERM".into(),
        pop3_code: "SYS/PERM".into(),
        reply: "Not allowed by policy".into(),
    }
}
