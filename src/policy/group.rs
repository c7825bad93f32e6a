//! Groups of users: names, most of them plain, of which there may be many.

use std::sync::Arc;

use super::pattern::{Names, Pattern};

/// Users that rules speak of by one name.
#[derive(Debug, Clone)]
pub struct Group {
    name: Arc<str>,
    /// Plain names in lower case, sorted.
    names: Vec<Box<str>>,
    patterns: Vec<Pattern>,
}

impl Group {
    /// A group of these members, each a user's name or a pattern. The error is the first member that is neither,
    /// and why.
    pub fn new<'a>(name: &str, members: impl IntoIterator<Item = &'a str>) -> Result<Self, (String, String)> {
        let mut group = Self { name: name.into(), names: Vec::new(), patterns: Vec::new() };
        for member in members {
            let pattern = Pattern::new(member, Names::Folded);
            let pattern = pattern.map_err(|error| (member.to_owned(), error.kind().to_string()))?;
            if pattern.is_plain() {
                group.names.push(member.to_lowercase().into());
            } else {
                group.patterns.push(pattern);
            }
        }
        group.names.sort_unstable();
        group.names.dedup();
        Ok(group)
    }

    /// What rules call it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many members it has, a pattern being one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.patterns.len()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The users who are in it by their names and not by a pattern, in lower case.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether this user is in it.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        let folded = user.to_lowercase();
        self.names.binary_search_by(|name| (**name).cmp(&folded)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_names_and_patterns_without_regard_to_case() {
        let group = Group::new("staff", ["Zoe", "ann@example.org", "*@staff.example.org"]).unwrap();
        for (user, inside) in
            [("zoe", true), ("ANN@example.ORG", true), ("x@staff.example.org", true), ("bob", false), ("", false)]
        {
            assert_eq!(group.contains(user), inside, "{user}");
        }
        assert_eq!(Group::new("staff", ["a{b"]).unwrap_err().0, "a{b");
    }
}
