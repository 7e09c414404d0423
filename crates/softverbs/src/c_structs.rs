//! The C structures that the program holds, as far as they are more than rdma-sys's, and what is remembered of what it was given.
//!
//! Data alone, below the runtime that keeps them: what the functions of the C face do with them is in `capi`.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint, c_void};

use rdma_sys::{
    ibv_comp_channel, ibv_cq_ex, ibv_device, ibv_mr, ibv_pd, ibv_qp_ex, ibv_qp_init_attr, ibv_sge, ibv_srq,
    rdma_cm_event, rdma_cm_id, rdma_event_channel, verbs_context,
};

use crate::cm::CmId;
use crate::fabric::cells::Cells;
use crate::fabric::device::NAME;
use crate::fabric::objects::Subject;
use crate::fabric::slab::Key;

/// Makes the device's C struct, which is never freed.
pub fn new_device() -> *mut ibv_device {
    // SAFETY: `ibv_device` is numbers, byte arrays and optional function pointers: all zero is a value of it.
    let mut device: ibv_device = unsafe { std::mem::zeroed() };
    device.node_type = 1;
    device.transport_type = 0;
    let put = |room: &mut [c_char], text: &str| {
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from as c_char;
        }
    };
    put(&mut device.name, NAME);
    put(&mut device.dev_name, "uverbs_softverbs0");
    put(&mut device.dev_path, "/nonexistent/softverbs0");
    put(&mut device.ibdev_path, "/nonexistent/softverbs0");
    Box::into_raw(Box::new(device))
}

/// The memory of all C structs, by kind.
pub struct AllCells {
    /// Contexts.
    pub contexts: Cells<verbs_context>,
    /// Protection domains.
    pub pds: Cells<ibv_pd>,
    /// Memory regions.
    pub mrs: Cells<ibv_mr>,
    /// Completion channels.
    pub channels: Cells<ibv_comp_channel>,
    /// Completion queues.
    pub cqs: Cells<ibv_cq_ex>,
    /// Queue pairs.
    pub qps: Cells<ibv_qp_ex>,
    /// Shared receive queues.
    pub srqs: Cells<ibv_srq>,
    /// Event channels.
    pub event_channels: Cells<rdma_event_channel>,
    /// Connection identifiers.
    pub ids: Cells<IdCell>,
    /// Events handed to the program.
    pub events: Cells<EventCell>,
}

impl AllCells {
    /// No cells yet.
    pub fn new() -> Self {
        Self {
            contexts: Cells::new(),
            pds: Cells::new(),
            mrs: Cells::new(),
            channels: Cells::new(),
            cqs: Cells::new(),
            qps: Cells::new(),
            srqs: Cells::new(),
            event_channels: Cells::new(),
            ids: Cells::new(),
            events: Cells::new(),
        }
    }
}

/// An identifier as the program holds it.
#[repr(C)]
pub struct IdCell {
    /// What the program sees.
    pub id: rdma_cm_id,
    /// What librdmacm's own rsocket looks at behind it.
    pub behind: Behind,
    /// Of a listening endpoint: what the QPs of its requests are made with.
    pub listen_attr: Option<ibv_qp_init_attr>,
}

/// What follows an identifier in librdmacm (the same from release 12 to 64), as far as its rsocket reads it: rsocket is left to the
/// real library, whose functions for it wait for an identifier's events if `sync` says so.
#[repr(C)]
pub struct Behind {
    pub(crate) device: *mut c_void,
    pub(crate) connect: *mut c_void,
    pub(crate) connect_len: usize,
    pub(crate) events_completed: c_int,
    pub(crate) connect_error: c_int,
    /// Not 0: calls wait for their event.
    pub sync: c_int,
}

/// An event as the program holds it.
#[repr(C)]
pub struct EventCell {
    /// What the program sees.
    pub event: rdma_cm_event,
    /// What its `private_data` points to.
    pub private: [u8; 256],
}

/// An event that the program holds.
pub struct Fetched {
    /// Whose it is: for a request, who listened.
    pub owner: Key<CmId>,
    /// Its memory.
    pub cell: *mut EventCell,
}

// SAFETY: the pointer is only used behind the fabric's lock.
unsafe impl Send for Fetched {}

/// How many events of each object the program has fetched and not acknowledged.
#[derive(Default)]
pub struct Taken(BTreeMap<Subject, u32>);

impl Taken {
    /// One was fetched.
    pub fn taken(&mut self, subject: Subject) {
        // A port and the device are not destroyed: nothing waits for theirs.
        if !matches!(subject, Subject::Port(_) | Subject::Device) {
            *self.0.entry(subject).or_default() += 1;
        }
    }

    /// One was acknowledged; false if none was out.
    pub fn acknowledged(&mut self, subject: Subject) -> bool {
        let Some(count) = self.0.get_mut(&subject) else { return false };
        *count -= 1;
        if *count == 0 {
            self.0.remove(&subject);
        }
        true
    }

    /// How many of an object's are out.
    pub fn of(&self, subject: Subject) -> u32 {
        self.0.get(&subject).copied().unwrap_or(0)
    }

    /// The object is destroyed with the device: nobody waits for its events.
    pub fn forget(&mut self, subject: Subject) {
        self.0.remove(&subject);
    }
}

/// A queue pair that takes requests by function calls.
#[derive(Default)]
pub struct Poster {
    /// What it was made for, as bits of `enum ibv_qp_create_send_ops_flags`.
    pub ops: u64,
    /// Between start and completion: the requests so far.
    pub open: Option<Batch>,
}

/// The requests between `ibv_wr_start` and `ibv_wr_complete`.
#[derive(Default)]
pub struct Batch {
    /// In the order in which they will be posted.
    pub requests: Vec<Request>,
    /// The first thing that was wrong: an errno.
    pub wrong: Option<i32>,
}

/// One of them.
pub struct Request {
    /// `wr_id` of the queue pair.
    pub wr_id: u64,
    /// `wr_flags` of the queue pair.
    pub flags: c_uint,
    /// `enum ibv_wr_opcode`.
    pub opcode: u32,
    /// Immediate data, or the key to invalidate.
    pub word: u32,
    /// Of the peer's memory, for an RDMA operation.
    pub rkey: u32,
    /// As [`rkey`](Self::rkey).
    pub address: u64,
    /// What is sent, or where what is read goes.
    pub data: Data,
}

/// The data of a request.
pub enum Data {
    /// None was set yet.
    None,
    /// In registered memory.
    Segments(Vec<ibv_sge>),
    /// Copied from the program.
    Inline(Vec<u8>),
}
