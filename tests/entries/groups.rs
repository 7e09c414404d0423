//! Poll groups: what members share, what they tell, and what they leave alone.

use super::*;
use spdk_nvme_rdma::host::FailureReason;
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
