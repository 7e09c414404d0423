//! Poll groups of I/O qpairs.

use super::{Error, IoQpair, Standing, shared::changes};
use crate::transport::{self, DeviceStatistics};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
};

/// Qpairs, also of several controllers, that one thread polls together. It lies where its owner has it, so that a poll goes no
/// further than it must.
pub struct PollGroup {
    group: transport::PollGroup,
    /// Changes of controllers that were noticed.
    changes: Cell<u32>,
    /// Members may be watched.
    watches: Cell<bool>,
    /// It has, or had, a member.
    used: Cell<bool>,
    members: Rc<Members>,
}

/// The members of a poll group.
pub(super) struct Members {
    group: Rc<transport::Members>,
    all: Cell<Vec<Rc<IoQpair>>>,
}

impl Members {
    fn add(self: &Rc<Self>, qpair: &Rc<IoQpair>) -> Result<(), Error> {
        let mut members = self.all.take();
        let result = match members.try_reserve(1) {
            Ok(()) => self.group.add(qpair.transport()).map_err(Error::from),
            Err(_) => Err(Error::NoMemory),
        };
        if result.is_ok() {
            qpair.set_group(Rc::downgrade(self), members.len());
            members.push(qpair.clone());
        }
        self.all.set(members);
        result
    }

    /// Removes a member that is not connected; otherwise nothing changes.
    pub(super) fn remove(&self, qpair: &IoQpair) -> Result<(), Error> {
        self.group.remove(qpair.transport())?;
        let mut members = self.all.take();
        // The last one takes its place, as in the transport's group.
        let place = qpair.place();
        qpair.set_group(Weak::new(), 0);
        let is_member = members.get(place).is_some_and(|member| std::ptr::eq(Rc::as_ptr(member), qpair));
        let member = is_member.then(|| members.swap_remove(place));
        if let Some(moved) = members.get(place).filter(|_| member.is_some()) {
            moved.set_place(place);
        }
        self.all.set(members);
        drop(member);
        Ok(())
    }

    fn has(&self, qpair: &Rc<IoQpair>) -> bool {
        self.with(|members| members.get(qpair.place()).is_some_and(|member| Rc::ptr_eq(member, qpair)))
    }

    /// Runs `look` on the list, out of its cell. It must not call the layer above.
    fn with<T>(&self, look: impl FnOnce(&[Rc<IoQpair>]) -> T) -> T {
        let members = self.all.take();
        let result = look(&members);
        self.all.set(members);
        result
    }
}

impl PollGroup {
    /// A group with no members. Fails if the process has no more file descriptors.
    pub fn new() -> Result<Self, Error> {
        let group = transport::PollGroup::new()?;
        let members = Rc::new(Members { group: group.members().clone(), all: Cell::default() });
        Ok(Self {
            group,
            changes: Cell::new(changes()),
            watches: Cell::new(false),
            used: Cell::new(false),
            members,
        })
    }

    /// Adds a qpair that is not connected and in no group.
    pub fn add(&self, qpair: &Rc<IoQpair>) -> Result<(), Error> {
        self.members.add(qpair)?;
        self.used.set(true);
        qpair.notice_changes();
        self.watches.set(self.watches.get() || qpair.transport().is_watched());
        Ok(())
    }

    /// Runs `look` on the list of members, out of its cell. It must not call the layer above.
    pub(super) fn members<T>(&self, look: impl FnOnce(&[Rc<IoQpair>]) -> T) -> T {
        self.members.with(look)
    }

    /// Removes a member that is not connected; otherwise nothing changes.
    pub fn remove(&self, qpair: &IoQpair) -> Result<(), Error> {
        self.members.remove(qpair)
    }

    /// Polls all members: at most `per_qpair` callbacks of each (0: no limit), then `disconnected` for each member
    /// whose connection is over and released. That repeats at each poll until the member is connected again,
    /// removed or freed, each of which the callback may do (I22). An error says that a member lost its connection in
    /// this poll; all others were polled nevertheless (T53).
    pub fn process_completions(
        &self,
        per_qpair: u32,
        disconnected: &dyn Fn(&Rc<IoQpair>),
    ) -> Result<u64, Error> {
        let polled = self.poll(per_qpair);
        self.tell(polled, disconnected)
    }

    /// As [`PollGroup::process_completions`], which leaves [`PollGroup::tell`] to the caller, unless the poll was a plain one.
    #[inline(always)]
    pub(crate) fn poll(&self, per_qpair: u32) -> transport::Polled {
        let changes = changes();
        if changes != self.changes.get() {
            self.notice_changes(changes);
        }
        let polled = self.group.process_completions(per_qpair);
        if self.watches.get() {
            self.tell_late();
        }
        polled
    }

    /// What a poll came to, and `disconnected` for each member whose connection is over and released.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(
        &self,
        polled: transport::Polled,
        disconnected: &dyn Fn(&Rc<IoQpair>),
    ) -> Result<u64, Error> {
        if polled.has_ended() {
            self.tell_of_ended(disconnected);
        }
        if polled.has_failed() { Err(transport::Error::NotConnected.into()) } else { Ok(polled.callbacks()) }
    }

    fn tell_of_ended(&self, disconnected: &dyn Fn(&Rc<IoQpair>)) {
        let ended: Vec<Rc<IoQpair>> =
            self.members.with(|members| members.iter().filter(|qpair| qpair.has_ended()).cloned().collect());
        for qpair in ended {
            // One that is being freed may still be a member, if this is a poll in one of its abort callbacks.
            if self.members.has(&qpair) && qpair.has_ended() && !qpair.is_freed() {
                disconnected(&qpair);
            }
        }
    }

    /// Whether all members are connected; None if one is disconnected, or on its way to that.
    pub fn all_connected(&self) -> Option<bool> {
        self.members(|members| {
            members.iter().try_fold(true, |all, qpair| match qpair.standing() {
                Standing::Connected => Some(all),
                Standing::Connecting => Some(false),
                Standing::Disconnected | Standing::Disconnecting | Standing::Freed => None,
            })
        })
    }

    /// What was counted on each device that members are connected over. None if there never was a member.
    pub fn statistics(&self) -> Result<Option<Vec<DeviceStatistics>>, Error> {
        if self.used.get() { Ok(Some(self.group.statistics()?)) } else { Ok(None) }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.group.is_empty()
    }

    /// Ends the group; refused while it has members.
    pub fn destroy(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(transport::Error::GroupBusy.into()) }
    }

    /// Something of a controller has changed since the last look: perhaps of that of a member.
    #[cold]
    #[inline(never)]
    fn notice_changes(&self, changes: u32) {
        self.changes.set(changes);
        self.members.with(|members| members.iter().for_each(|qpair| qpair.notice_changes()));
        self.watches
            .set(self.members.with(|members| members.iter().any(|qpair| qpair.transport().is_watched())));
    }
}
