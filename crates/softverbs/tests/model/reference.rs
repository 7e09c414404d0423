//! The model: what the InfiniBand specification says two sides see, with everything done at once and in the simplest way.
//!
//! A send is carried out as soon as it is the oldest of its queue and can be: there is no wire, no time, no frame.

use std::collections::{BTreeSet, VecDeque};

pub const RTS: u64 = 3;
pub const ERR: u64 = 6;

pub const SUCCESS: u64 = 0;
pub const LOC_LEN: u64 = 1;
pub const LOC_QP_OP: u64 = 2;
pub const LOC_PROT: u64 = 4;
pub const FLUSH: u64 = 5;
pub const REM_INV_REQ: u64 = 9;
pub const REM_ACCESS: u64 = 10;
pub const REM_OP: u64 = 11;
pub const RETRY_EXC: u64 = 12;

pub const WRITE: u64 = 0;
pub const WRITE_IMM: u64 = 1;
pub const SEND: u64 = 2;
pub const SEND_IMM: u64 = 3;
pub const READ: u64 = 4;
pub const SEND_INV: u64 = 9;

pub const FENCE: u64 = 1;
pub const SIGNALED: u64 = 2;
pub const INLINE: u64 = 8;

const QP_REQ_ERR: u64 = 2;
const QP_ACCESS_ERR: u64 = 3;
const LAST_WQE_REACHED: u64 = 16;

const REMOTE_WRITE: u64 = 2;
const REMOTE_READ: u64 = 4;

/// Which key a work request names, of the side whose memory is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Of the region with all rights.
    All,
    /// Of the one that peers may only read.
    PeersRead,
    /// Of the one that nobody may write and no peer read.
    Nothing,
    /// Of the one in another protection domain.
    Foreign,
    /// Of none.
    Wrong,
    /// A remote key where a local one is due, or the other way round.
    OtherSide,
    /// A remote key that may have been invalidated.
    Extra(u32),
}

/// A segment; the address counts from the start of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub key: Key,
    pub at: i64,
    pub length: u32,
}

#[derive(Clone, Debug)]
pub struct Send {
    pub id: u64,
    pub opcode: u64,
    pub flags: u64,
    pub word: u32,
    pub remote: (Key, i64),
    pub segments: Vec<Segment>,
}

impl Send {
    fn total(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.length)).sum()
    }

    /// Whether it is not even taken into the queue.
    pub fn is_refused(&self) -> bool {
        let inline = self.flags & INLINE != 0 && (self.total() > 64 || self.opcode == READ);
        self.segments.len() > 4 || inline
    }
}

#[derive(Clone, Debug)]
pub struct Receive {
    pub id: u64,
    pub segments: Vec<Segment>,
}

/// A completion. Of one that failed only id and status count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub id: u64,
    pub status: u64,
    pub opcode: u64,
    pub length: u64,
    pub word: u64,
    pub flags: u64,
}

impl Done {
    pub fn failed(id: u64, status: u64) -> Self {
        Self { id, status, opcode: 0, length: 0, word: 0, flags: 0 }
    }
}

pub struct Qp {
    pub state: u64,
    pub rights: u64,
    pub srq: Option<usize>,
    pub sends: VecDeque<Send>,
    receives: VecDeque<Receive>,
    /// What its owner is to see: sends, receives.
    pub done: [Vec<Done>; 2],
}

impl Qp {
    pub fn new(srq: Option<usize>, rights: u64) -> Self {
        let (sends, receives) = Default::default();
        Self { state: RTS, rights, srq, sends, receives, done: Default::default() }
    }
}

/// One side.
pub struct Half {
    pub memory: Vec<u8>,
    pub qps: Vec<Qp>,
    pub srqs: Vec<VecDeque<Receive>>,
    /// Asynchronous events and the queue pairs that they are about.
    pub events: Vec<(u64, u64)>,
    /// What was written since it was compared last.
    pub written: Vec<(usize, usize)>,
    /// Keys that may be given away once.
    pub extra: BTreeSet<u32>,
}

/// How a send ends that is not held up.
enum End {
    Success,
    /// The requester's status, and nothing at the peer.
    Here(u64),
    /// The requester's status, and an event at the peer.
    Event(u64, u64),
    /// The requester's status, and that of the receive at the peer.
    Receive(u64, u64, u64),
}

pub struct World(pub [Half; 2]);

impl Half {
    fn range(&self, at: i64, length: u32) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(at).ok()?;
        let end = start + length as usize;
        (end <= self.memory.len()).then_some(start..end)
    }

    /// The bytes that the first `total` bytes of the segments lie in; none if a key does not allow that.
    fn local(&self, segments: &[Segment], total: u64, write: bool) -> Option<Vec<std::ops::Range<usize>>> {
        let mut found = Vec::new();
        let mut left = total;
        for s in segments {
            if left == 0 {
                break;
            }
            if s.length == 0 {
                continue;
            }
            let allowed = match s.key {
                Key::All | Key::PeersRead => true,
                Key::Nothing => !write,
                _ => false,
            };
            let range = self.range(s.at, s.length).filter(|_| allowed)?;
            let n = left.min(range.len() as u64);
            found.push(range.start..range.start + n as usize);
            left -= n;
        }
        Some(found)
    }

    fn remote(&self, key: Key, at: i64, length: u64, write: bool) -> Option<std::ops::Range<usize>> {
        if length == 0 {
            return Some(0..0);
        }
        let allowed = match key {
            Key::All => true,
            Key::PeersRead => !write,
            Key::Extra(key) => self.extra.contains(&key),
            _ => false,
        };
        self.range(at, length as u32).filter(|_| allowed)
    }

    fn write(&mut self, to: &[std::ops::Range<usize>], bytes: &[u8]) {
        let mut rest = bytes;
        for range in to {
            let (now, later) = rest.split_at(range.len().min(rest.len()));
            self.memory[range.start..range.start + now.len()].copy_from_slice(now);
            self.written.push((range.start, now.len()));
            rest = later;
        }
    }

    fn read(&self, from: &[std::ops::Range<usize>]) -> Vec<u8> {
        from.iter().flat_map(|r| &self.memory[r.clone()]).copied().collect()
    }

    fn queue(&mut self, qp: usize) -> &mut VecDeque<Receive> {
        match self.qps[qp].srq {
            Some(s) => &mut self.srqs[s],
            None => &mut self.qps[qp].receives,
        }
    }

    fn received(&mut self, qp: usize, id: u64, opcode: u64, length: u64, word: u32, flags: u64) {
        let done = Done { id, status: SUCCESS, opcode, length, word: word.into(), flags };
        self.qps[qp].done[1].push(done);
    }

    pub fn fail(&mut self, qp: usize) {
        let q = &mut self.qps[qp];
        if q.state == ERR {
            return;
        }
        q.state = ERR;
        self.flush(qp);
        if self.qps[qp].srq.is_some() {
            self.events.push((LAST_WQE_REACHED, qp as u64));
        }
    }

    fn flush(&mut self, qp: usize) {
        let q = &mut self.qps[qp];
        q.done[0].extend(q.sends.drain(..).map(|s| Done::failed(s.id, FLUSH)));
        q.done[1].extend(q.receives.drain(..).map(|r| Done::failed(r.id, FLUSH)));
    }
}

impl World {
    /// Posts a list: errno, and how many were taken.
    pub fn post_sends(&mut self, side: usize, qp: usize, list: Vec<Send>) -> (i32, usize) {
        let mut taken = 0;
        let mut errno = 0;
        for send in list {
            if send.is_refused() {
                errno = libc::EINVAL;
                break;
            }
            self.0[side].qps[qp].sends.push_back(send);
            taken += 1;
        }
        if self.0[side].qps[qp].state == ERR {
            self.0[side].flush(qp);
        }
        self.run();
        (errno, taken)
    }

    pub fn post_receives(&mut self, side: usize, qp: usize, list: Vec<Receive>) {
        self.0[side].qps[qp].receives.extend(list);
        if self.0[side].qps[qp].state == ERR {
            self.0[side].flush(qp);
        }
        self.run();
    }

    pub fn post_shared(&mut self, side: usize, srq: usize, list: Vec<Receive>) {
        self.0[side].srqs[srq].extend(list);
        self.run();
    }

    /// The program puts a queue pair into error.
    pub fn error(&mut self, side: usize, qp: usize) {
        self.0[side].fail(qp);
        self.run();
    }

    /// The program resets both queue pairs of a connection and connects them anew.
    pub fn reset(&mut self, qp: usize) {
        for half in &mut self.0 {
            let q = &mut half.qps[qp];
            q.state = RTS;
            q.sends.clear();
            q.receives.clear();
        }
    }

    /// Carries out whatever can be.
    fn run(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for side in 0..2 {
                for qp in 0..self.0[side].qps.len() {
                    while self.step(side, qp) {
                        busy = true;
                    }
                }
            }
        }
    }

    fn step(&mut self, side: usize, qp: usize) -> bool {
        let Some(send) = self.0[side].qps[qp].sends.front().cloned() else { return false };
        let Some(end) = self.carry_out(side, qp, &send) else { return false };
        let total = send.total();
        let (here, there) = {
            let [a, b] = &mut self.0;
            if side == 0 { (a, b) } else { (b, a) }
        };
        here.qps[qp].sends.pop_front();
        let status = match end {
            End::Success => SUCCESS,
            End::Here(status) | End::Event(status, _) | End::Receive(status, ..) => status,
        };
        if status != SUCCESS {
            here.qps[qp].done[0].push(Done::failed(send.id, status));
        } else if send.flags & SIGNALED != 0 {
            let (opcode, length) = match send.opcode {
                READ => (2, total),
                WRITE | WRITE_IMM => (1, 0),
                _ => (0, 0),
            };
            here.qps[qp].done[0].push(Done { id: send.id, status, opcode, length, word: 0, flags: 0 });
        }
        match end {
            End::Success => return true,
            End::Here(_) => {}
            End::Event(_, event) => {
                there.events.push((event, qp as u64));
                there.fail(qp);
            }
            End::Receive(_, id, status) => {
                there.qps[qp].done[1].push(Done::failed(id, status));
                there.fail(qp);
            }
        }
        here.fail(qp);
        true
    }

    /// Carries out one send; none if it has to wait for a receive.
    fn carry_out(&mut self, side: usize, qp: usize, send: &Send) -> Option<End> {
        let (here, there) = {
            let [a, b] = &mut self.0;
            if side == 0 { (a, b) } else { (b, a) }
        };
        let total = send.total();
        let unchecked: Vec<Segment> = send.segments.iter().map(|s| Segment { key: Key::All, ..*s }).collect();
        let segments = if send.flags & INLINE != 0 { &unchecked } else { &send.segments };
        let Some(local) = here.local(segments, total, send.opcode == READ) else {
            return Some(End::Here(LOC_PROT));
        };
        if there.qps[qp].state != RTS {
            return Some(End::Here(RETRY_EXC));
        }
        let (key, at) = send.remote;
        let rights = there.qps[qp].rights;
        match send.opcode {
            READ => {
                if rights & REMOTE_READ == 0 {
                    return Some(End::Event(REM_INV_REQ, QP_REQ_ERR));
                }
                let Some(from) = there.remote(key, at, total, false) else {
                    return Some(End::Event(REM_ACCESS, QP_ACCESS_ERR));
                };
                let bytes = there.read(&[from]);
                here.write(&local, &bytes);
            }
            WRITE | WRITE_IMM => {
                if rights & REMOTE_WRITE == 0 {
                    return Some(End::Event(REM_INV_REQ, QP_REQ_ERR));
                }
                let Some(to) = there.remote(key, at, total, true) else {
                    return Some(End::Event(REM_ACCESS, QP_ACCESS_ERR));
                };
                let receive =
                    if send.opcode == WRITE_IMM { Some(there.queue(qp).pop_front()?) } else { None };
                there.write(&[to], &here.read(&local));
                if let Some(receive) = receive {
                    there.received(qp, receive.id, 129, total, send.word, 2);
                }
            }
            _ => {
                let receive = there.queue(qp).pop_front()?;
                let room: u64 = receive.segments.iter().map(|s| u64::from(s.length)).sum();
                if room < total {
                    return Some(End::Receive(REM_INV_REQ, receive.id, LOC_LEN));
                }
                let Some(to) = there.local(&receive.segments, total, true) else {
                    return Some(End::Receive(REM_OP, receive.id, LOC_PROT));
                };
                if send.opcode == SEND_INV && !there.extra.remove(&send.word) {
                    return Some(End::Receive(REM_INV_REQ, receive.id, LOC_QP_OP));
                }
                there.write(&to, &here.read(&local));
                let (word, flags) = match send.opcode {
                    SEND_IMM => (send.word, 2),
                    SEND_INV => (send.word, 8),
                    _ => (0, 0),
                };
                there.received(qp, receive.id, 128, total, word, flags);
            }
        }
        Some(End::Success)
    }
}
