//! Queue pairs: their queues, their attributes, and the states they go through.
//!
//! Send slots are numbered from 0 without end; `una..next` are sent and not acknowledged, `next..tail` wait to be sent. A slot
//! is free again once a completion for it or a later one was polled, as with real devices whose queue the consumer's poll
//! moves on: a program that signals too seldom finds its queue full.

#![allow(unsafe_code)]

use std::collections::VecDeque;

use rdma_sys::{ibv_qp, ibv_qp_attr, ibv_qp_cap, ibv_sge};

use super::Fabric;
use super::cq::{Cq, Cqe, status};
use super::link::Link;
use super::memory::Segments;
use super::objects::{Context, Pd, Shared, Subject};
use super::slab::Key;
use super::srq::{RecvRing, Srq};
pub use super::state::{State, mask};

/// `enum ibv_wr_opcode`, as far as offered.
pub mod opcode {
    #![allow(missing_docs)]
    pub const WRITE: u32 = 0;
    pub const WRITE_IMM: u32 = 1;
    pub const SEND: u32 = 2;
    pub const SEND_IMM: u32 = 3;
    pub const READ: u32 = 4;
    pub const SEND_INV: u32 = 9;
}

/// `enum ibv_send_flags`.
pub mod send_flag {
    #![allow(missing_docs)]
    pub const FENCE: u32 = 1;
    pub const SIGNALED: u32 = 2;
    pub const SOLICITED: u32 = 4;
    pub const INLINE: u32 = 8;
}

const EVENT_LAST_WQE_REACHED: u32 = 16;

/// A posted send.
#[derive(Clone, Copy, Default)]
pub struct SendSlot {
    /// The work request's id.
    pub wr_id: u64,
    /// See [`opcode`].
    pub opcode: u32,
    /// See [`send_flag`].
    pub flags: u32,
    /// Segments, or 0 if inline.
    pub num_sge: u32,
    /// Bytes in all.
    pub length: u32,
    /// Immediate data or key to invalidate.
    pub word: u32,
    /// Remote key.
    pub rkey: u32,
    /// Remote address.
    pub address: u64,
    /// Bytes read so far.
    pub progress: u32,
}

/// The message that is coming in, between its first and its last fragment.
#[derive(Default)]
pub struct Inbound {
    /// One is.
    pub active: bool,
    /// It is a SEND.
    pub send: bool,
    /// Bytes in it, as its first fragment said.
    pub total: u32,
    /// Bytes of it that came.
    pub offset: u32,
    /// A SEND: the receive that it goes to.
    pub wr_id: u64,
    /// Where it goes.
    pub sges: Vec<ibv_sge>,
}

/// What the responder still has to tell, in order.
#[derive(Clone, Copy, Debug)]
pub enum Response {
    /// All requests up to this one are done.
    Ack(u64),
    /// There is no receive for this one.
    NotReady(u64),
    /// There is one now.
    Ready(u64),
    /// What an RDMA READ asked for.
    Read {
        /// The request.
        seq: u64,
        /// Remote address as the peer named it.
        address: u64,
        /// Its key.
        rkey: u32,
        /// Bytes told so far.
        offset: u32,
        /// Bytes in all.
        total: u32,
    },
}

/// What a queue pair is from its creation to its end.
pub struct Made {
    /// The C struct.
    pub cell: *mut ibv_qp,
    /// Its key, for what it leaves in queues.
    pub key: Key<Qp>,
    /// Its number.
    pub number: u32,
    /// Its context.
    pub context: Key<Context>,
    /// Its protection domain.
    pub pd: Key<Pd>,
    /// Where sends complete.
    pub send_cq: Key<Cq>,
    /// Where receives complete.
    pub recv_cq: Key<Cq>,
    /// Where receives come from, if not from its own queue.
    pub srq: Option<Key<Srq>>,
    /// Every send is signaled.
    pub sig_all: bool,
    /// Queue sizes as granted.
    pub cap: ibv_qp_cap,
    /// Made by an end with the full device, see [`spared`](super::profile::spared).
    pub spared: bool,
    /// Creation order.
    pub serial: u64,
}

/// A queue pair.
pub struct Qp {
    /// What never changes.
    pub made: Made,
    /// Attributes that were set.
    pub attr: ibv_qp_attr,
    /// Where it is in its life.
    pub state: State,
    /// The way to its peer.
    pub link: Option<Key<Link>>,

    /// A power of two of them, not less than `made.cap.max_send_wr`; `mask` is one less.
    pub(super) slots: Vec<SendSlot>,
    mask: usize,
    pub(super) sges: Vec<ibv_sge>,
    pub(super) inline: Vec<u8>,
    /// First slot that is not free.
    pub reclaimed: u64,
    /// First slot that is not acknowledged.
    pub una: u64,
    /// First slot that is not sent.
    pub next: u64,
    /// First slot that is not posted.
    pub tail: u64,
    /// Bytes of slot `next` that are sent.
    pub sent: u32,
    /// RDMA READs sent and not answered.
    pub reads: u32,
    /// A send that failed here, before it was sent; reported when those before it are done.
    pub failed: Option<(u64, u32)>,
    /// The peer has no receive.
    pub rnr: bool,
    /// Tells current timers from old ones.
    pub epoch: u32,
    /// A transport timer runs.
    pub timing: bool,
    /// Transport retries left while the peer is silent.
    pub retries: u32,
    /// In SQD: first slot that was not begun when the queue was told to drain.
    pub drain_to: u64,
    /// An event is to tell when it is drained.
    pub tell_drained: bool,

    /// Receives.
    pub rq: RecvRing,
    /// The request that must come next.
    pub expected: u64,
    /// See [`Inbound`].
    pub inbound: Inbound,
    /// The peer waits to hear that there is a receive.
    pub owes_ready: bool,
    /// Requests up to this one are done and not acknowledged.
    pub ack_due: Option<u64>,
    /// Answers that wait for room.
    pub responses: VecDeque<Response>,
    /// Scratch lists for the segments of one message.
    pub scratch: (Segments, Segments),
}

impl Qp {
    /// A QP in RESET.
    pub fn new(made: Made) -> Self {
        let cap = made.cap;
        let sends = (cap.max_send_wr as usize).next_power_of_two();
        let own_receives = if made.srq.is_some() { 0 } else { cap.max_recv_wr };
        // SAFETY: `ibv_qp_attr` is numbers throughout; all zero is a value of it.
        let attr = unsafe { std::mem::zeroed() };
        Self {
            made,
            attr,
            state: State::Reset,
            link: None,
            slots: vec![SendSlot::default(); sends],
            mask: sends - 1,
            sges: vec![ibv_sge { addr: 0, length: 0, lkey: 0 }; sends * cap.max_send_sge as usize],
            inline: vec![0; sends * cap.max_inline_data as usize],
            reclaimed: 0,
            una: 0,
            next: 0,
            tail: 0,
            sent: 0,
            reads: 0,
            failed: None,
            rnr: false,
            epoch: 0,
            timing: false,
            retries: 0,
            drain_to: 0,
            tell_drained: false,
            rq: RecvRing::new(own_receives, cap.max_recv_sge),
            expected: 0,
            inbound: Inbound::default(),
            owes_ready: false,
            ack_due: None,
            responses: VecDeque::new(),
            scratch: Default::default(),
        }
    }

    /// Where a send's slot is.
    #[inline]
    pub(super) fn position(&self, seq: u64) -> usize {
        seq as usize & self.mask
    }

    /// The slot of a send.
    #[inline]
    pub fn slot(&self, seq: u64) -> Option<&SendSlot> {
        self.slots.get(self.position(seq))
    }

    /// The slot of a send.
    pub fn slot_mut(&mut self, seq: u64) -> Option<&mut SendSlot> {
        let at = self.position(seq);
        self.slots.get_mut(at)
    }

    /// The GID that the program gave for the peer, if it gave one.
    pub fn peer_gid(&self) -> Option<[u8; 16]> {
        // SAFETY: both members of the union are 16 bytes of numbers.
        let gid = unsafe { self.attr.ah_attr.grh.dgid.raw };
        (self.attr.ah_attr.is_global != 0).then_some(gid)
    }

    /// Whether requests of the peer are taken.
    #[inline]
    pub fn answers(&self) -> bool {
        matches!(self.state, State::Rtr | State::Rts | State::Sqd | State::Sqe)
    }

    /// The next send that may go out now.
    #[inline]
    pub fn sendable(&self) -> Option<u64> {
        let open = self.state == State::Rts || (self.state == State::Sqd && self.next < self.drain_to);
        (open && self.next != self.tail && !self.rnr && self.failed.is_none()).then_some(self.next)
    }

    /// Whether sends of this QP may be on their way.
    pub fn sends(&self) -> bool {
        matches!(self.state, State::Rts | State::Sqd)
    }

    /// Whether there is a send that the peer's silence matters to.
    pub fn is_busy(&self) -> bool {
        self.una != self.tail
            && (self.state == State::Rts || (self.state == State::Sqd && self.is_draining()))
    }

    /// In SQD: whether sends that were begun before are not done.
    pub fn is_draining(&self) -> bool {
        self.una < self.drain_to.min(self.tail)
    }

    /// Where the bytes of a send lie, up to all of it, into the first scratch list. `write`: the peer's bytes are to go there.
    /// The error is a work completion status.
    #[inline(always)]
    pub fn find_send(&mut self, shared: &Shared, seq: u64, write: bool) -> Result<SendSlot, u32> {
        let at = self.position(seq);
        let slot = *self.slots.get(at).ok_or(status::LOC_QP_OP)?;
        let found = &mut self.scratch.0;
        if slot.flags & send_flag::INLINE != 0 {
            found.clear();
            let first = at * self.made.cap.max_inline_data as usize;
            if let Some(bytes) = self.inline.get(first..first + slot.length as usize) {
                found.set(bytes.as_ptr() as u64, slot.length);
            }
            return Ok(slot);
        }
        let first = at * self.made.cap.max_send_sge as usize;
        let list = if slot.num_sge == 1 {
            self.sges.get(first).map(std::slice::from_ref)
        } else {
            self.sges.get(first..first + slot.num_sge as usize)
        };
        match shared.mrs.segments(self.made.pd, list.unwrap_or_default(), write, slot.length, found) {
            Ok(()) => Ok(slot),
            Err(_) => Err(status::LOC_PROT),
        }
    }

    /// The oldest send is done with this status.
    #[inline(always)]
    pub fn complete_send(&mut self, shared: &mut Shared, how: u32) {
        let seq = self.una;
        let Some(slot) = self.slots.get(self.position(seq)) else { return };
        self.una += 1;
        if self.next < self.una {
            self.next = self.una;
            self.sent = 0;
        }
        if how == status::SUCCESS && !self.made.sig_all && slot.flags & send_flag::SIGNALED == 0 {
            return;
        }
        let opcode = match slot.opcode {
            opcode::READ => 2,
            opcode::WRITE | opcode::WRITE_IMM => 1,
            _ => 0,
        };
        let cqe = Cqe {
            wr_id: slot.wr_id,
            status: how,
            opcode,
            byte_len: if opcode == 2 { slot.length } else { 0 },
            word: 0,
            flags: 0,
            qp_num: self.made.number,
            qp: self.made.key,
            frees: seq + 1,
        };
        shared.complete(self.made.send_cq, cqe, false);
    }

    /// The oldest send failed: it completes with this status, the rest is flushed, the QP is in error.
    pub fn fail_send(&mut self, shared: &mut Shared, how: u32) {
        self.complete_send(shared, how);
        self.enter_error(shared);
    }

    /// Goes to ERR, and completes all that is posted as flushed.
    pub fn enter_error(&mut self, shared: &mut Shared) {
        if self.state == State::Err {
            return;
        }
        let answered = self.answers();
        self.set_state(State::Err);
        self.flush(shared);
        if answered {
            shared.silent.push(self.made.key);
        }
        if self.made.srq.is_some() {
            shared.async_event(self.made.context, Subject::Qp(self.made.key), EVENT_LAST_WQE_REACHED);
        }
    }

    /// In ERR: completes all that is posted as flushed.
    pub fn flush(&mut self, shared: &mut Shared) {
        self.halt();
        // A SEND that was half in has taken its receive off the queue already.
        if std::mem::take(&mut self.inbound.active) && self.inbound.send {
            let wr_id = self.inbound.wr_id;
            self.complete_receive(shared, wr_id, status::FLUSH, 0, 0, 0, 0, false);
        }
        while self.una < self.tail {
            self.complete_send(shared, status::FLUSH);
        }
        while let Some(wr_id) = self.rq.pop() {
            self.complete_receive(shared, wr_id, status::FLUSH, 0, 0, 0, 0, false);
        }
    }

    /// Stops requester and responder where they are.
    fn halt(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.timing = false;
        self.rnr = false;
        self.failed = None;
        self.tell_drained = false;
        self.reads = 0;
        self.sent = 0;
        self.owes_ready = false;
        self.ack_due = None;
        self.responses.clear();
    }

    /// Forgets all that is posted and sent: RESET.
    pub fn reset(&mut self) {
        self.halt();
        self.una = 0;
        self.next = 0;
        self.tail = 0;
        self.reclaimed = 0;
        self.expected = 0;
        self.inbound.active = false;
        self.rq.clear();
    }

    /// A receive is done.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub fn complete_receive(
        &self,
        shared: &mut Shared,
        wr_id: u64,
        how: u32,
        opcode: u32,
        byte_len: u32,
        word: u32,
        flags: u32,
        solicited: bool,
    ) {
        let cqe = Cqe {
            wr_id,
            status: how,
            opcode: 128 | opcode,
            byte_len,
            word,
            flags,
            qp_num: self.made.number,
            qp: self.made.key,
            frees: 0,
        };
        shared.complete(self.made.recv_cq, cqe, solicited);
    }

    /// Changes the state, here and in the C struct.
    pub fn set_state(&mut self, state: State) {
        self.state = state;
        // SAFETY: the cell is never unmapped, and only written behind the fabric's lock.
        unsafe { (*self.made.cell).state = state as u32 };
    }
}

impl Fabric {
    /// `ibv_destroy_qp`, apart from the cell and the counts of its parents.
    pub fn destroy_qp(&mut self, key: Key<Qp>) -> Option<Qp> {
        let qp = self.qps.get(key)?;
        if qp.answers() {
            self.tell_silence(key);
        }
        self.unlink(key);
        let qp = self.qps.remove(key)?;
        self.qp_numbers.remove(&qp.made.number);
        if let Some(srq) = qp.made.srq.and_then(|s| self.shared.srqs.get_mut(s)) {
            srq.waiting.retain(|k| *k != key);
        }
        if self.shared.unusual {
            self.shared.close_lanes_of(key);
        }
        if self.purge_on_destroy {
            for cq in [qp.made.send_cq, qp.made.recv_cq] {
                if let Some(cq) = self.shared.cqs.get_mut(cq) {
                    cq.purge(key);
                }
            }
        }
        if self.shared.unusual {
            self.shared.release_of_destroyed(key, self.purge_on_destroy);
        }
        Some(qp)
    }
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for Qp {}
