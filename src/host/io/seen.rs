//! The short way of a read or write.
//!
//! What an I/O has to know of its namespace is found once and remembered, with the name that the caller has for the namespace: a
//! handle's address for C, the object's for others. One compare of the name, and one of the epoch, then answer whether the name is
//! still good; one compare of the length answers whether the namespace is active, and the transfer not too long and not empty.
//!
//! What must hold: the name, and the keys that the wire remembers, are used in the epoch in which they were found, and in no later
//! one.

use super::{IO_FLAGS, IoQpair};
use crate::{epoch, host::Namespace, transport::Context};
use spec::{Command, NvmOpcode};
use std::{cell::Cell, ffi::c_void};

/// What a qpair saw last of a namespace.
pub(super) struct Seen {
    name: Cell<*const ()>,
    epoch: Cell<u64>,
    /// The bytes of a block in a buffer.
    block: Cell<u32>,
    /// The first two dwords of its commands, but for opcode and command id.
    head: Cell<u64>,
    /// The most blocks of one command; 0 if nothing is to go this way.
    most: Cell<u32>,
}

impl Seen {
    /// Nothing was seen.
    pub(super) fn nothing() -> Self {
        Self {
            name: Cell::new(std::ptr::null()),
            epoch: Cell::new(epoch::NEVER),
            block: Cell::new(0),
            head: Cell::new(0),
            most: Cell::new(0),
        }
    }

    /// Remembers a namespace that the caller calls `name`, whose commands may transfer `most` bytes.
    fn look_at(&self, name: *const (), namespace: &Namespace, most: u32) {
        self.epoch.set(epoch::current());
        self.name.set(name);
        let [dword_0, ..] = Command::new(0).dwords;
        self.head.set(u64::from(namespace.id()) << 32 | u64::from(dword_0));
        let block = namespace.extended_sector_size();
        self.block.set(block);
        // With protection information a command has a reference tag: these go the long way. An inactive one has no blocks. NLB has 16
        // bits (NVM Command Set 1.0, figures 50 and 71).
        let most = if namespace.protection_type() == 0 { most } else { 0 };
        self.most.set(most.checked_div(block).unwrap_or(0).min(0x1_0000));
    }
}

impl IoQpair {
    /// Remembers a namespace that the caller calls `name`, and forgets the memory of an earlier epoch.
    pub(super) fn look_at(&self, name: *const (), namespace: &Namespace, most: u32) {
        self.seen.look_at(name, namespace, most);
        self.wire.forget_memory();
    }

    /// Reads, if nothing is unusual, from the namespace that the caller calls `name`; otherwise false, and nothing was changed.
    #[inline(always)]
    pub(crate) fn read_named(
        &self,
        name: *const (),
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> bool {
        let Some(Shape { head, tail, length }) = self.shape(NvmOpcode::READ, name, lba, blocks, flags) else {
            return false;
        };
        let address = buffer.addr() as u64;
        self.wire.submit(head, tail, |wire| wire.to_host(address, length), context)
    }

    /// As [`IoQpair::read_named`], for a write.
    #[inline(always)]
    pub(crate) fn write_named(
        &self,
        name: *const (),
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> bool {
        let Some(Shape { head, tail, length }) = self.shape(NvmOpcode::WRITE, name, lba, blocks, flags)
        else {
            return false;
        };
        let address = buffer.addr() as u64;
        self.wire.submit(head, tail, |wire| wire.to_controller(address, length), context)
    }

    /// A command on the namespace of that name. None if something is unusual.
    #[inline(always)]
    fn shape(
        &self,
        NvmOpcode(opcode): NvmOpcode,
        name: *const (),
        lba: u64,
        blocks: u32,
        flags: u32,
    ) -> Option<Shape> {
        let seen = &self.seen;
        let nlb = blocks.wrapping_sub(1);
        if seen.name.get() != name
            || seen.epoch.get() != epoch::current()
            || nlb >= seen.most.get()
            || flags & !IO_FLAGS != 0
        {
            return None;
        }
        Some(Shape {
            head: seen.head.get() + u64::from(opcode),
            tail: [lba, u64::from(nlb | flags), 0],
            // No more than `most` blocks, so less than 4 GiB.
            length: blocks.wrapping_mul(seen.block.get()),
        })
    }
}

/// A command but for its id and its data, as [`Wire::submit`](crate::transport::Wire) takes it, and the bytes of its data.
struct Shape {
    head: u64,
    tail: [u64; 3],
    length: u32,
}
