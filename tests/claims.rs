//! Ends are claimed: pairs of free, detach, alloc and connect inside of each other's callbacks, through C handles. On two
//! threads they meet in `tests/threads/meetings.rs`.
//!
//! What holds for each pair: one wins, the other gets the neutral answer or a refusal; nothing is used after it is gone, no
//! controller is lost, and in the end nothing is left of RDMA.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, turn, until};
use face::*;
use spec::{AdminOpcode, FabricsType, registers::CC};
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    ptr::null_mut,
    rc::Rc,
    time::Duration,
};

/// Where the simulation's target listens.
const PORT: u16 = 4420;
const EAGAIN: i32 = -libc::EAGAIN;

type Hook = Box<dyn FnOnce()>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    static ENDED: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn ended(_: *mut c_void, _: *const [u8; 16]) {
    ENDED.set(ENDED.get() + 1);
    if let Some(hook) = HOOK.take() {
        hook();
    }
}

fn read(controller: Handle, qpair: Handle, buffer: *mut c_void) {
    // SAFETY: the handles are live, and the buffer is larger than a block.
    unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        assert_eq!(spdk_nvme_ns_cmd_read(namespace, qpair, buffer, 0, 1, ended, null_mut(), 0), 0);
    }
}

/// Runs `hook` in the callback of the next read that ends.
fn in_callback(hook: impl FnOnce() + 'static) {
    HOOK.set(Some(Box::new(hook)));
}

fn free(qpair: Handle) -> i32 {
    // SAFETY: on this thread.
    unsafe { spdk_nvme_ctrlr_free_io_qpair(qpair) }
}

fn detach(controller: Handle) -> i32 {
    // SAFETY: on this thread.
    unsafe { spdk_nvme_detach(controller) }
}

fn detach_async(controller: Handle, context: &mut Handle) -> i32 {
    // SAFETY: on this thread; the context is NULL or one that was not polled to its end.
    unsafe { spdk_nvme_detach_async(controller, context) }
}

/// Polls a detach context to its end.
fn poll_to_the_end(context: Handle) {
    until("the detach", || {
        // SAFETY: the context is not at its end yet.
        let rc = unsafe { spdk_nvme_detach_poll_async(context) };
        assert!(rc == 0 || rc == EAGAIN, "{rc}");
        rc == 0
    });
}

/// A world with a silent target for `count` controllers, each with a qpair that a read is outstanding on.
fn waiting(count: u32) -> (World, Vec<(Handle, Handle)>) {
    let world = World::new();
    ENDED.set(0);
    let controllers: Vec<Handle> = (0..count).map(|host| connect(NQN, PORT, host)).collect();
    let pairs: Vec<_> = controllers.into_iter().map(|controller| (controller, alloc(controller))).collect();
    assert!(pairs.iter().all(|(controller, qpair)| !controller.is_null() && !qpair.is_null()));
    world.control("misbehave silent");
    pairs.iter().for_each(|(controller, qpair)| read(*controller, *qpair, world.buffer()));
    (world, pairs)
}

fn end(world: World, callbacks: u32) {
    assert_eq!(ENDED.get(), callbacks);
    assert!(HOOK.take().is_none(), "the callback never ran");
    world.control("behave silent");
    world.finish(None);
}

/// M1: an abort callback polls the context in which its own controller and another are being detached.
#[test]
fn m1_a_callback_polls_the_detach_context_to_its_end() {
    let (world, pairs) = waiting(2);
    let mut context = null_mut();
    for (controller, _) in pairs {
        assert_eq!(detach_async(controller, &mut context), 0);
    }
    assert_eq!(ENDED.get(), 0, "no callback runs before the context is polled");
    let shared = context;
    in_callback(move || poll_to_the_end(shared));
    // SAFETY: the context is live; its callback polls it to its end.
    let rc = unsafe { spdk_nvme_detach_poll_async(context) };
    assert_eq!(rc, 0, "who finds the context empty says so");
    // Both controllers are gone and can be attached anew.
    world.control("behave silent");
    for host in 0..2 {
        let again = connect(NQN, PORT, host);
        assert!(!again.is_null());
        assert_eq!(detach(again), 0);
    }
    end(world, 2);
}

/// M2: an abort callback allocates on the controller that goes, connects its qpair and attaches the controller.
#[test]
fn m2_a_callback_allocates_while_its_controller_is_detached() {
    for asynchronous in [false, true] {
        let (world, pairs) = waiting(1);
        let (controller, qpair) = pairs[0];
        in_callback(move || {
            assert!(alloc(controller).is_null());
            // SAFETY: both handles are there until the callback of their end returns.
            assert_ne!(unsafe { spdk_nvme_ctrlr_connect_io_qpair(controller, qpair) }, 0);
            assert!(connect(NQN, PORT, 0).is_null(), "it is being detached");
        });
        if asynchronous {
            let mut context = null_mut();
            assert_eq!(detach_async(controller, &mut context), 0);
            poll_to_the_end(context);
        } else {
            assert_eq!(detach(controller), 0);
        }
        end(world, 1);
    }
}

#[test]
fn a_callback_of_an_end_ends_the_same_again() {
    for detached in [false, true] {
        let (world, pairs) = waiting(1);
        let (controller, qpair) = pairs[0];
        in_callback(move || {
            let mut context = null_mut();
            assert_eq!(free(qpair), 0, "it is being freed");
            if detached {
                assert_eq!(detach(controller), 0, "it is being detached");
                assert_eq!(detach_async(controller, &mut context), 0);
                assert!(context.is_null(), "there is nothing to wait for");
            }
        });
        if !detached {
            assert_eq!(free(qpair), 0);
            assert_eq!(free(qpair), -libc::EINVAL, "it is gone");
        }
        assert_eq!(detach(controller), 0);
        assert_eq!(detach(controller), -libc::EINVAL, "it is gone");
        end(world, 1);
    }
}

#[test]
fn a_callback_of_a_free_detaches_the_controller() {
    let (world, pairs) = waiting(1);
    let (controller, qpair) = pairs[0];
    let other = {
        world.control("behave silent");
        let other = alloc(controller);
        world.control("misbehave silent");
        other
    };
    read(controller, other, world.buffer());
    in_callback(move || assert_eq!(detach(controller), 0));
    assert_eq!(free(qpair), 0);
    assert_eq!(free(other), -libc::EINVAL, "it went with the controller");
    end(world, 2);
}

#[test]
fn a_callback_of_a_detach_frees_another_qpair_of_the_controller() {
    let (world, pairs) = waiting(2);
    let (first, second) = (pairs[0], pairs[1]);
    in_callback(move || assert_eq!(free(second.1), 0));
    let mut context = null_mut();
    for (controller, _) in [first, second] {
        assert_eq!(detach_async(controller, &mut context), 0);
    }
    poll_to_the_end(context);
    end(world, 2);
}

/// What a callback does to the qpair, or the controller, that it is called of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Free,
    Detach,
    Connect,
    Disconnect,
}

const ACTS: [Act; 4] = [Act::Free, Act::Detach, Act::Connect, Act::Disconnect];

/// Does it; what an end answers is 0.
fn act(what: Act, controller: Handle, qpair: Handle) -> i32 {
    // SAFETY: on this thread; both handles are there until the callback returns.
    unsafe {
        match what {
            Act::Free => free(qpair),
            Act::Detach => detach(controller),
            Act::Connect => spdk_nvme_ctrlr_connect_io_qpair(controller, qpair),
            Act::Disconnect => {
                spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
                0
            }
        }
    }
}

/// What is left of both once `what` was done to them ends; what is gone is gone.
fn end_what_is_left(what: Act, controller: Handle, qpair: Handle) {
    let gone = |is| if is { -libc::EINVAL } else { 0 };
    assert_eq!(free(qpair), gone(matches!(what, Act::Free | Act::Detach)), "{what:?}");
    assert_eq!(detach(controller), gone(what == Act::Detach), "{what:?}");
}

/// A disconnect waits for the end of its qpair, and calls back before it returns: the callback ends the qpair or its
/// controller, or connects the qpair again, which is at rest by then; this controller does not answer the attempt.
#[test]
fn a_callback_of_a_disconnect_ends_what_disconnects() {
    for what in ACTS {
        let (world, pairs) = waiting(1);
        let (controller, qpair) = pairs[0];
        // Three, and the first of them acts.
        (0..2).for_each(|_| read(controller, qpair, world.buffer()));
        in_callback(move || {
            let expected = if what == Act::Connect { -libc::ETIMEDOUT } else { 0 };
            assert_eq!(act(what, controller, qpair), expected, "{what:?}");
        });
        // SAFETY: on this thread.
        unsafe { spdk_nvme_ctrlr_disconnect_io_qpair(qpair) };
        assert_eq!(ENDED.get(), 3, "{what:?}: all are told before it returns");
        world.control("behave silent");
        if matches!(what, Act::Connect | Act::Disconnect) {
            // SAFETY: as above; nobody ended it.
            unsafe {
                assert!(!spdk_nvme_qpair_is_connected(qpair), "{what:?}");
                assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(controller, qpair), 0, "{what:?}");
            }
        }
        end_what_is_left(what, controller, qpair);
        end(world, 3);
    }
}

/// Reads that wait for a connection which is refused: their callbacks come when the qpair is polled, and end it or its
/// controller, or try again. (While a connect waits by itself nothing is outstanding, so none of its callbacks can come.)
#[test]
fn a_callback_of_a_connection_that_failed_ends_what_connected() {
    for what in ACTS {
        let world = World::new();
        ENDED.set(0);
        let controller = connect(NQN, PORT, 0);
        let of = QpairOptions {
            queue_size: 8,
            requests: 16,
            delay_submit: false,
            create_only: true,
            asynchronous: true,
        };
        let qpair = alloc_with(controller, of);
        world.control("misbehave reject-connections");
        // SAFETY: on this thread.
        assert_eq!(unsafe { spdk_nvme_ctrlr_connect_io_qpair(controller, qpair) }, 0);
        (0..3).for_each(|_| read(controller, qpair, world.buffer()));
        in_callback(move || {
            assert_eq!(act(what, controller, qpair), 0, "{what:?}");
        });
        until("the callbacks", || {
            // SAFETY: it is there until a callback ends it, and is not polled again then.
            let rc = unsafe { spdk_nvme_qpair_process_completions(qpair, 0) };
            // What is connecting again tells how many were told.
            let told = if what == Act::Connect && ENDED.get() > 0 { 3 } else { 0 };
            assert!([told, -libc::ENXIO].contains(&rc), "{what:?}: {rc}");
            ENDED.get() > 0
        });
        assert_eq!(ENDED.get(), 3, "{what:?}: all are told together");
        world.control("behave reject-connections");
        end_what_is_left(what, controller, qpair);
        end(world, 3);
    }
}

/// H4: beginning to detach takes no time, and detaching takes one deadline, for 1, 32 and 1,000 qpairs left behind.
#[test]
fn h4_a_detach_takes_one_deadline_and_its_beginning_none() {
    for count in [1, 32, 1000] {
        let world = World::with(target::Options { io_queues: 1024, ..target::Options::default() });
        ENDED.set(0);
        let controller = connect(NQN, PORT, 0);
        let qpairs: Vec<Handle> = (0..count).map(|_| alloc(controller)).collect();
        assert!(qpairs.iter().all(|qpair| !qpair.is_null()));
        qpairs.iter().for_each(|qpair| read(controller, *qpair, world.buffer()));
        softverbs::control("delay cm rx 1000s; delay data rx 1000s").unwrap();
        let begin = softverbs::sim::now();
        let mut context = null_mut();
        assert_eq!(detach_async(controller, &mut context), 0);
        assert_eq!(softverbs::sim::now(), begin, "it waited");
        assert_eq!(ENDED.get(), 0, "it called back");
        // SAFETY: the context is not at its end yet.
        while unsafe { spdk_nvme_detach_poll_async(context) } == EAGAIN {
            softverbs::sim::advance(10_000_000);
        }
        let took = Duration::from_nanos(softverbs::sim::now() - begin);
        // The shutdown notification has its deadline of 10 s, the CM's answer another of 1 s.
        assert!(took < Duration::from_millis(11_500), "{count} qpairs: {took:?}");
        softverbs::control("delay off").unwrap();
        assert_eq!(ENDED.get(), count);
        world.finish(None);
    }
}

/// A callback of a synchronous disconnect connects the qpair again.
#[test]
fn a_callback_of_a_disconnect_connects_again() {
    let world = World::new();
    ENDED.set(0);
    let controller = connect(NQN, PORT, 0);
    let qpair = alloc(controller);
    read(controller, qpair, world.buffer());
    in_callback(move || {
        // SAFETY: on this thread.
        assert_eq!(unsafe { spdk_nvme_ctrlr_connect_io_qpair(controller, qpair) }, 0);
    });
    // SAFETY: on this thread.
    unsafe {
        spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
        assert!(spdk_nvme_qpair_is_connected(qpair));
    }
    assert_eq!(detach(controller), 0);
    assert_eq!(ENDED.get(), 1);
    world.finish(None);
}

/// The process is stopped for more than a minute while it detaches, by a debugger or with its virtual machine.
#[test]
fn a_detach_that_is_stopped_for_a_minute_ends_all_the_same() {
    let world = World::new();
    let controller = connect(NQN, PORT, 0);
    assert!(!alloc(controller).is_null());
    let stopped = Cell::new(false);
    common::watch(Some(Box::new(move || {
        if !stopped.replace(true) {
            softverbs::sim::advance(61_000_000_000);
        }
    })));
    assert_eq!(detach(controller), 0);
    common::watch(None);
    assert_eq!(detach(controller), -libc::EINVAL, "it is gone");
    let again = connect(NQN, PORT, 0);
    assert!(!again.is_null(), "it can be attached anew");
    assert_eq!(detach(again), 0);
    world.finish(None);
}

/// A controller is not told to shut down before the commands on its queues have ended: their callbacks come first.
#[test]
fn a_controller_shuts_down_after_its_queues() {
    let world = World::new();
    ENDED.set(0);
    let controller = connect(NQN, PORT, 0);
    let qpair = alloc(controller);
    assert!(!controller.is_null() && !qpair.is_null());
    // How many callbacks had run by then.
    let told: Rc<RefCell<Vec<u32>>> = Rc::default();
    let seen = told.clone();
    world.set_liar(move |answer| {
        let command = answer.command;
        if answer.qid > 0 {
            answer.hold = true;
        } else if command.opcode() == AdminOpcode::FABRICS.0
            && command.fabrics_type() == FabricsType::PROPERTY_SET
            && command.property_offset() == CC
        {
            seen.borrow_mut().push(ENDED.get());
        }
    });
    read(controller, qpair, world.buffer());
    (0..10).for_each(|_| turn());
    // What is flushed comes late.
    softverbs::control("wc recv late 5ms").unwrap();
    let mut context = null_mut();
    assert_eq!(detach_async(controller, &mut context), 0);
    poll_to_the_end(context);
    softverbs::control("faults off").unwrap();
    assert_eq!((told.take(), ENDED.get()), (vec![1], 1));
    world.finish(None);
}
