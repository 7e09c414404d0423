//! Conversations with the core: what a host may rely on, and what a hostile one gets.

use spec::fabrics::{CNTLID_DYNAMIC, ConnectData, DISCOVERY_NQN, PropertySize};
use spec::feature::{FeatureId, QueueCounts};
use spec::identify::{Cns, ControllerView};
use spec::log::{DiscoveryEntryView, DiscoveryHeader, LogPageId};
use spec::namespace::{NamespaceId, NamespaceView, namespace_descriptors, namespace_list};
use spec::registers::{CAP, CC, CSTS, Cap, Cc, Csts, VS, Vs};
use spec::{Command, Completion, Sgl, Status};

use super::*;
use crate::options::SubsystemOptions;

const HOSTID: [u8; 16] = [7; 16];
const SECOND: u64 = 1_000_000_000;

mod commands;
mod events;
mod features;
mod fused;
mod lists;
mod namespaces;
mod random;
mod reservations;
mod rules;

pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: u64,
}

pub(super) fn world(subsystems: &[&str]) -> World {
    world_with(subsystems, Options::default())
}

fn world_with(subsystems: &[&str], options: Options) -> World {
    let options = Options {
        listen: vec!["0.0.0.0:4420".parse().unwrap()],
        subsystems: subsystems.iter().map(|text| SubsystemOptions::parse(text).unwrap()).collect(),
        ..options
    };
    let mut core = Core::new(&options);
    core.set_listeners(options.listen);
    core.set_linger(20);
    World { core, now: 0 }
}

fn queue(qid: u16) -> Queue {
    Queue::new(qid, 128, Some("10.0.0.5:4420".parse().unwrap()))
}

/// So many bytes behind a command.
pub(super) fn zeros(length: usize) -> Vec<u8> {
    vec![0; length]
}

pub(super) fn remote(length: u32) -> Sgl {
    Sgl::keyed(0xabc_000, length, 0x77)
}

/// What `remote(length)` names.
fn at_remote(length: u32) -> Remote {
    Remote { first: Piece { address: 0xabc_000, length, key: 0x77 }, rest: Vec::new(), invalidate: None }
}

impl World {
    pub(super) fn run(&mut self, queue: &mut Queue, command: Command) -> Step {
        self.run_with(queue, command, &zeros(0))
    }

    /// Runs a command with this behind it.
    fn run_with(&mut self, queue: &mut Queue, command: Command, behind: &Vec<u8>) -> Step {
        self.core.execute(queue, 5, &command.with_cid(0x42), behind, self.now)
    }

    /// Runs a command that is answered at once.
    fn answer(&mut self, queue: &mut Queue, command: Command) -> Completion {
        match self.run(queue, command) {
            Step::Respond(completion) => {
                assert_eq!(completion.cid(), 0x42);
                completion
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn status(&mut self, queue: &mut Queue, command: Command) -> Status {
        self.answer(queue, command).status()
    }

    pub(super) fn bytes(&mut self, queue: &mut Queue, command: Command) -> Vec<u8> {
        match self.run(queue, command) {
            Step::SendBytes { bytes, remote, completion } => {
                assert_eq!(
                    (remote, completion.status()),
                    (at_remote(command.sgl1().length()), Status::SUCCESS)
                );
                bytes
            }
            other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self, queue: &mut Queue, data: &ConnectData) -> Completion {
        self.connect_with(queue, Command::connect(queue.qid, 31, 0, 0), data)
    }

    fn connect_with(&mut self, queue: &mut Queue, command: Command, data: &ConnectData) -> Completion {
        match self.run(queue, command.with_sgl1(remote(1024))) {
            Step::FetchConnect { remote } => {
                assert_eq!(remote, at_remote(1024));
                self.core.connect(queue, &command, data, self.now)
            }
            Step::Respond(completion) => completion,
            other => panic!("{other:?}"),
        }
    }

    /// A connected and enabled Admin Queue.
    pub(super) fn admin(&mut self, subnqn: &str) -> Queue {
        let mut admin = queue(0);
        let completion = self.connect(&mut admin, &data(CNTLID_DYNAMIC, subnqn));
        assert_eq!(completion.status(), Status::SUCCESS);
        self.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
        admin
    }

    pub(super) fn io(&mut self, admin: &Queue, qid: u16, subnqn: &str) -> Queue {
        let mut io = queue(qid);
        let cntlid = admin.controller().unwrap();
        assert_eq!(self.connect(&mut io, &data(cntlid, subnqn)).status(), Status::SUCCESS);
        io
    }

    fn set_cc(&mut self, admin: &mut Queue, cc: Cc) {
        let set = Command::property_set(CC, PropertySize::FOUR, cc.0.into());
        match self.run(admin, set) {
            Step::Respond(completion) | Step::RespondAndForget { completion, .. } => {
                assert_eq!(completion.status(), Status::SUCCESS);
            }
            other => panic!("{other:?}"),
        }
    }

    fn csts(&mut self, admin: &mut Queue) -> Csts {
        Csts(self.answer(admin, Command::property_get(CSTS, PropertySize::FOUR)).cdw0())
    }
}

fn data(cntlid: u16, subnqn: &str) -> ConnectData {
    ConnectData::new(HOSTID, cntlid, subnqn, "nqn.host").unwrap()
}

fn dnr(status: Status) -> Status {
    status.with_dnr(true)
}

#[test]
fn connect_enable_and_shut_down() {
    let mut world = world(&["nqn.a"]);
    let mut admin = queue(0);
    let completion = world.connect(&mut admin, &data(CNTLID_DYNAMIC, "nqn.a"));
    assert_eq!((completion.status(), completion.cdw0()), (Status::SUCCESS, 1), "the first controller id");

    let cap = Cap(world.answer(&mut admin, Command::property_get(CAP, PropertySize::EIGHT)).result());
    assert_eq!((cap.mqes(), cap.cqr(), cap.css()), (127, true, Cap::CSS_NVM));
    let version = world.answer(&mut admin, Command::property_get(VS, PropertySize::FOUR));
    assert_eq!(Vs(version.cdw0()), Vs::new(1, 4, 0));

    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    assert_eq!(world.status(&mut admin, identify), dnr(Status::COMMAND_SEQUENCE_ERROR), "not enabled");
    assert!(!world.csts(&mut admin).rdy());
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    assert!(world.csts(&mut admin).rdy());
    world.bytes(&mut admin, identify);

    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM).with_shn(Cc::SHN_NORMAL));
    assert_eq!(world.csts(&mut admin).shst(), Csts::SHST_COMPLETE);
    let late = world.status(&mut admin, Command::async_event_request());
    assert_eq!(late, dnr(Status::COMMAND_SEQUENCE_ERROR), "shut down");
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    assert_eq!(world.run(&mut admin, Command::async_event_request()), Step::Hold);
    let reset = Command::property_set(CC, PropertySize::FOUR, 0);
    let completion = Completion::new(0, 0x42, Status::SUCCESS);
    assert_eq!(world.run(&mut admin, reset), Step::RespondAndForget { completion, tags: vec![5] });
    assert_eq!(world.csts(&mut admin), Csts::default());
    assert_eq!(world.core.take_ended(), [Ended::IoQueues(1)]);
    world.core.close(&mut admin, world.now);
    assert_eq!(world.core.take_ended(), [Ended::Association(1)]);
}

#[test]
fn a_configuration_that_is_not_supported_is_fatal() {
    let mut world = world(&["nqn.a"]);
    for cc in [Cc(1), Cc::enabled(Cc::CSS_NVM).with_mps(1), Cc::enabled(3), Cc::enabled(0).with_ams(1)] {
        let mut admin = queue(0);
        world.connect(&mut admin, &data(CNTLID_DYNAMIC, "nqn.a"));
        world.set_cc(&mut admin, cc);
        let csts = world.csts(&mut admin);
        assert!(csts.cfs() && !csts.rdy(), "{cc:?}");
        world.set_cc(&mut admin, Cc::default());
        assert!(!world.csts(&mut admin).cfs());
    }
}

#[test]
fn properties_have_their_sizes() {
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    let mut bare = Command::property_get(CSTS, PropertySize::FOUR);
    bare.dwords[0] &= 0xffff_00ff;
    bare.set_sgl1(Sgl::default());
    assert_eq!(world.status(&mut admin, bare), dnr(Status::INVALID_FIELD), "no PSDT, no SGL");
    for command in [
        Command::property_get(CAP, PropertySize::FOUR),
        Command::property_get(CSTS, PropertySize::EIGHT),
        Command::property_get(0x40, PropertySize::FOUR),
        Command::property_set(CSTS, PropertySize::FOUR, 0),
        Command::property_set(CC, PropertySize::EIGHT, 0),
    ] {
        assert_eq!(world.status(&mut admin, command), dnr(Status::INVALID_FIELD));
    }
}

#[test]
fn a_connect_that_does_not_fit_is_refused_with_its_reason() {
    let mut world = world(&["nqn.a", "nqn.b,host=nqn.other"]);
    let invalid = dnr(Status::CONNECT_INVALID_PARAMETERS);
    let mut refused = |qid, command: Command, data: &ConnectData| {
        let mut queue = queue(qid);
        let completion = world.connect_with(&mut queue, command, data);
        assert_eq!(queue.controller(), None);
        (completion.status(), completion.cdw0())
    };
    let good = data(CNTLID_DYNAMIC, "nqn.a");
    let connect = |sqsize| Command::connect(0, sqsize, 0, 0);
    assert_eq!(refused(0, Command::connect(1, 31, 0, 0), &good), (invalid, 42), "another qid");
    assert_eq!(refused(0, connect(0), &good), (invalid, 44));
    assert_eq!(refused(0, connect(128), &good), (invalid, 44));
    let mut recfmt = connect(31);
    recfmt.set_cdw10(1);
    assert_eq!(refused(0, recfmt, &good), (dnr(Status::CONNECT_INCOMPATIBLE_FORMAT), 0));
    assert_eq!(refused(0, connect(31), &data(CNTLID_DYNAMIC, "nqn.c")), (invalid, 1 << 16 | 256));
    assert_eq!(refused(0, connect(31), &data(5, "nqn.a")), (invalid, 1 << 16 | 16));
    let mut unterminated = good;
    unterminated.0[512..768].fill(b'x');
    assert_eq!(refused(0, connect(31), &unterminated), (invalid, 1 << 16 | 512));
    let not_allowed = data(CNTLID_DYNAMIC, "nqn.b");
    assert_eq!(refused(0, connect(31), &not_allowed), (dnr(Status::CONNECT_INVALID_HOST), 1 << 16 | 512));
    assert_eq!(refused(1, Command::connect(1, 31, 0, 0), &data(1, "nqn.a")), (invalid, 1 << 16 | 16));
    let mut no_text = good;
    no_text.0[514] = 10;
    assert_eq!(refused(0, connect(31), &no_text), (invalid, 1 << 16 | 512), "a line break");
    let mut nobody = not_allowed;
    nobody.0[512..768].fill(0);
    assert_eq!(refused(0, connect(31), &nobody), (dnr(Status::CONNECT_INVALID_HOST), 1 << 16 | 512));

    // Wrong in two ways: what comes first is told.
    let mut all_wrong = data(5, "nqn.c");
    all_wrong.0[512..768].fill(b'x');
    let mut connect_wrong = Command::connect(1, 0, 0, 0);
    connect_wrong.set_cdw10(1 << 16 | 1);
    assert_eq!(refused(0, connect_wrong, &all_wrong).0, dnr(Status::CONNECT_INCOMPATIBLE_FORMAT));
    connect_wrong.set_cdw10(1 << 16);
    assert_eq!(refused(0, connect_wrong, &all_wrong), (invalid, 1 << 16 | 16), "controller id");
    all_wrong.0[16..18].fill(0xff);
    assert_eq!(refused(0, connect_wrong, &all_wrong), (invalid, 1 << 16 | 256), "subsystem");
    all_wrong.0[256..512].copy_from_slice(&good.0[256..512]);
    assert_eq!(refused(0, connect_wrong, &all_wrong), (invalid, 1 << 16 | 512), "host");
    assert_eq!(refused(0, connect_wrong, &good), (invalid, 42), "queue id");
    assert_eq!(refused(0, connect(0), &good), (invalid, 44), "queue size");

    let mut queue = queue(0);
    let short = Command::connect(0, 31, 0, 0).with_sgl1(remote(1000));
    assert_eq!(world.status(&mut queue, short), dnr(Status::DATA_SGL_LENGTH_INVALID));
    let early = Command::keep_alive();
    assert_eq!(world.status(&mut queue, early), dnr(Status::COMMAND_SEQUENCE_ERROR));
}

#[test]
fn io_queues_belong_to_their_controller() {
    let mut world = world(&["nqn.a", "nqn.b"]);
    let mut admin = queue(0);
    world.connect(&mut admin, &data(CNTLID_DYNAMIC, "nqn.a"));
    let cntlid = admin.controller().unwrap();
    let good = data(cntlid, "nqn.a");
    let invalid = dnr(Status::CONNECT_INVALID_PARAMETERS);
    let outcome = |world: &mut World, qid, data: &ConnectData| {
        let completion = world.connect(&mut queue(qid), data);
        (completion.status(), completion.cdw0())
    };
    assert_eq!(outcome(&mut world, 1, &good), (invalid, 42), "not enabled");
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    let number = Command::set_number_of_queues(2, 2);
    assert_eq!(
        QueueCounts::from_dword(world.answer(&mut admin, number).cdw0()),
        QueueCounts { submission: 2, completion: 2 }
    );
    assert_eq!(outcome(&mut world, 3, &good), (invalid, 42), "more than granted");
    assert_eq!(outcome(&mut world, 1, &data(cntlid, "nqn.b")), (invalid, 1 << 16 | 16));
    let stranger = ConnectData::new([8; 16], cntlid, "nqn.a", "nqn.host").unwrap();
    assert_eq!(outcome(&mut world, 1, &stranger), (invalid, 1 << 16));
    let stranger = ConnectData::new(HOSTID, cntlid, "nqn.a", "nqn.else").unwrap();
    assert_eq!(outcome(&mut world, 1, &stranger), (invalid, 1 << 16 | 512));

    let mut io = queue(1);
    assert_eq!(world.connect(&mut io, &good).status(), Status::SUCCESS);
    assert!(io.is_io());
    assert_eq!(outcome(&mut world, 1, &good).0, dnr(Status::COMMAND_SEQUENCE_ERROR), "twice");
    assert_eq!(world.status(&mut admin, number), dnr(Status::COMMAND_SEQUENCE_ERROR), "queues are there");
    world.core.set_linger(0);
    world.core.close(&mut io, world.now);
    assert_eq!(outcome(&mut world, 1, &good).0, Status::SUCCESS, "the id is free again");
    assert_eq!(world.core.take_ended(), []);
    world.core.close(&mut admin, world.now);
    assert_eq!(world.core.take_ended(), [Ended::Association(cntlid)]);
    assert_eq!(outcome(&mut world, 2, &good), (invalid, 1 << 16 | 16), "the controller is gone");
}

#[test]
fn a_queue_id_stays_taken_for_a_moment_after_its_queue() {
    const MOMENT: u64 = 20_000_000;
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    let data = data(admin.controller().unwrap(), "nqn.a");
    let taken = dnr(Status::COMMAND_SEQUENCE_ERROR);
    let mut io = world.io(&admin, 1, "nqn.a");
    world.now = SECOND;
    world.core.close(&mut io, world.now);
    world.now += MOMENT - 1;
    let refused = world.connect(&mut queue(1), &data);
    assert_eq!((refused.status(), refused.cdw0()), (taken, 0));
    assert_eq!(world.connect(&mut queue(2), &data).status(), Status::SUCCESS, "another id is free");
    world.now += 1;
    assert_eq!(world.connect(&mut io, &data).status(), Status::SUCCESS);

    // A reset ends all queues; their ids are held from then on, not from when the connections are gone.
    world.set_cc(&mut admin, Cc::default());
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    assert_eq!(world.status(&mut admin, Command::set_number_of_queues(4, 4)), Status::SUCCESS);
    world.now += MOMENT - 1;
    world.core.close(&mut io, world.now);
    assert_eq!(world.connect(&mut queue(1), &data).status(), taken);
    world.now += 1;
    assert_eq!(world.connect(&mut queue(1), &data).status(), Status::SUCCESS);
    assert_eq!(world.core.take_ended(), [Ended::IoQueues(1)]);
}

#[test]
fn a_host_without_an_nqn_may_come_where_any_host_may() {
    let mut world = world(&["nqn.a"]);
    let mut nobody = data(CNTLID_DYNAMIC, "nqn.a");
    nobody.0[512..768].fill(0);
    let mut admin = queue(0);
    assert_eq!(world.connect(&mut admin, &nobody).status(), Status::SUCCESS);
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    let cntlid = admin.controller().unwrap();
    let with_nqn = world.connect(&mut queue(1), &data(cntlid, "nqn.a"));
    let expected = (dnr(Status::CONNECT_INVALID_PARAMETERS), 1 << 16 | 512);
    assert_eq!((with_nqn.status(), with_nqn.cdw0()), expected, "not the host of the association");
    nobody.0[16..18].copy_from_slice(&cntlid.to_le_bytes());
    assert_eq!(world.connect(&mut queue(1), &nobody).status(), Status::SUCCESS);

    let mut discovery = data(CNTLID_DYNAMIC, DISCOVERY_NQN);
    discovery.0[512..768].fill(0);
    assert_eq!(world.connect(&mut queue(0), &discovery).status(), Status::SUCCESS);
}

#[test]
fn before_it_is_enabled_a_controller_answers_out_of_order_whatever_the_opcode() {
    let mut world = world(&["nqn.a"]);
    let mut admin = queue(0);
    world.connect(&mut admin, &data(CNTLID_DYNAMIC, "nqn.a"));
    for command in [Command::new(0xc1), Command::keep_alive(), Command::new(0xc1).with_sgl1(Sgl::default())] {
        assert_eq!(world.status(&mut admin, command), dnr(Status::COMMAND_SEQUENCE_ERROR));
    }
    let mut fused = Command::keep_alive();
    fused.set_fuse(1);
    assert_eq!(world.status(&mut admin, fused), dnr(Status::INVALID_FIELD), "its form counts before that");
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    assert_eq!(world.status(&mut admin, Command::new(0xc1)), dnr(Status::INVALID_OPCODE));
    let get = |sgl| Command::property_get(CSTS, PropertySize::FOUR).with_sgl1(sgl);
    assert_eq!(world.status(&mut admin, get(Sgl::default())), dnr(Status::INVALID_FIELD));
    assert_eq!(world.status(&mut admin, get(remote(8))), dnr(Status::DATA_SGL_LENGTH_INVALID));
}

#[test]
fn without_mdts_there_is_no_limit() {
    let options = Options {
        subsystems: vec![SubsystemOptions::parse("nqn.a,ns=64M:4K").unwrap()],
        mdts: 0,
        ..Options::default()
    };
    let mut world = World { core: Core::new(&options), now: 0 };
    let admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let length = 8 << 20;
    let read = Command::read(1, 0, length / 4096).with_sgl1(remote(length));
    assert!(matches!(world.run(&mut io, read), Step::SendBlocks { extent, .. } if extent.length == 8 << 20));
}

#[test]
fn connect_data_may_come_in_the_capsule() {
    let mut world = world(&["nqn.a"]);
    let mut refused = |qid, came| {
        let command = Command::connect(qid, 31, 0, 0).with_sgl1(Sgl::in_capsule(0, 1024));
        match world.core.execute(&mut queue(qid), 0, &command, &zeros(came), 0) {
            Step::ConnectInCapsule { offset: 64 } => None,
            Step::Respond(completion) => Some(completion.status()),
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(refused(1, 1024), None);
    assert_eq!(refused(1, 1023), Some(dnr(Status::DATA_SGL_LENGTH_INVALID)));
    // The Admin Queue's capsules have no room for data, whatever the I/O queues' have.
    assert_eq!(refused(0, 1024), Some(dnr(Status::INVALID_SGL_OFFSET)));
}

#[test]
fn the_head_follows_the_queue() {
    let mut world = world(&["nqn.a"]);
    let mut admin = queue(0);
    let connect = Command::connect(0, 31, 0, 0);
    let completion = world.connect_with(&mut admin, connect, &data(CNTLID_DYNAMIC, "nqn.a"));
    assert_eq!(admin.finish(completion).sqhd(), 1);
    for expected in (2..32).chain([0, 1]) {
        let completion = world.answer(&mut admin, Command::property_get(CSTS, PropertySize::FOUR));
        assert_eq!(admin.finish(completion).sqhd(), expected);
    }
    let mut admin = queue(0);
    let connect = Command::connect(0, 31, 4, 0);
    let completion = world.connect_with(&mut admin, connect, &data(CNTLID_DYNAMIC, "nqn.a"));
    assert_eq!(admin.finish(completion).sqhd(), 0xffff, "no flow control");
}

#[test]
fn identify_controller_says_what_holds() {
    let mut world = world(&["nqn.a,ns=1M,ns=none,ns=2M:4K"]);
    let mut admin = world.admin("nqn.a");
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    let bytes: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
    let view = ControllerView(&bytes);
    assert_eq!((view.subnqn(), view.cntlid(), view.nn()), (Some("nqn.a"), 1, 3));
    assert_eq!((view.ioccsz(), view.iorcsz(), view.icdoff(), view.msdbd()), (260, 1, 0, 16));
    assert_eq!((view.in_capsule_data_size(), view.max_transfer(0)), (4096, Some(131_072)));
    assert_eq!((view.sqes(), view.cqes(), view.maxcmd(), view.kas()), (0x66, 0x44, 128, 1));
    assert_eq!(view.sgls(), 1 << 20 | 1 << 2 | 1);
    assert_eq!((view.mn(), view.sn().len(), view.cntrltype()), ("nvme-rdma-target", 16, 1));
    assert_eq!(view.tnvmcap(), 3 << 20);
}

#[test]
fn identify_namespaces() {
    let mut world = world(&["nqn.a,ns=1M,ns=none,ns=2M:4K"]);
    let mut admin = world.admin("nqn.a");
    let identify = |cns, nsid| Command::identify(cns, 0, nsid, 0).with_sgl1(remote(4096));
    let mut page =
        |cns, nsid| -> [u8; 4096] { world.bytes(&mut admin, identify(cns, nsid)).try_into().unwrap() };
    let first = page(Cns::NAMESPACE, 1);
    assert_eq!((NamespaceView(&first).nsze(), NamespaceView(&first).block_size()), (2048, Some(512)));
    let third = page(Cns::NAMESPACE, 3);
    assert_eq!((NamespaceView(&third).nsze(), NamespaceView(&third).block_size()), (512, Some(4096)));
    assert_ne!(NamespaceView(&first).nguid(), NamespaceView(&third).nguid());
    assert_eq!(page(Cns::NAMESPACE, 2), [0; 4096], "inactive");
    let all = page(Cns::NAMESPACE, u32::MAX);
    assert_eq!(
        (NamespaceView(&all).nsze(), NamespaceView(&all).nlbaf()),
        (0, 4),
        "the formats to make one with"
    );
    assert_eq!(namespace_list(&page(Cns::ACTIVE_NAMESPACE_LIST, 0)).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(namespace_list(&page(Cns::ACTIVE_NAMESPACE_LIST, 1)).collect::<Vec<_>>(), [3]);
    let ids = page(Cns::NAMESPACE_DESCRIPTORS, 3);
    let ids: Vec<_> = namespace_descriptors(&ids).map(Result::unwrap).collect();
    let [NamespaceId::Eui64(eui64), NamespaceId::Nguid(nguid), NamespaceId::Uuid(uuid)] = ids[..] else {
        panic!("{ids:?}")
    };
    assert_eq!((*eui64, *nguid), (NamespaceView(&third).eui64(), NamespaceView(&third).nguid()));
    assert_eq!((uuid[6] >> 4, uuid[8] >> 6), (8, 2));

    let invalid = dnr(Status::INVALID_NAMESPACE_OR_FORMAT);
    for (cns, nsid) in [
        (Cns::NAMESPACE, 0),
        (Cns::NAMESPACE, 4),
        (Cns::ACTIVE_NAMESPACE_LIST, 0xffff_fffe),
        (Cns::ACTIVE_NAMESPACE_LIST, u32::MAX),
        (Cns::NAMESPACE_DESCRIPTORS, 2),
        (Cns::NAMESPACE_DESCRIPTORS, 0),
    ] {
        assert_eq!(world.status(&mut admin, identify(cns, nsid)), invalid, "{cns:?} {nsid}");
    }
    for cns in [Cns::NAMESPACE_IOCS, Cns::CONTROLLER_IOCS, Cns::IO_COMMAND_SETS, Cns(0xff)] {
        assert_eq!(world.status(&mut admin, identify(cns, 1)), dnr(Status::INVALID_FIELD), "{cns:?}");
    }
    let short = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4092));
    assert_eq!(world.status(&mut admin, short), dnr(Status::DATA_SGL_LENGTH_INVALID));
}

#[test]
fn reads_and_writes_become_extents() {
    let mut world = world(&["nqn.a,ns=1M", "nqn.b,ns=none,ns=1M:4K"]);
    let admin = world.admin("nqn.b");
    let mut io = world.io(&admin, 1, "nqn.b");
    let read = Command::read(2, 3, 2).with_sgl1(remote(8192));
    let extent = Extent { store: 1, offset: 3 * 4096, length: 8192 };
    let completion = Completion::new(0, 0x42, Status::SUCCESS);
    assert_eq!(world.run(&mut io, read), Step::SendBlocks { extent, remote: at_remote(8192), completion });
    let write = Command::write(2, 3, 2).with_sgl1(remote(8192));
    assert_eq!(world.run(&mut io, write), Step::FetchBlocks { extent, remote: at_remote(8192), completion });
    let invalidating = Command::read(2, 3, 2).with_sgl1(Sgl::keyed_invalidate(0xabc_000, 8192, 0x77));
    let remote = Remote { invalidate: Some(0x77), ..at_remote(8192) };
    assert_eq!(world.run(&mut io, invalidating), Step::SendBlocks { extent, remote, completion });

    let capsule = Command::write(2, 255, 1).with_sgl1(Sgl::in_capsule(0, 4096)).with_cid(0x42);
    let extent = Extent { store: 1, offset: 255 * 4096, length: 4096 };
    let step = world.core.execute(&mut io, 0, &capsule, &zeros(4096), 0);
    assert_eq!(step, Step::CopyBlocks { offset: 64, extent, completion });
    let step = world.run(&mut io, Command::write_zeroes(2, 255, 1));
    assert_eq!(step, Step::ZeroBlocks { extent, completion });
    assert_eq!(world.status(&mut io, Command::flush(2)), Status::SUCCESS);
}

#[test]
fn bad_io_gets_the_status_that_it_deserves() {
    let mut world = world(&["nqn.a,ns=1M,ns=none"]);
    let admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let block = remote(512);
    let mut fused = Command::read(1, 0, 1).with_sgl1(block);
    fused.set_fuse(1);
    let mut prp = Command::read(1, 0, 1);
    prp.dwords[0] &= !0xc000;
    let mut reserved_subtype = block;
    reserved_subtype.dwords[3] |= 2 << 24;
    let mut segment_psdt = Command::read(1, 0, 1).with_sgl1(block);
    segment_psdt.dwords[0] ^= 0xc000;
    let mut unknown = Command::new(0x99);
    unknown.set_nsid(1);
    for (command, status) in [
        (Command::read(1, 2048, 1).with_sgl1(block), Status::LBA_OUT_OF_RANGE),
        (Command::write(1, 2047, 2).with_sgl1(remote(1024)), Status::LBA_OUT_OF_RANGE),
        (Command::read(1, u64::MAX, 1).with_sgl1(block), Status::LBA_OUT_OF_RANGE),
        (Command::write_zeroes(1, u64::MAX, 65_536), Status::LBA_OUT_OF_RANGE),
        (Command::read(2, 0, 1).with_sgl1(block), Status::INVALID_NAMESPACE_OR_FORMAT),
        (Command::read(0, 0, 1).with_sgl1(block), Status::INVALID_NAMESPACE_OR_FORMAT),
        (Command::read(u32::MAX, 0, 1).with_sgl1(block), Status::INVALID_NAMESPACE_OR_FORMAT),
        (Command::flush(2), Status::INVALID_NAMESPACE_OR_FORMAT),
        (Command::flush(u32::MAX), Status::INVALID_NAMESPACE_OR_FORMAT),
        (Command::read(1, 0, 1).with_sgl1(remote(511)), Status::DATA_SGL_LENGTH_INVALID),
        (Command::read(1, 0, 1).with_sgl1(remote(513)), Status::DATA_SGL_LENGTH_INVALID),
        (Command::read(1, 0, 1), Status::DATA_SGL_LENGTH_INVALID),
        (Command::read(1, 0, 257).with_sgl1(remote(257 * 512)), Status::INVALID_FIELD),
        (Command::read(1, 0, 1).with_sgl1(Sgl::default()), Status::INVALID_FIELD),
        (Command::flush(1).with_sgl1(Sgl::default()), Status::INVALID_FIELD),
        (Command::flush(1).with_sgl1(block), Status::DATA_SGL_LENGTH_INVALID),
        (Command::write_zeroes(1, 0, 1).with_sgl1(block), Status::DATA_SGL_LENGTH_INVALID),
        (Command::write(1, 0, 1).with_sgl1(reserved_subtype), Status::INVALID_FIELD),
        (segment_psdt, Status::INVALID_FIELD),
        (Command::write(1, 0, 1).with_sgl1(Sgl::in_capsule(0, 512)), Status::DATA_SGL_LENGTH_INVALID),
        (Command::write(1, 0, 1).with_sgl1(Sgl::in_capsule(3585, 512)), Status::INVALID_SGL_OFFSET),
        (Command::write(1, 0, 1).with_sgl1(Sgl::in_capsule(u64::MAX, 512)), Status::INVALID_SGL_OFFSET),
        (fused, Status::INVALID_FIELD),
        (prp, Status::INVALID_FIELD),
        (Command::new(0x99), Status::INVALID_NAMESPACE_OR_FORMAT),
        (unknown, Status::INVALID_OPCODE),
        (Command::compare(1, 0, 2).with_sgl1(block), Status::DATA_SGL_LENGTH_INVALID),
        (Command::compare(1, 2047, 2).with_sgl1(remote(1024)), Status::LBA_OUT_OF_RANGE),
        (Command::property_get(CSTS, PropertySize::FOUR), Status::INVALID_OPCODE),
    ] {
        assert_eq!(world.status(&mut io, command), dnr(status), "{command:?}");
    }
    let in_capsule_read = Command::read(1, 0, 1).with_sgl1(Sgl::in_capsule(0, 512));
    let step = world.core.execute(&mut io, 0, &in_capsule_read, &zeros(512), 0);
    let Step::Respond(completion) = step else { panic!("{step:?}") };
    assert_eq!(completion.status(), dnr(Status::INVALID_FIELD), "a read cannot answer into the capsule");
}

#[test]
fn in_capsule_data_never_reaches_beyond_what_is_advertised() {
    let mut world = world(&["nqn.a,ns=1M"]);
    let admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let command = Command::write(1, 0, 9).with_sgl1(Sgl::in_capsule(0, 9 * 512));
    let step = world.core.execute(&mut io, 0, &command, &zeros(9 * 512), 0);
    let Step::Respond(completion) = step else { panic!("{step:?}") };
    assert_eq!(completion.status(), dnr(Status::INVALID_SGL_OFFSET));
}

#[test]
fn features() {
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    let number = Command::set_number_of_queues(65_535, 65_535);
    assert_eq!(world.answer(&mut admin, number).cdw0(), 63 << 16 | 63);
    let get = |feature| Command::get_features(feature, 0);
    assert_eq!(world.answer(&mut admin, get(FeatureId::NUMBER_OF_QUEUES)).cdw0(), 63 << 16 | 63);
    let events = |bits| Command::set_async_event_configuration(bits);
    assert_eq!(world.status(&mut admin, events(0x11f)), Status::SUCCESS);
    assert_eq!(world.status(&mut admin, events(0x20)), dnr(Status::INVALID_FIELD), "there is no such event");
    assert_eq!(world.answer(&mut admin, get(FeatureId::ASYNC_EVENT_CONFIGURATION)).cdw0(), 0x11f);
    assert_eq!(world.status(&mut admin, Command::keep_alive()), Status::KEEP_ALIVE_INVALID, "no timer");
    world.answer(&mut admin, Command::set_keep_alive_timer(5000));
    assert_eq!(world.answer(&mut admin, get(FeatureId::KEEP_ALIVE_TIMER)).cdw0(), 5000);
    let hostid = Command::get_features(FeatureId::HOST_IDENTIFIER, 1).with_sgl1(remote(16));
    assert_eq!(world.bytes(&mut admin, hostid), HOSTID);
    assert_eq!(world.status(&mut admin, get(FeatureId(0x7e))), dnr(Status::INVALID_FIELD));
    let with_data = get(FeatureId::KEEP_ALIVE_TIMER).with_sgl1(remote(4));
    assert_eq!(world.status(&mut admin, with_data), dnr(Status::DATA_SGL_LENGTH_INVALID));
    let mut discovery = world.admin(DISCOVERY_NQN);
    assert_eq!(world.status(&mut discovery, number), dnr(Status::INVALID_FIELD), "no I/O queues");
    let all = Command::set_features(FeatureId::NUMBER_OF_QUEUES, u32::MAX);
    assert_eq!(world.status(&mut admin, all), dnr(Status::INVALID_FIELD));
}

#[test]
fn events_are_held_and_can_be_aborted() {
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    for tag in 0..4 {
        let event = Command::async_event_request().with_cid(100 + tag);
        assert_eq!(world.core.execute(&mut admin, usize::from(tag), &event, &zeros(0), 0), Step::Hold);
    }
    let limit = world.status(&mut admin, Command::async_event_request());
    assert_eq!(limit, dnr(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED));
    let completion = Completion::new(0, 0x42, Status::SUCCESS);
    let released = Completion::new(0, 102, Status::ABORTED_BY_REQUEST);
    let step = world.run(&mut admin, Command::abort(0, 102));
    assert_eq!(step, Step::RespondAndRelease { completion, tag: 2, released });
    assert_eq!(world.answer(&mut admin, Command::abort(0, 102)).cdw0(), 1, "not aborted");
    assert_eq!(world.answer(&mut admin, Command::abort(1, 101)).cdw0(), 1, "another queue's");
}

#[test]
fn log_pages() {
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    let log = |page, offset, length| {
        Command::get_log_page(page, u32::MAX, offset, length).with_sgl1(remote(length))
    };
    assert_eq!(world.bytes(&mut admin, log(LogPageId::ERROR, 0, 64)), [0; 64]);
    assert_eq!(world.bytes(&mut admin, log(LogPageId::SMART, 0, 512))[..5], [0, 0x2c, 1, 100, 10]);
    assert_eq!(world.bytes(&mut admin, log(LogPageId::FIRMWARE_SLOT, 0, 512))[0], 1);
    let effects = world.bytes(&mut admin, log(LogPageId::COMMANDS_SUPPORTED_AND_EFFECTS, 0, 4096));
    assert_eq!((effects[0x06 * 4], effects[1024 + 4], effects[1024 + 8], effects[4]), (1, 3, 1, 0));
    assert_eq!(world.bytes(&mut admin, log(LogPageId::SMART, 508, 8)), [0; 8], "zeros behind the end");
    for (command, status) in [
        (log(LogPageId::DISCOVERY, 0, 1024), Status::INVALID_LOG_PAGE),
        (log(LogPageId(0xee), 0, 512), Status::INVALID_LOG_PAGE),
        (log(LogPageId::SMART, 516, 4), Status::INVALID_FIELD),
        (log(LogPageId::SMART, 2, 4), Status::INVALID_FIELD),
        (log(LogPageId::SMART, u64::MAX - 3, 4), Status::INVALID_FIELD),
        (log(LogPageId::SMART, 0, 512).with_sgl1(remote(511)), Status::DATA_SGL_LENGTH_INVALID),
        (log(LogPageId::SMART, 0, 1 << 20), Status::INVALID_FIELD),
        (log(LogPageId::SMART, 0, 512).with_sgl1(Sgl::NONE), Status::DATA_SGL_LENGTH_INVALID),
    ] {
        assert_eq!(world.status(&mut admin, command), dnr(status), "{command:?}");
    }
}

#[test]
fn the_discovery_service_names_the_subsystems_where_the_host_came_from() {
    let mut world = world(&["nqn.a", "nqn.b"]);
    let mut admin = world.admin(DISCOVERY_NQN);
    let log = |length| Command::get_log_page(LogPageId::DISCOVERY, 0, 0, length).with_sgl1(remote(length));
    let page = world.bytes(&mut admin, log(4096));
    let header = DiscoveryHeader::decode(page[..1024].try_into().unwrap());
    assert_eq!(header.numrec, 2);
    let entry = DiscoveryEntryView(page[1024..2048].try_into().unwrap());
    assert_eq!((entry.subnqn(), entry.traddr(), entry.trsvcid()), (Some("nqn.a"), "10.0.0.5", "4420"));
    assert_eq!((entry.trtype(), entry.adrfam(), entry.subtype()), (1, 1, 2));

    world.core.set_present("nqn.a", false).unwrap();
    let page = world.bytes(&mut admin, log(4096));
    let after = DiscoveryHeader::decode(page[..1024].try_into().unwrap());
    assert_eq!(after.numrec, 1);
    assert_ne!(after.genctr, header.genctr);
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    let bytes: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
    assert_eq!((ControllerView(&bytes).cntrltype(), ControllerView(&bytes).nn()), (2, 0));
    let namespace = Command::identify(Cns::NAMESPACE, 0, 1, 0).with_sgl1(remote(4096));
    assert_eq!(world.status(&mut admin, namespace), dnr(Status::INVALID_FIELD));
    let io = world.connect(&mut queue(1), &data(admin.controller().unwrap(), DISCOVERY_NQN));
    assert_eq!(io.status(), dnr(Status::CONNECT_INVALID_PARAMETERS));
}

#[test]
fn an_association_ends_when_its_host_falls_silent() {
    let mut world = world(&["nqn.a"]);
    let mut admin = queue(0);
    let connect = Command::connect(0, 31, 0, 10_000);
    world.connect_with(&mut admin, connect, &data(CNTLID_DYNAMIC, "nqn.a"));
    world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
    world.now = 9 * SECOND;
    assert_eq!(world.status(&mut admin, Command::keep_alive()), Status::SUCCESS);
    world.core.tick(19 * SECOND);
    assert_eq!(world.core.take_ended(), []);
    world.core.tick(19 * SECOND + 1);
    assert_eq!(world.core.take_ended(), [Ended::Association(1)]);
    assert_eq!(world.status(&mut admin, Command::keep_alive()), Status::ABORTED_SQ_DELETION);

    let mut forever = queue(0);
    world.connect(&mut forever, &data(CNTLID_DYNAMIC, "nqn.a"));
    world.core.tick(u64::MAX);
    assert_eq!(world.core.take_ended(), [], "no timeout was asked for");
}

#[test]
fn a_dropped_subsystem_ends_its_associations_and_comes_back() {
    let mut world = world(&["nqn.a", "nqn.b"]);
    let a = world.admin("nqn.a");
    let b = world.admin("nqn.b");
    assert_eq!((a.controller(), b.controller()), (Some(1), Some(2)));
    world.core.set_present("nqn.a", false).unwrap();
    assert_eq!(world.core.take_ended(), [Ended::Association(1)]);
    assert!(world.core.is_present());
    let refused = world.connect(&mut queue(0), &data(CNTLID_DYNAMIC, "nqn.a"));
    assert_eq!(refused.status(), dnr(Status::CONNECT_INVALID_PARAMETERS));
    world.core.set_present("nqn.b", false).unwrap();
    assert!(!world.core.is_present());
    world.core.set_present("nqn.a", true).unwrap();
    let back = world.admin("nqn.a");
    assert_eq!(back.controller(), Some(3), "ids come back late");
    assert!(world.core.set_present("nqn.c", true).is_err());
}
