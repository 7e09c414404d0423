//! Aborts of many commands at once, at the host's face.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spec::Completion;
use std::{cell::Cell, rc::Rc};

thread_local! {
    static ENDED: Cell<usize> = const { Cell::new(0) };
}

fn ended(_: usize, _: &Completion) {
    ENDED.set(ENDED.get() + 1);
}

/// More commands than the Admin Queue has requests for Aborts: some are not asked for. The program hears once, of all of them.
#[test]
fn a_program_hears_once_of_more_aborts_than_can_be_sent() {
    const READS: usize = 100;
    let world = World::new();
    let controller = world.controller();
    let (qpair, namespace) = (connected(&controller), world.namespace(&controller));
    world.control("stall read");
    for _ in 0..READS {
        qpair.read(&namespace, world.buffer(), 0, 1, 0, context(ended, 7)).unwrap();
    }
    let heard = Rc::new(Cell::new(0));
    let hears = heard.clone();
    let told = Rc::new(move |completion: &Completion| {
        assert!(completion.is_success());
        assert_eq!(completion.cdw0() & 1, 1, "some were not aborted");
        hears.set(hears.get() + 1);
    });
    assert_eq!(controller.abort_requests(Some(&qpair), std::ptr::without_provenance_mut(8), told), Ok(true));
    until("the program to be told", || {
        controller.process_admin_completions().unwrap();
        qpair.process_completions(0).unwrap();
        heard.get() > 0
    });
    world.control("resume all");
    until("the reads to end", || {
        controller.process_admin_completions().unwrap();
        qpair.process_completions(0).unwrap();
        ENDED.get() == READS
    });
    assert_eq!(heard.get(), 1);
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}
