//! Namespaces with metadata behind the data of each block, and with protection information in them (NVM Command Set 1.0, 5.2), through
//! the C face: PRACT, each check by itself, wrong tags, and transfers of several commands, whose tags go on.
//!
//! The bytes of protection information are made here as the specification has them, by nothing of the library's or the target's.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;
#[path = "common/face.rs"]
mod face;

use common::{World, turn, until, with_namespaces};
use face::*;
use spec::{Completion, Status};
use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr::null_mut,
};
use target::Options;

unsafe extern "C" {
    fn spdk_nvme_ns_get_sector_size(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_extended_sector_size(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_md_size(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_pi_type(namespace: Handle) -> u32;
    fn spdk_nvme_ns_supports_extended_lba(namespace: Handle) -> bool;
    fn spdk_nvme_ns_get_flags(namespace: Handle) -> u32;
    fn spdk_nvme_ns_cmd_verify(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
    ) -> c_int;
}

const PRACT: u32 = 1 << 29;
const GUARD: u32 = 1 << 28;
const APPLICATION: u32 = 1 << 27;
const REFERENCE: u32 = 1 << 26;
/// Of spdk_nvme_ns_get_flags(): protection information, and metadata behind the data.
const FLAG_PROTECTED: u32 = 1 << 4;
const FLAG_EXTENDED: u32 = 1 << 5;
/// Bytes of protection information.
const INFORMATION: usize = 8;
const MASK: u16 = 0xffff;
const TAG: u16 = 0x1234;
/// Where transfers begin: not at 0, where a tag that does not go on would not be noticed.
const LBA: u64 = 5;
/// Blocks of a transfer that takes several commands of 128 KiB, whatever the block is.
const MANY: usize = 300;

/// The formats, as the target's command line has them, and how many bytes and which type they are.
const FORMATS: [(&str, usize, usize, u8); 9] = [
    ("512+8:pi1", 512, 8, 1),
    ("512+8:pi2", 512, 8, 2),
    ("512+8:pi3", 512, 8, 3),
    ("512+16:pi1", 512, 16, 1),
    ("4K+8:pi1", 4096, 8, 1),
    ("4K+8:pi3", 4096, 8, 3),
    ("4K+64:pi2", 4096, 64, 2),
    ("512+8", 512, 8, 0),
    ("4K+64", 4096, 64, 0),
];

thread_local! {
    static ENDED: Cell<Option<Status>> = const { Cell::new(None) };
    /// What a transfer in pieces is about, and how far it is.
    static PIECES: RefCell<(usize, usize)> = const { RefCell::new((0, 0)) };
}

extern "C" fn done(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    let completion = Completion::from_bytes(unsafe { &*completion });
    assert_eq!(ENDED.replace(Some(completion.status())), None, "one callback");
}

extern "C" fn reset(_: *mut c_void, offset: u32) {
    PIECES.with_borrow_mut(|(_, at)| *at = offset as usize);
}

/// Pieces of a length that no block has.
extern "C" fn next(_: *mut c_void, address: *mut *mut c_void, length: *mut u32) -> c_int {
    const PIECE: usize = 20_004;
    PIECES.with_borrow_mut(|(base, at)| {
        // SAFETY: the library gives places for both.
        unsafe {
            address.write(std::ptr::with_exposed_provenance_mut(*base + *at));
            length.write(PIECE as u32);
        }
        *at += PIECE;
    });
    0
}

/// The CRC of T10: polynomial 8BB7h, neither reflected nor inverted.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 != 0 { crc << 1 ^ 0x8bb7 } else { crc << 1 }
            },
        )
    })
}

/// A namespace under test.
struct Scene<'a> {
    world: &'a World,
    qpair: Handle,
    namespace: Handle,
    data: usize,
    metadata: usize,
    kind: u8,
}

/// Calls one of the entries with this buffer.
type Entry = unsafe extern "C" fn(
    Handle,
    Handle,
    *mut c_void,
    *mut c_void,
    u64,
    u32,
    Done,
    *mut c_void,
    u32,
    u16,
    u16,
) -> c_int;

impl Scene<'_> {
    fn block(&self) -> usize {
        self.data + self.metadata
    }

    /// Bytes that only the block of that number has.
    fn bytes(&self, blocks: usize, length: usize) -> Vec<u8> {
        (0..blocks * length).map(|at| (at * 7 + at / length * 31 + (at >> 8)) as u8).collect()
    }

    /// Whole blocks as they are in the namespace: data, other metadata, and protection information with the tag of this block.
    fn blocks(&self, blocks: usize) -> Vec<u8> {
        let free = self.block() - INFORMATION;
        let bytes = self.bytes(blocks, free);
        bytes.chunks(free).enumerate().flat_map(|(nth, bytes)| self.protected(bytes, nth)).collect()
    }

    fn protected(&self, bytes: &[u8], nth: usize) -> Vec<u8> {
        // Type 3 has no count; nothing is said of its tag.
        let reference = if self.kind == 3 { 0 } else { LBA as u32 + nth as u32 };
        [bytes, &crc(bytes).to_be_bytes(), &TAG.to_be_bytes(), &reference.to_be_bytes()].concat()
    }

    /// Puts bytes where commands have their data.
    fn store(&self, bytes: &[u8]) {
        assert!(bytes.len() <= 4 << 20);
        // SAFETY: the world's memory has 4 MiB, which one scene uses at a time, and no device outside of a call of [`Scene::run`].
        unsafe { self.world.buffer().cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) }
    }

    /// What is there.
    fn load(&self, length: usize) -> Vec<u8> {
        assert!(length <= 4 << 20);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.world.buffer().cast::<u8>(), length) }.to_vec()
    }

    /// What becomes of a command.
    fn wait(&self, rc: c_int) -> Status {
        assert_eq!(rc, 0);
        until("the command", || {
            // SAFETY: the handle is live.
            assert!(unsafe { spdk_nvme_qpair_process_completions(self.qpair, 0) } >= 0);
            ENDED.get().is_some()
        });
        ENDED.take().unwrap()
    }

    fn run(&self, entry: Entry, blocks: usize, flags: u32, mask: u16, tag: u16) -> Status {
        let buffer = self.world.buffer();
        // The metadata are in the data: what points to others is not looked at.
        let metadata = std::ptr::dangling_mut();
        // SAFETY: the handles are live, and the buffer is large enough.
        let rc = unsafe {
            entry(
                self.namespace,
                self.qpair,
                buffer,
                metadata,
                LBA,
                blocks as u32,
                done,
                null_mut(),
                flags,
                mask,
                tag,
            )
        };
        self.wait(rc)
    }

    fn write(&self, bytes: &[u8], blocks: usize, flags: u32) -> Status {
        self.store(bytes);
        self.run(spdk_nvme_ns_cmd_write_with_md, blocks, flags, MASK, TAG)
    }

    fn compare(&self, bytes: &[u8], blocks: usize, flags: u32) -> Status {
        self.store(bytes);
        self.run(spdk_nvme_ns_cmd_compare_with_md, blocks, flags, MASK, TAG)
    }

    /// Reads so many bytes, which are all of the blocks, or that error.
    fn read(&self, length: usize, blocks: usize, flags: u32) -> Result<Vec<u8>, Status> {
        self.store(&vec![0xa5; length]);
        match self.run(spdk_nvme_ns_cmd_read_with_md, blocks, flags, MASK, TAG) {
            Status::SUCCESS => Ok(self.load(length)),
            status => Err(status),
        }
    }

    /// The same, in pieces.
    fn read_in_pieces(&self, length: usize, blocks: usize, flags: u32) -> Vec<u8> {
        self.store(&vec![0xa5; length]);
        PIECES.replace((self.world.buffer().expose_provenance(), 0));
        // SAFETY: the handles are live, and the pieces are large enough.
        let rc = unsafe {
            spdk_nvme_ns_cmd_readv_with_md(
                self.namespace,
                self.qpair,
                LBA,
                blocks as u32,
                done,
                null_mut(),
                flags,
                reset,
                next,
                null_mut(),
                MASK,
                TAG,
            )
        };
        assert_eq!(self.wait(rc), Status::SUCCESS);
        self.load(length)
    }

    /// The checks that a namespace of this type has.
    fn checks(&self) -> u32 {
        match self.kind {
            0 => 0,
            3 => GUARD | APPLICATION,
            _ => GUARD | APPLICATION | REFERENCE,
        }
    }

    fn says_what_it_is(&self) {
        let ns = self.namespace;
        // SAFETY: the handle is live.
        unsafe {
            assert_eq!(spdk_nvme_ns_get_sector_size(ns) as usize, self.data);
            assert_eq!(spdk_nvme_ns_get_md_size(ns) as usize, self.metadata);
            assert_eq!(spdk_nvme_ns_get_extended_sector_size(ns) as usize, self.block());
            assert_eq!(spdk_nvme_ns_get_pi_type(ns), self.kind.into());
            assert!(spdk_nvme_ns_supports_extended_lba(ns));
            let expected = FLAG_EXTENDED | if self.kind > 0 { FLAG_PROTECTED } else { 0 };
            assert_eq!(spdk_nvme_ns_get_flags(ns) & (FLAG_EXTENDED | FLAG_PROTECTED), expected);
        }
    }

    /// The program makes the protection information, and the controller checks it on the way.
    fn the_program_protects(&self, count: usize) {
        let blocks = self.blocks(count);
        assert_eq!(self.write(&blocks, count, self.checks()), Status::SUCCESS);
        assert_eq!(self.read(blocks.len(), count, self.checks()), Ok(blocks.clone()));
        assert_eq!(self.read_in_pieces(blocks.len(), count, self.checks()), blocks);
        assert_eq!(self.compare(&blocks, count, self.checks()), Status::SUCCESS);
        let mut other = blocks.clone();
        other[blocks.len() - self.block()] ^= 1;
        assert_eq!(self.compare(&other, count, 0).with_dnr(false), Status::COMPARE_FAILURE);
        // SAFETY: the handles are live.
        let verified = unsafe {
            spdk_nvme_ns_cmd_verify(
                self.namespace,
                self.qpair,
                LBA,
                count as u32,
                done,
                null_mut(),
                self.checks() & GUARD,
            )
        };
        assert_eq!(self.wait(verified), Status::SUCCESS);
    }

    /// The controller makes the protection information, and takes it away if there are no other metadata (PRACT).
    fn the_controller_protects(&self, count: usize) {
        let is_stripped = self.metadata == INFORMATION;
        let length = if is_stripped { self.data } else { self.block() };
        let given = self.bytes(count, length);
        assert_eq!(self.write(&given, count, PRACT), Status::SUCCESS);
        // What it made: all blocks as they are in the namespace.
        let kept = |block: &[u8]| {
            if is_stripped { block.to_vec() } else { block[..self.block() - INFORMATION].to_vec() }
        };
        let expected: Vec<u8> = given
            .chunks(length)
            .enumerate()
            .flat_map(|(nth, block)| self.protected(&kept(block), nth))
            .collect();
        let found = self.read(expected.len(), count, 0).unwrap();
        let wrong = found.chunks(self.block()).zip(expected.chunks(self.block())).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "the first block that is not as it should be");
        // And checked and taken away again.
        let back = if is_stripped { given } else { expected };
        assert_eq!(self.read(back.len(), count, PRACT | self.checks()), Ok(back.clone()));
        assert_eq!(self.read_in_pieces(back.len(), count, PRACT | self.checks()), back);
    }

    /// One field of one block is wrong: the check of that field says so, in each of the commands that a transfer takes, and none other.
    fn what_is_wrong_is_found(&self, count: usize) {
        let good = self.blocks(count);
        for nth in [0, count / 2, count - 1] {
            let end = (nth + 1) * self.block();
            for (at, check, status) in [
                (end - self.block(), GUARD, Status::GUARD_CHECK_ERROR),
                (end - 8, GUARD, Status::GUARD_CHECK_ERROR),
                (end - 6, APPLICATION, Status::APPLICATION_TAG_CHECK_ERROR),
                (end - 1, REFERENCE, Status::REFERENCE_TAG_CHECK_ERROR),
            ] {
                if self.checks() & check == 0 {
                    continue;
                }
                let mut bad = good.clone();
                bad[at] ^= 0x10;
                assert_eq!(self.write(&good, count, 0), Status::SUCCESS);
                assert_eq!(self.write(&bad, count, check).with_dnr(false), status, "{nth}: {check:#x}");
                assert_eq!(
                    self.write(&bad, count, self.checks() & !check),
                    Status::SUCCESS,
                    "{nth}: {check:#x}"
                );
                let read = self.read(bad.len(), count, check).map_err(|status| status.with_dnr(false));
                assert_eq!(read, Err(status), "{nth}: {check:#x}");
                assert_eq!(self.read(bad.len(), count, self.checks() & !check), Ok(bad), "{nth}: {check:#x}");
            }
        }
    }

    /// The application tag that a command expects, and the mask of what is compared.
    fn tags_are_those_of_the_command(&self, count: usize) {
        let good = self.blocks(count);
        assert_eq!(self.write(&good, count, 0), Status::SUCCESS);
        for (mask, tag, status) in [
            (0xffff, TAG ^ 1, Status::APPLICATION_TAG_CHECK_ERROR),
            (0xfff0, TAG ^ 1, Status::SUCCESS),
            (0x0000, !TAG, Status::SUCCESS),
            (0xff00, TAG ^ 0x100, Status::APPLICATION_TAG_CHECK_ERROR),
        ] {
            let found = self.run(spdk_nvme_ns_cmd_read_with_md, count, APPLICATION, mask, tag);
            assert_eq!(found.with_dnr(false), status, "{mask:#x} {tag:#x}");
        }
    }
}

#[test]
fn blocks_are_protected_from_end_to_end() {
    let namespaces: Vec<_> = FORMATS.iter().map(|(format, ..)| format!("ns=4M:{format}")).collect();
    let world = World::with(with_namespaces(&namespaces.join(","), Options::default()));
    let controller = connect(common::NQN, 4420, 1);
    assert!(!controller.is_null());
    let qpair = alloc(controller);
    assert!(!qpair.is_null());
    for (id, (format, data, metadata, kind)) in (1..).zip(FORMATS) {
        // SAFETY: the handle is live.
        let namespace = unsafe { spdk_nvme_ctrlr_get_ns(controller, id) };
        let scene = Scene { world: &world, qpair, namespace, data, metadata, kind };
        println!("{format}");
        scene.says_what_it_is();
        for count in [1, 3, MANY] {
            scene.the_program_protects(count);
            if kind > 0 {
                scene.the_controller_protects(count);
                scene.what_is_wrong_is_found(count);
                scene.tags_are_those_of_the_command(count);
            }
        }
        if kind == 3 {
            // There is no count to be checked.
            let refused = scene.run(spdk_nvme_ns_cmd_read_with_md, 1, REFERENCE, MASK, TAG);
            assert_eq!(refused.with_dnr(false), Status::INVALID_PROTECTION_INFORMATION);
        }
    }
    (0..10).for_each(|_| turn());
    // SAFETY: the handles are live, and not used any more.
    unsafe {
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}
