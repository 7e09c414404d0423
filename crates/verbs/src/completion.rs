//! Completion queues and what comes out of them.

use crate::{Device, Error, kept};
use rdma_sys as sys;
use std::{
    ffi::{CStr, c_int},
    fmt,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::Arc,
};

/// How a provider polls.
pub(crate) type PollQueue = unsafe extern "C" fn(*mut sys::ibv_cq, c_int, *mut sys::ibv_wc) -> c_int;

/// A completion queue.
#[derive(Debug)]
pub struct CompletionQueue {
    cq: NonNull<sys::ibv_cq>,
    poll: PollQueue,
    device: Device,
}

// SAFETY: libibverbs allows every operation on a CQ from any thread.
unsafe impl Send for CompletionQueue {}
// SAFETY: as above.
unsafe impl Sync for CompletionQueue {}

impl CompletionQueue {
    /// Creates a queue with room for at least `entries` completions.
    pub fn new(device: &Device, entries: u32) -> Result<Arc<Self>, Error> {
        let entries = count("ibv_create_cq", entries)?;
        // SAFETY: the context is open as long as `device` lives; no completion channel is used.
        let cq = unsafe {
            sys::ibv_create_cq(device.context(), entries, std::ptr::null_mut(), std::ptr::null_mut(), 0)
        };
        let cq = NonNull::new(cq).ok_or_else(|| Error::last("ibv_create_cq"))?;
        // SAFETY: the queue is alive, and its context open.
        let poll = unsafe { (*cq.as_ref().context).ops.poll_cq };
        let Some(poll) = poll else {
            // SAFETY: the queue was just made, and nobody uses it.
            unsafe { sys::ibv_destroy_cq(cq.as_ptr()) };
            return Err(Error::new("the provider's ibv_poll_cq", libc::EOPNOTSUPP));
        };
        Ok(Arc::new(Self { cq, poll, device: device.clone() }))
    }

    /// The device that the queue is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of completions that the queue has room for now.
    pub fn capacity(&self) -> u32 {
        // SAFETY: the queue is alive; `cqe` is written by create and resize, which one owner calls.
        u32::try_from(unsafe { (*self.cq.as_ptr()).cqe }).unwrap_or(0)
    }

    /// Changes the room to at least `entries`. Some providers cannot (ENOSYS, EOPNOTSUPP); the queue is then as
    /// before.
    pub fn resize(&self, entries: u32) -> Result<(), Error> {
        let entries = count("ibv_resize_cq", entries)?;
        // SAFETY: the queue is alive.
        Error::check_value("ibv_resize_cq", unsafe { sys::ibv_resize_cq(self.cq.as_ptr(), entries) })
    }

    /// Takes completions off the queue into `batch`; returns how many.
    #[inline]
    pub fn poll(&self, batch: &mut [WorkCompletion]) -> Result<usize, Error> {
        let room = i32::try_from(batch.len()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; WorkCompletion is a transparent ibv_wc and `batch` has `room` of them.
        let found = unsafe { sys::ibv_poll_cq(self.cq.as_ptr(), room, batch.as_mut_ptr().cast()) };
        match usize::try_from(found) {
            Ok(found) if found <= batch.len() => Ok(found),
            _ => Err(Error::new("ibv_poll_cq", libc::EIO)),
        }
    }

    /// Takes completions off the queue, as many as the batch has room for. None if it cannot be polled.
    #[inline(always)]
    pub fn poll_batch<'a, const MOST: usize>(
        &self,
        batch: &'a mut Batch<MOST>,
    ) -> Option<&'a [WorkCompletion]> {
        // SAFETY: the queue is alive, and the function its provider's; a batch has room for MOST.
        let found = unsafe { (self.poll)(self.cq.as_ptr(), MOST as c_int, batch.as_mut_ptr()) };
        // SAFETY: the provider wrote as many as it says.
        unsafe { batch.found(found) }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ibv_cq {
        self.cq.as_ptr()
    }
}

impl Drop for CompletionQueue {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once. Queue pairs hold a share of `self`, so none uses it.
        let result = unsafe { sys::ibv_destroy_cq(self.cq.as_ptr()) };
        if let Err(error) = Error::check_value("ibv_destroy_cq", result) {
            kept::keep("a completion queue", &error, self.device.clone());
        }
    }
}

fn count(call: &'static str, entries: u32) -> Result<i32, Error> {
    i32::try_from(entries.max(1)).map_err(|_| Error::new(call, libc::EINVAL))
}

/// Room for completions that are taken off a queue at a time.
pub struct Batch<const MOST: usize>([MaybeUninit<WorkCompletion>; MOST]);

impl<const MOST: usize> Batch<MOST> {
    /// An empty one. Nothing is written for it.
    #[inline(always)]
    #[allow(clippy::new_without_default)] // a default would be a copy of something
    pub const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; MOST])
    }

    #[inline(always)]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::ibv_wc {
        self.0.as_mut_ptr().cast()
    }

    /// The first `found` completions; None if that is an error, or more than there is room for.
    ///
    /// # Safety
    ///
    /// As many were written.
    #[inline(always)]
    pub(crate) unsafe fn found(&self, found: c_int) -> Option<&[WorkCompletion]> {
        // A negative number becomes a large one.
        let found = found as u32 as usize;
        // SAFETY: the caller vouches for it; WorkCompletion is a transparent ibv_wc.
        (found <= MOST).then(|| unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), found) })
    }
}

/// One completion of a work request. All its values are as the provider wrote them: to be checked before use.
#[repr(transparent)]
pub struct WorkCompletion(sys::ibv_wc);

impl WorkCompletion {
    /// An empty place for [`CompletionQueue::poll`].
    pub fn empty() -> Self {
        // SAFETY: ibv_wc holds integers only.
        Self(unsafe { std::mem::zeroed() })
    }

    /// The value that the work request was posted with.
    #[inline]
    pub fn work_request_id(&self) -> u64 {
        self.0.wr_id
    }

    /// How the work request ended.
    #[inline]
    pub fn status(&self) -> WcStatus {
        WcStatus(self.0.status)
    }

    /// What kind of work request it was. Valid only if the status is success (`ibv_poll_cq(3)`).
    #[inline]
    pub fn opcode(&self) -> WcOpcode {
        WcOpcode(self.0.opcode)
    }

    /// The number of bytes received. Valid only for a receive that succeeded.
    #[inline]
    pub fn byte_length(&self) -> u32 {
        self.0.byte_len
    }

    /// The number of the local queue pair.
    #[inline]
    pub fn queue_pair_number(&self) -> u32 {
        self.0.qp_num
    }

    /// The provider's own error code.
    pub fn vendor_error(&self) -> u32 {
        self.0.vendor_err
    }
}

/// The status of a work completion (InfiniBand Architecture 1, 11.6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WcStatus(pub u32);

impl WcStatus {
    /// The work request completed.
    pub const SUCCESS: Self = Self(sys::ibv_wc_status::IBV_WC_SUCCESS);
    /// The queue pair was in the error state before the work request was done.
    pub const FLUSHED: Self = Self(sys::ibv_wc_status::IBV_WC_WR_FLUSH_ERR);
    /// The peer did not acknowledge in time, often because it is gone.
    pub const RETRY_EXCEEDED: Self = Self(sys::ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
    /// The peer had no receive posted in time.
    pub const RNR_RETRY_EXCEEDED: Self = Self(sys::ibv_wc_status::IBV_WC_RNR_RETRY_EXC_ERR);
}

impl fmt::Display for WcStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: ibv_wc_status_str accepts any value and returns a static C string.
        let text = unsafe { CStr::from_ptr(sys::ibv_wc_status_str(self.0)) };
        write!(formatter, "{} ({})", text.to_string_lossy(), self.0)
    }
}

impl fmt::Debug for WcStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The kind of work request that a completion belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WcOpcode(pub u32);

impl WcOpcode {
    /// A SEND of any kind.
    pub const SEND: Self = Self(sys::ibv_wc_opcode::IBV_WC_SEND);
    /// An RDMA WRITE.
    pub const RDMA_WRITE: Self = Self(sys::ibv_wc_opcode::IBV_WC_RDMA_WRITE);
    /// An RDMA READ.
    pub const RDMA_READ: Self = Self(sys::ibv_wc_opcode::IBV_WC_RDMA_READ);
    /// A receive.
    pub const RECEIVE: Self = Self(sys::ibv_wc_opcode::IBV_WC_RECV);
}
