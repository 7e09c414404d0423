//! Work requests of one kind at fixed places, and the chain of those that the next post hands to the device.
//!
//! Invariants: the chain has only requests of this box; the `next` of its last one is null. Nothing is allocated unless a post
//! fails or the chain is cleared.

use rdma_sys as sys;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_int;

/// Posting a chain failed. Work requests before the refused one were accepted and will complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("posting failed with errno {errno}; {} work requests were not accepted", unposted.len())]
pub struct PostError {
    /// The errno.
    pub errno: i32,
    /// The slots, in order, that were not posted and are no longer pending.
    pub unposted: Vec<usize>,
}

/// A work request as libibverbs has it.
///
/// # Safety
///
/// `next` returns what `set_next` was given last, and nothing else of the type's own doing changes it.
pub(crate) unsafe trait Linked {
    /// The request after this one, or null.
    fn next(&self) -> *mut Self;
    /// Sets it.
    fn set_next(&mut self, next: *mut Self);
}

// SAFETY: both are about the one member.
unsafe impl Linked for sys::ibv_send_wr {
    fn next(&self) -> *mut Self {
        self.next
    }
    fn set_next(&mut self, next: *mut Self) {
        self.next = next;
    }
}

// SAFETY: both are about the one member.
unsafe impl Linked for sys::ibv_recv_wr {
    fn next(&self) -> *mut Self {
        self.next
    }
    fn set_next(&mut self, next: *mut Self) {
        self.next = next;
    }
}

/// Places for work requests, some of them pending.
pub(crate) struct Chain<W> {
    requests: Box<[UnsafeCell<W>]>,
    head: Cell<*mut W>,
    tail: Cell<*mut W>,
}

impl<W: Linked> Chain<W> {
    /// A place for each of `requests`, and nothing pending.
    pub fn new(requests: Box<[UnsafeCell<W>]>) -> Self {
        let null = std::ptr::null_mut();
        Self { requests, head: Cell::new(null), tail: Cell::new(null) }
    }

    /// The request of a slot.
    #[inline]
    pub fn request(&self, slot: usize) -> Option<*mut W> {
        self.requests.get(slot).map(UnsafeCell::get)
    }

    /// Puts a slot at the end and returns its request; None if there is no such slot. One that is pending, or that the device
    /// has, must not be pushed: the chain would be a knot.
    #[inline]
    pub fn push(&self, slot: usize) -> Option<*mut W> {
        let request = self.request(slot)?;
        // SAFETY: `request` and the tail point into the box, which does not move; no reference to either exists.
        unsafe {
            (*request).set_next(std::ptr::null_mut());
            if self.head.get().is_null() {
                self.head.set(request);
            } else {
                (*self.tail.get()).set_next(request);
            }
        }
        self.tail.set(request);
        Some(request)
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Forgets what is pending: the slots, in order.
    #[must_use]
    pub fn clear(&self) -> Vec<usize> {
        let head = self.head.replace(std::ptr::null_mut());
        // SAFETY: this is what was the chain.
        unsafe { self.slots_from(head, head) }
    }

    /// Hands what is pending to `post`, which returns an errno, and where it failed.
    #[inline]
    pub fn post(&self, post: impl FnOnce(*mut W, &mut *mut W) -> c_int) -> Result<(), PostError> {
        let head = self.head.replace(std::ptr::null_mut());
        if head.is_null() {
            return Ok(());
        }
        let mut refused = std::ptr::null_mut();
        match post(head, &mut refused) {
            0 => Ok(()),
            result => {
                // SAFETY: this is what was the chain; who posts does not change it.
                let unposted = unsafe { self.slots_from(head, refused) };
                Err(PostError { errno: result.saturating_abs(), unposted })
            }
        }
    }

    /// The slots from `refused` on in the chain that begins with `head`; none if `refused` is not in it: then nothing is known,
    /// and all count as posted, so that their memory is kept until the queue pair has ended.
    ///
    /// # Safety
    ///
    /// `head` begins a chain of requests of this box, which ends with null.
    #[cold]
    unsafe fn slots_from(&self, head: *mut W, refused: *mut W) -> Vec<usize> {
        let mut slots = Vec::new();
        let (mut at, mut found) = (head, false);
        while !at.is_null() {
            found |= at == refused;
            if found {
                let offset = at.addr().saturating_sub(self.requests.as_ptr().addr());
                slots.extend(offset.checked_div(size_of::<W>()));
            }
            // SAFETY: `at` is in the box (the caller's); no reference to its requests exists.
            at = unsafe { (*at).next() };
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain<sys::ibv_recv_wr> {
        // SAFETY: zero is a value for ibv_recv_wr.
        Chain::new((0..4).map(|_| UnsafeCell::new(unsafe { std::mem::zeroed() })).collect())
    }

    #[test]
    fn a_chain_is_split_at_the_refused_request() {
        let all = [2, 0, 3];
        for (refused, expected) in [(Some(3), &all[2..]), (Some(2), &all[..]), (Some(1), &[]), (None, &[])] {
            let chain = chain();
            for slot in all {
                assert!(chain.push(slot).is_some());
            }
            assert!(chain.push(4).is_none(), "a slot that is not there");
            let result = chain.post(|head, bad| {
                assert_eq!(Some(head), chain.request(2));
                *bad = refused.map_or(std::ptr::null_mut(), |slot| chain.request(slot).unwrap());
                libc::ENOMEM
            });
            assert_eq!(result, Err(PostError { errno: libc::ENOMEM, unposted: expected.to_vec() }));
            assert!(chain.is_empty());
        }
    }

    #[test]
    fn what_is_posted_or_cleared_is_pending_no_more() {
        let chain = chain();
        assert_eq!(chain.post(|_, _| libc::EINVAL), Ok(()), "nothing to post");
        chain.push(1);
        chain.push(3);
        assert_eq!(chain.clear(), [1, 3]);
        chain.push(1);
        let result = chain.post(|head, _| {
            assert_eq!(Some(head), chain.request(1));
            // SAFETY: the request is in the chain.
            assert!(unsafe { (*head).next.is_null() }, "nothing is left of the chain before");
            0
        });
        assert_eq!((result, chain.is_empty()), (Ok(()), true));
    }
}
