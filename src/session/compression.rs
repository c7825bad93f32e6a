//! COMPRESS=DEFLATE (RFC 4978) as an operator allows it: on which sides, and on how many at a time.
//!
//! A compressed side costs memory for as long as its session lives, however quiet that is, so places
//! are counted over all listeners. A place is taken before the layer is asked for and comes back when
//! its session ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where compression may be used.
#[derive(Debug, Clone, Default)]
pub struct Compression {
    /// Clients are offered it, whatever the server has.
    pub client: bool,
    /// It is used towards a server that lists it after login.
    pub upstream: bool,
    /// How many sides may be compressed at a time.
    pub places: Places,
}

/// Free places; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<AtomicUsize>);

/// One side's place, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// So many sides may be compressed at a time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    /// How many are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A place, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let less = |free: usize| free.checked_sub(1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then(|| Place(Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_place_is_free_again_when_its_session_has_ended() {
        let places = Places::new(1);
        let place = places.take();
        assert!(place.is_some() && places.take().is_none());
        assert_eq!(places.free(), 0);
        drop(place);
        assert_eq!(places.free(), 1);
        assert!(places.take().is_some());
        assert!(Places::default().take().is_none());
    }
}
