//! How large each message is, as far as LIST told, so that a rule can ask before a message flows.

use std::collections::BTreeMap;

/// Sizes of the maildrop's messages. Bounded: of the rest none is known.
#[derive(Debug, Default)]
pub(super) struct Sizes(BTreeMap<u32, u64>);

/// At most about 300 KiB for a session that asks for so many.
const MOST: usize = 10_000;

impl Sizes {
    /// Remembers a line `n octets` (RFC 1939 §5, "scan listing"); a server may say more behind it.
    pub(super) fn learn(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let mut words = text.split(' ');
        let number = words.next().and_then(|word| word.parse().ok());
        let octets = words.next().and_then(|word| word.parse().ok());
        if let (Some(number), Some(octets)) = (number, octets)
            && (self.0.len() < MOST || self.0.contains_key(&number))
        {
            self.0.insert(number, octets);
        }
    }

    /// Octets of a message.
    pub(super) fn of(&self, number: u32) -> Option<u64> {
        self.0.get(&number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_what_a_scan_listing_says_and_nothing_else() {
        let mut sizes = Sizes::default();
        for line in [&b"1 120"[..], b"2 300 more", b"3", b"x 5", b"4 -5", b"5 \xff", b""] {
            sizes.learn(line);
        }
        assert_eq!([1, 2, 3, 4, 5].map(|number| sizes.of(number)), [Some(120), Some(300), None, None, None]);
    }
}
