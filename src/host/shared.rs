//! What I/O qpairs use of their controller, from any thread: whether it has failed, its limits, and where they go in the end.
//!
//! A qpair shares this, never the controller: that is used under a lock which an I/O call does not take.

use super::graveyard::Graveyard;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// How often controllers have failed: groups look at their members only when that has changed.
static FAILURES: AtomicU32 = AtomicU32::new(0);

/// How often controllers of this process have failed.
#[inline(always)]
pub(super) fn failures() -> u32 {
    FAILURES.load(Ordering::Acquire)
}

#[inline(never)]
fn count_failure() {
    FAILURES.fetch_add(1, Ordering::Release);
}

/// What I/O qpairs use of their controller, from any thread.
pub(super) struct Shared {
    failed: AtomicBool,
    largest_transfer: AtomicU32,
    /// I/O queues that the controller grants.
    queues: u16,
    graveyard: Graveyard,
}

impl Shared {
    /// Of a controller that grants `queues` I/O queues and takes commands of so many bytes.
    pub(super) fn new(queues: u16, largest_transfer: u32) -> Arc<Self> {
        Arc::new(Self {
            failed: AtomicBool::new(false),
            largest_transfer: AtomicU32::new(largest_transfer),
            queues,
            graveyard: Graveyard::new(queues),
        })
    }

    /// Whether the controller has failed: its qpairs end at their next poll.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The controller has failed. False if it had before.
    pub(super) fn fail(&self) -> bool {
        let first = !self.failed.swap(true, Ordering::Relaxed);
        if first {
            count_failure();
        }
        first
    }

    /// I/O queues that the controller grants.
    pub(super) fn queues(&self) -> u16 {
        self.queues
    }

    /// Bytes that one command may transfer.
    #[inline]
    pub(super) fn largest_transfer(&self) -> u32 {
        self.largest_transfer.load(Ordering::Relaxed)
    }

    /// Where its freed qpairs go.
    pub(super) fn graveyard(&self) -> &Graveyard {
        &self.graveyard
    }
}
