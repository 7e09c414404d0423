//! Two threads end, attach and allocate the same at the same moment (M7, T141). Programs must not; if they do, one wins, the
//! other is answered or refused, nothing is used after it is gone, and nothing is left.

use super::{DEADLINE, NQN, Peer, Shared};
use crate::face::{
    alloc, connect, spdk_nvme_ctrlr_connect_io_qpair, spdk_nvme_ctrlr_disconnect_io_qpair,
    spdk_nvme_ctrlr_free_io_qpair, spdk_nvme_ctrlr_get_ns, spdk_nvme_detach,
};
use std::{sync::Barrier, thread, time::Instant};

/// How often two threads meet.
const ROUNDS: u32 = 30;

fn free(qpair: Shared) -> i32 {
    // SAFETY: what happens when two threads use a handle is what the tests are about.
    unsafe { spdk_nvme_ctrlr_free_io_qpair(qpair.0) }
}

fn detach(controller: Shared) -> i32 {
    // SAFETY: as above.
    unsafe { spdk_nvme_detach(controller.0) }
}

fn connect_qpair(controller: Shared, qpair: Shared) -> i32 {
    // SAFETY: as above.
    unsafe { spdk_nvme_ctrlr_connect_io_qpair(controller.0, qpair.0) }
}

fn alloc_on(controller: Shared) -> Shared {
    Shared(alloc(controller.0))
}

fn disconnect(qpair: Shared) {
    // SAFETY: on one thread.
    unsafe { spdk_nvme_ctrlr_disconnect_io_qpair(qpair.0) }
}

/// Whether the controller's handle is still good.
fn is_attached(controller: Shared) -> bool {
    // SAFETY: a stale handle is answered with an error.
    unsafe { !spdk_nvme_ctrlr_get_ns(controller.0, 1).is_null() }
}

/// Runs both at the same moment on two threads; what they return.
fn meet<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            barrier.wait();
            first()
        });
        barrier.wait();
        let two = second();
        (one.join().unwrap(), two)
    })
}

/// Each round: a controller with two qpairs, then `round`, which leaves nothing of them.
fn rounds(mut round: impl FnMut(&Peer, u32, Shared, [Shared; 2])) {
    let _alone = super::alone();
    assert!(softverbs::ledger().is_clean(), "{:?}", softverbs::ledger());
    let mut peer = Peer::start();
    let begin = Instant::now();
    for host in 0..ROUNDS {
        let controller = Shared(connect(NQN, peer.port, host));
        assert!(!controller.0.is_null());
        let qpairs = [(); 2].map(|()| Shared(alloc(controller.0)));
        assert!(qpairs.iter().all(|qpair| !qpair.0.is_null()));
        round(&peer, host, controller, qpairs);
        assert!(begin.elapsed() < DEADLINE, "{host} rounds took {:?}", begin.elapsed());
    }
    peer.end();
    assert!(softverbs::ledger().is_clean(), "{:?}", softverbs::ledger());
}

/// What ending something may answer: it is ended, by whomever, or it is gone already.
fn is_answer(rc: i32) -> bool {
    rc == 0 || rc == -libc::EINVAL
}

#[test]
fn m7_t141_a_detach_and_a_free_meet() {
    rounds(|_, _, controller, qpairs| {
        let (freed, detached) = meet(|| qpairs.map(free), || detach(controller));
        assert_eq!(detached, 0);
        assert!(freed.iter().all(|rc| is_answer(*rc)), "{freed:?}");
    });
}

#[test]
fn m7_a_free_and_a_free_meet() {
    rounds(|_, _, controller, qpairs| {
        for qpair in qpairs {
            let (one, two) = meet(|| free(qpair), || free(qpair));
            assert!(one == 0 || two == 0);
            assert!(is_answer(one) && is_answer(two), "{one}, {two}");
        }
        assert_eq!(detach(controller), 0);
    });
}

#[test]
fn m7_a_detach_and_a_detach_meet() {
    rounds(|_, _, controller, _| {
        let (one, two) = meet(|| detach(controller), || detach(controller));
        assert!(one == 0 || two == 0);
        assert!(is_answer(one) && is_answer(two), "{one}, {two}");
        assert!(!is_attached(controller), "both returned, so it is gone");
    });
}

#[test]
fn m7_a_detach_and_an_alloc_meet() {
    rounds(|_, _, controller, _| {
        // One that is made in time goes with the controller.
        let (_qpair, detached) = meet(|| alloc_on(controller), || detach(controller));
        assert_eq!(detached, 0);
    });
}

#[test]
fn m7_a_detach_and_the_connect_of_a_qpair_meet() {
    rounds(|_, _, controller, [qpair, _]| {
        disconnect(qpair);
        let (_connected, detached) = meet(|| connect_qpair(controller, qpair), || detach(controller));
        assert_eq!(detached, 0);
    });
}

#[test]
fn m7_a_free_and_the_connect_of_a_qpair_meet() {
    rounds(|_, _, controller, [qpair, _]| {
        disconnect(qpair);
        let (_connected, freed) = meet(|| connect_qpair(controller, qpair), || free(qpair));
        assert_eq!(freed, 0, "freed at once, or when the connect ends");
        assert_eq!(detach(controller), 0);
    });
}

/// Both get the same handle, and the controller is attached twice.
#[test]
fn m7_a_connect_and_a_connect_meet() {
    rounds(|peer, host, controller, _| {
        let port = peer.port;
        let attach = || Shared(connect(NQN, port, 1000 + host));
        let (one, two) = meet(attach, attach);
        assert!(!one.0.is_null() && one.0 == two.0, "one controller, one handle");
        assert_eq!(detach(one), 0);
        assert!(is_attached(one), "attached twice");
        assert_eq!(detach(two), 0);
        assert!(!is_attached(one));
        assert_eq!(detach(controller), 0);
    });
}

/// A controller that is attached again while it goes: the attempt is refused, or gives a new one.
#[test]
fn m7_a_connect_and_a_detach_meet() {
    rounds(|peer, host, controller, _| {
        let port = peer.port;
        let (again, detached) = meet(|| Shared(connect(NQN, port, host)), || detach(controller));
        assert_eq!(detached, 0);
        if !again.0.is_null() {
            assert_eq!(detach(again), 0);
        }
    });
}
