//! What is to happen at a later time. Time is nanoseconds of the fabric's clock.
//!
//! A timer is never taken back: whoever set it finds on expiry, by an epoch of its own, whether it still matters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::link::{Class, Link};
use super::qp::Qp;
use super::slab::Key;
use crate::cm::CmId;

/// What expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The first delayed frame that is to come in on this link is due.
    Receive(Key<Link>, Class),
    /// The first delayed frame that is to go out on this link is due.
    Transmit(Key<Link>, Class),
    /// The oldest request of this QP was not acknowledged in time.
    Transport(Key<Qp>, u32),
    /// The peer posted no receive in time.
    ReceiverNotReady(Key<Qp>, u32),
    /// The connection manager's own timeouts.
    Cm(Key<CmId>, u32),
    /// A TCP connection did not say what it wants, or a connection attempt did not finish.
    Handshake(Key<Link>, u32),
}

/// The timers, first due first.
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    what: std::collections::HashMap<u64, Timer>,
    serial: u64,
}

impl Timers {
    /// None set.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), what: std::collections::HashMap::new(), serial: 0 }
    }

    /// Sets a timer; timers due at the same time expire in the order they were set.
    pub fn set(&mut self, due: u64, timer: Timer) {
        self.serial += 1;
        self.what.insert(self.serial, timer);
        self.heap.push(Reverse((due, self.serial)));
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the next one that is due at `now`.
    pub fn expire(&mut self, now: u64) -> Option<Timer> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, serial)) = self.heap.pop()?;
        self.what.remove(&serial)
    }

    /// Whether any is set.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
