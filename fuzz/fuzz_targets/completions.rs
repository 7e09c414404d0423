//! `cargo fuzz`'s program for [`fuzz::completions`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::completions::run(input));
