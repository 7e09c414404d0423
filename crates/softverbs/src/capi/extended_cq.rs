//! Extended completion queues: polling one completion at a time, field by field, through the functions in `struct ibv_cq_ex`.
//!
//! Between `ibv_start_poll` that found something and `ibv_end_poll` the queue belongs to the thread that polls: another thread's
//! `ibv_start_poll` waits. The completion that is looked at is kept in the queue; its fields are read from there.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::time::{SystemTime, UNIX_EPOCH};

use rdma_sys::{ibv_context, ibv_cq_ex, ibv_cq_init_attr_ex, ibv_poll_cq_attr, ibv_values_ex, ibv_wc_opcode};

use super::completion::create_cq;
use super::data::gone;
use super::device::find_context;
use super::verbs::{Patience, or_errno, or_null};
use crate::fabric::Clock;
use crate::fabric::cells::key_of;
use crate::fabric::cq::{Cq, Cqe, Extended};
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, lock, with};

/// `enum ibv_create_cq_wc_flags`: byte length to path bits.
const STANDARD: u64 = 0x7f;
const TIMESTAMP: u64 = 1 << 7;
const WALLCLOCK: u64 = 1 << 11;
const MASK_FLAGS: u32 = 1;
const SINGLE_THREADED: u32 = 1;
const VALUES_RAW_CLOCK: u32 = 1;

/// What a device with this clock says of it: one tick is a nanosecond.
pub const CLOCK_KHZ: u64 = 1_000_000;
/// All bits of a timestamp count.
pub const CLOCK_MASK: u64 = u64::MAX;

pub(super) unsafe extern "C" fn create_cq_ex(
    context: *mut ibv_context,
    attr: *mut ibv_cq_init_attr_ex,
) -> *mut ibv_cq_ex {
    enter!(ibv_create_cq_ex);
    // SAFETY: the program passes NULL or a whole struct.
    let Some(given) = (unsafe { attr.as_ref() }) else { return or_null(Err(libc::EINVAL)) };
    let flags = if given.comp_mask & MASK_FLAGS != 0 { given.flags } else { 0 };
    let offered = given.wc_flags & !(STANDARD | TIMESTAMP | WALLCLOCK) == 0
        && given.comp_mask & !MASK_FLAGS == 0
        && flags & !SINGLE_THREADED == 0;
    if !offered {
        return or_null(Err(libc::EOPNOTSUPP));
    }
    or_null(with(|rt| {
        let (Ok(cqe), Ok(vector)) = (c_int::try_from(given.cqe), c_int::try_from(given.comp_vector)) else {
            return Err(libc::EINVAL);
        };
        let cq = create_cq(rt, context, cqe, given.cq_context, given.channel, vector)?.cast::<ibv_cq_ex>();
        // SAFETY: made just now: one of our cells, which hold whole `ibv_cq_ex`s.
        let key: Key<Cq> = unsafe { key_of(cq) };
        if let Some(c) = rt.fabric.shared.cqs.get_mut(key) {
            c.extended = Some(Box::default());
        }
        // SAFETY: as above; nobody else knows it yet.
        fill(unsafe { &mut *cq }, given.wc_flags);
        Ok(cq)
    }))
}

/// Sets the functions that the program asked for; it may call no others.
fn fill(cq: &mut ibv_cq_ex, wanted: u64) {
    let wants = |bit: u32| wanted & (1 << bit) != 0;
    cq.start_poll = Some(start_poll);
    cq.next_poll = Some(next_poll);
    cq.end_poll = Some(end_poll);
    cq.read_opcode = Some(read_opcode);
    cq.read_vendor_err = Some(read_vendor_err);
    cq.read_wc_flags = Some(read_wc_flags);
    cq.read_byte_len = wants(0).then_some(read_byte_len as _);
    cq.read_imm_data = wants(1).then_some(read_imm_data as _);
    cq.read_qp_num = wants(2).then_some(read_qp_num as _);
    cq.read_src_qp = wants(3).then_some(read_zero as _);
    cq.read_slid = wants(4).then_some(read_zero as _);
    cq.read_sl = wants(5).then_some(read_zero_byte as _);
    cq.read_dlid_path_bits = wants(6).then_some(read_zero_byte as _);
    cq.read_completion_ts = wants(7).then_some(read_timestamp as _);
    cq.read_completion_wallclock_ns = wants(11).then_some(read_wallclock as _);
}

/// The key behind a pointer of the data path.
///
/// # Safety
/// `cq` is a CQ that the program was given, destroyed or not.
unsafe fn key(cq: *mut ibv_cq_ex) -> Key<Cq> {
    // SAFETY: passed on to the caller.
    unsafe { key_of(cq) }
}

unsafe extern "C" fn start_poll(cq: *mut ibv_cq_ex, attr: *mut ibv_poll_cq_attr) -> c_int {
    enter!(data ibv_start_poll);
    // SAFETY: the program passes NULL or a whole struct.
    if unsafe { attr.as_ref() }.is_none_or(|a| a.comp_mask != 0) {
        return libc::EINVAL;
    }
    // SAFETY: the program passes a CQ that it was given.
    let key = unsafe { key(cq) };
    let mut patience = Patience::new();
    loop {
        match claim(cq, key, &patience) {
            Ok(true) => break,
            Ok(false) => patience.wait(),
            Err(errno) => return errno,
        }
    }
    // SAFETY: as above.
    unsafe { take(cq, key, true) }
}

/// Whether no other thread polls.
fn claim(cq: *mut ibv_cq_ex, key: Key<Cq>, patience: &Patience) -> Result<bool, c_int> {
    let rt = &mut *lock();
    let over = patience.is_over(rt.manual);
    let extended = rt.fabric.shared.cqs.get_mut(key).and_then(|c| c.extended.as_deref_mut());
    let Some(extended) = extended else { return Err(gone(rt, cq as usize)) };
    if !extended.polling {
        return Ok(true);
    }
    if over {
        extended.polling = false;
        let text = format!("cq {cq:p}: ibv_start_poll would block for ever: no ibv_end_poll came");
        rt.fabric.shared.fatal(&text);
    }
    Ok(over)
}

unsafe extern "C" fn next_poll(cq: *mut ibv_cq_ex) -> c_int {
    enter!(data ibv_next_poll);
    // SAFETY: the program passes a CQ that it was given.
    unsafe { take(cq, key(cq), false) }
}

/// Takes the next completion, to be looked at. `first`: an empty queue is driven, and if it stays empty nobody polls.
///
/// # Safety
/// `cq` is a CQ that the program was given, `key` its key.
unsafe fn take(cq: *mut ibv_cq_ex, key: Key<Cq>, first: bool) -> c_int {
    let rt = &mut *lock();
    if rt.fabric.shared.unusual && !rt.poll_one_unusually(key, first) {
        return libc::ENOENT;
    }
    let mut taken = super::data::take_one(&mut rt.fabric, key);
    if taken.is_none() && first && rt.has_work() {
        rt.polled();
        rt.drive();
        taken = super::data::take_one(&mut rt.fabric, key);
    }
    let stamp = rt.fabric.clock.now();
    let wall = wallclock(rt);
    let Some(extended) = rt.fabric.shared.cqs.get_mut(key).and_then(|c| c.extended.as_deref_mut()) else {
        return gone(rt, cq as usize);
    };
    let Some(cqe) = taken else {
        return libc::ENOENT;
    };
    *extended = Extended { polling: true, current: Some(cqe), stamp, wall };
    // SAFETY: alive, since its key was found.
    unsafe {
        (*cq).wr_id = cqe.wr_id;
        (*cq).status = cqe.status;
    }
    0
}

fn wallclock(rt: &Runtime) -> u64 {
    match rt.fabric.clock {
        Clock::Manual(now) => now,
        Clock::Real | Clock::Ahead(_) => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
        }
    }
}

unsafe extern "C" fn end_poll(cq: *mut ibv_cq_ex) {
    // SAFETY: the program passes a CQ that it was given.
    let key = unsafe { key(cq) };
    let rt = &mut *lock();
    match rt.fabric.shared.cqs.get_mut(key).and_then(|c| c.extended.as_deref_mut()) {
        Some(extended) => extended.polling = false,
        None => {
            gone(rt, cq as usize);
        }
    }
}

/// What is kept of the completion that is looked at.
///
/// # Safety
/// `cq` is a CQ that the program was given.
unsafe fn look(cq: *mut ibv_cq_ex) -> Option<Extended> {
    // SAFETY: passed on to the caller.
    let key = unsafe { key(cq) };
    lock().fabric.shared.cqs.get(key).and_then(|c| c.extended.as_deref().copied())
}

/// As [`look`]: the completion.
///
/// # Safety
/// As there.
unsafe fn field(cq: *mut ibv_cq_ex, of: impl FnOnce(Cqe) -> u32) -> u32 {
    // SAFETY: passed on to the caller.
    unsafe { look(cq) }.and_then(|e| e.current).map_or(0, of)
}

unsafe extern "C" fn read_opcode(cq: *mut ibv_cq_ex) -> ibv_wc_opcode::Type {
    // SAFETY: the program passes a CQ that it was given.
    unsafe { field(cq, |c| c.opcode) }
}

unsafe extern "C" fn read_byte_len(cq: *mut ibv_cq_ex) -> u32 {
    // SAFETY: as above.
    unsafe { field(cq, |c| c.byte_len) }
}

unsafe extern "C" fn read_imm_data(cq: *mut ibv_cq_ex) -> u32 {
    // SAFETY: as above. An invalidated key is read through this one too.
    unsafe { field(cq, |c| c.word) }
}

unsafe extern "C" fn read_qp_num(cq: *mut ibv_cq_ex) -> u32 {
    // SAFETY: as above.
    unsafe { field(cq, |c| c.qp_num) }
}

unsafe extern "C" fn read_wc_flags(cq: *mut ibv_cq_ex) -> c_uint {
    // SAFETY: as above.
    unsafe { field(cq, |c| c.flags) }
}

unsafe extern "C" fn read_timestamp(cq: *mut ibv_cq_ex) -> u64 {
    // SAFETY: as above.
    unsafe { look(cq) }.map_or(0, |e| e.stamp)
}

unsafe extern "C" fn read_wallclock(cq: *mut ibv_cq_ex) -> u64 {
    // SAFETY: as above.
    unsafe { look(cq) }.map_or(0, |e| e.wall)
}

/// What a reliable connection does not have.
unsafe extern "C" fn read_zero(_: *mut ibv_cq_ex) -> u32 {
    0
}

/// As [`read_zero`].
unsafe extern "C" fn read_zero_byte(_: *mut ibv_cq_ex) -> u8 {
    0
}

/// As [`read_zero`].
unsafe extern "C" fn read_vendor_err(_: *mut ibv_cq_ex) -> u32 {
    0
}

/// `ibv_query_rt_values_ex`: the clock that timestamps are taken from. The ticks stand in the nanoseconds, as devices put them.
pub(super) unsafe extern "C" fn query_rt_values(
    context: *mut ibv_context,
    values: *mut ibv_values_ex,
) -> c_int {
    or_errno(with(|rt| {
        find_context(rt, context)?;
        // SAFETY: the program passes NULL or a struct that may be written.
        let Some(values) = (unsafe { values.as_mut() }) else { return Err(libc::EINVAL) };
        if values.comp_mask & !VALUES_RAW_CLOCK != 0 {
            return Err(libc::EINVAL);
        }
        if values.comp_mask & VALUES_RAW_CLOCK != 0 {
            values.raw_clock.tv_sec = 0;
            values.raw_clock.tv_nsec = rt.fabric.clock.now() as _;
        }
        Ok(())
    }))
}
