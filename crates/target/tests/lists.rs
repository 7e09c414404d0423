//! Lists of descriptors over RDMA: the data of a command in several pieces of the host's memory.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use nvme_rdma_target::Options;
use spec::fabrics::ConnectData;
use spec::{Command, Sgl, Status};
use support::{Bed, DATA, DEPTH, Raw, alone};

const NQN: &str = "nqn.test:1";
/// Between pieces, and around them.
const GAP: u8 = 0xee;
/// Where a command's data is whole.
const WHOLE: usize = 4 << 20;

/// Bytes of which none is a gap's.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31 + seed * 7) % 233) as u8).collect()
}

/// Cuts `length` bytes into so many pieces of very different lengths, among them one of no bytes if there are some, which
/// lie in no order and with gaps between them: offset and length of each.
fn cut(length: usize, count: usize, base: usize) -> Vec<(usize, usize)> {
    let mut left = length;
    (0..count)
        .map(|index| {
            let some = if index + 1 == count { left } else { (index * 37 % 600).min(left) };
            left -= some;
            (base + index * 7 % 16 * 0x4000 + index * 3, some)
        })
        .collect()
}

/// SGL1 and the list behind the command.
fn list(io: &Raw, pieces: &[(usize, usize)]) -> (Sgl, Vec<u8>) {
    let sgls = pieces.iter().map(|(offset, length)| io.sgl(*offset, *length as u32).to_bytes());
    (Sgl::last_segment(0, 16 * pieces.len() as u32), sgls.flatten().collect())
}

fn run(bed: &mut Bed, io: &mut Raw, command: Command, pieces: &[(usize, usize)]) -> Status {
    let (sgl, behind) = list(io, pieces);
    io.send(&command.with_sgl1(sgl), &behind);
    io.response(bed).status()
}

#[test]
fn data_is_gathered_and_scattered_byte_by_byte() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    const LENGTH: usize = 24 * 512;
    for count in 1..=16 {
        let written = pattern(count, LENGTH);
        let pieces = cut(LENGTH, count, 0);
        let mut image = vec![GAP; 16 * 0x4000];
        let mut done = 0;
        for (offset, length) in &pieces {
            image[*offset..offset + length].copy_from_slice(&written[done..done + length]);
            done += length;
        }
        assert_eq!(done, LENGTH);
        io.put(0, &image);
        assert_eq!(run(&mut bed, &mut io, Command::write(1, 3, 24), &pieces), Status::SUCCESS);
        let whole = Command::read(1, 3, 24).with_sgl1(io.sgl(WHOLE, LENGTH as u32));
        assert!(io.run(&mut bed, &whole).is_success());
        assert!(io.data(WHOLE, LENGTH) == written, "gathered from {count}");

        io.put(0, &vec![GAP; image.len()]);
        assert_eq!(run(&mut bed, &mut io, Command::read(1, 3, 24), &pieces), Status::SUCCESS);
        assert!(io.data(0, image.len()) == image, "scattered over {count}");
    }
}

/// All entries of a queue at a time, with lists and without: by few reads and by many, and where the device has no room
/// for more work requests than commands of one piece need, or for just one.
#[test]
fn a_full_queue_of_lists() {
    const LENGTH: usize = 4096;
    const PLACE: usize = 0x4000;
    let _alone = alone();
    // Receives and sends of a queue with 128 entries.
    let least = 128 + 2 * (128 + 32 + 4);
    for (read_depth, completions) in
        [(4, least + 1000), (1, least), (16, least), (3, least + 1), (255, least + 40)]
    {
        softverbs::control(&format!("device profile max_cqe={completions}")).unwrap();
        let mut bed = Bed::with(&["nqn.test:1,ns=4M:4K"], Options { read_depth, ..Options::default() });
        let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
        let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
        // A place for each command, in which its pieces lie the wrong way round, with a gap of one byte between them.
        let pieces = |index: usize| -> Vec<(usize, usize)> {
            let count = [16, 1, 5, 2][index % 4];
            let each = LENGTH / count;
            let last = LENGTH - each * (count - 1);
            let length = |nth| if nth + 1 == count { last } else { each };
            (0..count).map(|nth| (index * PLACE + (count - 1 - nth) * (each + 17), length(nth))).collect()
        };
        let written: Vec<_> = (0..DEPTH - 1).map(|index| pattern(index, LENGTH)).collect();
        for reading in [false, true] {
            io.put(0, &vec![GAP; DEPTH * PLACE]);
            for (index, data) in written.iter().enumerate() {
                let pieces = pieces(index);
                let command = if reading {
                    Command::read(1, index as u64, 1)
                } else {
                    let mut rest = &data[..];
                    for (offset, length) in &pieces {
                        let (piece, behind) = rest.split_at(*length);
                        io.put(*offset, piece);
                        rest = behind;
                    }
                    Command::write(1, index as u64, 1)
                };
                let (sgl, behind) = match pieces[..] {
                    [(offset, length)] => (io.sgl(offset, length as u32), Vec::new()),
                    _ => list(&io, &pieces),
                };
                io.push(&command.with_cid(index as u16).with_sgl1(sgl), &behind);
            }
            io.post();
            let mut seen = [false; DEPTH];
            for _ in 0..DEPTH - 1 {
                let completion = io.response(&mut bed);
                assert!(completion.is_success());
                let index = usize::from(completion.cid());
                assert!(!std::mem::replace(&mut seen[index], true));
                // What was read is there when its response is.
                let found: Vec<u8> =
                    pieces(index).iter().flat_map(|(at, length)| io.data(*at, *length)).collect();
                assert!(found == written[index], "command {index}");
            }
        }
        let gaps = io.data(0, DEPTH * PLACE).iter().filter(|byte| **byte == GAP).count();
        assert_eq!(gaps, DEPTH * PLACE - (DEPTH - 1) * LENGTH);
        drop(io);
        drop(bed);
        softverbs::control("device profile off").unwrap();
    }
}

#[test]
fn a_refused_list_harms_nobody_and_a_bad_key_ends_the_connection() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    for qid in [1, 2] {
        let mut io = Raw::io(&mut bed, qid, cntlid, NQN);
        let command = if qid == 1 { Command::read(1, 0, 1) } else { Command::write(1, 0, 1) };
        let too_many = run(&mut bed, &mut io, command, &[(0, 512); 17]);
        assert_eq!(too_many, Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS.with_dnr(true));
        let missing = io.run(&mut bed, &command.with_sgl1(Sgl::last_segment(0, 32)));
        assert_eq!(missing.status(), Status::DATA_SGL_LENGTH_INVALID.with_dnr(true));
        let beyond = io.run(&mut bed, &command.with_sgl1(Sgl::last_segment(4096, 32)));
        assert_eq!(beyond.status(), Status::INVALID_SGL_OFFSET.with_dnr(true));
        assert_eq!(run(&mut bed, &mut io, command, &[(0, 500), (600, 12)]), Status::SUCCESS);
        let (sgl, mut behind) = list(&io, &[(0, 256), (512, 256)]);
        behind[16..].copy_from_slice(&Sgl::keyed(0x1000, 256, 0xdead_beef).to_bytes());
        io.send(&command.with_sgl1(sgl), &behind);
        io.disconnected(&mut bed);
        bed.wait_connections(1);
    }
}

#[test]
fn a_list_says_which_key_is_invalidated() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    for (qid, invalidates) in [(1, false), (2, true)] {
        let mut io = Raw::io(&mut bed, qid, cntlid, NQN);
        let read = Command::read(1, 0, 1);
        assert_eq!(run(&mut bed, &mut io, read, &[(0, 256), (512, 256)]), Status::SUCCESS);
        let (address, key) = (io.memory.address() + DATA as u64, io.memory.remote_key());
        let last = if invalidates { Sgl::keyed_invalidate } else { Sgl::keyed };
        let blocks = [Sgl::keyed(address, 256, key), last(address, 256, key)].map(Sgl::to_bytes).concat();
        io.send(&read.with_sgl1(Sgl::last_segment(0, 32)), &blocks);
        assert!(io.response(&mut bed).is_success());
        let (sgl, behind) = list(&io, &[(0, 512)]);
        io.send(&read.with_sgl1(sgl), &behind);
        if invalidates {
            io.disconnected(&mut bed);
        } else {
            assert!(io.response(&mut bed).is_success());
        }
    }
}

#[test]
fn connect_data_in_several_pieces() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::connect(&mut bed, 1);
    let data = ConnectData::new([9; 16], cntlid, NQN, "nqn.host").unwrap();
    io.put(0, &data.0[300..]);
    io.put(2000, &data.0[..300]);
    let connect = Command::connect(1, DEPTH as u16 - 1, 0, 0);
    assert_eq!(run(&mut bed, &mut io, connect, &[(2000, 300), (0, 724)]), Status::SUCCESS);
    assert_eq!(run(&mut bed, &mut io, Command::read(1, 0, 1), &[(0, 500), (600, 12)]), Status::SUCCESS);
}

#[test]
fn silence_and_a_reset_meet_lists() {
    let _alone = alone();
    let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
    let (_admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
    let mut io = Raw::io(&mut bed, 1, cntlid, NQN);
    bed.control("misbehave silent");
    let pieces = cut(4096, 16, 0);
    let (sgl, behind) = list(&io, &pieces);
    for (cid, command) in [(1, Command::read(1, 0, 8)), (2, Command::write(1, 0, 8))] {
        io.send(&command.with_sgl1(sgl).with_cid(cid), &behind);
    }
    io.silence(&mut bed);
    bed.control("behave silent");
    let mut cids = [io.response(&mut bed).cid(), io.response(&mut bed).cid()];
    cids.sort_unstable();
    assert_eq!(cids, [1, 2]);
    // A connection that goes with all of it under way leaves nothing behind.
    for cid in 0..20 {
        io.push(&Command::write(1, 0, 8).with_sgl1(sgl).with_cid(cid), &behind);
    }
    io.post();
    bed.poll();
    drop(io);
    bed.wait_connections(1);
}
