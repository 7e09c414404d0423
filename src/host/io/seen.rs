//! The short way of a read or write.
//!
//! What an I/O has to know of its namespace is found once and remembered, with the name that the caller has for the namespace: a
//! handle's address for C, the object's for others. One compare of the name, and one of the epoch, then answer whether the name is
//! still good; one compare of the length answers whether the namespace is active, and the transfer not too long and not empty.
//!
//! What must hold: whoever makes a name mean nothing, or something else, counts the epoch on before.

use super::{IO_FLAGS, IoQpair};
use crate::{
    host::Namespace,
    transport::{Context, Data, ToController, ToHost},
};
use spec::{Command, NvmOpcode};
use std::{
    cell::Cell,
    ffi::c_void,
    sync::atomic::{AtomicU32, Ordering},
};

/// How often names of namespaces have changed their meaning.
static EPOCH: AtomicU32 = AtomicU32::new(1);

/// A name of a namespace is about to mean nothing, or something else: all that was seen of any namespace is void.
pub fn names_have_changed() {
    EPOCH.fetch_add(1, Ordering::Release);
}

/// What a qpair saw last of a namespace.
pub(super) struct Seen {
    name: Cell<*const ()>,
    epoch: Cell<u32>,
    /// The bytes of a block.
    block: Cell<u32>,
    /// The first two dwords of its commands, but for opcode and command id.
    head: Cell<u64>,
    /// The most blocks of one command; 0 if nothing is to go this way.
    most: Cell<u32>,
}

impl Seen {
    /// Nothing was seen: the epoch of this never was.
    pub(super) fn nothing() -> Self {
        Self {
            name: Cell::new(std::ptr::null()),
            epoch: Cell::new(0),
            block: Cell::new(0),
            head: Cell::new(0),
            most: Cell::new(0),
        }
    }

    /// Remembers a namespace that the caller calls `name`, whose commands may transfer `most` bytes.
    pub(super) fn look_at(&self, name: *const (), namespace: &Namespace, most: u32) {
        self.epoch.set(EPOCH.load(Ordering::Acquire));
        self.name.set(name);
        let [dword_0, ..] = Command::new(0).dwords;
        self.head.set(u64::from(namespace.id()) << 32 | u64::from(dword_0));
        self.block.set(namespace.sector_size());
        // An inactive one has no blocks. NLB has 16 bits (NVM Command Set 1.0, figures 50 and 71).
        self.most.set(most.checked_div(namespace.sector_size()).unwrap_or(0).min(0x1_0000));
    }
}

impl IoQpair {
    /// Reads, if nothing is unusual, from the namespace that the caller calls `name`; otherwise false, and nothing was changed.
    #[inline(always)]
    pub fn read_named(
        &self,
        name: *const (),
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> bool {
        let address = buffer.addr() as u64;
        let data = |length| ToHost { address, length };
        self.transfer_named(NvmOpcode::READ, name, data, lba, blocks, flags, context)
    }

    /// As [`IoQpair::read_named`], for a write.
    #[inline(always)]
    pub fn write_named(
        &self,
        name: *const (),
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> bool {
        let address = buffer.addr() as u64;
        let data = |length| ToController { address, length };
        self.transfer_named(NvmOpcode::WRITE, name, data, lba, blocks, flags, context)
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // they are those of the C function, which has no structure for them
    fn transfer_named<D: Data>(
        &self,
        NvmOpcode(opcode): NvmOpcode,
        name: *const (),
        data: impl FnOnce(u32) -> D,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> bool {
        let seen = &self.seen;
        let nlb = blocks.wrapping_sub(1);
        if seen.name.get() != name
            || seen.epoch.get() != EPOCH.load(Ordering::Acquire)
            || nlb >= seen.most.get()
            || flags & !IO_FLAGS != 0
        {
            return false;
        }
        let data = data(blocks.wrapping_mul(seen.block.get()));
        let head = seen.head.get() | u64::from(opcode);
        self.wire.submit(head, [lba, u64::from(nlb | flags), 0], data, context)
    }
}
