//! libibverbs and librdmacm in user space: RDMA with no device.
//!
//! As a cdylib it is preloaded (`LD_PRELOAD=libsoftverbs.so rping ...`); as an rlib it is linked into a test, where its symbols
//! win over the shared libraries (`use softverbs as _;`). Either way a program calls the C functions that it would call anyhow.
//! What is offered, and how the fabric can be made to misbehave, is in the README.
//!
//! `fabric` is the model: objects, work requests, links; no I/O, no lock, time as a parameter. `cm` is connection management on
//! it. `carrier` moves bytes between processes. `capi` is the C face, `c_structs` what its callers hold. `runtime` holds them
//! together behind one lock. `faults` is what was told to go wrong, `control` reads the commands that tell it, `ledger` and `place`
//! know what is alive and who made it, `process` and `exit` what a process begins and ends with, and `sim` is the fabric in one
//! thread with time by hand.

mod c_structs;
mod capi;
mod carrier;
mod cm;
mod control;
mod exit;
mod fabric;
mod faults;
mod ledger;
mod log;
mod place;
mod process;
mod runtime;
pub mod sim;

pub use exit::LEAK_STATUS;
pub use ledger::Ledger;

/// What is alive now.
pub fn ledger() -> Ledger {
    runtime::with(|rt| rt.ledger())
}

/// One line for each object alive, in the order in which they were made.
pub fn ledger_lines() -> Vec<String> {
    runtime::with(|rt| rt.ledger_lines())
}

/// Carries out commands of the control grammar (see the README), separated by `;`. The error says what is wrong with which.
pub fn control(commands: &str) -> Result<(), String> {
    runtime::with(|rt| rt.control(commands))
}

/// Does `work` as an end that has the full device, whatever the command `device profile` has set: for a test with both ends in one
/// process, where the limits are to be those of one of them. It holds for this thread, until `work` returns. What is made in it does
/// not count for the other end's numbers of objects.
pub fn without_profile<R>(work: impl FnOnce() -> R) -> R {
    fabric::profile::spared(work)
}

/// How many faults wait for their occasion: one line of the command `faults` each.
pub fn armed() -> usize {
    runtime::with(|rt| rt.fabric.shared.faults.lines().len())
}
