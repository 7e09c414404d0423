//! Disconnecting: what is waited for, for how long, and in which order things go.

use super::*;
use spec::Status;

#[test]
fn t19_h04_members_of_a_shared_queue_drain_at_once() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let group = poll_group();
    let members: Vec<_> = (0..3).map(|_| member(&controller, &group, synchronous(&controller))).collect();
    world.control("misbehave silent");
    for (index, qpair) in members.iter().enumerate() {
        let reads = world.read_many(qpair, &namespace, 60);
        let time = took(|| if index % 2 == 0 { qpair.free() } else { qpair.disconnect() });
        assert!(time < AT_ONCE, "member {index} waited for what could not come: {time:?}");
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        qpair.free();
    }
    group.destroy().unwrap();
    drop((members, group));
    world.control("behave silent");
    world.finish(Some(controller));
}

#[test]
fn t22_a_drain_ends_by_time_and_not_by_polls() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        faults(&format!("wc recv qp {NUMBER} always never"));
        polled.qpair.disconnect();
        turns(100); // the peer has answered
        for _ in 0..20_000 {
            polled.poll();
        }
        assert!(!polled.qpair.has_ended(), "20,000 polls ended it");
        let time = took(|| polled.until("the deadline", |polled| polled.qpair.has_ended()));
        assert!(time > Duration::from_millis(500) && time < Duration::from_millis(1_500), "{time:?}");
        polled.free();
        no_faults();
        world.finish(Some(controller));
    }
}

/// The peer answers at once, or the awaited event is another one; the receives come later.
#[test]
fn t23_h02_a_drain_waits_for_receives_too() {
    for answer in ["", "cm DISCONNECTED always as ADDR_CHANGE", "cm DISCONNECTED always as TIMEWAIT_EXIT"] {
        for in_group in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
            world.control("misbehave silent");
            let reads = world.read_many(&polled.qpair, &namespace, 5);
            turns(100);
            let before = softverbs::ledger();
            faults(&format!("wc recv qp {NUMBER} always late 300ms"));
            if !answer.is_empty() {
                faults(answer);
            }
            let time = took(|| {
                polled.qpair.disconnect();
                polled.until("the end", |polled| {
                    let now = softverbs::ledger();
                    if !polled.qpair.has_ended() {
                        // The peer's may go earlier.
                        assert!(
                            now.mrs >= before.mrs - 3 && now.qps >= before.qps - 1,
                            "{before:?}, {now:?}"
                        );
                        assert!(!all_ended(&reads));
                    }
                    polled.qpair.has_ended()
                });
            });
            assert!(time >= Duration::from_millis(300), "the receives were not waited for: {time:?}");
            assert!(time < Duration::from_millis(1_300), "{time:?}");
            polled.poll();
            assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
            polled.free();
            no_faults();
            world.control("behave silent");
            world.finish(Some(controller));
        }
    }
}

#[test]
fn t24_answers_on_the_way_out_post_no_receive() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        let reads = world.read_many(&polled.qpair, &namespace, 40);
        turns(1_000); // all are answered, and no answer is accounted for
        faults("fail ibv_post_recv 1 EIO");
        let time = took(|| {
            polled.qpair.disconnect();
            polled.until("the end", |polled| polled.qpair.has_ended());
        });
        assert_eq!(softverbs::armed(), 1, "a receive was posted");
        no_faults();
        assert!(time < AT_ONCE, "receives were posted and waited for: {time:?}");
        polled.poll();
        assert_eq!(count_with(&reads, Status::SUCCESS), reads.len(), "they had been answered");
        polled.free();
        world.finish(Some(controller));
    }
}

#[test]
fn t26_t38_a_peer_that_has_gone_is_not_waited_for() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        let reads = world.read_many(&polled.qpair, &namespace, 50);
        let time = took(|| {
            world.kill_target();
            polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads));
        });
        assert!(time < AT_ONCE, "nobody flushed, or an event was waited for: {time:?}");
        assert_eq!(polled.qpair.failure_reason(), spdk_nvme_rdma::host::FailureReason::Remote);
        polled.free();
        let _ = controller.process_admin_completions();
        world.finish(Some(controller));
    }
}

#[test]
fn t38_what_never_was_established_is_not_waited_for() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        world.control("misbehave reject-connections");
        let polled = Polled::new(&controller, in_group, synchronous(&controller));
        let time = took(|| {
            assert!(polled.qpair.connect().is_err());
            assert!(polled.qpair.has_ended());
        });
        assert!(time < AT_ONCE, "{time:?}");
        polled.free();
        world.control("behave reject-connections");
        world.finish(Some(controller));
    }
}

#[test]
fn t27_t39_the_disconnect_itself_fails() {
    for errno in ["EINVAL", "EIO"] {
        for (in_group, asynchronous_mode) in WAYS {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
            world.control("misbehave silent");
            let reads = world.read_many(&polled.qpair, &namespace, 30);
            faults(&format!("fail rdma_disconnect 1 {errno}"));
            let time = took(|| {
                polled.qpair.disconnect();
                assert_eq!(softverbs::armed(), 0);
                polled.until("the end", |polled| polled.qpair.has_ended());
            });
            assert!(time < AT_ONCE, "{time:?}");
            polled.poll();
            assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
            polled.free();
            world.control("behave silent");
            world.finish(Some(controller));
        }
    }
}

/// F16: the answer to a disconnect comes long after the qpair was freed.
#[test]
fn t28_the_event_comes_after_the_free() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 30);
        faults("cm DISCONNECTED always late 3s");
        polled.qpair.disconnect();
        polled.qpair.free();
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        polled.free();
        world.control("behave silent");
        sleep(Duration::from_secs(4));
        turns(100);
        let next = connected(&controller);
        let read = world.read(&next, &namespace);
        until("a read", || next.process_completions(0).is_ok() && status(read).is_some());
        next.free();
        drop(next);
        no_faults();
        world.finish(Some(controller));
    }
}

#[test]
fn t31_a_synchronous_disconnect_is_over_when_it_returns() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, synchronous(&controller));
        let up = softverbs::ledger();
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 30);
        polled.qpair.disconnect();
        let now = softverbs::ledger();
        assert!(polled.qpair.has_ended() && now.qps < up.qps && now.cm_ids < up.cm_ids && now.mrs < up.mrs);
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        if let Some(group) = &polled.group {
            group.remove(&polled.qpair).unwrap();
        }
        polled.free();
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

#[test]
fn t36_a_failed_controller_lets_its_qpairs_end() {
    for disconnect_first in [false, true] {
        for in_group in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
            world.control("misbehave silent");
            let reads = world.read_many(&polled.qpair, &namespace, 30);
            if disconnect_first {
                polled.qpair.disconnect();
            }
            controller.fail();
            let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended()));
            assert!(time < AT_ONCE, "{time:?}");
            polled.poll();
            assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
            polled.free();
            world.control("behave silent");
            world.finish(Some(controller));
        }
    }
}

/// F16: the peer's own disconnect is heard in the moment of ours, and is the answer.
#[test]
fn h03_the_peer_disconnects_at_the_same_time() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        // The answer itself is lost.
        faults(&format!("at call rdma_disconnect: cm inject DISCONNECTED on qp {NUMBER}"));
        faults("cm DISCONNECTED 2- drop");
        let time = took(|| {
            polled.qpair.disconnect();
            polled.until("the end", |polled| polled.qpair.has_ended());
        });
        assert!(time < AT_ONCE, "the event that had come was waited for: {time:?}");
        polled.free();
        no_faults();
        world.finish(Some(controller));
    }
}

#[test]
fn h18_a_queue_pair_that_does_not_stop_is_destroyed_first() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 20);
        let up = softverbs::ledger();
        let told = Count::default();
        for read in &reads {
            let told = told.clone();
            on_completion(*read, move |completion| {
                assert_eq!(completion.status(), Status::ABORTED_SQ_DELETION);
                assert!(softverbs::ledger().qps < up.qps, "its queue pair is still there");
                told.up();
            });
        }
        faults("fail ibv_modify_qp 1 EIO; fail rdma_disconnect 1 EIO");
        polled.qpair.disconnect();
        assert_eq!(softverbs::armed(), 0);
        let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended()));
        assert!(time > Duration::from_millis(900), "it cannot have been drained: {time:?}");
        polled.poll();
        assert_eq!(told.get(), 20);
        polled.free();
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

/// What a poll of a qpair alone returns while its connection ends: nothing until it is over, and then that it is not connected; a qpair
/// that is not in asynchronous mode is brought to its end within the poll.
#[test]
fn a_poll_says_that_the_connection_is_lost_once_it_is_over() {
    for (asynchronous_mode, lost) in [(true, false), (true, true), (false, true)] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, false, options(&controller, asynchronous_mode));
        let qpair = &polled.qpair;
        world.control("misbehave silent");
        let reads = world.read_many(qpair, &namespace, 70); // some of them wait
        qpair.process_completions(0).unwrap();
        faults(&format!("wc recv qp {NUMBER} always late 100ms"));
        if lost {
            faults(&format!("cm inject DISCONNECTED on qp {NUMBER}"));
        } else {
            qpair.disconnect();
        }
        let mut draining = 0;
        until("the end", || {
            let result = qpair.process_completions(1);
            assert_eq!(result.is_err(), qpair.has_ended());
            assert_eq!(all_ended(&reads), qpair.has_ended(), "told with the end");
            assert!(result.is_err() || result == Ok(0));
            draining += u32::from(!qpair.is_connected() && !qpair.has_ended());
            qpair.has_ended()
        });
        assert_eq!(draining > 1, asynchronous_mode, "{draining}");
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        assert!(qpair.process_completions(0).is_err());
        polled.free();
        no_faults();
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

/// Of a controller that has failed each poll says so, and goes on with the end.
#[test]
fn polls_of_a_failed_controllers_qpair_say_so_at_once() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let polled = Polled::connected(&controller, false, asynchronous(&controller));
    world.control("misbehave silent");
    let reads = world.read_many(&polled.qpair, &namespace, 5);
    faults(&format!("wc recv qp {NUMBER} always late 100ms"));
    controller.fail();
    let mut polls = 0;
    until("the end", || {
        polls += 1;
        assert!(polled.qpair.process_completions(0).is_err());
        polled.qpair.has_ended()
    });
    assert!(polls > 1 && all_ended(&reads));
    polled.free();
    no_faults();
    world.control("behave silent");
    world.finish(Some(controller));
}
