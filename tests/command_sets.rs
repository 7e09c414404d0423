//! Namespaces of other command sets than that of NVM: zones, keys and values; and what of other kinds of devices a controller over RDMA is
//! asked for: Open-Channel, Opal, character devices. Through the C face, with the target's own such namespaces.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, lines::logged, until, with_namespaces};
use face::*;
use spec::{
    AdminOpcode, Command, Completion, Status,
    identify::OACS_SECURITY,
    security::encode_protocols,
    zoned::{ZoneDescriptor, ZoneState},
};
use std::{
    cell::{Cell, RefCell},
    ffi::{c_char, c_int, c_void},
    ptr::{null, null_mut},
    rc::Rc,
};
use target::Options;

type Page = *const [u8; 4096];

unsafe extern "C" {
    fn spdk_nvme_ctrlr_get_flags(controller: Handle) -> u64;
    fn spdk_nvme_ctrlr_reset(controller: Handle) -> c_int;
    fn spdk_nvme_ctrlr_format(controller: Handle, namespace: u32, format: *const u32) -> c_int;
    fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: Handle) -> c_int;
    fn spdk_nvme_ns_get_csi(ns: Handle) -> u32;
    fn spdk_nvme_ns_is_active(ns: Handle) -> bool;
    fn spdk_nvme_ns_get_sector_size(ns: Handle) -> u32;
    fn spdk_nvme_nvm_ns_get_data(ns: Handle) -> Page;
    fn spdk_nvme_zns_ctrlr_get_data(controller: Handle) -> Page;
    fn spdk_nvme_zns_ctrlr_get_max_zone_append_size(controller: Handle) -> u32;
    fn spdk_nvme_zns_ns_get_data(ns: Handle) -> Page;
    fn spdk_nvme_zns_ns_get_zone_size_sectors(ns: Handle) -> u64;
    fn spdk_nvme_zns_ns_get_zone_size(ns: Handle) -> u64;
    fn spdk_nvme_zns_ns_get_num_zones(ns: Handle) -> u64;
    fn spdk_nvme_zns_ns_get_max_open_zones(ns: Handle) -> u32;
    fn spdk_nvme_zns_ns_get_max_active_zones(ns: Handle) -> u32;
    fn spdk_nvme_zns_close_zone(n: Handle, q: Handle, slba: u64, all: bool, d: Done, a: *mut c_void)
    -> c_int;
    fn spdk_nvme_zns_finish_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_zns_open_zone(n: Handle, q: Handle, slba: u64, all: bool, d: Done, a: *mut c_void) -> c_int;
    fn spdk_nvme_zns_reset_zone(n: Handle, q: Handle, slba: u64, all: bool, d: Done, a: *mut c_void)
    -> c_int;
    fn spdk_nvme_zns_offline_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_zns_set_zone_desc_ext(
        n: Handle,
        q: Handle,
        slba: u64,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_zns_report_zones(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: u32,
        slba: u64,
        which: u32,
        partial: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_zns_ext_report_zones(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: u32,
        slba: u64,
        which: u32,
        partial: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_zns_zone_append(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_zns_zone_append_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        mask: u16,
        tag: u16,
    ) -> c_int;
    fn spdk_nvme_zns_zone_appendv(
        n: Handle,
        q: Handle,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        r: Option<Reset>,
        x: Option<Next>,
    ) -> c_int;
    fn spdk_nvme_zns_zone_appendv_with_md(
        n: Handle,
        q: Handle,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        r: Option<Reset>,
        x: Option<Next>,
        m: *mut c_void,
        mask: u16,
        tag: u16,
    ) -> c_int;
    fn spdk_nvme_kv_ctrlr_get_data(controller: Handle) -> Page;
    fn spdk_nvme_kv_ns_get_data(ns: Handle) -> Page;
    fn spdk_nvme_kv_store(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        v: *const c_void,
        vl: u32,
        d: Done,
        a: *mut c_void,
        o: u8,
    ) -> c_int;
    fn spdk_nvme_kv_retrieve(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        v: *mut c_void,
        vl: u32,
        d: Done,
        a: *mut c_void,
        o: u8,
    ) -> c_int;
    fn spdk_nvme_kv_delete(n: Handle, q: Handle, k: *const u8, kl: u8, d: Done, a: *mut c_void) -> c_int;
    fn spdk_nvme_kv_exist(n: Handle, q: Handle, k: *const u8, kl: u8, d: Done, a: *mut c_void) -> c_int;
    fn spdk_nvme_kv_list(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ctrlr_is_ocssd_supported(controller: Handle) -> bool;
    fn spdk_nvme_ocssd_ctrlr_cmd_geometry(
        c: Handle,
        nsid: u32,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_reset(
        n: Handle,
        q: Handle,
        l: *mut u64,
        c: u32,
        i: *mut c_void,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_read(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_read_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_write(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_write_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_ocssd_ns_cmd_vector_copy(
        n: Handle,
        q: Handle,
        to: *mut u64,
        from: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    fn spdk_nvme_cuse_register(controller: Handle) -> c_int;
    fn spdk_nvme_cuse_unregister(controller: Handle) -> c_int;
    fn spdk_nvme_cuse_update_namespaces(controller: Handle);
    fn spdk_nvme_cuse_get_ctrlr_name(controller: Handle, name: *mut c_char, size: *mut usize) -> c_int;
    fn spdk_nvme_cuse_get_ns_name(
        controller: Handle,
        nsid: u32,
        name: *mut c_char,
        size: *mut usize,
    ) -> c_int;
    fn spdk_nvme_pcie_set_hotplug_filter(filter: *const c_void);
    fn spdk_opal_dev_construct(controller: Handle) -> *mut c_void;
    fn spdk_opal_dev_destruct(dev: *mut c_void);
    fn spdk_opal_get_d0_features_info(dev: *mut c_void) -> *mut c_void;
    fn spdk_opal_get_locking_range_info(dev: *mut c_void, id: u32) -> *mut c_void;
    fn spdk_opal_free_locking_range_info(dev: *mut c_void, id: u32);
    fn spdk_opal_cmd_take_ownership(dev: *mut c_void, password: *mut c_char) -> c_int;
    fn spdk_opal_cmd_lock_unlock(
        dev: *mut c_void,
        user: u32,
        flag: u32,
        range: u32,
        p: *const c_char,
    ) -> c_int;
    fn spdk_opal_cmd_setup_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        start: u64,
        length: u64,
        p: *const c_char,
    ) -> c_int;
    fn spdk_opal_cmd_get_max_ranges(dev: *mut c_void, p: *const c_char) -> c_int;
    fn spdk_opal_cmd_get_locking_range_info(
        dev: *mut c_void,
        p: *const c_char,
        user: u32,
        range: u32,
    ) -> c_int;
    fn spdk_opal_cmd_enable_user(dev: *mut c_void, user: u32, p: *const c_char) -> c_int;
    fn spdk_opal_cmd_add_user_to_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        flag: u32,
        p: *const c_char,
    ) -> c_int;
    fn spdk_opal_cmd_set_new_passwd(
        dev: *mut c_void,
        user: u32,
        new: *const c_char,
        old: *const c_char,
        new_user: bool,
    ) -> c_int;
    fn spdk_opal_cmd_erase_locking_range(dev: *mut c_void, user: u32, range: u32, p: *const c_char) -> c_int;
    fn spdk_opal_cmd_secure_erase_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        p: *const c_char,
    ) -> c_int;
    fn spdk_opal_cmd_activate_locking_sp(dev: *mut c_void, p: *const c_char) -> c_int;
    fn spdk_opal_cmd_revert_tper(dev: *mut c_void, p: *const c_char) -> c_int;
}

const ZONE_APPEND_SUPPORTED: u64 = 1 << 5;
const EINVAL: c_int = -libc::EINVAL;
const ENOTSUP: c_int = -libc::ENOTSUP;
/// Four zones of 128 blocks of which 96 can be written; two may be open and three active. Then blocks, then keys.
const NAMESPACES: &str = "ns=256K:512:z64K/48K/2/3,ns=1M,ns=64K:kv";
const ZONE: u64 = 128;

thread_local! {
    static ENDED: Cell<Option<Completion>> = const { Cell::new(None) };
    /// Bytes of a piece, where the pieces are, and which byte is next.
    static PIECES: Cell<(u32, *mut u8, u32)> = const { Cell::new((0, null_mut(), 0)) };
}

extern "C" fn done(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    ENDED.set(Some(Completion::from_bytes(unsafe { &*completion })));
}

extern "C" fn reset(_: *mut c_void, offset: u32) {
    let (each, at, _) = PIECES.get();
    PIECES.set((each, at, offset));
}

extern "C" fn next(_: *mut c_void, address: *mut *mut c_void, length: *mut u32) -> c_int {
    let (each, at, offset) = PIECES.get();
    // SAFETY: the library gives places for both.
    unsafe {
        *address = at.wrapping_add(offset as usize).cast();
        *length = each - offset % each;
        PIECES.set((each, at, offset + *length));
    }
    0
}

struct Scene {
    world: World,
    controller: Handle,
    qpair: Handle,
}

impl Scene {
    fn new() -> Self {
        Self::of(NAMESPACES)
    }

    fn of(namespaces: &str) -> Self {
        let world = World::with(with_namespaces(namespaces, Options::default()));
        let controller = connect(NQN, 4420, 1);
        assert!(!controller.is_null());
        let qpair = alloc(controller);
        assert!(!qpair.is_null());
        Self { world, controller, qpair }
    }

    fn ns(&self, id: u32) -> Handle {
        // SAFETY: the handle is live.
        unsafe { spdk_nvme_ctrlr_get_ns(self.controller, id) }
    }

    fn buffer(&self) -> *mut c_void {
        self.world.buffer()
    }

    fn wait(&self, rc: c_int) -> Completion {
        assert_eq!(rc, 0);
        until("the command", || {
            // SAFETY: the handles are live.
            unsafe {
                assert!(spdk_nvme_qpair_process_completions(self.qpair, 0) >= 0);
                assert!(spdk_nvme_ctrlr_process_admin_completions(self.controller) >= 0);
            }
            ENDED.get().is_some()
        });
        ENDED.take().unwrap()
    }

    fn status(&self, rc: c_int) -> Status {
        self.wait(rc).status().with_dnr(false)
    }

    fn store(&self, bytes: &[u8]) {
        // SAFETY: the world's memory has 4 MiB, and no device uses it between two commands.
        unsafe { self.buffer().cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) }
    }

    fn load(&self, length: usize) -> Vec<u8> {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.buffer().cast::<u8>(), length) }.to_vec()
    }

    fn write(&self, lba: u64, blocks: u32) -> Status {
        // SAFETY: the handles are live, and the buffer is large enough.
        self.status(unsafe {
            spdk_nvme_ns_cmd_write(self.ns(1), self.qpair, self.buffer(), lba, blocks, done, null_mut(), 0)
        })
    }

    fn read(&self, lba: u64, blocks: u32) -> Status {
        // SAFETY: as above.
        self.status(unsafe {
            spdk_nvme_ns_cmd_read(self.ns(1), self.qpair, self.buffer(), lba, blocks, done, null_mut(), 0)
        })
    }

    fn append(&self, lba: u64, blocks: u32) -> Completion {
        // SAFETY: as above.
        self.wait(unsafe {
            spdk_nvme_zns_zone_append(self.ns(1), self.qpair, self.buffer(), lba, blocks, done, null_mut(), 0)
        })
    }

    fn manage(
        &self,
        entry: unsafe extern "C" fn(Handle, Handle, u64, bool, Done, *mut c_void) -> c_int,
        zone: Option<u64>,
    ) -> Status {
        let lba = zone.map_or(0, |zone| zone * ZONE);
        // SAFETY: the handles are live.
        self.status(unsafe { entry(self.ns(1), self.qpair, lba, zone.is_none(), done, null_mut()) })
    }

    /// How many zones there are in a report, and those in it.
    fn report(&self, from: u64, which: u32, partial: bool, room: u32) -> (u64, Vec<ZoneDescriptor>) {
        self.store(&vec![0xee; room as usize]);
        // SAFETY: the handles are live, and the buffer is large enough.
        let status = self.status(unsafe {
            spdk_nvme_zns_report_zones(
                self.ns(1),
                self.qpair,
                self.buffer(),
                room,
                from * ZONE,
                which,
                partial,
                done,
                null_mut(),
            )
        });
        assert_eq!(status, Status::SUCCESS);
        let bytes = self.load(room as usize);
        let count = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let zones = bytes[64..].as_chunks::<64>().0.iter().map(ZoneDescriptor::decode);
        (count, zones.filter(|zone| zone.state.0 != 0).collect())
    }

    /// The states and the written blocks of all zones.
    fn zones(&self) -> Vec<(ZoneState, u64)> {
        let (count, zones) = self.report(0, 0, false, 64 * 5);
        assert_eq!((count, zones.len()), (4, 4));
        for (nth, zone) in (0..).zip(&zones) {
            assert_eq!((zone.start, zone.capacity), (nth * ZONE, 96));
        }
        zones.iter().map(|zone| (zone.state, zone.write_pointer.wrapping_sub(zone.start))).collect()
    }

    fn finish(self) {
        // SAFETY: the handles are live until here.
        unsafe {
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(self.qpair), 0);
            assert_eq!(spdk_nvme_detach(self.controller), 0);
        }
        self.world.finish(None);
    }
}

#[test]
fn what_there_is_to_know_of_namespaces() {
    let scene = Scene::new();
    // SAFETY: the handles are live, and pages stay.
    unsafe {
        let [zoned, plain, keys] = [1, 2, 3].map(|id| scene.ns(id));
        for time in 0..2 {
            let csi = [zoned, plain, keys].map(|ns| spdk_nvme_ns_get_csi(ns));
            assert_eq!(csi, [2, 0, 1], "time {time}");
            assert!([zoned, plain, keys].iter().all(|ns| spdk_nvme_ns_is_active(*ns)));
            assert_ne!(spdk_nvme_ctrlr_get_flags(scene.controller) & ZONE_APPEND_SUPPORTED, 0);
            // MDTS is 128 KiB, and ZASL half of that.
            assert_eq!(spdk_nvme_zns_ctrlr_get_max_zone_append_size(scene.controller), 65_536);
            assert_eq!((*spdk_nvme_zns_ctrlr_get_data(scene.controller))[0], 4);
            assert!(!spdk_nvme_kv_ctrlr_get_data(scene.controller).is_null());
            assert_eq!(spdk_nvme_zns_ns_get_zone_size_sectors(zoned), ZONE);
            assert_eq!(
                (spdk_nvme_zns_ns_get_zone_size(zoned), spdk_nvme_zns_ns_get_num_zones(zoned)),
                (65_536, 4)
            );
            let most =
                (spdk_nvme_zns_ns_get_max_open_zones(zoned), spdk_nvme_zns_ns_get_max_active_zones(zoned));
            assert_eq!(most, (2, 3));
            assert_eq!((*spdk_nvme_zns_ns_get_data(zoned))[4], 2, "MAR");
            for ns in [plain, keys, null_mut()] {
                assert_eq!(
                    (spdk_nvme_zns_ns_get_zone_size_sectors(ns), spdk_nvme_zns_ns_get_zone_size(ns)),
                    (0, 0)
                );
                assert_eq!(
                    (spdk_nvme_zns_ns_get_max_open_zones(ns), spdk_nvme_zns_ns_get_max_active_zones(ns)),
                    (0, 0)
                );
                assert_eq!(spdk_nvme_zns_ns_get_num_zones(ns), 0);
                assert!(spdk_nvme_zns_ns_get_data(ns).is_null());
            }
            for ns in [zoned, plain, null_mut()] {
                assert!(spdk_nvme_kv_ns_get_data(ns).is_null());
            }
            let data = &*spdk_nvme_kv_ns_get_data(keys);
            assert_eq!((data[..4].to_vec(), data[72]), (65_536u32.to_le_bytes().to_vec(), 16));
            assert!([zoned, plain, keys].iter().all(|ns| spdk_nvme_nvm_ns_get_data(*ns).is_null()));
            assert_eq!((spdk_nvme_ns_get_sector_size(keys), spdk_nvme_ns_get_sector_size(zoned)), (0, 512));
            // A reset asks for all of it again.
            assert_eq!(spdk_nvme_ctrlr_reset(scene.controller), 0);
        }
    }
    scene.finish();
}

#[test]
fn a_controller_of_plain_namespaces_says_nothing_of_others() {
    let scene = Scene::of("ns=1M");
    // SAFETY: the handles are live, and the buffer is large enough.
    unsafe {
        assert_eq!(spdk_nvme_ctrlr_get_flags(scene.controller) & ZONE_APPEND_SUPPORTED, 0);
        assert_eq!(spdk_nvme_zns_ctrlr_get_max_zone_append_size(scene.controller), 0);
        assert!(spdk_nvme_zns_ctrlr_get_data(scene.controller).is_null());
        assert!(spdk_nvme_kv_ctrlr_get_data(scene.controller).is_null());
        let (ns, q, buffer) = (scene.ns(1), scene.qpair, scene.buffer());
        assert_eq!(spdk_nvme_zns_zone_append(ns, q, buffer, 0, 1, done, null_mut(), 0), EINVAL);
        // Zone management is the controller's to refuse. What would be a write there is not sent.
        let status = scene.status(spdk_nvme_zns_open_zone(ns, q, 0, false, done, null_mut()));
        assert_eq!(status, Status::INVALID_OPCODE);
        assert_eq!(spdk_nvme_kv_store(ns, q, b"k".as_ptr(), 1, buffer, 512, done, null_mut(), 0), EINVAL);
    }
    scene.finish();
}

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

#[test]
fn keys_have_values() {
    let scene = Scene::new();
    let (ns, q, b, none) = (scene.ns(3), scene.qpair, scene.buffer(), null_mut::<c_void>());
    // SAFETY: the handles are live, and buffer and keys are large enough; what is refused is not touched.
    unsafe {
        let store = |key: &[u8], value: &[u8], options| {
            scene.store(value);
            scene.status(spdk_nvme_kv_store(
                ns,
                q,
                key.as_ptr(),
                key.len() as u8,
                b,
                value.len() as u32,
                done,
                none,
                options,
            ))
        };
        let retrieve = |key: &[u8], room: u32| {
            scene.store(&vec![0xee; 1024]);
            let ended = scene.wait(spdk_nvme_kv_retrieve(
                ns,
                q,
                key.as_ptr(),
                key.len() as u8,
                b,
                room,
                done,
                none,
                0,
            ));
            (ended.status().with_dnr(false), ended.cdw0(), scene.load(room as usize + 1))
        };
        let exist =
            |key: &[u8]| scene.status(spdk_nvme_kv_exist(ns, q, key.as_ptr(), key.len() as u8, done, none));
        let delete =
            |key: &[u8]| scene.status(spdk_nvme_kv_delete(ns, q, key.as_ptr(), key.len() as u8, done, none));
        assert_eq!(exist(b"one"), Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"one", b"a value", 1), Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"one", b"a value", 2), Status::SUCCESS);
        assert_eq!(store(b"one", b"another", 2), Status::KEY_EXISTS);
        assert_eq!(exist(b"one"), Status::SUCCESS);
        let long = b"0123456789abcdef";
        assert_eq!(store(long, &[7; 1000], 0), Status::SUCCESS);
        assert_eq!(retrieve(b"one", 7), (Status::SUCCESS, 7, b"a value\xee".to_vec()));
        assert_eq!(retrieve(b"one", 4), (Status::SUCCESS, 7, b"a va\xee".to_vec()));
        assert_eq!(retrieve(b"one", 9), (Status::SUCCESS, 7, b"a value\xee\xee\xee".to_vec()));
        assert_eq!(retrieve(long, 1000).1, 1000);
        assert_eq!(retrieve(b"on", 7).0, Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"too much", &vec![1; 70_000], 0), Status::CAPACITY_EXCEEDED);
        // Lists: all, from one on, and no more than fit.
        let list = |key: Option<&[u8]>, room: u32| {
            let (at, length) = key.map_or((null(), 0), |key| (key.as_ptr(), key.len() as u8));
            let status = scene.status(spdk_nvme_kv_list(ns, q, at, length, b, room, done, none));
            assert_eq!(status, Status::SUCCESS);
            scene.load(room as usize)
        };
        let all = list(None, 64);
        assert_eq!(all[..32], *b"\x02\0\0\0\x10\x000123456789abcdef\0\0\x03\0one\0\0\0");
        assert_eq!(
            (list(Some(&b"one"[..]), 16)[..9].to_vec(), list(None, 8)[0]),
            (b"\x01\0\0\0\x03\0one".to_vec(), 0)
        );
        assert_eq!((delete(long), delete(long)), (Status::SUCCESS, Status::KEY_DOES_NOT_EXIST));
        assert_eq!(store(b"one", &[9; 512], 1), Status::SUCCESS);
        assert_eq!(retrieve(b"one", 512).2[..512], [9; 512]);
        // A namespace of keys has no blocks.
        let rc = spdk_nvme_ns_cmd_read(ns, q, b, 0, 1, done, none, 0);
        assert_eq!(rc, EINVAL);
        // What cannot be.
        let key = b"0123456789abcdefg".as_ptr();
        for (key, length) in [(null(), 1), (key, 0), (key, 17), (null(), 0)] {
            assert_eq!(spdk_nvme_kv_store(ns, q, key, length, b, 8, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_retrieve(ns, q, key, length, b, 8, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_delete(ns, q, key, length, done, none), EINVAL);
            assert_eq!(spdk_nvme_kv_exist(ns, q, key, length, done, none), EINVAL);
            let starts = key.is_null() && length == 0;
            let rc = spdk_nvme_kv_list(ns, q, key, length, b, 8, done, none);
            assert_eq!(rc, if starts { 0 } else { EINVAL });
            if starts {
                scene.wait(rc);
            }
        }
        for (buffer, length) in [(null_mut(), 8), (b, 0)] {
            assert_eq!(spdk_nvme_kv_store(ns, q, key, 1, buffer, length, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_retrieve(ns, q, key, 1, buffer, length, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_list(ns, q, null(), 0, buffer, length, done, none), EINVAL);
        }
        // Format erases them.
        assert_eq!(spdk_nvme_ctrlr_format(scene.controller, 3, &0), 0);
        until("the qpair again", || {
            spdk_nvme_qpair_process_completions(q, 0);
            spdk_nvme_ctrlr_reconnect_io_qpair(q) == 0
        });
        assert_eq!(exist(b"one"), Status::KEY_DOES_NOT_EXIST);
    }
    scene.finish();
}

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

/// What a controller says of its security, and what comes of it.
#[test]
fn opal_is_asked_for_and_not_pretended() {
    let mut discovery = vec![0; 48];
    discovery.extend_from_slice(&[2, 3, 0x10, 16]);
    discovery[3] = discovery.len() as u8 - 4;
    let only = encode_protocols(&[0, 0xef]);
    let both = encode_protocols(&[0, 1]);
    let of = |list: &[u8], discovery: &[u8]| [list.to_vec(), discovery.to_vec()];
    for (answers, asked, said) in [
        (None, 0, "no Security Receive"),
        (Some(of(&only, &[])), 1, "no Opal among"),
        (Some(of(&both, &[0; 64])), 2, "no Opal among"),
        (Some(of(&both, &discovery)), 2, "does not drive"),
        (Some(of(&[], &[])), 1, "no Opal"),
    ] {
        let world = World::with(with_namespaces("ns=1M", Options::default()));
        let count = Rc::new(Cell::new(0));
        let (seen, answers) = (count.clone(), answers.clone());
        world.set_liar(move |answer| {
            let Some(answers) = &answers else { return };
            if answer.qid == 0
                && answer.command.opcode() == AdminOpcode::IDENTIFY.0
                && answer.command.cdw10() & 0xff == 1
            {
                let page = answer.page.as_mut().unwrap();
                page[256] |= OACS_SECURITY as u8;
            }
            if answer.qid == 0 && answer.command.opcode() == AdminOpcode::SECURITY_RECEIVE.0 {
                let protocol = (answer.command.cdw10() >> 24) as usize;
                seen.set(seen.get() + 1);
                if !answers[protocol].is_empty() {
                    answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
                    answer.page = Some(answers[protocol].clone());
                }
            }
        });
        let controller = connect(NQN, 4420, 1);
        let lines = logged(tracing::Level::INFO, || {
            // SAFETY: the handle is live.
            assert!(unsafe { spdk_opal_dev_construct(controller) }.is_null());
        });
        assert_eq!(count.get(), asked, "{said}: {lines:?}");
        assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:?}");
        // SAFETY: the handle is live.
        assert_eq!(unsafe { spdk_nvme_detach(controller) }, 0);
        world.finish(None);
    }
}

/// No device of Opal is this library's: what is said to be one is refused, and not looked at.
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
