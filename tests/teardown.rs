//! Teardown as a program sees it: the entries of the catalogue that can be set up with one host and one target.
//!
//! Each test ends with an empty ledger of RDMA objects, and each I/O that was accepted had exactly one callback.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::host::{Controller, ControllerOptions, Error, FailureReason, IoQpair};
use spec::Status;
use std::{cell::RefCell, rc::Rc, time::Duration};

#[test]
fn t43_free_while_disconnecting_in_a_group() {
    for asynchronous_mode in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let options = if asynchronous_mode { asynchronous(&controller) } else { synchronous(&controller) };
        let qpair = member(&controller, &group, options);
        let other = member(&controller, &group, options);
        world.control("misbehave silent");
        let reads = world.read_many(&qpair, &namespace, 100);
        qpair.disconnect();
        if asynchronous_mode {
            assert!(!qpair.has_ended(), "the drain takes at least one poll");
        }
        let _ = group.process_completions(0, &nobody);
        qpair.free();
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        assert!(other.is_connected());
        drop(qpair);
        other.free();
        group.destroy().unwrap();
        drop((other, group));
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

/// F18: the Admin Queue carries nothing but Keep Alive, and the target answers no more.
#[test]
fn f18_a_silent_controller_is_noticed() {
    let world = World::new();
    let timeout = Duration::from_millis(50);
    let options = ControllerOptions { keep_alive_timeout: timeout, ..world.options() };
    let controller = Controller::connect(world.id(), options).unwrap();
    let begin = softverbs::sim::now();
    until("ten timeouts of a target that answers", || {
        controller.process_admin_completions().unwrap();
        softverbs::sim::now() - begin > 10 * 50_000_000
    });
    assert!(!controller.has_failed());
    world.control("misbehave silent");
    let begin = softverbs::sim::now();
    until("the host to notice", || controller.process_admin_completions().is_err());
    assert!(
        softverbs::sim::now() - begin < 2 * 50_000_000,
        "within half a timeout and a whole one, and some"
    );
    assert!(!controller.has_failed(), "it is lost, which is not what the program calls failed");
    assert_eq!(controller.failure_reason(), FailureReason::Remote);
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn t45_remove_needs_disconnected() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpair = member(&controller, &group, asynchronous(&controller));
    let before = softverbs::ledger();
    assert!(group.remove(&qpair).is_err(), "connected");
    assert!(group.destroy().is_err(), "has a member");
    assert_eq!(softverbs::ledger(), before);
    assert!(qpair.is_connected());
    let read = world.read(&qpair, &namespace);
    poll_until(&group, "the read", || status(read).is_some());
    assert_eq!(status(read), Some(Status::SUCCESS));
    qpair.disconnect();
    assert!(group.remove(&qpair).is_err(), "disconnecting");
    poll_until(&group, "the end", || qpair.has_ended());
    group.remove(&qpair).unwrap();
    assert!(group.remove(&qpair).is_err(), "no member");
    group.destroy().unwrap();
    qpair.free();
    drop((qpair, group));
    world.finish(Some(controller));
}

/// S04, S05: the callback of the first read frees `victim` qpairs, and destroys the group if it can.
fn t51(victims: &'static [usize], directly: bool) {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpairs: Vec<_> = (0..3)
        .map(|_| {
            if directly {
                connected(&controller)
            } else {
                member(&controller, &group, synchronous(&controller))
            }
        })
        .collect();
    let mut reads = Vec::new();
    let first = world.read(&qpairs[0], &namespace);
    for qpair in &qpairs {
        reads.extend(world.read_many(qpair, &namespace, 90));
    }
    let freed = Count::default();
    let (told, held, of) = (freed.clone(), qpairs.clone(), group.clone());
    on_completion(first, move |_| {
        for victim in victims {
            held[*victim].free();
            assert!(!held[*victim].is_connected());
        }
        assert_eq!(of.destroy().is_ok(), directly || victims.len() == 3);
        told.up();
    });
    until("the callbacks", || {
        if directly {
            qpairs.iter().for_each(|qpair| drop(qpair.process_completions(0)));
        } else {
            let _ = group.process_completions(0, &nobody);
        }
        all_ended(&reads)
    });
    assert_eq!(freed.get(), 1);
    for (index, qpair) in qpairs.iter().enumerate() {
        assert_eq!(qpair.is_connected(), !victims.contains(&index));
        qpair.free();
    }
    group.destroy().unwrap();
    drop((qpairs, group));
    world.finish(Some(controller));
}

#[test]
fn t51_free_in_a_callback_of_the_group() {
    t51(&[0], false);
    t51(&[1], false);
    t51(&[2, 1], false);
    t51(&[0, 1, 2], false);
    t51(&[2, 1, 0], false);
}

#[test]
fn t51_free_in_a_callback_of_a_qpair() {
    t51(&[0], true);
    t51(&[2, 0, 1], true);
}

#[test]
fn t51_free_and_destroy_in_the_disconnected_callback() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpairs: Vec<_> = (0..2).map(|_| member(&controller, &group, asynchronous(&controller))).collect();
    world.control("misbehave silent");
    let reads: Vec<_> = qpairs.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 20)).collect();
    qpairs.iter().for_each(|qpair| qpair.disconnect());
    let destroyed = Count::default();
    until("the end of the group", || {
        let _ = group.process_completions(0, &|ended: &Rc<IoQpair>| {
            assert!(ended.has_ended());
            ended.free();
            if group.destroy().is_ok() {
                destroyed.up();
            }
        });
        destroyed.get() > 0
    });
    assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), 40);
    drop((qpairs, group));
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn t50_a_callback_that_polls_for_another_member() {
    // The callback waits for an I/O of a member whose completion was taken off the queue together with its own.
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpairs: Vec<_> = (0..2).map(|_| member(&controller, &group, synchronous(&controller))).collect();
    let reads: Vec<_> = qpairs.iter().map(|qpair| world.read(qpair, &namespace)).collect();
    for (mine, other) in [(0, 1), (1, 0)] {
        let (other, of) = (reads[other], group.clone());
        on_completion(reads[mine], move |_| {
            poll_until(&of, "the other read, in a callback", || status(other).is_some());
        });
    }
    (0..1000).for_each(|_| turn());
    poll_until(&group, "both reads", || all_ended(&reads));
    qpairs.iter().for_each(|qpair| qpair.free());
    drop((qpairs, group));
    world.finish(Some(controller));
}

#[test]
fn t32_disconnect_twice() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    for options in [synchronous(&controller), asynchronous(&controller)] {
        let qpair = controller.alloc_io_qpair(options).unwrap();
        qpair.disconnect(); // never connected
        assert!(!qpair.has_ended());
        qpair.connect().unwrap();
        until("the connection", || qpair.process_completions(0).is_ok() && qpair.is_connected());
        let reads = world.read_many(&qpair, &namespace, 5);
        qpair.disconnect();
        qpair.disconnect();
        until("the end", || qpair.process_completions(0).is_err() && qpair.has_ended());
        assert!(all_ended(&reads));
        qpair.disconnect();
        assert_eq!(qpair.failure_reason(), FailureReason::None);
        qpair.free();
        qpair.free();
        qpair.disconnect();
    }
    world.finish(Some(controller));
}

#[test]
fn t10_t08_aborted_only_after_the_drain() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
    qpair.connect().unwrap();
    until("the connection", || qpair.process_completions(0).is_ok() && qpair.is_connected());
    let before = softverbs::ledger();
    world.control("misbehave silent");
    let reads = world.read_many(&qpair, &namespace, 100);
    let seen = Count::default();
    for read in &reads {
        let seen = seen.clone();
        on_completion(*read, move |completion| {
            assert_eq!(completion.status(), Status::ABORTED_SQ_DELETION);
            // The queue pair, its registrations and its id are gone: the device cannot touch a buffer any more.
            let now = softverbs::ledger();
            assert!(now.qps < before.qps && now.mrs < before.mrs && now.cm_ids < before.cm_ids);
            seen.up();
        });
    }
    qpair.disconnect();
    assert_eq!(seen.get(), 0);
    until("the end", || {
        let _ = qpair.process_completions(0);
        assert_eq!(seen.get() > 0, qpair.has_ended());
        qpair.has_ended()
    });
    assert_eq!(seen.get(), 100);
    qpair.free();
    drop(qpair);
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn t56_n_rounds_leave_nothing() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let stays = member(&controller, &group, synchronous(&controller));
    let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
    group.add(&qpair).unwrap();
    let rest = softverbs::ledger();
    let mut up = None;
    for round in 0..40 {
        qpair.connect().unwrap();
        poll_until(&group, "the connection", || qpair.is_connected());
        assert_eq!(*up.get_or_insert_with(softverbs::ledger), softverbs::ledger());
        let reads = world.read_many(&qpair, &namespace, 70);
        if round % 2 == 0 {
            poll_until(&group, "the reads", || all_ended(&reads));
        }
        qpair.disconnect();
        poll_until(&group, "the end", || qpair.has_ended());
        assert!(all_ended(&reads));
        assert_eq!(softverbs::ledger(), rest, "round {round}");
    }
    // Only what the peer has not answered yet outlives the free: a CM id and its channel.
    let queues = u16::try_from(controller.io_queue_count()).unwrap();
    let mut ids = Vec::new();
    for _ in 0..80 {
        let again = member(&controller, &group, synchronous(&controller));
        ids.push(again.id());
        again.free();
        until_let_go(&controller, &rest);
    }
    // Those that were never used first, then the one that has been free for longest.
    let round = (3..=queues).count();
    assert!(ids.len() > round, "more than there are ids");
    assert!((0..ids.len()).all(|place| usize::from(ids[place]) == 3 + place % round), "{ids:?}");
    let read = world.read(&stays, &namespace);
    poll_until(&group, "a read of the other", || status(read).is_some());
    [&stays, &qpair].into_iter().for_each(|qpair| qpair.free());
    drop((stays, qpair, group));
    world.finish(Some(controller));
}

#[test]
fn t100_failed_connects_leave_nothing() {
    let world = World::new();
    let controller = world.controller();
    let rest = softverbs::ledger();
    world.control("misbehave reject-connections");
    for _ in 0..10 {
        let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
        assert!(qpair.connect().is_err());
        assert_eq!(softverbs::ledger(), rest);
        qpair.free();
        assert!(Controller::connect(world.id(), world.options()).is_err());
        assert_eq!(softverbs::ledger(), rest);
    }
    world.control("behave reject-connections");
    // A target that accepts and then says nothing, and one that is not there.
    world.control("misbehave silent");
    let options = || {
        let options = world.options();
        spdk_nvme_rdma::host::ControllerOptions { connect_timeout: Duration::from_millis(50), ..options }
    };
    assert!(Controller::connect(world.id(), options()).is_err());
    world.control("behave silent");
    until("the target to notice", || world.connections() == 1);
    assert_eq!(softverbs::ledger(), rest);
    let nowhere = spdk_nvme_rdma::host::TransportId { trsvcid: String::from("4421"), ..world.id() };
    assert!(Controller::connect(nowhere, options()).is_err());
    assert_eq!(softverbs::ledger(), rest);
    connected(&controller).free();
    world.finish(Some(controller));
}

#[test]
fn h05_free_in_an_abort_callback() {
    // The abort callbacks of one member free the next one, each inside of the other.
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpairs: Vec<_> = (0..4).map(|_| member(&controller, &group, asynchronous(&controller))).collect();
    world.control("misbehave silent");
    let mut reads = Vec::new();
    for (index, qpair) in qpairs.iter().enumerate() {
        let mine = world.read_many(qpair, &namespace, 10);
        let (next, of) = (qpairs[(index + 1) % 4].clone(), group.clone());
        on_completion(mine[3], move |_| {
            let _ = of.process_completions(0, &nobody);
            next.free();
        });
        reads.extend(mine);
    }
    qpairs[0].disconnect();
    poll_until(&group, "all reads", || all_ended(&reads));
    assert!(qpairs.iter().all(|qpair| !qpair.is_connected()));
    qpairs.iter().for_each(|qpair| qpair.free());
    group.destroy().unwrap();
    drop((qpairs, group));
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn h10_command_ids_from_the_wire_are_checked() {
    for how in ["cid-out-of-range", "cid-idle", "repeat-response"] {
        for in_group in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let group = poll_group();
            let qpair = if in_group {
                member(&controller, &group, synchronous(&controller))
            } else {
                connected(&controller)
            };
            world.control(&format!("misbehave {how}:3"));
            let reads = world.read_many(&qpair, &namespace, 8);
            until("the end", || {
                let _ = group.process_completions(0, &nobody);
                let _ = qpair.process_completions(0);
                qpair.has_ended()
            });
            assert_eq!(qpair.failure_reason(), FailureReason::Remote, "{how}");
            assert!(all_ended(&reads));
            qpair.connect().unwrap();
            let read = world.read(&qpair, &namespace);
            until("a read on the next connection", || {
                let _ = group.process_completions(0, &nobody);
                let _ = qpair.process_completions(0);
                status(read).is_some()
            });
            assert_eq!(status(read), Some(Status::SUCCESS));
            qpair.free();
            drop((qpair, group));
            world.finish(Some(controller));
        }
    }
}

#[test]
fn h12_polled_before_connect() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
    group.add(&qpair).unwrap();
    for _ in 0..10 {
        assert_eq!(group.process_completions(0, &|_| panic!("it never was connected")), Ok(0));
    }
    assert!(!world.try_read(&qpair, &namespace).1, "not connected");
    qpair.connect().unwrap();
    poll_until(&group, "the connection", || qpair.is_connected());
    let read = world.read(&qpair, &namespace);
    poll_until(&group, "the read", || status(read).is_some());
    qpair.free();
    let unused = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
    group.add(&unused).unwrap();
    unused.free();
    group.destroy().unwrap();
    drop((qpair, unused, group));
    world.finish(Some(controller));
}

#[test]
fn h14_all_members_fail_in_one_poll() {
    // The target dies under load; the first abort callback frees all qpairs, and one more reads (refused).
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let qpairs: Vec<_> = (0..4).map(|_| member(&controller, &group, synchronous(&controller))).collect();
    let reads: Vec<_> = qpairs.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 100)).collect();
    let done = Rc::new(RefCell::new(false));
    for read in &reads {
        let (held, done) = (qpairs.clone(), done.clone());
        on_completion(*read, move |completion| {
            if !completion.is_success() && !done.replace(true) {
                held.iter().for_each(|qpair| qpair.free());
            }
        });
    }
    world.kill_target();
    poll_until(&group, "all reads", || all_ended(&reads));
    assert!(*done.borrow());
    group.destroy().unwrap();
    drop((qpairs, group));
    let _ = controller.process_admin_completions();
    world.finish(Some(controller));
}

#[test]
fn h20_the_disconnected_callback_repeats() {
    let world = World::new();
    let controller = world.controller();
    let group = poll_group();
    let qpair = member(&controller, &group, asynchronous(&controller));
    qpair.disconnect();
    poll_until(&group, "the end", || qpair.has_ended());
    let told = Count::default();
    for _ in 0..5 {
        let _ = group.process_completions(0, &|ended: &Rc<IoQpair>| {
            assert!(Rc::ptr_eq(ended, &qpair));
            told.up();
        });
    }
    assert_eq!(told.get(), 5);
    // It may connect again inside.
    let _ = group.process_completions(0, &|ended: &Rc<IoQpair>| ended.connect().unwrap());
    poll_until(&group, "the connection", || qpair.is_connected());
    let _ = group.process_completions(0, &|_| panic!("it is connected"));
    qpair.free();
    let _ = group.process_completions(0, &|_| panic!("it is freed"));
    drop((qpair, group));
    world.finish(Some(controller));
}

/// S09: I/O is submitted while the qpair connects, and `then` happens.
fn s09(then: impl Fn(&World, &Rc<IoQpair>), wanted: Status) {
    for in_group in [true, false] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
        if in_group {
            group.add(&qpair).unwrap();
        }
        qpair.connect().unwrap();
        let reads = world.read_many(&qpair, &namespace, 128);
        assert!(!world.try_read(&qpair, &namespace).1, "one more than there are requests");
        then(&world, &qpair);
        take_order();
        until("the reads", || {
            if in_group {
                let _ = group.process_completions(0, &nobody);
            } else {
                let _ = qpair.process_completions(0);
            }
            all_ended(&reads)
        });
        assert_eq!(count_with(&reads, wanted), reads.len());
        assert_eq!(take_order(), reads, "in the order of their submission (T115)");
        qpair.free();
        drop((qpair, group));
        world.finish(Some(controller));
    }
}

#[test]
fn s09_io_while_connecting() {
    s09(|_, _| {}, Status::SUCCESS);
}

#[test]
fn s09_io_while_connecting_and_the_target_rejects() {
    s09(|world, _| world.control("misbehave reject-connections"), Status::ABORTED_SQ_DELETION);
}

#[test]
fn s09_io_while_connecting_and_the_program_gives_up() {
    s09(|_, qpair| qpair.disconnect(), Status::ABORTED_SQ_DELETION);
}

#[test]
fn s09_io_while_connecting_and_the_target_dies() {
    s09(|world, _| world.kill_target(), Status::ABORTED_SQ_DELETION);
}

#[test]
fn t113_submit_in_an_abort_callback_is_refused() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    world.control("misbehave silent");
    let reads = world.read_many(&qpair, &namespace, 10);
    let refused = Count::default();
    for read in &reads {
        let (qpair, namespace, refused, buffer) =
            (qpair.clone(), namespace.clone(), refused.clone(), world.buffer());
        on_completion(*read, move |completion| {
            assert_eq!(completion.status(), Status::ABORTED_SQ_DELETION);
            assert!(!common::read(buffer, &qpair, &namespace).1);
            refused.up();
        });
    }
    qpair.free();
    assert_eq!(refused.get(), 10);
    drop(qpair);
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn t115_requests_go_out_in_order() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    for delay_cmd_submit in [false, true] {
        let options = spdk_nvme_rdma::host::IoQpairOptions {
            queue_size: 8,
            delay_cmd_submit,
            ..synchronous(&controller)
        };
        let qpair = controller.alloc_io_qpair(options).unwrap();
        qpair.connect().unwrap();
        take_order();
        let mut reads = Vec::new();
        for _ in 0..20 {
            reads.extend(world.read_many(&qpair, &namespace, 5));
            turn();
            qpair.process_completions(2).unwrap();
        }
        until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&reads));
        assert_eq!(take_order(), reads);
        qpair.free();
    }
    world.finish(Some(controller));
}

#[test]
fn t25_what_was_not_posted_is_not_waited_for() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let options = spdk_nvme_rdma::host::IoQpairOptions { delay_cmd_submit: true, ..synchronous(&controller) };
    let ends_in_time = |end: &dyn Fn()| {
        let begin = softverbs::sim::now();
        end();
        let took = Duration::from_nanos(softverbs::sim::now() - begin);
        assert!(took < Duration::from_millis(500), "the drain waited for its deadline: {took:?}");
    };
    // Sends that no poll has posted yet.
    let qpair = controller.alloc_io_qpair(options).unwrap();
    qpair.connect().unwrap();
    let reads = world.read_many(&qpair, &namespace, 5);
    ends_in_time(&|| qpair.disconnect());
    assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), 5);
    qpair.free();
    // In a callback, with more of the same poll to come.
    let qpair = controller.alloc_io_qpair(options).unwrap();
    qpair.connect().unwrap();
    let reads = world.read_many(&qpair, &namespace, 5);
    let ending = qpair.clone();
    on_completion(reads[1], move |_| ending.disconnect());
    ends_in_time(&|| until("the end", || qpair.process_completions(0).is_err() && qpair.has_ended()));
    assert!(all_ended(&reads));
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

#[test]
fn t37_the_target_goes_silent_and_the_host_ends_in_time() {
    // Nothing answers, the disconnect neither: deadlines alone end it.
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let reads = world.read_many(&qpair, &namespace, 100);
    softverbs::control("delay cm rx 100s; delay data rx 100s").unwrap();
    let start = softverbs::sim::now();
    qpair.free();
    let took = Duration::from_nanos(softverbs::sim::now() - start);
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(all_ended(&reads));
    softverbs::control("delay off").unwrap();
    drop(qpair);
    world.finish(Some(controller));
}

#[test]
fn t111_a_transfer_that_is_split_is_all_or_nothing() {
    let world = World::with(target::Options { mdts: 1, ..target::Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let options = spdk_nvme_rdma::host::IoQpairOptions {
        queue_size: 8,
        queue_requests: 16,
        ..synchronous(&controller)
    };
    let qpair = controller.alloc_io_qpair(options).unwrap();
    qpair.connect().unwrap();
    thread_local! {
        static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
    }
    let context = context(|_, completion| ENDED.with_borrow_mut(|ended| ended.push(completion.status())), 0);
    let split = |blocks| qpair.read(&namespace, world.buffer(), 0, blocks, 0, context);
    split(256).unwrap(); // 16 parts of 8 KiB
    assert!(matches!(split(32), Err(Error::Transport(_))), "no slots");
    until("the transfer", || {
        qpair.process_completions(0).is_ok() && ENDED.with_borrow(|ended| ended.len()) == 1
    });
    let busy = world.read_many(&qpair, &namespace, 10);
    assert!(split(256).is_err(), "10 of 16 slots are in use: refused as a whole");
    until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&busy));
    assert!(split(4096).is_err(), "more parts than there are slots");
    split(256).unwrap();
    qpair.free();
    assert_eq!(ENDED.with_borrow(Vec::clone), [Status::SUCCESS, Status::ABORTED_SQ_DELETION]);
    drop(qpair);
    world.finish(Some(controller));
}
