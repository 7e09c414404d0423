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
    token::{Kind, Owner, Token},
    wire::{Fault, Wire},
};
use std::{
    cell::Cell,
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
};
use verbs::{CompletionQueue, WorkCompletion};

/// Completions that are taken off a queue at a time.
const BATCH: usize = 32;

/// The owners of work requests, by index.
pub(super) struct Lanes {
    entries: Cell<Vec<Lane>>,
    attention: Cell<VecDeque<Owner>>,
}

/// A place in the table. `token` is one of its owner, to compare with.
struct Lane {
    owner: Owner,
    token: Token,
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
        Self { owner, token: Token::new(Kind::Send, owner, 0), occupant: None }
    }
}

impl Lanes {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { entries: Cell::default(), attention: Cell::default() })
    }

    /// Makes a place for the wire that `build` makes for it.
    fn enter(
        &self,
        qpair: &Weak<Qpair>,
        queue: usize,
        build: impl FnOnce(Owner) -> Result<Rc<Wire>, Error>,
    ) -> Result<(Owner, Rc<Wire>), Error> {
        let mut entries = self.entries.take();
        let result = enter(&mut entries, qpair, queue, build);
        // Marking an owner must not allocate: it happens for each I/O.
        let mut attention = self.attention.take();
        let room = attention.try_reserve(entries.len().saturating_sub(attention.len()));
        self.attention.set(attention);
        self.entries.set(entries);
        let (owner, wire) = result?;
        if room.is_err() {
            self.leave(owner);
            return Err(Error::NoMemory);
        }
        Ok((owner, wire))
    }

    fn leave(&self, owner: Owner) {
        let mut entries = self.entries.take();
        let occupant =
            entries.get_mut(owner.index as usize).filter(|lane| lane.owner == owner).and_then(|lane| {
                let next = Lane::new(lane.owner.successor());
                std::mem::replace(lane, next).occupant
            });
        self.entries.set(entries);
        drop(occupant);
    }

    /// Asks for the qpair of `owner` to be looked after at the next poll.
    #[inline]
    pub(super) fn mark(&self, owner: Owner, wire: &Wire) {
        if wire.ask_for_attention() {
            let mut attention = self.attention.take();
            attention.push_back(owner);
            self.attention.set(attention);
        }
    }

    /// How many owners ask for attention now.
    #[inline]
    pub(super) fn asking(&self) -> usize {
        let attention = self.attention.take();
        let asking = attention.len();
        self.attention.set(attention);
        asking
    }

    /// Takes who asked for attention first off the list. One at a time, so that a poll inside of a callback finds
    /// those that the outer poll did not come to yet (T50).
    #[inline]
    pub(super) fn next_asking(&self) -> Option<Owner> {
        let mut attention = self.attention.take();
        let owner = attention.pop_front();
        self.attention.set(attention);
        owner
    }

    /// Forgets who asked for attention.
    #[inline]
    pub(super) fn clear_attention(&self) {
        let mut attention = self.attention.take();
        attention.clear();
        self.attention.set(attention);
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

fn enter(
    entries: &mut Vec<Lane>,
    qpair: &Weak<Qpair>,
    queue: usize,
    build: impl FnOnce(Owner) -> Result<Rc<Wire>, Error>,
) -> Result<(Owner, Rc<Wire>), Error> {
    let free = entries.iter().position(|lane| lane.occupant.is_none());
    let index = match free {
        Some(index) => index,
        None => {
            let index = entries.len();
            entries.try_reserve(1).map_err(|_| Error::NoMemory)?;
            // Each owner has a file descriptor, of which a process has fewer.
            let number = u32::try_from(index).ok().filter(|number| *number < 1 << Owner::INDEX_BITS);
            let number = number.ok_or(Error::Internal("more owners than a token can tell apart"))?;
            entries.push(Lane::new(Owner { index: number, generation: 0 }));
            index
        }
    };
    let lane = entries.get_mut(index).ok_or(Error::Internal("a place outside of its table"))?;
    let wire = build(lane.owner)?;
    lane.occupant = Some(Occupant { wire: wire.clone(), qpair: qpair.clone(), queue });
    Ok((lane.owner, wire))
}

/// A completion queue and what was reserved of it.
pub(super) struct Poller {
    queue: Arc<CompletionQueue>,
    lanes: Rc<Lanes>,
    reserved: Cell<u32>,
    batch: Cell<Box<[WorkCompletion]>>,
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
            batch: Cell::new((0..BATCH).map(|_| WorkCompletion::empty()).collect()),
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

    /// Reserves room for `entries` completions, growing the queue if need be, and enters the wire that `build`
    /// makes in the table. A failure leaves everything as it was (T57).
    pub(super) fn share(
        self: &Rc<Self>,
        entries: u32,
        qpair: &Weak<Qpair>,
        build: impl FnOnce(Owner) -> Result<Rc<Wire>, Error>,
    ) -> Result<(PollerShare, Rc<Wire>), Error> {
        let full = Error::Internal("a completion queue of more than 2^32 entries");
        let needed = self.reserved.get().checked_add(entries).ok_or(full)?;
        if needed > self.queue.capacity() {
            self.queue.resize(needed)?;
        }
        let (owner, wire) = self.lanes.enter(qpair, self.key(), build)?;
        self.reserved.set(needed);
        Ok((PollerShare { poller: self.clone(), owner, entries }, wire))
    }

    /// Accounts for completions that the queue holds, a batch at most. Returns how many there were. A queue that
    /// cannot be polled any more fails every wire that waits for it (T15).
    #[inline]
    pub(super) fn account(&self) -> usize {
        let mut batch = self.batch.take();
        let found = self.queue.poll(&mut batch);
        let count = match &found {
            Ok(count) => *count,
            Err(_) => 0,
        };
        if count > 0 {
            let entries = self.lanes.entries.take();
            self.account_batch(&entries, batch.get(..count).unwrap_or_default());
            self.lanes.entries.set(entries);
        }
        self.batch.set(batch);
        if let Err(error) = found {
            self.fail_all(error);
        }
        count
    }

    /// Hands each completion to the wire that its token names. Completions come in rows of one owner, so an owner is
    /// looked up, and marked, once for a row.
    #[inline]
    fn account_batch(&self, entries: &[Lane], batch: &[WorkCompletion]) {
        let mut row: Option<(Token, &Wire)> = None;
        for completion in batch {
            let token = Token::from_raw(completion.work_request_id());
            let wire = match row {
                Some((owner, wire)) if owner.has_owner_of(token) => wire,
                _ => match self.begin_row(entries, token) {
                    Some(wire) => {
                        row = Some((token, wire));
                        wire
                    }
                    None => continue,
                },
            };
            match token.kind() {
                Some(kind) => wire.account(kind, token.slot(), completion),
                None => self.stray.set(self.stray.get() + 1),
            }
        }
    }

    /// The wire of a token's owner; None, and counted, if it has left, or was never one.
    fn begin_row<'a>(&self, entries: &'a [Lane], token: Token) -> Option<&'a Wire> {
        let lane = entries.get(token.index()).filter(|lane| lane.token.has_owner_of(token));
        match lane.and_then(|lane| Some((lane, lane.occupant.as_ref()?))) {
            Some((lane, occupant)) => {
                self.lanes.mark(lane.owner, &occupant.wire);
                Some(&occupant.wire)
            }
            None => {
                self.stray.set(self.stray.get() + 1);
                None
            }
        }
    }

    #[cold]
    fn fail_all(&self, error: verbs::Error) {
        let entries = self.lanes.entries.take();
        for lane in &entries {
            // The other devices of a group are none the worse for it (T53).
            if let Some(occupant) = lane.occupant.as_ref().filter(|occupant| occupant.queue == self.key()) {
                occupant.wire.set_fault(Fault::Poll(error.errno));
                self.lanes.mark(lane.owner, &occupant.wire);
            }
        }
        self.lanes.entries.set(entries);
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
    pub(super) fn mark(&self, wire: &Wire) {
        self.poller.lanes.mark(self.owner, wire);
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
