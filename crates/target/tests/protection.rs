//! Metadata and protection information, over RDMA and byte by byte.

// The configuration lifts these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Its symbols are the RDMA libraries of this test.
use softverbs as _;

#[allow(dead_code)]
mod support;

use spec::identify::Cns;
use spec::namespace::{LbaFormat, NamespaceView};
use spec::ranges::{DSM_DEALLOCATE, DatasetRange};
use spec::{Command, NvmOpcode, Sgl, Status};
use support::{Bed, Raw, alone};

const NQN: &str = "nqn.test:1";
const PRACT: u32 = 1 << 29;
const GUARD: u32 = 1 << 28;
const TAG: u32 = 1 << 27;
const REFERENCE: u32 = 1 << 26;
const ALL: u32 = GUARD | TAG | REFERENCE;
/// LBATM and LBAT.
const TAGS: u32 = 0xffff_1234;

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31 + seed * 7) % 251) as u8).collect()
}

/// CRC-16 of T10, bit by bit.
fn crc(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc >> 15 == 1 { crc << 1 ^ 0x8bb7 } else { crc << 1 },
        )
    })
}

/// Blocks of 512 bytes with this much metadata, the last of it being right for these reference tags.
fn protect(data: &[u8], metadata: usize, reference: impl Fn(u32) -> u32) -> Vec<u8> {
    let block = |(index, data): (u32, &[u8])| {
        let mut block = data.to_vec();
        block.resize(512 + metadata - 8, 0x77);
        block.extend(crc(&block).to_be_bytes());
        block.extend([0x12, 0x34]);
        block.extend(reference(index).to_be_bytes());
        block
    };
    (0..).zip(data.chunks(512)).flat_map(block).collect()
}

struct Io {
    bed: Bed,
    admin: Raw,
    io: Raw,
}

impl Io {
    fn new(namespace: &str) -> Io {
        let mut bed = Bed::new(&[&format!("nqn.test:1,ns={namespace}")]);
        let (admin, cntlid) = Raw::admin(&mut bed, NQN, 0);
        let io = Raw::io(&mut bed, 1, cntlid, NQN);
        Io { bed, admin, io }
    }

    /// Runs a command with protection fields; the reference tag is that of the first block.
    fn run(&mut self, mut command: Command, prinfo: u32, reference: u32, length: usize) -> Status {
        command.set_io_flags(prinfo);
        command.set_cdw14(reference);
        command.set_cdw15(TAGS);
        let sgl = if length == 0 { Sgl::NONE } else { self.io.sgl(0, length as u32) };
        self.io.run(&mut self.bed, &command.with_sgl1(sgl)).status()
    }

    fn write(&mut self, lba: u64, blocks: u32, prinfo: u32, reference: u32, data: &[u8]) -> Status {
        self.io.put(0, data);
        self.run(Command::write(1, lba, blocks), prinfo, reference, data.len())
    }

    fn compare(&mut self, lba: u64, blocks: u32, prinfo: u32, reference: u32, data: &[u8]) -> Status {
        self.io.put(0, data);
        self.run(Command::compare(1, lba, blocks), prinfo, reference, data.len())
    }

    fn read(
        &mut self,
        lba: u64,
        blocks: u32,
        prinfo: u32,
        reference: u32,
        length: usize,
    ) -> Result<Vec<u8>, Status> {
        self.io.put(0, &vec![0xee; length]);
        let status = self.run(Command::read(1, lba, blocks), prinfo, reference, length);
        if status.is_success() {
            return Ok(self.io.data(0, length));
        }
        assert_eq!(self.io.data(0, length), vec![0xee; length], "nothing comes of what is wrong");
        Err(status)
    }
}

#[test]
fn metadata_comes_behind_each_block() {
    let _alone = alone();
    for metadata in [4, 8, 64] {
        let mut io = Io::new(&format!("1M:512+{metadata}"));
        let block = 512 + metadata;
        let identify = Command::identify(Cns::NAMESPACE, 0, 1, 0).with_sgl1(io.admin.sgl(0, 4096));
        assert!(io.admin.run(&mut io.bed, &identify).is_success());
        let page: [u8; 4096] = io.admin.data(0, 4096).try_into().unwrap();
        let view = NamespaceView(&page);
        assert_eq!(view.format(), Some(LbaFormat { ms: metadata as u16, lbads: 9, rp: 0 }));
        assert!(view.metadata_extends_data() && view.protection_type() == 0 && view.nsze() == 2048);
        let data = pattern(1, 20 * block);
        assert_eq!(io.write(2028, 20, 0, 0, &data), Status::SUCCESS, "the last blocks");
        assert_eq!(io.read(2028, 20, 0, 0, data.len()), Ok(data.clone()));
        assert_eq!(io.read(2030, 1, 0, 0, block), Ok(data[2 * block..3 * block].to_vec()));
        assert_eq!(io.compare(2028, 20, 0, 0, &data), Status::SUCCESS);
        assert_eq!(io.write(0, 1, 0, 0, &data[..512]), Status::DATA_SGL_LENGTH_INVALID.with_dnr(true));
    }
}

#[test]
fn protection_information_is_added_and_taken_away() {
    let _alone = alone();
    for kind in 1..=3 {
        let mut io = Io::new(&format!("1M:512+8:pi{kind}"));
        let reference = |index| 100 + if kind == 3 { 0 } else { index };
        let checks = if kind == 3 { GUARD | TAG } else { ALL };
        let data = pattern(2, 150 * 512);
        let blocks = protect(&data, 8, reference);
        assert_eq!(io.write(100, 150, PRACT, 100, &data), Status::SUCCESS);
        assert_eq!(io.read(100, 150, checks, 100, blocks.len()), Ok(blocks.clone()));
        assert_eq!(io.read(100, 150, PRACT | checks, 100, data.len()), Ok(data.clone()));
        assert_eq!(
            io.run(Command::read(1, 100, 1), 0, 0, 512),
            Status::DATA_SGL_LENGTH_INVALID.with_dnr(true)
        );
        // Comparing, with it and without.
        assert_eq!(io.compare(100, 150, checks, 100, &blocks), Status::SUCCESS);
        assert_eq!(io.compare(100, 150, PRACT | checks, 100, &data), Status::SUCCESS);
        let mut other = data.clone();
        other[511] ^= 1;
        assert_eq!(io.compare(100, 150, PRACT | checks, 100, &other), Status::COMPARE_FAILURE);
        // From the host as it is.
        let data = pattern(3, 8 * 512);
        let blocks = protect(&data, 8, reference);
        assert_eq!(io.write(100, 8, checks, 100, &blocks), Status::SUCCESS);
        assert_eq!(io.read(100, 8, PRACT | checks, 100, data.len()), Ok(data));
    }
}

#[test]
fn what_is_wrong_is_found_on_both_ways() {
    let _alone = alone();
    for (kind, metadata) in [(1, 8), (2, 8), (3, 8), (1, 16)] {
        let mut io = Io::new(&format!("1M:512+{metadata}:pi{kind}"));
        let block = 512 + metadata;
        let good = protect(&pattern(4, 10 * 512), metadata, |index| 5 + if kind == 3 { 0 } else { index });
        let checks = if kind == 3 { GUARD | TAG } else { ALL };
        let mut verify = Command::new(NvmOpcode::VERIFY.0);
        verify.set_nsid(1);
        verify.set_lba(5);
        verify.set_block_count(10);
        for (at, status) in [
            (7 * block + 3, Status::GUARD_CHECK_ERROR),
            (8 * block - 8, Status::GUARD_CHECK_ERROR),
            (8 * block - 5, Status::APPLICATION_TAG_CHECK_ERROR),
            (8 * block - 1, Status::REFERENCE_TAG_CHECK_ERROR),
        ] {
            if kind == 3 && status == Status::REFERENCE_TAG_CHECK_ERROR {
                continue;
            }
            assert_eq!(io.write(5, 10, checks, 5, &good), Status::SUCCESS);
            assert_eq!(io.run(verify, checks, 5, 0), Status::SUCCESS);
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(io.write(5, 10, checks, 5, &bad), status);
            assert_eq!(io.read(5, 10, checks, 5, good.len()), Ok(good.clone()), "nothing was written");
            assert_eq!(io.compare(5, 10, checks, 5, &bad), status);
            assert_eq!(io.write(5, 10, 0, 0, &bad), Status::SUCCESS, "unchecked");
            assert_eq!(io.read(5, 10, checks, 5, good.len()), Err(status));
            assert_eq!(io.run(verify, checks, 5, 0), status);
            assert_eq!(io.read(5, 10, 0, 0, good.len()), Ok(bad));
        }
        let invalid = Status::INVALID_PROTECTION_INFORMATION.with_dnr(true);
        let expected = if kind == 2 { Err(Status::REFERENCE_TAG_CHECK_ERROR) } else { Err(invalid) };
        assert_eq!(io.write(5, 10, 0, 0, &good), Status::SUCCESS);
        assert_eq!(io.read(5, 10, REFERENCE, 6, good.len()), expected, "not the tag of the block");
        let mut copy = Command::new(NvmOpcode::COPY.0);
        copy.set_nsid(1);
        assert_eq!(io.run(copy, 0, 0, 32), invalid);
    }
}

#[test]
fn blocks_that_nobody_wrote_are_not_checked() {
    let _alone = alone();
    let mut io = Io::new("64K..128K:512+8:pi1");
    let blank = [vec![0; 512], vec![0xff; 8]].concat().repeat(128);
    assert_eq!(io.read(0, 128, ALL, 0, blank.len()), Ok(blank.clone()));
    let data = pattern(5, 128 * 512);
    let deallocate = |io: &mut Io| {
        io.io.put(0, &DatasetRange { attributes: 0, blocks: 128, lba: 0 }.encode());
        let mut command = Command::new(NvmOpcode::DATASET_MANAGEMENT.0).with_sgl1(io.io.sgl(0, 16));
        command.set_nsid(1);
        command.set_cdw11(DSM_DEALLOCATE);
        io.io.run(&mut io.bed, &command).status()
    };
    let zero = |io: &mut Io| io.run(Command::write_zeroes(1, 0, 128), 0, 0, 0);
    for forget in [&deallocate as &dyn Fn(&mut Io) -> Status, &zero] {
        assert_eq!(io.write(0, 128, PRACT, 0, &data), Status::SUCCESS);
        assert_eq!(forget(&mut io), Status::SUCCESS);
        assert_eq!(io.read(0, 128, ALL, 0, blank.len()), Ok(blank.clone()));
    }
    // Zeros with protection information are blocks as any other.
    assert_eq!(io.run(Command::write_zeroes(1, 0, 128), PRACT, 0, 0), Status::SUCCESS);
    let zeros = protect(&vec![0; 128 * 512], 8, |index| index);
    assert_eq!(io.read(0, 128, ALL, 0, zeros.len()), Ok(zeros));
    io.bed.control("ns resize nqn.test:1 1 128K");
    assert_eq!(io.read(128, 128, ALL, 128, blank.len()), Ok(blank));
}
