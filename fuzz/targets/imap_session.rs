#![no_main]

use mailwarden::wire::Protocol;

libfuzzer_sys::fuzz_target!(
    // what is made once, the policy, does not count for the first input
    init: mailwarden::harness::session(Protocol::Imap, b""),
    |octets: &[u8]| mailwarden::harness::session(Protocol::Imap, octets)
);
