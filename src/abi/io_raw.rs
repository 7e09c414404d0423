//! Commands that the program has built itself, on a queue pair.
//!
//! Command id and data pointer are the library's, all else goes out as it is given: the namespace is not looked at. For all of them: 0
//! says that the command was accepted, and cb_fn, which may be NULL, is called once from a poll of the queue pair; -EINVAL a wrong
//! argument, -ENOMEM that no request is free, -ENXIO that the queue pair is not connected; cb_fn is not called then. Nothing is split.

use super::{
    callback::context,
    entry::entry,
    error::{invalid, submission},
    handles::is_mixed,
    ns_vectors::Sgl,
    qpair::Qpair,
    types::{
        spdk_nvme_cmd, spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_qpair, spdk_nvme_req_next_sge_cb,
        spdk_nvme_req_reset_sgl_cb,
    },
};
use crate::host::Data;
use libc::{EINVAL, c_int, c_void};
use spec::Command;

/// Whether the queue pair is this controller's. Says so if it is not.
fn is_of(entry: &str, qpair: &Qpair, ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    let is = qpair.ctrlr().handle() == ctrlr;
    if !is {
        tracing::error!("{entry}: the qpair is not this controller's");
    }
    is
}

/// The program's command.
///
/// # Safety
/// `cmd` points to a command.
unsafe fn command(cmd: *const spdk_nvme_cmd) -> Command {
    const { assert!(size_of::<Command>() == size_of::<spdk_nvme_cmd>()) };
    // SAFETY: the caller vouches for the 64 bytes, whose every value is a command; they need not be aligned as ours are.
    unsafe { cmd.cast::<Command>().read_unaligned() }
}

/// Sends a command with len bytes of data at buf, any memory as spdk_nvme_ns_cmd_read() has it, which stays untouched until cb_fn is
/// called. NULL and 0 say that there are none.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. cmd is NULL, which is refused, or points to a
/// command; buf has len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_io_raw(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cmd: *mut spdk_nvme_cmd,
    buf: *mut c_void,
    len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_cmd_io_raw";
    if is_mixed(ENTRY, qpair.addr(), ctrlr.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_cmd_io_raw(ctrlr, qpair, cmd, buf, len, cb_fn, cb_arg),
        Qpair,
        qpair,
        -EINVAL,
        |object| {
            if !is_of(ENTRY, object, ctrlr) {
                return -EINVAL;
            }
            // SAFETY: the caller vouches for the command.
            unsafe { send(ENTRY, object, cmd, buf, len, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_io_raw(). There are no metadata apart from the data over RDMA: what md_buf points to is not looked at. A command
/// with metadata is one of a namespace: -EINVAL if the controller can have none of its NSID.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_io_raw().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_io_raw_with_md(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cmd: *mut spdk_nvme_cmd,
    buf: *mut c_void,
    len: u32,
    md_buf: *mut c_void,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_cmd_io_raw_with_md";
    if is_mixed(ENTRY, qpair.addr(), ctrlr.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_cmd_io_raw_with_md(ctrlr, qpair, cmd, buf, len, md_buf, cb_fn, cb_arg),
        Qpair,
        qpair,
        -EINVAL,
        |object| {
            if !is_of(ENTRY, object, ctrlr) {
                return -EINVAL;
            }
            // SAFETY: the caller vouches for the command.
            if let Err(rc) = unsafe { has_namespace(ENTRY, object, cmd, md_buf) } {
                return rc;
            }
            // SAFETY: as above.
            unsafe { send(ENTRY, object, cmd, buf, len, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_io_raw_with_md(), with len bytes of data in the pieces that the program's functions give, called during this
/// call with cb_arg: no more of them than spdk_nvme_ctrlr_get_max_sges() says.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_io_raw(). The functions give pieces that have len bytes together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_iov_raw_with_md(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cmd: *mut spdk_nvme_cmd,
    len: u32,
    md_buf: *mut c_void,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_cmd_iov_raw_with_md";
    if is_mixed(ENTRY, qpair.addr(), ctrlr.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_cmd_iov_raw_with_md(
            ctrlr,
            qpair,
            cmd,
            len,
            md_buf,
            cb_fn,
            cb_arg,
            reset_sgl_fn,
            next_sge_fn
        ),
        Qpair as share,
        qpair,
        -EINVAL,
        |object| {
            if !is_of(ENTRY, &object, ctrlr) {
                return -EINVAL;
            }
            if cmd.is_null() {
                return invalid(format!("{ENTRY}: the command is NULL"));
            }
            // SAFETY: the caller vouches for the command.
            if let Err(rc) = unsafe { has_namespace(ENTRY, &object, cmd, md_buf) } {
                return rc;
            }
            let mut sgl = match Sgl::of(ENTRY, reset_sgl_fn, next_sge_fn, cb_arg) {
                Ok(sgl) => sgl,
                Err(rc) => return rc,
            };
            // SAFETY: the caller vouches for the command.
            let command = unsafe { command(cmd) };
            let data = (len > 0).then_some(Data::Given(&mut sgl));
            submission(object.host().submit_raw(command, data, len, context(cb_fn, cb_arg)))
        }
    )
}

/// Whether a command with metadata is one of a namespace that the controller can have: how long they are would go by that.
///
/// # Safety
/// `cmd` is NULL or points to a command.
unsafe fn has_namespace(
    entry: &str,
    qpair: &Qpair,
    cmd: *const spdk_nvme_cmd,
    md_buf: *const c_void,
) -> Result<(), c_int> {
    if cmd.is_null() || md_buf.is_null() {
        return Ok(());
    }
    // SAFETY: the caller vouches for the command.
    let nsid = unsafe { command(cmd) }.nsid();
    let most = qpair.ctrlr().summary().namespace_count();
    if (1..=most).contains(&nsid) {
        return Ok(());
    }
    Err(invalid(format!(
        "{entry}: there is no namespace {nsid} whose metadata these could be; the highest is {most}"
    )))
}

/// Sends a command with data in one piece, or none.
///
/// # Safety
/// `cmd` is NULL or points to a command.
unsafe fn send(
    entry: &str,
    qpair: &Qpair,
    cmd: *const spdk_nvme_cmd,
    buf: *mut c_void,
    len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    if cmd.is_null() || buf.is_null() && len > 0 {
        return invalid(format!("{entry}: the command is {cmd:p}, its {len} bytes of data are at {buf:p}"));
    }
    // SAFETY: the caller vouches for the command.
    let command = unsafe { command(cmd) };
    let data = (len > 0).then_some(Data::Contiguous(buf));
    submission(qpair.host().submit_raw(command, data, len, context(cb_fn, cb_arg)))
}
