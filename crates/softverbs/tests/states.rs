//! The states of a queue pair: every change from every state, with every attribute missing or too many, and draining.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;

use common::*;
use rdma_sys::*;

const RESET: u32 = 0;
const INIT: u32 = 1;
const RTR: u32 = 2;
const RTS: u32 = 3;
const SQD: u32 = 4;
const SQE: u32 = 5;
const ERR: u32 = 6;

const STATE: i32 = 1;
const CUR_STATE: i32 = 1 << 1;
const NOTIFY: i32 = 1 << 2;
const ACCESS: i32 = 1 << 3;
const PKEY: i32 = 1 << 4;
const PORT: i32 = 1 << 5;
const QKEY: i32 = 1 << 6;
const AV: i32 = 1 << 7;
const MTU: i32 = 1 << 8;
const TIMEOUT: i32 = 1 << 9;
const RETRY: i32 = 1 << 10;
const RNR_RETRY: i32 = 1 << 11;
const RQ_PSN: i32 = 1 << 12;
const READS: i32 = 1 << 13;
const ALT: i32 = 1 << 14;
const RNR_TIMER: i32 = 1 << 15;
const SQ_PSN: i32 = 1 << 16;
const DEST_READS: i32 = 1 << 17;
const MIG: i32 = 1 << 18;
const CAP: i32 = 1 << 19;
const DEST: i32 = 1 << 20;

/// What Linux takes for RC: from, to, what must be given, what may be.
const LEGAL: [(u32, u32, i32, i32); 22] = [
    (RESET, RESET, 0, 0),
    (RESET, INIT, PKEY | PORT | ACCESS, 0),
    (INIT, RESET, 0, 0),
    (INIT, ERR, 0, 0),
    (INIT, INIT, 0, PKEY | PORT | ACCESS),
    (INIT, RTR, AV | MTU | DEST | RQ_PSN | DEST_READS | RNR_TIMER, ALT | ACCESS | PKEY),
    (RTR, RESET, 0, 0),
    (RTR, ERR, 0, 0),
    (RTR, RTS, TIMEOUT | RETRY | RNR_RETRY | SQ_PSN | READS, CUR_STATE | ALT | ACCESS | RNR_TIMER | MIG),
    (RTS, RESET, 0, 0),
    (RTS, ERR, 0, 0),
    (RTS, RTS, 0, CUR_STATE | ACCESS | ALT | MIG | RNR_TIMER),
    (RTS, SQD, 0, NOTIFY),
    (SQD, RESET, 0, 0),
    (SQD, ERR, 0, 0),
    (SQD, RTS, 0, CUR_STATE | ALT | ACCESS | RNR_TIMER | MIG),
    (
        SQD,
        SQD,
        0,
        PORT | AV | TIMEOUT | RETRY | RNR_RETRY | READS | DEST_READS | ACCESS | PKEY | RNR_TIMER | ALT | MIG,
    ),
    // No RC queue pair ever is in SQE.
    (SQE, RESET, 0, 0),
    (SQE, ERR, 0, 0),
    (SQE, RTS, 0, 0),
    (ERR, RESET, 0, 0),
    (ERR, ERR, 0, 0),
];

/// Queue pairs that nobody introduced to each other.
struct Bare {
    context: *mut ibv_context,
    pd: *mut ibv_pd,
    cq: *mut ibv_cq,
    peer: *mut ibv_qp,
}

impl Bare {
    fn new() -> Self {
        unsafe {
            let list = ibv_get_device_list(null_mut());
            let context = ibv_open_device(*list);
            ibv_free_device_list(list);
            let pd = ibv_alloc_pd(context);
            let cq = ibv_create_cq(context, 16, null_mut(), null_mut(), 0);
            let mut bare = Self { context, pd, cq, peer: null_mut() };
            bare.peer = bare.qp();
            bare
        }
    }

    fn qp(&self) -> *mut ibv_qp {
        unsafe {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = self.cq;
            init.recv_cq = self.cq;
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            init.cap.max_send_wr = 4;
            init.cap.max_recv_wr = 4;
            init.cap.max_send_sge = 1;
            init.cap.max_recv_sge = 1;
            let qp = ibv_create_qp(self.pd, &mut init);
            assert!(!qp.is_null());
            qp
        }
    }

    /// Attributes that are all right.
    fn attr(&self, to: u32, from: u32) -> ibv_qp_attr {
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        attr.qp_state = to;
        attr.cur_qp_state = from;
        attr.port_num = 1;
        attr.path_mtu = 3;
        attr.dest_qp_num = unsafe { (*self.peer).qp_num };
        attr.ah_attr.port_num = 1;
        attr.timeout = 14;
        attr.retry_cnt = 7;
        attr.rnr_retry = 7;
        attr.max_rd_atomic = 1;
        attr.max_dest_rd_atomic = 1;
        attr.min_rnr_timer = 12;
        attr
    }

    /// A queue pair in this state.
    fn in_state(&self, state: u32) -> *mut ibv_qp {
        let qp = self.qp();
        let way: &[u32] = match state {
            RESET => &[],
            INIT => &[INIT],
            RTR => &[INIT, RTR],
            RTS => &[INIT, RTR, RTS],
            SQD => &[INIT, RTR, RTS, SQD],
            ERR => &[INIT, ERR],
            _ => panic!("no RC queue pair gets there"),
        };
        let mut from = RESET;
        for &to in way {
            let (_, _, required, _) = LEGAL.into_iter().find(|l| (l.0, l.1) == (from, to)).unwrap();
            assert_eq!(self.change(qp, from, to, STATE | required), 0, "{from} to {to}");
            from = to;
        }
        assert_eq!(state_of(qp), state);
        qp
    }

    fn change(&self, qp: *mut ibv_qp, from: u32, to: u32, mask: i32) -> i32 {
        unsafe { ibv_modify_qp(qp, &mut self.attr(to, from), mask) }
    }

    fn destroy(self) {
        unsafe {
            assert_eq!(ibv_destroy_qp(self.peer), 0);
            assert_eq!(ibv_destroy_cq(self.cq), 0);
            assert_eq!(ibv_dealloc_pd(self.pd), 0);
            assert_eq!(ibv_close_device(self.context), 0);
        }
        nothing_left(0);
    }
}

fn state_of(qp: *mut ibv_qp) -> u32 {
    let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
    let mut init: ibv_qp_init_attr = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { ibv_query_qp(qp, &mut attr, 0, &mut init) }, 0);
    assert_eq!((attr.qp_state, attr.cur_qp_state), (unsafe { (*qp).state }, attr.qp_state));
    attr.qp_state
}

#[test]
fn every_change_from_every_state() {
    let _alone = alone();
    let bare = Bare::new();
    for from in [RESET, INIT, RTR, RTS, SQD, ERR] {
        for to in RESET..=ERR + 1 {
            let legal = LEGAL.into_iter().find(|l| (l.0, l.1) == (from, to));
            let refused = |qp, mask, why: &str| {
                assert_eq!(bare.change(qp, from, to, STATE | mask), libc::EINVAL, "{from} to {to}: {why}");
                assert_eq!(state_of(qp), from);
            };
            let qp = bare.in_state(from);
            let Some((_, _, required, optional)) = legal else {
                for mask in [0, PKEY | PORT | ACCESS, AV | MTU | DEST | RQ_PSN | DEST_READS | RNR_TIMER] {
                    refused(qp, mask, "no such change");
                }
                refused(qp, TIMEOUT | RETRY | RNR_RETRY | SQ_PSN | READS, "no such change");
                assert_eq!(unsafe { ibv_destroy_qp(qp) }, 0);
                continue;
            };
            for bit in (1..=20).map(|n| 1 << n) {
                if required & bit != 0 {
                    refused(qp, required & !bit, "one attribute is missing");
                } else if optional & bit == 0 {
                    refused(qp, required | bit, "one attribute too many");
                } else {
                    let other = bare.in_state(from);
                    let given = STATE | required | bit;
                    assert_eq!(bare.change(other, from, to, given), 0, "{from} to {to} with {bit:#x}");
                    assert_eq!(state_of(other), to);
                    assert_eq!(unsafe { ibv_destroy_qp(other) }, 0);
                }
            }
            if optional & CUR_STATE != 0 {
                let wrong = bare.change(qp, from ^ 1, to, STATE | required | CUR_STATE);
                assert_eq!(wrong, libc::EINVAL, "{from} to {to}: it is in another state");
                assert_eq!(state_of(qp), from);
            }
            assert_eq!(bare.change(qp, from, to, STATE | required), 0, "{from} to {to}");
            assert_eq!(state_of(qp), to);
            assert_eq!(unsafe { ibv_destroy_qp(qp) }, 0);
        }
    }
    assert_eq!(QKEY | CAP, 0x8_0040, "tried above as bits like any other");
    bare.destroy();
}

#[test]
fn attributes_out_of_range() {
    type Edit = fn(&mut ibv_qp_attr);
    let _alone = alone();
    let bare = Bare::new();
    let wrong: [(u32, u32, Edit); 14] = [
        (RESET, INIT, |a| a.port_num = 0),
        (RESET, INIT, |a| a.port_num = 2),
        (RESET, INIT, |a| a.pkey_index = 1),
        (INIT, RTR, |a| a.path_mtu = 0),
        (INIT, RTR, |a| a.path_mtu = 6),
        (INIT, RTR, |a| a.ah_attr.port_num = 0),
        (INIT, RTR, |a| a.ah_attr.port_num = 2),
        (INIT, RTR, |a| a.max_dest_rd_atomic = 129),
        (INIT, RTR, |a| a.min_rnr_timer = 32),
        (RTR, RTS, |a| a.timeout = 32),
        (RTR, RTS, |a| a.retry_cnt = 8),
        (RTR, RTS, |a| a.rnr_retry = 8),
        (RTR, RTS, |a| a.max_rd_atomic = 129),
        (RTS, 99, |_| ()),
    ];
    for (n, (from, to, edit)) in wrong.into_iter().enumerate() {
        let qp = bare.in_state(from);
        let required = LEGAL.into_iter().find(|l| (l.0, l.1) == (from, to)).map_or(0, |l| l.2);
        let mut attr = bare.attr(to, from);
        edit(&mut attr);
        assert_eq!(unsafe { ibv_modify_qp(qp, &mut attr, STATE | required) }, libc::EINVAL, "case {n}");
        assert_eq!(state_of(qp), from);
        assert_eq!(unsafe { ibv_destroy_qp(qp) }, 0);
    }
    bare.destroy();
}

#[test]
fn what_may_be_posted_in_which_state() {
    let _alone = alone();
    let bare = Bare::new();
    for (state, sends, receives) in [
        (RESET, libc::EINVAL, libc::EINVAL),
        (INIT, libc::EINVAL, 0),
        (RTR, libc::EINVAL, 0),
        (RTS, 0, 0),
        (SQD, 0, 0),
        (ERR, 0, 0),
    ] {
        let qp = bare.in_state(state);
        unsafe {
            let mut receive: ibv_recv_wr = std::mem::zeroed();
            receive.wr_id = 7;
            let mut bad = null_mut();
            assert_eq!(ibv_post_recv(qp, &mut receive, &mut bad), receives, "receive in {state}");
            assert_eq!(bad, if receives == 0 { null_mut() } else { &raw mut receive });
            let mut send: ibv_send_wr = std::mem::zeroed();
            send.wr_id = 8;
            send.opcode = ibv_wr_opcode::IBV_WR_SEND;
            let mut bad = null_mut();
            assert_eq!(ibv_post_send(qp, &mut send, &mut bad), sends, "send in {state}");
            assert_eq!(bad, if sends == 0 { null_mut() } else { &raw mut send });
            let mut wc: [ibv_wc; 3] = std::mem::zeroed();
            let done = ibv_poll_cq(bare.cq, 3, wc.as_mut_ptr());
            assert_eq!(done, if state == ERR { 2 } else { 0 }, "in ERR all is flushed at once");
            for w in &wc[..done as usize] {
                assert_eq!((w.status, w.qp_num), (ibv_wc_status::IBV_WC_WR_FLUSH_ERR, (*qp).qp_num));
            }
            assert_eq!((wc[0].wr_id, wc[1].wr_id), if state == ERR { (7, 8) } else { (0, 0) });
            // RESET forgets what was posted.
            if state != RESET {
                assert_eq!(bare.change(qp, state, RESET, STATE), 0);
            }
            assert_eq!(ibv_destroy_qp(qp), 0);
            assert_eq!(ibv_poll_cq(bare.cq, 3, wc.as_mut_ptr()), 0);
        }
    }
    bare.destroy();
}

fn next_async_event(context: *mut ibv_context) -> Option<u32> {
    unsafe {
        let mut poll = libc::pollfd { fd: (*context).async_fd, events: libc::POLLIN, revents: 0 };
        if libc::poll(&mut poll, 1, 0) == 0 {
            return None;
        }
        let mut event: ibv_async_event = std::mem::zeroed();
        assert_eq!(ibv_get_async_event(context, &mut event), 0);
        ibv_ack_async_event(&mut event);
        Some(event.event_type as u32)
    }
}

fn modify(end: &End, state: u32, mask: i32, notify: u8) {
    let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
    attr.qp_state = state;
    attr.en_sqd_async_notify = notify;
    assert_eq!(unsafe { ibv_modify_qp(end.qp, &mut attr, mask) }, 0);
}

fn is_draining(end: &End) -> bool {
    let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
    let mut init: ibv_qp_init_attr = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { ibv_query_qp(end.qp, &mut attr, 0, &mut init) }, 0);
    assert_eq!(attr.qp_state, SQD);
    attr.sq_draining != 0
}

#[test]
fn a_send_queue_drains_and_goes_on() {
    const SQ_DRAINED: u32 = 5;
    let _alone = alone();
    for notify in [1, 0] {
        let p = Pair::new();
        let context = unsafe { (*p.a.id).verbs };
        softverbs::control("delay data tx 100s").unwrap();
        p.b.recv(10, 0, 200_000);
        p.a.send(Send::send(1, p.a.sge(0, 200_000)));
        p.a.send(Send::read(2, p.a.sge(0, 100), p.b.at(0), p.b.rkey()));
        modify(&p.a, SQD, STATE | NOTIFY, notify);
        assert!(is_draining(&p.a));
        p.a.send(Send::write(3, p.a.sge(0, 100), p.b.at(500_000), p.b.rkey()));
        assert_eq!(next_async_event(context), None);
        softverbs::control("delay off; clock jump 100s").unwrap();
        assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (1, 2), "what was begun is finished");
        assert!(!is_draining(&p.a));
        assert_eq!(next_async_event(context), (notify == 1).then_some(SQ_DRAINED));
        // The peer is still answered, and what was posted meanwhile waits.
        p.a.recv(11, 0, 64);
        p.b.send(Send::send(4, p.b.sge(0, 8)));
        assert_eq!((p.b.poll().wr_id, p.b.poll().wr_id, p.a.poll().wr_id), (10, 4, 11));
        assert!(p.a.try_poll().is_none());
        modify(&p.a, RTS, STATE, 0);
        let wc = p.a.poll();
        assert_eq!((wc.wr_id, wc.status), (3, 0));
        assert_eq!(next_async_event(context), None);
        // With nothing on the way it is drained at once.
        modify(&p.a, SQD, STATE | NOTIFY, notify);
        assert!(!is_draining(&p.a));
        assert_eq!(next_async_event(context), (notify == 1).then_some(SQ_DRAINED));
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

#[test]
fn a_send_that_waits_for_a_receive_is_still_sent_while_draining() {
    let _alone = alone();
    let p = Pair::new();
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    p.a.send(Send::send(2, p.a.sge(0, 8)));
    modify(&p.a, SQD, STATE, 0);
    assert!(is_draining(&p.a));
    p.b.recv(10, 0, 64);
    p.b.recv(11, 0, 64);
    assert_eq!(p.a.poll().wr_id, 1);
    assert!(p.a.try_poll().is_none() && !is_draining(&p.a));
    modify(&p.a, RTS, STATE, 0);
    assert_eq!(p.a.poll().wr_id, 2);
    p.destroy();
}

#[test]
fn a_silent_peer_is_noticed_while_draining() {
    let _alone = alone();
    let p = Pair::new();
    softverbs::control("delay data tx 100s").unwrap();
    p.a.send(Send::write(1, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    modify(&p.a, SQD, STATE, 0);
    p.a.send(Send::write(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    assert_eq!(p.b.modify(ERR), 0);
    softverbs::control("delay off; clock jump 100s").unwrap();
    let first = p.a.poll();
    assert_eq!((first.wr_id, first.status), (1, ibv_wc_status::IBV_WC_RETRY_EXC_ERR));
    assert_eq!((p.a.poll().wr_id, p.a.state()), (2, ERR));
    softverbs::control("delay off").unwrap();
    p.destroy();
    // Drained, it waits for nothing.
    let p = Pair::new();
    modify(&p.a, SQD, STATE, 0);
    p.a.send(Send::write(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    assert_eq!(p.b.modify(ERR), 0);
    // Another one, which is not drained, notices what began later.
    let later = Pair::new();
    assert_eq!(later.b.modify(ERR), 0);
    later.a.send(Send::write(3, later.a.sge(0, 8), later.b.at(0), later.b.rkey()));
    assert_eq!(later.a.poll().status, ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
    later.give_back();
    assert!(p.a.try_poll().is_none());
    modify(&p.a, RTS, STATE, 0);
    assert_eq!(p.a.poll().status, ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
    p.destroy();
}
