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
    /// Members that are busy, those that have ended, and reasons of the layer above: for one look.
    unusual: Cell<usize>,
}

impl GroupCore {
    /// Of a group with no members.
    pub(super) fn new() -> Result<Rc<Self>, Error> {
        Ok(Rc::new(Self { lanes: Lanes::new(true), events: EventSet::new()?, unusual: Cell::new(0) }))
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

    /// Whether members connect, drain, are at rest with callbacks that are due, or have ended, or the layer above has something to see to.
    #[inline(always)]
    pub(super) fn has_unusual(&self) -> bool {
        self.unusual.get() != 0
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

    /// One thing more, or less, that polls are to see to: a member that is to be visited or has ended, or something of the layer above.
    pub(super) fn count_unusual(&self, more: bool) {
        let unusual = self.unusual.get();
        self.unusual.set(if more { unusual + 1 } else { unusual.saturating_sub(1) });
    }
}
