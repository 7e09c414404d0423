//! The short way of a read or write.
//!
//! What an I/O has to know of its namespace is found once and remembered, with the name that the caller has for the namespace: a
//! handle's address for C, the object's for others. One compare of the name, and one of the epoch, then answer whether the name is
//! still good; one compare of the length answers whether the namespace is active, and the transfer not too long and not empty.
//!
//! What must hold: the name, and the keys that the wire remembers, are used in the epoch in which they were found, and in no later
//! one.

use super::{IO_FLAGS, IoQpair, Request, Transfer};
use crate::{
    epoch,
    host::Namespace,
    transport::{
        Context, Piece, Reach, Resolved, SeveralToController, SeveralToHost, ToController, ToHost, Wire,
    },
};
use spec::{Command, NvmOpcode};
use std::{cell::Cell, ffi::c_void};

/// What a qpair saw last of a namespace.
pub(super) struct Seen {
    name: Cell<*const ()>,
    epoch: Cell<u64>,
    /// The bytes of a block in a buffer; 0 if no command is to go this way.
    block: Cell<u32>,
    /// The first two dwords of its commands, but for opcode and command id.
    head: Cell<u64>,
    /// The most blocks of one command that needs no further look; 0 if there is none.
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

    /// Remembers a namespace that the caller calls `name`, whose commands may transfer what `most` says. All is read after the epoch.
    fn look_at(&self, name: *const (), namespace: &Namespace, most: impl FnOnce() -> u32) {
        self.epoch.set(epoch::current());
        self.name.set(name);
        let [dword_0, ..] = Command::new(0).dwords;
        self.head.set(u64::from(namespace.id()) << 32 | u64::from(dword_0));
        // With protection information a command has a reference tag: these go the long way, however they are made. An inactive one has no
        // blocks.
        let block = if namespace.protection_type() == 0 { namespace.extended_sector_size() } else { 0 };
        self.block.set(block);
        // A transfer that must not cross a boundary is looked at more closely. NLB has 16 bits (NVM Command Set 1.0, figures 50 and 71).
        let most = if namespace.optimal_boundary() == 0 { most() } else { 0 };
        self.most.set(most.checked_div(block).unwrap_or(0).min(0x1_0000));
    }
}

impl IoQpair {
    /// Remembers a namespace that the caller calls `name`, and forgets the memory of an earlier epoch.
    pub(super) fn look_at(&self, name: *const (), namespace: &Namespace) {
        // A qpair that is watched sends nothing the short way: the program is not to be asked for pieces that do not go.
        let most = || if self.qpair.is_watched() { 0 } else { self.shared.largest_transfer() };
        self.seen.look_at(name, namespace, most);
        self.wire.forget_memory();
    }

    /// Sends a transfer of the namespace that the caller calls `name`, if nothing is unusual; otherwise false, and nothing was changed.
    #[inline(always)]
    pub(crate) fn contiguous_named(
        &self,
        name: *const (),
        request: &Request,
        buffer: *mut c_void,
        context: Context,
    ) -> bool {
        let Some(shape) = self.shape(name, request) else { return false };
        let piece = Piece { address: buffer.addr() as u64, length: shape.length };
        self.send_piece(shape, request.transfer, piece, context)
    }

    /// Sends a transfer of that shape, which still is good, of data in this piece, which has all of its bytes; otherwise false, and nothing
    /// was changed.
    #[inline(always)]
    pub(crate) fn send_piece(
        &self,
        Shape { head, tail, .. }: Shape,
        transfer: Transfer,
        piece: Piece,
        context: Context,
    ) -> bool {
        match transfer {
            Transfer::Read => self.wire.submit(head, tail, ToHost(piece), context),
            Transfer::Write | Transfer::Compare => self.wire.submit(head, tail, ToController(piece), context),
        }
    }

    /// As [`IoQpair::send_piece`], in two pieces.
    #[inline(always)]
    pub(crate) fn send_both(
        &self,
        Shape { head, tail, .. }: Shape,
        transfer: Transfer,
        (first, second): (Piece, Piece),
        context: Context,
    ) -> bool {
        let was_sent = match transfer {
            Transfer::Read => self.wire.submit(head, tail, SeveralToHost([first, second]), context),
            Transfer::Write | Transfer::Compare => {
                self.wire.submit(head, tail, SeveralToController([first, second]), context)
            }
        };
        // What it takes goes there in registers or anew, so that the others need no memory for it.
        let [tail_0, tail_1, tail_2] = tail;
        was_sent || self.both_in_two_regions(head, (tail_0, tail_1, tail_2), transfer, first, second, context)
    }

    #[inline(never)]
    fn both_in_two_regions(
        &self,
        head: u64,
        (tail_0, tail_1, tail_2): (u64, u64, u64),
        transfer: Transfer,
        first: Piece,
        second: Piece,
        context: Context,
    ) -> bool {
        self.wire.submit(head, [tail_0, tail_1, tail_2], InPieces(transfer, &[first, second]), context)
    }

    /// As [`IoQpair::send_piece`], in these pieces.
    #[inline(always)]
    pub(crate) fn send_several(
        &self,
        Shape { head, tail, .. }: Shape,
        transfer: Transfer,
        pieces: &[Piece],
        context: Context,
    ) -> bool {
        let was_sent = match transfer {
            Transfer::Read => self.wire.submit(head, tail, SeveralToHost(pieces), context),
            Transfer::Write | Transfer::Compare => {
                self.wire.submit(head, tail, SeveralToController(pieces), context)
            }
        };
        was_sent || self.in_two_regions(head, tail, transfer, pieces, context)
    }

    #[inline(never)]
    fn in_two_regions(
        &self,
        head: u64,
        tail: [u64; 3],
        transfer: Transfer,
        pieces: &[Piece],
        context: Context,
    ) -> bool {
        self.wire.submit(head, tail, InPieces(transfer, pieces), context)
    }

    /// What the commands on the namespace of that name begin with, if they may go the short way however they are made.
    pub(super) fn head_named(&self, NvmOpcode(opcode): NvmOpcode, name: *const ()) -> Option<u64> {
        let seen = &self.seen;
        let is_good = seen.name.get() == name && seen.epoch.get() == epoch::current() && seen.block.get() > 0;
        is_good.then(|| seen.head.get() + u64::from(opcode))
    }

    /// The bytes of a block of the namespace of that name, if it is one whose commands may go the short way.
    pub(super) fn block_named(&self, name: *const ()) -> Option<u32> {
        Some(self.seen.block.get()).filter(|block| *block > 0 && self.has_seen(name))
    }

    /// Whether it remembers the namespace of that name as it is.
    #[inline(always)]
    pub(super) fn has_seen(&self, name: *const ()) -> bool {
        self.seen.name.get() == name && self.seen.epoch.get() == epoch::current()
    }

    /// What a transfer of the namespace of that name comes to. None if something is unusual.
    #[inline(always)]
    pub(crate) fn shape(&self, name: *const (), request: &Request) -> Option<Shape> {
        let seen = &self.seen;
        let Request { lba, blocks, flags, .. } = *request;
        let epoch = epoch::current();
        if seen.name.get() != name
            || seen.epoch.get() != epoch
            || blocks.wrapping_sub(1) >= seen.most.get()
            || flags & !IO_FLAGS != 0
        {
            return None;
        }
        let NvmOpcode(opcode) = request.transfer.opcode();
        Some(Shape {
            epoch,
            head: seen.head.get() + u64::from(opcode),
            tail: request.tail(lba, blocks),
            // No more than `most` blocks, so less than 4 GiB.
            length: blocks.wrapping_mul(seen.block.get()),
        })
    }
}

/// Data of a transfer on the short way: in one piece, or in several.
#[derive(Clone, Copy)]
pub(super) struct InPieces<'a>(pub(super) Transfer, pub(super) &'a [Piece]);

impl Reach for InPieces<'_> {
    #[inline(always)]
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        let Self(transfer, pieces) = self;
        match (transfer, pieces) {
            (Transfer::Read, [piece]) => ToHost(*piece).reach(wire, slot),
            (Transfer::Read, several) => SeveralToHost(several).reach_in_two(wire, slot),
            (Transfer::Write | Transfer::Compare, [piece]) => ToController(*piece).reach(wire, slot),
            (Transfer::Write | Transfer::Compare, several) => {
                SeveralToController(several).reach_in_two(wire, slot)
            }
        }
    }
}

/// What a transfer comes to: a command but for its id and its data, as [`Wire::submit`](crate::transport::Wire) takes it, and
/// the bytes of its data.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) tail: [u64; 3],
    pub(crate) length: u32,
}
