//! The one integration-test binary: every test that needs more than a module.

mod cli;
mod config;
mod journeys;
mod proxy;
mod real;
mod transcripts;
