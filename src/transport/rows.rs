//! Rows of SGL descriptors, one for each request slot: where the data of a command lie in more pieces than one.
//!
//! The command's own descriptor then names its row, which goes in the capsule behind the command (Base 2.0, 4.4.1, Last Segment; RDMA
//! Transport 1.0, 3.2). Few qpairs need rows: there are none before the first such command, and the hot slot has no part in them.
//!
//! A request that waits keeps its pieces in the row, which becomes descriptors when it is sent. What must hold: a row is written only
//! while no device reads it, and its memory outlives the queue pair that may.

use super::Error;
use crate::memory::Piece;
use spec::Sgl;
use std::{cell::Cell, rc::Rc, sync::Arc};
use verbs::{Access, Memory, ProtectionDomain, RegisteredMemory, Segment};

/// The most pieces that the data of a command can lie in.
pub const PIECES: usize = 16;
const ENTRY: usize = 16;
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
pub(super) struct Rows(Cell<Option<Inner>>);

struct Inner {
    memory: Rc<Memory>,
    /// For the connection that there is.
    registered: Option<RegisteredMemory>,
}

const OUTSIDE: Error = Error::Internal("a row of descriptors lies outside of its memory");

/// Where an entry of a slot's row is.
fn place(slot: u32, nth: usize) -> usize {
    (slot as usize).saturating_mul(ROW).saturating_add(nth.saturating_mul(ENTRY))
}

impl Rows {
    /// Keeps the pieces of the request in slot number `slot` of `count`: 16 at most.
    pub(super) fn store(&self, count: u16, slot: u32, pieces: &[Piece]) -> Result<(), Error> {
        self.write(count, slot, pieces.iter().map(|piece| to_bytes(*piece)))
    }

    /// The `count` pieces of the request in a slot.
    pub(super) fn pieces(&self, slot: u32, count: u32) -> Result<([Piece; PIECES], usize), Error> {
        let inner = self.0.take().ok_or(Error::Internal("a request with a row, and there are none"))?;
        let mut pieces = [Piece::default(); PIECES];
        let read = (0..count as usize).try_for_each(|nth| {
            *pieces.get_mut(nth)? = of_bytes(inner.memory.read_16(place(slot, nth))?);
            Some(())
        });
        self.0.set(Some(inner));
        read.map(|()| (pieces, count as usize)).ok_or(OUTSIDE)
    }

    /// Makes the row of slot number `slot` of `count` these descriptors: the command's own descriptor, and what goes behind the
    /// command.
    pub(super) fn describe(
        &self,
        domain: &Arc<ProtectionDomain>,
        count: u16,
        slot: u32,
        descriptors: &[Sgl],
    ) -> Result<(Sgl, Segment), Error> {
        self.write(count, slot, descriptors.iter().map(|descriptor| descriptor.to_bytes()))?;
        let mut inner = self.0.take().ok_or(OUTSIDE)?;
        let result = inner.row(domain, slot, descriptors.len());
        self.0.set(Some(inner));
        result
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
        let inner = match self.0.take() {
            Some(inner) => inner,
            None => Inner { memory: Memory::new(usize::from(count).saturating_mul(ROW))?, registered: None },
        };
        let stored = (0..).zip(entries).all(|(nth, entry)| inner.memory.write(place(slot, nth), &entry));
        self.0.set(Some(inner));
        if stored { Ok(()) } else { Err(OUTSIDE) }
    }

    /// The connection was released: nothing reads here any more.
    pub(super) fn shut(&self) {
        if let Some(mut inner) = self.0.take() {
            drop(inner.registered.take());
            self.0.set(Some(inner));
        }
    }

    /// The connection is kept for good, and a device may still read: so is the memory. Pieces of requests that wait go with it, whose
    /// requests end, too.
    pub(super) fn spoil(&self) {
        std::mem::forget(self.0.take());
    }
}

impl Inner {
    /// A slot's row of so many descriptors.
    fn row(
        &mut self,
        domain: &Arc<ProtectionDomain>,
        slot: u32,
        descriptors: usize,
    ) -> Result<(Sgl, Segment), Error> {
        let registered = match &self.registered {
            Some(registered) => registered,
            None => {
                let registered = RegisteredMemory::of(&self.memory, domain, Access::LocalRead);
                self.registered.insert(registered.map_err(Error::NoRow)?)
            }
        };
        let length = (descriptors.min(PIECES) * ENTRY) as u32;
        let address = self.memory.address().wrapping_add(place(slot, 0) as u64);
        Ok((Sgl::last_segment(0, length), Segment { address, length, local_key: registered.local_key() }))
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

    #[test]
    fn rows_have_bounds() {
        let rows = Rows::default();
        assert!(matches!(rows.store(4, 4, &[Piece::default()]), Err(Error::Internal(_))), "of another slot");
        assert!(matches!(rows.store(4, 0, &[Piece::default(); PIECES + 1]), Err(Error::Internal(_))));
        let pieces: [Piece; PIECES] = std::array::from_fn(|nth| Piece { address: nth as u64, length: 7 });
        rows.store(4, 3, &pieces).unwrap();
        assert_eq!(rows.pieces(3, PIECES as u32), Ok((pieces, PIECES)));
        assert!(rows.pieces(3, PIECES as u32 + 1).is_err() && rows.pieces(4, 1).is_err());
    }
}
