//! Controllers and namespaces: bring-up, admin commands, keep-alive, events, I/O.
//!
//! A [`Controller`] is used under one lock, an [`IoQpair`] and a [`PollGroup`] by one thread at a time. What an I/O
//! qpair needs of its controller is in `shared::Shared`, which any thread may use. Nothing here names a verbs
//! object, apart from the registered memory that admin commands need.

mod aborts;
mod access;
mod admin;
mod bring_up;
mod budget;
mod controller;
mod copied;
mod detach;
mod discovery;
mod discovery_page;
mod error;
mod events;
mod failures;
mod graveyard;
mod group;
mod identity;
mod image;
mod io;
mod keep_alive;
mod life;
mod namespace;
mod namespaces;
pub mod opal;
mod options;
mod published;
mod refresh;
mod shared;
mod summary;
mod task;
mod timeouts;
mod turn;
mod work;

pub use crate::transport::{
    Completer, Context, Failure, FailureListener, FailureReason, Injection, Payload, Upcall, tell_nobody,
};
pub(crate) use aborts::outcome as abort_outcome;
pub use access::Access;
pub use budget::{BRING_UP_TIMEOUT, DISCOVERY_TIMEOUT};
pub use controller::Controller;
pub use copied::{CopiedData, Received};
pub use discovery::discover;
pub use discovery_page::DiscoveryPage;
pub use error::Error;
pub use events::{ChangeListener, EventListener};
pub use group::PollGroup;
pub use identity::{HostIdentity, identity};
pub(crate) use image::{pieces, unsent};
pub(crate) use io::{Append, Data, Request, Scatter, Shape, Transfer};
pub use io::{IoQpair, Standing};
pub use namespace::{Namespace, Zones};
pub use options::{
    AddressFamily, Arbitration, ControllerOptions, IoQpairOptions, TransportId, compare_addresses,
};
pub use published::SharedPage;
pub use summary::{Profile, Summary};
pub use timeouts::Watch;
