//! Poll groups: what members share, what they tell, and what they leave alone.

use super::*;
use spdk_nvme_rdma::{
    host::{Error, FailureReason},
    transport,
};
use spec::Status;

#[test]
fn t30_t55_a_queue_lives_as_long_as_a_connection_on_it() {
    let world = World::new();
    let controller = world.controller();
    let rest = softverbs::ledger();
    for _ in 0..3 {
        let polled = Polled::new(&controller, true, asynchronous(&controller));
        assert_eq!(softverbs::ledger().cqs, rest.cqs, "a group without a connection has no queue");
        numbered(NUMBER, || polled.qpair.connect().unwrap());
        polled.until("the connection", |polled| polled.qpair.is_connected());
        let up = softverbs::ledger();
        faults(&format!("wc recv qp {NUMBER} always late 100ms"));
        polled.qpair.disconnect();
        until("the target to let go", || world.connections() == 1);
        let alone = softverbs::ledger();
        assert!(alone.cqs > rest.cqs && alone.cqs <= up.cqs);
        polled.until("the end", |polled| {
            let ended = polled.qpair.has_ended();
            assert_eq!(softverbs::ledger().cqs, if ended { rest.cqs } else { alone.cqs });
            ended
        });
        polled.free();
        no_faults();
        assert_eq!(softverbs::ledger(), rest);
    }
    world.finish(Some(controller));
}

/// S27: two controllers, one group; the peer of one qpair dies, or those of both at once.
#[test]
fn t53_t54_each_loss_is_told_once_and_the_others_go_on() {
    for both in [false, true] {
        let world = World::new();
        let controllers = [world.controller(), world.controller()];
        let namespace = world.namespace(&controllers[0]);
        let group = poll_group();
        let qpairs: Vec<_> = (0..3)
            .map(|index| {
                let controller = &controllers[index % 2];
                numbered(NUMBER + index as u32, || member(controller, &group, synchronous(controller)))
            })
            .collect();
        let reads: Vec<_> = qpairs.iter().map(|qpair| world.read_many(qpair, &namespace, 20)).collect();
        turns(500);
        faults(&format!("peer dies qp {NUMBER}"));
        if both {
            faults(&format!("peer dies qp {}", NUMBER + 1));
        }
        let (mut lost, mut counted) = (0, 0);
        take_order();
        until("the reads", || {
            let polled = group.process_completions(0, &nobody);
            let delivered = take_order().len() as u64;
            match polled {
                Ok(count) => counted += u64::from(count != delivered),
                Err(_) => lost += 1,
            }
            reads.iter().all(|reads| all_ended(reads))
                && qpairs.iter().filter(|q| q.has_ended()).count() == 1 + usize::from(both)
        });
        assert_eq!(counted, 0, "a poll counts what it delivered");
        assert!(lost == 1 || both && lost == 2, "{lost} polls said that a member was lost");
        assert!(group.process_completions(0, &nobody).is_ok(), "it is told once");
        assert_eq!(count_with(&reads[2], Status::SUCCESS), 20);
        assert!(qpairs[2].is_connected());
        qpairs.iter().for_each(|qpair| qpair.free());
        drop((qpairs, group));
        no_faults();
        let [first, second] = controllers;
        detach(&first);
        drop(first);
        world.finish(Some(second));
    }
}

/// T57: the queue of a group has no room for another member, and the device does not make it larger. Whether that is the end of the attempt or
/// a way around is found, those that are there go on, and nothing is left behind.
#[test]
fn f05_t57_a_queue_that_cannot_grow() {
    for errno in ["EOPNOTSUPP", "ENOMEM"] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let first = member(&controller, &group, synchronous(&controller));
        let rest = softverbs::ledger();
        for _ in 0..5 {
            faults(&format!("fail ibv_resize_cq always {errno}"));
            let mut others = Vec::new();
            for _ in 0..3 {
                let other = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
                group.add(&other).unwrap();
                let result = other.connect();
                assert_eq!(other.is_connected(), result.is_ok());
                others.push(other);
            }
            let connected = others.iter().chain([&first]).filter(|qpair| qpair.is_connected());
            let reads: Vec<_> = connected.flat_map(|qpair| world.read_many(qpair, &namespace, 128)).collect();
            poll_until(&group, "the reads", || all_ended(&reads));
            assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
            no_faults();
            others.iter().for_each(|qpair| qpair.free());
            until_let_go(&controller, &rest);
        }
        let next = member(&controller, &group, synchronous(&controller));
        [&first, &next].into_iter().for_each(|qpair| qpair.free());
        group.destroy().unwrap();
        drop((first, next, group));
        world.finish(Some(controller));
    }
}

#[test]
fn t59_requests_that_wait_are_sent_without_more_calls() {
    for delay_cmd_submit in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let options = IoQpairOptions { queue_size: 4, delay_cmd_submit, ..synchronous(&controller) };
        let qpairs: Vec<_> = (0..3).map(|_| member(&controller, &group, options)).collect();
        let reads: Vec<_> = qpairs.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 100)).collect();
        // A budget of one callback for each member and poll.
        until("the reads", || {
            let delivered = group.process_completions(1, &nobody).unwrap();
            assert!(delivered <= 3);
            all_ended(&reads)
        });
        assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
        qpairs.iter().for_each(|qpair| qpair.free());
        drop((qpairs, group));
        world.finish(Some(controller));
    }
}

/// S23: nobody polls the Admin Queue, the controller may have failed, and no I/O is under way.
#[test]
fn t66_t67_an_idle_qpair_hears_of_its_end() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        turns(1_000);
        world.kill_target();
        let mut told = false;
        let time = took(|| {
            polled.until("the end", |polled| {
                told |= polled.poll();
                polled.qpair.has_ended()
            });
        });
        assert!(told && time < AT_ONCE, "{time:?}");
        assert_eq!(polled.qpair.failure_reason(), FailureReason::Remote);
        polled.free();
        world.finish(Some(controller));

        // On its way out already: the answer to its disconnect ends the wait, before the wait's own deadline.
        let world = World::new();
        let controller = world.controller();
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        faults("cm DISCONNECTED always late 300ms");
        polled.qpair.disconnect();
        controller.fail();
        let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended()));
        let (least, most) = (Duration::from_millis(300), Duration::from_millis(900));
        assert!(time >= least && time < most, "{time:?}");
        polled.free();
        no_faults();
        world.finish(Some(controller));
    }
}

#[test]
fn t108_all_that_is_aborted_is_told_whatever_the_budget() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, synchronous(&controller));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 128); // half of them wait
        world.kill_target();
        until("the end", || {
            let result = match &polled.group {
                Some(group) => group.process_completions(1, &nobody).map(|_| 0),
                None => polled.qpair.process_completions(1),
            };
            let ended = polled.qpair.has_ended();
            assert!(!ended || in_group || result.is_err(), "an ended qpair is no number of completions");
            assert_eq!(all_ended(&reads), ended, "told with the end, and all of it");
            ended
        });
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        polled.free();
        let _ = controller.process_admin_completions();
        world.finish(Some(controller));
    }
}

#[test]
fn t159_s10_synchronous_calls_deliver_nothing_of_others() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let busy = member(&controller, &group, synchronous(&controller));
    let reads = world.read_many(&busy, &namespace, 50);
    turns(1_000); // answered, not polled
    let other = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
    group.add(&other).unwrap();
    for _ in 0..3 {
        other.connect().unwrap();
        assert!(other.is_connected());
        other.disconnect();
    }
    world.control("misbehave reject-connections");
    assert!(other.connect().is_err());
    other.free();
    assert!(reads.iter().all(|read| status(*read).is_none()), "only a poll of its group delivers");
    assert_eq!(group.process_completions(0, &nobody), Ok(50));
    assert_eq!(count_with(&reads, Status::SUCCESS), 50);
    world.control("behave reject-connections");
    // The same from inside of a callback.
    let reads = world.read_many(&busy, &namespace, 2);
    let (of, told) = (controller.clone(), reads[1]);
    on_completion(reads[0], move |_| {
        let made = connected(&of);
        assert_eq!(status(told), None);
        made.free();
    });
    turns(1_000);
    poll_until(&group, "both reads", || all_ended(&reads));
    busy.free();
    group.destroy().unwrap();
    drop((busy, other, group));
    world.finish(Some(controller));
}

/// What the CM tells fails the poll, and so does the end of a controller; what a completion tells does not. Either way the callback of the
/// member comes in a later poll, before all else in it, and in each.
#[test]
fn the_disconnected_are_told_of_first_and_in_a_later_poll() {
    enum By {
        Event,
        Completion,
        Controller,
    }
    for by in [By::Event, By::Completion, By::Controller] {
        let world = World::new();
        let controllers = [world.controller(), world.controller()];
        let namespace = world.namespace(&controllers[0]);
        let group = poll_group();
        let other = member(&controllers[0], &group, asynchronous(&controllers[0]));
        let lost = numbered(NUMBER, || member(&controllers[1], &group, asynchronous(&controllers[1])));
        world.control("misbehave silent");
        let aborted = world.read_many(&lost, &namespace, 3);
        let _ = group.process_completions(0, &nobody);
        match by {
            By::Event => faults(&format!("cm inject DISCONNECTED on qp {NUMBER}")),
            By::Completion => faults(&format!("wc recv qp {NUMBER} 1 error RETRY_EXC_ERR")),
            By::Controller => controllers[1].fail(),
        }
        world.control("behave silent");
        let reads = world.read_many(&other, &namespace, 3);
        let (mut failed, mut told) = (0, 0);
        until("the end", || {
            let had_ended = lost.has_ended();
            take_order();
            let here = Count::default();
            let result = group.process_completions(0, &|qpair| {
                assert!(Rc::ptr_eq(qpair, &lost));
                let before = take_order();
                assert!(before.iter().all(|read| aborted.contains(read)), "{before:?} were told of before");
                here.up();
            });
            failed += u32::from(result.is_err());
            assert!(had_ended || here.get() == 0 || all_ended(&aborted));
            told += here.get();
            told >= 3
        });
        assert_eq!(failed, u32::from(!matches!(by, By::Completion)));
        assert_eq!(told, 3, "once in each poll");
        // Whoever connects again is not told of.
        if !matches!(by, By::Controller) {
            lost.connect().unwrap();
            until("the connection", || {
                group.process_completions(0, &|_| panic!("it is connecting")).unwrap();
                lost.is_connected()
            });
        }
        poll_until(&group, "the reads", || all_ended(&reads));
        [&lost, &other].into_iter().for_each(|qpair| qpair.free());
        group.destroy().unwrap();
        drop((lost, other, group));
        no_faults();
        let [first, second] = controllers;
        detach(&second);
        drop(second);
        world.finish(Some(first));
    }
}

/// Answers that are there are delivered after those who are told of their end.
#[test]
fn completions_come_after_the_disconnected() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let other = member(&controller, &group, synchronous(&controller));
    let ended = member(&controller, &group, synchronous(&controller));
    ended.disconnect();
    let reads = world.read_many(&other, &namespace, 20);
    turns(1_000); // answered, not polled
    take_order();
    let told = Count::default();
    let result = group.process_completions(0, &|qpair| {
        assert!(Rc::ptr_eq(qpair, &ended) && take_order().is_empty());
        told.up();
    });
    assert_eq!((result, told.get()), (Ok(20), 1));
    assert!(all_ended(&reads));
    [&ended, &other].into_iter().for_each(|qpair| qpair.free());
    drop((ended, other));
    group.destroy().unwrap();
    drop(group);
    world.finish(Some(controller));
}

#[test]
fn a_poll_without_a_number_delivers_128_of_each_member() {
    let world = World::with(target::Options { queue_entries: 256, ..target::Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let options = IoQpairOptions { queue_size: 256, queue_requests: 256, ..synchronous(&controller) };
    let members = [0, 1].map(|_| member(&controller, &group, options));
    let reads: Vec<_> = members.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 200)).collect();
    turns(10_000); // answered, not polled
    assert_eq!(group.process_completions(0, &nobody), Ok(256));
    assert_eq!(group.process_completions(0, &nobody), Ok(144));
    assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
    members.iter().for_each(|qpair| qpair.free());
    drop(members);
    group.destroy().unwrap();
    drop(group);
    world.finish(Some(controller));
}

/// A queue that cannot be polled is another error than a connection that was lost.
#[test]
fn a_queue_that_cannot_be_polled_is_an_io_error() {
    let world = World::new();
    let controller = world.controller();
    let group = poll_group();
    let qpair = member(&controller, &group, synchronous(&controller));
    faults("fail ibv_poll_cq 1 EIO");
    let mut errors = Vec::new();
    until("the end", || {
        errors.extend(group.process_completions(0, &nobody).err());
        qpair.has_ended()
    });
    let broken =
        matches!(&errors[..], [Error::Transport(transport::Error::Verbs(error))] if error.errno == libc::EIO);
    assert!(broken, "{errors:?}");
    qpair.free();
    drop(qpair);
    group.destroy().unwrap();
    drop(group);
    no_faults();
    world.finish(Some(controller));
}

/// An attempt to connect again that fails says nothing new of why the qpair is not connected.
#[test]
fn a_failed_attempt_leaves_the_reason_that_there_was() {
    let world = World::new();
    let controller = world.controller();
    let polled = Polled::connected(&controller, false, synchronous(&controller));
    let qpair = &polled.qpair;
    faults(&format!("cm inject DISCONNECTED on qp {NUMBER}"));
    until("the end", || qpair.process_completions(0).is_err());
    no_faults();
    assert_eq!(qpair.failure_reason(), FailureReason::Remote);
    world.control("misbehave reject-connections");
    for _ in 0..2 {
        assert!(qpair.connect().is_err());
        assert_eq!(qpair.failure_reason(), FailureReason::Remote);
    }
    let first = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
    assert!(first.connect().is_err());
    assert_eq!(first.failure_reason(), FailureReason::Unknown, "there was none before");
    world.control("behave reject-connections");
    qpair.connect().unwrap();
    assert_eq!(qpair.failure_reason(), FailureReason::None);
    qpair.disconnect();
    world.control("misbehave reject-connections");
    assert!(qpair.connect().is_err());
    assert_eq!(qpair.failure_reason(), FailureReason::Unknown);
    first.free();
    drop(first);
    polled.free();
    world.finish(Some(controller));
}
