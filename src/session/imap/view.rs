//! What the wire has told of the messages of the selected mailbox: which sequence number is which UID.
//!
//! Sequence numbers move with every EXPUNGE (RFC 9051 §7.5.1), so a number alone does not say which
//! message a client read or lost. The pairs come from FETCH responses that carry a UID and are kept as
//! runs (`number + i` is `uid + i`), so a mailbox that is fetched from end to end costs a run for each gap
//! in its UIDs, not an entry for each message, and one that is only selected costs nothing. Beyond
//! [`MOST_RUNS`] what is known is forgotten: messages are then named by number alone until they are
//! fetched again, and never by a wrong UID.

/// The most runs that are kept, 12 octets each.
const MOST_RUNS: usize = 1024;

/// The most UIDs of one response that are taken out one by one.
const MOST_VANISHED: u32 = 4096;

/// The view of one selected mailbox.
#[derive(Debug, Default)]
pub(super) struct View {
    uid_validity: Option<u32>,
    /// How many messages it has at most.
    exists: Option<u32>,
    /// By number, not overlapping.
    runs: Vec<Run>,
}

/// Messages `number..number + len` have the UIDs `uid..uid + len`; `len` is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    number: u32,
    uid: u32,
    len: u32,
}

impl View {
    /// UIDVALIDITY of the mailbox (RFC 9051 §2.3.1.1); another value makes every UID another.
    pub(super) fn set_uid_validity(&mut self, value: u32) {
        if self.uid_validity.replace(value).is_some_and(|before| before != value) {
            self.runs.clear();
        }
    }

    pub(super) fn uid_validity(&self) -> Option<u32> {
        self.uid_validity
    }

    /// `* n EXISTS`: how many messages there are (RFC 9051 §7.4.1).
    pub(super) fn has(&mut self, exists: Option<u32>) {
        self.exists = exists.or(self.exists);
    }

    /// How many messages there are at most, if that was told.
    pub(super) fn exists(&self) -> Option<u32> {
        self.exists
    }

    /// A FETCH response told both. What contradicts it is forgotten.
    pub(super) fn learn(&mut self, number: u32, uid: u32) {
        if matches!(number, 0 | u32::MAX) || uid == 0 {
            // Quirk: Courier sends `* 0 FETCH`; neither end is a message's, and sums stay in range
            return;
        }
        let at = self.runs.partition_point(|run| run.number <= number);
        if let Some(before) = at.checked_sub(1).and_then(|before| self.runs.get_mut(before)) {
            let offset = number - before.number;
            if offset < before.len {
                if before.uid + offset != uid {
                    self.runs.clear();
                    self.runs.push(Run { number, uid, len: 1 });
                }
                return;
            }
            if offset == before.len && before.uid.checked_add(offset) == Some(uid) {
                before.len += 1;
                return self.join(at);
            }
        }
        if let Some(next) = self.runs.get_mut(at)
            && next.number == number + 1
            && Some(next.uid) == uid.checked_add(1)
        {
            *next = Run { number, uid, len: next.len + 1 };
            return;
        }
        if self.runs.len() >= MOST_RUNS {
            self.runs = Vec::new();
            self.runs.push(Run { number, uid, len: 1 });
        } else {
            self.runs.insert(at, Run { number, uid, len: 1 });
        }
    }

    /// Joins the run before `at` with the run at it, if they are one.
    fn join(&mut self, at: usize) {
        let (Some(before), Some(next)) = (at.checked_sub(1).and_then(|b| self.runs.get(b)), self.runs.get(at)) else {
            return;
        };
        let (end, uid_end) = (before.number + before.len, before.uid.saturating_add(before.len));
        if end == next.number && uid_end == next.uid {
            let len = next.len;
            self.runs.remove(at);
            if let Some(before) = self.runs.get_mut(at - 1) {
                before.len += len;
            }
        }
    }

    /// The UID of the message with this number, if it was told.
    pub(super) fn uid_of(&self, number: u32) -> Option<u32> {
        let at = self.runs.partition_point(|run| run.number <= number).checked_sub(1)?;
        let run = self.runs.get(at)?;
        let offset = number - run.number;
        (offset < run.len).then(|| run.uid + offset)
    }

    /// The number of the message with this UID, if it was told.
    pub(super) fn number_of(&self, uid: u32) -> Option<u32> {
        let run = self.runs.iter().find(|run| run.uid <= uid && uid - run.uid < run.len)?;
        Some(run.number + (uid - run.uid))
    }

    /// `* n EXPUNGE`: the message is gone, those behind it move up by one. Its UID, if it was told.
    pub(super) fn expunge(&mut self, number: u32) -> Option<u32> {
        if number == 0 {
            return None;
        }
        self.exists = self.exists.map(|exists| if number <= exists { exists - 1 } else { exists });
        let uid = self.uid_of(number);
        let at = self.runs.partition_point(|run| run.number <= number);
        if let (Some(_), Some(last)) = (uid, at.checked_sub(1)) {
            self.take_out(last, number);
        }
        for run in self.runs.iter_mut().filter(|run| run.number > number) {
            run.number -= 1;
        }
        uid
    }

    /// `VANISHED` (RFC 7162 §3.2.10): as EXPUNGE, by UID. Its number, if it was told. A message whose number
    /// is not known has moved others by one, nobody can say which: then all is forgotten.
    pub(super) fn vanish(&mut self, uid: u32) -> Option<u32> {
        let number = self.number_of(uid);
        match number {
            Some(number) => {
                self.expunge(number);
            }
            None => self.runs.clear(),
        }
        number
    }

    /// The set of a `VANISHED`: ranges of UIDs. A set of more than [`MOST_VANISHED`] is not followed one by
    /// one: what is known is forgotten.
    pub(super) fn vanish_set(&mut self, set: &[u8]) {
        let mut budget = MOST_VANISHED;
        for part in set.split(|octet| *octet == b',') {
            let mut ends = part.split(|octet| *octet == b':').map(number);
            let (first, last) = (ends.next().flatten(), ends.next());
            let (Some(first), Some(last)) = (first, last.unwrap_or(first)) else {
                return self.runs.clear();
            };
            let (first, last) = (first.min(last), first.max(last));
            if last - first >= budget {
                return self.runs.clear();
            }
            budget -= last - first + 1;
            for uid in first..=last {
                self.vanish(uid);
            }
        }
    }

    /// Takes one message out of a run; what is left of it keeps its place.
    fn take_out(&mut self, index: usize, number: u32) {
        let Some(run) = self.runs.get(index).copied() else { return };
        let before = number - run.number;
        let behind = run.len - before - 1;
        // the rest behind it stands one further, as all behind it do, and is moved with them
        let rest = Run { number: number + 1, uid: run.uid + before + 1, len: behind };
        match (before, behind) {
            (0, 0) => drop(self.runs.remove(index)),
            (0, _) => self.replace(index, rest),
            (_, 0) => self.replace(index, Run { len: before, ..run }),
            _ => {
                self.replace(index, Run { len: before, ..run });
                self.runs.insert(index + 1, rest);
            }
        }
    }

    fn replace(&mut self, index: usize, run: Run) {
        if let Some(slot) = self.runs.get_mut(index) {
            *slot = run;
        }
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mailbox_fetched_in_order_is_one_run() {
        let mut view = View::default();
        for number in 1..=100_000 {
            view.learn(number, number + 7);
        }
        assert_eq!(view.runs, [Run { number: 1, uid: 8, len: 100_000 }]);
    }

    #[test]
    fn forgets_rather_than_grows() {
        let mut view = View::default();
        for number in 1..=100_000 {
            view.learn(number, number * 2);
        }
        assert!(view.runs.len() <= MOST_RUNS);
        assert_eq!((view.uid_of(100_000), view.uid_of(1)), (Some(200_000), None));
    }

    #[test]
    fn another_uid_validity_makes_all_uids_others() {
        let mut view = View::default();
        view.set_uid_validity(1);
        view.learn(1, 5);
        view.set_uid_validity(1);
        assert_eq!(view.uid_of(1), Some(5));
        view.set_uid_validity(2);
        assert_eq!(view.uid_of(1), None);
    }

    proptest! {
        /// Against the plain model: a list of messages, of which the view must never tell a wrong UID.
        #[test]
        fn never_names_a_message_by_a_wrong_uid(steps in proptest::collection::vec((0_u8..3, 0_u32..40), 0..200)) {
            let mut mailbox: Vec<u32> = (1..=30).map(|n| n * 3 - (n % 5)).collect();
            mailbox.dedup();
            let (mut view, mut told) = (View::default(), BTreeSet::new());
            for (kind, pick) in steps {
                if mailbox.is_empty() {
                    break;
                }
                let index = pick as usize % mailbox.len();
                let number = u32::try_from(index).unwrap() + 1;
                match kind {
                    0 => {
                        view.learn(number, mailbox[index]);
                        told.insert(mailbox[index]);
                    }
                    1 => {
                        let uid = mailbox.remove(index);
                        let named = view.expunge(number);
                        prop_assert!(named.is_none() || named == Some(uid));
                        prop_assert_eq!(named.is_some(), told.remove(&uid));
                    }
                    _ => {
                        let uid = mailbox.remove(index);
                        match view.vanish(uid) {
                            Some(named) => prop_assert_eq!(named, number),
                            None => told.clear(),
                        }
                        told.remove(&uid);
                    }
                }
                for (index, uid) in mailbox.iter().enumerate() {
                    let named = view.uid_of(u32::try_from(index).unwrap() + 1);
                    prop_assert_eq!(named, told.contains(uid).then_some(*uid));
                }
            }
        }
    }
}
