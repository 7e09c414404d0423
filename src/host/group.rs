//! Poll groups of I/O qpairs.

use super::{Error, IoQpair};
use crate::transport;
use std::{
    cell::Cell,
    rc::{Rc, Weak},
};

/// Qpairs, also of several controllers, that one thread polls together.
pub struct PollGroup {
    me: Weak<PollGroup>,
    group: Rc<transport::PollGroup>,
    members: Cell<Vec<Rc<IoQpair>>>,
}

impl PollGroup {
    /// A group with no members. Fails if the process has no more file descriptors.
    pub fn new() -> Result<Rc<Self>, Error> {
        let group = transport::PollGroup::new()?;
        Ok(Rc::new_cyclic(|me| Self { me: me.clone(), group, members: Cell::default() }))
    }

    /// Adds a qpair that is not connected and in no group.
    pub fn add(&self, qpair: &Rc<IoQpair>) -> Result<(), Error> {
        let mut members = self.members.take();
        let result = match members.try_reserve(1) {
            Ok(()) => self.group.add(qpair.transport()).map_err(Error::from),
            Err(_) => Err(Error::NoMemory),
        };
        if result.is_ok() {
            qpair.set_group(self.me.clone());
            members.push(qpair.clone());
        }
        self.members.set(members);
        result
    }

    /// Removes a member that is not connected; otherwise nothing changes.
    pub fn remove(&self, qpair: &IoQpair) -> Result<(), Error> {
        self.group.remove(qpair.transport())?;
        qpair.set_group(Weak::new());
        let mut members = self.members.take();
        let place = members.iter().position(|member| std::ptr::eq(Rc::as_ptr(member), qpair));
        let member = place.map(|place| members.remove(place));
        self.members.set(members);
        drop(member);
        Ok(())
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
        self.notice_failed_controllers();
        let polled = self.group.process_completions(per_qpair);
        let members = self.members.take();
        let ended: Vec<Rc<IoQpair>> = members.iter().filter(|qpair| qpair.has_ended()).cloned().collect();
        self.members.set(members);
        for qpair in ended {
            // One that is being freed may still be a member, if this is a poll in one of its abort callbacks.
            if self.has(&qpair) && qpair.has_ended() && !qpair.is_freed() {
                disconnected(&qpair);
            }
        }
        if polled.failed { Err(transport::Error::NotConnected.into()) } else { Ok(polled.completions) }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Ends the group; refused while it has members.
    pub fn destroy(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(transport::Error::GroupBusy.into()) }
    }

    fn has(&self, qpair: &Rc<IoQpair>) -> bool {
        let members = self.members.take();
        let has = members.iter().any(|member| Rc::ptr_eq(member, qpair));
        self.members.set(members);
        has
    }

    fn notice_failed_controllers(&self) {
        let members = self.members.take();
        members.iter().for_each(|qpair| qpair.notice_failed_controller());
        self.members.set(members);
    }
}
