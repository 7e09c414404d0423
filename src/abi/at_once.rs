//! The short way of the entries that transfer data of a namespace: what an I/O costs when nothing about it is unusual. A few
//! instructions each, no lock, no allocation.
//!
//! It cannot unwind, so it goes without the guard that the bodies of all other entries have: it has no call but those of the provider
//! and of the program's own functions, and the line that one of these failed.
//!
//! What must hold: where it gives up nothing was changed or said, so the entry's long way does all of its work. Nothing is borrowed or
//! held while a function of the program runs.

use super::{
    error::submission,
    handles::{is_live, live},
    ns_vectors::Sgl,
    qpair::Qpair,
    types::{
        spdk_nvme_ns, spdk_nvme_ns_cmd_ext_io_opts, spdk_nvme_qpair, spdk_nvme_req_next_sge_cb,
        spdk_nvme_req_reset_sgl_cb,
    },
};
use crate::{
    epoch,
    host::{Error, IoQpair, Request, Scatter, Shape, Transfer},
    transport::{Context, PIECES, Piece},
};
use arrayvec::ArrayVec;
use libc::{c_int, c_void};
use std::ptr;

/// Sends a transfer of data in one piece. False if something about it is unusual, such as that its namespace was not the last one's.
///
/// # Safety
///
/// As for the entries: no other thread uses or frees qpair.
#[inline(always)]
pub(super) unsafe fn sent_at_once(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    request: Request,
    payload: *mut c_void,
    context: Context,
) -> bool {
    if !is_live::<Qpair>(qpair) {
        return false;
    }
    // SAFETY: the handle is live, and by the entry's contract no other thread frees it.
    let object = unsafe { live::<Qpair>(qpair) };
    object.host().contiguous_named(ns.cast_const().cast(), &request, payload, context)
}

/// As [`sent_at_once`], of data in pieces, which these functions give. None if something is unusual: then they are to be asked again.
///
/// # Safety
///
/// As for the entries: no other thread uses or frees qpair, and the functions take the context's argument.
#[inline(always)]
pub(super) unsafe fn pieces_sent_at_once(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    request: Request,
    (reset, next): (spdk_nvme_req_reset_sgl_cb, spdk_nvme_req_next_sge_cb),
    context: Context,
) -> Option<c_int> {
    let (Some(reset), Some(next)) = (reset, next) else { return None };
    if !is_live::<Qpair>(qpair) {
        return None;
    }
    // SAFETY: the handle is live, and by the entry's contract no other thread frees it.
    let object = unsafe { live::<Qpair>(qpair) };
    let shape = object.host().shape(ns.cast_const().cast(), &request)?;
    let Shape { epoch, head, tail: [tail_0, tail_1, tail_2], length } = shape;
    let transfer = request.transfer;
    let mut sgl = Sgl::new(reset, next, context.argument.cast());
    sgl.reset(0);
    // Most data in pieces are in two: a header and what follows it, or what lies across the end of a buffer.
    let Some(first) = sgl.ask() else { return failed() };
    // What is given may go on behind the data.
    let left = length.wrapping_sub(first.length);
    if length <= first.length {
        // SAFETY: it was live when the shape was made; the rest is this function's contract.
        let host = unsafe { if_still_good(qpair, epoch) }?;
        return host.send_piece(shape, transfer, Piece { length, ..first }, context).then_some(0);
    }
    if first.length == 0 {
        return None;
    }
    let Some(second) = sgl.ask() else { return failed() };
    if second.length >= left {
        // SAFETY: as above.
        let host = unsafe { if_still_good(qpair, epoch) }?;
        return host
            .send_both(shape, transfer, (first, Piece { length: left, ..second }), context)
            .then_some(0);
    }
    // SAFETY: as above.
    unsafe {
        several_sent_at_once(
            qpair, epoch, head, tail_0, tail_1, tail_2, left, transfer, reset, next, first, second, context,
        )
    }
}

/// The rest of [`pieces_sent_at_once`], with more than the two pieces that were given so far.
///
/// All is passed by itself: what is passed in one would lie in memory on the way of two pieces, too.
///
/// # Safety
///
/// As there, and `qpair` was a live handle.
#[inline(never)]
#[allow(clippy::too_many_arguments)]
unsafe fn several_sent_at_once(
    qpair: *mut spdk_nvme_qpair,
    epoch: u64,
    head: u64,
    tail_0: u64,
    tail_1: u64,
    tail_2: u64,
    mut left: u32,
    transfer: Transfer,
    reset: unsafe extern "C" fn(*mut c_void, u32),
    next: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut u32) -> c_int,
    first: Piece,
    second: Piece,
    context: Context,
) -> Option<c_int> {
    if second.length == 0 {
        return None;
    }
    let sgl = Sgl::new(reset, next, context.argument.cast());
    let mut pieces = ArrayVec::<Piece, PIECES>::new();
    pieces.extend([first, second]);
    left = left.wrapping_sub(second.length);
    while left > 0 {
        let Some(piece) = sgl.ask() else { return failed() };
        let length = piece.length.min(left);
        if length == 0 {
            return None;
        }
        left = left.wrapping_sub(length);
        if pieces.try_push(Piece { length, ..piece }).is_err() {
            return None;
        }
    }
    let length = pieces.iter().fold(0_u32, |sum, piece| sum.wrapping_add(piece.length));
    let shape = Shape { epoch, head, tail: [tail_0, tail_1, tail_2], length };
    // SAFETY: as for this function.
    let host = unsafe { if_still_good(qpair, epoch) }?;
    host.send_several(shape, transfer, &pieces, context).then_some(0)
}

/// The queue pair once the program's functions have run: they may have ended it, and anything else. None if so: all
/// is looked at again then.
///
/// # Safety
///
/// As for [`live`], and the handle was live when the shape was made.
#[inline(always)]
unsafe fn if_still_good<'a>(qpair: *const spdk_nvme_qpair, epoch: u64) -> Option<&'a IoQpair> {
    if epoch != epoch::current() {
        return None;
    }
    // SAFETY: the handle was live in the epoch of the shape, which still is.
    Some(unsafe { live::<Qpair>(qpair) }.host())
}

/// What comes of a function that says that it failed.
#[cold]
#[inline(never)]
fn failed() -> Option<c_int> {
    Some(submission(Err(Error::Scatter)))
}

/// A request with these options, if they are there, whole, and ask for nothing that there is not; see `ns_transfers::with_options`.
///
/// # Safety
///
/// `opts` is NULL, or as many bytes as it says can be read.
#[inline(always)]
pub(super) unsafe fn with_whole_options(
    request: Request,
    opts: *const spdk_nvme_ns_cmd_ext_io_opts,
) -> Option<Request> {
    if opts.is_null() {
        return None;
    }
    // SAFETY: the size is the first member.
    let size = unsafe { ptr::addr_of!((*opts).size).read() };
    if size < size_of::<spdk_nvme_ns_cmd_ext_io_opts>() {
        return None;
    }
    // SAFETY: so many bytes can be read.
    let opts = unsafe { &*opts };
    let is_plain = opts.memory_domain.is_null() && opts.accel_sequence.is_null();
    is_plain.then(|| request.with(opts.io_flags, opts.cdw13, tags(opts.apptag_mask, opts.apptag)))
}

/// An application tag and its mask, as command dword 15 has them.
#[inline(always)]
pub(super) fn tags(apptag_mask: u16, apptag: u16) -> u32 {
    u32::from(apptag_mask) << 16 | u32::from(apptag)
}
