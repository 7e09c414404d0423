//! `cargo fuzz`'s program for [`fuzz::fabrics`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::fabrics::run(input));
