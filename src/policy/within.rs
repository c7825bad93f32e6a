//! Judging with those rules only that can concern a session. What is said is what looking at every rule would say.

use std::sync::Arc;

use super::facts::AnswerKind;
use super::scope::{About, Candidates, Looks, Scope, Sort};
use super::{Facts, Fallback, Permit, Policy, Rule, SessionFacts, Verdict, allowed, is_for_everybody};
use crate::wire::Protocol;

/// The rules of a policy that can concern a session.
#[derive(Debug, Clone)]
pub(super) struct Concern {
    /// Those that ask nothing of sessions.
    common: Arc<Scope>,
    /// Of the others, those that can concern this one.
    own: Arc<Scope>,
    /// Of those on mailboxes, the ones that can concern the selected one; `None` while that is not known.
    selected: Option<Arc<Scope>>,
    /// What becomes of a command that none of them matches, if somebody is not told of it anyway.
    fallback: Option<Fallback>,
}

impl Concern {
    #[cfg(test)]
    pub(super) fn own(&self) -> Arc<Scope> {
        Arc::clone(&self.own)
    }

    /// The rules that a command of this kind can concern.
    pub(super) fn of<'a>(&'a self, sort: Sort<'_>) -> Candidates<'a> {
        let (common, own) = (&self.common, &self.own);
        let [third, fourth] = match (sort.about, &self.selected) {
            (About::Nothing, _) => Default::default(),
            (About::Selected(_), Some(selected)) => [selected.at_mailboxes().of(sort), &[]],
            (About::Selected(_), None) | (About::Mailboxes, _) => {
                [common.at_mailboxes().of(sort), own.at_mailboxes().of(sort)]
            }
        };
        Candidates([common.anywhere().of(sort), own.anywhere().of(sort), third, fourth])
    }

    /// A permit for any command, if no rule could say otherwise, report or count anything about it.
    pub(super) fn permits_all(&self) -> Option<Permit> {
        let unruled = self.common.is_empty() && self.own.is_empty();
        (unruled && self.fallback == Some(Fallback::Allow)).then_some(Permit(()))
    }

    /// The same for commands of one kind.
    pub(super) fn permits(&self, sort: Sort<'_>) -> Option<Permit> {
        let fallback = self.fallback?;
        let passes = fallback == Fallback::Allow || is_for_everybody(sort.operation);
        (passes && self.of(sort).is_empty()).then_some(Permit(()))
    }

    /// What of the server's answers they look at.
    pub(super) fn looks(&self) -> Looks {
        self.common.looks().and(self.own.looks())
    }

    /// The same for what is done with the messages of this mailbox.
    pub(super) fn about(&self, policy: &Policy, session: &SessionFacts<'_>, selected: &str) -> Self {
        // who is not logged in may yet be anybody
        let may_concern = |rule: &Rule| !session.logged_in || rule.may_concern(session);
        let concerns =
            |rule: &Rule| rule.names_mailboxes() && rule.may_be_about(session, selected) && may_concern(rule);
        Self { selected: Some(policy.share(concerns)), ..self.clone() }
    }

    /// Whether any of them asks for a mailbox.
    pub(super) fn names_mailboxes(&self) -> bool {
        !self.common.at_mailboxes().is_empty() || !self.own.at_mailboxes().is_empty()
    }
}

impl Policy {
    /// The rules that can concern a session of which nothing stays so.
    pub(super) fn concern_of_any(&self, session: &SessionFacts<'_>) -> Concern {
        self.concern(session, Arc::clone(of(&self.everybody, session)))
    }

    /// The rules that can concern a session while its user and TLS are the same.
    pub(super) fn concern_of(&self, session: &SessionFacts<'_>) -> Concern {
        self.concern(session, self.share(|rule| rule.asks_of_session() && rule.may_concern(session)))
    }

    fn concern(&self, session: &SessionFacts<'_>, own: Arc<Scope>) -> Concern {
        let common = Arc::clone(of(&self.common, session));
        let fallback = self.watch.is_none().then_some(self.fallback);
        Concern { common, own, selected: None, fallback }
    }

    fn share(&self, concerns: impl Fn(&Rule) -> bool) -> Arc<Scope> {
        let numbers = (0..).zip(&self.rules).filter(|(_, rule)| concerns(rule)).map(|(number, _)| number);
        self.scopes.share(&self.rules, numbers.collect())
    }

    /// [`judge`](Self::judge) by the rules that can concern the command.
    pub(super) fn judge_by(&self, candidates: Candidates<'_>, facts: &Facts<'_>) -> Verdict {
        let rules = candidates.filter_map(|number| self.rules.get(number as usize));
        let verdict = Self::first_match(rules, facts).unwrap_or_else(|decisions| self.fall_back(facts, decisions));
        self.tell(facts, verdict)
    }

    /// [`judge_answer`](Self::judge_answer) by the rules that can concern the session.
    pub(super) fn judge_answer_by(&self, concern: &Concern, facts: &Facts<'_>) -> Verdict {
        let Some(answer) = &facts.answer else { return allowed(Vec::new()) };
        let lists = if concern.looks().any() {
            [concern.common.of_answers(), concern.own.of_answers(), &[], &[]]
        } else {
            Default::default()
        };
        let names_mailboxes = answer.kind == AnswerKind::Data && !facts.mailboxes.is_empty();
        let concerned = |rule: &&Rule| rule.concerns(answer.kind, names_mailboxes);
        let rules = Candidates(lists).filter_map(|number| self.rules.get(number as usize)).filter(concerned);
        self.tell(facts, Self::first_match(rules, facts).unwrap_or_else(allowed))
    }
}

fn of<'a>(scopes: &'a [Arc<Scope>; 2], session: &SessionFacts<'_>) -> &'a Arc<Scope> {
    let [imap, pop3] = scopes;
    if session.connection.protocol == Protocol::Imap { imap } else { pop3 }
}
