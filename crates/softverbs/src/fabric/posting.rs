//! Posting: work requests are checked, and copied into the queues.

#![allow(unsafe_code)]

use rdma_sys::{ibv_recv_wr, ibv_send_wr, ibv_sge};

use super::Fabric;
use super::memory::total_length;
use super::qp::{Qp, SendSlot, State, opcode, send_flag};
use super::slab::Key;
use super::srq::{RecvRing, Srq};

/// A request that was not posted, and those after it.
pub struct Unposted<W> {
    /// Why: an errno, or [`GONE`].
    pub errno: i32,
    /// The request.
    pub at: *mut W,
}

/// In place of an errno: there is no such queue any more.
pub const GONE: i32 = -1;

/// The longest message, as `ibv_port_attr.max_msg_sz` says.
pub const MAX_MESSAGE: u64 = 1 << 30;

impl Qp {
    /// Puts one send into the queue; an errno if it is refused.
    ///
    /// # Safety
    /// `wr.sg_list` holds `wr.num_sge` segments; with IBV_SEND_INLINE their bytes may be read.
    #[inline(always)]
    unsafe fn enqueue(&mut self, wr: &ibv_send_wr) -> Result<(), i32> {
        if self.state < State::Rts {
            return Err(libc::EINVAL);
        }
        if self.tail - self.reclaimed >= u64::from(self.made.cap.max_send_wr) {
            return Err(libc::ENOMEM);
        }
        if wr.num_sge < 0 || wr.num_sge as u32 > self.made.cap.max_send_sge {
            return Err(libc::EINVAL);
        }
        let one_sided = match wr.opcode {
            opcode::SEND | opcode::SEND_IMM | opcode::SEND_INV => false,
            opcode::WRITE | opcode::WRITE_IMM | opcode::READ => true,
            _ => return Err(libc::EINVAL),
        };
        let count = wr.num_sge as usize;
        let list: &[ibv_sge] = if count == 0 {
            &[]
        } else if wr.sg_list.is_null() {
            return Err(libc::EINVAL);
        } else {
            // SAFETY: the caller vouches for `num_sge` segments at `sg_list`.
            unsafe { std::slice::from_raw_parts(wr.sg_list, count) }
        };
        let length = total_length(list);
        if length > MAX_MESSAGE {
            return Err(libc::EINVAL);
        }
        let at = self.position(self.tail);
        let mut num_sge = count as u32;
        if wr.send_flags & send_flag::INLINE != 0 {
            if length > u64::from(self.made.cap.max_inline_data) || wr.opcode == opcode::READ {
                return Err(libc::EINVAL);
            }
            let first = at * self.made.cap.max_inline_data as usize;
            let mut room = self.inline.get_mut(first..first + length as usize).unwrap_or_default();
            for sge in list.iter().filter(|s| s.length > 0) {
                let (now, later) = room.split_at_mut(sge.length as usize);
                // SAFETY: the caller vouches that inline segments may be read; `now` has that many bytes.
                unsafe { std::ptr::copy_nonoverlapping(sge.addr as *const u8, now.as_mut_ptr(), now.len()) };
                room = later;
            }
            num_sge = 0;
        } else {
            let first = at * self.made.cap.max_send_sge as usize;
            if let [only] = list {
                if let Some(room) = self.sges.get_mut(first) {
                    *room = *only;
                }
            } else if let Some(room) = self.sges.get_mut(first..first + count) {
                room.copy_from_slice(list);
            }
        }
        // SAFETY: for these opcodes `wr.rdma` is the member that counts; for a SEND it is not looked at, and all members are
        // plain numbers. `imm_data` and `invalidated_rkey` are the same 32 bits.
        let (rdma, word) = unsafe {
            let rdma = if one_sided { (wr.wr.rdma.remote_addr, wr.wr.rdma.rkey) } else { (0, 0) };
            let wants = matches!(wr.opcode, opcode::SEND_IMM | opcode::WRITE_IMM | opcode::SEND_INV);
            (rdma, if wants { wr.imm_data_invalidated_rkey_union.imm_data } else { 0 })
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = SendSlot {
                wr_id: wr.wr_id,
                opcode: wr.opcode,
                flags: wr.send_flags,
                num_sge,
                length: length as u32,
                word,
                rkey: rdma.1,
                address: rdma.0,
                progress: 0,
            };
        }
        self.tail += 1;
        Ok(())
    }
}

/// Posts a list of receives, up to the first that is refused.
///
/// # Safety
/// `wr` is a list of receives as verbs demands.
#[inline(always)]
unsafe fn post_receives(ring: &mut RecvRing, mut wr: *mut ibv_recv_wr) -> Result<(), Unposted<ibv_recv_wr>> {
    while !wr.is_null() {
        // SAFETY: the caller vouches for the list.
        let request = unsafe { &*wr };
        // SAFETY: as above.
        unsafe { ring.post(request) }.map_err(|errno| Unposted { errno, at: wr })?;
        wr = request.next;
    }
    Ok(())
}

impl Fabric {
    /// `ibv_post_send`. On a refusal: the errno and the request that was refused.
    ///
    /// # Safety
    /// `wr` is a list of work requests as verbs demands, segments and inline data readable.
    #[inline(always)]
    pub unsafe fn post_send(
        &mut self,
        key: Key<Qp>,
        mut wr: *mut ibv_send_wr,
    ) -> Result<(), Unposted<ibv_send_wr>> {
        let Some(qp) = self.qps.get_mut(key) else { return Err(Unposted { errno: GONE, at: wr }) };
        let mut posted = Ok(());
        while !wr.is_null() {
            // SAFETY: the caller vouches for the list.
            let request = unsafe { &*wr };
            // SAFETY: as above.
            if let Err(errno) = unsafe { qp.enqueue(request) } {
                posted = Err(Unposted { errno, at: wr });
                break;
            }
            wr = request.next;
        }
        if qp.state == State::Err {
            qp.flush(&mut self.shared);
        } else {
            self.pump(key);
        }
        posted
    }

    /// `ibv_post_recv`. As [`post_send`](Self::post_send).
    ///
    /// # Safety
    /// `wr` is a list of receives as verbs demands.
    #[inline(always)]
    pub unsafe fn post_recv(
        &mut self,
        key: Key<Qp>,
        wr: *mut ibv_recv_wr,
    ) -> Result<(), Unposted<ibv_recv_wr>> {
        let Some(qp) = self.qps.get_mut(key) else { return Err(Unposted { errno: GONE, at: wr }) };
        if qp.made.srq.is_some() || qp.state == State::Reset {
            return Err(Unposted { errno: libc::EINVAL, at: wr });
        }
        // SAFETY: the caller vouches for the list.
        let posted = unsafe { post_receives(&mut qp.rq, wr) };
        if qp.state == State::Err {
            qp.flush(&mut self.shared);
        } else if qp.owes_ready {
            self.shared.ready.push(key);
        }
        posted
    }

    /// `ibv_post_srq_recv`. As [`post_send`](Self::post_send).
    ///
    /// # Safety
    /// `wr` is a list of receives as verbs demands.
    pub unsafe fn post_srq_recv(
        &mut self,
        key: Key<Srq>,
        wr: *mut ibv_recv_wr,
    ) -> Result<(), Unposted<ibv_recv_wr>> {
        let Some(srq) = self.shared.srqs.get_mut(key) else { return Err(Unposted { errno: GONE, at: wr }) };
        // SAFETY: the caller vouches for the list.
        let posted = unsafe { post_receives(&mut srq.ring, wr) };
        self.shared.ready.append(&mut srq.waiting);
        posted
    }
}
