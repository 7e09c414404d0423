//! F01–F19 at random: a controller connects, reads and ends while calls fail, completions and events of the connection manager are
//! late, lost, doubled or forged, and the device, the port and the target come to harm. Whatever happens, nothing crashes or
//! hangs, each I/O that was accepted has exactly one callback, and once the trouble is over nothing is left behind.
//!
//! The seed decides everything; a failure names it, and the command that runs it again. `STORM_SEEDS=first..last` runs others than the
//! usual ones.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/replay.rs"]
mod replay;

use common::*;
use spdk_nvme_rdma::host::ControllerOptions;
use spec::Status;
use std::time::Duration;

/// What the seed draws from.
struct Dice(u64);

impl Dice {
    /// A number below `below`.
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) as usize) % below
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

const CALLS: [&str; 15] = [
    "ibv_alloc_pd",
    "ibv_create_cq",
    "ibv_modify_qp",
    "ibv_poll_cq",
    "ibv_post_recv",
    "ibv_post_send",
    "ibv_reg_mr",
    "rdma_accept",
    "rdma_connect",
    "rdma_create_id",
    "rdma_create_qp",
    "rdma_disconnect",
    "rdma_get_cm_event",
    "rdma_resolve_addr",
    "rdma_resolve_route",
];

const EVENTS: [&str; 8] = [
    "ADDR_RESOLVED",
    "ROUTE_RESOLVED",
    "CONNECT_RESPONSE",
    "ESTABLISHED",
    "REJECTED",
    "DISCONNECTED",
    "TIMEWAIT_EXIT",
    "ADDR_CHANGE",
];

const STATUSES: [&str; 6] =
    ["WR_FLUSH_ERR", "RETRY_EXC_ERR", "RNR_RETRY_EXC_ERR", "LOC_PROT_ERR", "REM_ACCESS_ERR", "GENERAL_ERR"];

/// Which: mostly rare ones by chance, or one by its number.
fn which(dice: &mut Dice) -> String {
    match dice.roll(3) {
        0 => format!("{}%", 1 + dice.roll(8)),
        _ => format!("{}", 1 + dice.roll(120)),
    }
}

fn completion_fault(dice: &mut Dice) -> String {
    let (side, which) = (dice.pick(&["send", "recv", "any"]), which(dice));
    let what = match dice.roll(10) {
        0 => format!("late {}us", 1 + dice.roll(100_000)),
        1 => format!("late {} polls", 1 + dice.roll(50)),
        2 => "never".into(),
        3 => "after destroy".into(),
        4 => format!("after {}", dice.pick(&["send", "recv"])),
        5 => format!("status {}", dice.pick(&STATUSES)),
        6 => format!("error {}", dice.pick(&STATUSES)),
        7 => format!("set wr_id={}", dice.pick(&["random", "0", "+1", "+256"])),
        8 => format!("set {}", dice.pick(&["byte_len=3", "byte_len=random", "qp_num=random", "opcode=1"])),
        _ => format!("repeat {}", 1 + dice.roll(3)),
    };
    format!("wc {side} {which} {what}")
}

fn event_fault(dice: &mut Dice) -> String {
    let which = format!("{}", 1 + dice.roll(4));
    let event = dice.pick(&EVENTS);
    match dice.roll(6) {
        0 => format!("cm {event} {which} drop"),
        1 => format!("cm {event} {which} late {}ms", 1 + dice.roll(3_000)),
        2 => format!("cm {event} {which} repeat {}", 1 + dice.roll(40)),
        3 => format!("cm {event} {which} as {}", dice.pick(&EVENTS)),
        4 => format!("cm {event} {which} status -110 private none"),
        _ => format!("cm reject {which} {}", dice.pick(&["10", "8", "28", "4"])),
    }
}

fn trouble(dice: &mut Dice) -> String {
    match dice.roll(14) {
        0..3 => format!("fail {} {} {}", dice.pick(&CALLS), which(dice), dice.pick(&["ENOMEM", "EIO"])),
        3..7 => completion_fault(dice),
        7..10 => event_fault(dice),
        10 => format!(
            "peer lies {} {}",
            which(dice),
            dice.pick(&["drop", "repeat 2", "seq +1", "kind ack", "garbage"])
        ),
        11 => format!("peer silent {}", dice.pick(&["", "data", "cm"])),
        12 => dice.pick(&["peer dies", "port down", "device remove"]).into(),
        _ => format!("clock jump {}ms", 1 + dice.roll(5_000)),
    }
}

/// Deadlines of this world: short, since many things will not be answered.
fn options(world: &World) -> ControllerOptions {
    let short = Duration::from_millis(300);
    ControllerOptions { admin_timeout: short, connect_timeout: short, cm_timeout: short, ..world.options() }
}

fn storm(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let world = World::drawn(seed);
    // Thousands of lines help only whoever looks at one seed.
    softverbs::control(if replay::is_chosen() { "faults loud" } else { "faults quiet" }).unwrap();
    if dice.roll(2) == 0 {
        softverbs::control("purge off").unwrap();
    }
    for _ in 0..=dice.roll(4) {
        let what = trouble(&mut dice);
        // A peer can only die once it is there.
        let command = match dice.roll(3) {
            0 if what != "peer dies" => what,
            _ => format!("after {}us: {what}", 1 + dice.roll(20_000)),
        };
        eprintln!("storm {seed}: {command}");
        softverbs::control(&command).unwrap();
    }
    world.live(options(&world));
    softverbs::control("faults off; device on; port up; peer speaks").unwrap();
    world.finish(None);
}

#[test]
fn any_fault_leaves_nothing_behind() {
    let seeds = replay::seeds(0..150);
    let count = (seeds.end - seeds.start) as usize;
    replay::each("fault_storm", seeds, storm);
    // A world in which nothing ever works would prove little.
    let (good, aborted) = (ever_ended_with(Status::SUCCESS), ever_ended_with(Status::ABORTED_SQ_DELETION));
    eprintln!("{count} worlds: {good} reads succeeded, {aborted} were aborted");
    assert!(count < 100 || (good > 20 * count && aborted > count));
}
