//! Slots with commands, the lists that they are on, and how they are posted.

use super::{Registration, Seat, sole};
use crate::{Access, Error, Memory, ProtectionDomain, Segment};
use rdma_sys as sys;
use std::{
    cell::{Cell, UnsafeCell},
    ffi::c_int,
    mem::MaybeUninit,
    ptr::{self, null_mut},
    rc::Rc,
    sync::Arc,
};

/// The 64-bit words of a command.
pub const COMMAND_WORDS: usize = 8;
const COMMAND_SIZE: u32 = 64;

/// A slot: the command in a cache line of its own, which the device reads, and one for the rest.
#[repr(C, align(64))]
struct Place<T> {
    command: UnsafeCell<[u64; COMMAND_WORDS]>,
    next: Cell<*const Place<T>>,
    id: Cell<u64>,
    user: T,
}

/// The ends of a list, both null if it is empty. One that is used as a stack has no last.
struct List<T> {
    first: Cell<*const Place<T>>,
    last: Cell<*const Place<T>>,
}

/// A work request, in a row that is linked once and for all.
struct Entry {
    request: UnsafeCell<sys::ibv_send_wr>,
    segments: UnsafeCell<[sys::ibv_sge; 2]>,
}

/// Slots with commands to be sent, on `LISTS` lists. All sends are signaled.
///
/// A slot is on one list at a time; who pushes it on a second ties a knot, which is wrong, but stays inside of the queue.
pub struct SendQueue<T, const LISTS: usize> {
    base: Cell<*const Place<T>>,
    count: usize,
    lists: [List<T>; LISTS],
    /// For slots that are posted at once: of one segment, but of two for the time of a call. Out of a box, as the next, which may be this.
    single: *const Entry,
    /// For those with a second segment whose key is known: another entry, or `single` while there is no such key.
    known: Cell<*const Entry>,
    /// For slots that are put off.
    row: Box<[Entry]>,
    pending: Cell<usize>,
    /// Doorbells that rows have saved since the queue was made, and SENDs that were put off and forgotten.
    saved: Cell<u64>,
    forgotten: Cell<u64>,
    seat: Rc<Seat>,
    memory: Cell<Option<Rc<Memory>>>,
}

/// A slot of a [`SendQueue`].
pub struct Slot<'a, T, const LISTS: usize> {
    queue: &'a SendQueue<T, LISTS>,
    place: &'a Place<T>,
}

impl<T, const LISTS: usize> SendQueue<T, LISTS> {
    /// Bytes that `count` slots take.
    pub fn memory_for(count: usize) -> usize {
        count.saturating_mul(size_of::<Place<T>>())
    }

    /// A queue of `count` slots in `memory`, which nobody else may have a share of (EINVAL), of which `row` may be put off at a
    /// time. The slots are on no list.
    pub fn new(
        memory: Rc<Memory>,
        count: usize,
        row: usize,
        seat: &Rc<Seat>,
        mut user: impl FnMut(usize) -> T,
    ) -> Result<Self, Error> {
        const { assert!(!std::mem::needs_drop::<T>()) };
        const { assert!(size_of::<Place<T>>() == 128 && align_of::<Place<T>>() == 64) };
        let memory = sole(memory, Self::memory_for(count))?;
        let base = memory.as_ptr().cast::<Place<T>>();
        for slot in 0..count {
            // SAFETY: the memory has room for the place, and nobody else reaches it; it begins at a multiple of 64 and holds zeros,
            // which are a value for all of a place but the user's.
            unsafe { (&raw mut (*base.add(slot)).user).write(user(slot)) };
        }
        let row = row_of(row.max(1))?;
        let single = Entry::alone(1);
        Ok(Self {
            base: Cell::new(base),
            count,
            lists: std::array::from_fn(|_| List {
                first: Cell::new(ptr::null()),
                last: Cell::new(ptr::null()),
            }),
            single,
            known: Cell::new(single),
            row,
            pending: Cell::new(0),
            saved: Cell::new(0),
            forgotten: Cell::new(0),
            seat: seat.clone(),
            memory: Cell::new(Some(memory)),
        })
    }

    /// The number of slots.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Registers the commands with a device, and sets the ids that the completions of the slots carry.
    pub fn register(
        &self,
        domain: &Arc<ProtectionDomain>,
        id: impl Fn(usize) -> u64,
    ) -> Result<Registration, Error> {
        let memory = self.memory.take();
        let registration = match &memory {
            Some(memory) => Registration::of(memory, domain, Access::LocalRead),
            None => Err(Error::new("registering a queue", libc::EINVAL)),
        };
        self.memory.set(memory);
        let registration = registration?;
        for slot in 0..self.count {
            // SAFETY: the place exists, and cells are written through shared references.
            unsafe { (*self.base.get().add(slot)).id.set(id(slot)) };
        }
        for entry in self.row.iter().chain([self.single(), self.known()]) {
            // SAFETY: nobody has a reference to the segments.
            unsafe { (*entry.segments.get())[0].lkey = registration.local_key() };
        }
        self.pending.set(0);
        Ok(registration)
    }

    /// The key of the segments that [`Slot::post_with_known`] posts, after [`SendQueue::register`].
    pub fn set_known_key(&self, local_key: u32) {
        if ptr::eq(self.known(), self.single()) {
            self.known.set(Entry::alone(2));
            // SAFETY: nobody has a reference to the segments of either.
            unsafe { (*self.known().segments.get())[0] = (*self.single().segments.get())[0] };
        }
        // SAFETY: nobody has a reference to the segments.
        unsafe { (*self.known().segments.get())[1].lkey = local_key };
    }

    #[inline(always)]
    fn single(&self) -> &Entry {
        // SAFETY: it came out of a box in `new`, and lives as long as the queue; entries are written through cells alone.
        unsafe { &*self.single }
    }

    #[inline(always)]
    fn known(&self) -> &Entry {
        // SAFETY: it is `single`, or came out of a box in `set_known_key`, is never exchanged again, and is freed in `drop` alone.
        unsafe { &*self.known.get() }
    }

    /// Moves all slots, as they are and on the lists that they are on, to `memory`, which nobody else may have a share of, with
    /// what `copy` makes of the user's values. Where they were is kept for good, values and all: a device may still read there, and
    /// who found a slot before has it still. Nothing is pending afterwards.
    pub fn renew(&self, memory: Rc<Memory>, copy: impl Fn(&T) -> T) -> Result<(), Error> {
        let memory = sole(memory, Self::memory_for(self.count))?;
        let (old, new) = (self.base.get(), memory.as_ptr().cast::<Place<T>>());
        // What is not there is null, or a slot that was found before the queue moved once already and was pushed since.
        let moved = |place: *const Place<T>| {
            let index = place.addr().wrapping_sub(old.addr()) / size_of::<Place<T>>();
            if index < self.count { new.wrapping_add(index).cast_const() } else { ptr::null() }
        };
        for slot in 0..self.count {
            // SAFETY: the old place stays where it is, and nobody writes its command meanwhile.
            let (from, command) = unsafe { (&*old.add(slot), (*old.add(slot)).command.get().read()) };
            let place = Place {
                command: UnsafeCell::new(command),
                next: Cell::new(moved(from.next.get())),
                id: from.id.clone(),
                user: copy(&from.user),
            };
            // SAFETY: the new memory has room for the place, and nobody else reaches it.
            unsafe { new.add(slot).write(place) };
        }
        for list in &self.lists {
            list.first.set(moved(list.first.get()));
            list.last.set(moved(list.last.get()));
        }
        self.base.set(new);
        self.pending.set(0);
        std::mem::forget(self.memory.replace(Some(memory)));
        Ok(())
    }

    /// The slot with this index, if there is one.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<Slot<'_, T, LISTS>> {
        let index = index as usize;
        // SAFETY: the index is that of a place, which stays where it is as long as the queue lives, and longer if it moves.
        (index < self.count).then(|| Slot { queue: self, place: unsafe { &*self.base.get().add(index) } })
    }

    /// All slots, by index.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot<'_, T, LISTS>> {
        // SAFETY: as in `slot`.
        (0..self.count).map(|index| Slot { queue: self, place: unsafe { &*self.base.get().add(index) } })
    }

    /// The ends of a list. That there is one of this number is seen to when it is compiled.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)]
    fn ends<const LIST: usize>(&self) -> &List<T> {
        const { assert!(LIST < LISTS) };
        &self.lists[LIST]
    }

    /// The first slot of a list.
    #[inline(always)]
    pub fn first<const LIST: usize>(&self) -> Option<Slot<'_, T, LISTS>> {
        let first = self.ends::<LIST>().first.get();
        // SAFETY: what is linked are places of this queue.
        (!first.is_null()).then(|| Slot { queue: self, place: unsafe { &*first } })
    }

    /// Takes the first slot off a list that is pushed to in front only.
    #[inline(always)]
    pub fn pop_stack<const LIST: usize>(&self) -> Option<Slot<'_, T, LISTS>> {
        let slot = self.first::<LIST>()?;
        self.ends::<LIST>().first.set(slot.place.next.get());
        Some(slot)
    }

    /// Takes the first slot off a list.
    #[inline(always)]
    pub fn pop<const LIST: usize>(&self) -> Option<Slot<'_, T, LISTS>> {
        let slot = self.pop_stack::<LIST>()?;
        if slot.place.next.get().is_null() {
            self.ends::<LIST>().last.set(ptr::null());
        }
        Some(slot)
    }

    /// The slots of a list, in order. Whoever changes lists meanwhile sees the one or the other.
    pub fn list<const LIST: usize>(&self) -> impl Iterator<Item = Slot<'_, T, LISTS>> {
        let mut next = self.first::<LIST>();
        std::iter::from_fn(move || {
            let slot = next?;
            let place = slot.place.next.get();
            // SAFETY: as in `first`.
            next = (!place.is_null()).then(|| Slot { queue: self, place: unsafe { &*place } });
            Some(slot)
        })
        .take(self.count)
    }

    /// Whether a list has so many slots. Walks it as far.
    #[inline]
    pub fn has<const LIST: usize>(&self, count: usize) -> bool {
        let mut next = self.ends::<LIST>().first.get();
        for _ in 0..count {
            if next.is_null() {
                return false;
            }
            // SAFETY: as in `first`.
            next = unsafe { &*next }.next.get();
        }
        true
    }

    /// Takes a slot out of a list, wherever it is. False if it is not there. Walks the list.
    pub fn remove<const LIST: usize>(&self, index: u32) -> bool {
        let Some(slot) = self.slot(index) else { return false };
        let list = self.ends::<LIST>();
        let mut before: Option<Slot<'_, T, LISTS>> = None;
        for found in self.list::<LIST>() {
            if !ptr::eq(found.place, slot.place) {
                before = Some(found);
                continue;
            }
            let next = slot.place.next.get();
            before.map_or(&list.first, |before| &before.place.next).set(next);
            if next.is_null() {
                list.last.set(before.map_or(ptr::null(), |before| before.place));
            }
            return true;
        }
        false
    }

    /// Puts all slots of a stack, in their order, in front of another one. Returns how many there were.
    pub fn move_stack<const FROM: usize, const TO: usize>(&self) -> usize {
        let (from, to) = (self.ends::<FROM>(), self.ends::<TO>());
        let mut count = 0;
        let mut last = None;
        for slot in self.list::<FROM>() {
            last = Some(slot);
            count += 1;
        }
        let Some(last) = last else { return 0 };
        // Off the one before on the other, so that the same list twice is no knot.
        let first = from.first.replace(ptr::null());
        last.place.next.set(to.first.replace(first));
        count
    }

    /// Whether nothing is put off.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.pending.get() == 0
    }

    /// Of `begun` commands that went into slots since the queue was made: how many SENDs were posted, and with how many doorbells.
    pub fn posted(&self, begun: u64) -> (u64, u64) {
        let sends = begun.saturating_sub(self.forgotten.get()).saturating_sub(self.pending.get() as u64);
        (sends, sends.saturating_sub(self.saved.get()))
    }

    /// Hands what was put off to the device, with one doorbell. On an error: the errno, and `refused` was called for each id that
    /// was surely not posted. Nothing is pending afterwards.
    #[inline(always)]
    pub fn post_pending(&self, refused: impl FnMut(u64)) -> Result<(), i32> {
        let pending = self.pending.replace(0);
        if pending == 0 {
            return Ok(());
        }
        let (Some(first), Some(last)) = (self.row.first(), self.row.get(pending - 1)) else { return Ok(()) };
        let mut bad = null_mut();
        // SAFETY: nobody has a reference to the requests; those up to the last pending one are filled, and it ends the chain for
        // the time of the call.
        let errno = unsafe {
            let rest = std::mem::replace(&mut (*last.request.get()).next, null_mut());
            let errno = self.seat.post_send(first.request.get(), &raw mut bad);
            (*last.request.get()).next = rest;
            errno
        };
        self.saved.set(self.saved.get() + (pending - 1) as u64);
        if errno == 0 {
            return Ok(());
        }
        self.each_from(bad, pending, refused);
        Err(errno.saturating_abs())
    }

    /// Forgets what was put off; `each` is called for its ids.
    pub fn clear(&self, each: impl FnMut(u64)) {
        let pending = self.pending.replace(0);
        self.forgotten.set(self.forgotten.get() + pending as u64);
        if let Some(first) = self.row.first() {
            self.each_from(first.request.get(), pending, each);
        }
    }

    /// Calls `each` for the pending requests from `first` on. If `first` is none of them, the device has said nothing that can be
    /// believed: then for none, since it may have them all.
    #[cold]
    fn each_from(&self, first: *mut sys::ibv_send_wr, pending: usize, mut each: impl FnMut(u64)) {
        let requests = || self.row.iter().take(pending).map(|entry| entry.request.get());
        for request in requests().skip_while(|request| *request != first) {
            // SAFETY: nobody has a reference to it.
            each(unsafe { (*request).wr_id });
        }
    }
}

impl<T, const LISTS: usize> Drop for SendQueue<T, LISTS> {
    fn drop(&mut self) {
        let (single, known) = (self.single, self.known.get());
        if !ptr::eq(single, known) {
            // SAFETY: it came out of a box in `set_known_key`, and is used no more.
            drop(unsafe { Box::from_raw(known.cast_mut()) });
        }
        // SAFETY: it came out of a box in `new`, and is used no more.
        drop(unsafe { Box::from_raw(single.cast_mut()) });
    }
}

impl Entry {
    /// A SEND of nothing.
    fn empty() -> Self {
        // SAFETY: zero is a value for ibv_send_wr (integers, pointers and unions of them) and for ibv_sge.
        unsafe { std::mem::zeroed() }
    }

    /// One out of a box, of so many segments.
    fn alone(segments: c_int) -> *const Self {
        let entry = Box::into_raw(Box::new(Self::empty()));
        // SAFETY: it is a value in a box that nobody else knows.
        unsafe { &*entry }.prepare(segments, null_mut());
        entry
    }

    /// A SEND of a command, once its address and key are filled in, in so many segments, with `next` behind it. The entry stays where it
    /// is.
    fn prepare(&self, segments: c_int, next: *mut sys::ibv_send_wr) {
        // SAFETY: nobody has a reference to the request or its segments.
        unsafe {
            let request = self.request.get();
            (*request).sg_list = self.segments.get().cast();
            (*request).num_sge = segments;
            (*request).opcode = sys::ibv_wr_opcode::IBV_WR_SEND;
            (*request).send_flags = sys::ibv_send_flags::IBV_SEND_SIGNALED.0;
            (*request).next = next;
            (*self.segments.get())[0].length = COMMAND_SIZE;
        }
    }
}

/// A chain of `count` entries.
fn row_of(count: usize) -> Result<Box<[Entry]>, Error> {
    let mut row = Vec::new();
    let room = row.try_reserve_exact(count);
    room.map_err(|_| Error::new("allocation of work requests", libc::ENOMEM))?;
    row.resize_with(count, Entry::empty);
    let row = row.into_boxed_slice();
    for (index, entry) in row.iter().enumerate() {
        entry.prepare(1, row.get(index + 1).map_or(null_mut(), |next| next.request.get()));
    }
    Ok(row)
}

impl<T, const LISTS: usize> Clone for Slot<'_, T, LISTS> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const LISTS: usize> Copy for Slot<'_, T, LISTS> {}

impl<'a, T, const LISTS: usize> Slot<'a, T, LISTS> {
    /// The user's value.
    #[inline(always)]
    pub fn user(self) -> &'a T {
        &self.place.user
    }

    /// Stores the command.
    #[inline(always)]
    pub fn write(self, words: [u64; COMMAND_WORDS]) {
        // SAFETY: nobody has a reference to the command.
        unsafe { self.place.command.get().write(words) };
    }

    /// Loads the command.
    pub fn read(self) -> [u64; COMMAND_WORDS] {
        // SAFETY: nobody writes it meanwhile: the device only reads.
        unsafe { self.place.command.get().read() }
    }

    /// Takes the slot off a list whose [first](SendQueue::first) it is, and that is only popped with [`SendQueue::pop_stack`].
    #[inline(always)]
    pub fn leave_stack<const LIST: usize>(self) {
        let first = &self.queue.ends::<LIST>().first;
        debug_assert!(ptr::eq(first.get(), self.place), "a slot that is not the first");
        first.set(self.place.next.get());
    }

    /// Puts the slot in front of a list that is only popped with [`SendQueue::pop_stack`].
    #[inline(always)]
    pub fn push_stack<const LIST: usize>(self) {
        let first = &self.queue.ends::<LIST>().first;
        self.place.next.set(first.get());
        first.set(self.place);
    }

    /// Puts the slot at the end of a list that is only popped with [`SendQueue::pop`].
    #[inline(always)]
    pub fn push<const LIST: usize>(self) {
        let list = self.queue.ends::<LIST>();
        self.place.next.set(ptr::null());
        let last = list.last.replace(self.place);
        if last.is_null() {
            list.first.set(self.place);
        } else {
            // SAFETY: a place of this queue.
            unsafe { (*last).next.set(self.place) };
        }
    }

    /// Posts this slot alone, ahead of all that was put off, with a segment of data or none. The errno if it was refused.
    #[inline(always)]
    pub fn post(self, data: Option<Segment>) -> Result<(), i32> {
        let request = self.fill(self.queue.single(), data);
        // SAFETY: nobody has a reference to the request; the entry is filled, and ends its chain of one.
        unsafe {
            if data.is_some() {
                (*request).num_sge = 2;
            }
            let posted = self.post_request(request);
            if data.is_some() {
                (*request).num_sge = 1;
            }
            posted
        }
    }

    /// As [`Slot::post`], with a segment of so many bytes of data at an address, of [the key](SendQueue::set_known_key) that is known.
    #[inline(always)]
    pub fn post_with_known(self, address: u64, length: u32) -> Result<(), i32> {
        let entry = self.queue.known();
        debug_assert!(!ptr::eq(entry, self.queue.single()), "no key is known");
        let request = self.fill(entry, None);
        // SAFETY: nobody has a reference to the segments; and as in `post`.
        unsafe {
            let segments = entry.segments.get();
            (*segments)[1].addr = address;
            (*segments)[1].length = length;
            self.post_request(request)
        }
    }

    /// # Safety
    ///
    /// The request is whole, and the last of its chain.
    #[inline(always)]
    unsafe fn post_request(self, request: *mut sys::ibv_send_wr) -> Result<(), i32> {
        let mut refused = MaybeUninit::uninit();
        // SAFETY: as for this function.
        let errno = unsafe { self.queue.seat.post_send(request, refused.as_mut_ptr()) };
        if errno == 0 { Ok(()) } else { Err(errno.saturating_abs()) }
    }

    /// Puts the slot off until [`SendQueue::post_pending`]. True if there is no room for another: post before the next one is put
    /// off, which would be lost.
    #[inline(always)]
    #[must_use]
    pub fn put_off(self, data: Option<Segment>) -> bool {
        let place = self.queue.pending.get();
        let Some(entry) = self.queue.row.get(place) else { return true };
        // SAFETY: nobody has a reference to the request.
        unsafe { (*self.fill(entry, data)).num_sge = if data.is_some() { 2 } else { 1 } };
        self.queue.pending.set(place + 1);
        place + 1 == self.queue.row.len()
    }

    /// As [`Slot::put_off`], with what [`Slot::post_with_known`] sends.
    #[inline(always)]
    #[must_use]
    pub fn put_off_with_known(self, address: u64, length: u32) -> bool {
        debug_assert!(!ptr::eq(self.queue.known(), self.queue.single()), "no key is known");
        // SAFETY: nobody has a reference to the segments.
        let local_key = unsafe { (*self.queue.known().segments.get())[1].lkey };
        self.put_off(Some(Segment { address, length, local_key }))
    }

    /// Writes what differs between two sends, and returns the request.
    #[inline(always)]
    fn fill(self, entry: &Entry, data: Option<Segment>) -> *mut sys::ibv_send_wr {
        let request = entry.request.get();
        // SAFETY: nobody has a reference to the request or its segments.
        unsafe {
            (*request).wr_id = self.place.id.get();
            (*entry.segments.get())[0].addr = self.place.command.get() as u64;
            if let Some(Segment { address, length, local_key }) = data {
                (*entry.segments.get())[1] = sys::ibv_sge { addr: address, length, lkey: local_key };
            }
        }
        request
    }
}
