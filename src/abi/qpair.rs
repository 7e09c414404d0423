//! I/O queue pairs: polling, state, and the end.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard, next_or_complain},
    error::negated_errno,
    handles::{self, AfterCall, Begin, Claim, Kind, LongCall, Object, shared_by},
    print,
    types::{
        spdk_event_handler_opts, spdk_nvme_ctrlr, spdk_nvme_poll_group, spdk_nvme_qp_failure_reason,
        spdk_nvme_qpair,
    },
};
use crate::{host, transport::Error as TransportError};
use libc::c_int;
use std::{cell::Cell, ptr, rc::Rc, sync::Arc};

/// What a handle of a queue pair stands for.
pub(super) struct Qpair {
    host: Rc<host::IoQpair>,
    ctrlr: Arc<Ctrlr>,
    handle: Cell<*mut spdk_nvme_qpair>,
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
    /// A new queue pair with a handle, which the host's queue pair carries as its tag, in a long call of this thread.
    pub(super) fn insert(host: Rc<host::IoQpair>, ctrlr: Arc<Ctrlr>) -> Option<(LongCall, Rc<Self>)> {
        let qpair = Rc::new(Self { host, ctrlr, handle: Cell::new(ptr::null_mut()) });
        let (handle, call) = handles::insert_in_call::<Self>(qpair.clone())?;
        qpair.handle.set(handle);
        qpair.host.set_tag(handle.cast());
        print::print_failures(&qpair);
        Some((call, qpair))
    }

    pub(super) fn handle(&self) -> *mut spdk_nvme_qpair {
        self.handle.get()
    }

    #[inline]
    pub(super) fn host(&self) -> &Rc<host::IoQpair> {
        &self.host
    }

    pub(super) fn ctrlr(&self) -> &Ctrlr {
        &self.ctrlr
    }

    /// A poll with more to see to than completions.
    #[cold]
    #[inline(never)]
    fn poll_otherwise(&self, max_completions: u32) -> i32 {
        match self.host.process_completions(max_completions) {
            Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
            // A callback freed it: it is no error that it is not connected any more.
            Err(_) if self.host.is_freed() => 0,
            Err(error) => negated_errno(&error),
        }
    }

    /// Connects, within a long call. A thread that wants the queue pair's end meanwhile cuts the wait short.
    pub(super) fn connect(&self, call: &LongCall) -> c_int {
        self.connect_unless(&|| call.is_unwanted())
    }

    /// Connects in a callback of a long call of this thread.
    pub(super) fn connect_here(&self) -> c_int {
        self.connect_unless(&|| handles::is_unwanted::<Self>(self.handle.get()))
    }

    fn connect_unless(&self, give_up: &dyn Fn() -> bool) -> c_int {
        match self.host.connect_unless(give_up) {
            Ok(()) => 0,
            // A queue pair that is not disconnected yet counts as connected here, as with SPDK; no log line, since a
            // program may just try until it is.
            Err(host::Error::Transport(TransportError::AlreadyConnected | TransportError::Disconnecting)) => {
                -libc::EISCONN
            }
            Err(error) => negated_errno(&error),
        }
    }

    /// Ends a long call, of which no share is left. False if the queue pair is gone: another thread wanted its end, which
    /// comes now, or a callback of the call has ended it.
    pub(super) fn after(entry: &str, call: LongCall) -> bool {
        match call.end::<Self>() {
            AfterCall::Live => true,
            AfterCall::Wanted(qpair) => guard(entry, &*qpair, false, || {
                qpair.free();
                false
            }),
            AfterCall::Gone => false,
        }
    }

    /// Ends a queue pair whose end was claimed, and its handle. Callbacks of what was outstanding are called before this
    /// returns, and find the handle still there.
    pub(super) fn free(self: &Rc<Self>) {
        self.host.free();
        self.forget_handle();
    }

    /// Begins the end of a queue pair whose end was claimed. Calls nobody.
    pub(super) fn begin_free(&self) {
        self.host.begin_free();
    }

    /// One turn of an end that was begun; true when it is over, and then the handle is gone. Callbacks may come here
    /// again.
    pub(super) fn finish_free(&self) -> bool {
        let over = self.host.finish_free();
        if over {
            self.forget_handle();
        }
        over
    }

    fn forget_handle(&self) {
        self.ctrlr.forget_qpair(self.handle.get());
        // SAFETY: who claimed the end is the only one to use the handle, and a second removal finds nothing.
        drop(unsafe { handles::remove::<Self>(self.handle.get()) });
    }
}

/// Ends a queue pair. NULL is allowed.
///
/// Waits until the hardware is done with every buffer, but not for a controller that is silent. Callbacks of requests that
/// were not done are called with "aborted, SQ deletion" before this returns, in the order of their submission. The queue
/// pair leaves its poll group. Returns 0, also if it is being freed already: by a callback of this call, by another
/// thread, or with its controller; those go on with it.
///
/// # Safety
///
/// No other thread uses qpair, but for one that frees it or detaches its controller, too, and nobody uses it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_free_io_qpair(qpair: *mut spdk_nvme_qpair) -> c_int {
    if qpair.is_null() {
        return 0;
    }
    // SAFETY: the caller vouches that no other thread uses the queue pair.
    match unsafe { handles::claim::<Qpair>(qpair) } {
        Claim::Won(object) => guard("spdk_nvme_ctrlr_free_io_qpair", &*object, -libc::EINVAL, || {
            object.free();
            0
        }),
        Claim::Lost => 0,
        Claim::Foreign => next_or_complain!(spdk_nvme_ctrlr_free_io_qpair(qpair), qpair, -libc::EINVAL),
        Claim::Invalid => {
            handles::complain("spdk_nvme_ctrlr_free_io_qpair", qpair.addr());
            -libc::EINVAL
        }
    }
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
    const ENTRY: &str = "spdk_nvme_ctrlr_disconnect_io_qpair";
    match LongCall::begin::<Qpair>(qpair) {
        Begin::Begun(call, object) => {
            guard(ENTRY, &*object, (), || object.host.disconnect());
            drop(object);
            Qpair::after(ENTRY, call);
        }
        // A callback of a connect or of another disconnect.
        Begin::Here(object) => guard(ENTRY, &*object, (), || object.host.disconnect()),
        Begin::Elsewhere | Begin::Ending => {}
        Begin::Foreign => next_or_complain!(spdk_nvme_ctrlr_disconnect_io_qpair(qpair), qpair, ()),
        Begin::Invalid => handles::complain(ENTRY, qpair.addr()),
    }
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
        hot |object| match object.host.poll(max_completions) {
            Some(count) => count as i32, // no more than there are slots
            None => object.poll_otherwise(max_completions),
        },
        else |object| object.poll_otherwise(max_completions)
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
    entry!(
        spdk_nvme_qpair_get_failure_reason(qpair),
        Qpair,
        qpair,
        spdk_nvme_qp_failure_reason::SPDK_NVME_QPAIR_FAILURE_UNKNOWN,
        |object| reason(object.host.failure_reason())
    )
}

/// The queue identifier. 0, which is the Admin Queue's, for a handle that is no queue pair.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_id(qpair: *mut spdk_nvme_qpair) -> u16 {
    entry!(spdk_nvme_qpair_get_id(qpair), Qpair, qpair, 0, |object| object.host.id())
}

/// Whether it is an Admin Queue: never, since those have no handles.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_is_admin_queue(qpair: *mut spdk_nvme_qpair) -> bool {
    entry!(spdk_nvme_qpair_is_admin_queue(qpair), Qpair, qpair, false, |_object| false)
}

/// How many requests were accepted whose callback did not run yet, whether they are on the wire or wait.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_num_outstanding_reqs(qpair: *mut spdk_nvme_qpair) -> u32 {
    entry!(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), Qpair, qpair, 0, |object| {
        u32::try_from(object.host.requests_in_use()).unwrap_or(u32::MAX)
    })
}

/// How many commands of a queue pair are with its controller. 0 for a handle that is no queue pair.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_queue_depth(qpair: *mut spdk_nvme_qpair) -> u16 {
    entry!(spdk_nvme_qpair_get_queue_depth(qpair), Qpair, qpair, 0, |object| {
        u16::try_from(object.host.commands_out()).unwrap_or(u16::MAX)
    })
}

/// Says whether commands that end with their queue pair's connection have the DNR bit (do not retry) in their status from now on.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_set_abort_dnr(qpair: *mut spdk_nvme_qpair, dnr: bool) {
    entry!(spdk_nvme_qpair_set_abort_dnr(qpair, dnr), Qpair, qpair, (), |object| object
        .host
        .set_abort_dnr(dnr));
}

/// The poll group that a queue pair would do best in: over RDMA there is none such, so NULL.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_optimal_poll_group(
    qpair: *mut spdk_nvme_qpair,
) -> *mut spdk_nvme_poll_group {
    entry!(spdk_nvme_qpair_get_optimal_poll_group(qpair), Qpair, qpair, ptr::null_mut(), |_object| {
        ptr::null_mut()
    })
}

/// The descriptor that a program could wait on for the queue pair: there is none over RDMA, where queue pairs are polled. The
/// answer is -ENOTSUP, and opts is not touched.
///
/// # Safety
///
/// qpair is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_get_fd(
    qpair: *mut spdk_nvme_qpair,
    opts: *mut spdk_event_handler_opts,
) -> c_int {
    entry!(spdk_nvme_qpair_get_fd(qpair, opts), Qpair, qpair, -libc::EINVAL, |_object| -libc::ENOTSUP)
}

/// As spdk_nvme_qpair_get_fd(), for the Admin Queue.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_admin_qp_fd(
    ctrlr: *mut spdk_nvme_ctrlr,
    opts: *mut spdk_event_handler_opts,
) -> c_int {
    entry!(spdk_nvme_ctrlr_get_admin_qp_fd(ctrlr, opts), Ctrlr, ctrlr, -libc::EINVAL, |_object| {
        -libc::ENOTSUP
    })
}

/// A reason as C has it.
pub(super) fn reason(reason: host::FailureReason) -> spdk_nvme_qp_failure_reason {
    use spdk_nvme_qp_failure_reason as Reason;
    match reason {
        host::FailureReason::None => Reason::SPDK_NVME_QPAIR_FAILURE_NONE,
        host::FailureReason::Local => Reason::SPDK_NVME_QPAIR_FAILURE_LOCAL,
        host::FailureReason::Remote => Reason::SPDK_NVME_QPAIR_FAILURE_REMOTE,
        host::FailureReason::Unknown => Reason::SPDK_NVME_QPAIR_FAILURE_UNKNOWN,
        host::FailureReason::Reset => Reason::SPDK_NVME_QPAIR_FAILURE_RESET,
    }
}
