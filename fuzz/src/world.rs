//! A host by its C face, a target that may be hostile, and time by hand, on one thread.
//!
//! What must hold at the end of a world: each I/O that was accepted had one callback and each that was not had none, what RDMA
//! lent was given back, and nobody waited longer than all deadlines together.

use crate::hostile::{Hostile, Script};
use libc::{c_int, c_void};
use spdk_nvme_rdma::{
    abi::{
        detach::spdk_nvme_detach,
        probe::{spdk_nvme_connect, spdk_nvme_probe},
        types::{spdk_nvme_ctrlr, spdk_nvme_ctrlr_opts, spdk_nvme_transport_id},
    },
    clock::{self, Clock},
};
use std::{
    cell::{Cell, RefCell},
    ptr,
    sync::{Mutex, MutexGuard, OnceLock},
};

/// A turn moves the time by this many nanoseconds, and by more the longer nothing happens, or little.
const TURN: u64 = 20_000;
const LONGEST_TURN: u64 = 10_000_000;
/// Idle turns after which a turn is the longest.
const LONGEST_IDLE: u32 = 160;
/// Turns that a world may take, and simulated nanoseconds. A controller may have 127.5 s to be disabled and as many to be enabled (CAP.TO),
/// which the host looks at every 10 ms, with some 40 turns each.
const TURNS: i64 = 1_200_000;
const TIME: u64 = 1_200_000_000_000;
/// What a turn moves the time by when that was too much.
const AFTER: u64 = 60_000_000_000;
/// Bytes of the buffer for I/O.
pub const BUFFER: usize = 1 << 20;

unsafe extern "C" {
    fn spdk_zmalloc(size: usize, align: usize, unused: *mut u64, numa_id: c_int, flags: u32) -> *mut c_void;
}

thread_local! {
    static TARGET: RefCell<Option<Hostile>> = const { RefCell::new(None) };
    static IDLE: Cell<u32> = const { Cell::new(0) };
    static LEFT: Cell<i64> = const { Cell::new(0) };
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

/// What became of an I/O.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    accepted: bool,
    callbacks: u32,
    succeeded: bool,
}

/// One world at a time, since there is one RDMA in a process.
pub struct World {
    _alone: MutexGuard<'static, ()>,
}

/// One turn of the target and of time.
pub fn turn() {
    let work = TARGET.with_borrow_mut(|target| target.as_mut().map_or(0, Hostile::poll));
    let idle = if work == 0 { IDLE.get().saturating_add(1).min(LONGEST_IDLE) } else { IDLE.get() / 4 * 3 };
    IDLE.set(idle);
    let left = LEFT.get() - 1;
    LEFT.set(left);
    let step = if left > 0 && !is_over_time() {
        (TURN << (idle / 16).min(20)).min(LONGEST_TURN)
    } else {
        // What ends by a deadline ends now, and `finish` tells of it. What still goes on has none.
        LEFT.set(left.min(0));
        assert!(left > -TURNS, "a wait without end");
        AFTER
    };
    softverbs::sim::advance(step);
}

fn is_over_time() -> bool {
    softverbs::sim::now() > TIME
}

impl World {
    /// A world with this target, or none.
    #[must_use]
    pub fn new(script: Option<Script>) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        crate::lines::take();
        softverbs::sim::start(7);
        let clock = Clock { ticks: softverbs::sim::now, ticks_hz: || 1_000_000_000, relax: turn };
        clock::install(clock).expect("a clock with a rate");
        let plain = "faults quiet; faults off; delay off; device on; port up; peer speaks; purge on";
        softverbs::control(plain).unwrap();
        assert_clean("before");
        CALLS.with_borrow_mut(Vec::clear);
        IDLE.set(0);
        LEFT.set(TURNS);
        TARGET.set(script.map(Hostile::new));
        Self { _alone: alone }
    }

    /// The memory for I/O. It is the same for all worlds.
    #[must_use]
    pub fn buffer(&self) -> *mut c_void {
        static PLACE: OnceLock<usize> = OnceLock::new();
        ptr::with_exposed_provenance_mut(*PLACE.get_or_init(|| {
            // SAFETY: as env.h describes it.
            let buffer = unsafe { spdk_zmalloc(BUFFER, 4096, ptr::null_mut(), -1, 1) };
            assert!(!buffer.is_null());
            buffer.expose_provenance()
        }))
    }

    /// Attaches a controller, lets `work` use it, and detaches it.
    pub fn attach(
        &self,
        trid: &spdk_nvme_transport_id,
        opts: Option<(*const spdk_nvme_ctrlr_opts, usize)>,
        work: impl FnOnce(*mut spdk_nvme_ctrlr),
    ) {
        let (opts, size) = opts.unwrap_or((ptr::null(), 0));
        // SAFETY: the transport id is one, and whoever made the options vouches for their size.
        let ctrlr = unsafe { spdk_nvme_connect(trid, opts, size) };
        if !ctrlr.is_null() {
            work(ctrlr);
            // SAFETY: the handle is used no more.
            assert_eq!(unsafe { spdk_nvme_detach(ctrlr) }, 0);
        }
    }

    /// The controllers that a discovery finds.
    #[must_use]
    pub fn discover(&self, trid: &spdk_nvme_transport_id) -> Vec<*mut spdk_nvme_ctrlr> {
        unsafe extern "C" fn attached(
            context: *mut c_void,
            _: *const spdk_nvme_transport_id,
            ctrlr: *mut spdk_nvme_ctrlr,
            _: *const spdk_nvme_ctrlr_opts,
        ) {
            // SAFETY: the context is the list below.
            unsafe { (*context.cast::<Vec<*mut spdk_nvme_ctrlr>>()).push(ctrlr) };
        }
        let mut found: Vec<*mut spdk_nvme_ctrlr> = Vec::new();
        // SAFETY: the transport id is one, and the callback's context lives.
        let rc = unsafe { spdk_nvme_probe(trid, (&raw mut found).cast(), None, Some(attached), None) };
        assert!(rc == 0 || rc == -1);
        found
    }

    /// See [`Hostile::unnoticed`].
    #[must_use]
    pub fn unnoticed(&self) -> usize {
        TARGET.with_borrow(|target| target.as_ref().map_or(0, Hostile::unnoticed))
    }

    /// The end of the world: the target is gone, and all is as it was.
    pub fn finish(self) {
        drop(TARGET.take());
        softverbs::sim::advance(5_000_000_000);
        assert!(LEFT.get() > 0, "it took more than {TURNS} turns");
        assert!(!is_over_time(), "it took {} s", softverbs::sim::now() / 1_000_000_000);
        CALLS.with_borrow(|calls| {
            for (number, call) in calls.iter().enumerate() {
                assert_eq!(call.callbacks, u32::from(call.accepted), "I/O {number}: {call:?}");
            }
        });
        assert_clean("after");
        crate::lines::check();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(TARGET.take());
    }
}

fn assert_clean(when: &str) {
    let ledger = softverbs::ledger();
    assert!(ledger.is_clean(), "{when}: {ledger:?}");
}

/// A new I/O, by the argument for its callback.
#[must_use]
pub fn begin() -> *mut c_void {
    CALLS.with_borrow_mut(|calls| {
        calls.push(Call::default());
        ptr::without_provenance_mut(calls.len())
    })
}

/// Whether the I/O was accepted.
pub fn submitted(argument: *mut c_void, rc: c_int) {
    CALLS.with_borrow_mut(|calls| calls[argument.addr() - 1].accepted = rc == 0);
}

/// I/Os that were accepted and have not ended.
#[must_use]
pub fn outstanding() -> usize {
    CALLS.with_borrow(|calls| calls.iter().filter(|call| call.accepted && call.callbacks == 0).count())
}

/// Counts a callback.
pub fn called(argument: *mut c_void, succeeded: bool) {
    CALLS.with_borrow_mut(|calls| {
        let call = &mut calls[argument.addr() - 1];
        call.callbacks += 1;
        call.succeeded = succeeded;
    });
}

/// I/Os of the last world that succeeded.
#[must_use]
pub fn succeeded() -> usize {
    CALLS.with_borrow(|calls| calls.iter().filter(|call| call.succeeded).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Whether the end of a world in which this happened is a finding.
    fn is_found(happens: impl FnOnce()) -> bool {
        let world = World::new(None);
        happens();
        catch_unwind(AssertUnwindSafe(|| world.finish())).is_err()
    }

    #[test]
    fn a_callback_too_few_or_too_many_is_found() {
        assert!(is_found(|| submitted(begin(), 0)));
        assert!(is_found(|| called(begin(), true)));
        assert!(is_found(|| {
            let argument = begin();
            submitted(argument, 0);
            called(argument, true);
            called(argument, true);
        }));
        assert!(!is_found(|| {
            let argument = begin();
            submitted(argument, 0);
            called(argument, false);
        }));
    }

    #[test]
    fn what_is_left_alive_is_found() {
        let mut kept = None;
        assert!(is_found(|| kept = Some(verbs::EventChannel::new().unwrap())));
    }

    #[test]
    fn a_wait_that_is_too_long_is_found() {
        assert!(is_found(|| (0..=TURNS).for_each(|_| turn())));
    }
}
