//! Level 0 discovery (Core 3.3.6, Opal 3.1.1): what a TPer has, as a list of features.

use crate::bytes::{array, put};

/// Bytes before the features.
pub const HEADER: usize = 48;
/// Bytes of a feature's header, which its length does not count.
pub const FEATURE_HEADER: usize = 4;

/// Codes of features.
pub mod code {
    /// TPer.
    pub const TPER: u16 = 0x0001;
    /// Locking.
    pub const LOCKING: u16 = 0x0002;
    /// Geometry Reporting.
    pub const GEOMETRY: u16 = 0x0003;
    /// Opal SSC 1.00.
    pub const OPAL_1: u16 = 0x0200;
    /// Single User Mode.
    pub const SINGLE_USER_MODE: u16 = 0x0201;
    /// Additional DataStore Tables.
    pub const DATA_STORE: u16 = 0x0202;
    /// Opal SSC 2.00 and later.
    pub const OPAL_2: u16 = 0x0203;
}

/// A feature as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feature<'a> {
    /// Its code.
    pub code: u16,
    /// The version of its descriptor.
    pub version: u8,
    /// The descriptor, with its header.
    pub descriptor: &'a [u8],
}

/// Level 0 discovery. It is believed as far as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Discovery<'a> {
    rest: &'a [u8],
}

impl<'a> Discovery<'a> {
    /// The features of what came, which may be longer.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        // The length does not count itself.
        let length = u32::from_be_bytes(array(data, 0));
        let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(4);
        Self { rest: data.get(..end).unwrap_or(data).get(HEADER..).unwrap_or_default() }
    }

    /// The ComID that Opal is spoken on: the first of those that the last Opal feature names.
    #[must_use]
    pub fn opal_com_id(self) -> Option<u16> {
        self.filter(|feature| [code::OPAL_1, code::OPAL_2].contains(&feature.code))
            .last()
            .map(|feature| u16::from_be_bytes(array(feature.descriptor, FEATURE_HEADER)))
    }
}

impl<'a> Iterator for Discovery<'a> {
    type Item = Feature<'a>;

    /// The next feature; one that is not all there is the last, as far as it came.
    fn next(&mut self) -> Option<Self::Item> {
        let [high, low, version, length] = *self.rest.first_chunk::<FEATURE_HEADER>()?;
        let end = FEATURE_HEADER.saturating_add(length.into());
        let (descriptor, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        Some(Feature { code: u16::from_be_bytes([high, low]), version: version >> 4, descriptor })
    }
}

/// The TPer feature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TPer {
    /// Sync Supported, which Opal must have.
    pub sync: bool,
    /// Streaming Supported, which Opal must have.
    pub streaming: bool,
    /// ComID Management Supported.
    pub com_id_management: bool,
}

/// The Locking feature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "bits of the descriptor")]
pub struct Locking {
    /// Locking Supported: there is a Locking SP.
    pub supported: bool,
    /// Locking Enabled: it is activated.
    pub enabled: bool,
    /// Locked: some range is.
    pub locked: bool,
    /// Media Encryption.
    pub media_encryption: bool,
    /// MBR Enabled.
    pub mbr_enabled: bool,
    /// MBR Done.
    pub mbr_done: bool,
}

/// The Geometry Reporting feature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Geometry {
    /// Ranges must be aligned.
    pub align: bool,
    /// Bytes of a logical block.
    pub logical_block_size: u32,
    /// Blocks that a range's start and length are multiples of.
    pub alignment_granularity: u64,
    /// The first block that is aligned.
    pub lowest_aligned_lba: u64,
}

/// The Opal SSC 2.00 feature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Opal2 {
    /// The first ComID.
    pub base_com_id: u16,
    /// How many there are.
    pub com_ids: u16,
    /// Range Crossing Behavior.
    pub range_crossing: bool,
    /// Admins of the Locking SP.
    pub admins: u16,
    /// Users of the Locking SP.
    pub users: u16,
    /// The owner's first password is the MSID (0), or the vendor's (0xff).
    pub initial_pin: u8,
    /// The same after Revert.
    pub reverted_pin: u8,
}

/// Writes level 0 discovery.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Without features.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = vec![0; HEADER];
        // Data structure revision 0.1.
        put(&mut bytes, 4, &[0, 0, 0, 1]);
        Self { bytes }
    }

    /// With this feature: the descriptor's bytes after its header, of which 255 can be.
    #[must_use]
    pub fn feature(mut self, code: u16, version: u8, data: &[u8]) -> Self {
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let [high, low] = code.to_be_bytes();
        self.bytes.extend_from_slice(&[high, low, version << 4, length]);
        self.bytes.extend(data.iter().take(length.into()));
        self
    }

    /// With the TPer feature.
    #[must_use]
    pub fn tper(self, tper: TPer) -> Self {
        let mut data = [0; 12];
        data[0] = bits(&[(0, tper.sync), (4, tper.streaming), (6, tper.com_id_management)]);
        self.feature(code::TPER, 1, &data)
    }

    /// With the Locking feature.
    #[must_use]
    pub fn locking(self, locking: Locking) -> Self {
        let mut data = [0; 12];
        data[0] = bits(&[
            (0, locking.supported),
            (1, locking.enabled),
            (2, locking.locked),
            (3, locking.media_encryption),
            (4, locking.mbr_enabled),
            (5, locking.mbr_done),
        ]);
        self.feature(code::LOCKING, 1, &data)
    }

    /// With the Geometry Reporting feature.
    #[must_use]
    pub fn geometry(self, geometry: Geometry) -> Self {
        let mut data = [0; 28];
        data[0] = bits(&[(0, geometry.align)]);
        put(&mut data, 8, &geometry.logical_block_size.to_be_bytes());
        put(&mut data, 12, &geometry.alignment_granularity.to_be_bytes());
        put(&mut data, 20, &geometry.lowest_aligned_lba.to_be_bytes());
        self.feature(code::GEOMETRY, 1, &data)
    }

    /// With the Opal SSC 2.00 feature.
    #[must_use]
    pub fn opal_2(self, opal: Opal2) -> Self {
        let mut data = [0; 16];
        put(&mut data, 0, &opal.base_com_id.to_be_bytes());
        put(&mut data, 2, &opal.com_ids.to_be_bytes());
        data[4] = bits(&[(0, opal.range_crossing)]);
        put(&mut data, 5, &opal.admins.to_be_bytes());
        put(&mut data, 7, &opal.users.to_be_bytes());
        (data[9], data[10]) = (opal.initial_pin, opal.reverted_pin);
        self.feature(code::OPAL_2, 1, &data)
    }

    /// All of it, with its length.
    #[must_use]
    pub fn build(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
        put(&mut self.bytes, 0, &length.to_be_bytes());
        self.bytes
    }
}

fn bits(bits: &[(u32, bool)]) -> u8 {
    bits.iter().fold(0, |byte, (bit, set)| byte | u8::from(*set).wrapping_shl(*bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By hand from Core 3.3.6 and Opal 3.1.1: TPer, Locking, Geometry and Opal 2.00, behind the header.
    const FEATURES: [u8; 84] = [
        0, 1, 0x10, 12, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // TPer: sync, streaming
        0, 2, 0x10, 12, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, // Locking: supported, enabled, media encryption
        0, 3, 0x10, 28, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, // Geometry: aligned, blocks of 512
        0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, // granularity 8, lowest 0
        2, 3, 0x10, 16, 0x10, 0x00, 0, 1, 0, 0, 4, 0, 9, 0, 0xff, 0, 0, 0, 0, 0, // Opal 2.00
    ];

    fn built() -> Vec<u8> {
        Builder::new()
            .tper(TPer { sync: true, streaming: true, com_id_management: false })
            .locking(Locking { supported: true, enabled: true, media_encryption: true, ..Locking::default() })
            .geometry(Geometry {
                align: true,
                logical_block_size: 512,
                alignment_granularity: 8,
                lowest_aligned_lba: 0,
            })
            .opal_2(Opal2 {
                base_com_id: 0x1000,
                com_ids: 1,
                range_crossing: false,
                admins: 4,
                users: 9,
                initial_pin: 0,
                reverted_pin: 0xff,
            })
            .build()
    }

    #[test]
    fn features_are_written_and_read() {
        let built = built();
        assert_eq!(built[..8], [0, 0, 0, 128, 0, 0, 0, 1]);
        assert_eq!(built[HEADER..], FEATURES);
        let features: Vec<_> =
            Discovery::new(&built).map(|feature| (feature.code, feature.version)).collect();
        assert_eq!(features, [(1, 1), (2, 1), (3, 1), (0x203, 1)]);
        assert_eq!(Discovery::new(&built).last().unwrap().descriptor, &FEATURES[64..]);
        assert_eq!(Discovery::new(&built).opal_com_id(), Some(0x1000));
    }

    #[test]
    fn it_is_believed_as_far_as_it_came() {
        let mut built = built();
        let length = built.len();
        assert_eq!(Discovery::new(&built[..length - 1]).last().unwrap().descriptor.len(), 19);
        assert_eq!(Discovery::new(&built[..length - 17]).count(), 3);
        built[3] = 108;
        assert_eq!(Discovery::new(&built).opal_com_id(), None, "behind its end");
        assert_eq!(Discovery::new(&[]).count() + Discovery::new(&[0xff; HEADER]).count(), 0);
    }

    #[test]
    fn opal_has_two_features() {
        let old = Builder::new().feature(code::OPAL_1, 1, &[7, 0xfe, 0, 2]);
        assert_eq!(Discovery::new(&old.clone().build()).opal_com_id(), Some(0x07fe));
        let both = old.opal_2(Opal2 { base_com_id: 9, ..Opal2::default() }).build();
        assert_eq!(Discovery::new(&both).opal_com_id(), Some(9));
        let neither = Builder::new().feature(0x0304, 1, &[7, 0xfe, 0, 2]).build();
        assert_eq!(Discovery::new(&neither).opal_com_id(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let all: usize = Discovery::new(&bytes).map(|feature| feature.descriptor.len()).sum();
            prop_assert!(all <= bytes.len().saturating_sub(HEADER));
        }
    }
}
