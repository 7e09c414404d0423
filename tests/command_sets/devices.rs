//! Kinds of devices that a controller over RDMA is not: Open-Channel, character devices; and what is no device of Opal.

use super::*;

/// The commands of Open-Channel go to the controller, which refuses them, as far as it could read what they are about.
#[test]
fn there_is_no_open_channel() {
    let scene = Scene::of("ns=1M");
    let sent: Rc<RefCell<Vec<Command>>> = Rc::default();
    let seen = sent.clone();
    scene.world.set_liar(move |answer| seen.borrow_mut().push(*answer.command));
    let (c, ns, q, b, none) =
        (scene.controller, scene.ns(1), scene.qpair, scene.buffer(), null_mut::<c_void>());
    let mut list = [0x1_0000_0005, 6];
    let (l, retry) = (list.as_mut_ptr(), 1 << 31);
    // SAFETY: the handles are live, and buffer and lists are large enough.
    unsafe {
        assert!(!spdk_nvme_ctrlr_is_ocssd_supported(c));
        let geometry = |b, length| spdk_nvme_ocssd_ctrlr_cmd_geometry(c, 1, b, length, done, none);
        assert_eq!((geometry(b, 4095), geometry(null_mut(), 4096)), (EINVAL, EINVAL));
        assert_eq!(scene.status(geometry(b, 4096)), Status::INVALID_OPCODE);
        let reset = |l, count, info| spdk_nvme_ocssd_ns_cmd_vector_reset(ns, q, l, count, info, done, none);
        let read =
            |b, l, count, flags| spdk_nvme_ocssd_ns_cmd_vector_read(ns, q, b, l, count, done, none, flags);
        let read_md = |b, l, count, flags| {
            spdk_nvme_ocssd_ns_cmd_vector_read_with_md(ns, q, b, none, l, count, done, none, flags)
        };
        let write =
            |b, l, count, flags| spdk_nvme_ocssd_ns_cmd_vector_write(ns, q, b, l, count, done, none, flags);
        let write_md = |b, l, count, flags| {
            spdk_nvme_ocssd_ns_cmd_vector_write_with_md(ns, q, b, none, l, count, done, none, flags)
        };
        let copy = |to, from, count, flags| {
            spdk_nvme_ocssd_ns_cmd_vector_copy(ns, q, to, from, count, done, none, flags)
        };
        sent.borrow_mut().clear();
        assert_eq!(scene.status(reset(l, 1, none)), Status::INVALID_OPCODE);
        assert_eq!(scene.status(read(b, l, 1, retry)), Status::INVALID_OPCODE);
        assert_eq!(scene.status(read_md(b, l, 1, 0)), Status::INVALID_OPCODE);
        assert_eq!(scene.status(write(b, l, 1, retry)), Status::INVALID_OPCODE);
        assert_eq!(scene.status(write_md(b, l, 1, 0)), Status::INVALID_OPCODE);
        assert_eq!(scene.status(copy(l.add(1), l, 1, 0)), Status::INVALID_OPCODE);
        let io: Vec<Command> =
            sent.borrow().iter().filter(|command| command.opcode() != 0x18).copied().collect();
        let opcodes: Vec<u8> = io.iter().map(Command::opcode).collect();
        assert_eq!(opcodes, [0x90, 0x92, 0x92, 0x91, 0x91, 0x93]);
        assert!(io.iter().all(|command| command.lba() == list[0] && command.nsid() == 1));
        assert_eq!((io[1].cdw12(), io[2].cdw12(), io[5].cdw14(), io[5].cdw15()), (retry, 0, 6, 0));
        // What cannot be.
        let nil = null_mut();
        assert_eq!(
            (reset(nil, 1, none), reset(l, 0, none), reset(l, 2, none), reset(l, 1, b)),
            (EINVAL, EINVAL, ENOTSUP, ENOTSUP)
        );
        for call in [&read as &dyn Fn(_, _, _, _) -> c_int, &read_md, &write, &write_md] {
            assert_eq!((call(b, nil, 1, 0), call(b, l, 0, 0), call(b, l, 2, 0)), (EINVAL, EINVAL, ENOTSUP));
            assert_eq!((call(null_mut(), l, 1, 0), call(b, l, 1, 1 << 30)), (EINVAL, EINVAL));
        }
        assert_eq!((copy(nil, l, 1, 0), copy(l, nil, 1, 0), copy(l, l, 0, 0)), (EINVAL, EINVAL, EINVAL));
        assert_eq!((copy(l, l, 2, 0), copy(l, l, 1, 1)), (ENOTSUP, EINVAL));
    }
    scene.finish();
}

#[test]
fn there_are_no_character_devices_and_no_hot_plug() {
    let scene = Scene::of("ns=1M");
    let c = scene.controller;
    let (mut name, mut size) = ([0; 8], 8);
    // SAFETY: the handle is live, and name and size are there.
    let lines = logged(tracing::Level::ERROR, || unsafe {
        assert_eq!((spdk_nvme_cuse_register(c), spdk_nvme_cuse_unregister(c)), (ENOTSUP, ENOTSUP));
        spdk_nvme_cuse_update_namespaces(c);
        assert_eq!(spdk_nvme_cuse_get_ctrlr_name(c, name.as_mut_ptr(), &raw mut size), ENOTSUP);
        assert_eq!(spdk_nvme_cuse_get_ns_name(c, 1, name.as_mut_ptr(), &raw mut size), ENOTSUP);
        spdk_nvme_pcie_set_hotplug_filter(null());
    });
    assert!(lines.len() == 5 && lines.iter().all(|line| line.contains("CUSE")), "{lines:?}");
    assert_eq!((name, size), ([0; 8], 8));
    scene.finish();
}

/// What is refused of a controller's memory and boot partitions is refused with a line that says of which controller, and why.
#[test]
fn there_is_no_memory_of_the_controllers_and_no_boot_partition_that_can_be_read() {
    for (has_partitions, read) in [(false, "has none (CAP.BPS is 0)"), (true, "the memory that BPMBL names")]
    {
        let world = World::with(with_namespaces("ns=1M", Options::default()));
        world.set_liar(move |answer| {
            let command = answer.command;
            let is_get = command.opcode() == AdminOpcode::FABRICS.0
                && command.fabrics_type() == FabricsType::PROPERTY_GET;
            if !is_get {
                return;
            }
            match command.property_offset() {
                registers::CAP => {
                    let cap = answer.completion.result() | u64::from(has_partitions) << 45;
                    answer.completion = answer.completion.with_result(cap);
                }
                registers::BPINFO if has_partitions => {
                    let answered = Completion::new(0, command.cid(), Status::SUCCESS);
                    answer.completion = answered.with_result(1);
                }
                _ => {}
            }
        });
        let c = connect(NQN, 4420, 1);
        let (mut room, none) = ([0_u8; 4096], null_mut::<c_void>());
        let payload = room.as_mut_ptr().cast::<c_void>();
        let enosys = -libc::ENOSYS;
        // SAFETY: the handle is live, the room large enough.
        let lines = logged(tracing::Level::ERROR, || unsafe {
            assert!(spdk_nvme_ctrlr_map_cmb(c, null_mut()).is_null());
            assert_eq!(spdk_nvme_ctrlr_reserve_cmb(c), ENOTSUP);
            assert!(spdk_nvme_ctrlr_map_pmr(c, null_mut()).is_null());
            assert_eq!(spdk_nvme_ctrlr_enable_pmr(c), enosys);
            assert_eq!(spdk_nvme_ctrlr_disable_pmr(c), enosys);
            assert_eq!(spdk_nvme_ctrlr_unmap_pmr(c), enosys);
            assert_eq!(spdk_nvme_ctrlr_read_boot_partition_start(c, payload, 1, 2, 1), ENOTSUP);
            if !has_partitions {
                assert_eq!(spdk_nvme_ctrlr_write_boot_partition(c, payload, 4096, 1, done, none), ENOTSUP);
            }
            let polled = if has_partitions { EINVAL } else { -libc::EIO };
            assert_eq!(spdk_nvme_ctrlr_read_boot_partition_poll(c), polled);
        });
        let whys: Vec<&str> = ["memory buffer"; 2].into_iter().chain(["memory region"; 4]).collect();
        let whys = whys.into_iter().chain([read]);
        let whys = whys.chain([if has_partitions { "has begun none" } else { "has none (CAP.BPS is 0)" }]);
        assert_eq!(lines.len(), whys.clone().count(), "{lines:?}");
        for (line, why) in lines.iter().zip(whys) {
            assert!(line.contains(NQN) && line.contains(why), "{why}: {line}");
        }
        // SAFETY: the handle is live.
        assert_eq!(unsafe { spdk_nvme_detach(c) }, 0);
        world.finish(None);
    }
}

/// What is said to be a device of Opal, and is none, is refused and not looked at.
#[test]
fn what_is_no_device_of_opal_is_refused() {
    let p = c"password".as_ptr();
    for dev in [null_mut(), std::ptr::without_provenance_mut::<c_void>(0x1000)] {
        // SAFETY: nothing of these is looked at.
        let lines = logged(tracing::Level::ERROR, || unsafe {
            spdk_opal_dev_destruct(dev);
            spdk_opal_free_locking_range_info(dev, 8);
            assert!(
                spdk_opal_get_d0_features_info(dev).is_null()
                    && spdk_opal_get_locking_range_info(dev, 9).is_null()
            );
            let all = [
                spdk_opal_cmd_take_ownership(dev, null_mut()),
                spdk_opal_cmd_lock_unlock(dev, 0, 1, 1, p),
                spdk_opal_cmd_setup_locking_range(dev, 0, 1, 0, 8, p),
                spdk_opal_cmd_get_max_ranges(dev, p),
                spdk_opal_cmd_get_locking_range_info(dev, p, 0, 1),
                spdk_opal_cmd_enable_user(dev, 1, p),
                spdk_opal_cmd_add_user_to_locking_range(dev, 1, 1, 1, p),
                spdk_opal_cmd_set_new_passwd(dev, 1, p, p, true),
                spdk_opal_cmd_erase_locking_range(dev, 1, 1, p),
                spdk_opal_cmd_secure_erase_locking_range(dev, 1, 1, p),
                spdk_opal_cmd_activate_locking_sp(dev, p),
                spdk_opal_cmd_revert_tper(dev, p),
            ];
            assert_eq!(all, [EINVAL; 12]);
        });
        assert_eq!(lines.len(), 16, "{lines:?}");
    }
}
