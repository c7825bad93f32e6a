//! IMAP syntax (RFC 9051, RFC 3501).

mod fetch;
mod framer;
mod literal;
mod response;

pub use fetch::{FetchScanner, FetchSummary};
pub use framer::{Framer, Piece};
pub use literal::{Announcement, Tail};
pub use response::{DataKind, Head, StatusLine, StatusWord, head};
