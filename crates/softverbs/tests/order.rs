//! Drawn order: a seed decides all that may happen in more than one order, and what must keep its order keeps it.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ptr::null_mut;

use common::*;
use rdma_sys::*;
use softverbs::{control, sim};

const MS: u64 = 1_000_000;

/// Queue pairs in pairs, all with one CQ, so that the order of their completions is seen.
struct Small {
    context: *mut ibv_context,
    pd: *mut ibv_pd,
    cq: *mut ibv_cq,
    mr: *mut ibv_mr,
    memory: Box<[u8]>,
    pairs: Vec<[*mut ibv_qp; 2]>,
}

impl Small {
    fn new(pairs: usize) -> Self {
        unsafe {
            let list = ibv_get_device_list(null_mut());
            let context = ibv_open_device(*list);
            ibv_free_device_list(list);
            let pd = ibv_alloc_pd(context);
            let cq = ibv_create_cq(context, 1000, null_mut(), null_mut(), 0);
            let mut memory = vec![0u8; 4096].into_boxed_slice();
            let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 4096, ALL as i32);
            let mut w = Self { context, pd, cq, mr, memory, pairs: Vec::new() };
            for _ in 0..pairs {
                let pair = [w.qp(), w.qp()];
                w.connect(pair[0], pair[1]);
                w.connect(pair[1], pair[0]);
                w.pairs.push(pair);
            }
            w
        }
    }

    fn qp(&self) -> *mut ibv_qp {
        unsafe {
            let mut attr: ibv_qp_init_attr = std::mem::zeroed();
            attr.send_cq = self.cq;
            attr.recv_cq = self.cq;
            attr.cap = ibv_qp_cap {
                max_send_wr: 64,
                max_recv_wr: 64,
                max_send_sge: 1,
                max_recv_sge: 1,
                max_inline_data: 0,
            };
            attr.qp_type = ibv_qp_type::IBV_QPT_RC;
            attr.sq_sig_all = 1;
            ibv_create_qp(self.pd, &mut attr)
        }
    }

    fn connect(&self, qp: *mut ibv_qp, peer: *mut ibv_qp) {
        unsafe {
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            attr.qp_state = 1;
            attr.port_num = 1;
            attr.qp_access_flags = ALL;
            assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 1 << 3 | 1 << 4 | 1 << 5), 0);
            attr.qp_state = 2;
            attr.dest_qp_num = (*peer).qp_num;
            attr.path_mtu = 5;
            attr.max_dest_rd_atomic = 4;
            attr.ah_attr.port_num = 1;
            assert_eq!(
                ibv_modify_qp(qp, &mut attr, 1 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 15 | 1 << 17 | 1 << 20),
                0
            );
            attr.qp_state = 3;
            attr.timeout = 14;
            attr.retry_cnt = 7;
            attr.rnr_retry = 7;
            attr.max_rd_atomic = 4;
            assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 16), 0);
        }
    }

    fn send(&self, qp: *mut ibv_qp, wr_id: u64) {
        unsafe {
            let mut sge = ibv_sge { addr: self.memory.as_ptr() as u64, length: 8, lkey: (*self.mr).lkey };
            let mut wr: ibv_send_wr = std::mem::zeroed();
            wr.wr_id = wr_id;
            wr.sg_list = &mut sge;
            wr.num_sge = 1;
            wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
            let mut bad = null_mut();
            assert_eq!(ibv_post_send(qp, &mut wr, &mut bad), 0);
        }
    }

    fn recv(&self, qp: *mut ibv_qp, wr_id: u64) {
        unsafe {
            let mut sge =
                ibv_sge { addr: self.memory.as_ptr() as u64 + 64, length: 8, lkey: (*self.mr).lkey };
            let mut wr = ibv_recv_wr { wr_id, next: null_mut(), sg_list: &mut sge, num_sge: 1 };
            let mut bad = null_mut();
            assert_eq!(ibv_post_recv(qp, &mut wr, &mut bad), 0);
        }
    }

    /// Polls until so many completions came; their ids, and how many each poll gave.
    fn poll(&self, count: usize) -> (Vec<u64>, Vec<i32>) {
        let (mut ids, mut polls) = (Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let mut wc: [ibv_wc; 8] = unsafe { std::mem::zeroed() };
            let got = unsafe { ibv_poll_cq(self.cq, 8, wc.as_mut_ptr()) };
            ids.extend(wc[..got as usize].iter().map(|w| {
                assert_eq!(w.status, 0);
                w.wr_id
            }));
            polls.push(got);
            if ids.len() >= count {
                return (ids, polls);
            }
        }
        panic!("only {ids:?}");
    }

    fn destroy(self) {
        unsafe {
            for qp in self.pairs.iter().flatten() {
                assert_eq!(ibv_destroy_qp(*qp), 0);
            }
            assert_eq!(ibv_destroy_cq(self.cq), 0);
            assert_eq!(ibv_dereg_mr(self.mr), 0);
            assert_eq!(ibv_dealloc_pd(self.pd), 0);
            assert_eq!(ibv_close_device(self.context), 0);
        }
        nothing_left(0);
    }
}

fn begin(seed: u64) {
    sim::start(seed);
    sim::draw_order();
}

#[test]
fn every_allowed_order_of_a_small_world_is_seen() {
    let _alone = alone();
    let (mut orders, mut batches) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..400 {
        begin(seed);
        let w = Small::new(2);
        for (i, pair) in w.pairs.iter().enumerate() {
            let base = 10 * (i as u64 + 1);
            w.recv(pair[1], base + 1);
            w.send(pair[0], base);
        }
        let (order, polls) = w.poll(4);
        orders.insert(order);
        batches.extend(polls);
        w.destroy();
    }
    // A send may complete before its receive does, as far as one can see, and two queue pairs have no order between them.
    assert_eq!(orders.len(), 24, "{orders:?}");
    assert!(batches.is_superset(&BTreeSet::from([0, 1, 2, 3])), "{batches:?}");
}

#[test]
fn a_queue_pair_keeps_its_order() {
    let _alone = alone();
    for seed in 0..100 {
        begin(seed);
        let w = Small::new(3);
        for n in 0..10 {
            for (i, pair) in w.pairs.iter().enumerate() {
                w.recv(pair[1], 1000 * i as u64 + 500 + n);
                w.send(pair[0], 1000 * i as u64 + n);
            }
        }
        let (ids, _) = w.poll(60);
        for queue in [0, 500, 1000, 1500, 2000, 2500] {
            let own: Vec<u64> = ids.iter().copied().filter(|id| (queue..queue + 10).contains(id)).collect();
            assert_eq!(own, (queue..queue + 10).collect::<Vec<_>>(), "seed {seed}");
        }
        w.destroy();
    }
}

#[test]
fn peers_act_in_any_order_and_so_do_timers_of_the_same_moment() {
    let _alone = alone();
    let mut orders = BTreeSet::new();
    for seed in 0..100 {
        begin(seed);
        let w = Small::new(3);
        control("delay data rx 1ms").unwrap();
        for (i, pair) in w.pairs.iter().enumerate() {
            w.recv(pair[1], 1);
            w.send(pair[0], 10 + i as u64);
        }
        while sim::step() {}
        let (ids, _) = w.poll(6);
        assert_eq!(sim::now(), 2 * MS);
        orders.insert(ids.into_iter().filter(|id| *id >= 10).collect::<Vec<_>>());
        control("delay off").unwrap();
        w.destroy();
    }
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn events_of_identifiers_come_in_any_order() {
    let _alone = alone();
    let mut orders = BTreeSet::new();
    for seed in 0..100 {
        begin(seed);
        let channel = Channel::new();
        let ids = [(); 3].map(|()| make_id(&channel));
        for id in ids {
            let mut addr = sockaddr("127.0.0.1:4420");
            assert_eq!(unsafe { rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 1000) }, 0);
        }
        let order: Vec<usize> = (0..3)
            .map(|_| {
                let seen = channel.expect("ADDR_RESOLVED");
                ids.iter().position(|id| *id == seen.id).unwrap()
            })
            .collect();
        orders.insert(order);
        for id in ids {
            unsafe { rdma_destroy_id(id) };
        }
        channel.destroy();
        nothing_left(0);
    }
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn of_what_a_destroyed_queue_pair_left_some_has_come() {
    let _alone = alone();
    for purge in [false, true] {
        control(if purge { "purge on" } else { "purge off" }).unwrap();
        let mut seeds_with = [0; 4];
        for seed in 0..400 {
            begin(seed);
            let mut w = Small::new(1);
            let [qp, peer] = w.pairs.remove(0);
            for id in 0..3 {
                w.recv(qp, id);
            }
            let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
            attr.qp_state = 6;
            assert_eq!(unsafe { ibv_modify_qp(qp, &mut attr, 1) }, 0);
            assert_eq!(unsafe { ibv_destroy_qp(qp) }, 0);
            while sim::step() {}
            let mut wc: [ibv_wc; 4] = unsafe { std::mem::zeroed() };
            let mut ids = Vec::new();
            // A poll returns as many as is drawn: what is left shows after a few.
            for _ in 0..50 {
                let got = unsafe { ibv_poll_cq(w.cq, 4, wc.as_mut_ptr()) };
                ids.extend(wc[..got as usize].iter().map(|wc| wc.wr_id));
            }
            assert_eq!(ids, (0..ids.len() as u64).collect::<Vec<_>>(), "the first ones, in their order");
            seeds_with[ids.len()] += 1;
            assert_eq!(unsafe { ibv_destroy_qp(peer) }, 0);
            w.destroy();
        }
        if purge {
            assert_eq!(seeds_with, [400, 0, 0, 0]);
        } else {
            // Some have come of themselves before, so the four are not equally likely.
            assert!(seeds_with.iter().all(|seeds| (45..200).contains(seeds)), "{seeds_with:?}");
        }
    }
    control("purge off").unwrap();
}

#[test]
fn everything_posted_completes_once_and_in_its_order() {
    let _alone = alone();
    for seed in 0..100 {
        begin(seed);
        let shape = Shape { send_wr: 200, recv_wr: 200, cqe: 1000, ack_timeout: 14, ..Shape::default() };
        let p = Pair::at("127.0.0.1:4420", shape, ALL);
        let ends = [&p.a, &p.b];
        // Of each end: its sends, and its receives, whose ids begin at 1000.
        let (mut posted, mut seen) = ([[0; 2]; 2], [[0; 2]; 2]);
        for _ in 0..150 {
            let end = sim::draw(2) as usize;
            let (own, other) = (ends[end], ends[1 - end]);
            let next = posted[end][0];
            let queue = match sim::draw(6) {
                0 | 1 => {
                    own.recv(1000 + posted[end][1], 0, 64);
                    1
                }
                2 => {
                    own.send(Send::send(next, own.sge(0, 32)));
                    0
                }
                3 => {
                    own.send(Send::write(next, own.sge(0, 64), other.at(4096), other.rkey()));
                    0
                }
                4 => {
                    own.send(Send::read(next, own.sge(8192, 64), other.at(4096), other.rkey()));
                    0
                }
                _ => {
                    if let Some(wc) = own.try_poll() {
                        count(&mut seen[end], &wc, seed);
                    }
                    continue;
                }
            };
            posted[end][queue] += 1;
        }
        // Both go to error somewhere in the middle of it all.
        assert_eq!((p.a.modify(6), p.b.modify(6)), (0, 0));
        while sim::step() {}
        for (end, seen) in ends.iter().zip(&mut seen) {
            while let Some(wc) = end.try_poll() {
                count(seen, &wc, seed);
            }
        }
        assert_eq!(posted, seen, "seed {seed}");
        p.destroy();
    }
}

fn count(seen: &mut [u64; 2], wc: &Wc, seed: u64) {
    let recv = usize::from(wc.wr_id >= 1000);
    assert!([0, 5].contains(&wc.status), "seed {seed}: {wc:?}");
    assert_eq!(wc.wr_id % 1000, seen[recv], "seed {seed}: {wc:?}");
    seen[recv] += 1;
}

#[test]
fn completions_on_their_way_come_or_go_with_their_queue_pair() {
    let _alone = alone();
    let mut counts = BTreeSet::new();
    for seed in 0..200 {
        begin(seed);
        let mut w = Small::new(1);
        let [a, b] = w.pairs[0];
        for id in 0..3 {
            w.recv(b, 10 + id);
            w.send(a, id);
        }
        assert_eq!(unsafe { ibv_destroy_qp(b) }, 0);
        w.pairs[0] = [a, w.qp()];
        // What of the receives is there now is all that will ever be, in order; the sends have nobody to acknowledge them.
        let mut ids = Vec::new();
        for _ in 0..100 {
            let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
            if unsafe { ibv_poll_cq(w.cq, 1, &mut wc) } == 1 && wc.wr_id >= 10 {
                ids.push(wc.wr_id);
            }
        }
        assert_eq!(ids, (10..10 + ids.len() as u64).collect::<Vec<_>>());
        counts.insert(ids.len());
        w.destroy();
    }
    assert_eq!(counts, BTreeSet::from([0, 1, 2, 3]));
}

/// A random world: connections that come and go, work of every kind, faults; all drawn from the seed. What happened when.
fn random_world(seed: u64) -> String {
    begin(seed);
    let mut log = String::new();
    control("timewait 10ms; timeout cm 1s; faults quiet").unwrap();
    let port = 4420 + (seed % 7) as u16;
    let mut pairs: Vec<Pair> = Vec::new();
    for i in 0..2 + sim::draw(2) {
        let shape = Shape { srq: sim::draw(3) == 0, ack_timeout: 14, rnr_retry: 1, ..Shape::default() };
        pairs.push(Pair::at(&format!("127.0.0.1:{}", port + i as u16 * 10), shape, ALL));
    }
    for command in random_faults() {
        writeln!(log, "{command}: {}", control(&command).is_ok()).unwrap();
    }
    for step in 0..120 {
        let pair = &pairs[sim::draw(pairs.len() as u64) as usize];
        let (from, to) = if sim::draw(2) == 0 { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
        let result = match sim::draw(12) {
            0..=2 => to.try_recv(step, vec![to.sge(0, 64)]),
            3..=4 => from.try_send(Send::send(step, from.sge(0, 1 + sim::draw(64) as u32))),
            5 => from.try_send(Send::write(step, from.sge(0, 200), to.at(4096), to.rkey())),
            6 => from.try_send(Send::read(step, from.sge(8192, 200), to.at(4096), to.rkey())),
            7 => i32::from(sim::step()),
            8 if sim::draw(12) == 0 => unsafe { rdma_disconnect(from.id) },
            8 if sim::draw(12) == 0 => from.modify(6),
            _ => 0,
        };
        write!(log, "{step}:{result} ").unwrap();
        for (i, pair) in pairs.iter().enumerate() {
            for (name, end) in [("a", &pair.a), ("b", &pair.b)] {
                let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
                match unsafe { ibv_poll_cq(end.cq, 1, &mut wc) } {
                    1 => writeln!(log, "{} {i}{name} wc {} {}", sim::now(), wc.wr_id, wc.status).unwrap(),
                    0 => {}
                    n => writeln!(log, "poll {n}").unwrap(),
                }
            }
            let mut event = null_mut();
            if unsafe { rdma_get_cm_event(pair.channel.0, &mut event) } == 0 {
                let (kind, status) = unsafe { ((*event).event, (*event).status) };
                writeln!(log, "{} {i} event {kind} {status}", sim::now()).unwrap();
                if unsafe { rdma_ack_cm_event(event) } != 0 {
                    control("faults off").unwrap();
                    assert_eq!(unsafe { rdma_ack_cm_event(event) }, 0);
                }
            }
        }
    }
    sim::advance(1_000 * MS);
    control("faults off; device on").unwrap();
    writeln!(log, "end at {}", sim::now()).unwrap();
    for pair in pairs {
        pair.a.destroy();
        pair.b.destroy();
        unsafe { rdma_destroy_id(pair.listener) };
        pair.channel.destroy();
    }
    nothing_left(0);
    log
}

fn random_faults() -> Vec<String> {
    let one = || {
        let n = 1 + sim::draw(8);
        let all = [
            format!("wc send {n} late 3ms"),
            format!("wc recv {n} late {n} polls"),
            format!("wc any {n} never"),
            format!("wc send {n} error RETRY_EXC_ERR"),
            "wc any 10% repeat 1".into(),
            "wc recv 20% set byte_len=random".into(),
            format!("wc any {n} after destroy"),
            "wc send always after recv".into(),
            "fail ibv_post_send 20% ENOMEM".into(),
            "fail ibv_poll_cq 5% EIO".into(),
            "fail rdma_get_cm_event 5% EIO".into(),
            "fail rdma_ack_cm_event 1 EIO".into(),
            "peer lies 10% seq +1".into(),
            "peer lies 10% repeat 1".into(),
            "peer lies 5% kind nak".into(),
            format!("at wc any {n}: peer silent data"),
            format!("at wc any {n}: peer dies"),
            format!("at wc any {n}: port down"),
            format!("at call ibv_post_send {n}: device remove"),
            format!("after {n}ms: port up"),
            "cm DISCONNECTED 50% drop".into(),
            "cm DISCONNECTED 50% repeat 3".into(),
            "cm TIMEWAIT_EXIT always late 5ms".into(),
            "cm inject ADDR_CHANGE times 3".into(),
            "cm inject DISCONNECTED on newest".into(),
            "delay data rx 100us 90us".into(),
            "delay off".into(),
            "clock jump 3ms".into(),
            "purge on".into(),
            "purge off".into(),
        ];
        all[sim::draw(all.len() as u64) as usize].clone()
    };
    (0..sim::draw(5)).map(|_| one()).collect()
}

#[test]
fn random_worlds_with_random_faults_end_well_and_replay() {
    let _alone = alone();
    let seeds: u64 = std::env::var("SOFTVERBS_TEST_SEEDS").map_or(150, |s| s.parse().unwrap());
    let mut logs = BTreeSet::new();
    for seed in 0..seeds {
        let log = random_world(seed);
        if seed % 5 == 0 {
            assert_eq!(log, random_world(seed), "seed {seed} does not replay");
        }
        logs.insert(log);
        control("delay off; purge off").unwrap();
    }
    control("faults loud").unwrap();
    assert_eq!(logs.len() as u64, seeds, "two seeds gave the same world");
}

#[test]
#[ignore = "run by the test below, with a seed"]
fn one_world() {
    let seed = std::env::var("SOFTVERBS_TEST_SEED").unwrap().parse().unwrap();
    println!("log of seed {seed}: {:?}", random_world(seed));
}

#[test]
fn a_world_replays_in_another_process() {
    let _alone = alone();
    for seed in [3, 11, 42] {
        // Other worlds before it change nothing.
        random_world(seed + 1000);
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "one_world", "--ignored", "--nocapture"])
            .env("SOFTVERBS_TEST_SEED", seed.to_string());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(&format!("log of seed {seed}: {:?}", random_world(seed))),
            "seed {seed}: {text}"
        );
        control("delay off; purge off; faults loud").unwrap();
    }
}
