//! Which unique-id each message has, as far as UIDL told, so that a record can name a message for good.

use std::collections::BTreeMap;

/// Unique-ids of the maildrop. Bounded: a client that asked for more simply has records with
/// message-numbers only for the rest.
#[derive(Debug, Default)]
pub(super) struct UniqueIds(BTreeMap<u32, Box<str>>);

/// 10,000 ids of at most 70 octets (RFC 1939 §7): at most about 1.5 MiB for a session that asks.
const MOST: usize = 10_000;
const LONGEST: usize = 70;

impl UniqueIds {
    /// Remembers a line `n id`.
    pub(super) fn learn(&mut self, line: &[u8]) {
        let Some((number, id)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else { return };
        let sound = (1..=LONGEST).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_graphic());
        if let (Ok(number), true, true) = (number.parse(), sound, self.0.len() < MOST) {
            self.0.insert(number, id.into());
        }
    }

    pub(super) fn of(&self, number: u32) -> Option<String> {
        self.0.get(&number).map(ToString::to_string)
    }
}
