//! What the programs `softverbs-run` and `nvme-rdma-preload` have in common: they find a library of this project beside
//! themselves, put it into `LD_PRELOAD`, and become the program that they are given.
//!
//! - [`installation`]: where the library is, from the tool's own place;
//! - [`preload`]: the value of `LD_PRELOAD`, with what was there before;
//! - [`launch`]: the program by its name, and the way into it;
//! - [`kind`]: what a program is made of, and so whether a preload can do anything in it;
//! - [`options`]: the command line, and how a tool ends.
//!
//! What must hold: a tool never stays behind as a parent process, and its own faults have the exit status of `env`'s.

pub mod installation;
pub mod kind;
pub mod launch;
pub mod options;
pub mod preload;
