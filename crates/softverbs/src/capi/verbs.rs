//! Protection domains, memory regions, completion channels and queues, queue pairs, shared receive queues.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

use rdma_sys::{
    ibv_comp_channel, ibv_context, ibv_cq, ibv_cq_ex, ibv_mr, ibv_pd, ibv_qp, ibv_qp_attr, ibv_qp_cap,
    ibv_qp_ex, ibv_qp_init_attr, ibv_qp_init_attr_ex, ibv_srq, ibv_srq_attr, ibv_srq_init_attr,
};

use super::device::find_context;
use super::find;
use crate::carrier::helper::Asleep;
use crate::carrier::{address, sys};
use crate::fabric::cq::{Armed, Cq};
use crate::fabric::device as limits;
use crate::fabric::memory::{Mr, access};
use crate::fabric::objects::{Bell, CompChannel, Pd};
use crate::fabric::qp::{Parts, Qp, State};
use crate::fabric::slab::Key;
use crate::fabric::srq::{RecvRing, Srq};
use crate::runtime::{Runtime, with};

const QPT_RC: u32 = 2;
/// Bits that only ask for an optimization, or that have no meaning without a device.
const ACCESS_OPTIONAL: u32 = 0x3ff0_0000;
const ACCESS_KNOWN: u32 = access::LOCAL_WRITE
    | access::REMOTE_WRITE
    | access::REMOTE_READ
    | access::REMOTE_ATOMIC
    | ACCESS_OPTIONAL;

/// A pointer, or NULL with errno.
pub fn or_null<T>(result: Result<*mut T, i32>) -> *mut T {
    result.unwrap_or_else(|errno| {
        sys::set_errno(errno);
        std::ptr::null_mut()
    })
}

/// 0, or the errno itself, as most verbs return it.
pub fn or_errno(result: Result<(), i32>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => {
            sys::set_errno(errno);
            errno
        }
    }
}

/// Looks a protection domain up.
pub fn find_pd(rt: &mut Runtime, pd: *const ibv_pd) -> Result<Key<Pd>, i32> {
    find(&rt.cells.pds, &mut rt.fabric.shared, pd, "pd", |s, k| s.pds.get(k).is_some())
}

/// Looks a completion queue up.
pub fn find_cq(rt: &mut Runtime, cq: *const ibv_cq) -> Result<Key<Cq>, i32> {
    find(&rt.cells.cqs, &mut rt.fabric.shared, cq.cast::<ibv_cq_ex>(), "cq", |s, k| s.cqs.get(k).is_some())
}

/// Looks a queue pair up.
pub fn find_qp(rt: &mut Runtime, qp: *const ibv_qp) -> Result<Key<Qp>, i32> {
    let qps = &rt.fabric.qps;
    find(&rt.cells.qps, &mut rt.fabric.shared, qp.cast::<ibv_qp_ex>(), "qp", |_, k| qps.get(k).is_some())
}

fn find_srq(rt: &mut Runtime, srq: *const ibv_srq) -> Result<Key<Srq>, i32> {
    find(&rt.cells.srqs, &mut rt.fabric.shared, srq, "srq", |s, k| s.srqs.get(k).is_some())
}

fn find_channel(rt: &mut Runtime, channel: *const ibv_comp_channel) -> Result<Key<CompChannel>, i32> {
    find(&rt.cells.channels, &mut rt.fabric.shared, channel, "completion channel", |s, k| {
        s.channels.get(k).is_some()
    })
}

/// Waits for a bell, honouring O_NONBLOCK. The error is an errno.
pub fn wait_on(fd: c_int) -> Result<(), i32> {
    if sys::is_nonblocking(fd) {
        return Err(libc::EAGAIN);
    }
    let moved = with(|rt| if rt.manual { Some(rt.step(u64::MAX)) } else { None });
    match moved {
        Some(true) => Ok(()),
        Some(false) => {
            with(|rt| rt.fabric.shared.fatal("a call would block for ever: nothing is due"));
            Err(libc::EDEADLK)
        }
        None => {
            let _asleep = Asleep::new();
            sys::wait_readable(fd, -1).map(|_| ())
        }
    }
}

/// What a thread does in a call on a channel that another thread destroys meanwhile.
pub fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

// ---- protection domains and memory regions

/// Makes a protection domain.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_alloc_pd(context: *mut ibv_context) -> *mut ibv_pd {
    or_null(with(|rt| alloc_pd(rt, context, false).map(|(_, cell)| cell)))
}

/// As [`ibv_alloc_pd`], with the lock held.
pub fn alloc_pd(
    rt: &mut Runtime,
    context: *mut ibv_context,
    internal: bool,
) -> Result<(Key<Pd>, *mut ibv_pd), i32> {
    let of = find_context(rt, context)?;
    let key = rt.fabric.shared.pds.next_key();
    let cell = rt.cells.pds.alloc(key, ibv_pd { context, handle: key.index() });
    let serial = rt.fabric.next_serial();
    rt.fabric.shared.pds.insert(Pd { cell, context: of, children: 0, internal, serial });
    Ok((key, cell))
}

/// Destroys a protection domain. EBUSY while anything is in it.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_dealloc_pd(pd: *mut ibv_pd) -> c_int {
    or_errno(with(|rt| {
        let key = find_pd(rt, pd)?;
        if rt.fabric.shared.pds.get(key).is_some_and(|p| p.children > 0) {
            return Err(libc::EBUSY);
        }
        rt.fabric.shared.pds.remove(key);
        rt.cells.pds.free(pd);
        Ok(())
    }))
}

/// Registers memory.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    access: c_int,
) -> *mut ibv_mr {
    or_null(with(|rt| reg_mr(rt, pd, addr, length, addr as u64, access as u32)))
}

/// Registers memory under another address.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr_iova(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    access: c_int,
) -> *mut ibv_mr {
    or_null(with(|rt| reg_mr(rt, pd, addr, length, iova, access as u32)))
}

/// Registers memory under another address, optional rights included.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr_iova2(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    access: c_uint,
) -> *mut ibv_mr {
    or_null(with(|rt| reg_mr(rt, pd, addr, length, iova, access)))
}

fn reg_mr(
    rt: &mut Runtime,
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    rights: u32,
) -> Result<*mut ibv_mr, i32> {
    let of = find_pd(rt, pd)?;
    let remote_change = rights & (access::REMOTE_WRITE | access::REMOTE_ATOMIC) != 0;
    if rights & !ACCESS_KNOWN != 0 || (remote_change && rights & access::LOCAL_WRITE == 0) {
        return Err(libc::EINVAL);
    }
    if addr.is_null() && length > 0 {
        return Err(libc::EFAULT);
    }
    if (addr as u64).checked_add(length as u64).is_none() || iova.checked_add(length as u64).is_none() {
        return Err(libc::EINVAL);
    }
    let fabric = &mut rt.fabric;
    if fabric.shared.mrs.len() >= crate::fabric::memory::MAX_MR {
        return Err(libc::ENOMEM);
    }
    let tag = fabric.random.next() as u32;
    let (key, lkey, rkey) = fabric.shared.mrs.next_keys(tag);
    // SAFETY: the cell above is one of ours and alive.
    let context = unsafe { (*pd).context };
    let cell = rt.cells.mrs.alloc(key, ibv_mr { context, pd, addr, length, handle: key.index(), lkey, rkey });
    let serial = fabric.next_serial();
    fabric.shared.mrs.insert(Mr {
        cell,
        pd: of,
        iova,
        host: addr as u64,
        length: length as u64,
        access: rights,
        lkey,
        rkey,
        invalidated: false,
        serial,
    });
    if let Some(p) = fabric.shared.pds.get_mut(of) {
        p.children += 1;
    }
    Ok(cell)
}

/// Deregisters memory. Whoever still uses a key of it gets an error.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_dereg_mr(mr: *mut ibv_mr) -> c_int {
    or_errno(with(|rt| {
        let key = find(&rt.cells.mrs, &mut rt.fabric.shared, mr, "mr", |s, k| s.mrs.get(k).is_some())?;
        if let Some(gone) = rt.fabric.shared.mrs.remove(key)
            && let Some(p) = rt.fabric.shared.pds.get_mut(gone.pd)
        {
            p.children -= 1;
        }
        rt.cells.mrs.free(mr);
        Ok(())
    }))
}

// ---- completion channels and queues

/// Makes a completion channel.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_create_comp_channel(context: *mut ibv_context) -> *mut ibv_comp_channel {
    or_null(with(|rt| {
        let of = find_context(rt, context)?;
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
    if cqe <= 0 || cqe as u32 > limits::MAX_CQE || comp_vector != 0 {
        return Err(libc::EINVAL);
    }
    let on = if channel.is_null() { None } else { Some(find_channel(rt, channel)?) };
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
    rt.fabric.shared.cqs.insert(Cq::new(cell, of, on, cqe as usize, serial));
    if let Some(c) = on.and_then(|k| rt.fabric.shared.channels.get_mut(k)) {
        c.children += 1;
    }
    Ok(cell)
}

/// Changes a completion queue's room. EINVAL if what waits in it would not fit.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_resize_cq(cq: *mut ibv_cq, cqe: c_int) -> c_int {
    or_errno(with(|rt| {
        let key = find_cq(rt, cq)?;
        if cqe <= 0 || cqe as u32 > limits::MAX_CQE {
            return Err(libc::EINVAL);
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
            let channel = c.channel;
            if unacked > 0 && !patience.is_over(rt.manual) {
                return Ok(false);
            }
            if unacked > 0 {
                let text = format!(
                    "ibv_destroy_cq({cq:p}) would block for ever: {unacked} notifications not acknowledged"
                );
                rt.fabric.shared.fatal(&text);
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
    with(|rt| {
        let Ok(key) = find_cq(rt, cq) else { return };
        let Some(taken) = rt.fabric.shared.cqs.get(key).map(|c| c.events_taken) else { return };
        // SAFETY: one of our cells and alive; written behind the lock only.
        let acked = unsafe {
            (*cq).comp_events_completed = (*cq).comp_events_completed.wrapping_add(count);
            (*cq).comp_events_completed
        };
        if taken.wrapping_sub(acked) > i32::MAX as u32 {
            rt.fabric
                .shared
                .violation(&format!("cq {cq:p}: more notifications acknowledged than were taken"));
        }
    });
}

// ---- queue pairs

/// Makes a queue pair; the capabilities granted are written back.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_create_qp(pd: *mut ibv_pd, attr: *mut ibv_qp_init_attr) -> *mut ibv_qp {
    if attr.is_null() {
        return or_null(Err(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `attr`.
    let attr = unsafe { &mut *attr };
    or_null(with(|rt| create_qp(rt, pd, attr)))
}

/// `ibv_create_qp_ex`: only what `ibv_create_qp` offers too.
pub(super) unsafe extern "C" fn create_qp_ex(
    _context: *mut ibv_context,
    attr: *mut ibv_qp_init_attr_ex,
) -> *mut ibv_qp {
    const ATTR_PD: u32 = 1;
    if attr.is_null() {
        return or_null(Err(libc::EINVAL));
    }
    // SAFETY: the program passes a whole struct.
    let given = unsafe { &mut *attr };
    if given.comp_mask & ATTR_PD == 0 {
        return or_null(Err(libc::EINVAL));
    }
    if given.comp_mask & !ATTR_PD != 0 {
        return or_null(Err(libc::EOPNOTSUPP));
    }
    let mut plain = plain_attr(given);
    let qp = or_null(with(|rt| create_qp(rt, given.pd, &mut plain)));
    given.cap = plain.cap;
    qp
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

fn granted(cap: &ibv_qp_cap, has_srq: bool) -> Result<ibv_qp_cap, i32> {
    let fits = cap.max_send_wr <= limits::MAX_QP_WR
        && cap.max_recv_wr <= limits::MAX_QP_WR
        && cap.max_send_sge <= limits::MAX_SGE
        && cap.max_recv_sge <= limits::MAX_SGE
        && cap.max_inline_data <= limits::MAX_INLINE;
    if !fits {
        return Err(libc::EINVAL);
    }
    let mut cap = *cap;
    if has_srq {
        cap.max_recv_wr = 0;
        cap.max_recv_sge = 0;
    }
    Ok(cap)
}

/// As [`ibv_create_qp`], with the lock held.
pub fn create_qp(rt: &mut Runtime, pd: *mut ibv_pd, attr: &mut ibv_qp_init_attr) -> Result<*mut ibv_qp, i32> {
    let in_pd = find_pd(rt, pd)?;
    if attr.qp_type != QPT_RC {
        return Err(libc::EOPNOTSUPP);
    }
    let send_cq = find_cq(rt, attr.send_cq)?;
    let recv_cq = find_cq(rt, attr.recv_cq)?;
    let srq = if attr.srq.is_null() { None } else { Some(find_srq(rt, attr.srq)?) };
    let cap = granted(&attr.cap, srq.is_some())?;
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
    let parts = Parts { cell, key, number, context, pd: in_pd, send_cq, recv_cq, srq, sig_all, cap, serial };
    rt.fabric.qps.insert(Qp::new(parts));
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
    or_errno(with(|rt| destroy_qp(rt, qp)))
}

/// As [`ibv_destroy_qp`], with the lock held.
pub fn destroy_qp(rt: &mut Runtime, qp: *mut ibv_qp) -> Result<(), i32> {
    let key = find_qp(rt, qp)?;
    let gone = rt.fabric.destroy_qp(key).ok_or(libc::EINVAL)?;
    let shared = &mut rt.fabric.shared;
    if let Some(p) = shared.pds.get_mut(gone.pd) {
        p.children -= 1;
    }
    for cq in [gone.send_cq, gone.recv_cq] {
        if let Some(c) = shared.cqs.get_mut(cq) {
            c.users -= 1;
        }
    }
    if let Some(s) = gone.srq.and_then(|k| shared.srqs.get_mut(k)) {
        s.users -= 1;
    }
    rt.cells.qps.free(qp.cast());
    Ok(())
}

/// Changes a queue pair's state and attributes.
///
/// # Safety
/// `attr` is a whole struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_modify_qp(qp: *mut ibv_qp, attr: *mut ibv_qp_attr, mask: c_int) -> c_int {
    or_errno(with(|rt| {
        let key = find_qp(rt, qp)?;
        if attr.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for `attr`; only numbers are read from it.
        rt.fabric.modify_qp(key, unsafe { &*attr }, mask)
    }))
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
    or_errno(with(|rt| {
        let key = find_qp(rt, qp)?;
        let Some(q) = rt.fabric.qps.get(key) else { return Err(libc::EINVAL) };
        if attr.is_null() || init.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: a copy of numbers; bindgen only left the derive out.
        let mut out: ibv_qp_attr = unsafe { std::ptr::read(&raw const q.attr) };
        out.qp_state = q.state as u32;
        out.cur_qp_state = q.state as u32;
        out.cap = q.cap;
        // SAFETY: the caller vouches for both; the cell is one of ours and alive.
        unsafe {
            attr.write(out);
            init.write(ibv_qp_init_attr {
                qp_context: (*qp).qp_context,
                send_cq: (*qp).send_cq,
                recv_cq: (*qp).recv_cq,
                srq: (*qp).srq,
                cap: q.cap,
                qp_type: (*qp).qp_type,
                sq_sig_all: c_int::from(q.sig_all),
            });
        }
        Ok(())
    }))
}

/// The extended interface is not offered: no queue pair has it.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_qp_to_qp_ex(_qp: *mut ibv_qp) -> *mut ibv_qp_ex {
    std::ptr::null_mut()
}

// ---- shared receive queues

/// Makes a shared receive queue.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_create_srq(pd: *mut ibv_pd, attr: *mut ibv_srq_init_attr) -> *mut ibv_srq {
    or_null(with(|rt| {
        let in_pd = find_pd(rt, pd)?;
        if attr.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for `attr`.
        let given = unsafe { &mut *attr };
        let (max_wr, max_sge) = (given.attr.max_wr, given.attr.max_sge);
        if max_wr == 0 || max_wr > limits::MAX_SRQ_WR || max_sge > limits::MAX_SGE {
            return Err(libc::EINVAL);
        }
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

/// Changes a shared receive queue's limit. Its size cannot be changed.
///
/// # Safety
/// `attr` is a whole struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_modify_srq(srq: *mut ibv_srq, attr: *mut ibv_srq_attr, mask: c_int) -> c_int {
    const MAX_WR: c_int = 1;
    const LIMIT: c_int = 2;
    or_errno(with(|rt| {
        let key = find_srq(rt, srq)?;
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
    or_errno(with(|rt| {
        let key = find_srq(rt, srq)?;
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
    or_errno(with(|rt| {
        let key = find_srq(rt, srq)?;
        if rt.fabric.shared.srqs.get(key).is_some_and(|s| s.users > 0) {
            return Err(libc::EBUSY);
        }
        if let Some(s) = rt.fabric.shared.srqs.remove(key)
            && let Some(p) = rt.fabric.shared.pds.get_mut(s.pd)
        {
            p.children -= 1;
        }
        rt.cells.srqs.free(srq);
        Ok(())
    }))
}

/// How long a call waits for another thread to acknowledge events, before it says that this will not happen.
pub struct Patience {
    turns: u32,
}

impl Patience {
    const TURNS: u32 = 2000;

    /// None used up.
    pub fn new() -> Self {
        Self { turns: 0 }
    }

    /// Whether to give up: at once if there are no other threads by definition.
    pub fn is_over(&self, alone: bool) -> bool {
        alone || self.turns >= Self::TURNS
    }

    /// A millisecond, without the lock.
    pub fn wait(&mut self) {
        self.turns += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
