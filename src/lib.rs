//! The NVMe over Fabrics RDMA host behind SPDK's public C ABI.
//!
//! The floors of the house, each of which calls only the one below it:
//!
//! - [`abi`]: the C face, one file for each group of entry points; casts, handle checks, errno, no logic;
//! - [`host`]: controllers and namespaces;
//! - [`transport`]: one RDMA connection, from connect to release;
//! - `verbs` (a crate): owners of libibverbs and librdmacm objects.
//!
//! Beside them: [`memory`] (which key covers a buffer), [`clock`] (the one clock and the one wait), `epoch` (when what was
//! remembered is void), `repeated` (lines about what happens again and again), and the crate
//! `spec` (NVMe as data). See `docs/architecture.md`.

pub mod abi;
pub mod clock;
mod epoch;
pub mod host;
pub mod memory;
mod repeated;
pub mod transport;

// The environment's symbols, and RDMA without a device: both are the program's to bring, and so a test's.
#[cfg(test)]
use {env as _, softverbs as _};
