//! Reliable-connected queue pairs.

use crate::{
    CmId, CompletionQueue, Error, PostError, ProtectionDomain, ReceiveRing, SendRing, SharedReceives, kept,
    shared_receive::SharedReceiveQueue,
};
use rdma_sys as sys;
use std::{mem::ManuallyDrop, ptr::NonNull, sync::Arc};

/// The sizes that a queue pair is created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePairCapabilities {
    /// Work requests of the send queue.
    pub sends: u32,
    /// Work requests of the receive queue.
    pub receives: u32,
    /// Scatter/gather elements of a send.
    pub send_segments: u32,
    /// Scatter/gather elements of a receive.
    pub receive_segments: u32,
}

/// The state of a queue pair (InfiniBand Architecture 1, 10.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePairState(pub u32);

impl QueuePairState {
    /// Ready to send: connected.
    pub const READY_TO_SEND: Self = Self(sys::ibv_qp_state::IBV_QPS_RTS);
    /// Error: everything posted is flushed, and nothing is sent or received any more.
    pub const ERROR: Self = Self(sys::ibv_qp_state::IBV_QPS_ERR);
}

/// A reliable-connected queue pair that belongs to a CM id. All its sends are signaled by request, not by default.
#[derive(Debug)]
pub struct QueuePair {
    qp: NonNull<sys::ibv_qp>,
    id: Arc<CmId>,
    queue: Arc<CompletionQueue>,
    shared: Option<Arc<SharedReceiveQueue>>,
    domain: Arc<ProtectionDomain>,
}

// SAFETY: libibverbs allows every operation on a queue pair from any thread.
unsafe impl Send for QueuePair {}
// SAFETY: as above.
unsafe impl Sync for QueuePair {}

impl QueuePair {
    /// Creates the queue pair of `id`, whose address must have been resolved (or which came with a connect
    /// request). Both its queues complete to `queue`. An id has at most one queue pair (EINVAL).
    pub fn new(
        id: &Arc<CmId>,
        domain: &Arc<ProtectionDomain>,
        queue: &Arc<CompletionQueue>,
        capabilities: QueuePairCapabilities,
    ) -> Result<Self, Error> {
        Self::create(id, domain, queue, None, capabilities)
    }

    /// As [`QueuePair::new`], with the receives of a shared queue instead of its own: of those there must be 0.
    pub fn with_shared_receives(
        id: &Arc<CmId>,
        domain: &Arc<ProtectionDomain>,
        queue: &Arc<CompletionQueue>,
        shared: &SharedReceives,
        capabilities: QueuePairCapabilities,
    ) -> Result<Self, Error> {
        Self::create(id, domain, queue, Some(shared.queue()), capabilities)
    }

    fn create(
        id: &Arc<CmId>,
        domain: &Arc<ProtectionDomain>,
        queue: &Arc<CompletionQueue>,
        shared: Option<&Arc<SharedReceiveQueue>>,
        capabilities: QueuePairCapabilities,
    ) -> Result<Self, Error> {
        // SAFETY: all fields of ibv_qp_init_attr are integers or pointers, for which zero is a value.
        let mut attributes: sys::ibv_qp_init_attr = unsafe { std::mem::zeroed() };
        attributes.send_cq = queue.as_ptr();
        attributes.recv_cq = queue.as_ptr();
        attributes.srq = shared.map_or(std::ptr::null_mut(), |shared| shared.as_ptr());
        attributes.qp_type = sys::ibv_qp_type::IBV_QPT_RC;
        attributes.cap.max_send_wr = capabilities.sends;
        attributes.cap.max_recv_wr = capabilities.receives;
        attributes.cap.max_send_sge = capabilities.send_segments;
        attributes.cap.max_recv_sge = capabilities.receive_segments;
        let raw = id.as_ptr();
        // SAFETY: id, domain and queues are alive, and `attributes` is a valid place for the sizes really given.
        Error::check_errno("rdma_create_qp", unsafe {
            sys::rdma_create_qp(raw, domain.as_ptr(), &mut attributes)
        })?;
        // SAFETY: rdma_create_qp succeeded, so the id's `qp` is set.
        let qp = NonNull::new(unsafe { (*raw).qp }).ok_or(Error::new("rdma_create_qp", libc::EIO))?;
        let (id, queue, domain) = (id.clone(), queue.clone(), domain.clone());
        Ok(Self { qp, id, queue, shared: shared.cloned(), domain })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ibv_qp {
        self.qp.as_ptr()
    }

    /// The queue pair's number.
    pub fn number(&self) -> u32 {
        // SAFETY: the queue pair is alive.
        unsafe { self.qp.as_ref().qp_num }
    }

    /// Moves the queue pair to the error state. Everything posted is then flushed, and from then on the device
    /// takes nothing from the peer for it.
    pub fn move_to_error(&self) -> Result<(), Error> {
        // SAFETY: all fields of ibv_qp_attr are integers or structures of integers, for which zero is a value.
        let mut attributes: sys::ibv_qp_attr = unsafe { std::mem::zeroed() };
        attributes.qp_state = sys::ibv_qp_state::IBV_QPS_ERR;
        let mask = sys::ibv_qp_attr_mask::IBV_QP_STATE.0;
        // SAFETY: the queue pair is alive; the mask names the one attribute that is set.
        Error::check_value("ibv_modify_qp", unsafe {
            sys::ibv_modify_qp(self.qp.as_ptr(), &mut attributes, mask as i32)
        })
    }

    /// Sets how long the peer waits, at least, before it sends again what found no receive here: a code of InfiniBand Architecture 1,
    /// table 45 (0 is 655.36 ms, 8 is 0.16 ms). Only of a queue pair that is connected.
    pub fn set_rnr_delay(&self, code: u8) -> Result<(), Error> {
        // SAFETY: as in move_to_error.
        let mut attributes: sys::ibv_qp_attr = unsafe { std::mem::zeroed() };
        attributes.min_rnr_timer = code;
        let mask = sys::ibv_qp_attr_mask::IBV_QP_MIN_RNR_TIMER.0;
        // SAFETY: the queue pair is alive; the mask names the one attribute that is set.
        Error::check_value("ibv_modify_qp", unsafe {
            sys::ibv_modify_qp(self.qp.as_ptr(), &mut attributes, mask as i32)
        })
    }

    /// Asks the device for the state.
    pub fn state(&self) -> Result<QueuePairState, Error> {
        // SAFETY: as in move_to_error.
        let mut attributes: sys::ibv_qp_attr = unsafe { std::mem::zeroed() };
        // SAFETY: all fields of ibv_qp_init_attr are integers or pointers, for which zero is a value.
        let mut initial: sys::ibv_qp_init_attr = unsafe { std::mem::zeroed() };
        let mask = sys::ibv_qp_attr_mask::IBV_QP_STATE.0;
        // SAFETY: the queue pair is alive and both places are valid.
        Error::check_value("ibv_query_qp", unsafe {
            sys::ibv_query_qp(self.qp.as_ptr(), &mut attributes, mask as i32, &mut initial)
        })?;
        Ok(QueuePairState(attributes.qp_state))
    }

    /// Hands the ring's pending sends to the device with one doorbell. See [`PostError`] for a failure. The ring
    /// must outlive the queue pair or every work request that it posted.
    #[inline]
    pub fn post_sends(&self, ring: &SendRing) -> Result<(), PostError> {
        ring.post(self.qp.as_ptr())
    }

    /// Hands the ring's pending receives to the device with one doorbell. As [`QueuePair::post_sends`].
    #[inline]
    pub fn post_receives(&self, ring: &ReceiveRing) -> Result<(), PostError> {
        ring.post(self.qp.as_ptr())
    }

    /// Destroys the queue pair. After success the device no longer uses any memory on its behalf. On failure the
    /// queue pair comes back: its memory must be kept.
    pub fn destroy(self) -> Result<(), (Self, Error)> {
        // SAFETY: the queue pair was created by rdma_create_qp with a CQ of our own, so that destroying it and
        // clearing the id's pointer is all that rdma_destroy_qp would do, and here its failure is seen.
        let result = Error::check_value("ibv_destroy_qp", unsafe { sys::ibv_destroy_qp(self.qp.as_ptr()) });
        if let Err(error) = result {
            return Err((self, error));
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: the id is alive; librdmacm must not see the queue pair that is gone.
        unsafe { (*this.id.as_ptr()).qp = std::ptr::null_mut() };
        // SAFETY: `this` is never dropped, so each share is taken out exactly once.
        unsafe {
            drop(std::ptr::read(&this.queue));
            drop(std::ptr::read(&this.shared));
            drop(std::ptr::read(&this.domain));
            drop(std::ptr::read(&this.id));
        }
        Ok(())
    }

    /// Keeps a queue pair that could not be destroyed, with all that it needs, for good. Returns how many objects are
    /// [kept](crate::kept()) now. The log line is the caller's, who keeps the memory of its work requests.
    pub fn keep(self) -> usize {
        std::mem::forget(self);
        kept::count()
    }
}

impl Drop for QueuePair {
    fn drop(&mut self) {
        // SAFETY: as in destroy.
        let result = unsafe { sys::ibv_destroy_qp(self.qp.as_ptr()) };
        match Error::check_value("ibv_destroy_qp", result) {
            // SAFETY: as in destroy.
            Ok(()) => unsafe { (*self.id.as_ptr()).qp = std::ptr::null_mut() },
            // Whoever has memory that it may use must know, and takes destroy.
            Err(error) => {
                kept::keep(
                    "a queue pair",
                    &error,
                    (self.id.clone(), self.queue.clone(), self.shared.clone(), self.domain.clone()),
                );
            }
        }
    }
}
