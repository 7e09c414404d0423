//! Receives in a ring.

use super::{Registration, Seat, sole};
use crate::{Access, Error, Memory, ProtectionDomain};
use rdma_sys as sys;
use std::{
    cell::{Cell, UnsafeCell},
    ptr::null_mut,
    rc::Rc,
    sync::Arc,
};

/// The bytes of a response.
pub const RESPONSE_SIZE: usize = 16;

/// Stands for "none": no slot has this number.
const NONE: u32 = u32::MAX;
/// More than this a ring cannot have: a slot's number has 16 bits.
const MOST: u16 = u16::MAX;

/// Receives of [`RESPONSE_SIZE`] bytes, posted in a chain once some have come back.
///
/// They complete in the order in which they were posted (InfiniBand Architecture 1, 9.5: a reliable connection delivers in
/// order), so the next to come back is known, and anything else is not to be believed.
pub struct ReceiveQueue {
    responses: Cell<*const UnsafeCell<[u64; 2]>>,
    /// The receive that completes next; [`NONE`] if the device has none.
    next: Cell<u32>,
    /// Where something is to be seen to when `next` comes there: the ring's end, none left, or few left.
    stop: Cell<u32>,
    /// The device has few: time to post.
    few: Cell<bool>,
    /// Where few are left.
    due: Cell<u32>,
    /// The first that the device does not have.
    unposted: Cell<u32>,
    /// How many the ring has for the present queue pair; at least 1, or 0 where that has others.
    count: Cell<u32>,
    /// How many come back before the device gets them again; at least 1, at most `count`.
    slack: Cell<u32>,
    /// Receives that were posted since the queue was made, and the calls that did.
    posted: Cell<u64>,
    calls: Cell<u64>,
    seat: Rc<Seat>,
    requests: Box<[UnsafeCell<sys::ibv_recv_wr>]>,
    segments: Box<[UnsafeCell<sys::ibv_sge>]>,
    memory: Cell<Option<Rc<Memory>>>,
}

impl ReceiveQueue {
    /// Bytes that `count` receives take.
    pub fn memory_for(count: u16) -> usize {
        usize::from(count) * RESPONSE_SIZE
    }

    /// A queue of up to `count` receives in `memory`, which nobody else may have a share of. EINVAL if somebody has, or for a count of 0.
    pub fn new(memory: Rc<Memory>, count: u16, seat: &Rc<Seat>) -> Result<Self, Error> {
        if count == 0 {
            return Err(Error::new("making a receive queue", libc::EINVAL));
        }
        let memory = sole(memory, Self::memory_for(count))?;
        Ok(Self {
            responses: Cell::new(memory.as_ptr().cast()),
            next: Cell::new(NONE),
            stop: Cell::new(NONE),
            few: Cell::new(false),
            due: Cell::new(0),
            unposted: Cell::new(0),
            count: Cell::new(1),
            slack: Cell::new(1),
            posted: Cell::new(0),
            calls: Cell::new(0),
            seat: seat.clone(),
            requests: zeroed(count)?,
            segments: zeroed(count)?,
            memory: Cell::new(Some(memory)),
        })
    }

    /// The most receives that it can have.
    pub fn most(&self) -> u16 {
        u16::try_from(self.requests.len()).unwrap_or(MOST)
    }

    /// Registers the responses with a device, for `count` receives with the ids `id(slot)`, which go back to it when `slack` have
    /// completed. Both are cut to what the queue has. The device has none yet.
    pub fn register(
        &self,
        domain: &Arc<ProtectionDomain>,
        count: u16,
        slack: u16,
        id: impl Fn(u16) -> u64,
    ) -> Result<Registration, Error> {
        let memory = self.memory.take();
        let registration = match &memory {
            Some(memory) => Registration::of(memory, domain, Access::LocalWrite),
            None => Err(Error::new("registering a queue", libc::EINVAL)),
        };
        self.memory.set(memory);
        let registration = registration?;
        let count = count.clamp(1, self.most());
        let ring = self.requests.iter().zip(&self.segments).take(usize::from(count));
        let nexts = self.requests.iter().take(usize::from(count)).cycle().skip(1);
        // The numbers come last, so that nobody asks for the one after the last.
        for (((request, segment), next), slot) in ring.zip(nexts).zip(0..) {
            let address = self.responses.get().wrapping_add(usize::from(slot)) as u64;
            // SAFETY: nobody has a reference to request or segment.
            unsafe {
                *segment.get() = sys::ibv_sge {
                    addr: address,
                    length: RESPONSE_SIZE as u32,
                    lkey: registration.local_key(),
                };
                let request = request.get();
                (*request).wr_id = id(slot);
                (*request).sg_list = segment.get();
                (*request).num_sge = 1;
                (*request).next = next.get();
            }
        }
        self.count.set(u32::from(count));
        self.slack.set(u32::from(slack.clamp(1, count)));
        self.begin_at(0);
        Ok(registration)
    }

    /// The present queue pair takes its receives from a shared queue: this one has none for the device.
    pub fn stand_by(&self) {
        self.count.set(0);
        self.begin_at(0);
        self.few.set(false);
    }

    /// The device has none, and the next to be posted is `slot`.
    fn begin_at(&self, slot: u32) {
        self.next.set(NONE);
        self.stop.set(NONE);
        self.unposted.set(slot);
        self.few.set(true);
    }

    /// Gives the queue other memory, which nobody else may have a share of. Where the responses were is kept for good: a device may
    /// still write there. The device has none of the receives then, by the queue's account.
    pub fn renew(&self, memory: Rc<Memory>) -> Result<(), Error> {
        let memory = sole(memory, self.requests.len().saturating_mul(RESPONSE_SIZE))?;
        self.responses.set(memory.as_ptr().cast());
        std::mem::forget(self.memory.replace(Some(memory)));
        self.begin_at(0);
        Ok(())
    }

    /// The device completed a receive and says which: its bytes, as two words, if it is the one that was to come next.
    #[inline(always)]
    pub fn take(&self, slot: u16) -> Option<[u64; 2]> {
        let slot = u32::from(slot);
        if slot != self.next.get() {
            return None;
        }
        let next = slot + 1;
        self.next.set(next);
        if next == self.stop.get() {
            self.see_to(next);
        }
        // SAFETY: the slot was the next one, so it is below the count; the device is done with it. Volatile, since the device wrote.
        unsafe {
            let words = UnsafeCell::raw_get(self.responses.get().add(slot as usize)).cast::<u64>();
            Some([words.read_volatile(), words.add(1).read_volatile()])
        }
    }

    #[cold]
    #[inline(never)]
    fn see_to(&self, next: u32) {
        let next = if next == self.count.get() { 0 } else { next };
        if next == self.due.get() {
            self.few.set(true);
        }
        if next == self.unposted.get() {
            self.next.set(NONE);
            self.stop.set(NONE);
            return;
        }
        self.next.set(next);
        self.stop_after(next);
    }

    /// The first place after `next` where something is to be seen to.
    fn stop_after(&self, next: u32) {
        let places = [self.due.get(), self.unposted.get(), self.count.get()];
        self.stop.set(places.into_iter().filter(|place| *place > next).min().unwrap_or(NONE));
    }

    /// The place of the ring that is `place` places from its first, less than twice around.
    fn wrapped(&self, place: u32) -> u32 {
        let count = self.count.get();
        if place < count { place } else { place - count }
    }

    /// How many receives the device has.
    pub fn out(&self) -> u32 {
        let (next, unposted) = (self.next.get(), self.unposted.get());
        match next {
            NONE => 0,
            next if unposted > next => unposted - next,
            next => self.count.get() - next + unposted,
        }
    }

    /// Receives that were posted since the queue was made, and with how many doorbells.
    pub fn posted(&self) -> (u64, u64) {
        (self.posted.get(), self.calls.get())
    }

    /// Whether it is time to post.
    #[inline(always)]
    pub fn has_few(&self) -> bool {
        self.few.get()
    }

    /// Hands all receives to the device that it does not have, with one doorbell. The errno if some were refused.
    pub fn post(&self) -> Result<(), i32> {
        let (count, first) = (self.count.get(), self.unposted.get());
        let missing = count - self.out();
        if missing == 0 {
            self.few.set(false);
            return Ok(());
        }
        let last = self.wrapped(first + missing - 1);
        let (Some(head), Some(tail)) = (self.requests.get(first as usize), self.requests.get(last as usize))
        else {
            return Err(libc::EINVAL);
        };
        let mut bad = null_mut();
        // SAFETY: nobody has a reference to the requests, which are all filled; the last one ends the chain for the time of the
        // call.
        let errno = unsafe {
            let rest = std::mem::replace(&mut (*tail.get()).next, null_mut());
            let errno = self.seat.post_receive(head.get(), &raw mut bad);
            (*tail.get()).next = rest;
            errno
        };
        let posted = if errno == 0 { missing } else { self.before(bad, first, missing) };
        self.posted.set(self.posted.get() + u64::from(posted));
        self.calls.set(self.calls.get() + 1);
        self.account_posted(posted);
        if errno == 0 { Ok(()) } else { Err(errno.saturating_abs()) }
    }

    /// How many of `missing` requests from `first` on come before the one that was refused; all, if that is none of them, since
    /// the device has said nothing then that can be believed.
    #[cold]
    fn before(&self, refused: *mut sys::ibv_recv_wr, first: u32, missing: u32) -> u32 {
        let place = (0..).zip(&self.requests).find(|(_, request)| request.get() == refused);
        let Some((place, _)) = place else { return missing };
        let offset = if place >= first { place - first } else { self.count.get() - first + place };
        offset.min(missing)
    }

    /// The device has `posted` receives more, from the first on that it had not.
    fn account_posted(&self, posted: u32) {
        if posted == 0 {
            return;
        }
        let (count, first, out) = (self.count.get(), self.unposted.get(), self.out() + posted);
        let next = if self.next.get() == NONE { first } else { self.next.get() };
        // So many come back before few are left.
        let until_few = (out + self.slack.get()).saturating_sub(count).max(1);
        self.next.set(next);
        self.unposted.set(self.wrapped(first + posted));
        self.due.set(self.wrapped(next + until_few));
        self.few.set(false);
        self.stop_after(next);
    }
}

/// `count` structures of zeros.
pub(super) fn zeroed<T: Copy>(count: u16) -> Result<Box<[UnsafeCell<T>]>, Error> {
    let mut all = Vec::new();
    let room = all.try_reserve_exact(usize::from(count));
    room.map_err(|_| Error::new("allocation of work requests", libc::ENOMEM))?;
    // SAFETY: the structures of libibverbs hold integers and pointers, for which zero is a value.
    all.resize_with(usize::from(count), || UnsafeCell::new(unsafe { std::mem::zeroed::<T>() }));
    Ok(all.into_boxed_slice())
}
