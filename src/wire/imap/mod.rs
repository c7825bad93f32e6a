//! IMAP syntax (RFC 9051, RFC 3501).

pub mod capability;
mod command;
mod date;
mod grammar;
mod lexer;
mod mailbox;
mod reader;
mod spec;
mod tag;

pub use command::{
    Announced, AppendMore, Command, Content, Details, Enclosure, Head, IdField, LiteralSpan, Malformed, MessageHead,
    Reason, Stop, parse, parse_append_more, parse_with,
};
pub use lexer::is_base64;
pub use mailbox::{NameError, Names, decode as decode_mailbox};
pub use spec::{Allowed, Spec};
pub use tag::Tag;
