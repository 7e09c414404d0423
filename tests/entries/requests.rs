//! Requests: refused, waiting, split, aborted, and those whose work request the device does not take.

use super::{memory::Region, *};
use spdk_nvme_rdma::{
    host::{Context, Error, FailureReason},
    transport::{self, ConnectError},
};
use spec::{Completion, NvmOpcode, Status};
use std::cell::RefCell;

thread_local! {
    static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
}

/// A callback that notes the status in [`ENDED`].
fn noting() -> Context {
    context(|_, completion| ENDED.with_borrow_mut(|ended| ended.push(completion.status())), 0)
}

fn ended() -> Vec<Status> {
    ENDED.with_borrow(Vec::clone)
}

/// H15, H16, F07: the device refuses a send that is new, or one that waited, anywhere in a chain.
#[test]
fn t104_t47_a_send_that_is_not_posted() {
    for in_group in [false, true] {
        for (delay_cmd_submit, waited, place) in [
            (false, false, "first"),
            (false, true, "first"),
            (false, true, "middle"),
            (false, true, "last"),
            (true, false, "first"),
            (true, false, "middle"),
            (true, false, "last"),
            (true, true, "middle"),
        ] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let options = IoQpairOptions { queue_size: 8, delay_cmd_submit, ..synchronous(&controller) };
            let polled = Polled::connected(&controller, in_group, options);
            let mut reads = Vec::new();
            if waited {
                reads.extend(world.read_many(&polled.qpair, &namespace, 40));
                if delay_cmd_submit {
                    polled.poll(); // seven are sent
                }
                turns(500);
            }
            let refused = format!("fail ibv_post_send 1 ENOMEM at {place}");
            if !waited && !delay_cmd_submit {
                reads.extend(world.read_many(&polled.qpair, &namespace, 3));
                faults(&refused);
                reads.extend(world.read_many(&polled.qpair, &namespace, 1)); // accepted: its callback will tell
            } else {
                if !waited {
                    reads.extend(world.read_many(&polled.qpair, &namespace, 7));
                }
                faults(&refused); // the host's poll is the next to post
                polled.poll();
            }
            assert_eq!(softverbs::armed(), 0, "a send was refused");
            let time =
                took(|| polled.until("the end", |polled| polled.qpair.has_ended() && all_ended(&reads)));
            assert!(time < AT_ONCE, "what was not posted was waited for: {time:?}");
            assert_eq!(polled.qpair.failure_reason(), FailureReason::Local);
            assert!(count_with(&reads, Status::ABORTED_SQ_DELETION) > 0);
            polled.qpair.connect().unwrap();
            let again = world.read_many(&polled.qpair, &namespace, 128);
            polled.until("as many reads as there are slots", |_| all_ended(&again));
            assert_eq!(count_with(&again, Status::SUCCESS), 128);
            polled.free();
            no_faults();
            world.finish(Some(controller));
        }
    }
}

#[test]
fn t106_t107_f07_receives_that_are_not_posted() {
    for in_group in [false, true] {
        for place in ["first", "middle", "last"] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let polled = Polled::connected(&controller, in_group, synchronous(&controller));
            let reads = world.read_many(&polled.qpair, &namespace, 20);
            turns(1000);
            faults(&format!("fail ibv_post_recv 1 ENOMEM at {place}"));
            polled.poll(); // takes twenty answers, and gives twenty receives back
            assert_eq!(softverbs::armed(), 0);
            let time = took(|| polled.until("the end", |polled| polled.qpair.has_ended()));
            assert!(time < AT_ONCE, "the receives were counted wrongly: {time:?}");
            assert_eq!(polled.qpair.failure_reason(), FailureReason::Local);
            polled.poll();
            assert_eq!(count_with(&reads, Status::SUCCESS), 20, "they had been answered");
            polled.free();
            no_faults();
            world.finish(Some(controller));
        }
    }
}

/// T111 as well: a long transfer of which no part, or only the first ones, can be sent when its turn comes.
#[test]
fn t109_t110_a_request_that_waited_cannot_be_sent() {
    for sent_parts in [0u32, 2] {
        let world = World::with(target::Options { mdts: 1, ..target::Options::default() });
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let options = IoQpairOptions { queue_size: 8, ..synchronous(&controller) };
        let polled = Polled::connected(&controller, false, options);
        let region = Region::register(2);
        ENDED.take();
        // 7 are on the way at a time.
        let before = world.read_many(&polled.qpair, &namespace, (7 - sent_parts) as usize);
        let parts = 16; // of 8 KiB, 16 blocks each
        polled.qpair.read(&namespace, region.start(), 0, parts * 16, 0, noting()).unwrap();
        polled.qpair.read(&namespace, region.start(), 0, 1, 0, noting()).unwrap();
        polled.qpair.write(&namespace, region.start(), 0, 1, 0, noting()).unwrap();
        region.unregister();
        let after = world.read_many(&polled.qpair, &namespace, 3);
        polled.until("all of them", |polled| {
            assert!(sent_parts > 0 || polled.qpair.is_connected());
            all_ended(&before) && all_ended(&after) && ended().len() >= 3
        });
        polled.poll();
        assert_eq!(ended().len(), 3, "the parts are one transfer");
        assert!(ended().iter().all(|status| *status != Status::SUCCESS), "{:?}", ended());
        if sent_parts == 0 {
            let never = Status::INTERNAL_ERROR.with_dnr(true);
            assert!(ended().iter().all(|status| *status == never), "{:?}", ended());
            assert_eq!(count_with(&after, Status::SUCCESS), 3, "what came behind them is sent");
        }
        polled.free();
        world.finish(Some(controller));
    }
}

#[test]
fn t112_t156_what_is_refused_costs_nothing() {
    let world = World::with(target::Options { mdts: 1, ..target::Options::default() });
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let regions = Region::register_pair();
    let border = regions.0.end().wrapping_byte_sub(4096);
    ENDED.take();
    for turn in 0..2_000_u64 {
        let read = |buffer, blocks, flags| qpair.read(&namespace, buffer, turn, blocks, flags, noting());
        assert!(read(std::ptr::null_mut(), 1, 0).is_err());
        assert!(read(std::ptr::without_provenance_mut(0x1000), 1, 0).is_err());
        assert!(read(world.buffer(), 0, 0).is_err());
        assert!(read(world.buffer(), 1, 4).is_err(), "no such flag");
        assert!(read(world.buffer(), 64, 1).is_err(), "fused, and too long for one command");
        assert!(read(world.buffer(), 16 * 129, 0).is_err(), "more parts than there are requests");
        assert!(
            read(std::ptr::without_provenance_mut(0x1000), 64, 0).is_err(),
            "four parts, and none can be sent"
        );
    }
    let reads = world.read_many(&qpair, &namespace, 128);
    until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&reads));
    assert_eq!(count_with(&reads, Status::SUCCESS), 128);
    qpair.read(&namespace, border, 0, 8, 0, noting()).unwrap();
    until("a read that ends where a region does", || {
        qpair.process_completions(0).is_ok() && !ended().is_empty()
    });
    assert_eq!(ended(), [Status::SUCCESS]);
    qpair.free();
    drop((qpair, regions));
    world.finish(Some(controller));
}

#[test]
fn t116_t117_what_an_aborted_request_says() {
    for (in_group, asynchronous_mode) in WAYS {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, in_group, options(&controller, asynchronous_mode));
        let reads = world.read_many(&polled.qpair, &namespace, 60);
        polled.until("the reads", |_| all_ended(&reads)); // the slots hold old completions
        world.control("misbehave silent");
        let reads = world.read_many(&polled.qpair, &namespace, 128); // half of them wait
        let told = Count::default();
        for read in &reads {
            let (told, id) = (told.clone(), polled.qpair.id());
            on_completion(*read, move |completion| {
                assert_eq!(completion.status(), Status::ABORTED_SQ_DELETION);
                assert!(!completion.dnr() && !completion.more() && completion.crd() == 0);
                assert_eq!((completion.sqid(), completion.result(), completion.sqhd()), (id, 0, 0));
                told.up();
            });
        }
        polled.qpair.disconnect();
        polled.until("the callbacks", |_| told.get() == 128);
        polled.free();
        world.control("behave silent");
        world.finish(Some(controller));
    }
}

/// A queue of 8 entries holds 7 commands: an eighth would make it look empty.
#[test]
fn t83_one_less_than_the_queue_size_is_outstanding() {
    for delay_cmd_submit in [false, true] {
        for most in [7, 8] {
            let world = World::new();
            let controller = world.controller();
            let namespace = world.namespace(&controller);
            let options = IoQpairOptions { queue_size: 8, delay_cmd_submit, ..synchronous(&controller) };
            faults("at event CONNECT_REQUEST: next qp_num 6001");
            let polled = Polled::connected(&controller, false, options);
            world.control("misbehave silent");
            faults(&format!("wc recv qp 6001 {most} status SUCCESS")); // changes nothing, and tells that it came
            let reads = world.read_many(&polled.qpair, &namespace, 30);
            for _ in 0..200 {
                polled.poll();
                turn();
            }
            assert_eq!(softverbs::armed(), if most == 8 { 1 } else { 0 }, "the target got command {most}");
            polled.free();
            assert!(all_ended(&reads));
            no_faults();
            world.control("behave silent");
            world.finish(Some(controller));
        }
    }
}

/// Commands on blocks without data: what one command can have is sent, the rest is refused and leaves nothing.
#[test]
fn commands_without_data_have_bounds() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let send = |blocks, flags| {
        let context = Context { function: std::ptr::null(), argument: std::ptr::null_mut() };
        qpair.on_blocks(NvmOpcode::WRITE_ZEROES, &namespace, 0, blocks, flags, context)
    };
    const FUA: u32 = 1 << 30;
    for (blocks, flags, is_good) in [
        (1, 0, true),
        (1, FUA, true),
        (0x1_0000, 0, true),
        (0, 0, false),
        (0x1_0001, 0, false),
        (1, 4, false),
        (1, FUA | 1 << 15, false),
    ] {
        assert_eq!(send(blocks, flags).is_ok(), is_good, "{blocks} blocks, flags {flags:#x}");
        assert_eq!(qpair.requests_in_use(), usize::from(is_good));
        until("the answer", || qpair.process_completions(0).is_ok() && qpair.requests_in_use() == 0);
    }
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

/// T111: parts of a long transfer are on their way when another one cannot be sent.
#[test]
fn t111_the_rest_of_a_transfer_cannot_be_sent() {
    for dnr in [false, true] {
        let world = World::with(target::Options { mdts: 1, ..target::Options::default() });
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let polled = Polled::connected(&controller, false, synchronous(&controller));
        let (first, second) = Region::register_pair();
        second.unregister();
        ENDED.take();
        polled.qpair.set_abort_dnr(dnr);
        // Parts of 8 KiB: two before the end of what is there.
        let start = first.end().wrapping_byte_sub(16 << 10);
        polled.qpair.read(&namespace, start, 0, 64, 0, noting()).unwrap();
        polled.until("the transfer", |_| !ended().is_empty());
        assert_eq!(ended(), [Status::INTERNAL_ERROR.with_dnr(dnr)]);
        assert_eq!(polled.qpair.requests_in_use(), 0);
        polled.free();
        world.finish(Some(controller));
    }
}

/// What the program says of fused commands is the controller's to judge, also where no data are.
#[test]
fn commands_without_data_may_be_fused() {
    let world = World::new();
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    world.set_liar(move |answer| {
        if answer.qid != 0 {
            noted.borrow_mut().push((answer.command.opcode(), answer.command.fuse(), answer.command.cdw12()));
            answer.completion = Completion::new(answer.qid, answer.command.cid(), Status::SUCCESS);
        }
    });
    ENDED.take();
    for (opcode, flags) in [(NvmOpcode::VERIFY, 2), (NvmOpcode::WRITE_ZEROES, 0x4000_0002)] {
        qpair.on_blocks(opcode, &namespace, 3, 5, flags, noting()).unwrap();
        let wrong = qpair.on_blocks(opcode, &namespace, 3, 5, 4, noting());
        assert!(wrong.is_err(), "no such flag");
    }
    until("the commands", || qpair.process_completions(0).is_ok() && ended().len() == 2);
    let wanted = [(NvmOpcode::VERIFY.0, 2, 4), (NvmOpcode::WRITE_ZEROES.0, 2, 0x4000_0004)];
    assert_eq!(seen.take(), wanted);
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}

/// As many requests as the program asks for, as long as there are command ids for them; a line says where there are fewer.
#[test]
fn a_qpair_has_as_many_requests_as_it_is_asked_for() {
    let most = u32::from(transport::MOST_REQUESTS);
    for (asked, there) in [(5_000, 5_000), (most, most), (70_000, most)] {
        let world = World::new();
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let options = IoQpairOptions { queue_requests: asked, ..synchronous(&controller) };
        let (qpair, lines) = lines::record(|| controller.alloc_io_qpair(options).unwrap());
        let told = lines.iter().filter(|(level, _)| *level == tracing::Level::WARN).count();
        assert_eq!(told, usize::from(asked > there), "{lines:?}");
        qpair.connect().unwrap();
        let reads = world.read_many(&qpair, &namespace, there as usize);
        assert!(!world.try_read(&qpair, &namespace).1, "one more");
        until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&reads));
        assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
        qpair.free();
        drop((qpair, namespace));
        world.finish(Some(controller));
    }
}

/// Where the program asks for a larger queue than the controller has, that says no; what it gets by itself is as large as can be.
#[test]
fn a_queue_that_is_too_large_is_refused_by_the_controller() {
    let world = World::with(target::Options { queue_entries: 64, ..target::Options::default() });
    let controller = world.controller();
    let defaults = controller.default_io_qpair_options();
    assert_eq!(defaults.queue_size, 64);
    let qpair = controller.alloc_io_qpair(defaults).unwrap();
    qpair.connect().unwrap();
    qpair.free();
    let larger = IoQpairOptions { queue_size: 65, ..defaults };
    let qpair = controller.alloc_io_qpair(larger).unwrap();
    let refused = qpair.connect();
    let invalid = ConnectError::Status(Status::CONNECT_INVALID_PARAMETERS.with_dnr(true));
    assert_eq!(refused, Err(Error::Transport(transport::Error::Connect(invalid))));
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}
