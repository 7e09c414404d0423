//! Queues of posted receives: a QP's own, and shared ones.

#![allow(unsafe_code)]

use rdma_sys::{ibv_recv_wr, ibv_sge, ibv_srq};

use super::objects::Pd;
use super::qp::Qp;
use super::slab::Key;

/// A ring of receives, with room for a fixed number of segments in each.
pub struct RecvRing {
    slots: Vec<(u64, u32)>,
    sges: Vec<ibv_sge>,
    max_wr: u32,
    max_sge: u32,
    head: usize,
    len: usize,
}

const NO_SGE: ibv_sge = ibv_sge { addr: 0, length: 0, lkey: 0 };

impl RecvRing {
    /// Room for `max_wr` receives of up to `max_sge` segments.
    pub fn new(max_wr: u32, max_sge: u32) -> Self {
        Self {
            slots: vec![(0, 0); max_wr as usize],
            sges: vec![NO_SGE; max_wr as usize * max_sge as usize],
            max_wr,
            max_sge,
            head: 0,
            len: 0,
        }
    }

    /// Receives waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Posts one receive; an errno if it does not fit.
    ///
    /// # Safety
    /// `wr.sg_list` holds `wr.num_sge` segments.
    #[inline(always)]
    pub unsafe fn post(&mut self, wr: &ibv_recv_wr) -> Result<(), i32> {
        if self.len >= self.max_wr as usize {
            return Err(libc::ENOMEM);
        }
        if wr.num_sge < 0 || wr.num_sge as u32 > self.max_sge || (wr.num_sge > 0 && wr.sg_list.is_null()) {
            return Err(libc::EINVAL);
        }
        let mut at = self.head + self.len;
        if at >= self.max_wr as usize {
            at -= self.max_wr as usize;
        }
        let count = wr.num_sge as usize;
        let first = at * self.max_sge as usize;
        if count == 1 {
            if let Some(room) = self.sges.get_mut(first) {
                // SAFETY: the caller vouches for one segment at `sg_list`.
                *room = unsafe { *wr.sg_list };
            }
        } else if let Some(room) = self.sges.get_mut(first..first + count)
            && count > 0
        {
            // SAFETY: the caller vouches for `num_sge` segments at `sg_list`; `room` has as many.
            room.copy_from_slice(unsafe { std::slice::from_raw_parts(wr.sg_list, count) });
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (wr.wr_id, count as u32);
        }
        self.len += 1;
        Ok(())
    }

    /// The oldest receive: its id and segments.
    #[inline(always)]
    pub fn front(&self) -> Option<(u64, &[ibv_sge])> {
        if self.len == 0 {
            return None;
        }
        let &(wr_id, count) = self.slots.get(self.head)?;
        let first = self.head * self.max_sge as usize;
        let list = if count == 1 {
            std::slice::from_ref(self.sges.get(first)?)
        } else {
            self.sges.get(first..first + count as usize)?
        };
        Some((wr_id, list))
    }

    /// Takes the oldest receive off; its id.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let wr_id = self.slots.get(self.head).map(|s| s.0);
        self.head += 1;
        if self.head >= self.max_wr as usize {
            self.head = 0;
        }
        self.len -= 1;
        wr_id
    }

    /// Forgets all receives.
    pub fn clear(&mut self) {
        self.head = 0;
        self.len = 0;
    }
}

/// A shared receive queue.
pub struct Srq {
    /// The C struct.
    pub cell: *mut ibv_srq,
    /// Its protection domain.
    pub pd: Key<Pd>,
    /// Made by an end with the full device, see [`spared`](super::profile::spared).
    pub spared: bool,
    /// The receives.
    pub ring: RecvRing,
    /// `max_wr`, `max_sge` as granted.
    pub max: (u32, u32),
    /// Below this many receives an event is raised once; 0 = off.
    pub limit: u32,
    /// QPs on it.
    pub users: u32,
    /// QPs whose peer waits for a receive.
    pub waiting: Vec<Key<Qp>>,
    /// Creation order.
    pub serial: u64,
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for Srq {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receives_keep_order_and_segments_over_every_wrap() {
        let mut ring = RecvRing::new(3, 2);
        let (mut posted, mut taken) = (0u64, 0u64);
        for round in 0..20 {
            for _ in 0..=(round % 3) {
                let mut sges = [ibv_sge { addr: posted, length: 1, lkey: 2 }; 2];
                let wr = ibv_recv_wr {
                    wr_id: posted,
                    next: std::ptr::null_mut(),
                    sg_list: sges.as_mut_ptr(),
                    num_sge: (posted % 3) as i32,
                };
                // SAFETY: `sges` holds two segments, and `num_sge` is at most 2.
                match unsafe { ring.post(&wr) } {
                    Ok(()) => posted += 1,
                    Err(e) => assert_eq!((e, ring.len()), (libc::ENOMEM, 3)),
                }
            }
            if let Some((wr_id, sges)) = ring.front() {
                assert_eq!((wr_id, sges.len() as u64), (taken, taken % 3));
                assert!(sges.iter().all(|s| s.addr == taken));
                assert_eq!(ring.pop(), Some(taken));
                taken += 1;
            }
        }
        assert_eq!(taken, 20);
    }
}
