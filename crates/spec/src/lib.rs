//! NVMe and NVMe over Fabrics as data: commands, completions, registers, identify data, log pages and the RDMA
//! transport's private data.
//!
//! What must hold here:
//! * no `unsafe`, no I/O, no clock, and no allocation but for what is written;
//! * every decoder is total: any bytes that a peer sends decode to a value or to an error, never to a panic;
//! * values that the wire can write are integer newtypes, so that an unknown value is a value like any other;
//! * layouts follow the NVM Express Base Specification 2.0 ("Base"), NVMe over Fabrics 1.1 ("NVMe-oF") and the NVMe RDMA
//!   Transport Specification 1.0 ("RDMA Transport"), all fields little-endian; `tcg` has its own.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

// Dwords are stored as they are: the wire's order is the machine's (Base 2.0, 1.8).
#[cfg(target_endian = "big")]
compile_error!("a big-endian machine would need its dwords swapped where they are stored");

mod bytes;

pub mod ana;
pub mod ana_log;
pub mod command;
pub mod completion;
pub mod dhchap;
pub mod fabrics;
pub mod feature;
pub mod firmware;
pub mod identify;
pub mod key_value;
pub mod line;
pub mod log;
pub mod names;
pub mod namespace;
pub mod opcode;
pub mod ranges;
pub mod rdma;
pub mod registers;
pub mod reservation;
pub mod security;
pub mod sgl;
pub mod status;
pub mod tcg;
pub mod text;
pub mod zoned;

pub use command::Command;
pub use completion::Completion;
pub use opcode::{AdminOpcode, FabricsType, KeyValueOpcode, NvmOpcode, ZonedOpcode};
pub use sgl::Sgl;
pub use status::{Status, StatusCode, StatusCodeType};
pub use text::printable;
