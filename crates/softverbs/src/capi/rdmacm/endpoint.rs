//! Endpoints: identifiers that are made, bound and given a QP in one call.

#![allow(unsafe_code)]

use std::ffi::c_int;

use rdma_sys::{
    ibv_pd, ibv_qp_init_attr, ibv_srq_init_attr, rdma_addrinfo, rdma_cm_event_type as event_type, rdma_cm_id,
};

use super::super::shared_receive;
use super::id::find_id;
use super::{connect, event, id as ids, shared_pd};
use crate::c_structs::IdCell;
use crate::carrier::sys;
use crate::faults::calls::enter;
use crate::runtime::with;

const RAI_PASSIVE: c_int = 1;

/// Makes an endpoint from what `rdma_getaddrinfo` found.
///
/// # Safety
/// `out` may be written; `res` is a whole struct; `attr` is NULL or a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_create_ep(
    out: *mut *mut rdma_cm_id,
    res: *mut rdma_addrinfo,
    pd: *mut ibv_pd,
    attr: *mut ibv_qp_init_attr,
) -> c_int {
    enter!(rdma_create_ep);
    if out.is_null() || res.is_null() {
        return sys::minus_one(Err(libc::EINVAL));
    }
    let mut id = std::ptr::null_mut();
    // SAFETY: the caller vouches for `res` and `attr`; `id` is a place of this function.
    let failed = unsafe {
        let res = &*res;
        if ids::rdma_create_id(std::ptr::null_mut(), &mut id, std::ptr::null_mut(), res.ai_port_space as u32)
            != 0
        {
            return -1;
        }
        if res.ai_flags & RAI_PASSIVE != 0 {
            let bound = ids::rdma_bind_addr(id, res.ai_src_addr.cast());
            if bound == 0 && !attr.is_null() {
                (*attr).qp_type = res.ai_qp_type as u32;
                (*id.cast::<IdCell>()).listen_attr = Some(*attr);
            }
            if bound == 0 && !pd.is_null() {
                (*id).pd = pd;
            }
            bound != 0
        } else {
            ids::rdma_resolve_addr(id, res.ai_src_addr.cast(), res.ai_dst_addr.cast(), 2000) != 0
                || ids::rdma_resolve_route(id, 2000) != 0
                || (!attr.is_null() && {
                    (*attr).qp_type = res.ai_qp_type as u32;
                    connect::rdma_create_qp(id, pd, attr) != 0
                })
        }
    };
    if failed {
        let why = sys::errno();
        rdma_destroy_ep(id);
        return sys::minus_one(Err(why));
    }
    // SAFETY: the caller vouches for `out`.
    unsafe { out.write(id) };
    0
}

/// Destroys an endpoint with its QP and SRQ.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_destroy_ep(id: *mut rdma_cm_id) {
    enter!(never rdma_destroy_ep);
    if with(|rt| find_id(rt, id)).is_err() {
        return;
    }
    // SAFETY: the cell of an identifier that is alive.
    let (qp, srq) = unsafe { ((*id).qp, (*id).srq) };
    if !qp.is_null() {
        connect::rdma_destroy_qp(id);
    }
    if !srq.is_null() {
        rdma_destroy_srq(id);
    }
    ids::rdma_destroy_id(id);
}

/// Waits for the next request of a synchronous listener; if that is an endpoint with QP attributes, the request gets a QP.
///
/// # Safety
/// `out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_get_request(listen: *mut rdma_cm_id, out: *mut *mut rdma_cm_id) -> c_int {
    enter!(rdma_get_request);
    let channel = with(|rt| {
        let key = find_id(rt, listen)?;
        if out.is_null() || !rt.fabric.cm.ids.get(key).is_some_and(|i| i.sync) {
            return Err(libc::EINVAL);
        }
        ids::ack_kept_event(rt, listen);
        // SAFETY: the cell of an identifier that is alive.
        Ok(unsafe { (*listen).channel })
    });
    let got = channel.and_then(event::get_event);
    let event = match got {
        Ok(event) => event,
        Err(errno) => return sys::minus_one(Err(errno)),
    };
    // SAFETY: an event fetched just now; identifiers that are alive.
    unsafe {
        let id = (*event).id;
        let wrong = match ((*event).event, (*event).status) {
            (event_type::RDMA_CM_EVENT_REJECTED, _) => Some(libc::ECONNREFUSED),
            (_, status) if status != 0 => Some(status.abs()),
            (event_type::RDMA_CM_EVENT_CONNECT_REQUEST, _) => None,
            _ => Some(libc::EINVAL),
        };
        if let Some(errno) = wrong {
            (*listen).event = event;
            return sys::minus_one(Err(errno));
        }
        if let Some(mut attr) = (*listen.cast::<IdCell>()).listen_attr
            && connect::rdma_create_qp(id, (*listen).pd, &mut attr) != 0
        {
            let why = sys::errno();
            (*listen).event = event;
            return sys::minus_one(Err(why));
        }
        (*id).event = event;
        out.write(id);
    }
    0
}

/// Makes a shared receive queue for an identifier.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_create_srq(
    id: *mut rdma_cm_id,
    pd: *mut ibv_pd,
    attr: *mut ibv_srq_init_attr,
) -> c_int {
    enter!(rdma_create_srq);
    let pd = with(|rt| {
        find_id(rt, id)?;
        // SAFETY: the cell of an identifier that is alive.
        let (srq, own_pd) = unsafe { ((*id).srq, (*id).pd) };
        if !srq.is_null() {
            return Err(libc::EINVAL);
        }
        match (pd.is_null(), own_pd.is_null()) {
            (false, _) => Ok(pd),
            (true, false) => Ok(own_pd),
            (true, true) => shared_pd(rt).map(|(_, pd)| pd),
        }
    });
    let pd = match pd {
        Ok(pd) => pd,
        Err(errno) => return sys::minus_one(Err(errno)),
    };
    // SAFETY: the caller vouches for `attr`; the identifier was found alive above.
    unsafe {
        let srq = shared_receive::ibv_create_srq(pd, attr);
        if srq.is_null() {
            return -1;
        }
        (*id).srq = srq;
        if (*id).pd.is_null() {
            (*id).pd = pd;
        }
    }
    0
}

/// Destroys an identifier's shared receive queue.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_destroy_srq(id: *mut rdma_cm_id) {
    enter!(never rdma_destroy_srq);
    if with(|rt| find_id(rt, id)).is_ok() {
        // SAFETY: the cell of an identifier that is alive.
        let srq = unsafe { std::mem::replace(&mut (*id).srq, std::ptr::null_mut()) };
        shared_receive::ibv_destroy_srq(srq);
    }
}
