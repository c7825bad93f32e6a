//! The one integration-test binary: every test that needs more than a module.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

mod cli;
mod config;
mod differential;
mod expressions;
mod imap_session;
mod journeys;
mod papers;
mod policy;
mod properties;
mod proxy;
mod pushed;
mod real;
mod transcripts;
