//! Shared receive queues.

#![allow(unsafe_code)]

use std::ffi::c_int;

use rdma_sys::{ibv_pd, ibv_srq, ibv_srq_attr, ibv_srq_init_attr};

use super::async_events::{drop_async_events, when_acknowledged};
use super::verbs::{find_pd, find_srq, or_errno, or_null};
use crate::fabric::objects::{Shared, Subject};
use crate::fabric::profile::is_spared;
use crate::fabric::slab::Key;
use crate::fabric::srq::{RecvRing, Srq};
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// Makes a shared receive queue.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_create_srq(pd: *mut ibv_pd, attr: *mut ibv_srq_init_attr) -> *mut ibv_srq {
    enter!(ibv_create_srq);
    or_null(with(|rt| {
        let in_pd = find_pd(rt, pd)?;
        rt.fabric.shared.check_present_of(in_pd)?;
        if attr.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for `attr`.
        let given = unsafe { &mut *attr };
        let (max_wr, max_sge) = (given.attr.max_wr, given.attr.max_sge);
        let device = rt.fabric.shared.profile();
        if device.max_srq == 0 {
            return Err(libc::EOPNOTSUPP);
        }
        let fits = u64::from(max_wr) <= device.max_srq_wr && u64::from(max_sge) <= device.max_srq_sge;
        if max_wr == 0 || !fits {
            return Err(libc::EINVAL);
        }
        let srqs = &rt.fabric.shared.srqs;
        Shared::check_count(device.max_srq, srqs.len(), srqs.iter().map(|(_, s)| s.spared))?;
        let key = rt.fabric.shared.srqs.next_key();
        // SAFETY: `ibv_srq` is numbers and raw pointers: all zero is a value of it, and glibc's mutex and condition are
        // initialized by zero.
        let mut object: ibv_srq = unsafe { std::mem::zeroed() };
        // SAFETY: found above: one of our cells and alive.
        object.context = unsafe { (*pd).context };
        object.srq_context = given.srq_context;
        object.pd = pd;
        object.handle = key.index();
        let cell = rt.cells.srqs.alloc(key, object);
        let serial = rt.fabric.next_serial();
        rt.fabric.shared.srqs.insert(Srq {
            cell,
            pd: in_pd,
            spared: is_spared(),
            ring: RecvRing::new(max_wr, max_sge),
            max: (max_wr, max_sge),
            limit: 0,
            users: 0,
            waiting: Vec::new(),
            serial,
        });
        if let Some(p) = rt.fabric.shared.pds.get_mut(in_pd) {
            p.children += 1;
        }
        Ok(cell)
    }))
}

fn check_present(rt: &Runtime, key: Key<Srq>) -> Result<(), i32> {
    rt.fabric.shared.srqs.get(key).map_or(Ok(()), |s| rt.fabric.shared.check_present_of(s.pd))
}

/// Changes a shared receive queue's limit. Its size cannot be changed.
///
/// # Safety
/// `attr` is a whole struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_modify_srq(srq: *mut ibv_srq, attr: *mut ibv_srq_attr, mask: c_int) -> c_int {
    enter!(ibv_modify_srq);
    const MAX_WR: c_int = 1;
    const LIMIT: c_int = 2;
    or_errno(with(|rt| {
        let key = find_srq(rt, srq)?;
        check_present(rt, key)?;
        if attr.is_null() || mask & !(MAX_WR | LIMIT) != 0 {
            return Err(libc::EINVAL);
        }
        if mask & MAX_WR != 0 {
            return Err(libc::EOPNOTSUPP);
        }
        // SAFETY: the caller vouches for `attr`.
        let limit = unsafe { (*attr).srq_limit };
        let Some(s) = rt.fabric.shared.srqs.get_mut(key) else { return Err(libc::EINVAL) };
        if mask & LIMIT != 0 {
            if limit > s.max.0 {
                return Err(libc::EINVAL);
            }
            s.limit = limit;
        }
        Ok(())
    }))
}

/// A shared receive queue's size and limit.
///
/// # Safety
/// `attr` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_srq(srq: *mut ibv_srq, attr: *mut ibv_srq_attr) -> c_int {
    enter!(ibv_query_srq);
    or_errno(with(|rt| {
        let key = find_srq(rt, srq)?;
        check_present(rt, key)?;
        let Some(s) = rt.fabric.shared.srqs.get(key) else { return Err(libc::EINVAL) };
        if attr.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for `attr`.
        unsafe { attr.write(ibv_srq_attr { max_wr: s.max.0, max_sge: s.max.1, srq_limit: s.limit }) };
        Ok(())
    }))
}

/// Destroys a shared receive queue. EBUSY while a QP is on it.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_destroy_srq(srq: *mut ibv_srq) -> c_int {
    enter!(ibv_destroy_srq);
    let find = |rt: &mut Runtime| {
        let key = find_srq(rt, srq)?;
        let busy = rt.fabric.shared.srqs.get(key).is_some_and(|s| s.users > 0);
        if busy { Err(libc::EBUSY) } else { Ok(Subject::Srq(key)) }
    };
    or_errno(when_acknowledged("ibv_destroy_srq", srq as usize, find, |rt| {
        let key = find_srq(rt, srq)?;
        if let Some(s) = rt.fabric.shared.srqs.remove(key)
            && let Some(p) = rt.fabric.shared.pds.get_mut(s.pd)
        {
            p.children -= 1;
            let context = p.context;
            drop_async_events(rt, context, Subject::Srq(key));
        }
        rt.cells.srqs.free(srq);
        Ok(())
    }))
}
