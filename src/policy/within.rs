//! Judging with those rules only that can concern a session. What is said is what looking at every rule would say.

use std::sync::Arc;

use super::scope::{About, Candidates, Looks, Scope, Sort};
use super::{Facts, Fallback, Permit, Policy, Rule, SessionFacts, Verdict, allowed, is_for_everybody};
use crate::policy::AnswerKind;
use crate::wire::Protocol;

impl Policy {
    /// What this policy is known by.
    pub(super) fn stamp(&self) -> &Arc<()> {
        &self.stamp
    }

    fn common(&self, session: &SessionFacts<'_>) -> &Scope {
        of(&self.common, session)
    }

    /// The rules that ask something of a session, whatever is known of it.
    pub(super) fn everybody(&self, session: &SessionFacts<'_>) -> &Scope {
        of(&self.everybody, session)
    }

    /// Of these, those that can concern one.
    pub(super) fn scope_of(&self, session: &SessionFacts<'_>) -> Arc<Scope> {
        let concerns = |rule: &&Rule| rule.asks_of_session() && rule.may_concern(session);
        self.share(concerns)
    }

    /// The rules on mailboxes that can concern what the session does with the messages of the selected one.
    pub(super) fn scope_of_mailbox(&self, session: &SessionFacts<'_>, own: &Scope, selected: &str) -> Arc<Scope> {
        if self.common(session).at_mailboxes().is_empty() && own.at_mailboxes().is_empty() {
            return self.share(|_| false);
        }
        let concerns =
            |rule: &&Rule| rule.names_mailboxes() && rule.may_be_about(session, selected) && rule.may_concern(session);
        self.share(concerns)
    }

    fn share(&self, concerns: impl Fn(&&Rule) -> bool) -> Arc<Scope> {
        let numbers = (0..).zip(&self.rules).filter(|(_, rule)| concerns(rule)).map(|(number, _)| number);
        self.scopes.share(&self.rules, numbers.collect())
    }

    /// [`judge`](Self::judge), where `own` are the rules that ask something of the session, and `selected` those on
    /// mailboxes that can concern the selected one, if that is known.
    pub(super) fn judge_within(&self, own: &Scope, selected: Option<&Scope>, facts: &Facts<'_>) -> Verdict {
        let candidates = self.candidates(&facts.session, own, selected, Sort::of(facts));
        let rules = candidates.filter_map(|number| self.rules.get(number as usize));
        let verdict = Self::first_match(rules, facts).unwrap_or_else(|decisions| self.fall_back(facts, decisions));
        self.tell(facts, verdict)
    }

    /// [`judge_answer`](Self::judge_answer), in the same way.
    pub(super) fn judge_answer_within(&self, own: &Scope, facts: &Facts<'_>) -> Verdict {
        let Some(answer) = &facts.answer else { return allowed(Vec::new()) };
        let common = self.common(&facts.session);
        let lists = if common.looks().and(own.looks()).any() {
            [common.of_answers(), own.of_answers(), &[], &[]]
        } else {
            Default::default()
        };
        let names_mailboxes = answer.kind == AnswerKind::Data && !facts.mailboxes.is_empty();
        let concerned = |rule: &&Rule| rule.concerns(answer.kind, names_mailboxes);
        let rules = Candidates(lists).filter_map(|number| self.rules.get(number as usize)).filter(concerned);
        self.tell(facts, Self::first_match(rules, facts).unwrap_or_else(allowed))
    }

    fn candidates<'a>(
        &'a self,
        session: &SessionFacts<'_>,
        own: &'a Scope,
        selected: Option<&'a Scope>,
        sort: Sort<'_>,
    ) -> Candidates<'a> {
        let of = |index: &'a super::index::Index| index.of(sort.command, sort.operation, sort.effect);
        let common = self.common(session);
        let anywhere = [of(common.anywhere()), of(own.anywhere())];
        let at_mailboxes = match (sort.about, selected) {
            (About::Nothing, _) => Default::default(),
            (About::Selected(_), Some(selected)) => [of(selected.at_mailboxes()), &[]],
            (About::Selected(_), None) | (About::Mailboxes, _) => [of(common.at_mailboxes()), of(own.at_mailboxes())],
        };
        let ([first, second], [third, fourth]) = (anywhere, at_mailboxes);
        Candidates([first, second, third, fourth])
    }

    /// A permit for any command of a session, if no rule could say otherwise, report or count anything about it.
    pub(super) fn permits_all_within(&self, session: &SessionFacts<'_>, own: &Scope) -> Option<Permit> {
        let unruled = self.common(session).is_empty() && own.is_empty() && self.watch.is_none();
        (unruled && self.fallback == Fallback::Allow).then_some(Permit(()))
    }

    /// The same for commands of one kind.
    pub(super) fn permits_within(
        &self,
        session: &SessionFacts<'_>,
        own: &Scope,
        selected: Option<&Scope>,
        sort: Sort<'_>,
    ) -> Option<Permit> {
        let unruled = self.watch.is_none() && self.candidates(session, own, selected, sort).is_empty();
        let passes = self.fallback == Fallback::Allow || is_for_everybody(sort.operation);
        (unruled && passes).then_some(Permit(()))
    }

    pub(super) fn looks_within(&self, session: &SessionFacts<'_>, own: &Scope) -> Looks {
        self.common(session).looks().and(own.looks())
    }
}

fn of<'a>(scopes: &'a [Scope; 2], session: &SessionFacts<'_>) -> &'a Scope {
    let [imap, pop3] = scopes;
    if session.connection.protocol == Protocol::Imap { imap } else { pop3 }
}
