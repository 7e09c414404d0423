//! The C types of `include/spdk/*.h` as Rust, made by bindgen in the build script.
//!
//! Enums are integer newtypes and `bool` members are `u8`: C can write any value into either.

#![allow(
    missing_docs,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks
)]

include!(concat!(env!("OUT_DIR"), "/types.rs"));
