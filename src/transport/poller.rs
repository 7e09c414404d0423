//! Completion queues and the table of who their completions belong to.
//!
//! A [`Poller`] is one completion queue on one device. A qpair of its own has a poller of its own; the qpairs of a
//! poll group share one for each device. [`Lanes`] is the table that turns a token's owner into the wire it belongs
//! to; the pollers of a group share one table. Accounting calls nobody, so it may run at any depth of callbacks.
//!
//! Invariants: a poller lives exactly as long as connections hold a [`PollerShare`] of it (T55, I16); capacity that
//! a share reserved goes back with it (T56); a share goes back only after the queue was polled empty once since
//! its queue pair's end, so no completion of that queue pair is left behind (T02, T04).

use super::{
    Error,
    device::DeviceShare,
    qpair::Qpair,
    token::{Owner, Token},
    wire::{BATCH, Fault, Wire},
};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
    sync::Arc,
};
use verbs::{CompletionQueue, WorkCompletion};

/// The owners of work requests, by index, and those of them that are to be looked after.
pub(super) struct Lanes {
    entries: Cell<Vec<Lane>>,
    /// Who asked for attention: in the poll that goes on, and from then on.
    asking: [Cell<Option<Rc<Wire>>>; 2],
    /// Somebody reads who asks: they are those of a group.
    grouped: bool,
}

/// A place in the table. `key` is that of its owner's tokens.
struct Lane {
    owner: Owner,
    key: u64,
    occupant: Option<Occupant>,
}

struct Occupant {
    wire: Rc<Wire>,
    qpair: Weak<Qpair>,
    /// Which of the table's queues its completions come from.
    queue: usize,
}

impl Lane {
    fn new(owner: Owner) -> Self {
        Self { owner, key: owner.key(), occupant: None }
    }
}

impl Lanes {
    /// The lanes of a poll group, or of a qpair alone.
    pub(super) fn new(grouped: bool) -> Rc<Self> {
        Rc::new(Self { entries: Cell::default(), asking: Default::default(), grouped })
    }

    /// Makes a place for a wire, which `open` opens for its owner.
    fn enter<T>(
        &self,
        qpair: &Weak<Qpair>,
        wire: &Rc<Wire>,
        queue: usize,
        open: impl FnOnce(Owner) -> Result<T, Error>,
    ) -> Result<(Owner, T), Error> {
        let mut entries = self.entries.take();
        let result = enter(&mut entries, qpair, wire, queue, open);
        self.entries.set(entries);
        result
    }

    fn leave(&self, owner: Owner) {
        let mut entries = self.entries.take();
        let occupant =
            entries.get_mut(owner.index as usize).filter(|lane| lane.owner == owner).and_then(|lane| {
                let next = Lane::new(lane.owner.successor());
                std::mem::replace(lane, next).occupant
            });
        self.entries.set(entries);
        if let Some(Occupant { wire, .. }) = occupant {
            self.asking.iter().for_each(|list| wire.leave_asking(list));
        }
    }

    /// Asks for the qpair of `wire` to be looked after at the next poll.
    #[inline(always)]
    pub(super) fn mark(&self, wire: &Rc<Wire>) {
        let [_, later] = &self.asking;
        if self.grouped {
            wire.push_asking(later);
        }
    }

    /// A poll begins: who asked until now is looked after in it, those apart that ask again.
    #[inline(always)]
    pub(super) fn begin_poll(&self) {
        let [now, later] = &self.asking;
        match now.take() {
            None => std::mem::forget(now.replace(later.take())),
            left => self.begin_inner_poll(left),
        }
    }

    /// A poll begins inside of a callback of another: it finds, too, whom the outer one did not come to yet (T50).
    #[cold]
    #[inline(never)]
    fn begin_inner_poll(&self, left: Option<Rc<Wire>>) {
        let [now, later] = &self.asking;
        now.set(left);
        while let Some(wire) = Wire::pop_asking(later) {
            wire.push_asking(now);
        }
    }

    /// Takes one of those who are looked after in this poll off the list.
    #[inline(always)]
    pub(super) fn next_asking(&self) -> Option<Rc<Wire>> {
        let [now, _] = &self.asking;
        Wire::pop_asking(now)
    }

    /// The qpair of `owner`, unless it has left.
    #[inline]
    pub(super) fn qpair(&self, owner: Owner) -> Option<Rc<Qpair>> {
        let entries = self.entries.take();
        let qpair = entries
            .get(owner.index as usize)
            .filter(|lane| lane.owner == owner)
            .and_then(|lane| lane.occupant.as_ref())
            .and_then(|occupant| occupant.qpair.upgrade());
        self.entries.set(entries);
        qpair
    }
}

fn enter<T>(
    entries: &mut Vec<Lane>,
    qpair: &Weak<Qpair>,
    wire: &Rc<Wire>,
    queue: usize,
    open: impl FnOnce(Owner) -> Result<T, Error>,
) -> Result<(Owner, T), Error> {
    let free = entries.iter().position(|lane| lane.occupant.is_none());
    let index = match free {
        Some(index) => index,
        None => {
            let index = entries.len();
            entries.try_reserve(1).map_err(|_| Error::NoMemory)?;
            // Each owner has a file descriptor, of which a process has fewer.
            let number = u32::try_from(index).ok().filter(|number| *number < 1 << Owner::INDEX_BITS);
            let number = number.ok_or(Error::Internal("more owners than a token can tell apart"))?;
            entries.push(Lane::new(Owner::first(number)));
            index
        }
    };
    let lane = entries.get_mut(index).ok_or(Error::Internal("a place outside of its table"))?;
    let opened = open(lane.owner)?;
    lane.occupant = Some(Occupant { wire: wire.clone(), qpair: qpair.clone(), queue });
    Ok((lane.owner, opened))
}

/// A completion queue and what was reserved of it.
pub(super) struct Poller {
    queue: Arc<CompletionQueue>,
    lanes: Rc<Lanes>,
    reserved: Cell<u32>,
    stray: Cell<u64>,
}

impl Poller {
    /// A poller on `device` with room for `entries` completions.
    pub(super) fn new(device: &DeviceShare, lanes: &Rc<Lanes>, entries: u32) -> Result<Rc<Self>, Error> {
        let entries = entries.clamp(1, device.limits().completion_entries.max(1));
        Ok(Rc::new(Self {
            queue: CompletionQueue::new(device.device(), entries)?,
            lanes: lanes.clone(),
            reserved: Cell::new(0),
            stray: Cell::new(0),
        }))
    }

    pub(super) fn queue(&self) -> &Arc<CompletionQueue> {
        &self.queue
    }

    /// Tells the queue apart from the others of the same table, which are on other devices.
    fn key(&self) -> usize {
        Arc::as_ptr(&self.queue).addr()
    }

    /// Whether `entries` more completions find room, growing the queue if need be. Some devices cannot grow one.
    pub(super) fn has_room_for(&self, entries: u32) -> bool {
        let Some(needed) = self.reserved.get().checked_add(entries) else { return false };
        needed <= self.queue.capacity() || self.queue.resize(needed).is_ok()
    }

    /// Reserves room for `entries` completions, growing the queue if need be, and enters the wire, which `open` opens, in the
    /// table. A failure leaves everything as it was (T57).
    pub(super) fn share<T>(
        self: &Rc<Self>,
        entries: u32,
        qpair: &Weak<Qpair>,
        wire: &Rc<Wire>,
        open: impl FnOnce(Owner) -> Result<T, Error>,
    ) -> Result<(PollerShare, T), Error> {
        let full = Error::Internal("a completion queue of more than 2^32 entries");
        let needed = self.reserved.get().checked_add(entries).ok_or(full)?;
        if needed > self.queue.capacity() {
            self.queue.resize(needed)?;
        }
        let (owner, opened) = self.lanes.enter(qpair, wire, self.key(), open)?;
        self.reserved.set(needed);
        Ok((PollerShare { poller: self.clone(), owner, entries }, opened))
    }

    /// Accounts for completions that the queue holds, a batch at most. Returns how many there were. A queue that
    /// cannot be polled any more fails every wire that waits for it (T15).
    #[inline]
    pub(super) fn account(&self) -> usize {
        let entries = self.lanes.entries.take();
        let found = self.queue.poll_each::<BATCH>(|batch| self.account_batch(&entries, batch));
        // What is replaced is the empty one from above, which owns nothing.
        std::mem::forget(self.lanes.entries.replace(entries));
        found.unwrap_or_else(|error| self.fail_all(error))
    }

    /// Hands each completion to the wire that its token names. Completions come in rows of one owner, so an owner is
    /// looked up, and marked, once for a row.
    #[inline(always)]
    fn account_batch(&self, entries: &[Lane], batch: &[WorkCompletion]) {
        let mut rest = batch.iter();
        let mut next = rest.next();
        while let Some(first) = next {
            let key = Token::from_raw(first.work_request_id()).key();
            let Some(wire) = self.begin_row(entries, first) else {
                next = rest.next();
                continue;
            };
            while let Some(completion) = next {
                let token = Token::from_raw(completion.work_request_id());
                if token.key() != key {
                    break;
                }
                wire.account(token, completion);
                next = rest.next();
            }
        }
    }

    /// The wire that a completion belongs to, marked; None, and counted, if it has left, or was never one.
    #[inline(always)]
    fn begin_row<'a>(&self, entries: &'a [Lane], completion: &WorkCompletion) -> Option<&'a Wire> {
        let token = Token::from_raw(completion.work_request_id());
        let lane = entries.get(token.index()).filter(|lane| lane.key == token.key());
        let Some(occupant) = lane.and_then(|lane| lane.occupant.as_ref()) else {
            self.stray.set(self.stray.get() + 1);
            return None;
        };
        self.lanes.mark(&occupant.wire);
        Some(&occupant.wire)
    }

    #[cold]
    fn fail_all(&self, error: verbs::Error) -> usize {
        let entries = self.lanes.entries.take();
        for lane in &entries {
            // The other devices of a group are none the worse for it (T53).
            if let Some(occupant) = lane.occupant.as_ref().filter(|occupant| occupant.queue == self.key()) {
                occupant.wire.set_fault(Fault::Poll(error.errno));
                self.lanes.mark(&occupant.wire);
            }
        }
        self.lanes.entries.set(entries);
        0
    }

    /// Accounts until the queue was seen empty, for as many rounds as it could hold completions.
    pub(super) fn account_until_empty(&self) {
        let rounds = self.queue.capacity() as usize / BATCH + 1;
        for _ in 0..rounds {
            if self.account() == 0 {
                return;
            }
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if self.stray.get() > 0 {
            tracing::debug!("completion queue closed; {} of its completions had no owner", self.stray.get());
        }
    }
}

/// A connection's hold on its poller: a place in the table, and room in the queue.
pub(super) struct PollerShare {
    poller: Rc<Poller>,
    owner: Owner,
    entries: u32,
}

impl PollerShare {
    pub(super) fn poller(&self) -> &Rc<Poller> {
        &self.poller
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// Nothing that still comes of the owner's work requests is taken account of: their slots may be in use again.
    /// For a share that is kept for good.
    pub(super) fn disown(&self) {
        self.poller.lanes.leave(self.owner);
    }

    /// Asks for the owner to be looked after at the next poll.
    #[inline]
    pub(super) fn mark(&self, wire: &Rc<Wire>) {
        self.poller.lanes.mark(wire);
    }
}

impl Drop for PollerShare {
    fn drop(&mut self) {
        self.poller.account_until_empty();
        self.poller.lanes.leave(self.owner);
        self.poller.reserved.set(self.poller.reserved.get().saturating_sub(self.entries));
    }
}

#[cfg(test)]
mod tests;
