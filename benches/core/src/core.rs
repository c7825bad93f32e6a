//! The pure core of the program, built from its own sources.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "the program's modules, without what uses them"
)]

extern crate self as mailwarden;

#[path = "../../../src/label.rs"]
mod label;
#[path = "../../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../../src/redact.rs"]
pub mod redact;
#[path = "../../../src/session/mod.rs"]
pub mod session;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
