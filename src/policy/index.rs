//! Which rules a command can concern, found without looking at any: by operation, effect and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::condition::Condition;
use super::rule::Rule;
use super::scope::Sort;
use crate::wire::{Effect, Operation};

/// Numbers of rules, in their order.
type Numbers = Arc<[u32]>;

/// Some rules, by the kinds of commands that they can concern. Takes little where there are few.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The cell of each operation and effect, by its place below; empty without rules.
    places: Box<[u16]>,
    cells: Box<[Cell]>,
}

/// The rules for commands of one operation and effect.
#[derive(Debug, Default)]
struct Cell {
    /// For commands that no rule names.
    others: Numbers,
    /// A bit for each name below: a name without its bit is not among them.
    marks: u64,
    /// For commands that rules name, sorted: these rules and those that name none.
    named: Box<[(Arc<str>, Numbers)]>,
}

impl Index {
    /// Of those of the rules that look at commands, each with its number, in their order.
    pub(super) fn new<'a>(rules: impl Iterator<Item = (u32, &'a Rule)>) -> Self {
        let rules: Vec<(u32, Kinds<'_>)> =
            rules.filter(|(_, rule)| !rule.is_for_answers()).map(|(number, rule)| (number, Kinds::of(rule))).collect();
        if rules.is_empty() {
            return Self::default();
        }
        // most operations have the same rules, and most names
        let mut known = BTreeMap::new();
        let mut share = |numbers: Vec<u32>| -> Numbers {
            let shared = known.entry(numbers).or_insert_with_key(|numbers| Numbers::from(numbers.as_slice()));
            Arc::clone(shared)
        };
        let (mut cells, mut seen) = (Vec::new(), BTreeMap::new());
        let mut places = Vec::with_capacity(Operation::ALL.len() * Effect::ALL.len());
        for operation in Operation::ALL {
            for effect in Effect::ALL {
                let here: Vec<&(u32, Kinds<'_>)> =
                    rules.iter().filter(|(_, kinds)| kinds.may_be(*operation, *effect)).collect();
                let numbers: Vec<u32> = here.iter().map(|(number, _)| *number).collect();
                let place = *seen.entry(numbers).or_insert_with(|| {
                    cells.push(Cell::new(&here, &mut share));
                    cells.len() - 1
                });
                places.push(u16::try_from(place).expect("there are fewer operations times effects"));
            }
        }
        Self { places: places.into(), cells: cells.into() }
    }

    /// The rules that a command can concern, in their order.
    pub(super) fn of(&self, sort: Sort<'_>) -> &[u32] {
        let Sort { command, operation, effect, about: _ } = sort;
        let place = self.places.get(operation.index() * Effect::ALL.len() + effect.index());
        let Some(cell) = place.and_then(|place| self.cells.get(usize::from(*place))) else { return &[] };
        if cell.marks & mark(command) == 0 {
            return &cell.others;
        }
        let found = cell.named.binary_search_by(|(name, _)| (**name).cmp(command));
        found.ok().and_then(|at| cell.named.get(at)).map_or(&*cell.others, |(_, numbers)| numbers)
    }

    /// Whether it has no rules.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl Cell {
    fn new(rules: &[&(u32, Kinds<'_>)], share: &mut impl FnMut(Vec<u32>) -> Numbers) -> Self {
        let mut names: Vec<&Arc<str>> = rules.iter().filter_map(|(_, kinds)| kinds.commands).flatten().collect();
        names.sort_unstable();
        names.dedup();
        let numbers = |name: Option<&Arc<str>>| {
            let is_for =
                |kinds: &Kinds<'_>| kinds.commands.is_none_or(|names| name.is_some_and(|name| names.contains(name)));
            rules.iter().filter(|(_, kinds)| is_for(kinds)).map(|(at, _)| *at).collect::<Vec<_>>()
        };
        let others = share(numbers(None));
        let marks = names.iter().fold(0, |marks, name| marks | mark(name));
        let by_name = names.into_iter().map(|name| (Arc::clone(name), share(numbers(Some(name))))).collect();
        Self { others, marks, named: by_name }
    }
}

/// Which kinds of commands a rule is for; none is given where it is for all.
struct Kinds<'a> {
    operations: Option<&'a [Operation]>,
    effects: Option<&'a [Effect]>,
    commands: Option<&'a [Arc<str>]>,
}

impl<'a> Kinds<'a> {
    fn of(rule: &'a Rule) -> Self {
        let mut kinds = Self { operations: None, effects: None, commands: None };
        for condition in &rule.conditions {
            match condition {
                Condition::Operation(operations) => kinds.operations = Some(operations),
                Condition::Effect(effects) => kinds.effects = Some(effects),
                Condition::Command(commands) => kinds.commands = Some(commands),
                _ => {}
            }
        }
        kinds
    }

    fn may_be(&self, operation: Operation, effect: Effect) -> bool {
        self.operations.is_none_or(|all| all.contains(&operation))
            && self.effects.is_none_or(|all| all.contains(&effect))
    }
}

/// One of 64 bits for a name: cheap, and different for most commands.
fn mark(name: &str) -> u64 {
    let octets = name.as_bytes();
    let (first, last) = (octets.first().copied().unwrap_or(0), octets.last().copied().unwrap_or(0));
    let sum = usize::from(first) + usize::from(last) * 5 + octets.len() * 11;
    1 << (sum % 64)
}
