//! Commands that are made to wait or to fail, over RDMA.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use spec::fabrics::PropertySize;
use spec::identify::Cns;
use spec::registers::CC;
use spec::{Command, Sgl, Status};
use support::{Bed, Raw, alone};

const NQN: &str = "nqn.test:1";

fn bed() -> (Bed, Raw, Raw) {
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let io = Raw::io(&mut bed, 1, cntlid, NQN);
    (bed, admin, io)
}

#[test]
fn what_waits_is_executed_with_the_data_that_came_with_it() {
    let _alone = alone();
    let (mut bed, _admin, mut io) = bed();
    bed.control("stall write");
    // The receive that each came in is used again before it is executed.
    for cid in 0..100u16 {
        let write = Command::write(1, cid.into(), 1).with_sgl1(Sgl::in_capsule(0, 512)).with_cid(cid);
        io.send(&write, &[cid as u8 + 1; 512]);
        io.silence(&mut bed);
    }
    let read = Command::read(1, 0, 100).with_sgl1(io.sgl(0, 51_200)).with_cid(200);
    assert!(io.run(&mut bed, &read).is_success());
    assert_eq!(io.data(0, 51_200), vec![0; 51_200], "nothing is written yet");
    bed.control("resume write");
    for cid in 0..100 {
        let answer = io.response(&mut bed);
        assert_eq!((answer.cid(), answer.status()), (cid, Status::SUCCESS));
    }
    assert!(io.run(&mut bed, &read).is_success());
    let expected: Vec<u8> = (1..=100u8).flat_map(|byte| [byte; 512]).collect();
    assert_eq!(io.data(0, 51_200), expected);
}

#[test]
fn a_delay_is_measured_by_the_clock_of_poll() {
    let _alone = alone();
    let (mut bed, mut admin, mut io) = bed();
    bed.stop_clock();
    bed.control("delay read 50");
    bed.control("delay identify 70 1");
    let read = Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512)).with_cid(1);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096)).with_cid(2);
    io.send(&read, &[]);
    io.silence(&mut bed);
    admin.send(&identify, &[]);
    admin.silence(&mut bed);
    bed.skip += 49_999_999;
    assert_eq!(bed.poll(), 0);
    assert!(io.run(&mut bed, &Command::flush(1).with_cid(3)).is_success(), "others go by");
    bed.skip += 1;
    assert_eq!(io.response(&mut bed).cid(), 1);
    bed.skip += 19_999_999;
    while bed.poll() > 0 {}
    bed.skip += 1;
    let answer = admin.response(&mut bed);
    assert_eq!((answer.cid(), answer.is_success()), (2, true));
    assert!(admin.run(&mut bed, &identify).is_success(), "one was to wait");
}

#[test]
fn a_held_command_is_aborted() {
    let _alone = alone();
    let (mut bed, mut admin, mut io) = bed();
    bed.control("stall read");
    for cid in [1, 2] {
        io.send(&Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512)).with_cid(cid), &[]);
        io.silence(&mut bed);
    }
    admin.send(&Command::abort(1, 2).with_cid(9), &[]);
    let aborted = io.response(&mut bed);
    assert_eq!((aborted.cid(), aborted.status()), (2, Status::ABORTED_BY_REQUEST));
    let abort = admin.response(&mut bed);
    assert_eq!((abort.cid(), abort.is_success(), abort.cdw0()), (9, true, 0));
    let again = admin.run(&mut bed, &Command::abort(1, 2));
    assert_eq!((again.is_success(), again.cdw0()), (true, 1));
    bed.control("resume all");
    assert_eq!(io.response(&mut bed).cid(), 1);
    bed.control("fail read 0x0281 1");
    let read = Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512));
    assert_eq!(io.run(&mut bed, &read).status(), Status::UNRECOVERED_READ_ERROR);
    assert!(io.run(&mut bed, &read).is_success());
}

/// A reset ends what waits without an answer, on the Admin Queue too.
#[test]
fn what_waits_goes_with_its_connection() {
    let _alone = alone();
    let (mut bed, mut admin, mut io) = bed();
    bed.control("stall io:any");
    bed.control("stall identify");
    for cid in 0..120 {
        io.push(&Command::flush(1).with_cid(cid), &[]);
    }
    io.post();
    io.silence(&mut bed);
    admin.send(&Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096)), &[]);
    admin.silence(&mut bed);
    assert!(admin.run(&mut bed, &Command::property_set(CC, PropertySize::FOUR, 0)).is_success());
    io.disconnected(&mut bed);
    io.disconnect();
    bed.wait_connections(1);
    bed.control("resume all");
    while bed.poll() > 0 {}
    admin.look();
    let enable = spec::registers::Cc::enabled(spec::registers::Cc::CSS_NVM).0;
    let enable = Command::property_set(CC, PropertySize::FOUR, enable.into()).with_cid(77);
    assert!(admin.run(&mut bed, &enable).is_success(), "it is the only answer");
}
