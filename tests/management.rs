//! What a program does to a controller and its namespaces where the controller lets it: formats, namespaces that are made, attached,
//! detached and deleted, and firmware; through the C face. What is refused has its test in `c-tests/manage.c`.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;
#[path = "common/face.rs"]
mod face;

use common::{World, lines::recorded, until, with_namespaces};
use face::{
    Done, Handle, alloc, connect, spdk_nvme_ctrlr_free_io_qpair, spdk_nvme_ctrlr_get_ns,
    spdk_nvme_ctrlr_process_admin_completions, spdk_nvme_ctrlr_update_firmware, spdk_nvme_detach,
    spdk_nvme_ns_cmd_read, spdk_nvme_ns_cmd_write, spdk_nvme_qpair_process_completions,
};
use spec::{AdminOpcode, Completion, Status, feature::AsyncEvent, namespace::NamespaceImage};
use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr::null_mut,
};
use target::Options;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_get_data(controller: Handle) -> *const [u8; 4096];
    fn spdk_nvme_ctrlr_get_id(controller: Handle) -> u16;
    fn spdk_nvme_ctrlr_is_active_ns(controller: Handle, id: u32) -> bool;
    fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: Handle) -> c_int;
    fn spdk_nvme_ctrlr_register_aer_callback(controller: Handle, told: Done, argument: *mut c_void);
    fn spdk_nvme_ctrlr_format(controller: Handle, id: u32, format: *const u32) -> c_int;
    fn spdk_nvme_ctrlr_create_ns(controller: Handle, data: *const [u8; 4096]) -> u32;
    fn spdk_nvme_ctrlr_delete_ns(controller: Handle, id: u32) -> c_int;
    fn spdk_nvme_ctrlr_attach_ns(controller: Handle, id: u32, list: *const [u16; 2048]) -> c_int;
    fn spdk_nvme_ctrlr_detach_ns(controller: Handle, id: u32, list: *const [u16; 2048]) -> c_int;
    fn spdk_nvme_ns_is_active(namespace: Handle) -> bool;
    fn spdk_nvme_ns_get_sector_size(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_extended_sector_size(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_num_sectors(namespace: Handle) -> u64;
    fn spdk_nvme_ns_get_pi_type(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_uuid(namespace: Handle) -> *const [u8; 16];
}

/// The target's formats, of which the first is the namespace's own.
const BLOCKS_OF_512: u32 = 1;
const BLOCKS_OF_4K: u32 = 2;
const BLOCKS_OF_520: u32 = 3;
/// Dword 10 of Format NVM: metadata behind the data, and type 1 of protection information.
const EXTENDED: u32 = 1 << 4;
const TYPE_1: u32 = 1 << 5;

const REPLACE: u32 = 0;
const REPLACE_AND_ENABLE: u32 = 1;
const NAMESPACES_CHANGED: AsyncEvent = AsyncEvent::new(2, 0, 4);

thread_local! {
    static ENDED: Cell<Option<Status>> = const { Cell::new(None) };
    static EVENTS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn done(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    ENDED.set(Some(Completion::from_bytes(unsafe { &*completion }).status()));
}

extern "C" fn told(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    let completion = Completion::from_bytes(unsafe { &*completion });
    EVENTS.with_borrow_mut(|events| events.push(completion.cdw0()));
}

/// A controller and a queue pair of it.
struct Scene {
    world: World,
    controller: Handle,
    qpair: Handle,
}

impl Scene {
    fn new(namespaces: &str) -> Self {
        let world = World::with(with_namespaces(namespaces, Options::default()));
        let controller = connect(common::NQN, 4420, 1);
        assert!(!controller.is_null());
        let qpair = alloc(controller);
        assert!(!qpair.is_null());
        Self { world, controller, qpair }
    }

    fn namespace(&self, id: u32) -> Handle {
        // SAFETY: the handle is live.
        unsafe { spdk_nvme_ctrlr_get_ns(self.controller, id) }
    }

    /// Bytes of a block without and with metadata, the number of blocks, and the type of protection.
    fn shape(&self, id: u32) -> (u32, u32, u64, u32) {
        let ns = self.namespace(id);
        // SAFETY: the handle is live.
        unsafe {
            (
                spdk_nvme_ns_get_sector_size(ns),
                spdk_nvme_ns_get_extended_sector_size(ns),
                spdk_nvme_ns_get_num_sectors(ns),
                spdk_nvme_ns_get_pi_type(ns),
            )
        }
    }

    fn is_active(&self, id: u32) -> bool {
        // SAFETY: the handles are live.
        let (one, other) = unsafe {
            (spdk_nvme_ctrlr_is_active_ns(self.controller, id), spdk_nvme_ns_is_active(self.namespace(id)))
        };
        assert_eq!(one, other);
        one
    }

    fn format(&self, id: u32, dword: u32) -> c_int {
        // SAFETY: the handle is live, and the format is one of 32 bits.
        unsafe { spdk_nvme_ctrlr_format(self.controller, id, &raw const dword) }
    }

    /// A controller list of this controller.
    fn list(&self) -> [u16; 2048] {
        let mut list = [0; 2048];
        // SAFETY: the handle is live.
        (list[0], list[1]) = (1, unsafe { spdk_nvme_ctrlr_get_id(self.controller) });
        list
    }

    fn reconnect(&self) {
        until("the queue pair", || {
            // SAFETY: the handle is live. The first polls end the old connection.
            let rc = unsafe {
                spdk_nvme_qpair_process_completions(self.qpair, 0);
                spdk_nvme_ctrlr_reconnect_io_qpair(self.qpair)
            };
            assert!(rc == 0 || rc == -libc::EAGAIN, "{rc}");
            rc == 0
        });
    }

    fn wait(&self, rc: c_int) -> Status {
        assert_eq!(rc, 0);
        until("the command", || {
            // SAFETY: the handle is live.
            assert!(unsafe { spdk_nvme_qpair_process_completions(self.qpair, 0) } >= 0);
            ENDED.get().is_some()
        });
        ENDED.take().unwrap()
    }

    /// Puts bytes where commands have their data.
    fn store(&self, bytes: &[u8]) {
        assert!(bytes.len() <= 4 << 20);
        // SAFETY: the world's memory has 4 MiB, and no device uses it between two commands.
        unsafe { self.world.buffer().cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) }
    }

    /// What is there.
    fn load(&self, length: usize) -> Vec<u8> {
        assert!(length <= 4 << 20);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.world.buffer().cast::<u8>(), length) }.to_vec()
    }

    fn write(&self, id: u32, lba: u64, bytes: &[u8]) {
        self.store(bytes);
        let blocks = bytes.len() as u32 / self.shape(id).1;
        let (ns, buffer) = (self.namespace(id), self.world.buffer());
        // SAFETY: the handles are live, and the buffer is large enough.
        let rc = unsafe { spdk_nvme_ns_cmd_write(ns, self.qpair, buffer, lba, blocks, done, null_mut(), 0) };
        assert_eq!(self.wait(rc), Status::SUCCESS);
    }

    fn read(&self, id: u32, lba: u64, length: usize) -> Vec<u8> {
        self.store(&vec![0xa5; length]);
        let blocks = length as u32 / self.shape(id).1;
        let (ns, buffer) = (self.namespace(id), self.world.buffer());
        // SAFETY: as above.
        let rc = unsafe { spdk_nvme_ns_cmd_read(ns, self.qpair, buffer, lba, blocks, done, null_mut(), 0) };
        assert_eq!(self.wait(rc), Status::SUCCESS);
        self.load(length)
    }

    /// What is written there can be read, and was not there before.
    fn holds_data(&self, id: u32) {
        let block = self.shape(id).1 as usize;
        let last = self.shape(id).2 - 3;
        let bytes: Vec<u8> = (0..3 * block).map(|at| (at * 13 + at / block) as u8 | 1).collect();
        assert_ne!(self.read(id, last, bytes.len()), bytes);
        self.write(id, last, &bytes);
        assert_eq!(self.read(id, last, bytes.len()), bytes);
    }

    fn update_firmware(&self, image: &[u8], slot: c_int, action: u32) -> (c_int, Status) {
        let mut status = u16::MAX;
        let (size, image) = (image.len() as u32, image.as_ptr().cast());
        // SAFETY: the handle is live, and the image has so many bytes.
        let rc = unsafe {
            spdk_nvme_ctrlr_update_firmware(self.controller, image, size, slot, action, &raw mut status)
        };
        (rc, Status(status >> 1))
    }

    /// FR of the Identify Controller data.
    fn revision(&self) -> String {
        // SAFETY: the handle is live, and the page stays.
        let page = unsafe { &*spdk_nvme_ctrlr_get_data(self.controller) };
        String::from_utf8(page[64..72].to_vec()).unwrap()
    }

    fn finish(self) {
        // SAFETY: the handles are live, and not used any more.
        unsafe {
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(self.qpair), 0);
            assert_eq!(spdk_nvme_detach(self.controller), 0);
        }
        self.world.finish(None);
    }
}

/// A namespace has another format, its data are gone, and the queue pair goes on once it is connected again: the controller was reset.
#[test]
fn a_format_changes_the_namespace_where_it_is() {
    let scene = Scene::new("ns=1M,ns=1M");
    let handle = scene.namespace(1);
    assert_eq!(scene.shape(1), (512, 512, 2048, 0));
    for (dword, shape) in [
        (BLOCKS_OF_4K, (4096, 4096, 256, 0)),
        (BLOCKS_OF_520 | EXTENDED | TYPE_1, (512, 520, 2016, 1)),
        (BLOCKS_OF_520 | EXTENDED, (512, 520, 2016, 0)),
        (BLOCKS_OF_512, (512, 512, 2016, 0)),
        (0, (512, 512, 2016, 0)),
    ] {
        scene.holds_data(1);
        scene.holds_data(2);
        assert_eq!(scene.format(1, dword), 0, "{dword:#x}");
        assert_eq!(scene.shape(1), shape, "{dword:#x}");
        assert_eq!(scene.namespace(1), handle, "it is where it was");
        assert_eq!(scene.shape(2), (512, 512, 2048, 0), "and the other one as it was");
        scene.reconnect();
        let (block, blocks) = (shape.1 as usize, shape.2);
        let found = scene.read(1, blocks - 3, 3 * block);
        // Protection information of a block that nobody wrote is all ones.
        let blank = if shape.3 > 0 { [vec![0; 512], vec![0xff; 8]].concat() } else { vec![0; block] };
        assert_eq!(found, blank.repeat(3), "{dword:#x}");
        // What the next one's holds_data finds is of before.
        scene.write(2, 2045, &[0; 3 * 512]);
    }
    // Metadata where there are none, and the other way round; protection without room; a format that there is not.
    for dword in [BLOCKS_OF_4K | EXTENDED, BLOCKS_OF_520, BLOCKS_OF_512 | TYPE_1, 15] {
        let (rc, lines) = recorded(|| scene.format(1, dword));
        assert_eq!((rc, lines.len()), (-libc::EIO, 1), "{dword:#x}: {lines:?}");
        assert!(lines[0].contains("Format NVM") && lines[0].contains("INVALID FORMAT"), "{lines:?}");
        assert_eq!(scene.shape(1), (512, 512, 2016, 0));
    }
    // The controller was not reset for that.
    scene.read(1, 0, 512);
    scene.finish();
}

/// All namespaces at once.
#[test]
fn a_format_of_all_namespaces() {
    let scene = Scene::new("ns=1M,ns=none,ns=2M");
    assert_eq!(scene.format(u32::MAX, BLOCKS_OF_4K), 0);
    assert_eq!((scene.shape(1), scene.shape(3)), ((4096, 4096, 256, 0), (4096, 4096, 512, 0)));
    assert!(!scene.is_active(2));
    scene.reconnect();
    scene.holds_data(3);
    scene.finish();
}

/// From nothing to a namespace with data, and back.
#[test]
fn a_namespace_is_made_attached_detached_and_deleted() {
    let scene = Scene::new("ns=1M,ns=none,ns=none");
    EVENTS.take();
    let other = connect(common::NQN, 4420, 2);
    assert!(!other.is_null());
    // SAFETY: the handle is live.
    unsafe { spdk_nvme_ctrlr_register_aer_callback(other, told, null_mut()) };
    let hears = |what: &str| {
        until(what, || {
            // SAFETY: the handle is live.
            assert!(unsafe { spdk_nvme_ctrlr_process_admin_completions(other) } >= 0);
            EVENTS.with_borrow(|events| !events.is_empty())
        });
        assert_eq!(EVENTS.take(), [NAMESPACES_CHANGED.0], "{what}");
        // SAFETY: the handle is live.
        unsafe { spdk_nvme_ctrlr_is_active_ns(other, 2) }
    };
    let controller = scene.controller;
    let handle = scene.namespace(2);
    let mut uuids = Vec::new();
    for format in [0_u8, 1] {
        let mut data = NamespaceImage::default();
        data.set_nsze(300).set_ncap(300).set_flbas(format);
        // SAFETY: the handle is live, and the data are whole pages.
        let id = unsafe { spdk_nvme_ctrlr_create_ns(controller, &raw const data.0) };
        assert_eq!(id, 2);
        assert!(!scene.is_active(2), "it is attached to nobody");
        let list = scene.list();
        // SAFETY: the handle is live, and the list a whole page.
        assert_eq!(unsafe { spdk_nvme_ctrlr_attach_ns(controller, 2, &raw const list) }, 0);
        assert!(scene.is_active(2), "and the program need not wait for that");
        let block = 512 << (3 * format);
        assert_eq!(scene.shape(2), (block, block, 300, 0));
        assert_eq!(scene.namespace(2), handle);
        assert!(hears("the other one to hear of it"));
        // SAFETY: the handle is live, and the id stays until the next command.
        uuids.push(unsafe { *spdk_nvme_ns_get_uuid(handle) });
        scene.holds_data(2);
        // A second time, or with nobody's list.
        let (rc, lines) = recorded(|| {
            // SAFETY: as above.
            unsafe { spdk_nvme_ctrlr_attach_ns(controller, 2, &raw const list) }
        });
        assert!(
            rc == -libc::EIO && lines.len() == 1 && lines[0].contains("ALREADY ATTACHED"),
            "{rc} {lines:?}"
        );
        let nobody = [0; 2048];
        let (rc, lines) = recorded(|| {
            // SAFETY: as above.
            unsafe { spdk_nvme_ctrlr_detach_ns(controller, 2, &raw const nobody) }
        });
        assert!(
            rc == -libc::EIO && lines.len() == 1 && lines[0].contains("CONTROLLER LIST"),
            "{rc} {lines:?}"
        );
        // SAFETY: as above.
        assert_eq!(unsafe { spdk_nvme_ctrlr_detach_ns(controller, 2, &raw const list) }, 0);
        assert!(!scene.is_active(2));
        assert!(!hears("the other one to hear of the end"));
        assert_eq!(scene.shape(2), (0, 0, 0, 0));
        // Its data are still there.
        // SAFETY: as above.
        assert_eq!(unsafe { spdk_nvme_ctrlr_attach_ns(controller, 2, &raw const list) }, 0);
        assert_ne!(scene.read(2, 297, block as usize), vec![0; block as usize]);
        assert!(hears("the other one to hear of it again"));
        // SAFETY: the handle is live.
        assert_eq!(unsafe { spdk_nvme_ctrlr_delete_ns(controller, 2) }, 0);
        assert!(!scene.is_active(2) && !hears("the other one to hear that it is gone"));
        let (rc, lines) = recorded(|| {
            // SAFETY: the handle is live.
            unsafe { spdk_nvme_ctrlr_delete_ns(controller, 2) }
        });
        assert!(
            rc == -libc::EIO && lines.len() == 1 && lines[0].contains("Namespace Management"),
            "{rc} {lines:?}"
        );
    }
    assert_ne!(uuids[0], uuids[1], "it is another one");
    // What cannot be made: of no size, of a format that there is not.
    for (size, format) in [(0, 0), (u64::MAX, 0), (8, 0x40)] {
        let mut data = NamespaceImage::default();
        data.set_nsze(size).set_ncap(size).set_flbas(format);
        let (id, lines) = recorded(|| {
            // SAFETY: as above.
            unsafe { spdk_nvme_ctrlr_create_ns(controller, &raw const data.0) }
        });
        assert_eq!((id, lines.len()), (0, 1), "{lines:?}");
    }
    // SAFETY: the handle is live, and not used any more.
    assert_eq!(unsafe { spdk_nvme_detach(other) }, 0);
    scene.finish();
}

/// An image goes over in pieces, and runs after the reset that the call makes.
#[test]
fn firmware_runs_after_the_reset() {
    let scene = Scene::new("ns=1M");
    let first = scene.revision();
    let mut image = b"REV 2.17".to_vec();
    image.resize(3 * 4096 + 8, 7);
    // It is put there, and not run.
    assert_eq!(scene.update_firmware(&image, 2, REPLACE), (0, Status::SUCCESS));
    assert_eq!(scene.revision(), first);
    scene.reconnect();
    assert_eq!(scene.update_firmware(&image, 2, REPLACE_AND_ENABLE), (0, Status::SUCCESS));
    assert_eq!(scene.revision(), "REV 2.17");
    scene.reconnect();
    scene.holds_data(1);
    // The first slot is read only; what is no image.
    for (bytes, slot, words) in [(&image[..], 1, "SLOT"), (&[0; 16][..], 2, "IMAGE")] {
        let ((rc, status), lines) = recorded(|| scene.update_firmware(bytes, slot, REPLACE_AND_ENABLE));
        assert_eq!((rc, lines.len()), (-libc::EIO, 1), "{lines:?}");
        assert!(
            lines[0].contains("Firmware Commit") && status.name().contains(words),
            "{lines:?} {status:?}"
        );
    }
    scene.read(1, 0, 512);
    scene.finish();
}

/// A commit that asks for a reset is an error by its status and none in effect: the program gets the status, and the reset is made where it is
/// this library's to make.
#[test]
fn firmware_that_asks_for_a_reset() {
    for (says, rc, is_reset) in [
        (Status::FIRMWARE_REQUIRES_NVM_RESET, 0, true),
        (Status::FIRMWARE_REQUIRES_CONVENTIONAL_RESET, -libc::EIO, false),
        (Status::FIRMWARE_ACTIVATION_PROHIBITED, -libc::EIO, false),
    ] {
        let scene = Scene::new("ns=1M");
        scene.world.set_liar(move |answer| {
            if answer.qid == 0 && answer.command.opcode() == AdminOpcode::FIRMWARE_COMMIT.0 {
                answer.completion = Completion::new(0, answer.command.cid(), says);
            }
        });
        let mut image = b"REV 3.01".to_vec();
        image.resize(4096, 1);
        let first = scene.revision();
        let ((found, status), lines) = recorded(|| scene.update_firmware(&image, 2, REPLACE_AND_ENABLE));
        assert_eq!((found, status), (rc, says), "{lines:?}");
        assert_eq!(lines.len(), usize::from(!is_reset), "{lines:?}");
        assert_eq!(scene.revision() != first, is_reset);
        if is_reset {
            assert_eq!(scene.revision(), "REV 3.01");
            scene.reconnect();
        }
        scene.holds_data(1);
        scene.finish();
    }
}
