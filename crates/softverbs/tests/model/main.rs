//! Random work against an independent model: the same completions, events, states and bytes, whether a message is carried out at
//! once, goes as frames within the process, or between two processes.
//!
//! Only what the specification fixes is compared. So completions are compared for each queue of each queue pair, not between
//! them; and what would be a race is not begun: both directions of a connection at once, two senders that wait for one shared
//! queue, a write into what is being read without a fence.
//!
//! `MODEL_SEED=n` runs that seed alone; `MODEL_SEEDS=n` that many, in place of the few that each run takes.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks, clippy::arithmetic_side_effects)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod reference;
mod side;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use reference::{Done, ERR, FENCE, Half, INLINE, Key, Qp, Receive, SIGNALED, Segment, Send, World};
use side::{AREA, AREAS, SHARED, Side};

/// A small generator of its own (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Where a side runs.
enum Host {
    Here(Box<Side>),
    There { child: Child, say: ChildStdin, said: Receiver<String> },
}

impl Host {
    fn there() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--ignored", "--nocapture"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix("> ")
                    && sender.send(answer.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Self::There { child, say, said }
    }

    fn ask(&mut self, line: &str) -> String {
        match self {
            Self::Here(side) => side.run(line),
            Self::There { say, said, .. } => {
                writeln!(say, "{line}").unwrap();
                said.recv_timeout(Duration::from_secs(60)).expect("the other process answers")
            }
        }
    }

    fn numbers(&mut self, line: &str) -> Vec<u64> {
        self.ask(line).split_whitespace().map(|w| w.parse().unwrap()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Self::There { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The other process.
#[test]
#[ignore = "run by the test between two processes"]
fn child() {
    let mut side = Side::new();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        println!("\n> {}", side.run(&line));
    }
}

/// A run: two sides and what they should be.
struct Run {
    seed: u64,
    random: Random,
    hosts: [Host; 2],
    world: World,
    /// Base address and the regions' keys.
    known: [Vec<u64>; 2],
    pairs: usize,
    /// Completions seen, as in `Qp::done`.
    seen: [Vec<[Vec<Done>; 2]>; 2],
    events: [Vec<(u64, u64)>; 2],
    /// The side that sends on a connection, until it is settled.
    active: Vec<Option<usize>>,
    /// A read was posted since.
    reading: Vec<bool>,
    has_shared: bool,
    /// Nothing ever is on its way.
    at_once: bool,
    /// Keys that were given to a connection's side to invalidate.
    given: [Vec<Vec<u32>>; 2],
    next_id: u64,
    log: String,
}

const STEPS: u64 = 60;

impl Run {
    fn new(seed: u64, at_once: bool, hosts: [Host; 2]) -> Self {
        let mut random = Random(seed);
        let pairs = 1 + random.below(5) as usize;
        let memory = pairs * AREAS * AREA + SHARED;
        let has_shared = random.one_in(2);
        let mut hosts = hosts;
        let mut halves = Vec::new();
        let mut known = Vec::new();
        for (n, host) in hosts.iter_mut().enumerate() {
            let cqs = 1 + random.below(3);
            let srqs = if has_shared { random.below(3) } else { 0 };
            let mut line = format!("make {} {memory} {cqs} {srqs}", seed * 2 + n as u64);
            let mut qps = Vec::new();
            for _ in 0..pairs {
                let srq = random.below(srqs + 1);
                let _ = write!(line, " {} {} {srq}", random.below(cqs), random.below(cqs));
                let rights = if random.one_in(8) { [1, 3, 5][random.below(3) as usize] } else { 7 };
                qps.push(Qp::new(srq.checked_sub(1).map(|s| s as usize), rights));
            }
            known.push(host.numbers(&line));
            let mut bytes = vec![0; memory];
            side::fill(&mut bytes, seed * 2 + n as u64);
            halves.push(Half {
                memory: bytes,
                qps,
                srqs: vec![Default::default(); srqs as usize],
                events: Vec::new(),
                written: Vec::new(),
                extra: BTreeSet::new(),
            });
        }
        let [b, a] = [halves.pop().unwrap(), halves.pop().unwrap()];
        let [kb, ka] = [known.pop().unwrap(), known.pop().unwrap()];
        let mut run = Self {
            seed,
            random,
            hosts,
            world: World([a, b]),
            known: [ka, kb],
            pairs,
            seen: [vec![Default::default(); pairs], vec![Default::default(); pairs]],
            events: Default::default(),
            active: vec![None; pairs],
            reading: vec![false; pairs],
            has_shared,
            at_once,
            given: [vec![Vec::new(); pairs], vec![Vec::new(); pairs]],
            next_id: 1,
            log: String::new(),
        };
        for qp in 0..pairs {
            run.connect(qp);
        }
        run
    }

    fn number(&self, side: usize, qp: usize) -> u64 {
        self.known[side][1 + 2 * side::REGIONS + qp]
    }

    fn connect(&mut self, qp: usize) {
        for side in 0..2 {
            let (peer, rights) = (self.number(1 - side, qp), self.world.0[side].qps[qp].rights);
            assert_eq!(self.hosts[side].ask(&format!("up {qp} {peer} {rights}")), "0");
        }
        for side in 0..2 {
            assert_eq!(self.hosts[side].ask(&format!("go {qp}")), "0");
        }
    }

    /// A key's number: local or remote.
    fn key(&self, side: usize, key: Key, remote: bool) -> u64 {
        let of = |region: usize, remote: bool| self.known[side][1 + 2 * region + usize::from(remote)];
        match key {
            Key::All => of(0, remote),
            Key::PeersRead => of(1, remote),
            Key::Nothing => of(2, remote),
            Key::Foreign => of(3, remote),
            Key::Wrong => of(0, remote) ^ 0x1000,
            Key::OtherSide => of(0, !remote),
            Key::Extra(key) => key.into(),
        }
    }

    fn segments(&self, side: usize, segments: &[Segment]) -> String {
        let mut line = format!(" {}", segments.len());
        for s in segments {
            let address = self.known[side][0].wrapping_add(s.at as u64);
            let _ = write!(line, " {address} {} {}", s.length, self.key(side, s.key, false));
        }
        line
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn length(&mut self) -> u64 {
        let most = [1, 2, 64, 64, 1000, 5000, 70_000, 200_001][self.random.below(8) as usize];
        self.random.below(most)
    }

    /// Segments of so many bytes in all, somewhere in an area; now and then with something wrong.
    fn scatter(&mut self, base: usize, total: u64) -> Vec<Segment> {
        let pieces = 1 + self.random.below(3);
        let mut left = total;
        let mut list = Vec::new();
        for n in 0..pieces {
            let length = if n + 1 == pieces { left } else { self.random.below(left + 1) };
            left -= length;
            let at = base as u64 + self.random.below(AREA as u64 - length);
            list.push(Segment { key: Key::All, at: at as i64, length: length as u32 });
        }
        if self.random.one_in(10) {
            // Nobody looks at a segment of no bytes.
            let at = self.random.below(list.len() as u64 + 1) as usize;
            list.insert(at, Segment { key: Key::Wrong, at: -1, length: 0 });
        }
        if self.random.one_in(40) {
            let end = self.world.0[0].memory.len() as i64;
            let which = self.random.below(list.len() as u64) as usize;
            let segment = &mut list[which];
            match self.random.below(7) {
                0 => segment.key = Key::Wrong,
                1 => segment.key = Key::Foreign,
                2 => segment.key = Key::OtherSide,
                3 => segment.key = Key::Nothing,
                4 => segment.key = Key::PeersRead,
                5 => segment.at = end - i64::from(segment.length) + 1,
                _ => segment.at = -1,
            }
        }
        list
    }

    fn send(&mut self, side: usize, qp: usize) -> Send {
        use reference::{READ, SEND, SEND_IMM, SEND_INV, WRITE, WRITE_IMM};
        let opcode = [SEND, SEND, SEND, SEND_IMM, SEND_INV, WRITE, WRITE, WRITE_IMM, READ, READ]
            [self.random.below(10) as usize];
        let mut length = self.length();
        let mut flags = if self.random.one_in(3) { 0 } else { SIGNALED };
        if self.random.one_in(6) {
            // Mostly as much as fits.
            flags |= INLINE;
            if !self.random.one_in(20) && opcode != READ {
                length %= 65;
            } else if opcode == READ && !self.random.one_in(20) {
                flags &= !INLINE;
            }
        }
        let base = qp * AREAS * AREA;
        let segments = self.scatter(if opcode == READ { base + AREA } else { base }, length);
        if flags & INLINE != 0 && segments.iter().any(|s| s.at < -1 || s.length > 64) {
            flags &= !INLINE;
        }
        // What is inline must be there, whatever its key.
        let inside = |s: &Segment| s.length == 0 || (s.at >= 0 && s.at + i64::from(s.length) <= AREA as i64);
        if flags & INLINE != 0 && !segments.iter().all(|s| inside(&Segment { at: s.at - base as i64, ..*s }))
        {
            flags &= !INLINE;
        }
        let mut remote =
            (Key::All, (base + 2 * AREA) as i64 + self.random.below(AREA as u64 - length) as i64);
        if self.random.one_in(30) {
            let end = self.world.0[0].memory.len() as i64;
            match self.random.below(8) {
                0 => remote.0 = Key::Wrong,
                1 => remote.0 = Key::Foreign,
                2 => remote.0 = Key::OtherSide,
                3 => remote.0 = Key::Nothing,
                4 | 5 => remote.0 = Key::PeersRead,
                6 => remote.1 = end - length as i64 + 1,
                _ => remote.1 = -1,
            }
        }
        let mut word = self.random.draw() as u32;
        if opcode == SEND_INV && !self.random.one_in(12) {
            word = self.hosts[1 - side].ask("invalidable").parse().unwrap();
            self.world.0[1 - side].extra.insert(word);
            self.given[side][qp].push(word);
        }
        let given = &self.given[side][qp];
        if opcode == READ && length < 4000 && !given.is_empty() && self.random.one_in(4) {
            // Invalidated by now, or not: the send that does it was posted before, on this queue pair.
            remote = (Key::Extra(given[self.random.below(given.len() as u64) as usize]), 0);
        }
        match opcode {
            READ => self.reading[qp] = true,
            WRITE | WRITE_IMM if self.reading[qp] => flags |= FENCE,
            _ if self.random.one_in(8) => flags |= FENCE,
            _ => {}
        }
        let mut send = Send { id: self.id(), opcode, flags, word, remote, segments };
        if self.random.one_in(100) {
            send.segments = vec![send.segments[0]; 5];
        }
        send
    }

    fn receive(&mut self, base: usize) -> Receive {
        let length = if self.random.one_in(5) { self.length() } else { 200_001 };
        let segments = self.scatter(base, length);
        Receive { id: self.id() | 1 << 63, segments }
    }

    /// Whether the oldest send of a queue pair waits for a receive.
    fn is_waiting(&self, side: usize, qp: usize) -> bool {
        !self.world.0[side].qps[qp].sends.is_empty()
    }

    /// Something is about to happen on the way from this side: what happens on the way back is over by then.
    fn activate(&mut self, side: usize, qp: usize) {
        if self.active[qp].is_some_and(|s| s != side) {
            self.settle();
        }
        self.active[qp] = Some(side);
    }

    fn post_sends(&mut self, side: usize, qp: usize) {
        let peers = &self.world.0[1 - side].qps;
        let shares = |q: usize| peers[qp].srq.is_some() && peers[q].srq == peers[qp].srq;
        let crowded = (0..self.pairs).any(|q| q != qp && shares(q) && self.is_waiting(side, q));
        if crowded || self.world.0[side].qps[qp].sends.len() > 100 {
            return;
        }
        self.activate(side, qp);
        let mut list: Vec<Send> = (0..=self.random.below(6)).map(|_| self.send(side, qp)).collect();
        // What is done before a send that may wait for a receive shows itself: else nobody knew whether its answer came.
        let waits = |s: &Send| !matches!(s.opcode, reference::WRITE | reference::READ) || s.is_refused();
        for n in 0..list.len() {
            if list.get(n + 1).is_none_or(waits) {
                list[n].flags |= SIGNALED;
            }
        }
        let mut line = format!("send {qp}");
        for s in &list {
            let address = self.known[1 - side][0].wrapping_add(s.remote.1 as u64);
            let rkey = self.key(1 - side, s.remote.0, true);
            let _ = write!(line, " {} {} {} {} {address} {rkey}", s.id, s.opcode, s.flags, s.word);
            line += &self.segments(side, &s.segments);
        }
        let _ = writeln!(self.log, "side {side} qp {qp} sends {list:?}");
        let (errno, taken) = self.world.post_sends(side, qp, list);
        self.expect(side, &line, &format!("{errno} {taken}"));
    }

    fn post_receives(&mut self, side: usize, qp: usize) {
        let srq = self.world.0[side].qps[qp].srq;
        let base = match srq {
            Some(_) => self.pairs * AREAS * AREA,
            None => (qp * AREAS + 3) * AREA,
        };
        self.activate(1 - side, qp);
        let list: Vec<Receive> = (0..=self.random.below(6)).map(|_| self.receive(base)).collect();
        let mut line = match srq {
            Some(s) => format!("srecv {s}"),
            None => format!("recv {qp}"),
        };
        for r in &list {
            let _ = write!(line, " {}", r.id);
            line += &self.segments(side, &r.segments);
        }
        let _ = writeln!(self.log, "side {side} qp {qp} srq {srq:?} receives {list:?}");
        let count = list.len();
        match srq {
            Some(s) => self.world.post_shared(side, s, list),
            None => self.world.post_receives(side, qp, list),
        }
        self.expect(side, &line, &format!("0 {count}"));
    }

    fn expect(&mut self, side: usize, line: &str, answer: &str) {
        let said = self.hosts[side].ask(line);
        assert!(
            said == answer,
            "seed {}: side {side}: {line}: {said}, not {answer}\n{}",
            self.seed,
            self.log
        );
    }

    fn step(&mut self) {
        let (side, qp) = (self.random.below(2) as usize, self.random.below(self.pairs as u64) as usize);
        match self.random.below(40) {
            // What waits for a receive may be on its way there, and arrive after all.
            0 if self.at_once || !(self.is_waiting(0, qp) || self.is_waiting(1, qp)) => {
                self.settle();
                let _ = writeln!(self.log, "side {side} qp {qp} to error");
                self.world.error(side, qp);
                self.expect(side, &format!("error {qp}"), "0");
                self.settle();
            }
            0..20 => self.post_sends(side, qp),
            20..38 => self.post_receives(side, qp),
            _ => self.settle(),
        }
        if self.has_shared {
            self.settle();
        }
        let failed = |q: &usize| self.world.0.iter().any(|h| h.qps[*q].state == ERR);
        let failed: Vec<usize> = (0..self.pairs).filter(failed).collect();
        for qp in failed {
            if self.random.one_in(3) {
                self.settle();
                let _ = writeln!(self.log, "qp {qp} anew");
                for side in 0..2 {
                    self.expect(side, &format!("reset {qp}"), "0");
                }
                self.world.reset(qp);
                self.connect(qp);
            }
        }
    }

    /// Takes what there is; whether all that is due was seen.
    fn look(&mut self) -> bool {
        let mut due = true;
        for side in 0..2 {
            for c in self.hosts[side].numbers("poll").chunks(7) {
                let done =
                    Done { id: c[1], status: c[2], opcode: c[3], length: c[4], word: c[5], flags: c[6] };
                let done = if done.status == 0 { done } else { Done::failed(done.id, done.status) };
                self.seen[side][c[0] as usize][usize::from(done.id >> 63 == 1)].push(done);
            }
            let more = self.hosts[side].numbers("events");
            self.events[side].extend(more.chunks(2).map(|e| (e[0], e[1])));
            let half = &self.world.0[side];
            due &= self.events[side].len() >= half.events.len();
            for qp in 0..self.pairs {
                for kind in 0..2 {
                    due &= self.seen[side][qp][kind].len() >= half.qps[qp].done[kind].len();
                }
            }
        }
        due
    }

    /// A part of the memory that was written and is not what it should be: side, start, length.
    fn differing(&mut self) -> Option<(usize, usize, usize)> {
        for side in 0..2 {
            let half = &self.world.0[side];
            for &(at, length) in &half.written {
                let from = at.saturating_sub(16);
                let to = (at + length + 16).min(half.memory.len());
                let is = self.hosts[side].ask(&format!("hash {from} {}", to - from));
                if is != side::hash(&half.memory[from..to]).to_string() {
                    return Some((side, at, length));
                }
            }
        }
        None
    }

    /// Waits until all is done that can be, and compares.
    fn settle(&mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        // What is not signaled is seen only by what it does.
        while !(self.look() && self.differing().is_none()) && Instant::now() < end {
            std::thread::yield_now();
        }
        let differing = self.differing();
        assert!(
            differing.is_none(),
            "seed {}: side, at, length {differing:?} differ\n{}",
            self.seed,
            self.log
        );
        for side in 0..2 {
            let half = &mut self.world.0[side];
            let why = format!("seed {}: side {side}", self.seed);
            for qp in 0..self.pairs {
                for (kind, name) in ["sends", "receives"].into_iter().enumerate() {
                    let (seen, done) = (&self.seen[side][qp][kind], &half.qps[qp].done[kind]);
                    assert!(seen == done, "{why} qp {qp}: {name} {seen:?}, not {done:?}\n{}", self.log);
                }
            }
            half.events.sort_unstable();
            self.events[side].sort_unstable();
            assert_eq!(self.events[side], half.events, "{why}: events\n{}", self.log);
            let states: Vec<u64> = half.qps.iter().map(|q| q.state).collect();
            assert_eq!(self.hosts[side].numbers("states"), states, "{why}: states\n{}", self.log);
            half.written.clear();
        }
        self.active.fill(None);
        self.reading.fill(false);
        for half in &mut self.world.0 {
            half.events.clear();
            half.qps.iter_mut().for_each(|q| q.done.iter_mut().for_each(Vec::clear));
        }
        self.events.iter_mut().for_each(Vec::clear);
        self.seen.iter_mut().flatten().flatten().for_each(Vec::clear);
    }

    fn end(mut self) -> [Host; 2] {
        self.settle();
        for side in 0..2 {
            let memory = &self.world.0[side].memory;
            let is = self.hosts[side].ask(&format!("hash 0 {}", memory.len()));
            assert_eq!(is, side::hash(memory).to_string(), "seed {}: side {side}: memory", self.seed);
            self.hosts[side].ask("end");
        }
        self.hosts
    }
}

/// Runs `default` seeds, or those that the environment names.
fn seeds(default: u64, at_once: bool, hosts: impl Fn() -> [Host; 2]) {
    let number = |name| std::env::var(name).ok().map(|v: String| v.parse::<u64>().unwrap());
    let list = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_SEEDS").unwrap_or(default),
    };
    for seed in list {
        let mut run = Run::new(seed, at_once, hosts());
        for _ in 0..STEPS {
            run.step();
        }
        run.end();
    }
}

fn here() -> [Host; 2] {
    [Host::Here(Box::new(Side::new())), Host::Here(Box::new(Side::new()))]
}

/// The sides of one process share one fabric: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn at_once() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    seeds(50, true, here);
    assert_eq!(softverbs::ledger().objects(), 0);
}

#[test]
fn as_frames() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    softverbs::control("delay data rx 50us 50us").unwrap();
    seeds(40, false, here);
    softverbs::control("delay off").unwrap();
}

#[test]
fn between_processes() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    seeds(12, false, || [Host::Here(Box::new(Side::new())), Host::there()]);
}
