//! Copies from and to data in pieces, and walks through several lists of pieces at once.
//!
//! The places that C programs keep (`struct spdk_iov_xfer`, `struct spdk_ioviter`) are read anew in each call, so what a
//! program writes there cannot lead out of its pieces' list.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use libc::iovec;

use crate::pieces::{Walk, count};

/// `struct spdk_iov_xfer`.
#[repr(C)]
pub struct IovXfer {
    iovs: *mut iovec,
    iovcnt: c_int,
    cur_iov_idx: c_int,
    cur_iov_offset: usize,
}

/// `struct spdk_single_ioviter`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SingleIoviter {
    iov: *mut iovec,
    iovcnt: usize,
    idx: usize,
    iov_len: usize,
    iov_base: *mut u8,
}

/// `struct spdk_ioviter`, whose last field is as long as `count` says.
#[repr(C)]
pub struct Ioviter {
    count: u32,
    iters: [SingleIoviter; 2],
}

/// # Safety
/// `iovs` is NULL or readable for `iovcnt` pieces, and each of them is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iov_memset(iovs: *mut iovec, iovcnt: c_int, c: c_int) {
    // SAFETY: the same contract.
    let mut walk = unsafe { Walk::new(iovs, count(iovcnt)) };
    while let Some((base, length)) = walk.step(usize::MAX) {
        // SAFETY: bytes of a piece. C's memset takes the low byte as well.
        unsafe { base.write_bytes(c as u8, length) };
    }
}

/// # Safety
/// Each list is NULL or readable for its count; pieces of the first are readable, of the second writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iovcpy(
    siov: *mut iovec,
    siovcnt: usize,
    diov: *mut iovec,
    diovcnt: usize,
) -> usize {
    // SAFETY: the same contract.
    let (mut from, mut to) = unsafe { (Walk::new(siov, siovcnt), Walk::new(diov, diovcnt)) };
    from.copy_up_to(&mut to, usize::MAX)
}

/// # Safety
/// As [`spdk_iovcpy`]; pieces may overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iovmove(
    siov: *mut iovec,
    siovcnt: usize,
    diov: *mut iovec,
    diovcnt: usize,
) -> usize {
    // SAFETY: the same contract.
    unsafe { spdk_iovcpy(siov, siovcnt, diov, diovcnt) }
}

/// # Safety
/// `buf` is NULL or writable for `buf_len` bytes, `iovs` NULL or readable for `iovcnt` pieces, and each of them readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_copy_iovs_to_buf(
    buf: *mut c_void,
    buf_len: usize,
    iovs: *mut iovec,
    iovcnt: c_int,
) {
    let whole = iovec { iov_base: buf, iov_len: buf_len };
    // SAFETY: the same contract.
    let (mut from, mut to) = unsafe { (Walk::new(iovs, count(iovcnt)), Walk::new(&raw const whole, 1)) };
    from.copy_up_to(&mut to, usize::MAX);
}

/// # Safety
/// `buf` is NULL or readable for `buf_len` bytes, `iovs` NULL or readable for `iovcnt` pieces, and each of them writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_copy_buf_to_iovs(
    iovs: *mut iovec,
    iovcnt: c_int,
    buf: *mut c_void,
    buf_len: usize,
) {
    let whole = iovec { iov_base: buf, iov_len: buf_len };
    // SAFETY: the same contract.
    let (mut from, mut to) = unsafe { (Walk::new(&raw const whole, 1), Walk::new(iovs, count(iovcnt))) };
    from.copy_up_to(&mut to, usize::MAX);
}

/// # Safety
/// `ix` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iov_xfer_init(ix: *mut IovXfer, iovs: *mut iovec, iovcnt: c_int) {
    if !ix.is_null() {
        // SAFETY: writable.
        unsafe { ix.write(IovXfer { iovs, iovcnt, cur_iov_idx: 0, cur_iov_offset: 0 }) };
    }
}

/// # Safety
/// `ix` is NULL or was initialised, with pieces that are writable; `buf` is NULL or readable for `buf_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iov_xfer_from_buf(
    ix: *mut IovXfer,
    buf: *const c_void,
    buf_len: usize,
) -> usize {
    let whole = iovec { iov_base: buf.cast_mut(), iov_len: buf_len };
    // SAFETY: NULL, or ours alone for the moment; the rest is the same contract.
    unsafe {
        let Some(place) = ix.as_mut() else { return 0 };
        let (mut from, mut to) = (Walk::new(&raw const whole, 1), place.walk());
        let done = from.copy_up_to(&mut to, usize::MAX);
        place.advance(done);
        done
    }
}

/// # Safety
/// `ix` is NULL or was initialised, with pieces that are readable; `buf` is NULL or writable for `buf_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_iov_xfer_to_buf(ix: *mut IovXfer, buf: *const c_void, buf_len: usize) -> usize {
    let whole = iovec { iov_base: buf.cast_mut(), iov_len: buf_len };
    // SAFETY: NULL, or ours alone for the moment; the rest is the same contract.
    unsafe {
        let Some(place) = ix.as_mut() else { return 0 };
        let (mut from, mut to) = (place.walk(), Walk::new(&raw const whole, 1));
        let done = from.copy_up_to(&mut to, usize::MAX);
        place.advance(done);
        done
    }
}

impl IovXfer {
    /// The pieces from the place on.
    ///
    /// # Safety
    /// As [`Walk::new`], for all pieces.
    unsafe fn walk(&self) -> Walk {
        let (all, index) = (count(self.iovcnt), count(self.cur_iov_idx));
        // SAFETY: the same contract; beyond the list there are no pieces.
        let mut walk = unsafe {
            if index < all && !self.iovs.is_null() {
                Walk::new(self.iovs.add(index), all.saturating_sub(index))
            } else {
                Walk::new(null_mut(), 0)
            }
        };
        // A place behind the last byte is the end, which the next step finds as well.
        let _ = walk.skip(self.cur_iov_offset);
        walk
    }

    /// Moves the place on by bytes that the walk has gone.
    ///
    /// # Safety
    /// As [`Walk::new`], for all pieces.
    unsafe fn advance(&mut self, bytes: usize) {
        let mut offset = self.cur_iov_offset.saturating_add(bytes);
        while self.cur_iov_idx < self.iovcnt && !self.iovs.is_null() {
            // SAFETY: below the number of pieces.
            let piece = unsafe { self.iovs.add(count(self.cur_iov_idx)).read() };
            let length = if piece.iov_base.is_null() { 0 } else { piece.iov_len };
            let Some(behind) = offset.checked_sub(length) else { break };
            offset = behind;
            self.cur_iov_idx = self.cur_iov_idx.saturating_add(1);
        }
        self.cur_iov_offset = offset;
    }
}

/// # Safety
/// `iter` is NULL or writable; each list is NULL or readable for its count; `src` and `dst` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ioviter_first(
    iter: *mut Ioviter,
    siov: *mut iovec,
    siovcnt: usize,
    diov: *mut iovec,
    diovcnt: usize,
    src: *mut *mut c_void,
    dst: *mut *mut c_void,
) -> usize {
    let (mut lists, mut counts) = ([siov, diov], [siovcnt, diovcnt]);
    let mut out = [null_mut(); 2];
    // SAFETY: the same contract, for two lists.
    let length =
        unsafe { spdk_ioviter_firstv(iter, 2, lists.as_mut_ptr(), counts.as_mut_ptr(), out.as_mut_ptr()) };
    if length != 0 {
        // SAFETY: NULL or writable.
        unsafe { hand_out(out, src, dst) };
    }
    length
}

/// # Safety
/// `iter` was begun by [`spdk_ioviter_first`], and its lists are still there; `src` and `dst` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ioviter_next(
    iter: *mut Ioviter,
    src: *mut *mut c_void,
    dst: *mut *mut c_void,
) -> usize {
    // SAFETY: NULL or readable.
    if unsafe { iter.as_ref() }.is_none_or(|iter| iter.count != 2) {
        return 0;
    }
    let mut out = [null_mut(); 2];
    // SAFETY: two lists, and room for two.
    let length = unsafe { spdk_ioviter_nextv(iter, out.as_mut_ptr()) };
    if length != 0 {
        // SAFETY: NULL or writable.
        unsafe { hand_out(out, src, dst) };
    }
    length
}

/// # Safety
/// `iter` is NULL or has room for `count` lists; `iov` and `iovcnt` have as many, each as for [`spdk_ioviter_first`]; `out`
/// is NULL or writable for as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ioviter_firstv(
    iter: *mut Ioviter,
    count: u32,
    iov: *mut *mut iovec,
    iovcnt: *mut usize,
    out: *mut *mut c_void,
) -> usize {
    if iter.is_null() || iov.is_null() || iovcnt.is_null() || count < 2 {
        return 0;
    }
    // SAFETY: room for `count` lists, and `count` of them to read.
    unsafe {
        (&raw mut (*iter).count).write(count);
        let lists = (&raw mut (*iter).iters).cast::<SingleIoviter>();
        for index in 0..count as usize {
            let (list, pieces) = (iov.add(index).read(), iovcnt.add(index).read());
            let iovcnt = if list.is_null() { 0 } else { pieces };
            let single = SingleIoviter { iov: list, iovcnt, idx: 0, iov_len: 0, iov_base: null_mut() };
            lists.add(index).write(single);
        }
        spdk_ioviter_nextv(iter, out)
    }
}

/// # Safety
/// `iter` is NULL or was begun by [`spdk_ioviter_firstv`], and its lists are still there; `out` is NULL or writable for as
/// many addresses as there are lists.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ioviter_nextv(iter: *mut Ioviter, out: *mut *mut c_void) -> usize {
    if iter.is_null() || out.is_null() {
        return 0;
    }
    // SAFETY: as many lists as it was begun with, ours alone for the moment.
    let lists = unsafe {
        let count = (&raw const (*iter).count).read();
        std::slice::from_raw_parts_mut((&raw mut (*iter).iters).cast::<SingleIoviter>(), count as usize)
    };
    for list in &mut *lists {
        // SAFETY: its pieces are readable.
        unsafe { list.load() };
    }
    let length = lists.iter().map(|list| list.iov_len).min().unwrap_or(0);
    if length == 0 {
        return 0;
    }
    for (index, list) in lists.iter_mut().enumerate() {
        // SAFETY: room for one address for each list.
        unsafe { out.add(index).write(list.iov_base.cast()) };
        list.iov_base = list.iov_base.wrapping_add(length);
        list.iov_len = list.iov_len.saturating_sub(length);
    }
    length
}

impl SingleIoviter {
    /// Goes to the next piece that has bytes, if this one has none left.
    ///
    /// # Safety
    /// `iov` is readable for `iovcnt` pieces.
    unsafe fn load(&mut self) {
        while self.iov_len == 0 && self.idx < self.iovcnt {
            // SAFETY: below the number of pieces.
            let piece = unsafe { self.iov.add(self.idx).read() };
            self.idx = self.idx.saturating_add(1);
            if !piece.iov_base.is_null() {
                self.iov_base = piece.iov_base.cast();
                self.iov_len = piece.iov_len;
            }
        }
    }
}

/// # Safety
/// `src` and `dst` are NULL or writable.
unsafe fn hand_out(out: [*mut c_void; 2], src: *mut *mut c_void, dst: *mut *mut c_void) {
    let [first, second] = out;
    for (value, place) in [(first, src), (second, dst)] {
        if !place.is_null() {
            // SAFETY: writable.
            unsafe { place.write(value) };
        }
    }
}
