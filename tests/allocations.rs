//! F08: memory that cannot be had, and where none is asked for.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::host::IoQpairOptions;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// Allocations of this many bytes and more are counted.
    static LEAST: Cell<usize> = const { Cell::new(usize::MAX) };
    static COUNTED: Cell<u32> = const { Cell::new(0) };
    /// Which of them fails; 0: none.
    static FAILS: Cell<u32> = const { Cell::new(0) };
}

/// The system's allocator, with one allocation of a thread that fails.
struct Watched;

impl Watched {
    fn refuses(size: usize) -> bool {
        if size < LEAST.get() {
            return false;
        }
        COUNTED.set(COUNTED.get() + 1);
        COUNTED.get() == FAILS.get()
    }
}

// SAFETY: each call is the system's, or NULL, which an allocator may give.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static WATCHED: Watched = Watched;

/// Runs `work` while the `fails`th allocation of at least `least` bytes fails; how many there were.
fn watch(least: usize, fails: u32, work: impl FnOnce()) -> u32 {
    COUNTED.set(0);
    FAILS.set(fails);
    LEAST.set(least);
    work();
    LEAST.set(usize::MAX);
    COUNTED.get()
}

/// What grows with the program's options is refused with an error. What does not grow is small, and the process ends if there is
/// no memory even for that.
#[test]
fn f08_t90_a_qpair_for_which_there_is_no_memory() {
    let world = World::with(target::Options { queue_entries: 256, ..target::Options::default() });
    let controller = world.controller();
    let rest = softverbs::ledger();
    connected(&controller).free();
    until_let_go(&controller, &rest);
    // What grows is there before the qpair connects; after that it is the RDMA below that allocates.
    let options = IoQpairOptions {
        queue_size: 256,
        queue_requests: 4_000,
        delay_cmd_submit: true,
        ..synchronous(&controller)
    };
    let mut making = 0;
    for fails in 1.. {
        let mut made = None;
        let reached = watch(4_000, fails, || made = Some(controller.alloc_io_qpair(options)));
        match made.unwrap() {
            Ok(qpair) => {
                qpair.connect().unwrap();
                qpair.free();
            }
            Err(_) => making += 1,
        }
        until("the target to let go", || world.connections() == 1);
        until_let_go(&controller, &rest);
        assert!(controller.alloc_io_qpair(options).is_ok(), "the queue id came back");
        if reached < fails {
            break;
        }
    }
    assert!(making >= 2, "{making} refusals: of the receives, and of the row of sends that are put off");
    world.finish(Some(controller));
}

/// With delayed submission, whether there is room or the request waits; what the RDMA below does is not the host's.
#[test]
fn f08_a_submission_allocates_nothing() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let options = IoQpairOptions { delay_cmd_submit: true, ..synchronous(&controller) };
    let qpair = controller.alloc_io_qpair(options).unwrap();
    qpair.connect().unwrap();
    thread_local! {
        static ENDED: Cell<u32> = const { Cell::new(0) };
    }
    let context = || context(|_, completion| ENDED.set(ENDED.get() + u32::from(completion.is_success())), 0);
    for round in 1..=3 {
        let counted = watch(1, 0, || {
            for block in 0..128 {
                let read = qpair.read(&namespace, world.buffer(), block, 1, 0, context());
                assert!(read.is_ok());
            }
        });
        assert_eq!(counted, 0, "allocations of 128 submissions");
        until("the reads", || qpair.process_completions(0).is_ok() && ENDED.get() == round * 128);
    }
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}
