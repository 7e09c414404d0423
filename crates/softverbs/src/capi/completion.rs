//! Completion channels and completion queues.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

use rdma_sys::{ibv_comp_channel, ibv_context, ibv_cq, ibv_cq_ex};

use super::async_events::drop_async_events;
use super::device::find_context;
use super::verbs::{Patience, find_channel, find_cq, or_errno, or_null, wait_for_ever, wait_on};
use crate::carrier::sys;
use crate::fabric::cq::{Armed, Cq};
use crate::fabric::objects::{Bell, CompChannel, Shared, Subject};
use crate::fabric::profile::is_spared;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// Makes a completion channel.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_create_comp_channel(context: *mut ibv_context) -> *mut ibv_comp_channel {
    enter!(ibv_create_comp_channel);
    or_null(with(|rt| {
        let of = find_context(rt, context)?;
        rt.fabric.shared.check_present(of)?;
        let fd = sys::bell().ok_or_else(sys::errno)?;
        let key = rt.fabric.shared.channels.next_key();
        let cell = rt.cells.channels.alloc(key, ibv_comp_channel { context, fd, refcnt: 0 });
        let serial = rt.fabric.next_serial();
        rt.fabric.shared.channels.insert(CompChannel {
            cell,
            context: of,
            bell: Bell { fd, owed: 0 },
            events: Default::default(),
            children: 0,
            serial,
        });
        Ok(cell)
    }))
}

/// Destroys a completion channel. EBUSY while a CQ notifies on it.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_destroy_comp_channel(channel: *mut ibv_comp_channel) -> c_int {
    enter!(ibv_destroy_comp_channel);
    or_errno(with(|rt| {
        let key = find_channel(rt, channel)?;
        if rt.fabric.shared.channels.get(key).is_some_and(|c| c.children > 0) {
            return Err(libc::EBUSY);
        }
        if let Some(c) = rt.fabric.shared.channels.remove(key) {
            sys::close(c.bell.fd);
        }
        rt.cells.channels.free(channel);
        Ok(())
    }))
}

/// Makes a completion queue with room for exactly `cqe` completions.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_create_cq(
    context: *mut ibv_context,
    cqe: c_int,
    cq_context: *mut c_void,
    channel: *mut ibv_comp_channel,
    comp_vector: c_int,
) -> *mut ibv_cq {
    enter!(ibv_create_cq);
    or_null(with(|rt| create_cq(rt, context, cqe, cq_context, channel, comp_vector)))
}

/// As [`ibv_create_cq`], with the lock held.
pub fn create_cq(
    rt: &mut Runtime,
    context: *mut ibv_context,
    cqe: c_int,
    cq_context: *mut c_void,
    channel: *mut ibv_comp_channel,
    comp_vector: c_int,
) -> Result<*mut ibv_cq, i32> {
    let of = find_context(rt, context)?;
    rt.fabric.shared.check_present(of)?;
    let device = rt.fabric.shared.profile();
    let cqs = &rt.fabric.shared.cqs;
    if cqe <= 0 || cqe as u64 > device.max_cqe || comp_vector != 0 {
        return Err(libc::EINVAL);
    }
    Shared::check_count(device.max_cq, cqs.len(), cqs.iter().map(|(_, c)| c.spared))?;
    let on = if channel.is_null() { None } else { Some(find_channel(rt, channel)?) };
    if on.and_then(|k| rt.fabric.shared.channels.get(k)).is_some_and(|c| c.context != of) {
        return Err(libc::EINVAL);
    }
    let key = rt.fabric.shared.cqs.next_key();
    // SAFETY: `ibv_cq_ex` is numbers, raw pointers and optional function pointers: all zero is a value of it, and glibc's mutex
    // and condition are initialized by zero.
    let mut object: ibv_cq_ex = unsafe { std::mem::zeroed() };
    object.context = context;
    object.channel = channel;
    object.cq_context = cq_context;
    object.handle = key.index();
    object.cqe = cqe;
    let cell = rt.cells.cqs.alloc(key, object).cast::<ibv_cq>();
    let serial = rt.fabric.next_serial();
    let mut queue = Cq::new(cell, of, on, cqe as usize, serial);
    queue.spared = is_spared();
    rt.fabric.shared.cqs.insert(queue);
    if let Some(c) = on.and_then(|k| rt.fabric.shared.channels.get_mut(k)) {
        c.children += 1;
    }
    Ok(cell)
}

/// Changes a completion queue's room. EINVAL if what waits in it would not fit.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_resize_cq(cq: *mut ibv_cq, cqe: c_int) -> c_int {
    enter!(ibv_resize_cq);
    or_errno(with(|rt| {
        let key = find_cq(rt, cq)?;
        let device = rt.fabric.shared.profile();
        if !device.resize_cq {
            // As libibverbs answers for a driver that has no such function.
            return Err(libc::EOPNOTSUPP);
        }
        if cqe <= 0 || cqe as u64 > device.max_cqe {
            return Err(libc::EINVAL);
        }
        if let Some(of) = rt.fabric.shared.cqs.get(key).map(|c| c.context) {
            rt.fabric.shared.check_present(of)?;
        }
        if !rt.fabric.shared.cqs.get_mut(key).is_some_and(|c| c.resize(cqe as usize)) {
            return Err(libc::EINVAL);
        }
        // SAFETY: one of our cells and alive.
        unsafe { (*cq).cqe = cqe };
        Ok(())
    }))
}

/// Destroys a completion queue. EBUSY while a QP completes on it. Waits until its notifications are acknowledged.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_destroy_cq(cq: *mut ibv_cq) -> c_int {
    enter!(ibv_destroy_cq);
    let mut patience = Patience::new();
    loop {
        let done = with(|rt| {
            let key = find_cq(rt, cq)?;
            let Some(c) = rt.fabric.shared.cqs.get(key) else { return Err(libc::EINVAL) };
            if c.users > 0 {
                return Err(libc::EBUSY);
            }
            // SAFETY: one of our cells and alive.
            let acked = unsafe { (*cq).comp_events_completed };
            let unacked = c.events_taken.wrapping_sub(acked);
            let (context, channel) = (c.context, c.channel);
            if unacked > 0 && !patience.is_over(rt.manual) {
                return Ok(false);
            }
            if unacked > 0 {
                let text = format!(
                    "ibv_destroy_cq({cq:p}) would block for ever: {unacked} notifications not acknowledged"
                );
                rt.fabric.shared.fatal(&text);
            }
            if !rt.async_acknowledged("ibv_destroy_cq", cq as usize, Subject::Cq(key), &patience) {
                return Ok(false);
            }
            if rt.fabric.shared.cqs.remove(key).is_some_and(|c| c.armed != Armed::No) {
                rt.fabric.shared.armed -= 1;
            }
            if let Some(c) = channel.and_then(|k| rt.fabric.shared.channels.get_mut(k)) {
                c.children -= 1;
                let before = c.events.len();
                c.events.retain(|k| *k != key);
                for _ in c.events.len()..before {
                    sys::take(c.bell.fd);
                }
            }
            drop_async_events(rt, context, Subject::Cq(key));
            rt.cells.cqs.free(cq.cast());
            Ok(true)
        });
        match done {
            Ok(true) => return 0,
            Ok(false) => patience.wait(),
            Err(errno) => return or_errno(Err(errno)),
        }
    }
}

/// Nobody is going to acknowledge what was taken.
pub fn forget_events(cq: *mut ibv_cq) {
    with(|rt| {
        let Ok(key) = find_cq(rt, cq) else { return };
        let Some(taken) = rt.fabric.shared.cqs.get(key).map(|c| c.events_taken) else { return };
        // SAFETY: one of our cells and alive; written behind the lock only.
        unsafe { (*cq).comp_events_completed = taken };
    });
}

/// Waits for a notification.
///
/// # Safety
/// `cq` and `cq_context` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_get_cq_event(
    channel: *mut ibv_comp_channel,
    cq: *mut *mut ibv_cq,
    cq_context: *mut *mut c_void,
) -> c_int {
    enter!(ibv_get_cq_event);
    let mut inside = None;
    loop {
        let got = with(|rt| {
            if inside.is_some_and(|k| rt.fabric.shared.channels.get(k).is_none()) {
                return Ok(Err(None));
            }
            let key = find_channel(rt, channel)?;
            inside = Some(key);
            let shared = &mut rt.fabric.shared;
            let Some(c) = shared.channels.get_mut(key) else { return Err(libc::EINVAL) };
            let Some(queue) = c.events.pop_front() else { return Ok(Err(Some(c.bell.fd))) };
            sys::take(c.bell.fd);
            let Some(queue) = shared.cqs.get_mut(queue) else { return Err(libc::EINVAL) };
            queue.events_taken = queue.events_taken.wrapping_add(1);
            Ok(Ok(queue.cell))
        });
        match got {
            Ok(Ok(cell)) => {
                // SAFETY: the caller vouches for both places; the cell is one of ours and alive.
                unsafe {
                    cq.write(cell);
                    cq_context.write((*cell).cq_context);
                }
                return 0;
            }
            Ok(Err(None)) => wait_for_ever(),
            Ok(Err(Some(fd))) => {
                if let Err(errno) = wait_on(fd) {
                    return sys::minus_one(Err(errno));
                }
            }
            Err(errno) => return sys::minus_one(Err(errno)),
        }
    }
}

/// Notifications were dealt with.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_ack_cq_events(cq: *mut ibv_cq, count: c_uint) {
    enter!(never ibv_ack_cq_events);
    with(|rt| {
        let Ok(key) = find_cq(rt, cq) else { return };
        let Some(taken) = rt.fabric.shared.cqs.get(key).map(|c| c.events_taken) else { return };
        // SAFETY: one of our cells and alive; written behind the lock only.
        let acked = unsafe {
            (*cq).comp_events_completed = (*cq).comp_events_completed.wrapping_add(count);
            (*cq).comp_events_completed
        };
        if taken.wrapping_sub(acked) > i32::MAX as u32 {
            rt.fabric.shared.misuse(&format!("cq {cq:p}: more notifications acknowledged than were taken"));
        }
    });
}
