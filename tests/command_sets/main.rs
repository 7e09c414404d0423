//! Namespaces of other command sets than that of NVM: zones, keys and values; and what of other kinds of devices a controller over RDMA is
//! asked for: Open-Channel, Opal, character devices. Through the C face, with the target's own such namespaces.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod declared;
mod devices;
#[path = "../common/face.rs"]
mod face;
mod keys;
mod opal;
mod zones;

use common::{NQN, World, lines::logged, until, with_namespaces};
use declared::*;
use face::*;
use spec::{
    AdminOpcode, Command, Completion, FabricsType, Status,
    identify::OACS_SECURITY,
    registers,
    security::encode_protocols,
    zoned::{ZoneDescriptor, ZoneState},
};
use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr::{null, null_mut},
    rc::Rc,
};
use target::Options;

type Page = *const [u8; 4096];

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
