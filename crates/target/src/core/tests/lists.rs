//! Lists of descriptors in the capsule.

use spec::identify::{Cns, ControllerView};
use spec::sgl::KEYED_LENGTH_MAX;
use spec::{Command, Completion, Sgl, Status};

use super::super::{Extent, Piece, Remote, Step};
use super::{Queue, World, at_remote, data, dnr, queue, remote, world_with};
use crate::options::Options;

/// The descriptors as they come in a capsule.
pub(super) fn list(descriptors: &[Sgl]) -> Vec<u8> {
    descriptors.iter().flat_map(|sgl| sgl.to_bytes()).collect()
}

/// A last segment descriptor of so many descriptors right behind the command.
fn segment(count: u32) -> Sgl {
    Sgl::last_segment(0, count * 16)
}

/// A world with this option, and a connected I/O queue in it.
fn io(options: Options) -> (World, Queue) {
    let mut world = world_with(&["nqn.a,ns=64M"], options);
    let admin = world.admin("nqn.a");
    let io = world.io(&admin, 1, "nqn.a");
    (world, io)
}

fn status(world: &mut World, io: &mut Queue, command: Command, behind: &Vec<u8>) -> Status {
    match world.run_with(io, command, behind) {
        Step::Respond(completion) => completion.status(),
        step => panic!("{step:?}"),
    }
}

fn piece(address: u64, length: u32, key: u32) -> Piece {
    Piece { address, length, key }
}

#[test]
fn a_list_is_the_pieces_of_the_data() {
    let (mut world, mut io) = io(Options::default());
    let blocks =
        [Sgl::keyed(0x1000, 100, 7), Sgl::keyed(u64::MAX, 400, 8), Sgl::keyed(0x5000, 524, u32::MAX)];
    let behind = list(&blocks);
    let pieces = Remote {
        first: piece(0x1000, 100, 7),
        rest: vec![piece(u64::MAX, 400, 8), piece(0x5000, 524, u32::MAX)],
        invalidate: None,
    };
    let extent = Extent { store: 0, offset: 5 * 512, length: 1024 };
    let completion = Completion::new(0, 0x42, Status::SUCCESS);
    let read = Command::read(1, 5, 2).with_sgl1(segment(3));
    let step = Step::SendBlocks { extent, remote: pieces.clone(), completion };
    assert_eq!(world.run_with(&mut io, read, &behind), step);
    let write = Command::write(1, 5, 2);
    let step = Step::FetchBlocks { extent, remote: pieces, completion };
    assert_eq!(world.run_with(&mut io, write.with_sgl1(segment(3)), &behind), step);
    // Somewhere behind the command, with other bytes around.
    let moved = [&[0xff; 40][..], &behind, &[0xff; 9]].concat();
    assert_eq!(world.run_with(&mut io, write.with_sgl1(Sgl::last_segment(40, 48)), &moved), step);
    // A list of one is a list as well.
    let step = Step::FetchBlocks { extent, remote: at_remote(1024), completion };
    assert_eq!(world.run_with(&mut io, write.with_sgl1(segment(1)), &list(&[remote(1024)])), step);
}

#[test]
fn blocks_of_no_bytes_are_no_pieces() {
    let (mut world, mut io) = io(Options::default());
    let none = |key| Sgl::keyed(0xdead, 0, key);
    let blocks = [none(1), Sgl::keyed(0x1000, 500, 7), none(2), none(3), Sgl::keyed(0x2000, 12, 8), none(4)];
    let read = Command::read(1, 0, 1).with_sgl1(segment(6));
    let Step::SendBlocks { remote, .. } = world.run_with(&mut io, read, &list(&blocks)) else { panic!() };
    assert!(remote.pieces().eq(&[piece(0x1000, 500, 7), piece(0x2000, 12, 8)]));
    // A command without data may have such a list, and one with data has too few bytes.
    let empty = list(&[none(1), none(2)]);
    assert_eq!(status(&mut world, &mut io, Command::flush(1).with_sgl1(segment(2)), &empty), Status::SUCCESS);
    let read = Command::read(1, 0, 1).with_sgl1(segment(2));
    assert_eq!(status(&mut world, &mut io, read, &empty), dnr(Status::DATA_SGL_LENGTH_INVALID));
}

#[test]
fn the_last_key_that_is_to_be_invalidated_is() {
    let (mut world, mut io) = io(Options::default());
    let (keep, invalidate) =
        (|key, length| Sgl::keyed(0, length, key), |key, length| Sgl::keyed_invalidate(0, length, key));
    for (blocks, key) in [
        ([keep(1, 256), keep(2, 256)], None),
        ([invalidate(1, 256), invalidate(1, 256)], Some(1)),
        ([keep(1, 256), invalidate(2, 256)], Some(2)),
        ([invalidate(1, 256), keep(2, 256)], Some(1)),
        ([invalidate(1, 256), invalidate(2, 256)], Some(2)),
        ([keep(1, 512), invalidate(2, 0)], Some(2)),
        ([invalidate(0, 0), keep(2, 512)], Some(0)),
    ] {
        let read = Command::read(1, 0, 1).with_sgl1(segment(2));
        let Step::SendBlocks { remote, .. } = world.run_with(&mut io, read, &list(&blocks)) else { panic!() };
        assert_eq!(remote.invalidate, key, "{blocks:?}");
    }
}

#[test]
fn a_bad_list_gets_the_status_that_it_deserves() {
    let (mut world, mut io) = io(Options { in_capsule_data: 512, descriptors: 4, ..Options::default() });
    let half = Sgl::keyed(0, 256, 7);
    let mut reserved = half;
    reserved.dwords[3] |= 2 << 24;
    let mut address = segment(2);
    address.dwords[3] &= !(0xf << 24);
    let two = list(&[half; 2]);
    let of = |sgl| list(&[half, sgl]);
    for (sgl1, behind, expected) in [
        (Sgl::last_segment(0, 0), &two, Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (Sgl::last_segment(0, 1), &two, Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (Sgl::last_segment(0, 31), &two, Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (Sgl::last_segment(0, u32::MAX), &two, Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (Sgl::last_segment(4, 16), &two, Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (segment(5), &list(&[half; 5]), Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS),
        (Sgl::last_segment(0, u32::MAX - 15), &two, Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS),
        // Beyond the room of a capsule, and beyond what this one brought.
        (Sgl::last_segment(488, 32), &vec![0; 520], Status::INVALID_SGL_OFFSET),
        (Sgl::last_segment(u64::MAX - 7, 32), &two, Status::INVALID_SGL_OFFSET),
        (Sgl::last_segment(1 << 32, 32), &two, Status::INVALID_SGL_OFFSET),
        (segment(3), &two, Status::DATA_SGL_LENGTH_INVALID),
        (segment(2), &two[..31].to_vec(), Status::DATA_SGL_LENGTH_INVALID),
        (Sgl::last_segment(480, 32), &two, Status::DATA_SGL_LENGTH_INVALID),
        // What is in the list.
        (segment(2), &of(Sgl::in_capsule(0, 256)), Status::SGL_DESCRIPTOR_TYPE_INVALID),
        (segment(2), &of(Sgl { dwords: [0, 0, 256, 1 << 28] }), Status::SGL_DESCRIPTOR_TYPE_INVALID),
        (segment(2), &of(Sgl { dwords: [0, 0, 256, 0xf << 28] }), Status::SGL_DESCRIPTOR_TYPE_INVALID),
        (segment(2), &of(Sgl::last_segment(0, 32)), Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (segment(2), &of(Sgl { dwords: [0, 0, 16, 2 << 28] }), Status::INVALID_SGL_SEGMENT_DESCRIPTOR),
        (segment(2), &of(reserved), Status::INVALID_FIELD),
        // The sum of the lengths.
        (segment(2), &of(Sgl::keyed(0, 255, 7)), Status::DATA_SGL_LENGTH_INVALID),
        (segment(2), &of(Sgl::keyed(0, 257, 7)), Status::DATA_SGL_LENGTH_INVALID),
        (segment(4), &list(&[Sgl::keyed(0, KEYED_LENGTH_MAX, 7); 4]), Status::DATA_SGL_LENGTH_INVALID),
        // A segment that would be in the host's memory.
        (address, &two, Status::INVALID_FIELD),
        (Sgl { dwords: [0, 0, 32, 0x21 << 24] }, &two, Status::SGL_DESCRIPTOR_TYPE_INVALID),
    ] {
        for command in [Command::read(1, 0, 1), Command::write(1, 0, 1)] {
            let got = status(&mut world, &mut io, command.with_sgl1(sgl1), behind);
            assert_eq!(got, dnr(expected), "{sgl1:?} {behind:?}");
        }
    }
    // The edge of each: four descriptors, at the end of the room, all of it here.
    let behind = [vec![0; 448], list(&[Sgl::keyed(0, 128, 7); 4])].concat();
    let command = Command::write(1, 0, 1).with_sgl1(Sgl::last_segment(448, 64));
    assert!(matches!(world.run_with(&mut io, command, &behind), Step::FetchBlocks { .. }));
}

#[test]
fn a_sum_of_lengths_may_be_longer_than_one_block_can_be() {
    let (mut world, mut io) = io(Options { mdts: 0, ..Options::default() });
    let mut blocks = vec![Sgl::keyed(0, KEYED_LENGTH_MAX, 7); 2];
    blocks.push(Sgl::keyed(0, 2, 7));
    let read = Command::read(1, 0, 65_536).with_sgl1(segment(3));
    let Step::SendBlocks { extent, remote, .. } = world.run_with(&mut io, read, &list(&blocks)) else {
        panic!()
    };
    assert_eq!((extent.length, remote.length()), (32 << 20, 32 << 20));
}

#[test]
fn without_lists_a_segment_is_refused() {
    let one = Options { descriptors: 1, ..Options::default() };
    let no_room = Options { in_capsule_data: 16, ..Options::default() };
    for options in [one, no_room] {
        let (mut world, mut io) = io(options);
        for sgl in [segment(1), segment(2), Sgl::last_segment(0, 0)] {
            let read = Command::read(1, 0, 1).with_sgl1(sgl);
            let got = status(&mut world, &mut io, read, &list(&[remote(512)]));
            assert_eq!(got, dnr(Status::SGL_DESCRIPTOR_TYPE_INVALID));
        }
    }
}

#[test]
fn a_list_comes_in_front_of_the_data_where_there_is_room() {
    let (mut world, mut io) = io(Options { icdoff: 3, ..Options::default() });
    let block = |length| Sgl::keyed(0, length, 7);
    let behind = [list(&[block(256), block(256)]), vec![0; 4096]].concat();
    let read = |sgl| Command::read(1, 0, 1).with_sgl1(sgl);
    let step = world.run_with(&mut io, read(segment(2)), &behind);
    assert!(matches!(step, Step::SendBlocks { .. }), "{step:?}");
    for (sgl, expected) in [
        (segment(4), Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS),
        (Sgl::last_segment(24, 32), Status::INVALID_SGL_OFFSET),
        (Sgl::last_segment(48, 16), Status::INVALID_SGL_OFFSET),
    ] {
        assert_eq!(status(&mut world, &mut io, read(sgl), &behind), dnr(expected));
    }
}

#[test]
fn msdbd_says_how_many() {
    for (options, msdbd) in [
        (Options { descriptors: 1, ..Options::default() }, 1),
        (Options { descriptors: 5, ..Options::default() }, 5),
        (Options { icdoff: 3, ..Options::default() }, 3),
        (Options { in_capsule_data: 0, ..Options::default() }, 1),
    ] {
        let mut world = world_with(&["nqn.a"], options);
        let mut admin = world.admin("nqn.a");
        let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
        let bytes: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
        assert_eq!(ControllerView(&bytes).msdbd(), msdbd);
    }
}

#[test]
fn the_admin_queue_has_no_room_for_lists() {
    let mut world = world_with(&["nqn.a"], Options::default());
    let mut admin = world.admin("nqn.a");
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(segment(1));
    let got = status(&mut world, &mut admin, identify, &list(&[remote(4096)]));
    assert_eq!(got, dnr(Status::INVALID_SGL_OFFSET));
    let connect = Command::connect(0, 31, 0, 0).with_sgl1(segment(1));
    let got = status(&mut world, &mut queue(0), connect, &list(&[remote(1024)]));
    assert_eq!(got, dnr(Status::INVALID_SGL_OFFSET));
}

#[test]
fn connect_data_may_be_in_several_pieces() {
    let mut world = world_with(&["nqn.a"], Options::default());
    let admin = world.admin("nqn.a");
    let connect = Command::connect(1, 31, 0, 0).with_sgl1(segment(2));
    let blocks = list(&[Sgl::keyed(0, 1000, 7), Sgl::keyed(0x1000, 24, 7)]);
    let mut io = queue(1);
    let Step::FetchConnect { remote } = world.run_with(&mut io, connect, &blocks) else { panic!() };
    assert!(remote.pieces().eq(&[piece(0, 1000, 7), piece(0x1000, 24, 7)]));
    let data = data(admin.controller().unwrap(), "nqn.a");
    let completion = world.core.connect(&mut io, &connect, &data, 0);
    assert_eq!(completion.status(), Status::SUCCESS);
}
