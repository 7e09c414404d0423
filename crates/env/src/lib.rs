//! `libspdk_env_rdma`: the part of SPDK's environment that a program and `libspdk_nvme_rdma` need, on an ordinary
//! process.
//!
//! No root, no hugepages, no DPDK: memory comes from `mmap`, time from the CPU's counter or the monotonic clock, cores
//! are the ones the process may run on. Names, types and layouts are those of SPDK's `env.h`, `log.h`, `string.h` and
//! `vmd.h`, which `include/spdk/` declares; everything here is reached through the C ABI, and nothing is public as
//! Rust.
//!
//! What must hold:
//! - memory that `memory` hands out lies in regions that `registry` knows, so that every memory map covers it;
//! - no lock is held while a callback of the program runs, except the re-entrant one that keeps notifications in order;
//! - no pointer that a program gives is followed before it is checked against what this library gave out, where the
//!   function's purpose allows that (freeing, resizing).

// Its C names are part of this library.
use util as _;

mod absent;
mod clock;
mod cores;
mod cstr;
mod deprecation;
mod init;
mod log;
mod log_flags;
mod mem_map;
mod memory;
mod mempool;
mod memzone;
mod pci;
mod pci_absent;
mod ranges;
mod registry;
mod ring;
mod string;
mod table;
mod variadic;
mod vmd;
