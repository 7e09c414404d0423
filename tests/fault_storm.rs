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
#[path = "common/troubles.rs"]
mod troubles;

use common::*;
use spdk_nvme_rdma::{host::ControllerOptions, transport::share_receives};
use spec::Status;
use std::time::Duration;
use troubles::*;

/// Deadlines of this world: short, since many things will not be answered.
fn options(world: &World) -> ControllerOptions {
    let short = Duration::from_millis(300);
    ControllerOptions { admin_timeout: short, connect_timeout: short, cm_timeout: short, ..world.options() }
}

fn storm(seed: u64) {
    let dice = Dice::new(seed);
    let world = World::drawn(seed);
    // Thousands of lines help only whoever looks at one seed.
    softverbs::control(if replay::is_chosen() { "faults loud" } else { "faults quiet" }).unwrap();
    if dice.roll(2) == 0 {
        softverbs::control("purge off").unwrap();
    }
    share_receives(shared_receives(&dice));
    for _ in 0..=dice.roll(4) {
        let command = at_some_time(&dice, trouble(&dice), 20_000);
        eprintln!("storm {seed}: {command}");
        if let Err(refused) = softverbs::control(&command) {
            // What would be injected now has nobody to reach yet.
            assert!(refused.contains("there is no such identifier"), "{command}: {refused}");
        }
    }
    world.live(options(&world));
    softverbs::control(PEACE).unwrap();
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
    assert!(count < 100 || (good > 20 * count && 2 * aborted > count));
}
