//! What could not be given back.
//!
//! Each call that gives an object back can be refused: the device is gone, something still uses the object, the driver is
//! broken. The object is then kept for the life of the process, together with all that it is made of and all memory that
//! the device may know through it; the case is counted, and has one log line. So nothing is tried twice, nothing that an
//! object still needs is pulled away from under it, and no memory is handed out again that a device may write to.
//!
//! A kept object is reached by nobody any more, so their number only grows with objects that a program made.

use crate::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

static KEPT: AtomicUsize = AtomicUsize::new(0);

/// How many objects of the RDMA libraries this process could not give back so far. Any thread may ask.
pub fn kept() -> usize {
    KEPT.load(Ordering::Relaxed)
}

/// Keeps `parts`, shares of what the object needs, for good: giving back `what` was refused with `error`.
#[cold]
pub(crate) fn keep<T>(what: impl std::fmt::Display, error: &Error, parts: T) {
    std::mem::forget(parts);
    let count = count();
    tracing::error!(
        "giving back {what}: {error}; it is kept, with all that it needs, for good ({count} objects so far)"
    );
}

/// Counts one more kept object, of which the caller writes the log line. Returns how many there are.
#[cold]
pub(crate) fn count() -> usize {
    KEPT.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}
