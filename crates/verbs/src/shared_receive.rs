//! Shared receive queues.

use crate::{Error, ProtectionDomain, kept};
use rdma_sys as sys;
use std::{mem::ManuallyDrop, ptr::NonNull, sync::Arc};

/// How a provider posts to a shared receive queue.
pub(crate) type PostShared =
    unsafe extern "C" fn(*mut sys::ibv_srq, *mut sys::ibv_recv_wr, *mut *mut sys::ibv_recv_wr) -> i32;

/// A queue of receives that several queue pairs take from (InfiniBand Architecture 1, 10.2.9). Queue pairs hold a share of it, so it
/// goes after them.
#[derive(Debug)]
pub(crate) struct SharedReceiveQueue {
    srq: NonNull<sys::ibv_srq>,
    post: PostShared,
    domain: Arc<ProtectionDomain>,
}

// SAFETY: libibverbs allows every operation on a shared receive queue from any thread.
unsafe impl Send for SharedReceiveQueue {}
// SAFETY: as above.
unsafe impl Sync for SharedReceiveQueue {}

impl SharedReceiveQueue {
    /// Creates a queue with room for `receives` of one segment each.
    pub(crate) fn new(domain: &Arc<ProtectionDomain>, receives: u32) -> Result<Arc<Self>, Error> {
        // SAFETY: all fields of ibv_srq_init_attr are integers or pointers, for which zero is a value.
        let mut attributes: sys::ibv_srq_init_attr = unsafe { std::mem::zeroed() };
        attributes.attr.max_wr = receives;
        attributes.attr.max_sge = 1;
        // SAFETY: the domain is alive, and `attributes` is a valid place for the sizes really given.
        let srq = unsafe { sys::ibv_create_srq(domain.as_ptr(), &mut attributes) };
        let srq = NonNull::new(srq).ok_or_else(|| Error::last("ibv_create_srq"))?;
        // SAFETY: the queue is alive, and its context open.
        let post = unsafe { (*srq.as_ref().context).ops.post_srq_recv };
        let Some(post) = post else {
            // SAFETY: the queue was just made, and nobody uses it.
            unsafe { sys::ibv_destroy_srq(srq.as_ptr()) };
            return Err(Error::new("the provider's ibv_post_srq_recv", libc::EOPNOTSUPP));
        };
        Ok(Arc::new(Self { srq, post, domain: domain.clone() }))
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ibv_srq {
        self.srq.as_ptr()
    }

    pub(crate) fn domain(&self) -> &Arc<ProtectionDomain> {
        &self.domain
    }

    /// Posts a chain of receives; the errno, and in `refused` the first that was not accepted.
    ///
    /// # Safety
    ///
    /// The requests of the chain, which ends with null, and their segments are valid, and nobody else uses them meanwhile.
    pub(crate) unsafe fn post(
        &self,
        chain: *mut sys::ibv_recv_wr,
        refused: *mut *mut sys::ibv_recv_wr,
    ) -> i32 {
        // SAFETY: the queue is alive, and the function its provider's; the chain is the caller's contract.
        unsafe { (self.post)(self.srq.as_ptr(), chain, refused) }
    }

    /// Destroys the queue: after success the device no longer uses any memory on its behalf. After an error it is
    /// [kept](crate::kept()), which a log line has told, and its memory must be, too.
    pub(crate) fn destroy(self) -> Result<(), Error> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped afterwards, so each is taken out and destroyed once.
        unsafe {
            let domain = std::ptr::read(&this.domain);
            destroy(this.srq, &domain)
        }
    }
}

#[cfg(test)]
impl SharedReceiveQueue {
    /// What is posted goes to this function, with a context in the queue.
    pub(crate) fn serve(&mut self, post: PostShared, context: *mut std::ffi::c_void) {
        self.post = post;
        // SAFETY: the queue is alive, and its context the program's to use.
        unsafe { self.srq.as_mut().srq_context = context };
    }
}

impl Drop for SharedReceiveQueue {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once, here. What a failure means is done with.
        let _ = unsafe { destroy(self.srq, &self.domain) };
    }
}

/// # Safety
///
/// The queue is alive, and nobody uses it afterwards.
unsafe fn destroy(srq: NonNull<sys::ibv_srq>, domain: &Arc<ProtectionDomain>) -> Result<(), Error> {
    // SAFETY: the caller's contract; queue pairs hold a share of the queue, so none uses it.
    let result = Error::check_value("ibv_destroy_srq", unsafe { sys::ibv_destroy_srq(srq.as_ptr()) });
    result.inspect_err(|error| kept::keep("a shared receive queue", error, domain.clone()))
}
