//! The target over RDMA, against a host that does anything.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

mod support;

use nvme_rdma_target::{Options, options::parse_address};
use spec::fabrics::{CNTLID_DYNAMIC, PropertySize};
use spec::identify::{Cns, ControllerView};
use spec::rdma::{Accept, Reject, RejectReason, Request};
use spec::registers::{CC, Cc};
use spec::{Command, Sgl, Status};
use support::{Bed, DEPTH, Raw, alone};
use verbs::CmEventKind;

const NQN: &str = "nqn.test:1";
/// How long queue ids linger, in nanoseconds.
const MOMENT: u64 = 20_000_000;

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn a_whole_conversation() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=4M,ns=none,ns=4M:4K"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096)).with_cid(77);
    assert!(admin.run(&mut bed, &identify).is_success());
    let data: [u8; 4096] = admin.data(0, 4096).try_into().unwrap();
    assert_eq!((ControllerView(&data).subnqn(), ControllerView(&data).cntlid()), (Some(NQN), cntlid));

    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let written = pattern(1, 128 << 10);
    io.put(0, &written);
    let write = Command::write(3, 7, 32).with_sgl1(io.sgl(0, 128 << 10)).with_cid(1);
    assert!(io.run(&mut bed, &write).is_success());
    let read = Command::read(3, 7, 32).with_sgl1(io.sgl(1 << 20, 128 << 10)).with_cid(2);
    assert!(io.run(&mut bed, &read).is_success());
    assert!(io.data(1 << 20, 128 << 10) == written);

    let small = pattern(2, 4096);
    let write = Command::write(3, 8, 1).with_sgl1(Sgl::in_capsule(0, 4096)).with_cid(3);
    io.send(&write, &small);
    assert!(io.response(&mut bed).is_success());
    let zeroes = Command::write_zeroes(3, 9, 2).with_cid(4);
    assert!(io.run(&mut bed, &zeroes).is_success());
    assert!(io.run(&mut bed, &read).is_success());
    let after = io.data(1 << 20, 128 << 10);
    assert!(after[..4096] == written[..4096]);
    assert!(after[4096..8192] == small);
    assert!(after[8192..16_384].iter().all(|byte| *byte == 0));
    assert!(after[16_384..] == written[16_384..]);

    let beyond = Command::read(3, 1024, 1).with_sgl1(io.sgl(0, 4096)).with_cid(5);
    assert!(io.run(&mut bed, &beyond).status().is(Status::LBA_OUT_OF_RANGE));
    assert!(io.run(&mut bed, &Command::disconnect().with_cid(6)).is_success());
    io.disconnected(&mut bed);
    bed.wait_connections(1);
    admin.disconnect();
    bed.wait_connections(0);
}

#[test]
fn a_full_queue_of_reads_and_writes() {
    let _alone = alone();
    let mut bed = Bed::with(&["nqn.test:1,ns=4M:4K"], Options { read_depth: 4, ..Options::default() });
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let written = pattern(9, (DEPTH - 1) * 4096);
    io.put(0, &written);
    for (offset, fill) in [(0, false), (1 << 20, true)] {
        for index in 0..DEPTH - 1 {
            let lba = index as u64;
            let place = io.sgl(offset + index * 4096, 4096);
            let command = if fill { Command::read(1, lba, 1) } else { Command::write(1, lba, 1) };
            io.push(&command.with_cid(index as u16).with_sgl1(place), &[]);
        }
        io.post();
        let mut seen = [false; DEPTH];
        for _ in 0..DEPTH - 1 {
            let completion = io.response(&mut bed);
            assert!(completion.is_success());
            assert!(!std::mem::replace(&mut seen[usize::from(completion.cid())], true));
        }
    }
    assert!(io.data(1 << 20, written.len()) == written);
}

#[test]
fn connection_requests_are_rejected_with_their_reason() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let good = Request { recfmt: 0, qid: 0, hrqsize: 32, hsqsize: 31, cntlid: 0 };
    for (request, reason) in [
        (Request { recfmt: 1, ..good }, RejectReason::INVALID_RECFMT),
        (Request { qid: 65, ..good }, RejectReason::INVALID_QID),
        (Request { hsqsize: 0, ..good }, RejectReason::INVALID_HSQSIZE),
        (Request { hrqsize: 0, ..good }, RejectReason::INVALID_HRQSIZE),
    ] {
        let refused = Raw::connect_with(&mut bed, &request.encode()).err().unwrap();
        assert_eq!(refused.kind, CmEventKind::Rejected);
        assert_eq!(Reject::decode(&refused.private_data).unwrap().sts, reason);
    }
    bed.control("misbehave reject-connections");
    let refused = Raw::connect_with(&mut bed, &good.encode()).err().unwrap();
    assert_eq!(Reject::decode(&refused.private_data).unwrap().sts, RejectReason::NO_RESOURCES);
    assert_eq!((bed.target.connections(), bed.target.counters().rejected), (0, 5));
    bed.control("behave reject-connections");
    Raw::admin(&mut bed, NQN, 0);
}

/// A port goes down with those who came by it, and others stay; it comes up at the same number.
#[test]
fn a_port_goes_down_and_comes_up() {
    let _alone = alone();
    let any = parse_address("127.0.0.1:0").unwrap();
    let mut bed = Bed::with(&["nqn.test:1,ns=1M"], Options { listen: vec![any; 2], ..Options::default() });
    let (mut first, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let port = bed.address().port();
    bed.by = 1;
    let (mut second, _) = Raw::admin(&mut bed, NQN, 5000);
    assert_ne!(bed.address().port(), port);
    bed.control(&format!("port {port} down"));
    first.disconnected(&mut bed);
    io.disconnected(&mut bed);
    first.disconnect();
    io.disconnect();
    bed.wait_connections(1);
    assert!(second.run(&mut bed, &Command::keep_alive()).is_success());
    assert_eq!(bed.target.counters().keep_alives, 1);
    bed.by = 0;
    let request = Request { recfmt: 0, qid: 0, hrqsize: 32, hsqsize: 31, cntlid: 0 };
    let refused = Raw::connect_with(&mut bed, &request.encode()).err().unwrap();
    assert!(refused.private_data.iter().all(|byte| *byte == 0), "nobody listens: {refused:?}");
    // What brings others back leaves it alone.
    bed.control("drop nqn.test:1");
    second.disconnected(&mut bed);
    second.disconnect();
    bed.control("add nqn.test:1");
    assert!(Raw::connect_with(&mut bed, &request.encode()).is_err());
    bed.control(&format!("port {port} up"));
    assert_eq!(bed.address().port(), port);
    Raw::admin(&mut bed, NQN, 0);
    assert!(bed.target.control(&"port 1 down".parse().unwrap()).is_err());
}

#[test]
fn a_hostile_host_loses_its_connection_and_nobody_else_does() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut good, _) = Raw::admin(&mut bed, NQN, 60_000);
    let hostile: [fn(&mut Raw); 4] = [
        |io| io.send_bytes(&[0; 63]),
        |io| io.send_bytes(&[0; 5000]),
        |io| io.send(&Command::read(1, 0, 1).with_sgl1(Sgl::keyed(0x1000, 512, 0xdead_beef)), &[]),
        |io| io.send(&Command::write(1, 0, 1).with_sgl1(Sgl::keyed(0x1000, 512, 0xdead_beef)), &[]),
    ];
    for attack in hostile {
        let (admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
        let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
        attack(&mut io);
        bed.wait_connections(2);
        drop(io);
        drop(admin);
        bed.wait_connections(1);
        assert!(good.run(&mut bed, &Command::keep_alive().with_cid(9)).is_success());
    }
}

#[test]
fn an_admin_queue_that_goes_takes_its_io_queues_along() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io: Vec<Raw> = (1..=3).map(|qid| Raw::io(&mut bed, qid, cntlid, NQN)).collect();
    // Not even a disconnect: the host's objects are just gone, as when its process dies.
    drop(admin);
    io.iter_mut().for_each(|io| io.disconnected(&mut bed));
    bed.wait_connections(0);
}

#[test]
fn a_silent_host_loses_its_association() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 60_000);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    bed.skip = 50_000_000_000;
    assert!(admin.run(&mut bed, &Command::keep_alive()).is_success());
    bed.skip = 105_000_000_000;
    assert!(admin.run(&mut bed, &Command::keep_alive()).is_success());
    bed.skip = 170_000_000_000;
    admin.disconnected(&mut bed);
    io.disconnected(&mut bed);
    bed.wait_connections(0);
}

#[test]
fn misbehaviour_on_demand() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    // Before there is a connection: admin commands and Connect are not I/O.
    bed.control("misbehave cid-out-of-range:1");
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let flush = |cid| Command::flush(1).with_cid(cid);

    assert_eq!(io.run(&mut bed, &flush(1)).cid(), 1);
    io.send(&flush(1), &[]);
    assert_eq!(io.response(&mut bed).cid(), 0xffff);
    bed.control("misbehave cid-idle");
    io.send(&flush(1), &[]);
    assert_eq!(io.response(&mut bed).cid(), DEPTH as u16 - 1);
    bed.control("misbehave repeat-response");
    io.send(&flush(2), &[]);
    assert_eq!((io.response(&mut bed).cid(), io.response(&mut bed).cid()), (2, 2));
    bed.control("misbehave silent");
    io.send(&flush(3), &[]);
    io.send(&flush(4), &[]);
    io.silence(&mut bed);
    bed.control("behave silent");
    assert_eq!((io.response(&mut bed).cid(), io.response(&mut bed).cid()), (3, 4));
    assert_eq!(io.run(&mut bed, &flush(5)).cid(), 5);
}

#[test]
fn a_dropped_subsystem_is_gone_until_it_is_added_again() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let block = pattern(5, 512);
    io.put(0, &block);
    assert!(io.run(&mut bed, &Command::write(1, 0, 1).with_sgl1(io.sgl(0, 512))).is_success());
    bed.control(&format!("drop {NQN}"));
    admin.disconnected(&mut bed);
    io.disconnected(&mut bed);
    bed.wait_connections(0);

    let request = Request { recfmt: 0, qid: 0, hrqsize: 32, hsqsize: 31, cntlid: 0 };
    let refused = Raw::connect_with(&mut bed, &request.encode()).err().unwrap();
    // Invalid Service ID (InfiniBand Architecture 1, 12.6.7): nobody listens.
    assert_eq!((refused.kind, refused.status), (CmEventKind::Rejected, 8));

    bed.control(&format!("add {NQN}"));
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    assert!(io.run(&mut bed, &Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512))).is_success());
    assert!(io.data(0, 512) == block, "the data stayed");
}

#[test]
fn a_reset_ends_the_io_queues_and_what_is_held() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    // More often than there are slots: none may be lost.
    for round in 0..60 {
        for cid in 0..4 {
            admin.send(&Command::async_event_request().with_cid(100 + cid), &[]);
        }
        let mut io = if round % 20 == 0 { Some(Raw::io(&mut bed, 1, cntlid, NQN)) } else { None };
        let disable = Command::property_set(CC, PropertySize::FOUR, 0).with_cid(1);
        assert!(admin.run(&mut bed, &disable).is_success());
        if let Some(io) = &mut io {
            io.disconnected(&mut bed);
            // Until its id is free again.
            bed.skip += MOMENT;
        }
        let enable = Cc::enabled(Cc::CSS_NVM).0.into();
        let enable = Command::property_set(CC, PropertySize::FOUR, enable).with_cid(2);
        assert!(admin.run(&mut bed, &enable).is_success());
    }
}

#[test]
fn a_queue_id_is_free_again_a_moment_after_its_connection() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let io = Raw::io(&mut bed, 1, cntlid, NQN);
    bed.control("linger 20");
    // The test's own clock stands still, so that a busy machine does not let the moment pass.
    bed.stop_clock();
    io.disconnect();
    bed.wait_connections(1);
    let mut again = Raw::connect(&mut bed, 1);
    let refused = again.attach(&mut bed, 1, cntlid, NQN, 0);
    assert_eq!(refused.status(), Status::COMMAND_SEQUENCE_ERROR.with_dnr(true));
    bed.skip += MOMENT;
    assert!(again.attach(&mut bed, 1, cntlid, NQN, 0).is_success(), "the connection can still be used");
    bed.control("linger 0");
    again.disconnect();
    bed.wait_connections(1);
    Raw::io(&mut bed, 1, cntlid, NQN);
}

#[test]
fn a_capsule_of_the_admin_queue_is_a_command_and_nothing_else() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, _) = Raw::admin(&mut bed, NQN, 60_000);
    assert!(admin.run(&mut bed, &Command::keep_alive()).is_success());
    let features = Command::set_keep_alive_timer(1000).with_sgl1(Sgl::in_capsule(0, 16));
    let refused = admin.run(&mut bed, &features);
    assert_eq!(refused.status(), Status::INVALID_SGL_OFFSET.with_dnr(true));
    admin.send(&Command::keep_alive(), &[0]);
    admin.disconnected(&mut bed);
    bed.wait_connections(0);
}

#[test]
fn small_queues_leave_the_admin_queue_its_32_entries() {
    let _alone = alone();
    let options = Options { queue_entries: 16, ..Options::default() };
    let mut bed = Bed::with(&["nqn.test:1,ns=1M"], options);
    let mut admin = Raw::connect(&mut bed, 0);
    assert_eq!(Accept::decode(&admin.accepted).unwrap().crqsize, 32);
    let too_many = admin.attach_with(&mut bed, Command::connect(0, 32, 0, 0), CNTLID_DYNAMIC, NQN);
    assert!(too_many.status().is(Status::CONNECT_INVALID_PARAMETERS));
    let connect = Command::connect(0, 31, 0, 0);
    let completion = admin.attach_with(&mut bed, connect, CNTLID_DYNAMIC, NQN);
    assert_eq!(completion.status(), Status::SUCCESS);
    let enable = Command::property_set(CC, PropertySize::FOUR, Cc::enabled(Cc::CSS_NVM).0.into());
    assert!(admin.run(&mut bed, &enable).is_success());
    let mut io = Raw::connect(&mut bed, 1);
    assert_eq!(Accept::decode(&io.accepted).unwrap().crqsize, 16);
    let cntlid = completion.cdw0() as u16;
    let connect = Command::connect(1, 15, 0, 0);
    assert!(io.attach_with(&mut bed, connect, cntlid, NQN).is_success());
}

#[test]
fn a_transfer_as_long_as_the_host_likes() {
    let _alone = alone();
    let mut bed = Bed::with(&["nqn.test:1,ns=16M:4K"], Options { mdts: 0, ..Options::default() });
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096));
    assert!(admin.run(&mut bed, &identify).is_success());
    assert_eq!(ControllerView(&admin.data(0, 4096).try_into().unwrap()).max_transfer(0), None);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let length = 8 << 20;
    let written = pattern(3, length);
    io.put(0, &written);
    let place = io.sgl(0, length as u32);
    assert!(io.run(&mut bed, &Command::write(1, 0, 2048).with_sgl1(place)).is_success());
    io.put(0, &vec![0; length]);
    assert!(io.run(&mut bed, &Command::read(1, 0, 2048).with_sgl1(place)).is_success());
    assert!(io.data(0, length) == written);
}

#[test]
fn stopping_says_goodbye() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    bed.target.disconnect_all(0);
    admin.disconnected(&mut bed);
    io.disconnected(&mut bed);
    bed.wait_connections(0);
}
