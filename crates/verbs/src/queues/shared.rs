//! Receives that several queue pairs take from.

use super::{RESPONSE_SIZE, Registration, receive::zeroed, sole};
use crate::{Access, Error, Memory, ProtectionDomain, shared_receive::SharedReceiveQueue};
use rdma_sys as sys;
use std::{
    cell::{Cell, UnsafeCell},
    mem::ManuallyDrop,
    ptr::null_mut,
    sync::Arc,
};

/// Receives of [`RESPONSE_SIZE`] bytes in a shared receive queue, which the device gives to whatever queue pair of it gets a message.
///
/// They are taken in the order in which they were posted, but each queue pair completes its own, so they come back in any order: each
/// has a mark that the device has it. Those that came back are a chain, which goes to the device with one doorbell.
///
/// The memory is given back once the queue is destroyed, and where it cannot be, or queue pairs still have a share of it, is kept for
/// good.
pub struct SharedReceives {
    // Dropped by `drop` and by nothing else, in this order.
    queue: ManuallyDrop<Arc<SharedReceiveQueue>>,
    registration: ManuallyDrop<Registration>,
    responses: *const UnsafeCell<[u64; 2]>,
    /// The chain of those that the device does not have, the oldest first; null if it has all.
    first: Cell<*mut sys::ibv_recv_wr>,
    last: Cell<*mut sys::ibv_recv_wr>,
    /// How many these are.
    back: Cell<u32>,
    /// How many come back before the device gets them again; at least 1.
    slack: u32,
    /// Receives that were posted, and the calls that did.
    posted: Cell<u64>,
    calls: Cell<u64>,
    /// Which of them the device has.
    out: Box<[Cell<bool>]>,
    requests: Box<[UnsafeCell<sys::ibv_recv_wr>]>,
    _segments: Box<[UnsafeCell<sys::ibv_sge>]>,
}

impl SharedReceives {
    /// A queue of `count` receives with the ids `id(slot)`, which go back to the device when `slack` have completed (at least 1, at most
    /// `count`). The device has none yet. EINVAL for a count of 0.
    pub fn new(
        domain: &Arc<ProtectionDomain>,
        count: u16,
        slack: u16,
        id: impl Fn(u16) -> u64,
    ) -> Result<Self, Error> {
        if count == 0 {
            return Err(Error::new("making a shared receive queue", libc::EINVAL));
        }
        let length = usize::from(count) * RESPONSE_SIZE;
        let memory = sole(Memory::new(length)?, length)?;
        let (requests, segments) = (zeroed(count)?, zeroed::<sys::ibv_sge>(count)?);
        let mut out = Vec::new();
        let room = out.try_reserve_exact(usize::from(count));
        room.map_err(|_| Error::new("allocation of work requests", libc::ENOMEM))?;
        out.resize_with(usize::from(count), || Cell::new(false));
        let queue = SharedReceiveQueue::new(domain, u32::from(count))?;
        let registration = Registration::of(&memory, domain, Access::LocalWrite)?;
        let this = Self {
            queue: ManuallyDrop::new(queue),
            responses: memory.as_ptr().cast(),
            first: Cell::new(null_mut()),
            last: Cell::new(null_mut()),
            back: Cell::new(0),
            slack: u32::from(slack.clamp(1, count)),
            posted: Cell::new(0),
            calls: Cell::new(0),
            out: out.into_boxed_slice(),
            requests,
            _segments: segments,
            registration: ManuallyDrop::new(registration),
        };
        for ((request, segment), slot) in this.requests.iter().zip(&this._segments).zip(0..) {
            // SAFETY: nobody has a reference to request or segment.
            unsafe {
                *segment.get() = sys::ibv_sge {
                    addr: this.responses.wrapping_add(usize::from(slot)) as u64,
                    length: RESPONSE_SIZE as u32,
                    lkey: this.registration.local_key(),
                };
                let request = request.get();
                (*request).wr_id = id(slot);
                (*request).sg_list = segment.get();
                (*request).num_sge = 1;
            }
            this.chain(request);
        }
        Ok(this)
    }

    /// How many receives there are.
    pub fn count(&self) -> u32 {
        self.requests.len() as u32
    }

    /// How many the device has.
    pub fn out(&self) -> u32 {
        self.count() - self.back.get()
    }

    /// Receives that were posted so far, and with how many doorbells.
    pub fn posted(&self) -> (u64, u64) {
        (self.posted.get(), self.calls.get())
    }

    /// The domain that the queue is in.
    pub fn domain(&self) -> &Arc<ProtectionDomain> {
        self.queue.domain()
    }

    pub(crate) fn queue(&self) -> &Arc<SharedReceiveQueue> {
        &self.queue
    }

    /// Puts a request, which is in no chain, behind those that came back.
    fn chain(&self, request: &UnsafeCell<sys::ibv_recv_wr>) {
        let request = request.get();
        // SAFETY: both are requests of this queue, which nobody has a reference to. What the request led to in the chain that it was
        // posted with is of no meaning any more.
        unsafe {
            (*request).next = null_mut();
            match self.last.replace(request) {
                last if last.is_null() => self.first.set(request),
                last => (*last).next = request,
            }
        }
        self.back.set(self.back.get() + 1);
    }

    /// The device completed a receive and says which: its bytes, as two words, if the device had it. It is among those that came back
    /// then.
    #[inline]
    pub fn take(&self, slot: u16) -> Option<[u64; 2]> {
        let place = usize::from(slot);
        let (out, request) = (self.out.get(place)?, self.requests.get(place)?);
        if !out.replace(false) {
            return None;
        }
        self.chain(request);
        // SAFETY: the slot is below the count, since it has a request; the device is done with it. Volatile, since the device wrote.
        unsafe {
            let words = UnsafeCell::raw_get(self.responses.add(place)).cast::<u64>();
            Some([words.read_volatile(), words.add(1).read_volatile()])
        }
    }

    /// Whether it is time to post.
    #[inline]
    pub fn has_few(&self) -> bool {
        self.back.get() >= self.slack
    }

    /// Hands all receives to the device that it does not have, with one doorbell. The errno if some were refused: those stay in the
    /// chain.
    pub fn post(&self) -> Result<(), i32> {
        let first = self.first.get();
        if first.is_null() {
            return Ok(());
        }
        let mut refused = null_mut();
        // SAFETY: the chain is of requests of this queue, which are all filled and nobody has a reference to, and ends with null.
        let errno = unsafe { self.queue.post(first, &raw mut refused) };
        // Where a refused one is named that is none of the chain, the device has said nothing that can be believed: it may have all.
        let refused = if errno == 0 { null_mut() } else { refused };
        let (mut at, mut posted) = (first, 0);
        while !at.is_null() && at != refused {
            let place = self.place(at);
            self.out.get(place).into_iter().for_each(|out| out.set(true));
            posted += 1;
            // SAFETY: a request of this queue.
            at = unsafe { (*at).next };
        }
        self.first.set(at);
        if at.is_null() {
            self.last.set(null_mut());
        }
        self.back.set(self.back.get() - posted);
        self.posted.set(self.posted.get() + u64::from(posted));
        self.calls.set(self.calls.get() + 1);
        if errno == 0 { Ok(()) } else { Err(errno.saturating_abs()) }
    }

    /// The slot of a request of this queue.
    fn place(&self, request: *mut sys::ibv_recv_wr) -> usize {
        (request.addr() - self.requests.as_ptr().addr()) / size_of::<sys::ibv_recv_wr>()
    }
}

#[cfg(test)]
impl SharedReceives {
    /// What is posted goes to this function, whose queue has this context.
    pub(super) fn serve(&mut self, post: crate::shared_receive::PostShared, context: *mut std::ffi::c_void) {
        let queue = Arc::get_mut(&mut self.queue).unwrap();
        queue.serve(post, context);
    }

    /// Where the responses are.
    pub(super) fn address(&self) -> u64 {
        self.responses as u64
    }
}

impl Drop for SharedReceives {
    fn drop(&mut self) {
        // SAFETY: each is taken out once, here.
        let (queue, registration) =
            unsafe { (ManuallyDrop::take(&mut self.queue), ManuallyDrop::take(&mut self.registration)) };
        let gone = match Arc::try_unwrap(queue) {
            Ok(queue) => queue.destroy().is_ok(),
            Err(_) => {
                tracing::error!(
                    "a shared receive queue goes before its queue pairs; its memory is kept for good"
                );
                false
            }
        };
        if gone {
            drop(registration);
        } else {
            std::mem::forget(registration);
        }
    }
}
