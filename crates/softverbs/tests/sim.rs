//! Simulation: time by hand, and the same seed gives the same run.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Command;

use common::*;
use rdma_sys::*;
use softverbs::sim;

/// One run in a process of its own: what happened when.
#[test]
#[ignore = "run by the tests below, with a seed"]
fn run() {
    let seed: u64 = std::env::var("SIM_SEED").unwrap().parse().unwrap();
    sim::start(seed);
    assert_eq!(sim::now(), 0);
    let p = Pair::at("127.0.0.1:4420", Shape::default(), ALL);
    assert_eq!(sim::now(), 0, "nothing took any time");
    println!("keys {:#x} {:#x} qp {:#x}", p.a.lkey(), p.b.rkey(), unsafe { (*p.a.qp).qp_num });
    softverbs::control("delay data rx 10ms 9ms; delay cm rx 30ms").unwrap();
    for id in 0..8 {
        p.b.recv(id, 0, 64);
        p.a.send(Send::send(id, p.a.sge(0, 8)));
    }
    assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none());
    sim::advance(1_000_000 - 1);
    assert!(p.b.try_poll().is_none(), "no delay is that short");
    while sim::step() {
        for (name, end) in [("a", &p.a), ("b", &p.b)] {
            while let Some(wc) = end.try_poll() {
                println!("{} {name} {} {}", sim::now(), wc.wr_id, wc.status);
            }
        }
    }
    let before = sim::now();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    assert_eq!(p.channel.try_next(), None);
    // A call that waits moves the time to what it waits for.
    unsafe {
        let flags = libc::fcntl((*p.channel.0).fd, libc::F_GETFL);
        libc::fcntl((*p.channel.0).fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
    }
    let seen = p.channel.try_next().unwrap();
    assert_eq!((seen.id, seen.kind, sim::now() - before), (p.b.id, "DISCONNECTED", 30_000_000));
    // Nothing else will ever happen but the kernel's patience with the peer: 70 s later.
    assert_eq!(p.channel.try_next().unwrap().kind, "DISCONNECTED");
    assert_eq!(sim::now() - before, 70_000_000_000);
    assert_eq!(p.channel.try_next().unwrap().kind, "TIMEWAIT_EXIT");
    let mut event = std::ptr::null_mut();
    assert_eq!(unsafe { rdma_get_cm_event(p.channel.0, &mut event) }, -1);
    assert_eq!(errno(), libc::EDEADLK);
    p.a.destroy();
    p.b.destroy();
    unsafe { rdma_destroy_id(p.listener) };
    p.channel.destroy();
    assert_eq!(softverbs::ledger().objects(), 0);
}

/// How long a request waits for a peer that has no receive, or does not answer.
#[test]
#[ignore = "run by a test below"]
fn patience() {
    const RTS: u32 = 3;
    const ERR: u32 = 6;
    // The longest time there is, which all QPs ask for that the connection manager sets up (InfiniBand specification,
    // encoding for RNR NAK timer field).
    const NOT_READY: u64 = 655_360_000;
    // 4.096 us times 2 to the power of 8, three times: the first attempt, and two retries.
    const SILENCE: u64 = 3 * (4_096 << 8);
    sim::start(1);
    for (delay, on_the_way) in [("delay off", 0), ("delay data rx 100us", 200_000)] {
        softverbs::control(delay).unwrap();
        let p = Pair::with(Shape { rnr_retry: 1, ..Shape::default() }, ALL);
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        // That there is a receive is on the way for half as long as a request and its answer.
        sim::advance(on_the_way / 2 + NOT_READY - 1);
        assert!(p.a.try_poll().is_none());
        p.b.recv(2, 0, 8);
        sim::advance(on_the_way * 2);
        assert_eq!((p.a.try_poll().unwrap().status, p.b.try_poll().unwrap().status), (0, 0), "in time");
        p.a.send(Send::send(3, p.a.sge(0, 8)));
        sim::advance(on_the_way + NOT_READY - 1);
        assert!(p.a.try_poll().is_none());
        sim::advance(1);
        assert_eq!(p.a.try_poll().unwrap().status, ibv_wc_status::IBV_WC_RNR_RETRY_EXC_ERR);
        assert_eq!(p.b.state(), RTS);
        p.destroy();

        let p = Pair::with(Shape::default(), ALL);
        assert_eq!(p.b.modify(ERR), 0);
        p.a.send(Send::send(1, p.a.sge(0, 8)));
        // It begins once a word of its QP's end is there, which was sent as this request was.
        sim::advance(on_the_way / 2 + SILENCE - 1);
        assert!(p.a.try_poll().is_none(), "the retries take their time");
        sim::advance(1);
        assert_eq!(p.a.try_poll().unwrap().status, ibv_wc_status::IBV_WC_RETRY_EXC_ERR);
        p.destroy();
    }
}

#[test]
fn a_peer_is_waited_for_as_long_as_was_agreed() {
    output("patience", 1);
}

/// What an ignored test above says in a process of its own.
fn output(test: &str, seed: u64) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("SIM_SEED", seed.to_string());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn output_of(seed: u64) -> String {
    let text = output("run", seed);
    let lines =
        text.lines().filter(|l| l.starts_with("keys ") || l.starts_with(|c: char| c.is_ascii_digit()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let first = output_of(7);
    assert_eq!(first.lines().count(), 17, "{first}");
    assert_eq!(first, output_of(7));
    assert_ne!(first, output_of(8));
}
