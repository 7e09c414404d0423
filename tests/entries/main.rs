//! Entries of the catalogue (`docs/catalogue.md`) with one host and one target in a simulation, by theme. `tests/teardown.rs` has those
//! that the project began with.
//!
//! Each test ends with an empty ledger of RDMA objects and no violation, and each I/O that was accepted had exactly one callback
//! ([`World::finish`](common::World::finish)). A test of several entries is named after all of them.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod completions;
mod connecting;
mod controllers;
mod draining;
mod groups;
mod memory;
mod requests;

use common::*;
use spdk_nvme_rdma::host::{Controller, IoQpair, IoQpairOptions, PollGroup};
use std::{rc::Rc, time::Duration};

/// The number of the QP of [`numbered`].
const NUMBER: u32 = 5001;

/// Runs `connect`, whose first QP gets a number by which faults can name it.
fn numbered<T>(number: u32, connect: impl FnOnce() -> T) -> T {
    faults(&format!("next qp_num {number}"));
    connect()
}

/// Arms faults, without a line for each.
fn faults(commands: &str) {
    softverbs::control("faults quiet").unwrap();
    softverbs::control(commands).unwrap();
}

fn no_faults() {
    softverbs::control("faults off; delay off; purge on").unwrap();
}

/// How long `work` takes by the simulation's clock.
fn took(work: impl FnOnce()) -> Duration {
    let begin = softverbs::sim::now();
    work();
    Duration::from_nanos(softverbs::sim::now() - begin)
}

/// Lets the target do all that it has to do.
fn turns(count: u32) {
    (0..count).for_each(|_| turn());
}

/// Lets time go by with nobody doing anything.
fn sleep(time: Duration) {
    softverbs::sim::advance(u64::try_from(time.as_nanos()).unwrap());
}

/// Far less than any deadline of a drain.
const AT_ONCE: Duration = Duration::from_millis(200);

/// A qpair, polled by itself or as the member of a group.
struct Polled {
    group: Option<Rc<PollGroup>>,
    qpair: Rc<IoQpair>,
}

impl Polled {
    fn new(controller: &Rc<Controller>, in_group: bool, options: IoQpairOptions) -> Self {
        let qpair = controller.alloc_io_qpair(options).unwrap();
        let group = in_group.then(poll_group);
        if let Some(group) = &group {
            group.add(&qpair).unwrap();
        }
        Self { group, qpair }
    }

    /// A connected one, whose QP has [`NUMBER`].
    fn connected(controller: &Rc<Controller>, in_group: bool, options: IoQpairOptions) -> Self {
        let polled = Self::new(controller, in_group, options);
        numbered(NUMBER, || polled.qpair.connect().unwrap());
        polled.until("the connection", |polled| polled.qpair.is_connected());
        polled
    }

    /// One poll; true if it says that the connection is lost.
    fn poll(&self) -> bool {
        match &self.group {
            Some(group) => group.process_completions(0, &nobody).is_err(),
            None => self.qpair.process_completions(0).is_err(),
        }
    }

    /// Polls until `done`, which is asked before the first poll.
    fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        until(what, || {
            done(self) || {
                self.poll();
                done(self)
            }
        });
    }

    fn free(self) {
        self.qpair.free();
        if let Some(group) = &self.group {
            group.destroy().unwrap();
        }
    }
}

/// Each way to poll, each way to end.
const WAYS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn options(controller: &Controller, asynchronous_mode: bool) -> IoQpairOptions {
    if asynchronous_mode { asynchronous(controller) } else { synchronous(controller) }
}
