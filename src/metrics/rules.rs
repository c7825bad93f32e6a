//! The names of rules as labels: they come from the configuration, but from each that was ever in force.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Names that have a label of their own; the same for all that come later.
#[derive(Debug, Default)]
pub(super) struct RuleNames(Mutex<BTreeSet<Arc<str>>>);

/// No configuration has so many, but a month of reloads may.
const MOST: usize = 4096;
const REST: &str = "other";

impl RuleNames {
    pub(super) fn label(&self, rule: &Arc<str>) -> Arc<str> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(rule) {
            return Arc::clone(rule);
        }
        if names.len() >= MOST {
            return REST.into();
        }
        names.insert(Arc::clone(rule));
        Arc::clone(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_a_number_share_a_label() {
        let names = RuleNames::default();
        for number in 0..MOST {
            let name: Arc<str> = format!("r{number}").into();
            assert_eq!(names.label(&name), name);
        }
        assert_eq!(&*names.label(&"one more".into()), REST);
        assert_eq!(&*names.label(&"r7".into()), "r7");
    }
}
