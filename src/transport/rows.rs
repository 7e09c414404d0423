//! Rows of SGL descriptors, one for each request slot: where the data of a command lie in more pieces than one.
//!
//! The command's own descriptor then names its row, which goes in the capsule behind the command (Base 2.0, 4.4.1, Last Segment; RDMA
//! Transport 1.0, 3.2). Few qpairs need rows: there are none before the first such command, and the hot slot has no part in them.
//!
//! A request that waits keeps its pieces in the row, which becomes descriptors when it is sent. What must hold: a row is written only
//! while no device reads it, and its memory outlives the queue pair that may.

use super::Error;
use crate::memory::Piece;
use arrayvec::ArrayVec;
use spec::Sgl;
use std::{cell::Cell, rc::Rc, sync::Arc};
use verbs::{Access, Memory, ProtectionDomain, RegisteredMemory, RowMemory, Segment};

/// The most pieces that the data of a command can lie in.
pub const PIECES: usize = 16;
/// Bytes of a descriptor.
pub(super) const ENTRY: usize = 16;
const ROW: usize = PIECES * ENTRY;
/// The fewest descriptors of a row.
pub(super) const FEWEST: usize = 2;

fn to_bytes(piece: Piece) -> [u8; ENTRY] {
    (u128::from(piece.address) | u128::from(piece.length) << 64).to_le_bytes()
}

fn of_bytes(bytes: [u8; ENTRY]) -> Piece {
    let both = u128::from_le_bytes(bytes);
    Piece { address: both as u64, length: (both >> 64) as u32 }
}

/// The rows of a qpair, once there are any.
#[derive(Default)]
pub(super) struct Rows {
    /// Open while it is registered and a capsule has room for [`FEWEST`] descriptors.
    memory: RowMemory<ROW>,
    /// For the connection that there is.
    registered: Cell<Option<RegisteredMemory>>,
}

const OUTSIDE: Error = Error::Internal("a row of descriptors lies outside of its memory");

/// So many descriptors of the row at an address, as a command names them, and as a work request: by address and length.
#[inline(always)]
fn row(address: u64, descriptors: usize) -> ([u64; 2], u64, u32) {
    let length = (descriptors * ENTRY) as u32; // of a row
    (Sgl::last_segment(0, length).to_words(), address, length)
}

/// Where an entry of a slot's row is.
#[inline(always)]
fn place(slot: u32, nth: usize) -> usize {
    (slot as usize).saturating_mul(ROW).saturating_add(nth.saturating_mul(ENTRY))
}

fn copy_of(memory: &Memory) -> Option<Rc<Memory>> {
    let copy = Memory::new(memory.length()).ok()?;
    let entries = (0..memory.length()).step_by(ENTRY);
    entries
        .into_iter()
        .all(|at| memory.read_16(at).is_some_and(|entry| copy.write(at, &entry)))
        .then_some(copy)
}

impl Rows {
    /// Keeps the pieces of the request in slot number `slot` of `count`: 16 at most.
    pub(super) fn store(&self, count: u16, slot: u32, pieces: &[Piece]) -> Result<(), Error> {
        self.write(count, slot, pieces.iter().map(|piece| to_bytes(*piece)))
    }

    /// The `count` pieces of the request in a slot.
    pub(super) fn pieces(&self, slot: u32, count: u32) -> Result<ArrayVec<Piece, PIECES>, Error> {
        let memory = self.memory.get().ok_or(Error::Internal("a request with a row, and there are none"))?;
        let mut pieces = ArrayVec::new();
        for nth in 0..count as usize {
            let piece = of_bytes(memory.read_16(place(slot, nth)).ok_or(OUTSIDE)?);
            if piece.length == 0 {
                return Err(Error::Internal("a request with a row, and that is empty"));
            }
            pieces.try_push(piece).map_err(|_| OUTSIDE)?;
        }
        Ok(pieces)
    }

    /// Makes the row of slot number `slot` of `count` these descriptors: the command's own descriptor, and what goes behind the
    /// command.
    pub(super) fn describe(
        &self,
        domain: &Arc<ProtectionDomain>,
        (count, room): (u16, u32),
        slot: u32,
        descriptors: impl ExactSizeIterator<Item = Sgl>,
    ) -> Result<(Sgl, Segment), Error> {
        let length = descriptors.len();
        self.write(count, slot, descriptors.map(Sgl::to_bytes))?;
        let (base, local_key) = self.register(domain, room)?;
        let (sgl, address, length) = row(base.wrapping_add(place(slot, 0) as u64), length);
        Ok((Sgl::from_words(sgl), Segment { address, length, local_key }))
    }

    /// As [`Rows::describe`], of descriptors that are made already, in their two words: what goes behind the command has this address and
    /// so many bytes. None if no rows are registered, or a capsule has no room for two. More than [`FEWEST`] descriptors must be known to fit in a capsule.
    #[inline(always)]
    pub(super) fn describe_known(&self, slot: u32, descriptors: &[[u64; 2]]) -> Option<([u64; 2], u64, u32)> {
        let address = self.memory.write_pairs(place(slot, 0), descriptors)?;
        Some(row(address, descriptors.len()))
    }

    fn write(
        &self,
        count: u16,
        slot: u32,
        entries: impl ExactSizeIterator<Item = [u8; ENTRY]>,
    ) -> Result<(), Error> {
        if entries.len() > PIECES {
            return Err(OUTSIDE);
        }
        let memory = match self.memory.get() {
            Some(memory) => memory,
            None => {
                let memory = Memory::new(usize::from(count).saturating_mul(ROW))?;
                self.memory.replace(Some(memory.clone()));
                memory
            }
        };
        let stored = (0..).zip(entries).all(|(nth, entry)| memory.write(place(slot, nth), &entry));
        if stored { Ok(()) } else { Err(OUTSIDE) }
    }

    /// Registers the memory, if it is not, and returns its address and its key for local work requests. `room`: the descriptors that fit in
    /// a capsule of the connection.
    fn register(&self, domain: &Arc<ProtectionDomain>, room: u32) -> Result<(u64, u32), Error> {
        let registered = match self.registered.take() {
            Some(registered) => registered,
            None => {
                let memory = self.memory.get().ok_or(OUTSIDE)?;
                let registered =
                    RegisteredMemory::of(&memory, domain, Access::LocalRead).map_err(Error::NoRow)?;
                if room as usize >= FEWEST {
                    self.memory.open();
                }
                registered
            }
        };
        let known = (registered.address(), registered.local_key());
        self.registered.set(Some(registered));
        Ok(known)
    }

    /// The connection was released: nothing reads here any more.
    pub(super) fn shut(&self) {
        self.memory.shut();
        self.registered.set(None);
    }

    /// The connection is kept for good, and a device may still read: so is the memory. Requests that wait go on with a copy of their
    /// pieces, or end with an error if there is no memory for one.
    pub(super) fn spoil(&self) {
        let copy = self.memory.get().and_then(|memory| copy_of(&memory));
        let memory = self.memory.replace(copy);
        std::mem::forget((self.registered.take(), memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_comes_back_from_its_bytes() {
        let piece = Piece { address: 0x1122_3344_5566_7788, length: 0x00ff_fffe };
        assert_eq!(of_bytes(to_bytes(piece)), piece);
    }

    /// Requests that wait have their pieces in other memory then.
    #[test]
    fn pieces_outlive_the_memory_that_a_device_keeps() {
        let rows = Rows::default();
        rows.spoil();
        let pieces = [Piece { address: 1, length: 2 }, Piece { address: 3, length: 4 }];
        rows.store(4, 3, &pieces).unwrap();
        let address = |rows: &Rows| rows.memory.get().unwrap().address();
        let before = address(&rows);
        rows.spoil();
        assert_ne!(address(&rows), before);
        assert_eq!(rows.pieces(3, 2).unwrap()[..], pieces);
        assert!(matches!(rows.pieces(3, 3), Err(Error::Internal(_))), "one that was never stored");
    }

    #[test]
    fn rows_have_bounds() {
        let rows = Rows::default();
        assert!(matches!(rows.store(4, 4, &[Piece::default()]), Err(Error::Internal(_))), "of another slot");
        assert!(matches!(rows.store(4, 0, &[Piece::default(); PIECES + 1]), Err(Error::Internal(_))));
        let pieces: [Piece; PIECES] = std::array::from_fn(|nth| Piece { address: nth as u64, length: 7 });
        rows.store(4, 3, &pieces).unwrap();
        assert_eq!(rows.pieces(3, PIECES as u32).unwrap()[..], pieces);
        assert!(rows.pieces(3, PIECES as u32 + 1).is_err() && rows.pieces(4, 1).is_err());
    }
}
