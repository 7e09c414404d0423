//! What the members of a poll group hold of it: where their completions and their CM events are found.
//!
//! A member takes what it needs from here when it connects, and holds that by itself until its release (T43, I16). The group that
//! knows its members is in `poll_group`; nothing here does.

use super::{
    Error,
    config::most_group_entries,
    connection::Completions,
    device::DeviceShare,
    poller::{Lanes, Poller, queue_of},
    srq::{self, Srq},
    token::Owner,
};
use std::{cell::Cell, rc::Rc};
use verbs::{EventChannel, EventSet};

/// Entries of a group's completion queue to begin with, so that most groups need one queue that never grows. Where it
/// cannot grow, or a queue has a small most, later members get further queues.
const QUEUE_ENTRIES: u32 = 4096;

/// What members hold of their group.
pub(super) struct GroupCore {
    lanes: Rc<Lanes>,
    events: EventSet,
    busy: Cell<usize>,
    ended: Cell<usize>,
}

impl GroupCore {
    /// Of a group with no members.
    pub(super) fn new() -> Result<Rc<Self>, Error> {
        Ok(Rc::new(Self {
            lanes: Lanes::new(true),
            events: EventSet::new()?,
            busy: Cell::new(0),
            ended: Cell::new(0),
        }))
    }

    #[inline]
    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// The lanes, for a member that is live.
    pub(super) fn shared_lanes(&self) -> Rc<Lanes> {
        self.lanes.clone()
    }

    /// Whose channels have events that wait.
    pub(super) fn owners_with_events(&self) -> Result<Vec<Owner>, verbs::Error> {
        let mut ready = Vec::new();
        self.events.ready(|number| {
            ready.push(Owner { index: (number >> 32) as u32, generation: number as u32 });
        })?;
        Ok(ready)
    }

    /// Whether members connect, drain, are at rest with callbacks that are due, or have ended.
    #[inline(always)]
    pub(super) fn has_unusual(&self) -> bool {
        self.busy.get() | self.ended.get() != 0
    }

    /// Whether members have ended, and were not connected again or removed since.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get() > 0
    }

    /// A poller of the group on the device with room for another member: one that others use already, if its
    /// queue has the room or can grow, or else a new one. None has more entries than the program allows.
    pub(super) fn poller(&self, device: &DeviceShare, needed: Completions) -> Result<Rc<Poller>, Error> {
        let most = most_group_entries();
        if let Some(poller) = self.lanes.roomy_poller(device, needed, most) {
            return Ok(poller);
        }
        let shared = srq::size(device.limits())?;
        let needed = shared.map_or(needed.all(), |count| needed.sends + srq::completions(count.into()));
        if needed > most {
            return Err(Error::QueueLimit { needed, most });
        }
        let srq = shared.map(|count| Srq::new(device, count)).transpose()?;
        // A device that has less memory than it says may still have enough for this one member.
        let queue =
            queue_of(device, needed.max(QUEUE_ENTRIES).min(most)).or_else(|_| queue_of(device, needed))?;
        Ok(Poller::of(queue, srq, &self.lanes))
    }

    /// Lets the events of a live member's channel be found.
    pub(super) fn watch(&self, channel: &EventChannel, owner: Owner) -> Result<(), verbs::Error> {
        self.events.add(channel, u64::from(owner.index) << 32 | u64::from(owner.generation))
    }

    /// One member more, or less, is to be visited at each poll.
    pub(super) fn count_busy(&self, more: bool) {
        let busy = self.busy.get();
        self.busy.set(if more { busy + 1 } else { busy.saturating_sub(1) });
    }

    /// One member more, or less, has ended.
    pub(super) fn count_ended(&self, more: bool) {
        let ended = self.ended.get();
        self.ended.set(if more { ended + 1 } else { ended.saturating_sub(1) });
    }
}
