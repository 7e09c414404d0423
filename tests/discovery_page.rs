//! The discovery log page as a program gets it, against targets that lie about it, change it, or have no time for it.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::host::{Controller, DiscoveryPage, Error, TransportId};
use spec::{
    AdminOpcode, Completion, Status,
    fabrics::DISCOVERY_NQN,
    log::{DiscoveryEntry, DiscoveryHeader},
};
use std::{cell::Cell, rc::Rc};

const HEADER: usize = DiscoveryHeader::SIZE;
const ENTRY: usize = DiscoveryEntry::SIZE;

fn controller(world: &World) -> Rc<Controller> {
    let id = TransportId { subnqn: String::from(DISCOVERY_NQN), ..world.id() };
    Controller::connect(id, world.options()).unwrap()
}

/// Answers each read of the log from what `header` says at that time: entries of zeros behind it.
fn lie(world: &World, mut header: impl FnMut(u64, u64) -> DiscoveryHeader + 'static) -> Rc<Cell<usize>> {
    let commands = Rc::new(Cell::new(0));
    let counted = commands.clone();
    world.set_liar(move |answer| {
        if answer.command.opcode() == AdminOpcode::GET_LOG_PAGE.0 {
            counted.set(counted.get() + 1);
            let (offset, length) = (answer.command.log_page_offset(), answer.command.log_page_length());
            let mut page = vec![0; length as usize];
            if offset == 0 {
                let header = header(offset, length).encode();
                let both = header.len().min(page.len());
                page[..both].copy_from_slice(&header[..both]);
            }
            answer.page = Some(page);
            answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
        }
    });
    commands
}

/// Reads the page; what became of it, once.
fn read(controller: &Rc<Controller>) -> DiscoveryPage {
    let found = Rc::new(Cell::new(None));
    let told = found.clone();
    controller.read_discovery_page(move |page| assert!(told.replace(Some(page)).is_none())).unwrap();
    assert!(found.take().is_none(), "not inside of the call");
    for _ in 0..100_000 {
        controller.process_admin_completions().unwrap();
        turn();
        if let Some(page) = found.take() {
            return page;
        }
    }
    panic!("it does not end");
}

fn header(genctr: u64, numrec: u64) -> DiscoveryHeader {
    DiscoveryHeader { genctr, numrec, recfmt: 0 }
}

#[test]
fn a_page_is_as_long_as_it_says() {
    let world = World::new();
    let controller = controller(&world);
    for count in [0, 1, 5, 2000] {
        lie(&world, move |_, _| header(7, count));
        let DiscoveryPage::Read(page, completion) = read(&controller) else { panic!("{count} entries") };
        assert!(completion.is_success());
        assert_eq!(page.len(), HEADER + count as usize * ENTRY);
        assert_eq!(DiscoveryHeader::decode(page.first_chunk().unwrap()), header(7, count));
    }
    world.finish(Some(controller));
}

/// The header of the page itself says more than the one before: a program would read on behind its end.
#[test]
fn a_header_that_grows_is_not_believed() {
    let world = World::new();
    let controller = controller(&world);
    let commands = lie(&world, |_, length| header(7, if length as usize > HEADER { 65_535 } else { 1 }));
    let page = read(&controller);
    assert!(matches!(page, DiscoveryPage::Refused(Error::BadData { .. })));
    assert!(commands.get() <= 40, "{} commands", commands.get());
    world.finish(Some(controller));
}

#[test]
fn a_log_that_changes_is_read_again_and_not_for_ever() {
    let world = World::new();
    let controller = controller(&world);
    // Its generation changes with each of the first reads.
    let mut reads = 0;
    lie(&world, move |_, _| {
        reads += 1;
        header(u64::min(reads, 8), 1)
    });
    assert!(matches!(read(&controller), DiscoveryPage::Read(page, _) if page.len() == HEADER + ENTRY));
    let mut reads = 0;
    let commands = lie(&world, move |_, _| {
        reads += 1;
        header(reads, 1)
    });
    assert!(matches!(read(&controller), DiscoveryPage::Refused(Error::BadData { .. })));
    assert!(commands.get() <= 48, "{} commands", commands.get());
    world.finish(Some(controller));
}

#[test]
fn what_cannot_be_is_refused_before_memory_is_asked_for() {
    let world = World::new();
    let controller = controller(&world);
    for count in [65_537, u64::MAX] {
        let commands = lie(&world, move |_, _| header(7, count));
        assert!(matches!(read(&controller), DiscoveryPage::Refused(Error::BadData { .. })));
        assert_eq!(commands.get(), 1);
    }
    lie(&world, |_, _| DiscoveryHeader { recfmt: 3, ..header(7, 1) });
    assert!(matches!(read(&controller), DiscoveryPage::UnknownFormat(3)));
    world.set_liar(|answer| {
        if answer.command.opcode() == AdminOpcode::GET_LOG_PAGE.0 {
            answer.completion = Completion::new(0, answer.command.cid(), Status::INTERNAL_ERROR);
        }
    });
    let DiscoveryPage::Failed(completion) = read(&controller) else { panic!("it was read") };
    assert_eq!(completion.status(), Status::INTERNAL_ERROR);
    world.finish(Some(controller));
}

/// Without a free request nothing begins, and nobody is told; those that began go on.
#[test]
fn a_reading_that_cannot_begin_is_refused() {
    let world = World::new();
    let controller = controller(&world);
    let ended = Rc::new(Cell::new(0));
    let mut begun = 0;
    let refused = loop {
        let told = ended.clone();
        match controller.read_discovery_page(move |page| {
            assert!(matches!(page, DiscoveryPage::Read(..) | DiscoveryPage::Refused(_)));
            told.set(told.get() + 1);
        }) {
            Ok(()) => begun += 1,
            Err(error) => break error,
        }
        assert!(begun < 10_000);
    };
    assert!(matches!(refused, Error::Transport(_)), "{refused}");
    assert_eq!(ended.get(), 0, "nobody is told inside of the call");
    while ended.get() < begun {
        controller.process_admin_completions().unwrap();
        turn();
    }
    assert_eq!(ended.get(), begun);
    world.finish(Some(controller));
}

/// Who is told polls, for another reading to end: it does.
#[test]
fn a_reading_may_be_waited_for_from_the_end_of_another() {
    let world = World::new();
    let controller = controller(&world);
    let other = Rc::new(Cell::new(false));
    let all = Rc::new(Cell::new(false));
    let (waited, done, again) = (other.clone(), all.clone(), Rc::downgrade(&controller));
    controller
        .read_discovery_page(move |_| {
            let controller = again.upgrade().unwrap();
            while !waited.get() {
                controller.process_admin_completions().unwrap();
                turn();
            }
            done.set(true);
        })
        .unwrap();
    let told = other.clone();
    controller.read_discovery_page(move |_| told.set(true)).unwrap();
    while !all.get() {
        controller.process_admin_completions().unwrap();
        turn();
    }
    assert!(other.get());
    world.finish(Some(controller));
}

/// Those that are under way when the controller goes end with it, each once and before it is gone.
#[test]
fn readings_end_with_their_controller() {
    let world = World::new();
    let controller = controller(&world);
    world.set_liar(|answer| answer.hold = answer.command.opcode() == AdminOpcode::GET_LOG_PAGE.0);
    let ended = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let told = ended.clone();
        controller
            .read_discovery_page(move |page| {
                assert!(matches!(page, DiscoveryPage::Failed(_) | DiscoveryPage::Refused(_)));
                told.set(told.get() + 1);
            })
            .unwrap();
    }
    detach(&controller);
    assert_eq!(ended.get(), 3);
    drop(controller);
    world.finish(None);
}
