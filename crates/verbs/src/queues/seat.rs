//! Where queues post to: a seat, and the queue pair that has taken it.

use super::Registration;
use crate::{Batch, Error, QueuePair, WorkCompletion, completion::PollQueue};
use rdma_sys as sys;
use std::{cell::Cell, ffi::c_int, mem::ManuallyDrop, ptr::null_mut, rc::Rc};

pub(super) type PostSend =
    unsafe extern "C" fn(*mut sys::ibv_qp, *mut sys::ibv_send_wr, *mut *mut sys::ibv_send_wr) -> c_int;
pub(super) type PostReceive =
    unsafe extern "C" fn(*mut sys::ibv_qp, *mut sys::ibv_recv_wr, *mut *mut sys::ibv_recv_wr) -> c_int;

/// The place of a queue pair that queues post to. Empty, posting is refused with ENOTCONN and polling finds nothing.
pub struct Seat {
    qp: Cell<*mut sys::ibv_qp>,
    post_send: Cell<PostSend>,
    post_receive: Cell<PostReceive>,
    cq: Cell<*mut sys::ibv_cq>,
    poll: Cell<PollQueue>,
}

impl Seat {
    /// An empty seat.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            qp: Cell::new(null_mut()),
            post_send: Cell::new(refuse_send),
            post_receive: Cell::new(refuse_receive),
            cq: Cell::new(null_mut()),
            poll: Cell::new(find_nothing),
        })
    }

    /// Whether no queue pair has it.
    pub fn is_empty(&self) -> bool {
        self.qp.get().is_null()
    }

    /// # Safety
    ///
    /// The queue pair and its completion queue stay alive until `leave`, or until another queue pair takes the seat.
    pub(super) unsafe fn take(&self, qp: *mut sys::ibv_qp) -> Result<(), Error> {
        // SAFETY: the queue pair is alive, and its context as long as it.
        let (operations, cq) = unsafe { (&(*(*qp).context).ops, (*qp).send_cq) };
        let (Some(send), Some(receive), Some(poll)) =
            (operations.post_send, operations.post_recv, operations.poll_cq)
        else {
            return Err(Error::new("the provider's operations", libc::EOPNOTSUPP));
        };
        self.post_send.set(send);
        self.post_receive.set(receive);
        self.poll.set(poll);
        self.qp.set(qp);
        self.cq.set(cq);
        Ok(())
    }

    fn leave(&self) {
        self.post_send.set(refuse_send);
        self.post_receive.set(refuse_receive);
        self.poll.set(find_nothing);
        self.qp.set(null_mut());
        self.cq.set(null_mut());
    }

    /// Posts a chain of sends; the errno, and in `refused` the first that was not accepted.
    ///
    /// # Safety
    ///
    /// The requests of the chain, which ends with null, and their segments are valid, and nobody else uses them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn post_send(
        &self,
        chain: *mut sys::ibv_send_wr,
        refused: *mut *mut sys::ibv_send_wr,
    ) -> c_int {
        // SAFETY: the queue pair in the seat is alive, or the function does not look at it.
        unsafe { (self.post_send.get())(self.qp.get(), chain, refused) }
    }

    /// As [`Seat::post_send`], for receives.
    ///
    /// # Safety
    ///
    /// As for `post_send`.
    pub(super) unsafe fn post_receive(
        &self,
        chain: *mut sys::ibv_recv_wr,
        refused: *mut *mut sys::ibv_recv_wr,
    ) -> c_int {
        // SAFETY: as in post_send.
        unsafe { (self.post_receive.get())(self.qp.get(), chain, refused) }
    }

    /// Takes completions off the queue pair's completion queue, as many as the batch has room for. None if that cannot be polled.
    #[inline(always)]
    pub fn poll<'a, const MOST: usize>(&self, batch: &'a mut Batch<MOST>) -> Option<&'a [WorkCompletion]> {
        // SAFETY: the completion queue in the seat is alive, or the function does not look at it; a batch has room for MOST.
        let found = unsafe { (self.poll.get())(self.cq.get(), MOST as c_int, batch.as_mut_ptr()) };
        // SAFETY: the provider wrote as many as it says.
        unsafe { batch.found(found) }
    }
}

unsafe extern "C" fn refuse_send(
    _qp: *mut sys::ibv_qp,
    chain: *mut sys::ibv_send_wr,
    refused: *mut *mut sys::ibv_send_wr,
) -> c_int {
    // SAFETY: who posts gives a valid place.
    unsafe { *refused = chain };
    libc::ENOTCONN
}

unsafe extern "C" fn refuse_receive(
    _qp: *mut sys::ibv_qp,
    chain: *mut sys::ibv_recv_wr,
    refused: *mut *mut sys::ibv_recv_wr,
) -> c_int {
    // SAFETY: as in refuse_send.
    unsafe { *refused = chain };
    libc::ENOTCONN
}

unsafe extern "C" fn find_nothing(_cq: *mut sys::ibv_cq, _most: c_int, _batch: *mut sys::ibv_wc) -> c_int {
    0
}

/// A queue pair that has a seat, and the registrations of what is posted to it.
pub struct SeatedQueuePair {
    // Dropped by `end` and by nothing else, before the registrations.
    queue_pair: ManuallyDrop<QueuePair>,
    registrations: ManuallyDrop<Vec<Registration>>,
    seat: Rc<Seat>,
}

/// What a queue pair leaves that was destroyed: registrations that no device uses any more. Dropping it gives them back.
#[derive(Debug)]
#[must_use = "what the queue pair used is given back when this is dropped"]
pub struct Ended {
    _registrations: Vec<Registration>,
}

impl QueuePair {
    /// Takes `seat` for this queue pair, whose work requests lie in what is registered. Whoever had the seat posts nothing more.
    /// After an error the queue pair is destroyed.
    pub fn take_seat(
        self,
        seat: &Rc<Seat>,
        registrations: Vec<Registration>,
    ) -> Result<SeatedQueuePair, Error> {
        // SAFETY: the queue pair leaves the seat before it is destroyed; what it owns lives as long as it does.
        unsafe { seat.take(self.as_ptr()) }?;
        let (queue_pair, registrations) = (ManuallyDrop::new(self), ManuallyDrop::new(registrations));
        Ok(SeatedQueuePair { queue_pair, registrations, seat: seat.clone() })
    }
}

impl SeatedQueuePair {
    /// The queue pair, for what has nothing to do with posting.
    pub fn queue_pair(&self) -> &QueuePair {
        &self.queue_pair
    }

    /// Leaves the seat, unless another queue pair has taken it meanwhile.
    fn stand_up(&self) {
        if self.seat.qp.get() == self.queue_pair.as_ptr() {
            self.seat.leave();
        }
    }

    /// Destroys the queue pair: after success the device no longer uses any memory on its behalf, and the seat is empty. On
    /// failure it comes back, seated as before: its memory must be kept.
    pub fn destroy(self) -> Result<Ended, (Self, Error)> {
        let mut this = ManuallyDrop::new(self);
        let was_seated = this.seat.qp.get() == this.queue_pair.as_ptr();
        this.stand_up();
        // SAFETY: taken out once: `this` is not dropped, and on failure it is put back before anybody sees it.
        match unsafe { ManuallyDrop::take(&mut this.queue_pair) }.destroy() {
            // SAFETY: as above; neither is used afterwards.
            Ok(()) => unsafe {
                let registrations = ManuallyDrop::take(&mut this.registrations);
                drop(std::ptr::read(&raw const this.seat));
                Ok(Ended { _registrations: registrations })
            },
            Err((queue_pair, error)) => {
                this.queue_pair = ManuallyDrop::new(queue_pair);
                let this = ManuallyDrop::into_inner(this);
                if was_seated {
                    // SAFETY: as in `take_seat`. The provider has the operations that it had.
                    let _ = unsafe { this.seat.take(this.queue_pair.as_ptr()) };
                }
                Err((this, error))
            }
        }
    }

    /// Keeps a queue pair that could not be destroyed, with all that it needs, for good; the seat is empty then. Returns how many
    /// objects are [kept](crate::kept()) now. The log line is the caller's.
    pub fn keep(self) -> usize {
        self.stand_up();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken out once, since `this` is not dropped. The registrations stay, and with them their memory.
        unsafe {
            drop(std::ptr::read(&raw const this.seat));
            ManuallyDrop::take(&mut this.queue_pair).keep()
        }
    }
}

impl Drop for SeatedQueuePair {
    fn drop(&mut self) {
        self.stand_up();
        // SAFETY: taken out once, here.
        let queue_pair = unsafe { ManuallyDrop::take(&mut self.queue_pair) };
        match queue_pair.destroy() {
            // SAFETY: as above.
            Ok(()) => drop(unsafe { ManuallyDrop::take(&mut self.registrations) }),
            Err((queue_pair, error)) => {
                queue_pair.keep();
                tracing::error!("giving back a queue pair: {error}; it is kept, with its memory, for good");
            }
        }
    }
}
