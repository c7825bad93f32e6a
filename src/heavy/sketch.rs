//! Who has most of a sum, in a fixed number of places: the space-saving algorithm (Metwally, Agrawal and
//! El Abbadi, 2005), for additions of any size.

use std::collections::HashMap;
use std::hash::Hash;

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<K> {
    pub(super) key: K,
    /// At least the key's true sum.
    pub(super) value: u64,
    /// How much of `value` may be that of others.
    pub(super) error: u64,
}

/// The sums of the keys that have most. A key whose sum is more than the sum of all divided by the number of
/// places is among them.
#[derive(Debug, Clone)]
pub(super) struct Sketch<K> {
    places: Vec<Place<K>>,
    found: HashMap<K, usize>,
    most: usize,
}

impl<K: Clone + Eq + Hash> Sketch<K> {
    /// With so many places, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { places: Vec::new(), found: HashMap::new(), most: most.max(1) }
    }

    /// Adds to a key's sum; one that has no place takes that of the least, with what is there.
    pub(super) fn add(&mut self, key: &K, value: u64) {
        if let Some(place) = self.found.get(key).and_then(|at| self.places.get_mut(*at)) {
            place.value = place.value.saturating_add(value);
            return;
        }
        if self.places.len() < self.most {
            self.found.insert(key.clone(), self.places.len());
            self.places.push(Place { key: key.clone(), value, error: 0 });
            return;
        }
        let least = self.places.iter_mut().enumerate().min_by_key(|(_, place)| place.value);
        if let Some((at, place)) = least {
            self.found.remove(&place.key);
            self.found.insert(key.clone(), at);
            *place = Place { key: key.clone(), value: place.value.saturating_add(value), error: place.value };
        }
    }

    /// What a key without a place may have had at most.
    fn unseen(&self) -> u64 {
        if self.places.len() < self.most { 0 } else { self.places.iter().map(|place| place.value).min().unwrap_or(0) }
    }

    fn place(&self, key: &K) -> Place<K> {
        let found = self.found.get(key).and_then(|at| self.places.get(*at));
        found.cloned().unwrap_or_else(|| Place { key: key.clone(), value: self.unseen(), error: self.unseen() })
    }

    /// The `most` keys with the highest sums of both sketches together, the highest first.
    pub(super) fn together(&self, other: &Self, most: usize) -> Vec<Place<K>> {
        let others = other.places.iter().filter(|place| !self.found.contains_key(&place.key));
        let both = self.places.iter().chain(others).map(|place| {
            let (one, two) = (self.place(&place.key), other.place(&place.key));
            let (value, error) = (one.value.saturating_add(two.value), one.error.saturating_add(two.error));
            Place { key: one.key, value, error }
        });
        let mut both: Vec<_> = both.collect();
        both.sort_by_key(|place| std::cmp::Reverse(place.value));
        both.truncate(most);
        both
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_are_bounded_from_both_sides_and_the_heavy_have_places(
            additions in prop::collection::vec((0_u8..40, 0_u64..1000, any::<bool>()), 0..400),
            places in 1_usize..20,
        ) {
            let (mut one, mut two) = (Sketch::new(places), Sketch::new(places));
            let mut truth = BTreeMap::new();
            for (key, value, first) in &additions {
                if *first { one.add(key, *value) } else { two.add(key, *value) }
                *truth.entry(*key).or_insert(0) += value;
            }
            let total: u64 = truth.values().sum();
            let shown = one.together(&two, usize::MAX);
            for place in &shown {
                let sum = truth[&place.key];
                prop_assert!(place.value >= sum, "{place:?} {sum}");
                prop_assert!(place.value - place.error <= sum, "{place:?} {sum}");
            }
            prop_assert!(shown.is_sorted_by(|a, b| a.value >= b.value));
            prop_assert!(shown.len() <= 2 * places);
            for (key, sum) in truth {
                // heavy in both together is heavy in one
                let heavy = sum > total / places as u64;
                prop_assert!(!heavy || shown.iter().any(|place| place.key == key), "{key} {sum}");
            }
        }
    }

    #[test]
    fn nothing_is_guessed_while_there_are_places() {
        let (mut sketch, none) = (Sketch::new(3), Sketch::new(3));
        for (key, value) in [("a", 5), ("b", 7), ("a", 4)] {
            sketch.add(&key, value);
        }
        let expected = [("a", 9), ("b", 7)].map(|(key, value)| Place { key, value, error: 0 });
        assert_eq!(sketch.together(&none, 10), expected);
        assert_eq!(sketch.together(&none, 1), expected[..1]);
    }
}
