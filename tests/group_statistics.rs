//! What is counted of a poll group, through C handles.
//!
//! What holds: sums are those of what happened, over whatever way it went; they stay until the last queue pair on the device leaves.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, until};
use face::*;
use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_void},
    ptr::null_mut,
};

#[repr(C)]
struct DeviceStat {
    name: *const c_char,
    /// polls, idle_polls, completions, queued_requests, total_send_wrs, send_doorbell_updates, total_recv_wrs, recv_doorbell_updates
    counts: [u64; 8],
}

#[repr(C)]
struct TransportStat {
    trtype: u32,
    _unused: u32,
    num_devices: u32,
    devices: *const DeviceStat,
}

#[repr(C)]
struct Stat {
    num_transports: u32,
    transports: *const *const TransportStat,
}

unsafe extern "C" {
    fn spdk_nvme_poll_group_get_stats(group: Handle, stats: *mut *mut Stat) -> i32;
    fn spdk_nvme_poll_group_free_stats(group: Handle, stats: *mut Stat);
    fn spdk_nvme_poll_group_set_interrupt_callback(
        group: Handle,
        function: Option<Disconnected>,
        context: *mut c_void,
    ) -> i32;
}

const PORT: u16 = 4420;
const RDMA: u32 = 1;
const ENOTSUP: i32 = -libc::ENOTSUP;
const EINVAL: i32 = -libc::EINVAL;
/// Commands that a queue has room for, and receives that its connection begins with.
const DEPTH: u64 = 15;
const RECEIVES: u64 = DEPTH + 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    polls: u64,
    idle: u64,
    completions: u64,
    queued: u64,
    sends: u64,
    send_doorbells: u64,
    receives: u64,
    receive_doorbells: u64,
}

/// What was counted on each device; None if there is nothing to count.
fn counted(group: Handle) -> Option<Vec<Counts>> {
    let mut stats = null_mut();
    // SAFETY: the handle is live, and what it gives is read before it is freed.
    unsafe {
        match spdk_nvme_poll_group_get_stats(group, &raw mut stats) {
            ENOTSUP => return None,
            rc => assert_eq!(rc, 0),
        }
        assert_eq!((*stats).num_transports, 1);
        let transport = &**(*stats).transports;
        assert_eq!((transport.trtype, transport.devices.is_null()), (RDMA, transport.num_devices == 0));
        let mut all = Vec::new();
        for nth in 0..transport.num_devices as usize {
            let device = &*transport.devices.add(nth);
            assert!(!CStr::from_ptr(device.name).is_empty());
            let [polls, idle, completions, queued, sends, send_doorbells, receives, receive_doorbells] =
                device.counts;
            all.push(Counts {
                polls,
                idle,
                completions,
                queued,
                sends,
                send_doorbells,
                receives,
                receive_doorbells,
            });
        }
        spdk_nvme_poll_group_free_stats(group, stats);
        Some(all)
    }
}

fn one(group: Handle) -> Counts {
    let all = counted(group).unwrap();
    assert_eq!(all.len(), 1, "one device");
    all[0]
}

thread_local! {
    static ENDED: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn ended(_: *mut c_void, _: *const [u8; 16]) {
    ENDED.set(ENDED.get() + 1);
}

extern "C" fn lost(_: Handle, _: *mut c_void) {}

fn poll(group: Handle) {
    // SAFETY: the handle is live.
    unsafe { spdk_nvme_poll_group_process_completions(group, 0, lost) };
}

/// Reads one block, so many times, as far as requests reach, and waits for all.
fn read(world: &World, group: Handle, controller: Handle, qpair: Handle, count: u64) {
    ENDED.set(0);
    // SAFETY: the handles are live, and the buffer is larger than a block.
    unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        for _ in 0..count {
            assert_eq!(
                spdk_nvme_ns_cmd_read(namespace, qpair, world.buffer(), 0, 1, ended, null_mut(), 0),
                0
            );
        }
    }
    until("the reads", || {
        poll(group);
        ENDED.get() == count
    });
}

fn member(controller: Handle, group: Handle, delay_submit: bool) -> Handle {
    let options =
        QpairOptions { queue_size: 16, requests: 64, delay_submit, create_only: true, asynchronous: false };
    let qpair = alloc_with(controller, options);
    // SAFETY: the handles are live.
    unsafe {
        assert_eq!(spdk_nvme_poll_group_add(group, qpair), 0);
        assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(controller, qpair), 0);
    }
    qpair
}

#[test]
fn what_happens_is_counted() {
    let world = World::new();
    let controller = connect(NQN, PORT, 0);
    // SAFETY: the handles are live, here and in what follows.
    let group = unsafe { spdk_nvme_poll_group_create(null_mut(), null_mut()) };
    assert_eq!(counted(group), None, "nothing was ever added");
    let qpair = member(controller, group, false);
    let before = one(group);
    assert_eq!((before.sends, before.completions, before.queued), (1, 2, 0), "Fabrics Connect");
    assert_eq!((before.send_doorbells, before.receives, before.receive_doorbells), (1, RECEIVES, 1));

    // One at a time: a doorbell each.
    for _ in 0..10 {
        read(&world, group, controller, qpair, 1);
    }
    let ten = one(group);
    assert_eq!((ten.sends, ten.completions, ten.queued), (11, 22, 0));
    assert_eq!(ten.send_doorbells, 11);
    // All at a time: those that there is no room for wait, and go together.
    read(&world, group, controller, qpair, 40);
    let fifty = one(group);
    assert_eq!((fifty.sends, fifty.completions, fifty.queued), (51, 102, 40 - DEPTH));
    assert!(fifty.send_doorbells < 51 && fifty.send_doorbells > 11 + DEPTH, "{fifty:?}");
    assert!(fifty.receives <= 51 + RECEIVES && fifty.receives >= 51 + DEPTH, "{fifty:?}");
    assert!((2..=4).contains(&fifty.receive_doorbells), "{fifty:?}");
    // Polls that find nothing.
    for _ in 0..1000 {
        poll(group);
    }
    let idle = one(group);
    assert_eq!(Counts { polls: idle.polls, idle: idle.idle, ..fifty }, idle);
    assert_eq!((idle.polls - fifty.polls, idle.idle - fifty.idle), (1000, 1000));

    // A second one on the same device, which puts its commands off.
    let other = member(controller, group, true);
    let both = one(group);
    assert_eq!((both.sends, both.completions), (52, 104));
    for _ in 0..10 {
        read(&world, group, controller, other, 10);
    }
    let hundred = one(group);
    assert_eq!((hundred.sends, hundred.completions), (152, 304));
    assert_eq!(hundred.send_doorbells - both.send_doorbells, 10, "one for each ten");
    // One leaves, and what it did stays until the other has left, too.
    // SAFETY: the handle is live.
    unsafe { assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0) };
    let left = one(group);
    assert_eq!((left.sends, left.send_doorbells, left.queued), (152, hundred.send_doorbells, 40 - DEPTH));
    // SAFETY: the handle is live.
    unsafe { assert_eq!(spdk_nvme_ctrlr_free_io_qpair(other), 0) };
    assert_eq!(counted(group), Some(vec![]));
    // Again, from nothing.
    let again = member(controller, group, false);
    let fresh = one(group);
    assert_eq!((fresh.sends, fresh.completions, fresh.receives), (1, 2, RECEIVES));
    // SAFETY: the handles are live, stale or NULL.
    unsafe {
        spdk_nvme_ctrlr_disconnect_io_qpair(again);
        assert_eq!(counted(group), Some(vec![]));
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(again), 0);
        assert_eq!(spdk_nvme_poll_group_get_stats(group, null_mut()), EINVAL);
        spdk_nvme_poll_group_free_stats(group, null_mut());
        assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        let mut stats = null_mut();
        assert_eq!(spdk_nvme_poll_group_get_stats(group, &raw mut stats), EINVAL, "a stale handle");
        assert_eq!(spdk_nvme_poll_group_get_stats(null_mut(), &raw mut stats), EINVAL);
        assert!(stats.is_null());
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

/// What is held back is not sent, what is aborted was.
#[test]
fn what_is_not_sent_is_not_counted() {
    unsafe extern "C" {
        fn spdk_nvme_qpair_add_cmd_error_injection(
            controller: Handle,
            qpair: Handle,
            opcode: u8,
            do_not_submit: bool,
            timeout_us: u64,
            count: u32,
            sct: u8,
            sc: u8,
        ) -> i32;
    }
    let world = World::new();
    let controller = connect(NQN, PORT, 0);
    // SAFETY: the handles are live.
    let group = unsafe { spdk_nvme_poll_group_create(null_mut(), null_mut()) };
    let (delayed, qpair) = (member(controller, group, true), member(controller, group, false));
    // SAFETY: the handles are live, stale or NULL.
    unsafe { assert_eq!(spdk_nvme_qpair_add_cmd_error_injection(controller, qpair, 2, true, 0, 5, 0, 2), 0) };
    read(&world, group, controller, qpair, 9);
    assert_eq!((one(group).sends, one(group).completions), (2 + 4, 12));
    // Put off, and never handed to the device.
    // SAFETY: the handles are live, stale or NULL.
    unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        for _ in 0..3 {
            assert_eq!(
                spdk_nvme_ns_cmd_read(namespace, delayed, world.buffer(), 0, 1, ended, null_mut(), 0),
                0
            );
        }
        assert_eq!(one(group).sends, 6);
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(delayed), 0);
        assert_eq!((one(group).sends, ENDED.get()), (6, 12));
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
        assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

/// Receives that are shared are the group's: counted once, whoever they are for.
#[test]
fn shared_receives_are_counted_once() {
    const SHARED: u64 = 24;
    let world = World::new();
    spdk_nvme_rdma::transport::share_receives(SHARED as u32);
    let controller = connect(NQN, PORT, 0);
    // SAFETY: the handles are live, here and in what follows.
    let group = unsafe { spdk_nvme_poll_group_create(null_mut(), null_mut()) };
    let qpairs = [member(controller, group, false), member(controller, group, true)];
    let before = one(group);
    assert_eq!((before.sends, before.completions), (2, 4), "Fabrics Connect");
    assert_eq!((before.receives, before.receive_doorbells), (SHARED, 1), "the two answers are few");
    let mut reads = 0;
    for round in 1..=50 {
        for qpair in qpairs {
            read(&world, group, controller, qpair, round % 7);
            reads += round % 7;
        }
        let now = one(group);
        assert_eq!((now.sends, now.completions), (2 + reads, 4 + 2 * reads));
        // Those that came back wait until they are a quarter.
        let back = 2 + reads - (now.receives - SHARED);
        assert!(back < SHARED / 4, "{now:?}");
        let doorbells = now.receive_doorbells - 1;
        assert!(doorbells * (SHARED / 4) <= now.receives - SHARED, "{now:?}");
    }
    // They stay until the last one leaves.
    let last = one(group);
    // SAFETY: the handles are live.
    unsafe {
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpairs[0]), 0);
        assert_eq!((one(group).receives, one(group).sends), (last.receives, last.sends));
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpairs[1]), 0);
        assert_eq!(counted(group), Some(vec![]));
        assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

extern "C" fn interrupted(_: Handle, _: *mut c_void) {}

/// Over RDMA nobody calls it; it is taken once at a time all the same, as programs that set it expect.
#[test]
fn a_function_for_interrupts_is_taken_once_at_a_time() {
    let _world = World::new();
    // SAFETY: nothing is asked of it.
    let group = unsafe { spdk_nvme_poll_group_create(null_mut(), null_mut()) };
    let set = |function| {
        // SAFETY: the handle is live, and used here alone.
        unsafe { spdk_nvme_poll_group_set_interrupt_callback(group, function, null_mut()) }
    };
    let some: Option<Disconnected> = Some(interrupted);
    assert_eq!([some, some, None, None, some].map(set), [0, -libc::EEXIST, 0, 0, 0]);
    // SAFETY: as above, and not used any more.
    assert_eq!(unsafe { spdk_nvme_poll_group_destroy(group) }, 0);
}
