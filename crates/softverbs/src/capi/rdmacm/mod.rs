//! The C face of librdmacm.

#![allow(unsafe_code)]

pub mod addrinfo;
pub mod connect;
pub mod endpoint;
pub mod event;
pub mod id;

use std::ffi::c_int;

use rdma_sys::{ibv_context, ibv_pd};

use super::{device, memory};
use crate::fabric::objects::{Context, Pd};
use crate::fabric::slab::Key;
use crate::faults::calls::begin;
use crate::runtime::{Runtime, with};

/// The context that all identifiers share, as in librdmacm: opened at the first need, never closed.
pub fn shared_context(rt: &mut Runtime) -> Option<(Key<Context>, *mut ibv_context)> {
    if rt.cm_context.is_none() {
        rt.cm_context = device::open(rt, true);
    }
    rt.cm_context.filter(|_| rt.fabric.has_device)
}

/// The protection domain for QPs whose program names none.
pub fn shared_pd(rt: &mut Runtime) -> Result<(Key<Pd>, *mut ibv_pd), i32> {
    if let Some(pd) = rt.cm_pd {
        return Ok(pd);
    }
    let (_, context) = shared_context(rt).ok_or(libc::ENODEV)?;
    let pd = memory::alloc_pd(rt, context, true)?;
    rt.cm_pd = Some(pd);
    Ok(pd)
}

/// Lists opened devices, NULL at the end. To be freed by `rdma_free_devices`.
///
/// # Safety
/// `count` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_get_devices(count: *mut c_int) -> *mut *mut ibv_context {
    if let Some(failed) = begin("rdma_get_devices") {
        if !count.is_null() {
            // SAFETY: the caller vouches for `count`.
            unsafe { count.write(0) };
        }
        return failed.answer();
    }
    let context = with(|rt| shared_context(rt).map(|(_, cell)| cell));
    // SAFETY: calloc of two pointers, zeroed.
    let list = unsafe { libc::calloc(2, size_of::<*mut ibv_context>()) }.cast::<*mut ibv_context>();
    if !count.is_null() {
        // SAFETY: the caller vouches for `count`.
        unsafe { count.write(c_int::from(!list.is_null() && context.is_some())) };
    }
    if let Some(context) = context
        && !list.is_null()
    {
        // SAFETY: the list has room for two.
        unsafe { list.write(context) };
    }
    list
}

/// Frees a list of devices. The devices stay open.
///
/// # Safety
/// `list` came from `rdma_get_devices`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_free_devices(list: *mut *mut ibv_context) {
    // SAFETY: allocated by calloc there.
    unsafe { libc::free(list.cast()) };
}
