//! SGL descriptors: the forms that NVMe/RDMA carries in a command (Base 4.1.2, RDMA Transport 2.5).

/// The descriptor type in bits 7:4 of a descriptor's last byte (Base figure 99).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SglType(pub u8);

impl SglType {
    /// Data block: address or offset, 32-bit length.
    pub const DATA_BLOCK: SglType = SglType(0x0);
    /// Bit bucket.
    pub const BIT_BUCKET: SglType = SglType(0x1);
    /// Segment.
    pub const SEGMENT: SglType = SglType(0x2);
    /// Last segment.
    pub const LAST_SEGMENT: SglType = SglType(0x3);
    /// Keyed data block: address, 24-bit length, remote key.
    pub const KEYED_DATA_BLOCK: SglType = SglType(0x4);
    /// Transport data block.
    pub const TRANSPORT_DATA_BLOCK: SglType = SglType(0x5);
    /// Vendor specific.
    pub const VENDOR_SPECIFIC: SglType = SglType(0xf);
}

/// The descriptor subtype in bits 3:0 of a descriptor's last byte (Base figure 100).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SglSubtype(pub u8);

impl SglSubtype {
    /// The address field is a memory address.
    pub const ADDRESS: SglSubtype = SglSubtype(0x0);
    /// The address field is an offset into the capsule's data.
    pub const OFFSET: SglSubtype = SglSubtype(0x1);
    /// Transport specific.
    pub const TRANSPORT: SglSubtype = SglSubtype(0xa);
    /// Keyed: the controller invalidates the key with its response (RDMA Transport 2.5).
    pub const INVALIDATE_KEY: SglSubtype = SglSubtype(0xf);
}

/// The longest keyed data block: its length field has 24 bits.
pub const KEYED_LENGTH_MAX: u32 = 0x00ff_ffff;

/// One 16-byte SGL descriptor as four dwords in host order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sgl {
    /// Dwords 0 to 3 of the descriptor.
    pub dwords: [u32; 4],
}

impl Sgl {
    /// A keyed data block of length 0: what a command without data carries, since the RDMA transport knows no other
    /// descriptor there.
    pub const NONE: Sgl = Sgl::keyed(0, 0, 0);

    /// A keyed data block with subtype *address*. `length` is below 2^24; higher bits are cut.
    #[must_use]
    pub const fn keyed(address: u64, length: u32, key: u32) -> Sgl {
        Sgl::keyed_with(address, length, key, SglSubtype::ADDRESS)
    }

    /// A keyed data block whose key the controller invalidates when it answers.
    #[must_use]
    pub const fn keyed_invalidate(address: u64, length: u32, key: u32) -> Sgl {
        Sgl::keyed_with(address, length, key, SglSubtype::INVALIDATE_KEY)
    }

    const fn keyed_with(address: u64, length: u32, key: u32, subtype: SglSubtype) -> Sgl {
        Sgl {
            dwords: [
                address as u32,
                (address >> 32) as u32,
                (length & KEYED_LENGTH_MAX) | (key << 24),
                (key >> 8) | ((SglType::KEYED_DATA_BLOCK.0 as u32) << 28) | ((subtype.0 as u32) << 24),
            ],
        }
    }

    /// Data in the capsule, `offset` bytes after the place that ICDOFF gives, `length` bytes long.
    #[must_use]
    pub const fn in_capsule(offset: u64, length: u32) -> Sgl {
        Sgl { dwords: [offset as u32, (offset >> 32) as u32, length, (SglSubtype::OFFSET.0 as u32) << 24] }
    }

    /// A last segment descriptor with subtype *offset*: `length` bytes of descriptors in the capsule at `offset`.
    #[must_use]
    pub const fn last_segment(offset: u64, length: u32) -> Sgl {
        let kind = ((SglType::LAST_SEGMENT.0 as u32) << 28) | ((SglSubtype::OFFSET.0 as u32) << 24);
        Sgl { dwords: [offset as u32, (offset >> 32) as u32, length, kind] }
    }

    /// From the 16 bytes on the wire.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; 16]) -> Sgl {
        let all = u128::from_le_bytes(*bytes);
        Sgl { dwords: [all as u32, (all >> 32) as u32, (all >> 64) as u32, (all >> 96) as u32] }
    }

    /// The 16 bytes on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        let [a, b, c, d] = self.dwords;
        (a as u128 | (b as u128) << 32 | (c as u128) << 64 | (d as u128) << 96).to_le_bytes()
    }

    /// As two words, two dwords each, the lower one first.
    #[must_use]
    #[inline]
    pub const fn to_words(self) -> [u64; 2] {
        let [a, b, c, d] = self.dwords;
        [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
    }

    /// The reverse of [`Sgl::to_words`].
    #[must_use]
    #[inline]
    pub const fn from_words([low, high]: [u64; 2]) -> Sgl {
        Sgl { dwords: [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32] }
    }

    /// The descriptor type.
    #[must_use]
    pub const fn kind(self) -> SglType {
        SglType((self.dwords[3] >> 28) as u8)
    }

    /// The descriptor subtype.
    #[must_use]
    pub const fn subtype(self) -> SglSubtype {
        SglSubtype((self.dwords[3] >> 24) as u8 & 0xf)
    }

    /// The address, or the offset for the subtypes that mean one.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.dwords[0] as u64 | (self.dwords[1] as u64) << 32
    }

    /// The length in bytes: 24 bits for a keyed data block, else 32.
    #[must_use]
    pub const fn length(self) -> u32 {
        if self.kind().0 == SglType::KEYED_DATA_BLOCK.0 {
            self.dwords[2] & KEYED_LENGTH_MAX
        } else {
            self.dwords[2]
        }
    }

    /// The remote key of a keyed data block.
    #[must_use]
    pub const fn key(self) -> u32 {
        self.dwords[2] >> 24 | self.dwords[3] << 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_data_block_layout() {
        // Base figure 103: address 7:0, length 10:8, key 14:11, type and subtype 15.
        let sgl = Sgl::keyed(0x1122_3344_5566_7788, 0x00ab_cdef, 0xdead_beef);
        let bytes =
            [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xef, 0xcd, 0xab, 0xef, 0xbe, 0xad, 0xde, 0x40];
        assert_eq!(sgl.to_bytes(), bytes);
        assert_eq!(Sgl::from_bytes(&bytes), sgl);
        assert_eq!((sgl.address(), sgl.length(), sgl.key()), (0x1122_3344_5566_7788, 0xab_cdef, 0xdead_beef));
        assert_eq!(Sgl::keyed_invalidate(0, 1, 2).to_bytes()[15], 0x4f);
        assert_eq!(Sgl::NONE.to_bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    }

    #[test]
    fn in_capsule_layout() {
        let sgl = Sgl::in_capsule(0x10, 0x0102_0304);
        assert_eq!(sgl.to_bytes(), [0x10, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0x01]);
        assert_eq!(sgl.kind(), SglType::DATA_BLOCK);
        assert_eq!(sgl.subtype(), SglSubtype::OFFSET);
        assert_eq!(sgl.length(), 0x0102_0304);
        assert_eq!(Sgl::last_segment(0, 32).to_bytes()[15], 0x31);
    }
}
