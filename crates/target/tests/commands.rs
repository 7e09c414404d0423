//! Commands on blocks beside reads and writes, over RDMA and byte by byte.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use spec::ranges::{CopyRange, DSM_DEALLOCATE, DatasetRange};
use spec::{Command, NvmOpcode, Sgl, Status};
use support::{Bed, Raw, alone};

const NQN: &str = "nqn.test:1";
/// Where ranges and second pieces of data are in the host's memory.
const ASIDE: usize = 1 << 20;

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31 + seed * 7) % 251) as u8).collect()
}

struct Io {
    bed: Bed,
    _admin: Raw,
    io: Raw,
}

impl Io {
    fn new() -> Io {
        let mut bed = Bed::new(&["nqn.test:1,ns=1M"]);
        let (admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
        let io = Raw::io(&mut bed, 1, cntlid, NQN);
        Io { bed, _admin: admin, io }
    }

    /// Runs a command with this data at the host.
    fn run(&mut self, command: Command, data: &[u8]) -> Status {
        self.io.put(ASIDE, data);
        let sgl = if data.is_empty() { Sgl::NONE } else { self.io.sgl(ASIDE, data.len() as u32) };
        self.io.run(&mut self.bed, &command.with_sgl1(sgl)).status()
    }

    /// Runs a command with its data in the capsule.
    fn run_in_capsule(&mut self, command: Command, data: &[u8]) -> Status {
        self.io.send(&command.with_sgl1(Sgl::in_capsule(0, data.len() as u32)), data);
        self.io.response(&mut self.bed).status()
    }

    fn write(&mut self, lba: u64, data: &[u8]) {
        assert_eq!(self.run(Command::write(1, lba, data.len() as u32 / 512), data), Status::SUCCESS);
    }

    fn read(&mut self, lba: u64, blocks: u32) -> Vec<u8> {
        self.io.put(0, &vec![0xee; blocks as usize * 512]);
        let read = Command::read(1, lba, blocks).with_sgl1(self.io.sgl(0, blocks * 512));
        assert_eq!(self.io.run(&mut self.bed, &read).status(), Status::SUCCESS);
        self.io.data(0, blocks as usize * 512)
    }
}

fn listed(opcode: NvmOpcode, lba: u64, cdw11: u32, count: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_nsid(1);
    if opcode == NvmOpcode::COPY {
        command.set_lba(lba);
        command.set_cdw12(count - 1);
    } else {
        command.set_cdw10(count - 1);
        command.set_cdw11(cdw11);
    }
    command
}

#[test]
fn compare_finds_any_byte() {
    let _alone = alone();
    let mut io = Io::new();
    let data = pattern(1, 100 * 512);
    io.write(5, &data);
    assert_eq!(io.run(Command::compare(1, 5, 100), &data), Status::SUCCESS);
    for at in [0, 4095, 4096, 30_000, 100 * 512 - 1] {
        let mut other = data.clone();
        other[at] ^= 1;
        assert_eq!(io.run(Command::compare(1, 5, 100), &other), Status::COMPARE_FAILURE, "{at}");
    }
    assert_eq!(io.run_in_capsule(Command::compare(1, 5, 8), &data[..4096]), Status::SUCCESS);
    assert_eq!(io.run_in_capsule(Command::compare(1, 6, 8), &data[..4096]), Status::COMPARE_FAILURE);
    assert_eq!(io.read(5, 100), data, "nothing is changed");
}

#[test]
fn deallocated_blocks_are_zeros_and_their_neighbours_are_not() {
    let _alone = alone();
    let mut io = Io::new();
    let data = pattern(2, 60 * 512);
    io.write(0, &data);
    let ranges =
        [(1, 2), (20, 30), (40, 11)].map(|(lba, blocks)| DatasetRange { attributes: 0, blocks, lba });
    let bytes: Vec<u8> = ranges.iter().flat_map(DatasetRange::encode).collect();
    let command = listed(NvmOpcode::DATASET_MANAGEMENT, 0, DSM_DEALLOCATE, 3);
    assert_eq!(io.run(command, &bytes), Status::SUCCESS);
    let mut expected = data;
    expected[512..3 * 512].fill(0);
    expected[20 * 512..51 * 512].fill(0);
    assert_eq!(io.read(0, 60), expected);
    // The list may be in the capsule.
    let bytes = DatasetRange { attributes: 0, blocks: 1, lba: 59 }.encode();
    let command = listed(NvmOpcode::DATASET_MANAGEMENT, 0, DSM_DEALLOCATE, 1);
    assert_eq!(io.run_in_capsule(command, &bytes), Status::SUCCESS);
    expected[59 * 512..].fill(0);
    assert_eq!(io.read(0, 60), expected);
}

#[test]
fn copies_are_of_what_was_there_before() {
    let _alone = alone();
    let mut io = Io::new();
    let data = pattern(3, 250 * 512);
    io.write(0, &data);
    let ranges = [(10, 100), (0, 3), (50, 90)].map(|(lba, blocks)| CopyRange { lba, blocks });
    let bytes: Vec<u8> = ranges.iter().flat_map(CopyRange::encode).collect();
    // The parts overlap where they go.
    assert_eq!(io.run(listed(NvmOpcode::COPY, 40, 0, 3), &bytes), Status::SUCCESS);
    let mut expected = data.clone();
    let parts = [&data[10 * 512..110 * 512], &data[..3 * 512], &data[50 * 512..140 * 512]].concat();
    expected[40 * 512..233 * 512].copy_from_slice(&parts);
    assert_eq!(io.read(0, 150), expected[..150 * 512]);
    assert_eq!(io.read(150, 100), expected[150 * 512..]);
}

/// Runs Compare and Write, with its two answers.
fn fused(io: &mut Io, lba: u64, old: &[u8], new: &[u8], in_capsules: [bool; 2]) -> [Status; 2] {
    let blocks = old.len() as u32 / 512;
    let mut halves =
        [Command::compare(1, lba, blocks).with_cid(1), Command::write(1, lba, blocks).with_cid(2)];
    for ((fuse, (data, in_capsule)), half) in
        (1..).zip([old, new].into_iter().zip(in_capsules)).zip(&mut halves)
    {
        half.set_fuse(fuse);
        let place = usize::from(fuse) * ASIDE;
        io.io.put(place, data);
        let length = data.len() as u32;
        let sgl = if in_capsule { Sgl::in_capsule(0, length) } else { io.io.sgl(place, length) };
        io.io.push(&half.with_sgl1(sgl), if in_capsule { data } else { &[] });
    }
    io.io.post();
    let first = io.io.response(&mut io.bed);
    let second = io.io.response(&mut io.bed);
    assert_eq!((first.cid(), second.cid()), (1, 2));
    [first.status(), second.status()]
}

#[test]
fn compare_and_write_is_one() {
    let _alone = alone();
    let mut io = Io::new();
    let mut now = pattern(4, 8 * 512);
    io.write(3, &now);
    let both = [(false, false), (true, false), (false, true), (true, true)];
    for (round, (first, second)) in (5..).zip(both) {
        let new = pattern(round, 8 * 512);
        let mut wrong = now.clone();
        wrong[4095] ^= 0x80;
        let statuses = fused(&mut io, 3, &wrong, &new, [first, second]);
        assert_eq!(statuses, [Status::COMPARE_FAILURE, Status::ABORTED_FAILED_FUSED]);
        assert_eq!(io.read(3, 8), now);
        assert_eq!(fused(&mut io, 3, &now, &new, [first, second]), [Status::SUCCESS; 2]);
        assert_eq!(io.read(3, 8), new);
        now = new;
    }
    // A lone half is told of when the next command comes.
    let mut half = Command::compare(1, 0, 1).with_sgl1(io.io.sgl(0, 512)).with_cid(7);
    half.set_fuse(1);
    io.io.send(&half, &[]);
    io.io.silence(&mut io.bed);
    io.io.send(&Command::flush(1).with_cid(8), &[]);
    let mut answers = [io.io.response(&mut io.bed), io.io.response(&mut io.bed)];
    answers.sort_by_key(spec::Completion::cid);
    assert_eq!(answers.map(|answer| answer.cid()), [7, 8]);
    assert_eq!(answers.map(|answer| answer.status()), [Status::ABORTED_MISSING_FUSED, Status::SUCCESS]);
}

#[test]
fn marked_blocks_fail_and_a_full_queue_of_everything_gets_its_answers() {
    let _alone = alone();
    let mut io = Io::new();
    let mut bad = Command::new(NvmOpcode::WRITE_UNCORRECTABLE.0);
    bad.set_nsid(1);
    bad.set_block_count(4);
    assert_eq!(io.run(bad, &[]), Status::SUCCESS);
    let read = Command::read(1, 0, 8).with_sgl1(io.io.sgl(0, 4096));
    assert_eq!(io.io.run(&mut io.bed, &read).status(), Status::UNRECOVERED_READ_ERROR);
    io.write(0, &[7; 4096]);
    assert_eq!(io.read(0, 8), [7; 4096]);
    for round in 0..5 {
        for cid in 0..120u16 {
            let sgl = io.io.sgl(usize::from(cid) * 4096, 4096);
            let command = match cid % 3 {
                0 => Command::compare(1, 0, 8).with_sgl1(sgl),
                1 => Command::write(1, 100 + u64::from(cid) * 8, 8).with_sgl1(sgl),
                _ => listed(NvmOpcode::DATASET_MANAGEMENT, 0, 0, 256).with_sgl1(sgl),
            };
            io.io.put(usize::from(cid) * 4096, &[7; 4096]);
            io.io.push(&command.with_cid(cid), &[]);
        }
        io.io.post();
        let mut answered = [false; 120];
        for _ in 0..120 {
            let answer = io.io.response(&mut io.bed);
            assert!(
                answer.is_success() && !std::mem::replace(&mut answered[usize::from(answer.cid())], true),
                "{round}"
            );
        }
    }
}
