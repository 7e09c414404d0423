//! A peer that speaks the protocol by hand, and lies: it can fail its own connection, and nothing else.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::*;
use rdma_sys::ibv_wc_status::*;
use rdma_sys::*;

const SEND: u8 = 1;
const WRITE: u8 = 2;
const READ: u8 = 3;
const READ_DATA: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const NOT_READY: u8 = 7;
const READY: u8 = 8;
const CM: u8 = 16;
const REQ: u8 = 1;
const RTU: u8 = 3;
/// A QP number that this process does not have.
const OWN_QPN: u32 = 0x00ab_cdef;

#[derive(Clone, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    qpn: u32,
    word: u32,
    seq: u64,
    address: u64,
    rkey: u32,
    offset: u32,
    total: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend_from_slice(&(48 + self.payload.len() as u32).to_le_bytes());
        b.extend_from_slice(&[self.kind, self.flags, 0, 0]);
        b.extend_from_slice(&self.qpn.to_le_bytes());
        b.extend_from_slice(&self.word.to_le_bytes());
        b.extend_from_slice(&self.seq.to_le_bytes());
        b.extend_from_slice(&self.address.to_le_bytes());
        b.extend_from_slice(&self.rkey.to_le_bytes());
        b.extend_from_slice(&self.offset.to_le_bytes());
        b.extend_from_slice(&self.total.to_le_bytes());
        b.extend_from_slice(&[0; 4]);
        b.extend_from_slice(&self.payload);
        b
    }
}

fn cm(say: u8, target: u16) -> Frame {
    let mut b = b"sfvb\x01".to_vec();
    b.extend_from_slice(&[say, 0, 0]);
    b.extend_from_slice(&OWN_QPN.to_le_bytes());
    b.extend_from_slice(&[4, 4, 0, 7, 7, 0]);
    b.extend_from_slice(&0x106u16.to_le_bytes());
    for port in [777u16, target] {
        b.extend_from_slice(&[4, 0]);
        b.extend_from_slice(&port.to_le_bytes());
        b.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    }
    b.push(0);
    Frame { kind: CM, payload: b, ..Frame::default() }
}

/// A real end, and a stream to it that any bytes can be written to.
struct Victim {
    channel: Channel,
    listener: *mut rdma_cm_id,
    end: End,
    stream: TcpStream,
    qpn: u32,
}

impl Victim {
    fn new() -> Self {
        let port = fresh_port();
        let channel = Channel::new();
        let listener = listen(&channel, &format!("127.0.0.1:{port}"));
        let tcp = 20_000 + (u32::from(port) * 7) % 12_000;
        let mut stream = TcpStream::connect(("127.0.0.1", tcp as u16)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        stream.write_all(&cm(REQ, port).bytes()).unwrap();
        let request = channel.expect("CONNECT_REQUEST");
        assert_eq!(request.qp_num, OWN_QPN);
        let end = End::new(request.id, &Shape::default(), ALL);
        assert_eq!(unsafe { rdma_accept(request.id, &mut param(&Shape::default(), b"")) }, 0);
        stream.write_all(&cm(RTU, 0).bytes()).unwrap();
        channel.expect("ESTABLISHED");
        let qpn = unsafe { (*end.qp).qp_num };
        Self { channel, listener, end, stream, qpn }
    }

    fn say(&mut self, frame: Frame) {
        // The other side may have had enough already.
        let _ = self.stream.write_all(&Frame { qpn: self.qpn, ..frame }.bytes());
    }

    /// Lets what was said arrive.
    fn settle(&mut self) {
        let end = Instant::now() + Duration::from_millis(20);
        while Instant::now() < end {
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                _ => continue,
            }
        }
    }

    fn destroy(self) {
        self.end.destroy();
        drop(self.stream);
        unsafe { rdma_destroy_id(self.listener) };
        self.channel.destroy();
        nothing_left(0);
    }
}

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
