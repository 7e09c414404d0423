//! A small NVMe-oF target over RDMA whose namespaces live in memory, for demos and tests.
//!
//! Two floors:
//! * [`core`]: what a controller answers. Capsules go in, [`core::Step`]s come out. It knows no verbs, moves no data and
//!   reads no clock.
//! * [`rdma`]: connections, work requests and the steps' data transfers over the `verbs` crate.
//!
//! What must hold here:
//! * poll-driven: no thread, no blocking call, no clock; the time comes with [`Target::poll`];
//! * whatever a host sends, or stops sending, ends in an error status or in the end of that host's connection;
//! * a connection's memory is released only after its queue pair is gone.
//!
//! The C API is in `include/nvme_rdma_target.h`, the program in `src/bin`.

pub mod control;
pub mod core;
pub mod lies;
pub mod options;
pub mod rdma;

mod c_api;

pub use control::{Command as ControlCommand, Misbehaviour};
pub use lies::{Answer, Liar, Lie};
pub use options::{NamespaceOptions, Options, SubsystemOptions};
pub use rdma::{Counters, Error, Target};
