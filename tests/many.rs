//! Many at once: what takes the time of one also where there are many of it. Time is the simulation's: turns, in which the target does what
//! there is to do.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::host::{Controller, ControllerOptions};
use std::{rc::Rc, time::Duration};
use target::Options;

fn taken(work: impl FnOnce()) -> Duration {
    let begin = softverbs::sim::now();
    work();
    Duration::from_nanos(softverbs::sim::now() - begin)
}

/// So many controllers, each of a host of its own, brought up side by side by one thread.
fn bring_up(world: &World, count: usize) -> Vec<Rc<Controller>> {
    let begin = |host: usize| {
        let hostnqn = format!("nqn.2024-01.test:host-{host}");
        Controller::begin(world.id(), ControllerOptions { hostnqn, ..world.options() }).unwrap()
    };
    let all: Vec<_> = (0..count).map(begin).collect();
    let mut ready = vec![false; count];
    until("the controllers", || {
        for (controller, ready) in all.iter().zip(&mut ready) {
            *ready = *ready || controller.poll_bring_up().is_some_and(|ended| ended.is_ok());
        }
        ready.iter().all(|ready| *ready)
    });
    all
}

#[test]
fn controllers_come_up_side_by_side() {
    let world = World::new();
    let time_of = |count: usize| {
        let mut all = Vec::new();
        let time = taken(|| all = bring_up(&world, count));
        all.iter().for_each(|controller| detach(controller));
        time
    };
    let (one, many) = (time_of(1), time_of(64));
    assert!(many <= 3 * one, "64 controllers took {many:?}, one {one:?}");
    world.finish(None);
}

#[test]
fn a_reset_takes_no_longer_with_many_qpairs() {
    let world = World::with(Options { io_queues: 128, ..Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let mut times = Vec::new();
    for count in [8, 32, 128] {
        let qpairs: Vec<_> =
            (0..count).map(|_| controller.alloc_io_qpair(asynchronous(&controller)).unwrap()).collect();
        let poll = || qpairs.iter().for_each(|qpair| drop(qpair.process_completions(0)));
        let connect = || {
            qpairs.iter().for_each(|qpair| qpair.connect().unwrap());
            until("the connections", || {
                poll();
                qpairs.iter().all(|qpair| qpair.is_connected())
            });
        };
        connect();
        times.push(taken(|| {
            controller.reset().unwrap();
            until("the ends", || {
                poll();
                qpairs.iter().all(|qpair| qpair.has_ended())
            });
            connect();
        }));
        for qpair in &qpairs {
            let read = world.read(qpair, &namespace);
            until("a read", || {
                poll();
                status(read).is_some()
            });
            qpair.free();
        }
    }
    assert!(times[2] <= 3 * times[0], "with 8, 32 and 128 qpairs: {times:?}");
    drop(namespace);
    world.finish(Some(controller));
}
