//! `cargo fuzz`'s program for [`fuzz::tcg`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tcg::run(input));
