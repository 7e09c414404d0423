//! Saved and default values of features.

use spec::feature::FeatureId;
use spec::identify::{ControllerView, ONCS_SAVE_AND_SELECT};

use super::*;

const NOT_SAVEABLE: Status = Status::FEATURE_ID_NOT_SAVEABLE.with_dnr(true);
const INVALID: Status = Status::INVALID_FIELD.with_dnr(true);
const CURRENT: u32 = 0;
const DEFAULT: u32 = 1;
const SAVED: u32 = 2;
const CAPABILITIES: u32 = 3;

fn get(feature: FeatureId, select: u32, cdw11: u32, nsid: u32) -> Command {
    let mut command = Command::get_features(feature, cdw11);
    command.set_cdw10(command.cdw10() | select << 8);
    command.set_nsid(nsid);
    command
}

fn set(feature: FeatureId, save: bool, cdw11: u32, nsid: u32) -> Command {
    let mut command = Command::set_features(feature, cdw11);
    command.set_cdw10(command.cdw10() | u32::from(save) << 31);
    command.set_nsid(nsid);
    command
}

/// Current, default and saved value.
fn values(world: &mut World, admin: &mut Queue, feature: FeatureId, cdw11: u32, nsid: u32) -> [u32; 3] {
    [CURRENT, DEFAULT, SAVED].map(|select| {
        let completion = world.answer(admin, get(feature, select, cdw11, nsid));
        assert_eq!(completion.status(), Status::SUCCESS);
        completion.cdw0()
    })
}

fn reset(world: &mut World, admin: &mut Queue) {
    world.set_cc(admin, Cc::default());
    world.set_cc(admin, Cc::enabled(Cc::CSS_NVM));
}

#[test]
fn what_is_saved_outlives_the_controller() {
    let mut world = world(&["nqn.a", "nqn.b"]);
    let mut admin = world.admin("nqn.a");
    let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
    let page: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
    assert!(ControllerView(&page).oncs() & ONCS_SAVE_AND_SELECT != 0);
    for (feature, which, default, one, two) in [
        (FeatureId::ARBITRATION, 0, 0, 0x0102_0303, 5),
        (FeatureId::TEMPERATURE_THRESHOLD, 0, 343, 300, 350),
        (FeatureId::TEMPERATURE_THRESHOLD, 1 << 20, 0, 270, 280),
        (FeatureId::WRITE_ATOMICITY, 0, 0, 1, 0),
        (FeatureId::ASYNC_EVENT_CONFIGURATION, 0, 0, 0x100, 0x900),
    ] {
        let values = |world: &mut World, admin: &mut Queue| values(world, admin, feature, which, 0);
        let change = |world: &mut World, admin: &mut Queue, save, value| {
            assert_eq!(world.status(admin, set(feature, save, which | value, 0)), Status::SUCCESS);
        };
        assert_eq!(values(&mut world, &mut admin), [default; 3], "{feature:?}");
        change(&mut world, &mut admin, true, one);
        assert_eq!(values(&mut world, &mut admin), [one, default, one]);
        change(&mut world, &mut admin, false, two);
        assert_eq!(values(&mut world, &mut admin), [two, default, one]);
        reset(&mut world, &mut admin);
        assert_eq!(values(&mut world, &mut admin), [one, default, one], "after a reset");
        let mut another = world.admin("nqn.a");
        assert_eq!(values(&mut world, &mut another), [one, default, one], "a new controller");
        let mut stranger = world.admin("nqn.b");
        assert_eq!(values(&mut world, &mut stranger), [default; 3], "of another subsystem");
        let capabilities = world.answer(&mut admin, get(feature, CAPABILITIES, which, 0));
        assert_eq!(capabilities.cdw0(), 0b101);
        world.core.close(&mut another, 0);
        world.core.close(&mut stranger, 0);
    }
    assert_eq!(
        values(&mut world, &mut admin, FeatureId::TEMPERATURE_THRESHOLD, 0, 0)[0],
        300,
        "the other one's"
    );
}

#[test]
fn what_cannot_be_saved_has_a_default_and_a_current_value() {
    let mut world = world(&["nqn.a"]);
    let mut admin = world.admin("nqn.a");
    world.answer(&mut admin, Command::set_number_of_queues(2, 2));
    world.answer(&mut admin, Command::set_keep_alive_timer(9000));
    let queues = values(&mut world, &mut admin, FeatureId::NUMBER_OF_QUEUES, 0, 0);
    assert_eq!(queues, [1 << 16 | 1, 63 << 16 | 63, 63 << 16 | 63]);
    assert_eq!(values(&mut world, &mut admin, FeatureId::KEEP_ALIVE_TIMER, 0, 0), [9000, 0, 0]);
    for feature in [FeatureId::NUMBER_OF_QUEUES, FeatureId::KEEP_ALIVE_TIMER, FeatureId::POWER_MANAGEMENT] {
        assert_eq!(world.status(&mut admin, set(feature, true, 0, 0)), NOT_SAVEABLE);
        assert_eq!(world.answer(&mut admin, get(feature, CAPABILITIES, 0, 0)).cdw0(), 0b100);
    }
    assert_eq!(world.answer(&mut admin, get(FeatureId::HOST_IDENTIFIER, CAPABILITIES, 0, 0)).cdw0(), 0);
    for (command, status) in [
        (get(FeatureId::KEEP_ALIVE_TIMER, 4, 0, 0), INVALID),
        (get(FeatureId(0x7e), CAPABILITIES, 0, 0), INVALID),
        (get(FeatureId::TEMPERATURE_THRESHOLD, 0, 1 << 16, 0), INVALID),
        (get(FeatureId::TEMPERATURE_THRESHOLD, 0, 2 << 20, 0), INVALID),
        (set(FeatureId::POWER_MANAGEMENT, false, 1, 0), INVALID),
        (set(FeatureId(0x7e), false, 0, 0), INVALID),
        (set(FeatureId::HOST_IDENTIFIER, false, 0, 0), Status::COMMAND_SEQUENCE_ERROR.with_dnr(true)),
    ] {
        assert_eq!(world.status(&mut admin, command), status, "{command:?}");
    }
    let mut discovery = world.admin(DISCOVERY_NQN);
    for command in [
        get(FeatureId::KEEP_ALIVE_TIMER, DEFAULT, 0, 0),
        get(FeatureId::ARBITRATION, CURRENT, 0, 0),
        set(FeatureId::ARBITRATION, false, 0, 0),
    ] {
        assert_eq!(
            world.status(&mut discovery, command),
            INVALID,
            "a discovery controller claims nothing of it"
        );
    }
    let save = set(FeatureId::ASYNC_EVENT_CONFIGURATION, true, 0, 0);
    assert_eq!(world.status(&mut discovery, save), NOT_SAVEABLE);
}

#[test]
fn error_recovery_is_a_matter_of_each_namespace() {
    let mut world = world(&["nqn.a,ns=1M,ns=none,ns=1M"]);
    let mut admin = world.admin("nqn.a");
    let feature = FeatureId::ERROR_RECOVERY;
    assert_eq!(world.status(&mut admin, set(feature, true, 30, 3)), Status::SUCCESS);
    assert_eq!(values(&mut world, &mut admin, feature, 0, 3), [30, 0, 30]);
    assert_eq!(values(&mut world, &mut admin, feature, 0, 1), [0; 3]);
    assert_eq!(world.status(&mut admin, set(feature, false, 7, u32::MAX)), Status::SUCCESS);
    assert_eq!(values(&mut world, &mut admin, feature, 0, 1), [7, 0, 0]);
    assert_eq!(values(&mut world, &mut admin, feature, 0, 3), [7, 0, 30]);
    let invalid = dnr(Status::INVALID_NAMESPACE_OR_FORMAT);
    for nsid in [0, 2, 4, u32::MAX] {
        assert_eq!(world.status(&mut admin, get(feature, CURRENT, 0, nsid)), invalid);
    }
    assert_eq!(world.status(&mut admin, set(feature, false, 7, 2)), invalid);
    assert_eq!(world.status(&mut admin, set(feature, false, 1 << 16, 1)), INVALID, "no such error");
    assert_eq!(world.answer(&mut admin, get(feature, CAPABILITIES, 0, 1)).cdw0(), 0b111);
}
