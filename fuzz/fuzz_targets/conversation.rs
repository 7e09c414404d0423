//! `cargo fuzz`'s program for [`fuzz::conversation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::conversation::run(input));
