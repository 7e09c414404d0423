//! `cargo fuzz`'s program for [`fuzz::control`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::control::run(input));
