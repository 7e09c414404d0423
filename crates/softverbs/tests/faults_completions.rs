//! Completions that go wrong on demand: late, never, too late, with another status or content, twice, in another order. In virtual
//! time.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;

use common::*;
use rdma_sys::ibv_wc_status::*;
use rdma_sys::*;
use softverbs::{control, sim};

const MS: u64 = 1_000_000;
const ERR: u32 = 6;

fn world() -> std::sync::MutexGuard<'static, ()> {
    let guard = alone();
    sim::start(1);
    control("faults off").unwrap();
    guard
}

/// A message from `a` to `b`, posted on both sides.
fn message(p: &Pair, wr_id: u64) {
    p.b.recv(wr_id, 64 * wr_id as usize, 64);
    p.a.send(Send::send(wr_id, p.a.sge(0, 8)));
}

fn all(end: &End) -> Vec<(u64, u32)> {
    std::iter::from_fn(|| end.try_poll()).map(|wc| (wc.wr_id, wc.status)).collect()
}

fn qpn(end: &End) -> u32 {
    unsafe { (*end.qp).qp_num }
}

#[test]
fn a_completion_comes_late_and_those_behind_it_wait() {
    let _world = world();
    let p = Pair::new();
    control("wc send 2 late 5ms").unwrap();
    for id in 1..=3 {
        message(&p, id);
    }
    assert_eq!(all(&p.a), [(1, 0)]);
    assert_eq!(all(&p.b).len(), 3, "the other side's are on time");
    sim::advance(5 * MS - 1);
    assert_eq!(all(&p.a), []);
    sim::advance(1);
    assert_eq!(all(&p.a), [(2, 0), (3, 0)]);
    p.destroy();
}

#[test]
fn a_completion_comes_late_by_polls() {
    let _world = world();
    let p = Pair::new();
    control("wc recv late 3 polls").unwrap();
    message(&p, 1);
    for _ in 0..3 {
        assert!(p.b.try_poll().is_none());
    }
    assert_eq!(p.b.try_poll().unwrap().wr_id, 1);
    p.destroy();
}

#[test]
fn a_late_completion_notifies_when_it_comes() {
    let _world = world();
    let p = Pair::new();
    control("wc recv late 5ms").unwrap();
    assert_eq!(unsafe { ibv_req_notify_cq(p.b.cq, 0) }, 0);
    message(&p, 1);
    let before = sim::now();
    let (mut cq, mut context) = (null_mut(), null_mut());
    // The call waits, which moves the time.
    assert_eq!(unsafe { ibv_get_cq_event(p.b.comp, &mut cq, &mut context) }, 0);
    assert_eq!((cq, sim::now() - before), (p.b.cq, 5 * MS));
    unsafe { ibv_ack_cq_events(cq, 1) };
    assert_eq!(all(&p.b), [(1, 0)]);
    p.destroy();
}

#[test]
fn a_completion_never_comes() {
    let _world = world();
    let p = Pair::with(Shape { send_wr: 2, ..Shape::default() }, ALL);
    control("wc send 1 never").unwrap();
    message(&p, 1);
    message(&p, 2);
    sim::advance(10_000 * MS);
    assert_eq!(all(&p.a), [(2, 0)]);
    // A later one gives the slot of the lost one back.
    message(&p, 3);
    message(&p, 4);
    assert_eq!(all(&p.a), [(3, 0), (4, 0)]);
    p.destroy();
}

#[test]
fn a_flush_comes_once_the_queue_pair_is_gone() {
    let _world = world();
    let p = Pair::new();
    p.b.recv(1, 0, 64);
    p.b.recv(2, 0, 64);
    control("wc recv after destroy").unwrap();
    assert_eq!(p.b.modify(ERR), 0);
    assert_eq!(all(&p.b), []);
    let number = qpn(&p.b);
    unsafe { rdma_destroy_qp(p.b.id) };
    let first = p.b.try_poll().unwrap();
    assert_eq!((first.wr_id, first.status, first.qp_num), (1, IBV_WC_WR_FLUSH_ERR, number));
    assert_eq!(all(&p.b), [(2, IBV_WC_WR_FLUSH_ERR)]);
    p.destroy();
}

#[test]
fn completions_of_a_destroyed_queue_pair_stay_or_go() {
    let _world = world();
    for purge in [false, true] {
        let p = Pair::new();
        control(if purge { "purge on" } else { "purge off" }).unwrap();
        // One in the CQ, one held back that would come by time.
        control("wc recv 2 late 1ms").unwrap();
        message(&p, 1);
        message(&p, 2);
        unsafe { rdma_destroy_qp(p.b.id) };
        sim::advance(MS);
        assert_eq!(all(&p.b), if purge { vec![] } else { vec![(1, 0), (2, 0)] });
        p.destroy();
    }
}

#[test]
fn the_number_of_a_destroyed_queue_pair_is_used_again_while_its_completion_is_on_the_way() {
    let _world = world();
    let p = Pair::new();
    let number = qpn(&p.b);
    control("wc recv late 1ms").unwrap();
    message(&p, 1);
    assert!(p.b.try_poll().is_none(), "its completion is on the way");
    unsafe { rdma_destroy_qp(p.b.id) };
    control(&format!("next qp_num {number}")).unwrap();
    let mut attr: ibv_qp_init_attr = unsafe { std::mem::zeroed() };
    attr.send_cq = p.b.cq;
    attr.recv_cq = p.b.cq;
    attr.qp_type = ibv_qp_type::IBV_QPT_RC;
    let qp = unsafe { ibv_create_qp(p.b.pd, &mut attr) };
    assert_eq!(unsafe { (*qp).qp_num }, number);
    sim::advance(MS);
    let wc = p.b.try_poll().unwrap();
    assert_eq!((wc.wr_id, wc.qp_num), (1, number));
    assert_eq!(unsafe { ibv_destroy_qp(qp) }, 0);
    p.destroy();
}

#[test]
fn any_status_at_any_place_of_a_batch() {
    let _world = world();
    for (n, status, name) in [
        (1, IBV_WC_RNR_RETRY_EXC_ERR, "RNR_RETRY_EXC_ERR"),
        (2, IBV_WC_LOC_PROT_ERR, "LOC_PROT_ERR"),
        (3, IBV_WC_RETRY_EXC_ERR, "RETRY_EXC_ERR"),
        (3, IBV_WC_FATAL_ERR, "IBV_WC_FATAL_ERR"),
        (1, 77, "77"),
    ] {
        let p = Pair::new();
        control(&format!("wc send {n} status {name}")).unwrap();
        for id in 1..=3 {
            message(&p, id);
        }
        let expected: Vec<(u64, u32)> = (1..=3).map(|id| (id, if id == n { status } else { 0 })).collect();
        assert_eq!(all(&p.a), expected);
        assert_eq!(p.a.state(), 3, "only the completion lies");
        p.destroy();
    }
}

#[test]
fn a_failure_takes_the_queue_pair_with_it() {
    let _world = world();
    let p = Pair::new();
    p.a.recv(10, 0, 64);
    p.a.recv(11, 0, 64);
    control("wc send 2 error RETRY_EXC_ERR").unwrap();
    message(&p, 1);
    message(&p, 2);
    assert_eq!(
        all(&p.a),
        [(1, 0), (2, IBV_WC_RETRY_EXC_ERR), (10, IBV_WC_WR_FLUSH_ERR), (11, IBV_WC_WR_FLUSH_ERR)]
    );
    assert_eq!(p.a.state(), ERR);
    p.destroy();
}

#[test]
fn several_queue_pairs_fail_at_once() {
    let _world = world();
    let (p, q) = (Pair::new(), Pair::new());
    control("wc send 1-2 error RETRY_EXC_ERR").unwrap();
    message(&p, 1);
    message(&q, 1);
    for pair in [&p, &q] {
        assert_eq!((all(&pair.a), pair.a.state()), (vec![(1, IBV_WC_RETRY_EXC_ERR)], ERR));
    }
    p.a.destroy();
    p.b.destroy();
    unsafe { rdma_destroy_id(p.listener) };
    p.channel.destroy();
    q.destroy();
}

#[test]
fn success_after_the_error_state() {
    let _world = world();
    let p = Pair::new();
    p.b.recv(1, 0, 64);
    p.b.recv(2, 0, 64);
    control("wc recv 2 status SUCCESS").unwrap();
    assert_eq!(p.b.modify(ERR), 0);
    assert_eq!(all(&p.b), [(1, IBV_WC_WR_FLUSH_ERR), (2, IBV_WC_SUCCESS)]);
    p.destroy();
}

#[test]
fn forged_content() {
    let _world = world();
    let p = Pair::new();
    let (a, b) = (qpn(&p.a), qpn(&p.b));
    control("wc recv 1 set wr_id=+1000 byte_len=3 imm=7 flags=2 opcode=129").unwrap();
    control(&format!("wc qp {b} recv 1 never")).unwrap_err();
    control(&format!("wc recv qp {b} 2 set qp_num={a:#x}")).unwrap();
    control(&format!("wc recv qp {a} always never")).unwrap();
    message(&p, 1);
    let wc = p.b.try_poll().unwrap();
    let expected = Wc { wr_id: 1001, status: 0, opcode: 129, byte_len: 3, word: 7, flags: 2, qp_num: b };
    assert_eq!(wc, expected);
    message(&p, 2);
    let wc = p.b.try_poll().unwrap();
    assert_eq!((wc.wr_id, wc.qp_num), (2, a));
    control("faults off; wc send set wr_id=random").unwrap();
    message(&p, 3);
    assert_eq!(all(&p.a)[..2], [(1, 0), (2, 0)]);
    p.destroy();
}

#[test]
fn forged_bytes_in_a_receive() {
    let _world = world();
    let mut p = Pair::new();
    p.a.memory[..8].copy_from_slice(b"response");
    control("wc recv payload 2=0affff").unwrap();
    message(&p, 1);
    message(&p, 2);
    assert_eq!(&p.b.memory[64..72], b"re\x0a\xff\xffnse");
    assert_eq!(&p.b.memory[128..136], b"response");
    p.destroy();
}

#[test]
fn a_completion_comes_three_times() {
    let _world = world();
    let p = Pair::new();
    control("wc any 2 repeat 2").unwrap();
    message(&p, 1);
    // The receive completes before the send does.
    assert_eq!((all(&p.b), all(&p.a)), (vec![(1, 0)], vec![(1, 0); 3]));
    p.destroy();
}

/// Others tell a program's mistakes by the count of violations; what a fault brings about is none.
#[test]
fn a_queue_that_repeated_completions_overflow_is_no_mistake_of_the_program() {
    let _world = world();
    let p = Pair::new();
    control("wc send 1 repeat 1000").unwrap();
    message(&p, 1);
    assert_eq!(softverbs::ledger().violations, 0);
    p.destroy();
}

#[test]
fn either_side_sees_its_completion_first() {
    let _world = world();
    let p = Pair::new();
    control("wc send 1 late 1ms").unwrap();
    message(&p, 1);
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![(1, 0)]), "RECV before SEND");
    sim::advance(MS);
    assert_eq!(all(&p.a), [(1, 0)]);
    control("wc recv 1 late 1ms").unwrap();
    message(&p, 2);
    assert_eq!((all(&p.a), all(&p.b)), (vec![(2, 0)], vec![]), "SEND before RECV");
    sim::advance(MS);
    assert_eq!(all(&p.b), [(2, 0)]);
    // One is there as soon as the other is, and not before.
    control(&format!("wc recv after send qp {}; wc send late 1ms", qpn(&p.a))).unwrap();
    message(&p, 3);
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![]));
    sim::advance(MS);
    assert_eq!((all(&p.a), all(&p.b)), (vec![(3, 0)], vec![(3, 0)]));
    control("wc send after recv; wc recv late 2 polls").unwrap();
    message(&p, 4);
    assert_eq!(all(&p.a), []);
    assert_eq!((all(&p.b), all(&p.b), all(&p.b)), (vec![], vec![], vec![(4, 0)]));
    assert_eq!(all(&p.a), [(4, 0)]);
    p.destroy();
}

#[test]
fn a_shared_receive_queue_runs_dry() {
    let _world = world();
    let shape = Shape { srq: true, rnr_retry: 1, ..Shape::default() };
    let p = Pair::with(shape, ALL);
    // Its one receive is taken by a message whose completion never comes, and the QP goes.
    control("wc recv never").unwrap();
    message(&p, 1);
    p.a.send(Send::send(2, p.a.sge(0, 8)));
    assert_eq!(all(&p.a), [(1, 0)]);
    sim::advance(10_000 * MS);
    assert_eq!(all(&p.a), [(2, IBV_WC_RNR_RETRY_EXC_ERR)]);
    unsafe { rdma_destroy_qp(p.b.id) };
    assert_eq!(all(&p.b), []);
    p.destroy();
}

#[test]
fn a_receiver_is_waited_for_as_often_as_agreed() {
    // The longest timer, which librdmacm's queue pairs have, is 655.36 ms.
    const TIMER: u64 = 655_360_000;
    for times in [1, 3, 6] {
        let _world = world();
        let p = Pair::with(Shape { rnr_retry: times, ..Shape::default() }, ALL);
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        sim::advance(TIMER * u64::from(times) - 1);
        assert_eq!(all(&p.a), []);
        sim::advance(2);
        assert_eq!(all(&p.a), [(1, IBV_WC_RNR_RETRY_EXC_ERR)]);
        p.destroy();
    }
}

#[test]
fn what_is_held_back_comes_when_faults_are_off() {
    let _world = world();
    let p = Pair::new();
    control("wc send always after destroy; wc recv always late 1s").unwrap();
    message(&p, 1);
    message(&p, 2);
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![]));
    control("faults; faults off").unwrap();
    assert_eq!((all(&p.a), all(&p.b)), (vec![(1, 0), (2, 0)], vec![(1, 0), (2, 0)]));
    sim::advance(2_000 * MS);
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![]), "and does not come again");
    p.destroy();
}

#[test]
fn a_completion_from_before_a_reset_frees_nothing_after_it() {
    let _world = world();
    let p = Pair::with(Shape { send_wr: 2, ..Shape::default() }, ALL);
    message(&p, 1);
    message(&p, 2);
    assert_eq!(p.a.try_send(Send::send(3, p.a.sge(0, 8))), libc::ENOMEM);
    assert_eq!(p.a.modify(0), 0);
    assert_eq!(all(&p.a), [(1, 0), (2, 0)]);
    let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
    attr.qp_state = ibv_qp_state::IBV_QPS_INIT;
    attr.port_num = 1;
    assert_eq!(unsafe { ibv_modify_qp(p.a.qp, &mut attr, 1 | 1 << 3 | 1 << 4 | 1 << 5) }, 0);
    assert_eq!(p.a.modify(ERR), 0);
    for id in 4..6 {
        assert_eq!(p.a.try_send(Send::send(id, p.a.sge(0, 8))), 0);
    }
    assert_eq!(p.a.try_send(Send::send(6, p.a.sge(0, 8))), libc::ENOMEM);
    assert_eq!(all(&p.a), [(4, IBV_WC_WR_FLUSH_ERR), (5, IBV_WC_WR_FLUSH_ERR)]);
    p.destroy();
}

#[test]
fn queues_that_go_while_something_is_held_back() {
    let _world = world();
    let p = Pair::new();
    control("wc any always late 1s").unwrap();
    message(&p, 1);
    assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none(), "something is held back");
    p.destroy();
    sim::advance(2_000 * MS);
    control("faults off").unwrap();
    nothing_left(0);
}

#[test]
fn a_command_waits_for_a_completion() {
    let _world = world();
    let p = Pair::new();
    control("at wc recv 2: fail ibv_post_send always EIO").unwrap();
    message(&p, 1);
    message(&p, 2);
    assert_eq!(p.a.try_send(Send::send(3, p.a.sge(0, 8))), libc::EIO);
    control("faults off; after 3ms: fail ibv_post_recv EIO").unwrap();
    assert_eq!(p.b.try_recv(4, vec![]), 0);
    sim::advance(3 * MS);
    assert_eq!(p.b.try_recv(4, vec![]), libc::EIO);
    p.destroy();
}
