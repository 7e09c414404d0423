//! A provider that writes down what it is given, and refuses what it is told to.

use super::*;
use crate::{COMMAND_WORDS, Segment};
use rdma_sys as sys;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ffi::c_int,
    ptr::null_mut,
};

/// More requests than any chain of a test has: one that is longer is a knot.
const KNOT: usize = 1 << 17;

/// What becomes of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is accepted.
    Accept,
    /// As many are accepted, and the one after them is refused with this value. All are accepted if there is none.
    RefuseAfter(usize, c_int),
    /// All of it is accepted, and refused with this value; the request that is named is none of the chain.
    RefuseOther(c_int),
    /// As that, and the request that is named is the one that came so many before the last one that came.
    RefuseEarlier(usize, c_int),
}

/// A SEND that was accepted, with its command as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub id: u64,
    pub opcode: u32,
    pub flags: u32,
    pub segments: Vec<Segment>,
    pub command: [u64; COMMAND_WORDS],
}

/// A receive that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub id: u64,
    pub segments: i32,
    pub segment: Segment,
}

/// What was given to the provider, one row for each doorbell.
pub struct Account {
    verdict: Cell<Verdict>,
    sends: RefCell<Vec<Vec<Sent>>>,
    receives: RefCell<Vec<Vec<Received>>>,
    /// The addresses of all requests that came.
    came: RefCell<Vec<usize>>,
    /// Ids of completions to be found by a poll.
    pub completions: RefCell<VecDeque<u64>>,
    /// What a poll says instead of how many it found.
    pub says: Cell<Option<c_int>>,
    pub polls: Cell<usize>,
}

/// A queue pair of it, which does nothing by itself.
pub struct Provider {
    pub account: Box<Account>,
    qp: Box<sys::ibv_qp>,
    _cq: Box<sys::ibv_cq>,
    context: Box<sys::ibv_context>,
}

impl Provider {
    pub fn new() -> Self {
        let account = Box::new(Account {
            verdict: Cell::new(Verdict::Accept),
            sends: RefCell::default(),
            receives: RefCell::default(),
            came: RefCell::default(),
            completions: RefCell::default(),
            says: Cell::new(None),
            polls: Cell::new(0),
        });
        // SAFETY: zero is a value for all three: numbers, pointers, functions that may be missing, and locks that nobody takes.
        let (mut context, mut cq, mut qp) = unsafe {
            (
                Box::new(std::mem::zeroed::<sys::ibv_context>()),
                Box::new(std::mem::zeroed::<sys::ibv_cq>()),
                Box::new(std::mem::zeroed::<sys::ibv_qp>()),
            )
        };
        context.ops.post_send = Some(post_send);
        context.ops.post_recv = Some(post_receive);
        context.ops.poll_cq = Some(poll);
        cq.cq_context = (&raw const *account).cast_mut().cast();
        qp.qp_context = (&raw const *account).cast_mut().cast();
        qp.send_cq = &raw mut *cq;
        qp.context = &raw mut *context;
        Self { account, qp, _cq: cq, context }
    }

    /// A provider that has no functions.
    pub fn without_functions() -> Self {
        let mut provider = Self::new();
        provider.context.ops.post_recv = None;
        provider
    }

    /// Takes the seat, for as long as the provider lives.
    pub fn sit_on(&mut self, seat: &Seat) -> Result<(), Error> {
        // SAFETY: whoever makes a provider keeps it until nothing is posted to the seat any more.
        unsafe { seat.take(&raw mut *self.qp) }
    }

    /// Gets what is posted of these receives, for as long as the provider lives.
    pub fn serve(&self, receives: &mut SharedReceives) {
        let account = (&raw const *self.account).cast_mut().cast();
        receives.serve(post_shared, account);
    }

    /// What it does with the chains that come.
    pub fn set(&self, verdict: Verdict) {
        self.account.verdict.set(verdict);
    }

    /// The sends since the last call of this.
    pub fn sends(&self) -> Vec<Vec<Sent>> {
        self.account.sends.take()
    }

    /// The receives since the last call of this.
    pub fn receives(&self) -> Vec<Vec<Received>> {
        self.account.receives.take()
    }
}

/// # Safety
///
/// `at` is null, or begins a chain of filled requests.
unsafe fn each<W, T>(
    account: &Account,
    mut at: *mut W,
    refused: *mut *mut W,
    next: impl Fn(&W) -> *mut W,
    copy: impl Fn(&W) -> T,
) -> (c_int, Vec<T>) {
    let verdict = account.verdict.get();
    let (mut accepted, mut came) = (Vec::new(), account.came.borrow_mut());
    // SAFETY: the caller's contract; nobody changes the chain meanwhile, and `refused` is a place for the answer.
    unsafe {
        while !at.is_null() {
            if let Verdict::RefuseAfter(count, value) = verdict
                && count == accepted.len()
            {
                *refused = at;
                return (value, accepted);
            }
            came.push(at.addr());
            accepted.push(copy(&*at));
            assert!(accepted.len() < KNOT, "the chain has no end");
            at = next(&*at);
        }
        match verdict {
            Verdict::RefuseOther(value) => {
                *refused = null_mut();
                (value, accepted)
            }
            Verdict::RefuseEarlier(count, value) => {
                *refused = came[came.len() - 1 - count] as *mut W;
                (value, accepted)
            }
            _ => (0, accepted),
        }
    }
}

unsafe extern "C" fn post_send(
    qp: *mut sys::ibv_qp,
    first: *mut sys::ibv_send_wr,
    refused: *mut *mut sys::ibv_send_wr,
) -> c_int {
    // SAFETY: the queue pair is a provider's, and lives as long as its account; the room filled the chain.
    let (account, (value, accepted)) = unsafe {
        let account = &*(*qp).qp_context.cast::<Account>();
        (account, each(account, first, refused, |request| request.next, copy_send))
    };
    account.sends.borrow_mut().push(accepted);
    value
}

fn copy_send(request: &sys::ibv_send_wr) -> Sent {
    // SAFETY: the room says how many segments there are, and the first is a command in memory that it keeps.
    unsafe {
        let segments = std::slice::from_raw_parts(request.sg_list, request.num_sge as usize);
        Sent {
            id: request.wr_id,
            opcode: request.opcode,
            flags: request.send_flags,
            segments: segments.iter().map(segment).collect(),
            command: (segments[0].addr as *const [u64; COMMAND_WORDS]).read(),
        }
    }
}

unsafe extern "C" fn post_receive(
    qp: *mut sys::ibv_qp,
    first: *mut sys::ibv_recv_wr,
    refused: *mut *mut sys::ibv_recv_wr,
) -> c_int {
    // SAFETY: as in post_send.
    let (account, (value, accepted)) = unsafe {
        let account = &*(*qp).qp_context.cast::<Account>();
        (account, each(account, first, refused, |request| request.next, copy_receive))
    };
    account.receives.borrow_mut().push(accepted);
    value
}

unsafe extern "C" fn post_shared(
    srq: *mut sys::ibv_srq,
    first: *mut sys::ibv_recv_wr,
    refused: *mut *mut sys::ibv_recv_wr,
) -> c_int {
    // SAFETY: as in post_send; the queue's context is the account.
    let (account, (value, accepted)) = unsafe {
        let account = &*(*srq).srq_context.cast::<Account>();
        (account, each(account, first, refused, |request| request.next, copy_receive))
    };
    account.receives.borrow_mut().push(accepted);
    value
}

fn copy_receive(request: &sys::ibv_recv_wr) -> Received {
    // SAFETY: the room gives each receive a segment.
    let segment = unsafe { segment(&*request.sg_list) };
    Received { id: request.wr_id, segments: request.num_sge, segment }
}

fn segment(element: &sys::ibv_sge) -> Segment {
    Segment { address: element.addr, length: element.length, local_key: element.lkey }
}

unsafe extern "C" fn poll(cq: *mut sys::ibv_cq, most: c_int, batch: *mut sys::ibv_wc) -> c_int {
    // SAFETY: the queue is a provider's, and lives as long as its account.
    let account = unsafe { &*(*cq).cq_context.cast::<Account>() };
    account.polls.set(account.polls.get() + 1);
    if let Some(says) = account.says.get() {
        return says;
    }
    let mut completions = account.completions.borrow_mut();
    let count = completions.len().min(most as usize);
    for (place, id) in completions.drain(..count).enumerate() {
        // SAFETY: zero is a value for ibv_wc, which holds integers only; the batch has room for `most`.
        unsafe {
            let mut completion: sys::ibv_wc = std::mem::zeroed();
            completion.wr_id = id;
            batch.add(place).write(completion);
        }
    }
    count as c_int
}
