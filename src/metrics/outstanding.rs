//! Commands of a session that were begun and have not ended.

use std::collections::VecDeque;

use super::commanded::Kind;
use crate::session::CommandId;

/// Runs for which an idle session keeps room, 16 octets each: without it every command would allocate.
const KEPT: usize = 4;

/// Held as runs of like commands that were begun one after the other, which is how many come together; as many as
/// the session lets be outstanding.
#[derive(Debug, Default)]
pub(super) struct Outstanding(VecDeque<Run>);

#[derive(Debug)]
struct Run {
    first: u32,
    /// At least one.
    count: u32,
    kind: Kind,
}

impl Outstanding {
    /// A command was begun.
    pub(super) fn begun(&mut self, CommandId(id): CommandId, kind: Kind) {
        match self.0.back_mut() {
            Some(run) if run.kind == kind && run.first.checked_add(run.count) == Some(id) => run.count += 1,
            _ => self.0.push_back(Run { first: id, count: 1, kind }),
        }
    }

    /// What a command that has ended is counted as, if it was begun. Mostly it is the oldest.
    pub(super) fn ended(&mut self, CommandId(id): CommandId) -> Option<Kind> {
        let holds = |run: &Run| id.checked_sub(run.first).is_some_and(|before| before < run.count);
        let at = self.0.iter().position(holds)?;
        let run = self.0.get_mut(at)?;
        let (kind, before) = (run.kind, id - run.first);
        let behind = run.count - before - 1;
        match (before, behind) {
            (0, 0) => {
                self.0.remove(at);
                if self.0.is_empty() && self.0.capacity() > KEPT {
                    self.0 = VecDeque::new();
                }
            }
            (0, _) => (run.first, run.count) = (id + 1, behind),
            (_, 0) => run.count = before,
            _ => {
                run.count = before;
                self.0.insert(at + 1, Run { first: id + 1, count: behind, kind });
            }
        }
        Some(kind)
    }

    /// Kinds of those that are left, each with a number of them.
    pub(super) fn left(self) -> impl Iterator<Item = (Kind, u64)> {
        self.0.into_iter().map(|run| (run.kind, u64::from(run.count)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remembers_each_command_until_it_ends(steps in proptest::collection::vec((any::<bool>(), 0_u16..2, 0_u32..12), 0..60)) {
            let (mut outstanding, mut expected, mut last) = (Outstanding::default(), BTreeMap::new(), 0);
            for (begins, command, id) in steps {
                let kind = Kind { command, operation: 0 };
                if begins {
                    last += 1;
                    outstanding.begun(CommandId(last), kind);
                    expected.insert(last, kind);
                } else {
                    prop_assert_eq!(outstanding.ended(CommandId(id)), expected.remove(&id));
                }
            }
            let left: u64 = outstanding.left().map(|(_, count)| count).sum();
            prop_assert_eq!(left, expected.len() as u64);
        }
    }

    #[test]
    fn an_idle_session_keeps_little_room() {
        let mut outstanding = Outstanding::default();
        // no two of them are like each other
        for (id, command) in (0..100_u32).zip([0, 1].into_iter().cycle()) {
            outstanding.begun(CommandId(id), Kind { command, operation: 0 });
        }
        for id in 0..100 {
            assert!(outstanding.ended(CommandId(id)).is_some());
        }
        assert!(outstanding.0.capacity() <= KEPT, "{}", outstanding.0.capacity());
    }
}
