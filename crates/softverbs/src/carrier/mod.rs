//! All that touches the machine: descriptors, sockets, threads, the clock.

pub mod address;
pub mod clock;
pub mod sys;
