//! The table of commands: every one that may be forwarded, with its state, needs and meaning.

use std::fmt;

use Allowed::{Always, Authenticated, NotAuthenticated, Selected};

use super::grammar;
use super::reader::{Fault, Reader};
use crate::wire::{Effect, Operation};

/// The states a command is allowed in (RFC 9051 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// In every state.
    Always,
    /// Not authenticated.
    NotAuthenticated,
    /// Authenticated or selected.
    Authenticated,
    /// Selected.
    Selected,
}

/// One row of the table.
#[derive(Clone)]
pub struct Spec {
    /// In upper case, `UID` included.
    pub name: &'static str,
    /// When it is allowed.
    pub allowed: Allowed,
    /// One of these capabilities must be offered; none for the base protocol.
    pub needs: &'static [&'static str],
    /// What it is for, unless the arguments say more.
    pub operation: Operation,
    /// What it can do, unless the arguments say more.
    pub effect: Effect,
    /// It goes up only when nothing is outstanding, and nothing goes up until it is answered.
    pub barrier: bool,
    /// Its arguments carry secrets: a malformed one is never shown.
    pub secret: bool,
    arguments: Grammar,
}

#[derive(Clone, Copy)]
struct Grammar(fn(&mut Reader<'_>) -> Result<(), Fault>);

impl Spec {
    /// The row of a command's name, in any case.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        let index = KEYS.binary_search(&key(name)?).ok()?;
        // the key of a name with a NUL at its end is that of the name without it
        SPECS.get(index).filter(|spec| spec.name.len() == name.len())
    }

    /// All rows, by name.
    #[must_use]
    pub fn all() -> &'static [Self] {
        SPECS
    }

    /// Whether NO is a defined answer to it, so that rules are asked.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        !NEVER_REFUSED.contains(&self.name)
    }

    pub(super) fn read_arguments(&self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        (self.arguments.0)(reader)
    }

    const fn new(
        name: &'static str,
        allowed: Allowed,
        operation: Operation,
        effect: Effect,
        arguments: fn(&mut Reader<'_>) -> Result<(), Fault>,
    ) -> Self {
        let arguments = Grammar(arguments);
        Self { name, allowed, needs: &[], operation, effect, barrier: false, secret: false, arguments }
    }

    const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    const fn barrier(mut self) -> Self {
        self.barrier = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A row is known by its name.
impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Spec {}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spec").field(&self.name).finish()
    }
}

/// A name as a number, in upper case and ordered as the names are: what is searched for each command. None
/// for a name that is longer than any of the table.
const fn key(name: &[u8]) -> Option<u128> {
    if name.len() > size_of::<u128>() {
        return None;
    }
    let mut octets = [0; size_of::<u128>()];
    let (place, _) = octets.split_at_mut(name.len());
    place.copy_from_slice(name);
    octets.make_ascii_uppercase();
    Some(u128::from_be_bytes(octets))
}

/// The key of each row.
#[expect(clippy::indexing_slicing, reason = "in a constant, which the compiler computes")]
static KEYS: [u128; SPECS.len()] = {
    let mut keys = [0; SPECS.len()];
    let mut at = 0;
    while at < SPECS.len() {
        keys[at] = key(SPECS[at].name.as_bytes()).expect("no name is longer than a key");
        at += 1;
    }
    keys
};

const REV2: &str = "IMAP4rev2";

/// The commands that no rule is asked about, for NO is no defined answer to them (RFC 9051 §6.1, §6.2.1).
const NEVER_REFUSED: [&str; 4] = ["CAPABILITY", "LOGOUT", "NOOP", "STARTTLS"];

/// Sorted by name.
#[rustfmt::skip]
static SPECS: &[Spec] = &[
    Spec::new("APPEND", Authenticated, Operation::Append, Effect::File, grammar::append),
    Spec::new("AUTHENTICATE", NotAuthenticated, Operation::Authenticate, Effect::Session, grammar::authenticate).barrier().secret(),
    Spec::new("CANCELUPDATE", Authenticated, Operation::Search, Effect::Session, grammar::cancel_update).needs(&["CONTEXT=SEARCH", "CONTEXT=SORT"]),
    Spec::new("CAPABILITY", Always, Operation::Capability, Effect::Session, grammar::nothing),
    Spec::new("CHECK", Selected, Operation::Noop, Effect::Session, grammar::nothing),
    Spec::new("CLOSE", Selected, Operation::Delete, Effect::Destroy, grammar::nothing).barrier(),
    Spec::new("COMPRESS", Authenticated, Operation::Capability, Effect::Session, grammar::compress).needs(&["COMPRESS=DEFLATE"]).barrier(),
    Spec::new("COPY", Selected, Operation::Copy, Effect::File, grammar::copy),
    Spec::new("CREATE", Authenticated, Operation::Folder, Effect::File, grammar::create),
    Spec::new("DELETE", Authenticated, Operation::Folder, Effect::Destroy, grammar::one_mailbox),
    Spec::new("DELETEACL", Authenticated, Operation::Acl, Effect::Share, grammar::acl_identifier).needs(&["ACL"]),
    Spec::new("ENABLE", Authenticated, Operation::Sync, Effect::Session, grammar::enable).needs(&["ENABLE", REV2]).barrier(),
    Spec::new("ESEARCH", Authenticated, Operation::Search, Effect::Read, grammar::multi_search).needs(&["MULTISEARCH"]),
    Spec::new("EXAMINE", Authenticated, Operation::Select, Effect::Session, grammar::examine).barrier(),
    Spec::new("EXPUNGE", Selected, Operation::Delete, Effect::Destroy, grammar::nothing),
    Spec::new("FETCH", Selected, Operation::Headers, Effect::Read, grammar::fetch),
    Spec::new("GENURLAUTH", Authenticated, Operation::Acl, Effect::Share, grammar::gen_url_auth).needs(&["URLAUTH"]).secret(),
    Spec::new("GETACL", Authenticated, Operation::Acl, Effect::Read, grammar::one_mailbox).needs(&["ACL"]),
    Spec::new("GETMETADATA", Authenticated, Operation::Metadata, Effect::Read, grammar::get_metadata).needs(&["METADATA", "METADATA-SERVER"]),
    Spec::new("GETQUOTA", Authenticated, Operation::Quota, Effect::Read, grammar::quota_root).needs(&["QUOTA"]),
    Spec::new("GETQUOTAROOT", Authenticated, Operation::Quota, Effect::Read, grammar::one_mailbox).needs(&["QUOTA"]),
    Spec::new("ID", Always, Operation::Capability, Effect::Session, grammar::id).needs(&["ID"]).secret(),
    Spec::new("IDLE", Authenticated, Operation::Push, Effect::Session, grammar::nothing).needs(&["IDLE", REV2]).barrier(),
    Spec::new("LANGUAGE", Always, Operation::Capability, Effect::Session, grammar::language).needs(&["LANGUAGE"]),
    Spec::new("LIST", Authenticated, Operation::List, Effect::Read, grammar::list),
    Spec::new("LISTRIGHTS", Authenticated, Operation::Acl, Effect::Read, grammar::acl_identifier).needs(&["ACL"]),
    Spec::new("LOGIN", NotAuthenticated, Operation::Authenticate, Effect::Session, grammar::login).barrier().secret(),
    Spec::new("LOGOUT", Always, Operation::Logout, Effect::Session, grammar::nothing).barrier(),
    Spec::new("LSUB", Authenticated, Operation::List, Effect::Read, grammar::plain_list),
    Spec::new("MOVE", Selected, Operation::Move, Effect::Destroy, grammar::copy).needs(&["MOVE", REV2]),
    Spec::new("MYRIGHTS", Authenticated, Operation::Acl, Effect::Read, grammar::one_mailbox).needs(&["ACL"]),
    Spec::new("NAMESPACE", Authenticated, Operation::List, Effect::Read, grammar::nothing).needs(&["NAMESPACE", REV2]),
    Spec::new("NOOP", Always, Operation::Noop, Effect::Session, grammar::nothing),
    Spec::new("NOTIFY", Authenticated, Operation::Push, Effect::Read, grammar::notify).needs(&["NOTIFY"]),
    Spec::new("RENAME", Authenticated, Operation::Folder, Effect::File, grammar::rename),
    Spec::new("REPLACE", Selected, Operation::Append, Effect::Destroy, grammar::replace).needs(&["REPLACE"]),
    Spec::new("RESETKEY", Authenticated, Operation::Acl, Effect::Share, grammar::reset_key).needs(&["URLAUTH"]),
    Spec::new("SEARCH", Selected, Operation::Search, Effect::Read, grammar::search),
    Spec::new("SELECT", Authenticated, Operation::Select, Effect::Session, grammar::select).barrier(),
    Spec::new("SETACL", Authenticated, Operation::Acl, Effect::Share, grammar::set_acl).needs(&["ACL"]),
    Spec::new("SETMETADATA", Authenticated, Operation::Metadata, Effect::Admin, grammar::set_metadata).needs(&["METADATA", "METADATA-SERVER"]),
    Spec::new("SETQUOTA", Authenticated, Operation::Quota, Effect::Admin, grammar::set_quota).needs(&["QUOTA", "QUOTASET"]),
    Spec::new("SORT", Selected, Operation::Search, Effect::Read, grammar::sort).needs(&["SORT"]),
    Spec::new("STARTTLS", NotAuthenticated, Operation::Connect, Effect::Session, grammar::nothing).needs(&["STARTTLS"]).barrier(),
    Spec::new("STATUS", Authenticated, Operation::List, Effect::Read, grammar::status),
    Spec::new("STORE", Selected, Operation::Flag, Effect::Flag, grammar::store),
    Spec::new("SUBSCRIBE", Authenticated, Operation::Folder, Effect::File, grammar::one_mailbox),
    Spec::new("THREAD", Selected, Operation::Search, Effect::Read, grammar::thread).needs(&["THREAD=REFERENCES", "THREAD=ORDEREDSUBJECT", "THREAD=REFS"]),
    Spec::new("UID COPY", Selected, Operation::Copy, Effect::File, grammar::copy),
    Spec::new("UID EXPUNGE", Selected, Operation::Delete, Effect::Destroy, grammar::uid_expunge).needs(&["UIDPLUS", REV2]),
    Spec::new("UID FETCH", Selected, Operation::Headers, Effect::Read, grammar::uid_fetch),
    Spec::new("UID MOVE", Selected, Operation::Move, Effect::Destroy, grammar::copy).needs(&["MOVE", REV2]),
    Spec::new("UID REPLACE", Selected, Operation::Append, Effect::Destroy, grammar::replace).needs(&["REPLACE"]),
    Spec::new("UID SEARCH", Selected, Operation::Search, Effect::Read, grammar::search),
    Spec::new("UID SORT", Selected, Operation::Search, Effect::Read, grammar::sort).needs(&["SORT"]),
    Spec::new("UID STORE", Selected, Operation::Flag, Effect::Flag, grammar::store),
    Spec::new("UID THREAD", Selected, Operation::Search, Effect::Read, grammar::thread).needs(&["THREAD=REFERENCES", "THREAD=ORDEREDSUBJECT", "THREAD=REFS"]),
    Spec::new("UNAUTHENTICATE", Authenticated, Operation::Authenticate, Effect::Session, grammar::nothing).needs(&["UNAUTHENTICATE"]).barrier(),
    Spec::new("UNSELECT", Selected, Operation::Select, Effect::Session, grammar::nothing).needs(&["UNSELECT", REV2]).barrier(),
    Spec::new("UNSUBSCRIBE", Authenticated, Operation::Folder, Effect::File, grammar::one_mailbox),
    Spec::new("URLFETCH", Authenticated, Operation::Download, Effect::Read, grammar::url_fetch).needs(&["URLAUTH"]).secret(),
    Spec::new("XLIST", Authenticated, Operation::List, Effect::Read, grammar::plain_list).needs(&["XLIST"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(SPECS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_row_is_found_in_any_case() {
        for spec in Spec::all() {
            assert_eq!(Spec::find(spec.name.as_bytes()).map(|found| found.name), Some(spec.name));
            let lower = spec.name.to_ascii_lowercase();
            assert_eq!(Spec::find(lower.as_bytes()).map(|found| found.name), Some(spec.name));
        }
        assert!(Spec::find(b"UID").is_none());
        assert!(Spec::find(b"").is_none());
        assert!(Spec::find(b"NOOP\0").is_none());
        assert!(Spec::find(b"UNAUTHENTICATEUNAUTHENTICATE").is_none());
    }
}
