//! Two ends in one process: what goes right.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use rdma_sys::*;

const SUCCESS: u32 = ibv_wc_status::IBV_WC_SUCCESS;

fn pattern(memory: &mut [u8], seed: usize) {
    for (i, byte) in memory.iter_mut().enumerate() {
        *byte = (i * 7 + i / 251 + seed) as u8;
    }
}

#[test]
fn send_lands_in_the_posted_receive() {
    let _alone = alone();
    let mut p = Pair::new();
    p.a.memory[..5].copy_from_slice(b"hello");
    p.b.recv(7, 100, 50);
    p.a.send(Send::send(3, p.a.sge(0, 5)));
    let wc = p.b.poll();
    assert_eq!((wc.wr_id, wc.status, wc.opcode, wc.byte_len, wc.flags), (7, SUCCESS, 128, 5, 0));
    assert_eq!(wc.qp_num, unsafe { (*p.b.qp).qp_num });
    let wc = p.a.poll();
    assert_eq!((wc.wr_id, wc.status, wc.opcode), (3, SUCCESS, 0));
    assert_eq!(&p.b.memory[100..106], b"hello\0");
    assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none());
    p.destroy();
}

/// Each of these runs carried out at once, and as frames (as between processes) with a delay.
fn both_ways(run: impl Fn(&mut Pair)) {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 200us", "delay data tx 300us 300us"] {
        let mut p = Pair::new();
        softverbs::control(delay).unwrap();
        run(&mut p);
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

#[test]
fn segments_are_gathered_and_scattered() {
    both_ways(|p| {
        pattern(&mut p.a.memory, 1);
        let to = vec![p.b.sge(0, 3), p.b.sge(50, 0), p.b.sge(100, 250), p.b.sge(1000, 100)];
        assert_eq!(p.b.try_recv(1, to), 0);
        let from = vec![p.a.sge(10, 100), p.a.sge(0, 0), p.a.sge(300, 200)];
        p.a.send(Send::new(2, ibv_wr_opcode::IBV_WR_SEND, from));
        assert_eq!(p.b.poll().byte_len, 300);
        assert_eq!(p.a.poll().status, SUCCESS);
        let sent: Vec<u8> = [&p.a.memory[10..110], &p.a.memory[300..500]].concat();
        let got: Vec<u8> = [&p.b.memory[0..3], &p.b.memory[100..350], &p.b.memory[1000..1047]].concat();
        assert_eq!(sent, got);
        assert_eq!(p.b.memory[1047], 0);
    });
}

#[test]
fn rdma_write_and_read_move_large_data() {
    both_ways(|p| {
        let length = 300_000u32;
        pattern(&mut p.a.memory[..length as usize], 9);
        p.a.send(Send::write(1, p.a.sge(0, length), p.b.at(17), p.b.rkey()));
        let wc = p.a.poll();
        assert_eq!((wc.wr_id, wc.status, wc.opcode), (1, SUCCESS, 1));
        assert_eq!(p.a.memory[..length as usize], p.b.memory[17..17 + length as usize]);
        assert_eq!((p.b.memory[16], p.b.memory[17 + length as usize]), (0, 0));
        assert!(p.b.try_poll().is_none());
        p.a.send(Send::read(2, p.a.sge(500_000, length), p.b.at(17), p.b.rkey()));
        let wc = p.a.poll();
        assert_eq!((wc.wr_id, wc.status, wc.opcode, wc.byte_len), (2, SUCCESS, 2, length));
        assert_eq!(p.a.memory[500_000..800_000], p.b.memory[17..300_017]);
    });
}

#[test]
fn immediate_data_and_invalidation_reach_the_receiver() {
    both_ways(|p| {
        p.b.recv(1, 0, 64);
        p.b.recv(2, 0, 64);
        p.b.recv(3, 0, 64);
        let word = 0x1122_3344u32.to_be();
        p.a.send(Send { word, ..Send::new(1, ibv_wr_opcode::IBV_WR_SEND_WITH_IMM, vec![p.a.sge(0, 4)]) });
        let wc = p.b.poll();
        assert_eq!((wc.wr_id, wc.opcode, wc.flags, wc.word), (1, 128, 2, word));
        let write = Send::write(2, p.a.sge(0, 9), p.b.at(0), p.b.rkey());
        p.a.send(Send { word, opcode: ibv_wr_opcode::IBV_WR_RDMA_WRITE_WITH_IMM, ..write });
        let wc = p.b.poll();
        assert_eq!((wc.wr_id, wc.opcode, wc.flags, wc.word, wc.byte_len), (2, 129, 2, word, 9));
        let word = p.b.rkey();
        p.a.send(Send { word, ..Send::new(3, ibv_wr_opcode::IBV_WR_SEND_WITH_INV, vec![p.a.sge(0, 4)]) });
        let wc = p.b.poll();
        assert_eq!((wc.wr_id, wc.opcode, wc.flags, wc.word), (3, 128, 8, word));
        for id in 1..=3 {
            let wc = p.a.poll();
            assert_eq!((wc.wr_id, wc.status), (id, SUCCESS));
        }
        p.a.send(Send::write(4, p.a.sge(0, 1), p.b.at(0), p.b.rkey()));
        assert_eq!(p.a.poll().status, ibv_wc_status::IBV_WC_REM_ACCESS_ERR);
    });
}

#[test]
fn inline_data_is_taken_at_the_call() {
    both_ways(|p| {
        p.b.recv(1, 0, 64);
        p.a.memory[..4].copy_from_slice(b"take");
        let sges = vec![ibv_sge { lkey: 0xdead, ..p.a.sge(0, 2) }, ibv_sge { lkey: 0xdead, ..p.a.sge(2, 2) }];
        p.a.send(Send { flags: INLINE | SIGNALED, ..Send::new(1, ibv_wr_opcode::IBV_WR_SEND, sges) });
        p.a.memory[..4].copy_from_slice(b"late");
        assert_eq!(p.b.poll().byte_len, 4);
        assert_eq!(&p.b.memory[..4], b"take");
        assert_eq!(p.a.poll().status, SUCCESS);
        let long = Send { flags: INLINE, ..Send::send(2, p.a.sge(0, 65)) };
        assert_eq!(p.a.try_send(long), libc::EINVAL);
    });
}

#[test]
fn unsignaled_sends_complete_in_silence_and_hold_their_slots_until_a_later_one_is_polled() {
    let _alone = alone();
    let p = Pair::with(Shape { sig_all: false, send_wr: 4, ..Shape::default() }, ALL);
    let write = |id, flags| Send { flags, ..Send::write(id, p.a.sge(0, 8), p.b.at(0), p.b.rkey()) };
    for id in 0..3 {
        p.a.send(write(id, 0));
    }
    assert!(p.a.try_poll().is_none());
    p.a.send(write(3, SIGNALED));
    assert_eq!(p.a.try_send(write(4, 0)), libc::ENOMEM);
    assert_eq!(p.a.poll().wr_id, 3);
    for id in 4..8 {
        p.a.send(write(id, 0));
    }
    assert_eq!(p.a.try_send(write(8, SIGNALED)), libc::ENOMEM);
    p.destroy();
}

#[test]
fn a_list_is_posted_up_to_the_request_that_is_wrong() {
    let _alone = alone();
    let p = Pair::new();
    for id in 0..4 {
        p.b.recv(id, 0, 64);
    }
    unsafe {
        let mut sge = p.a.sge(0, 4);
        let mut wrs: Vec<ibv_send_wr> = (0..4).map(|_| std::mem::zeroed()).collect();
        let next: Vec<*mut ibv_send_wr> = wrs.iter_mut().map(|w| w as *mut _).collect();
        for (i, wr) in wrs.iter_mut().enumerate() {
            wr.wr_id = i as u64;
            wr.sg_list = &mut sge;
            wr.num_sge = if i == 2 { 99 } else { 1 };
            wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
            wr.next = next.get(i + 1).copied().unwrap_or(std::ptr::null_mut());
        }
        let mut bad = std::ptr::null_mut();
        assert_eq!(ibv_post_send(p.a.qp, next[0], &mut bad), libc::EINVAL);
        assert_eq!(bad, next[2]);
    }
    assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (0, 1));
    assert!(p.a.try_poll().is_none());
    p.destroy();
}

#[test]
fn what_is_posted_is_carried_out_in_order() {
    both_ways(|p| {
        for id in 0..16 {
            p.b.recv(100 + id, 0, 64);
        }
        for id in 0..16u64 {
            p.a.send(match id % 3 {
                0 => Send::send(id, p.a.sge(0, id as u32)),
                1 => Send::write(id, p.a.sge(0, 5), p.b.at(5), p.b.rkey()),
                _ => Send { flags: FENCE, ..Send::read(id, p.a.sge(64, 5), p.b.at(5), p.b.rkey()) },
            });
        }
        for id in 0..16 {
            let wc = p.a.poll();
            assert_eq!((wc.wr_id, wc.status), (id, SUCCESS));
        }
        for (n, id) in (0..16).step_by(3).enumerate() {
            let wc = p.b.poll();
            assert_eq!((wc.wr_id, wc.byte_len), (100 + n as u64, id));
        }
    });
}

#[test]
fn a_fence_waits_for_the_reads_before_it() {
    both_ways(|p| {
        p.b.memory[..4].copy_from_slice(b"read");
        p.b.recv(1, 100, 4);
        p.a.send(Send::read(1, p.a.sge(0, 4), p.b.at(0), p.b.rkey()));
        p.a.send(Send { flags: FENCE, ..Send::send(2, p.a.sge(0, 4)) });
        assert_eq!(p.b.poll().status, SUCCESS);
        assert_eq!(&p.b.memory[100..104], b"read");
        assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (1, 2));
    });
}

#[test]
fn a_send_waits_for_its_receive() {
    both_ways(|p| {
        p.a.memory[..4].copy_from_slice(b"one1");
        p.a.send(Send::send(1, p.a.sge(0, 4)));
        p.a.send(Send::write(2, p.a.sge(0, 4), p.b.at(100), p.b.rkey()));
        let_all_arrive();
        assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none());
        assert_eq!(p.b.memory[100], 0, "the write overtook the send");
        p.b.recv(9, 0, 64);
        assert_eq!(p.b.poll().wr_id, 9);
        assert_eq!((p.a.poll().wr_id, p.a.poll().wr_id), (1, 2));
        assert_eq!(&p.b.memory[100..104], b"one1");
    });
}

#[test]
fn a_shared_receive_queue_feeds_its_queue_pairs() {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 100us"] {
        let p = Pair::with(Shape { srq: true, ..Shape::default() }, ALL);
        softverbs::control(delay).unwrap();
        p.a.send(Send::send(1, p.a.sge(0, 4)));
        let_all_arrive();
        assert!(p.b.try_poll().is_none());
        p.b.recv(5, 0, 64);
        assert_eq!(p.b.poll().wr_id, 5);
        assert_eq!(p.a.poll().wr_id, 1);
        assert_eq!(unsafe { ibv_destroy_srq(p.b.srq) }, libc::EBUSY);
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

#[test]
fn notification_wakes_once_for_each_time_it_was_asked_for() {
    let _alone = alone();
    let p = Pair::new();
    let fd = unsafe { (*p.b.comp).fd };
    let readable = || {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        (unsafe { libc::poll(&mut poll, 1, 0) }) == 1
    };
    for id in 0..4 {
        p.b.recv(id, 0, 64);
    }
    p.a.send(Send::send(1, p.a.sge(0, 4)));
    assert!(!readable(), "nobody asked");
    assert_eq!(unsafe { ibv_req_notify_cq(p.b.cq, 1) }, 0);
    p.a.send(Send::send(2, p.a.sge(0, 4)));
    assert!(!readable(), "not solicited");
    p.a.send(Send { flags: SOLICITED, ..Send::send(3, p.a.sge(0, 4)) });
    assert!(readable());
    let (mut cq, mut context) = (std::ptr::null_mut(), std::ptr::null_mut());
    assert_eq!(unsafe { ibv_get_cq_event(p.b.comp, &mut cq, &mut context) }, 0);
    assert_eq!(cq, p.b.cq);
    assert!(!readable());
    unsafe { ibv_ack_cq_events(cq, 1) };
    assert_eq!(unsafe { ibv_req_notify_cq(p.b.cq, 0) }, 0);
    p.a.send(Send::send(4, p.a.sge(0, 4)));
    assert!(readable());
    unsafe {
        assert_eq!(ibv_get_cq_event(p.b.comp, &mut cq, &mut context), 0);
        ibv_ack_cq_events(cq, 1);
    }
    p.destroy();
}

#[test]
fn a_write_with_immediate_data_is_a_solicited_event_if_it_says_so() {
    let _alone = alone();
    for delay in ["delay off", "delay data rx 100us"] {
        let p = Pair::new();
        softverbs::control(delay).unwrap();
        let readable = || {
            let mut poll = libc::pollfd { fd: unsafe { (*p.b.comp).fd }, events: libc::POLLIN, revents: 0 };
            (unsafe { libc::poll(&mut poll, 1, 0) }) == 1
        };
        for id in 0..2 {
            p.b.recv(id, 0, 64);
        }
        let write = |id| Send {
            opcode: ibv_wr_opcode::IBV_WR_RDMA_WRITE_WITH_IMM,
            ..Send::write(id, p.a.sge(0, 4), p.b.at(64), p.b.rkey())
        };
        assert_eq!(unsafe { ibv_req_notify_cq(p.b.cq, 1) }, 0);
        p.a.send(write(1));
        assert_eq!((p.a.poll().wr_id, p.b.poll().wr_id), (1, 0));
        assert!(!readable(), "not solicited");
        p.a.send(Send { flags: SIGNALED | SOLICITED, ..write(2) });
        assert_eq!((p.a.poll().wr_id, p.b.poll().wr_id), (2, 1));
        assert!(readable());
        let (mut cq, mut context) = (std::ptr::null_mut(), std::ptr::null_mut());
        unsafe {
            assert_eq!(ibv_get_cq_event(p.b.comp, &mut cq, &mut context), 0);
            ibv_ack_cq_events(cq, 1);
        }
        softverbs::control("delay off").unwrap();
        p.destroy();
    }
}

#[test]
fn a_sleeper_is_woken() {
    let _alone = alone();
    let p = Pair::new();
    let comp = p.b.comp as usize;
    p.b.recv(1, 0, 64);
    assert_eq!(unsafe { ibv_req_notify_cq(p.b.cq, 0) }, 0);
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || unsafe {
        tell.send(Sleeper::here()).unwrap();
        let (mut cq, mut context) = (std::ptr::null_mut(), std::ptr::null_mut());
        let got = ibv_get_cq_event(comp as *mut ibv_comp_channel, &mut cq, &mut context);
        ibv_ack_cq_events(cq, 1);
        got
    });
    told.recv().unwrap().wait_until_it_sleeps();
    p.a.send(Send::send(1, p.a.sge(0, 4)));
    assert_eq!(waiter.join().unwrap(), 0);
    p.destroy();
}

#[test]
fn every_address_of_the_machine_will_do() {
    let _alone = alone();
    for address in ["127.0.0.1", "127.0.0.9", "[::1]"] {
        let p = Pair::at(&format!("{address}:{}", fresh_port()), Shape::default(), ALL);
        p.b.recv(1, 0, 64);
        p.a.send(Send::send(1, p.a.sge(0, 4)));
        assert_eq!(p.b.poll().status, SUCCESS);
        p.destroy();
    }
}

#[test]
fn many_queue_pairs_on_one_queue() {
    let _alone = alone();
    let mut pairs: Vec<Pair> = (0..50).map(|_| Pair::new()).collect();
    let mut numbers = std::collections::HashSet::new();
    for (i, p) in pairs.iter_mut().enumerate() {
        p.a.memory[0] = i as u8;
        p.b.recv(i as u64, 0, 64);
        p.a.send(Send::send(i as u64, p.a.sge(0, 1)));
        assert!(numbers.insert(unsafe { (*p.a.qp).qp_num }) && numbers.insert(unsafe { (*p.b.qp).qp_num }));
    }
    for (i, p) in pairs.iter().enumerate() {
        assert_eq!((p.b.poll().wr_id, p.b.memory[0]), (i as u64, i as u8));
    }
    for p in pairs {
        p.a.destroy();
        p.b.destroy();
        unsafe { rdma_destroy_id(p.listener) };
        p.channel.destroy();
    }
    nothing_left(0);
}
