//! The pure core of the program, built from its own sources, and what drives it.
//!
//! The library bears the program's name, so that the harness reads the same here and in the
//! program's own tests.

#![allow(dead_code, missing_docs, unused_imports, reason = "the program's modules, without the parts that use them")]

extern crate self as mailwarden;

#[path = "../../src/label.rs"]
mod label;
#[path = "../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../src/redact.rs"]
pub mod redact;
#[path = "../../src/session/mod.rs"]
pub mod session;
#[path = "../../src/wire/mod.rs"]
pub mod wire;

pub mod harness;
