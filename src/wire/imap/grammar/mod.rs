//! The arguments of each command: one function a grammar, named in the table of commands.
//!
//! A function reads from the SP behind the command's name to before the final CRLF, and notes what
//! it learns. It accepts what the command's RFC writes and nothing else; an argument too many
//! fails at the CRLF that should be there.

mod account;
mod append;
mod fetch;
mod folder;
mod list;
mod metadata;
mod notify;
mod search;
mod session;
mod store;
mod url;

pub(super) use account::{acl_identifier, quota_root, set_acl, set_quota};
pub(super) use append::{append, append_more, replace};
pub(super) use fetch::{fetch, uid_fetch};
pub(super) use folder::{copy, create, examine, one_mailbox, rename, select, status, uid_expunge};
pub(super) use list::{list, plain_list};
pub(super) use metadata::{get_metadata, set_metadata};
pub(super) use notify::notify;
pub use search::SEARCH_KEYS;
pub(super) use search::{cancel_update, multi_search, search, sort, thread};
pub(super) use session::{authenticate, compress, enable, id, language, login, nothing};
pub(super) use store::store;
pub(super) use url::{gen_url_auth, reset_key, url_fetch};

/// Change numbers (RFC 7162), in SELECT, FETCH, STORE, SEARCH and STATUS. QRESYNC includes them.
const CONDSTORE: &[&str] = &["CONDSTORE", "QRESYNC"];
/// Resynchronisation (RFC 7162).
const QRESYNC: &[&str] = &["QRESYNC"];
/// Gmail's extensions.
const GMAIL: &[&str] = &["X-GM-EXT-1"];
/// Persistent message identifiers (RFC 8474).
const OBJECTID: &[&str] = &["OBJECTID"];
