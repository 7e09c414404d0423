//! `cargo fuzz`'s program for [`fuzz::private_data`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::private_data::run(input));
