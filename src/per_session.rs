//! What a witness remembers of each open session, between its calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 16;

/// A value per open session, found by the session's id.
pub(crate) struct PerSession<T>([Mutex<HashMap<u64, T>>; SHARDS]);

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

    fn shard<R>(&self, id: u64, work: impl FnOnce(&mut HashMap<u64, T>) -> R) -> R {
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
