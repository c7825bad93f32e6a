//! What rules can concern beside the name and the kind of a command.

use super::Policy;

/// Whether any rule in force could ask for more than what a command is called and does: looked up once, where many
/// lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interests {
    /// For arguments of commands, or for sizes of messages.
    pub arguments: bool,
    /// For what the server answers.
    pub answers: bool,
    /// A rule that denies or hides names mailboxes.
    pub mailboxes: bool,
}

impl Interests {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            arguments: policy.permits_all().is_none(),
            answers: policy.looks_at_answers(),
            mailboxes: policy.looks_at_mailboxes(),
        }
    }

    /// What the server says must be judged, or some of it.
    #[must_use]
    pub fn in_answers(self) -> bool {
        self.answers || self.mailboxes
    }
}
