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
        self.set_watches(self.watches.get() || qpair.transport().is_watched());
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

    /// Polls all members: first `disconnected` for each whose connection is over and released, then at most `per_qpair` callbacks of
    /// each (0: 128). The former repeats at each poll until the member is connected again, removed or freed, each of which the
    /// callback may do (I22). An error says that a member was found to have lost its connection, unless a completion told that, or that a
    /// completion queue cannot be polled; all others were polled nevertheless (T53).
    pub fn process_completions(
        &self,
        per_qpair: u32,
        disconnected: &dyn Fn(&Rc<IoQpair>),
    ) -> Result<u64, Error> {
        let polled = if self.has_unusual() {
            self.poll_unusual(per_qpair, disconnected)
        } else {
            self.poll(per_qpair)
        };
        Self::result(polled)
    }

    /// Polls look for commands that are late, or need not.
    fn set_watches(&self, watches: bool) {
        if self.watches.replace(watches) != watches {
            self.group.count_unusual(watches);
        }
    }

    /// Whether members connect, end, have ended, or are watched: then a poll is [`PollGroup::process_completions`], and not [`PollGroup::poll`].
    #[inline(always)]
    pub(crate) fn has_unusual(&self) -> bool {
        self.group.has_unusual()
    }

    /// As [`PollGroup::process_completions`], where nothing is unusual. [`PollGroup::result`] says what a poll returns that was no plain one.
    #[inline(always)]
    pub(crate) fn poll(&self, per_qpair: u32) -> transport::Polled {
        let changes = changes();
        if changes != self.changes.get() {
            return self.poll_changed(changes, per_qpair);
        }
        self.group.process_completions(per_qpair)
    }

    /// A poll that finds what has changed, which may have cost members their connections.
    #[cold]
    #[inline(never)]
    fn poll_changed(&self, changes: u32, per_qpair: u32) -> transport::Polled {
        let lost = self.notice_changes(changes);
        let polled = self.poll(per_qpair);
        if self.watches.get() {
            self.tell_late();
        }
        if lost { transport::Polled::failed().and(polled) } else { polled }
    }

    #[cold]
    #[inline(never)]
    fn poll_unusual(&self, per_qpair: u32, disconnected: &dyn Fn(&Rc<IoQpair>)) -> transport::Polled {
        // Members may have more callbacks due than that.
        let per_qpair = if per_qpair == 0 { 128 } else { per_qpair };
        let ending = self.group.see_to_ending(per_qpair);
        self.tell_of_ended(disconnected);
        let polled = self.poll(per_qpair);
        if self.watches.get() {
            self.tell_late();
        }
        ending.and(polled).and(self.group.see_to_busy(per_qpair))
    }

    /// What a poll returns.
    pub(crate) fn result(polled: transport::Polled) -> Result<u64, Error> {
        match polled {
            polled if polled.has_failed() => Err(transport::Error::NotConnected.into()),
            polled if polled.is_broken() => {
                Err(transport::Error::Verbs(verbs::Error::new("ibv_poll_cq", libc::EIO)).into())
            }
            polled => Ok(polled.callbacks()),
        }
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

    /// Something of a controller has changed since the last look: perhaps of that of a member. Whether one lost its connection by that.
    #[cold]
    #[inline(never)]
    fn notice_changes(&self, changes: u32) -> bool {
        self.changes.set(changes);
        let noticed = |qpair: &Rc<IoQpair>| {
            let was_connected = qpair.is_connected();
            qpair.notice_changes();
            was_connected && !qpair.is_connected()
        };
        let lost = self.members.with(|members| members.iter().filter(|qpair| noticed(qpair)).count());
        self.set_watches(
            self.members.with(|members| members.iter().any(|qpair| qpair.transport().is_watched())),
        );
        lost > 0
    }
}
