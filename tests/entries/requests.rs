//! Requests: refused, waiting, split, aborted, and those whose work request the device does not take.

use super::{memory::Region, *};
use spdk_nvme_rdma::host::{Context, FailureReason};
use spec::{NvmOpcode, Status};
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
        (1, 1, false),
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
