//! What the functions of libibverbs share: looking objects up, answering as C expects, waiting.

use std::ffi::c_int;

use rdma_sys::{ibv_comp_channel, ibv_cq, ibv_cq_ex, ibv_pd, ibv_qp, ibv_qp_ex, ibv_srq};

use super::find;
use crate::carrier::helper::Asleep;
use crate::carrier::sys;
use crate::fabric::cq::Cq;
use crate::fabric::objects::{CompChannel, Pd};
use crate::fabric::qp::Qp;
use crate::fabric::slab::Key;
use crate::fabric::srq::Srq;
use crate::runtime::{Runtime, with};

/// A pointer, or NULL with errno.
pub fn or_null<T>(result: Result<*mut T, i32>) -> *mut T {
    result.unwrap_or_else(|errno| {
        sys::set_errno(errno);
        std::ptr::null_mut()
    })
}

/// 0, or the errno itself, as most verbs return it.
pub fn or_errno(result: Result<(), i32>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => {
            sys::set_errno(errno);
            errno
        }
    }
}

/// Looks a protection domain up.
pub fn find_pd(rt: &mut Runtime, pd: *const ibv_pd) -> Result<Key<Pd>, i32> {
    find(&rt.cells.pds, &mut rt.fabric.shared, pd, "pd", |s, k| s.pds.get(k).is_some())
}

/// Looks a completion queue up.
pub fn find_cq(rt: &mut Runtime, cq: *const ibv_cq) -> Result<Key<Cq>, i32> {
    find(&rt.cells.cqs, &mut rt.fabric.shared, cq.cast::<ibv_cq_ex>(), "cq", |s, k| s.cqs.get(k).is_some())
}

/// Looks a queue pair up.
pub fn find_qp(rt: &mut Runtime, qp: *const ibv_qp) -> Result<Key<Qp>, i32> {
    let qps = &rt.fabric.qps;
    find(&rt.cells.qps, &mut rt.fabric.shared, qp.cast::<ibv_qp_ex>(), "qp", |_, k| qps.get(k).is_some())
}

/// Looks a shared receive queue up.
pub fn find_srq(rt: &mut Runtime, srq: *const ibv_srq) -> Result<Key<Srq>, i32> {
    find(&rt.cells.srqs, &mut rt.fabric.shared, srq, "srq", |s, k| s.srqs.get(k).is_some())
}

/// Looks a completion channel up.
pub fn find_channel(rt: &mut Runtime, channel: *const ibv_comp_channel) -> Result<Key<CompChannel>, i32> {
    find(&rt.cells.channels, &mut rt.fabric.shared, channel, "completion channel", |s, k| {
        s.channels.get(k).is_some()
    })
}

/// Waits for a bell, honouring O_NONBLOCK. The error is an errno.
pub fn wait_on(fd: c_int) -> Result<(), i32> {
    if sys::is_nonblocking(fd)? {
        return Err(libc::EAGAIN);
    }
    let moved = with(|rt| if rt.manual { Some(rt.step(u64::MAX)) } else { None });
    match moved {
        Some(true) => Ok(()),
        Some(false) => {
            with(|rt| rt.fabric.shared.fatal("a call would block for ever: nothing is due"));
            Err(libc::EDEADLK)
        }
        None => {
            let _asleep = Asleep::new();
            sys::wait_readable(fd, -1).map(|_| ())
        }
    }
}

/// What a thread does in a call on a channel that another thread destroys meanwhile.
pub fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

/// How long a call waits for another thread to acknowledge events, before it says that this will not happen.
pub struct Patience {
    turns: u32,
}

impl Patience {
    const TURNS: u32 = 2000;

    /// None used up.
    pub fn new() -> Self {
        Self { turns: 0 }
    }

    /// Whether to give up: at once if there are no other threads by definition.
    pub fn is_over(&self, alone: bool) -> bool {
        alone || self.turns >= Self::TURNS
    }

    /// A millisecond, without the lock.
    pub fn wait(&mut self) {
        self.turns += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
