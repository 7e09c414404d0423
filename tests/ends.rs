//! Ends that meet each other, silence, and what was heard in time: at the host's own face, in a simulation. The same through
//! C handles and on two threads is in `tests/claims.rs`.
//!
//! Each test ends with an empty ledger of RDMA objects, and each I/O that was accepted had exactly one callback.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{lines::logged, *};
use spdk_nvme_rdma::host::{Controller, ControllerOptions, Error, IoQpair, IoQpairOptions};
use spec::{AdminOpcode, Status};
use std::{rc::Rc, time::Duration};
use tracing::Level;

fn took(work: impl FnOnce()) -> Duration {
    let begin = softverbs::sim::now();
    work();
    Duration::from_nanos(softverbs::sim::now() - begin)
}

fn free_many_of_a_silent_target(count: u16) {
    let world = World::with(target::Options { io_queues: 1024, ..target::Options::default() });
    let options = ControllerOptions { io_queues: 1024, ..world.options() };
    let controller = Controller::connect(world.id(), options).unwrap();
    let namespace = world.namespace(&controller);
    let rest = softverbs::ledger();
    let small = IoQpairOptions { queue_size: 4, queue_requests: 4, ..synchronous(&controller) };
    let qpairs: Vec<_> = (0..count)
        .map(|_| {
            let qpair = controller.alloc_io_qpair(small).unwrap();
            qpair.connect().unwrap();
            qpair
        })
        .collect();
    let reads: Vec<_> = qpairs.iter().map(|qpair| world.read(qpair, &namespace)).collect();
    softverbs::control("delay cm rx 1000s; delay data rx 1000s").unwrap();
    let freed = took(|| qpairs.iter().for_each(|qpair| qpair.free()));
    assert!(freed < Duration::from_millis(500), "{count} qpairs took {freed:?}: each waited for the peer");
    assert!(all_ended(&reads));
    // Nobody waits for the peer, but for its deadline, which is one for all.
    let buried = took(|| {
        // The target's half stays.
        while softverbs::ledger().cm_ids > rest.cm_ids + usize::from(count) {
            let _ = controller.process_admin_completions();
            softverbs::sim::advance(20_000_000);
        }
    });
    assert!(buried < Duration::from_millis(1500), "{buried:?}");
    softverbs::control("delay off").unwrap();
    drop(qpairs);
    world.finish(Some(controller));
}

#[test]
fn h4_freeing_many_qpairs_of_a_silent_target_takes_no_time() {
    for count in [1, 32, 1000] {
        free_many_of_a_silent_target(count);
    }
}

/// What a freed qpair leaves is let go of by the next one, also where the program never polls its Admin Queue: each holds a
/// file descriptor.
#[test]
fn h4_the_dead_do_not_gather_behind_a_program_that_never_polls_its_admin_queue() {
    let world = World::new();
    let controller = world.controller();
    let before = softverbs::ledger();
    for _ in 0..20 {
        connected(&controller).free();
        until("the target's half", || world.connections() == 1);
        let now = softverbs::ledger();
        assert!(now.event_channels <= before.event_channels + 2, "{before:?}, {now:?}");
    }
    world.finish(Some(controller));
}

/// What the program does not free, the detach waits for together.
#[test]
fn h4_detaching_from_a_silent_target_takes_one_deadline() {
    for count in [0, 1, 32] {
        let world = World::new();
        let controller = world.controller();
        let qpairs: Vec<_> = (0..count).map(|_| connected(&controller)).collect();
        softverbs::control("delay cm rx 1000s; delay data rx 1000s").unwrap();
        qpairs.iter().for_each(|qpair| assert!(qpair.begin_free()));
        let ended = took(|| {
            until("all ends", || qpairs.iter().filter(|qpair| !qpair.finish_free()).count() == 0);
            detach(&controller);
        });
        // The shutdown notification has its deadline, the CM's answer another.
        assert!(ended < Duration::from_millis(11_500), "{count} qpairs: {ended:?}");
        softverbs::control("delay off").unwrap();
        drop(qpairs);
        world.finish(Some(controller));
    }
}

/// A1: with one I/O queue each allocation uses the id of the one before it, which the target holds for a moment.
#[test]
fn a1_a_queue_id_that_the_controller_still_holds() {
    let world = World::with(target::Options { io_queues: 1, linger_ms: 30, ..target::Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let lines = logged(Level::WARN, || {
        for in_group in [false, true] {
            let group = poll_group();
            for _ in 0..20 {
                let qpair = if in_group {
                    member(&controller, &group, asynchronous(&controller))
                } else {
                    connected(&controller)
                };
                let read = world.read(&qpair, &namespace);
                until("the read", || {
                    let _ = group.process_completions(0, &nobody);
                    let _ = qpair.process_completions(0);
                    status(read).is_some()
                });
                assert_eq!(status(read), Some(Status::SUCCESS));
                assert!(controller.alloc_io_qpair(synchronous(&controller)).is_err(), "there is but one id");
                qpair.free();
            }
        }
    });
    assert_eq!(lines.iter().filter(|line| !line.contains("cannot make")).count(), 0, "{lines:?}");
    world.finish(Some(controller));
}

/// A controller that never lets go of the queue: the attempt ends in its deadline, with the controller's word.
#[test]
fn a1_a_queue_that_is_held_for_ever() {
    let world =
        World::with(target::Options { io_queues: 1, linger_ms: 60_000, ..target::Options::default() });
    let options = ControllerOptions { connect_timeout: Duration::from_millis(400), ..world.options() };
    let controller = Controller::connect(world.id(), options).unwrap();
    connected(&controller).free();
    let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
    let mut lines = Vec::new();
    let waited = took(|| lines = logged(Level::ERROR, || assert!(qpair.connect().is_err())));
    assert!((400..1500).contains(&waited.as_millis()), "{waited:?}");
    assert!(lines.len() == 1 && lines[0].contains("COMMAND SEQUENCE ERROR"), "{lines:?}");
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

/// M3: an answer that came in time is not lost to a deadline that passed while nobody polled. At each step of
/// connecting, the program sleeps for longer than every deadline.
#[test]
fn m3_an_answer_that_came_in_time_counts_whenever_it_is_looked_at() {
    let world = World::new();
    let options = ControllerOptions { connect_timeout: Duration::from_millis(500), ..world.options() };
    let controller = Controller::connect(world.id(), options).unwrap();
    let mut slept_at_the_answer = 0;
    for in_group in [false, true] {
        for steps in 0..12 {
            let group = poll_group();
            let qpair = controller.alloc_io_qpair(asynchronous(&controller)).unwrap();
            if in_group {
                group.add(&qpair).unwrap();
            }
            let poll = || {
                if in_group {
                    let _ = group.process_completions(0, &nobody);
                } else {
                    let _ = qpair.process_completions(0);
                }
            };
            qpair.connect().unwrap();
            for _ in 0..steps {
                poll();
                (0..50).for_each(|_| turn());
            }
            if !qpair.is_connected() {
                // All that the other side has to say is there.
                softverbs::sim::advance(600_000_000);
                let lines = logged(Level::ERROR, poll);
                let ended = qpair.has_ended() || !lines.is_empty();
                slept_at_the_answer += u32::from(qpair.is_connected());
                assert!(!ended, "in a group: {in_group}, {steps} steps: {lines:?}");
            }
            qpair.free();
            until("the target's half", || world.connections() == 1);
        }
    }
    assert!(slept_at_the_answer >= 2, "no attempt was asleep while its answer lay there");
    world.finish(Some(controller));
}

/// M4: however a target leaves while the host connects, one line says that the attempt failed and why.
#[test]
fn m4_each_attempt_that_fails_has_one_line() {
    for (fault, why) in [
        ("at event ESTABLISHED: peer dies", "lost"),
        ("at wc recv 1: peer dies", ""),
        ("at event ESTABLISHED: cm inject DISCONNECTED on newest", ""),
        ("cm ESTABLISHED 1 as DISCONNECTED", "ended it"),
        ("cm ROUTE_RESOLVED 1 drop", "route"),
        ("fail rdma_connect 1 EIO", "rdma_connect"),
        ("fail rdma_create_event_channel 1 EMFILE", "rdma_create_event_channel"),
        ("fail ibv_post_recv 1 ENOMEM", "posting the first receives"),
    ] {
        let world = World::new();
        softverbs::control("faults quiet").unwrap();
        softverbs::control(fault).unwrap();
        let mut result = None;
        let lines = logged(Level::ERROR, || result = Some(Controller::connect(world.id(), world.options())));
        let _ = softverbs::control("faults off");
        match result.unwrap() {
            Ok(controller) => panic!("{fault}: connected to {}", controller.controller_id()),
            Err(error) => assert!(lines.len() == 1 && lines[0].contains(why), "{fault}: {error}: {lines:?}"),
        }
        world.finish(None);
    }
}

/// M4: the controller refuses the Connect command and ends the connection at once; its reason is what is told.
#[test]
fn m4_why_the_controller_refused_is_told() {
    for speed in ["delay off", "delay data rx 1ms; delay cm rx 10us", "delay data rx 10us; delay cm rx 1ms"] {
        let world = World::new();
        world.control("lie connect-status=0x4184");
        softverbs::control(speed).unwrap();
        let mut result = None;
        let lines = logged(Level::ERROR, || result = Some(Controller::connect(world.id(), world.options())));
        let error = result.unwrap().err().unwrap().to_string();
        assert!(error.contains("0x4184"), "{speed}: {error}");
        assert!(lines.len() == 1 && lines[0].contains("0x4184"), "{speed}: {lines:?}");
        softverbs::control("delay off").unwrap();
        world.finish(None);
    }
}

/// Callbacks of aborted requests come in the order of their submission, whatever slots they had, those that waited last.
#[test]
fn aborts_come_in_the_order_of_submission() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    for in_group in [false, true] {
        let group = poll_group();
        let options = IoQpairOptions { queue_size: 16, queue_requests: 64, ..asynchronous(&controller) };
        let qpair = controller.alloc_io_qpair(options).unwrap();
        if in_group {
            group.add(&qpair).unwrap();
        }
        qpair.connect().unwrap();
        let poll = || {
            let _ = group.process_completions(0, &nobody);
            let _ = qpair.process_completions(0);
        };
        until("the connection", || {
            poll();
            qpair.is_connected()
        });
        // Slots that were used and came back are taken in another order.
        for count in [15, 7, 3] {
            let reads = world.read_many(&qpair, &namespace, count);
            until("the reads", || {
                poll();
                all_ended(&reads)
            });
        }
        world.control("misbehave silent");
        take_order();
        let reads = world.read_many(&qpair, &namespace, 40);
        qpair.free();
        assert_eq!(take_order(), reads, "in a group: {in_group}");
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), 40);
        world.control("behave silent");
    }
    world.finish(Some(controller));
}

/// L3: what can never be accepted is wrong, not "try again".
#[test]
fn l3_a_transfer_of_more_parts_than_there_are_requests_is_invalid() {
    let world = World::with(target::Options { mdts: 1, ..target::Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let options = IoQpairOptions { queue_requests: 4095, ..synchronous(&controller) };
    let qpair = controller.alloc_io_qpair(options).unwrap();
    qpair.connect().unwrap();
    let context = context(|_, _| panic!("it was refused"), 0);
    let result = qpair.read(&namespace, world.buffer(), 0, 16 * 4096, 0, context);
    assert!(matches!(&result, Err(Error::InvalidArgument(text)) if text.contains("4095")), "{result:?}");
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

/// Small and strange devices: every combination of the smallest values connects, works and is kept alive.
#[test]
fn a5_a6_small_devices_in_every_combination() {
    let world = World::new();
    let keep_alives = Count::default();
    let count = keep_alives.clone();
    world.set_liar(move |answer| {
        if answer.command.opcode() == AdminOpcode::KEEP_ALIVE.0 {
            count.up();
        }
    });
    let mut worked = 0;
    for number in 0..1_u32 << 9 {
        let bit = |place: u32| number >> place & 1 == 1;
        let pick = |place, small: u64, large: u64| if bit(place) { small } else { large };
        let profile = format!(
            "device profile max_qp_wr={} max_cqe={} max_sge={} max_qp_rd_atom={} resize_cq={} max_srq={} max_mr_size={} \
             max_mr={} page_size_cap={:#x}",
            pick(0, 4, 32768),
            pick(1, 12, 4_194_304),
            pick(2, 1, 32),
            pick(3, 1, 128),
            if bit(4) { "off" } else { "on" },
            pick(5, 0, 65536),
            // The process has larger pieces of memory than this, so they are registered in parts.
            pick(6, SMALL_REGION, 2_147_483_647),
            pick(7, FEW_REGIONS, 1_048_576),
            pick(8, 0x1000, 0xffff_f000),
        );
        softverbs::control(&profile).unwrap();
        let options = ControllerOptions { keep_alive_timeout: KEEP_ALIVE, ..world.options() };
        let lines = logged(Level::ERROR, || {
            let controller =
                Controller::connect(world.id(), options).unwrap_or_else(|error| panic!("{profile}: {error}"));
            // Once with more than fit into one queue that cannot grow.
            small_device_works(&world, &controller, if number == 1 << 4 { 40 } else { 3 }, &profile);
            let before = keep_alives.get();
            stays_alive(&controller, &profile);
            assert!(keep_alives.get() >= before + 4, "{profile}: {} Keep Alives", keep_alives.get() - before);
            detach(&controller);
            worked += 1;
        });
        assert_eq!(lines, Vec::<String>::new(), "{profile}");
        softverbs::control("device profile off").unwrap();
        until("the target's half", || world.connections() == 0);
    }
    assert_eq!(worked, 512);
    world.finish(None);
}

/// A few regions of a device, as many as the memory of this test and its connections need, and one region's bytes.
const FEW_REGIONS: u64 = 24;
const SMALL_REGION: u64 = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_millis(100);

/// Several Keep Alive Timeouts pass, each with its command; the Admin Queue has room for it on each device.
fn stays_alive(controller: &Controller, profile: &str) {
    let begin = softverbs::sim::now();
    while softverbs::sim::now() < begin + 4 * u64::try_from(KEEP_ALIVE.as_nanos()).unwrap() {
        controller.process_admin_completions().unwrap_or_else(|error| panic!("{profile}: {error}"));
        assert!(!controller.has_failed(), "{profile}");
        turn();
        softverbs::sim::advance(2_000_000);
    }
}

/// One less than is needed: each limit by itself is what the line names, with what it is and what it had to be. What is
/// too small for the Admin Queue may do for an I/O queue, which keeps no command for Keep Alive.
#[test]
fn a5_a_device_that_is_too_small_is_named_with_its_limit() {
    let world = World::new();
    for (profile, is, needed) in [
        ("max_qp_wr=1", "max_qp_wr is 1", "3"),
        ("max_qp_wr=2", "max_qp_wr is 2", "3"),
        ("max_cqe=1", "max_cqe is 1", "6"),
        ("max_cqe=5", "max_cqe is 5", "6"),
        ("max_cqe=5 max_sge=1 max_srq=0", "max_cqe is 5", "6"),
    ] {
        softverbs::control(&format!("device profile {profile}")).unwrap();
        let mut result = None;
        let lines = logged(Level::ERROR, || result = Some(Controller::connect(world.id(), world.options())));
        assert!(result.unwrap().is_err(), "{profile}");
        assert!(
            lines.len() == 1 && lines[0].contains(is) && lines[0].contains(needed),
            "{profile}: {lines:?}"
        );
        softverbs::control("device profile off").unwrap();
    }
    world.finish(None);
}

fn small_device_works(world: &World, controller: &Rc<Controller>, count: usize, profile: &str) {
    let namespace = world.namespace(controller);
    let group = poll_group();
    let qpairs: Vec<Rc<IoQpair>> =
        (0..count).map(|_| member(controller, &group, synchronous(controller))).collect();
    for _ in 0..2 {
        let reads: Vec<_> = qpairs.iter().flat_map(|qpair| world.read_many(qpair, &namespace, 20)).collect();
        poll_until(&group, profile, || all_ended(&reads));
        assert_eq!(count_with(&reads, Status::SUCCESS), reads.len(), "{profile}");
    }
    qpairs.iter().for_each(|qpair| qpair.free());
    group.destroy().unwrap();
}
