//! The C face: SPDK's public API over [`crate::host`]. One file for each group of entry points.
//!
//! What must hold:
//! * An entry checks its handle, calls the host, maps the error. There is no logic here that a host without a C API
//!   would need as well.
//! * The C caller is trusted as SPDK trusts it: a pointer to a struct or a string points to one, and a handle's object
//!   is used by one thread at a time, or by any where SPDK says so. It is not trusted to pass the right handle: see
//!   `handles`.
//! * Function items are written out, since cbindgen declares them in `include/spdk/*.h` and does not expand macros; what
//!   is the same for all stands in `entry`.
//! * Enums and `bool` members that C can write are integers: see [`types`].
//! * `entry_points.toml` lists what the shared library exports, and nothing else is. All of SPDK's symbols are there: what is
//!   not native yet is in `stubs.rs`, which is generated from it.

#![allow(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod at_once;
mod attached;
mod attaching;
mod callback;
mod copied;
pub mod ctrlr;
pub mod ctrlr_abort;
pub mod ctrlr_cmd;
pub mod ctrlr_events;
pub mod ctrlr_facts;
pub mod ctrlr_images;
pub mod ctrlr_injection;
pub mod ctrlr_life;
pub mod ctrlr_manage;
pub mod ctrlr_pcie;
pub mod cuse;
pub mod detach;
pub mod dhchap;
mod disabled;
mod entry;
mod env;
mod error;
pub mod extension;
mod handles;
pub mod host_id;
pub mod io_raw;
pub mod kv;
mod log;
pub mod ns;
pub mod ns_blocks;
pub mod ns_cmd;
pub mod ns_lists;
pub mod ns_transfers;
pub mod ns_vectors;
pub mod ocssd;
pub mod opal;
mod options;
mod pairs;
pub mod poll_group;
pub mod poll_group_facts;
pub mod poll_group_statistics;
pub mod prchk;
pub mod print;
pub mod probe;
pub mod qpair;
pub mod rdma_hooks;
#[cfg(test)]
mod spec_agrees;
pub mod status_text;
mod stub;
#[rustfmt::skip] // as it was generated
pub mod stubs;
mod text;
pub mod transport_id;
pub mod transport_opts;
pub mod trid_entry;
pub mod trid_order;
pub mod types;
pub mod util;
pub mod zns;

pub use log::text_of;
