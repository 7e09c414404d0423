//! Controllers: bring-up, failure and detach, and devices and subsystems that go and come back.

use super::{lines::logged, memory::Region, *};
use spdk_nvme_rdma::{
    host::ControllerOptions,
    transport::{Completer, Payload},
};
use spec::{Command, Completion, Status};
use std::cell::RefCell;
use tracing::Level;

fn short(world: &World) -> ControllerOptions {
    let short = Duration::from_millis(200);
    ControllerOptions { admin_timeout: short, connect_timeout: short, cm_timeout: short, ..world.options() }
}

/// Fills the Admin Queue with commands until one is refused; how each ended.
fn fill_admin_queue(controller: &Controller) -> (u32, Rc<RefCell<Vec<Status>>>) {
    let ended: Rc<RefCell<Vec<Status>>> = Rc::default();
    for count in 0..1_000 {
        let told = ended.clone();
        let closure = Rc::new(move |completion: &Completion| told.borrow_mut().push(completion.status()));
        if controller.submit_admin(Command::keep_alive(), Payload::None, Completer::Shared(closure)).is_err()
        {
            return (count, ended);
        }
    }
    panic!("the Admin Queue takes commands without end");
}

#[test]
fn t95_a_controller_that_nobody_detached() {
    for trouble in ["", "silent", "dead"] {
        let world = World::new();
        let controller = world.controller();
        match trouble {
            "silent" => world.control("misbehave silent"),
            "dead" => world.kill_target(),
            _ => {}
        }
        let (count, ended) = fill_admin_queue(&controller);
        let time = took(|| drop(controller));
        assert!(time < Duration::from_secs(3), "{time:?}");
        assert_eq!(ended.borrow().len(), count as usize);
        world.finish(None);
    }
}

/// Aborted by the end of the controller, however it comes, the requests are not armed again: that would be refused with a warning.
#[test]
fn t118_t98_no_event_request_on_the_way_out() {
    for how in ["detach", "die", "fail", "drop"] {
        let world = World::new();
        let controller = world.controller();
        let mut controller = Some(controller);
        let lines = logged(Level::WARN, || {
            let held = controller.as_ref().unwrap();
            match how {
                "die" => {
                    world.kill_target();
                    until("the failure", || held.process_admin_completions().is_err());
                }
                "fail" => {
                    held.fail();
                    let _ = held.process_admin_completions();
                }
                "drop" => drop(controller.take()),
                _ => {}
            }
            if let Some(controller) = controller {
                detach(&controller);
                let _ = controller.process_admin_completions();
                assert_eq!(Rc::strong_count(&controller), 1, "an event request holds it");
            }
        });
        assert!(!lines.iter().any(|line| line.contains("Asynchronous Event")), "{how}: {lines:?}");
        world.finish(None);
    }
}

/// T140, T137: an admin command of bring-up is answered after its deadline, each of them in its turn.
#[test]
fn t119_t120_an_admin_command_is_answered_too_late() {
    let mut failed = 0;
    for which in 1..80 {
        let world = World::new();
        faults(&format!("purge off; at wc recv {which}: delay data rx 300ms"));
        let mut made = None;
        let time = took(|| made = Controller::connect(world.id(), short(&world)).ok());
        assert!(time < Duration::from_secs(3), "{time:?}");
        let reached = softverbs::armed() == 0;
        sleep(Duration::from_secs(2)); // the answers come
        turns(100);
        no_faults();
        match made {
            Some(controller) => detach(&controller),
            None => {
                failed += 1;
                until("the target to let go", || world.connections() == 0);
            }
        }
        world.finish(None);
        if !reached {
            break;
        }
    }
    assert!(failed > 10, "only {failed} commands were late");
}

/// F18: the peer dies, or only closes, at each message of bring-up.
#[test]
fn s20_t99_t140_the_target_goes_at_each_step_of_bring_up() {
    for how in ["peer dies", "cm inject DISCONNECTED on all", "peer silent"] {
        let mut failed = 0;
        // Bring-up takes some ten commands; each is received once, and so is its answer.
        for which in 1..=30 {
            let world = World::new();
            faults(&format!("at wc recv {which}: {how}"));
            let mut made = None;
            let time = took(|| made = Controller::connect(world.id(), short(&world)).ok());
            assert!(time < Duration::from_secs(3), "{how}, {which}: {time:?}");
            failed += u32::from(made.is_none());
            let time = took(|| {
                if let Some(controller) = &made {
                    detach(controller);
                }
            });
            assert!(time < Duration::from_secs(3), "{how}, {which}, detach: {time:?}");
            drop(made);
            no_faults();
            softverbs::control("peer speaks").unwrap();
            world.finish(None);
        }
        assert!(failed > 10, "{how} hit only {failed} times");
    }
}

#[test]
fn t125_s15_failed_twice_and_detached() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let polled = Polled::connected(&controller, true, asynchronous(&controller));
    world.control("misbehave silent");
    let reads = world.read_many(&polled.qpair, &namespace, 10);
    polled.qpair.disconnect();
    let lines = logged(Level::ERROR, || {
        (0..3).for_each(|_| controller.fail());
        let again = controller.clone();
        on_completion(reads[0], move |_| again.fail());
        polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads));
        controller.fail();
    });
    assert_eq!(lines.iter().filter(|line| line.contains("has failed")).count(), 1, "{lines:?}");
    assert!(controller.has_failed());
    polled.free();
    let time = took(|| detach(&controller));
    assert!(time < AT_ONCE, "{time:?}");
    controller.fail();
    detach(&controller); // once more
    world.control("behave silent");
    drop(controller);
    world.finish(None);
}

#[test]
fn t130_a_dead_admin_queue_is_not_asked() {
    for polled in [false, true] {
        let world = World::new();
        let controller = world.controller();
        world.kill_target();
        if polled {
            until("the failure", || controller.process_admin_completions().is_err());
        }
        let time = took(|| detach(&controller));
        assert!(time < AT_ONCE, "{time:?}");
        drop(controller);
        world.finish(None);
    }
}

#[test]
fn t132_an_io_qpair_fails_alone() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let other = connected(&controller);
    for fault in [
        "wc recv qp 5001 1 status LOC_PROT_ERR",
        "cm inject DISCONNECTED on qp 5001",
        "wc send qp 5001 1 error RETRY_EXC_ERR",
    ] {
        let polled = Polled::connected(&controller, false, synchronous(&controller));
        faults(fault);
        let reads = world.read_many(&polled.qpair, &namespace, 5);
        polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads));
        assert!(polled.poll());
        polled.free();
        assert!(!controller.has_failed() && controller.process_admin_completions().is_ok());
        let read = world.read(&other, &namespace);
        until("a read beside", || other.process_completions(0).is_ok() && status(read).is_some());
        connected(&controller).free();
        no_faults();
    }
    other.free();
    drop(other);
    world.finish(Some(controller));
}

#[test]
fn t133_s13_qpairs_of_a_failed_controller() {
    for dead in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let busy = member(&controller, &group, asynchronous(&controller));
        let idle = member(&controller, &group, synchronous(&controller));
        let never = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
        let connecting = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
        group.add(&connecting).unwrap();
        world.control("misbehave silent");
        let mut reads = world.read_many(&busy, &namespace, 30);
        connecting.connect().unwrap();
        reads.extend(world.read_many(&connecting, &namespace, 5));
        if dead {
            world.kill_target();
            until("the failure", || controller.process_admin_completions().is_err());
        } else {
            controller.fail();
        }
        assert!(controller.alloc_io_qpair(synchronous(&controller)).is_err());
        assert!(never.connect().is_err());
        for qpair in [&never, &busy, &connecting, &idle] {
            let time = took(|| qpair.free());
            assert!(time < Duration::from_secs(2), "{time:?}");
        }
        assert!(all_ended(&reads));
        group.destroy().unwrap();
        drop((never, busy, connecting, idle, group));
        detach(&controller);
        assert!(controller.alloc_io_qpair(synchronous(&controller)).is_err(), "detached");
        drop(controller);
        world.finish(None);
    }
}

/// S19, I29: more commands than the queue holds at a time, when the controller is detached or its target dies.
#[test]
fn t135_admin_requests_that_wait_are_told() {
    for how in ["detach", "die", "fail"] {
        let world = World::new();
        let controller = world.controller();
        world.control("misbehave silent");
        let (count, ended) = fill_admin_queue(&controller);
        assert!(count > 20);
        match how {
            "die" => {
                world.kill_target();
                until("the failure", || controller.process_admin_completions().is_err());
            }
            "fail" => controller.fail(),
            _ => {}
        }
        detach(&controller);
        assert_eq!(*ended.borrow(), vec![Status::ABORTED_SQ_DELETION; count as usize], "{how}");
        assert_eq!(Rc::strong_count(&controller), 1);
        drop(controller);
        world.finish(None);
    }
}

/// T149, S27: the group has members on the device that goes and, while those are still there, on the one that comes.
#[test]
fn s26_t150_s27_a_device_goes_and_another_comes() {
    let mut world = World::new();
    for round in 0..3 {
        let old = world.controller();
        let namespace = world.namespace(&old);
        let group = poll_group();
        let members: Vec<_> = (0..3).map(|index| member(&old, &group, options(&old, index == 1))).collect();
        let alone = connected(&old);
        let mut reads: Vec<_> =
            members.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 30)).collect();
        reads.extend(world.read_many(&alone, &namespace, 30));
        turns(round * 5); // some are answered, and success may follow the removal
        softverbs::control("device remove").unwrap();
        let mut told = 0;
        poll_until(&group, "the end", || {
            told += u32::from(alone.process_completions(0).is_err());
            members.iter().chain([&alone]).all(|qpair| qpair.has_ended()) && all_ended(&reads)
        });
        assert!(told > 0);
        assert!(members[0].connect().is_err(), "there is no device");
        until("the failure", || old.process_admin_completions().is_err());
        world.kill_target();
        softverbs::control("device on").unwrap();
        world.start_target(target::Options::default());
        let new = world.controller();
        let next = member(&new, &group, synchronous(&new));
        let reads = world.read_many(&next, &world.namespace(&new), 30);
        poll_until(&group, "reads on the new device", || all_ended(&reads));
        assert_eq!(count_with(&reads, Status::SUCCESS), 30);
        members.iter().chain([&alone, &next]).for_each(|qpair| qpair.free());
        group.destroy().unwrap();
        drop((members, alone, next, group));
        detach(&old);
        detach(&new);
        drop((old, new));
        world.kill_target();
        sleep(Duration::from_secs(1));
        assert!(softverbs::ledger().is_clean(), "round {round}: {:?}", softverbs::ledger());
        world.start_target(target::Options::default());
    }
    world.finish(None);
}

#[test]
fn s25_a_subsystem_goes_and_comes_back() {
    let world = World::new();
    for round in 0..4 {
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, round % 2 == 0, asynchronous(&controller));
        let reads = world.read_many(&polled.qpair, &namespace, 60);
        world.control(&format!("drop {NQN}"));
        let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads)));
        assert!(time < AT_ONCE, "{time:?}");
        until("the failure", || controller.process_admin_completions().is_err());
        polled.free();
        detach(&controller);
        drop(controller);
        assert!(Controller::connect(world.id(), world.options()).is_err());
        world.control(&format!("add {NQN}"));
    }
    let controller = world.controller();
    connected(&controller).free();
    world.finish(Some(controller));
}

/// One device, one protection domain, two controllers: what belongs to both outlives the one that came first.
#[test]
fn t153_t154_memory_outlives_the_controller_that_came_first() {
    thread_local! {
        static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
    }
    let context = context(|_, completion| ENDED.with_borrow_mut(|ended| ended.push(completion.status())), 0);
    let world = World::new();
    let first = world.controller();
    let second = world.controller();
    let namespace = world.namespace(&second);
    let qpair = connected(&second);
    let before = Region::register(1);
    detach(&first);
    drop(first);
    let after = Region::register(1);
    for (region, registered) in [(&before, true), (&after, true), (&before, false), (&after, false)] {
        if !registered {
            region.unregister();
        }
        let accepted = qpair.read(&namespace, region.start(), 0, 8, 0, context).is_ok();
        assert_eq!(accepted, registered);
        if accepted {
            until("a read", || {
                qpair.process_completions(0).is_ok() && ENDED.with_borrow(|ended| !ended.is_empty())
            });
            assert_eq!(ENDED.take(), [Status::SUCCESS]);
        }
    }
    let read = world.read(&qpair, &namespace);
    until("a read", || qpair.process_completions(0).is_ok() && status(read).is_some());
    qpair.free();
    drop(qpair);
    world.finish(Some(second));
}

/// A device takes a region in two pieces, and refuses the second: the first is given back then, and not when the map goes.
#[test]
fn a_region_of_which_a_piece_is_refused_is_given_back_whole() {
    let world = World::new();
    softverbs::control("device profile max_mr_size=1048576").unwrap();
    let controller = world.controller();
    let before = softverbs::ledger().mrs;
    // Two registrations of the first piece; of the second an attempt with two, and one with one.
    faults("fail ibv_reg_mr 3-4 ENOMEM");
    // The environment goes on without a map that cannot have the region.
    let region = Region::register(1);
    assert_eq!((softverbs::armed(), softverbs::ledger().mrs), (0, before));
    drop(region);
    no_faults();
    let region = Region::register(1);
    assert_eq!(softverbs::ledger().mrs, before + 4);
    drop(region);
    assert_eq!(softverbs::ledger().mrs, before);
    world.finish(Some(controller));
}
