//! End-to-end data protection (NVM Command Set 1.0, 5.2): the eight bytes at the end of a block's metadata, which hold a
//! guard (a CRC), an application tag and a reference tag; what a command wants to have checked, added or taken away.
//!
//! Blocks are extended: data, metadata, the protection information last in it. All functions take whole blocks.

use crc::{CRC_16_T10_DIF, Crc};
use spec::{Command, Status};

use super::Namespace;

/// Bytes of the protection information.
pub(crate) const SIZE: usize = 8;
/// The protection information of a block that nobody wrote: nothing of it is checked.
const UNCHECKED: [u8; SIZE] = [0xff; SIZE];
/// The guard.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_T10_DIF);

/// PRINFO in dword 12.
const PRACT: u32 = 1 << 29;
const CHECK_GUARD: u32 = 1 << 28;
const CHECK_APPLICATION_TAG: u32 = 1 << 27;
const CHECK_REFERENCE_TAG: u32 = 1 << 26;

/// How a namespace's blocks are laid out, and what a command wants with their protection information.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protection {
    /// Type 1 to 3.
    kind: u8,
    data: usize,
    metadata: usize,
    prinfo: u32,
    reference: u32,
    tag: u16,
    mask: u16,
}

impl Protection {
    /// What a command wants; `None` if that is nothing, since the namespace has no protection information or the command
    /// lets it through.
    pub(super) fn of(namespace: &Namespace, command: &Command) -> Result<Option<Protection>, Status> {
        let prinfo = command.cdw12() & (PRACT | CHECK_GUARD | CHECK_APPLICATION_TAG | CHECK_REFERENCE_TAG);
        if namespace.protection == 0 || prinfo == 0 {
            return Ok(None);
        }
        let reference = command.cdw14();
        if prinfo & CHECK_REFERENCE_TAG != 0 {
            // Type 1 counts blocks, type 3 does not count.
            let wrong = match namespace.protection {
                1 => reference != command.lba() as u32,
                2 => false,
                _ => true,
            };
            if wrong {
                return Err(Status::INVALID_PROTECTION_INFORMATION.with_dnr(true));
            }
        }
        Ok(Some(Protection {
            kind: namespace.protection,
            data: 1 << namespace.block_shift,
            metadata: namespace.metadata.into(),
            prinfo,
            reference,
            tag: command.cdw15() as u16,
            mask: (command.cdw15() >> 16) as u16,
        }))
    }

    /// Bytes of a block in the store.
    #[must_use]
    pub fn block(&self) -> usize {
        self.data + self.metadata
    }

    /// The protection information is all of the metadata, and goes no further than the controller.
    fn is_stripped(&self) -> bool {
        self.prinfo & PRACT != 0 && self.metadata == SIZE
    }

    /// Bytes of a block as the host has it.
    #[must_use]
    pub fn host_block(&self) -> usize {
        if self.is_stripped() { self.data } else { self.block() }
    }

    /// The reference tag of a block of the command.
    fn reference(&self, index: u64) -> u32 {
        if self.kind == 3 { self.reference } else { self.reference.wrapping_add(index as u32) }
    }

    /// Checks what the command wants to have checked, of blocks from the `first` of the command on.
    ///
    /// # Errors
    /// The status for the first block that is not as it should be.
    pub fn check(&self, blocks: &[u8], first: u64) -> Result<(), Status> {
        for (index, block) in (first..).zip(blocks.chunks_exact(self.block())) {
            let Some((covered, information)) = block.split_last_chunk::<SIZE>() else { continue };
            let [guard @ .., a, b, c, d] = *information;
            let [g0, g1, t0, t1] = guard;
            let (guard, tag) = (u16::from_be_bytes([g0, g1]), u16::from_be_bytes([t0, t1]));
            let reference = u32::from_be_bytes([a, b, c, d]);
            if tag == 0xffff && (self.kind != 3 || reference == u32::MAX) {
                continue;
            }
            if self.prinfo & CHECK_GUARD != 0 && guard != CRC.checksum(covered) {
                return Err(Status::GUARD_CHECK_ERROR);
            }
            if self.prinfo & CHECK_APPLICATION_TAG != 0 && tag & self.mask != self.tag & self.mask {
                return Err(Status::APPLICATION_TAG_CHECK_ERROR);
            }
            if self.prinfo & CHECK_REFERENCE_TAG != 0 && reference != self.reference(index) {
                return Err(Status::REFERENCE_TAG_CHECK_ERROR);
            }
        }
        Ok(())
    }

    /// Writes the protection information that the command's dwords name, or that of blocks which nobody wrote.
    pub fn generate(&self, blocks: &mut [u8], first: u64) {
        for (index, block) in (first..).zip(blocks.chunks_exact_mut(self.block())) {
            let Some((covered, information)) = block.split_last_chunk_mut::<SIZE>() else { continue };
            if self.prinfo & PRACT == 0 {
                *information = UNCHECKED;
                continue;
            }
            let [g0, g1] = CRC.checksum(covered).to_be_bytes();
            let [t0, t1] = self.tag.to_be_bytes();
            let [a, b, c, d] = self.reference(index).to_be_bytes();
            *information = [g0, g1, t0, t1, a, b, c, d];
        }
    }

    /// Blocks of the store as the host gets them.
    ///
    /// # Errors
    /// As [`Protection::check`].
    pub fn to_host(&self, blocks: Vec<u8>) -> Result<Vec<u8>, Status> {
        self.check(&blocks, 0)?;
        if !self.is_stripped() {
            return Ok(blocks);
        }
        Ok(blocks
            .chunks_exact(self.block())
            .flat_map(|block| block.iter().take(self.data))
            .copied()
            .collect())
    }

    /// Blocks of the host as the store gets them.
    ///
    /// # Errors
    /// As [`Protection::check`].
    pub fn from_host(&self, blocks: Vec<u8>) -> Result<Vec<u8>, Status> {
        if self.prinfo & PRACT == 0 {
            self.check(&blocks, 0)?;
            return Ok(blocks);
        }
        let mut all = blocks;
        if self.is_stripped() {
            let one = |block: &[u8]| [block, &[0; SIZE]].concat();
            all = all.chunks_exact(self.data).flat_map(one).collect();
        }
        self.generate(&mut all, 0);
        Ok(all)
    }
}

impl Namespace {
    /// Bytes of a block in the store: its data and its metadata.
    pub(super) fn block(&self) -> u64 {
        (1 << self.block_shift) + u64::from(self.metadata)
    }
}

/// Makes blocks ones that nobody wrote, as far as their protection information is concerned.
pub(crate) fn forget(blocks: &mut [u8], block: usize) {
    for block in blocks.chunks_exact_mut(block) {
        if let Some((_, information)) = block.split_last_chunk_mut::<SIZE>() {
            *information = UNCHECKED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(kind: u8, metadata: usize, prinfo: u32) -> Protection {
        Protection { kind, data: 512, metadata, prinfo, reference: 7, tag: 0x1234, mask: 0xff00 }
    }

    const CHECKS: u32 = CHECK_GUARD | CHECK_APPLICATION_TAG | CHECK_REFERENCE_TAG;

    #[test]
    fn the_guard_is_the_one_of_t10() {
        // T10's own example, and what 32 bytes of each kind give.
        assert_eq!(CRC.checksum(b"123456789"), 0xd0db);
        assert_eq!(CRC.checksum(&[0; 32]), 0);
        assert_eq!(CRC.checksum(&[0xff; 32]), 0xa293);
    }

    #[test]
    fn layout() {
        let data: Vec<u8> = (0..1024u32).map(|index| (index * 7 % 251) as u8).collect();
        let blocks = protection(1, 8, PRACT).from_host(data.clone()).unwrap();
        assert_eq!(blocks.len(), 1040);
        for (index, block) in blocks.chunks(520).enumerate() {
            assert_eq!(block[..512], data[index * 512..][..512]);
            assert_eq!(block[512..514], CRC.checksum(&block[..512]).to_be_bytes());
            assert_eq!(block[514..], [0x12, 0x34, 0, 0, 0, 7 + index as u8]);
        }
        assert_eq!(protection(1, 8, PRACT | CHECKS).to_host(blocks.clone()), Ok(data));
        assert_eq!(protection(1, 8, CHECKS).to_host(blocks.clone()), Ok(blocks));
        // Metadata that is more than that stays, and is under the guard.
        let data = vec![9; 528];
        let blocks = protection(3, 16, PRACT).from_host(data).unwrap();
        assert_eq!(blocks[..520], [9; 520]);
        assert_eq!(blocks[520..522], CRC.checksum(&[9; 520]).to_be_bytes());
        assert_eq!(blocks[524..], [0, 0, 0, 7]);
    }

    #[test]
    fn each_field_is_checked_if_it_is_to_be() {
        for kind in 1..=3 {
            let good = protection(kind, 8, PRACT).from_host(vec![3; 1024]).unwrap();
            for (at, check, status) in [
                (520 + 100, CHECK_GUARD, Status::GUARD_CHECK_ERROR),
                (520 + 513, CHECK_GUARD, Status::GUARD_CHECK_ERROR),
                (520 + 514, CHECK_APPLICATION_TAG, Status::APPLICATION_TAG_CHECK_ERROR),
                (520 + 516, CHECK_REFERENCE_TAG, Status::REFERENCE_TAG_CHECK_ERROR),
                (520 + 519, CHECK_REFERENCE_TAG, Status::REFERENCE_TAG_CHECK_ERROR),
            ] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                for checks in [check, CHECKS] {
                    assert_eq!(protection(kind, 8, checks).check(&bad, 0), Err(status));
                    assert_eq!(protection(kind, 8, checks).check(&good, 0), Ok(()));
                }
                assert_eq!(protection(kind, 8, CHECKS & !check).check(&bad, 0), Ok(()));
            }
            let mut masked = good.clone();
            masked[515] ^= 1;
            assert_eq!(protection(kind, 8, CHECKS).check(&masked, 0), Ok(()), "not under the mask");
            forget(&mut masked, 520);
            masked[0] ^= 1;
            assert_eq!(protection(kind, 8, CHECKS).check(&masked, 0), Ok(()), "nobody wrote it");
            masked[519] = 0;
            assert_eq!(protection(kind, 8, CHECKS).check(&masked, 0).is_ok(), kind != 3);
        }
    }
}
