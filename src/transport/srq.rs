//! The shared receive queue of a poller: receives that the members of a poll group take from together, where the program asks for it.
//!
//! Such a receive is the poller's and no member's. Its work request id names [`Owner::SHARED`], and whose response it brought says the
//! number of the queue pair that completed it, by the table here; a number that is not in it is nobody's. So a member ends with its
//! SENDs, and leaves nothing that could still come for it.
//!
//! Invariants: what comes back is copied out and goes to the device again in the account half of a poll, before any callback (T148),
//! whoever it was for (T144, I10); a number is in the table from before its queue pair can receive until that is destroyed and the
//! completion queue was polled empty, once, and leaves with the owner that entered it (T147, H13).

use super::{
    Error,
    config::shared_receives,
    device::DeviceShare,
    token::{Kind, Owner, Token},
};
use std::{cell::Cell, sync::Arc};
use verbs::{DeviceLimits, SharedReceives};

/// The most receives that come back before the device gets them again: more would leave it with few.
const MOST_SLACK: u16 = 16;

/// A shared receive queue, and who receives from it.
pub(super) struct Srq {
    receives: SharedReceives,
    /// In the order of their numbers.
    members: Cell<Vec<Member>>,
    /// The device refused receives: it may have too few of them for ever.
    is_broken: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Member {
    number: u32,
    owner: Owner,
}

/// How many receives a shared queue on the device is to have; none, if the program asks for none.
pub(super) fn size(limits: &DeviceLimits) -> Result<Option<u16>, Error> {
    let wanted = shared_receives();
    if wanted == 0 {
        return Ok(None);
    }
    for (what, is) in [("max_srq", limits.shared_receive_queues), ("max_srq_wr", limits.shared_receives)] {
        if is == 0 {
            return Err(Error::NoSharedReceives { what, wanted });
        }
    }
    // A completion queue holds theirs and those of SENDs, which half of it is enough for.
    let most = limits.shared_receives.min((limits.completion_entries / 2).saturating_sub(1).max(1));
    Ok(Some(u16::try_from(wanted.min(most)).unwrap_or(u16::MAX)))
}

/// Completions that so many receives can have in a queue at a time: one more than there are, as queues of their own have.
pub(super) fn completions(count: u32) -> u32 {
    count.saturating_add(1)
}

impl Srq {
    /// A queue of `count` receives, which the device has.
    pub(super) fn new(device: &DeviceShare, count: u16) -> Result<Self, Error> {
        let wanted = shared_receives();
        if u32::from(count) < wanted {
            let name = device.device().name();
            tracing::info!(
                "device {name} shares {count} receives, not {wanted}, in a poll group (rdma_srq_size)"
            );
        }
        let id = |slot| Token::new(Kind::Receive, Owner::SHARED, slot).to_raw();
        let slack = MOST_SLACK.min(count / 4);
        let receives = SharedReceives::new(device.domain(), count, slack, id)
            .map_err(|error| Error::SharedReceives { receives: count, error })?;
        receives.post().map_err(Error::FirstReceives)?;
        Ok(Self { receives, members: Cell::default(), is_broken: Cell::new(false) })
    }

    pub(super) fn receives(&self) -> &SharedReceives {
        &self.receives
    }

    /// Whether a connection over this device can receive from it: its domain is the connection's own (T154).
    pub(super) fn is_for(&self, device: &DeviceShare) -> bool {
        !self.is_broken.get() && Arc::ptr_eq(self.receives.domain(), device.domain())
    }

    /// The queue pair of that number is the owner's. A number that is taken is refused (T147).
    pub(super) fn enter(&self, number: u32, owner: Owner) -> Result<(), Error> {
        let mut members = self.members.take();
        let result = match members.binary_search_by_key(&number, |member| member.number) {
            Ok(_) => Err(Error::Internal("two queue pairs of one number")),
            Err(place) => members
                .try_reserve(1)
                .map(|()| members.insert(place, Member { number, owner }))
                .map_err(|_| Error::NoMemory),
        };
        self.members.set(members);
        result
    }

    /// The owner's queue pair is gone, if it had one.
    pub(super) fn leave(&self, owner: Owner) {
        let mut members = self.members.take();
        members.retain(|member| member.owner != owner);
        self.members.set(members);
    }

    /// Whose queue pair has the number.
    pub(super) fn owner_of(&self, number: u32) -> Option<Owner> {
        let members = self.members.take();
        let place = members.binary_search_by_key(&number, |member| member.number);
        let owner = place.ok().and_then(|place| members.get(place)).map(|member| member.owner);
        self.members.set(members);
        owner
    }

    /// Lets the device have receives again, when it has few. What is refused is not posted again; the errno then, once.
    pub(super) fn refill(&self) -> Result<(), i32> {
        if !self.receives.has_few() || self.is_broken.get() {
            return Ok(());
        }
        self.receives.post().inspect_err(|_| self.is_broken.set(true))
    }
}
