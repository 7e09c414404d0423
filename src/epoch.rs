//! One count for all that the way of an I/O remembers.
//!
//! A qpair remembers its last namespace, by the name that the program has for it, and the keys of its last buffer, so that the next
//! I/O finds both by compares. Registered memory may go away, and a name come to mean nothing or something else, on any thread: then
//! the count goes on, and whatever was remembered before is void. So it does when the handle of a queue pair is freed: an I/O that asks
//! the program for its data sees by the count that all it found before, the queue pair too, is as it was.
//!
//! Going on costs each queue pair of the process one I/O by the long way.
//!
//! What must hold: who makes something void counts on *after* nobody can find it any more, and before it is given back; who
//! remembers reads the count *before* looking.

use std::sync::atomic::{AtomicU64, Ordering};

static EPOCH: AtomicU64 = AtomicU64::new(1);

/// Stands for "nothing was remembered".
pub(crate) const NEVER: u64 = 0;

/// The count.
#[inline(always)]
pub(crate) fn current() -> u64 {
    EPOCH.load(Ordering::Acquire)
}

/// All that was remembered is void.
#[inline(never)] // or what is small enough to be compiled into other crates makes the count a symbol, which takes two loads
pub(crate) fn advance() {
    EPOCH.fetch_add(1, Ordering::Release);
}
