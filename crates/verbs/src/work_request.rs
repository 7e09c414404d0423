//! Work requests that are built once and posted many times.
//!
//! A ring has one prepared work request for each slot of its user. What is the same for every use of the slot (its
//! id, its first segment) is written when the ring is set up; a use changes what differs and pushes the slot on
//! the pending chain, which one call posts. Nothing is allocated after set-up, unless a post fails or a chain is cleared.

use crate::chain::{Chain, PostError};
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

/// The send work requests of a queue pair. All are signaled.
pub struct SendRing {
    chain: Chain<sys::ibv_send_wr>,
    segments: Box<[UnsafeCell<sys::ibv_sge>]>,
    segments_each: usize,
}

// SAFETY: all pointers in it are to the ring's own requests and segments, whose boxes move with it.
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
        Some(Self { chain: Chain::new(requests), segments, segments_each })
    }

    /// Sets the id that the slot's completions carry. False if there is no such slot.
    #[must_use]
    #[inline]
    pub fn set_id(&self, slot: usize, id: u64) -> bool {
        let Some(request) = self.chain.request(slot) else { return false };
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
        let Some(request) = self.chain.request(slot) else { return false };
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
        let Some(request) = self.chain.push(slot) else { return false };
        // SAFETY: `request` points into the ring; no reference to it exists.
        unsafe { (*request).num_sge = segments as i32 };
        true
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Forgets the pending chain: its slots, in order, which are not posted.
    #[must_use]
    pub fn clear(&self) -> Vec<usize> {
        self.chain.clear()
    }

    #[inline]
    pub(crate) fn post(&self, qp: *mut sys::ibv_qp) -> Result<(), PostError> {
        // SAFETY: the queue pair is alive (the caller's); the chain is of this ring and ends with null.
        self.chain.post(|head, refused| unsafe { sys::ibv_post_send(qp, head, refused) })
    }
}

/// The receive work requests of a queue pair, one segment each.
///
/// A slot is out from its push until it [came back](ReceiveRing::came_back) or was not posted after all. A slot that is out is not
/// pushed again, so that a device which completes one twice cannot tie the chain into a knot. `out` holds the round in which the
/// slot was pushed, or 0; a round ends when its chain is posted, and only then can its slots come back.
pub struct ReceiveRing {
    chain: Chain<sys::ibv_recv_wr>,
    segments: Box<[UnsafeCell<sys::ibv_sge>]>,
    out: Box<[Cell<u64>]>,
    round: Cell<u64>,
}

// SAFETY: as for SendRing.
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
        let out = boxed(slots, || Cell::new(0))?;
        Some(Self { chain: Chain::new(requests), segments, out, round: Cell::new(1) })
    }

    /// Sets the slot's id and where it receives to. False if there is no such slot.
    #[must_use]
    pub fn prepare(&self, slot: usize, id: u64, segment: Segment) -> bool {
        let (Some(request), Some(place)) = (self.chain.request(slot), self.segments.get(slot)) else {
            return false;
        };
        // SAFETY: both are in the ring; no reference to them exists.
        unsafe {
            (*request).wr_id = id;
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
        match self.out.get(slot) {
            Some(out) if out.get() == 0 => out.set(self.round.get()),
            _ => return false,
        }
        self.chain.push(slot).is_some()
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Forgets the pending chain: its slots, in order, which are not posted.
    #[must_use]
    pub fn clear(&self) -> Vec<usize> {
        let slots = self.chain.clear();
        self.not_posted(&slots);
        slots
    }

    #[inline]
    pub(crate) fn post(&self, qp: *mut sys::ibv_qp) -> Result<(), PostError> {
        if self.chain.is_empty() {
            return Ok(());
        }
        self.round.set(self.round.get() + 1);
        // SAFETY: as in SendRing::post.
        let posted = self.chain.post(|head, refused| unsafe { sys::ibv_post_recv(qp, head, refused) });
        posted.inspect_err(|error| self.not_posted(&error.unposted))
    }

    fn not_posted(&self, slots: &[usize]) {
        for out in slots.iter().filter_map(|slot| self.out.get(*slot)) {
            out.set(0);
        }
    }
}

fn boxed<T>(count: usize, make: impl FnMut() -> T) -> Option<Box<[T]>> {
    let mut all = Vec::new();
    all.try_reserve_exact(count).ok()?;
    all.extend(std::iter::repeat_with(make).take(count));
    Some(all.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receive_slot_goes_out_once() {
        let ring = ReceiveRing::new(4).unwrap();
        assert!(ring.push(2) && ring.push(0));
        assert!(!ring.push(4), "a slot that is not there");
        assert!(!ring.push(0), "a slot that is pending");
        assert!(!ring.came_back(0), "a slot that the device does not have");
        assert_eq!(ring.clear(), [2, 0]);
        assert!(ring.is_empty() && ring.push(0), "what was not posted is pushed again");
    }

    #[test]
    fn what_a_device_refuses_is_not_out() {
        unsafe extern "C" fn refuse(
            _: *mut sys::ibv_qp,
            first: *mut sys::ibv_recv_wr,
            refused: *mut *mut sys::ibv_recv_wr,
        ) -> i32 {
            // SAFETY: the chain below has two requests, and `refused` may be written.
            unsafe { *refused = (*first).next };
            libc::ENOMEM
        }
        // SAFETY: zero is a value for both: numbers, pointers, and functions that may be missing.
        let (mut context, mut qp) = unsafe {
            (Box::new(std::mem::zeroed::<sys::ibv_context>()), Box::new(std::mem::zeroed::<sys::ibv_qp>()))
        };
        context.ops.post_recv = Some(refuse);
        qp.context = &mut *context;
        let ring = ReceiveRing::new(3).unwrap();
        assert!(ring.push(1) && ring.push(2));
        let error = PostError { errno: libc::ENOMEM, unposted: vec![2] };
        assert_eq!(ring.post(&mut *qp), Err(error));
        assert!(ring.push(2), "it was not posted");
        assert!(!ring.push(1), "the device has it");
        assert!(ring.came_back(1) && !ring.came_back(2));
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
        let request = unsafe { &*ring.chain.request(1).unwrap() };
        assert_eq!(request.num_sge, 2);
        // SAFETY: the slot has two segments.
        assert_eq!(unsafe { (*request.sg_list.add(1)).lkey }, 9);
        assert!(request.next.is_null());
        assert_eq!(ring.clear(), [1]);
    }
}
