//! F20: several threads use one controller through the C face, each as far as it may: a qpair is one thread's at a time, the admin side is
//! everybody's. Real threads and real time; the target has a thread of its own.
//!
//! Waits are for conditions; the deadline is for failure alone.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/face.rs"]
mod face;
mod meetings;
mod storm;

use {env as _, softverbs as _, spdk_nvme_rdma as _};

use face::*;
use std::{
    ffi::{c_int, c_void},
    ptr::{null, null_mut},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};
use target::{Options, SubsystemOptions, Target};

const NQN: &str = "nqn.2024-01.test:threads";
const DEADLINE: Duration = Duration::from_secs(60);
const ENXIO: i32 = -libc::ENXIO;

unsafe extern "C" {
    fn spdk_get_ticks() -> u64;
    fn spdk_get_ticks_hz() -> u64;
    fn spdk_nvme_ctrlr_get_first_active_ns(controller: *mut c_void) -> u32;
    fn spdk_nvme_poll_group_create(context: *mut c_void, table: *mut c_void) -> *mut c_void;
    fn spdk_nvme_poll_group_add(group: *mut c_void, qpair: *mut c_void) -> c_int;
    fn spdk_nvme_poll_group_destroy(group: *mut c_void) -> c_int;
    fn spdk_nvme_poll_group_process_completions(
        group: *mut c_void,
        most: u32,
        disconnected: extern "C" fn(*mut c_void, *mut c_void),
    ) -> i64;
}

/// A handle or a buffer that may go from thread to thread.
#[derive(Debug, Clone, Copy)]
struct Shared(*mut c_void);

// SAFETY: the library says which handles may be used by which thread; that is what the tests are about.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// What a thread's reads came to. The callback gets its address.
struct Reads {
    thread: ThreadId,
    succeeded: AtomicU32,
    failed: AtomicU32,
    elsewhere: AtomicU32,
}

impl Reads {
    fn new() -> Self {
        let [succeeded, failed, elsewhere] = [const { AtomicU32::new(0) }; 3];
        Self { thread: thread::current().id(), succeeded, failed, elsewhere }
    }

    fn ended(&self) -> u32 {
        self.succeeded.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    /// Every callback ran on the thread that polls (I28, T122).
    fn check(&self) {
        assert_eq!(
            self.elsewhere.load(Ordering::Relaxed),
            0,
            "callbacks on a thread that does not own the qpair"
        );
    }
}

extern "C" fn ended(argument: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: the argument is the Reads of the test, which outlives its qpair; the completion is good during the call.
    let (reads, completion) = unsafe { (&*argument.cast::<Reads>(), &*completion) };
    let status = u16::from_le_bytes([completion[14], completion[15]]) >> 1;
    let count = if status == 0 { &reads.succeeded } else { &reads.failed };
    count.fetch_add(1, Ordering::Relaxed);
    if thread::current().id() != reads.thread {
        reads.elsewhere.fetch_add(1, Ordering::Relaxed);
    }
}

/// The target's thread; it ends the target when it is dropped.
struct Peer {
    /// Where it listens: a port that nobody else has.
    port: u16,
    /// Commands for it; it ends when there can be no more.
    control: Option<mpsc::Sender<String>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Peer {
    fn start() -> Self {
        let (control, commands) = mpsc::channel::<String>();
        let (ready, up) = mpsc::channel();
        let thread = thread::spawn(move || {
            let options = Options {
                listen: vec!["127.0.0.1:0".parse().unwrap()],
                subsystems: vec![SubsystemOptions::parse(&format!("{NQN},ns=8M")).unwrap()],
                ..Options::default()
            };
            let mut target = Target::new(options).unwrap();
            let begin = Instant::now();
            ready.send(target.addresses().next().unwrap().port()).unwrap();
            loop {
                match commands.try_recv() {
                    Ok(command) => target.control(&command.parse().unwrap()).unwrap(),
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => break,
                }
                target.poll(u64::try_from(begin.elapsed().as_nanos()).unwrap());
                thread::yield_now();
            }
        });
        let port = up.recv().unwrap();
        Self { port, control: Some(control), thread: Some(thread) }
    }

    /// Has the target do something: see its control commands.
    fn control(&self, command: &str) {
        self.control.as_ref().unwrap().send(command.to_owned()).unwrap();
    }

    /// All of it is gone when this returns.
    fn end(&mut self) {
        drop(self.control.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

/// A target, a controller and a buffer; one test at a time, since there is one RDMA in a process.
struct World {
    peer: Peer,
    controller: Shared,
    namespace: Shared,
    buffer: Shared,
    _alone: MutexGuard<'static, ()>,
}

/// There is one RDMA in a process, so tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl World {
    fn new() -> Self {
        let alone = alone();
        assert!(softverbs::ledger().is_clean(), "{:?}", softverbs::ledger());
        let peer = Peer::start();
        let id = transport_id(NQN, peer.port);
        // SAFETY: as the headers describe these functions.
        unsafe {
            let controller = spdk_nvme_connect(id.as_ptr().cast(), null(), 0);
            assert!(!controller.is_null());
            let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
            let buffer = spdk_zmalloc(1 << 20, 4096, null_mut(), -1, 1);
            assert!(!namespace.is_null() && !buffer.is_null());
            Self {
                peer,
                controller: Shared(controller),
                namespace: Shared(namespace),
                buffer: Shared(buffer),
                _alone: alone,
            }
        }
    }

    fn admin_poll(&self) -> i32 {
        // SAFETY: the controller is attached.
        unsafe { spdk_nvme_ctrlr_process_admin_completions(self.controller.0) }
    }

    /// A connected qpair. NULL is a failure.
    fn alloc(&self) -> Shared {
        // SAFETY: the controller is attached; no options are given.
        let qpair = unsafe { spdk_nvme_ctrlr_alloc_io_qpair(self.controller.0, null(), 0) };
        assert!(!qpair.is_null());
        Shared(qpair)
    }

    /// Submits `count` reads; how many were accepted.
    fn read(&self, qpair: Shared, reads: &Reads, count: u32) -> u32 {
        let argument = std::ptr::from_ref(reads).cast_mut().cast();
        let accepted = (0..count).filter(|lba| {
            // SAFETY: the qpair is this thread's, the buffer is large enough, `reads` outlives the qpair.
            let rc = unsafe {
                spdk_nvme_ns_cmd_read(
                    self.namespace.0,
                    qpair.0,
                    self.buffer.0,
                    u64::from(*lba),
                    1,
                    ended,
                    argument,
                    0,
                )
            };
            rc == 0
        });
        u32::try_from(accepted.count()).unwrap()
    }

    fn poll(&self, qpair: Shared) -> i32 {
        // SAFETY: the qpair is this thread's.
        unsafe { spdk_nvme_qpair_process_completions(qpair.0, 0) }
    }

    fn free(&self, qpair: Shared) {
        // SAFETY: the qpair is this thread's, and not used again.
        assert_eq!(unsafe { spdk_nvme_ctrlr_free_io_qpair(qpair.0) }, 0);
    }

    fn finish(mut self) {
        // SAFETY: nobody uses the controller any more; the buffer came from spdk_zmalloc.
        unsafe {
            assert_eq!(spdk_nvme_detach(self.controller.0), 0);
            spdk_free(self.buffer.0);
        }
        self.peer.end();
        assert!(softverbs::ledger().is_clean(), "{:?}", softverbs::ledger());
    }
}

/// Tells others that a thread is done, also if it panics: nobody waits for it in vain.
struct Leaving<'a>(&'a AtomicU32);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Leaves the processor to the others for a moment: there are more threads than processors, and the target must come to its turn.
fn pause() {
    thread::sleep(Duration::from_micros(100));
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < DEADLINE, "waited too long for {what}");
        pause();
    }
}

/// The target dies; the admin thread hears of it and fails the controller; each I/O thread ends its own qpairs.
#[test]
fn f20_t122_a_controller_fails_on_one_thread_while_another_reads() {
    for poll_after_failure in [false, true] {
        let mut world = World::new();
        let (running, failed) = (AtomicU32::new(0), AtomicBool::new(false));
        let mut peer = std::mem::replace(&mut world.peer, Peer { port: 0, control: None, thread: None });
        let shared = &world;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let reads = Reads::new();
                    let qpairs = [shared.alloc(), shared.alloc()];
                    let mut accepted = 0;
                    let mut counted = false;
                    let mut lost = [false; 2];
                    until("both qpairs to be lost", || {
                        for (qpair, lost) in qpairs.iter().zip(&mut lost) {
                            accepted += shared.read(*qpair, &reads, 4);
                            if !poll_after_failure
                                || failed.load(Ordering::Acquire)
                                || !counted
                                || reads.ended() < accepted
                            {
                                *lost |= shared.poll(*qpair) == ENXIO;
                            }
                        }
                        if !counted && reads.succeeded.load(Ordering::Relaxed) > 100 {
                            counted = true;
                            running.fetch_add(1, Ordering::Release);
                        }
                        lost == [true; 2]
                    });
                    qpairs.into_iter().for_each(|qpair| shared.free(qpair));
                    assert_eq!(reads.ended(), accepted, "each accepted read is told once");
                    reads.check();
                });
            }
            until("reads on both threads", || {
                assert!(shared.admin_poll() >= 0);
                running.load(Ordering::Acquire) == 2
            });
            peer.end();
            until("the failure", || shared.admin_poll() < 0);
            failed.store(true, Ordering::Release);
        });
        world.finish();
    }
}

/// T124: polled, asked and used for making and freeing qpairs by four threads at once, while two more read.
#[test]
fn f20_t161_the_admin_side_is_used_by_many_threads() {
    const ROUNDS: u32 = 15;
    let world = World::new();
    let shared = &world;
    let making = AtomicU32::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while making.load(Ordering::Acquire) > 0 {
                    assert!(shared.admin_poll() >= 0);
                    // SAFETY: the controller is attached.
                    let (first, namespace) = unsafe {
                        (
                            spdk_nvme_ctrlr_get_first_active_ns(shared.controller.0),
                            spdk_nvme_ctrlr_get_ns(shared.controller.0, 1),
                        )
                    };
                    assert_eq!((first, namespace), (1, shared.namespace.0));
                    pause();
                }
            });
            scope.spawn(|| {
                let _leaving = Leaving(&making);
                for round in 0..ROUNDS {
                    let reads = Reads::new();
                    let qpairs: Vec<_> = (0..3).map(|_| shared.alloc()).collect();
                    let accepted: u32 = qpairs.iter().map(|qpair| shared.read(*qpair, &reads, 8)).sum();
                    assert_eq!(accepted, 24);
                    if round % 2 == 0 {
                        until("the reads", || {
                            qpairs.iter().for_each(|qpair| assert!(shared.poll(*qpair) >= 0));
                            reads.ended() == accepted
                        });
                        assert_eq!(reads.succeeded.load(Ordering::Relaxed), accepted);
                    }
                    qpairs.into_iter().for_each(|qpair| shared.free(qpair));
                    assert_eq!(reads.ended(), accepted);
                    reads.check();
                }
            });
            scope.spawn(|| {
                let (reads, qpair) = (Reads::new(), shared.alloc());
                let mut accepted = 0;
                while making.load(Ordering::Acquire) > 0 {
                    accepted += shared.read(qpair, &reads, 16);
                    assert!(shared.poll(qpair) >= 0);
                    pause();
                }
                shared.free(qpair);
                assert_eq!(reads.ended(), accepted);
                assert!(reads.succeeded.load(Ordering::Relaxed) > 0);
                reads.check();
            });
        }
    });
    world.finish();
}

extern "C" fn disconnected(_qpair: *mut c_void, _context: *mut c_void) {}

/// Qpairs of one controller in a poll group for each thread, each with a completion queue of its own on the one device.
#[test]
fn f20_i28_a_group_on_each_thread() {
    let world = World::new();
    let shared = &world;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let reads = Reads::new();
                    // SAFETY: group and qpairs are this thread's.
                    let group = unsafe { spdk_nvme_poll_group_create(null_mut(), null_mut()) };
                    assert!(!group.is_null());
                    let qpairs: Vec<_> = (0..3).map(|_| shared.alloc()).collect();
                    for qpair in &qpairs {
                        // SAFETY: as above.
                        unsafe {
                            spdk_nvme_ctrlr_disconnect_io_qpair(qpair.0);
                            assert_eq!(spdk_nvme_poll_group_add(group, qpair.0), 0);
                            assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(shared.controller.0, qpair.0), 0);
                        }
                    }
                    let mut accepted = 0;
                    until("the reads", || {
                        if accepted < 600 {
                            accepted +=
                                qpairs.iter().map(|qpair| shared.read(*qpair, &reads, 8)).sum::<u32>();
                        }
                        // SAFETY: as above.
                        let polled =
                            unsafe { spdk_nvme_poll_group_process_completions(group, 0, disconnected) };
                        assert!(polled >= 0);
                        accepted >= 600 && reads.ended() == accepted
                    });
                    assert_eq!(reads.succeeded.load(Ordering::Relaxed), accepted);
                    reads.check();
                    qpairs.into_iter().for_each(|qpair| shared.free(qpair));
                    // SAFETY: as above; it has no members any more.
                    assert_eq!(unsafe { spdk_nvme_poll_group_destroy(group) }, 0);
                }
            });
        }
    });
    world.finish();
}

/// Made on one thread, connected again on another, used and freed on others, one after the other; the Admin Queue is polled all the while.
#[test]
fn f20_a_qpair_moves_from_thread_to_thread() {
    let world = World::new();
    let shared = &world;
    let working = AtomicU32::new(1);
    thread::scope(|scope| {
        let leaving = Leaving(&working);
        scope.spawn(|| {
            while working.load(Ordering::Acquire) > 0 {
                assert!(shared.admin_poll() >= 0);
                pause();
            }
        });
        let on_a_thread = |work: &(dyn Fn() + Sync)| thread::scope(|scope| scope.spawn(work).join().unwrap());
        for _ in 0..20 {
            let place = Mutex::new(None);
            let taken = || place.lock().unwrap().unwrap_or_else(|| panic!("no qpair"));
            on_a_thread(&|| *place.lock().unwrap() = Some(shared.alloc()));
            for round in 0..3 {
                on_a_thread(&|| {
                    let (reads, qpair): (Reads, Shared) = (Reads::new(), taken());
                    let accepted = shared.read(qpair, &reads, 32);
                    if round == 1 {
                        // SAFETY: the qpair is this thread's for now.
                        unsafe { spdk_nvme_ctrlr_disconnect_io_qpair(qpair.0) };
                        assert_eq!(reads.ended(), accepted, "told by the disconnect");
                    }
                    until("the reads", || {
                        assert!(round == 1 || shared.poll(qpair) >= 0);
                        reads.ended() == accepted
                    });
                    reads.check();
                });
                on_a_thread(&|| {
                    let qpair = taken();
                    // SAFETY: as above.
                    unsafe {
                        if !spdk_nvme_qpair_is_connected(qpair.0) {
                            assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(shared.controller.0, qpair.0), 0);
                        }
                        assert!(spdk_nvme_qpair_is_connected(qpair.0));
                    }
                });
            }
            on_a_thread(&|| shared.free(taken()));
        }
        drop(leaving);
    });
    world.finish();
}

/// The environment's clock is one for all threads, as exactly as deadlines need it: to a millisecond.
/// Synchronous connects of one controller's qpairs go one after the other, so that each has its deadline for itself: where each message
/// of a connection manager is late, all together take as long as one by one.
#[test]
fn f20_synchronous_connects_take_turns() {
    const THREADS: u32 = 3;
    const LATE: Duration = Duration::from_millis(50);
    let world = World::new();
    softverbs::control(&format!("delay cm rx {}ms", LATE.as_millis())).unwrap();
    let begin = Instant::now();
    let qpairs: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| world.alloc())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = begin.elapsed();
    softverbs::control("delay off").unwrap();
    // A request, and the answer to it.
    assert!(took >= THREADS * 2 * LATE, "{took:?}");
    qpairs.into_iter().for_each(|qpair| world.free(qpair));
    world.finish();
}

#[test]
fn f20_the_clock_is_the_same_on_all_threads() {
    // SAFETY: as env.h describes it.
    let (ticks, millisecond) = (|| unsafe { spdk_get_ticks() }, unsafe { spdk_get_ticks_hz() } / 1_000);
    let latest = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100_000 {
                    let told = latest.load(Ordering::Acquire);
                    let now = ticks();
                    assert!(now + millisecond >= told, "{now} after {told}");
                    latest.fetch_max(now, Ordering::Release);
                }
            });
        }
    });
}
