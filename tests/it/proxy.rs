//! The whole proxy against in-process peers: TLS on either side, certificates that are not to be
//! trusted, limits, stops, the admin endpoint.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails the test"
)]

mod admin;
mod certificates;
mod clients;
mod ends;
mod paths;
mod reload;
mod rig;
mod traces;
