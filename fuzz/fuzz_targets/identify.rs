//! `cargo fuzz`'s program for [`fuzz::identify`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::identify::run(input));
