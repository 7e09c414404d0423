//! What may go wrong in a world of a storm, and the dice that choose it.

#![allow(dead_code)]

use std::cell::Cell;

/// What a seed draws from.
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `below`.
    pub fn roll(&self, below: usize) -> usize {
        let next = self.0.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0.set(next);
        ((next >> 33) as usize) % below
    }

    /// True once in `times`.
    pub fn once_in(&self, times: usize) -> bool {
        self.roll(times) == 0
    }

    pub fn pick<T: Copy>(&self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

const CALLS: [&str; 20] = [
    "ibv_alloc_pd",
    "ibv_create_cq",
    "ibv_create_srq",
    "ibv_modify_qp",
    "ibv_poll_cq",
    "ibv_post_recv",
    "ibv_post_send",
    "ibv_post_srq_recv",
    "ibv_reg_mr",
    "ibv_resize_cq",
    "rdma_accept",
    "rdma_connect",
    "rdma_create_event_channel",
    "rdma_create_id",
    "rdma_create_qp",
    "rdma_disconnect",
    "rdma_get_cm_event",
    "rdma_get_devices",
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
fn which(dice: &Dice) -> String {
    match dice.roll(3) {
        0 => format!("{}%", 1 + dice.roll(8)),
        _ => format!("{}", 1 + dice.roll(120)),
    }
}

fn completion_fault(dice: &Dice) -> String {
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
        // A queue has room for two completions more than its work requests have: one that is repeated without end would
        // overflow it, and that would be the storm's own doing.
        _ => return format!("wc {side} {} repeat {}", 1 + dice.roll(120), 1 + dice.roll(2)),
    };
    format!("wc {side} {which} {what}")
}

fn event_fault(dice: &Dice) -> String {
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

/// A fault, as a command of softverbs.
pub fn trouble(dice: &Dice) -> String {
    match dice.roll(15) {
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
        13 => format!(
            "cm inject {}{}",
            dice.pick(&["DISCONNECTED", "DEVICE_REMOVAL", "ADDR_CHANGE", "TIMEWAIT_EXIT", "ESTABLISHED"]),
            dice.pick(&["", " on newest", " on all times 3"])
        ),
        _ => format!("clock jump {}ms", 1 + dice.roll(5_000)),
    }
}

/// When it strikes: at once, or some time later. A peer can only die once it is there.
pub fn at_some_time(dice: &Dice, what: String, latest_us: usize) -> String {
    match dice.roll(3) {
        0 if what != "peer dies" => what,
        _ => format!("after {}us: {what}", 1 + dice.roll(latest_us)),
    }
}

/// Receives that the members of groups share: none in half of the worlds, and else few or many.
pub fn shared_receives(dice: &Dice) -> u32 {
    dice.pick(&[0, 0, 0, 0, 0, 1, 2, 8, 64, 1000])
}

/// What ends all troubles.
pub const PEACE: &str = "faults off; device on; device profile off; port up; peer speaks";
