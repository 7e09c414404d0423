//! Commands of I/O queues beside reads and writes: what Identify claims, and what each then does.

use spec::identify::{
    ControllerView, ONCS_COMPARE, ONCS_COPY, ONCS_DATASET_MANAGEMENT, ONCS_RESERVATIONS, ONCS_VERIFY,
    ONCS_WRITE_UNCORRECTABLE, ONCS_WRITE_ZEROES,
};
use spec::namespace::NamespaceView;
use spec::ranges::{CopyRange, DSM_DEALLOCATE, DatasetRange};
use spec::{NvmOpcode, Status};

use super::*;

const SUCCESS: Completion = Completion::new(0, 0x42, Status::SUCCESS);

fn on_blocks(opcode: NvmOpcode, lba: u64, blocks: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_nsid(1);
    command.set_lba(lba);
    command.set_block_count(blocks);
    command
}

fn bad(lba: u64, blocks: u32) -> Command {
    on_blocks(NvmOpcode::WRITE_UNCORRECTABLE, lba, blocks)
}

fn verify(lba: u64, blocks: u32) -> Command {
    on_blocks(NvmOpcode::VERIFY, lba, blocks)
}

pub(super) fn with_data(command: Command, length: u32) -> Command {
    command.with_sgl1(remote(length))
}

fn deallocate(count: u32, length: u32) -> Command {
    let mut command = Command::new(NvmOpcode::DATASET_MANAGEMENT.0).with_sgl1(remote(length));
    command.set_nsid(1);
    command.set_cdw10(count - 1);
    command.set_cdw11(DSM_DEALLOCATE);
    command
}

fn copy(lba: u64, count: u32) -> Command {
    let mut command = Command::new(NvmOpcode::COPY.0).with_sgl1(remote(count * 32));
    command.set_nsid(1);
    command.set_lba(lba);
    command.set_cdw12(count - 1);
    command
}

/// Blocks of the first namespace.
fn blocks(lba: u64, blocks: u64) -> Extent {
    Extent { store: 0, offset: lba * 512, length: blocks * 512 }
}

struct Io(World, Queue);

impl Io {
    fn new() -> Io {
        let mut world = world(&["nqn.a,ns=1M"]);
        let admin = world.admin("nqn.a");
        let io = world.io(&admin, 1, "nqn.a");
        Io(world, io)
    }

    fn run(&mut self, command: Command) -> Step {
        self.0.run(&mut self.1, command)
    }

    fn status(&mut self, command: Command) -> Status {
        self.0.status(&mut self.1, command)
    }

    /// Runs a command that fetches its data, and gives it this.
    fn supply(&mut self, command: Command, bytes: &[u8]) -> Step {
        match self.run(command) {
            Step::FetchBytes { source: Source::Remote(source), length } => {
                assert_eq!(source, at_remote(command.sgl1().length()));
                assert_eq!(length as usize, bytes.len());
            }
            step => panic!("{step:?}"),
        }
        self.0.core.supplied(&mut self.1, 5, &command.with_cid(0x42), bytes)
    }

    fn deallocate(&mut self, ranges: &[(u64, u32)]) -> Step {
        let one =
            |(lba, blocks): &(u64, u32)| DatasetRange { attributes: 0, blocks: *blocks, lba: *lba }.encode();
        let bytes: Vec<u8> = ranges.iter().flat_map(one).collect();
        self.supply(deallocate(ranges.len() as u32, bytes.len() as u32), &bytes)
    }

    fn copy(&mut self, lba: u64, ranges: &[(u64, u32)]) -> Step {
        let one = |(lba, blocks): &(u64, u32)| CopyRange { lba: *lba, blocks: *blocks }.encode();
        let bytes: Vec<u8> = ranges.iter().flat_map(one).collect();
        self.supply(copy(lba, ranges.len() as u32), &bytes)
    }
}

#[test]
fn identify_claims_what_there_is() {
    let mut world = world(&["nqn.a,ns=1M"]);
    let mut admin = world.admin("nqn.a");
    let identify = |cns, nsid| Command::identify(cns, 0, nsid, 0).with_sgl1(remote(4096));
    let page: [u8; 4096] = world.bytes(&mut admin, identify(Cns::CONTROLLER, 0)).try_into().unwrap();
    let view = ControllerView(&page);
    for bit in [
        ONCS_COMPARE,
        ONCS_COPY,
        ONCS_DATASET_MANAGEMENT,
        ONCS_RESERVATIONS,
        ONCS_VERIFY,
        ONCS_WRITE_UNCORRECTABLE,
        ONCS_WRITE_ZEROES,
    ] {
        assert!(view.oncs() & bit != 0, "{bit:#x}");
    }
    assert_eq!((view.fuses(), view.acwu(), view.ctratt(), view.ocfs()), (1, 15, 1, 1));
    let page: [u8; 4096] = world.bytes(&mut admin, identify(Cns::NAMESPACE, 1)).try_into().unwrap();
    let view = NamespaceView(&page);
    assert_eq!((view.mssrl(), view.mcl(), view.msrc()), (128, 512, 15));
    assert_eq!((view.rescap(), view.deallocated_reads()), (0xfe, 1));
}

#[test]
fn a_marked_block_cannot_be_read_until_it_is_written() {
    let mut io = Io::new();
    let read = |lba, blocks: u32| with_data(Command::read(1, lba, blocks), blocks * 512);
    let compare = |lba, blocks: u32| with_data(Command::compare(1, lba, blocks), blocks * 512);
    let lost = Status::UNRECOVERED_READ_ERROR;
    let rewrites: [&dyn Fn(&mut Io); 4] = [
        &|io| assert!(matches!(io.run(with_data(Command::write(1, 9, 1), 512)), Step::FetchBlocks { .. })),
        &|io| assert!(matches!(io.run(Command::write_zeroes(1, 9, 1)), Step::ZeroBlocks { .. })),
        &|io| assert!(matches!(io.deallocate(&[(9, 1)]), Step::ChangeBlocks { .. })),
        &|io| assert!(matches!(io.copy(9, &[(20, 1)]), Step::ChangeBlocks { .. })),
    ];
    for rewrite in rewrites {
        assert_eq!(io.status(bad(9, 2)), Status::SUCCESS);
        assert_eq!(io.status(read(8, 2)), lost);
        assert_eq!(io.status(compare(10, 1)), lost);
        assert_eq!(io.status(verify(0, 65)), lost);
        assert!(matches!(io.run(read(8, 1)), Step::SendBlocks { .. }));
        assert!(matches!(io.run(read(11, 4)), Step::SendBlocks { .. }));
        rewrite(&mut io);
        assert!(matches!(io.run(read(9, 1)), Step::SendBlocks { .. }));
        assert_eq!(io.status(read(10, 1)), lost, "the one beside it still is");
    }
    assert!(matches!(io.run(Command::write_zeroes(1, 0, 2048)), Step::ZeroBlocks { .. }));
    assert_eq!(io.status(verify(0, 2048)), Status::SUCCESS);
    for command in [bad(2047, 2), verify(2048, 1), verify(u64::MAX, 1)] {
        assert_eq!(io.status(command), dnr(Status::LBA_OUT_OF_RANGE));
    }
    for command in [with_data(bad(0, 1), 512), with_data(verify(0, 1), 512)] {
        assert_eq!(io.status(command), dnr(Status::DATA_SGL_LENGTH_INVALID));
    }
}

#[test]
fn what_is_deallocated_is_zeroed_once() {
    let mut io = Io::new();
    let step = io.deallocate(&[(100, 50), (10, 20), (0, 0), (120, 10), (149, 2), (2047, 1)]);
    let changes =
        [(10, 20), (100, 50), (150, 1), (2047, 1)].map(|(lba, count)| Change::Zero(blocks(lba, count)));
    assert_eq!(step, Step::ChangeBlocks { changes: changes.to_vec(), completion: SUCCESS });
    let out = Step::Respond(Completion::new(0, 0x42, dnr(Status::LBA_OUT_OF_RANGE)));
    assert_eq!(io.deallocate(&[(0, 1), (2047, 2)]), out);
    assert_eq!(io.deallocate(&[(u64::MAX, u32::MAX)]), out);
    // Room for more ranges than there are is what Linux gives.
    assert!(matches!(io.run(deallocate(2, 4096)), Step::FetchBytes { length: 32, .. }));
    assert_eq!(io.status(deallocate(2, 31)), dnr(Status::DATA_SGL_LENGTH_INVALID));
    let mut advice = deallocate(1, 16);
    advice.set_cdw11(1);
    assert_eq!(io.supply(advice, &[0xff; 16]), Step::Respond(SUCCESS), "no advice is wrong");
}

#[test]
fn copies_are_of_all_ranges_or_of_none() {
    let mut io = Io::new();
    let step = io.copy(100, &[(0, 4), (50, 128)]);
    let changes = vec![Change::Copy { from: vec![blocks(0, 4), blocks(50, 128)], to: blocks(100, 132) }];
    assert_eq!(step, Step::ChangeBlocks { changes, completion: SUCCESS });
    let refused = |status, range| Step::Respond(Completion::new(0, 0x42, status).with_cdw0(range));
    let limit = dnr(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
    assert_eq!(io.copy(0, &[(0, 129)]), refused(limit, 0));
    assert_eq!(io.copy(0, &[(0, 128), (0, 128), (0, 128), (0, 128), (0, 1)]), refused(limit, 0));
    assert_eq!(io.status(copy(0, 17)), limit);
    assert_eq!(io.copy(2047, &[(0, 2)]), refused(dnr(Status::LBA_OUT_OF_RANGE), 0));
    assert_eq!(io.copy(0, &[(0, 1), (2047, 2)]), refused(dnr(Status::LBA_OUT_OF_RANGE), 1));
    io.status(bad(70, 1));
    assert_eq!(io.copy(0, &[(0, 1), (60, 5), (69, 2)]), refused(Status::UNRECOVERED_READ_ERROR, 2));
    let mut other = copy(0, 1);
    other.set_cdw12(1 << 8);
    assert_eq!(io.status(other), dnr(Status::INVALID_FIELD), "format 1");
    assert_eq!(io.status(copy(0, 2).with_sgl1(remote(63))), dnr(Status::DATA_SGL_LENGTH_INVALID));
}

#[test]
fn data_to_compare_may_be_anywhere() {
    let mut io = Io::new();
    let extent = blocks(7, 2);
    let step = io.run(with_data(Command::compare(1, 7, 2), 1024));
    let source = Source::Remote(at_remote(1024));
    assert_eq!(step, Step::CompareBlocks { source, extent, completion: SUCCESS });
    let command = Command::compare(1, 7, 2).with_sgl1(Sgl::in_capsule(16, 1024));
    let step = io.0.run_with(&mut io.1, command, &zeros(1040));
    let source = Source::Capsule { offset: 80 };
    assert_eq!(step, Step::CompareBlocks { source, extent, completion: SUCCESS });
}
