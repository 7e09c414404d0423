//! Reservations: what each type keeps from whom, and the commands on them.

use spec::reservation::ReservationType;
use spec::{KeyValueOpcode, NvmOpcode, Status};

use super::commands::with_data;
use super::*;

const CONFLICT: Status = Status::RESERVATION_CONFLICT.with_dnr(true);
const INVALID: Status = Status::INVALID_FIELD.with_dnr(true);
const REGISTER: NvmOpcode = NvmOpcode::RESERVATION_REGISTER;
const ACQUIRE: NvmOpcode = NvmOpcode::RESERVATION_ACQUIRE;
const RELEASE: NvmOpcode = NvmOpcode::RESERVATION_RELEASE;

/// Controller, whether it holds, key, and the byte that the host identifier is made of.
type Entry = (u16, u8, u64, u8);

/// Three hosts, each with an I/O queue of its own controller; host `n` has the key `n + 1` once it is registered.
struct Hosts {
    world: World,
    admins: Vec<Queue>,
    queues: Vec<Queue>,
}

impl Hosts {
    fn new() -> Hosts {
        let mut world = world(&["nqn.a,ns=1M,ns=1M"]);
        let (mut admins, mut queues) = (Vec::new(), Vec::new());
        for host in 0..3 {
            let data = |cntlid| ConnectData::new([host; 16], cntlid, "nqn.a", "nqn.host").unwrap();
            let (mut admin, mut io) = (queue(0), queue(1));
            world.connect(&mut admin, &data(CNTLID_DYNAMIC));
            world.set_cc(&mut admin, Cc::enabled(Cc::CSS_NVM));
            let cntlid = admin.controller().unwrap();
            assert_eq!(world.connect(&mut io, &data(cntlid)).status(), Status::SUCCESS);
            admins.push(admin);
            queues.push(io);
        }
        Hosts { world, admins, queues }
    }

    fn run(&mut self, host: usize, opcode: NvmOpcode, dword: u32, keys: &[u64]) -> Status {
        let keys: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let mut command = Command::new(opcode.0).with_sgl1(remote(keys.len() as u32)).with_cid(0x42);
        command.set_nsid(1);
        command.set_cdw10(dword);
        let queue = &mut self.queues[host];
        match self.world.run(queue, command) {
            Step::FetchBytes { length, .. } => assert_eq!(length as usize, keys.len()),
            Step::Respond(completion) => return completion.status(),
            step => panic!("{step:?}"),
        }
        match self.world.core.supplied(queue, 5, &command, &keys) {
            Step::Respond(completion) => completion.status(),
            step => panic!("{step:?}"),
        }
    }

    fn register(&mut self, host: usize) {
        assert_eq!(self.run(host, REGISTER, 0, &[0, host as u64 + 1]), Status::SUCCESS);
    }

    fn acquire(&mut self, host: usize, kind: u8) -> Status {
        self.run(host, ACQUIRE, u32::from(kind) << 8, &[host as u64 + 1, 0])
    }

    /// Whether the host may read and write.
    fn may(&mut self, host: usize) -> (bool, bool) {
        self.may_in(host, 1)
    }

    fn may_in(&mut self, host: usize, nsid: u32) -> (bool, bool) {
        let queue = &mut self.queues[host];
        let mut one = |command: Command, kinds: &[NvmOpcode]| {
            let step = self.world.run(queue, with_data(command, 512));
            let refused = Step::Respond(Completion::new(0, 0x42, CONFLICT));
            // All commands that need the same are treated the same.
            for kind in kinds {
                let mut other = with_data(command, 512);
                other.set_opcode(kind.0);
                assert_eq!(self.world.run(queue, other) == refused, step == refused, "{kind:?}");
            }
            step != refused
        };
        let writes = [
            NvmOpcode::WRITE_ZEROES,
            NvmOpcode::WRITE_UNCORRECTABLE,
            NvmOpcode::FLUSH,
            NvmOpcode::DATASET_MANAGEMENT,
            NvmOpcode::COPY,
            NvmOpcode(KeyValueOpcode::DELETE.0),
        ];
        let reads = [
            NvmOpcode::COMPARE,
            NvmOpcode::VERIFY,
            NvmOpcode(KeyValueOpcode::LIST.0),
            NvmOpcode(KeyValueOpcode::EXIST.0),
        ];
        let read = one(Command::read(nsid, 0, 1), &reads);
        (read, one(Command::write(nsid, 0, 1), &writes))
    }

    /// Generation, type, and the registrants.
    fn report(&mut self, host: usize) -> (u32, u8, Vec<Entry>) {
        let mut command = Command::new(NvmOpcode::RESERVATION_REPORT.0).with_sgl1(remote(1024));
        command.set_nsid(1);
        command.set_cdw10(255);
        command.set_cdw11(1);
        let page = self.world.bytes(&mut self.queues[host], command);
        let count = u16::from_le_bytes([page[5], page[6]]);
        let entries = page[64..].chunks(64).take(count.into()).map(|entry| {
            let key = u64::from_le_bytes(entry[8..16].try_into().unwrap());
            assert!(entry[16..32].iter().all(|byte| *byte == entry[16]));
            (u16::from_le_bytes([entry[0], entry[1]]), entry[2], key, entry[16])
        });
        (u32::from_le_bytes(page[..4].try_into().unwrap()), page[4], entries.collect())
    }
}

#[test]
fn each_type_keeps_out_whom_it_should() {
    // Host 0 holds, host 1 is registered, host 2 is not.
    let all = (true, true);
    for (kind, registrant, other) in [
        (1, (true, false), (true, false)),
        (2, (false, false), (false, false)),
        (3, all, (true, false)),
        (4, all, (false, false)),
        (5, all, (true, false)),
        (6, all, (false, false)),
    ] {
        let mut hosts = Hosts::new();
        hosts.register(0);
        hosts.register(1);
        assert_eq!((hosts.may(0), hosts.may(2)), (all, all), "nothing is reserved yet");
        assert_eq!(hosts.acquire(0, kind), Status::SUCCESS);
        assert_eq!((hosts.may(0), hosts.may(1), hosts.may(2)), (all, registrant, other), "type {kind}");
        assert_eq!(hosts.may_in(2, 2), all, "the other namespace");
        let holds = u8::from(ReservationType(kind).is_of_all());
        let registrants = vec![(1, 1, 1, 0), (2, holds, 2, 1)];
        assert_eq!(hosts.report(2), (2, kind, registrants), "everyone may ask");
        // Who may acquire and release it.
        assert_eq!(hosts.acquire(0, kind), Status::SUCCESS, "again");
        assert_eq!(hosts.acquire(0, kind % 6 + 1), CONFLICT, "another type");
        let may = if ReservationType(kind).is_of_all() { Status::SUCCESS } else { CONFLICT };
        assert_eq!(hosts.acquire(1, kind), may);
        assert_eq!(hosts.acquire(2, kind), CONFLICT);
        let dword = u32::from(kind) << 8;
        assert_eq!(hosts.run(2, RELEASE, dword, &[3]), CONFLICT);
        assert_eq!(hosts.run(0, RELEASE, dword, &[2]), CONFLICT, "not its key");
        assert_eq!(hosts.run(0, RELEASE, dword ^ 0x700, &[1]), INVALID, "not the type");
        assert_eq!(hosts.run(0, RELEASE, dword, &[1]), Status::SUCCESS);
        assert_eq!((hosts.may(1), hosts.may(2)), (all, all));
        assert_eq!(hosts.run(0, RELEASE, dword, &[1]), Status::SUCCESS, "there is none");
    }
}

#[test]
fn registrations() {
    let mut hosts = Hosts::new();
    assert_eq!(hosts.run(0, REGISTER, 0, &[0, 0]), INVALID, "no key");
    assert_eq!(hosts.run(0, REGISTER, 1, &[1, 0]), CONFLICT, "it is not registered");
    assert_eq!(hosts.run(0, REGISTER, 2, &[1, 5]), CONFLICT);
    hosts.register(0);
    hosts.register(0);
    assert_eq!(hosts.run(0, REGISTER, 0, &[0, 9]), CONFLICT, "it has another key");
    assert_eq!(hosts.run(0, REGISTER, 2, &[7, 9]), CONFLICT, "not its key");
    assert_eq!(hosts.run(0, REGISTER, 2, &[1, 9]), Status::SUCCESS);
    assert_eq!(hosts.report(0), (2, 0, vec![(1, 0, 9, 0)]));
    assert_eq!(hosts.run(1, REGISTER, 2 | 1 << 3, &[0, 8]), Status::SUCCESS, "whatever the key was");
    assert_eq!(hosts.run(0, REGISTER, 1, &[1, 0]), CONFLICT);
    assert_eq!(hosts.run(0, REGISTER, 1 | 1 << 3, &[1, 0]), Status::SUCCESS);
    assert_eq!(hosts.report(0), (4, 0, vec![(2, 0, 8, 1)]));
    for dword in [3, 3 << 30, 1 << 30] {
        assert_eq!(hosts.run(0, REGISTER, dword, &[0, 1]), INVALID);
    }
    assert_eq!(hosts.run(0, REGISTER, 2 << 30, &[0, 1]), Status::SUCCESS, "nothing persists");
    // Whoever has no controller is still registered.
    hosts.world.core.close(&mut hosts.admins[0], 0);
    assert_eq!(hosts.report(1).2, [(2, 0, 8, 1), (0xffff, 0, 1, 0)]);
}

#[test]
fn a_reservation_goes_with_its_holder_or_with_the_last_of_all() {
    let mut hosts = Hosts::new();
    hosts.register(0);
    hosts.register(1);
    hosts.acquire(0, 2);
    assert_eq!(hosts.run(0, REGISTER, 1, &[1, 0]), Status::SUCCESS);
    assert_eq!((hosts.report(0).1, hosts.may(2)), (0, (true, true)));
    hosts.register(0);
    hosts.acquire(0, 6);
    hosts.run(0, REGISTER, 1, &[1, 0]);
    assert_eq!((hosts.may(0), hosts.may(1), hosts.may(2)), ((false, false), (true, true), (false, false)));
    hosts.run(1, REGISTER, 1, &[2, 0]);
    assert_eq!((hosts.report(0).1, hosts.may(2)), (0, (true, true)));
}

#[test]
fn preempting_takes_registrations_and_reservations() {
    let preempt = |kind: u8| 1 | u32::from(kind) << 8;
    let mut hosts = Hosts::new();
    (0..3).for_each(|host| hosts.register(host));
    // A registration.
    assert_eq!(hosts.run(0, ACQUIRE, preempt(1), &[1, 3]), Status::SUCCESS);
    assert_eq!(hosts.run(0, ACQUIRE, preempt(1), &[1, 3]), CONFLICT, "it is gone");
    assert_eq!(hosts.run(0, ACQUIRE, preempt(1), &[1, 0]), INVALID);
    assert_eq!(hosts.report(0), (4, 0, vec![(1, 0, 1, 0), (2, 0, 2, 1)]));
    // The reservation, with another type.
    hosts.acquire(1, 2);
    assert_eq!(hosts.may(0), (false, false));
    assert_eq!(hosts.run(0, ACQUIRE, preempt(3), &[1, 2]), Status::SUCCESS);
    assert_eq!((hosts.may(0), hosts.may(1)), ((true, true), (true, false)));
    assert_eq!(hosts.report(0), (5, 3, vec![(1, 1, 1, 0)]));
    // Its own, for the sake of the type.
    assert_eq!(hosts.run(0, ACQUIRE, preempt(1), &[1, 1]), Status::SUCCESS);
    assert_eq!(hosts.report(0).1, 1);
    // From all registrants.
    hosts.run(0, RELEASE, 1 << 8, &[1]);
    (1..3).for_each(|host| hosts.register(host));
    hosts.acquire(0, 5);
    assert_eq!(hosts.run(1, ACQUIRE, preempt(1), &[2, 3]), Status::SUCCESS, "one of them");
    assert_eq!((hosts.report(0).1, hosts.report(0).2.len()), (5, 2));
    assert_eq!(hosts.run(1, ACQUIRE, preempt(2), &[2, 0]), Status::SUCCESS);
    assert_eq!(hosts.report(0).2, [(2, 1, 2, 1)]);
    assert_eq!(hosts.may(0), (false, false));
    // Clear.
    assert_eq!(hosts.run(0, RELEASE, 1, &[1]), CONFLICT);
    assert_eq!(hosts.run(1, RELEASE, 1, &[2]), Status::SUCCESS);
    assert_eq!((hosts.report(0).1, hosts.report(0).2.len(), hosts.may(2)), (0, 0, (true, true)));
}

impl Hosts {
    /// Has the host wait for an event.
    fn request(&mut self, host: usize) {
        let command = Command::async_event_request().with_cid(host as u16);
        let step = self.world.core.execute(&mut self.admins[host], host, &command, &zeros(0), 0);
        assert_eq!(step, Step::Hold);
    }

    /// The hosts that heard of a notification, by the tags of their requests.
    fn heard(&mut self) -> Vec<usize> {
        let releases = self.world.core.take_releases().into_iter();
        let heard = releases.map(|release| {
            let How::Answer(completion) = release.how else { panic!("{release:?}") };
            assert_eq!((completion.cdw0(), usize::from(release.cntlid)), (0x0080_0006, release.tag + 1));
            release.tag
        });
        heard.collect()
    }

    /// Number, type, those behind it, and the namespace.
    fn notification(&mut self, host: usize) -> (u8, u8, u8, u8) {
        let command = Command::get_log_page(spec::log::LogPageId::RESERVATION_NOTIFICATION, 0, 0, 64);
        let page = self.world.bytes(&mut self.admins[host], command.with_sgl1(remote(64)));
        (page[0], page[8], page[9], page[12])
    }
}

#[test]
fn hosts_hear_of_what_others_take_from_them() {
    use spec::feature::FeatureId;
    let mut hosts = Hosts::new();
    (0..3).for_each(|host| hosts.request(host));
    (0..3).for_each(|host| hosts.register(host));
    hosts.acquire(0, 3);
    assert_eq!(hosts.heard(), []);
    // A reservation of registrants is released: the other registrants hear, once until they look.
    hosts.run(0, RELEASE, 3 << 8, &[1]);
    assert_eq!(hosts.heard(), [1, 2]);
    hosts.request(1);
    hosts.acquire(1, 6);
    hosts.run(1, RELEASE, 6 << 8, &[2]);
    assert_eq!(hosts.heard(), [0]);
    assert_eq!(hosts.notification(0), (1, 2, 0, 1));
    assert_eq!(hosts.notification(0), (0, 0, 0, 0), "it was read");
    assert_eq!((hosts.notification(2), hosts.notification(2)), ((1, 2, 1, 1), (2, 2, 0, 1)));
    assert_eq!(hosts.notification(1), (1, 2, 0, 1));
    // One of a single host concerns nobody else.
    hosts.acquire(0, 1);
    hosts.run(0, RELEASE, 1 << 8, &[1]);
    assert_eq!((hosts.heard(), hosts.notification(1).0), (vec![], 0));
    // A registration is taken.
    hosts.run(0, ACQUIRE, 1 | 1 << 8, &[1, 2]);
    assert_eq!((hosts.heard(), hosts.notification(1)), (vec![1], (2, 1, 0, 1)));
    // All are cleared.
    hosts.run(0, RELEASE, 1, &[1]);
    assert_eq!(hosts.notification(2), (3, 3, 0, 1));
    // Who does not want to hear does not.
    (0..3).for_each(|host| hosts.register(host));
    let mut mask = Command::set_features(FeatureId::RESERVATION_NOTIFICATION_MASK, 0b1000);
    mask.set_nsid(1);
    assert_eq!(hosts.world.status(&mut hosts.admins[2], mask), Status::SUCCESS);
    hosts.run(0, RELEASE, 1, &[1]);
    assert_eq!((hosts.notification(1).1, hosts.notification(2).1), (3, 0));
    let mut persist = Command::set_features(FeatureId::RESERVATION_PERSISTENCE, 1);
    persist.set_nsid(1);
    let status = hosts.world.status(&mut hosts.admins[2], persist);
    assert_eq!(status, dnr(Status::FEATURE_NOT_CHANGEABLE));
}

#[test]
fn a_notification_behind_another_is_an_event_of_its_own() {
    let mut hosts = Hosts::new();
    (0..2).for_each(|host| hosts.register(host));
    for _ in 0..300 {
        hosts.acquire(0, 3);
        hosts.run(0, RELEASE, 3 << 8, &[1]);
    }
    hosts.request(1);
    assert_eq!(hosts.heard(), [1]);
    assert_eq!(hosts.notification(1), (46, 2, 254, 1), "the oldest of those that are kept");
    hosts.request(1);
    assert_eq!(hosts.heard(), [1]);
}

#[test]
fn commands_on_reservations_have_their_form() {
    let mut hosts = Hosts::new();
    hosts.register(0);
    for (opcode, dword) in
        [(ACQUIRE, 1 << 8 | 1 << 3), (ACQUIRE, 7 << 8), (ACQUIRE, 1 << 8 | 3), (ACQUIRE, 0)]
    {
        assert_eq!(hosts.run(0, opcode, dword, &[1, 0]), INVALID, "{dword:#x}");
    }
    assert_eq!(hosts.run(0, RELEASE, 1 << 3, &[1]), INVALID);
    assert_eq!(hosts.run(0, RELEASE, 2, &[1]), INVALID);
    for (opcode, keys) in [(REGISTER, 1), (ACQUIRE, 3), (RELEASE, 2)] {
        let status = hosts.run(0, opcode, 0, &vec![1; keys]);
        assert_eq!(status, dnr(Status::DATA_SGL_LENGTH_INVALID), "{opcode:?}");
    }
    let mut report = Command::new(NvmOpcode::RESERVATION_REPORT.0).with_sgl1(remote(64));
    report.set_nsid(1);
    report.set_cdw10(15);
    let short = hosts.world.status(&mut hosts.queues[0], report);
    assert_eq!(short, dnr(Status::HOSTID_INCONSISTENT_FORMAT));
    report.set_cdw11(1);
    assert_eq!(hosts.world.bytes(&mut hosts.queues[0], report)[..7], [1, 0, 0, 0, 0, 1, 0]);
    report.set_cdw10(16);
    let short = hosts.world.status(&mut hosts.queues[0], report);
    assert_eq!(short, dnr(Status::DATA_SGL_LENGTH_INVALID));
}
