//! Commands that are made to wait or to fail.

use spec::NvmOpcode;

use super::commands::with_data;
use super::*;

struct It {
    world: World,
    admin: Queue,
    io: Queue,
}

impl It {
    fn new() -> It {
        let mut world = world(&["nqn.a,ns=1M,ns=1M"]);
        let admin = world.admin("nqn.a");
        let io = world.io(&admin, 1, "nqn.a");
        It { world, admin, io }
    }

    fn rule(&mut self, which: &str, how: Suffering, count: Option<u64>) {
        self.world.core.add_rule(which.parse().unwrap(), how, count);
    }

    /// Runs a command of the I/O queue; its tag is its id.
    fn io(&mut self, command: Command, cid: u16) -> Step {
        let command = command.with_cid(cid);
        self.world.core.execute(&mut self.io, cid.into(), &command, &zeros(0), self.world.now)
    }

    fn admin(&mut self, command: Command, cid: u16) -> Step {
        let command = command.with_cid(cid);
        self.world.core.execute(&mut self.admin, cid.into(), &command, &zeros(0), self.world.now)
    }

    fn releases(&mut self) -> Vec<(u16, usize, How)> {
        let releases = self.world.core.take_releases().into_iter();
        releases.map(|release| (release.qid, release.tag, release.how)).collect()
    }
}

fn read() -> Command {
    with_data(Command::read(1, 0, 1), 512)
}

fn answer(cid: u16, status: Status) -> How {
    How::Answer(Completion::new(0, cid, status))
}

fn is_read(step: &Step) -> bool {
    matches!(step, Step::SendBlocks { .. })
}

#[test]
fn a_stalled_command_waits_until_it_is_let_go() {
    let mut it = It::new();
    it.rule("read", Suffering::Stall, Some(2));
    assert_eq!((it.io(read(), 1), it.io(read(), 2)), (Step::Hold, Step::Hold));
    assert!(is_read(&it.io(read(), 3)), "two were to wait");
    assert_eq!(it.io(Command::flush(1), 4), Step::Respond(Completion::new(0, 4, Status::SUCCESS)));
    it.world.core.look_at_delays(u64::MAX);
    assert_eq!(it.releases(), []);
    it.world.core.remove_rules("write".parse().ok());
    assert_eq!(it.releases(), []);
    it.world.core.remove_rules("read".parse().ok());
    assert_eq!(it.releases(), [(1, 1, How::Execute), (1, 2, How::Execute)]);
    let command = read().with_cid(1);
    assert!(is_read(&it.world.core.resume(&mut it.io, 1, &command, &zeros(0), 0)));
    // It is executed as things are by then.
    it.world.core.remove_namespace("nqn.a", 1).unwrap();
    let step = it.world.core.resume(&mut it.io, 2, &command, &zeros(0), 0);
    assert_eq!(step, Step::Respond(Completion::new(0, 1, dnr(Status::INVALID_NAMESPACE_OR_FORMAT))));
}

#[test]
fn a_delay_is_a_time() {
    let mut it = It::new();
    it.rule("io:any", Suffering::Delay(100), None);
    it.rule("read", Suffering::Delay(10), None);
    it.world.now = 1000;
    assert_eq!(it.io(Command::flush(1), 1), Step::Hold);
    it.world.now = 1005;
    assert_eq!(it.io(read(), 2), Step::Hold);
    it.world.core.look_at_delays(1014);
    assert_eq!(it.releases(), []);
    it.world.core.look_at_delays(1015);
    assert_eq!(it.releases(), [(1, 2, How::Execute)]);
    assert_eq!(it.io(read(), 3), Step::Hold);
    it.world.core.look_at_delays(1099);
    assert_eq!(it.releases(), [(1, 3, How::Execute)]);
    it.world.core.look_at_delays(1100);
    assert_eq!(it.releases(), [(1, 1, How::Execute)]);
    assert_eq!(it.io(read(), 4), Step::Hold);
    it.io(Command::flush(1), 5);
    it.world.core.look_at_delays(u64::MAX);
    assert_eq!(it.releases(), [(1, 4, How::Execute), (1, 5, How::Execute)], "in the order of their times");
    it.world.core.remove_rules(None);
    assert!(is_read(&it.io(read(), 6)));
}

#[test]
fn what_is_told_to_fail_fails_so_often() {
    let mut it = It::new();
    it.rule("read", Suffering::Fail(Status::UNRECOVERED_READ_ERROR), Some(1));
    let failed = Step::Respond(Completion::new(0, 1, Status::UNRECOVERED_READ_ERROR));
    assert_eq!(it.io(read(), 1), failed);
    assert!(is_read(&it.io(read(), 1)));
    it.rule("admin:any", Suffering::Fail(Status::INTERNAL_ERROR), None);
    let failed = Step::Respond(Completion::new(0, 1, Status::INTERNAL_ERROR));
    for command in [Command::keep_alive(), Command::abort(0, 1), Command::new(0xc1)] {
        assert_eq!(it.admin(command, 1), failed);
    }
    assert_eq!(it.admin(Command::async_event_request(), 1), Step::Hold, "it waits for an event, as ever");
    it.rule("fabrics:4", Suffering::Fail(Status::INTERNAL_ERROR), None);
    assert_eq!(it.admin(Command::property_get(CSTS, PropertySize::FOUR), 1), failed);
    // One half of two fails, and the other with it.
    it.rule("compare", Suffering::Fail(Status::COMPARE_FAILURE), None);
    it.rule("write", Suffering::Stall, None);
    let mut half = with_data(Command::compare(1, 0, 1), 512);
    half.set_fuse(1);
    assert_eq!(it.io(half, 1), Step::Respond(Completion::new(0, 1, Status::COMPARE_FAILURE)));
    half.set_opcode(NvmOpcode::WRITE.0);
    half.set_fuse(2);
    let lone = Step::Respond(Completion::new(0, 2, Status::ABORTED_MISSING_FUSED));
    assert_eq!(it.io(half, 2), lone, "it does not wait");
}

#[test]
fn what_waits_can_be_aborted() {
    let mut it = It::new();
    it.rule("read", Suffering::Stall, None);
    it.rule("identify", Suffering::Delay(5), None);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    assert_eq!(
        (it.io(read(), 1), it.io(read(), 2), it.admin(identify, 1)),
        (Step::Hold, Step::Hold, Step::Hold)
    );
    let not_aborted = |cid| Step::Respond(Completion::new(0, cid, Status::SUCCESS).with_cdw0(1));
    assert_eq!(it.admin(Command::abort(1, 3), 9), not_aborted(9));
    assert_eq!(it.admin(Command::abort(2, 1), 9), not_aborted(9));
    let aborted = |cid| answer(cid, Status::ABORTED_BY_REQUEST);
    assert_eq!(it.admin(Command::abort(1, 2), 9), Step::Hold);
    assert_eq!(it.releases(), [(1, 2, aborted(2)), (0, 9, answer(9, Status::SUCCESS))], "in this order");
    assert_eq!(it.admin(Command::abort(1, 2), 9), not_aborted(9), "it is gone");
    assert_eq!(it.admin(Command::abort(0, 1), 9), Step::Hold);
    assert_eq!(it.releases(), [(0, 1, aborted(1)), (0, 9, answer(9, Status::SUCCESS))]);
    it.world.core.remove_rules(None);
    assert_eq!(it.releases(), [(1, 1, How::Execute)], "the one that is left");
    it.world.core.look_at_delays(u64::MAX);
    assert_eq!(it.releases(), []);
}

#[test]
fn nobody_waits_for_a_queue_that_is_gone() {
    let mut it = It::new();
    it.rule("read", Suffering::Stall, None);
    it.rule("identify", Suffering::Stall, None);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    (1..4).for_each(|cid| assert_eq!(it.io(read(), cid), Step::Hold));
    assert_eq!(it.admin(identify, 7), Step::Hold);
    let reset = Command::property_set(CC, PropertySize::FOUR, 0);
    let completion = Completion::new(0, 8, Status::SUCCESS);
    assert_eq!(it.admin(reset, 8), Step::RespondAndForget { completion, tags: vec![7] });
    it.world.core.close(&mut it.io, 0);
    it.world.core.remove_rules(None);
    assert_eq!(it.releases(), []);
}

#[test]
fn preempt_and_abort_ends_what_waits() {
    let mut it = It::new();
    let run = |it: &mut It, host: u8, opcode: NvmOpcode, dword: u32, keys: [u64; 2]| {
        let mut command = Command::new(opcode.0).with_sgl1(remote(16));
        command.set_nsid(1);
        command.set_cdw10(dword);
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let queue = if host == 0 { &mut it.io } else { &mut it.admin };
        it.world.core.supplied(queue, 0, &command, &bytes)
    };
    // The preempting host has another identifier, and an I/O queue in the place of the admin queue here.
    let data = |cntlid| ConnectData::new([9; 16], cntlid, "nqn.a", "nqn.host").unwrap();
    let mut other = queue(0);
    it.world.connect(&mut other, &data(CNTLID_DYNAMIC));
    it.world.set_cc(&mut other, Cc::enabled(Cc::CSS_NVM));
    let mut other_io = queue(1);
    it.world.connect(&mut other_io, &data(other.controller().unwrap()));
    it.admin = other_io;
    let success = Step::Respond(Completion::new(0, 0, Status::SUCCESS));
    assert_eq!(run(&mut it, 0, NvmOpcode::RESERVATION_REGISTER, 0, [0, 1]), success);
    assert_eq!(run(&mut it, 1, NvmOpcode::RESERVATION_REGISTER, 0, [0, 2]), success);
    it.rule("read", Suffering::Stall, None);
    it.io(read(), 1);
    it.io(with_data(Command::read(2, 0, 1), 512), 2);
    assert_eq!(run(&mut it, 1, NvmOpcode::RESERVATION_ACQUIRE, 1 << 8 | 2, [2, 1]), success);
    assert_eq!(
        it.releases(),
        [(1, 1, answer(1, Status::ABORTED_PREEMPT))],
        "the other namespace is another matter"
    );
}
