//! All that touches the machine: descriptors, sockets, threads, the clock.

pub mod address;
pub mod clock;
pub mod control_socket;
pub mod helper;
pub mod memcheck;
pub mod net;
pub mod poller;
pub mod sys;
