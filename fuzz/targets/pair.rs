#![no_main]

// what is made once, the policy, does not count for the first input
libfuzzer_sys::fuzz_target!(init: mailwarden::harness::pair(b""), |octets: &[u8]| mailwarden::harness::pair(octets));
