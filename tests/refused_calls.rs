//! F01–F07: each call that the library makes into libibverbs and librdmacm is refused once, the first of its name, the second,
//! and so on, while a controller connects, reads and ends. Whatever is refused, nothing crashes or hangs, each I/O that was accepted
//! has exactly one callback, and nothing is left behind, unless it is the refused call that was to give it back.
//!
//! The target runs in the same process, so some of the refused calls are its own: a target that cannot go on is one more fault.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use std::process::Command;

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
const GIVING_BACK: [&str; 6] = [
    "ibv_dealloc_pd 1",
    "ibv_dereg_mr 1-3",
    "ibv_destroy_cq 1",
    "ibv_destroy_qp 1",
    "rdma_destroy_id 1",
    "rdma_disconnect 1-",
];

/// Runs one life in which the `nth` call of `function` fails. Whether the call was reached.
fn refuse(function: &str, nth: usize, errno: &str) -> bool {
    let world = World::new();
    softverbs::control(&format!("faults quiet; fail {function} {nth} {errno}")).unwrap();
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
        for nth in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 50, 80, 130, 210] {
            if !refuse(function, nth, "ENOMEM") {
                break;
            }
        }
    }
}

/// What cannot be given back stays in the process, so each case has one of its own.
#[test]
fn what_gives_back_is_refused() {
    // A queue pair that can neither be stopped nor destroyed: its requests are ended, and its memory is never used again.
    let stuck = "fail ibv_modify_qp 1- EIO; fail ibv_destroy_qp 1- EBUSY";
    let cases = GIVING_BACK.map(|case| format!("fail {case} EBUSY"));
    for faults in cases.iter().map(String::as_str).chain([stuck]) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_life_with_faults", "--ignored", "--nocapture"])
            .env("TEST_FAULTS", faults)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        assert!(child.status.success(), "{faults}: {}\n{said}", child.status);
        assert!(said.contains("softverbs: fault: "), "{faults} did not happen\n{said}");
    }
}

#[test]
#[ignore = "what_gives_back_is_refused runs it in processes of its own"]
fn one_life_with_faults() {
    let faults = std::env::var("TEST_FAULTS").expect("TEST_FAULTS says what fails");
    let world = World::new();
    softverbs::control(&faults).unwrap();
    world.live(world.options());
    world.end_target();
}
