//! The forms a command or an answer may be given instead of its own: each is safe by its type.

use std::sync::Arc;

/// What a `rewrite` rule changes. Each field that says something is applied where it fits the command; a
/// command that none of them fits passes as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// The rule's name.
    pub rule: Arc<str>,
    /// SELECT goes up as EXAMINE.
    pub examine: bool,
    /// FETCH items that set `\Seen` go up with `.PEEK`.
    pub peek: bool,
    /// These flags are taken out of STORE and APPEND, compared without regard to case. A STORE of which none is
    /// left is answered OK and does not go up.
    pub without_flags: Vec<Arc<str>>,
    /// These items are taken out of FETCH: by [`Item::name`](super::Item::name) or by the word of
    /// [`ItemKind`](super::ItemKind). A FETCH of which none is left is answered OK and does not go up.
    pub without_items: Vec<Arc<str>>,
    /// Every mailbox that the rule's `mailbox` condition matches is named so instead; `{mailbox}` stands for its own
    /// name, `{user}` for the user.
    pub mailbox: Option<Arc<str>>,
    /// The arguments are these, in the protocol's own syntax, on one line without literals: `{arguments}` stands for
    /// the client's. Checked by the same grammar as a client's command before it goes up.
    pub arguments: Option<Arc<str>>,
    /// The data, or the capability, is not shown.
    pub hide: bool,
    /// The human-readable text of a greeting or completion, or of the fields of an ID answer, is this.
    pub text: Option<Arc<str>>,
}

impl Edit {
    /// Whether it changes what a client says.
    pub(super) fn changes_commands(&self) -> bool {
        let Self { examine, peek, without_flags, without_items, mailbox, arguments, rule: _, hide: _, text: _ } = self;
        *examine
            || *peek
            || !without_flags.is_empty()
            || !without_items.is_empty()
            || mailbox.is_some()
            || arguments.is_some()
    }
}
