//! Completion queues: a ring of work completions, and the notification that `ibv_req_notify_cq` asks for.

#![allow(unsafe_code)]

use rdma_sys::ibv_cq;

use super::objects::{BellOf, CompChannel, Context, Shared, Subject};
use super::qp::Qp;
use super::slab::Key;
use crate::faults::fired;

/// `enum ibv_wc_status`.
pub mod status {
    #![allow(missing_docs)]
    pub const SUCCESS: u32 = 0;
    pub const LOC_LEN: u32 = 1;
    pub const LOC_QP_OP: u32 = 2;
    pub const LOC_PROT: u32 = 4;
    pub const FLUSH: u32 = 5;
    pub const REM_INV_REQ: u32 = 9;
    pub const REM_ACCESS: u32 = 10;
    pub const REM_OP: u32 = 11;
    pub const RETRY_EXC: u32 = 12;
    pub const RNR_RETRY_EXC: u32 = 13;
}

const EVENT_CQ_ERR: u32 = 0;

/// A work completion as the queue keeps it.
#[derive(Clone, Copy)]
pub struct Cqe {
    /// The work request's id.
    pub wr_id: u64,
    /// See [`status`].
    pub status: u32,
    /// `enum ibv_wc_opcode`.
    pub opcode: u32,
    /// Bytes received or read.
    pub byte_len: u32,
    /// Immediate data (network order) or the invalidated key.
    pub word: u32,
    /// `enum ibv_wc_flags`.
    pub flags: u32,
    /// The QP's number.
    pub qp_num: u32,
    /// The QP, to give its send slots back when this is polled.
    pub qp: Key<Qp>,
    /// For a send: one more than its sequence number; 0 for a receive.
    pub frees: u64,
}

/// What stands where no completion is.
const NO_CQE: Cqe = Cqe {
    wr_id: 0,
    status: 0,
    opcode: 0,
    byte_len: 0,
    word: 0,
    flags: 0,
    qp_num: 0,
    qp: Key::from_parts(0, 0),
    frees: 0,
};

/// What the consumer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Armed {
    /// Nothing.
    No,
    /// The next solicited or failed completion.
    Solicited,
    /// The next completion.
    Next,
}

/// What an extended queue keeps while it is polled.
#[derive(Clone, Copy, Default)]
pub struct Extended {
    /// A thread is at it.
    pub polling: bool,
    /// What it looks at.
    pub current: Option<Cqe>,
    /// When that was taken.
    pub stamp: u64,
    /// The same as the time of day, in nanoseconds.
    pub wall: u64,
}

/// A completion queue.
pub struct Cq {
    /// The C struct.
    pub cell: *mut ibv_cq,
    /// Its context.
    pub context: Key<Context>,
    /// Where it notifies.
    pub channel: Option<Key<CompChannel>>,
    /// See [`Armed`].
    pub armed: Armed,
    /// QPs that complete here, each counted once for each of its two queues.
    pub users: u32,
    /// Notifications handed to the program.
    pub events_taken: u32,
    /// A completion was lost; the queue takes no more.
    pub overflowed: bool,
    /// A fault repeated completions in it: that they are too many is not the program's doing.
    pub crowded: bool,
    /// What an extended queue keeps.
    pub extended: Option<Box<Extended>>,
    /// Made by an end with the full device, see [`spared`](super::profile::spared).
    pub spared: bool,
    /// Creation order.
    pub serial: u64,
    ring: Vec<Cqe>,
    head: usize,
    len: usize,
    capacity: usize,
}

impl Cq {
    /// An empty queue with room for `capacity` completions.
    pub fn new(
        cell: *mut ibv_cq,
        context: Key<Context>,
        channel: Option<Key<CompChannel>>,
        capacity: usize,
        serial: u64,
    ) -> Self {
        Self {
            cell,
            context,
            channel,
            armed: Armed::No,
            users: 0,
            events_taken: 0,
            overflowed: false,
            crowded: false,
            extended: None,
            spared: false,
            serial,
            ring: Vec::new(),
            head: 0,
            len: 0,
            capacity,
        }
    }

    /// Completions waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Changes the room; refused if what waits would not fit.
    pub fn resize(&mut self, capacity: usize) -> bool {
        if capacity < self.len {
            return false;
        }
        self.ring.rotate_left(self.head);
        self.head = 0;
        self.ring.truncate(self.len);
        self.capacity = capacity;
        true
    }

    /// The oldest completion.
    #[inline(always)]
    pub fn front(&self) -> Option<&Cqe> {
        if self.len == 0 { None } else { self.ring.get(self.head) }
    }

    /// Takes the oldest completion off.
    #[inline(always)]
    pub fn advance(&mut self) {
        if self.len > 0 {
            self.len -= 1;
            self.head += 1;
            if self.head >= self.ring.len() {
                self.head = 0;
            }
        }
    }

    /// Appends; false if there is no room.
    #[inline(always)]
    fn push(&mut self, cqe: Cqe) -> bool {
        if self.overflowed || self.len >= self.capacity {
            return false;
        }
        if self.len == self.ring.len() {
            self.grow();
        }
        let mut at = self.head + self.len;
        if at >= self.ring.len() {
            at -= self.ring.len();
        }
        if let Some(slot) = self.ring.get_mut(at) {
            *slot = cqe;
        }
        self.len += 1;
        true
    }

    /// More room in the ring, up to the capacity and no further: queues are mostly made larger than they are ever filled.
    #[cold]
    fn grow(&mut self) {
        self.ring.rotate_left(self.head);
        self.head = 0;
        let more = (self.ring.len() * 2).max(16).min(self.capacity);
        self.ring.resize(more, NO_CQE);
    }

    /// Forgets what a QP left here.
    pub fn purge(&mut self, qp: Key<Qp>) {
        self.ring.rotate_left(self.head);
        self.head = 0;
        self.ring.truncate(self.len);
        self.ring.retain(|c| c.qp != qp);
        self.len = self.ring.len();
    }
}

impl Shared {
    /// A work request is complete: queues the completion, and notifies if that was asked for.
    #[inline(always)]
    pub fn complete(&mut self, key: Key<Cq>, cqe: Cqe, solicited: bool) {
        if self.unusual {
            return self.complete_unusually(key, cqe, solicited);
        }
        self.queue_completion(key, cqe, solicited);
    }

    #[cold]
    fn complete_unusually(&mut self, key: Key<Cq>, cqe: Cqe, solicited: bool) {
        if self.faults.touch_completions() {
            self.complete_faultily(key, cqe, solicited);
        } else {
            self.let_through(key, cqe, solicited);
        }
    }

    /// Queues a completion that comes now.
    #[inline(always)]
    pub fn queue_completion(&mut self, key: Key<Cq>, cqe: Cqe, solicited: bool) {
        let Some(cq) = self.cqs.get_mut(key) else { return };
        if !cq.push(cqe) {
            self.overflow(key);
            return;
        }
        if cq.armed != Armed::No
            && (cq.armed == Armed::Next || solicited || cqe.status != status::SUCCESS)
            && let Some(channel) = cq.channel
        {
            cq.armed = Armed::No;
            self.armed -= 1;
            self.notify(channel, key);
        }
    }

    #[cold]
    fn notify(&mut self, channel: Key<CompChannel>, cq: Key<Cq>) {
        if let Some(c) = self.channels.get_mut(channel) {
            c.events.push_back(cq);
            c.bell.owed += 1;
            self.bells.push(BellOf::Channel(channel));
        }
    }

    #[cold]
    fn overflow(&mut self, key: Key<Cq>) {
        let Some(cq) = self.cqs.get_mut(key) else { return };
        if cq.overflowed {
            return;
        }
        cq.overflowed = true;
        let (context, cell, capacity, crowded) = (cq.context, cq.cell, cq.capacity, cq.crowded);
        if crowded {
            fired(&format!(
                "completion queue {cell:p} overflowed: {capacity} completions, some of them repeated"
            ));
        } else {
            self.violation(&format!(
                "completion queue {cell:p} overflowed: {capacity} completions and one more; it takes no more"
            ));
        }
        self.async_event(context, Subject::Cq(key), EVENT_CQ_ERR);
    }
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for Cq {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cqe(wr_id: u64) -> Cqe {
        let qp = Key::from_parts(wr_id as u32 % 2, 1);
        Cqe { wr_id, status: 0, opcode: 0, byte_len: 0, word: 0, flags: 0, qp_num: 1, qp, frees: 0 }
    }

    impl Cq {
        fn pop(&mut self) -> Option<Cqe> {
            let cqe = self.front().copied();
            self.advance();
            cqe
        }
    }

    fn queue(capacity: usize) -> Cq {
        Cq::new(std::ptr::null_mut(), Key::from_parts(0, 1), None, capacity, 0)
    }

    #[test]
    fn completions_come_out_in_order_over_every_wrap() {
        let mut cq = queue(3);
        let (mut next_in, mut next_out) = (0, 0);
        for round in 0..50 {
            for _ in 0..=(round % 3) {
                if cq.push(cqe(next_in)) {
                    next_in += 1;
                }
            }
            for _ in 0..=((round + 1) % 3) {
                if let Some(c) = cq.pop() {
                    assert_eq!(c.wr_id, next_out);
                    next_out += 1;
                }
            }
        }
        assert!(next_out > 50);
    }

    #[test]
    fn no_more_than_the_capacity_fits() {
        let mut cq = queue(2);
        assert!(cq.push(cqe(0)) && cq.push(cqe(1)));
        assert!(!cq.push(cqe(2)));
    }

    #[test]
    fn resize_keeps_order_and_refuses_to_lose() {
        let mut cq = queue(4);
        for i in 0..4 {
            cq.push(cqe(i));
        }
        cq.pop();
        cq.push(cqe(4));
        assert!(!cq.resize(3));
        assert!(cq.resize(8));
        for i in 5..9 {
            assert!(cq.push(cqe(i)));
        }
        for i in 1..9 {
            assert_eq!(cq.pop().unwrap().wr_id, i);
        }
    }

    #[test]
    fn purge_takes_one_qp_only() {
        let mut cq = queue(8);
        for i in 0..6 {
            cq.push(cqe(i));
        }
        cq.pop();
        cq.purge(Key::from_parts(1, 1));
        assert_eq!(cq.pop().unwrap().wr_id, 2);
        assert_eq!(cq.pop().unwrap().wr_id, 4);
        assert!(cq.pop().is_none());
        assert!(cq.push(cqe(9)));
        assert_eq!(cq.pop().unwrap().wr_id, 9);
    }
}
