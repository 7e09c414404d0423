//! Plain reads and writes of a namespace: the way of an I/O begins here, or with one of its kin in `ns_transfers`, `ns_vectors` and
//! `ns_blocks`. All take the short way of `at_once` first.

use super::{
    at_once::sent_at_once,
    callback::context,
    error::submission,
    types::{spdk_nvme_cmd_cb, spdk_nvme_ns, spdk_nvme_qpair},
};
use crate::host::{Data, Request, Transfer};
use libc::{EINVAL, c_int, c_void};

/// The body of an entry that takes a namespace and a queue pair:
/// `on_namespace!(symbol(arguments...), ns, qpair, |object, namespace| body)`. Either both are ours, or neither goes anywhere. A body that
/// calls functions of the program, which may free them, writes `qpair as share` and gets shares of both.
macro_rules! on_namespace {
    ($symbol:ident($($argument:expr),*), $ns:ident, $qpair:ident $(as $how:ident)?, |$object:ident, $namespace:ident| $body:expr) => {{
        if $crate::abi::handles::is_mixed(stringify!($symbol), $qpair.addr(), $ns.addr()) {
            return -libc::EINVAL;
        }
        $crate::abi::entry::entry!(
            $symbol($($argument),*),
            $crate::abi::qpair::Qpair $(as $how)?,
            $qpair,
            -libc::EINVAL,
            |$object| {
                // SAFETY: the entry's contract: nobody is freeing the namespace's handle.
                let found = unsafe { $crate::abi::handles::find::<$crate::abi::ns::Ns>($ns) };
                let $crate::abi::handles::Found::Ours($namespace) = found else {
                    return $crate::abi::ns_cmd::wrong_namespace(stringify!($symbol), $ns);
                };
                let $namespace = $crate::abi::entry::hold!($namespace $(as $how)?);
                $body
            }
        )
    }};
}
pub(super) use on_namespace;

/// Reads lba_count blocks from lba into payload; calls cb_fn from a poll of the queue pair when done.
///
/// payload stays untouched until then. It may be any memory of the program: what the program has registered, or what came from
/// spdk_dma_malloc() and its kin, is used in place; other memory is copied, or registered for the length of the command, which
/// costs more. Returns 0; -EINVAL for flags or a length that cannot be; -1 for a payload that is no memory, or not writable;
/// -ENOMEM if no request is free, so try again after a poll; -ENXIO if the queue pair is not connected. cb_fn is called if, and only if, this returns 0.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_read(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    let request = Request::new(Transfer::Read, lba, lba_count).with(io_flags, 0, 0);
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    // SAFETY: as for this entry.
    unsafe { read_otherwise(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, io_flags) }
}

/// What spdk_nvme_ns_cmd_read() does where something is unusual, or its namespace was not the last one's. With the same arguments in
/// the same places, it costs the other calls nothing but the jump that they do not take.
///
/// # Safety
///
/// As for the entry.
#[cold]
#[inline(never)]
unsafe extern "C" fn read_otherwise(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_read(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let (name, context) = (ns.cast_const().cast(), context(cb_fn, cb_arg));
            let host = object.host();
            let request = Request { flags: io_flags, ..Request::new(Transfer::Read, lba, lba_count) };
            submission(host.transfer(name, namespace, &request, &mut Data::Contiguous(payload), context))
        }
    )
}

/// Writes lba_count blocks from payload to lba; calls cb_fn from a poll of the queue pair when done.
///
/// The same as spdk_nvme_ns_cmd_read() otherwise.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    let request = Request::new(Transfer::Write, lba, lba_count).with(io_flags, 0, 0);
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    // SAFETY: as for this entry.
    unsafe { write_otherwise(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, io_flags) }
}

/// What spdk_nvme_ns_cmd_write() does where something is unusual, or its namespace was not the last one's. With the same arguments in
/// the same places, it costs the other calls nothing but the jump that they do not take.
///
/// # Safety
///
/// As for the entry.
#[cold]
#[inline(never)]
unsafe extern "C" fn write_otherwise(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_write(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let (name, context) = (ns.cast_const().cast(), context(cb_fn, cb_arg));
            let host = object.host();
            let request = Request { flags: io_flags, ..Request::new(Transfer::Write, lba, lba_count) };
            submission(host.transfer(name, namespace, &request, &mut Data::Contiguous(payload), context))
        }
    )
}

/// The queue pair is ours and the namespace is not.
#[cold]
pub(super) fn wrong_namespace(entry: &str, ns: *mut spdk_nvme_ns) -> c_int {
    super::handles::complain(entry, ns.addr());
    -EINVAL
}
