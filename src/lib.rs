//! Mailwarden: a protocol-inspecting, TLS-terminating proxy for IMAP and POP3.

pub mod config;
mod label;
pub mod policy;
pub mod proxy;
pub mod redact;
pub mod sandbox;
pub mod session;
pub mod tls;
pub mod wire;
pub mod witness;
