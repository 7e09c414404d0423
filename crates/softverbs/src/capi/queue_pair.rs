//! Queue pairs.

#![allow(unsafe_code)]

use std::ffi::c_int;

use rdma_sys::{
    ibv_context, ibv_pd, ibv_qp, ibv_qp_attr, ibv_qp_cap, ibv_qp_ex, ibv_qp_init_attr, ibv_qp_init_attr_ex,
};

use super::async_events::{drop_async_events, when_acknowledged};
use super::extended_qp;
use super::verbs::{find_cq, find_pd, find_qp, find_srq, or_errno, or_null};
use crate::carrier::address;
use crate::fabric::cq::Cq;
use crate::fabric::device as limits;
use crate::fabric::objects::{Pd, Shared, Subject};
use crate::fabric::profile::{Profile, is_spared};
use crate::fabric::qp::{Made, Qp, State, mask as attribute};
use crate::fabric::slab::Key;
use crate::fabric::srq::Srq;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

const QPT_RC: u32 = 2;
/// Bytes that fit inline in place of a segment, as with soft RoCE.
const INLINE_PER_SEGMENT: u32 = 16;

/// Makes a queue pair; the capabilities granted are written back.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_create_qp(pd: *mut ibv_pd, attr: *mut ibv_qp_init_attr) -> *mut ibv_qp {
    enter!(ibv_create_qp);
    if attr.is_null() {
        return or_null(Err(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `attr`.
    let attr = unsafe { &mut *attr };
    or_null(with(|rt| create_qp(rt, pd, attr)))
}

/// `ibv_create_qp_ex`: what `ibv_create_qp` offers, and posting by function calls.
pub(super) unsafe extern "C" fn create_qp_ex(
    _context: *mut ibv_context,
    attr: *mut ibv_qp_init_attr_ex,
) -> *mut ibv_qp {
    enter!(ibv_create_qp_ex);
    if attr.is_null() {
        return or_null(Err(libc::EINVAL));
    }
    // SAFETY: the program passes a whole struct.
    let given = unsafe { &mut *attr };
    if given.comp_mask & attr_mask::PD == 0 {
        return or_null(Err(libc::EINVAL));
    }
    let send_ops = match send_ops(given) {
        Ok(send_ops) => send_ops,
        Err(errno) => return or_null(Err(errno)),
    };
    let mut plain = plain_attr(given);
    let qp = with(|rt| {
        let qp = create_qp(rt, given.pd, &mut plain)?;
        if let Some(ops) = send_ops {
            // SAFETY: made just now.
            unsafe { extended_qp::extend(rt, qp.cast(), ops) };
        }
        Ok(qp)
    });
    given.cap = plain.cap;
    or_null(qp)
}

/// `enum ibv_qp_init_attr_mask`, as far as offered.
pub mod attr_mask {
    /// `pd`
    pub const PD: u32 = 1;
    /// `create_flags`, of which there must be none.
    pub const CREATE_FLAGS: u32 = 1 << 2;
    /// `send_ops_flags`
    pub const SEND_OPS: u32 = 1 << 6;
}

/// The operations that are to be posted by function calls, if any; EOPNOTSUPP for what is not offered.
pub fn send_ops(given: &ibv_qp_init_attr_ex) -> Result<Option<u64>, i32> {
    let has = |bit: u32| given.comp_mask & bit != 0;
    let known = attr_mask::PD | attr_mask::CREATE_FLAGS | attr_mask::SEND_OPS;
    if given.comp_mask & !known != 0 || (has(attr_mask::CREATE_FLAGS) && given.create_flags != 0) {
        return Err(libc::EOPNOTSUPP);
    }
    match has(attr_mask::SEND_OPS) {
        false => Ok(None),
        true if extended_qp::is_offered(given.send_ops_flags) => Ok(Some(given.send_ops_flags)),
        true => Err(libc::EOPNOTSUPP),
    }
}

/// The part of the extended attributes that the plain ones have too.
pub fn plain_attr(given: &ibv_qp_init_attr_ex) -> ibv_qp_init_attr {
    ibv_qp_init_attr {
        qp_context: given.qp_context,
        send_cq: given.send_cq,
        recv_cq: given.recv_cq,
        srq: given.srq,
        cap: given.cap,
        qp_type: given.qp_type,
        sq_sig_all: given.sq_sig_all,
    }
}

fn granted(cap: &ibv_qp_cap, has_srq: bool, device: &Profile) -> Result<ibv_qp_cap, i32> {
    let fits = u64::from(cap.max_send_wr.max(cap.max_recv_wr)) <= device.max_qp_wr
        && u64::from(cap.max_send_sge.max(cap.max_recv_sge)) <= device.max_sge
        && u64::from(cap.max_inline_data) <= device.max_inline_data;
    if !fits {
        return Err(libc::EINVAL);
    }
    let mut cap = *cap;
    // Room for segments is room for as many bytes; programs such as rdma_xclient do not ask for it.
    let beside = u64::from(cap.max_send_sge * INLINE_PER_SEGMENT).min(device.max_inline_data);
    cap.max_inline_data = cap.max_inline_data.max(beside as u32);
    if has_srq {
        cap.max_recv_wr = 0;
        cap.max_recv_sge = 0;
    }
    Ok(cap)
}

/// The kernel looks objects up in the context of the call, and so finds none of another context.
fn check_one_context(rt: &Runtime, pd: Key<Pd>, cqs: &[Key<Cq>], srq: Option<Key<Srq>>) -> Result<(), i32> {
    let shared = &rt.fabric.shared;
    let of_pd = |pd| shared.pds.get(pd).map(|p| p.context);
    let context = of_pd(pd);
    let same_cqs = cqs.iter().all(|k| shared.cqs.get(*k).map(|c| c.context) == context);
    let same_srq = srq.is_none_or(|k| shared.srqs.get(k).and_then(|s| of_pd(s.pd)) == context);
    if same_cqs && same_srq { Ok(()) } else { Err(libc::EINVAL) }
}

/// As [`ibv_create_qp`], with the lock held.
pub fn create_qp(rt: &mut Runtime, pd: *mut ibv_pd, attr: &mut ibv_qp_init_attr) -> Result<*mut ibv_qp, i32> {
    let in_pd = find_pd(rt, pd)?;
    rt.fabric.shared.check_present_of(in_pd)?;
    if attr.qp_type != QPT_RC {
        return Err(libc::EOPNOTSUPP);
    }
    let send_cq = find_cq(rt, attr.send_cq)?;
    let recv_cq = find_cq(rt, attr.recv_cq)?;
    let srq = if attr.srq.is_null() { None } else { Some(find_srq(rt, attr.srq)?) };
    check_one_context(rt, in_pd, &[send_cq, recv_cq], srq)?;
    let device = rt.fabric.shared.profile();
    let cap = granted(&attr.cap, srq.is_some(), device)?;
    let qps = &rt.fabric.qps;
    Shared::check_count(device.max_qp, qps.len(), qps.iter().map(|(_, q)| q.made.spared))?;
    let number = {
        let start = (rt.fabric.random.next() % u64::from(limits::QPN_BLOCKS)) as u32;
        let (held, alone) = (&mut rt.qpn_blocks, rt.manual);
        rt.fabric
            .draw_qp_number(|| {
                if alone {
                    return Some(start);
                }
                let (block, hold) = address::hold_qpn_block(start)?;
                held.push(hold);
                Some(block)
            })
            .ok_or(libc::ENOMEM)?
    };
    let key = rt.fabric.qps.next_key();
    let Some(context) = rt.fabric.shared.pds.get(in_pd).map(|p| p.context) else { return Err(libc::EINVAL) };
    // SAFETY: `ibv_qp_ex` is numbers, raw pointers and optional function pointers: all zero is a value of it, and glibc's mutex
    // and condition are initialized by zero.
    let mut object: ibv_qp_ex = unsafe { std::mem::zeroed() };
    let base = &mut object.qp_base;
    // SAFETY: found above: one of our cells and alive.
    base.context = unsafe { (*pd).context };
    base.qp_context = attr.qp_context;
    base.pd = pd;
    base.send_cq = attr.send_cq;
    base.recv_cq = attr.recv_cq;
    base.srq = attr.srq;
    base.handle = key.index();
    base.qp_num = number;
    base.state = State::Reset as u32;
    base.qp_type = attr.qp_type;
    let cell = rt.cells.qps.alloc(key, object).cast::<ibv_qp>();
    let serial = rt.fabric.next_serial();
    let sig_all = attr.sq_sig_all != 0;
    rt.fabric.qps.insert(Qp::new(Made {
        cell,
        key,
        number,
        context,
        pd: in_pd,
        send_cq,
        recv_cq,
        srq,
        sig_all,
        cap,
        spared: is_spared(),
        serial,
    }));
    rt.fabric.qp_numbers.insert(number, key);
    let shared = &mut rt.fabric.shared;
    if let Some(p) = shared.pds.get_mut(in_pd) {
        p.children += 1;
    }
    for cq in [send_cq, recv_cq] {
        if let Some(c) = shared.cqs.get_mut(cq) {
            c.users += 1;
        }
    }
    if let Some(s) = srq.and_then(|k| shared.srqs.get_mut(k)) {
        s.users += 1;
    }
    attr.cap = cap;
    Ok(cell)
}

/// Destroys a queue pair. What is posted does not complete any more.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_destroy_qp(qp: *mut ibv_qp) -> c_int {
    enter!(ibv_destroy_qp);
    or_errno(destroy_acknowledged("ibv_destroy_qp", qp))
}

/// As [`ibv_destroy_qp`], for `what`: waits until the QP's asynchronous events are acknowledged.
pub fn destroy_acknowledged(what: &str, qp: *mut ibv_qp) -> Result<(), i32> {
    let find = |rt: &mut Runtime| find_qp(rt, qp).map(Subject::Qp);
    when_acknowledged(what, qp as usize, find, |rt| destroy_qp(rt, qp))
}

/// As [`ibv_destroy_qp`], with the lock held.
pub fn destroy_qp(rt: &mut Runtime, qp: *mut ibv_qp) -> Result<(), i32> {
    let key = find_qp(rt, qp)?;
    let gone = rt.fabric.destroy_qp(key).ok_or(libc::EINVAL)?;
    rt.posters.remove(&key);
    let shared = &mut rt.fabric.shared;
    if let Some(p) = shared.pds.get_mut(gone.made.pd) {
        p.children -= 1;
    }
    for cq in [gone.made.send_cq, gone.made.recv_cq] {
        if let Some(c) = shared.cqs.get_mut(cq) {
            c.users -= 1;
        }
    }
    if let Some(s) = gone.made.srq.and_then(|k| shared.srqs.get_mut(k)) {
        s.users -= 1;
    }
    drop_async_events(rt, gone.made.context, Subject::Qp(key));
    rt.cells.qps.free(qp.cast());
    Ok(())
}

/// Changes a queue pair's state and attributes.
///
/// # Safety
/// `attr` is a whole struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_modify_qp(qp: *mut ibv_qp, attr: *mut ibv_qp_attr, mask: c_int) -> c_int {
    enter!(ibv_modify_qp);
    or_errno(with(|rt| {
        let key = find_qp(rt, qp)?;
        if attr.is_null() {
            return Err(libc::EINVAL);
        }
        check_present(rt, key)?;
        // SAFETY: the caller vouches for `attr`; only numbers are read from it.
        let attr = unsafe { &*attr };
        // Without a GID a peer can be told by its number alone, which is possible within this process only.
        let names_peer = mask & attribute::AV != 0 && mask & attribute::DEST_QPN != 0;
        let is_here = rt.fabric.qp_numbers.contains_key(&attr.dest_qp_num);
        if names_peer && attr.ah_attr.is_global == 0 && !is_here {
            return Err(libc::EINVAL);
        }
        rt.fabric.modify_qp(key, attr, mask)
    }))
}

fn check_present(rt: &Runtime, key: Key<Qp>) -> Result<(), i32> {
    rt.fabric.qps.get(key).map_or(Ok(()), |q| rt.fabric.shared.check_present(q.made.context))
}

/// A queue pair's state and attributes.
///
/// # Safety
/// `attr` and `init` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_qp(
    qp: *mut ibv_qp,
    attr: *mut ibv_qp_attr,
    _mask: c_int,
    init: *mut ibv_qp_init_attr,
) -> c_int {
    enter!(ibv_query_qp);
    or_errno(with(|rt| {
        let key = find_qp(rt, qp)?;
        check_present(rt, key)?;
        let Some(q) = rt.fabric.qps.get(key) else { return Err(libc::EINVAL) };
        if attr.is_null() || init.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: a copy of numbers; bindgen only left the derive out.
        let mut out: ibv_qp_attr = unsafe { std::ptr::read(&raw const q.attr) };
        out.qp_state = q.state as u32;
        out.cur_qp_state = q.state as u32;
        out.cap = q.made.cap;
        out.sq_draining = u8::from(q.state == State::Sqd && q.is_draining());
        // SAFETY: the caller vouches for both; the cell is one of ours and alive.
        unsafe {
            attr.write(out);
            init.write(ibv_qp_init_attr {
                qp_context: (*qp).qp_context,
                send_cq: (*qp).send_cq,
                recv_cq: (*qp).recv_cq,
                srq: (*qp).srq,
                cap: q.made.cap,
                qp_type: (*qp).qp_type,
                sq_sig_all: c_int::from(q.made.sig_all),
            });
        }
        Ok(())
    }))
}

/// The same queue pair, if it was made for posting by function calls; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_qp_to_qp_ex(qp: *mut ibv_qp) -> *mut ibv_qp_ex {
    let extended = with(|rt| find_qp(rt, qp).is_ok_and(|key| rt.posters.contains_key(&key)));
    if extended { qp.cast() } else { std::ptr::null_mut() }
}
