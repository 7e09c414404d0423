//! Qpairs that one thread polls together.
//!
//! The members share one completion queue for each device. A poll of this layer costs what happened: the
//! completions say which qpairs to look after, CM events of live members come through one epoll descriptor, and only
//! members that connect or drain are visited each time.
//!
//! Joining and leaving carry no transport work (T46): what a member needs of the group it acquires when it connects,
//! and holds by itself until its release (T43, I16).

use super::{
    Error,
    device::DeviceShare,
    poller::{Lanes, Poller},
    qpair::Qpair,
    token::Owner,
};
use crate::clock::{self, Moment};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
    time::Duration,
};
use verbs::{EventChannel, EventSet};

/// How often the event channels of live members are looked at.
const EVENT_INTERVAL: Duration = Duration::from_millis(1);

/// Entries of a group's completion queue to begin with, so that most groups need one queue that never grows. Where it
/// cannot grow, or a queue has a small most, later members get further queues.
const QUEUE_ENTRIES: u32 = 4096;

/// What members hold of their group.
pub(super) struct GroupCore {
    lanes: Rc<Lanes>,
    pollers: Cell<Vec<(usize, Weak<Poller>)>>,
    events: EventSet,
    busy: Cell<usize>,
}

impl GroupCore {
    /// A poller of the group on the device with room for `entries` more: one that other members use already, if its
    /// queue has the room or can grow, or else a new one.
    pub(super) fn poller(&self, device: &DeviceShare, entries: u32) -> Result<Rc<Poller>, Error> {
        let key = device.device().key();
        let mut pollers = self.pollers.take();
        pollers.retain(|(_, poller)| poller.strong_count() > 0);
        let on_device = pollers.iter().filter(|(other, _)| *other == key);
        let roomy =
            on_device.filter_map(|(_, poller)| poller.upgrade()).find(|poller| poller.has_room_for(entries));
        let result = match roomy {
            Some(poller) => Ok(poller),
            None => self.new_poller(device, entries, &mut pollers),
        };
        self.pollers.set(pollers);
        result
    }

    fn new_poller(
        &self,
        device: &DeviceShare,
        entries: u32,
        pollers: &mut Vec<(usize, Weak<Poller>)>,
    ) -> Result<Rc<Poller>, Error> {
        pollers.try_reserve(1).map_err(|_| Error::NoMemory)?;
        // A device that has less memory than it says may still have enough for this one member.
        let poller = Poller::new(device, &self.lanes, entries.max(QUEUE_ENTRIES))
            .or_else(|_| Poller::new(device, &self.lanes, entries))?;
        pollers.push((device.device().key(), Rc::downgrade(&poller)));
        Ok(poller)
    }

    /// Lets the events of a live member's channel be found.
    pub(super) fn watch(&self, channel: &EventChannel, owner: Owner) -> Result<(), verbs::Error> {
        self.events.add(channel, u64::from(owner.index) << 32 | u64::from(owner.generation))
    }

    pub(super) fn count_busy(&self, more: bool) {
        let busy = self.busy.get();
        self.busy.set(if more { busy + 1 } else { busy.saturating_sub(1) });
    }

    #[inline]
    fn account(&self, at_most: usize) {
        let pollers = self.pollers.take();
        for poller in pollers.iter().filter_map(|(_, poller)| poller.upgrade()) {
            let mut found = 0;
            loop {
                let count = poller.account();
                found += count;
                if count == 0 || found >= at_most {
                    break;
                }
            }
        }
        self.pollers.set(pollers);
    }
}

/// A poll group, used by one thread at a time.
pub struct PollGroup {
    core: Rc<GroupCore>,
    members: Cell<Vec<Rc<Qpair>>>,
    next_events: Cell<Moment>,
}

/// What a poll of a group came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polled {
    /// Callbacks that ran.
    pub completions: u64,
    /// Whether a member lost its connection in this poll.
    pub failed: bool,
}

impl PollGroup {
    /// A group with no members.
    pub fn new() -> Result<Rc<Self>, Error> {
        let core = GroupCore {
            lanes: Lanes::new(),
            pollers: Cell::default(),
            events: EventSet::new()?,
            busy: Cell::new(0),
        };
        Ok(Rc::new(Self {
            core: Rc::new(core),
            members: Cell::default(),
            next_events: Cell::new(Moment::START),
        }))
    }

    /// Adds a qpair that is at rest and in no group.
    pub fn add(&self, qpair: &Rc<Qpair>) -> Result<(), Error> {
        let mut members = self.members.take();
        let result =
            members.try_reserve(1).map_err(|_| Error::NoMemory).and_then(|()| qpair.join(&self.core));
        if result.is_ok() {
            members.push(qpair.clone());
        }
        self.members.set(members);
        result
    }

    /// Removes a member that is at rest; otherwise nothing changes (T45).
    pub fn remove(&self, qpair: &Rc<Qpair>) -> Result<(), Error> {
        let mut members = self.members.take();
        let place = members.iter().position(|member| Rc::ptr_eq(member, qpair));
        let result = place.ok_or(Error::WrongGroup).and_then(|place| {
            qpair.leave()?;
            Ok(members.remove(place))
        });
        self.members.set(members);
        result.map(drop)
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        let members = self.members.take();
        let empty = members.is_empty();
        self.members.set(members);
        empty
    }

    /// One poll of all members: at most `per_qpair` callbacks of each (0: no limit), aborted requests apart.
    /// Callbacks may do anything, also poll this group again or free any member.
    pub fn process_completions(&self, per_qpair: u32) -> Polled {
        let per_qpair = if per_qpair == 0 { u32::MAX } else { per_qpair };
        let now = clock::now();
        let mut polled = Polled::default();
        self.core.account(per_qpair.min(4096) as usize);
        // Those who ask again, or only now, wait for the next poll.
        for _ in 0..self.core.lanes.asking() {
            let Some(owner) = self.core.lanes.next_asking() else { break };
            if let Some(qpair) = self.core.lanes.qpair(owner) {
                self.look_after(&qpair, per_qpair, now, &mut polled);
            }
        }
        if now.has_reached(self.next_events.get()) {
            self.next_events.set(now.after(EVENT_INTERVAL));
            self.read_events(per_qpair, now, &mut polled);
        }
        if self.core.busy.get() > 0 {
            self.progress_busy(per_qpair, now, &mut polled);
        }
        polled
    }

    #[inline]
    fn look_after(&self, qpair: &Qpair, per_qpair: u32, now: Moment, polled: &mut Polled) {
        qpair.attend();
        let was_live = qpair.is_connected();
        qpair.progress_without_look(now);
        self.after_progress(qpair, was_live, per_qpair, polled);
    }

    /// Delivers and flushes. A member that came to rest is not visited again, so whatever was aborted is told now,
    /// whatever the budget.
    #[inline]
    fn after_progress(&self, qpair: &Qpair, was_live: bool, per_qpair: u32, polled: &mut Polled) {
        polled.failed |= was_live && !qpair.is_connected();
        let at_rest = qpair.is_at_rest();
        let most = if at_rest { u32::MAX } else { per_qpair };
        polled.completions += u64::from(qpair.deliver(most));
        qpair.flush();
        if qpair.has_finished() {
            qpair.ask_for_attention();
        }
        if at_rest {
            qpair.count_busy();
        }
    }

    #[cold]
    fn read_events(&self, per_qpair: u32, now: Moment, polled: &mut Polled) {
        let mut ready = Vec::new();
        let result = self.core.events.ready(|number| {
            ready.push(Owner { index: (number >> 32) as u32, generation: number as u32 });
        });
        if let Err(error) = result {
            tracing::error!("waiting for CM events of a poll group: {error}");
        }
        for qpair in ready.into_iter().filter_map(|owner| self.core.lanes.qpair(owner)) {
            let was_live = qpair.is_connected();
            qpair.look_for_events(now);
            self.after_progress(&qpair, was_live, per_qpair, polled);
        }
    }

    /// Visits members that connect or drain. They are held by shares, since their callbacks may change the list.
    #[cold]
    fn progress_busy(&self, per_qpair: u32, now: Moment, polled: &mut Polled) {
        let members = self.members.take();
        let busy: Vec<Rc<Qpair>> = members.iter().filter(|qpair| qpair.is_busy()).cloned().collect();
        self.members.set(members);
        for qpair in busy {
            qpair.progress(now);
            self.after_progress(&qpair, false, per_qpair, polled);
        }
    }
}
