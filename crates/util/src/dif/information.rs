//! The protection information of one block (NVM 1.0, 5.2): guard, application tag and reference tag, big endian.
//!
//! The space of storage and reference tag is the reference tag's alone, as large as it can be: 32, 64 and 48 bits with
//! guards of 16, 32 and 64. What lies between the tags of the second format is 0.

use std::ops::Range;

use crate::crc;

/// `enum spdk_dif_pi_format`: the size of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Guard16,
    Guard32,
    Guard64,
}

/// One block's, as its bytes.
pub(super) struct Information {
    format: Format,
    bytes: [u8; 16],
}

/// An application tag of ones, which ends the checks.
pub(super) const APPTAG_IGNORE: u16 = u16::MAX;

impl Format {
    pub(super) fn of(number: u32) -> Option<Self> {
        [Self::Guard16, Self::Guard32, Self::Guard64].get(usize::try_from(number).ok()?).copied()
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Guard16 => 0,
            Self::Guard32 => 1,
            Self::Guard64 => 2,
        }
    }

    /// Bytes of the whole.
    pub(super) fn size(self) -> usize {
        self.ref_tag_at().end
    }

    /// Goes on with a guard.
    pub(super) fn guard(self, before: u64, bytes: &[u8]) -> u64 {
        match self {
            Self::Guard16 => crc::t10_dif(before as u16, bytes).into(),
            Self::Guard32 => crc::castagnoli_nvme(before as u32, bytes).into(),
            Self::Guard64 => crc::nvme(before, bytes),
        }
    }

    /// A reference tag of ones.
    pub(super) fn ones(self) -> u64 {
        match self {
            Self::Guard16 => u32::MAX.into(),
            Self::Guard32 => u64::MAX,
            Self::Guard64 => (1 << 48) - 1,
        }
    }

    fn guard_at(self) -> Range<usize> {
        match self {
            Self::Guard16 => 0..2,
            Self::Guard32 => 0..4,
            Self::Guard64 => 0..8,
        }
    }

    fn app_tag_at(self) -> Range<usize> {
        match self {
            Self::Guard16 => 2..4,
            Self::Guard32 => 4..6,
            Self::Guard64 => 8..10,
        }
    }

    fn ref_tag_at(self) -> Range<usize> {
        match self {
            Self::Guard16 => 4..8,
            Self::Guard32 => 8..16,
            Self::Guard64 => 10..16,
        }
    }
}

impl Information {
    /// All zeros.
    pub(super) fn new(format: Format) -> Self {
        Self { format, bytes: [0; 16] }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.format.size()).unwrap_or_default()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.format.size()).unwrap_or_default()
    }

    pub(super) fn guard(&self) -> u64 {
        self.number(self.format.guard_at())
    }

    pub(super) fn app_tag(&self) -> u16 {
        self.number(self.format.app_tag_at()) as u16
    }

    pub(super) fn ref_tag(&self) -> u64 {
        self.number(self.format.ref_tag_at())
    }

    pub(super) fn set_guard(&mut self, guard: u64) {
        self.set_number(self.format.guard_at(), guard);
    }

    pub(super) fn set_app_tag(&mut self, app_tag: u16) {
        self.set_number(self.format.app_tag_at(), app_tag.into());
    }

    pub(super) fn set_ref_tag(&mut self, ref_tag: u64) {
        self.set_number(self.format.ref_tag_at(), ref_tag);
    }

    fn number(&self, at: Range<usize>) -> u64 {
        let bytes = self.bytes.get(at).unwrap_or_default();
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Writes the low bytes of a number.
    fn set_number(&mut self, at: Range<usize>, number: u64) {
        let mut rest = number;
        for byte in self.bytes.get_mut(at).unwrap_or_default().iter_mut().rev() {
            *byte = rest as u8;
            rest >>= 8;
        }
    }
}
