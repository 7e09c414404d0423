//! I/O queue pairs: polling, state, and the end.

use super::{
    ctrlr::Ctrlr,
    entry::entry,
    error::negated_errno,
    handles::{self, Found, Kind, Object, shared_by},
    types::{spdk_nvme_qp_failure_reason, spdk_nvme_qpair},
};
use crate::{host, transport::Error as TransportError};
use libc::c_int;
use std::{cell::Cell, rc::Rc, sync::Arc};

/// What a handle of a queue pair stands for.
pub(super) struct Qpair {
    host: Rc<host::IoQpair>,
    ctrlr: Arc<Ctrlr>,
    /// The program is freeing it; a callback that does so again has nothing to do.
    freeing: Cell<bool>,
}

impl Object for Qpair {
    type Handle = spdk_nvme_qpair;
    const KIND: Kind = Kind::QueuePair;
    shared_by!(Rc);

    fn fail(&self) {
        self.ctrlr.fail();
    }
}

impl Qpair {
    /// A new queue pair's handle, which the host's queue pair carries as its tag.
    pub(super) fn insert(host: Rc<host::IoQpair>, ctrlr: Arc<Ctrlr>) -> Option<*mut spdk_nvme_qpair> {
        let qpair = Rc::new(Self { host, ctrlr, freeing: Cell::new(false) });
        let handle = handles::insert::<Self>(qpair.clone())?;
        qpair.host.set_tag(handle.cast());
        Some(handle)
    }

    #[inline]
    pub(super) fn host(&self) -> &Rc<host::IoQpair> {
        &self.host
    }

    pub(super) fn ctrlr(&self) -> &Ctrlr {
        &self.ctrlr
    }

    pub(super) fn connect(&self) -> c_int {
        match self.host.connect() {
            Ok(()) => 0,
            // A queue pair that is not disconnected yet counts as connected here, as with SPDK; no log line, since a
            // program may just try until it is.
            Err(host::Error::Transport(TransportError::AlreadyConnected | TransportError::Disconnecting)) => {
                -libc::EISCONN
            }
            Err(error) => negated_errno(&error),
        }
    }
}

/// Ends a queue pair and its handle. Callbacks of what was outstanding are called before this returns, and find the
/// handle still there.
///
/// # Safety
/// The handle is one of ours, and no other thread uses it.
pub(super) unsafe fn free(handle: *mut spdk_nvme_qpair) {
    // SAFETY: the caller vouches for the handle. The share keeps the object while callbacks run.
    let qpair = match unsafe { handles::find::<Qpair>(handle) } {
        // SAFETY: `find` gave the reference just now.
        Found::Ours(qpair) => unsafe { handles::share(qpair) },
        Found::Foreign | Found::Invalid => return,
    };
    if qpair.freeing.replace(true) {
        return;
    }
    qpair.host.free();
    qpair.ctrlr.forget_qpair(handle);
    // SAFETY: the caller vouches that nobody else uses the handle.
    drop(unsafe { handles::remove::<Qpair>(handle) });
}

/// Ends a queue pair. NULL is allowed.
///
/// Waits until the hardware is done with every buffer. Callbacks of requests that were not done are called with
/// "aborted, SQ deletion" before this returns, unless this is called from one of its own callbacks and the rest
/// comes from the poll that called it. The queue pair leaves its poll group. Returns 0.
///
/// # Safety
///
/// No other thread uses qpair, and nobody uses it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_free_io_qpair(qpair: *mut spdk_nvme_qpair) -> c_int {
    if qpair.is_null() {
        return 0;
    }
    entry!(spdk_nvme_ctrlr_free_io_qpair(qpair), Qpair as share, qpair, -libc::EINVAL, |_object| {
        // SAFETY: the caller vouches for the handle, and it was found.
        unsafe { free(qpair) };
        0
    })
}

/// Disconnects a queue pair, and aborts the requests that are not done.
///
/// Waits for the end, and their callbacks run before this returns; in async_mode it only begins, goes on while the queue
/// pair or its group is polled, and they run then.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_disconnect_io_qpair(qpair: *mut spdk_nvme_qpair) {
    entry!(spdk_nvme_ctrlr_disconnect_io_qpair(qpair), Qpair as share, qpair, (), |object| {
        object.host.disconnect();
    });
}

/// Polls a queue pair: delivers what is done, and goes on with connecting or disconnecting.
///
/// At most max_completions commands are completed; 0 is no limit. Callbacks may do anything, even free this queue
/// pair. Returns how many were completed, or a negated errno: -ENXIO if it is not connected.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_process_completions(
    qpair: *mut spdk_nvme_qpair,
    max_completions: u32,
) -> i32 {
    entry!(
        spdk_nvme_qpair_process_completions(qpair, max_completions),
        Qpair as share,
        qpair,
        -libc::EINVAL,
        |object| match object.host.process_completions(max_completions) {
            Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
            // A callback freed it: it is no error that it is not connected any more.
            Err(_) if object.freeing.get() => 0,
            Err(error) => negated_errno(&error),
        }
    )
}

/// Whether a queue pair is connected, so that commands can be submitted.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_is_connected(qpair: *mut spdk_nvme_qpair) -> bool {
    entry!(spdk_nvme_qpair_is_connected(qpair), Qpair, qpair, false, |object| object.host.is_connected())
}

/// Why a queue pair is not connected any more.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_failure_reason(
    qpair: *mut spdk_nvme_qpair,
) -> spdk_nvme_qp_failure_reason {
    use spdk_nvme_qp_failure_reason as Reason;
    entry!(
        spdk_nvme_qpair_get_failure_reason(qpair),
        Qpair,
        qpair,
        Reason::SPDK_NVME_QPAIR_FAILURE_UNKNOWN,
        |object| match object.host.failure_reason() {
            host::FailureReason::None => Reason::SPDK_NVME_QPAIR_FAILURE_NONE,
            host::FailureReason::Local => Reason::SPDK_NVME_QPAIR_FAILURE_LOCAL,
            host::FailureReason::Remote => Reason::SPDK_NVME_QPAIR_FAILURE_REMOTE,
            host::FailureReason::Unknown => Reason::SPDK_NVME_QPAIR_FAILURE_UNKNOWN,
            host::FailureReason::Reset => Reason::SPDK_NVME_QPAIR_FAILURE_RESET,
        }
    )
}
