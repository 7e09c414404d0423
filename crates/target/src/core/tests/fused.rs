//! Compare and Write as one operation, and halves of it.

use spec::{AdminOpcode, Status};

use super::commands::with_data;
use super::*;

fn half(mut command: Command, fuse: u8, cid: u16) -> Command {
    command.set_fuse(fuse);
    command.with_cid(cid)
}

fn compare(lba: u64, blocks: u32) -> Command {
    half(with_data(Command::compare(1, lba, blocks), blocks * 512), 1, 1)
}

fn write(lba: u64, blocks: u32) -> Command {
    half(with_data(Command::write(1, lba, blocks), blocks * 512), 2, 2)
}

struct Io(World, Queue);

impl Io {
    fn new() -> Io {
        Io::of("ns=1M")
    }

    fn of(namespace: &str) -> Io {
        let mut world = world(&[&format!("nqn.a,{namespace}")]);
        let admin = world.admin("nqn.a");
        let io = world.io(&admin, 1, "nqn.a");
        Io(world, io)
    }

    /// Runs a command whose tag is its id.
    fn run(&mut self, command: Command) -> Step {
        self.0.core.execute(&mut self.1, command.cid().into(), &command, &zeros(4096), 0)
    }

    fn status(&mut self, command: Command) -> Status {
        match self.run(command) {
            Step::Respond(completion) => completion.status(),
            step => panic!("{step:?}"),
        }
    }

    /// How the first half was answered later.
    fn released(&mut self) -> Option<Status> {
        match self.0.core.take_releases()[..] {
            [] => None,
            [Release { cntlid: 1, qid: 1, tag: 1, how: How::Answer(completion) }] => {
                assert_eq!(completion.cid(), 1);
                Some(completion.status())
            }
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_halves_are_one_operation() {
    let mut io = Io::new();
    assert_eq!(io.run(compare(3, 16)), Step::Hold);
    let success = |cid| Completion::new(0, cid, Status::SUCCESS);
    let pair = CompareAndWrite {
        first: 1,
        compare: Source::Remote(at_remote(8192)),
        write: Source::Remote(at_remote(8192)),
        extent: Extent { store: 0, offset: 3 * 512, length: 8192 },
        completions: [success(1), success(2)],
    };
    assert_eq!(io.run(write(3, 16)), Step::CompareAndWrite(Box::new(pair)));
    assert_eq!(io.released(), None);
    // In capsules, too.
    assert_eq!(io.run(compare(3, 1).with_sgl1(Sgl::in_capsule(0, 512))), Step::Hold);
    let Step::CompareAndWrite(pair) = io.run(write(3, 1).with_sgl1(Sgl::in_capsule(16, 512))) else {
        panic!()
    };
    assert_eq!((pair.compare, pair.write), (Source::Capsule { offset: 64 }, Source::Capsule { offset: 80 }));
}

/// What can be compared lies before a zone's write pointer, what can be written behind it; and the pointer stays where it is.
#[test]
fn zones_have_no_such_operation() {
    let mut io = Io::of("ns=1M:512:z64K");
    let refused = Status::INVALID_FIELD.with_dnr(true);
    assert_eq!(io.status(compare(0, 1)), refused);
    assert_eq!(io.status(write(0, 1)), Status::ABORTED_FAILED_FUSED);
    let alone = half(with_data(Command::write(1, 0, 1), 512), 0, 3);
    assert!(matches!(io.run(alone), Step::FetchBlocks { .. }), "the pointer is at 0");
}

#[test]
fn a_half_without_the_other_is_aborted() {
    let mut io = Io::new();
    let missing = Status::ABORTED_MISSING_FUSED;
    assert_eq!(io.status(write(0, 1)), missing);
    assert_eq!(io.run(compare(0, 1)), Step::Hold);
    assert!(matches!(io.run(with_data(Command::read(1, 0, 1), 512)), Step::SendBlocks { .. }));
    assert_eq!(io.released(), Some(missing));
    assert_eq!(io.status(write(0, 1)), missing, "its first half is gone");
    assert_eq!(io.run(compare(0, 1)), Step::Hold);
    assert_eq!(io.run(compare(0, 1)), Step::Hold);
    assert_eq!(io.released(), Some(missing), "the first of two first halves");
    // What waits goes with its queue, without an answer.
    io.0.core.close(&mut io.1, 0);
    assert_eq!(io.released(), None);
}

#[test]
fn a_half_that_fails_takes_the_other_along() {
    let mut io = Io::new();
    let failed = Status::ABORTED_FAILED_FUSED;
    for (first, status) in [
        (compare(2048, 1), dnr(Status::LBA_OUT_OF_RANGE)),
        (compare(0, 17), dnr(Status::ATOMIC_WRITE_UNIT_EXCEEDED)),
        (compare(0, 2).with_sgl1(remote(512)), dnr(Status::DATA_SGL_LENGTH_INVALID)),
        (half(with_data(Command::read(1, 0, 1), 512), 1, 1), dnr(Status::INVALID_FIELD)),
    ] {
        assert_eq!(io.status(first), status);
        assert_eq!(io.status(write(0, 1)), failed);
        assert_eq!(io.released(), None);
        assert_eq!(io.status(write(0, 1)), Status::ABORTED_MISSING_FUSED, "one half fails once");
    }
    for (second, status) in [
        (write(0, 2), dnr(Status::INVALID_FIELD)),
        (write(1, 1), dnr(Status::INVALID_FIELD)),
        (half(with_data(Command::compare(1, 0, 1), 512), 2, 2), dnr(Status::INVALID_FIELD)),
        (write(0, 1).with_sgl1(remote(513)), dnr(Status::DATA_SGL_LENGTH_INVALID)),
    ] {
        assert_eq!(io.run(compare(0, 1)), Step::Hold);
        assert_eq!(io.status(second), status);
        assert_eq!(io.released(), Some(failed));
    }
}

#[test]
fn nothing_else_is_fused() {
    let mut io = Io::new();
    let invalid = dnr(Status::INVALID_FIELD);
    assert_eq!(io.status(half(with_data(Command::compare(1, 0, 1), 512), 3, 1)), invalid);
    assert_eq!(io.status(half(Command::new(AdminOpcode::FABRICS.0), 1, 1)), invalid);
    let mut admin = io.0.admin("nqn.a");
    assert_eq!(io.0.status(&mut admin, half(Command::keep_alive(), 1, 1)), invalid);
}
