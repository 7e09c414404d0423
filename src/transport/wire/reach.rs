//! How a command's data are reached: the short way.
//!
//! Memory that was looked up before, in one piece or in several. Whatever else there is takes the long way (`data`).
//!
//! What must hold: nothing but the row of a slot that is free is changed, so that the long way may follow.

use super::Wire;
use crate::{
    memory::{Cache, Piece},
    transport::rows::Keys,
};
use verbs::Segment;

/// The data of a command on the short way: its SGL descriptor as two words, and what goes into the capsule.
pub(crate) type Resolved = ([u64; 2], Option<Segment>);

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
pub(crate) struct SeveralToHost<'a>(pub(crate) &'a [Piece]);

/// As [`ToController`], in several pieces.
pub(crate) struct SeveralToController<'a>(pub(crate) &'a [Piece]);

impl Reach for ToHost {
    #[inline(always)]
    fn reach(self, wire: &Wire, _slot: u32) -> Option<Resolved> {
        let Self(Piece { address, length }) = self;
        let found = wire.cache.find(address, length)?;
        Some(([address, found.writable | u64::from(length)], None))
    }
}

impl Reach for ToController {
    #[inline(always)]
    fn reach(self, wire: &Wire, _slot: u32) -> Option<Resolved> {
        let Self(Piece { address, length }) = self;
        let found = wire.cache.find(address, length)?;
        if length <= wire.in_capsule_data.get() {
            let segment = Segment { address, length, local_key: found.local };
            return Some(([0, IN_CAPSULE | u64::from(length)], Some(segment)));
        }
        Some(([address, found.readable | u64::from(length)], None))
    }
}

/// The keys of pieces that all lie in the region of the last look-up, or in those of the last two.
struct InOneRegion<'a, const TO_HOST: bool>(&'a Cache);
struct InTwoRegions<'a, const TO_HOST: bool>(&'a Cache);

impl<const TO_HOST: bool> Keys for InOneRegion<'_, TO_HOST> {
    #[inline(always)]
    fn key(&self, address: u64, length: u32) -> Option<u64> {
        let found = self.0.find(address, length)?;
        Some(if TO_HOST { found.writable } else { found.readable })
    }
}

impl<const TO_HOST: bool> Keys for InTwoRegions<'_, TO_HOST> {
    #[inline(always)]
    fn key(&self, address: u64, length: u32) -> Option<u64> {
        let found = self.0.find_either(address, length)?;
        Some(if TO_HOST { found.writable } else { found.readable })
    }
}

impl Reach for SeveralToHost<'_> {
    #[inline(always)]
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        wire.describe_known(slot, self.0, InOneRegion::<true>(&wire.cache))
    }
}

impl Reach for SeveralToController<'_> {
    #[inline(always)]
    fn reach(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        wire.describe_known(slot, self.0, InOneRegion::<false>(&wire.cache))
    }
}

impl SeveralToHost<'_> {
    /// As [`Reach::reach`], where the pieces may lie in two regions.
    #[inline(always)]
    pub(crate) fn reach_in_two(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        wire.describe_known(slot, self.0, InTwoRegions::<true>(&wire.cache))
    }
}

impl SeveralToController<'_> {
    /// As [`Reach::reach`], where the pieces may lie in two regions.
    #[inline(always)]
    pub(crate) fn reach_in_two(self, wire: &Wire, slot: u32) -> Option<Resolved> {
        wire.describe_known(slot, self.0, InTwoRegions::<false>(&wire.cache))
    }
}

/// The upper half of an SGL descriptor for data in the capsule, at offset 0 (Base 2.0, figures 99 to 101).
const IN_CAPSULE: u64 = 0x01 << 56;

impl Wire {
    /// Pieces in memory that was looked up before.
    #[inline(always)]
    fn describe_known(&self, slot: u32, pieces: &[Piece], keys: impl Keys) -> Option<Resolved> {
        if pieces.len() > self.room_for_descriptors() as usize {
            return None;
        }
        let (sgl, row) = self.rows.describe_known(slot, pieces, keys)?;
        Some((sgl, Some(row)))
    }
}
