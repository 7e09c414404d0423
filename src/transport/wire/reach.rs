//! How a command's data are reached: the short way.
//!
//! Memory that was looked up before, in one piece or in several. Whatever else there is takes the long way (`data`).
//!
//! What must hold: nothing but the row of a slot that is free is changed, so that the long way may follow.

use super::Wire;
use crate::{
    memory::Piece,
    transport::{PIECES, rows::FEWEST},
};
use arrayvec::ArrayVec;
use verbs::Segment;

/// The data of a command on the short way: its SGL descriptor as two words, and what goes into the capsule.
pub(crate) type Resolved = ([u64; 2], Behind);

/// What goes into the capsule behind a command.
#[derive(Clone, Copy)]
pub(crate) enum Behind {
    Nothing,
    Data(Segment),
    /// So many bytes of descriptors at an address, of the key that the queue knows.
    Row(u64, u32),
}

/// Data of a command on the short way.
pub(crate) trait Reach {
    /// How they are reached by a command that goes out from this slot. None if that takes the long way; then nothing was changed.
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved>;
}

/// Memory of the program that the controller writes to, less than 16 MiB.
pub(crate) struct ToHost(pub(crate) Piece);

/// Memory of the program that the controller reads, or that goes in the capsule, less than 16 MiB.
pub(crate) struct ToController(pub(crate) Piece);

/// As [`ToHost`], in several pieces, which the row of the slot is made to name.
pub(crate) struct SeveralToHost<P: Pieces>(pub(crate) P);

/// As [`ToController`], in several pieces.
pub(crate) struct SeveralToController<P: Pieces>(pub(crate) P);

impl Reach for ToHost {
    #[inline(always)]
    fn reach(self, wire: &Wire, _slot: u32) -> Option<Resolved> {
        let Self(Piece { address, length }) = self;
        let found = wire.cache.find(address, length)?;
        Some(([address, found.writable | u64::from(length)], Behind::Nothing))
    }
}

impl Reach for ToController {
    #[inline(always)]
    fn reach(self, wire: &Wire, _slot: u32) -> Option<Resolved> {
        let Self(Piece { address, length }) = self;
        let found = wire.cache.find(address, length)?;
        if length <= wire.in_capsule_data.get() {
            let segment = Segment { address, length, local_key: found.local };
            return Some(([0, IN_CAPSULE | u64::from(length)], Behind::Data(segment)));
        }
        Some(([address, found.readable | u64::from(length)], Behind::Nothing))
    }
}

/// Pieces that a row is made to name.
pub(crate) trait Pieces {
    /// Makes the row of a slot name them, each by what `key` says for its address and length: the upper half of its descriptor, with a
    /// length of 0.
    fn describe(self, wire: &Wire, slot: u32, key: impl Fn(u64, u32) -> Option<u64>) -> Option<Resolved>;
}

#[inline(always)]
fn described(piece: Piece, key: impl Fn(u64, u32) -> Option<u64>) -> Option<[u64; 2]> {
    let Piece { address, length } = piece;
    Some([address, key(address, length)? | u64::from(length)])
}

/// Two, for which there is room wherever there are rows: their descriptors need no memory on the way.
impl Pieces for [Piece; FEWEST] {
    #[inline(always)]
    fn describe(self, wire: &Wire, slot: u32, key: impl Fn(u64, u32) -> Option<u64>) -> Option<Resolved> {
        let [first, second] = self;
        wire.name_row(slot, &[described(first, &key)?, described(second, &key)?])
    }
}

impl Pieces for &[Piece] {
    #[inline(always)]
    fn describe(self, wire: &Wire, slot: u32, key: impl Fn(u64, u32) -> Option<u64>) -> Option<Resolved> {
        if self.len() > wire.room_for_descriptors() as usize {
            return None;
        }
        let mut descriptors = ArrayVec::<[u64; 2], PIECES>::new();
        for piece in self {
            descriptors.try_push(described(*piece, &key)?).ok()?;
        }
        wire.name_row(slot, &descriptors)
    }
}

impl<P: Pieces> Reach for SeveralToHost<P> {
    #[inline(always)]
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        self.0.describe(wire, slot, |address, length| Some(wire.cache.find(address, length)?.writable))
    }
}

impl<P: Pieces> Reach for SeveralToController<P> {
    #[inline(always)]
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        self.0.describe(wire, slot, |address, length| Some(wire.cache.find(address, length)?.readable))
    }
}

impl SeveralToHost<&[Piece]> {
    /// As [`Reach::reach`], where the pieces may lie in two regions: those of the last two look-ups.
    #[inline(never)]
    pub(crate) fn reach_in_two(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        self.0.describe(wire, slot, |address, length| Some(wire.cache.find_either(address, length)?.writable))
    }
}

impl SeveralToController<&[Piece]> {
    /// As [`Reach::reach`], where the pieces may lie in two regions.
    #[inline(never)]
    pub(crate) fn reach_in_two(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        self.0.describe(wire, slot, |address, length| Some(wire.cache.find_either(address, length)?.readable))
    }
}

/// The upper half of an SGL descriptor for data in the capsule, at offset 0 (Base 2.0, figures 99 to 101).
const IN_CAPSULE: u64 = 0x01 << 56;

impl Wire {
    /// The row of a slot with these descriptors.
    #[inline(always)]
    fn name_row(&self, slot: u32, descriptors: &[[u64; 2]]) -> Option<Resolved> {
        let (sgl, address, length) = self.rows.describe_known(slot, descriptors)?;
        Some((sgl, Behind::Row(address, length)))
    }
}
