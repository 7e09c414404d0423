//! Connecting: every step of it fails, is late, is given up or is slept through, and events come that nothing caused.

use super::*;
use spdk_nvme_rdma::host::{ControllerOptions, Error, FailureReason, Standing};
use spec::Status;

/// The target let go of all but the Admin Queue.
fn only_the_admin_queue(world: &World) {
    until("the target to let go", || world.connections() == 1);
}

/// A qpair of this controller works.
fn works(world: &World, controller: &Rc<Controller>) {
    let namespace = world.namespace(controller);
    let qpair = connected(controller);
    let read = world.read(&qpair, &namespace);
    until("a read", || qpair.process_completions(0).is_ok() && status(read).is_some());
    assert_eq!(status(read), Some(Status::SUCCESS));
    qpair.free();
}

/// F14: missing, or later than the deadline.
#[test]
fn f14_t68_an_event_that_never_comes() {
    for (event, which) in [("ADDR_RESOLVED", "1"), ("ROUTE_RESOLVED", "1"), ("ESTABLISHED", "always")] {
        for fault in ["drop", "late 4s"] {
            for in_group in [false, true] {
                let world = World::new();
                let cm_timeout = Duration::from_millis(300);
                let options = ControllerOptions { cm_timeout, ..world.options() };
                let controller = Controller::connect(world.id(), options).unwrap();
                let rest = softverbs::ledger();
                let polled = Polled::new(&controller, in_group, synchronous(&controller));
                faults(&format!("cm {event} {which} {fault}"));
                let time = took(|| assert!(polled.qpair.connect().is_err()));
                // Resolving has a deadline of its own.
                let most = if event == "ESTABLISHED" { 1_500 } else { 2_700 };
                assert!(time >= cm_timeout && time < Duration::from_millis(most), "{event}: {time:?}");
                assert!(polled.qpair.has_ended());
                softverbs::control("faults off").unwrap();
                sleep(Duration::from_secs(5));
                only_the_admin_queue(&world);
                assert_eq!(softverbs::ledger(), rest, "{event} {fault}");
                polled.qpair.connect().unwrap();
                assert!(polled.qpair.is_connected());
                polled.free();
                world.finish(Some(controller));
            }
        }
    }
}

/// H11: one event or a flood of them, live and on the way out.
#[test]
fn f15_t63_t71_events_that_nothing_caused() {
    for (event, reason) in [
        ("DISCONNECTED", Some(FailureReason::Remote)),
        ("DEVICE_REMOVAL", Some(FailureReason::Local)),
        ("ADDR_CHANGE", Some(FailureReason::Local)),
        ("TIMEWAIT_EXIT", None),
        ("MULTICAST_ERROR", None),
    ] {
        for times in [1, 300] {
            for in_group in [false, true] {
                let world = World::new();
                let controller = world.controller();
                let namespace = world.namespace(&controller);
                let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
                let reads = world.read_many(&polled.qpair, &namespace, 20);
                let inject = format!("cm inject {event} on qp {NUMBER} times {times}");
                faults(&inject);
                let mut losses = 0;
                match reason {
                    Some(reason) => {
                        polled.until("the loss", |polled| !polled.qpair.is_connected());
                        assert_eq!(polled.qpair.failure_reason(), reason, "{event}");
                        let _ = softverbs::control(&inject); // while it drains, if it still does
                        until("the end", || {
                            losses += u32::from(polled.poll());
                            polled.qpair.has_ended()
                        });
                        assert_eq!(polled.qpair.failure_reason(), reason, "{event} stays the reason");
                        assert!(in_group || losses > 0);
                    }
                    None => {
                        polled.until("the reads", |_| all_ended(&reads));
                        for _ in 0..5 {
                            sleep(Duration::from_millis(2)); // events are looked for each millisecond
                            assert!(!polled.poll());
                        }
                        assert!(polled.qpair.is_connected(), "{event} means nothing");
                        assert_eq!(count_with(&reads, Status::SUCCESS), 20);
                    }
                }
                polled.poll();
                let _ = softverbs::control(&inject); // refused if there is nobody, else to one that ends without another poll
                polled.free();
                assert!(all_ended(&reads));
                assert_eq!(softverbs::ledger().unacked_events, 0);
                no_faults();
                world.finish(Some(controller));
            }
        }
    }
}

/// T02, T70, S09: rejected as stale, with I/O that waits, and a neighbour on the same completion queue.
#[test]
fn f17_t48_stale_connections_beside_working_ones() {
    for purge in ["purge on", "purge off"] {
        for rejections in [1, 3, 5, 6] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let group = poll_group();
            let other = member(&controller, &group, synchronous(&controller));
            let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
            group.add(&qpair).unwrap();
            faults(&format!("{purge}; cm reject 1-{rejections} stale"));
            qpair.connect().unwrap();
            let mut waiting = world.read_many(&qpair, &namespace, 100);
            let mut beside = world.read_many(&other, &namespace, 20);
            until("the end of the attempts", || {
                assert!(group.process_completions(0, &nobody).is_ok());
                if all_ended(&beside[beside.len() - 20..]) && beside.len() < 2_000 {
                    beside.extend(world.read_many(&other, &namespace, 20));
                }
                qpair.is_connected() || qpair.has_ended()
            });
            assert_eq!(qpair.is_connected(), rejections <= 5);
            assert_eq!(world.try_read(&qpair, &namespace).1, rejections <= 5);
            waiting.pop();
            let wanted = if rejections <= 5 { Status::SUCCESS } else { Status::ABORTED_SQ_DELETION };
            poll_until(&group, "the reads", || all_ended(&waiting) && all_ended(&beside));
            assert_eq!(count_with(&waiting, wanted), waiting.len());
            assert_eq!(count_with(&beside, Status::SUCCESS), beside.len());
            [&qpair, &other].into_iter().for_each(|qpair| qpair.free());
            group.destroy().unwrap();
            drop((qpair, other, group));
            no_faults();
            world.finish(Some(controller));
        }
    }
}

/// Connects, polls `steps` times, and does `then`; once more with more steps, until they are enough to be connected. Returns how often.
fn at_each_step(in_group: bool, faults_of: &str, then: impl Fn(&Polled)) -> u32 {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let rest = softverbs::ledger();
    let (mut steps, mut tried, mut connected) = (0, 0, false);
    while !connected {
        let polled = Polled::new(&controller, in_group, asynchronous(&controller));
        // Slow enough that each message has a poll of its own.
        faults("delay cm rx 60us; delay data rx 60us");
        if !faults_of.is_empty() {
            faults(faults_of);
        }
        polled.qpair.connect().unwrap();
        let reads = world.read_many(&polled.qpair, &namespace, 3);
        for _ in 0..steps {
            polled.poll();
            turn();
        }
        connected = polled.qpair.is_connected();
        then(&polled);
        polled.qpair.free();
        assert!(all_ended(&reads), "after {steps} steps");
        polled.free();
        no_faults();
        only_the_admin_queue(&world);
        until_let_go(&controller, &rest);
        // The delays of 10 ms after a stale connection are not tried turn by turn.
        steps += if steps < 60 { 1 } else { 97 };
        tried += 1;
        assert!(steps < 10_000, "it never connects");
    }
    works(&world, &controller);
    world.finish(Some(controller));
    tried
}

/// Also in the delay after a stale connection (F17).
#[test]
fn t74_t80_ended_at_every_step_of_connecting() {
    for faults_of in ["", "cm reject 1-2 stale"] {
        for in_group in [false, true] {
            let tried = at_each_step(in_group, faults_of, |_| {});
            assert!(tried > 10, "only {tried} steps were tried");
            at_each_step(in_group, faults_of, |polled| {
                polled.qpair.disconnect();
                polled.until("the end", |polled| polled.qpair.has_ended());
                assert_eq!(polled.qpair.failure_reason(), FailureReason::None);
            });
        }
    }
}

#[test]
fn f19_the_program_sleeps_between_two_steps() {
    for faults_of in ["", "cm reject 1 stale"] {
        for (in_group, seconds) in [(false, 3), (true, 3_600)] {
            at_each_step(in_group, faults_of, |polled| {
                sleep(Duration::from_secs(seconds));
                let settled = |polled: &Polled| polled.qpair.is_connected() || polled.qpair.has_ended();
                let time = took(|| polled.until("an end", settled));
                assert!(time < Duration::from_secs(5), "{time:?}");
            });
        }
    }
}

/// As the C face allocates: 1,000 times without success, from a controller that has far fewer queue ids.
#[test]
fn t77_s11_failed_allocations_give_their_queue_id_back() {
    let world = World::new();
    let controller = world.controller();
    let few = controller.io_queue_count();
    assert!(few < 1_000);
    let others: Vec<_> = (0..3).map(|_| connected(&controller)).collect();
    world.control("misbehave reject-connections");
    let rest = softverbs::ledger();
    for round in 0..1_000 {
        let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
        assert_eq!(u32::from(qpair.id()), 4 + round % (few - 3), "the one that has been free for longest");
        assert!(qpair.connect().is_err());
        drop(qpair); // nobody frees it
    }
    assert_eq!(softverbs::ledger(), rest);
    world.control("behave reject-connections");
    let all: Vec<_> =
        (3..few).map(|_| controller.alloc_io_qpair(synchronous(&controller)).unwrap()).collect();
    assert!(matches!(controller.alloc_io_qpair(synchronous(&controller)), Err(Error::NoQueueId)));
    drop(all);
    works(&world, &controller);
    drop(others);
    world.finish(Some(controller));
}

#[test]
fn t78_connect_is_answered_too_late() {
    for in_group in [false, true] {
        for free_at_once in [false, true] {
            let world = World::new();
            let options =
                ControllerOptions { connect_timeout: Duration::from_millis(100), ..world.options() };
            let controller = Controller::connect(world.id(), options).unwrap();
            let rest = softverbs::ledger();
            let polled = Polled::new(&controller, in_group, synchronous(&controller));
            faults("purge off; delay data rx 100ms"); // there and back
            let time = took(|| assert!(polled.qpair.connect().is_err()));
            assert!(time >= Duration::from_millis(100) && time < Duration::from_millis(500), "{time:?}");
            if free_at_once {
                polled.qpair.free();
            }
            sleep(Duration::from_secs(1)); // the answer comes
            no_faults();
            if !free_at_once {
                polled.qpair.connect().unwrap();
                assert!(polled.qpair.is_connected());
            }
            polled.free();
            only_the_admin_queue(&world);
            until_let_go(&controller, &rest);
            works(&world, &controller);
            world.finish(Some(controller));
        }
    }
}

#[test]
fn t82_several_connections_from_one_source_address() {
    // Of any port, and all of one: the Admin Queue's connection has it already when the others come.
    for service in [None, Some("5555")] {
        let world = World::new();
        let options = ControllerOptions {
            source_address: Some("127.0.0.1".into()),
            source_service: service.map(String::from),
            ..world.options()
        };
        let controller = Controller::connect(world.id(), options).unwrap();
        let qpairs: Vec<_> = (0..4).map(|_| connected(&controller)).collect();
        assert!(qpairs.iter().all(|qpair| qpair.is_connected()));
        works(&world, &controller);
        qpairs.iter().for_each(|qpair| qpair.free());
        drop(qpairs);
        world.finish(Some(controller));
    }
}

#[test]
fn t84_the_errno_of_a_failed_step_reaches_the_caller() {
    let world = World::new();
    let controller = world.controller();
    for function in [
        "rdma_create_event_channel",
        "rdma_create_id",
        "rdma_resolve_addr",
        "rdma_resolve_route",
        "rdma_create_qp",
        "ibv_reg_mr",
        "ibv_create_cq",
        "rdma_connect",
    ] {
        for (errno, number) in [("ENOSPC", libc::ENOSPC), ("EMFILE", libc::EMFILE)] {
            let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
            faults(&format!("fail {function} 1 {errno}"));
            let error = qpair.connect().unwrap_err();
            assert_eq!(softverbs::armed(), 0, "{function} is not called");
            let words = format!("{error:?}");
            let numbers: Vec<&str> = words.split(|c: char| !c.is_ascii_digit()).collect();
            assert!(numbers.contains(&number.to_string().as_str()), "{function}, {errno}: {words}");
            qpair.free();
        }
    }
    works(&world, &controller);
    world.finish(Some(controller));
}

#[test]
fn t100_failed_attempts_of_one_qpair_cost_no_request() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::new(&controller, in_group, options(&controller, asynchronous_mode));
        world.control("misbehave reject-connections");
        for _ in 0..10 {
            if asynchronous_mode {
                polled.qpair.connect().unwrap();
                let reads = world.read_many(&polled.qpair, &namespace, 128);
                polled.until("the end", |polled| polled.qpair.has_ended());
                polled.poll();
                assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), 128);
            } else {
                assert!(polled.qpair.connect().is_err());
            }
        }
        world.control("behave reject-connections");
        polled.qpair.connect().unwrap();
        polled.until("the connection", |polled| polled.qpair.is_connected());
        let reads = world.read_many(&polled.qpair, &namespace, 128);
        assert!(!world.try_read(&polled.qpair, &namespace).1);
        polled.until("the reads", |_| all_ended(&reads));
        assert_eq!(count_with(&reads, Status::SUCCESS), 128);
        polled.free();
        world.finish(Some(controller));
    }
}

#[test]
fn t134_s12_connected_again_while_it_disconnects() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, asynchronous(&controller));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 20);
        assert!(polled.qpair.connect().is_err(), "connected");
        polled.qpair.disconnect();
        let mut refused = 0;
        until("the end", || {
            if polled.qpair.has_ended() {
                return true;
            }
            assert!(polled.qpair.connect().is_err(), "disconnecting");
            refused += 1;
            polled.poll();
            false
        });
        assert!(refused > 0);
        polled.poll();
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), 20);
        world.control("behave silent");
        polled.qpair.connect().unwrap();
        assert!(polled.qpair.connect().is_err(), "connecting");
        polled.until("the connection", |polled| polled.qpair.is_connected());
        let last = world.read_many(&polled.qpair, &namespace, 3);
        let again = polled.qpair.clone();
        on_completion(last[0], move |_| assert!(again.connect().is_err(), "connected, or being freed"));
        polled.qpair.free();
        assert!(polled.qpair.connect().is_err(), "freed");
        assert!(all_ended(&last));
        polled.free();
        world.finish(Some(controller));
    }
}

/// F02: in each wait that there is.
#[test]
fn t152_the_device_goes_while_something_is_waited_for() {
    for after in [0, 20, 60, 100, 140, 200, 300] {
        let remove = format!("after {after}us: device remove");
        let end = |world: World, controller: Option<Rc<Controller>>| {
            no_faults();
            world.kill_target();
            let time = took(|| {
                if let Some(controller) = &controller {
                    let _ = controller.process_admin_completions();
                    detach(controller);
                }
            });
            assert!(time < AT_ONCE, "detach: {time:?}");
            softverbs::control("device on").unwrap();
            drop(controller);
            world.finish(None);
        };
        // Bring-up.
        let world = World::new();
        faults("delay cm rx 60us; delay data rx 60us");
        faults(&remove);
        let mut controller = None;
        let time = took(|| controller = Controller::connect(world.id(), world.options()).ok());
        assert!(time < AT_ONCE, "bring-up: {time:?}");
        end(world, controller);
        // Connecting, and I/O.
        for in_group in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::new(&controller, in_group, asynchronous(&controller));
            faults("delay cm rx 60us; delay data rx 60us");
            faults(&remove);
            polled.qpair.connect().unwrap();
            let reads = world.read_many(&polled.qpair, &namespace, 20);
            let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended()));
            assert!(time < AT_ONCE, "connecting: {time:?}");
            polled.poll();
            assert!(all_ended(&reads));
            polled.free();
            end(world, Some(controller));
            // Draining.
            let world = World::new();
            let controller = world.controller();
            let polled = Polled::connected(&controller, in_group, synchronous(&controller));
            faults("cm DISCONNECTED always late 10s"); // and so the removal alone can end the wait
            faults(&remove);
            let time = took(|| polled.qpair.disconnect());
            assert!(polled.qpair.has_ended() && time < AT_ONCE, "draining: {time:?}");
            polled.free();
            end(world, Some(controller));
        }
        // Detach.
        let world = World::new();
        let controller = world.controller();
        faults("delay cm rx 60us; delay data rx 60us");
        faults(&remove);
        end(world, Some(controller));
    }
}

#[test]
fn a_qpair_says_where_it_stands() {
    let world = World::new();
    let controller = world.controller();
    let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
    assert_eq!(qpair.standing(), Standing::Disconnected);
    for _ in 0..2 {
        qpair.connect().unwrap();
        assert_eq!(qpair.standing(), Standing::Connecting);
        until("the connection", || qpair.process_completions(0).is_ok() && qpair.is_connected());
        assert_eq!(qpair.standing(), Standing::Connected);
        qpair.disconnect();
        assert_eq!(qpair.standing(), Standing::Disconnecting);
        until("the end", || qpair.process_completions(0).is_err() && qpair.has_ended());
        assert_eq!(qpair.standing(), Standing::Disconnected);
    }
    qpair.free();
    assert_eq!(qpair.standing(), Standing::Freed);
    drop(qpair);
    world.finish(Some(controller));
}
