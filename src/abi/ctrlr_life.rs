//! A controller that fails, is reset, and comes back.
//!
//! A reset ends the controller's association: its Admin Queue at once, each queue pair when its own thread polls it next. Handles, options,
//! callbacks and queue ids stay. What must hold: a reset is one thread's at a time, without a lock that outlives a call: who calls
//! meanwhile is refused, or has nothing to do.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard, next_or_complain},
    error::{invalid, negated_errno, status},
    handles::{self, Begin, LongCall},
    qpair::Qpair,
    transport_id,
    types::{spdk_nvme_ctrlr, spdk_nvme_qpair, spdk_nvme_transport_id},
};
use crate::host;
use libc::{
    EAGAIN, EBUSY, ECANCELED, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, EISCONN, ENXIO, ETIMEDOUT,
    c_int,
};

/// Declares a controller failed: its Admin Queue ends, and its queue pairs when they are polled next, with callbacks of their requests.
///
/// Nothing if it has failed already, or is being reset or detached. From then on is_failed says so, until a reset.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_fail(ctrlr: *mut spdk_nvme_ctrlr) {
    entry!(spdk_nvme_ctrlr_fail(ctrlr), Ctrlr as share, ctrlr, (), |object| object.admin(|host| host.fail()));
}

/// Begins to reset a controller: its Admin Queue ends, and its queue pairs when they are polled next.
///
/// It is over when spdk_nvme_ctrlr_process_admin_completions() returns -ENXIO. Returns 0, -EBUSY if a reset is under way, -ENXIO if
/// the controller is being detached.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_disconnect(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_disconnect(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        object.admin(|host| match host.disconnect() {
            Ok(()) => 0,
            Err(host::Error::Resetting) => -EBUSY,
            Err(error) => negated_errno(&error),
        })
    })
}

/// Says that a controller is to be brought up again, which spdk_nvme_ctrlr_reconnect_poll_async() does. One that was not
/// disconnected before is disconnected now.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reconnect_async(ctrlr: *mut spdk_nvme_ctrlr) {
    entry!(spdk_nvme_ctrlr_reconnect_async(ctrlr), Ctrlr as share, ctrlr, (), |object| {
        object.admin(|host| match host.disconnect() {
            Ok(()) | Err(host::Error::Resetting) => {}
            Err(error) => tracing::error!("{}: cannot be reconnected: {error}", object.describe()),
        });
    });
}

/// Goes on with a reset, from wherever it has come to. -EAGAIN if there is more to do; 0 when the controller is there again: then its
/// queue pairs have to be connected again, or freed; -1, after a log line, if it could not be brought up: then it has failed, and
/// can be disconnected anew.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reconnect_poll_async(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_reconnect_poll_async(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        match object.admin(|host| host.poll_reset()) {
            None => -EAGAIN,
            Some(result) => brought_up(&object, result),
        }
    })
}

/// Resets a controller, and waits until it is there again. Its queue pairs end when they are polled next; then they have to be
/// connected again, or freed.
///
/// Returns 0, also, at once, if a reset is under way; -ENXIO if the controller is being detached; -1, after a log line, if it
/// could not be brought up: then it has failed, and can be reset anew. May be called from a callback of the Admin Queue.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reset(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_reset(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        match object.admin(|host| host.reset()) {
            Err(host::Error::ControllerFailed) if object.is_being_detached() => -ENXIO,
            result => brought_up(&object, result),
        }
    })
}

/// Sets where a controller that has failed is to be found from its next reset on: another address of the same subsystem.
///
/// Returns 0, -EPERM if the controller has not failed, -EINVAL for another subsystem or transport, or an address that cannot be.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. trid is NULL, which is refused, or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_set_trid(
    ctrlr: *mut spdk_nvme_ctrlr,
    trid: *mut spdk_nvme_transport_id,
) -> c_int {
    entry!(spdk_nvme_ctrlr_set_trid(ctrlr, trid), Ctrlr as share, ctrlr, -EINVAL, |object| {
        if trid.is_null() {
            return invalid(String::from("spdk_nvme_ctrlr_set_trid: no transport id given"));
        }
        // SAFETY: the caller vouches for trid.
        if !unsafe { transport_id::is_rdma(trid) } {
            return invalid(String::from("spdk_nvme_ctrlr_set_trid: the transport is not RDMA"));
        }
        // SAFETY: as above.
        let trid = unsafe { transport_id::read(trid) };
        match transport_id::to_host(&trid) {
            Some(id) => status(object.set_transport_id(id, &trid)),
            None => invalid(format!("spdk_nvme_ctrlr_set_trid: address family {} over RDMA", trid.adrfam.0)),
        }
    })
}

/// Connects a queue pair again whose connection has ended, to its controller as it is now.
///
/// Waits for the connection unless the queue pair was made with async_mode. Returns 0, also if it is connected; -EAGAIN while the
/// controller is being reset, or the queue pair's last connection has not come to its end, or if the controller was not reached or
/// refused the connection, which has its log line; -ENXIO if the controller has failed or is being detached; or another negated errno.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: *mut spdk_nvme_qpair) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_reconnect_io_qpair";
    let answer = |qpair: &Qpair, rc: c_int| match rc {
        rc if rc == -EISCONN && qpair.host().is_connected() => 0,
        rc if rc == -EISCONN || may_pass(rc) => -EAGAIN,
        rc => rc,
    };
    match LongCall::begin::<Qpair>(qpair) {
        Begin::Begun(call, object) => {
            let rc = guard(ENTRY, &*object, -EINVAL, || answer(&object, object.connect(&call)));
            drop(object);
            if Qpair::after(ENTRY, call) { rc } else { -ENXIO }
        }
        Begin::Here(object) => guard(ENTRY, &*object, -EINVAL, || answer(&object, object.connect_here())),
        Begin::Elsewhere => -EAGAIN,
        Begin::Ending => -ENXIO,
        Begin::Foreign => next_or_complain!(spdk_nvme_ctrlr_reconnect_io_qpair(qpair), qpair, -EINVAL),
        Begin::Invalid => {
            handles::complain(ENTRY, qpair.addr());
            -EINVAL
        }
    }
}

/// Whether it is the peer or the way to it that kept a queue pair from connecting.
fn may_pass(rc: c_int) -> bool {
    let peer = [ECONNREFUSED, ECONNRESET, ECANCELED, EHOSTUNREACH, ETIMEDOUT, EBUSY, EIO];
    peer.contains(&rc.saturating_neg())
}

/// How a reset has ended. The host or the transport has said what went wrong.
pub(super) fn brought_up(ctrlr: &Ctrlr, result: Result<(), host::Error>) -> c_int {
    match result {
        Ok(()) => {
            ctrlr.refresh_opts();
            0
        }
        Err(_) => -1,
    }
}
