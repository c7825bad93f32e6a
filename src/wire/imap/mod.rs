//! IMAP syntax (RFC 9051, RFC 3501).

pub mod capability;
mod command;
mod date;
mod fetch;
mod framer;
mod grammar;
mod lexer;
mod literal;
mod mailbox;
mod named;
mod parts;
mod plain;
mod reader;
mod repeat;
mod response;
mod spec;
mod tag;
mod unlisted;
mod urlfetch;

pub use command::{
    Announced, AppendMore, Between, Command, Content, Details, Enclosure, Head, IdField, LiteralSpan, Malformed,
    MessageHead, Reason, Stop, parse, parse_append_more, parse_with,
};
pub use fetch::{FetchScanner, FetchSummary};
pub use framer::{Framer, Piece};
pub use grammar::SEARCH_KEYS;
pub use lexer::is_base64;
pub use literal::{Announcement, Tail};
pub use mailbox::{NameError, Names, decode as decode_mailbox, encode_as as encode_mailbox, fold_inbox};
pub use named::{DataName, NamedData, asking_by_name, named_data};
pub use parts::{Part, Parts, ranges_of};
pub use plain::{PlainLine, leading_flags, leading_ok, plain_line};
pub use repeat::Repeatable;
pub use response::{DataKind, ResponseHead, StatusLine, StatusWord, response_head};
pub use spec::{Allowed, Spec};
pub use tag::Tag;
pub use unlisted::{Unlisted, parse_unlisted, unlisted_verb};
pub use urlfetch::{UrlExtent, UrlScanner};
