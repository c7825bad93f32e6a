//! Mailwarden: a protocol-inspecting, TLS-terminating proxy for IMAP and POP3.

mod accept;
pub mod admin;
pub mod cli;
pub mod config;
pub mod fault;
pub mod heavy;
pub mod hook;
mod label;
pub mod metrics;
mod per_session;
pub mod policy;
pub mod proxy;
pub mod recording;
pub mod redact;
pub mod rehearsal;
pub mod reload;
pub mod sandbox;
pub mod service;
pub mod session;
pub mod tls;
pub mod traces;
pub mod wire;
pub mod witness;
