//! Each error completion, who sees it, and what it does to the queue pairs.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use rdma_sys::ibv_wc_status::*;
use rdma_sys::*;

const ERR: u32 = 6;
const RTS: u32 = 3;

/// Runs each case carried out at once, and as frames.
fn both_ways(shape: Shape, rights: u32, run: impl Fn(&Pair)) {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 100us", "delay data tx 100us"] {
        let p = Pair::with(shape, rights);
        softverbs::control(delay).unwrap();
        run(&p);
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

/// The failed send, then the flushed rest: what the requester sees of an error.
fn expect_failure(end: &End, wr_id: u64, status: u32, flushed: &[u64]) {
    let wc = end.poll();
    assert_eq!((wc.wr_id, wc.status), (wr_id, status));
    // Which queue is flushed first is not said; and what is posted after the error is flushed then.
    let mut rest: Vec<u64> = Vec::new();
    for _ in flushed {
        let wc = end.poll();
        assert_eq!(wc.status, IBV_WC_WR_FLUSH_ERR);
        rest.push(wc.wr_id);
    }
    rest.sort_unstable();
    assert_eq!(rest, flushed);
    assert!(end.try_poll().is_none());
    assert_eq!(end.state(), ERR);
}

#[test]
fn a_message_longer_than_its_receive() {
    both_ways(Shape::default(), ALL, |p| {
        p.b.recv(1, 0, 10);
        p.b.recv(2, 0, 10);
        p.a.recv(50, 0, 10);
        p.a.send(Send::send(3, p.a.sge(0, 11)));
        p.a.send(Send::send(4, p.a.sge(0, 1)));
        expect_failure(&p.a, 3, IBV_WC_REM_INV_REQ_ERR, &[4, 50]);
        expect_failure(&p.b, 1, IBV_WC_LOC_LEN_ERR, &[2]);
    });
}

#[test]
fn a_local_key_that_is_wrong() {
    for wrong in 0..6 {
        both_ways(Shape::default(), ALL, |p| {
            p.b.recv(1, 0, 64);
            p.a.send(Send::write(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
            let good = p.a.sge(0, 8);
            let sge = match wrong {
                0 => ibv_sge { lkey: good.lkey ^ 0x10, ..good },
                1 => ibv_sge { lkey: p.b.lkey(), ..good },
                2 => ibv_sge { lkey: p.a.rkey(), ..good },
                3 => ibv_sge { addr: good.addr - 1, ..good },
                4 => p.a.sge(MEMORY - 7, 8),
                _ => ibv_sge { addr: u64::MAX - 3, ..good },
            };
            p.a.send(Send::send(3, sge));
            p.a.send(Send::send(4, good));
            assert_eq!(p.a.poll().status, IBV_WC_SUCCESS);
            expect_failure(&p.a, 3, IBV_WC_LOC_PROT_ERR, &[4]);
            assert!(p.b.try_poll().is_none(), "nothing may have left");
            assert_eq!(p.b.state(), RTS);
        });
    }
}

#[test]
fn reading_into_memory_that_may_not_be_written() {
    both_ways(Shape::default(), ALL, |p| unsafe {
        let readable = ibv_reg_mr(p.a.pd, p.a.memory.as_ptr() as *mut _, 4096, 0);
        let sge = ibv_sge { lkey: (*readable).lkey, ..p.a.sge(0, 8) };
        p.a.send(Send::write(1, sge, p.b.at(0), p.b.rkey()));
        assert_eq!(p.a.poll().status, IBV_WC_SUCCESS);
        p.a.send(Send::read(2, sge, p.b.at(0), p.b.rkey()));
        expect_failure(&p.a, 2, IBV_WC_LOC_PROT_ERR, &[]);
        assert_eq!(ibv_dereg_mr(readable), 0);
    });
}

#[test]
fn a_receive_whose_key_is_wrong() {
    both_ways(Shape::default(), ALL, |p| {
        let sge = ibv_sge { lkey: p.b.lkey() ^ 0x10, ..p.b.sge(0, 64) };
        assert_eq!(p.b.try_recv(1, vec![sge]), 0);
        p.a.send(Send::send(2, p.a.sge(0, 8)));
        expect_failure(&p.a, 2, IBV_WC_REM_OP_ERR, &[]);
        expect_failure(&p.b, 1, IBV_WC_LOC_PROT_ERR, &[]);
    });
}

#[test]
fn a_remote_key_that_is_wrong() {
    for wrong in 0..6 {
        for read in [false, true] {
            both_ways(Shape::default(), ALL, |p| {
                p.b.recv(77, 0, 8);
                let (address, rkey) = match wrong {
                    0 => (p.b.at(0), p.b.rkey() ^ 0x10),
                    1 => (p.b.at(0), p.b.lkey()),
                    2 => (p.b.at(0), p.a.rkey()),
                    3 => (p.b.at(0) - 1, p.b.rkey()),
                    4 => (p.b.at(MEMORY - 7), p.b.rkey()),
                    _ => (u64::MAX - 3, p.b.rkey()),
                };
                p.a.send(if read {
                    Send::read(1, p.a.sge(0, 8), address, rkey)
                } else {
                    Send::write(1, p.a.sge(0, 8), address, rkey)
                });
                p.a.send(Send::send(2, p.a.sge(0, 8)));
                expect_failure(&p.a, 1, IBV_WC_REM_ACCESS_ERR, &[2]);
                expect_failure(&p.b, 77, IBV_WC_WR_FLUSH_ERR, &[]);
            });
        }
    }
}

#[test]
fn a_right_that_the_region_does_not_give() {
    both_ways(Shape::default(), LOCAL_WRITE | REMOTE_READ, |p| {
        p.a.send(Send::read(1, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        assert_eq!(p.a.poll().status, IBV_WC_SUCCESS);
        p.a.send(Send::write(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        expect_failure(&p.a, 2, IBV_WC_REM_ACCESS_ERR, &[]);
    });
    both_ways(Shape::default(), LOCAL_WRITE | REMOTE_WRITE, |p| {
        p.a.send(Send::read(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        expect_failure(&p.a, 2, IBV_WC_REM_ACCESS_ERR, &[]);
    });
}

#[test]
fn a_right_that_the_queue_pair_does_not_give() {
    both_ways(Shape::default(), ALL, |p| {
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        attr.qp_access_flags = REMOTE_WRITE;
        assert_eq!(unsafe { ibv_modify_qp(p.b.qp, &mut attr, 8) }, 0);
        p.a.send(Send::write(1, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        assert_eq!(p.a.poll().status, IBV_WC_SUCCESS);
        p.a.send(Send::read(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        expect_failure(&p.a, 2, IBV_WC_REM_INV_REQ_ERR, &[]);
    });
}

#[test]
fn reading_where_no_reads_were_agreed() {
    both_ways(Shape { reads: 0, ..Shape::default() }, ALL, |p| {
        p.a.send(Send::read(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
        expect_failure(&p.a, 2, IBV_WC_LOC_QP_OP_ERR, &[]);
    });
}

#[test]
fn memory_that_was_deregistered_is_out_of_reach() {
    both_ways(Shape::default(), ALL, |p| unsafe {
        let mut other = vec![0u8; 64];
        let mr = ibv_reg_mr(p.b.pd, other.as_mut_ptr().cast(), 64, ALL as i32);
        let (address, rkey) = (other.as_ptr() as u64, (*mr).rkey);
        p.a.send(Send::write(1, p.a.sge(0, 8), address, rkey));
        assert_eq!(p.a.poll().status, IBV_WC_SUCCESS);
        assert_eq!(ibv_dereg_mr(mr), 0);
        let mr = ibv_reg_mr(p.b.pd, other.as_mut_ptr().cast(), 64, ALL as i32);
        p.a.send(Send::write(2, p.a.sge(0, 8), address, rkey));
        expect_failure(&p.a, 2, IBV_WC_REM_ACCESS_ERR, &[]);
        assert_eq!(ibv_dereg_mr(mr), 0);
    });
}

#[test]
fn no_receive_in_time() {
    both_ways(Shape { rnr_retry: 0, ..Shape::default() }, ALL, |p| {
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        expect_failure(&p.a, 1, IBV_WC_RNR_RETRY_EXC_ERR, &[]);
        assert_eq!(p.b.state(), RTS, "the receiver did nothing wrong");
    });
    // One retry, after the longest time there is. (Which time counts as that is in `sim.rs`.)
    both_ways(Shape { rnr_retry: 1, ..Shape::default() }, ALL, |p| {
        p.a.send(Send::send(3, p.a.sge(0, 8)));
        p.a.send(Send::send(4, p.a.sge(0, 8)));
        expect_failure(&p.a, 3, IBV_WC_RNR_RETRY_EXC_ERR, &[4]);
    });
}

#[test]
fn a_peer_in_error_does_not_answer() {
    both_ways(Shape::default(), ALL, |p| {
        p.b.recv(50, 0, 8);
        assert_eq!(p.b.modify(ERR), 0);
        expect_failure(&p.b, 50, IBV_WC_WR_FLUSH_ERR, &[]);
        p.a.recv(60, 0, 8);
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        p.a.send(Send::send(2, p.a.sge(0, 8)));
        expect_failure(&p.a, 1, IBV_WC_RETRY_EXC_ERR, &[2, 60]);
    });
}

#[test]
fn a_send_that_waits_for_a_receive_fails_when_the_peer_goes_to_error() {
    both_ways(Shape::default(), ALL, |p| {
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        let_all_arrive();
        assert_eq!(p.b.modify(ERR), 0);
        expect_failure(&p.a, 1, IBV_WC_RETRY_EXC_ERR, &[]);
    });
}

#[test]
fn error_flushes_both_queues_in_order_and_later_posts_too() {
    let _alone = alone();
    let p = Pair::new();
    p.a.recv(1, 0, 8);
    p.a.recv(2, 0, 8);
    p.a.send(Send::send(3, p.a.sge(0, 8)));
    p.a.send(Send::send(4, p.a.sge(0, 8)));
    assert_eq!(p.a.modify(ERR), 0);
    let seen: Vec<_> = (0..4).map(|_| p.a.poll()).map(|w| (w.wr_id, w.status)).collect();
    assert_eq!(seen, [3, 4, 1, 2].map(|i| (i, IBV_WC_WR_FLUSH_ERR)));
    p.a.send(Send::send(5, p.a.sge(0, 8)));
    p.a.recv(6, 0, 8);
    assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (5, 6));
    assert_eq!(p.a.modify(ERR), 0);
    assert!(p.a.try_poll().is_none(), "flushed once");
    p.destroy();
}

#[test]
fn a_destroyed_peer_does_not_answer() {
    let _alone = alone();
    let p = Pair::new();
    unsafe { rdma_destroy_qp(p.b.id) };
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!(p.a.poll().status, IBV_WC_RETRY_EXC_ERR);
    p.a.destroy();
    unsafe {
        assert_eq!(ibv_dereg_mr(p.b.mr), 0);
        assert_eq!(ibv_destroy_cq(p.b.cq), 0);
        assert_eq!(ibv_destroy_comp_channel(p.b.comp), 0);
        assert_eq!(ibv_dealloc_pd(p.b.pd), 0);
        assert_eq!(rdma_destroy_id(p.b.id), 0);
        rdma_destroy_id(p.listener);
    }
    p.channel.destroy();
    nothing_left(0);
}

#[test]
fn a_completion_queue_that_overflows_says_so() {
    let _alone = alone();
    let before = softverbs::ledger().violations;
    let p = Pair::with(Shape { cqe: 2, ..Shape::default() }, ALL);
    for id in 0..3 {
        p.a.send(Send::write(id, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    }
    assert_eq!(softverbs::ledger().violations, before + 1);
    unsafe {
        let mut event: ibv_async_event = std::mem::zeroed();
        let mut poll = libc::pollfd { fd: (*(*p.a.id).verbs).async_fd, events: libc::POLLIN, revents: 0 };
        assert_eq!(libc::poll(&mut poll, 1, 10_000), 1, "an event tells of it");
        assert_eq!(ibv_get_async_event((*p.a.id).verbs, &mut event), 0);
        assert_eq!(event.event_type as u32, 0);
        assert_eq!(event.element.cq, p.a.cq);
        ibv_ack_async_event(&mut event);
    }
    assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (0, 1));
    assert!(p.a.try_poll().is_none());
    p.a.destroy();
    p.b.destroy();
    unsafe { rdma_destroy_id(p.listener) };
    p.channel.destroy();
    nothing_left(1);
}

#[test]
fn completions_outlive_their_queue_pair_unless_told_otherwise() {
    let _alone = alone();
    for (command, left) in [("purge off", 2), ("purge on", 0)] {
        softverbs::control(command).unwrap();
        let p = Pair::new();
        p.a.recv(1, 0, 8);
        p.a.recv(2, 0, 8);
        assert_eq!(p.a.modify(ERR), 0);
        unsafe { rdma_destroy_qp(p.a.id) };
        let mut seen = 0;
        while p.a.try_poll().is_some() {
            seen += 1;
        }
        assert_eq!(seen, left);
        unsafe {
            assert_eq!(ibv_dereg_mr(p.a.mr), 0);
            assert_eq!(ibv_destroy_cq(p.a.cq), 0);
            assert_eq!(ibv_destroy_comp_channel(p.a.comp), 0);
            assert_eq!(ibv_dealloc_pd(p.a.pd), 0);
            assert_eq!(rdma_destroy_id(p.a.id), 0);
        }
        p.b.destroy();
        unsafe { rdma_destroy_id(p.listener) };
        p.channel.destroy();
    }
}
