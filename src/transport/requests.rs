//! The request slots of a qpair.
//!
//! A slot is taken when a request is accepted and comes back right before its callback runs. It is on exactly one of
//! three lists: free, waiting (accepted, not handed to the device), finished (its completion is there, its callback
//! is due); a slot on none of them is with the device. The slots, their commands' memory and their callbacks live as
//! long as the qpair: a reconnect finds live requests as they were (T102), and aborted ones need no connection.
//!
//! The command id that goes over the wire holds the slot and a generation, so that a response that is late, forged
//! or repeated is noticed (H10).

use crate::transport::Error;
use spec::{Completion, Status};
use std::{cell::Cell, rc::Rc};
use verbs::Memory;

/// The bytes of a command in memory.
pub(super) const COMMAND_SIZE: usize = 64;

/// Two words of the layer above, handed back with a completion and never looked into.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// By custom, the program's function.
    pub function: *const (),
    /// By custom, the program's argument.
    pub argument: *mut (),
}

/// How a completion reaches the layer above without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Callback {
    /// Called once with `context` and the completion.
    pub deliver: fn(Context, &Completion),
    /// Handed to `deliver`.
    pub context: Context,
}

/// Who hears of a request's completion.
pub enum Completer {
    /// A function of the layer above.
    Callback(Callback),
    /// A closure that others may hold, too, and that keeps what it needs alive.
    Shared(Rc<dyn Fn(&Completion)>),
}

impl Completer {
    /// Tells of the completion.
    #[inline]
    pub fn complete(self, completion: &Completion) {
        match self {
            Self::Callback(callback) => (callback.deliver)(callback.context, completion),
            Self::Shared(closure) => closure(completion),
        }
    }
}

/// The data of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// There is none.
    #[default]
    None,
    /// Memory of the program, covered by the environment's memory map.
    Memory {
        /// Where it begins.
        address: u64,
        /// Its length in bytes, less than 16 MiB (the length field of a keyed SGL descriptor has 24 bits).
        length: u32,
    },
    /// Memory that is registered with the connection's protection domain already.
    Registered {
        /// Where it begins.
        address: u64,
        /// Its length in bytes.
        length: u32,
        /// The key that the controller gets.
        remote_key: u32,
    },
}

/// Where a slot is: one of the first four, and of an outstanding one what was heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phase(u8);

impl Phase {
    const FREE: Self = Self(0);
    const WAITING: Self = Self(1);
    const FINISHED: Self = Self(2);
    /// With the device.
    const OUTSTANDING: Self = Self(4);
    /// Outstanding, and its SEND is accounted for.
    const SENT: u8 = 8;
    /// Outstanding, and its response came.
    const ANSWERED: u8 = 16;

    #[inline]
    fn is_outstanding(self) -> bool {
        self.0 & Self::OUTSTANDING.0 != 0
    }

    #[inline]
    fn has(self, heard: u8) -> bool {
        self.0 & heard != 0
    }
}

/// One slot, in a cache line of its own.
#[repr(align(64))]
struct Request {
    completer: Cell<Option<Completer>>,
    completion: Cell<Completion>,
    /// When it was accepted, by the count of those before it.
    order: Cell<u32>,
    next: Cell<u16>,
    generation: Cell<u16>,
    phase: Cell<Phase>,
}

/// What the end of a SEND means for its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Sent {
    /// There was none: the device completed what it does not have.
    Unposted,
    /// The response is still to come.
    Unanswered,
    /// The response had come before: the request is finished.
    Finished,
}

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

/// The slots of one qpair.
pub(super) struct Requests {
    slots: Box<[Request]>,
    /// The data of requests that wait.
    payloads: Box<[Cell<Payload>]>,
    commands: Rc<Memory>,
    free: List,
    waiting: List,
    finished: List,
    /// How many commands began so far; it wraps.
    begun: Cell<u32>,
    /// Room to bring aborted requests in order, so that an end allocates nothing.
    scratch: Cell<Vec<u16>>,
    slot_bits: u32,
    generations: u16,
    queue_id: u16,
}

impl Requests {
    /// `count` slots for requests, and one more for Fabrics Connect, which no request can take (T79).
    pub(super) fn new(count: u16, queue_id: u16) -> Result<Rc<Self>, Error> {
        let total = usize::from(count) + 1;
        let mut slots = Vec::new();
        slots.try_reserve_exact(total).map_err(|_| Error::NoMemory)?;
        slots.extend((0..total).map(|_| Request {
            completer: Cell::new(None),
            completion: Cell::new(Completion::default()),
            order: Cell::new(0),
            next: Cell::new(List::NONE),
            generation: Cell::new(0),
            phase: Cell::new(Phase::FREE),
        }));
        let mut payloads = Vec::new();
        payloads.try_reserve_exact(total).map_err(|_| Error::NoMemory)?;
        payloads.resize_with(total, Cell::default);
        let mut scratch = Vec::new();
        scratch.try_reserve_exact(total).map_err(|_| Error::NoMemory)?;
        let slot_bits = u16::BITS - count.leading_zeros();
        let requests = Self {
            slots: slots.into_boxed_slice(),
            payloads: payloads.into_boxed_slice(),
            commands: Memory::new(total.saturating_mul(COMMAND_SIZE))?,
            free: List::new(),
            waiting: List::new(),
            finished: List::new(),
            begun: Cell::new(0),
            scratch: Cell::new(scratch),
            slot_bits,
            // The last generation stays unused, since command id FFFFh is not to be used (Base 2.0, 3.3.3.1, CID).
            generations: (1_u16 << (u16::BITS - slot_bits)).wrapping_sub(1).max(1),
            queue_id,
        };
        (0..count).for_each(|slot| requests.free.push(&requests.slots, slot));
        Ok(Rc::new(requests))
    }

    /// The number of slots, that of Fabrics Connect included.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The slot of Fabrics Connect.
    pub(super) fn connect_slot(&self) -> u16 {
        (self.slots.len() - 1) as u16
    }

    /// The memory of the commands: that of slot n begins at n × [`COMMAND_SIZE`].
    pub(super) fn commands(&self) -> &Rc<Memory> {
        &self.commands
    }

    /// Takes a free slot for a request.
    #[inline]
    pub(super) fn take(&self) -> Option<u16> {
        self.free.pop(&self.slots)
    }

    /// Whether as many slots are free.
    pub(super) fn has_free(&self, count: usize) -> bool {
        let mut slot = self.free.head.get();
        for _ in 0..count {
            match self.slots.get(usize::from(slot)) {
                Some(request) => slot = request.next.get(),
                None => return false,
            }
        }
        true
    }

    /// Gives a slot back whose request was not accepted after all.
    pub(super) fn give_back(&self, slot: u16) {
        if let Some(request) = self.slots.get(usize::from(slot)) {
            request.phase.set(Phase::FREE);
            request.completer.set(None);
            self.free.push_first(&self.slots, slot);
        }
    }

    /// Hands the slot to the device, and says who hears of its completion, if that is new. Returns the command id
    /// that its command must carry, unlike that of its previous ones.
    #[inline]
    pub(super) fn begin(&self, slot: u16, completer: Option<Completer>) -> Option<u16> {
        let request = self.slots.get(usize::from(slot))?;
        let next = request.generation.get() + 1;
        let generation = if next == self.generations { 0 } else { next };
        request.generation.set(generation);
        request.phase.set(Phase::OUTSTANDING);
        let order = self.begun.get();
        request.order.set(order);
        self.begun.set(order.wrapping_add(1));
        if completer.is_some() {
            // A slot that was free has no completer: there is nothing to drop.
            std::mem::forget(request.completer.replace(completer));
        }
        Some(generation << self.slot_bits | slot)
    }

    /// The slot waits, behind all that wait already, until the connection can take it.
    /// False if there is no such slot.
    #[must_use]
    pub(super) fn wait(&self, slot: u16, payload: Payload, completer: Completer) -> bool {
        let place = usize::from(slot);
        let (Some(request), Some(data)) = (self.slots.get(place), self.payloads.get(place)) else {
            return false;
        };
        request.phase.set(Phase::WAITING);
        request.completer.set(Some(completer));
        data.set(payload);
        self.waiting.push(&self.slots, slot);
        true
    }

    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The slot that has waited longest, and its data; no data means that there is no such slot.
    pub(super) fn next_waiting(&self) -> Option<(u16, Option<Payload>)> {
        let slot = self.waiting.pop(&self.slots)?;
        Some((slot, self.payloads.get(usize::from(slot)).map(Cell::get)))
    }

    /// The slot's SEND will not be heard of any more: it completed, or was never posted.
    #[inline]
    pub(super) fn sent(&self, slot: u16) -> Sent {
        let Some(request) = self.slots.get(usize::from(slot)) else { return Sent::Unposted };
        let phase = request.phase.get();
        if !phase.is_outstanding() || phase.has(Phase::SENT) {
            return Sent::Unposted;
        }
        if phase.has(Phase::ANSWERED) {
            self.make_finished(slot, request);
            return Sent::Finished;
        }
        request.phase.set(Phase(phase.0 | Phase::SENT));
        Sent::Unanswered
    }

    /// A response came. True if that was the last thing its request was outstanding for.
    #[inline]
    pub(super) fn answered(&self, completion: &Completion) -> Result<bool, BadCommandId> {
        let id = completion.cid();
        let slot = id & !(u16::MAX.checked_shl(self.slot_bits).unwrap_or(0));
        let request = self.slots.get(usize::from(slot)).ok_or(BadCommandId::OutOfRange(id))?;
        let phase = request.phase.get();
        let current = id >> self.slot_bits == request.generation.get();
        if !current || !phase.is_outstanding() || phase.has(Phase::ANSWERED) {
            return Err(self.bad_command_id(id, phase));
        }
        request.completion.set(*completion);
        let last = phase.has(Phase::SENT);
        if last {
            self.make_finished(slot, request);
        } else {
            request.phase.set(Phase(phase.0 | Phase::ANSWERED));
        }
        Ok(last)
    }

    #[cold]
    fn bad_command_id(&self, id: u16, phase: Phase) -> BadCommandId {
        if id >> self.slot_bits >= self.generations {
            BadCommandId::OutOfRange(id)
        } else if phase.is_outstanding() {
            BadCommandId::Repeated(id)
        } else {
            BadCommandId::Idle(id)
        }
    }

    /// Finishes a request that no device knows with a completion of our own.
    pub(super) fn finish(&self, slot: u16, status: Status) {
        if let Some(request) = self.slots.get(usize::from(slot)) {
            let id = request.generation.get() << self.slot_bits | slot;
            request.completion.set(Completion::new(self.queue_id, id, status));
            self.make_finished(slot, request);
        }
    }

    /// SENDs that the device was given and has not completed. Walks all slots: for the end of a connection.
    pub(super) fn sends_unheard_of(&self) -> u32 {
        let with_device = |request: &&Request| {
            let phase = request.phase.get();
            phase.is_outstanding() && !phase.has(Phase::SENT)
        };
        u32::try_from(self.slots.iter().filter(with_device).count()).unwrap_or(u32::MAX)
    }

    /// Finishes every request that waits or was with the device as aborted, in the order of their submission, those
    /// that waited last: callbacks of one I/O may rely on those before it. The device must be unable to touch their
    /// memory any more (I04). A request that was answered keeps its answer.
    pub(super) fn abort_all(&self) {
        let mut outstanding = self.scratch.take();
        let slots = (0..self.connect_slot()).zip(&self.slots);
        outstanding
            .extend(slots.filter(|(_, request)| request.phase.get().is_outstanding()).map(|(slot, _)| slot));
        let now = self.begun.get();
        // The oldest first, by its age: the count may have wrapped between two of them.
        outstanding.sort_unstable_by_key(|slot| {
            let order = self.slots.get(usize::from(*slot)).map_or(now, |request| request.order.get());
            std::cmp::Reverse(now.wrapping_sub(order))
        });
        for slot in outstanding.drain(..) {
            match self.slots.get(usize::from(slot)) {
                Some(request) if request.phase.get().has(Phase::ANSWERED) => {
                    self.make_finished(slot, request)
                }
                _ => self.finish(slot, Status::ABORTED_SQ_DELETION),
            }
        }
        self.scratch.set(outstanding);
        while let Some(slot) = self.waiting.pop(&self.slots) {
            self.finish(slot, Status::ABORTED_SQ_DELETION);
        }
        self.reset_connect_slot();
    }

    /// The answer to Fabrics Connect, once both its completions were accounted for. The slot is ready for another
    /// attempt then.
    pub(super) fn take_connect_answer(&self) -> Option<Completion> {
        let request = self.slots.last()?;
        (request.phase.get() == Phase::FINISHED).then(|| {
            self.reset_connect_slot();
            request.completion.get()
        })
    }

    /// The answer to Fabrics Connect, if it was heard, although the SEND is still to be accounted for.
    pub(super) fn connect_answer(&self) -> Option<Completion> {
        let request = self.slots.last()?;
        let phase = request.phase.get();
        (phase.is_outstanding() && phase.has(Phase::ANSWERED)).then(|| request.completion.get())
    }

    /// Makes the slot of Fabrics Connect ready for another attempt.
    pub(super) fn reset_connect_slot(&self) {
        let Some(request) = self.slots.last() else { return };
        if request.phase.replace(Phase::FREE) != Phase::FINISHED {
            return;
        }
        let others = List::new();
        while let Some(slot) = self.finished.pop(&self.slots) {
            if slot != self.connect_slot() {
                others.push(&self.slots, slot);
            }
        }
        self.finished.head.set(others.head.get());
        self.finished.tail.set(others.tail.get());
    }

    #[inline]
    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Takes the request that finished first: its slot is free from here on, its callback is the caller's to run.
    /// For Fabrics Connect, whose slot nobody else can take, there is no completer.
    #[inline]
    pub(super) fn take_finished(&self) -> Option<(Option<Completer>, Completion)> {
        let slot = self.finished.pop(&self.slots)?;
        let request = self.slots.get(usize::from(slot))?;
        request.phase.set(Phase::FREE);
        if slot != self.connect_slot() {
            self.free.push_first(&self.slots, slot);
        }
        Some((request.completer.take(), request.completion.get()))
    }

    /// Requests that were accepted and whose callback did not run yet.
    pub(super) fn in_use(&self) -> usize {
        self.slots.iter().filter(|request| request.phase.get() != Phase::FREE).count()
    }

    #[inline]
    fn make_finished(&self, slot: u16, request: &Request) {
        request.phase.set(Phase::FINISHED);
        self.finished.push(&self.slots, slot);
    }
}

/// A list of slots, linked through them: a slot is on one list at a time.
struct List {
    head: Cell<u16>,
    tail: Cell<u16>,
}

impl List {
    const NONE: u16 = u16::MAX;

    fn new() -> Self {
        Self { head: Cell::new(Self::NONE), tail: Cell::new(Self::NONE) }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.head.get() == Self::NONE
    }

    #[inline]
    fn push(&self, slots: &[Request], slot: u16) {
        if let Some(request) = slots.get(usize::from(slot)) {
            request.next.set(Self::NONE);
            match slots.get(usize::from(self.tail.replace(slot))) {
                Some(last) if self.head.get() != Self::NONE => last.next.set(slot),
                _ => self.head.set(slot),
            }
        }
    }

    #[inline]
    fn push_first(&self, slots: &[Request], slot: u16) {
        if let Some(request) = slots.get(usize::from(slot)) {
            if self.is_empty() {
                self.tail.set(slot);
            }
            request.next.set(self.head.replace(slot));
        }
    }

    #[inline]
    fn pop(&self, slots: &[Request]) -> Option<u16> {
        let slot = self.head.get();
        let request = slots.get(usize::from(slot))?;
        self.head.set(request.next.replace(Self::NONE));
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(id: u16) -> Completion {
        Completion::new(1, id, Status::SUCCESS)
    }

    fn nobody() -> Completer {
        Completer::Shared(Rc::new(|_| {}))
    }

    fn outstanding(requests: &Requests) -> (u16, u16) {
        let slot = requests.take().unwrap();
        (slot, requests.begin(slot, None).unwrap())
    }

    #[test]
    fn t11_a_slot_is_free_only_after_its_send_and_its_response() {
        for response_first in [true, false] {
            let requests = Requests::new(1, 1).unwrap();
            let (slot, id) = outstanding(&requests);
            if response_first {
                assert_eq!(requests.answered(&response(id)), Ok(false));
                assert!(requests.take_finished().is_none() && requests.take().is_none());
                assert_eq!(requests.sent(slot), Sent::Finished);
            } else {
                assert_eq!(requests.sent(slot), Sent::Unanswered);
                assert!(requests.take_finished().is_none() && requests.take().is_none());
                assert_eq!(requests.answered(&response(id)), Ok(true));
            }
            assert!(requests.take().is_none(), "finished, not delivered");
            assert!(requests.take_finished().is_some());
            assert_eq!(requests.take(), Some(slot));
        }
    }

    #[test]
    fn h10_a_response_with_a_bad_command_id_is_refused() {
        for count in [1, 3, 4, 127, 128, 1023, 4095] {
            let requests = Requests::new(count, 1).unwrap();
            let (slot, id) = outstanding(&requests);
            assert_eq!(
                requests.answered(&response(0xffff)),
                Err(BadCommandId::OutOfRange(0xffff)),
                "{count}"
            );
            if let Some(slot) = requests.take() {
                let idle = slot; // generation 0 was never given
                assert_eq!(requests.answered(&response(idle)), Err(BadCommandId::Idle(idle)));
            }
            assert_eq!(requests.answered(&response(id)), Ok(false));
            assert_eq!(requests.answered(&response(id)), Err(BadCommandId::Repeated(id)), "before the send");
            assert_eq!(requests.sent(slot), Sent::Finished);
            assert_eq!(
                requests.sent(slot),
                Sent::Unposted,
                "a second completion of the send changes nothing"
            );
            assert_eq!(requests.answered(&response(id)), Err(BadCommandId::Idle(id)), "finished");
            requests.take_finished().unwrap();
            assert_eq!(requests.answered(&response(id)), Err(BadCommandId::Idle(id)), "free");
            let again = requests.take().unwrap();
            let next = requests.begin(again, None).unwrap();
            assert_eq!(again, slot);
            assert_ne!(next, id, "an old id does not fit the slot's next use");
            assert_eq!(requests.answered(&response(id)), Err(BadCommandId::Repeated(id)));
        }
    }

    #[test]
    fn no_command_id_is_the_reserved_one() {
        let requests = Requests::new(4095, 1).unwrap();
        for _ in 0..100 {
            assert_ne!(requests.begin(4095, None), Some(0xffff));
        }
    }

    #[test]
    fn an_abort_finishes_each_request_once_and_in_order() {
        let requests = Requests::new(4, 7).unwrap();
        let (answered, id) = outstanding(&requests);
        let (_, lost) = outstanding(&requests);
        let waiting = requests.take().unwrap();
        assert!(requests.wait(waiting, Payload::None, nobody()));
        requests.answered(&response(id)).unwrap();
        requests.abort_all();
        requests.abort_all();
        let mut heard = Vec::new();
        while let Some((_, completion)) = requests.take_finished() {
            heard.push((completion.cid(), completion.status(), completion.sqid()));
        }
        assert_eq!(heard.len(), 3);
        assert_eq!(heard[0], (id, Status::SUCCESS, 1));
        assert_eq!(heard[1], (lost, Status::ABORTED_SQ_DELETION, 7));
        assert_eq!(heard[2].1, Status::ABORTED_SQ_DELETION);
        assert_eq!(requests.in_use(), 0);
        assert_eq!(requests.sent(answered), Sent::Unposted, "a late completion of the send changes nothing");
    }

    #[test]
    fn an_answer_to_connect_does_not_outlive_its_attempt() {
        let requests = Requests::new(2, 1).unwrap();
        let (first, id) = outstanding(&requests);
        let connect = requests.connect_slot();
        let connect_id = requests.begin(connect, None).unwrap();
        for (slot, id) in [(connect, connect_id), (first, id)] {
            requests.answered(&response(id)).unwrap();
            let _ = requests.sent(slot);
        }
        requests.reset_connect_slot();
        assert_eq!(requests.take_finished().map(|(_, completion)| completion.cid()), Some(id));
        assert!(requests.take_finished().is_none());
    }

    #[test]
    fn waiting_requests_keep_their_order() {
        let requests = Requests::new(3, 1).unwrap();
        let slots: Vec<u16> = (0..3).map(|_| requests.take().unwrap()).collect();
        assert!(slots.iter().all(|slot| requests.wait(*slot, Payload::None, nobody())));
        let order: Vec<u16> = std::iter::from_fn(|| requests.next_waiting()).map(|(slot, _)| slot).collect();
        assert_eq!(order, slots);
    }
}
