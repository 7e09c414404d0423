//! A thousand connections in one simulation: each comes up, and all end with a peer that fell silent, in time and memory that go
//! with their number.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;

use common::*;
use rdma_sys::*;
use softverbs::sim;

/// As an I/O queue pair of NVMe over Fabrics has: so many requests, two segments each.
const DEPTH: u32 = 128;

/// One end of a connection, with a channel of its own on the side that connects.
struct End {
    id: *mut rdma_cm_id,
    cq: *mut ibv_cq,
    channel: Option<Channel>,
}

impl End {
    unsafe fn new(id: *mut rdma_cm_id, channel: Option<Channel>) -> Self {
        unsafe {
            let cq = ibv_create_cq((*id).verbs, 2 * DEPTH as i32, null_mut(), null_mut(), 0);
            let mut attr: ibv_qp_init_attr = std::mem::zeroed();
            (attr.send_cq, attr.recv_cq) = (cq, cq);
            attr.cap.max_send_wr = DEPTH;
            attr.cap.max_recv_wr = DEPTH;
            attr.cap.max_send_sge = 2;
            attr.cap.max_recv_sge = 2;
            attr.qp_type = ibv_qp_type::IBV_QPT_RC;
            assert_eq!(rdma_create_qp(id, (*id).pd, &mut attr), 0);
            Self { id, cq, channel }
        }
    }

    unsafe fn destroy(self) {
        unsafe {
            rdma_destroy_qp(self.id);
            assert_eq!(ibv_destroy_cq(self.cq), 0);
            assert_eq!(rdma_destroy_id(self.id), 0);
        }
        if let Some(channel) = self.channel {
            channel.destroy();
        }
    }
}

/// What this thread has used of the processor, in seconds: what else runs does not count.
fn used() -> f64 {
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of memory that this process has now.
fn resident() -> usize {
    let words = std::fs::read_to_string("/proc/self/statm").unwrap();
    words.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Connects so many, has all fail by silence, and gives all back. Processor time to connect, to fail, to give back.
fn run(count: usize) -> [f64; 3] {
    let mut marks = vec![used()];
    let address = "127.0.0.1:4420";
    let target = Channel::new();
    let listener = listen(&target, address);
    let mut conn = param(&Shape { ack_timeout: 14, ..Shape::default() }, b"");
    let (mut hosts, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let channel = Channel::new();
        let id = resolve(&channel, address);
        unsafe {
            let host = End::new(id, Some(channel));
            assert_eq!(rdma_connect(id, &mut conn), 0);
            let asked = target.expect("CONNECT_REQUEST").id;
            peers.push(End::new(asked, None));
            assert_eq!(rdma_accept(asked, &mut conn), 0);
            assert_eq!(host.channel.as_ref().unwrap().expect("ESTABLISHED").id, id);
            assert_eq!(target.expect("ESTABLISHED").id, asked);
            hosts.push(host);
        }
    }
    marks.push(used());
    softverbs::control("peer silent").unwrap();
    for host in &hosts {
        let mut wr: ibv_send_wr = unsafe { std::mem::zeroed() };
        wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
        wr.send_flags = SIGNALED;
        let mut bad = null_mut();
        assert_eq!(unsafe { ibv_post_send((*host.id).qp, &mut wr, &mut bad) }, 0);
    }
    // All wait at the same time: what is due for one is due for all.
    sim::advance(60_000_000_000);
    for host in &hosts {
        let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
        assert_eq!(unsafe { ibv_poll_cq(host.cq, 1, &mut wc) }, 1);
        assert_eq!(wc.status, ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
    }
    marks.push(used());
    for end in hosts.into_iter().chain(peers) {
        unsafe { end.destroy() };
    }
    assert_eq!(unsafe { rdma_destroy_id(listener) }, 0);
    target.destroy();
    softverbs::control("peer speaks").unwrap();
    marks.push(used());
    assert_eq!(softverbs::ledger().objects(), 0);
    [marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]]
}

#[test]
fn a_thousand_connections_of_a_silent_peer() {
    sim::start(1);
    softverbs::control("faults quiet").unwrap();
    // The process's first allocations are not what is measured.
    run(10);
    let small = run(125);
    let before = resident();
    let large = run(1000);
    let grown = resident().saturating_sub(before);
    println!("125: {small:.3?} s, 1,000: {large:.3?} s, {} KiB a connection", grown / 1024 / 1000);
    let (small, large): (f64, f64) = (small.iter().sum(), large.iter().sum());
    // Eight times as many: 8 if the cost goes with the number, 64 if with its square.
    assert!(large < 32.0 * small.max(0.01), "{small} s for 125, {large} s for 1,000");
    assert!(grown < 200 << 20, "{grown} bytes for 1,000");
}
