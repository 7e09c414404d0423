//! Completion queues, and work completions that are late, wrong, strange or of nobody.

use super::{lines::logged, *};
use spdk_nvme_rdma::host::{FailureReason, Namespace};
use spec::Status;
use std::{ffi::c_void, sync::Arc};
use tracing::Level;

/// F10: the first, a middle and the last receive of a batch that belongs to two qpairs.
#[test]
fn t01_an_error_in_the_middle_of_a_batch() {
    for which in [1, 4, 8] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let group = poll_group();
        let victim = numbered(NUMBER, || member(&controller, &group, synchronous(&controller)));
        let other = member(&controller, &group, synchronous(&controller));
        faults(&format!("wc recv qp {NUMBER} {which} status REM_OP_ERR"));
        let mut reads = [Vec::new(), Vec::new()];
        for _ in 0..8 {
            for (reads, qpair) in reads.iter_mut().zip([&victim, &other]) {
                reads.push(world.read(qpair, &namespace));
            }
        }
        turns(100);
        assert_eq!(softverbs::armed(), 0, "all answers are there");
        let lines = logged(Level::ERROR, || {
            poll_until(&group, "all reads", || reads.iter().all(|reads| all_ended(reads)));
        });
        assert_eq!(
            lines.iter().filter(|line| line.contains("the connection failed")).count(),
            1,
            "{lines:?}"
        );
        assert_eq!(count_with(&reads[1], Status::SUCCESS), 8);
        assert_eq!(count_with(&reads[0], Status::SUCCESS), 7, "what came behind the error counts");
        assert_eq!(count_with(&reads[0], Status::ABORTED_SQ_DELETION), 1);
        assert!(!victim.is_connected() && other.is_connected());
        [&victim, &other].into_iter().for_each(|qpair| qpair.free());
        drop((victim, other, group));
        no_faults();
        world.finish(Some(controller));
    }
}

/// The completions of a qpair come when it is gone, its place taken and its slots in use by another.
fn completions_of_the_dead(world: &World, controller: &Rc<Controller>, end: impl FnOnce(&Rc<PollGroup>)) {
    let namespace = world.namespace(controller);
    let group = poll_group();
    let stays = member(controller, &group, synchronous(controller));
    faults(&format!("purge off; wc any qp {NUMBER} always late 5s"));
    let lines = logged(Level::DEBUG, || {
        end(&group);
        let next = member(controller, &group, synchronous(controller));
        world.control("misbehave silent");
        let reads =
            [world.read_many(&next, &namespace, 60), world.read_many(&stays, &namespace, 60)].concat();
        sleep(Duration::from_secs(6));
        for _ in 0..100 {
            assert!(group.process_completions(0, &nobody).is_ok());
            turn();
        }
        assert!(reads.iter().all(|read| status(*read).is_none()), "a completion of the dead ended a read");
        world.control("behave silent");
        let good = world.read_many(&next, &namespace, 1);
        poll_until(&group, "a read", || all_ended(&good));
        assert_eq!(count_with(&good, Status::SUCCESS), 1);
        [&next, &stays].into_iter().for_each(|qpair| qpair.free());
        assert!(all_ended(&reads));
    });
    let strays = lines.iter().find(|line| line.contains("had no owner"));
    assert!(strays.is_some(), "no completion came after its qpair: {lines:?}");
    group.destroy().unwrap();
    no_faults();
}

#[test]
fn t04_completions_of_a_qpair_that_is_gone() {
    let world = World::new();
    let controller = world.controller();
    completions_of_the_dead(&world, &controller, |group| {
        let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
        group.add(&qpair).unwrap();
        // Connecting needs its completions in time.
        softverbs::control("faults off").unwrap();
        numbered(NUMBER, || qpair.connect().unwrap());
        faults(&format!("wc any qp {NUMBER} always late 5s"));
        let reads = world.read_many(&qpair, &world.namespace(&controller), 20);
        qpair.free();
        assert!(all_ended(&reads));
    });
    world.finish(Some(controller));
}

#[test]
fn t06_receives_that_come_after_a_failed_connect() {
    let world = World::new();
    let controller = world.controller();
    completions_of_the_dead(&world, &controller, |group| {
        let qpair = controller.alloc_io_qpair(synchronous(&controller)).unwrap();
        group.add(&qpair).unwrap();
        world.control("misbehave reject-connections");
        numbered(NUMBER, || assert!(qpair.connect().is_err()));
        world.control("behave reject-connections");
        qpair.free();
    });
    world.finish(Some(controller));
}

#[test]
fn t09_success_after_the_disconnect() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 40);
        faults(&format!("wc any qp {NUMBER} always status SUCCESS"));
        let time = took(|| {
            let lines = logged(Level::ERROR, || {
                polled.qpair.disconnect();
                polled.until("the end", |polled| polled.qpair.has_ended());
                polled.poll();
            });
            assert!(lines.is_empty(), "{lines:?}");
        });
        assert!(time < AT_ONCE, "they were not counted: {time:?}");
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        polled.free();
        world.control("behave silent");
        no_faults();
        world.finish(Some(controller));
    }
}

#[test]
fn t12_t13_sends_that_complete_late() {
    for in_group in [false, true] {
        for delay_cmd_submit in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let options = IoQpairOptions { queue_size: 8, delay_cmd_submit, ..synchronous(&controller) };
            let polled = Polled::connected(&controller, in_group, options);
            // Answers come first. softverbs refuses a send for which its queue has no room (ENOMEM).
            faults(&format!("wc send qp {NUMBER} always late 1ms"));
            take_order();
            let reads = world.read_many(&polled.qpair, &namespace, 128);
            polled.until("the reads", |_| all_ended(&reads));
            assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
            assert_eq!(take_order(), reads);
            assert!(polled.qpair.is_connected());
            polled.free();
            no_faults();
            world.finish(Some(controller));
        }
    }
}

/// Reads `left` times, each time but the first in the callback of the one before.
fn read_again(qpair: &Rc<IoQpair>, namespace: &Arc<Namespace>, buffer: *mut c_void, left: u32, done: &Count) {
    let (number, accepted) = read(buffer, qpair, namespace);
    assert!(accepted, "the slot of the read that called back is not free");
    let (qpair, namespace, done) = (qpair.clone(), namespace.clone(), done.clone());
    on_completion(number, move |completion| {
        assert!(completion.is_success());
        match left {
            1 => done.up(),
            _ => read_again(&qpair, &namespace, buffer, left - 1, &done),
        }
    });
}

#[test]
fn t14_t121_the_only_slot_is_free_in_its_callback() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let options = IoQpairOptions { queue_size: 2, queue_requests: 1, ..synchronous(&controller) };
        let polled = Polled::connected(&controller, in_group, options);
        let done = Count::default();
        read_again(&polled.qpair, &namespace, world.buffer(), 50, &done);
        assert!(!world.try_read(&polled.qpair, &namespace).1, "there is one slot");
        polled.until("the last read", |_| done.get() == 1);
        polled.free();
        world.finish(Some(controller));
    }
}

#[test]
fn t15_a_queue_that_cannot_be_polled() {
    for in_group in [false, true] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, synchronous(&controller));
        let reads = world.read_many(&polled.qpair, &namespace, 30);
        faults("fail ibv_poll_cq 1 EIO"); // the next call is the host's
        polled.poll();
        assert_eq!(softverbs::armed(), 0);
        assert!(!polled.qpair.is_connected());
        assert_eq!(polled.qpair.failure_reason(), FailureReason::Local);
        polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads));
        assert!(!controller.has_failed());
        polled.free();
        world.finish(Some(controller));
    }
}

#[test]
fn t16_no_error_line_for_what_a_disconnect_flushes() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 40);
        let lines = logged(Level::WARN, || {
            polled.qpair.disconnect();
            polled.until("the end", |polled| polled.qpair.has_ended());
            polled.poll();
            polled.free();
        });
        assert_eq!(lines, Vec::<String>::new());
        assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len());
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

/// F12: a completion whose id or opcode nobody gave, in the middle of a batch. An id that is not the next receive's means that the
/// device is not to be believed: the connection ends, and each request is told.
#[test]
fn h17_a_strange_completion_hides_none() {
    for (what, how, answered) in [
        ("recv", "wr_id=0", 2),
        ("recv", "wr_id=random", 2),
        ("recv", "opcode=77", 8),
        ("send", "opcode=77", 8),
    ] {
        for in_group in [false, true] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::connected(&controller, in_group, synchronous(&controller));
            faults(&format!("wc {what} qp {NUMBER} 3 set {how}"));
            let reads = world.read_many(&polled.qpair, &namespace, 8);
            turns(100);
            assert_eq!(softverbs::armed(), 0, "all answers are there");
            polled.poll();
            polled.poll();
            assert_eq!(count_with(&reads, Status::SUCCESS), answered, "{what} {how}");
            assert_eq!(polled.qpair.is_connected(), answered == reads.len(), "{what} {how}");
            polled.free();
            assert_eq!(count_with(&reads, Status::ABORTED_SQ_DELETION), reads.len() - answered);
            world.finish(Some(controller));
        }
    }
}
