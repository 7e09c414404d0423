//! Data in pieces: a walk through a C program's `struct iovec`s.
//!
//! Invariant: a walk hands out only bytes that lie in one of the pieces, each byte of a piece once and in order.
#![allow(unsafe_code)]

use std::ffi::c_int;

use libc::iovec;

/// The pieces end before what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// A place in pieces.
#[derive(Clone)]
pub(crate) struct Walk {
    next: *const iovec,
    left: usize,
    base: *mut u8,
    length: usize,
}

/// A number of pieces in C's form; what is negative is none.
pub(crate) fn count(iovcnt: c_int) -> usize {
    usize::try_from(iovcnt).unwrap_or(0)
}

impl Walk {
    /// At the first byte.
    ///
    /// # Safety
    /// While the walk is used: `iovs` is NULL or readable for `count` pieces, the memory of each is the caller's to read,
    /// and to write if the walk writes, and nobody else changes it.
    pub(crate) unsafe fn new(iovs: *const iovec, count: usize) -> Self {
        let left = if iovs.is_null() { 0 } else { count };
        Self { next: iovs, left, base: std::ptr::null_mut(), length: 0 }
    }

    /// How many bytes are left.
    pub(crate) fn total(&self) -> u64 {
        let mut rest = self.clone();
        let mut total = 0u64;
        while let Some((_, length)) = rest.step(usize::MAX) {
            total = total.saturating_add(length as u64);
        }
        total
    }

    /// How many bytes are there up to the end of this piece; 0 at the end of all.
    pub(crate) fn contiguous(&mut self) -> usize {
        while self.length == 0 && self.left != 0 {
            // SAFETY: one of the pieces that `new` was told of, since `left` counts them.
            let piece = unsafe { self.next.read() };
            // SAFETY: at most one past the last of them.
            self.next = unsafe { self.next.add(1) };
            self.left = self.left.saturating_sub(1);
            if !piece.iov_base.is_null() {
                self.base = piece.iov_base.cast();
                self.length = piece.iov_len;
            }
        }
        self.length
    }

    /// The next bytes that are contiguous, at most `most` of them. `None` at the end, or if `most` is 0.
    pub(crate) fn step(&mut self, most: usize) -> Option<(*mut u8, usize)> {
        let length = self.contiguous().min(most);
        if length == 0 {
            return None;
        }
        let base = self.base;
        // Wrapping, for a piece whose length is not true: the address is not used before it is read through.
        self.base = base.wrapping_add(length);
        self.length = self.length.saturating_sub(length);
        Some((base, length))
    }

    /// Shows the next `count` bytes, piece by piece.
    pub(crate) fn look(&mut self, count: usize, mut see: impl FnMut(&[u8])) -> Result<(), Short> {
        self.each(count, |base, length| {
            // SAFETY: bytes of a piece, which the caller of `new` lends to be read.
            see(unsafe { std::slice::from_raw_parts(base, length) });
        })
    }

    /// Reads the next bytes.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<(), Short> {
        let mut rest = into;
        self.look(rest.len(), |bytes| {
            if let Some((head, tail)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                head.copy_from_slice(bytes);
                rest = tail;
            }
        })
    }

    /// Writes the next bytes.
    pub(crate) fn write(&mut self, from: &[u8]) -> Result<(), Short> {
        let mut rest = from;
        self.each(rest.len(), |base, length| {
            if let Some((head, tail)) = rest.split_at_checked(length) {
                // SAFETY: bytes of a piece, which the caller of `new` lends to be written; `head` is ours and elsewhere.
                unsafe { base.copy_from_nonoverlapping(head.as_ptr(), length) };
                rest = tail;
            }
        })
    }

    /// Goes past the next bytes.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.each(count, |_, _| ())
    }

    /// Copies the next `count` bytes to where another walk is. Source and destination may overlap within a step.
    pub(crate) fn copy(&mut self, to: &mut Self, count: usize) -> Result<(), Short> {
        if self.copy_up_to(to, count) == count { Ok(()) } else { Err(Short) }
    }

    /// Copies up to `most` bytes, until either walk is at its end. Returns how many.
    pub(crate) fn copy_up_to(&mut self, to: &mut Self, most: usize) -> usize {
        let mut done = 0usize;
        while let Some((target, length)) = {
            let here = self.contiguous().min(most.saturating_sub(done));
            to.step(here)
        } {
            let Some((source, length)) = self.step(length) else { break };
            // SAFETY: as many bytes of a piece on either side, lent to be read and to be written.
            unsafe { std::ptr::copy(source, target, length) };
            done = done.saturating_add(length);
        }
        done
    }

    fn each(&mut self, count: usize, mut step: impl FnMut(*mut u8, usize)) -> Result<(), Short> {
        let mut left = count;
        while left != 0 {
            let (base, length) = self.step(left).ok_or(Short)?;
            step(base, length);
            left = left.saturating_sub(length);
        }
        Ok(())
    }
}
