//! An object whose asynchronous events were fetched cannot go before they are acknowledged: destroying it waits for that, as in
//! libibverbs; here not for ever.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use rdma_sys::*;

/// A QP of `p.b` with an event: a request with a wrong key. The event, fetched.
fn fetched_event(p: &Pair) -> ibv_async_event {
    p.a.send(Send::write(1, p.a.sge(0, 8), p.b.at(0), p.b.rkey() ^ 1));
    assert_ne!(p.a.poll().status, 0);
    unsafe {
        let mut event: ibv_async_event = std::mem::zeroed();
        assert_eq!(ibv_get_async_event((*p.b.id).verbs, &mut event), 0);
        assert_eq!(event.element.qp, p.b.qp);
        event
    }
}

fn give_back(p: Pair, violations: u64) {
    p.a.destroy();
    p.b.destroy();
    unsafe { rdma_destroy_id(p.listener) };
    p.channel.destroy();
    nothing_left(violations);
}

const NO_REMOTE: u32 = 1;

#[test]
fn destroying_waits_for_another_thread_to_acknowledge() {
    let _alone = alone();
    let p = Pair::with(Shape::default(), NO_REMOTE);
    let event = fetched_event(&p);
    // The event holds a pointer, which another thread is to give back.
    let event = Box::into_raw(Box::new(event)) as usize;
    static DONE: AtomicBool = AtomicBool::new(false);
    let here = Sleeper::here();
    let other = std::thread::spawn(move || {
        here.wait_until_it_sleeps();
        DONE.store(true, Ordering::SeqCst);
        unsafe { ibv_ack_async_event(event as *mut ibv_async_event) };
        event
    });
    unsafe { rdma_destroy_qp(p.b.id) };
    assert!(DONE.load(Ordering::SeqCst), "it waited");
    let event = other.join().unwrap();
    drop(unsafe { Box::from_raw(event as *mut ibv_async_event) });
    give_back(p, 0);
}

#[test]
fn nobody_acknowledges() {
    let _alone = alone();
    let p = Pair::with(Shape::default(), NO_REMOTE);
    let before = softverbs::ledger().violations;
    let mut event = fetched_event(&p);
    unsafe { rdma_destroy_qp(p.b.id) };
    assert_eq!(softverbs::ledger().violations, before + 1);
    // Too late: the object is no more.
    unsafe { ibv_ack_async_event(&mut event) };
    give_back(p, 2);
}

#[test]
fn acknowledged_twice() {
    let _alone = alone();
    let p = Pair::with(Shape::default(), NO_REMOTE);
    let before = softverbs::ledger().violations;
    let mut event = fetched_event(&p);
    unsafe {
        ibv_ack_async_event(&mut event);
        assert_eq!(softverbs::ledger().violations, before);
        ibv_ack_async_event(&mut event);
    }
    give_back(p, 1);
}
