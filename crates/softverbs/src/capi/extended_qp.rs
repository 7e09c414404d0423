//! Posting by function calls: `ibv_wr_start`, then for each request its kind and its data, then `ibv_wr_complete`.
//!
//! The requests are put together here and posted as one list, all or none. What is wrong with one is told by `ibv_wr_complete`.
//! Between start and completion the queue pair belongs to the thread that posts: another thread's start waits.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use rdma_sys::{ibv_ah, ibv_data_buf, ibv_mw, ibv_mw_bind_info, ibv_qp_ex, ibv_send_wr, ibv_sge};

use super::data::gone;
use super::verbs::Patience;
use crate::c_structs::{Batch, Data, Poster, Request};
use crate::fabric::cells::key_of;
use crate::fabric::posting::MAX_MESSAGE;
use crate::fabric::qp::{Qp, State, opcode, send_flag};
use crate::fabric::slab::Key;
use crate::faults::calls::begin_data;
use crate::runtime::{Runtime, lock};

/// `enum ibv_qp_create_send_ops_flags`: what is offered.
mod ops {
    pub const WRITE: u64 = 1;
    pub const WRITE_IMM: u64 = 1 << 1;
    pub const SEND: u64 = 1 << 2;
    pub const SEND_IMM: u64 = 1 << 3;
    pub const READ: u64 = 1 << 4;
    pub const SEND_INV: u64 = 1 << 9;
    pub const ALL: u64 = WRITE | WRITE_IMM | SEND | SEND_IMM | READ | SEND_INV;
}

/// Whether all of these operations are offered.
pub fn is_offered(send_ops: u64) -> bool {
    send_ops & !ops::ALL == 0
}

/// Makes a queue pair, made just now, one that takes requests in this way.
///
/// # Safety
/// `qp` is one of our cells and alive.
pub unsafe fn extend(rt: &mut Runtime, qp: *mut ibv_qp_ex, send_ops: u64) {
    // SAFETY: passed on to the caller.
    let (key, qp): (Key<Qp>, _) = unsafe { (key_of(qp), &mut *qp) };
    rt.posters.insert(key, Poster { ops: send_ops, open: None });
    qp.wr_start = Some(start);
    qp.wr_complete = Some(complete);
    qp.wr_abort = Some(abort);
    qp.wr_send = Some(send);
    qp.wr_send_imm = Some(send_imm);
    qp.wr_send_inv = Some(send_inv);
    qp.wr_rdma_write = Some(write);
    qp.wr_rdma_write_imm = Some(write_imm);
    qp.wr_rdma_read = Some(read);
    qp.wr_set_sge = Some(set_sge);
    qp.wr_set_sge_list = Some(set_sge_list);
    qp.wr_set_inline_data = Some(set_inline_data);
    qp.wr_set_inline_data_list = Some(set_inline_data_list);
    qp.wr_atomic_cmp_swp = Some(atomic_cmp_swp);
    qp.wr_atomic_fetch_add = Some(atomic_fetch_add);
    qp.wr_bind_mw = Some(bind_mw);
    qp.wr_local_inv = Some(local_inv);
    qp.wr_send_tso = Some(send_tso);
    qp.wr_set_ud_addr = Some(set_ud_addr);
    qp.wr_set_xrc_srqn = Some(set_xrc_srqn);
    qp.wr_atomic_write = Some(atomic_write);
}

unsafe extern "C" fn start(qp: *mut ibv_qp_ex) {
    // SAFETY: the program passes a QP that it was given.
    let key: Key<Qp> = unsafe { key_of(qp) };
    let mut patience = Patience::new();
    while !open(qp, key, &patience) {
        patience.wait();
    }
}

/// Begins a batch, unless another thread is at it.
fn open(qp: *mut ibv_qp_ex, key: Key<Qp>, patience: &Patience) -> bool {
    let rt = &mut *lock();
    let over = patience.is_over(rt.manual);
    let Some(poster) = rt.posters.get_mut(&key) else {
        gone(rt, qp as usize);
        return true;
    };
    if poster.open.is_some() && !over {
        return false;
    }
    if poster.open.replace(Batch::default()).is_some() {
        let text = format!("qp {qp:p}: ibv_wr_start would block for ever: no ibv_wr_complete came");
        rt.fabric.shared.fatal(&text);
    }
    true
}

unsafe extern "C" fn abort(qp: *mut ibv_qp_ex) {
    // SAFETY: the program passes a QP that it was given.
    let key: Key<Qp> = unsafe { key_of(qp) };
    let rt = &mut *lock();
    match rt.posters.get_mut(&key) {
        Some(poster) => poster.open = None,
        None => {
            gone(rt, qp as usize);
        }
    }
}

unsafe extern "C" fn complete(qp: *mut ibv_qp_ex) -> c_int {
    if let Some(failed) = begin_data("ibv_wr_complete") {
        // SAFETY: passed on to the caller.
        unsafe { abort(qp) };
        return failed.answer();
    }
    // SAFETY: the program passes a QP that it was given.
    let key: Key<Qp> = unsafe { key_of(qp) };
    let rt = &mut *lock();
    let Some(poster) = rt.posters.get_mut(&key) else { return gone(rt, qp as usize) };
    let Some(batch) = poster.open.take() else {
        rt.fabric.shared.misuse(&format!("qp {qp:p}: ibv_wr_complete without ibv_wr_start"));
        return libc::EINVAL;
    };
    match post(rt, key, batch) {
        Ok(()) => 0,
        Err(errno) => errno,
    }
}

fn post(rt: &mut Runtime, key: Key<Qp>, mut batch: Batch) -> Result<(), i32> {
    if let Some(errno) = batch.wrong {
        return Err(errno);
    }
    let qp = rt.fabric.qps.get(key).ok_or(libc::EINVAL)?;
    if qp.state < State::Rts {
        return Err(libc::EINVAL);
    }
    if qp.tail - qp.reclaimed + batch.requests.len() as u64 > u64::from(qp.made.cap.max_send_wr) {
        return Err(libc::ENOMEM);
    }
    let fits = |request: &Request| match &request.data {
        Data::None => true,
        Data::Segments(list) => {
            let length = list.iter().fold(0u64, |sum, s| sum + u64::from(s.length));
            list.len() <= qp.made.cap.max_send_sge as usize && length <= MAX_MESSAGE
        }
        Data::Inline(bytes) => {
            bytes.len() <= qp.made.cap.max_inline_data as usize && request.opcode != opcode::READ
        }
    };
    if !batch.requests.iter().all(fits) {
        return Err(libc::EINVAL);
    }
    let mut inline: Vec<ibv_sge> = batch.requests.iter().map(inline_segment).collect();
    let mut list: Vec<ibv_send_wr> = batch
        .requests
        .iter_mut()
        .zip(&mut inline)
        .map(|(request, inline)| work_request(request, inline))
        .collect();
    let mut next = std::ptr::null_mut();
    for wr in list.iter_mut().rev() {
        wr.next = next;
        next = wr;
    }
    // SAFETY: a list of requests whose segments and inline bytes live until this returns.
    let posted = unsafe { rt.fabric.post_send(key, next) };
    rt.finish_data();
    posted.map_err(|refused| refused.errno.max(libc::EINVAL))
}

/// Where the inline bytes of a request are; nothing for the others.
fn inline_segment(request: &Request) -> ibv_sge {
    match &request.data {
        Data::Inline(bytes) => ibv_sge { addr: bytes.as_ptr() as u64, length: bytes.len() as u32, lkey: 0 },
        _ => ibv_sge { addr: 0, length: 0, lkey: 0 },
    }
}

fn work_request(request: &mut Request, inline: &mut ibv_sge) -> ibv_send_wr {
    // SAFETY: `ibv_send_wr` is numbers and raw pointers: all zero is a value of it.
    let mut wr: ibv_send_wr = unsafe { std::mem::zeroed() };
    wr.wr_id = request.wr_id;
    wr.opcode = request.opcode;
    wr.send_flags = request.flags & !send_flag::INLINE;
    wr.imm_data_invalidated_rkey_union.imm_data = request.word;
    wr.wr.rdma = rdma_sys::rdma_t { remote_addr: request.address, rkey: request.rkey };
    match &mut request.data {
        Data::None => {}
        Data::Segments(list) => {
            wr.sg_list = list.as_mut_ptr();
            wr.num_sge = list.len() as c_int;
        }
        Data::Inline(_) => {
            wr.send_flags |= send_flag::INLINE;
            wr.sg_list = inline;
            wr.num_sge = 1;
        }
    }
    wr
}

/// Does something with the open batch of a queue pair.
///
/// # Safety
/// `qp` is a QP that the program was given.
unsafe fn with_batch(qp: *mut ibv_qp_ex, work: impl FnOnce(&mut Batch, u64)) {
    // SAFETY: passed on to the caller.
    let key: Key<Qp> = unsafe { key_of(qp) };
    let rt = &mut *lock();
    let Some(poster) = rt.posters.get_mut(&key) else {
        gone(rt, qp as usize);
        return;
    };
    let ops = poster.ops;
    match &mut poster.open {
        Some(batch) => work(batch, ops),
        None => rt.fabric.shared.misuse(&format!("qp {qp:p}: a request without ibv_wr_start")),
    }
}

/// Begins a request of this kind.
///
/// # Safety
/// `qp` is a QP that the program was given.
unsafe fn begin(qp: *mut ibv_qp_ex, op: u64, opcode: u32, word: u32, remote: (u32, u64)) {
    // SAFETY: the program's QP, of which only numbers are read.
    let (wr_id, flags) = unsafe { ((*qp).wr_id, (*qp).wr_flags) };
    let request = Request { wr_id, flags, opcode, word, rkey: remote.0, address: remote.1, data: Data::None };
    // SAFETY: passed on to the caller.
    unsafe {
        with_batch(qp, |batch, offered| {
            if offered & op == 0 {
                batch.wrong.get_or_insert(libc::EINVAL);
            }
            batch.requests.push(request);
        });
    }
}

/// Gives the request that was begun last its data.
///
/// # Safety
/// `qp` is a QP that the program was given.
unsafe fn set(qp: *mut ibv_qp_ex, data: Data) {
    // SAFETY: passed on to the caller.
    unsafe {
        with_batch(qp, |batch, _| match batch.requests.last_mut() {
            Some(request) if matches!(request.data, Data::None) => request.data = data,
            _ => {
                batch.wrong.get_or_insert(libc::EINVAL);
            }
        });
    }
}

/// Marks what is not offered.
///
/// # Safety
/// `qp` is a QP that the program was given.
unsafe fn refuse(qp: *mut ibv_qp_ex) {
    // SAFETY: passed on to the caller.
    unsafe {
        with_batch(qp, |batch, _| {
            batch.wrong.get_or_insert(libc::EOPNOTSUPP);
        });
    }
}

unsafe extern "C" fn send(qp: *mut ibv_qp_ex) {
    // SAFETY: the program passes a QP that it was given.
    unsafe { begin(qp, ops::SEND, opcode::SEND, 0, (0, 0)) }
}

unsafe extern "C" fn send_imm(qp: *mut ibv_qp_ex, word: u32) {
    // SAFETY: as above.
    unsafe { begin(qp, ops::SEND_IMM, opcode::SEND_IMM, word, (0, 0)) }
}

unsafe extern "C" fn send_inv(qp: *mut ibv_qp_ex, key: u32) {
    // SAFETY: as above.
    unsafe { begin(qp, ops::SEND_INV, opcode::SEND_INV, key, (0, 0)) }
}

unsafe extern "C" fn write(qp: *mut ibv_qp_ex, rkey: u32, address: u64) {
    // SAFETY: as above.
    unsafe { begin(qp, ops::WRITE, opcode::WRITE, 0, (rkey, address)) }
}

unsafe extern "C" fn write_imm(qp: *mut ibv_qp_ex, rkey: u32, address: u64, word: u32) {
    // SAFETY: as above.
    unsafe { begin(qp, ops::WRITE_IMM, opcode::WRITE_IMM, word, (rkey, address)) }
}

unsafe extern "C" fn read(qp: *mut ibv_qp_ex, rkey: u32, address: u64) {
    // SAFETY: as above.
    unsafe { begin(qp, ops::READ, opcode::READ, 0, (rkey, address)) }
}

unsafe extern "C" fn set_sge(qp: *mut ibv_qp_ex, lkey: u32, addr: u64, length: u32) {
    // SAFETY: as above.
    unsafe { set(qp, Data::Segments(vec![ibv_sge { addr, length, lkey }])) }
}

unsafe extern "C" fn set_sge_list(qp: *mut ibv_qp_ex, count: usize, list: *const ibv_sge) {
    // SAFETY: as above; the program passes `count` segments.
    unsafe {
        let list = if count == 0 { Vec::new() } else { std::slice::from_raw_parts(list, count).to_vec() };
        set(qp, Data::Segments(list));
    }
}

unsafe extern "C" fn set_inline_data(qp: *mut ibv_qp_ex, addr: *mut c_void, length: usize) {
    let one = ibv_data_buf { addr, length };
    // SAFETY: as above; one buffer.
    unsafe { set_inline_data_list(qp, 1, &one) }
}

unsafe extern "C" fn set_inline_data_list(qp: *mut ibv_qp_ex, count: usize, list: *const ibv_data_buf) {
    let mut bytes = Vec::new();
    for n in 0..count {
        // SAFETY: the program passes `count` buffers that may be read.
        unsafe {
            let buffer = &*list.add(n);
            if buffer.length > 0 {
                bytes.extend_from_slice(std::slice::from_raw_parts(buffer.addr.cast::<u8>(), buffer.length));
            }
        }
    }
    // SAFETY: as above.
    unsafe { set(qp, Data::Inline(bytes)) }
}

unsafe extern "C" fn atomic_cmp_swp(qp: *mut ibv_qp_ex, _: u32, _: u64, _: u64, _: u64) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn atomic_fetch_add(qp: *mut ibv_qp_ex, _: u32, _: u64, _: u64) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn bind_mw(qp: *mut ibv_qp_ex, _: *mut ibv_mw, _: u32, _: *const ibv_mw_bind_info) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn local_inv(qp: *mut ibv_qp_ex, _: u32) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn send_tso(qp: *mut ibv_qp_ex, _: *mut c_void, _: u16, _: u16) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn set_ud_addr(qp: *mut ibv_qp_ex, _: *mut ibv_ah, _: u32, _: u32) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn set_xrc_srqn(qp: *mut ibv_qp_ex, _: u32) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}

unsafe extern "C" fn atomic_write(qp: *mut ibv_qp_ex, _: u32, _: u64, _: *const c_void) {
    // SAFETY: as above.
    unsafe { refuse(qp) }
}
