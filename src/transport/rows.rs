//! Rows of SGL descriptors, one for each request slot: where the data of a command lie in more pieces than one.
//!
//! The command's own descriptor then names its row, which goes in the capsule behind the command (Base 2.0, 4.4.1, Last Segment; RDMA
//! Transport 1.0, 3.2). Few qpairs need rows: there are none before the first such command, and the hot slot has no part in them.
//!
//! A request that waits keeps its pieces in the row, which becomes descriptors when it is sent. What must hold: a row is written only
//! while no device reads it, and its memory outlives the queue pair that may.

use super::Error;
use spec::Sgl;
use std::{cell::Cell, rc::Rc, sync::Arc};
use verbs::{Access, Memory, ProtectionDomain, RegisteredMemory, Segment};

/// The most pieces that the data of a command can lie in.
pub const PIECES: usize = 16;
const ENTRY: usize = 16;
const ROW: usize = PIECES * ENTRY;

/// A piece of the program's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub address: u64,
    /// Its length in bytes, less than 16 MiB.
    pub length: u32,
}

impl Piece {
    fn to_bytes(self) -> [u8; ENTRY] {
        (u128::from(self.address) | u128::from(self.length) << 64).to_le_bytes()
    }

    fn of_bytes(bytes: [u8; ENTRY]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { address: both as u64, length: (both >> 64) as u32 }
    }
}

/// The rows of a qpair, once there are any.
#[derive(Default)]
pub(super) struct Rows(Cell<Option<Inner>>);

struct Inner {
    memory: Rc<Memory>,
    /// For the connection that there is.
    registered: Option<RegisteredMemory>,
}

impl Rows {
    /// Keeps the pieces of the request in slot number `slot` of `count`: 16 at most.
    pub(super) fn store(&self, count: u16, slot: u32, pieces: &[Piece]) -> Result<(), Error> {
        let outside = Error::Internal("a row of descriptors lies outside of its memory");
        if pieces.len() > PIECES {
            return Err(outside);
        }
        let inner = match self.0.take() {
            Some(inner) => inner,
            None => Inner { memory: Memory::new(usize::from(count).saturating_mul(ROW))?, registered: None },
        };
        let at = |nth: usize| (slot as usize).saturating_mul(ROW).saturating_add(nth * ENTRY);
        let stored = (0..).zip(pieces).all(|(nth, piece)| inner.memory.write(at(nth), &piece.to_bytes()));
        self.0.set(Some(inner));
        if stored { Ok(()) } else { Err(outside) }
    }

    /// Makes descriptors of the `count` pieces of a slot, each with the key that `key` has for it: the command's own descriptor, and
    /// what goes behind the command.
    pub(super) fn resolve(
        &self,
        domain: &Arc<ProtectionDomain>,
        slot: u32,
        count: u32,
        key: impl FnMut(Piece) -> Result<u32, Error>,
    ) -> Result<(Sgl, Segment), Error> {
        let mut inner = self.0.take().ok_or(Error::Internal("a request with a row, and there are none"))?;
        let result = inner.resolve(domain, slot, count, key);
        self.0.set(Some(inner));
        result
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
    fn resolve(
        &mut self,
        domain: &Arc<ProtectionDomain>,
        slot: u32,
        count: u32,
        mut key: impl FnMut(Piece) -> Result<u32, Error>,
    ) -> Result<(Sgl, Segment), Error> {
        let registered = match &self.registered {
            Some(registered) => registered,
            None => self.registered.insert(RegisteredMemory::of(&self.memory, domain, Access::LocalRead)?),
        };
        let outside = Error::Internal("a row of descriptors lies outside of its memory");
        let begin = (slot as usize).saturating_mul(ROW);
        for nth in 0..count as usize {
            let at = begin.saturating_add(nth * ENTRY);
            let Some(bytes) = self.memory.read_16(at).filter(|_| nth < PIECES) else { return Err(outside) };
            let piece = Piece::of_bytes(bytes);
            let descriptor = Sgl::keyed(piece.address, piece.length, key(piece)?);
            if !self.memory.write(at, &descriptor.to_bytes()) {
                return Err(outside);
            }
        }
        let length = count.saturating_mul(ENTRY as u32);
        let address = self.memory.address().wrapping_add(begin as u64);
        Ok((Sgl::last_segment(0, length), Segment { address, length, local_key: registered.local_key() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_comes_back_from_its_bytes() {
        let piece = Piece { address: 0x1122_3344_5566_7788, length: 0x00ff_fffe };
        assert_eq!(Piece::of_bytes(piece.to_bytes()), piece);
    }

    #[test]
    fn rows_have_bounds() {
        let rows = Rows::default();
        assert!(matches!(rows.store(4, 4, &[Piece::default()]), Err(Error::Internal(_))), "of another slot");
        assert!(matches!(rows.store(4, 0, &[Piece::default(); PIECES + 1]), Err(Error::Internal(_))));
        rows.store(4, 3, &[Piece::default(); PIECES]).unwrap();
    }
}
