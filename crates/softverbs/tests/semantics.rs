//! Reliable connections in their corners: empty messages and segments, several segments, wrong ones that do not matter, events,
//! what is flushed, and whose protection domain counts.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use rdma_sys::ibv_wc_status::*;
use rdma_sys::ibv_wr_opcode::*;
use rdma_sys::*;

const ERR: u32 = 6;
const QP_REQ_ERR: u32 = 2;
const QP_ACCESS_ERR: u32 = 3;
const SRQ_LIMIT_REACHED: u32 = 15;
const LAST_WQE_REACHED: u32 = 16;

/// Runs each case carried out at once, and as frames.
fn both_ways(shape: Shape, run: impl Fn(&mut Pair)) {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 100us"] {
        let mut p = Pair::with(shape, ALL);
        softverbs::control(delay).unwrap();
        run(&mut p);
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

/// The next asynchronous event of all that librdmacm's context has.
fn next_async_event(end: &End) -> Option<(u32, usize)> {
    unsafe {
        let context = (*end.id).verbs;
        let mut poll = libc::pollfd { fd: (*context).async_fd, events: libc::POLLIN, revents: 0 };
        if libc::poll(&mut poll, 1, 0) == 0 {
            return None;
        }
        let mut event: ibv_async_event = std::mem::zeroed();
        assert_eq!(ibv_get_async_event(context, &mut event), 0);
        ibv_ack_async_event(&mut event);
        Some((event.event_type as u32, event.element.qp as usize))
    }
}

fn good(end: &End, wr_id: u64) -> Wc {
    let wc = end.poll();
    assert_eq!((wc.wr_id, wc.status), (wr_id, IBV_WC_SUCCESS));
    wc
}

#[test]
fn messages_of_no_bytes() {
    both_ways(Shape::default(), |p| {
        for id in 0..4 {
            assert_eq!(p.b.try_recv(id, vec![]), 0);
        }
        p.a.send(Send::new(10, IBV_WR_SEND, vec![]));
        p.a.send(Send { word: 7, ..Send::new(11, IBV_WR_SEND_WITH_IMM, vec![]) });
        // With no bytes to touch, neither address nor key is looked at.
        p.a.send(Send { address: 1, rkey: 1, ..Send::new(12, IBV_WR_RDMA_WRITE, vec![]) });
        p.a.send(Send { address: 1, rkey: 1, word: 8, ..Send::new(13, IBV_WR_RDMA_WRITE_WITH_IMM, vec![]) });
        p.a.send(Send { address: 1, rkey: 1, ..Send::new(14, IBV_WR_RDMA_READ, vec![]) });
        p.a.send(Send { flags: INLINE | SIGNALED, ..Send::new(15, IBV_WR_SEND, vec![]) });
        for id in 10..16 {
            assert_eq!(good(&p.a, id).byte_len, 0);
        }
        assert_eq!(good(&p.b, 0).flags, 0);
        assert_eq!((good(&p.b, 1).word, p.b.state()), (7, 3));
        let wc = good(&p.b, 2);
        assert_eq!((wc.opcode, wc.word, wc.byte_len), (129, 8, 0));
        good(&p.b, 3);
    });
}

#[test]
fn a_right_is_needed_even_for_no_bytes() {
    both_ways(Shape::default(), |p| {
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        attr.qp_access_flags = REMOTE_READ;
        assert_eq!(unsafe { ibv_modify_qp(p.b.qp, &mut attr, 8) }, 0);
        p.a.send(Send { address: 1, rkey: 1, ..Send::new(1, IBV_WR_RDMA_WRITE, vec![]) });
        assert_eq!(p.a.poll().status, IBV_WC_REM_INV_REQ_ERR);
        assert_eq!(p.b.state(), ERR);
        assert_eq!(next_async_event(&p.b), Some((QP_REQ_ERR, p.b.qp as usize)));
        assert_eq!(next_async_event(&p.b), None);
    });
}

#[test]
fn segments_of_no_bytes_and_segments_that_are_not_reached() {
    both_ways(Shape::default(), |p| {
        p.a.memory[..8].copy_from_slice(b"segments");
        let nowhere = |length| ibv_sge { addr: 1, length, lkey: 1 };
        // A length of 0 means no bytes here, not 2^31 as on some hardware.
        let list = vec![nowhere(0), p.a.sge(0, 3), nowhere(0), p.a.sge(3, 5)];
        // The message ends before the wrong segment of the receive.
        assert_eq!(p.b.try_recv(1, vec![p.b.sge(10, 4), nowhere(0), p.b.sge(20, 4), nowhere(50)]), 0);
        p.a.send(Send::new(2, IBV_WR_SEND, list));
        good(&p.a, 2);
        assert_eq!(good(&p.b, 1).byte_len, 8);
        assert_eq!((&p.b.memory[10..14], &p.b.memory[20..24]), (&b"segm"[..], &b"ents"[..]));
        // One byte more reaches it.
        assert_eq!(p.b.try_recv(3, vec![p.b.sge(10, 4), p.b.sge(20, 4), nowhere(50)]), 0);
        p.a.send(Send::new(4, IBV_WR_SEND, vec![p.a.sge(0, 9)]));
        assert_eq!(p.a.poll().status, IBV_WC_REM_OP_ERR);
        let wc = p.b.poll();
        assert_eq!((wc.wr_id, wc.status), (3, IBV_WC_LOC_PROT_ERR));
        assert_eq!((p.a.state(), p.b.state()), (ERR, ERR));
    });
}

#[test]
fn a_message_against_the_sum_of_its_receives_segments() {
    for (length, fits) in [(99, true), (100, true), (101, false), (70_000, false)] {
        both_ways(Shape::default(), |p| {
            for (i, byte) in p.a.memory.iter_mut().enumerate() {
                *byte = i as u8;
            }
            p.b.memory.fill(0xee);
            assert_eq!(p.b.try_recv(1, vec![p.b.sge(0, 40), p.b.sge(1000, 0), p.b.sge(2000, 60)]), 0);
            p.a.send(Send::send(2, p.a.sge(0, length)));
            if fits {
                good(&p.a, 2);
                assert_eq!(good(&p.b, 1).byte_len, length);
                assert!(p.b.memory[..40].iter().enumerate().all(|(i, b)| *b == i as u8));
                let second = &p.b.memory[2000..2000 + length as usize - 40];
                assert!(second.iter().enumerate().all(|(i, b)| *b == (40 + i) as u8));
                assert_eq!((p.b.memory[40], p.b.memory[2000 + length as usize - 40]), (0xee, 0xee));
            } else {
                assert_eq!(p.a.poll().status, IBV_WC_REM_INV_REQ_ERR);
                let wc = p.b.poll();
                assert_eq!(
                    (wc.wr_id, wc.status, wc.qp_num),
                    (1, IBV_WC_LOC_LEN_ERR, unsafe { (*p.b.qp).qp_num })
                );
                assert!(p.b.memory.iter().all(|b| *b == 0xee), "nothing was written");
            }
        });
    }
}

#[test]
fn an_error_is_told_even_if_success_would_not_be() {
    both_ways(Shape { sig_all: false, ..Shape::default() }, |p| {
        let quiet = |id, rkey| Send { flags: 0, ..Send::write(id, p.a.sge(0, 8), p.b.at(0), rkey) };
        p.a.send(quiet(1, p.b.rkey()));
        p.a.send(quiet(2, p.b.rkey() ^ 0x100));
        p.a.send(quiet(3, p.b.rkey()));
        let wc = p.a.poll();
        assert_eq!((wc.wr_id, wc.status, wc.qp_num), (2, IBV_WC_REM_ACCESS_ERR, unsafe { (*p.a.qp).qp_num }));
        let wc = p.a.poll();
        assert_eq!((wc.wr_id, wc.status, wc.qp_num), (3, IBV_WC_WR_FLUSH_ERR, unsafe { (*p.a.qp).qp_num }));
        assert!(p.a.try_poll().is_none());
        assert_eq!(p.b.state(), ERR);
        assert_eq!(next_async_event(&p.b), Some((QP_ACCESS_ERR, p.b.qp as usize)));
        assert_eq!(next_async_event(&p.b), None);
    });
}

#[test]
fn what_must_not_be_posted() {
    let _alone = alone();
    let p = Pair::new();
    let long = p.a.sge(0, 1 << 30);
    for wrong in [
        Send { flags: INLINE, ..Send::read(1, p.a.sge(0, 4), p.b.at(0), p.b.rkey()) },
        Send { flags: INLINE, ..Send::send(1, p.a.sge(0, 65)) },
        Send::new(1, IBV_WR_ATOMIC_CMP_AND_SWP, vec![p.a.sge(0, 8)]),
        Send::new(1, IBV_WR_ATOMIC_FETCH_AND_ADD, vec![p.a.sge(0, 8)]),
        Send::new(1, IBV_WR_LOCAL_INV, vec![]),
        Send::new(1, IBV_WR_BIND_MW, vec![]),
        Send::new(1, 77, vec![]),
        Send::new(1, IBV_WR_SEND, vec![p.a.sge(0, 1); 5]),
        Send::new(1, IBV_WR_SEND, vec![long, p.a.sge(0, 1)]),
    ] {
        let opcode = wrong.opcode;
        assert_eq!(p.a.try_send(wrong), libc::EINVAL, "opcode {opcode}");
    }
    assert_eq!(p.a.try_recv(1, vec![p.a.sge(0, 1); 5]), libc::EINVAL);
    for id in 0..16 {
        p.a.recv(id, 0, 8);
    }
    assert_eq!(p.a.try_recv(16, vec![]), libc::ENOMEM);
    assert_eq!((p.a.state(), p.a.try_poll()), (3, None));
    p.destroy();
}

#[test]
fn the_last_receive_of_a_shared_queue_is_announced() {
    both_ways(Shape { srq: true, ..Shape::default() }, |p| {
        p.b.recv(1, 0, 64);
        p.b.recv(2, 0, 64);
        p.a.send(Send::send(3, p.a.sge(0, 8)));
        good(&p.b, 1);
        good(&p.a, 3);
        assert_eq!(p.b.modify(ERR), 0);
        assert_eq!(next_async_event(&p.b), Some((LAST_WQE_REACHED, p.b.qp as usize)));
        assert!(p.b.try_poll().is_none(), "what is in the shared queue is not this queue pair's to flush");
        assert_eq!(p.b.modify(ERR), 0);
        assert_eq!(next_async_event(&p.b), None, "once");
    });
    both_ways(Shape::default(), |p| {
        assert_eq!(p.b.modify(ERR), 0);
        assert_eq!(next_async_event(&p.b), None, "it has a queue of its own");
    });
}

#[test]
fn a_shared_queue_that_runs_low_says_so_once() {
    both_ways(Shape { srq: true, ..Shape::default() }, |p| {
        for id in 0..4 {
            p.b.recv(id, 0, 64);
        }
        let mut attr = ibv_srq_attr { max_wr: 0, max_sge: 0, srq_limit: 3 };
        assert_eq!(unsafe { ibv_modify_srq(p.b.srq, &mut attr, 2) }, 0);
        p.a.send(Send::send(10, p.a.sge(0, 8)));
        good(&p.b, 0);
        good(&p.a, 10);
        assert_eq!(next_async_event(&p.b), None, "three are left");
        for id in 1..3 {
            p.a.send(Send::send(10, p.a.sge(0, 8)));
            good(&p.b, id);
            good(&p.a, 10);
        }
        assert_eq!(next_async_event(&p.b), Some((SRQ_LIMIT_REACHED, p.b.srq as usize)));
        assert_eq!(next_async_event(&p.b), None);
        assert_eq!(unsafe { ibv_query_srq(p.b.srq, &mut attr) }, 0);
        assert_eq!((attr.max_wr, attr.max_sge, attr.srq_limit), (16, 4, 0));
    });
}

/// The receives of a shared queue are checked against the queue's protection domain, not the queue pair's.
#[test]
fn a_shared_queue_has_a_protection_domain_of_its_own() {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 100us"] {
        for own in [true, false] {
            unsafe {
                let channel = Channel::new();
                let id = make_id(&channel);
                let mut addr = sockaddr("127.0.0.1:0");
                assert_eq!(rdma_bind_addr(id, (&raw mut addr).cast()), 0);
                let context = (*id).verbs;
                let (pd, other) = (ibv_alloc_pd(context), ibv_alloc_pd(context));
                let cq = ibv_create_cq(context, 16, std::ptr::null_mut(), std::ptr::null_mut(), 0);
                let mut memory = vec![0u8; 256];
                let at = memory.as_mut_ptr();
                let mr = ibv_reg_mr(pd, at.cast(), 256, ALL as i32);
                let of_srq = ibv_reg_mr(other, at.cast(), 256, ALL as i32);
                let mut init: ibv_srq_init_attr = std::mem::zeroed();
                init.attr.max_wr = 4;
                init.attr.max_sge = 1;
                let srq = ibv_create_srq(other, &mut init);
                let mut attr: ibv_qp_init_attr = std::mem::zeroed();
                attr.send_cq = cq;
                attr.recv_cq = cq;
                attr.qp_type = ibv_qp_type::IBV_QPT_RC;
                attr.sq_sig_all = 1;
                attr.cap.max_send_wr = 4;
                attr.cap.max_send_sge = 1;
                let sender = ibv_create_qp(pd, &mut attr);
                attr.srq = srq;
                let receiver = ibv_create_qp(pd, &mut attr);
                introduce(sender, receiver);
                introduce(receiver, sender);
                softverbs::control(delay).unwrap();
                let lkey = if own { (*of_srq).lkey } else { (*mr).lkey };
                let mut sge = ibv_sge { addr: at as u64 + 128, length: 64, lkey };
                let mut receive: ibv_recv_wr = std::mem::zeroed();
                receive.wr_id = 1;
                receive.sg_list = &mut sge;
                receive.num_sge = 1;
                let mut bad = std::ptr::null_mut();
                assert_eq!(ibv_post_srq_recv(srq, &mut receive, &mut bad), 0);
                let mut sge = ibv_sge { addr: at as u64, length: 64, lkey: (*mr).lkey };
                let mut send: ibv_send_wr = std::mem::zeroed();
                send.wr_id = 2;
                send.opcode = IBV_WR_SEND;
                send.sg_list = &mut sge;
                send.num_sge = 1;
                let mut bad = std::ptr::null_mut();
                assert_eq!(ibv_post_send(sender, &mut send, &mut bad), 0);
                let mut seen = Vec::new();
                let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
                while seen.len() < 2 {
                    let mut wc: ibv_wc = std::mem::zeroed();
                    if ibv_poll_cq(cq, 1, &mut wc) == 1 {
                        seen.push((wc.wr_id, wc.status));
                    }
                    assert!(std::time::Instant::now() < end);
                }
                seen.sort_unstable();
                let wrong = [(1, IBV_WC_LOC_PROT_ERR), (2, IBV_WC_REM_OP_ERR)];
                assert_eq!(seen, if own { [(1, IBV_WC_SUCCESS), (2, IBV_WC_SUCCESS)] } else { wrong });
                softverbs::control("delay off").unwrap();
                assert_eq!(ibv_destroy_qp(sender), 0);
                assert_eq!(ibv_destroy_qp(receiver), 0);
                assert_eq!(ibv_dealloc_pd(other), libc::EBUSY);
                assert_eq!(ibv_destroy_srq(srq), 0);
                assert_eq!(ibv_dereg_mr(of_srq), 0);
                assert_eq!(ibv_dealloc_pd(other), 0);
                assert_eq!(ibv_dereg_mr(mr), 0);
                assert_eq!(ibv_destroy_cq(cq), 0);
                assert_eq!(ibv_dealloc_pd(pd), 0);
                rdma_destroy_id(id);
                channel.destroy();
                nothing_left(0);
                // An event for the receiver that went to error, of a queue pair that is gone by now: nobody fetches it.
            }
        }
    }
}

/// Brings a queue pair up towards another without a connection manager.
fn introduce(qp: *mut ibv_qp, peer: *mut ibv_qp) {
    unsafe {
        let mut attr: ibv_qp_attr = std::mem::zeroed();
        attr.qp_state = 1;
        attr.port_num = 1;
        attr.qp_access_flags = ALL;
        assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 8 | 16 | 32), 0);
        attr.qp_state = 2;
        attr.path_mtu = 3;
        attr.dest_qp_num = (*peer).qp_num;
        attr.ah_attr.port_num = 1;
        attr.max_dest_rd_atomic = 1;
        assert_eq!(
            ibv_modify_qp(qp, &mut attr, 1 | 128 | 256 | (1 << 20) | (1 << 12) | (1 << 17) | (1 << 15)),
            0
        );
        attr.qp_state = 3;
        attr.timeout = 8;
        attr.retry_cnt = 1;
        attr.rnr_retry = 7;
        attr.max_rd_atomic = 1;
        let mask = 1 | (1 << 9) | (1 << 10) | (1 << 11) | (1 << 16) | (1 << 13);
        assert_eq!(ibv_modify_qp(qp, &mut attr, mask), 0);
    }
}

#[test]
fn requests_without_their_segments() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        let mut send: ibv_send_wr = std::mem::zeroed();
        (send.opcode, send.num_sge) = (IBV_WR_SEND, 1);
        let mut bad = std::ptr::null_mut();
        for num_sge in [1, 2] {
            send.num_sge = num_sge;
            assert_eq!(ibv_post_send(p.a.qp, &mut send, &mut bad), libc::EINVAL);
            assert_eq!(bad, &raw mut send);
            let mut recv: ibv_recv_wr = std::mem::zeroed();
            recv.num_sge = num_sge;
            let mut bad = std::ptr::null_mut();
            assert_eq!(ibv_post_recv(p.a.qp, &mut recv, &mut bad), libc::EINVAL);
            assert_eq!(bad, &raw mut recv);
        }
    }
    p.destroy();
}
