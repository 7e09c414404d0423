//! The small objects: device contexts, protection domains, completion channels; and what all objects share.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::RawFd;

use rdma_sys::{ibv_comp_channel, ibv_context, ibv_pd};

use super::Random;
use super::cq::Cq;
use super::memory::MrTable;
use super::order::Order;
use super::profile::{Profile, is_spared};
use super::qp::Qp;
use super::slab::{Key, Slab};
use super::srq::Srq;
use crate::faults::Faults;

/// What an asynchronous event is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A completion queue.
    Cq(Key<Cq>),
    /// A queue pair.
    Qp(Key<Qp>),
    /// A shared receive queue.
    Srq(Key<Srq>),
    /// A port.
    Port(u8),
    /// The device itself.
    Device,
}

/// An opened device.
pub struct Context {
    /// The C struct (inside its `verbs_context`).
    pub cell: *mut ibv_context,
    /// `ibv_context.async_fd`: an eventfd in semaphore mode that counts `events`.
    pub bell: Bell,
    /// Asynchronous events that no one has fetched: what, and `enum ibv_event_type`.
    pub events: VecDeque<(Subject, u32)>,
    /// Opened for librdmacm's own use: not the program's to close.
    pub internal: bool,
    /// Its device was pulled out.
    pub removed: bool,
    /// Creation order.
    pub serial: u64,
}

/// A protection domain.
pub struct Pd {
    /// The C struct.
    pub cell: *mut ibv_pd,
    /// Its context.
    pub context: Key<Context>,
    /// Memory regions, QPs and SRQs in it.
    pub children: u32,
    /// librdmacm's own default domain.
    pub internal: bool,
    /// Creation order.
    pub serial: u64,
}

/// A completion channel.
pub struct CompChannel {
    /// The C struct.
    pub cell: *mut ibv_comp_channel,
    /// Its context.
    pub context: Key<Context>,
    /// The channel's file descriptor, which counts `events`.
    pub bell: Bell,
    /// CQs whose notification no one has fetched.
    pub events: VecDeque<Key<Cq>>,
    /// CQs on it.
    pub children: u32,
    /// Creation order.
    pub serial: u64,
}

/// An eventfd in semaphore mode, and what is still to be added to it. The fabric does no I/O: whoever holds the lock adds it
/// before giving the lock back.
#[derive(Debug)]
pub struct Bell {
    /// The file descriptor.
    pub fd: RawFd,
    /// Events that the descriptor does not show yet.
    pub owed: u64,
}

/// Something that has a descriptor to be brought up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BellOf {
    /// A completion channel.
    Channel(Key<CompChannel>),
    /// A context's asynchronous events.
    Context(Key<Context>),
    /// A channel of connection management.
    Events(Key<crate::cm::EventChannel>),
    /// No descriptor: a fault left something to be done.
    Faults,
}

/// What the QPs share while two of them are borrowed.
pub struct Shared {
    /// Opened devices.
    pub contexts: Slab<Context>,
    /// Protection domains.
    pub pds: Slab<Pd>,
    /// Memory regions.
    pub mrs: MrTable,
    /// Completion channels.
    pub channels: Slab<CompChannel>,
    /// Completion queues.
    pub cqs: Slab<Cq>,
    /// Shared receive queues.
    pub srqs: Slab<Srq>,
    /// Descriptors that are behind.
    pub bells: Vec<BellOf>,
    /// QPs that owe their peer an acknowledgement.
    pub acks: Vec<Key<Qp>>,
    /// QPs that stopped answering their peer.
    pub silent: Vec<Key<Qp>>,
    /// QPs whose peer waits for a receive that is there now.
    pub ready: Vec<Key<Qp>>,
    /// CQs that are to notify.
    pub armed: usize,
    /// How often a program did what it must not do.
    pub violations: u64,
    /// `SOFTVERBS_STRICT=1`.
    pub strict: bool,
    /// Faults are armed, or order is drawn: the one thing that the data path looks at.
    pub unusual: bool,
    /// What is armed.
    pub faults: Faults,
    /// What waits for its turn to be drawn.
    pub order: Order,
    /// Decides about faults that are armed by chance.
    pub chance: Random,
    /// What the device is told to be. Who makes something asks [`Self::profile`].
    pub told_profile: Profile,
}

impl Shared {
    /// Nothing made yet.
    pub fn new(secret: u32, strict: bool, chance: Random) -> Self {
        Self {
            contexts: Slab::new(),
            pds: Slab::new(),
            mrs: MrTable::new(secret),
            channels: Slab::new(),
            cqs: Slab::new(),
            srqs: Slab::new(),
            bells: Vec::new(),
            acks: Vec::new(),
            silent: Vec::new(),
            ready: Vec::new(),
            armed: 0,
            violations: 0,
            strict,
            unusual: false,
            faults: Faults::default(),
            order: Order::new(),
            chance,
            told_profile: Profile::FULL,
        }
    }

    /// What the device can do for whoever calls now.
    pub fn profile(&self) -> &Profile {
        if is_spared() { &Profile::FULL } else { &self.told_profile }
    }

    /// ENOMEM if one more of some kind would be more than `most`. There are `all`; `made` tells of each whether an end with the
    /// full device made it, which does not count for others.
    pub fn check_count(most: u64, all: usize, made: impl Iterator<Item = bool>) -> Result<(), i32> {
        let fits = (all as u64) < most || (made.filter(|spared| !spared).count() as u64) < most;
        if fits { Ok(()) } else { Err(libc::ENOMEM) }
    }

    /// EIO if the device of a context was pulled out, as the kernel answers then.
    pub fn check_present(&self, context: Key<Context>) -> Result<(), i32> {
        if self.contexts.get(context).is_some_and(|c| c.removed) { Err(libc::EIO) } else { Ok(()) }
    }

    /// As [`check_present`](Self::check_present), by what was made with the context.
    pub fn check_present_of(&self, pd: Key<Pd>) -> Result<(), i32> {
        self.pds.get(pd).map_or(Ok(()), |p| self.check_present(p.context))
    }

    /// Queues an asynchronous event on a context. `event` is an `enum ibv_event_type`.
    pub fn async_event(&mut self, context: Key<Context>, subject: Subject, event: u32) {
        if let Some(c) = self.contexts.get_mut(context) {
            c.events.push_back((subject, event));
            c.bell.owed += 1;
            self.bells.push(BellOf::Context(context));
        }
    }
}

// SAFETY: the pointers to C structs are only used behind the fabric's lock.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Send for Pd {}
// SAFETY: as above.
unsafe impl Send for CompChannel {}
