//! What a witness remembers of each open session, between its calls.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 16;

/// A value per open session, found by the session's id.
pub(crate) struct PerSession<T>([Mutex<HashMap<u64, T, BuildHasherDefault<ById>>>; SHARDS]);

/// Ids are counted by the proxy, so they need no defence against whoever chooses them.
#[derive(Default)]
struct ById(u64);

impl Hasher for ById {
    fn finish(&self) -> u64 {
        // spread over the high bits, which tell the slots of a group apart
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

impl<T> PerSession<T> {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Remembers `value`.
    pub(crate) fn open(&self, id: u64, value: T) {
        self.shard(id, |map| map.insert(id, value));
    }

    /// Works on what is remembered, if the session is open.
    pub(crate) fn with<R>(&self, id: u64, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.shard(id, |map| map.get_mut(&id).map(work))
    }

    /// Forgets the session.
    pub(crate) fn close(&self, id: u64) -> Option<T> {
        self.shard(id, |map| map.remove(&id))
    }

    fn shard<R>(&self, id: u64, work: impl FnOnce(&mut HashMap<u64, T, BuildHasherDefault<ById>>) -> R) -> R {
        let index = usize::try_from(id % SHARDS as u64).unwrap_or_default();
        #[expect(clippy::indexing_slicing, reason = "a remainder by the array's length")]
        let shard = &self.0[index];
        // a session that panicked leaves at worst its own value half done
        work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> fmt::Debug for PerSession<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerSession")
    }
}
