//! Commands on blocks beside reads and writes: compare, and those that have no data.
//!
//! For all of them: 0 says that the command was accepted, and cb_fn, which may be NULL, is called once from a poll of the queue pair;
//! -EINVAL a wrong argument, -ENOMEM that no request is free, -ENXIO that the queue pair is not connected; cb_fn is not called then. Whether the
//! controller knows the command is for it to say.

use super::{
    at_once::sent_at_once,
    callback::context,
    error::submission,
    ns_cmd::on_namespace,
    types::{spdk_nvme_cmd_cb, spdk_nvme_ns, spdk_nvme_qpair},
};
use crate::host::{Data, Payload, Request, Transfer};
use libc::{c_int, c_void};
use spec::{Command, NvmOpcode};

/// Compares lba_count blocks from lba with payload: the completion is COMPARE FAILURE if they differ. As spdk_nvme_ns_cmd_read() otherwise.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_compare(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    let request = Request::new(Transfer::Compare, lba, lba_count).with(io_flags, 0, 0);
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_compare(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let (name, context) = (ns.cast_const().cast(), context(cb_fn, cb_arg));
            let host = object.host();
            submission(host.transfer(name, namespace, &request, &mut Data::Contiguous(payload), context))
        }
    )
}

/// Makes lba_count blocks, 1 to 65,536, read as zeros.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write_zeroes(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_write_zeroes(ns, qpair, lba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let context = context(cb_fn, cb_arg);
            submission(object.host().on_blocks(
                NvmOpcode::WRITE_ZEROES,
                namespace,
                lba,
                lba_count,
                io_flags,
                context,
            ))
        }
    )
}

/// Has the controller read lba_count blocks, 1 to 65,536, and check what it can, without transferring them.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_verify(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_verify(ns, qpair, lba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let context = context(cb_fn, cb_arg);
            submission(object.host().on_blocks(
                NvmOpcode::VERIFY,
                namespace,
                lba,
                lba_count,
                io_flags,
                context,
            ))
        }
    )
}

/// Marks lba_count blocks, 1 to 65,536, as invalid: reads of them fail until they are written.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write_uncorrectable(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_write_uncorrectable(ns, qpair, lba, lba_count, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            let context = context(cb_fn, cb_arg);
            submission(object.host().on_blocks(
                NvmOpcode::WRITE_UNCORRECTABLE,
                namespace,
                lba,
                lba_count,
                0,
                context,
            ))
        }
    )
}

/// Has the controller make all that was written, and completed, durable.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_flush(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(spdk_nvme_ns_cmd_flush(ns, qpair, cb_fn, cb_arg), ns, qpair, |object, namespace| {
        let command = Command::flush(namespace.id());
        submission(object.host().submit(command, Payload::None, context(cb_fn, cb_arg)))
    })
}
