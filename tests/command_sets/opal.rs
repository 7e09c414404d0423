//! Opal: a controller over fabrics that has it, from its first owner to its end; what one that lies about it can do, and what a program can do wrong.
//! Through the C face, with the target's own TPer.

use super::*;
use spec::tcg::{
    ComPacket, Encoder, Message, MethodStatus, Uid,
    discovery::{Builder, Opal2},
    packet::Envelope,
};
use std::ffi::CStr;

const ADMIN1: u32 = 0;
const USER1: u32 = 1;
const READ_ONLY: u32 = 1;
const LOCKED: u32 = 2;
const READ_WRITE: u32 = 4;
const OWNER: &CStr = c"owner's";
const USER: &CStr = c"user's";
const WRONG: &CStr = c"somebody's";
const NOT_AUTHORIZED: c_int = MethodStatus::NOT_AUTHORIZED.0 as c_int;

/// `struct spdk_opal_locking_range_info`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
struct RangeInfo {
    id: u8,
    padding: [u8; 7],
    start: u64,
    length: u64,
    flags: [bool; 4],
    end: [u8; 4],
}

/// A controller with Opal, and its device.
struct Opal {
    scene: Scene,
    dev: *mut c_void,
}

impl Opal {
    fn new() -> Self {
        let scene = Scene::of("ns=1M,opal");
        // SAFETY: the handle is live.
        let dev = unsafe { spdk_opal_dev_construct(scene.controller) };
        assert!(!dev.is_null());
        Self { scene, dev }
    }

    /// One that is activated, with the owner's password.
    fn activated() -> Self {
        let opal = Self::new();
        // SAFETY: the device is live.
        unsafe {
            assert_eq!(spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()), 0);
            assert_eq!(spdk_opal_cmd_activate_locking_sp(opal.dev, OWNER.as_ptr()), 0);
        }
        opal
    }

    fn info(&self, id: u32) -> RangeInfo {
        // SAFETY: the device is live, and what it points to is such a structure.
        unsafe { *spdk_opal_get_locking_range_info(self.dev, id).cast::<RangeInfo>() }
    }

    fn lock(&self, user: u32, state: u32, password: &CStr) -> c_int {
        // SAFETY: the device is live.
        unsafe { spdk_opal_cmd_lock_unlock(self.dev, user, state, 1, password.as_ptr()) }
    }

    /// Reads or writes the first block of the range.
    fn transfer(&self, write: bool) -> Status {
        let (ns, q, b) = (self.scene.ns(1), self.scene.qpair, self.scene.buffer());
        // SAFETY: the handles are live, and the buffer is large enough.
        let rc = unsafe {
            if write {
                spdk_nvme_ns_cmd_write(ns, q, b, 16, 1, done, null_mut(), 0)
            } else {
                spdk_nvme_ns_cmd_read(ns, q, b, 16, 1, done, null_mut(), 0)
            }
        };
        self.scene.status(rc)
    }

    fn end(self) {
        // SAFETY: the handles are live.
        unsafe {
            spdk_opal_dev_destruct(self.dev);
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(self.scene.qpair), 0);
            assert_eq!(spdk_nvme_detach(self.scene.controller), 0);
        }
        self.scene.world.finish(None);
    }
}

/// What a program does with a device, from the first owner to the last.
#[test]
fn a_device_has_a_life() {
    let opal = Opal::new();
    let dev = opal.dev;
    // SAFETY: the device is live.
    unsafe {
        let features = spdk_opal_get_d0_features_info(dev).cast::<u8>();
        // The last 20 bytes are the descriptor of Opal 2.00, as it came.
        let v200 = std::slice::from_raw_parts(features.add(116), 8);
        assert_eq!((&v200[..2], &v200[4..6]), (&[2, 3][..], &[0x10, 0][..]));
        assert_eq!(opal.info(1), RangeInfo::default());

        assert_eq!(spdk_opal_cmd_activate_locking_sp(dev, WRONG.as_ptr()), NOT_AUTHORIZED);
        assert_eq!(spdk_opal_cmd_take_ownership(dev, OWNER.as_ptr().cast_mut()), 0);
        assert_eq!(spdk_opal_cmd_take_ownership(dev, WRONG.as_ptr().cast_mut()), NOT_AUTHORIZED);
        assert!(opal.lock(ADMIN1, READ_WRITE, OWNER) > 0, "there is no Locking SP yet");
        assert_eq!(spdk_opal_cmd_activate_locking_sp(dev, OWNER.as_ptr()), 0);
        assert_eq!(spdk_opal_cmd_activate_locking_sp(dev, OWNER.as_ptr()), EINVAL, "it is activated");

        assert_eq!(spdk_opal_cmd_get_max_ranges(dev, WRONG.as_ptr()), -libc::EACCES);
        let ranges = spdk_opal_cmd_get_max_ranges(dev, OWNER.as_ptr());
        assert!(ranges >= 8, "{ranges}");
        assert_eq!(spdk_opal_cmd_get_max_ranges(dev, null()), ranges, "it is known");

        assert_eq!(opal.lock(USER1, READ_WRITE, USER), NOT_AUTHORIZED);
        assert_eq!(spdk_opal_cmd_enable_user(dev, USER1, OWNER.as_ptr()), 0);
        let set = |new: &CStr, old: &CStr, by_admin| {
            spdk_opal_cmd_set_new_passwd(dev, USER1, new.as_ptr(), old.as_ptr(), by_admin)
        };
        assert_eq!(set(USER, WRONG, true), NOT_AUTHORIZED);
        assert_eq!(set(WRONG, OWNER, true), 0);
        assert_eq!((set(USER, WRONG, false), set(USER, WRONG, false)), (0, NOT_AUTHORIZED));

        let set_up =
            |password: &CStr| spdk_opal_cmd_setup_locking_range(dev, ADMIN1, 1, 16, 64, password.as_ptr());
        assert_eq!((set_up(WRONG), set_up(OWNER)), (NOT_AUTHORIZED, 0));
        let ask = || spdk_opal_cmd_get_locking_range_info(dev, OWNER.as_ptr(), ADMIN1, 1);
        assert_eq!(ask(), 0);
        let flags = [true, true, false, false];
        let unlocked = RangeInfo { id: 1, start: 16, length: 64, flags, ..RangeInfo::default() };
        assert_eq!(opal.info(1), unlocked);
        assert_eq!(opal.transfer(true), Status::SUCCESS);

        assert!(opal.lock(USER1, LOCKED, USER) > 0, "the user may not yet");
        for state in [READ_ONLY, READ_WRITE] {
            let add = spdk_opal_cmd_add_user_to_locking_range(dev, USER1, 1, state, OWNER.as_ptr());
            assert_eq!(add, 0);
        }
        for (state, reads, writes) in
            [(LOCKED, false, false), (READ_ONLY, true, false), (READ_WRITE, true, true)]
        {
            assert_eq!(opal.lock(USER1, state, USER), 0);
            assert_eq!(ask(), 0);
            assert_eq!(opal.info(1).flags, [true, true, !reads, !writes]);
            for (write, goes) in [(false, reads), (true, writes)] {
                let status = opal.transfer(write);
                assert_eq!(status, if goes { Status::SUCCESS } else { Status::ACCESS_DENIED }, "{state}");
            }
        }
        spdk_opal_free_locking_range_info(dev, 1);
        assert_eq!(opal.info(1), RangeInfo::default());

        // The user may not read which key it is, which is no method status.
        assert_eq!(spdk_opal_cmd_secure_erase_locking_range(dev, USER1, 1, USER.as_ptr()), -libc::EACCES);
        let is_erased = |erase: &dyn Fn() -> c_int| {
            opal.scene.store(&[0x5a; 512]);
            assert_eq!(opal.transfer(true), Status::SUCCESS);
            assert_eq!(erase(), 0);
            opal.scene.store(&[0; 512]);
            assert_eq!(opal.transfer(false), Status::SUCCESS);
            opal.scene.load(512) != [0x5a; 512]
        };
        assert!(!is_erased(&|| 0));
        assert!(is_erased(&|| spdk_opal_cmd_secure_erase_locking_range(dev, ADMIN1, 1, OWNER.as_ptr())));
        assert_eq!(spdk_opal_cmd_erase_locking_range(dev, ADMIN1, 1, WRONG.as_ptr()), NOT_AUTHORIZED);
        assert!(is_erased(&|| spdk_opal_cmd_erase_locking_range(dev, ADMIN1, 1, OWNER.as_ptr())));

        assert_eq!(spdk_opal_cmd_revert_tper(dev, WRONG.as_ptr()), NOT_AUTHORIZED);
        assert_eq!(spdk_opal_cmd_revert_tper(dev, OWNER.as_ptr()), 0);
        assert_eq!(spdk_opal_cmd_revert_tper(dev, OWNER.as_ptr()), NOT_AUTHORIZED, "it has no owner");
        assert_eq!(spdk_opal_cmd_take_ownership(dev, USER.as_ptr().cast_mut()), 0);
    }
    opal.end();
}

/// The global range has no blocks of its own to be set.
#[test]
fn the_global_range_can_be_locked() {
    let opal = Opal::activated();
    let dev = opal.dev;
    // SAFETY: the device is live.
    unsafe {
        assert_eq!(spdk_opal_cmd_setup_locking_range(dev, ADMIN1, 0, 7, 7, OWNER.as_ptr()), 0);
        assert_eq!(spdk_opal_cmd_lock_unlock(dev, ADMIN1, LOCKED, 0, OWNER.as_ptr()), 0);
        assert_ne!(opal.transfer(false), Status::SUCCESS);
        assert_eq!(spdk_opal_cmd_get_locking_range_info(dev, OWNER.as_ptr(), ADMIN1, 0), 0);
        assert_eq!((opal.info(0).start, opal.info(0).flags), (0, [true; 4]));
        assert_eq!(spdk_opal_cmd_setup_locking_range(dev, ADMIN1, 0, 0, 0, OWNER.as_ptr()), 0);
        assert_eq!(opal.transfer(false), Status::SUCCESS);
    }
    opal.end();
}

/// What a program gives that cannot be is refused, and nothing of it sent.
#[test]
fn wrong_arguments_are_refused() {
    let opal = Opal::new();
    let sent = Rc::new(Cell::new(0));
    let seen = sent.clone();
    opal.scene.world.set_liar(move |answer| {
        seen.set(seen.get() + u32::from(answer.command.opcode() == AdminOpcode::SECURITY_SEND.0));
    });
    let (dev, p) = (opal.dev, OWNER.as_ptr());
    let long = std::ffi::CString::new([b'x'; 256]).unwrap();
    // SAFETY: the device is live.
    let lines = logged(tracing::Level::ERROR, || unsafe {
        for bad in [null(), c"".as_ptr(), long.as_ptr()] {
            let all = [
                spdk_opal_cmd_take_ownership(dev, bad.cast_mut()),
                spdk_opal_cmd_lock_unlock(dev, 0, 1, 1, bad),
                spdk_opal_cmd_setup_locking_range(dev, 0, 1, 0, 8, bad),
                spdk_opal_cmd_get_max_ranges(dev, bad),
                spdk_opal_cmd_get_locking_range_info(dev, bad, 0, 1),
                spdk_opal_cmd_enable_user(dev, 1, bad),
                spdk_opal_cmd_add_user_to_locking_range(dev, 1, 1, 1, bad),
                spdk_opal_cmd_set_new_passwd(dev, 1, bad, p, true),
                spdk_opal_cmd_set_new_passwd(dev, 1, p, bad, true),
                spdk_opal_cmd_erase_locking_range(dev, 1, 1, bad),
                spdk_opal_cmd_secure_erase_locking_range(dev, 1, 1, bad),
                spdk_opal_cmd_activate_locking_sp(dev, bad),
                spdk_opal_cmd_revert_tper(dev, bad),
            ];
            assert_eq!(all, [EINVAL; 13]);
        }
        let numbers = [
            spdk_opal_cmd_lock_unlock(dev, 10, 1, 1, p),
            spdk_opal_cmd_lock_unlock(dev, 0, 3, 1, p),
            spdk_opal_cmd_lock_unlock(dev, 0, 1, 11, p),
            spdk_opal_cmd_setup_locking_range(dev, u32::MAX, 1, 0, 8, p),
            spdk_opal_cmd_setup_locking_range(dev, 0, u32::MAX, 0, 8, p),
            spdk_opal_cmd_get_locking_range_info(dev, p, 0, 8),
            spdk_opal_cmd_enable_user(dev, 0, p),
            spdk_opal_cmd_enable_user(dev, 0x1_0001, p),
            spdk_opal_cmd_add_user_to_locking_range(dev, 1, 1, 2, p),
            spdk_opal_cmd_add_user_to_locking_range(dev, 0, 1, 1, p),
            spdk_opal_cmd_set_new_passwd(dev, 10, p, p, true),
            spdk_opal_cmd_erase_locking_range(dev, 1, 11, p),
            spdk_opal_cmd_secure_erase_locking_range(dev, 1, 0x1_0001, p),
        ];
        assert_eq!(numbers, [EINVAL; 13]);
        assert!(spdk_opal_get_locking_range_info(dev, 8).is_null());
        spdk_opal_free_locking_range_info(dev, u32::MAX);
    });
    assert_eq!((lines.len(), sent.get()), (3 * 13 + 13 + 2, 0), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("owner's") && line.contains("spdk_opal_")), "{lines:#?}");
    opal.end();
}

/// A handle that is none, or no device, or one no more, is refused; a device without its controller, too.
#[test]
fn what_a_device_is_not() {
    let opal = Opal::new();
    let (dev, p) = (opal.dev, OWNER.as_ptr());
    // SAFETY: the handles are live.
    unsafe {
        assert_eq!(spdk_opal_cmd_revert_tper(opal.scene.controller.cast(), p), EINVAL);
        assert_eq!(spdk_nvme_detach(dev.cast()), EINVAL);
        let other = spdk_opal_dev_construct(opal.scene.controller);
        assert!(!other.is_null() && other != dev);
        spdk_opal_dev_destruct(other);
        let lines = logged(tracing::Level::ERROR, || {
            spdk_opal_dev_destruct(other);
            assert_eq!(spdk_opal_cmd_revert_tper(other, p), EINVAL);
            assert!(spdk_opal_get_d0_features_info(other).is_null());
            assert!(spdk_opal_get_locking_range_info(other, 0).is_null());
        });
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("is a device of Opal that was freed")), "{lines:?}");

        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(opal.scene.qpair), 0);
        assert_eq!(spdk_nvme_detach(opal.scene.controller), 0);
        assert!(!spdk_opal_get_d0_features_info(dev).is_null(), "that is the device's own");
        let lines = logged(tracing::Level::ERROR, || {
            assert_eq!(spdk_opal_cmd_take_ownership(dev, p.cast_mut()), -libc::ENXIO);
        });
        assert!(lines.len() == 1 && lines[0].contains("was detached"), "{lines:?}");
        spdk_opal_dev_destruct(dev);
    }
    opal.scene.world.finish(None);
}

/// A controller that does not answer Security Send costs its timeout.
#[test]
fn a_silent_controller_ends_a_command() {
    let opal = Opal::new();
    opal.scene.world.set_liar(|answer| {
        answer.hold |= answer.command.opcode() == AdminOpcode::SECURITY_SEND.0;
    });
    // SAFETY: the device is live.
    let rc = unsafe { spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()) };
    assert_eq!(rc, -libc::ECANCELED);
    opal.end();
}

/// What a controller says of its security, and what comes of it.
#[test]
fn a_controller_is_asked_for_opal() {
    let opal =
        |com_id| Builder::new().opal_2(Opal2 { base_com_id: com_id, com_ids: 1, ..Opal2::default() }).build();
    let ruby =
        Builder::new().feature(0x0304, 1, &[0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).build();
    let (only, both) = (encode_protocols(&[0, 0xef]), encode_protocols(&[0, 1]));
    let of = |list: &[u8], discovery: &[u8]| Some([list.to_vec(), discovery.to_vec()]);
    for (answers, asked, said) in [
        (None, 0, "no Security Receive"),
        (of(&only, &[]), 1, "no Opal among"),
        (of(&both, &[0; 64]), 2, "no Opal among"),
        (of(&both, &ruby), 2, "no Opal among"),
        (of(&both, &opal(0)), 2, "no Opal among"),
        (of(&both, &opal(0x1000)), 2, ""),
        (of(&[], &[]), 1, "no Opal: Security Receive (protocols) failed"),
    ] {
        let world = World::with(with_namespaces("ns=1M", Options::default()));
        let count = Rc::new(Cell::new(0));
        let (seen, answers) = (count.clone(), answers.clone());
        world.set_liar(move |answer| {
            let Some(answers) = &answers else { return };
            let is_admin = answer.qid == 0;
            if is_admin
                && answer.command.opcode() == AdminOpcode::IDENTIFY.0
                && answer.command.cdw10() & 0xff == 1
            {
                answer.page.as_mut().unwrap()[256] |= OACS_SECURITY as u8;
            }
            if is_admin && answer.command.opcode() == AdminOpcode::SECURITY_RECEIVE.0 {
                let protocol = (answer.command.cdw10() >> 24) as usize;
                seen.set(seen.get() + 1);
                if !answers[protocol].is_empty() {
                    answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
                    answer.page = Some(answers[protocol].clone());
                }
            }
        });
        let controller = connect(NQN, 4420, 1);
        let dev = Cell::new(null_mut());
        // SAFETY: the handle is live.
        let lines = logged(tracing::Level::INFO, || dev.set(unsafe { spdk_opal_dev_construct(controller) }));
        assert_eq!((count.get(), dev.get().is_null()), (asked, !said.is_empty()), "{said}: {lines:?}");
        assert!(said.is_empty() || lines.iter().any(|line| line.contains(said)), "{said}: {lines:?}");
        // SAFETY: the handles are live.
        unsafe {
            if !dev.get().is_null() {
                spdk_opal_dev_destruct(dev.get());
            }
            assert_eq!(spdk_nvme_detach(controller), 0);
        }
        world.finish(None);
    }
}

/// Changes each answer of the TPer, of which it gets the number, too, and takes ownership.
fn with_lies(mut lie: impl FnMut(u32, &mut Vec<u8>) + 'static) -> (c_int, Vec<String>) {
    let opal = Opal::new();
    let mut count = 0;
    opal.scene.world.set_liar(move |answer| {
        if answer.command.opcode() != AdminOpcode::SECURITY_RECEIVE.0 {
            return;
        }
        if let Some(page) = &mut answer.page {
            page.resize(2048, 0);
            lie(count, page);
            count += 1;
        }
    });
    let rc = Cell::new(0);
    let lines = logged(tracing::Level::ERROR, || {
        // SAFETY: the device is live.
        rc.set(unsafe { spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()) });
    });
    opal.end();
    (rc.get(), lines)
}

/// Puts a whole message in the place of an answer of the session manager's, or of a session's.
fn replaced(page: &mut Vec<u8>, write: impl FnOnce(&mut Encoder)) {
    let now = ComPacket::read(page).unwrap();
    let packet = now.packet().unwrap().unwrap();
    let envelope = Envelope { com_id: now.com_id, tsn: packet.tsn, hsn: packet.hsn, sequence: 0 };
    let mut message = Encoder::new();
    write(&mut message);
    let message = message.com_packet(envelope).unwrap();
    page.clear();
    page.extend_from_slice(&message);
}

/// Puts SyncSession in its place, with this host's session number made another one, and this one of the TPer's.
fn synchronized(page: &mut Vec<u8>, hsn: fn(u64) -> u64, tsn: u64) {
    let tokens = ComPacket::read(page).unwrap().packet().unwrap().unwrap().tokens.to_vec();
    let Ok(Message::Call { mut parameters, .. }) = Message::read(&tokens) else { panic!("no SyncSession") };
    let hsn = hsn(parameters.value().unwrap().unsigned().unwrap());
    replaced(page, |to| {
        to.call(Uid::SESSION_MANAGER, Uid::SYNC_SESSION, |to| _ = to.unsigned(hsn).unsigned(tsn));
    });
}

type Lie = fn(&mut Vec<u8>);

/// What a TPer can say wrong, once or from then on: an error each, in a line.
#[test]
fn a_tper_that_lies_is_found_out() {
    let lies: &[(u32, Lie, c_int, &str)] = &[
        (0, |page| page[5] ^= 1, -libc::EPROTO, "ComID"),
        (0, |page| page[7] = 1, -libc::EPROTO, "ComID extension"),
        (0, |page| page[16] = 1, -libc::EPROTO, "a ComPacket of"),
        (0, |page| page[40] = 0xff, -libc::EPROTO, "a packet of"),
        (1, |page| page[52] = 0xff, -libc::EPROTO, "a subpacket of"),
        (1, |page| page[51] = 1, -libc::EPROTO, "a subpacket of kind"),
        (0, |page| page[11] = 1, -libc::EPROTO, "wants to answer with 1 bytes"),
        (0, |page| page.fill(0xff), -libc::EPROTO, "a ComPacket of 4294967295 bytes"),
        (0, |page| page[56..200].fill(0xf0), -libc::EPROTO, "not usable"),
        (1, |page| page[56..80].fill(0xf0), -libc::EPROTO, "not usable"),
        (1, |page| page[23] ^= 1, -libc::EPROTO, "TPer session number"),
        (1, |page| page[27] ^= 1, -libc::EPROTO, "host session number"),
        (1, |page| page[20..28].fill(0), -libc::EPROTO, "TPer session number"),
        (0, |page| synchronized(page, |_| 0x7fff_0000, 7), -libc::EPROTO, "host session number"),
        (0, |page| synchronized(page, |hsn| hsn, 0), -libc::EPROTO, "impossible number"),
        (0, |page| synchronized(page, |hsn| hsn, 1 << 32), -libc::EPROTO, "impossible number"),
        (
            0,
            |page| replaced(page, |to| _ = to.answer(MethodStatus::SUCCESS, |_| {})),
            -libc::EPROTO,
            "no SyncSession",
        ),
        (0, |page| replaced(page, |to| _ = to.answer(MethodStatus::SP_BUSY, |_| {})), 3, "SP_BUSY"),
        (1, |page| replaced(page, |to| _ = to.answer(MethodStatus::FAIL, |_| {})), 0x3f, "FAIL"),
        (1, |page| replaced(page, |to| _ = to.answer(MethodStatus(0x77), |_| {})), 0x77, "not known (0x77)"),
        (
            1,
            |page| replaced(page, |to| _ = to.answer(MethodStatus::SUCCESS, |_| {})),
            -libc::EPROTO,
            "a value expected",
        ),
        (
            1,
            |page| replaced(page, |to| _ = to.answer(MethodStatus::SUCCESS, |to| _ = to.list(|_| {}))),
            -libc::EACCES,
            "does not show column 3",
        ),
        (
            1,
            |page| {
                let row = |to: &mut Encoder| _ = to.list(|to| _ = to.named(3, |to| _ = to.unsigned(3)));
                replaced(page, |to| _ = to.answer(MethodStatus::SUCCESS, row));
            },
            -libc::EPROTO,
            "a sequence of bytes expected",
        ),
        (
            1,
            |page| {
                page[20..28].fill(0);
                replaced(page, |to| {
                    _ = to.call(Uid::SESSION_MANAGER, Uid::CLOSE_SESSION, |to| _ = to.unsigned(1))
                });
            },
            -libc::ECONNRESET,
            "ended the session",
        ),
        (1, |page| replaced(page, |to| _ = to.end_of_session()), -libc::ECONNRESET, "ended the session"),
        (
            1,
            |page| replaced(page, |to| _ = to.call(Uid::LOCKING_SP, Uid::GET, |_| {})),
            -libc::EPROTO,
            "a method invocation",
        ),
        (0, |page| *page = ComPacket::empty(0x1000, 0, 0).to_vec(), -libc::EPROTO, "none is to come"),
        (
            0,
            |page| *page = ComPacket::empty(0x1000, 9, 1 << 20).to_vec(),
            -libc::EPROTO,
            "wants to answer with 1048576",
        ),
        (0, |page| page.truncate(0), -libc::EPROTO, "ComID"),
    ];
    for (number, lie, expected, said) in lies {
        let (number, lie) = (*number, *lie);
        let (rc, lines) = with_lies(move |count, page| {
            if count == number {
                lie(page)
            }
        });
        assert_eq!(rc, *expected, "{said}: {lines:?}");
        assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:?}");
    }
}

/// A TPer may say that it is not ready, but not for ever.
#[test]
fn a_tper_may_take_its_time() {
    let mut held: Option<Vec<u8>> = None;
    let (rc, lines) = with_lies(move |count, page| match count % 4 {
        0 => {
            held = Some(page.clone());
            *page = ComPacket::empty(0x1000, 1, 0).to_vec();
        }
        // It is there, and longer than what was asked for.
        2 => *page = ComPacket::empty(0x1000, 2, 4096).to_vec(),
        1 => *page = ComPacket::empty(0x1000, 1, 0).to_vec(),
        _ => *page = held.take().unwrap(),
    });
    assert_eq!((rc, lines), (0, Vec::new()));

    let (rc, lines) = with_lies(|_, page| *page = ComPacket::empty(0x1000, 1, 0).to_vec());
    assert_eq!(rc, -libc::ECANCELED);
    assert!(lines.len() == 1 && lines[0].contains("not ready with its answer in 30000 ms"), "{lines:?}");
}

/// Whatever a TPer answers, a command ends.
#[test]
fn any_answer_ends_a_command() {
    for seed in 0..100_u32 {
        let mut state = u64::from(seed) + 1;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let number = random(8) as u32;
        let (rc, lines) = with_lies(move |count, page| {
            if count == number {
                for _ in 0..=random(4) {
                    let within = [100, 160][random(2)];
                    let at = random(within);
                    page[at] = [0, 1, 0x7f, 0xa8, 0xd7, 0xe2, 0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xff][random(12)];
                }
            }
        });
        // A method status, or what the header says of an answer that is refused, late, or makes no sense.
        let errnos = [libc::EPROTO, libc::ECONNRESET, libc::EACCES, libc::ECANCELED, libc::EIO];
        assert!((0..=0xff).contains(&rc) || errnos.contains(&-rc), "seed {seed}: {rc}, {lines:?}");
        assert!(rc == 0 || !lines.is_empty(), "seed {seed}: {rc} and no line");
    }
}

thread_local! {
    static DEVICE: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static CONTROLLER: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static MEANWHILE: Cell<Option<c_int>> = const { Cell::new(None) };
}

extern "C" fn calls_back(_: *mut c_void, _: *const [u8; 16]) {
    // SAFETY: the device is live.
    MEANWHILE.set(Some(unsafe { spdk_opal_cmd_revert_tper(DEVICE.get(), OWNER.as_ptr()) }));
}

/// A callback that runs while a command of Opal waits is refused another one, of whatever device of the controller.
#[test]
fn one_command_at_a_time() {
    let opal = Opal::new();
    // SAFETY: the handles are live, and the buffer is large enough.
    unsafe {
        let other = spdk_opal_dev_construct(opal.scene.controller);
        for dev in [opal.dev, other] {
            DEVICE.set(dev);
            let (controller, buffer) = (opal.scene.controller, opal.scene.buffer());
            assert_eq!(
                spdk_nvme_ocssd_ctrlr_cmd_geometry(controller, 1, buffer, 4096, calls_back, null_mut()),
                0
            );
            let lines = logged(tracing::Level::ERROR, || {
                assert_eq!(spdk_opal_cmd_activate_locking_sp(opal.dev, WRONG.as_ptr()), NOT_AUTHORIZED);
            });
            assert_eq!(MEANWHILE.take(), Some(-libc::EBUSY));
            assert!(lines.iter().any(|line| line.contains("another command of Opal runs")), "{lines:?}");
        }
        spdk_opal_dev_destruct(other);
    }
    opal.end();
}

/// A controller that refuses a command of an exchange, or is late with it, is left with an answer and with a session: they are in nobody's
/// way, whichever command that was.
#[test]
fn nothing_is_left_at_a_tper() {
    for opcode in [AdminOpcode::SECURITY_SEND.0, AdminOpcode::SECURITY_RECEIVE.0] {
        for is_held in [false, true] {
            // StartSession, Get, EndOfSession, StartSession, Set, EndOfSession
            for number in 0..6 {
                // The TPer gave SyncSession away, and the controller not: nobody knows which session it was.
                if opcode == AdminOpcode::SECURITY_RECEIVE.0 && [0, 3].contains(&number) {
                    continue;
                }
                let opal = Opal::new();
                let mut count = 0;
                opal.scene.world.set_liar(move |answer| {
                    if answer.command.opcode() != opcode {
                        return;
                    }
                    if count == number && is_held {
                        answer.hold = true;
                    } else if count == number {
                        answer.completion =
                            Completion::new(0, answer.command.cid(), Status::NAMESPACE_NOT_READY);
                        answer.page = None;
                    }
                    count += 1;
                });
                let own = || {
                    // SAFETY: the device is live.
                    unsafe { spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()) }
                };
                let expected = if is_held { -libc::ECANCELED } else { -libc::EIO };
                let context = format!("{opcode:#x} {number} {is_held}");
                assert_eq!(own(), expected, "{context}");
                // Set may have been heard.
                let again = own();
                assert!(again == 0 || number >= 4 && again == NOT_AUTHORIZED, "{context}: {again}");
                opal.end();
            }
        }
    }
}

/// What was left is the association's: a controller that was reset is not asked for it.
#[test]
fn a_reset_ends_what_is_left() {
    for is_reset in [false, true] {
        let opal = Opal::new();
        let (opcodes, holds) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(true)));
        let (seen, held) = (opcodes.clone(), holds.clone());
        opal.scene.world.set_liar(move |answer| {
            let opcode = answer.command.opcode();
            if [AdminOpcode::SECURITY_SEND.0, AdminOpcode::SECURITY_RECEIVE.0].contains(&opcode) {
                seen.borrow_mut().push(opcode);
                // The answer to Get.
                answer.hold = held.get() && seen.borrow().len() == 4;
            }
        });
        let own = || {
            // SAFETY: the device is live.
            unsafe { spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()) }
        };
        assert_eq!(own(), -libc::ECANCELED);
        holds.set(false);
        if is_reset {
            // SAFETY: the handle is live.
            assert_eq!(unsafe { spdk_nvme_ctrlr_reset(opal.scene.controller) }, 0);
        }
        opcodes.borrow_mut().clear();
        assert_eq!(own(), 0);
        let first = if is_reset { AdminOpcode::SECURITY_SEND } else { AdminOpcode::SECURITY_RECEIVE };
        assert_eq!(opcodes.borrow().first(), Some(&first.0), "{is_reset}");
        opal.end();
    }
}

extern "C" fn resets(_: *mut c_void, _: *const [u8; 16]) {
    // SAFETY: the handle is live.
    MEANWHILE.set(Some(unsafe { spdk_nvme_ctrlr_reset(CONTROLLER.get().cast()) }));
}

/// A callback that runs while a command of Opal waits may reset the controller: the command ends, and the next one finds the TPer free.
#[test]
fn a_controller_is_reset_during_a_command() {
    let opal = Opal::new();
    let (controller, buffer) = (opal.scene.controller, opal.scene.buffer());
    CONTROLLER.set(controller.cast());
    let own = || {
        // SAFETY: the device is live.
        unsafe { spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()) }
    };
    // SAFETY: the handle is live, and the buffer is large enough.
    let submitted =
        unsafe { spdk_nvme_ocssd_ctrlr_cmd_geometry(controller, 1, buffer, 4096, resets, null_mut()) };
    assert_eq!(submitted, 0);
    let rc = own();
    assert_eq!(MEANWHILE.take(), Some(0));
    // What it waited for was aborted with its queue.
    assert_eq!((rc, own()), (-libc::EIO, 0));
    opal.end();
}

extern "C" fn frees_the_device(_: *mut c_void, _: *const [u8; 16]) {
    // SAFETY: the device is live.
    unsafe { spdk_opal_dev_destruct(DEVICE.get()) };
    MEANWHILE.set(Some(0));
}

/// A callback that runs while a command of Opal waits may free its device: the command goes on, and the device is none afterwards.
#[test]
fn a_device_is_freed_during_its_command() {
    let opal = Opal::new();
    DEVICE.set(opal.dev);
    let (controller, buffer) = (opal.scene.controller, opal.scene.buffer());
    // SAFETY: the handles are live, but for the device that was freed, which is refused; the buffer is large enough.
    unsafe {
        assert_eq!(
            spdk_nvme_ocssd_ctrlr_cmd_geometry(controller, 1, buffer, 4096, frees_the_device, null_mut()),
            0
        );
        assert_eq!(spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()), 0);
        assert_eq!(MEANWHILE.take(), Some(0), "the callback ran in the command");
        let lines = logged(tracing::Level::ERROR, || {
            assert_eq!(spdk_opal_cmd_activate_locking_sp(opal.dev, OWNER.as_ptr()), EINVAL);
        });
        assert!(lines.len() == 1 && lines[0].contains("is a device of Opal that was freed"), "{lines:?}");

        // Nothing of the command is left: another device goes on where it ended.
        let other = spdk_opal_dev_construct(controller);
        assert_eq!(spdk_opal_cmd_activate_locking_sp(other, OWNER.as_ptr()), 0);
        spdk_opal_dev_destruct(other);
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(opal.scene.qpair), 0);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    opal.scene.world.finish(None);
}

extern "C" fn detaches_the_controller(_: *mut c_void, _: *const [u8; 16]) {
    // SAFETY: the handle is live.
    MEANWHILE.set(Some(unsafe { spdk_nvme_detach(CONTROLLER.get().cast()) }));
}

/// A callback that runs while a command of Opal waits may detach the controller: the command ends, and its devices have none afterwards.
#[test]
fn a_controller_is_detached_during_a_command() {
    let opal = Opal::new();
    let (controller, buffer) = (opal.scene.controller, opal.scene.buffer());
    CONTROLLER.set(controller.cast());
    // SAFETY: the handles are live, and the buffer is large enough.
    unsafe {
        let other = spdk_opal_dev_construct(controller);
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(opal.scene.qpair), 0);
        let submitted = spdk_nvme_ocssd_ctrlr_cmd_geometry(
            controller,
            1,
            buffer,
            4096,
            detaches_the_controller,
            null_mut(),
        );
        assert_eq!(submitted, 0);
        let rc = Cell::new(0);
        let lines = logged(tracing::Level::ERROR, || {
            rc.set(spdk_opal_cmd_take_ownership(opal.dev, OWNER.as_ptr().cast_mut()));
        });
        assert_eq!((MEANWHILE.take(), rc.get()), (Some(0), -libc::ENXIO), "{lines:?}");
        assert!(!lines.is_empty());
        for dev in [opal.dev, other] {
            let lines = logged(tracing::Level::ERROR, || {
                assert_eq!(spdk_opal_cmd_take_ownership(dev, OWNER.as_ptr().cast_mut()), -libc::ENXIO);
            });
            assert!(lines.len() == 1 && lines[0].contains("was detached"), "{lines:?}");
            spdk_opal_dev_destruct(dev);
        }
    }
    opal.scene.world.finish(None);
}
