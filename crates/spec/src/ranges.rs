//! Ranges of logical blocks that come as data: those of Dataset Management (NVM Command Set 1.0, figure 41) and the source
//! ranges of Copy in format 0 (figure 33).

use crate::bytes::{put, u16_at, u32_at, u64_at};

/// Dataset Management, dword 11: deallocate.
pub const DSM_DEALLOCATE: u32 = 1 << 2;

/// A range of Dataset Management.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DatasetRange {
    /// Context attributes.
    pub attributes: u32,
    /// Number of logical blocks, not zero-based.
    pub blocks: u32,
    /// First logical block.
    pub lba: u64,
}

impl DatasetRange {
    /// Size in bytes.
    pub const SIZE: usize = 16;

    /// From the bytes on the wire.
    #[must_use]
    pub fn decode(data: &[u8; DatasetRange::SIZE]) -> DatasetRange {
        DatasetRange { attributes: u32_at(data, 0), blocks: u32_at(data, 4), lba: u64_at(data, 8) }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; DatasetRange::SIZE] {
        let mut data = [0; DatasetRange::SIZE];
        put(&mut data, 0, &self.attributes.to_le_bytes());
        put(&mut data, 4, &self.blocks.to_le_bytes());
        put(&mut data, 8, &self.lba.to_le_bytes());
        data
    }
}

/// A source range of Copy, without its tags.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CopyRange {
    /// First logical block.
    pub lba: u64,
    /// Number of logical blocks, 1 to 65,536 (zero-based on the wire).
    pub blocks: u32,
}

impl CopyRange {
    /// Size in bytes.
    pub const SIZE: usize = 32;

    /// From the bytes on the wire.
    #[must_use]
    pub fn decode(data: &[u8; CopyRange::SIZE]) -> CopyRange {
        CopyRange { lba: u64_at(data, 8), blocks: u32::from(u16_at(data, 16)).saturating_add(1) }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; CopyRange::SIZE] {
        let mut data = [0; CopyRange::SIZE];
        put(&mut data, 8, &self.lba.to_le_bytes());
        put(&mut data, 16, &(self.blocks.wrapping_sub(1) as u16).to_le_bytes());
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let range = DatasetRange { attributes: 0x04, blocks: 0x0102, lba: 0x0a0b };
        assert_eq!(range.encode(), [4, 0, 0, 0, 2, 1, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0]);
        assert_eq!(DatasetRange::decode(&range.encode()), range);
        let range = CopyRange { lba: 0x0102, blocks: 65_536 };
        assert_eq!(range.encode()[..18], [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        assert_eq!(CopyRange::decode(&range.encode()), range);
    }
}
