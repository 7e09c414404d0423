//! The request slots of a qpair, and the gate before them.
//!
//! A slot is taken when a request is accepted and comes back right before its callback runs. The slots and their memory live as
//! long as the qpair: a reconnect finds live requests as they were (T102), and aborted ones need no connection. A slot is on one
//! of four lists, or with the device:
//!
//! | list | its slots |
//! |---|---|
//! | open | free, and may go out at once |
//! | reserve | free, and may take a request that waits, or one that goes ahead |
//! | waiting | accepted, not handed to the device |
//! | finished | their completion is there, their callback is due |
//!
//! **The gate.** A slot is on `open` only while the connection is live, nobody waits, and the queue has room for it. So one look
//! at that list answers a submission's four questions. The gate is shut (nothing is open) without a live connection, and as long
//! as requests wait.
//!
//! **Room.** Of the commands that may be out at a time, `cap` are for everybody, and
//!
//! > open + room + on the wire + finished − lent = cap
//!
//! where `room` stands in for slots that are not open: all of them while the gate is shut. A finished command is off the wire,
//! although its slot is still in use: what is lent is the room of finished ones that was given out before their callbacks ran. A
//! slot that comes back pays what is lent first. Commands that go ahead are outside of this account: they use the room between
//! `cap` and the queue's depth.
//!
//! The command id that goes over the wire holds the slot and a generation, so that a response that is late, forged or repeated is
//! noticed (H10).

use super::{
    Error,
    completer::{Completer, Context, Payload},
    injections::{Injection, Injections},
    seldom::Seldom,
    token::Token,
};
use crate::clock::{self, Moment};
use injected::Held;
use spec::{AdminOpcode, Completion, Status};
use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};
use verbs::{COMMAND_WORDS, Memory, ProtectionDomain, Registration, Seat, SendQueue, Slot};

mod beside;
mod failed;
mod injected;
mod slab;

use beside::Beside;
pub use beside::Split;
pub(super) use beside::{Ending, Told};
use failed::Failures;
pub use failed::{Failure, FailureListener};

/// Where a slot is.
mod phase {
    pub(super) const FREE: u16 = 0;
    pub(super) const WAITING: u16 = 1;
    pub(super) const FINISHED: u16 = 2;
    /// Accepted, never to be handed to the device: it ends with an injected error.
    pub(super) const HELD: u16 = 3;
    /// With the device, nothing heard of it.
    pub(super) const OUT: u16 = 4;
    /// With the device, and its SEND is accounted for.
    pub(super) const SENT: u16 = OUT | 1;
    /// With the device, and its response came.
    pub(super) const ANSWERED: u16 = OUT | 2;
}

/// What the host keeps of a request beside its command: with the link and the work request id that the queue has there, one cache
/// line.
#[repr(C)]
pub(super) struct Request {
    /// NULL: the layer above does not hear of it, or in another way, which the request has beside its slot.
    function: Cell<*const ()>,
    /// What the layer above calls it.
    argument: Cell<*mut ()>,
    /// While it waits, the payload's first two words.
    completion: Cell<[u64; 2]>,
    phase: Cell<u16>,
    /// The command id of what it is in use for, or was last.
    id: Cell<u16>,
    /// When it was accepted, by the count of those before it.
    order: Cell<u32>,
    /// When it was accepted, if its qpair was watched then and nobody was told yet that it is late.
    since: Cell<Moment>,
}

const OPEN: usize = 0;
const RESERVE: usize = 1;
const WAITING: usize = 2;
const FINISHED: usize = 3;

impl Request {
    /// Whether it is with the device.
    fn is_outstanding(&self) -> bool {
        self.phase.get() & phase::OUT != 0
    }
}

/// A slot of a qpair.
pub(super) type Place<'a> = Slot<'a, Request, 4>;

/// Where a command's SGL1 is: while its request waits, the place of the payload's last word.
const SGL_WORD: usize = 3;

/// Work requests that are put off at a time at most, where only requests that waited are; more need another doorbell.
const ROW: u16 = 16;

/// What is wrong with a response's command id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadCommandId {
    #[error("command id {0:#06x} is of no request slot")]
    OutOfRange(u16),
    #[error("command id {0:#06x} is of a slot with no command outstanding")]
    Idle(u16),
    #[error("command id {0:#06x} was answered before")]
    Repeated(u16),
}

/// A finished request that was taken off its list: its callback is the taker's to run.
pub(super) struct Finished {
    pub(super) context: Context,
    pub(super) completion: Completion,
}

/// What is to be done with a finished request that has no function.
pub(super) enum Otherwise {
    /// What it has beside its slot says.
    Ends(Ending),
    /// It is the answer to Fabrics Connect.
    Connect,
}

/// The slots of one qpair.
pub(super) struct Slots {
    queue: SendQueue<Request, 4>,
    /// The gate is open and nothing is lent: slots that come back are open.
    plain: Cell<bool>,
    live: Cell<bool>,
    /// The bits of a command id that are the slot, and all above a command id: what stands there beside a response's, a status, is of
    /// no slot.
    mask: u32,
    /// What tells a slot's command id from that of its next command: the unit of the generation.
    step: u16,
    /// How many commands began so far, and were held back; their order is the lower half.
    begun: Cell<u64>,
    /// How many of these were held back.
    held_back: Cell<u64>,
    /// Requests that had to wait for room on the wire.
    queued: Cell<u64>,
    shut: Cell<bool>,
    room: Cell<u32>,
    lent: Cell<u32>,
    /// How long a request may take, if that is watched; then the gate stays shut, so that each takes the long way.
    watched: Cell<Option<Duration>>,
    /// What aborted requests say of being tried again (DNR).
    abort_dnr: Cell<bool>,
    /// When the next one may be late.
    next_late: Cell<Moment>,
    beside: Beside,
    failures: Failures,
    /// Requests without a function are looked at before they are told: some ended with an error, or there are injections.
    looks: Cell<bool>,
    /// While there are some the gate stays shut, too.
    injections: Injections,
    /// The requests that are not sent because of them.
    held: Seldom<Held>,
    has_held: Cell<bool>,
    /// Room to bring aborted requests in order, so that no end fails for want of memory.
    scratch: Cell<Vec<u16>>,
    queue_id: u16,
}

impl Slots {
    /// Bytes of memory for `count` requests and Fabrics Connect.
    pub(super) fn memory_for(count: u16) -> usize {
        SendQueue::<Request, 4>::memory_for(usize::from(count) + 1)
    }

    /// `count` slots for requests, at most 32,766, and one more for Fabrics Connect, which no request can take (T79).
    /// At most `depth` commands are out at a time; a row that is put off can hold at least `row` SENDs. The gate is shut.
    pub(super) fn new(
        memory: Rc<Memory>,
        count: u16,
        depth: u16,
        row: u16,
        queue_id: u16,
        seat: &Rc<Seat>,
    ) -> Result<Self, Error> {
        let total = usize::from(count) + 1;
        let mut scratch = Vec::new();
        scratch.try_reserve_exact(usize::from(depth.min(count))).map_err(|_| Error::NoMemory)?;
        // The index of all ones is no slot, so that FFFFh is no command id (Base 2.0, 3.3.3.1, CID).
        let mask = !u32::from(u16::MAX) | ((total + 1).next_power_of_two() - 1) as u32;
        let queue = SendQueue::new(memory, total, usize::from(row.max(ROW)), seat, |slot| Request {
            function: Cell::new(std::ptr::null()),
            argument: Cell::new(std::ptr::null_mut()),
            completion: Cell::default(),
            phase: Cell::new(phase::FREE),
            id: Cell::new(slot as u16),
            order: Cell::new(0),
            since: Cell::new(Moment::START),
        })?;
        let slots = Self {
            queue,
            plain: Cell::new(false),
            live: Cell::new(false),
            mask,
            step: (mask as u16).wrapping_add(1),
            begun: Cell::new(0),
            held_back: Cell::new(0),
            queued: Cell::new(0),
            shut: Cell::new(true),
            room: Cell::new(0),
            lent: Cell::new(0),
            watched: Cell::new(None),
            abort_dnr: Cell::new(false),
            next_late: Cell::new(Moment::START),
            beside: Beside::default(),
            failures: Failures::default(),
            looks: Cell::new(false),
            injections: Injections::default(),
            held: Seldom::default(),
            has_held: Cell::new(false),
            scratch: Cell::new(scratch),
            queue_id,
        };
        slots.requests().rev().for_each(Slot::push_stack::<RESERVE>);
        Ok(slots)
    }

    /// The key of the rows of descriptors.
    pub(super) fn set_row_key(&self, local_key: u32) {
        self.queue.set_known_key(local_key);
    }

    /// Gives the slots other memory; where they were is kept for good.
    pub(super) fn renew(&self, memory: Rc<Memory>) -> Result<(), Error> {
        let copy = |request: &Request| Request {
            function: request.function.clone(),
            argument: request.argument.clone(),
            completion: request.completion.clone(),
            phase: request.phase.clone(),
            id: request.id.clone(),
            order: request.order.clone(),
            since: request.since.clone(),
        };
        Ok(self.queue.renew(memory, copy)?)
    }

    /// Registers the commands with a device, and sets the ids that the completions of their SENDs carry.
    pub(super) fn register(
        &self,
        domain: &Arc<ProtectionDomain>,
        id: impl Fn(u16) -> u64,
    ) -> Result<Registration, Error> {
        Ok(self.queue.register(domain, |slot| id(slot as u16))?)
    }

    /// The number of slots for requests.
    pub(super) fn count(&self) -> u16 {
        self.connect_slot() as u16 // the last
    }

    /// The slot of Fabrics Connect.
    fn connect_slot(&self) -> u32 {
        self.queue.count() as u32 - 1
    }

    /// The slot of Fabrics Connect, which begins anew.
    pub(super) fn connect(&self) -> Option<Place<'_>> {
        self.queue.slot(self.connect_slot())
    }

    fn requests(&self) -> impl DoubleEndedIterator<Item = Place<'_>> {
        let mut slots = self.queue.slots();
        let _connect = slots.next_back();
        slots
    }

    /// Whether the gate's connection is live.
    #[inline(always)]
    pub(super) fn is_live(&self) -> bool {
        self.live.get()
    }

    /// Whether nothing is put off.
    #[inline(always)]
    pub(super) fn has_nothing_pending(&self) -> bool {
        self.queue.is_empty()
    }

    /// Hands what was put off to the device. On an error: the errno; who was not posted counts as sent.
    #[inline(always)]
    pub(super) fn post_pending(&self) -> Result<(), i32> {
        self.queue.post_pending(|id| self.never_sent(id))
    }

    /// Forgets what was put off: it counts as sent.
    pub(super) fn forget_pending(&self) {
        self.queue.clear(|id| self.never_sent(id));
    }

    // ---- taking a slot -------------------------------------------------------------------------------------------

    /// The slot for a request that goes out at once, if the gate is open and one is left. It is taken by [`Slots::begin_first`].
    #[inline(always)]
    pub(super) fn first_open(&self) -> Option<Place<'_>> {
        self.queue.first::<OPEN>()
    }

    /// Takes the slot that [`Slots::first_open`] gave just now, for a request of the layer above. Returns the command id.
    #[inline(always)]
    pub(super) fn begin_first(&self, slot: Place<'_>, context: Context) -> u16 {
        slot.leave_stack::<OPEN>();
        slot.user().function.set(context.function);
        slot.user().argument.set(context.argument);
        self.begin(slot)
    }

    /// Takes a slot for a request that goes out at once.
    pub(super) fn take_open(&self) -> Option<Place<'_>> {
        self.queue.pop_stack::<OPEN>().or_else(|| self.take_observed())
    }

    /// As [`Slots::take_open`], past the gate that is shut since each request is to take the long way.
    #[cold]
    fn take_observed(&self) -> Option<Place<'_>> {
        let may_go = self.is_observed() && self.live.get() && !self.has_waiting();
        let slot = self.queue.first::<RESERVE>().filter(|_| may_go && self.take_room())?;
        self.queue.pop_stack::<RESERVE>();
        Some(slot)
    }

    /// Takes a slot outside of the account of room, for a request that goes ahead of all others.
    pub(super) fn take_reserve(&self) -> Option<Place<'_>> {
        self.queue.pop_stack::<RESERVE>()
    }

    /// The slot's command goes to the device. Returns the id that it must carry, unlike that of the slot's command before.
    #[inline(always)]
    pub(super) fn begin(&self, slot: Place<'_>) -> u16 {
        let request = slot.user();
        let id = request.id.get().wrapping_add(self.step);
        request.id.set(id);
        request.phase.set(phase::OUT);
        let begun = self.begun.get().wrapping_add(1);
        self.begun.set(begun);
        request.order.set(begun as u32);
        id
    }

    /// Says who hears of the slot's completion. Fails if there is no memory for it.
    pub(super) fn set_completer(
        &self,
        slot: Place<'_>,
        completer: Completer,
        ahead: bool,
    ) -> Result<(), Error> {
        let request = slot.user();
        let since = self.watched.get().map_or(Moment::START, |_| clock::now());
        request.since.set(since);
        let (name, told) = match completer {
            // An injected error needs the long way at the end.
            Completer::Upcall(context) if context.function.is_null() || !self.injections.any() => {
                request.function.set(context.function);
                request.argument.set(context.argument);
                return Ok(());
            }
            Completer::Upcall(context) => (context.argument, Told::Upcall(context)),
            Completer::Shared(call) => (NOBODY.argument, Told::Closure(call)),
            Completer::Named(call, name) => (name, Told::Closure(call)),
            Completer::Part(split, name) => (name, Told::Part(split)),
        };
        // What was there is of the slot's request before.
        request.function.set(NOBODY.function);
        request.argument.set(name);
        match told {
            Told::Part(split) => {
                self.set_part(slot, split);
                Ok(())
            }
            told => self.put_beside(slot, told, ahead),
        }
    }

    /// The command ids of the requests of that name, which is not NULL, that are with the controller, the oldest first.
    pub(super) fn outstanding_of(&self, name: *mut ()) -> Vec<u16> {
        let now = self.begun.get() as u32;
        let mut found: Vec<Place<'_>> = self
            .requests()
            .filter(|slot| slot.user().is_outstanding() && slot.user().phase.get() != phase::ANSWERED)
            .filter(|slot| !name.is_null() && slot.user().argument.get() == name)
            .collect();
        found.sort_by_key(|slot| std::cmp::Reverse(now.wrapping_sub(slot.user().order.get())));
        found.iter().map(|slot| slot.user().id.get()).collect()
    }

    /// Finishes the requests of that name that wait, or are held back, with this status. Returns how many there were.
    pub(super) fn finish_waiting_of(&self, name: *mut (), status: Status) -> usize {
        let indices: Vec<u32> = self
            .queue
            .list::<WAITING>()
            .filter(|slot| !name.is_null() && slot.user().argument.get() == name)
            .map(|slot| self.index(slot))
            .collect();
        for slot in indices.iter().filter_map(|index| self.queue.slot(*index)) {
            if self.queue.remove::<WAITING>(self.index(slot)) {
                self.finish_unsent(slot, status);
            }
        }
        indices.len() + self.finish_held_of(name, status)
    }

    /// A slot that was taken from `open` is not used after all.
    pub(super) fn give_back_open(&self, slot: Place<'_>) {
        self.reset(slot);
        if self.shut.get() {
            self.room.set(self.room.get() + 1);
            slot.push_stack::<RESERVE>();
        } else {
            slot.push_stack::<OPEN>();
        }
    }

    /// A slot that was taken with [`Slots::take_reserve`] is not used after all.
    pub(super) fn give_back_reserve(&self, slot: Place<'_>) {
        self.reset(slot);
        slot.push_stack::<RESERVE>();
    }

    fn reset(&self, slot: Place<'_>) {
        let request = slot.user();
        request.phase.set(phase::FREE);
        if request.function.get().is_null() {
            self.forget_beside(slot);
        }
    }

    /// The index of a slot, which its command id always has.
    pub(super) fn index(&self, slot: Place<'_>) -> u32 {
        u32::from(slot.user().id.get()) & self.mask
    }

    /// The finished requests that are in the account of room, as those that went ahead are not.
    fn finished_in_account(&self) -> impl Iterator<Item = Place<'_>> {
        self.queue
            .list::<FINISHED>()
            .filter(|slot| !(slot.user().function.get().is_null() && self.is_ahead(*slot)))
    }

    // ---- waiting, and the gate -----------------------------------------------------------------------------------

    /// A request waits, behind all that wait already; the gate is shut from here on.
    pub(super) fn wait(
        &self,
        words: [u64; COMMAND_WORDS],
        payload: impl FnOnce(Place<'_>) -> Result<Payload, Error>,
        completer: Completer,
    ) -> Result<(), Error> {
        // With the gate open, what is left there is free, too.
        let slot = match self.take_reserve() {
            Some(slot) => slot,
            None => {
                let slot = self.queue.pop_stack::<OPEN>().ok_or(Error::NoRequests)?;
                self.room.set(self.room.get() + 1);
                slot
            }
        };
        let payload = match self.set_completer(slot, completer, false).and_then(|()| payload(slot)) {
            Ok(payload) => payload,
            Err(error) => {
                self.give_back_reserve(slot);
                return Err(error);
            }
        };
        self.enqueue(slot, words, payload);
        Ok(())
    }

    /// A request whose slot was taken to go out at once waits after all, for something other than room. Nobody else waits.
    pub(super) fn wait_after_all(&self, slot: Place<'_>, words: [u64; COMMAND_WORDS], payload: Payload) {
        self.room.set(self.room.get() + 1);
        self.enqueue(slot, words, payload);
    }

    fn enqueue(&self, slot: Place<'_>, words: [u64; COMMAND_WORDS], payload: Payload) {
        self.shut();
        let [kind, address, rest] = payload.to_words();
        let mut words = words;
        if let Some(word) = words.get_mut(SGL_WORD) {
            *word = rest;
        }
        slot.write(words);
        slot.user().completion.set([kind, address]);
        slot.user().phase.set(phase::WAITING);
        slot.push::<WAITING>();
    }

    /// Whether requests wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.queue.first::<WAITING>().is_some()
    }

    /// The request that has waited longest, with room on the wire for it, if there is some. It is on its list until [`Slots::goes`];
    /// or else it [stays](Slots::stays).
    pub(super) fn next_to_go(&self) -> Option<(Place<'_>, [u64; COMMAND_WORDS], Payload)> {
        let slot = self.queue.first::<WAITING>()?;
        if !self.take_room() {
            return None;
        }
        let mut words = slot.read();
        let [kind, address] = slot.user().completion.get();
        let rest = words.get_mut(SGL_WORD).map_or(0, std::mem::take);
        Some((slot, words, Payload::from_words([kind, address, rest])))
    }

    /// The request that [`Slots::next_to_go`] gave just now waits no more.
    pub(super) fn goes(&self) {
        let _first = self.queue.pop::<WAITING>();
    }

    /// The request that [`Slots::next_to_go`] gave just now goes on waiting: its room is for others.
    pub(super) fn stays(&self) {
        self.room.set(self.room.get() + 1);
    }

    /// Room for one command while the gate is shut: what is left, or else that of a finished one.
    fn take_room(&self) -> bool {
        if let Some(room) = self.room.get().checked_sub(1) {
            self.room.set(room);
            return true;
        }
        let lent = self.lent.get() + 1;
        let enough = self.finished_in_account().nth(lent as usize - 1).is_some();
        if enough {
            self.lent.set(lent);
        }
        enough
    }

    /// Whether [`Slots::settle`] has something to do.
    #[inline(always)]
    pub(super) fn is_unsettled(&self) -> bool {
        self.has_finished() || !self.plain.get()
    }

    /// At the end of a poll: opens the gate if nobody waits, and gives out the room of commands that are finished and whose
    /// callbacks did not run yet.
    pub(super) fn settle(&self) {
        if !self.live.get() || self.has_waiting() || self.is_observed() {
            return;
        }
        let finished = self.finished_in_account().count() as u32;
        let more = finished.saturating_sub(self.lent.get());
        while self.room.get() > 0
            && let Some(slot) = self.take_reserve()
        {
            self.room.set(self.room.get() - 1);
            slot.push_stack::<OPEN>();
        }
        for slot in (0..more).map_while(|_| self.take_reserve()) {
            self.lent.set(self.lent.get() + 1);
            slot.push_stack::<OPEN>();
        }
        self.shut.set(false);
        self.follow_account();
    }

    /// From now on requests may take so long, or as long as they like. The next [`Slots::settle`] opens a gate that is not watched any
    /// more.
    pub(super) fn watch(&self, limit: Option<Duration>) {
        self.next_late.set(Moment::START);
        if self.watched.replace(limit).is_none() && limit.is_some() {
            self.shut();
        }
        if limit.is_none() {
            // Those that go the short way from here on do not touch it.
            self.requests().for_each(|slot| slot.user().since.set(Moment::START));
        }
    }

    /// Whether requests that are aborted are not to be tried again.
    pub(super) fn abort_dnr(&self) -> bool {
        self.abort_dnr.get()
    }

    /// Whether requests that are aborted from now on are not to be tried again.
    pub(super) fn set_abort_dnr(&self, dnr: bool) {
        self.abort_dnr.set(dnr);
    }

    /// Whether each request is to take the long way, so that the gate stays shut.
    fn is_observed(&self) -> bool {
        self.watched.get().is_some() || self.injections.any()
    }

    /// Whether polls have more to look after than completions.
    pub(super) fn needs_whole_polls(&self) -> bool {
        self.is_observed() || self.has_held()
    }

    /// Whether requests are watched.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.get().is_some()
    }

    /// The command ids of the requests that are with the controller for too long, the oldest first, each once.
    pub(super) fn late(&self, now: Moment) -> Vec<u16> {
        let Some(limit) = self.watched.get().filter(|_| now.has_reached(self.next_late.get())) else {
            return Vec::new();
        };
        // What comes from here on is not late before.
        let mut next = now.after(limit);
        let begun = self.begun.get() as u32;
        let mut late = Vec::new();
        for slot in self.requests().filter(|slot| slot.user().is_outstanding()) {
            let request = slot.user();
            let [first, ..] = slot.read();
            let is_exempt = EXEMPT.contains(&(first as u8)) && self.queue_id == 0;
            if request.since.get() == Moment::START || is_exempt {
                continue;
            }
            let due = request.since.get().after_exactly(limit);
            if now.has_reached(due) {
                request.since.set(Moment::START);
                late.push((begun.wrapping_sub(request.order.get()), request.id.get()));
            } else {
                next = next.min(due);
            }
        }
        self.next_late.set(next);
        late.sort_unstable_by_key(|(age, _)| std::cmp::Reverse(*age));
        late.into_iter().map(|(_, id)| id).collect()
    }

    /// The command id of the first request with this opcode that is with the controller.
    pub(super) fn outstanding_with(&self, opcode: u8) -> Option<u16> {
        let has_opcode = |slot: &Place<'_>| {
            let [first, ..] = slot.read();
            slot.user().is_outstanding() && first as u8 == opcode
        };
        self.requests().find(has_opcode).map(|slot| slot.user().id.get())
    }

    /// The connection is live, and `cap` ordinary commands may be out at a time.
    pub(super) fn open_gate(&self, cap: u32) {
        let finished = self.finished_in_account().count() as u32;
        let cap = cap.min(u32::from(self.count()));
        self.live.set(true);
        self.room.set(cap.saturating_sub(finished));
        self.lent.set(finished.saturating_sub(cap));
        self.settle();
    }

    /// The connection is not live any more.
    pub(super) fn close_gate(&self) {
        self.live.set(false);
        self.shut();
        self.room.set(0);
        self.lent.set(0);
    }

    fn shut(&self) {
        self.shut.set(true);
        self.plain.set(false);
        let moved = self.queue.move_stack::<OPEN, RESERVE>();
        self.room.set(self.room.get() + moved as u32);
    }

    /// Commands that are with the controller, ordinary ones and others. Walks all slots.
    pub(super) fn on_wire(&self) -> u32 {
        self.queue.slots().filter(|slot| slot.user().is_outstanding()).count() as u32
    }

    /// Whether as many requests could be accepted. Walks the lists.
    pub(super) fn has_free(&self, count: usize) -> bool {
        self.queue.has::<OPEN>(count)
            || self.queue.list::<OPEN>().chain(self.queue.list::<RESERVE>()).take(count).count() == count
    }

    fn follow_account(&self) {
        self.plain.set(!self.shut.get() && self.lent.get() == 0 && self.room.get() == 0);
    }

    #[inline(always)]
    fn free(&self, slot: Place<'_>) {
        if self.plain.get() {
            slot.push_stack::<OPEN>();
        } else {
            self.free_to_reserve(slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn free_to_reserve(&self, slot: Place<'_>) {
        match self.lent.get().checked_sub(1) {
            Some(lent) => {
                self.lent.set(lent);
                self.follow_account();
            }
            None if self.shut.get() => self.room.set(self.room.get() + 1),
            None => return slot.push_stack::<OPEN>(),
        }
        slot.push_stack::<RESERVE>();
    }

    // ---- completions ---------------------------------------------------------------------------------------------

    /// The slot's SEND is accounted for. False if there was none: the device completed what it does not have.
    #[inline(always)]
    pub(super) fn sent(&self, slot: u16) -> bool {
        let Some(slot) = self.queue.slot(u32::from(slot)) else { return false };
        if slot.user().phase.get() == phase::OUT {
            slot.user().phase.set(phase::SENT);
            return true;
        }
        self.sent_late(slot)
    }

    #[cold]
    #[inline(never)]
    fn sent_late(&self, slot: Place<'_>) -> bool {
        let late = slot.user().phase.get() == phase::ANSWERED;
        if late {
            self.finish_answered(slot);
        }
        late
    }

    /// The SEND of a slot, by its token, was never posted: there is nothing to account for.
    fn never_sent(&self, id: u64) {
        let _ = self.sent(Token::from_raw(id).slot());
    }

    /// The SEND of a slot that began just now was refused.
    pub(super) fn was_refused(&self, slot: Place<'_>) {
        slot.user().phase.set(phase::SENT);
    }

    /// A response came, as two words. False if it is not simply the success of a command whose SEND is accounted for: then
    /// [`Slots::answered_otherwise`] is to be asked.
    #[inline(always)]
    pub(super) fn answered(&self, low: u64, high: u64) -> bool {
        // A status that is not zero stands above the id, and there is no slot of that number.
        let id = (high >> 32) as u32;
        let Some(slot) = self.queue.slot(id & self.mask) else { return false };
        let request = slot.user();
        if request.phase.get() != phase::SENT || request.id.get() != id as u16 {
            return false;
        }
        request.completion.set([low, high]);
        self.make_finished(slot);
        true
    }

    /// A response came before the completion of its SEND, or with an error, or belongs to no command.
    pub(super) fn answered_otherwise(&self, low: u64, high: u64) -> Result<(), BadCommandId> {
        let id = (high >> 32) as u16;
        let slot = self.queue.slot(u32::from(id) & self.mask).ok_or(BadCommandId::OutOfRange(id))?;
        let request = slot.user();
        if request.id.get() == id {
            match request.phase.get() {
                phase::OUT => {
                    request.completion.set([low, high]);
                    request.phase.set(phase::ANSWERED);
                    return Ok(());
                }
                phase::SENT => {
                    request.completion.set([low, high]);
                    self.finish_answered(slot);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(if request.is_outstanding() { BadCommandId::Repeated(id) } else { BadCommandId::Idle(id) })
    }

    #[inline(always)]
    fn make_finished(&self, slot: Place<'_>) {
        slot.user().phase.set(phase::FINISHED);
        slot.push::<FINISHED>();
    }

    /// Finishes a request that no device knows with a completion of our own.
    pub(super) fn finish(&self, slot: Place<'_>, status: Status) {
        let id = slot.user().id.get();
        slot.user().completion.set(words(Completion::new(self.queue_id, id, status)));
        self.finish_answered(slot);
    }

    /// As [`Slots::finish`], of one that waited, and so had no room on the wire: its callback pays none back.
    fn finish_unsent(&self, slot: Place<'_>, status: Status) {
        if self.live.get() {
            self.lent.set(self.lent.get() + 1);
            self.follow_account();
        }
        self.finish(slot, status);
    }

    /// SENDs that the device was given and has not completed. Walks all slots: for the end of a connection.
    pub(super) fn sends_unheard_of(&self) -> u32 {
        let with_device = |slot: &Place<'_>| matches!(slot.user().phase.get(), phase::OUT | phase::ANSWERED);
        self.queue.slots().filter(with_device).count() as u32
    }

    /// Finishes every request that waits, was with the device or held back as aborted, in the order of their submission, those
    /// that waited last: callbacks of one I/O may rely on those before it. The device must be unable to touch their
    /// memory any more (I04). A request that was answered keeps its answer.
    pub(super) fn abort_all(&self) {
        let mut outstanding = self.scratch.take();
        let indexed = (0..).zip(self.requests());
        let is_meant =
            |slot: &Place<'_>| slot.user().is_outstanding() || slot.user().phase.get() == phase::HELD;
        let with_device = indexed.filter(|(_, slot)| is_meant(slot));
        outstanding.extend(with_device.map(|(index, _)| index));
        let now = self.begun.get() as u32;
        // The oldest first, by its age: the count may have wrapped between two of them.
        outstanding.sort_unstable_by_key(|index| {
            let order = self.queue.slot(u32::from(*index)).map_or(now, |slot| slot.user().order.get());
            std::cmp::Reverse(now.wrapping_sub(order))
        });
        let aborted = Status::ABORTED_SQ_DELETION.with_dnr(self.abort_dnr.get());
        for slot in outstanding.drain(..).filter_map(|index| self.queue.slot(u32::from(index))) {
            if slot.user().phase.get() == phase::ANSWERED {
                self.finish_answered(slot);
            } else {
                self.finish(slot, aborted);
            }
        }
        self.scratch.set(outstanding);
        self.forget_held();
        self.abort_waiting();
        self.reset_connect();
    }

    /// Finishes every request that waits as aborted. Only while the connection is not live: so none of them has room.
    pub(super) fn abort_waiting(&self) {
        let aborted = Status::ABORTED_SQ_DELETION.with_dnr(self.abort_dnr.get());
        while let Some(slot) = self.queue.pop::<WAITING>() {
            self.finish(slot, aborted);
        }
    }

    /// The answer to Fabrics Connect, once both its completions were accounted for. The slot is ready for another
    /// attempt then.
    pub(super) fn take_connect_answer(&self) -> Option<Completion> {
        let slot = self.connect()?;
        (slot.user().phase.get() == phase::FINISHED).then(|| {
            self.reset_connect();
            completion(slot.user().completion.get())
        })
    }

    /// The answer to Fabrics Connect, if it was heard, although the SEND is still to be accounted for.
    pub(super) fn connect_answer(&self) -> Option<Completion> {
        let slot = self.connect()?;
        (slot.user().phase.get() == phase::ANSWERED).then(|| completion(slot.user().completion.get()))
    }

    /// Makes the slot of Fabrics Connect ready for another attempt.
    pub(super) fn reset_connect(&self) {
        let Some(slot) = self.connect() else { return };
        if slot.user().phase.replace(phase::FREE) == phase::FINISHED {
            self.queue.remove::<FINISHED>(self.connect_slot());
        }
    }

    // ---- delivery ------------------------------------------------------------------------------------------------

    /// Whether a callback is due.
    #[inline(always)]
    pub(super) fn has_finished(&self) -> bool {
        self.queue.first::<FINISHED>().is_some()
    }

    /// Whether more callbacks are due than one.
    pub(super) fn has_several_finished(&self) -> bool {
        self.queue.list::<FINISHED>().nth(1).is_some()
    }

    /// Takes the request that finished first: its slot is free from here on. If its function is NULL,
    /// [`Slots::otherwise`] is to be asked next.
    #[inline(always)]
    pub(super) fn take_finished(&self) -> Option<Finished> {
        let slot = self.queue.pop::<FINISHED>()?;
        let request = slot.user();
        let finished = Finished {
            context: Context { function: request.function.get(), argument: request.argument.get() },
            completion: completion(request.completion.get()),
        };
        request.phase.set(phase::FREE);
        if !finished.context.function.is_null() {
            self.free(slot);
        }
        Some(finished)
    }

    /// The transfer that a request is a part of which was taken just now and has no function; then its slot is free from here on. None
    /// if it is no part, or not only that: then [`Slots::otherwise`] is to be asked.
    #[inline(always)]
    pub(super) fn take_part(&self, id: u16) -> Option<Split> {
        let index = u32::from(id) & self.mask;
        let split = self.take_part_of(index)?;
        self.free(self.queue.slot(index)?);
        Some(split)
    }

    /// What is to be done with a request that was taken just now and has no function, by the id of its completion; its slot is free
    /// from here on.
    pub(super) fn otherwise(&self, id: u16) -> Otherwise {
        // Its own id, not only what the controller said: a response is only taken if the two are equal.
        let index = u32::from(id) & self.mask;
        if index == self.connect_slot() {
            return Otherwise::Connect;
        }
        let (ending, ahead) = self.take_ending(index);
        if let Some(slot) = self.queue.slot(index) {
            if ahead {
                slot.push_stack::<RESERVE>();
            } else {
                self.free(slot);
            }
        }
        Otherwise::Ends(ending)
    }

    /// A request had to wait for room on the wire.
    pub(super) fn count_queued(&self) {
        self.queued.set(self.queued.get() + 1);
    }

    /// SENDs that were posted, with how many doorbells, and requests that had to wait for room, since the slots were made.
    pub(super) fn posted(&self) -> (u64, u64, u64) {
        let (sends, doorbells) = self.queue.posted(self.begun.get().wrapping_sub(self.held_back.get()));
        (sends, doorbells, self.queued.get())
    }

    /// Requests that were accepted and whose callback did not run yet. Walks all slots.
    pub(super) fn in_use(&self) -> usize {
        self.queue.slots().filter(|slot| slot.user().phase.get() != phase::FREE).count()
    }
}

/// Admin commands that may take as long as they like: an Asynchronous Event Request waits for its event, a Keep Alive has a deadline of its
/// own.
const EXEMPT: [u8; 2] = [AdminOpcode::ASYNC_EVENT_REQUEST.0, AdminOpcode::KEEP_ALIVE.0];

/// The words of a request of which nobody is told.
const NOBODY: Context = Context { function: std::ptr::null(), argument: std::ptr::null_mut() };

#[inline(always)]
fn completion([low, high]: [u64; 2]) -> Completion {
    Completion { dwords: [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32] }
}

fn words(completion: Completion) -> [u64; 2] {
    let [a, b, c, d] = completion.dwords.map(u64::from);
    [a | b << 32, c | d << 32]
}

#[cfg(test)]
mod tests;
