//! Qpairs that one thread polls together.
//!
//! The members share one completion queue for each device. A poll of this layer costs what happened: the
//! completions say which members to look after, CM events of live members come through one epoll descriptor, and only
//! members that connect or drain are visited each time. An idle member costs nothing.
//!
//! Joining and leaving carry no transport work (T46): what a member needs of the group it acquires when it connects,
//! and holds by itself until its release (T43, I16).

use super::{
    Error,
    group_core::GroupCore,
    poller::said,
    qpair::{Loss, Qpair},
    statistics::DeviceStatistics,
    wire::Wire,
};
use crate::clock::{self, Moment};
use std::{cell::Cell, rc::Rc, time::Duration};

/// How often the event channels of live members are looked at.
const EVENT_INTERVAL: Duration = Duration::from_millis(1);

/// A poll group, used by one thread at a time. It lies where its owner has it, so that a poll goes no further than it must.
pub struct PollGroup {
    core: Rc<GroupCore>,
    next_events: Cell<Moment>,
    /// Polls with completions until one looks at the clock.
    busy_polls: Cell<u8>,
    /// A member may have more callbacks that are due than one poll runs.
    crowded: Cell<bool>,
    members: Rc<Members>,
}

/// The members of a poll group.
pub struct Members {
    core: Rc<GroupCore>,
    all: Cell<Vec<Rc<Qpair>>>,
}

/// What a poll of a group came to, in one word: the callbacks that ran, and two bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polled(u64);

impl Polled {
    const FAILED: u64 = 1 << 63;
    const BROKEN: u64 = 1 << 62;

    fn new(callbacks: u32, loss: Loss) -> Self {
        let bits = match loss {
            Loss::Told => Self::FAILED,
            Loss::Queue => Self::BROKEN,
            Loss::None | Loss::Completion => 0,
        };
        Self(u64::from(callbacks) | bits)
    }

    /// Of two parts of a poll.
    #[inline(always)]
    pub(crate) fn and(self, other: Self) -> Self {
        let bits = (self.0 | other.0) & (Self::FAILED | Self::BROKEN);
        Self((self.callbacks() + other.callbacks()) | bits)
    }

    /// Of a poll before which members were found to have lost their connections.
    pub(crate) fn failed() -> Self {
        Self(Self::FAILED)
    }

    /// Whether there is nothing but callbacks to tell of.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.0 < Self::BROKEN
    }

    /// Callbacks that ran.
    #[inline(always)]
    pub fn callbacks(self) -> u64 {
        self.0 & !(Self::FAILED | Self::BROKEN)
    }

    /// Whether a member was found in this poll to have lost its connection, otherwise than by a completion.
    pub fn has_failed(self) -> bool {
        self.0 & Self::FAILED != 0
    }

    /// Whether a completion queue could not be polled.
    pub fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }
}

impl Members {
    /// Adds a qpair that is at rest and in no group.
    pub fn add(&self, qpair: &Rc<Qpair>) -> Result<(), Error> {
        let mut members = self.all.take();
        let result =
            members.try_reserve(1).map_err(|_| Error::NoMemory).and_then(|()| qpair.join(&self.core));
        if result.is_ok() {
            qpair.set_place(members.len());
            members.push(qpair.clone());
        }
        self.all.set(members);
        result
    }

    /// Removes a member that is at rest; otherwise nothing changes (T45).
    pub fn remove(&self, qpair: &Rc<Qpair>) -> Result<(), Error> {
        let mut members = self.all.take();
        let place = qpair.place();
        let is_member = members.get(place).is_some_and(|member| Rc::ptr_eq(member, qpair));
        let result = if is_member { qpair.leave() } else { Err(Error::WrongGroup) };
        // The last one takes its place, so that one of many goes as fast as one of few.
        let gone = result.is_ok().then(|| members.swap_remove(place));
        if let Some(moved) = members.get(place).filter(|_| gone.is_some()) {
            moved.set_place(place);
        }
        self.all.set(members);
        drop(gone);
        result
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let members = self.all.take();
        let empty = members.is_empty();
        self.all.set(members);
        empty
    }

    /// Those that are on their way to their end, or at it with callbacks that are due; or else those that connect, or hold requests back. Held
    /// by shares, since their callbacks may change the list.
    fn busy(&self, ending: bool) -> Vec<Rc<Qpair>> {
        let members = self.all.take();
        let is_ending = |qpair: &Qpair| qpair.is_draining() || qpair.is_at_rest();
        let is_meant = |qpair: &&Rc<Qpair>| qpair.is_busy() && is_ending(qpair) == ending;
        let busy = members.iter().filter(is_meant).cloned().collect();
        self.all.set(members);
        busy
    }
}

impl PollGroup {
    /// A group with no members.
    pub fn new() -> Result<Self, Error> {
        let core = GroupCore::new()?;
        let members = Rc::new(Members { core: core.clone(), all: Cell::default() });
        Ok(Self {
            core,
            next_events: Cell::new(Moment::START),
            busy_polls: Cell::new(0),
            crowded: Cell::new(false),
            members,
        })
    }

    /// The members.
    pub fn members(&self) -> &Rc<Members> {
        &self.members
    }

    /// What was counted on each device that members are connected over.
    pub fn statistics(&self) -> Result<Vec<DeviceStatistics>, Error> {
        self.core.lanes().statistics()
    }

    /// Whether members connect, drain, hold requests back, or have ended: then a poll begins with [`PollGroup::see_to_ending`] and
    /// ends with [`PollGroup::see_to_busy`]. Or whether the layer above [has something to see to](PollGroup::count_unusual).
    #[inline(always)]
    pub fn has_unusual(&self) -> bool {
        self.core.has_unusual()
    }

    /// There is one thing more, or less, that the layer above has to see to in polls.
    pub fn count_unusual(&self, more: bool) {
        self.core.count_unusual(more);
    }

    /// One poll of all members: at most `per_qpair` callbacks of each (0: 128), aborted requests apart.
    /// Callbacks may do anything, also poll this group again or free any member.
    #[inline(always)]
    pub fn process_completions(&self, per_qpair: u32) -> Polled {
        // What is not said becomes the largest one, until there are many completions.
        let mut limit = per_qpair.wrapping_sub(1);
        let lanes = self.core.lanes();
        // Those who ask from here on, unless a completion does it for them, wait for the next poll.
        lanes.begin_poll();
        let recent = lanes.recent();
        let found = lanes.account(recent.as_deref(), &mut limit);
        let mut polled = Polled::default();
        if let Some(wire) = recent {
            wire.refill();
            if wire.is_faulty() || !wire.is_live() {
                polled = self.look_after_retired(&wire, limit);
            } else {
                polled.0 = u64::from(wire.deliver_up_to(limit));
                if wire.has_pending_sends() || wire.slots.is_unsettled() {
                    self.after_callbacks(&wire);
                }
            }
        }
        if lanes.has_asking() {
            polled = polled.and(self.look_after_asking(limit, polled.callbacks() == 0));
        }
        let (left, none) = self.busy_polls.get().overflowing_sub(1);
        self.busy_polls.set(left);
        if found == 0 || none {
            polled = polled.and(self.look_for_events(limit));
        }
        polled
    }

    /// Looks after those who ask. One of them becomes the recent one, if there is none, or `instead` of the one that there is.
    #[inline(never)]
    fn look_after_asking(&self, limit: u32, instead: bool) -> Polled {
        let lanes = self.core.lanes();
        let (mut polled, mut instead) = (Polled::default(), instead);
        while let Some(wire) = lanes.next_asking() {
            wire.refill();
            if wire.is_faulty() || !wire.is_live() {
                polled = polled.and(self.look_after(&wire, limit));
                continue;
            }
            lanes.offer(&wire, std::mem::take(&mut instead));
            if wire.slots.has_several_finished() {
                wire.ask(); // a poll in the first one's callback finds the others (T50)
            }
            polled.0 += u64::from(wire.deliver_up_to(limit));
            if wire.has_pending_sends() || wire.slots.is_unsettled() {
                self.after_callbacks(&wire);
            }
        }
        polled
    }

    /// The recent one is none any more: it has a fault, or is not live.
    #[cold]
    #[inline(never)]
    fn look_after_retired(&self, wire: &Rc<Wire>, limit: u32) -> Polled {
        self.core.lanes().retire(wire);
        self.look_after(wire, limit)
    }

    /// A member that has a fault, or is not live: connecting, draining, or come to rest just now.
    #[cold]
    #[inline(never)]
    fn look_after(&self, wire: &Rc<Wire>, limit: u32) -> Polled {
        let Some(qpair) = wire.qpair() else { return Polled::default() };
        let loss = qpair.progress_without_look(clock::now());
        self.after_progress(&qpair, loss, limit)
    }

    /// What callbacks left: sends that were put off, requests that wait, or callbacks beyond the limit. One that ended the
    /// connection left nothing: such a member is among the busy ones, or at rest with nothing due.
    #[inline(never)]
    fn after_callbacks(&self, wire: &Rc<Wire>) {
        if !wire.slots.is_unsettled() {
            if !wire.post_sends() {
                wire.ask(); // no completion may ever lead the qpair to its fault
            }
        } else if let Some(qpair) = wire.qpair() {
            qpair.flush();
            if qpair.has_finished() {
                wire.ask();
                self.crowd();
            }
        }
    }

    /// A member has more callbacks that are due: the next poll is to begin as one where something is unusual, which knows their limit.
    fn crowd(&self) {
        if !self.crowded.replace(true) {
            self.core.count_unusual(true);
        }
    }

    /// Delivers and flushes. A member that came to rest is not visited again, so whatever was aborted is told now,
    /// whatever the budget.
    fn after_progress(&self, qpair: &Qpair, loss: Loss, limit: u32) -> Polled {
        let at_rest = qpair.is_at_rest();
        let limit = if at_rest { u32::MAX } else { limit };
        let callbacks = qpair.wire().deliver_up_to(limit);
        qpair.flush();
        if qpair.has_finished() {
            qpair.wire().ask();
            self.crowd();
        }
        if at_rest {
            qpair.sum_up_failures();
            qpair.count_busy();
        }
        Polled::new(callbacks, loss)
    }

    #[inline(never)]
    fn look_for_events(&self, limit: u32) -> Polled {
        let now = clock::now();
        if !now.has_reached(self.next_events.get()) {
            return Polled::default();
        }
        self.next_events.set(now.after(EVENT_INTERVAL));
        self.read_events(limit, now)
    }

    #[cold]
    fn read_events(&self, limit: u32, now: Moment) -> Polled {
        let owners = self.core.owners_with_events().unwrap_or_else(|error| {
            tracing::error!("waiting for CM events of a poll group: {error}");
            Vec::new()
        });
        let mut polled = Polled::default();
        for qpair in owners.into_iter().filter_map(|owner| self.core.lanes().qpair(owner)) {
            let loss = qpair.look_for_events(now);
            polled = polled.and(self.after_progress(&qpair, loss, limit));
        }
        polled
    }

    /// The beginning of a poll where there is something [unusual](PollGroup::has_unusual): goes on with members that are on their way to
    /// their end, and runs the callbacks of those that are there.
    #[cold]
    #[inline(never)]
    pub fn see_to_ending(&self, per_qpair: u32) -> Polled {
        let mut limit = said(per_qpair.wrapping_sub(1));
        if self.crowded.replace(false) {
            self.core.count_unusual(false);
        }
        let lanes = self.core.lanes();
        // What was heard comes before any deadline. Whoever it is for is looked after in the poll that follows.
        lanes.begin_poll();
        let recent = lanes.recent();
        lanes.account(recent.as_deref(), &mut limit);
        let now = clock::now();
        // What was held back for long enough is told of in that poll, too.
        for qpair in self.members.busy(false).iter().filter(|qpair| qpair.is_connected()) {
            qpair.finish_held(now);
            if qpair.has_finished() {
                qpair.wire().ask();
            }
        }
        let mut polled = Polled::default();
        for qpair in self.members.busy(true) {
            qpair.progress(now);
            polled = polled.and(self.after_progress(&qpair, Loss::None, limit));
        }
        polled
    }

    /// The end of a poll where there is something unusual: visits members that connect, or hold requests back.
    #[cold]
    #[inline(never)]
    pub fn see_to_busy(&self, per_qpair: u32) -> Polled {
        let limit = said(per_qpair.wrapping_sub(1));
        let now = clock::now();
        let mut polled = Polled::default();
        for qpair in self.members.busy(false) {
            let was_live = qpair.is_connected();
            let loss = qpair.progress(now);
            if was_live && qpair.is_connected() {
                // It has had its callbacks in this poll.
                if qpair.has_finished() {
                    qpair.wire().ask();
                }
                continue;
            }
            polled = polled.and(self.after_progress(&qpair, loss, limit));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_poll_add_up() {
        let broken = Polled::new(1, Loss::Queue);
        let failed = Polled::new(2, Loss::Told);
        for (left, right) in [(failed, broken), (broken, failed), (failed, failed.and(broken))] {
            let both = left.and(right);
            assert_eq!(both.callbacks(), left.callbacks() + right.callbacks());
            assert!(both.has_failed() && both.is_broken(), "{both:?}");
        }
        let twice = failed.and(failed);
        assert_eq!((twice.callbacks(), twice.has_failed(), twice.is_broken()), (4, true, false));
        let plain = Polled::new(3, Loss::None).and(Polled::new(4, Loss::Completion));
        assert_eq!((plain.callbacks(), plain.is_plain()), (7, true));
        assert!(Polled::default().is_plain() && Polled::failed().has_failed());
        assert!(!failed.is_plain() && !broken.is_plain() && !plain.and(broken).is_plain());
    }
}
