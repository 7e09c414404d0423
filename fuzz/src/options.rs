//! Option structures of any size and content: a controller's, a queue pair's, a table of accelerated operations.
//!
//! The input says the sizes, and what stands in the structures: anything, or the defaults with patches in them. The target means
//! well, so what the host makes of the options is used.

use crate::{
    conversation::transport_id,
    hostile::{NQN, Script},
    input::Input,
    world::{World, turn},
};
use spdk_nvme_rdma::abi::{
    ctrlr::*,
    poll_group::{spdk_nvme_poll_group_create, spdk_nvme_poll_group_destroy},
    qpair::{spdk_nvme_ctrlr_free_io_qpair, spdk_nvme_qpair_process_completions},
    types::{spdk_nvme_accel_fn_table, spdk_nvme_ctrlr_opts, spdk_nvme_io_qpair_opts},
};
use std::{
    alloc::{Layout, alloc, dealloc},
    ptr,
};

/// Guard bytes behind each structure, for where no sanitizer looks.
const GUARD: usize = 32;

/// A structure's bytes, exactly as many as its size says, and a guard.
struct Bytes {
    place: *mut u8,
    size: usize,
}

impl Bytes {
    fn new(size: usize, fill: u8) -> Self {
        let size = size.max(1);
        // SAFETY: the layout's size is not 0.
        let place = unsafe { alloc(Self::layout(size)) };
        assert!(!place.is_null());
        // SAFETY: the memory was allocated with this size.
        unsafe {
            place.write_bytes(fill, size);
            place.add(size).write_bytes(0x5a, Self::guard());
        }
        Self { place, size }
    }

    /// A sanitizer sees what is touched behind the end, if there is nothing.
    const fn guard() -> usize {
        if cfg!(feature = "libfuzzer") { 0 } else { GUARD }
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size + Self::guard(), 8).unwrap()
    }

    /// Writes patches: offset (2 bytes), length (1 byte), bytes.
    fn patch(&mut self, input: &mut Input<'_>, count: usize) {
        for _ in 0..count {
            let (at, length) = (usize::from(input.u16()) % self.size, usize::from(input.u8() % 65));
            for (index, byte) in input.bytes(length).iter().enumerate() {
                if at + index < self.size {
                    // SAFETY: within the size.
                    unsafe { self.place.add(at + index).write(*byte) };
                }
            }
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        for index in 0..Self::guard() {
            // SAFETY: the guard is part of what was allocated.
            let byte = unsafe { self.place.add(self.size + index).read() };
            assert_eq!(byte, 0x5a, "written behind a structure of {} bytes", self.size);
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.place, Self::layout(self.size)) };
    }
}

/// Six bytes of sizes, one of flags, one of numbers of patches, then the patches.
pub fn run(input: &[u8]) {
    let mut fields = Input::new(input);
    let size = |raw: u16, of: usize| usize::from(raw) % (of + 64);
    let ctrlr_size = size(fields.u16(), size_of::<spdk_nvme_ctrlr_opts>());
    let qpair_size = size(fields.u16(), size_of::<spdk_nvme_io_qpair_opts>());
    let table_size = size(fields.u16(), size_of::<spdk_nvme_accel_fn_table>());
    let flags = fields.u8();
    let patches = usize::from(fields.u8());
    let world = World::new(Some(Script::default()));
    table(table_size, flags & 0x10 != 0, &mut fields, patches >> 6);

    let mut opts = Bytes::new(ctrlr_size, [0, 0xff][usize::from(flags & 1)]);
    // SAFETY: the structure has as many bytes as its size says, and the handles are good.
    unsafe {
        if flags & 2 == 0 {
            spdk_nvme_ctrlr_get_default_ctrlr_opts(opts.place.cast(), ctrlr_size);
        }
        opts.patch(&mut fields, patches & 7);
        world.attach(&transport_id(NQN), Some((opts.place.cast(), ctrlr_size)), |ctrlr| {
            let mut opts = Bytes::new(qpair_size, [0, 0xff][usize::from(flags >> 2 & 1)]);
            if flags & 8 == 0 {
                spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, opts.place.cast(), qpair_size);
            }
            opts.patch(&mut fields, patches >> 3 & 7);
            for _ in 0..2 {
                let qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, opts.place.cast(), qpair_size);
                if !qpair.is_null() {
                    for _ in 0..10 {
                        let _ = spdk_nvme_qpair_process_completions(qpair, 0);
                        turn();
                    }
                    assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
                }
            }
        });
    }
    world.finish();
}

fn table(size: usize, full: bool, fields: &mut Input<'_>, patches: usize) {
    let size = size.max(size_of::<usize>());
    let mut table = Bytes::new(size, [0, 0xff][usize::from(full)]);
    table.patch(fields, patches);
    // The program says the truth about the size, or says that there is no table.
    let said = if patches == 3 { 0 } else { size };
    // SAFETY: the table has as many bytes as its size says, and is aligned; its functions are never called.
    unsafe {
        table.place.cast::<usize>().write(said);
        let group = spdk_nvme_poll_group_create(ptr::null_mut(), table.place.cast());
        if !group.is_null() {
            assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        }
    }
}
