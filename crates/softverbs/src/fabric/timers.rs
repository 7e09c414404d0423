//! What is to happen at a later time. Time is nanoseconds of the fabric's clock.
//!
//! Whoever sets a timer may take it back by its number; a QP, which cannot, finds on expiry by an epoch of its own whether the
//! timer still matters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Random;
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
    Cm(Key<CmId>),
    /// A request that found nobody is made once more.
    Redial(Key<CmId>),
    /// A TCP connection did not say what it wants, or a connection attempt did not finish.
    Handshake(Key<Link>),
    /// What a fault put off.
    Fault(u64),
}

/// The timers, first due first.
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64, u64)>>,
    what: std::collections::BTreeMap<u64, Timer>,
    serial: u64,
    /// Draws which of the timers due at the same moment is first.
    ties: Option<Random>,
}

impl Timers {
    /// None set.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), what: std::collections::BTreeMap::new(), serial: 0, ties: None }
    }

    /// Sets a timer; timers due at the same time expire in the order they were set. Its number.
    pub fn set(&mut self, due: u64, timer: Timer) -> u64 {
        self.serial += 1;
        self.what.insert(self.serial, timer);
        let tie = self.ties.as_mut().map_or(0, Random::next);
        self.heap.push(Reverse((due, tie, self.serial)));
        self.serial
    }

    /// From now on it is drawn which of the timers due at the same moment is first.
    pub fn draw_ties(&mut self, seed: u64) {
        self.ties = Some(Random(seed));
    }

    /// Takes a timer back.
    pub fn cancel(&mut self, number: u64) {
        self.what.remove(&number);
        while let Some(Reverse((_, _, serial))) = self.heap.peek() {
            if self.what.contains_key(serial) {
                return;
            }
            self.heap.pop();
        }
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due, ..))| *due)
    }

    /// Takes the next one that is due at `now`.
    pub fn expire(&mut self, now: u64) -> Option<Timer> {
        while self.next_due()? <= now {
            let Reverse((_, _, serial)) = self.heap.pop()?;
            if let Some(timer) = self.what.remove(&serial) {
                self.cancel(0);
                return Some(timer);
            }
        }
        None
    }

    /// Whether any is set.
    pub fn is_empty(&self) -> bool {
        self.what.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_was_taken_back_does_not_hold_up_the_others() {
        let link = |n| Timer::Handshake(Key::from_parts(n, 1));
        let mut timers = Timers::new();
        let first = timers.set(10, link(1));
        timers.set(20, link(2));
        let last = timers.set(20, link(3));
        timers.cancel(first);
        assert_eq!(timers.next_due(), Some(20));
        assert_eq!(timers.expire(19), None);
        assert_eq!(timers.expire(20), Some(link(2)));
        timers.cancel(last);
        assert!(timers.is_empty());
        assert_eq!(timers.next_due(), None);
    }
}
