//! `cargo fuzz`'s program for [`fuzz::transport_id`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::transport_id::run(input));
