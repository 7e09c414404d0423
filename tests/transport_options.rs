//! Transports, and their options, through the C face: no other library is there.
//!
//! What holds: of a program's struct nothing is touched beyond the size that it gave; what is wrong changes nothing; a limit holds.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{
    NQN, World,
    lines::{errors, record},
    until,
};
use face::*;
use std::{
    ffi::{c_char, c_void},
    ptr::null_mut,
};

/// The options of v26.05.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransportOptions {
    srq_size: u32,
    reserved: [u8; 4],
    size: usize,
    max_cq_size: u32,
    cm_event_timeout_ms: u16,
    umr_per_io: u8,
    reserved_2: u8,
    tcp_connect_timeout_ms: u32,
    end: u32,
}

unsafe extern "C" {
    fn spdk_nvme_transport_get_opts(options: *mut c_void, size: usize);
    fn spdk_nvme_transport_set_opts(options: *const c_void, size: usize) -> i32;
    fn spdk_nvme_transport_available(trtype: u32) -> bool;
    fn spdk_nvme_transport_available_by_name(name: *const c_char) -> bool;
    fn spdk_nvme_transport_register(ops: *const c_void);
}

const PORT: u16 = 4420;
const EINVAL: i32 = -libc::EINVAL;
const SIZE: usize = size_of::<TransportOptions>();

const DEFAULTS: TransportOptions = TransportOptions {
    srq_size: 0,
    reserved: [0; 4],
    size: SIZE,
    max_cq_size: 0,
    cm_event_timeout_ms: 1000,
    umr_per_io: 0,
    reserved_2: 0,
    tcp_connect_timeout_ms: 0,
    end: 0,
};

fn get() -> TransportOptions {
    let mut options = TransportOptions { end: 0, ..DEFAULTS };
    // SAFETY: they have so many bytes.
    unsafe { spdk_nvme_transport_get_opts((&raw mut options).cast(), SIZE) };
    options
}

fn set(options: &TransportOptions, size: usize) -> i32 {
    // SAFETY: they have no fewer bytes.
    unsafe { spdk_nvme_transport_set_opts(std::ptr::from_ref(options).cast(), size) }
}

#[test]
fn options_are_kept_as_far_as_a_program_knows_them() {
    let world = World::new();
    assert_eq!((SIZE, get()), (32, DEFAULTS));
    // What a struct of this size gets: whole members, in order.
    let ends = [4, 8, 16, 20, 22, 23, 24, 28];
    let mine = TransportOptions {
        srq_size: 0x0101_0101,
        max_cq_size: 0x0202_0202,
        cm_event_timeout_ms: 777,
        ..DEFAULTS
    };
    assert_eq!(set(&mine, SIZE), 0);
    for size in 1..=SIZE + 8 {
        let mut room = [0xa5_u8; 64];
        // SAFETY: there is room for so many bytes.
        unsafe { spdk_nvme_transport_get_opts(room.as_mut_ptr().cast(), size) };
        let known = ends.iter().copied().filter(|end| *end <= size).max().unwrap_or(0);
        assert!(room[known..].iter().all(|byte| *byte == 0xa5), "size {size}");
        if known >= 16 {
            assert_eq!((&room[..4], &room[8..16]), (&[1; 4][..], &size.to_ne_bytes()[..]), "size {size}");
        }
        assert_eq!(known >= 22, room[20..22] == 777_u16.to_ne_bytes(), "size {size}");
    }
    // What counts is the smaller of the struct's own size and the argument.
    assert_eq!(set(&TransportOptions { size: 20, cm_event_timeout_ms: 5, max_cq_size: 7, ..mine }, SIZE), 0);
    assert_eq!((get().cm_event_timeout_ms, get().max_cq_size, get().size), (777, 7, SIZE));
    assert_eq!(set(&TransportOptions { cm_event_timeout_ms: 5, max_cq_size: 8, ..mine }, 20), 0);
    assert_eq!((get().cm_event_timeout_ms, get().max_cq_size), (777, 8));
    assert_eq!(set(&TransportOptions { size: 0, max_cq_size: 9, ..mine }, SIZE), 0);
    assert_eq!(get().max_cq_size, 8, "it says that it has nothing");
    assert_eq!(set(&TransportOptions { srq_size: 5, max_cq_size: 9, ..mine }, 4), 0);
    assert_eq!((get().srq_size, get().max_cq_size), (5, 8));
    // What is wrong changes nothing.
    let (rc, lines) = record(|| {
        let wrong = TransportOptions { tcp_connect_timeout_ms: 1 << 31, srq_size: 1, ..DEFAULTS };
        // SAFETY: NULL is allowed, and so is a size of 0.
        let null = unsafe {
            spdk_nvme_transport_get_opts(null_mut(), SIZE);
            spdk_nvme_transport_get_opts((&raw mut *Box::new(wrong)).cast(), 0);
            spdk_nvme_transport_set_opts(null_mut(), SIZE)
        };
        [null, set(&wrong, 0), set(&wrong, SIZE)]
    });
    assert_eq!((rc, errors(&lines).len(), get().srq_size), ([EINVAL; 3], 5, 5));
    assert_eq!(set(&TransportOptions { tcp_connect_timeout_ms: i32::MAX as u32, ..DEFAULTS }, SIZE), 0);
    assert_eq!(get().tcp_connect_timeout_ms, i32::MAX as u32);
    assert_eq!(set(&DEFAULTS, SIZE), 0);
    world.finish(None);
}

#[test]
fn there_is_rdma() {
    let world = World::new();
    // SAFETY: the names are C strings or NULL.
    unsafe {
        for (trtype, is) in
            [(1, true), (2, false), (3, false), (256, false), (4096, false), (4097, false), (0, false)]
        {
            assert_eq!(spdk_nvme_transport_available(trtype), is, "{trtype}");
        }
        for (name, is) in [(c"RDMA", true), (c"rdMa", true), (c"TCP", false), (c"", false), (c"RDMA ", false)]
        {
            assert_eq!(spdk_nvme_transport_available_by_name(name.as_ptr()), is, "{name:?}");
        }
        assert!(!spdk_nvme_transport_available_by_name(std::ptr::null()));
        let mut ops = [0_u64; 64];
        ops.as_mut_ptr().cast::<[u8; 7]>().write(*b"CARRIER");
        let ((), lines) = record(|| {
            spdk_nvme_transport_register(ops.as_ptr().cast());
            spdk_nvme_transport_register(std::ptr::null());
        });
        let lines = errors(&lines);
        assert!(lines.len() == 2 && lines[0].contains("CARRIER") && lines[1].contains("NULL"), "{lines:?}");
        assert!(!spdk_nvme_transport_available_by_name(c"CARRIER".as_ptr()), "nobody can use it");
    }
    world.finish(None);
}

const MEMBER: QpairOptions = QpairOptions {
    queue_size: 16,
    requests: 32,
    delay_submit: false,
    create_only: true,
    asynchronous: false,
};

extern "C" fn lost(_: Handle, _: *mut c_void) {}

#[test]
fn completion_queues_of_groups_are_limited() {
    let world = World::new();
    let controller = connect(NQN, PORT, 0);
    let cqs = || softverbs::ledger().cqs;
    let before = cqs();
    // SAFETY: the handles are live.
    unsafe {
        let connect_in = |group: Handle| {
            let qpair = alloc_with(controller, MEMBER);
            assert_eq!(spdk_nvme_poll_group_add(group, qpair), 0);
            (qpair, spdk_nvme_ctrlr_connect_io_qpair(controller, qpair))
        };
        // Room for one member, and not for two: the second one gets a queue of its own.
        for (limit, queues) in [(0, 1), (60, 2), (4096, 1)] {
            assert_eq!(set(&TransportOptions { max_cq_size: limit, ..DEFAULTS }, SIZE), 0);
            let group = spdk_nvme_poll_group_create(null_mut(), null_mut());
            until("what was there to be let go of", || {
                assert!(spdk_nvme_ctrlr_process_admin_completions(controller) >= 0);
                cqs() == before
            });
            let members = [connect_in(group), connect_in(group)];
            assert!(members.iter().all(|(_, rc)| *rc == 0), "{members:?}");
            // The target has one for each.
            assert_eq!(cqs() - before, 2 + queues, "with {limit}");
            for (qpair, _) in members {
                until("the connection", || {
                    spdk_nvme_poll_group_process_completions(group, 0, lost);
                    spdk_nvme_qpair_is_connected(qpair)
                });
                assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
            }
            assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        }
        // None for a single one: a line says why. A queue pair in no group has a queue of its own, which is not a group's.
        assert_eq!(set(&TransportOptions { max_cq_size: 8, ..DEFAULTS }, SIZE), 0);
        let group = spdk_nvme_poll_group_create(null_mut(), null_mut());
        let ((qpair, rc), lines) = record(|| connect_in(group));
        assert_eq!(rc, EINVAL);
        assert!(errors(&lines).iter().any(|line| line.contains("rdma_max_cq_size")), "{lines:?}");
        let alone = alloc(controller);
        assert!(!alone.is_null());
        assert_eq!(set(&DEFAULTS, SIZE), 0);
        assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(controller, qpair), 0);
        for qpair in [qpair, alone] {
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
        }
        assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

#[test]
fn the_connection_manager_has_its_time() {
    let world = World::new();
    for (milliseconds, most) in [(50, 1000), (3000, 6000)] {
        assert_eq!(set(&TransportOptions { cm_event_timeout_ms: milliseconds, ..DEFAULTS }, SIZE), 0);
        softverbs::control("cm ESTABLISHED always drop").unwrap();
        let before = softverbs::sim::now();
        assert!(connect(NQN, PORT, 0).is_null());
        let time = (softverbs::sim::now() - before) / 1_000_000;
        assert!((u64::from(milliseconds)..most).contains(&time), "{time} ms with {milliseconds}");
        softverbs::control("faults off").unwrap();
    }
    assert_eq!(set(&DEFAULTS, SIZE), 0);
    world.finish(None);
}
