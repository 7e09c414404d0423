//! Peers that are silent, die, or lie on demand; and clocks that jump. In virtual time, both ends in this process.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use rdma_sys::ibv_wc_status::*;
use rdma_sys::*;
use softverbs::{control, sim};

const MS: u64 = 1_000_000;

fn world() -> std::sync::MutexGuard<'static, ()> {
    let guard = alone();
    sim::start(3);
    control("faults off; timeout cm 1s").unwrap();
    guard
}

fn number(end: &End) -> u32 {
    unsafe { (*end.qp).qp_num }
}

fn kinds(channel: &Channel) -> Vec<&'static str> {
    std::iter::from_fn(|| channel.try_next()).map(|e| e.kind).collect()
}

fn all(end: &End) -> Vec<(u64, u32)> {
    std::iter::from_fn(|| end.try_poll()).map(|wc| (wc.wr_id, wc.status)).collect()
}

/// A pair whose requester gives up after 67 ms and three tries.
fn patient() -> Pair {
    Pair::with(Shape { ack_timeout: 14, retry: 2, ..Shape::default() }, ALL)
}

#[test]
fn a_peer_answers_in_time_after_a_silence() {
    let _world = world();
    let p = patient();
    control(&format!("peer silent data qp {}", number(&p.a))).unwrap();
    for id in 1..=3 {
        p.b.recv(id, 0, 64);
        p.a.send(Send::send(id, p.a.sge(0, 8)));
    }
    sim::advance(100 * MS);
    assert_eq!(all(&p.a), []);
    assert_eq!(all(&p.b), [(1, 0), (2, 0), (3, 0)], "it hears, and does not speak");
    p.a.recv(9, 0, 64);
    p.b.send(Send::send(9, p.b.sge(0, 8)));
    sim::advance(MS);
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![]));
    control("peer speaks").unwrap();
    sim::advance(MS);
    assert_eq!(all(&p.a), [(1, 0), (2, 0), (3, 0), (9, 0)]);
    assert_eq!(all(&p.b), [(9, 0)]);
    p.destroy();
}

#[test]
fn a_peer_answers_after_one_gave_up() {
    let _world = world();
    let p = patient();
    control(&format!("peer silent data qp {}", number(&p.a))).unwrap();
    p.b.recv(1, 0, 64);
    p.a.recv(9, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    p.b.send(Send::send(9, p.b.sge(0, 8)));
    sim::advance(250 * MS);
    assert_eq!(all(&p.a), [(1, IBV_WC_RETRY_EXC_ERR), (9, IBV_WC_WR_FLUSH_ERR)]);
    control("peer speaks").unwrap();
    sim::advance(MS);
    assert_eq!((all(&p.a), p.a.state()), (vec![], 6), "too late");
    assert_eq!(all(&p.b)[0], (1, 0));
    p.destroy();
}

#[test]
fn the_connection_manager_of_a_peer_is_silent() {
    let _world = world();
    let p = patient();
    control("peer silent cm").unwrap();
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!((all(&p.a), all(&p.b)), (vec![(1, 0)], vec![(1, 0)]), "data goes through");
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    sim::advance(999 * MS);
    assert_eq!(kinds(&p.channel), [""; 0]);
    sim::advance(MS);
    assert_eq!(p.channel.expect("DISCONNECTED").id, p.a.id);
    control("peer speaks cm").unwrap();
    sim::advance(MS);
    assert_eq!(p.channel.expect("DISCONNECTED").id, p.b.id);
    p.destroy();
}

#[test]
fn a_request_is_not_answered() {
    let _world = world();
    let channel = Channel::new();
    let listener = listen(&channel, "127.0.0.1:4420");
    let end = End::new(resolve(&channel, "127.0.0.1:4420"), &Shape::default(), ALL);
    control("at call rdma_connect: peer silent").unwrap();
    assert_eq!(unsafe { rdma_connect(end.id, &mut param(&Shape::default(), b"")) }, 0);
    sim::advance(1_000 * MS);
    assert_eq!(kinds(&channel), ["UNREACHABLE"]);
    control("peer speaks").unwrap();
    sim::advance(MS);
    let late = channel.expect("CONNECT_REQUEST");
    assert_eq!(kinds(&channel), [""; 0], "the one who asked gave up before it was heard");
    unsafe { rdma_destroy_id(late.id) };
    end.destroy();
    unsafe { rdma_destroy_id(listener) };
    channel.destroy();
    nothing_left(0);
}

#[test]
fn a_peer_dies() {
    let _world = world();
    let p = patient();
    control(&format!("peer dies qp {}", number(&p.a))).unwrap();
    let seen = p.channel.expect("DISCONNECTED");
    assert_eq!((seen.id, kinds(&p.channel)), (p.a.id, vec![]));
    assert_eq!(p.a.state(), 3, "until the program disconnects");
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    sim::advance(1_000 * MS);
    assert_eq!(all(&p.a), [(1, IBV_WC_RETRY_EXC_ERR)]);
    p.b.send(Send::send(2, p.b.sge(0, 8)));
    sim::advance(1_000 * MS);
    assert_eq!(all(&p.b), [(2, IBV_WC_RETRY_EXC_ERR)], "the dead one is heard by nobody");
    assert!(control("peer dies qp 1").is_err());
    p.destroy();
}

#[test]
fn a_peer_dies_in_the_middle_of_a_run() {
    let _world = world();
    let p = patient();
    control("at wc send 3: peer dies").unwrap();
    for id in 1..=5 {
        p.b.recv(id, 0, 64);
        p.a.send(Send::send(id, p.a.sge(0, 8)));
    }
    assert_eq!(all(&p.a).len(), 3);
    sim::advance(1_000 * MS);
    assert_eq!(all(&p.a), [(4, IBV_WC_RETRY_EXC_ERR), (5, IBV_WC_WR_FLUSH_ERR)]);
    assert_eq!(kinds(&p.channel), ["DISCONNECTED", "DISCONNECTED"]);
    p.destroy();
}

#[test]
fn answers_that_are_repeated_or_forged() {
    let _world = world();
    for (lie, sent) in [
        ("always repeat 3", vec![(1, 0), (2, 0), (3, 0)]),
        ("2 kind read_data", vec![(1, 0), (2, 0), (3, 0)]),
        ("2 seq +1000", vec![(1, 0), (2, 0), (3, 0)]),
        ("2 seq -1", vec![(1, 0), (2, 0), (3, 0)]),
        ("1-2 drop", vec![(1, 0), (2, 0), (3, 0)]),
        ("3 drop", vec![(1, 0), (2, 0), (3, 0)]),
        ("1-3 drop", vec![(1, 0), (2, 0), (3, 0)]),
        ("2 kind silent", vec![(1, 0), (2, 0), (3, 0)]),
    ] {
        let p = patient();
        control(&format!("peer lies qp {} {lie}", number(&p.a))).unwrap();
        for id in 1..=3 {
            p.b.recv(id, 0, 64);
            p.a.send(Send::send(id, p.a.sge(0, 8)));
        }
        sim::advance(1_000 * MS);
        assert_eq!((all(&p.a), all(&p.b).len()), (sent, 3), "{lie}");
        p.destroy();
    }
    let p = patient();
    control(&format!("peer lies qp {} kind nak; peer lies qp {} word 10", number(&p.a), number(&p.a)))
        .unwrap();
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!(all(&p.a), [(1, IBV_WC_REM_ACCESS_ERR)]);
    p.destroy();
}

#[test]
fn what_is_lost_is_missed_in_time() {
    let _world = world();
    // Requests are sent again.
    let p = patient();
    control(&format!("peer lies qp {} drop", number(&p.b))).unwrap();
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!((all(&p.a), all(&p.b)), (vec![], vec![]));
    sim::advance(1_000 * MS);
    assert_eq!((all(&p.a), all(&p.b)), (vec![(1, 0)], vec![(1, 0)]));
    // So often, and no more.
    control(&format!("peer lies qp {} always drop", number(&p.b))).unwrap();
    p.a.send(Send::write(2, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    sim::advance(1_000 * MS);
    assert_eq!(all(&p.a), [(2, IBV_WC_RETRY_EXC_ERR)]);
    p.destroy();
}

#[test]
fn requests_that_are_forged() {
    let _world = world();
    let p = patient();
    let b = number(&p.b);
    control(&format!("peer lies qp {b} total 100000")).unwrap();
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!(all(&p.b), [(1, IBV_WC_LOC_LEN_ERR)]);
    assert_eq!(all(&p.a), [(1, IBV_WC_REM_INV_REQ_ERR)]);
    p.destroy();
    let p = patient();
    let b = number(&p.b);
    control(&format!("peer lies qp {b} garbage")).unwrap();
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    assert_eq!(p.channel.expect("DISCONNECTED").id, p.b.id, "garbage ends the connection");
    sim::advance(1_000 * MS);
    assert_eq!(all(&p.a), [(1, IBV_WC_RETRY_EXC_ERR)]);
    assert_eq!(all(&p.b), []);
    p.destroy();
}

#[test]
fn the_clock_jumps() {
    let _world = world();
    let p = patient();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    assert_eq!(kinds(&p.channel), ["DISCONNECTED"]);
    let before = sim::now();
    control("clock jump 30s").unwrap();
    assert_eq!(sim::now() - before, 30_000 * MS);
    sim::step();
    assert_eq!(p.channel.expect("DISCONNECTED").id, p.a.id, "the peer did not answer in time");
    p.destroy();
}
