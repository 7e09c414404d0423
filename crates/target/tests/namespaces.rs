//! Namespaces that come, go and change under a host, over RDMA.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use spec::feature::async_events::{ANA_CHANGE, NAMESPACE_ATTRIBUTE};
use spec::log::LogPageId;
use spec::namespace::namespace_list;
use spec::{Command, Status};
use support::{Bed, Raw, alone};

const NQN: &str = "nqn.test:1";

fn read(bed: &mut Bed, io: &mut Raw, nsid: u32, lba: u64) -> Result<Vec<u8>, Status> {
    io.put(0, &[0xee; 4096]);
    let command = Command::read(nsid, lba, 8).with_sgl1(io.sgl(0, 4096));
    let status = io.run(bed, &command).status();
    if status.is_success() { Ok(io.data(0, 4096)) } else { Err(status) }
}

fn write(bed: &mut Bed, io: &mut Raw, nsid: u32, lba: u64, byte: u8) -> Status {
    io.put(0, &[byte; 4096]);
    let command = Command::write(nsid, lba, 8).with_sgl1(io.sgl(0, 4096));
    io.run(bed, &command).status()
}

fn invalid() -> Status {
    Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true)
}

#[test]
fn a_host_hears_of_what_changes_and_finds_it() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M..2M,nn=4"]);
    let (mut admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    let events = Command::set_async_event_configuration(NAMESPACE_ATTRIBUTE | ANA_CHANGE);
    assert!(admin.run(&mut bed, &events).is_success());
    for (cid, (command, dword, changed)) in (100..).zip([
        ("ns add nqn.test:1 ns=1M nsid=3", 0x0004_0002, 3),
        ("ns resize nqn.test:1 1 2M", 0x0004_0002, 1),
        ("ns remove nqn.test:1 3", 0x0004_0002, 3),
        ("ana nqn.test:1 1 inaccessible", 0x000c_0302, 0),
    ]) {
        admin.send(&Command::async_event_request().with_cid(cid), &[]);
        admin.silence(&mut bed);
        assert_eq!(write(&mut bed, &mut io, 1, 0, 7), Status::SUCCESS);
        bed.control(command);
        let event = admin.response(&mut bed);
        assert_eq!((event.cid(), event.status(), event.cdw0()), (cid, Status::SUCCESS, dword), "{command}");
        if changed != 0 {
            let page = Command::get_log_page(LogPageId::CHANGED_NAMESPACES, u32::MAX, 0, 4096);
            let command = page.with_sgl1(admin.sgl(0, 4096));
            assert!(admin.run(&mut bed, &command).is_success());
            let page: [u8; 4096] = admin.data(0, 4096).try_into().unwrap();
            assert_eq!(namespace_list(&page).collect::<Vec<_>>(), [changed]);
        }
        match command.split(' ').nth(1) {
            Some("add") => {
                assert_eq!(read(&mut bed, &mut io, 3, 0), Ok(vec![0; 4096]));
                assert_eq!(write(&mut bed, &mut io, 3, 8, 9), Status::SUCCESS);
                assert_eq!(read(&mut bed, &mut io, 3, 8), Ok(vec![9; 4096]));
            }
            Some("resize") => {
                assert_eq!(read(&mut bed, &mut io, 1, 2048), Ok(vec![0; 4096]));
                assert_eq!(write(&mut bed, &mut io, 1, 4088, 5), Status::SUCCESS);
                bed.control("ns resize nqn.test:1 1 1M");
                bed.control("ns resize nqn.test:1 1 2M");
                assert_eq!(read(&mut bed, &mut io, 1, 4088), Ok(vec![0; 4096]), "what is new is zeros");
                assert_eq!(read(&mut bed, &mut io, 1, 0), Ok(vec![7; 4096]), "what was there is kept");
                let page = Command::get_log_page(LogPageId::CHANGED_NAMESPACES, u32::MAX, 0, 4096);
                let command = page.with_sgl1(admin.sgl(0, 4096));
                assert!(admin.run(&mut bed, &command).is_success());
            }
            Some("remove") => assert_eq!(read(&mut bed, &mut io, 3, 0), Err(invalid())),
            _ => {
                let lost = Status::ASYMMETRIC_ACCESS_INACCESSIBLE;
                assert_eq!(read(&mut bed, &mut io, 1, 0), Err(lost));
                bed.control("ana nqn.test:1 1 optimized");
                assert_eq!(read(&mut bed, &mut io, 1, 0), Ok(vec![7; 4096]));
            }
        }
    }
    for (command, errno) in [
        ("ns add nqn.test:1 ns=1M nsid=1", 17),
        ("ns add nqn.test:2 ns=1M", 2),
        ("ns resize nqn.test:1 2 1M", 2),
        ("ns resize nqn.test:1 1 3M", 22),
        ("ns remove nqn.test:1 9", 2),
        ("ana nqn.test:1 17 change", 22),
    ] {
        let error = bed.target.control(&command.parse().unwrap()).unwrap_err();
        assert_eq!(error.errno(), errno, "{command}: {error}");
    }
}

/// What is under way when a namespace goes is answered, one way or the other, and nothing else is harmed.
#[test]
fn a_namespace_goes_under_load() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M,nn=2"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    for round in 0..20u8 {
        bed.control("ns add nqn.test:1 ns=1M");
        for cid in 0..100u16 {
            let offset = usize::from(cid) * 4096;
            io.put(offset, &[round; 4096]);
            let (nsid, lba) = (u32::from(cid) % 2 + 1, u64::from(cid) * 8);
            let command = match cid % 4 {
                0 | 1 => Command::write(nsid, lba, 8),
                _ => Command::read(nsid, lba, 8),
            };
            io.push(&command.with_sgl1(io.sgl(offset, 4096)).with_cid(cid), &[]);
        }
        io.post();
        // After more and more turns of work on them.
        for _ in 0..round {
            bed.poll();
        }
        bed.control("ns remove nqn.test:1 2");
        for _ in 0..100 {
            let answer = io.response(&mut bed);
            let there = answer.cid().is_multiple_of(2);
            assert!(answer.is_success() || !there && answer.status() == invalid(), "{answer:?}");
        }
        assert_eq!(read(&mut bed, &mut io, 1, 0), Ok(vec![round; 4096]));
    }
}
