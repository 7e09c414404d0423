//! What I/O qpairs use of their controller, from any thread: how to connect to it, whether that is over, its limits, and where they go
//! in the end.
//!
//! A qpair shares this, never the controller: that is used under a lock which an I/O call does not take. What must hold: the association
//! is gone *before* its end is counted, and a qpair reads the count *before* the association, so that none connects with an association
//! whose end it does not notice.

use super::{graveyard::Graveyard, timeouts::Watch, turn::Turns};
use crate::transport::Association;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// How often something of a controller changed: groups look at their members only when that is more than it was.
static CHANGES: AtomicU32 = AtomicU32::new(0);

/// How often something of a controller of this process has changed that qpairs have to look at.
#[inline(always)]
pub(super) fn changes() -> u32 {
    CHANGES.load(Ordering::Acquire)
}

#[inline(never)]
fn count_change() {
    CHANGES.fetch_add(1, Ordering::Release);
}

/// What I/O qpairs use of their controller, from any thread.
pub(super) struct Shared {
    /// How often its association has ended.
    ends: AtomicU32,
    /// How often that, or what is watched, has changed: what a qpair looks at in each poll.
    changes: AtomicU32,
    watch: Mutex<Option<Watch>>,
    failed: AtomicBool,
    largest_transfer: AtomicU32,
    most_pieces: AtomicU32,
    largest_append: AtomicU32,
    association: Mutex<Availability>,
    graveyard: Graveyard,
    turns: Turns,
}

/// Whether an I/O qpair can connect.
#[derive(Clone)]
pub(super) enum Availability {
    /// It can, with this association.
    There(Arc<Association>),
    /// Not now: the controller is being reset.
    Resetting,
    /// The controller has failed, or is not there any more, or not yet.
    NotThere,
}

impl Shared {
    /// Of a controller that is not there yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            ends: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            watch: Mutex::new(None),
            failed: AtomicBool::new(false),
            largest_transfer: AtomicU32::new(0),
            most_pieces: AtomicU32::new(1),
            largest_append: AtomicU32::new(0),
            association: Mutex::new(Availability::NotThere),
            graveyard: Graveyard::new(),
            turns: Turns::default(),
        })
    }

    /// Whose turn it is to connect a queue pair synchronously.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// How often its association has ended. A qpair that was connected before the last of these ends at its next poll.
    #[inline]
    pub(super) fn ends(&self) -> u32 {
        self.ends.load(Ordering::Acquire)
    }

    /// There is an association, of a controller that takes commands of so many bytes, and Zone Append with so many.
    pub(super) fn begin(&self, association: Association, largest_transfer: u32, largest_append: u32) {
        self.largest_append.store(largest_append, Ordering::Relaxed);
        self.most_pieces.store(association.descriptors, Ordering::Relaxed);
        self.largest_transfer.store(largest_transfer, Ordering::Relaxed);
        *self.association.lock() = Availability::There(Arc::new(association));
        // What qpairs remember of a namespace goes by these.
        crate::epoch::advance();
    }

    /// There is none any more, and why. An end that goes on is not counted twice.
    pub(super) fn end(&self, why: Availability) {
        let was_there =
            matches!(std::mem::replace(&mut *self.association.lock(), why), Availability::There(_));
        if was_there {
            self.ends.fetch_add(1, Ordering::Release);
            self.change();
        }
    }

    fn change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        count_change();
    }

    /// How often something changed that qpairs have to look at.
    #[inline]
    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// What is watched.
    pub(super) fn watch(&self) -> Option<Watch> {
        *self.watch.lock()
    }

    /// From now on this is watched.
    pub(super) fn set_watch(&self, watch: Option<Watch>) {
        *self.watch.lock() = watch;
        self.change();
        // The next command of a qpair is to take the long way, where that is noticed.
        crate::epoch::advance();
    }

    /// Whether a qpair can connect.
    pub(super) fn availability(&self) -> Availability {
        self.association.lock().clone()
    }

    /// Whether the controller was declared failed.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Bytes that one command may transfer.
    #[inline]
    pub(super) fn largest_transfer(&self) -> u32 {
        self.largest_transfer.load(Ordering::Relaxed)
    }

    /// Bytes that one Zone Append may transfer; 0 if there is no such command.
    pub(super) fn largest_append(&self) -> u32 {
        self.largest_append.load(Ordering::Relaxed)
    }

    /// Pieces that the data of one command may lie in.
    #[inline]
    pub(super) fn most_pieces(&self) -> u32 {
        self.most_pieces.load(Ordering::Relaxed)
    }

    /// Where its freed qpairs go.
    pub(super) fn graveyard(&self) -> &Graveyard {
        &self.graveyard
    }
}
