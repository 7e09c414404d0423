//! Conversations with a TPer: byte by byte where the bytes matter, else with the codec.

use spec::tcg::packet::Envelope;
use spec::tcg::uid::{HalfUid, column, life_cycle, operator, parameter};
use spec::tcg::{Encoder, Message, MethodStatus, Value};

use super::*;
use crate::core::tests::{World, remote, world, zeros};
use crate::core::{Extent, Queue};

const NQN: &str = "nqn.a";
const SUBSYSTEM: &str = "nqn.a,ns=512K,ns=64K:4K,opal";
/// The MSID of that subsystem.
fn msid(world: &World) -> String {
    format!("{:016X}", world.core.subsystems[0].fingerprint(5))
}

/// A host's end of a session.
struct Host {
    admin: Queue,
    tsn: u32,
    hsn: u32,
}

type Row = Vec<(u64, Vec<u8>)>;

impl Host {
    fn new(world: &mut World) -> Self {
        Self { admin: world.admin(NQN), tsn: 0, hsn: 0 }
    }

    /// Sends these bytes, and gives what the step is.
    fn send(&mut self, world: &mut World, bytes: &[u8]) -> Step {
        let command = Command::security_send(security::TCG, COM_ID, bytes.len() as u32);
        let command = command.with_sgl1(remote(bytes.len() as u32)).with_cid(0x42);
        match world.core.execute(&mut self.admin, 5, &command, &zeros(0), world.now) {
            Step::FetchBytes { length, .. } => {
                assert_eq!(length as usize, bytes.len());
                world.core.supplied(&mut self.admin, 5, &command, bytes)
            }
            other => other,
        }
    }

    fn receive(&mut self, world: &mut World, specific: u16, length: u32) -> Vec<u8> {
        let command = Command::security_receive(security::TCG, specific, length);
        world.bytes(&mut self.admin, command.with_sgl1(remote(length)))
    }

    /// Sends tokens and fetches the answer's; none if there is no answer. What was changed by it.
    fn say(&mut self, world: &mut World, tokens: Encoder) -> (Vec<u8>, Vec<Change>) {
        let envelope = Envelope { com_id: COM_ID, tsn: self.tsn, hsn: self.hsn, sequence: 0 };
        let changes = match self.send(world, &tokens.com_packet(envelope).unwrap()) {
            Step::Respond(completion) if completion.status() == Status::SUCCESS => Vec::new(),
            Step::ChangeBlocks { changes, .. } => changes,
            other => panic!("{other:?}"),
        };
        let answer = self.receive(world, COM_ID, 2048);
        let com_packet = ComPacket::read(&answer).unwrap();
        assert_eq!((com_packet.com_id, com_packet.outstanding, com_packet.min_transfer), (COM_ID, 0, 0));
        let tokens = com_packet.packet().unwrap().map_or(Vec::new(), |packet| packet.tokens.to_vec());
        (tokens, changes)
    }

    /// Begins a session.
    fn begin(&mut self, world: &mut World, sp: Uid, who: Option<(Uid, &str)>) -> MethodStatus {
        (self.tsn, self.hsn) = (0, 0);
        let mut encoder = Encoder::new();
        encoder.call(Uid::SESSION_MANAGER, Uid::START_SESSION, |list| {
            list.unsigned(0x4e).uid(sp).boolean(true);
            if let Some((who, password)) = who {
                list.named(parameter::HOST_CHALLENGE, |value| {
                    value.bytes(password.as_bytes());
                });
                list.named(parameter::HOST_SIGNING_AUTHORITY, |value| {
                    value.uid(who);
                });
            }
        });
        let (tokens, _) = self.say(world, encoder);
        let Ok(Message::Call { object, method, mut parameters, status }) = Message::read(&tokens) else {
            panic!("{tokens:x?}");
        };
        assert_eq!((object, method), (Uid::SESSION_MANAGER, Uid::SYNC_SESSION));
        if status == MethodStatus::SUCCESS {
            self.hsn = parameters.value().unwrap().unsigned().unwrap() as u32;
            self.tsn = parameters.value().unwrap().unsigned().unwrap() as u32;
            assert!(self.hsn == 0x4e && self.tsn != 0);
        }
        status
    }

    fn end(&mut self, world: &mut World) {
        let mut encoder = Encoder::new();
        encoder.end_of_session();
        assert_eq!(self.say(world, encoder).0, [0xfa]);
    }

    /// Invokes a method.
    fn call(
        &mut self,
        world: &mut World,
        object: Uid,
        method: Uid,
        parameters: impl FnOnce(&mut Encoder),
    ) -> (MethodStatus, Vec<u8>, Vec<Change>) {
        let mut encoder = Encoder::new();
        encoder.call(object, method, parameters);
        let (tokens, changes) = self.say(world, encoder);
        match Message::read(&tokens) {
            Ok(Message::Answer { status, .. }) => (status, tokens, changes),
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self, world: &mut World, object: Uid, method: Uid) -> MethodStatus {
        self.call(world, object, method, |_| ()).0
    }

    /// Get of some columns: each as its tokens' value.
    fn get(&mut self, world: &mut World, object: Uid, from: u64, to: u64) -> Result<Row, MethodStatus> {
        let (status, tokens, _) = self.call(world, object, Uid::GET, |list| {
            list.list(|block| {
                block.named(parameter::START_COLUMN, |value| {
                    value.unsigned(from);
                });
                block.named(parameter::END_COLUMN, |value| {
                    value.unsigned(to);
                });
            });
        });
        if status != MethodStatus::SUCCESS {
            return Err(status);
        }
        let Ok(Message::Answer { mut results, .. }) = Message::read(&tokens) else { panic!() };
        let row = results.value().unwrap().list().unwrap();
        Ok(row
            .map(|cell| match cell.unwrap() {
                Value::Named(pair) => {
                    let (name, value) = pair.pair().unwrap();
                    let bytes = match value {
                        Value::Unsigned(number) => number.to_be_bytes().to_vec(),
                        Value::Bytes(bytes) => bytes.to_vec(),
                        _ => Vec::new(),
                    };
                    (name.unsigned().unwrap(), bytes)
                }
                other => panic!("{other:?}"),
            })
            .collect())
    }

    fn set(&mut self, world: &mut World, object: Uid, columns: &[(u64, u64)]) -> MethodStatus {
        self.call(world, object, Uid::SET, |list| {
            list.named(parameter::VALUES, |values| {
                values.list(|values| {
                    for (name, value) in columns {
                        values.named(*name, |cell| {
                            cell.unsigned(*value);
                        });
                    }
                });
            });
        })
        .0
    }

    fn set_pin(&mut self, world: &mut World, object: Uid, pin: &[u8]) -> MethodStatus {
        self.call(world, object, Uid::SET, |list| {
            list.named(parameter::VALUES, |values| {
                values.list(|values| {
                    values.named(column::PIN, |cell| {
                        cell.bytes(pin);
                    });
                });
            });
        })
        .0
    }
}

/// A host whose password is "owner", in a session of Admin1 with the Locking SP.
fn owner(world: &mut World) -> Host {
    let mut host = Host::new(world);
    let msid = msid(world);
    assert_eq!(host.begin(world, Uid::ADMIN_SP, Some((Uid::SID, &msid))), MethodStatus::SUCCESS);
    assert_eq!(host.set_pin(world, Uid::C_PIN_SID, b"owner"), MethodStatus::SUCCESS);
    assert_eq!(host.status(world, Uid::LOCKING_SP, Uid::ACTIVATE), MethodStatus::SUCCESS);
    host.end(world);
    let admin1 = Some((Uid::ADMIN1, "owner"));
    assert_eq!(host.begin(world, Uid::LOCKING_SP, admin1), MethodStatus::SUCCESS);
    host
}

const RANGE_1: [(u64, u64); 4] = [
    (column::RANGE_START, 100),
    (column::RANGE_LENGTH, 50),
    (column::READ_LOCK_ENABLED, 1),
    (column::WRITE_LOCK_ENABLED, 1),
];

#[test]
fn a_subsystem_without_a_tper_has_no_security_commands() {
    let mut world = world(&["nqn.a,ns=512K"]);
    let mut admin = world.admin(NQN);
    let command = Command::security_receive(PROTOCOLS, 0, 512).with_sgl1(remote(512));
    assert_eq!(world.status(&mut admin, command), Status::INVALID_OPCODE.with_dnr(true));
}

#[test]
fn protocols_and_discovery() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let list = Command::security_receive(PROTOCOLS, 0, 512).with_sgl1(remote(512));
    let list = world.bytes(&mut host.admin, list);
    assert_eq!((list.len(), &list[..11]), (512, &[0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0][..]));
    let discovery = host.receive(&mut world, LEVEL_0, 2048);
    // TPer, Locking (supported, media encryption), Geometry, and Opal 2.00 behind the header.
    assert_eq!(discovery[..8], [0, 0, 0, 0x80, 0, 0, 0, 1]);
    assert_eq!(discovery[48..53], [0, 1, 0x10, 12, 0x11]);
    assert_eq!(discovery[64..69], [0, 2, 0x10, 12, 0x09]);
    assert_eq!(discovery[80..96], [0, 3, 0x10, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(discovery[112..], [&[2, 3, 0x10, 16, 0x10, 0, 0, 1, 0, 0, 1, 0, 8][..], &[0; 1923]].concat());
    assert_eq!(host.receive(&mut world, LEVEL_0, 4).len(), 4);
    for (protocol, specific) in [(0, 1), (1, 0), (1, COM_ID + 1), (2, COM_ID), (0xef, 0)] {
        let command = Command::security_receive(protocol, specific, 512).with_sgl1(remote(512));
        assert_eq!(world.status(&mut host.admin, command), INVALID_FIELD, "{protocol} {specific}");
        let command = Command::security_send(protocol, specific, 512).with_sgl1(remote(512));
        assert_eq!(world.status(&mut host.admin, command), INVALID_FIELD, "{protocol} {specific}");
    }
    for length in [0, COM_PACKET_MAX + 1] {
        let command = Command::security_send(security::TCG, COM_ID, length).with_sgl1(remote(length));
        assert_eq!(world.status(&mut host.admin, command), INVALID_FIELD, "{length}");
    }
    let command = Command::security_receive(security::TCG, LEVEL_0, u32::MAX).with_sgl1(remote(u32::MAX));
    assert_eq!(world.status(&mut host.admin, command), INVALID_FIELD);
}

/// By hand from Core 3.2.3 and 5.2.3.1: Anybody begins a session with the Admin SP, and Get of the MSID.
#[test]
fn bytes_of_a_session() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let tokens = [
        0xf8, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xa8, 0, 0, 0, 0, 0, 0, 0xff, 0x02, // SMUID.StartSession
        0xf0, 0x81, 0x4e, 0xa8, 0, 0, 2, 5, 0, 0, 0, 1, 1, 0xf1, // 0x4e, Admin SP, write
        0xf9, 0xf0, 0, 0, 0, 0xf1,
    ];
    let mut packet = vec![0; 2048];
    packet[4] = 0x10;
    packet[19] = 24 + 12 + 40; // ComPacket
    packet[43] = 12 + 40; // packet
    packet[55] = 39; // subpacket
    packet[56..95].copy_from_slice(&tokens);
    assert!(matches!(host.send(&mut world, &packet), Step::Respond(_)));
    let answer = host.receive(&mut world, COM_ID, 2048);
    let expected = [
        0xf8, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xa8, 0, 0, 0, 0, 0, 0, 0xff, 0x03, // SMUID.SyncSession
        0xf0, 0x81, 0x4e, 0x82, 0x10, 0x01, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1,
    ];
    assert_eq!(answer[..20], [0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24 + 12 + 32]);
    assert_eq!((answer[43], answer[55]), (12 + 32, 32));
    assert_eq!(answer[56..88], expected);

    let tokens = [
        0xf8, 0xa8, 0, 0, 0, 0x0b, 0, 0, 0x84, 2, 0xa8, 0, 0, 0, 6, 0, 0, 0, 0x16, // C_PIN_MSID.Get
        0xf0, 0xf0, 0xf2, 3, 3, 0xf3, 0xf2, 4, 3, 0xf3, 0xf1, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1,
    ];
    packet[19] = 24 + 12 + 40;
    packet[20..28].copy_from_slice(&[0, 0, 0x10, 1, 0, 0, 0, 0x4e]);
    packet[43] = 12 + 40;
    packet[55] = 37;
    packet[56..95].fill(0);
    packet[56..93].copy_from_slice(&tokens);
    assert!(matches!(host.send(&mut world, &packet), Step::Respond(_)));
    let answer = host.receive(&mut world, COM_ID, 2048);
    assert_eq!(answer[20..28], [0, 0, 0x10, 1, 0, 0, 0, 0x4e]);
    let msid = msid(&world);
    let expected = [
        &[0xf0, 0xf0, 0xf2, 3, 0xd0, 16][..],
        msid.as_bytes(),
        &[0xf3, 0xf1, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1],
    ]
    .concat();
    assert_eq!(answer[56..56 + expected.len()], expected);
}

#[test]
fn ownership_and_life_cycle() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let msid = msid(&world);
    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, None), MethodStatus::INVALID_PARAMETER);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, Some((Uid::SID, "x"))), MethodStatus::NOT_AUTHORIZED);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
    let read = host.get(&mut world, Uid::C_PIN_MSID, 3, 3).unwrap();
    assert_eq!(read, [(3, msid.clone().into_bytes())]);
    for (object, method) in
        [(Uid::LOCKING_SP, Uid::ACTIVATE), (Uid::ADMIN_SP, Uid::REVERT), (Uid::THIS_SP, Uid::REVERT_SP)]
    {
        assert_eq!(host.status(&mut world, object, method), MethodStatus::NOT_AUTHORIZED);
    }
    assert_eq!(host.set_pin(&mut world, Uid::C_PIN_SID, b"mine"), MethodStatus::NOT_AUTHORIZED);
    assert_eq!(host.get(&mut world, Uid::C_PIN_SID, 0, 9), Err(MethodStatus::NOT_AUTHORIZED));
    host.end(&mut world);

    let mut host = owner(&mut world);
    assert_eq!(host.get(&mut world, Uid::LOCKING_INFO, 4, 4).unwrap(), [(4, 8_u64.to_be_bytes().to_vec())]);
    host.end(&mut world);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, Some((Uid::SID, &msid))), MethodStatus::NOT_AUTHORIZED);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, Some((Uid::SID, "owner"))), MethodStatus::SUCCESS);
    let cycle = |host: &mut Host, world: &mut World| host.get(world, Uid::LOCKING_SP, 6, 6).unwrap();
    let of = |state: u64| [(column::SP_LIFE_CYCLE, state.to_be_bytes().to_vec())];
    assert_eq!(cycle(&mut host, &mut world), of(life_cycle::MANUFACTURED));
    assert_eq!(host.get(&mut world, Uid::C_PIN_SID, 3, 3).unwrap(), [], "nobody reads a password");
    // Revert ends the session, and gives the device back as it was, without its data.
    let (status, _, changes) = host.call(&mut world, Uid::ADMIN_SP, Uid::REVERT, |_| ());
    let all = |store, length| Change::Zero(Extent { store, offset: 0, length });
    assert_eq!((status, changes), (MethodStatus::SUCCESS, vec![all(0, 512 << 10), all(1, 64 << 10)]));
    let mut encoder = Encoder::new();
    encoder.end_of_session();
    assert_eq!(host.say(&mut world, encoder).0, []);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, Some((Uid::SID, &msid))), MethodStatus::SUCCESS);
    assert_eq!(cycle(&mut host, &mut world), of(life_cycle::MANUFACTURED_INACTIVE));
}

#[test]
fn locks_refuse_commands() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = owner(&mut world);
    let mut io = world.io(&host.admin, 1, NQN);
    assert_eq!(host.set(&mut world, Uid::range(1), &RANGE_1), MethodStatus::SUCCESS);
    let denied = |world: &mut World, io: &mut Queue, command: Command, length: u32| {
        let command = command.with_sgl1(remote(length));
        matches!(world.run(io, command), Step::Respond(completion) if completion.status() == DENIED)
    };
    let read = |world: &mut World, io: &mut Queue, lba| denied(world, io, Command::read(1, lba, 1), 512);
    let write = |world: &mut World, io: &mut Queue, lba| denied(world, io, Command::write(1, lba, 1), 512);
    assert!(!read(&mut world, &mut io, 100) && !write(&mut world, &mut io, 100));
    assert_eq!(host.set(&mut world, Uid::range(1), &[(column::WRITE_LOCKED, 1)]), MethodStatus::SUCCESS);
    assert!(!read(&mut world, &mut io, 100) && write(&mut world, &mut io, 100));
    assert!(
        !write(&mut world, &mut io, 99)
            && write(&mut world, &mut io, 149)
            && !write(&mut world, &mut io, 150)
    );
    assert!(denied(&mut world, &mut io, Command::write(1, 98, 3), 1536), "it reaches into the range");
    assert_eq!(host.set(&mut world, Uid::range(1), &[(column::READ_LOCKED, 1)]), MethodStatus::SUCCESS);
    assert!(read(&mut world, &mut io, 149) && !read(&mut world, &mut io, 0));
    assert_eq!(host.receive(&mut world, LEVEL_0, 2048)[68], 0x0f, "locked");

    // Lists of ranges are looked at when they are here.
    let mut range = [0; DatasetRange::SIZE];
    range[4..8].copy_from_slice(&8_u32.to_le_bytes());
    let mut list = |world: &mut World, lba: u64, dword: u32| {
        range[8..].copy_from_slice(&lba.to_le_bytes());
        let mut command = Command::new(NvmOpcode::DATASET_MANAGEMENT.0).with_sgl1(remote(16));
        command.set_nsid(1);
        command.set_cdw11(dword);
        assert!(matches!(world.run(&mut io, command), Step::FetchBytes { .. }));
        world.core.supplied(&mut io, 5, &command, &range)
    };
    let refused = |step: Step| matches!(step, Step::Respond(completion) if completion.status() == DENIED);
    assert!(refused(list(&mut world, 142, DSM_DEALLOCATE)) && !refused(list(&mut world, 142, 0)));
    assert!(
        !refused(list(&mut world, 150, DSM_DEALLOCATE)) && !refused(list(&mut world, 92, DSM_DEALLOCATE))
    );
    let mut format = Command::new(AdminOpcode::FORMAT_NVM.0).with_sgl1(remote(0));
    format.set_nsid(1);
    assert_eq!(world.status(&mut host.admin, format), DENIED);

    // A new key leaves nothing of the range's data, and does not unlock it.
    let (status, _, changes) = host.call(&mut world, Uid::k_aes_256(1), Uid::GEN_KEY, |_| ());
    let erased = Change::Zero(Extent { store: 0, offset: 100 * 512, length: 50 * 512 });
    assert_eq!((status, changes), (MethodStatus::SUCCESS, vec![erased.clone()]));
    assert!(world.run(&mut io, Command::read(1, 100, 1).with_sgl1(remote(512))) == refusal());
    let (_, _, changes) = host.call(&mut world, Uid::range(1), Uid::ERASE, |_| ());
    assert_eq!(changes, [erased]);
    let (_, _, changes) = host.call(&mut world, Uid::K_AES_256_GLOBAL_RANGE, Uid::GEN_KEY, |_| ());
    assert_eq!(changes.len(), 3, "before the range, behind it, and the second namespace: {changes:?}");
    assert!(matches!(
        world.run(&mut io, Command::read(1, 100, 1).with_sgl1(remote(512))),
        Step::SendBlocks { .. }
    ));
}

fn refusal() -> Step {
    Step::Respond(Completion::new(0, 0x42, DENIED))
}

#[test]
fn users_may_what_they_were_given() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = owner(&mut world);
    let ok = MethodStatus::SUCCESS;
    assert_eq!(host.set(&mut world, Uid::range(1), &RANGE_1), ok);
    assert_eq!(host.set_pin(&mut world, Uid::c_pin_user(2), b"user"), ok);
    host.end(&mut world);
    let user = Some((Uid::user(2), "user"));
    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, user), MethodStatus::NOT_AUTHORIZED, "not enabled");
    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, Some((Uid::ADMIN1, "owner"))), ok);
    assert_eq!(host.set(&mut world, Uid::user(2), &[(column::AUTHORITY_ENABLED, 1)]), ok);
    let give = |host: &mut Host, world: &mut World, ace: Uid, terms: &[Result<Uid, u64>]| {
        host.call(world, ace, Uid::SET, |list| {
            list.named(parameter::VALUES, |values| {
                values.list(|values| {
                    values.named(column::BOOLEAN_EXPR, |cell| {
                        cell.list(|list| {
                            for term in terms {
                                list.start_name();
                                match term {
                                    Ok(uid) => list.bytes(&HalfUid::AUTHORITY.bytes()).uid(*uid),
                                    Err(operator) => {
                                        list.bytes(&HalfUid::BOOLEAN.bytes()).unsigned(*operator)
                                    }
                                };
                                list.end_name();
                            }
                        });
                    });
                });
            });
        })
        .0
    };
    let either = [Ok(Uid::ADMINS), Ok(Uid::user(2)), Err(operator::OR)];
    assert_eq!(give(&mut host, &mut world, Uid::ace_range_set_read_locked(1), &either), ok);
    let ace = Uid::ace_range_set_write_locked(1);
    assert_eq!(give(&mut host, &mut world, ace, &either[1..]), MethodStatus::INVALID_PARAMETER);
    host.end(&mut world);

    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, user), ok);
    let no = MethodStatus::NOT_AUTHORIZED;
    assert_eq!(host.set(&mut world, Uid::range(1), &[(column::READ_LOCKED, 1)]), ok);
    assert_eq!(
        host.set(&mut world, Uid::range(1), &[(column::READ_LOCKED, 0), (column::WRITE_LOCKED, 1)]),
        no
    );
    assert_eq!(host.set(&mut world, Uid::range(2), &[(column::READ_LOCKED, 1)]), no);
    assert_eq!(host.set(&mut world, Uid::range(1), &[(column::RANGE_START, 0)]), no);
    assert_eq!(host.set(&mut world, Uid::user(3), &[(column::AUTHORITY_ENABLED, 1)]), no);
    assert_eq!(give(&mut host, &mut world, ace, &either), no);
    assert_eq!(host.status(&mut world, Uid::k_aes_256(1), Uid::GEN_KEY), no);
    assert_eq!(host.set_pin(&mut world, Uid::c_pin_user(1), b"x"), no);
    assert_eq!(host.set_pin(&mut world, Uid::C_PIN_ADMIN1, b"x"), no);
    assert_eq!(host.set_pin(&mut world, Uid::c_pin_user(2), &[b'x'; 33]), MethodStatus::INVALID_PARAMETER);
    assert_eq!(host.get(&mut world, Uid::range(1), 3, 8).unwrap(), [], "it may not read these");
    assert_eq!(host.set_pin(&mut world, Uid::c_pin_user(2), b"newer"), ok);
    host.end(&mut world);
    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, user), no);
    assert_eq!(host.begin(&mut world, Uid::LOCKING_SP, Some((Uid::ADMIN1, "owner"))), ok);
    let locked = host.get(&mut world, Uid::range(1), column::READ_LOCKED, column::WRITE_LOCKED).unwrap();
    let number = |number: u64| number.to_be_bytes().to_vec();
    assert_eq!(locked, [(7, number(1)), (8, number(0))], "what failed changed nothing");
}

#[test]
fn one_session_and_one_answer_at_a_time() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let mut other = Host::new(&mut world);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
    assert_eq!(other.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SP_BUSY);
    // Nobody speaks in a session of somebody else.
    (other.tsn, other.hsn) = (host.tsn, host.hsn);
    let mut encoder = Encoder::new();
    encoder.end_of_session();
    assert_eq!(other.say(&mut world, encoder).0, []);
    let mut encoder = Encoder::new();
    encoder.end_of_session();
    let envelope = Envelope { com_id: COM_ID, tsn: host.tsn, hsn: host.hsn, sequence: 0 };
    let end = encoder.com_packet(envelope).unwrap();
    assert!(matches!(host.send(&mut world, &end), Step::Respond(_)));
    let early = Step::Respond(Completion::new(0, 0x42, Status::COMMAND_SEQUENCE_ERROR));
    assert_eq!(host.send(&mut world, &end), early, "the answer is not fetched");
    let short = host.receive(&mut world, COM_ID, 20);
    let short = ComPacket::read(&short).unwrap();
    assert!(short.outstanding == short.min_transfer && short.min_transfer == end.len() as u32);
    assert_eq!(host.receive(&mut world, COM_ID, 2048)[56], 0xfa);
    assert_eq!(other.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
    // A host that goes takes its session along.
    world.core.close(&mut other.admin, 0);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
}

#[test]
fn what_cannot_be_made_out_ends_in_nothing_or_the_session() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let nothing = ComPacket::empty(COM_ID, 0, 0);
    for bytes in [&[0xff; 2048][..], &[0; 2048], &[0; 3], &nothing] {
        assert!(
            matches!(host.send(&mut world, bytes), Step::Respond(completion) if completion.status() == Status::SUCCESS)
        );
        assert_eq!(host.receive(&mut world, COM_ID, 20), nothing);
    }
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
    let mut encoder = Encoder::new();
    for _ in 0..500 {
        encoder.start_list();
    }
    let (tokens, _) = host.say(&mut world, encoder);
    let Ok(Message::Call { method, .. }) = Message::read(&tokens) else { panic!("{tokens:x?}") };
    assert_eq!(method, Uid::CLOSE_SESSION);
    assert_eq!(host.begin(&mut world, Uid::ADMIN_SP, None), MethodStatus::SUCCESS);
    let invalid = MethodStatus::INVALID_PARAMETER;
    assert_eq!(host.status(&mut world, Uid::C_PIN_MSID, Uid::GET), invalid);
    assert_eq!(host.get(&mut world, Uid::C_PIN_MSID, 4, 3), Err(invalid));
    assert_eq!(
        host.status(&mut world, Uid::C_PIN_MSID, Uid::new(0x0000_0006_0000_0008)),
        MethodStatus::NOT_AUTHORIZED
    );
    assert_eq!(host.get(&mut world, Uid::new(77), 0, 3), Err(MethodStatus::NOT_AUTHORIZED));
}

#[test]
fn properties_are_told() {
    let mut world = world(&[SUBSYSTEM]);
    let mut host = Host::new(&mut world);
    let mut encoder = Encoder::new();
    encoder.call(Uid::SESSION_MANAGER, Uid::PROPERTIES, |list| {
        list.named(parameter::HOST_PROPERTIES, |list| {
            list.list(|list| {
                for name in ["MaxComPacketSize", "Unheard"] {
                    list.start_name().bytes(name.as_bytes()).unsigned(2048).end_name();
                }
            });
        });
    });
    let (tokens, _) = host.say(&mut world, encoder);
    let Ok(Message::Call { method: Uid::PROPERTIES, mut parameters, status, .. }) = Message::read(&tokens)
    else {
        panic!("{tokens:x?}");
    };
    assert_eq!(status, MethodStatus::SUCCESS);
    assert_eq!(parameters.value().unwrap().list().unwrap().count(), 12);
    let host = parameters.named(parameter::HOST_PROPERTIES).unwrap().unwrap();
    assert_eq!(host.list().unwrap().count(), 1, "the one that is known");
}

/// Messages of a host, some with a byte or two changed, and tokens of random bits.
#[test]
fn any_bytes_get_an_answer_or_none() {
    // A simple generator (xorshift): every run tries the same bits, and none may panic.
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let start = |sp: Uid, who: Uid| {
        let mut encoder = Encoder::new();
        encoder.call(Uid::SESSION_MANAGER, Uid::START_SESSION, |list| {
            list.unsigned(1).uid(sp).boolean(true);
            list.named(parameter::HOST_CHALLENGE, |value| {
                value.bytes(b"m");
            });
            list.named(parameter::HOST_SIGNING_AUTHORITY, |value| {
                value.uid(who);
            });
        });
        encoder.tokens().to_vec()
    };
    let call = |object: Uid, method: Uid, parameters: &[u64]| {
        let mut encoder = Encoder::new();
        encoder.call(object, method, |list| match method {
            Uid::SET => {
                list.named(parameter::VALUES, |values| {
                    values.list(|values| {
                        for column in parameters {
                            values.named(*column, |cell| {
                                cell.unsigned(1);
                            });
                        }
                    });
                });
            }
            Uid::GET => {
                list.list(|_| ());
            }
            _ => {}
        });
        encoder.tokens().to_vec()
    };
    let starts = [
        start(Uid::ADMIN_SP, Uid::ANYBODY),
        start(Uid::ADMIN_SP, Uid::SID),
        start(Uid::LOCKING_SP, Uid::ADMIN1),
    ];
    let calls = [
        vec![0xfa],
        call(Uid::LOCKING_SP, Uid::ACTIVATE, &[]),
        call(Uid::ADMIN_SP, Uid::REVERT, &[]),
        call(Uid::THIS_SP, Uid::REVERT_SP, &[]),
        call(Uid::K_AES_256_GLOBAL_RANGE, Uid::GEN_KEY, &[]),
        call(Uid::C_PIN_MSID, Uid::GET, &[]),
        call(Uid::range(1), Uid::GET, &[]),
        call(Uid::range(1), Uid::SET, &[3, 4, 5, 6, 7, 8]),
        call(Uid::user(1), Uid::SET, &[5]),
        call(Uid::ace_range_get(1), Uid::SET, &[3]),
    ];
    let mut tper = Tper::new("m");
    let (mut begun, mut erased, mut active) = (0, 0, 0);
    for round in 0..40_000 {
        if round % 200 == 0 {
            tper = Tper::new("m");
        }
        let session = tper.session;
        let from: &[Vec<u8>] = if session.is_some() { &calls } else { &starts };
        let mut tokens = from[random() as usize % from.len()].clone();
        if random() % 8 == 0 {
            tokens = (0..random() % 40).flat_map(|_| [0xf0 | random() as u8 & 0xf, random() as u8]).collect();
        }
        let headers = spec::tcg::packet::HEADERS;
        let mut bytes = vec![0; headers];
        bytes[4] = 0x10;
        bytes[16..20].copy_from_slice(&(36 + tokens.len() as u32).to_be_bytes());
        if let Some(session) = session {
            bytes[20..24].copy_from_slice(&session.tsn.to_be_bytes());
            bytes[24..28].copy_from_slice(&session.hsn.to_be_bytes());
        }
        bytes[40..44].copy_from_slice(&(12 + tokens.len() as u32).to_be_bytes());
        bytes[52..56].copy_from_slice(&(tokens.len() as u32).to_be_bytes());
        bytes.extend(tokens);
        for _ in 0..random() % 3 {
            let at = random() as usize % (bytes.len() * 2);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random() as u8;
            }
        }
        erased += tper.hear(1, &bytes, 1000).len();
        assert!(tper.answers.remove(&1).is_none_or(|answer| answer.len() <= COM_PACKET_MAX as usize));
        begun += usize::from(session.is_none() && tper.session.is_some());
        active += usize::from(tper.locking.active);
    }
    assert!(begun > 1000 && erased > 100 && active > 100, "{begun} {erased} {active}");
}
