//! F01–F07: each call that the library makes into libibverbs and librdmacm is refused once, the first of its name, the second,
//! and so on, while a controller connects, reads and ends. Whatever is refused, nothing crashes or hangs, each I/O that was accepted
//! has exactly one callback, and nothing is left behind, unless it is the refused call that was to give it back.
//!
//! The target runs in the same process, so some of the refused calls are its own: a target that cannot go on is one more fault.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{lines::recorded, *};
use spdk_nvme_rdma::transport::share_receives;
use std::ffi::c_void;

/// What makes something, or asks for something: after its refusal nothing is left behind.
const MAKING: [&str; 14] = [
    "ibv_alloc_pd",
    "ibv_create_cq",
    "ibv_modify_qp",
    "ibv_query_device",
    "ibv_reg_mr",
    "rdma_accept",
    "rdma_connect",
    "rdma_create_event_channel",
    "rdma_create_id",
    "rdma_create_qp",
    "rdma_get_cm_event",
    "rdma_get_devices",
    "rdma_resolve_addr",
    "rdma_resolve_route",
];

/// What moves data: called often, so not each call is tried.
const MOVING: [&str; 3] = ["ibv_poll_cq", "ibv_post_recv", "ibv_post_send"];

/// What gives something back: after its refusal that very thing is left, with what it is made of.
const GIVING_BACK: [&str; 8] = [
    "ibv_dealloc_pd 1",
    "ibv_dereg_mr 1-3",
    "ibv_destroy_cq 1",
    "ibv_destroy_qp 1",
    "rdma_ack_cm_event 1",
    "rdma_ack_cm_event 3-9",
    "rdma_destroy_id 1",
    "rdma_disconnect 1-",
];

/// Runs one life in which the `nth` call of `function` fails. Whether the call was reached.
fn refuse(function: &str, nth: usize, errno: &str) -> bool {
    refuse_sharing(0, function, nth, errno)
}

/// As [`refuse`], with so many receives that members of a group share.
fn refuse_sharing(receives: u32, function: &str, nth: usize, errno: &str) -> bool {
    let world = World::new();
    share_receives(receives);
    softverbs::control(&format!("faults quiet; fail {function} {nth} {errno}")).unwrap();
    assert_eq!(softverbs::armed(), 1, "the fault waits for its call");
    world.live(world.options());
    let reached = softverbs::armed() == 0;
    softverbs::control("faults off").unwrap();
    world.finish(None);
    reached
}

#[test]
fn what_is_made_or_asked_for_is_refused_once() {
    let mut tried = 0;
    for function in MAKING {
        let mut nth = 1;
        while refuse(function, nth, "ENOMEM") {
            nth += 1;
            tried += 1;
            assert!(nth < 200, "{function} is called too often to try each");
        }
        assert!(nth > 1, "{function} is not called at all");
    }
    assert!(tried > 60, "only {tried} calls were reached");
}

#[test]
fn what_moves_data_is_refused_once() {
    for function in MOVING {
        let calls = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 50, 80, 130, 210];
        let reached = calls.iter().take_while(|nth| refuse(function, **nth, "ENOMEM")).count();
        assert!(reached > 12, "only {reached} calls of {function} were reached");
    }
}

#[test]
fn what_is_shared_is_refused_once() {
    for receives in [1, 5, 100] {
        for function in
            ["ibv_create_srq", "ibv_post_srq_recv", "rdma_create_qp", "ibv_create_cq", "ibv_reg_mr"]
        {
            let mut nth = 1;
            while refuse_sharing(receives, function, nth, "ENOMEM") {
                nth += 1;
            }
            assert!(nth > 1, "{function} is not called at all");
        }
    }
}

/// What cannot be given back stays in the process, so each case has one of its own.
#[test]
fn what_gives_back_is_refused() {
    for case in GIVING_BACK {
        in_a_process_of_its_own("one_life_with_faults", &format!("fail {case} EBUSY"));
    }
}

/// Queue pairs that can be neither stopped nor destroyed.
#[test]
fn what_cannot_be_stopped_is_left_alone() {
    let faults = "fail ibv_modify_qp 1- EIO; fail ibv_destroy_qp 1- EBUSY";
    in_a_process_of_its_own("an_end_with_faults", faults);
}

#[test]
#[ignore = "what_gives_back_is_refused runs it in processes of its own"]
fn one_life_with_faults() {
    let faults = std::env::var("TEST_FAULTS").expect("TEST_FAULTS says what fails");
    let world = World::new();
    softverbs::control(&faults).unwrap();
    let ((), lines) = recorded(|| {
        world.live(world.options());
        world.end_target();
    });
    let told = assert_told(&lines);
    if faults.contains("rdma_disconnect") {
        assert_eq!((told, softverbs::ledger()), (0, softverbs::Ledger::EMPTY), "{faults}: {lines:#?}");
    } else {
        assert!(told > 0, "{faults}: {lines:#?}");
    }
}

/// Each object that is left has one line, and nothing was pulled away from under one. Returns how many there are.
fn assert_told(lines: &[String]) -> usize {
    let told = lines.iter().filter(|line| is_kept(line)).count();
    assert_eq!(verbs::kept(), told, "{lines:#?}");
    assert_eq!(softverbs::ledger().violations, 0, "{lines:#?}");
    assert_eq!(softverbs::ledger().is_clean(), told == 0, "{lines:#?}");
    told
}

#[test]
#[ignore = "what_cannot_be_stopped_is_left_alone runs it in a process of its own"]
fn an_end_with_faults() {
    let faults = std::env::var("TEST_FAULTS").expect("TEST_FAULTS says what fails");
    let world = World::new();
    let ((), lines) = recorded(|| {
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let qpair = connected(&controller);
        world.control("misbehave silent");
        let mut reads = world.read_many(&qpair, &namespace, 50);
        // Memory that is not registered: the device knows a buffer of the library's, and may write there for ever.
        let mut mine = vec![7_u8; 512];
        let (number, accepted) = read(mine.as_mut_ptr().cast(), &qpair, &namespace);
        assert!(accepted);
        reads.push(number);
        reads.extend(world.read_many(&qpair, &namespace, 49));
        softverbs::control(&faults).unwrap();
        let regions = softverbs::ledger().mrs;
        qpair.free();
        assert_eq!(softverbs::ledger().mrs, regions, "memory went that the device may use");
        assert!(mine.iter().all(|byte| *byte == 7), "it was aborted");
        assert_eq!(count_with(&reads, spec::Status::ABORTED_SQ_DELETION), reads.len());
        drop(qpair);
        detach(&controller);
        drop(controller);
        world.end_target();
    });
    assert!(assert_told(&lines) >= 4, "two queue pairs of the host and of the target: {lines:#?}");
    assert!(lines.iter().any(|line| line.contains("the device may still use the buffers")), "{lines:#?}");
}

/// The lines of `verbs`, of a connection of the host, and of one of the target.
fn is_kept(line: &str) -> bool {
    line.contains("; it is kept, with all that it needs")
        || line.contains("kept for good")
        || line.contains("its memory is lost")
}

/// The program takes memory back that the device does not let go (the cases' M5).
#[test]
fn memory_that_the_device_keeps_is_told() {
    for faults in ["fail ibv_dereg_mr 1 EBUSY", "fail ibv_dereg_mr 2 EBUSY", "fail ibv_dereg_mr 1-2 EBUSY"] {
        in_a_process_of_its_own("unregister_with_faults", faults);
    }
}

#[test]
#[ignore = "memory_that_the_device_keeps_is_told runs it in processes of its own"]
fn unregister_with_faults() {
    const LENGTH: usize = 2 << 20;
    let faults = std::env::var("TEST_FAULTS").expect("TEST_FAULTS says what fails");
    let refused = if faults.contains("1-2") { 2 } else { 1 };
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let memory = own_memory(LENGTH);
    // SAFETY: the test's own memory, here and below.
    assert_eq!(unsafe { spdk_mem_register(memory, LENGTH) }, 0);
    let before = softverbs::ledger().mrs;

    softverbs::control(&faults).unwrap();
    // SAFETY: as above.
    let (result, lines) = recorded(|| unsafe { spdk_mem_unregister(memory, LENGTH) });
    assert_eq!(result, -libc::EBUSY);
    assert_eq!(
        softverbs::ledger().mrs,
        before - 2 + refused,
        "of two registrations, what was refused is left"
    );
    assert_eq!((verbs::kept(), lines.len()), (refused, refused), "{lines:#?}");
    let place = format!("{LENGTH} bytes at {memory:p}");
    assert!(lines.iter().all(|line| is_kept(line) && line.contains(&place)), "{lines:#?}");

    // For this host the memory is not registered, and all else is as before.
    let read = |buffer| read(buffer, &qpair, &namespace);
    let bounced = qpair.ways().bounced;
    assert!(read(memory).1);
    assert_eq!(qpair.ways().bounced, bounced + 1, "its key was used, or it was not copied");
    let (number, _) = read(world.buffer());
    until("a read", || {
        let _ = qpair.process_completions(0);
        status(number).is_some()
    });
    assert_eq!(status(number), Some(spec::Status::SUCCESS));
    // SAFETY: as above.
    assert_eq!(unsafe { spdk_mem_unregister(memory, LENGTH) }, -libc::EINVAL, "it is not registered");
    // SAFETY: as above.
    assert_eq!(unsafe { (spdk_mem_register(memory, LENGTH), spdk_mem_unregister(memory, LENGTH)) }, (0, 0));
    qpair.free();
    drop(qpair);
    detach(&controller);
    drop(controller);
    world.end_target();
    let left = softverbs::ledger();
    assert_eq!((left.mrs, left.pds, left.cm_ids, left.violations), (refused, 1, 0, 0), "{left:?}");
}

unsafe extern "C" {
    fn spdk_mem_register(address: *mut c_void, length: usize) -> i32;
    fn spdk_mem_unregister(address: *mut c_void, length: usize) -> i32;
}

/// Memory that the environment does not know, at a multiple of its length.
fn own_memory(length: usize) -> *mut c_void {
    // SAFETY: a new mapping.
    let room = unsafe { libc::mmap(std::ptr::null_mut(), 2 * length, 3, 0x22, -1, 0) };
    assert_ne!(room, libc::MAP_FAILED);
    room.wrapping_byte_add(room.addr().next_multiple_of(length) - room.addr())
}
