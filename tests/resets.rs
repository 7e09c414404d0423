//! A controller that is reset: its qpairs end and are connected again, handles and queue ids stay, and a target that was gone is found
//! again, at its address or another.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::{lines::errors, lines::record, *};
use spdk_nvme_rdma::host::{
    Controller, ControllerOptions, CopiedData, Error, FailureReason, IoQpair, IoQpairOptions, PollGroup,
};
use spdk_nvme_rdma::transport::{Completer, Payload};
use spec::{Command, Completion, Status, feature::FeatureId, identify::Cns};
use std::{cell::RefCell, rc::Rc, time::Duration};
use target::Options;

/// Qpairs of every kind: synchronous and asynchronous, in a group and alone.
struct Qpairs {
    group: Rc<PollGroup>,
    all: Vec<Rc<IoQpair>>,
}

impl Qpairs {
    fn new(controller: &Rc<Controller>) -> Self {
        let group = poll_group();
        let alone = |options: IoQpairOptions| {
            let qpair = controller.alloc_io_qpair(options).unwrap();
            qpair.connect().unwrap();
            until("the connection", || qpair.process_completions(0).is_ok() && qpair.is_connected());
            qpair
        };
        let all = vec![
            member(controller, &group, synchronous(controller)),
            member(controller, &group, asynchronous(controller)),
            alone(synchronous(controller)),
            alone(asynchronous(controller)),
        ];
        Self { group, all }
    }

    fn poll(&self) {
        let _ = self.group.process_completions(0, &nobody);
        self.all.iter().skip(2).for_each(|qpair| drop(qpair.process_completions(0)));
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        until(what, || {
            self.poll();
            done()
        });
    }

    /// All of them end, as their controller does, and know why.
    fn until_ended(&self) {
        self.until("the end", || self.all.iter().all(|qpair| qpair.has_ended()));
        for qpair in &self.all {
            assert_ne!(qpair.failure_reason(), FailureReason::None);
        }
    }

    fn connect(&self) {
        self.all.iter().for_each(|qpair| qpair.connect().unwrap());
        self.until("the connections", || self.all.iter().all(|qpair| qpair.is_connected()));
    }

    fn read(&self, world: &World, controller: &Controller, each: usize) -> Vec<usize> {
        let namespace = world.namespace(controller);
        self.all.iter().flat_map(|qpair| world.read_many(qpair, &namespace, each)).collect()
    }

    fn reads_succeed(&self, world: &World, controller: &Controller) {
        let reads = self.read(world, controller, 20);
        self.until("the reads", || all_ended(&reads));
        assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
    }

    fn free(self) {
        self.all.iter().for_each(|qpair| qpair.free());
        self.group.destroy().unwrap();
    }
}

#[test]
fn a_controller_is_reset_under_load() {
    let world = World::new();
    let controller = world.controller();
    let qpairs = Qpairs::new(&controller);
    let ids: Vec<u16> = qpairs.all.iter().map(|qpair| qpair.id()).collect();
    for round in 0..5 {
        let reads = qpairs.read(&world, &controller, 60);
        if round % 2 == 0 {
            qpairs.poll();
        }
        if round % 2 == 0 {
            controller.reset().unwrap();
        } else {
            controller.disconnect().unwrap();
            qpairs.until_ended();
            assert!(count_with(&reads, Status::ABORTED_SQ_DELETION) > 0);
            assert_eq!(wait_for_reset(&controller), Ok(()));
        }
        assert!(!controller.has_failed() && controller.process_admin_completions().is_ok());
        let new = connected(&controller);
        assert!(!ids.contains(&new.id()), "the id of one that there is");
        qpairs.until_ended();
        assert!(all_ended(&reads));
        qpairs.connect();
        qpairs.reads_succeed(&world, &controller);
        assert_eq!(ids, qpairs.all.iter().map(|qpair| qpair.id()).collect::<Vec<_>>());
        new.free();
    }
    qpairs.free();
    world.finish(Some(controller));
}

/// The target goes and comes back, with another namespace under the same id.
#[test]
fn a_target_that_is_restarted_comes_back_under_the_same_handles() {
    let mut world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let sectors = namespace.sectors();
    let qpairs = Qpairs::new(&controller);
    for round in 0..3 {
        let reads = qpairs.read(&world, &controller, 40);
        world.kill_target();
        until("the loss", || controller.process_admin_completions().is_err());
        assert!(!controller.has_failed(), "it is lost, which is not what the program calls failed");
        assert_ne!(controller.failure_reason(), FailureReason::None);
        qpairs.until_ended();
        assert!(all_ended(&reads));
        // An outage of several resets.
        for _ in 0..round {
            let (result, lines) = record(|| controller.reset());
            assert!(result.is_err() && controller.has_failed());
            assert_eq!(errors(&lines).len(), 1, "{lines:?}");
            assert_eq!(qpairs.all[0].connect(), Err(Error::ControllerFailed));
        }
        world.start_target(Options::default());
        controller.reset().unwrap();
        assert!(!controller.has_failed());
        assert_eq!(namespace.sectors(), sectors);
        qpairs.connect();
        qpairs.reads_succeed(&world, &controller);
    }
    qpairs.free();
    world.finish(Some(controller));
}

/// As the program of an asynchronous reset has it: disconnect, poll until that is over, reconnect.
#[test]
fn a_reset_in_steps_ends_in_order() {
    let world = World::new();
    let controller = world.controller();
    assert!(controller.poll_reset().is_some_and(|result| result.is_ok()), "there is nothing to do");
    for _ in 0..3 {
        controller.disconnect().unwrap();
        assert_eq!(controller.disconnect(), Err(Error::Resetting));
        assert_eq!(controller.reset(), Ok(()), "nothing is done: a reset is under way");
        until("the disconnect", || controller.process_admin_completions().is_err());
        assert!(matches!(controller.alloc_io_qpair(synchronous(&controller)), Err(Error::Resetting)));
        controller.fail();
        assert!(!controller.has_failed(), "not while it is reset");
        let mut result = None;
        let mut polls = 0;
        until("the reset", || {
            polls += 1;
            // Another thread's poll of the Admin Queue takes nothing away.
            assert!(result.is_some() || polls < 3 || controller.process_admin_completions() == Ok(0));
            result = controller.poll_reset();
            result.is_some()
        });
        assert_eq!(result, Some(Ok(())));
        assert!(controller.process_admin_completions().is_ok());
        connected(&controller).free();
    }
    world.finish(Some(controller));
}

/// At each step of a bring-up that follows a reset: the program fails the controller, detaches it, or the target dies.
#[test]
fn a_reset_can_be_broken_off_at_each_step() {
    for how in ["fail", "detach", "die"] {
        let mut broken = 0;
        for polls in 0..400 {
            let mut world = World::new();
            let controller = world.controller();
            let qpair = connected(&controller);
            controller.disconnect().unwrap();
            let over = (0..polls).find_map(|_| {
                turn();
                controller.poll_reset()
            });
            if over.is_none() {
                broken += 1;
                match how {
                    "fail" => {
                        controller.fail();
                        // It is refused while the old association ends, and ends the new one.
                        let result = wait_for_reset(&controller);
                        assert_eq!(result.is_err(), controller.has_failed(), "{polls}");
                    }
                    "die" => {
                        world.kill_target();
                        assert!(wait_for_reset(&controller).is_err());
                        assert!(controller.has_failed());
                        world.start_target(Options::default());
                    }
                    _ => {
                        qpair.free();
                        detach(&controller);
                        assert_eq!(controller.disconnect(), Err(Error::ControllerFailed));
                    }
                }
            }
            if how != "detach" {
                if controller.has_failed() {
                    controller.reset().unwrap();
                }
                until("the end", || qpair.process_completions(0).is_err() && qpair.has_ended());
                qpair.connect().unwrap();
                let read = world.read(&qpair, &world.namespace(&controller));
                until("a read", || qpair.process_completions(0).is_ok() && status(read).is_some());
                qpair.free();
                detach(&controller);
            } else {
                qpair.free();
                detach(&controller);
            }
            drop((qpair, controller));
            world.finish(None);
            if over.is_some() {
                break;
            }
        }
        assert!((10..400).contains(&broken), "{how}: {broken} steps");
    }
}

fn wait_for_reset(controller: &Controller) -> Result<(), Error> {
    let mut result = None;
    until("the reset", || {
        result = controller.poll_reset();
        result.is_some()
    });
    result.unwrap()
}

/// A callback may reset: of the Admin Queue, of an I/O, of an I/O that the reset aborts.
#[test]
fn a_callback_may_reset() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let done = Count::default();
    let (again, count) = (controller.clone(), done.clone());
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0);
    controller
        .submit_admin_copied(identify, CopiedData::Room(4096), std::ptr::null_mut(), move |_, _| {
            again.reset().unwrap();
            count.up();
        })
        .unwrap();
    until("the callback", || controller.process_admin_completions().is_ok() && done.get() == 1);

    let qpair = connected(&controller);
    let reads = world.read_many(&qpair, &namespace, 10);
    let (again, count) = (controller.clone(), done.clone());
    on_completion(reads[0], move |_| {
        again.reset().unwrap();
        count.up();
    });
    until("the reads", || {
        let _ = qpair.process_completions(1);
        all_ended(&reads) && qpair.has_ended()
    });
    assert_eq!(done.get(), 2);

    qpair.connect().unwrap();
    let reads = world.read_many(&qpair, &namespace, 10);
    controller.disconnect().unwrap();
    let (again, count) = (controller.clone(), done.clone());
    on_completion(reads[9], move |_| {
        assert_eq!(wait_for_reset(&again), Ok(()));
        count.up();
    });
    until("the reads", || {
        let _ = qpair.process_completions(0);
        all_ended(&reads) && qpair.has_ended()
    });
    assert_eq!((done.get(), status(reads[9])), (3, Some(Status::ABORTED_SQ_DELETION)));
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

/// Commands of the program that a reset meets are told of; those that come before the queue connects are refused, and those that come while
/// it does aborted; afterwards they go out again.
#[test]
fn admin_commands_meet_a_reset() {
    let world = World::new();
    let controller = world.controller();
    let ended = Rc::new(RefCell::new(Vec::new()));
    let submit = || {
        let told = ended.clone();
        let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0);
        controller.submit_admin_copied(
            identify,
            CopiedData::Room(4096),
            std::ptr::null_mut(),
            move |completion, _| {
                told.borrow_mut().push(completion.status());
            },
        )
    };
    world.control("misbehave silent");
    (0..10).for_each(|_| submit().unwrap());
    controller.disconnect().unwrap();
    assert!(submit().is_err());
    until("the disconnect", || controller.process_admin_completions().is_err());
    assert_eq!(ended.take(), vec![Status::ABORTED_SQ_DELETION; 10]);
    world.control("behave silent");
    assert_eq!(controller.poll_reset(), None);
    assert!(submit().is_err());
    assert_eq!(controller.poll_reset(), None);
    // Now it connects.
    (0..5).for_each(|_| submit().unwrap());
    assert_eq!(ended.take(), []);
    assert_eq!(wait_for_reset(&controller), Ok(()));
    assert_eq!(ended.take(), vec![Status::ABORTED_SQ_DELETION; 5]);
    submit().unwrap();
    until("the answer", || controller.process_admin_completions().is_ok() && !ended.borrow().is_empty());
    assert_eq!(ended.take(), [Status::SUCCESS]);
    world.finish(Some(controller));
}

/// What the program sends while the Admin Queue connects was for the controller as it was: it is told that it was aborted, and none of it
/// reaches the controller before that is enabled, however much it was.
#[test]
fn what_is_sent_during_a_reset_is_aborted() {
    let world = World::new();
    let controller = world.controller();
    let ended = Rc::new(RefCell::new(Vec::new()));
    controller.disconnect().unwrap();
    until("the disconnect", || controller.process_admin_completions().is_err());
    assert_eq!(controller.poll_reset(), None);
    // The next step begins to connect.
    assert_eq!(controller.poll_reset(), None);
    let submit = || {
        let told = ended.clone();
        let told = move |completion: &Completion| told.borrow_mut().push(completion.status());
        let command = Command::get_features(FeatureId::NUMBER_OF_QUEUES, 0);
        controller.submit_admin(command, Payload::None, Completer::Shared(Rc::new(told)))
    };
    let accepted = (0..1000).take_while(|_| submit().is_ok()).count();
    assert!((1..1000).contains(&accepted), "{accepted}");
    assert_eq!(wait_for_reset(&controller), Ok(()));
    assert_eq!(ended.take(), vec![Status::ABORTED_SQ_DELETION; accepted]);
    submit().unwrap();
    until("the answer", || controller.process_admin_completions().is_ok() && !ended.borrow().is_empty());
    assert_eq!(ended.take(), [Status::SUCCESS]);
    world.finish(Some(controller));
}

/// Events are requested again, and heard.
#[test]
fn events_are_heard_after_a_reset() {
    let world = World::new();
    let controller = world.controller();
    let heard = Count::default();
    let count = heard.clone();
    controller.listen_to_events(Some(Rc::new(move |_| count.up())));
    for _ in 0..3 {
        let before = heard.get();
        world.control("lie events");
        controller.reset().unwrap();
        until("an event", || controller.process_admin_completions().is_ok() && heard.get() > before);
        world.control("truth events");
    }
    world.finish(Some(controller));
}

/// A controller that has failed is found at another address of its subsystem, and nothing else is taken for it.
#[test]
fn a_controller_moves_to_another_address() {
    let mut world = World::new();
    let controller = world.controller();
    let qpairs = Qpairs::new(&controller);
    let elsewhere = |subnqn: &str, traddr: &str| {
        let mut id = world.id();
        (id.trsvcid, id.subnqn, id.traddr) = (String::from("4421"), subnqn.to_owned(), traddr.to_owned());
        id
    };
    let there = elsewhere(NQN, "127.0.0.1");
    assert_eq!(controller.set_transport_id(there.clone()), Err(Error::NotFailed));
    controller.fail();
    for wrong in [elsewhere("nqn.2024-01.test:other", "127.0.0.1"), elsewhere(NQN, "nowhere")] {
        assert!(matches!(controller.set_transport_id(wrong), Err(Error::InvalidArgument(_))));
    }
    controller.set_transport_id(there.clone()).unwrap();
    assert_eq!(*controller.transport_id(), there);
    world.kill_target();
    world.start_target_at("127.0.0.1:4421".parse().unwrap(), Options::default());
    controller.reset().unwrap();
    qpairs.until_ended();
    let (_, lines) = record(|| {
        qpairs.connect();
        qpairs.reads_succeed(&world, &controller);
        world.kill_target();
        until("the loss", || controller.process_admin_completions().is_err());
    });
    assert!(errors(&lines).iter().all(|line| line.starts_with("127.0.0.1:4421 ")), "{lines:?}");
    qpairs.free();
    world.finish(Some(controller));
}

/// The Keep Alive Timeout runs anew.
#[test]
fn keep_alives_go_out_after_a_reset() {
    let world = World::new();
    let keep_alive_timeout = Duration::from_millis(200);
    let options = ControllerOptions { keep_alive_timeout, ..world.options() };
    let controller = Controller::connect(world.id(), options).unwrap();
    for _ in 0..3 {
        controller.reset().unwrap();
        let begin = softverbs::sim::now();
        until("three timeouts", || {
            assert!(controller.process_admin_completions().is_ok());
            softverbs::sim::now() - begin > 600_000_000
        });
        until("the target to give up", || world.connections() == 0);
        until("the loss", || controller.process_admin_completions().is_err());
    }
    world.finish(Some(controller));
}

/// While a controller is reset its program lets go of it: of some qpairs before the group tells of their end, of the others when it does, and
/// of the controller with the last of them, from inside that call. Only qpairs that there are are told of, and each read comes back once.
#[test]
fn t61_a_detach_meets_a_reset_and_the_callbacks_that_tell_of_it() {
    for (freed_ahead, polls) in (0..=3).flat_map(|freed| (0..6).map(move |polls| (freed, polls))) {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let members: Vec<Rc<IoQpair>> =
            (0..3).map(|_| member(&controller, &group, asynchronous(&controller))).collect();
        let reads: Vec<usize> =
            members.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 20)).collect();
        controller.disconnect().unwrap();
        for _ in 0..polls {
            turn();
            let _ = controller.poll_reset();
        }
        let freed = RefCell::new(Vec::new());
        let let_go = |qpair: &Rc<IoQpair>| {
            qpair.free();
            freed.borrow_mut().push(qpair.id());
            if freed.borrow().len() == members.len() {
                controller.detach_start();
            }
        };
        let told = |qpair: &Rc<IoQpair>| {
            assert!(!freed.borrow().contains(&qpair.id()), "one that is freed");
            let_go(qpair);
            // Another one as well, that has ended and is not told of yet.
            if let Some(other) = members.iter().find(|other| !freed.borrow().contains(&other.id())) {
                let_go(other);
            }
        };
        members.iter().take(freed_ahead).for_each(let_go);
        until("the callbacks", || {
            let _ = group.process_completions(0, &told);
            let _ = controller.poll_reset();
            freed.borrow().len() == members.len()
        });
        until("the detach", || {
            let _ = group.process_completions(0, &told);
            controller.detach_poll()
        });
        assert!(all_ended(&reads));
        group.destroy().unwrap();
        drop((members, group, namespace, controller));
        world.finish(None);
    }
}

/// A program that gives up between the two halves of a reset, with qpairs or without, and with a target or without.
#[test]
fn s17_t143_a_controller_that_was_disconnected_is_detached() {
    for (with_qpairs, with_target) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut world = World::new();
        let controller = world.controller();
        let qpairs = with_qpairs.then(|| Qpairs::new(&controller));
        let reads = qpairs.as_ref().map(|qpairs| qpairs.read(&world, &controller, 10));
        controller.disconnect().unwrap();
        until("the disconnect", || controller.process_admin_completions().is_err());
        if !with_target {
            world.kill_target();
        }
        if let Some(qpairs) = qpairs {
            qpairs.free();
        }
        let begin = softverbs::sim::now();
        detach(&controller);
        assert!(softverbs::sim::now() - begin < 1_000_000_000, "there is nobody to wait for");
        assert!(reads.is_none_or(|reads| all_ended(&reads)));
        assert_eq!(controller.poll_reset().map(|result| result.is_err()), Some(true), "no way back");
        if !with_target {
            world.start_target(Options::default());
        }
        drop(controller);
        world.finish(None);
    }
}
