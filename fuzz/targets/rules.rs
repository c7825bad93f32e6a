#![no_main]

// what is made once, the rules, does not count for the first input
libfuzzer_sys::fuzz_target!(init: mailwarden::harness::rules(b"\0"), |octets: &[u8]| mailwarden::harness::rules(octets));
