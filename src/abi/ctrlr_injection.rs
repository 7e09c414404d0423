//! Errors that a program lets its commands end with, to see what becomes of them.

use super::{
    ctrlr::Ctrlr,
    ctrlr_abort::queue,
    entry::entry,
    error::status,
    handles::is_mixed,
    types::{spdk_nvme_ctrlr, spdk_nvme_qpair},
};
use crate::host::Injection;
use libc::{EINVAL, c_int};
use spec::{Status, StatusCode, StatusCodeType};
use std::time::Duration;

/// Lets the next err_count commands with the opcode opc, of a queue pair or of the Admin Queue if qpair is NULL, end with the status sct and
/// sc. Each command of an I/O that is split counts. What was given for the same opcode before is forgotten.
///
/// With do_not_submit a command is accepted and not sent; its callback is called from the first poll after timeout_us microseconds, rounded up
/// to whole milliseconds. Without, it is sent, and the status takes the place of success; an error of the controller's stays, and does not
/// count. This is also for commands that were submitted before, and, on the Admin Queue, for this library's own.
///
/// Commands take longer on a queue pair that has any of these, used up or not, until they are removed.
///
/// Returns 0, or -ENOMEM if there is no memory.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching, qpair NULL or one that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_add_cmd_error_injection(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    opc: u8,
    do_not_submit: bool,
    timeout_in_us: u64,
    err_count: u32,
    sct: u8,
    sc: u8,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_qpair_add_cmd_error_injection";
    if is_mixed(ENTRY, ctrlr.addr(), qpair.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_qpair_add_cmd_error_injection(
            ctrlr,
            qpair,
            opc,
            do_not_submit,
            timeout_in_us,
            err_count,
            sct,
            sc
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let injection = Injection {
                opcode: opc,
                held_for: do_not_submit.then(|| Duration::from_micros(timeout_in_us)),
                count: err_count,
                status: Status::new(StatusCodeType(sct), StatusCode(sc)),
            };
            // SAFETY: the caller vouches for the handle.
            match unsafe { queue(ENTRY, &object, qpair) } {
                Ok(Some(qpair)) => status(qpair.host().inject(injection)),
                Ok(None) => status(object.admin(|host| host.inject(injection))),
                Err(rc) => rc,
            }
        }
    )
}

/// Takes back what spdk_nvme_qpair_add_cmd_error_injection() was called for, with the same opcode. Commands that are held back already end as
/// they were to.
///
/// # Safety
///
/// As for spdk_nvme_qpair_add_cmd_error_injection().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_remove_cmd_error_injection(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    opc: u8,
) {
    const ENTRY: &str = "spdk_nvme_qpair_remove_cmd_error_injection";
    if is_mixed(ENTRY, ctrlr.addr(), qpair.addr()) {
        return;
    }
    entry!(
        spdk_nvme_qpair_remove_cmd_error_injection(ctrlr, qpair, opc),
        Ctrlr as share,
        ctrlr,
        (),
        |object| {
            // SAFETY: the caller vouches for the handle.
            match unsafe { queue(ENTRY, &object, qpair) } {
                Ok(Some(qpair)) => qpair.host().remove_injection(opc),
                Ok(None) => object.admin(|host| host.remove_injection(opc)),
                Err(_) => {}
            }
        }
    );
}
