//! Firmware and boot partitions: what makes an image whole, and whose it is.

use spec::firmware::{BootPartition, Bpinfo, CommitAction};
use spec::registers::BPINFO;

use super::*;

const INVALID_IMAGE: Status = Status::INVALID_FIRMWARE_IMAGE.with_dnr(true);

/// Gives a controller a piece of an image.
fn piece(world: &mut World, admin: &mut Queue, begin: u32, bytes: &[u8]) -> Status {
    let length = bytes.len() as u32;
    let command = Command::firmware_image_download(begin, length).with_sgl1(remote(length));
    match world.run(admin, command) {
        Step::FetchBytes { .. } => {}
        Step::Respond(completion) => return completion.status(),
        step => panic!("{step:?}"),
    }
    match world.core.supplied(admin, 5, &command.with_cid(0x42), bytes) {
        Step::Respond(completion) => completion.status(),
        step => panic!("{step:?}"),
    }
}

fn replace(world: &mut World, admin: &mut Queue, partition: BootPartition) -> Status {
    world.status(admin, Command::commit_boot_partition(CommitAction::ReplaceBootPartition, partition))
}

fn activate(world: &mut World, admin: &mut Queue, partition: BootPartition) -> Status {
    world.status(admin, Command::commit_boot_partition(CommitAction::ActivateBootPartition, partition))
}

fn holds(world: &World, partition: BootPartition) -> &[u8] {
    world.core.boot_partition("nqn.a", partition).unwrap().unwrap()
}

#[test]
fn an_image_is_whole_or_is_not_committed() {
    let mut world = world(&["nqn.a,ns=1M,boot=128K"]);
    let mut admin = world.admin("nqn.a");
    let (world, admin) = (&mut world, &mut admin);
    let first = BootPartition::First;
    assert_eq!(replace(world, admin, first), INVALID_IMAGE, "there is none");
    // In any order, as long as all of it comes.
    assert_eq!(piece(world, admin, 0, &[1; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 16, &[3; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 8, &[2; 8]), Status::SUCCESS);
    assert_eq!(replace(world, admin, first), Status::SUCCESS);
    assert_eq!(
        holds(world, first)[..28],
        [[1; 8], [2; 8], [3; 8]].concat().into_iter().chain([0; 4]).collect::<Vec<u8>>()
    );
    assert_eq!(replace(world, admin, first), INVALID_IMAGE, "it is gone");
    // With a hole in it, or one that a part is missing of.
    assert_eq!(piece(world, admin, 0, &[4; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 12, &[5; 8]), Status::SUCCESS);
    assert_eq!(replace(world, admin, first), INVALID_IMAGE);
    // A piece that comes twice fills no hole.
    assert_eq!(piece(world, admin, 0, &[4; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 16, &[5; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 16, &[5; 8]), dnr(Status::OVERLAPPING_RANGE));
    assert_eq!(piece(world, admin, 12, &[5; 8]), dnr(Status::OVERLAPPING_RANGE));
    assert_eq!(replace(world, admin, first), INVALID_IMAGE);
    // A first piece begins another one.
    assert_eq!(piece(world, admin, 0, &[6; 8]), Status::SUCCESS);
    assert_eq!(piece(world, admin, 0, &[7; 4]), Status::SUCCESS);
    assert_eq!(replace(world, admin, first), Status::SUCCESS);
    assert_eq!(holds(world, first)[..8], [7, 7, 7, 7, 1, 1, 1, 1]);
    // Longer than any image, at once or by the end.
    assert_eq!(piece(world, admin, 1 << 20, &[8; 8]), dnr(Status::INVALID_FIELD));
    assert_eq!(piece(world, admin, u32::MAX - 3, &[8; 8]), dnr(Status::INVALID_FIELD));
}

/// An image that one controller was given is no other's to commit, and a reset ends it.
#[test]
fn an_image_is_the_controllers_that_got_it() {
    let mut world = world(&["nqn.a,ns=1M,boot=128K"]);
    let (mut one, mut other) = (world.admin("nqn.a"), world.admin("nqn.a"));
    let second = BootPartition::Second;
    assert_eq!(piece(&mut world, &mut one, 0, &[1; 8]), Status::SUCCESS);
    assert_eq!(replace(&mut world, &mut other, second), INVALID_IMAGE);
    assert_eq!(piece(&mut world, &mut one, 0, &[1; 8]), Status::SUCCESS);
    assert_eq!(piece(&mut world, &mut other, 8, &[2; 8]), Status::SUCCESS);
    assert_eq!(replace(&mut world, &mut other, second), INVALID_IMAGE, "its first piece is missing");
    assert_eq!(piece(&mut world, &mut one, 0, &[1; 8]), Status::SUCCESS);
    let enabled = Cc::enabled(Cc::CSS_NVM);
    world.set_cc(&mut other, enabled.with_en(false));
    world.set_cc(&mut other, enabled);
    assert_eq!(replace(&mut world, &mut one, second), Status::SUCCESS, "it was the other one's reset");
    assert_eq!(piece(&mut world, &mut one, 0, &[1; 8]), Status::SUCCESS);
    world.set_cc(&mut one, enabled.with_en(false));
    world.set_cc(&mut one, enabled);
    assert_eq!(replace(&mut world, &mut one, second), INVALID_IMAGE);
}

#[test]
fn what_is_said_of_boot_partitions() {
    let mut world = world(&["nqn.a,ns=1M,boot=384K", "nqn.b"]);
    let mut admin = world.admin("nqn.a");
    let get = Command::property_get(BPINFO, PropertySize::FOUR);
    assert_eq!(Bpinfo(world.answer(&mut admin, get).cdw0()), Bpinfo::new(3, BootPartition::First));
    assert_eq!(activate(&mut world, &mut admin, BootPartition::Second), Status::SUCCESS);
    assert_eq!(Bpinfo(world.answer(&mut admin, get).cdw0()), Bpinfo::new(3, BootPartition::Second));
    let cap = Command::property_get(CAP, PropertySize::EIGHT);
    assert!(Cap(world.answer(&mut admin, cap).result()).bps());
    // Who has none says so, and takes none.
    let mut plain = world.admin("nqn.b");
    assert!(!Cap(world.answer(&mut plain, cap).result()).bps());
    assert_eq!(world.status(&mut plain, get), dnr(Status::INVALID_FIELD));
    assert_eq!(piece(&mut world, &mut plain, 0, &[1; 8]), Status::SUCCESS);
    assert_eq!(replace(&mut world, &mut plain, BootPartition::First), dnr(Status::INVALID_FIELD));
    assert_eq!(activate(&mut world, &mut plain, BootPartition::First), dnr(Status::INVALID_FIELD));
    assert_eq!(world.core.boot_partition("nqn.b", BootPartition::First), Ok(None));
    assert!(world.core.boot_partition("nqn.c", BootPartition::First).is_err());
}
