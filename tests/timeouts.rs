//! Commands that take longer than the program allows.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::*;
use spdk_nvme_rdma::{
    host::{Controller, ControllerOptions, CopiedData, Error, Watch},
    transport,
};
use spec::{AdminOpcode, Command, Status, identify::Cns};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

thread_local! {
    static HEARD: RefCell<Vec<(usize, usize, u16)>> = const { RefCell::new(Vec::new()) };
    #[allow(clippy::type_complexity)]
    static THEN: RefCell<Option<Box<dyn Fn(u16)>>> = const { RefCell::new(None) };
}

const LIMIT: Duration = Duration::from_millis(50);

fn tell(context: [usize; 3], qpair: *mut (), command_id: u16) {
    HEARD.with_borrow_mut(|heard| heard.push((context[0], qpair.addr(), command_id)));
    let then = THEN.take();
    if let Some(then) = &then {
        then(command_id);
    }
    THEN.set(then);
}

fn watch(io: Duration, admin: Duration) -> Option<Watch> {
    Some(Watch { io, admin, tell, context: [7, 8, 9] })
}

fn heard() -> usize {
    HEARD.with_borrow(Vec::len)
}

fn sleep(time: Duration) {
    softverbs::sim::advance(u64::try_from(time.as_nanos()).unwrap());
}

#[test]
fn late_commands_are_told_of_once_and_in_order() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
        qpair.set_tag(std::ptr::without_provenance_mut(0x1234));
        if in_group {
            group.add(&qpair).unwrap();
        }
        qpair.connect().unwrap();
        let poll = || {
            if in_group {
                let _ = group.process_completions(0, &nobody);
            } else {
                let _ = qpair.process_completions(0);
            }
        };
        until("the connection", || {
            poll();
            qpair.is_connected()
        });
        world.control("misbehave silent");
        let before = world.read_many(&qpair, &namespace, 3);
        poll();
        controller.watch_timeouts(watch(LIMIT, LIMIT));
        poll();
        let first = world.read_many(&qpair, &namespace, 5);
        sleep(LIMIT / 2);
        poll();
        let second = world.read_many(&qpair, &namespace, 5);
        assert_eq!(heard(), 0);
        sleep(LIMIT / 2 + Duration::from_millis(1));
        poll();
        assert_eq!(heard(), 5, "those before the watch have no clock, those behind some time left");
        poll();
        assert_eq!(heard(), 5, "once");
        sleep(LIMIT);
        poll();
        let told = HEARD.take();
        assert_eq!(told.len(), 10);
        assert!(told.iter().all(|(context, qpair, _)| (*context, *qpair) == (7, 0x1234)));
        let mut ids: Vec<u16> = told.iter().map(|(_, _, id)| *id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 10);
        world.control("behave silent");
        let all: Vec<usize> = [before, first, second].concat();
        until("the reads", || {
            poll();
            all_ended(&all)
        });
        assert_eq!(count_with(&all, Status::SUCCESS), 13);

        // Nobody listens any more; more than the queue has room for go through, watched or not.
        for watched in [true, false] {
            controller.watch_timeouts(if watched { watch(Duration::from_secs(9), LIMIT) } else { None });
            let reads = world.read_many(&qpair, &namespace, 120);
            until("the reads", || {
                poll();
                all_ended(&reads)
            });
            assert_eq!(count_with(&reads, Status::SUCCESS), 120);
        }
        assert_eq!(heard(), 0);
        qpair.free();
        group.destroy().unwrap();
        drop((qpair, group));
        world.finish(Some(controller));
    }
}

/// From the moment that the program says so, also for commands of which the first is submitted before any poll.
#[test]
fn a_watch_holds_for_the_next_command() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
        if in_group {
            group.add(&qpair).unwrap();
        }
        qpair.connect().unwrap();
        let poll = || {
            if in_group {
                let _ = group.process_completions(0, &nobody);
            } else {
                let _ = qpair.process_completions(0);
            }
        };
        for _ in 0..2 {
            // The next one knows the short way.
            let read = world.read(&qpair, &namespace);
            until("a read", || {
                poll();
                status(read).is_some()
            });
            world.control("misbehave silent");
            let before = world.read(&qpair, &namespace);
            controller.watch_timeouts(watch(LIMIT, LIMIT));
            let after = world.read_many(&qpair, &namespace, 2);
            sleep(LIMIT + Duration::from_millis(1));
            poll();
            assert_eq!(HEARD.take().len(), 2, "those behind the watch");
            // Nobody listens any more.
            controller.watch_timeouts(None);
            let last = world.read(&qpair, &namespace);
            sleep(LIMIT * 2);
            poll();
            assert_eq!(heard(), 0);
            world.control("behave silent");
            until("the reads", || {
                poll();
                all_ended(&after) && all_ended(&[before, last])
            });
        }
        qpair.free();
        group.destroy().unwrap();
        drop((qpair, namespace, group));
        world.finish(Some(controller));
    }
}

/// The callback may do what it likes: submit, abort, reset, free.
#[test]
fn who_is_told_may_do_anything() {
    for what in ["submit", "reset", "free", "unwatch"] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let qpair = connected(&controller);
        controller.watch_timeouts(watch(LIMIT, LIMIT));
        let _ = qpair.process_completions(0);
        world.control("misbehave silent");
        let reads = world.read_many(&qpair, &namespace, 10);
        sleep(LIMIT * 2);
        let (host, own, ns, buffer) = (controller.clone(), qpair.clone(), namespace.clone(), world.buffer());
        let done = Count::default();
        let count = done.clone();
        THEN.set(Some(Box::new(move |_| {
            count.up();
            match what {
                "submit" => drop(read(buffer, &own, &ns)),
                "reset" => host.disconnect().unwrap_or(()),
                "free" => own.free(),
                _ => host.watch_timeouts(None),
            }
        })));
        let _ = qpair.process_completions(0);
        let told = HEARD.take().len();
        assert_eq!(told, if what == "free" { 1 } else { 10 }, "{what}");
        THEN.set(None);
        world.control("behave silent");
        if what == "reset" {
            let mut result = None;
            until("the reset", || {
                result = controller.poll_reset();
                result.is_some()
            });
            assert_eq!(result, Some(Ok(())));
        }
        until("the reads", || {
            let _ = qpair.process_completions(0);
            all_ended(&reads)
        });
        until("all", || {
            let _ = qpair.process_completions(0);
            qpair.requests_in_use() == 0
        });
        assert!(done.get() > 0);
        qpair.free();
        drop((qpair, namespace));
        controller.watch_timeouts(None);
        HEARD.take();
        world.finish(Some(controller));
    }
}

fn identify(controller: &Controller, told: &Count) {
    let told = told.clone();
    let command = Command::identify(Cns::CONTROLLER, 0, 0, 0);
    let name = std::ptr::null_mut();
    controller.submit_admin_copied(command, CopiedData::Room(4096), name, move |_, _| told.up()).unwrap();
}

/// Admin commands have a limit of their own; requests for events wait as long as they must.
#[test]
fn admin_commands_have_their_own_limit() {
    let world = World::new();
    let controller = world.controller();
    controller.watch_timeouts(watch(Duration::ZERO, LIMIT));
    sleep(LIMIT * 10);
    assert!(controller.process_admin_completions().is_ok());
    assert_eq!(heard(), 0);
    let told = Count::default();
    world.control("misbehave silent");
    (0..3).for_each(|_| identify(&controller, &told));
    sleep(LIMIT * 2);
    assert!(controller.process_admin_completions().is_ok());
    let late = HEARD.take();
    assert_eq!(late.len(), 3);
    assert!(late.iter().all(|(_, qpair, _)| *qpair == 0));
    world.control("behave silent");
    until("the answers", || controller.process_admin_completions().is_ok() && told.get() == 3);
    // A limit of nothing: each is late at the next poll.
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    let _ = qpair.process_completions(0);
    world.control("misbehave silent");
    let read = world.read(&qpair, &namespace);
    let _ = qpair.process_completions(0);
    assert_eq!(HEARD.take().len(), 1);
    world.control("behave silent");
    until("the read", || qpair.process_completions(0).is_ok() && status(read).is_some());
    qpair.free();
    drop((qpair, namespace));
    HEARD.take();
    world.finish(Some(controller));
}

#[test]
fn a_controller_may_be_watched_and_reset() {
    let world = World::new();
    let controller = world.controller();
    controller.watch_timeouts(watch(LIMIT, LIMIT));
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    for _ in 0..3 {
        controller.reset().unwrap();
        until("the end", || qpair.process_completions(0).is_err() && qpair.has_ended());
        qpair.connect().unwrap();
        world.control("misbehave silent");
        let reads = world.read_many(&qpair, &namespace, 4);
        sleep(LIMIT * 2);
        let _ = qpair.process_completions(0);
        assert_eq!(HEARD.take().len(), 4, "the watch outlives a reset");
        world.control("behave silent");
        until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&reads));
    }
    qpair.free();
    drop((qpair, namespace));
    HEARD.take();
    world.finish(Some(controller));
}

/// As many aborts wait as the Admin Queue has requests for; the next one is to be tried again, and each that was taken ends.
#[test]
fn aborts_that_wait_are_no_more_than_requests() {
    let world = World::new();
    let controller = world.controller();
    let ended = Rc::new(Cell::new(0));
    let abort = || {
        let ended = ended.clone();
        controller.abort(1, 0x7777, Rc::new(move |_| ended.set(ended.get() + 1)))
    };
    for _ in 0..3 {
        let mut taken = 0;
        let refused = loop {
            match abort() {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 32, "more than there are requests");
        };
        assert!(matches!(refused, Error::Transport(transport::Error::NoRequests)), "{refused}");
        assert!(taken > 16, "{taken}");
        ended.set(0);
        until("the aborts", || {
            let _ = controller.process_admin_completions();
            ended.get() == taken
        });
    }
    world.finish(Some(controller));
}

/// A Keep Alive has the Keep Alive Timeout, whatever the program allows other commands; it is told of once, before the controller is given up.
/// Whoever resets the controller then has one.
#[test]
fn a_keep_alive_that_is_late_is_told_of() {
    for resets in [false, true] {
        let world = World::new();
        let timeout = Duration::from_millis(101);
        let options = ControllerOptions { keep_alive_timeout: timeout, ..world.options() };
        let controller = Controller::connect(world.id(), options).unwrap();
        (0..20).for_each(|_| {
            controller.process_admin_completions().unwrap(); // the first one is answered
            turn();
        });
        let held = Rc::new(Cell::new(None));
        let (id, mut answers) = (held.clone(), false);
        world.set_liar(move |answer| {
            let opcode = answer.command.opcode();
            answers |= opcode == AdminOpcode::FABRICS.0; // after a reset
            if opcode == AdminOpcode::KEEP_ALIVE.0 && !answers {
                answer.hold = true;
                id.set(Some(answer.command.cid()));
            }
        });
        controller.watch_timeouts(watch(Duration::from_secs(9), Duration::from_secs(9)));
        HEARD.take();
        let again = controller.clone();
        THEN.set(resets.then(|| Box::new(move |_| again.reset().unwrap()) as Box<dyn Fn(u16)>));
        until("the end, or the reset", || {
            let polled = controller.process_admin_completions();
            if resets { heard() > 0 } else { polled.is_err() }
        });
        THEN.set(None);
        assert_eq!(HEARD.take(), [(7, 0, held.get().unwrap())]);
        let begin = softverbs::sim::now();
        until("two timeouts", || {
            softverbs::sim::now() - begin > 200_000_000 || {
                assert_eq!(controller.process_admin_completions().is_ok(), resets);
                false
            }
        });
        assert_eq!(heard(), 0);
        world.finish(Some(controller));
    }
}
