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
use verbs::{Access, Memory, ProtectionDomain, RegisteredMemory, Segment};

/// The most pieces that the data of a command can lie in.
pub const PIECES: usize = 16;
/// Bytes of a descriptor.
pub(super) const ENTRY: usize = 16;
const ROW: usize = PIECES * ENTRY;

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
    memory: Cell<Option<Rc<Memory>>>,
    /// Where that is.
    address: Cell<u64>,
    /// For the connection that there is.
    registered: Cell<Option<RegisteredMemory>>,
    /// Its key for local work requests, if it is registered.
    local_key: Cell<Option<u32>>,
}

/// Whoever knows the keys of pieces.
pub(super) trait Keys {
    /// The upper half of a descriptor for so much memory, with a length of 0.
    fn key(&self, address: u64, length: u32) -> Option<u64>;
}

#[inline(always)]
fn describe(memory: &Memory, slot: u32, pieces: &[Piece], keys: impl Keys) -> Option<()> {
    for (place, Piece { address, length }) in memory.pairs(place(slot, 0), pieces.len())?.zip(pieces) {
        place.set([*address, keys.key(*address, *length)? | u64::from(*length)]);
    }
    Some(())
}

const OUTSIDE: Error = Error::Internal("a row of descriptors lies outside of its memory");

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
        let memory = self.memory().ok_or(Error::Internal("a request with a row, and there are none"))?;
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
        count: u16,
        slot: u32,
        descriptors: impl ExactSizeIterator<Item = Sgl>,
    ) -> Result<(Sgl, Segment), Error> {
        let length = descriptors.len();
        self.write(count, slot, descriptors.map(Sgl::to_bytes))?;
        let local_key = match self.local_key.get() {
            Some(local_key) => local_key,
            None => self.register(domain)?,
        };
        let ([address, rest], row) = self.row(slot, length * ENTRY, local_key);
        Ok((Sgl::from_words([address, rest]), row))
    }

    /// As [`Rows::describe`], of pieces for which `keys` has the upper halves of their descriptors at once. None if it has not, or if
    /// there are no rows yet: then the row has no meaning.
    #[inline(always)]
    pub(super) fn describe_known(
        &self,
        slot: u32,
        pieces: &[Piece],
        keys: impl Keys,
    ) -> Option<([u64; 2], Segment)> {
        let local_key = self.local_key.get()?;
        let memory = self.memory.take()?;
        let known = describe(&memory, slot, pieces, keys).is_some();
        std::mem::forget(self.memory.replace(Some(memory)));
        known.then(|| self.row(slot, pieces.len() * ENTRY, local_key))
    }

    fn memory(&self) -> Option<Rc<Memory>> {
        let memory = self.memory.take();
        self.memory.set(memory.clone());
        memory
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
        let memory = match self.memory() {
            Some(memory) => memory,
            None => {
                let memory = Memory::new(usize::from(count).saturating_mul(ROW))?;
                self.address.set(memory.address());
                self.memory.set(Some(memory.clone()));
                memory
            }
        };
        let stored = (0..).zip(entries).all(|(nth, entry)| memory.write(place(slot, nth), &entry));
        if stored { Ok(()) } else { Err(OUTSIDE) }
    }

    fn register(&self, domain: &Arc<ProtectionDomain>) -> Result<u32, Error> {
        let memory = self.memory().ok_or(OUTSIDE)?;
        let registered = RegisteredMemory::of(&memory, domain, Access::LocalRead).map_err(Error::NoRow)?;
        let local_key = registered.local_key();
        self.local_key.set(Some(local_key));
        self.registered.set(Some(registered));
        Ok(local_key)
    }

    /// So many bytes of a slot's row, as a command and a work request name them.
    #[inline(always)]
    fn row(&self, slot: u32, length: usize, local_key: u32) -> ([u64; 2], Segment) {
        let length = length as u32; // of a row
        let address = self.address.get().wrapping_add(place(slot, 0) as u64);
        (Sgl::last_segment(0, length).to_words(), Segment { address, length, local_key })
    }

    /// The connection was released: nothing reads here any more.
    pub(super) fn shut(&self) {
        self.local_key.set(None);
        self.registered.set(None);
    }

    /// The connection is kept for good, and a device may still read: so is the memory. Requests that wait go on with a copy of their
    /// pieces, or end with an error if there is no memory for one.
    pub(super) fn spoil(&self) {
        self.local_key.set(None);
        let memory = self.memory.take();
        let copy = memory.as_ref().and_then(|memory| copy_of(memory));
        self.address.set(copy.as_ref().map_or(0, |copy| copy.address()));
        self.memory.set(copy);
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
        let before = rows.address.get();
        rows.spoil();
        assert_ne!(rows.address.get(), before);
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
