//! What must hold of whatever reads bytes of others, said once: a function `run` for each kind of bytes, which gets any
//! bytes at all and panics when something does not hold.
//!
//! `tests/stable.rs` runs all of them over a committed corpus and over bytes made of it; `cargo fuzz` does the same
//! with the compiler's help (`make fuzz`). README.md says how.
//!
//! What must hold everywhere: no panic, be it caught on the way or not; no read or write outside of what the function
//! was given (which a sanitizer sees); and what each module says.

// A finding is a panic, and C's functions are called as C does.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod completions;
pub mod control;
pub mod conversation;
pub mod fabrics;
pub mod hostile;
pub mod identify;
pub mod input;
pub mod lines;
pub mod logs;
pub mod mutate;
pub mod options;
pub mod private_data;
pub mod tcg;
pub mod transport_id;
pub mod world;

// The environment's symbols, and RDMA without a device.
use {env as _, softverbs as _};

/// A kind of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name: of the module, the corpus folder, and `cargo fuzz`'s program.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Bytes that make a difference, at most.
    pub length: usize,
    /// Inputs that are made in a run of the tests, unless it is told otherwise.
    pub inputs: u64,
    /// What bytes of this kind are likely to hold; for kinds that are text.
    pub words: &'static [&'static str],
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind { name: "identify", run: identify::run, length: 4096, inputs: 10_000, words: &[] },
    Kind { name: "tcg", run: tcg::run, length: 2048, inputs: 10_000, words: &[] },
    Kind { name: "logs", run: logs::run, length: 3072, inputs: 10_000, words: &[] },
    Kind { name: "fabrics", run: fabrics::run, length: 1120, inputs: 10_000, words: &[] },
    Kind { name: "private_data", run: private_data::run, length: 260, inputs: 10_000, words: &[] },
    Kind { name: "completions", run: completions::run, length: 80, inputs: 10_000, words: &[] },
    Kind {
        name: "transport_id",
        run: transport_id::run,
        length: 2048,
        inputs: 10_000,
        words: transport_id::WORDS,
    },
    Kind { name: "options", run: options::run, length: 2048, inputs: 500, words: &[] },
    Kind { name: "control", run: control::run, length: 512, inputs: 10_000, words: control::WORDS },
    Kind { name: "conversation", run: conversation::run, length: 4096, inputs: 1_000, words: &[] },
];
