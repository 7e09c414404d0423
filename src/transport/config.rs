//! What a qpair is told: for its whole life when it is made, and for one connection when it connects.

use super::completer::Upcall;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// The most entries of a completion queue that members of a poll group share; 0 for as many as the device can have.
static MOST_GROUP_ENTRIES: AtomicU32 = AtomicU32::new(0);

/// From now on no poll group makes a completion queue of more entries, nor lets one grow beyond; 0 for no limit.
pub fn limit_group_queues(entries: u32) {
    MOST_GROUP_ENTRIES.store(entries, Ordering::Relaxed);
}

/// Receives that the members of a poll group share on each device; 0 if each has its own.
static SHARED_RECEIVES: AtomicU32 = AtomicU32::new(0);

/// From now on the members of a poll group share so many receives on each device, or as many as that has; 0 for none. Members of what
/// is there already stay as they are.
pub fn share_receives(receives: u32) {
    SHARED_RECEIVES.store(receives, Ordering::Relaxed);
}

/// Receives that the members of a group are to share.
pub(super) fn shared_receives() -> u32 {
    SHARED_RECEIVES.load(Ordering::Relaxed)
}

/// The most entries of a completion queue of a group.
pub(super) fn most_group_entries() -> u32 {
    match MOST_GROUP_ENTRIES.load(Ordering::Relaxed) {
        0 => u32::MAX,
        most => most,
    }
}

/// Where a qpair connects to, and how.
#[derive(Debug, Clone)]
pub struct ConnectTarget {
    /// The controller's address and port.
    pub address: SocketAddr,
    /// The local address to come from.
    pub source: Option<SocketAddr>,
    /// What log lines call the controller: address and NQN.
    pub label: Arc<str>,
    /// The type of service of the connection's packets.
    pub type_of_service: Option<u8>,
    /// The local acknowledge timeout, 4.096 µs × 2^value.
    pub acknowledge_timeout: Option<u8>,
    /// Retransmissions after a timeout, 0 to 7.
    pub retry_count: u8,
    /// How long a CM event may be waited for.
    pub cm_timeout: Duration,
    /// How long the Fabrics Connect command may take.
    pub connect_timeout: Duration,
}

/// A host and a controller that know each other, or are to (Fabrics 1.1, 1.5.1): what a qpair has to know of both to
/// connect. It takes the one that there is then, since a controller that was reset has another.
#[derive(Debug, Clone)]
pub struct Association {
    /// Where the controller is.
    pub target: ConnectTarget,
    /// The controller to connect to: [`spec::fabrics::CNTLID_DYNAMIC`] for the Admin Queue.
    pub controller_id: u16,
    /// The subsystem's NQN.
    pub subnqn: Arc<str>,
    /// The host's NQN.
    pub hostnqn: Arc<str>,
    /// The host's identifier.
    pub hostid: [u8; 16],
    /// The Keep Alive Timeout in milliseconds, 0 for none; the Admin Queue's alone.
    pub keep_alive_timeout: u32,
    /// Bytes of data that a capsule may carry.
    pub in_capsule_data: u32,
    /// The most descriptors of a command's data that the controller takes.
    pub descriptors: u32,
    /// The most entries that a queue may have.
    pub queue_entries: u32,
}

/// What a qpair is made of.
#[derive(Debug, Clone)]
pub struct QpairConfiguration {
    /// The queue id, 0 for the Admin Queue.
    pub queue_id: u16,
    /// Entries of the submission queue, at least 2; one less may be outstanding.
    pub queue_size: u16,
    /// Requests that may be accepted at a time; those that the queue has no room for wait.
    pub requests: u16,
    /// Commands of the queue that only [`super::Qpair::submit_ahead`] may use.
    pub reserved: u16,
    /// How completions reach the layer above.
    pub upcall: Upcall,
    /// Whether submissions ring the doorbell at the next poll instead of at once.
    pub delay_submit: bool,
}
