#![no_main]

use mailwarden::wire::Protocol;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| mailwarden::harness::session(Protocol::Imap, octets));
