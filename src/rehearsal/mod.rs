//! Policy tried out: cases, explanations and recorded sessions, played through the sessions of the live proxy.
//!
//! What is found here is what a client would get, for it is the same code: a [`Stage`] gives a session octets and time as
//! the shell in `proxy` does, and a [`Server`] that says yes stands behind it. There is no socket and no
//! thread, and only the files that are named are read.

mod case;
mod play;
mod policy;
mod recorded;
mod replay;
mod server;
mod stage;
mod suite;
mod transcript;

pub use case::{Case, CaseFile, Expect, Given, HookWord, OneOrMany, ServerSays, TlsWord};
pub use play::{Played, Scene};
pub use policy::Rehearsed;
pub use recorded::Unplayable;
pub use replay::{Change, Replayed, Verdict, replay};
pub use server::{Has, Says, Server};
pub use stage::{Came, Stage};
pub use suite::{Difference, FileOutcome, Outcome, Report, SuiteError, find, run, shown_wait};
pub use transcript::play as converse;

#[cfg(test)]
mod tests;
