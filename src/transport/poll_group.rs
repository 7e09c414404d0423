//! Qpairs that one thread polls together.
//!
//! The members share one completion queue for each device. A poll of this layer costs what happened: the
//! completions say which qpairs to look after, CM events of live members come through one epoll descriptor, and only
//! members that connect or drain are visited each time.
//!
//! Joining and leaving carry no transport work (T46): what a member needs of the group it acquires when it connects,
//! and holds by itself until its release (T43, I16).

use super::{Error, group_core::GroupCore, qpair::Qpair};
use crate::clock::{self, Moment};
use std::{cell::Cell, rc::Rc, time::Duration};

/// How often the event channels of live members are looked at.
const EVENT_INTERVAL: Duration = Duration::from_millis(1);

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
        Ok(Rc::new(Self {
            core: GroupCore::new()?,
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
        for _ in 0..self.core.lanes().asking() {
            let Some(owner) = self.core.lanes().next_asking() else { break };
            if let Some(qpair) = self.core.lanes().qpair(owner) {
                self.look_after(&qpair, per_qpair, now, &mut polled);
            }
        }
        if now.has_reached(self.next_events.get()) {
            self.next_events.set(now.after(EVENT_INTERVAL));
            self.read_events(per_qpair, now, &mut polled);
        }
        if self.core.has_busy() {
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
        let owners = self.core.owners_with_events().unwrap_or_else(|error| {
            tracing::error!("waiting for CM events of a poll group: {error}");
            Vec::new()
        });
        for qpair in owners.into_iter().filter_map(|owner| self.core.lanes().qpair(owner)) {
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
