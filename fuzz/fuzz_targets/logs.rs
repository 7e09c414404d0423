//! `cargo fuzz`'s program for [`fuzz::logs`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::logs::run(input));
