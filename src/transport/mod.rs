//! One RDMA connection: its life cycle, request slots, connect, teardown, poller and poll group.
//!
//! The way of a request: `Wire::submit` takes a slot that is open, builds the command in the slot's memory and posts it, or
//! [`Qpair::submit`] does so where something is unusual; completions are taken off the queue and handed to the wire they belong
//! to (the *account* half, which calls nobody); the wire then delivers finished requests one by one (the *deliver* half, which
//! holds no borrow while the callback runs).
//!
//! The way of a teardown: `state::step` moves the connection into `Draining`; the qpair moves the queue pair to
//! the error state and accounts for every posted work request; only then, or once the queue pair was destroyed at
//! the deadline, the connection is released, and only then its unfinished requests are completed as aborted.
//!
//! Nothing here names a C handle; nothing here is unsafe. Values are used by one thread at a time.

mod completer;
mod config;
mod connection;
mod device;
mod group_core;
mod hooks;
mod injections;
mod parting;
mod poll_group;
mod poller;
mod qpair;
mod rows;
mod seldom;
mod slots;
mod srq;
mod state;
mod statistics;
mod token;
mod wire;

pub use crate::memory::Piece;
pub use completer::{Completer, Context, Payload, Upcall, tell_nobody};
pub use config::{Association, ConnectTarget, QpairConfiguration, limit_group_queues, share_receives};
pub use hooks::{DomainHook, Hooks, set_hooks};
pub use injections::Injection;
pub use parting::Parting;
pub use poll_group::{Members, PollGroup, Polled};
pub use qpair::{MOST_REQUESTS, Qpair};
pub use rows::PIECES;
pub use slots::{Failure, FailureListener, Split};
pub use state::FailureReason;
pub use statistics::DeviceStatistics;
pub(crate) use wire::{Reach, Resolved, SeveralToController, SeveralToHost, ToController, ToHost};
pub use wire::{Ways, Wire};

use std::time::Duration;

/// Why the transport refused or failed something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The qpair is not connected, or its connection has failed.
    #[error("the qpair is not connected")]
    NotConnected,
    /// The qpair is still disconnecting.
    #[error("the qpair is still disconnecting")]
    Disconnecting,
    /// The qpair is connected, or on its way there.
    #[error("the qpair is already connected or connecting")]
    AlreadyConnected,
    /// Joining or leaving a poll group needs a qpair that is disconnected.
    #[error("the qpair is not disconnected")]
    NotDisconnected,
    /// All request slots are in use.
    #[error("no free request slot")]
    NoRequests,
    /// The device cannot be let at the buffer, and its content cannot be copied.
    #[error(
        "{length} bytes at {address:#x} are not registered for I/O, and can be neither copied nor registered for the length of a \
         request: is that memory there, and writable for what is read into it?"
    )]
    NotRegistered {
        /// The buffer's address.
        address: u64,
        /// Its length in bytes.
        length: u32,
    },
    /// All memory that data which are not registered go through is in use: the request waits.
    #[error("no memory is free for data that are not registered")]
    NoBuffers,
    /// The data of a command lie in more pieces than one may have.
    #[error("data in more than the {0} pieces of one command")]
    TooManyPieces(u32),
    /// The device refuses the memory in which the descriptors of several pieces are to lie. Nothing that ends would change that.
    #[error("no descriptors for data in several pieces: {0}")]
    NoRow(verbs::Error),
    /// There is no memory.
    #[error("out of memory")]
    NoMemory,
    /// What cannot be, was: a fault in this library. It ends the connection, and is never to be tried again.
    #[error("internal error: {0}")]
    Internal(&'static str),
    /// The device has too little of something for even the smallest connection.
    #[error("the device's {what} is {is}; at least {needed} are needed")]
    DeviceTooSmall {
        /// The limit, by its name in `ibv_device_attr`.
        what: &'static str,
        /// What the device says it is.
        is: u32,
        /// What the smallest connection takes.
        needed: u32,
    },
    /// The program allows poll groups no completion queue that is large enough for a member.
    #[error(
        "a completion queue of {needed} entries is needed; the program allows poll groups {most} (rdma_max_cq_size)"
    )]
    QueueLimit {
        /// What the member takes.
        needed: u32,
        /// What is allowed.
        most: u32,
    },
    /// The members of poll groups are to share receives, and the device has no queue for that.
    #[error("the device's {what} is 0; poll groups are to share {wanted} receives (rdma_srq_size)")]
    NoSharedReceives {
        /// The limit, by its name in `ibv_device_attr`.
        what: &'static str,
        /// What the program asks for.
        wanted: u32,
    },
    /// The device refused a queue for the receives that the members of a poll group are to share.
    #[error("no queue for {receives} receives that a poll group is to share (rdma_srq_size): {error}")]
    SharedReceives {
        /// How many there were to be.
        receives: u16,
        /// What failed.
        error: verbs::Error,
    },
    /// The device refused the receives that a connection begins with.
    #[error("posting the first receives failed with errno {0}")]
    FirstReceives(i32),
    /// The machine has no RDMA device.
    #[error("there is no RDMA device on this machine ({0})")]
    NoDevice(verbs::Error),
    /// A call of the RDMA libraries failed.
    #[error(transparent)]
    Verbs(#[from] verbs::Error),
    /// The environment has no memory map.
    #[error(transparent)]
    NoMap(#[from] crate::memory::NoMap),
    /// The connection attempt failed.
    #[error("connecting failed: {0}")]
    Connect(ConnectError),
    /// The poll group still has members.
    #[error("the poll group still has qpairs")]
    GroupBusy,
    /// The qpair is not a member of this poll group, or already one of another.
    #[error("the qpair is not a member of this poll group, or is a member of another")]
    WrongGroup,
}

/// Why a connection attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address has no way to it over an RDMA device.
    #[error("the address could not be resolved to an RDMA device")]
    Address,
    /// The route could not be resolved.
    #[error("the route could not be resolved")]
    Route,
    /// The peer is not there.
    #[error("the peer is unreachable")]
    Unreachable,
    /// The peer's CM or the controller rejected the connection.
    #[error("the connection was rejected, CM status {status}{}", Because(.reason))]
    Rejected {
        /// The CM's status: 8 if nobody listens there, 28 if the peer's program said no.
        status: i32,
        /// What the controller said in its private data, if it did.
        reason: Option<spec::rdma::RejectReason>,
    },
    /// The controller refused the Connect command with this status field.
    #[error(
        "the controller answered the Connect command with {} (status field {:#06x})",
        .0.name_for(spec::AdminOpcode::FABRICS.0),
        .0.0
    )]
    Status(spec::Status),
    /// The controller wants authentication, which this host does not offer yet.
    #[error("the controller requires authentication, which is not supported")]
    AuthenticationRequired,
    /// The controller takes fewer commands at a time than the queue needs to work at all.
    #[error("the controller takes {crqsize} commands at a time (CRQSIZE); at least {needed} are needed")]
    TooShallow {
        /// What the controller said when it accepted.
        crqsize: u16,
        /// What the queue needs.
        needed: u16,
    },
    /// There was no answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection went away while connecting.
    #[error("the connection was lost")]
    Lost,
    /// A resource could not be had; the log line of the moment says which.
    #[error("no resources, errno {0}")]
    Resources(i32),
    /// The program gave up.
    #[error("disconnected by the program")]
    Cancelled,
}

/// How a reject's reason reads behind its status.
struct Because<'a>(&'a Option<spec::rdma::RejectReason>);

impl std::fmt::Display for Because<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(reason) => write!(formatter, ": {}", reason.name()),
            None => Ok(()),
        }
    }
}

/// How long address resolution may take, and route resolution again.
pub const RESOLUTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long posted work requests may take to be flushed before the queue pair is destroyed without them.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before a target that still holds an older connection or queue is asked again; each time this much
/// longer, up to [`BACKOFF_MOST`].
pub const BACKOFF: Duration = Duration::from_millis(10);
/// See [`BACKOFF`].
pub const BACKOFF_MOST: Duration = Duration::from_millis(100);
/// How often a connection that the peer's CM rejects as stale is tried again.
pub const STALE_RETRIES: u8 = 5;
