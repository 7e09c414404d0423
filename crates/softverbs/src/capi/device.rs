//! The device: listing, opening, asking.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint};
use std::mem::{offset_of, size_of};

use rdma_sys::{
    ibv_comp_channel, ibv_context, ibv_cq, ibv_device, ibv_device_attr, ibv_device_attr_ex, ibv_gid, ibv_mr,
    ibv_pd, ibv_port_attr, ibv_qp, ibv_query_device_ex_input, ibv_srq, verbs_context,
};

use super::{completion, data, extended_cq, queue_pair};
use crate::carrier::{address, sys};
use crate::fabric::device as limits;
use crate::fabric::objects::{Bell, Context, Subject};
use crate::fabric::profile::Profile;
use crate::fabric::slab::Key;
use crate::faults::calls::{begin, enter};
use crate::runtime::{Runtime, with};

/// `abi_compat` of contexts that are a part of a `struct verbs_context`.
const ABI_EXTENDED: usize = usize::MAX;
/// "SV" and locally administered, so no real device has it.
const NODE_GUID: u64 = u64::from_be_bytes([0x02, b's', b'o', b'f', b't', b'v', b'r', b'b']);

/// Opens the device.
pub fn open(rt: &mut Runtime, internal: bool) -> Option<(Key<Context>, *mut ibv_context)> {
    if !rt.fabric.has_device {
        return None;
    }
    let fd = sys::bell()?;
    let key = rt.fabric.shared.contexts.next_key();
    // SAFETY: `verbs_context` is numbers, optional function pointers and raw pointers: all zero is a value of it.
    let mut all: verbs_context = unsafe { std::mem::zeroed() };
    all.query_port = Some(query_port);
    all.query_device_ex = Some(query_device_ex);
    all.create_cq_ex = Some(extended_cq::create_cq_ex);
    all.query_rt_values = Some(extended_cq::query_rt_values);
    all.create_qp_ex = Some(queue_pair::create_qp_ex);
    all.sz = size_of::<verbs_context>();
    let context = &mut all.context;
    context.device = rt.device;
    context.cmd_fd = fd;
    context.async_fd = fd;
    context.num_comp_vectors = 1;
    context.abi_compat = ABI_EXTENDED as *mut _;
    context.ops.poll_cq = Some(data::poll_cq);
    context.ops.req_notify_cq = Some(data::req_notify_cq);
    context.ops.post_send = Some(data::post_send);
    context.ops.post_recv = Some(data::post_recv);
    context.ops.post_srq_recv = Some(data::post_srq_recv);
    let cell = rt.cells.contexts.alloc(key, all);
    // SAFETY: the cell holds a whole `verbs_context`.
    let cell = unsafe { &raw mut (*cell).context };
    let serial = rt.fabric.next_serial();
    let bell = Bell { fd, owed: 0 };
    rt.fabric.shared.contexts.insert(Context {
        cell,
        bell,
        events: Default::default(),
        internal,
        removed: false,
        serial,
    });
    Some((key, cell))
}

/// The context behind a C pointer.
pub fn find_context(rt: &mut Runtime, context: *const ibv_context) -> Result<Key<Context>, i32> {
    let all = (context as usize).wrapping_sub(offset_of!(verbs_context, context)) as *const verbs_context;
    if context.is_null() {
        return Err(libc::EINVAL);
    }
    super::find(&rt.cells.contexts, &mut rt.fabric.shared, all, "context", |s, k| s.contexts.get(k).is_some())
}

/// The context behind a C pointer, if its device is there still.
fn find_present(rt: &mut Runtime, context: *const ibv_context) -> Result<Key<Context>, i32> {
    let key = find_context(rt, context)?;
    rt.fabric.shared.check_present(key).map(|()| key)
}

/// Lists devices, NULL at the end. To be freed by `ibv_free_device_list`.
///
/// # Safety
/// `count` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_get_device_list(count: *mut c_int) -> *mut *mut ibv_device {
    if let Some(failed) = begin("ibv_get_device_list") {
        if !count.is_null() {
            // SAFETY: the caller vouches for `count`.
            unsafe { count.write(0) };
        }
        return failed.answer();
    }
    let (device, present) = with(|rt| (rt.device, rt.fabric.has_device));
    // SAFETY: calloc of two pointers, zeroed; written within bounds.
    let list = unsafe { libc::calloc(2, size_of::<*mut ibv_device>()) }.cast::<*mut ibv_device>();
    if list.is_null() {
        sys::set_errno(libc::ENOMEM);
        return list;
    }
    // SAFETY: `list` has room for two; `count` is the caller's.
    unsafe {
        if present {
            list.write(device);
        }
        if !count.is_null() {
            count.write(c_int::from(present));
        }
    }
    list
}

/// Frees a list of devices. Opened devices stay open.
///
/// # Safety
/// `list` came from `ibv_get_device_list`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_free_device_list(list: *mut *mut ibv_device) {
    // SAFETY: allocated by calloc there.
    unsafe { libc::free(list.cast()) };
}

/// The device's name.
///
/// # Safety
/// `device` came from `ibv_get_device_list`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_get_device_name(device: *mut ibv_device) -> *const c_char {
    if device.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the caller vouches for the device, which is never freed.
    unsafe { (&raw const (*device).name).cast() }
}

/// The device's GUID, in network order.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_get_device_guid(_device: *mut ibv_device) -> u64 {
    NODE_GUID.to_be()
}

/// The kernel's number of the device: there is no kernel device.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_get_device_index(_device: *mut ibv_device) -> c_int {
    -1
}

/// Opens a device.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_open_device(device: *mut ibv_device) -> *mut ibv_context {
    enter!(ibv_open_device);
    with(|rt| {
        if device != rt.device {
            sys::set_errno(libc::EINVAL);
            return std::ptr::null_mut();
        }
        match open(rt, false) {
            Some((_, cell)) => cell,
            None => {
                sys::set_errno(libc::ENODEV);
                std::ptr::null_mut()
            }
        }
    })
}

/// Closes a device. Objects made with the context should be gone; the kernel destroys what is left, and so does this.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_close_device(context: *mut ibv_context) -> c_int {
    enter!(ibv_close_device);
    let left = with(|rt| {
        let key = find_context(rt, context)?;
        let shared = &mut rt.fabric.shared;
        if shared.contexts.get(key).is_some_and(|c| c.internal) {
            shared.misuse(&format!(
                "context {context:p} belongs to librdmacm and is not the program's to close"
            ));
            return Err(libc::EINVAL);
        }
        let left = Left::of(rt, key);
        if left.len() > 0 {
            let count = left.len();
            rt.fabric
                .shared
                .misuse(&format!("context {context:p} is closed with {count} objects still made with it"));
        }
        Ok(left)
    });
    match left {
        Err(errno) => return errno,
        Ok(left) => left.destroy(),
    }
    with(|rt| {
        let Ok(key) = find_context(rt, context) else { return libc::EINVAL };
        if let Some(c) = rt.fabric.shared.contexts.remove(key) {
            sys::close(c.bell.fd);
            let all = (c.cell as usize - offset_of!(verbs_context, context)) as *mut verbs_context;
            rt.cells.contexts.free(all);
        }
        0
    })
}

/// What a context that is to be closed still has.
struct Left {
    qps: Vec<*mut ibv_qp>,
    srqs: Vec<*mut ibv_srq>,
    cqs: Vec<*mut ibv_cq>,
    mrs: Vec<*mut ibv_mr>,
    pds: Vec<*mut ibv_pd>,
    channels: Vec<*mut ibv_comp_channel>,
}

impl Left {
    fn of(rt: &Runtime, key: Key<Context>) -> Self {
        let s = &rt.fabric.shared;
        let within = |pd| s.pds.get(pd).is_some_and(|p| p.context == key);
        Self {
            qps: rt
                .fabric
                .qps
                .iter()
                .filter(|(_, q)| q.made.context == key)
                .map(|(_, q)| q.made.cell)
                .collect(),
            srqs: s.srqs.iter().filter(|(_, q)| within(q.pd)).map(|(_, q)| q.cell).collect(),
            cqs: s.cqs.iter().filter(|(_, c)| c.context == key).map(|(_, c)| c.cell).collect(),
            mrs: s.mrs.iter().filter(|(_, m)| within(m.pd)).map(|(_, m)| m.cell).collect(),
            pds: s.pds.iter().filter(|(_, p)| p.context == key).map(|(_, p)| p.cell).collect(),
            channels: s.channels.iter().filter(|(_, c)| c.context == key).map(|(_, c)| c.cell).collect(),
        }
    }

    fn len(&self) -> usize {
        let of_pds = self.qps.len() + self.srqs.len() + self.mrs.len();
        of_pds + self.cqs.len() + self.pds.len() + self.channels.len()
    }

    /// Destroys it, children first.
    fn destroy(self) {
        with(|rt| {
            let qps = self.qps.iter().filter_map(|qp| rt.cells.qps.find(qp.cast())).map(Subject::Qp);
            let srqs = self.srqs.iter().filter_map(|srq| rt.cells.srqs.find(*srq)).map(Subject::Srq);
            let cqs = self.cqs.iter().filter_map(|cq| rt.cells.cqs.find(cq.cast())).map(Subject::Cq);
            for subject in qps.chain(srqs).chain(cqs) {
                rt.async_taken.forget(subject);
            }
        });
        for qp in self.qps {
            queue_pair::ibv_destroy_qp(qp);
        }
        for srq in self.srqs {
            super::shared_receive::ibv_destroy_srq(srq);
        }
        for mr in self.mrs {
            super::memory::ibv_dereg_mr(mr);
        }
        for cq in self.cqs {
            completion::forget_events(cq);
            completion::ibv_destroy_cq(cq);
        }
        for pd in self.pds {
            super::memory::ibv_dealloc_pd(pd);
        }
        for channel in self.channels {
            completion::ibv_destroy_comp_channel(channel);
        }
    }
}

fn fill_device_attr(attr: &mut ibv_device_attr, device: &Profile) {
    // None of the limits is larger than the full device's, which fit.
    let number = |n: u64| n as c_int;
    for (to, from) in attr.fw_ver.iter_mut().zip(b"softverbs 1\0") {
        *to = *from as c_char;
    }
    attr.node_guid = NODE_GUID.to_be();
    attr.sys_image_guid = NODE_GUID.to_be();
    attr.max_mr_size = device.max_mr_size;
    attr.page_size_cap = device.page_size_cap;
    attr.max_qp = number(device.max_qp);
    attr.max_qp_wr = number(device.max_qp_wr);
    // A QP goes to error rather than stall (the specification's "sys image guid" and "port active event" capabilities aside,
    // nothing optional is offered); SRQs can be resized no further than made.
    attr.device_cap_flags = (1 << 12) | (1 << 11) | (1 << 10);
    attr.max_sge = number(device.max_sge);
    attr.max_sge_rd = number(device.max_sge);
    attr.max_cq = number(device.max_cq);
    attr.max_cqe = number(device.max_cqe);
    attr.max_mr = number(device.max_mr);
    attr.max_pd = limits::MAX_OBJECTS;
    attr.max_qp_rd_atom = number(device.max_qp_rd_atom);
    attr.max_res_rd_atom = number(device.max_qp_rd_atom * device.max_qp);
    attr.max_qp_init_rd_atom = number(device.max_qp_init_rd_atom);
    attr.max_srq = number(device.max_srq);
    attr.max_srq_wr = if device.max_srq > 0 { number(device.max_srq_wr) } else { 0 };
    attr.max_srq_sge = if device.max_srq > 0 { number(device.max_srq_sge) } else { 0 };
    attr.max_pkeys = 1;
    attr.local_ca_ack_delay = 15;
    attr.phys_port_cnt = 1;
}

/// The device's limits.
///
/// # Safety
/// `attr` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_device(context: *mut ibv_context, attr: *mut ibv_device_attr) -> c_int {
    enter!(ibv_query_device);
    let device = match with(|rt| find_present(rt, context).map(|_| *rt.fabric.shared.profile())) {
        Ok(device) => device,
        Err(errno) => return errno,
    };
    if attr.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: the caller vouches for `attr`; the struct is numbers, so all zero is a value of it.
    unsafe {
        attr.write(std::mem::zeroed());
        fill_device_attr(&mut *attr, &device);
    }
    0
}

unsafe extern "C" fn query_device_ex(
    context: *mut ibv_context,
    input: *const ibv_query_device_ex_input,
    attr: *mut ibv_device_attr_ex,
    size: usize,
) -> c_int {
    enter!(ibv_query_device_ex);
    let device = match with(|rt| find_present(rt, context).map(|_| *rt.fabric.shared.profile())) {
        Ok(device) => device,
        Err(errno) => return errno,
    };
    // SAFETY: the program passes NULL or a whole input.
    let extension = unsafe { input.as_ref() }.is_some_and(|i| i.comp_mask != 0);
    if attr.is_null() || size < size_of::<ibv_device_attr>() || extension {
        return libc::EINVAL;
    }
    // SAFETY: the struct is numbers, so all zero is a value of it.
    let mut all: ibv_device_attr_ex = unsafe { std::mem::zeroed() };
    fill_device_attr(&mut all.orig_attr, &device);
    all.device_cap_flags_ex = u64::from(all.orig_attr.device_cap_flags);
    all.phys_port_cnt_ex = 1;
    all.completion_timestamp_mask = extended_cq::CLOCK_MASK;
    all.hca_core_clock = extended_cq::CLOCK_KHZ;
    let room = size.min(size_of::<ibv_device_attr_ex>());
    // SAFETY: the caller has `size` bytes at `attr`; no more than the struct's own size is copied.
    unsafe { std::ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), attr.cast::<u8>(), room) };
    0
}

unsafe extern "C" fn query_port(
    context: *mut ibv_context,
    port: u8,
    attr: *mut ibv_port_attr,
    size: usize,
) -> c_int {
    enter!(ibv_query_port);
    // SAFETY: passed on to the caller.
    unsafe { query_port_state(context, port, attr, size) }
}

/// # Safety
/// `attr` has room for `size` bytes.
unsafe fn query_port_state(
    context: *mut ibv_context,
    port: u8,
    attr: *mut ibv_port_attr,
    size: usize,
) -> c_int {
    if let Err(errno) = with(|rt| find_present(rt, context)) {
        return errno;
    }
    if port != 1 || attr.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: the struct is numbers, so all zero is a value of it.
    let mut all: ibv_port_attr = unsafe { std::mem::zeroed() };
    let down = with(|rt| rt.fabric.shared.faults.blocked.port);
    all.state = if down { 1 } else { 4 };
    all.max_mtu = crate::cm::attributes::MTU_4096;
    all.active_mtu = crate::cm::attributes::MTU_4096;
    all.gid_tbl_len = gids().len().max(1) as c_int;
    all.port_cap_flags = 0x0001_0000;
    all.max_msg_sz = crate::fabric::posting::MAX_MESSAGE as u32;
    all.pkey_tbl_len = 1;
    all.max_vl_num = 1;
    all.active_width = 2;
    all.active_speed = 32;
    all.phys_state = if down { 3 } else { 5 };
    all.link_layer = 2;
    let room = size.min(size_of::<ibv_port_attr>());
    // SAFETY: the caller has `size` bytes at `attr`; no more than the struct's own size is copied.
    unsafe { std::ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), attr.cast::<u8>(), room) };
    0
}

/// The port's state, for callers of the old entry point, whose struct ends before `port_cap_flags2`.
///
/// # Safety
/// `attr` may be written as far as the old struct goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_port(
    context: *mut ibv_context,
    port: u8,
    attr: *mut ibv_port_attr,
) -> c_int {
    enter!(ibv_query_port);
    // SAFETY: the old struct has everything before `port_cap_flags2`.
    unsafe { query_port_state(context, port, attr, offset_of!(ibv_port_attr, port_cap_flags2)) }
}

/// The port's GIDs: one for each address of the machine.
pub fn gids() -> Vec<[u8; 16]> {
    address::all_local().into_iter().map(|(ip, _)| address::gid_of(ip)).collect()
}

/// A GID of the port.
///
/// # Safety
/// `gid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_gid(
    context: *mut ibv_context,
    port: u8,
    index: c_int,
    gid: *mut ibv_gid,
) -> c_int {
    enter!(ibv_query_gid);
    let known = with(|rt| find_context(rt, context));
    let raw = usize::try_from(index).ok().and_then(|i| gids().get(i).copied());
    match (known, raw) {
        (Ok(_), Some(raw)) if port == 1 && !gid.is_null() => {
            // SAFETY: the caller vouches for `gid`.
            unsafe { gid.write(ibv_gid { raw }) };
            0
        }
        _ => {
            sys::set_errno(libc::EINVAL);
            -1
        }
    }
}

/// `struct ibv_gid_entry`, which rdma-sys's bindings lack.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GidEntry {
    gid: [u64; 2],
    index: u32,
    port: u32,
    kind: u32,
    interface: u32,
}

/// `IBV_GID_TYPE_ROCE_V2`
const ROCE_V2: u32 = 2;

fn entries() -> Vec<GidEntry> {
    let entry = |(index, raw): (usize, [u8; 16])| {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = raw;
        let gid =
            [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])];
        GidEntry { gid, index: index as u32, port: 1, kind: ROCE_V2, interface: 0 }
    };
    gids().into_iter().enumerate().map(entry).collect()
}

/// A GID of the port with all that is known of it.
///
/// # Safety
/// `entry` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ibv_query_gid_ex(
    context: *mut ibv_context,
    port: u32,
    index: u32,
    entry: *mut GidEntry,
    flags: u32,
    size: usize,
) -> c_int {
    enter!(_ibv_query_gid_ex);
    if with(|rt| find_context(rt, context)).is_err() || port != 1 || flags != 0 || entry.is_null() {
        return libc::EINVAL;
    }
    if size < size_of::<GidEntry>() {
        return libc::EINVAL;
    }
    match entries().get(index as usize) {
        Some(found) => {
            // SAFETY: the caller vouches for `entry`, which is large enough.
            unsafe { entry.write(*found) };
            0
        }
        None => libc::ENODATA,
    }
}

/// All GIDs of the port; how many, or an errno negated: EINVAL if there are more than there is room for.
///
/// # Safety
/// `table` has room for `most` entries of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ibv_query_gid_table(
    context: *mut ibv_context,
    table: *mut GidEntry,
    most: usize,
    flags: u32,
    size: usize,
) -> isize {
    enter!(_ibv_query_gid_table);
    if with(|rt| find_context(rt, context)).is_err()
        || flags != 0
        || size != size_of::<GidEntry>()
        || table.is_null()
    {
        return -(libc::EINVAL as isize);
    }
    let all = entries();
    if all.len() > most {
        // As the kernel: a table that does not fit is not cut.
        return -(libc::EINVAL as isize);
    }
    for (at, entry) in all.iter().enumerate() {
        // SAFETY: the caller has room for `most` entries, which are as many at least.
        unsafe { table.add(at).write(*entry) };
    }
    all.len() as isize
}

/// Whether a GID is of the first or the second version of RoCE: all are of the second.
///
/// # Safety
/// `kind` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_gid_type(
    context: *mut ibv_context,
    port: u8,
    index: c_uint,
    kind: *mut c_uint,
) -> c_int {
    enter!(ibv_query_gid_type);
    let known = with(|rt| find_context(rt, context)).is_ok() && port == 1 && (index as usize) < gids().len();
    if !known || kind.is_null() {
        sys::set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller vouches for `kind`.
    unsafe { kind.write(1) };
    0
}

/// A partition key of the port: there is the default one.
///
/// # Safety
/// `pkey` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_query_pkey(
    context: *mut ibv_context,
    port: u8,
    index: c_int,
    pkey: *mut u16,
) -> c_int {
    enter!(ibv_query_pkey);
    if with(|rt| find_context(rt, context)).is_err() || port != 1 || index != 0 || pkey.is_null() {
        sys::set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller vouches for `pkey`.
    unsafe { pkey.write(u16::MAX) };
    0
}

/// The index of a partition key.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_get_pkey_index(_context: *mut ibv_context, port: u8, pkey: u16) -> c_int {
    enter!(ibv_get_pkey_index);
    if port == 1 && pkey == u16::MAX {
        return 0;
    }
    sys::set_errno(libc::EINVAL);
    -1
}

/// There is no kernel to be prepared for fork.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_fork_init() -> c_int {
    enter!(ibv_fork_init);
    0
}
