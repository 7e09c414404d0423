//! What a target really does while a program uses it: namespaces that change, paths that are lost, commands that are late, fail
//! or are aborted.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::*;
use spdk_nvme_rdma::host::Controller;
use spec::{Completion, Status, feature::AsyncEvent};
use std::{cell::RefCell, rc::Rc};

const NAMESPACE: AsyncEvent = AsyncEvent::new(2, 0, 4);

/// Each event, with the size of the first namespace by then, 0 if there is none.
fn listen(controller: &Rc<Controller>) -> Rc<RefCell<Vec<(u32, u64)>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (told, me) = (heard.clone(), Rc::downgrade(controller));
    controller.listen_to_events(Some(Rc::new(move |completion: &Completion| {
        let controller = me.upgrade().unwrap();
        let there = controller.is_active_namespace(1);
        let sectors = controller.namespace(1).filter(|_| there).map_or(0, |namespace| namespace.sectors());
        told.borrow_mut().push((completion.cdw0(), sectors));
    })));
    heard
}

#[test]
fn a_namespace_is_resized_goes_and_comes_back() {
    let world = World::new();
    let controller = world.controller();
    let heard = listen(&controller);
    let mut expected = Vec::new();
    for (command, sectors) in [
        ("ns resize NQN 1 4M", 8192),
        ("ns remove NQN 1", 0),
        ("ns add NQN ns=1M", 2048),
        ("ns remove NQN 1", 0),
        ("ns add NQN ns=2M nsid=1", 4096),
    ] {
        world.control(&command.replace("NQN", NQN));
        expected.push((NAMESPACE.0, sectors));
        until("the event", || {
            assert!(controller.process_admin_completions().is_ok());
            heard.borrow().len() >= expected.len()
        });
        assert_eq!(*heard.borrow(), expected, "{command}");
    }
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    let reads = world.read_many(&qpair, &namespace, 5);
    until("the reads", || qpair.process_completions(0).is_ok() && all_ended(&reads));
    assert_eq!(count_with(&reads, Status::SUCCESS), 5);
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}

#[test]
fn commands_on_a_path_that_is_lost_say_so() {
    let world = World::new();
    let controller = world.controller();
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    for (command, status) in [
        ("ana NQN 1 inaccessible", Status::ASYMMETRIC_ACCESS_INACCESSIBLE),
        ("ana NQN 1 change", Status::ASYMMETRIC_ACCESS_TRANSITION),
        ("ana NQN 1 optimized", Status::SUCCESS),
        ("fail read 0x281", Status::UNRECOVERED_READ_ERROR),
        ("resume all", Status::SUCCESS),
    ] {
        world.control(&command.replace("NQN", NQN));
        let read = world.read(&qpair, &namespace);
        until("the read", || qpair.process_completions(0).is_ok() && common::status(read).is_some());
        assert_eq!(common::status(read), Some(status), "{command}");
    }
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}

#[test]
fn late_commands_are_late_and_no_more() {
    let world = World::new();
    let controller = world.controller();
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    world.control("delay read 30 2");
    let late = world.read_many(&qpair, &namespace, 2);
    let others = world.read_many(&qpair, &namespace, 3);
    let begin = softverbs::sim::now();
    until("the others", || qpair.process_completions(0).is_ok() && all_ended(&others));
    assert!(late.iter().all(|read| common::status(*read).is_none()));
    until("all", || qpair.process_completions(0).is_ok() && all_ended(&late));
    assert!(softverbs::sim::now() - begin >= 29_000_000);
    assert_eq!(count_with(&[late, others].concat(), Status::SUCCESS), 5);
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}

#[test]
fn what_waits_at_the_controller_is_aborted() {
    let world = World::new();
    let controller = world.controller();
    let qpair = connected(&controller);
    let namespace = world.namespace(&controller);
    world.control("stall read");
    let reads = world.read_many(&qpair, &namespace, 3);
    // They are there before the Abort is.
    (0..20).for_each(|_| turn());
    let aborted = Rc::new(RefCell::new(Vec::new()));
    let told = aborted.clone();
    let argument = std::ptr::without_provenance_mut(reads[1] + 1);
    let heard = Rc::new(move |completion: &Completion| told.borrow_mut().push(*completion));
    assert_eq!(controller.abort_requests(Some(&qpair), argument, heard), Ok(true));
    until("the aborted read", || qpair.process_completions(0).is_ok() && status(reads[1]).is_some());
    assert_eq!(status(reads[1]), Some(Status::ABORTED_BY_REQUEST));
    until("the answer", || controller.process_admin_completions().is_ok() && !aborted.borrow().is_empty());
    let answers = aborted.take();
    assert_eq!((answers.len(), answers[0].is_success(), answers[0].cdw0() & 1), (1, true, 0));
    world.control("resume read");
    until("the others", || qpair.process_completions(0).is_ok() && all_ended(&reads));
    assert_eq!(count_with(&reads, Status::SUCCESS), 2);
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}
