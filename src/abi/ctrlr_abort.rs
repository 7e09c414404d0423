//! Commands that take too long, and aborting commands (Base 2.0, 5.1).
//!
//! For the two that abort: 0 says that cb_fn, which may be NULL, is called once from a poll of the Admin Queue; -ENOMEM: no request is free;
//! -ENXIO: the controller has failed or is not connected; -EINVAL: a wrong argument; cb_fn is not called then.

use super::{
    callback::{context, upcall},
    ctrlr::Ctrlr,
    entry::entry,
    error::{invalid, submission},
    handles::{self, Found, find, is_mixed},
    qpair::Qpair,
    types::{spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_qpair, spdk_nvme_timeout_cb},
};
use crate::host;
use libc::{EINVAL, c_int, c_void};
use spec::Completion;
use std::{mem::transmute, ptr, rc::Rc, time::Duration};

/// Sets who hears of commands that take longer than io_timeout_us microseconds, or timeout_us_admin for admin commands; NULL is nobody. 0 makes
/// each command late at the next poll; a limit is rounded up to whole milliseconds.
///
/// cb_fn is called from polls of the queue that has the command, once for each, the oldest first, and may do anything; nothing is aborted
/// by itself. A command's time begins with the call that submits it; those submitted before the first of these calls have none, nor have
/// asynchronous events and Keep Alives.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg, on each thread that polls, until another one is set or
/// the controller is detached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_register_timeout_callback(
    ctrlr: *mut spdk_nvme_ctrlr,
    timeout_us_io: u64,
    timeout_us_admin: u64,
    cb_fn: spdk_nvme_timeout_cb,
    cb_arg: *mut c_void,
) {
    entry!(
        spdk_nvme_ctrlr_register_timeout_callback(ctrlr, timeout_us_io, timeout_us_admin, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        (),
        |object| {
            let watch = cb_fn.map(|cb_fn| host::Watch {
                io: Duration::from_micros(timeout_us_io),
                admin: Duration::from_micros(timeout_us_admin),
                tell: tell_late,
                context: [cb_fn as usize, cb_arg.expose_provenance(), ctrlr.expose_provenance()],
            });
            object.admin(|host| host.watch_timeouts(watch));
        }
    );
}

type TimeoutCallback = unsafe extern "C" fn(*mut c_void, *mut spdk_nvme_ctrlr, *mut spdk_nvme_qpair, u16);

/// Calls the program about a command that is late.
fn tell_late([function, argument, ctrlr]: [usize; 3], qpair: *mut (), command_id: u16) {
    let function = ptr::with_exposed_provenance::<()>(function);
    // SAFETY: the word is a function of this type, as spdk_nvme_ctrlr_register_timeout_callback was given it.
    let function: TimeoutCallback = unsafe { transmute(function) };
    let (argument, ctrlr) =
        (ptr::with_exposed_provenance_mut(argument), ptr::with_exposed_provenance_mut(ctrlr));
    // SAFETY: the program gave the function to be called with its argument, the controller, a queue pair or NULL, and a command id.
    unsafe { function(argument, ctrlr, qpair.cast(), command_id) };
}

/// Asks the controller to abort the command with id cid of a queue pair, or of the Admin Queue if qpair is NULL. cb_fn is called with
/// the controller's answer: bit 0 of its cdw0 says that the command was not aborted. An aborted command ends by itself.
///
/// A controller takes a few of these at a time; others wait for that.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching, qpair NULL or one that nobody else is freeing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_abort(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cid: u16,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_cmd_abort";
    if is_mixed(ENTRY, ctrlr.addr(), qpair.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_cmd_abort(ctrlr, qpair, cid, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            // SAFETY: the caller vouches for the handle.
            let queue = match unsafe { queue(ENTRY, &object, qpair) } {
                Ok(qpair) => qpair.map_or(0, |qpair| qpair.host().id()),
                Err(rc) => return rc,
            };
            submission(object.admin(|host| host.abort(queue, cid, told(cb_fn, cb_arg))))
        }
    )
}

/// Aborts all commands of a queue pair, or of the Admin Queue if qpair is NULL, whose callback's argument is cmd_cb_arg. Those that were
/// not sent yet end at the queue's next poll; for the others the controller is asked, and cb_fn is called after the last answer: with
/// success, and bit 0 of cdw0 if one of them was not aborted. If there were only such that were not sent cb_fn is called before
/// this returns.
///
/// Returns 0, -ENOENT if there is no such command, -EINVAL without an argument, -ENXIO if the controller is not connected.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_abort(), and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_abort_ext(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cmd_cb_arg: *mut c_void,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_cmd_abort_ext";
    if is_mixed(ENTRY, ctrlr.addr(), qpair.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_cmd_abort_ext(ctrlr, qpair, cmd_cb_arg, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            // SAFETY: the caller vouches for the handle.
            let queue = match unsafe { queue(ENTRY, &object, qpair) } {
                Ok(queue) => queue,
                Err(rc) => return rc,
            };
            if cmd_cb_arg.is_null() {
                return invalid(format!("{ENTRY}: cmd_cb_arg is NULL"));
            }
            let told = told(cb_fn, cb_arg);
            let queue = queue.map(|queue| &**queue.host());
            let asked = object.admin(|host| host.abort_requests(queue, cmd_cb_arg.cast(), told.clone()));
            match asked {
                Ok(true) => 0,
                Ok(false) => {
                    told(&host::abort_outcome(false));
                    0
                }
                // The program looks for commands that may have ended.
                Err(host::Error::NoSuchRequest) => -libc::ENOENT,
                Err(error) => submission(Err(error)),
            }
        }
    )
}

/// Who hears of an end that is not a request's own.
fn told(cb_fn: spdk_nvme_cmd_cb, cb_arg: *mut c_void) -> Rc<dyn Fn(&Completion)> {
    let told = context(cb_fn, cb_arg);
    Rc::new(move |completion| {
        if !told.function.is_null() {
            upcall(told.argument, completion, told.function);
        }
    })
}

/// The queue pair of a controller that a handle stands for; None, for the Admin Queue, if it is NULL. An error value if it is another's.
///
/// # Safety
/// Nobody else is freeing the queue pair.
pub(super) unsafe fn queue<'a>(
    entry: &str,
    ctrlr: &Ctrlr,
    qpair: *mut spdk_nvme_qpair,
) -> Result<Option<&'a Qpair>, c_int> {
    if qpair.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller vouches for the handle.
    match unsafe { find::<Qpair>(qpair) } {
        Found::Ours(qpair) if ptr::eq(qpair.ctrlr(), ctrlr) => Ok(Some(qpair)),
        Found::Ours(_) => Err(invalid(format!("{entry}: the qpair is not this controller's"))),
        Found::Foreign | Found::Invalid => {
            handles::complain(entry, qpair.addr());
            Err(-EINVAL)
        }
    }
}
