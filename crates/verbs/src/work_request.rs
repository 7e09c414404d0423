//! Work requests that are built once and posted many times.
//!
//! A ring has one prepared work request for each slot of its user. What is the same for every use of the slot (its
//! id, its first segment) is written when the ring is set up; a use changes what differs and pushes the slot on
//! the pending chain, which one call posts. Nothing is allocated after set-up.
//!
//! Invariant: a slot is pushed at most once until it was posted; the chain's last `next` is null.

use crate::memory::RegisteredMemory;
use rdma_sys as sys;
use std::cell::{Cell, UnsafeCell};

/// A piece of registered memory in a work request. A wrong address or key is refused by the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// The address of the first byte.
    pub address: u64,
    /// The number of bytes.
    pub length: u32,
    /// The local key of the region that covers it.
    pub local_key: u32,
}

impl Segment {
    /// The segment of `length` bytes at `offset` of `memory`; None if it is not inside.
    pub fn of(memory: &RegisteredMemory, offset: usize, length: u32) -> Option<Self> {
        let end = offset.checked_add(usize::try_from(length).ok()?)?;
        let address = memory.address().checked_add(u64::try_from(offset).ok()?)?;
        (end <= memory.length()).then_some(Self { address, length, local_key: memory.local_key() })
    }

    fn element(self) -> sys::ibv_sge {
        sys::ibv_sge { addr: self.address, length: self.length, lkey: self.local_key }
    }
}

/// What a send work request does with the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteTransfer {
    /// SEND: the data goes to the peer's next receive.
    Send,
    /// SEND with invalidate of the peer's remote key.
    SendWithInvalidate {
        /// The key to invalidate.
        remote_key: u32,
    },
    /// RDMA READ from the peer's memory.
    Read {
        /// The address in the peer's memory.
        remote_address: u64,
        /// The peer's key for it.
        remote_key: u32,
    },
    /// RDMA WRITE to the peer's memory.
    Write {
        /// The address in the peer's memory.
        remote_address: u64,
        /// The peer's key for it.
        remote_key: u32,
    },
}

/// Posting a chain failed. Work requests before the refused one were accepted and will complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("posting failed with errno {errno}; {} work requests were not accepted", unposted.len())]
pub struct PostError {
    /// The errno.
    pub errno: i32,
    /// The slots, in order, that were not posted and are no longer pending.
    pub unposted: Vec<usize>,
}

/// The send work requests of a queue pair. All are signaled.
pub struct SendRing {
    requests: Box<[UnsafeCell<sys::ibv_send_wr>]>,
    segments: Box<[UnsafeCell<sys::ibv_sge>]>,
    segments_each: usize,
    head: Cell<*mut sys::ibv_send_wr>,
    tail: Cell<*mut sys::ibv_send_wr>,
}

// SAFETY: the pointers are into the ring's own boxes, which move with it.
unsafe impl Send for SendRing {}

impl SendRing {
    /// A ring of `slots` SENDs with up to `segments_each` segments. None if there is no memory for it.
    pub fn new(slots: usize, segments_each: usize) -> Option<Self> {
        let segments_each = segments_each.max(1);
        // SAFETY: zero is a value for ibv_send_wr (integers, pointers and unions of them) and for ibv_sge.
        let (requests, segments) = unsafe {
            (
                boxed(slots, || UnsafeCell::new(std::mem::zeroed::<sys::ibv_send_wr>()))?,
                boxed(slots.checked_mul(segments_each)?, || {
                    UnsafeCell::new(std::mem::zeroed::<sys::ibv_sge>())
                })?,
            )
        };
        for (request, segments) in requests.iter().zip(segments.chunks(segments_each)) {
            // SAFETY: the ring is not shared yet.
            let request = unsafe { &mut *request.get() };
            request.sg_list = segments.first().map_or(std::ptr::null_mut(), UnsafeCell::get);
            request.opcode = sys::ibv_wr_opcode::IBV_WR_SEND;
            request.send_flags = sys::ibv_send_flags::IBV_SEND_SIGNALED.0;
        }
        let null = std::ptr::null_mut();
        Some(Self { requests, segments, segments_each, head: Cell::new(null), tail: Cell::new(null) })
    }

    /// Sets the id that the slot's completions carry. False if there is no such slot.
    #[must_use]
    #[inline]
    pub fn set_id(&self, slot: usize, id: u64) -> bool {
        let Some(request) = self.request(slot) else { return false };
        // SAFETY: `request` points into the ring; no reference to it exists.
        unsafe { (*request).wr_id = id };
        true
    }

    /// Sets one of the slot's segments. False if there is no such slot or segment.
    #[must_use]
    #[inline]
    pub fn set_segment(&self, slot: usize, index: usize, segment: Segment) -> bool {
        if index >= self.segments_each {
            return false;
        }
        let Some(place) = slot
            .checked_mul(self.segments_each)
            .and_then(|first| first.checked_add(index))
            .and_then(|index| self.segments.get(index))
        else {
            return false;
        };
        // SAFETY: the place is in the ring; no reference to it exists.
        unsafe { *place.get() = segment.element() };
        true
    }

    /// Says what the slot's work request does. A new ring's slots all SEND.
    #[must_use]
    pub fn set_transfer(&self, slot: usize, transfer: RemoteTransfer) -> bool {
        let Some(request) = self.request(slot) else { return false };
        // SAFETY: `request` points into the ring; no reference to it exists.
        let request = unsafe { &mut *request };
        let (opcode, remote) = match transfer {
            RemoteTransfer::Send => (sys::ibv_wr_opcode::IBV_WR_SEND, None),
            RemoteTransfer::SendWithInvalidate { remote_key } => {
                request.imm_data_invalidated_rkey_union =
                    sys::imm_data_invalidated_rkey_union_t { invalidated_rkey: remote_key };
                (sys::ibv_wr_opcode::IBV_WR_SEND_WITH_INV, None)
            }
            RemoteTransfer::Read { remote_address, remote_key } => {
                (sys::ibv_wr_opcode::IBV_WR_RDMA_READ, Some((remote_address, remote_key)))
            }
            RemoteTransfer::Write { remote_address, remote_key } => {
                (sys::ibv_wr_opcode::IBV_WR_RDMA_WRITE, Some((remote_address, remote_key)))
            }
        };
        request.opcode = opcode;
        if let Some((remote_addr, rkey)) = remote {
            request.wr.rdma = sys::rdma_t { remote_addr, rkey };
        }
        true
    }

    /// Puts the slot, with its first `segments` segments, at the end of the pending chain. False if there is no
    /// such slot or segment. The slot must not be pending, nor posted and not completed: the device may still
    /// read its segments.
    #[must_use]
    #[inline]
    pub fn push(&self, slot: usize, segments: usize) -> bool {
        if segments > self.segments_each {
            return false;
        }
        let Some(request) = self.request(slot) else { return false };
        // SAFETY: `request` and the tail point into the ring, whose boxes do not move; no reference exists.
        unsafe {
            (*request).num_sge = segments as i32;
            (*request).next = std::ptr::null_mut();
            if self.head.get().is_null() {
                self.head.set(request);
            } else {
                (*self.tail.get()).next = request;
            }
        }
        self.tail.set(request);
        true
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Forgets the pending chain: its slots are not posted. Calls `each` with every one.
    pub fn clear(&self, mut each: impl FnMut(usize)) {
        let head = self.head.replace(std::ptr::null_mut());
        // SAFETY: the chain is of this ring and ends with null.
        let addresses = unsafe { after(head, head, |request| (*request).next) };
        let size = size_of::<sys::ibv_send_wr>();
        post_error(0, self.requests.as_ptr().addr(), size, addresses)
            .unposted
            .into_iter()
            .for_each(&mut each);
    }

    #[inline]
    pub(crate) fn post(&self, qp: *mut sys::ibv_qp) -> Result<(), PostError> {
        let head = self.head.replace(std::ptr::null_mut());
        if head.is_null() {
            return Ok(());
        }
        let mut refused = std::ptr::null_mut();
        // SAFETY: the queue pair is alive (the caller's); the chain is of this ring and ends with null.
        let result = unsafe { sys::ibv_post_send(qp, head, &mut refused) };
        if result == 0 {
            return Ok(());
        }
        // SAFETY: as above; the chain still is as it was pushed.
        let unposted = unsafe { after(head, refused, |request| (*request).next) };
        Err(post_error(result, self.requests.as_ptr().addr(), size_of::<sys::ibv_send_wr>(), unposted))
    }

    #[inline]
    fn request(&self, slot: usize) -> Option<*mut sys::ibv_send_wr> {
        self.requests.get(slot).map(UnsafeCell::get)
    }
}

/// The receive work requests of a queue pair, one segment each.
///
/// A slot is out from its push until it [came back](ReceiveRing::came_back) or was not posted after all. A slot that is out is not
/// pushed again, so that a device which completes one twice cannot tie the chain into a knot. `out` holds the round in which the
/// slot was pushed, or 0; a round ends when its chain is posted, and only then can its slots come back.
pub struct ReceiveRing {
    requests: Box<[UnsafeCell<sys::ibv_recv_wr>]>,
    segments: Box<[UnsafeCell<sys::ibv_sge>]>,
    out: Box<[Cell<u64>]>,
    round: Cell<u64>,
    head: Cell<*mut sys::ibv_recv_wr>,
    tail: Cell<*mut sys::ibv_recv_wr>,
}

// SAFETY: the pointers are into the ring's own boxes, which move with it.
unsafe impl Send for ReceiveRing {}

impl ReceiveRing {
    /// A ring of `slots` receives. None if there is no memory for it.
    pub fn new(slots: usize) -> Option<Self> {
        // SAFETY: zero is a value for ibv_recv_wr and ibv_sge.
        let (requests, segments) = unsafe {
            (
                boxed(slots, || UnsafeCell::new(std::mem::zeroed::<sys::ibv_recv_wr>()))?,
                boxed(slots, || UnsafeCell::new(std::mem::zeroed::<sys::ibv_sge>()))?,
            )
        };
        for (request, segment) in requests.iter().zip(&segments) {
            // SAFETY: the ring is not shared yet.
            let request = unsafe { &mut *request.get() };
            request.sg_list = segment.get();
            request.num_sge = 1;
        }
        let null = std::ptr::null_mut();
        let out = boxed(slots, || Cell::new(0))?;
        let (head, tail) = (Cell::new(null), Cell::new(null));
        Some(Self { requests, segments, out, round: Cell::new(1), head, tail })
    }

    /// Sets the slot's id and where it receives to. False if there is no such slot.
    #[must_use]
    pub fn prepare(&self, slot: usize, id: u64, segment: Segment) -> bool {
        let (Some(request), Some(place)) = (self.requests.get(slot), self.segments.get(slot)) else {
            return false;
        };
        // SAFETY: both are in the ring; no reference to them exists.
        unsafe {
            (*request.get()).wr_id = id;
            *place.get() = segment.element();
        }
        true
    }

    /// The device completed the slot's receive. False if there is no such slot, or it is not out: the device completed
    /// what it does not have.
    #[must_use]
    #[inline]
    pub fn came_back(&self, slot: usize) -> bool {
        match self.out.get(slot) {
            Some(out) if out.get() != 0 && out.get() != self.round.get() => {
                out.set(0);
                true
            }
            _ => false,
        }
    }

    /// Puts the slot at the end of the pending chain. False if there is no such slot, or it is out.
    #[must_use]
    #[inline]
    pub fn push(&self, slot: usize) -> bool {
        let Some(request) = self.requests.get(slot).map(UnsafeCell::get) else { return false };
        match self.out.get(slot) {
            Some(out) if out.get() == 0 => out.set(self.round.get()),
            _ => return false,
        }
        // SAFETY: as in SendRing::push.
        unsafe {
            (*request).next = std::ptr::null_mut();
            if self.head.get().is_null() {
                self.head.set(request);
            } else {
                (*self.tail.get()).next = request;
            }
        }
        self.tail.set(request);
        true
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Forgets the pending chain: its slots are not posted. Calls `each` with every one.
    pub fn clear(&self, mut each: impl FnMut(usize)) {
        let head = self.head.replace(std::ptr::null_mut());
        // SAFETY: the chain is of this ring and ends with null.
        let addresses = unsafe { after(head, head, |request| (*request).next) };
        for slot in self.not_posted(0, addresses).unposted {
            each(slot);
        }
    }

    #[inline]
    pub(crate) fn post(&self, qp: *mut sys::ibv_qp) -> Result<(), PostError> {
        let head = self.head.replace(std::ptr::null_mut());
        if head.is_null() {
            return Ok(());
        }
        self.round.set(self.round.get() + 1);
        let mut refused = std::ptr::null_mut();
        // SAFETY: as in SendRing::post.
        let result = unsafe { sys::ibv_post_recv(qp, head, &mut refused) };
        if result == 0 {
            return Ok(());
        }
        // SAFETY: the chain still is as it was pushed.
        let unposted = unsafe { after(head, refused, |request| (*request).next) };
        Err(self.not_posted(result, unposted))
    }

    fn not_posted(&self, result: i32, addresses: Vec<usize>) -> PostError {
        let size = size_of::<sys::ibv_recv_wr>();
        let error = post_error(result, self.requests.as_ptr().addr(), size, addresses);
        for out in error.unposted.iter().filter_map(|slot| self.out.get(*slot)) {
            out.set(0);
        }
        error
    }
}

fn boxed<T>(count: usize, make: impl FnMut() -> T) -> Option<Box<[T]>> {
    let mut all = Vec::new();
    all.try_reserve_exact(count).ok()?;
    all.extend(std::iter::repeat_with(make).take(count));
    Some(all.into_boxed_slice())
}

/// The addresses of the chain from `refused` on; none if `refused` is not on the chain: then nothing is known,
/// and all count as posted, so that their memory is kept until the queue pair has ended.
///
/// # Safety
///
/// `next` may be called on each element of the chain that starts at `head`, up to null.
unsafe fn after<W>(head: *mut W, refused: *mut W, next: impl Fn(*mut W) -> *mut W) -> Vec<usize> {
    let mut unposted = Vec::new();
    let mut at = head;
    while !at.is_null() {
        if at == refused || !unposted.is_empty() {
            unposted.push(at.addr());
        }
        at = next(at);
    }
    unposted
}

fn post_error(result: i32, base: usize, size: usize, addresses: Vec<usize>) -> PostError {
    let slots = addresses.into_iter().filter_map(|at| at.checked_sub(base)?.checked_div(size));
    PostError { errno: result.saturating_abs(), unposted: slots.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_split_at_the_refused_request() {
        let ring = ReceiveRing::new(4).unwrap();
        for slot in [2, 0, 3] {
            assert!(ring.push(slot));
        }
        assert!(!ring.push(4), "a slot that is not there");
        assert!(!ring.push(0), "a slot that is pending");
        assert!(!ring.came_back(0), "a slot that the device does not have");
        let head = ring.head.get();
        // SAFETY: the chain was built above.
        let third = unsafe { (*(*head).next).next };
        let size = size_of::<sys::ibv_recv_wr>();
        for (refused, expected) in [(third, vec![3]), (head, vec![2, 0, 3]), (std::ptr::null_mut(), vec![])] {
            // SAFETY: as above.
            let addresses = unsafe { after(head, refused, |request| (*request).next) };
            let error = post_error(libc::ENOMEM, ring.requests.as_ptr().addr(), size, addresses);
            assert_eq!(error, PostError { errno: libc::ENOMEM, unposted: expected });
        }
    }

    #[test]
    fn a_send_slot_has_its_own_segments() {
        let ring = SendRing::new(2, 2).unwrap();
        let segment = Segment { address: 7, length: 8, local_key: 9 };
        assert!(ring.set_segment(1, 1, segment));
        assert!(!ring.set_segment(1, 2, segment), "a segment of the next slot");
        assert!(!ring.set_segment(2, 0, segment));
        assert!(!ring.push(0, 3));
        assert!(ring.is_empty());
        assert!(ring.push(1, 2));
        // SAFETY: nothing else holds the ring.
        let request = unsafe { &*ring.head.get() };
        assert_eq!(request.num_sge, 2);
        // SAFETY: the slot has two segments.
        assert_eq!(unsafe { (*request.sg_list.add(1)).lkey }, 9);
        assert!(request.next.is_null());
    }
}
