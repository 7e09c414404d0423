//! Zones: written at their pointer, reported, appended to.

use super::*;

/// Where the controller does not say which commands it has, its zones are written without appends.
#[test]
fn a_controller_that_hides_its_commands_has_no_append() {
    let world = World::with(with_namespaces(NAMESPACES, Options::default()));
    world.set_liar(|answer| {
        if answer.qid == 0
            && answer.command.opcode() == AdminOpcode::GET_LOG_PAGE.0
            && answer.command.log_page_csi() == 2
        {
            answer.completion = Completion::new(0, answer.command.cid(), Status::INVALID_LOG_PAGE);
            answer.page = None;
        }
    });
    let controller = connect(NQN, 4420, 1);
    // SAFETY: the handle is live.
    unsafe {
        assert_eq!(spdk_nvme_ctrlr_get_flags(controller) & ZONE_APPEND_SUPPORTED, 0);
        assert_eq!(spdk_nvme_zns_ctrlr_get_max_zone_append_size(controller), 65_536);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

#[test]
fn zones_are_written_where_their_pointer_is() {
    use ZoneState as Z;
    let scene = Scene::new();
    let none = u64::MAX;
    let empty = (Z::EMPTY, 0);
    assert_eq!(scene.zones(), [empty; 4]);
    let bytes: Vec<u8> = (0..512 * 8).map(|at| (at % 251) as u8).collect();
    scene.store(&bytes);
    assert_eq!(scene.write(0, 8), Status::SUCCESS);
    assert_eq!(scene.zones()[0], (Z::IMPLICITLY_OPEN, 8));
    assert_eq!(scene.write(9, 1), Status::ZONE_INVALID_WRITE);
    assert_eq!(scene.write(0, 1), Status::ZONE_INVALID_WRITE);
    assert_eq!(scene.read(0, 8), Status::SUCCESS);
    assert_eq!(scene.load(bytes.len()), bytes);
    assert_eq!(scene.write(8, 89), Status::ZONE_BOUNDARY_ERROR);
    assert_eq!(scene.write(8, 88), Status::SUCCESS);
    assert_eq!(scene.zones()[0].0, Z::FULL);
    assert_eq!(scene.write(96, 1), Status::ZONE_IS_FULL);
    assert_eq!(scene.read(127, 2), Status::ZONE_BOUNDARY_ERROR);
    // An append finds the place.
    scene.store(&bytes);
    let ended = scene.append(ZONE, 3);
    assert_eq!((ended.status(), ended.result()), (Status::SUCCESS, ZONE));
    assert_eq!(scene.append(ZONE, 8).result(), ZONE + 3);
    assert_eq!(scene.read(ZONE + 3, 8), Status::SUCCESS);
    assert_eq!(scene.load(bytes.len()), bytes);
    assert_eq!(scene.append(ZONE + 1, 1).status().with_dnr(false), Status::INVALID_FIELD);
    assert_eq!(scene.append(0, 1).status().with_dnr(false), Status::ZONE_IS_FULL);
    // Opened, closed, finished, reset.
    assert_eq!(scene.manage(spdk_nvme_zns_close_zone, Some(1)), Status::SUCCESS);
    assert_eq!(scene.zones()[1], (Z::CLOSED, 11));
    assert_eq!(scene.manage(spdk_nvme_zns_open_zone, Some(1)), Status::SUCCESS);
    assert_eq!(scene.manage(spdk_nvme_zns_open_zone, Some(2)), Status::SUCCESS);
    assert_eq!(scene.zones()[1..3], [(Z::EXPLICITLY_OPEN, 11), (Z::EXPLICITLY_OPEN, 0)]);
    // Two are open, and neither was by a write alone.
    assert_eq!(scene.write(3 * ZONE, 1), Status::TOO_MANY_OPEN_ZONES);
    assert_eq!(scene.manage(spdk_nvme_zns_close_zone, None), Status::SUCCESS);
    assert_eq!(scene.write(3 * ZONE, 1), Status::SUCCESS);
    assert_eq!(scene.manage(spdk_nvme_zns_reset_zone, Some(0)), Status::SUCCESS);
    assert_eq!(scene.write(0, 1), Status::TOO_MANY_ACTIVE_ZONES);
    assert_eq!(scene.manage(spdk_nvme_zns_close_zone, Some(0)), Status::INVALID_ZONE_STATE_TRANSITION);
    assert_eq!(scene.read(0, 8), Status::SUCCESS);
    assert_eq!(scene.load(bytes.len()), vec![0; bytes.len()], "a reset takes what was there");
    assert_eq!(scene.manage(spdk_nvme_zns_finish_zone, None), Status::SUCCESS);
    assert_eq!(
        scene.zones(),
        [empty, (Z::FULL, none - ZONE), (Z::FULL, none - 2 * ZONE), (Z::FULL, none - 3 * ZONE)]
    );
    // A medium fails.
    scene.world.control(&format!("zone {NQN} 1 {ZONE} read-only"));
    assert_eq!(scene.write(ZONE, 1), Status::ZONE_IS_READ_ONLY);
    assert_eq!(scene.read(ZONE + 3, 8), Status::SUCCESS);
    assert_eq!(scene.manage(spdk_nvme_zns_offline_zone, Some(2)), Status::INVALID_ZONE_STATE_TRANSITION);
    assert_eq!(scene.manage(spdk_nvme_zns_offline_zone, None), Status::SUCCESS);
    assert_eq!(
        (scene.read(ZONE, 1), scene.write(ZONE, 1)),
        (Status::ZONE_IS_OFFLINE, Status::ZONE_IS_OFFLINE)
    );
    assert_eq!(scene.manage(spdk_nvme_zns_reset_zone, None), Status::SUCCESS);
    assert_eq!(scene.zones(), [empty, (Z::OFFLINE, none - ZONE), empty, empty]);
    scene.finish();
}

#[test]
fn reports_have_what_fits_and_what_was_asked_for() {
    use ZoneState as Z;
    let scene = Scene::new();
    let (ns, q) = (scene.ns(1), scene.qpair);
    assert_eq!(scene.write(ZONE, 96), Status::SUCCESS);
    let states = |(count, zones): (u64, Vec<ZoneDescriptor>)| {
        (count, zones.iter().map(|zone| zone.state).collect::<Vec<_>>())
    };
    assert_eq!(states(scene.report(1, 0, false, 192)), (3, vec![Z::FULL, Z::EMPTY]));
    assert_eq!(states(scene.report(1, 0, true, 192)), (2, vec![Z::FULL, Z::EMPTY]));
    assert_eq!(states(scene.report(0, 5, false, 320)), (1, vec![Z::FULL]));
    assert_eq!(states(scene.report(0, 1, false, 320)), (3, vec![Z::EMPTY; 3]));
    // A descriptor extension of 64 bytes.
    let extension: Vec<u8> = (100..164).collect();
    scene.store(&extension);
    // SAFETY: the handles are live, and the buffer is large enough; what is refused is not touched.
    unsafe {
        let b = scene.buffer();
        let extend =
            |lba, b, length| spdk_nvme_zns_set_zone_desc_ext(ns, q, lba, b, length, done, null_mut());
        assert_eq!((extend(0, null_mut(), 64), extend(0, b, 0)), (EINVAL, EINVAL));
        assert_eq!(scene.status(extend(ZONE, b, 64)), Status::INVALID_ZONE_STATE_TRANSITION);
        assert_eq!(scene.status(extend(0, b, 64)), Status::SUCCESS);
        let report = |b, length, which| {
            spdk_nvme_zns_ext_report_zones(ns, q, b, length, 0, which, false, done, null_mut())
        };
        assert_eq!(
            (report(b, 3, 0), report(null_mut(), 64, 0), report(b, 64, 256)),
            (EINVAL, EINVAL, EINVAL)
        );
        assert_eq!(scene.status(report(b, 64 + 2 * 128, 0)), Status::SUCCESS);
        let bytes = scene.load(64 + 2 * 128);
        let first = ZoneDescriptor::decode(bytes[64..128].try_into().unwrap());
        assert_eq!((first.state, first.attributes, bytes[128..192].to_vec()), (Z::CLOSED, 0x80, extension));
        // As little as the number's first half, and no whole dword more.
        scene.store(&[0xee; 16]);
        assert_eq!(
            scene.status(spdk_nvme_zns_report_zones(ns, q, b, 7, 0, 0, false, done, null_mut())),
            Status::SUCCESS
        );
        assert_eq!(scene.load(8), [4, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]);
    }
    scene.finish();
}

#[test]
fn appends_of_each_form_are_one_command_or_none() {
    let scene = Scene::new();
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = sent.clone();
    scene.world.set_liar(move |answer| {
        if answer.qid > 0 && answer.command.opcode() == 0x7d {
            let command = answer.command;
            seen.borrow_mut().push((command.lba(), command.cdw12(), command.cdw15()));
        }
    });
    let (ns, q, b, none) = (scene.ns(1), scene.qpair, scene.buffer(), null_mut::<c_void>());
    const FUA: u32 = 1 << 30;
    PIECES.set((512, b.cast(), 0));
    // SAFETY: the handles are live, and the buffer is large enough.
    unsafe {
        let appendv = |blocks, r, x| spdk_nvme_zns_zone_appendv(ns, q, ZONE, blocks, done, none, FUA, r, x);
        let bytes: Vec<u8> = (0..4096).map(|at| (at / 7 % 256) as u8).collect();
        scene.store(&bytes);
        let mut place = ZONE;
        let mut good = |rc| {
            let ended = scene.wait(rc);
            assert_eq!((ended.status(), ended.result()), (Status::SUCCESS, place));
            place += 8;
        };
        good(spdk_nvme_zns_zone_append(ns, q, b, ZONE, 8, done, none, FUA));
        good(spdk_nvme_zns_zone_append_with_md(ns, q, b, none, ZONE, 8, done, none, FUA, 0xff, 7));
        good(appendv(8, Some(reset), Some(next)));
        good(spdk_nvme_zns_zone_appendv_with_md(
            ns,
            q,
            ZONE,
            8,
            done,
            none,
            FUA,
            Some(reset),
            Some(next),
            none,
            0xff,
            7,
        ));
        let command = |cdw15| (ZONE, FUA | 7, cdw15);
        assert_eq!(sent.borrow()[..], [command(0), command(0xff_0007), command(0), command(0xff_0007)]);
        for nth in 0..4 {
            assert_eq!(scene.read(ZONE + 8 * nth, 8), Status::SUCCESS);
            assert_eq!(scene.load(4096), bytes, "form {nth}");
        }
        // What cannot be is not sent.
        sent.borrow_mut().clear();
        let append = |blocks, flags| spdk_nvme_zns_zone_append(ns, q, b, 0, blocks, done, none, flags);
        assert_eq!(
            (append(0, 0), append(129, 0), append(u32::MAX, 0), append(8, 1 << 5)),
            (EINVAL, EINVAL, EINVAL, EINVAL)
        );
        assert_eq!((appendv(8, None, Some(next)), appendv(8, Some(reset), None)), (EINVAL, EINVAL));
        assert_eq!(appendv(17, Some(reset), Some(next)), EINVAL, "more pieces than a command can have");
        assert!(sent.borrow().is_empty());
        assert_eq!(scene.status(append(128, 0)), Status::ZONE_BOUNDARY_ERROR, "as long as one may be");
    }
    scene.finish();
}
