//! Rules that can concern something, ready to be looked up: those for everybody, and those for one session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::facts::{AnswerKind, Facts};
use super::index::Index;
use super::rule::Rule;
use crate::wire::{Effect, Operation};

/// Some of the rules of a policy.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Those that ask for no mailbox.
    anywhere: Index,
    /// Those that do.
    at_mailboxes: Index,
    /// Numbers of those that answers can concern.
    of_answers: Box<[u32]>,
    looks: Looks,
}

/// What of the server's answers rules look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// Any of them: a rule has a condition on answers, or changes them.
    pub answers: bool,
    /// Data that names a mailbox: a rule that denies or hides names mailboxes.
    pub mailboxes: bool,
    /// Data that names a mailbox, to tell of it: a rule that allows says so.
    pub tells: bool,
}

impl Looks {
    /// At some.
    #[must_use]
    pub fn any(self) -> bool {
        self.answers || self.mailboxes || self.tells
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            answers: self.answers || other.answers,
            mailboxes: self.mailboxes || other.mailboxes,
            tells: self.tells || other.tells,
        }
    }
}

impl Scope {
    /// Of the rules with these numbers, which are in order.
    pub(super) fn new(all: &[Rule], numbers: &[u32]) -> Self {
        let rules = || numbers.iter().filter_map(|number| Some((*number, all.get(*number as usize)?)));
        let concerned = |rule: &Rule| AnswerKind::ALL.iter().any(|kind| rule.concerns(*kind, true));
        Self {
            anywhere: Index::new(rules().filter(|(_, rule)| !rule.names_mailboxes())),
            at_mailboxes: Index::new(rules().filter(|(_, rule)| rule.names_mailboxes())),
            of_answers: rules().filter(|(_, rule)| concerned(rule)).map(|(number, _)| number).collect(),
            looks: Looks {
                answers: rules().any(|(_, rule)| rule.is_for_answers()),
                mailboxes: rules().any(|(_, rule)| rule.guards_mailboxes()),
                tells: rules().any(|(_, rule)| rule.tells_of_mailboxes()),
            },
        }
    }

    /// Those that ask for no mailbox.
    pub(super) fn anywhere(&self) -> &Index {
        &self.anywhere
    }

    /// Those that ask for one.
    pub(super) fn at_mailboxes(&self) -> &Index {
        &self.at_mailboxes
    }

    /// Numbers of those that answers can concern.
    pub(super) fn of_answers(&self) -> &[u32] {
        &self.of_answers
    }

    pub(super) fn looks(&self) -> Looks {
        self.looks
    }

    /// Whether it has no rules.
    pub(super) fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.at_mailboxes.is_empty() && self.of_answers.is_empty()
    }
}

/// What a command is about, as far as rules on mailboxes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// No mailbox.
    Nothing,
    /// Messages of the mailbox that is selected, and no other.
    Selected(&'a str),
    /// Mailboxes that it names or reaches, or that are not known yet.
    Mailboxes,
}

impl<'a> About<'a> {
    pub(super) fn of(facts: &Facts<'a>) -> Self {
        match facts.selected {
            _ if !facts.mailboxes.is_empty() || facts.arguments.reaches_further => Self::Mailboxes,
            Some(name) => Self::Selected(name),
            None => Self::Nothing,
        }
    }
}

/// A kind of command.
#[derive(Debug, Clone, Copy)]
pub struct Sort<'a> {
    /// In upper case, without `UID`.
    pub command: &'a str,
    /// What it is for.
    pub operation: Operation,
    /// What it can do.
    pub effect: Effect,
    /// What it is about.
    pub about: About<'a>,
}

impl<'a> Sort<'a> {
    pub(super) fn of(facts: &Facts<'a>) -> Self {
        Self { command: facts.command, operation: facts.operation, effect: facts.effect, about: About::of(facts) }
    }
}

/// Numbers of rules from several lists, each in order and none in two, in the order of all.
#[derive(Debug)]
pub(super) struct Candidates<'a>(pub(super) [&'a [u32]; 4]);

impl Candidates<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|list| list.is_empty())
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let least = self.0.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list.first().copied())?;
        let (number, rest) = least.split_first()?;
        *least = rest;
        Some(*number)
    }
}

/// Scopes that are in use, by the numbers of their rules: sessions that the same rules concern share one.
#[derive(Debug, Default)]
pub(super) struct Scopes(Mutex<BTreeMap<Box<[u32]>, Weak<Scope>>>);

impl Scopes {
    pub(super) fn share(&self, all: &[Rule], numbers: Vec<u32>) -> Arc<Scope> {
        let known = |scopes: &BTreeMap<Box<[u32]>, Weak<Scope>>| scopes.get(&*numbers).and_then(Weak::upgrade);
        if let Some(scope) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return scope;
        }
        // made without the lock: it takes a while with many rules, and a second one does no harm
        let scope = Arc::new(Scope::new(all, &numbers));
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if scopes.len() >= 64 && scopes.len().is_power_of_two() {
            scopes.retain(|_, scope| scope.strong_count() > 0);
        }
        scopes.insert(numbers.into(), Arc::downgrade(&scope));
        scope
    }
}
