//! Sizes of messages of the selected mailbox, as FETCH responses told them (RFC822.SIZE): what a rule on large
//! downloads goes by.

use std::collections::BTreeMap;

use super::view::View;
use crate::wire::imap::ranges_of;

/// The most sizes that are kept; beyond it those of the lowest numbers are forgotten, for clients look at
/// new mail.
const MOST: usize = 4096;

/// What is known of sizes. A message is known by its UID, or by its number while that is not known.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    by_uid: BTreeMap<u32, u64>,
    by_number: BTreeMap<u32, u64>,
}

impl Sizes {
    /// A FETCH response told the size of a message.
    pub(super) fn learn(&mut self, number: u32, uid: Option<u32>, size: u64) {
        let (sizes, message) = match uid {
            Some(uid) => (&mut self.by_uid, uid),
            None => (&mut self.by_number, number),
        };
        sizes.insert(message, size);
        if sizes.len() > MOST {
            sizes.pop_first();
        }
    }

    /// A message is gone; the numbers of those behind it move up.
    pub(super) fn expunge(&mut self, number: u32, uid: Option<u32>) {
        if let Some(uid) = uid {
            self.by_uid.remove(&uid);
        }
        let behind = self.by_number.split_off(&number);
        let moved = behind.into_iter().filter(|(at, _)| *at != number);
        self.by_number.extend(moved.map(|(at, size)| (at - 1, size)));
    }

    /// Numbers can mean other messages now.
    pub(super) fn forget_numbers(&mut self) {
        self.by_number.clear();
    }

    /// The largest message of this set whose size is known; `$` can be any.
    pub(super) fn largest(&self, set: &[u8], is_uid: bool, view: &View) -> Option<u64> {
        let ranges = ranges_of(set).unwrap_or_else(|| vec![(0, u32::MAX)]);
        let among = |at: u32| ranges.iter().any(|(first, last)| (*first..=*last).contains(&at));
        let by_uid = self.by_uid.iter().filter(|(uid, _)| {
            let at = if is_uid { Some(**uid) } else { view.number_of(**uid) };
            // a UID whose number is not known can have any
            at.is_none_or(among)
        });
        let by_number = self.by_number.iter().filter(|(number, _)| {
            let at = if is_uid { view.uid_of(**number) } else { Some(**number) };
            at.is_none_or(among)
        });
        by_uid.chain(by_number).map(|(_, size)| *size).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_of_a_set_counts_by_number_and_by_uid() {
        let (mut sizes, mut view) = (Sizes::default(), View::default());
        for (number, uid, size) in [(1, Some(11), 100), (2, Some(12), 900), (3, None, 500)] {
            sizes.learn(number, uid, size);
            if let Some(uid) = uid {
                view.learn(number, uid);
            }
        }
        view.learn(3, 13);
        for (set, is_uid, largest) in [
            ("1", false, Some(100)),
            ("1:2", false, Some(900)),
            ("3", false, Some(500)),
            ("13", true, Some(500)),
            ("12:*", true, Some(900)),
            ("11", true, Some(100)),
            ("4", false, None),
            ("$", true, Some(900)),
        ] {
            assert_eq!(sizes.largest(set.as_bytes(), is_uid, &view), largest, "{set}");
        }
    }

    #[test]
    fn numbers_move_with_every_message_that_goes() {
        let (mut sizes, view) = (Sizes::default(), View::default());
        sizes.learn(2, None, 20);
        sizes.learn(3, None, 30);
        sizes.expunge(2, None);
        assert_eq!(sizes.largest(b"2", false, &view), Some(30));
        sizes.expunge(1, None);
        assert_eq!(sizes.largest(b"1", false, &view), Some(30));
        sizes.forget_numbers();
        assert_eq!(sizes.largest(b"1", false, &view), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sizes = Sizes::default();
        for uid in 1..=5000 {
            sizes.learn(1, Some(uid), 1);
        }
        assert_eq!(sizes.by_uid.len(), MOST);
    }
}
