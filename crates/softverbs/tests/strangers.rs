//! Peers without a connection manager, from the side of the wire: the test plays the other process.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ptr::null_mut;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use common::*;
use rdma_sys::*;

const STATE: i32 = 1;
const MEET: u8 = 17;
const MET: u8 = 18;
const YES: u32 = 0;
const NOT_YET: u32 = 1;
const NOT_MINE: u32 = 2;

/// A QP that is ready, and means the QP `peer` of another process at the same address.
struct Local {
    context: *mut ibv_context,
    pd: *mut ibv_pd,
    cq: *mut ibv_cq,
    qp: *mut ibv_qp,
    mr: *mut ibv_mr,
    memory: Box<[u8; 64]>,
    gid: [u8; 16],
    peer: u32,
    /// The local ACK timeout: 4.096 us times two to the power of this.
    timeout: u8,
    _alone: MutexGuard<'static, ()>,
}

impl Local {
    fn new(retries: u8) -> Self {
        let local = Self::not_ready();
        local.make_ready(retries);
        local
    }

    fn not_ready() -> Self {
        let alone = alone();
        unsafe {
            let list = ibv_get_device_list(null_mut());
            let context = ibv_open_device(*list);
            ibv_free_device_list(list);
            let pd = ibv_alloc_pd(context);
            let cq = ibv_create_cq(context, 16, null_mut(), null_mut(), 0);
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = cq;
            init.recv_cq = cq;
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            init.cap = ibv_qp_cap {
                max_send_wr: 4,
                max_recv_wr: 4,
                max_send_sge: 1,
                max_recv_sge: 1,
                max_inline_data: 0,
            };
            let qp = ibv_create_qp(pd, &mut init);
            let mut memory = Box::new([0u8; 64]);
            let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 64, LOCAL_WRITE as i32);
            assert!(!qp.is_null() && !mr.is_null());
            let gid = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
            // Of the next block of numbers, so not of this process.
            let peer = ((*qp).qp_num + 4096 * 5) & 0xff_ffff;
            Self { context, pd, cq, qp, mr, memory, gid, peer, timeout: 10, _alone: alone }
        }
    }

    fn make_ready(&self, retries: u8) {
        unsafe {
            let index = (0..64)
                .find(|n| {
                    let mut gid = ibv_gid { raw: [0; 16] };
                    ibv_query_gid(self.context, 1, *n, &mut gid) == 0 && gid.raw == self.gid
                })
                .expect("the machine has 127.0.0.1");
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            attr.qp_state = ibv_qp_state::IBV_QPS_INIT;
            attr.port_num = 1;
            assert_eq!(ibv_modify_qp(self.qp, &mut attr, STATE | 1 << 3 | 1 << 4 | 1 << 5), 0);
            attr.qp_state = ibv_qp_state::IBV_QPS_RTR;
            attr.path_mtu = 5;
            attr.dest_qp_num = self.peer;
            attr.ah_attr.is_global = 1;
            attr.ah_attr.port_num = 1;
            attr.ah_attr.grh.dgid = ibv_gid { raw: self.gid };
            attr.ah_attr.grh.sgid_index = index as u8;
            let rtr = STATE | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 15 | 1 << 17 | 1 << 20;
            assert_eq!(ibv_modify_qp(self.qp, &mut attr, rtr), 0);
            attr.qp_state = ibv_qp_state::IBV_QPS_RTS;
            attr.timeout = self.timeout;
            attr.retry_cnt = retries;
            attr.rnr_retry = 7;
            assert_eq!(ibv_modify_qp(self.qp, &mut attr, STATE | 7 << 9 | 1 << 13 | 1 << 16), 0);
        }
    }

    fn number(&self) -> u32 {
        unsafe { (*self.qp).qp_num }
    }

    /// A connection to where this QP is looked for.
    fn call(&self) -> TcpStream {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            for attempt in 0..4 {
                if let Ok(stream) = TcpStream::connect(("127.0.0.1", tcp_port(self.number(), attempt))) {
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    return stream;
                }
            }
            assert!(Instant::now() < end, "nobody listens for the block of QP numbers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The question of a QP for another.
    fn question(&self, from: u32, to: u32) -> Vec<u8> {
        let mut bytes = frame(MEET, to, from, 40);
        bytes[40] = 0;
        bytes.extend_from_slice(b"sfvq\x01\0\0\0");
        bytes.extend_from_slice(&self.gid);
        bytes.extend_from_slice(&self.gid);
        bytes
    }

    fn poll(&self) -> ibv_wc {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
            match unsafe { ibv_poll_cq(self.cq, 1, &mut wc) } {
                0 => assert!(Instant::now() < end, "nothing completes"),
                n => {
                    assert_eq!(n, 1);
                    return wc;
                }
            }
        }
    }

    fn post_receive(&self) {
        let mut sge =
            ibv_sge { addr: self.memory.as_ptr() as u64, length: 64, lkey: unsafe { (*self.mr).lkey } };
        let mut wr = ibv_recv_wr { wr_id: 1, next: null_mut(), sg_list: &mut sge, num_sge: 1 };
        assert_eq!(unsafe { ibv_post_recv(self.qp, &mut wr, &mut null_mut()) }, 0);
    }

    fn post_send(&self) {
        unsafe {
            let mut wr: ibv_send_wr = std::mem::zeroed();
            wr.wr_id = 2;
            wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
            wr.send_flags = 2;
            assert_eq!(ibv_post_send(self.qp, &mut wr, &mut null_mut()), 0);
        }
    }

    fn destroy(self) {
        unsafe {
            assert_eq!(ibv_destroy_qp(self.qp), 0);
            assert_eq!(ibv_destroy_cq(self.cq), 0);
            assert_eq!(ibv_dereg_mr(self.mr), 0);
            assert_eq!(ibv_dealloc_pd(self.pd), 0);
            assert_eq!(ibv_close_device(self.context), 0);
        }
        nothing_left(0);
    }
}

/// A frame's header.
fn frame(kind: u8, to: u32, word: u32, payload: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 48];
    bytes[..4].copy_from_slice(&(48 + payload).to_le_bytes());
    bytes[4] = kind;
    bytes[8..12].copy_from_slice(&to.to_le_bytes());
    bytes[12..16].copy_from_slice(&word.to_le_bytes());
    bytes[40..44].copy_from_slice(&payload.to_le_bytes());
    bytes
}

/// The next frame: its kind, whom it is for, and its word.
fn next_frame(stream: &mut TcpStream) -> (u8, u32, u32) {
    let mut bytes = [0u8; 48];
    stream.read_exact(&mut bytes).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    (bytes[4], word(8), word(12))
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 1]).map_or(true, |n| n == 0)
}

#[test]
fn whoever_asks_gets_the_right_answer() {
    let local = Local::new(7);
    let ask = |from, to| {
        let mut stream = local.call();
        stream.write_all(&local.question(from, to)).unwrap();
        (next_frame(&mut stream), stream)
    };
    // Another block of numbers; a number of ours that nobody has; somebody whom the QP does not mean.
    assert_eq!(ask(local.peer, local.number() ^ 0x80_0000).0, (MET, local.peer, NOT_MINE));
    assert_eq!(ask(local.peer, local.number() ^ 0x7ff).0, (MET, local.peer, NOT_YET));
    assert_eq!(ask(local.peer + 1, local.number()).0, (MET, local.peer + 1, NOT_YET));
    let (answer, mut stream) = ask(local.peer, local.number());
    assert_eq!(answer, (MET, local.peer, YES));
    // A QP meets its peer once.
    assert_eq!(ask(local.peer, local.number()).0, (MET, local.peer, NOT_YET));
    // What comes on that connection is the peer's.
    local.post_receive();
    let mut send = frame(1, local.number(), 0, 5);
    send.extend_from_slice(b"hello");
    stream.write_all(&send).unwrap();
    let wc = local.poll();
    assert_eq!((wc.wr_id, wc.status, wc.byte_len), (1, 0, 5));
    assert_eq!(&local.memory[..5], b"hello");
    assert_eq!(next_frame(&mut stream).0, 5, "acknowledged");
    // The peer dies: nothing is heard of it but silence.
    drop(stream);
    local.post_send();
    assert_eq!(local.poll().status, ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
    local.destroy();
}

#[test]
fn garbage_ends_its_connection_and_the_peer_is_found_still() {
    let local = Local::new(7);
    let mut bad_magic = local.question(local.peer, local.number());
    bad_magic[48] = b'x';
    let mut bad_version = local.question(local.peer, local.number());
    bad_version[52] = 9;
    let mut short = local.question(local.peer, local.number());
    short[0] -= 1;
    let too_soon = frame(5, local.number(), 0, 0);
    for garbage in [vec![0u8; 64], vec![0xff; 64], bad_magic, bad_version, short, too_soon] {
        let mut stream = local.call();
        stream.write_all(&garbage).unwrap();
        assert!(is_closed(&mut stream), "{garbage:?}");
    }
    let mut stream = local.call();
    stream.write_all(&local.question(local.peer, local.number())).unwrap();
    assert_eq!(next_frame(&mut stream), (MET, local.peer, YES));
    local.destroy();
}

/// The TCP port that is tried as number `attempt` for a QP number.
fn tcp_port(number: u32, attempt: u32) -> u16 {
    (11_000 + (number / 4096 * 2 + attempt * 2477) % 9_000) as u16
}

fn accept(listener: &std::net::TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        assert!(Instant::now() < end, "nobody asks");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_asks_until_the_right_process_answers() {
    let mut local = Local::not_ready();
    let listen = |number, attempt| std::net::TcpListener::bind(("127.0.0.1", tcp_port(number, attempt)));
    let (first, second) = (0..4000)
        .find_map(|_| {
            local.peer = (local.peer + 4096) & 0xff_ffff;
            Some((listen(local.peer, 0).ok()?, listen(local.peer, 1).ok()?))
        })
        .expect("two ports are free");
    local.make_ready(7);
    let question = |listener: &std::net::TcpListener| {
        let mut stream = accept(listener);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = vec![0; 88];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, local.question(local.number(), local.peer));
        stream
    };
    let mut stream = question(&first);
    stream.write_all(&frame(MET, local.number(), NOT_MINE, 0)).unwrap();
    let mut stream = question(&second);
    stream.write_all(&frame(MET, local.number(), YES, 0)).unwrap();
    local.post_receive();
    let mut send = frame(1, local.number(), 0, 5);
    send.extend_from_slice(b"hello");
    stream.write_all(&send).unwrap();
    assert_eq!(local.poll().byte_len, 5);
    // It has met its peer: nobody else gets it.
    let mut late = local.call();
    late.write_all(&local.question(local.peer, local.number())).unwrap();
    assert_eq!(next_frame(&mut late), (MET, local.peer, NOT_YET));
    local.destroy();
}

#[test]
fn nobody_is_there() {
    let local = Local::new(1);
    local.post_send();
    let wc = local.poll();
    assert_eq!((wc.wr_id, wc.status), (2, ibv_wc_status::IBV_WC_RETRY_EXC_ERR));
    local.destroy();
}

/// A QP that sends, and has not heard of its peer: it gives up after half a second.
fn hopeful(timeout: u8, retries: u8) -> Local {
    let mut local = Local::not_ready();
    local.timeout = timeout;
    local.make_ready(retries);
    local.post_send();
    local
}

/// The peer answers what it got.
fn acknowledge(local: &Local, mut stream: TcpStream) {
    assert_eq!(next_frame(&mut stream).0, 1, "what was lost is sent again");
    stream.write_all(&frame(5, local.number(), 0, 0)).unwrap();
    let wc = local.poll();
    assert_eq!((wc.wr_id, wc.status), (2, 0));
}

#[test]
fn a_peer_that_is_there_is_not_silent() {
    let local = hopeful(14, 7);
    let mut stream = local.call();
    stream.write_all(&local.question(local.peer, local.number())).unwrap();
    assert_eq!(next_frame(&mut stream), (MET, local.peer, YES));
    // For longer than the queue pair would have waited for somebody to be there, in steps shorter than its timeout.
    softverbs::control("faults quiet").unwrap();
    for _ in 0..20 {
        softverbs::control("clock jump 50ms").unwrap();
        let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
        assert_eq!(unsafe { ibv_poll_cq(local.cq, 1, &mut wc) }, 0);
    }
    softverbs::control("faults loud").unwrap();
    acknowledge(&local, stream);
    local.destroy();
}

#[test]
fn what_came_counts_before_what_did_not() {
    let local = hopeful(17, 0);
    // Who has just polled has the sockets to himself for a millisecond.
    let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { ibv_poll_cq(local.cq, 1, &mut wc) }, 0);
    let mut stream = local.call();
    stream.write_all(&local.question(local.peer, local.number())).unwrap();
    // As if this process had got no processor for a while.
    softverbs::control("clock jump 10s").unwrap();
    assert_eq!(next_frame(&mut stream), (MET, local.peer, YES));
    acknowledge(&local, stream);
    local.destroy();
}
