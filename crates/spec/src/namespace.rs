//! Identify data about namespaces (Base 5.17.2, NVM Command Set 4.1.5): Identify Namespace, the active namespace list and
//! the namespace identification descriptors.

use thiserror::Error;

use crate::bytes::{array, field, put, u16_at, u32_at, u64_at};
use crate::identify::{IDENTIFY_SIZE, fields, u8_at};

/// Identify Namespace data, read (NVM Command Set figure 97).
#[derive(Clone, Copy, Debug)]
pub struct NamespaceView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

/// Identify Namespace data, written.
#[derive(Clone, Debug)]
pub struct NamespaceImage(pub [u8; IDENTIFY_SIZE]);

fields! { NamespaceView, NamespaceImage,
    /// Namespace size in logical blocks; 0 for a namespace that is not active.
    nsze set_nsze u64 u64_at 0;
    /// Namespace capacity in logical blocks.
    ncap set_ncap u64 u64_at 8;
    /// Namespace utilization in logical blocks.
    nuse set_nuse u64 u64_at 16;
    /// Namespace features.
    nsfeat set_nsfeat u8 u8_at 24;
    /// Number of LBA formats, zero-based.
    nlbaf set_nlbaf u8 u8_at 25;
    /// Formatted LBA size: bits 3:0 and 6:5 index of the format, bit 4 metadata extends the data.
    flbas set_flbas u8 u8_at 26;
    /// Metadata capabilities.
    mc set_mc u8 u8_at 27;
    /// End-to-end data protection capabilities.
    dpc set_dpc u8 u8_at 28;
    /// End-to-end data protection type settings.
    dps set_dps u8 u8_at 29;
    /// Multi-path and sharing: bit 0 several controllers may attach it.
    nmic set_nmic u8 u8_at 30;
    /// Reservation capabilities.
    rescap set_rescap u8 u8_at 31;
    /// Deallocate logical block features.
    dlfeat set_dlfeat u8 u8_at 33;
    /// Namespace atomic write unit normal, zero-based blocks.
    nawun set_nawun u16 u16_at 34;
    /// Namespace optimal I/O boundary in logical blocks; 0 for none.
    noiob set_noiob u16 u16_at 46;
    /// Most logical blocks of a source range of Copy.
    mssrl set_mssrl u16 u16_at 74;
    /// Most logical blocks of a Copy.
    mcl set_mcl u32 u32_at 76;
    /// Most source ranges of a Copy, zero-based.
    msrc set_msrc u8 u8_at 80;
    /// ANA group id.
    anagrpid set_anagrpid u32 u32_at 92;
}

/// One LBA format (NVM Command Set figure 98).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LbaFormat {
    /// Metadata bytes of each logical block.
    pub ms: u16,
    /// LBA data size: 2^this bytes.
    pub lbads: u8,
    /// Relative performance, 0 best.
    pub rp: u8,
}

impl NamespaceView<'_> {
    /// The LBA format with this index; `None` from NLBAF on.
    #[must_use]
    pub fn lba_format(self, index: u8) -> Option<LbaFormat> {
        if index > self.nlbaf() || index >= 64 {
            return None;
        }
        let offset = usize::from(index).saturating_mul(4).saturating_add(128);
        let raw = u32_at(self.0, offset);
        Some(LbaFormat { ms: raw as u16, lbads: (raw >> 16) as u8, rp: (raw >> 24) as u8 & 3 })
    }

    /// Index of the format in use. The upper bits count only where there are more than 16 formats.
    #[must_use]
    pub fn format_index(self) -> u8 {
        let flbas = self.flbas();
        if self.nlbaf() > 15 { (flbas & 0xf) | (flbas >> 5 & 3) << 4 } else { flbas & 0xf }
    }

    /// The format in use; `None` when FLBAS names one that there is not.
    #[must_use]
    pub fn format(self) -> Option<LbaFormat> {
        self.lba_format(self.format_index())
    }

    /// Bytes of data in a logical block: 512 to 2^31. `None` when the data says something else.
    #[must_use]
    pub fn block_size(self) -> Option<u32> {
        match self.format()?.lbads {
            lbads @ 9..=31 => 1u32.checked_shl(u32::from(lbads)),
            _ => None,
        }
    }

    /// Metadata is transferred with the data of each logical block.
    #[must_use]
    pub fn metadata_extends_data(self) -> bool {
        self.flbas() & 1 << 4 != 0
    }

    /// Type of the protection information, 1 to 3; 0 when it is disabled.
    #[must_use]
    pub fn protection_type(self) -> u8 {
        self.dps() & 7
    }

    /// What a deallocated logical block reads as: 0 not reported, 1 zeros, 2 ones.
    #[must_use]
    pub fn deallocated_reads(self) -> u8 {
        self.dlfeat() & 7
    }

    /// Namespace globally unique identifier, big-endian; zeros when there is none.
    #[must_use]
    pub fn nguid(self) -> [u8; 16] {
        array(self.0, 104)
    }

    /// IEEE extended unique identifier, big-endian; zeros when there is none.
    #[must_use]
    pub fn eui64(self) -> [u8; 8] {
        array(self.0, 120)
    }
}

/// Identify Namespace data of the NVM Command Set (CNS 05h, CSI 0), read (NVM Command Set figure 100).
#[derive(Clone, Copy, Debug)]
pub struct NvmNamespaceView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

impl NvmNamespaceView<'_> {
    /// Protection information format of the LBA format with this index: 0 a guard of 16 bits, 1 of 32, 2 of 64. 0 where there is no such
    /// index.
    #[must_use]
    pub fn protection_format(self, index: u8) -> u8 {
        if index >= 64 {
            return 0;
        }
        let offset = usize::from(index).saturating_mul(4).saturating_add(12);
        (u32_at(self.0, offset) >> 7 & 3) as u8
    }
}

impl Default for NamespaceImage {
    fn default() -> NamespaceImage {
        NamespaceImage([0; IDENTIFY_SIZE])
    }
}

impl NamespaceImage {
    /// Reads what was written so far.
    #[must_use]
    pub fn view(&self) -> NamespaceView<'_> {
        NamespaceView(&self.0)
    }

    /// Writes the LBA format with this index, below 64.
    pub fn set_lba_format(&mut self, index: u8, format: LbaFormat) -> &mut NamespaceImage {
        if index < 64 {
            let offset = usize::from(index).saturating_mul(4).saturating_add(128);
            let raw = u32::from(format.ms) | u32::from(format.lbads) << 16 | u32::from(format.rp & 3) << 24;
            put(&mut self.0, offset, &raw.to_le_bytes());
        }
        self
    }

    /// Namespace globally unique identifier, big-endian.
    pub fn set_nguid(&mut self, nguid: [u8; 16]) -> &mut NamespaceImage {
        put(&mut self.0, 104, &nguid);
        self
    }

    /// IEEE extended unique identifier, big-endian.
    pub fn set_eui64(&mut self, eui64: [u8; 8]) -> &mut NamespaceImage {
        put(&mut self.0, 120, &eui64);
        self
    }
}

/// The ids of a namespace list (Base figure 290): up to 1024, ascending, a 0 ends it.
///
/// A list that does not ascend ends where it stops doing so, so that whoever continues after the last id gets on.
pub fn namespace_list(data: &[u8; IDENTIFY_SIZE]) -> impl Iterator<Item = u32> + '_ {
    data.as_chunks::<4>()
        .0
        .iter()
        .map(|entry| u32::from_le_bytes(*entry))
        .scan(0, |previous, id| {
            let ascends = id > *previous;
            *previous = id;
            ascends.then_some(id)
        })
        .fuse()
}

/// Writes a namespace list; what exceeds 1024 ids is left out.
#[must_use]
pub fn encode_namespace_list(ids: impl Iterator<Item = u32>) -> [u8; IDENTIFY_SIZE] {
    let mut data = [0; IDENTIFY_SIZE];
    for (entry, id) in data.as_chunks_mut::<4>().0.iter_mut().zip(ids) {
        *entry = id.to_le_bytes();
    }
    data
}

/// A namespace identification descriptor (Base figure 277).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NamespaceId<'a> {
    /// NIDT 1: IEEE extended unique identifier.
    Eui64(&'a [u8; 8]),
    /// NIDT 2: namespace globally unique identifier.
    Nguid(&'a [u8; 16]),
    /// NIDT 3: UUID.
    Uuid(&'a [u8; 16]),
    /// NIDT 4: command set identifier.
    Csi(u8),
    /// A type that this crate does not know.
    Other {
        /// The type.
        nidt: u8,
        /// The identifier.
        nid: &'a [u8],
    },
}

/// A descriptor list that cannot be read on.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DescriptorError {
    /// The length does not suit the type.
    #[error("namespace identification descriptor of type {nidt} has length {nidl}")]
    Length {
        /// The type.
        nidt: u8,
        /// The length.
        nidl: u8,
    },
    /// The descriptor reaches beyond the data.
    #[error("namespace identification descriptor reaches beyond the list")]
    Overrun,
}

/// Walks a namespace identification descriptor list. It ends at a descriptor of length 0 or after the first error.
pub fn namespace_descriptors(data: &[u8; IDENTIFY_SIZE]) -> NamespaceDescriptors<'_> {
    NamespaceDescriptors { rest: data }
}

/// Iterator over a namespace identification descriptor list.
#[derive(Clone, Debug)]
pub struct NamespaceDescriptors<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for NamespaceDescriptors<'a> {
    type Item = Result<NamespaceId<'a>, DescriptorError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&[nidt, nidl, _, _], rest) = self.rest.split_first_chunk::<4>()?;
        if nidl == 0 {
            self.rest = &[];
            return None;
        }
        let Some((nid, rest)) = rest.split_at_checked(usize::from(nidl)) else {
            self.rest = &[];
            return Some(Err(DescriptorError::Overrun));
        };
        self.rest = rest;
        let id = match nidt {
            1 => nid.try_into().ok().map(NamespaceId::Eui64),
            2 => nid.try_into().ok().map(NamespaceId::Nguid),
            3 => nid.try_into().ok().map(NamespaceId::Uuid),
            4 => <&[u8; 1]>::try_from(nid).ok().map(|[csi]| NamespaceId::Csi(*csi)),
            _ => Some(NamespaceId::Other { nidt, nid }),
        };
        let id = id.ok_or(DescriptorError::Length { nidt, nidl });
        if id.is_err() {
            self.rest = &[];
        }
        Some(id)
    }
}

/// Writes a descriptor list; what does not fit is left out.
#[must_use]
pub fn encode_namespace_descriptors(ids: &[NamespaceId<'_>]) -> [u8; IDENTIFY_SIZE] {
    let mut data = [0; IDENTIFY_SIZE];
    let mut offset = 0usize;
    for id in ids {
        let csi;
        let (nidt, nid): (u8, &[u8]) = match id {
            NamespaceId::Eui64(nid) => (1, *nid),
            NamespaceId::Nguid(nid) => (2, *nid),
            NamespaceId::Uuid(nid) => (3, *nid),
            NamespaceId::Csi(value) => {
                csi = [*value];
                (4, &csi)
            }
            NamespaceId::Other { nidt, nid } => (*nidt, nid),
        };
        let Ok(nidl) = u8::try_from(nid.len()) else { continue };
        let body = offset.saturating_add(4);
        if field(&data, body, nid.len()).len() != nid.len() {
            break;
        }
        put(&mut data, offset, &[nidt, nidl, 0, 0]);
        put(&mut data, body, nid);
        offset = body.saturating_add(nid.len());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Box<[u8; IDENTIFY_SIZE]> {
        let mut data = Box::new([0u8; IDENTIFY_SIZE]);
        let mut set = |offset: usize, bytes: &[u8]| data[offset..offset + bytes.len()].copy_from_slice(bytes);
        set(0, &[0, 0, 2, 0, 0, 0, 0, 0]);
        set(8, &[0, 0, 1, 0, 0, 0, 0, 0]);
        set(16, &[0, 8, 0, 0, 0, 0, 0, 0]);
        set(24, &[0x10, 1, 0x11, 1, 2, 3, 1, 0x3f]);
        set(33, &[9, 7, 0]);
        set(46, &[8, 0]);
        set(92, &[1, 0, 0, 0]);
        set(104, &[0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        set(120, &[0xb0, 1, 2, 3, 4, 5, 6, 7]);
        set(128, &[0, 0, 9, 1, 8, 0, 12, 2]);
        data
    }

    #[test]
    fn namespace_fields_are_where_the_specification_puts_them() {
        let data = sample();
        let view = NamespaceView(&data);
        assert_eq!((view.nsze(), view.ncap(), view.nuse()), (0x2_0000, 0x1_0000, 0x800));
        assert_eq!((view.nsfeat(), view.nlbaf(), view.flbas(), view.mc()), (16, 1, 17, 1));
        assert_eq!((view.dpc(), view.dps(), view.nmic(), view.rescap()), (2, 3, 1, 63));
        assert_eq!((view.dlfeat(), view.nawun(), view.noiob(), view.anagrpid()), (9, 7, 8, 1));
        assert_eq!(
            (view.nguid()[0], view.nguid()[15], view.eui64()[0], view.eui64()[7]),
            (0xa0, 15, 0xb0, 7)
        );
        assert_eq!(view.lba_format(0), Some(LbaFormat { ms: 0, lbads: 9, rp: 1 }));
        assert_eq!(view.format(), Some(LbaFormat { ms: 8, lbads: 12, rp: 2 }));
        assert_eq!(view.lba_format(2), None);
        assert_eq!(view.block_size(), Some(4096));
        assert!(view.metadata_extends_data());
    }

    #[test]
    fn images_write_the_same_places() {
        let mut image = NamespaceImage::default();
        image.set_nsze(0x2_0000).set_ncap(0x1_0000).set_nuse(0x800).set_nsfeat(16).set_nlbaf(1);
        image.set_flbas(17).set_mc(1).set_dpc(2).set_dps(3).set_nmic(1).set_rescap(63).set_dlfeat(9);
        image.set_nawun(7).set_noiob(8).set_anagrpid(1);
        image.set_nguid([0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        image.set_eui64([0xb0, 1, 2, 3, 4, 5, 6, 7]);
        image.set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 1 });
        image.set_lba_format(1, LbaFormat { ms: 8, lbads: 12, rp: 2 });
        assert_eq!(image.0, *sample());
    }

    #[test]
    fn hostile_namespace_data_stays_in_bounds() {
        let all_ones = Box::new([0xff; IDENTIFY_SIZE]);
        let view = NamespaceView(&all_ones);
        assert_eq!(view.format_index(), 63);
        assert_eq!(view.block_size(), None, "2^255");
        let mut data = Box::new([0; IDENTIFY_SIZE]);
        data[26] = 5;
        assert_eq!(NamespaceView(&data).format(), None, "FLBAS beyond NLBAF");
        assert_eq!(NamespaceView(&Box::new([0; IDENTIFY_SIZE])).block_size(), None, "LBADS 0");
    }

    #[test]
    fn namespace_lists() {
        let mut data = Box::new([0; IDENTIFY_SIZE]);
        data[..12].copy_from_slice(&[1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(namespace_list(&data).collect::<Vec<_>>(), [1, 3, 256]);
        data[12] = 200;
        data[16..20].copy_from_slice(&[9, 9, 9, 9]);
        assert_eq!(namespace_list(&data).collect::<Vec<_>>(), [1, 3, 256], "200 does not ascend");
        let full = encode_namespace_list(1..=2000);
        assert_eq!(namespace_list(&full).count(), 1024);
        assert_eq!(full[4092..], [0, 4, 0, 0]);
        assert_eq!(encode_namespace_list([7].into_iter())[..8], [7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn descriptors() {
        let uuid = [0x55; 16];
        let list = encode_namespace_descriptors(&[
            NamespaceId::Eui64(&[1, 2, 3, 4, 5, 6, 7, 8]),
            NamespaceId::Uuid(&uuid),
            NamespaceId::Csi(2),
        ]);
        assert_eq!(list[..16], [1, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 16, 0, 0]);
        assert_eq!(list[32..40], [4, 1, 0, 0, 2, 0, 0, 0]);
        let read: Vec<_> = namespace_descriptors(&list).collect();
        assert_eq!(
            read,
            [
                Ok(NamespaceId::Eui64(&[1, 2, 3, 4, 5, 6, 7, 8])),
                Ok(NamespaceId::Uuid(&uuid)),
                Ok(NamespaceId::Csi(2)),
            ]
        );
    }

    #[test]
    fn hostile_descriptors_end_the_list() {
        let mut data = Box::new([0; IDENTIFY_SIZE]);
        data[..2].copy_from_slice(&[3, 15]);
        let read: Vec<_> = namespace_descriptors(&data).collect();
        assert_eq!(read, [Err(DescriptorError::Length { nidt: 3, nidl: 15 })]);

        data[0] = 0x99;
        data[1] = 255;
        for start in (259..4096).step_by(259) {
            data[start..(start + 2).min(4096)].fill(0xff);
        }
        let read: Vec<_> = namespace_descriptors(&data).collect();
        assert_eq!(read.len(), 16);
        assert_eq!(read[15], Err(DescriptorError::Overrun));
    }
}
