//! Bytes of strangers: whatever a TCP connection to a listener's port says, it ends that connection at most, with one line, and a
//! well-behaved connection of the same process goes on.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::victim::*;
use common::*;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

/// A conversation that is all right, up to where it asks for what only the victim knows.
fn conversation(port: u16, random: &mut Random) -> Vec<Vec<u8>> {
    let mut frames = vec![cm(1, port).bytes(), cm(3, 0).bytes()];
    for seq in 0..random.below(8) {
        let total = random.below(200) as u32;
        frames.push(
            Frame {
                kind: 1 + random.below(9) as u8,
                flags: random.below(8) as u8,
                qpn: random.below(1 << 24) as u32,
                seq,
                address: random.below(u64::MAX),
                rkey: random.below(1 << 32) as u32,
                total,
                payload: vec![7; total as usize],
                ..Frame::default()
            }
            .bytes(),
        );
    }
    for say in [5, 6, 4, 2, 7, 8] {
        if random.below(2) == 0 {
            frames.push(cm(say, 0).bytes());
        }
    }
    frames
}

/// What is thrown at the listener.
fn bytes(port: u16, random: &mut Random) -> Vec<u8> {
    if random.below(4) == 0 {
        return (0..random.below(5000)).map(|_| random.below(256) as u8).collect();
    }
    let mut frames = conversation(port, random);
    for _ in 0..random.below(4) {
        let which = random.below(frames.len() as u64) as usize;
        match random.below(6) {
            0 => frames.push(frames[which].clone()),
            1 => drop(frames.remove(which)),
            2 => frames.swap(0, which),
            3 => {
                let length = random.below(frames[which].len() as u64) as usize;
                frames[which].truncate(length);
            }
            4 => {
                // An absurd length.
                let length = [0, 1, 47, 49, 65_584, 65_585, 1 << 20, u32::MAX][random.below(8) as usize];
                for (to, from) in frames[which].iter_mut().zip(length.to_le_bytes()) {
                    *to = from;
                }
            }
            _ => {
                let bits = frames[which].len() as u64 * 8;
                let bit = random.below(bits);
                if let Some(byte) = frames[which].get_mut((bit / 8) as usize) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
        if frames.is_empty() {
            return Vec::new();
        }
    }
    frames.concat()
}

/// `GARBAGE_SEED` is where to begin, `GARBAGE_ROUNDS` how many to throw.
#[test]
fn whatever_a_stranger_says() {
    let number =
        |name, otherwise| std::env::var(name).map_or(otherwise, |v: String| v.parse::<u64>().unwrap());
    let (first, rounds) = (number("GARBAGE_SEED", 1), number("GARBAGE_ROUNDS", 300));
    let _alone = alone();
    let port = fresh_port();
    let mut v = Victim::at(port, Shape::default());
    let tcp = (20_000 + (u32::from(port) * 7) % 12_000) as u16;
    let end = Instant::now() + Duration::from_secs(20);
    let mut memory = 0;
    let mut open = std::collections::VecDeque::new();
    for seed in first..first + rounds {
        if Instant::now() > end {
            break;
        }
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut stream = TcpStream::connect(("127.0.0.1", tcp)).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        for piece in bytes(port, &mut random).chunks(1 + random.below(3000) as usize) {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        // Some hang up at once, some stay a while.
        if random.below(2) == 0 {
            open.push_back(stream);
        }
        if open.len() > 20 {
            open.pop_front();
        }
        // Requests that came to be are answered one way or the other; the well-behaved peer is served meanwhile.
        while let Some(seen) = v.channel.try_next() {
            assert_ne!(seen.id, v.end.id, "seed {seed}: {seen:?}");
            if seen.kind == "CONNECT_REQUEST" {
                unsafe {
                    if random.below(2) == 0 {
                        rdma_sys::rdma_reject(seen.id, std::ptr::null(), 0);
                    }
                    assert_eq!(rdma_sys::rdma_destroy_id(seen.id), 0);
                }
            }
        }
        v.end.recv(seed, 0, 64);
        v.say(Frame {
            kind: SEND,
            seq: seed - first,
            total: 6,
            payload: b"steady".to_vec(),
            ..Frame::default()
        });
        let wc = v.end.poll();
        assert_eq!((wc.wr_id, wc.status, wc.byte_len), (seed, 0, 6), "seed {seed}");
        if seed == first + rounds / 3 {
            memory = resident();
        }
    }
    assert!(resident() < memory + 64 * 1024, "it grew from {memory} to {} KiB", resident());
    drop(open);
    while let Some(seen) = v.channel.try_next() {
        if seen.kind == "CONNECT_REQUEST" {
            assert_eq!(unsafe { rdma_sys::rdma_destroy_id(seen.id) }, 0);
        }
    }
    v.destroy();
}

/// KiB of memory in use.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
