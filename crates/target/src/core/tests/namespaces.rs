//! Namespaces that come, go and change, and the states of their groups.

use spec::ana::{AnaState, RETURN_GROUPS_ONLY};
use spec::log::LogPageId;

use super::commands::with_data;
use super::*;
use crate::options::NamespaceOptions;

fn options(text: &str) -> NamespaceOptions {
    NamespaceOptions::parse(text).unwrap()
}

#[test]
fn namespaces_come_and_go() {
    let mut world = world(&["nqn.a,ns=1M,nn=3"]);
    let mut admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let identify = |cns, nsid| Command::identify(cns, 0, nsid, 0).with_sgl1(remote(4096));
    let read = |nsid, lba| with_data(Command::read(nsid, lba, 1), 512);
    let invalid = dnr(Status::INVALID_NAMESPACE_OR_FORMAT);
    assert_eq!(world.status(&mut io, read(3, 0)), invalid);
    assert_eq!(
        world.core.add_namespace("nqn.a", Some(3), &options("ns=8K".trim_start_matches("ns=")), 9),
        Ok(3)
    );
    let extent = Extent { store: 9, offset: 15 * 512, length: 512 };
    assert!(matches!(world.run(&mut io, read(3, 15)), Step::SendBlocks { extent: its, .. } if its == extent));
    assert_eq!(world.status(&mut io, read(3, 16)), dnr(Status::LBA_OUT_OF_RANGE));
    let list = world.bytes(&mut admin, identify(Cns::ACTIVE_NAMESPACE_LIST, 0));
    assert_eq!(namespace_list(&list.try_into().unwrap()).collect::<Vec<_>>(), [1, 3]);
    let nguid = |world: &mut World, admin: &mut Queue, nsid| {
        let page: [u8; 4096] = world.bytes(admin, identify(Cns::NAMESPACE, nsid)).try_into().unwrap();
        NamespaceView(&page).nguid()
    };
    let first = nguid(&mut world, &mut admin, 3);

    let add = |world: &mut World, nsid, store| world.core.add_namespace("nqn.a", nsid, &options("8K"), store);
    assert_eq!(add(&mut world, Some(3), 10), Err(NamespaceError::NotFree(3)));
    assert_eq!(add(&mut world, Some(4), 10), Err(NamespaceError::NotFree(4)), "beyond NN");
    assert_eq!(add(&mut world, Some(0), 10), Err(NamespaceError::NotFree(0)));
    assert_eq!(add(&mut world, None, 10), Ok(2), "the lowest id that is free");
    assert_eq!(add(&mut world, None, 11), Err(NamespaceError::Full));
    assert_eq!(world.core.remove_namespace("nqn.a", 3), Ok(9));
    assert_eq!(world.core.remove_namespace("nqn.a", 3), Err(NamespaceError::Unknown(3)));
    assert_eq!(world.status(&mut io, read(3, 0)), invalid);
    assert_eq!(add(&mut world, None, 12), Ok(3));
    assert_ne!(nguid(&mut world, &mut admin, 3), first, "it is another namespace");
    assert!(world.core.add_namespace("nqn.b", None, &options("8K"), 13).is_err());
}

#[test]
fn a_namespace_grows_as_far_as_it_has_memory() {
    let mut world = world(&["nqn.a,ns=1M..2M:4K"]);
    let admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let resize = |world: &mut World, size| world.core.resize_namespace("nqn.a", 1, size);
    let last = with_data(Command::read(1, 511, 1), 4096);
    assert_eq!(world.status(&mut io, last), dnr(Status::LBA_OUT_OF_RANGE));
    let new = Extent { store: 0, offset: 1 << 20, length: 1 << 20 };
    assert_eq!(resize(&mut world, 2 << 20), Ok(Some(Change::Zero(new))), "it is to be zeroed");
    assert!(matches!(world.run(&mut io, last), Step::SendBlocks { .. }));
    let mut bad = Command::new(spec::NvmOpcode::WRITE_UNCORRECTABLE.0);
    bad.set_nsid(1);
    bad.set_lba(511);
    bad.set_block_count(1);
    assert_eq!(world.status(&mut io, bad), Status::SUCCESS);
    assert_eq!(resize(&mut world, 4096), Ok(None));
    assert_eq!(world.status(&mut io, last), dnr(Status::LBA_OUT_OF_RANGE));
    let new = Extent { store: 0, offset: 4096, length: (2 << 20) - 4096 };
    assert_eq!(resize(&mut world, 2 << 20), Ok(Some(Change::Zero(new))));
    assert!(matches!(world.run(&mut io, last), Step::SendBlocks { .. }), "the mark went with the block");
    for size in [0, 4095, (2 << 20) + 4096, u64::MAX] {
        assert_eq!(resize(&mut world, size), Err(NamespaceError::Size { size, most: 2 << 20 }));
    }
    assert_eq!(world.core.resize_namespace("nqn.a", 2, 4096), Err(NamespaceError::Unknown(2)));
}

#[test]
fn the_state_of_a_group_decides_about_its_namespaces() {
    let mut world = world(&["nqn.a,ns=1M,ns=1M@2,ns=1M"]);
    let mut admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let read = |nsid| with_data(Command::read(nsid, 0, 1), 512);
    for (state, status) in [
        (AnaState::OPTIMIZED, None),
        (AnaState::NON_OPTIMIZED, None),
        (AnaState::INACCESSIBLE, Some(Status::ASYMMETRIC_ACCESS_INACCESSIBLE)),
        (AnaState::PERSISTENT_LOSS, Some(Status::ASYMMETRIC_ACCESS_PERSISTENT_LOSS)),
        (AnaState::CHANGE, Some(Status::ASYMMETRIC_ACCESS_TRANSITION)),
    ] {
        world.core.set_ana_state("nqn.a", 2, None, state).unwrap();
        assert!(matches!(world.run(&mut io, read(1)), Step::SendBlocks { .. }));
        match status {
            None => assert!(matches!(world.run(&mut io, read(2)), Step::SendBlocks { .. })),
            Some(status) => {
                assert_eq!(world.status(&mut io, read(2)), status);
                assert_eq!(world.status(&mut io, Command::flush(2)), status);
            }
        }
        let command = Command::get_log_page(LogPageId::ASYMMETRIC_NAMESPACE_ACCESS, 0, 0, 96);
        let page = world.bytes(&mut admin, command.with_sgl1(remote(96)));
        assert_eq!((page[8], page[9]), (2, 0), "groups");
        assert_eq!(
            (&page[16..24], page[32], &page[48..56]),
            (&[1, 0, 0, 0, 2, 0, 0, 0][..], 1, &[1, 0, 0, 0, 3, 0, 0, 0][..])
        );
        assert_eq!(
            (&page[56..64], page[72], &page[88..92]),
            (&[2, 0, 0, 0, 1, 0, 0, 0][..], state.0, &[2, 0, 0, 0][..])
        );
        assert_eq!(page[0], page[64], "as many changes as of this group");
    }
    let mut command = Command::get_log_page(LogPageId::ASYMMETRIC_NAMESPACE_ACCESS, 0, 0, 80);
    command.set_cdw10(command.cdw10() | RETURN_GROUPS_ONLY);
    let page = world.bytes(&mut admin, command.with_sgl1(remote(80)));
    assert_eq!((page[20], page[48], page[52], page[64]), (0, 2, 0, 0xf), "no namespaces");
    assert_eq!(world.core.set_ana_state("nqn.a", 17, None, AnaState::CHANGE), Err(NamespaceError::Group(17)));
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    let page: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
    let view = ControllerView(&page);
    assert_eq!((view.cmic(), view.anacap(), view.anagrpmax(), view.nanagrpid()), (0xa, 0x5f, 16, 16));
    let identify = Command::identify(Cns::NAMESPACE, 0, 2, 0).with_sgl1(remote(4096));
    let page: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
    assert_eq!(NamespaceView(&page).anagrpid(), 2);
}

#[test]
fn a_group_may_have_a_state_for_each_port() {
    let mut world = world(&["nqn.a"]);
    let admin = world.admin("nqn.a");
    let mut io = world.io(&admin, 1, "nqn.a");
    let read = with_data(Command::read(1, 0, 1), 512);
    let lost = Status::ASYMMETRIC_ACCESS_INACCESSIBLE;
    let set = |world: &mut World, port, state| world.core.set_ana_state("nqn.a", 1, port, state).unwrap();
    // The host came by port 4420.
    set(&mut world, Some(4421), AnaState::INACCESSIBLE);
    assert!(matches!(world.run(&mut io, read), Step::SendBlocks { .. }));
    set(&mut world, Some(4420), AnaState::INACCESSIBLE);
    assert_eq!(world.status(&mut io, read), lost);
    set(&mut world, None, AnaState::OPTIMIZED);
    assert!(matches!(world.run(&mut io, read), Step::SendBlocks { .. }), "for all ports");
}
