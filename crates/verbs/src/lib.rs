//! Owners of libibverbs and librdmacm objects.
//!
//! Every value here owns one object of the C libraries and holds a share of what that object needs to exist, so
//! that no order of drops can free a parent before its child: a queue pair holds its CM id, completion queue and
//! protection domain; a memory region its protection domain; domains and completion queues a share of the device
//! list, which keeps the device's context open. Nothing here knows NVMe.
//!
//! All unsafe calls of the RDMA libraries live in this crate. What must hold in it:
//!
//! - a raw pointer that leaves an owner never outlives it;
//! - each CM event is acknowledged at the moment it is read, after it was copied ([`CmEvent`]), so destroying an
//!   id can never wait for an acknowledgement;
//! - a work request that was handed to the device lies in memory ([`SendRing`], [`ReceiveRing`],
//!   [`RegisteredMemory`]) that its owner keeps until the queue pair has ended;
//! - an object that cannot be given back is [kept](kept()), with its share of all that it needs: whoever is made of it stays.
//!
//! libibverbs and librdmacm may be called from any thread (`ibv_*(3)`, `rdma_cm(7)`), hence the owners are `Send`
//! and `Sync` unless they hold cells.

#![allow(unsafe_code)]

mod chain;
mod cm;
mod completion;
mod device;
mod error;
mod event_set;
mod interface;
mod kept;
mod memory;
mod pages;
mod queue_pair;
mod queues;
mod shared_receive;
mod work_request;

pub use chain::PostError;
pub use cm::{
    CmEvent, CmEventKind, CmId, ConnectParameters, EventChannel, IdOption, MAXIMUM_PRIVATE_DATA, PrivateData,
};
pub use completion::{Batch, CompletionQueue, WcOpcode, WcStatus, WorkCompletion};
pub use device::{Device, DeviceLimits, DeviceList};
pub use error::Error;
pub use event_set::EventSet;
pub use interface::interface_index;
pub use kept::kept;
pub use memory::{Access, MemoryRegion, ProtectionDomain, RegisteredMemory};
pub use pages::{Memory, RowMemory};
pub use queue_pair::{QueuePair, QueuePairCapabilities, QueuePairState};
pub use queues::{
    COMMAND_WORDS, Ended, RESPONSE_SIZE, ReceiveQueue, Registration, Seat, SeatedQueuePair, SendQueue,
    SharedReceives, Slot,
};
pub use work_request::{ReceiveRing, RemoteTransfer, Segment, SendRing};
