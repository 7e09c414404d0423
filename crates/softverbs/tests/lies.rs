//! A peer that speaks the protocol by hand, and lies: it can fail its own connection, and nothing else.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::victim::*;
use common::*;
use rdma_sys::ibv_wc_status::*;

#[test]
fn spoken_by_hand_it_works() {
    let _alone = alone();
    let mut v = Victim::new();
    v.end.recv(1, 0, 64);
    v.say(Frame { kind: SEND, total: 6, payload: b"abc".to_vec(), ..Frame::default() });
    v.say(Frame { kind: SEND, total: 6, offset: 3, payload: b"def".to_vec(), ..Frame::default() });
    let wc = v.end.poll();
    assert_eq!((wc.wr_id, wc.status, wc.byte_len), (1, IBV_WC_SUCCESS, 6));
    assert_eq!(&v.end.memory[..6], b"abcdef");
    v.destroy();
}

#[test]
fn a_message_that_grows_or_turns_into_something_else() {
    let _alone = alone();
    for lie in 0..3 {
        let mut v = Victim::new();
        v.end.recv(1, 0, 8);
        v.say(Frame { kind: SEND, total: 8, payload: vec![1; 4], ..Frame::default() });
        let (address, rkey) = (v.end.at(100), v.end.rkey());
        let next =
            Frame { kind: SEND, total: 8, offset: 4, payload: vec![2; 4], address, rkey, ..Frame::default() };
        v.say(match lie {
            0 => Frame { total: 100_000, payload: vec![2; 60_000], ..next },
            1 => Frame { kind: WRITE, ..next },
            _ => Frame { total: 9, payload: vec![2; 5], ..next },
        });
        let wc = v.end.poll();
        assert_eq!((wc.wr_id, wc.status), (1, IBV_WC_LOC_QP_OP_ERR), "lie {lie}");
        assert_eq!(v.end.memory[8..200], [0; 192]);
        assert_eq!(v.end.state(), 6);
        v.destroy();
    }
}

#[test]
fn fragments_out_of_order_and_requests_out_of_turn_do_nothing() {
    let _alone = alone();
    let mut v = Victim::new();
    v.end.recv(1, 0, 64);
    v.say(Frame { kind: SEND, total: 6, offset: 3, payload: b"xyz".to_vec(), ..Frame::default() });
    v.say(Frame { kind: SEND, seq: 1, total: 3, payload: b"xyz".to_vec(), ..Frame::default() });
    v.say(Frame { kind: SEND, seq: u64::MAX, total: 3, payload: b"xyz".to_vec(), ..Frame::default() });
    v.say(Frame {
        kind: READ,
        seq: 5,
        total: 3,
        address: v.end.at(0),
        rkey: v.end.rkey(),
        ..Frame::default()
    });
    v.settle();
    assert!(v.end.try_poll().is_none());
    assert_eq!((v.end.state(), v.end.memory[0]), (3, 0));
    v.destroy();
}

#[test]
fn answers_that_were_never_asked_for_complete_nothing() {
    let _alone = alone();
    let mut v = Victim::new();
    v.end.send(Send::send(1, v.end.sge(0, 8)));
    v.end.send(Send::read(2, v.end.sge(0, 8), 1, 1));
    for kind in [READ_DATA, ACK, NAK, NOT_READY, READY] {
        for seq in [2, 3, 1000, u64::MAX] {
            let payload = if kind == READ_DATA { vec![7; 8] } else { Vec::new() };
            v.say(Frame { kind, seq, word: 10, total: payload.len() as u32, payload, ..Frame::default() });
        }
    }
    // The read's data for the send, and more, less and other data for the read than it asked for.
    v.say(Frame { kind: READ_DATA, seq: 0, total: 8, payload: vec![7; 8], ..Frame::default() });
    v.say(Frame { kind: ACK, seq: 1, ..Frame::default() });
    v.settle();
    assert_eq!(v.end.poll().wr_id, 1, "the send is done: a later answer acknowledges it");
    for (offset, total, length) in [(0, 9, 9), (0, 7, 7), (4, 8, 4)] {
        v.say(Frame { kind: READ_DATA, seq: 1, offset, total, payload: vec![7; length], ..Frame::default() });
    }
    v.settle();
    assert!(v.end.try_poll().is_none());
    assert_eq!(v.end.memory[..16], [0; 16]);
    v.say(Frame { kind: READ_DATA, seq: 1, total: 8, payload: vec![7; 8], ..Frame::default() });
    let wc = v.end.poll();
    assert_eq!((wc.wr_id, wc.status), (2, IBV_WC_SUCCESS));
    assert_eq!(v.end.memory[..9], [7, 7, 7, 7, 7, 7, 7, 7, 0]);
    v.destroy();
}

#[test]
fn a_failure_with_a_status_that_is_none() {
    let _alone = alone();
    let mut v = Victim::new();
    v.end.send(Send::send(1, v.end.sge(0, 8)));
    v.say(Frame { kind: NAK, seq: 0, word: 0, ..Frame::default() });
    let wc = v.end.poll();
    assert_eq!((wc.wr_id, wc.status), (1, IBV_WC_REM_OP_ERR));
    v.destroy();
}

#[test]
fn any_bytes_at_all() {
    let _alone = alone();
    let mut random = 0x1234_5678_9abc_def0u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..60 {
        let mut v = Victim::new();
        for id in 0..8 {
            v.end.recv(id, 0, 64);
        }
        v.end.send(Send::read(100, v.end.sge(0, 64), 1, 1));
        for _ in 0..20 {
            let total = (next() % 128) as u32;
            let mut bytes = Frame {
                kind: [SEND, WRITE, READ, READ_DATA, ACK, NAK, NOT_READY, READY, 9, CM]
                    [(next() % 10) as usize],
                flags: next() as u8,
                qpn: v.qpn,
                word: next() as u32,
                seq: next() % 4,
                address: if next() % 2 == 0 { v.end.at(4096) } else { next() },
                rkey: if next() % 2 == 0 { v.end.rkey() } else { next() as u32 },
                offset: 0,
                total,
                payload: (0..total).map(|_| next() as u8).collect(),
            }
            .bytes();
            if next() % 4 == 0 {
                let at = (next() % bytes.len() as u64) as usize;
                bytes[at] = next() as u8;
            }
            if next() % 16 == 0 {
                bytes.truncate((next() % 60) as usize);
            }
            let _ = v.stream.write_all(&bytes);
        }
        if round % 2 == 0 {
            v.settle();
        }
        while v.end.try_poll().is_some() {}
        v.destroy();
    }
}

#[test]
fn a_message_that_is_half_in_when_the_queue_pair_fails() {
    let _alone = alone();
    for srq in [false, true] {
        for kind in [SEND, WRITE] {
            let mut v = Victim::with(Shape { srq, ..Shape::default() });
            v.end.recv(1, 0, 64);
            v.end.recv(2, 0, 64);
            let (address, rkey) = (v.end.at(100), v.end.rkey());
            v.say(Frame { kind, total: 8, payload: vec![1; 4], address, rkey, ..Frame::default() });
            v.settle();
            while v.end.try_poll().is_some() {}
            assert_eq!(v.end.modify(6), 0);
            let mut flushed = Vec::new();
            while let Some(wc) = v.end.try_poll() {
                assert_eq!(wc.status, IBV_WC_WR_FLUSH_ERR);
                flushed.push(wc.wr_id);
            }
            // A SEND has its receive; what else is in a shared queue stays there.
            let expected: &[u64] = match (srq, kind) {
                (false, _) => &[1, 2],
                (true, SEND) => &[1],
                (true, _) => &[],
            };
            assert_eq!(flushed, expected, "srq {srq} kind {kind}");
            v.destroy();
        }
    }
}

#[test]
fn a_peer_that_asks_and_does_not_listen() {
    let _alone = alone();
    // More reads than were agreed: the first ones' answers find no room, since nobody takes them.
    let mut v = Victim::new();
    let (address, rkey) = (v.end.at(0), v.end.rkey());
    for seq in 0..200 {
        v.say(Frame { kind: READ, seq, total: MEMORY as u32, address, rkey, ..Frame::default() });
    }
    let end = Instant::now() + Duration::from_secs(20);
    while v.end.state() != 6 {
        assert!(Instant::now() < end, "it reads on and on");
        assert!(v.end.try_poll().is_none());
    }
    v.destroy();
    // Requests without end to a queue pair in error, each of which is told so, and nobody takes that.
    let mut v = Victim::new();
    assert_eq!(v.end.modify(6), 0);
    let (address, rkey) = (v.end.at(0), v.end.rkey());
    let mut seq = 0;
    v.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let qpn = v.qpn;
    'alive: loop {
        let mut many = Vec::new();
        for _ in 0..1000 {
            many.extend(Frame { kind: WRITE, qpn, seq, address, rkey, ..Frame::default() }.bytes());
            seq += 1;
        }
        let mut rest = &many[..];
        while !rest.is_empty() {
            match v.stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(_) => break 'alive,
            }
            assert!(v.end.try_poll().is_none());
            assert!(Instant::now() < end, "{seq} answers wait in memory");
        }
    }
    v.destroy();
}
