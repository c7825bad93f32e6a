//! Real servers and real clients through the proxy, each compared with the same run direct.
//!
//! A `Lab` is a server of its own with a proxy before it, or with nothing before it. A scenario is
//! played in both, and what the client saw and what the server kept must be the same.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share fails as they do, by panicking"
)]

mod admin;
mod asked;
mod authority;
mod cases;
mod clients;
mod command;
mod compressed;
mod curl;
mod differential;
mod dovecot;
mod fake;
mod kept;
mod lab;
mod large;
mod mail;
mod mailwarden;
mod policy;
mod prometheus;
mod refusals;
mod secrets;
mod server;
mod starttls;
mod suites;
mod sync;
mod table;
mod talk;
mod upstreams;
