//! What is counted of the members of a poll group.
//!
//! What must hold: the way of an I/O counts nothing for it. What a wire counts are its commands, which it does anyway, and what takes a
//! whole doorbell; what a poller counts are polls. Their sums are made when somebody asks.

/// What a wire has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests that had to wait for room on the wire.
    pub(super) queued: u64,
    pub(super) sends: u64,
    pub(super) send_doorbells: u64,
    pub(super) receives: u64,
    pub(super) receive_doorbells: u64,
}

impl Counts {
    /// What came since this was counted.
    #[must_use]
    pub(super) fn since(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    /// Of two.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn with(self, other: Self, each: fn(u64, u64) -> u64) -> Self {
        Self {
            queued: each(self.queued, other.queued),
            sends: each(self.sends, other.sends),
            send_doorbells: each(self.send_doorbells, other.send_doorbells),
            receives: each(self.receives, other.receives),
            receive_doorbells: each(self.receive_doorbells, other.receive_doorbells),
        }
    }
}

/// What was counted on one device, as long as members were connected over it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceStatistics {
    /// The device's name.
    pub name: String,
    /// Polls of its completion queues.
    pub polls: u64,
    /// Polls that found nothing.
    pub idle_polls: u64,
    /// Completions of SENDs and receives.
    pub completions: u64,
    /// Requests that had to wait for room on the wire.
    pub queued_requests: u64,
    /// SENDs that were posted.
    pub sends: u64,
    /// The calls that posted them.
    pub send_doorbells: u64,
    /// Receives that were posted.
    pub receives: u64,
    /// The calls that posted them.
    pub receive_doorbells: u64,
}
