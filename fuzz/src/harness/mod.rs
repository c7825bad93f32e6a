//! What must hold for any octets whatever, for fuzzers and property tests alike.
//!
//! Each function takes octets, plays them, and panics where a promise is broken. `fuzz/targets` calls
//! them with what the fuzzer finds, `tests/it/properties.rs` with what proptest makes up.

#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "to panic is what these are for; two crates use them"
)]

mod check;
mod cuts;
mod expression;
mod pair;
mod play;
mod policies;
mod reference;
mod rules;
mod script;
mod server;
mod syntax;

pub use cuts::{imap_framer, pop3_framers};
pub use expression::expression;
pub use pair::pair;
pub use play::session;
pub use rules::rules;
pub use script::{Action, Options, Script};
pub use syntax::{imap_command, imap_response};
