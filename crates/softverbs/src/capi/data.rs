//! The data path: the functions that verbs.h calls through the context's table.

#![allow(unsafe_code)]

use std::ffi::c_int;

use rdma_sys::{
    ibv_cq, ibv_cq_ex, ibv_qp, ibv_qp_ex, ibv_recv_wr, ibv_send_wr, ibv_srq, ibv_wc,
    imm_data_invalidated_rkey_union_t,
};

use crate::fabric::Fabric;
use crate::fabric::cells::key_of;
use crate::fabric::cq::{Armed, Cq, Cqe};
use crate::fabric::posting::{GONE, Unposted};
use crate::fabric::qp::Qp;
use crate::fabric::slab::{Key, Slab};
use crate::fabric::srq::Srq;
use crate::faults::calls::Failed;
use crate::faults::posting::post_part;
use crate::place::Place;
use crate::runtime::{Runtime, lock};

/// An object of the data path that is no more: one line, EINVAL.
#[cold]
pub(super) fn gone(rt: &mut Runtime, pointer: usize) -> c_int {
    crate::place::enter();
    let cells = &rt.cells;
    let (what, places) = match (
        cells.qps.places(pointer as *const ibv_qp_ex),
        cells.cqs.places(pointer as *const ibv_cq_ex),
        cells.srqs.places(pointer as *const ibv_srq),
    ) {
        (Some(places), _, _) => ("qp", Some(places)),
        (_, Some(places), _) => ("cq", Some(places)),
        (_, _, places) => ("srq", places),
    };
    rt.fabric.shared.used_after_destroy(what, pointer, places, Place::here());
    libc::EINVAL
}

/// Whether a call is to fail.
#[inline(always)]
fn fails(rt: &mut Runtime, name: &'static str) -> Option<Failed> {
    if rt.fabric.shared.unusual { rt.call_begins(name) } else { None }
}

/// What a posting function returns; the refused request goes where the program wants it.
///
/// # Safety
/// `bad` may be written.
#[inline]
unsafe fn posted<W>(
    rt: &mut Runtime,
    object: usize,
    result: Result<(), Unposted<W>>,
    bad: *mut *mut W,
) -> c_int {
    rt.finish_data();
    match result {
        Ok(()) => 0,
        Err(Unposted { errno, at }) => {
            // SAFETY: the program passes a place for the refused request.
            unsafe { bad.write(at) };
            if errno == GONE { gone(rt, object) } else { errno }
        }
    }
}

pub(super) unsafe extern "C" fn post_send(
    qp: *mut ibv_qp,
    wr: *mut ibv_send_wr,
    bad: *mut *mut ibv_send_wr,
) -> c_int {
    // SAFETY: the program passes a QP that it was given, destroyed or not.
    let key: Key<Qp> = unsafe { key_of(qp.cast::<ibv_qp_ex>()) };
    let rt = &mut *lock();
    if let Some(failed) = fails(rt, "ibv_post_send") {
        // SAFETY: as below.
        return unsafe { post_part(rt, failed, wr, bad, |rt, wr| rt.fabric.post_send(key, wr)) };
    }
    // SAFETY: the program passes a list of requests as verbs demands, and a place for the refused one.
    unsafe {
        let result = rt.fabric.post_send(key, wr);
        posted(rt, qp as usize, result, bad)
    }
}

pub(super) unsafe extern "C" fn post_recv(
    qp: *mut ibv_qp,
    wr: *mut ibv_recv_wr,
    bad: *mut *mut ibv_recv_wr,
) -> c_int {
    // SAFETY: the program passes a QP that it was given, destroyed or not.
    let key: Key<Qp> = unsafe { key_of(qp.cast::<ibv_qp_ex>()) };
    let rt = &mut *lock();
    if let Some(failed) = fails(rt, "ibv_post_recv") {
        // SAFETY: as below.
        return unsafe { post_part(rt, failed, wr, bad, |rt, wr| rt.fabric.post_recv(key, wr)) };
    }
    // SAFETY: the program passes a list of requests as verbs demands, and a place for the refused one.
    unsafe {
        let result = rt.fabric.post_recv(key, wr);
        posted(rt, qp as usize, result, bad)
    }
}

pub(super) unsafe extern "C" fn post_srq_recv(
    srq: *mut ibv_srq,
    wr: *mut ibv_recv_wr,
    bad: *mut *mut ibv_recv_wr,
) -> c_int {
    // SAFETY: the program passes an SRQ that it was given, destroyed or not.
    let key: Key<Srq> = unsafe { key_of(srq) };
    let rt = &mut *lock();
    if let Some(failed) = fails(rt, "ibv_post_srq_recv") {
        // SAFETY: as below.
        return unsafe { post_part(rt, failed, wr, bad, |rt, wr| rt.fabric.post_srq_recv(key, wr)) };
    }
    // SAFETY: the program passes a list of requests as verbs demands, and a place for the refused one.
    unsafe {
        let result = rt.fabric.post_srq_recv(key, wr);
        posted(rt, srq as usize, result, bad)
    }
}

pub(super) unsafe extern "C" fn poll_cq(cq: *mut ibv_cq, mut count: c_int, wc: *mut ibv_wc) -> c_int {
    // SAFETY: the program passes a CQ that it was given, destroyed or not.
    let key: Key<Cq> = unsafe { key_of(cq.cast::<ibv_cq_ex>()) };
    let rt = &mut *lock();
    if rt.fabric.shared.unusual {
        if let Some(failed) = rt.call_begins("ibv_poll_cq") {
            return failed.answer();
        }
        count = rt.poll_unusually(key, count);
    }
    // SAFETY: the program has room for `count` completions at `wc`.
    match unsafe { take(&mut rt.fabric, key, count, wc) } {
        None => -gone(rt, cq as usize),
        // SAFETY: as above.
        Some(0) if rt.has_work() => unsafe { drive_and_take(rt, key, count, wc) },
        Some(got) => got,
    }
}

/// An empty poll moves the fabric on.
///
/// # Safety
/// As [`take`].
#[inline(never)]
unsafe fn drive_and_take(rt: &mut Runtime, key: Key<Cq>, count: c_int, wc: *mut ibv_wc) -> c_int {
    rt.polled();
    rt.drive();
    // SAFETY: passed on to the caller.
    unsafe { take(&mut rt.fabric, key, count, wc) }.unwrap_or(0)
}

/// Takes up to `count` completions; how many there were, or none if there is no such queue.
///
/// # Safety
/// `wc` has room for `count` completions.
#[inline(always)]
unsafe fn take(fabric: &mut Fabric, key: Key<Cq>, count: c_int, wc: *mut ibv_wc) -> Option<c_int> {
    let cq = fabric.shared.cqs.get_mut(key)?;
    let mut got = 0;
    while got < count {
        let Some(cqe) = cq.front() else { break };
        reclaim(&mut fabric.qps, cqe);
        let out = ibv_wc {
            wr_id: cqe.wr_id,
            status: cqe.status,
            opcode: cqe.opcode,
            vendor_err: 0,
            byte_len: cqe.byte_len,
            imm_data_invalidated_rkey_union: imm_data_invalidated_rkey_union_t { imm_data: cqe.word },
            qp_num: cqe.qp_num,
            src_qp: 0,
            wc_flags: cqe.flags,
            pkey_index: 0,
            slid: 0,
            sl: 0,
            dlid_path_bits: 0,
        };
        // SAFETY: `got < count`, for which the caller has room.
        unsafe { wc.add(got as usize).write(out) };
        cq.advance();
        got += 1;
    }
    Some(got)
}

/// A completion of a send that was polled gives its slot back, and those before it.
#[inline(always)]
fn reclaim(qps: &mut Slab<Qp>, cqe: &Cqe) {
    if cqe.frees > 0
        && let Some(qp) = qps.get_mut(cqe.qp)
        && cqe.frees <= qp.una
        && cqe.frees > qp.reclaimed
    {
        qp.reclaimed = cqe.frees;
    }
}

/// Takes the next completion, if there is one.
pub(super) fn take_one(fabric: &mut Fabric, key: Key<Cq>) -> Option<Cqe> {
    let cq = fabric.shared.cqs.get_mut(key)?;
    let cqe = *cq.front()?;
    reclaim(&mut fabric.qps, &cqe);
    cq.advance();
    Some(cqe)
}

pub(super) unsafe extern "C" fn req_notify_cq(cq: *mut ibv_cq, solicited_only: c_int) -> c_int {
    // SAFETY: the program passes a CQ that it was given, destroyed or not.
    let key: Key<Cq> = unsafe { key_of(cq.cast::<ibv_cq_ex>()) };
    let rt = &mut *lock();
    if let Some(failed) = fails(rt, "ibv_req_notify_cq") {
        return failed.answer();
    }
    let Some(c) = rt.fabric.shared.cqs.get_mut(key) else { return gone(rt, cq as usize) };
    if c.channel.is_some() && c.armed != Armed::Next {
        rt.fabric.shared.armed += usize::from(c.armed == Armed::No);
        c.armed = if solicited_only != 0 { Armed::Solicited } else { Armed::Next };
    }
    0
}
