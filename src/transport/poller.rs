//! Completion queues and the table of who their completions belong to.
//!
//! A [`Poller`] is one completion queue on one device. A qpair of its own has a poller of its own; the qpairs of a
//! poll group share one for each device, and with it a shared receive queue, where the program asks for one. [`Lanes`] is
//! the table that turns a token's owner into the wire it belongs to; the pollers of a group share one table. Accounting calls
//! nobody, so it may run at any depth of callbacks.
//!
//! Invariants: a poller lives exactly as long as connections hold a [`PollerShare`] of it, the last of which takes it off
//! its lanes' list (T55, I16); capacity that a share reserved goes back with it (T56); a share goes back only after the
//! queue was polled empty once since its queue pair's end, so no completion of that queue pair is left behind (T02, T04).

use super::{
    Error,
    connection::Completions,
    device::DeviceShare,
    qpair::Qpair,
    srq::{self, Srq},
    statistics::{Counts, DeviceStatistics},
    token::{Owner, Token},
    wire::{BATCH, Fault, Wire},
};
use std::{
    cell::{Cell, OnceCell},
    rc::{Rc, Weak},
    sync::Arc,
};
use verbs::{Batch, CompletionQueue, WorkCompletion};

/// The owners of work requests, by index, and those of them that are to be looked after.
pub(super) struct Lanes {
    /// Out of its cell while somebody uses it, which calls nobody.
    table: Cell<Option<Box<Table>>>,
    /// Who asked to be looked after: in the poll that goes on, and in the next one.
    asking: [Cell<Option<Rc<Wire>>>; 2],
    /// The wire that was looked after last, and is in each poll until another one takes its place: most completions are the recent
    /// one's, which needs neither the table nor the list.
    recent: Cell<Option<Rc<Wire>>>,
    /// The queues of those in the table, where they are a group's: who polls finds them here.
    pollers: PollerPlace,
    grouped: bool,
}

#[derive(Default)]
struct Table {
    lanes: Vec<Lane>,
}

/// A place for a poller, and all further ones. Most groups need one; a place whose poller is gone is used again.
#[derive(Default)]
struct PollerPlace {
    poller: Cell<Option<Rc<Poller>>>,
    next: OnceCell<Box<PollerPlace>>,
}

impl PollerPlace {
    /// This place and all further ones.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |place| place.next.get().map(Box::as_ref))
    }

    /// The poller, if there is one.
    fn poller(&self) -> Option<Rc<Poller>> {
        let poller = self.poller.take();
        self.poller.set(poller.clone());
        poller
    }
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
        Rc::new(Self {
            table: Cell::default(),
            asking: Default::default(),
            recent: Cell::default(),
            pollers: PollerPlace::default(),
            grouped,
        })
    }

    /// Makes a place for a wire, which `open` opens for its owner.
    fn enter<T>(
        &self,
        qpair: &Weak<Qpair>,
        wire: &Rc<Wire>,
        queue: usize,
        open: impl FnOnce(Owner) -> Result<T, Error>,
    ) -> Result<(Owner, T), Error> {
        let mut table = self.table.take().unwrap_or_default();
        let result = enter(&mut table.lanes, qpair, wire, queue, open);
        self.table.set(Some(table));
        result
    }

    /// The owner leaves. Returns what its wire has counted here.
    fn leave(&self, owner: Owner) -> Counts {
        let mut table = self.table.take().unwrap_or_default();
        let lane = table.lanes.get_mut(owner.index as usize).filter(|lane| lane.owner == owner);
        let occupant = lane.and_then(|lane| {
            let next = Lane::new(lane.owner.successor());
            std::mem::replace(lane, next).occupant
        });
        self.table.set(Some(table));
        let Some(Occupant { wire, .. }) = occupant else { return Counts::default() };
        self.asking.iter().for_each(|list| wire.leave_asking(list));
        self.retire(&wire);
        wire.counts()
    }

    /// A poller on the device with room for another member, that others use already, if its queue has the room or can grow.
    /// None that would grow beyond `most`.
    pub(super) fn roomy_poller(
        &self,
        device: &DeviceShare,
        needed: Completions,
        most: u32,
    ) -> Option<Rc<Poller>> {
        let roomy = |poller: &Rc<Poller>| {
            poller.queue.device() == device.device()
                && poller.srq.as_ref().is_none_or(|srq| srq.is_for(device))
                && poller.has_room_for(poller.entries_for(needed), most)
        };
        self.pollers.all().filter_map(PollerPlace::poller).find(roomy)
    }

    /// The account half of a poll, for all of a group: of each queue, what it holds, or about `limit` completions, which becomes what the
    /// caller [said] if there are many. Returns how many there were.
    #[inline(always)]
    pub(super) fn account(&self, recent: Option<&Wire>, limit: &mut u32) -> usize {
        let place = &self.pollers;
        let Some(poller) = place.poller.take() else { return self.account_further(*limit) };
        let mut batch = Batch::<BATCH>::new();
        let mut count = 0;
        match poller.queue.poll_batch(&mut batch) {
            Some([]) => poller.count_poll(0),
            Some(found) => {
                self.account_batch(&poller, recent, found);
                count = found.len();
                poller.count_poll(count);
            }
            None => poller.fail_all(),
        }
        if count == BATCH {
            // Only so many may lead to more callbacks than there are to be where the caller does not say.
            *limit = said(*limit);
            count += poller.account_up_to(*limit);
        }
        // What is replaced is the None from above.
        std::mem::forget(place.poller.replace(Some(poller)));
        if place.next.get().is_none() {
            return count;
        }
        *limit = said(*limit);
        count + self.account_further(*limit)
    }

    /// As [`Lanes::account`], for all pollers but the first.
    #[cold]
    #[inline(never)]
    fn account_further(&self, limit: u32) -> usize {
        let further = self.pollers.all().skip(1).filter_map(PollerPlace::poller);
        further.map(|poller| poller.account_up_to(limit)).sum()
    }

    /// Hands each completion to the wire that its token names: those of the recent one at once.
    #[inline(always)]
    fn account_batch(&self, poller: &Poller, recent: Option<&Wire>, found: &[WorkCompletion]) {
        let Some(wire) = recent else { return self.account_rows(poller, found) };
        let key = wire.key();
        let mut rest = found;
        while let [completion, others @ ..] = rest {
            let token = Token::from_raw(completion.work_request_id());
            if token.key() != key || key == 0 {
                return self.account_rows(poller, rest);
            }
            wire.account(token, completion);
            rest = others;
        }
    }

    /// Hands each completion to the wire that its token names. Completions come in rows of one owner, so an owner is
    /// looked up, and marked, once for a row.
    #[inline(never)]
    fn account_rows(&self, poller: &Poller, found: &[WorkCompletion]) {
        let table = self.table.take();
        let lanes = table.as_deref().map_or(&[][..], |table| &table.lanes);
        let mut rest = found;
        'rows: while let [first, ..] = rest {
            let first = Token::from_raw(first.work_request_id());
            let lane = lanes.get(first.index()).filter(|lane| lane.key == first.key());
            let Some(Occupant { wire, .. }) = lane.and_then(|lane| lane.occupant.as_ref()) else {
                rest = self.account_without_owner(poller, lanes, rest);
                continue;
            };
            self.mark_now(wire);
            while let [completion, others @ ..] = rest {
                let token = Token::from_raw(completion.work_request_id());
                if token.key() != first.key() {
                    continue 'rows;
                }
                wire.account(token, completion);
                rest = others;
            }
        }
        // What is replaced is the None from above.
        std::mem::forget(self.table.replace(table));
    }

    /// The first of these has no owner in the table: it is shared, or nobody's. What is left to be accounted for.
    #[cold]
    #[inline(never)]
    fn account_without_owner<'a>(
        &self,
        poller: &Poller,
        lanes: &[Lane],
        found: &'a [WorkCompletion],
    ) -> &'a [WorkCompletion] {
        if let Some(srq) = &poller.srq {
            self.account_shared(poller, srq, lanes, found);
            return &[];
        }
        poller.count_stray();
        found.split_first().map_or(&[], |(_, others)| others)
    }

    /// As [`Lanes::account_rows`], where receives are shared: whose a response is says the queue pair that it came to. The device gets
    /// them again before anybody hears of it.
    #[inline(never)]
    fn account_shared(&self, poller: &Poller, srq: &Srq, lanes: &[Lane], found: &[WorkCompletion]) {
        for completion in found {
            let token = Token::from_raw(completion.work_request_id());
            let is_shared = token.is_receive() && token.key() == Owner::SHARED.key();
            let lane = if is_shared {
                let owner = srq.owner_of(completion.queue_pair_number());
                owner.and_then(|owner| lanes.get(owner.index as usize).filter(|lane| lane.owner == owner))
            } else {
                lanes.get(token.index()).filter(|lane| lane.key == token.key())
            };
            let occupant = lane.and_then(|lane| lane.occupant.as_ref());
            // Whoever it was for, it is to go back (I10).
            let response = is_shared.then(|| srq.receives().take(token.slot()));
            let Some(Occupant { wire, .. }) = occupant else {
                poller.count_stray();
                continue;
            };
            self.mark_now(wire);
            match response {
                Some(response) => wire.account_shared(response, completion),
                None => wire.account(token, completion),
            }
        }
        if let Err(errno) = srq.refill() {
            poller.fail_each(lanes, Fault::Post(errno));
        }
    }

    /// Somebody has a share of the poller: who polls is to find it.
    fn register(&self, poller: &Rc<Poller>) {
        let is = |place: &&PollerPlace| place.poller().is_some_and(|other| Rc::ptr_eq(&other, poller));
        if !self.grouped || self.pollers.all().any(|place| is(&place)) {
            return;
        }
        let mut places = self.pollers.all();
        let free = places.find(|place| place.poller().is_none());
        if let Some(place) = free
            .or_else(|| self.pollers.all().last().map(|last| last.next.get_or_init(Box::default).as_ref()))
        {
            place.poller.set(Some(poller.clone()));
        }
    }

    /// Nobody has a share of the poller any more.
    fn unregister(&self, poller: &Poller) {
        for place in self.pollers.all() {
            if place.poller().is_some_and(|other| std::ptr::eq(Rc::as_ptr(&other), poller)) {
                drop(place.poller.take());
            }
        }
    }

    /// What was counted on each device.
    pub(super) fn statistics(&self) -> Result<Vec<DeviceStatistics>, Error> {
        let table = self.table.take();
        let lanes = table.as_deref().map_or(&[][..], |table| &table.lanes);
        let mut all: Vec<DeviceStatistics> = Vec::new();
        let mut result = Ok(());
        for poller in self.pollers.all().filter_map(PollerPlace::poller) {
            let name = poller.queue.device().name();
            let place = all.iter().position(|device| device.name == name).unwrap_or(all.len());
            if place == all.len() {
                if all.try_reserve(1).is_err() {
                    result = Err(Error::NoMemory);
                    break;
                }
                all.push(DeviceStatistics { name, ..DeviceStatistics::default() });
            }
            all.get_mut(place).into_iter().for_each(|device| poller.add_to(device, lanes));
        }
        self.table.set(table);
        result.map(|()| all)
    }

    /// Asks for the qpair of `wire` to be looked after at the next poll.
    #[inline(always)]
    pub(super) fn mark(&self, wire: &Rc<Wire>) {
        let [_, later] = &self.asking;
        if self.grouped {
            wire.push_asking(later);
        }
    }

    /// As [`Lanes::mark`], at the poll that goes on, if there is one.
    #[inline(always)]
    fn mark_now(&self, wire: &Rc<Wire>) {
        let [now, _] = &self.asking;
        if self.grouped {
            wire.push_asking(now);
        }
    }

    /// A poll begins: who asked until now is looked after in it, and what they put off goes to the device. A poll inside of a
    /// callback of another finds, too, whom the outer one did not come to yet (T50).
    #[inline(always)]
    pub(super) fn begin_poll(&self) {
        let [now, later] = &self.asking;
        Wire::post_all(later, now);
    }

    /// The recent wire, to be looked after, with what it put off handed to the device. It stays the recent one, so that a poll inside
    /// of a callback finds it, too.
    #[inline(always)]
    pub(super) fn recent(&self) -> Option<Rc<Wire>> {
        let wire = self.recent.take()?;
        // What is replaced is the None from above.
        std::mem::forget(self.recent.replace(Some(wire.clone())));
        if wire.has_pending_sends() {
            wire.post_sends_inline();
        }
        Some(wire)
    }

    /// The wire is not the recent one any more, if it was: it has to ask again, and does if there is something to do.
    #[cold]
    #[inline(never)]
    pub(super) fn retire(&self, wire: &Rc<Wire>) {
        match self.recent.take() {
            Some(recent) if Rc::ptr_eq(&recent, wire) => wire.set_asking(false),
            recent => return self.recent.set(recent),
        }
        let has_to_do = wire.is_faulty() || wire.has_pending_sends() || wire.slots.is_unsettled();
        if wire.is_home(self) && has_to_do {
            self.mark(wire);
        }
    }

    /// A wire that was looked after may become the recent one, if there is none, or `instead` of the one that there is.
    pub(super) fn offer(&self, wire: &Rc<Wire>, instead: bool) {
        if wire.is_asking() || !wire.is_home(self) {
            return;
        }
        let recent = self.recent.take();
        self.recent.set(recent.clone());
        if let Some(recent) = recent {
            if !instead {
                return;
            }
            self.retire(&recent);
        }
        wire.set_asking(true);
        self.recent.set(Some(wire.clone()));
    }

    /// Whether somebody but the recent wire is to be looked after in this poll.
    #[inline(always)]
    pub(super) fn has_asking(&self) -> bool {
        let [now, _] = &self.asking;
        let first = now.take();
        let is_some = first.is_some();
        // What is replaced is the None from above.
        std::mem::forget(now.replace(first));
        is_some
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
        let table = self.table.take().unwrap_or_default();
        let qpair = table
            .lanes
            .get(owner.index as usize)
            .filter(|lane| lane.owner == owner)
            .and_then(|lane| lane.occupant.as_ref())
            .and_then(|occupant| occupant.qpair.upgrade());
        self.table.set(Some(table));
        qpair
    }
}

/// Whether a poll accounted for so many completions, after a full batch, that it is to look after them first.
#[cold]
#[inline(never)]
fn is_enough(all: usize, limit: u32) -> bool {
    all > if limit < AMPLE { limit } else { MOST_OF_A_QUEUE } as usize
}

/// The limit of a poll of a group, less by one, where the caller said 0: 128, as with SPDK.
pub(super) fn said(limit: u32) -> u32 {
    if limit == u32::MAX { AMPLE } else { limit }
}

/// From here on a limit of a poll, which is for each member and less by one, bounds callbacks, and not what is heard: a command has two
/// completions.
pub(super) const AMPLE: u32 = 127;

/// Completions that one poll takes off a queue, about, whatever its limit.
const MOST_OF_A_QUEUE: u32 = 4096;

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
            let number = u32::try_from(index).ok().filter(|number| *number < Owner::SHARED.index);
            let number = number.ok_or(Error::Internal("more owners than a token can tell apart"))?;
            entries.push(Lane::new(Owner::first(number)));
            index
        }
    };
    let lane = entries.get_mut(index).ok_or(Error::Internal("a place outside of its table"))?;
    wire.begin_counts();
    let opened = open(lane.owner)?;
    lane.occupant = Some(Occupant { wire: wire.clone(), qpair: qpair.clone(), queue });
    Ok((lane.owner, opened))
}

/// A completion queue on the device with room for `entries` completions.
pub(super) fn queue_of(device: &DeviceShare, entries: u32) -> Result<Arc<CompletionQueue>, Error> {
    let entries = entries.clamp(1, device.limits().completion_entries.max(1));
    Ok(CompletionQueue::new(device.device(), entries)?)
}

/// A completion queue and what was reserved of it.
pub(super) struct Poller {
    queue: Arc<CompletionQueue>,
    /// What its queue pairs receive from, if not each from its own; it goes after the completion queue (I14).
    srq: Option<Box<Srq>>,
    lanes: Rc<Lanes>,
    /// By those that have a share.
    reserved: Cell<u32>,
    stray: Cell<u64>,
    /// Polls that found something, what they found, and polls that found nothing.
    busy_polls: Cell<u64>,
    completions: Cell<u64>,
    idle_polls: Cell<u64>,
    /// What wires that left had counted.
    left: Cell<Counts>,
}

impl Poller {
    /// A poller on `device` with room for `entries` completions, whose queue pairs have receives of their own.
    pub(super) fn new(device: &DeviceShare, lanes: &Rc<Lanes>, entries: u32) -> Result<Rc<Self>, Error> {
        Ok(Self::of(queue_of(device, entries)?, None, lanes))
    }

    /// A poller of this queue, with or without shared receives.
    pub(super) fn of(queue: Arc<CompletionQueue>, srq: Option<Srq>, lanes: &Rc<Lanes>) -> Rc<Self> {
        Rc::new(Self {
            queue,
            srq: srq.map(Box::new),
            lanes: lanes.clone(),
            reserved: Cell::new(0),
            stray: Cell::new(0),
            busy_polls: Cell::new(0),
            completions: Cell::new(0),
            idle_polls: Cell::new(0),
            left: Cell::default(),
        })
    }

    /// What its queue pairs receive from, if not each from its own.
    pub(super) fn srq(&self) -> Option<&Srq> {
        self.srq.as_deref()
    }

    /// Entries of the queue that a member takes, which has these completions.
    pub(super) fn entries_for(&self, needed: Completions) -> u32 {
        if self.srq.is_some() { needed.sends } else { needed.all() }
    }

    /// Entries that are in use with `entries` more; None if nobody can count so many. Receives that are shared take theirs once.
    fn in_use_with(&self, entries: u32) -> Option<u32> {
        let shared = self.srq.as_ref().map_or(0, |srq| srq::completions(srq.receives().count()));
        self.reserved.get().checked_add(entries)?.checked_add(shared)
    }

    pub(super) fn queue(&self) -> &Arc<CompletionQueue> {
        &self.queue
    }

    /// Tells the queue apart from the others of the same table, which are on other devices.
    fn key(&self) -> usize {
        Arc::as_ptr(&self.queue).addr()
    }

    /// Whether `entries` more completions find room, growing the queue if need be, up to `most`. Some devices cannot grow one.
    pub(super) fn has_room_for(&self, entries: u32, most: u32) -> bool {
        let Some(needed) = self.in_use_with(entries).filter(|_| entries <= most) else { return false };
        needed <= self.queue.capacity() || needed <= most && self.queue.resize(needed).is_ok()
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
        let needed = self.in_use_with(entries).ok_or(full)?;
        if needed > self.queue.capacity() {
            self.queue.resize(needed)?;
        }
        let (owner, opened) = self.lanes.enter(qpair, wire, self.key(), open)?;
        self.reserved.set(self.reserved.get().saturating_add(entries));
        self.lanes.register(self);
        Ok((PollerShare { poller: self.clone(), owner, entries }, opened))
    }

    /// Accounts for completions that the queue holds, a batch at most. Returns how many there were. A queue that
    /// cannot be polled any more fails every wire that waits for it (T15).
    pub(super) fn account(&self) -> usize {
        let mut batch = Batch::<BATCH>::new();
        let Some(found) = self.queue.poll_batch(&mut batch) else {
            self.fail_all();
            return 0;
        };
        self.count_poll(found.len());
        self.lanes.account_rows(self, found);
        found.len()
    }

    /// As [`Poller::account`], for all that the queue holds, or about `limit` completions.
    #[inline(never)]
    pub(super) fn account_up_to(&self, limit: u32) -> usize {
        let mut all = 0;
        loop {
            let found = self.account();
            all += found;
            if found < BATCH || is_enough(all, limit) {
                return all;
            }
        }
    }

    #[inline(always)]
    fn count_poll(&self, found: usize) {
        if found == 0 {
            self.idle_polls.set(self.idle_polls.get() + 1);
        } else {
            self.busy_polls.set(self.busy_polls.get() + 1);
            self.completions.set(self.completions.get() + found as u64);
        }
    }

    /// Adds what was counted here, by those that have left as well.
    fn add_to(&self, device: &mut DeviceStatistics, lanes: &[Lane]) {
        let occupants = lanes.iter().filter_map(|lane| lane.occupant.as_ref());
        let own = occupants.filter(|occupant| occupant.queue == self.key());
        let counts = own.fold(self.left.get(), |all, Occupant { wire, .. }| all.and(wire.counts()));
        let idle = self.idle_polls.get();
        let (shared, shared_doorbells) = self.srq.as_ref().map_or((0, 0), |srq| srq.receives().posted());
        for (sum, part) in [
            (&mut device.polls, self.busy_polls.get() + idle),
            (&mut device.idle_polls, idle),
            (&mut device.completions, self.completions.get()),
            (&mut device.queued_requests, counts.queued),
            (&mut device.sends, counts.sends),
            (&mut device.send_doorbells, counts.send_doorbells),
            (&mut device.receives, counts.receives + shared),
            (&mut device.receive_doorbells, counts.receive_doorbells + shared_doorbells),
        ] {
            *sum += part;
        }
    }

    #[cold]
    fn count_stray(&self) {
        self.stray.set(self.stray.get() + 1);
    }

    #[cold]
    fn fail_all(&self) {
        let table = self.lanes.table.take().unwrap_or_default();
        self.fail_each(&table.lanes, Fault::Poll(libc::EIO));
        self.lanes.table.set(Some(table));
    }

    /// Each wire of the queue has a fault.
    #[cold]
    fn fail_each(&self, lanes: &[Lane], fault: Fault) {
        for lane in lanes {
            // The other devices of a group are none the worse for it (T53).
            if let Some(occupant) = lane.occupant.as_ref().filter(|occupant| occupant.queue == self.key()) {
                occupant.wire.set_fault(fault);
                self.lanes.mark(&occupant.wire);
            }
        }
    }

    /// A queue pair is about to be destroyed. Some devices forget its completions with it, and with those the shared receives that they
    /// would give back: so they are taken off the queue before.
    pub(super) fn prepare_for_end(&self) {
        if self.srq.is_some() {
            self.account_until_empty();
        }
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

    /// The owner's queue pair has this number: what comes to it of shared receives is the owner's.
    pub(super) fn receive_as(&self, number: u32) -> Result<(), Error> {
        self.poller.srq.as_ref().map_or(Ok(()), |srq| srq.enter(number, self.owner))
    }

    /// Nothing that still comes of the owner's work requests is taken account of: their slots may be in use again.
    /// For a share that is kept for good.
    pub(super) fn disown(&self) {
        self.leave();
    }

    fn leave(&self) {
        if let Some(srq) = &self.poller.srq {
            srq.leave(self.owner);
        }
        let counts = self.poller.lanes.leave(self.owner);
        self.poller.left.set(self.poller.left.get().and(counts));
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
        self.leave();
        self.poller.reserved.set(self.poller.reserved.get().saturating_sub(self.entries));
        if self.poller.reserved.get() == 0 {
            self.poller.lanes.unregister(&self.poller);
        }
    }
}

#[cfg(test)]
mod tests;
