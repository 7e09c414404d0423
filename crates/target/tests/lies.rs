//! The target as a hostile one: what is told to lie arrives as a lie, and the truth comes back.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use std::cell::Cell;
use std::rc::Rc;

use nvme_rdma_target::Answer;
use spec::fabrics::{CNTLID_DYNAMIC, PropertySize};
use spec::identify::{Cns, ControllerView};
use spec::log::{DiscoveryHeader, LogPageId};
use spec::namespace::{NamespaceView, namespace_descriptors, namespace_list};
use spec::rdma::{Accept, Reject, RejectReason, Request};
use spec::registers::CSTS;
use spec::{AdminOpcode, Command, Completion, Sgl, Status};
use support::{Bed, Raw, alone};

const NQN: &str = "nqn.test:1";
const DISCOVERY: &str = spec::fabrics::DISCOVERY_NQN;

fn identify(bed: &mut Bed, admin: &mut Raw, cns: Cns, nsid: u32) -> [u8; 4096] {
    let identify = Command::identify(cns, 0, nsid, 0).with_sgl1(admin.sgl(0, 4096)).with_cid(1);
    assert_eq!(admin.run(bed, &identify).status(), Status::SUCCESS);
    admin.data(0, 4096).try_into().unwrap()
}

fn discovery(bed: &mut Bed, admin: &mut Raw, offset: u64, length: u32) -> Vec<u8> {
    let log = Command::get_log_page(LogPageId::DISCOVERY, 0, offset, length);
    assert!(admin.run(bed, &log.with_sgl1(admin.sgl(0, length)).with_cid(1)).is_success());
    admin.data(0, length as usize)
}

fn header(page: &[u8]) -> DiscoveryHeader {
    DiscoveryHeader::decode(page[..1024].try_into().unwrap())
}

#[test]
fn namespaces_that_never_end_and_that_nobody_can_use() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut admin, _) = Raw::admin(&mut bed, NQN, 0);
    bed.control("lie unusable-namespaces");
    let page = identify(&mut bed, &mut admin, Cns::CONTROLLER, 0);
    assert_eq!(ControllerView(&page).nn(), 0xffff_fffd);
    let page = identify(&mut bed, &mut admin, Cns::ACTIVE_NAMESPACE_LIST, 0x1000);
    assert!(namespace_list(&page).eq(0x1001..=0x1400));
    let page = identify(&mut bed, &mut admin, Cns::NAMESPACE, 0x1234_5678);
    assert_eq!((NamespaceView(&page).nsze(), NamespaceView(&page).block_size()), (1, None));

    bed.control("truth unusable-namespaces");
    bed.control("lie namespaces=1500");
    let page = identify(&mut bed, &mut admin, Cns::ACTIVE_NAMESPACE_LIST, 1024);
    assert!(namespace_list(&page).eq(1025..=1500));
    let page = identify(&mut bed, &mut admin, Cns::NAMESPACE, 1500);
    assert_eq!(NamespaceView(&page).block_size(), Some(512));

    bed.control("lie descending-namespaces=9");
    let page = identify(&mut bed, &mut admin, Cns::ACTIVE_NAMESPACE_LIST, 8);
    assert_eq!(page[..8], [9, 0, 0, 0, 8, 0, 0, 0]);
    bed.control("lie endless-descriptors=8");
    let page = identify(&mut bed, &mut admin, Cns::NAMESPACE_DESCRIPTORS, 1);
    assert_eq!((page[..4].to_vec(), page[12..16].to_vec()), (vec![2, 8, 0, 0], vec![2, 8, 0, 0]));
    assert!(namespace_descriptors(&page).any(|descriptor| descriptor.is_err()));

    bed.control("truth all");
    bed.control("lie namespace-size");
    let page = identify(&mut bed, &mut admin, Cns::NAMESPACE, 1);
    assert_eq!((NamespaceView(&page).nsze(), NamespaceView(&page).ncap()), (u64::MAX, u64::MAX));
    bed.control("truth all");
    let page = identify(&mut bed, &mut admin, Cns::NAMESPACE, 1);
    assert_eq!(NamespaceView(&page).nsze(), 2048);
    let page = identify(&mut bed, &mut admin, Cns::CONTROLLER, 0);
    assert_eq!(ControllerView(&page).nn(), 1);
}

#[test]
fn more_descriptors_than_the_target_takes() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    bed.control("lie msdbd=17");
    let page = identify(&mut bed, &mut admin, Cns::CONTROLLER, 0);
    assert_eq!(ControllerView(&page).msdbd(), 17);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let blocks = [io.sgl(0, 512).to_bytes(); 17].concat();
    io.send(&Command::read(1, 0, 17).with_sgl1(Sgl::last_segment(0, 17 * 16)), &blocks);
    let refused = io.response(&mut bed);
    assert_eq!(refused.status(), Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS.with_dnr(true));
    bed.control("truth msdbd");
    let page = identify(&mut bed, &mut admin, Cns::CONTROLLER, 0);
    assert_eq!(ControllerView(&page).msdbd(), 16);
}

#[test]
fn a_discovery_log_without_end_that_never_stands_still() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, _) = Raw::admin(&mut bed, DISCOVERY, 0);
    let honest = header(&discovery(&mut bed, &mut admin, 0, 2048));
    assert_eq!(honest.numrec, 1);
    bed.control("lie log-entries");
    bed.control("lie log-moves=3");
    let first = header(&discovery(&mut bed, &mut admin, 0, 1024));
    let page = discovery(&mut bed, &mut admin, 0, 4096);
    assert_eq!((first.numrec, header(&page).numrec), (u64::MAX, u64::MAX));
    assert_eq!(header(&page).genctr, first.genctr + 3);
    let far = discovery(&mut bed, &mut admin, 1024 * 1_000_000_000, 2048);
    assert!(far[..1024] == page[1024..2048] && far[1024..] == page[1024..2048]);

    bed.control("truth all");
    bed.control("lie control-characters=27");
    let page = discovery(&mut bed, &mut admin, 0, 2048);
    assert_eq!((page[1024 + 260], page[1024 + 516]), (27, 27));
    let page = discovery(&mut bed, &mut admin, 1024, 1024);
    assert_eq!((page[260], page[516]), (27, 27));
    bed.control("truth control-characters");
    assert_eq!(header(&discovery(&mut bed, &mut admin, 0, 1024)), honest);
}

#[test]
fn events_in_a_flood_stop_where_the_truth_begins() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, _) = Raw::admin(&mut bed, NQN, 0);
    let event = |cid| Command::async_event_request().with_cid(cid);
    bed.control("lie events");
    // More often than a controller holds them.
    for cid in 0..20 {
        assert_eq!(admin.run(&mut bed, &event(cid)).cdw0(), 0x0004_0002);
    }
    bed.control("truth events");
    for cid in 0..4 {
        admin.send(&event(cid), &[]);
    }
    let limit = admin.run(&mut bed, &event(9));
    assert!(limit.status().is(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED), "the four are held: {limit:?}");
}

#[test]
fn properties_and_connect_say_what_they_are_told_to() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let (mut admin, _) = Raw::admin(&mut bed, NQN, 0);
    let csts = Command::property_get(CSTS, PropertySize::FOUR);
    bed.control("lie csts=2");
    assert_eq!(admin.run(&mut bed, &csts).cdw0(), 2);
    bed.control("truth csts");
    assert_eq!(admin.run(&mut bed, &csts).cdw0(), 1);

    bed.control("lie connect-status");
    let mut refused = Raw::connect(&mut bed, 0);
    let completion = refused.attach(&mut bed, 0, CNTLID_DYNAMIC, NQN, 0);
    assert_eq!(completion.status(), Status::CONNECT_INVALID_HOST.with_dnr(true));
    bed.control("truth all");
    bed.control("lie connect-answer=0x2ffff");
    let mut strange = Raw::connect(&mut bed, 0);
    assert_eq!(strange.attach(&mut bed, 0, CNTLID_DYNAMIC, NQN, 0).cdw0(), 0x2_ffff);
}

#[test]
fn connection_requests_are_answered_with_the_lie() {
    let _alone = alone();
    let mut bed = Bed::new(&[NQN]);
    let request = Request { recfmt: 0, qid: 0, hrqsize: 32, hsqsize: 31, cntlid: 0 };
    bed.control("lie reject=3");
    let refused = Raw::connect_with(&mut bed, &request.encode()).err().unwrap();
    assert_eq!(Reject::decode(&refused.private_data).unwrap().sts, RejectReason::INVALID_QID);
    bed.control("truth reject");
    bed.control("lie crqsize");
    let raw = Raw::connect_with(&mut bed, &request.encode()).unwrap();
    assert_eq!(Accept::decode(&raw.accepted).unwrap().crqsize, 0);
}

#[test]
fn writes_go_beyond_what_was_asked_for() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    io.put(0, &[0xaa; 8192]);
    bed.control("lie write-shift");
    assert!(io.run(&mut bed, &Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512))).is_success());
    assert!(io.data(0, 4096) == [0xaa; 4096], "where it was wanted");
    assert!(io.data(4096, 512) == [0; 512] && io.data(4608, 512) == [0xaa; 512]);
    // Each piece of a list.
    io.put(0, &[0xaa; 8192]);
    let blocks = [io.sgl(0, 256), io.sgl(1024, 256)].map(Sgl::to_bytes).concat();
    io.send(&Command::read(1, 0, 1).with_sgl1(Sgl::last_segment(0, 32)), &blocks);
    assert!(io.response(&mut bed).is_success());
    assert!(io.data(0, 4096) == [0xaa; 4096]);
    assert!(io.data(4096, 256) == [0; 256] && io.data(4352, 768) == [0xaa; 768]);
    assert!(io.data(5120, 256) == [0; 256] && io.data(5376, 256) == [0xaa; 256]);
}

#[test]
fn a_function_of_the_test_may_change_every_answer() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    bed.target.set_liar(Some(Box::new(move |answer: &mut Answer<'_>| {
        count.set(count.get() + 1);
        if answer.qid == 1 {
            // A page in place of blocks.
            answer.page = Some(vec![0x5a; 512]);
        } else if answer.command.opcode() == AdminOpcode::IDENTIFY.0 {
            answer.page = None;
            let status = Status::INTERNAL_ERROR;
            answer.completion = Completion::new(0, answer.command.cid(), status);
        } else if answer.command.opcode() == AdminOpcode::KEEP_ALIVE.0 {
            answer.hold = true;
        }
    })));
    assert!(io.run(&mut bed, &Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512))).is_success());
    assert!(io.data(0, 512) == [0x5a; 512]);
    let command = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096));
    assert!(admin.run(&mut bed, &command).status().is(Status::INTERNAL_ERROR));
    admin.send(&Command::keep_alive().with_cid(7), &[]);
    admin.silence(&mut bed);
    assert_eq!(seen.get(), 3);
    bed.target.set_liar(None);
    assert!(admin.run(&mut bed, &command).is_success());
    assert!(io.run(&mut bed, &Command::read(1, 0, 1).with_sgl1(io.sgl(0, 512))).is_success());
    assert!(io.data(0, 512) == [0; 512]);
}

#[test]
fn random_lies_come_from_their_seed() {
    let _alone = alone();
    let run = |seed: u64| {
        let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
        let (mut admin, _) = Raw::admin(&mut bed, NQN, 0);
        bed.control(&format!("lie random={seed}"));
        let mut told = Vec::new();
        for _ in 0..100 {
            admin.send(&Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(admin.sgl(0, 4096)), &[]);
            told.push((admin.response(&mut bed).to_bytes(), admin.data(0, 4096)));
        }
        told
    };
    let first = run(1);
    assert!(first == run(1));
    assert!(first != run(2));
    assert!(first.iter().any(|(_, page)| *page != first[0].1), "something changed");
}
