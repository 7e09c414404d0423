//! Zoned namespaces (ZNS Command Set 1.1): the Identify data of the command set, zones, and the fields of their commands.

use crate::bytes::{put, u32_at, u64_at};
use crate::command::Command;
use crate::identify::{IDENTIFY_SIZE, fields, u8_at};
use crate::opcode::{ZonedOpcode, codes};

codes! {
    /// What Zone Management Send does (ZSA; ZNS figure 33).
    ZoneSend {
        CLOSE = 0x01,
        FINISH = 0x02,
        OPEN = 0x03,
        RESET = 0x04,
        OFFLINE = 0x05,
        SET_DESCRIPTOR_EXTENSION = 0x10,
    }
}

codes! {
    /// What Zone Management Receive is asked for (ZRA; ZNS figure 28).
    ZoneReceive {
        REPORT = 0x00,
        EXTENDED_REPORT = 0x01,
    }
}

codes! {
    /// The state of a zone (ZS; ZNS figure 37).
    ZoneState {
        EMPTY = 0x1,
        IMPLICITLY_OPEN = 0x2,
        EXPLICITLY_OPEN = 0x3,
        CLOSED = 0x4,
        READ_ONLY = 0xd,
        FULL = 0xe,
        OFFLINE = 0xf,
    }
}

/// Zone Management Send: all zones instead of one (Dword 13).
const SELECT_ALL: u32 = 1 << 8;
/// Zone Management Receive: the number of zones is of those that fit (Dword 13).
const PARTIAL: u32 = 1 << 16;

/// ZT: writes must be sequential.
pub const ZONE_TYPE_SEQUENTIAL: u8 = 2;
/// ZA: the zone has a valid descriptor extension.
pub const ZONE_HAS_EXTENSION: u8 = 1 << 7;
/// OZCS: reads may go from one zone to the next.
pub const READ_ACROSS_ZONES: u16 = 1;
/// Bytes of a report before its zones, and of each of them without its extension.
pub const ZONE_REPORT_HEADER_SIZE: usize = 64;
/// Units of the size of a zone descriptor extension.
pub const ZONE_EXTENSION_UNIT: usize = 64;

/// Identify Controller data of the Zoned Namespace Command Set, read (ZNS figure 53).
#[derive(Clone, Copy, Debug)]
pub struct ZonedControllerView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

/// Identify Controller data of the Zoned Namespace Command Set, written.
#[derive(Clone, Debug)]
pub struct ZonedControllerImage(pub [u8; IDENTIFY_SIZE]);

fields! { ZonedControllerView, ZonedControllerImage,
    /// Zone append size limit: 2^this pages of CAP.MPSMIN; 0 means that MDTS is the limit.
    zasl set_zasl u8 u8_at 0;
}

impl ZonedControllerView<'_> {
    /// The longest data of a Zone Append in bytes for pages of 2^(12 + `mpsmin`) bytes; `None` if MDTS alone is the limit.
    #[must_use]
    pub fn most_appended(self, mpsmin: u8) -> Option<u64> {
        match self.zasl() {
            0 => None,
            zasl => {
                let shift = u32::from(zasl).saturating_add(u32::from(mpsmin)).saturating_add(12);
                Some(1u64.checked_shl(shift).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Identify Namespace data of the Zoned Namespace Command Set, read (ZNS figure 48).
#[derive(Clone, Copy, Debug)]
pub struct ZonedNamespaceView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

/// Identify Namespace data of the Zoned Namespace Command Set, written.
#[derive(Clone, Debug)]
pub struct ZonedNamespaceImage(pub [u8; IDENTIFY_SIZE]);

fields! { ZonedNamespaceView, ZonedNamespaceImage,
    /// Most active zones, zero-based; FFFFFFFFh means no limit.
    mar set_mar u32 u32_at 4;
    /// Most open zones, zero-based; FFFFFFFFh means no limit.
    mor set_mor u32 u32_at 8;
}

/// Where the LBA format extensions are.
const FORMATS: usize = 2816;
const FORMAT_SIZE: usize = 16;

/// Where the LBA format extension with this index is.
fn format_at(index: u8) -> Option<usize> {
    (index < 64).then(|| usize::from(index).saturating_mul(FORMAT_SIZE).saturating_add(FORMATS))
}

impl ZonedNamespaceView<'_> {
    /// The logical blocks of a zone in the LBA format with this index (ZSZE); 0 where there is no such index.
    #[must_use]
    pub fn zone_size(self, index: u8) -> u64 {
        format_at(index).map_or(0, |at| u64_at(self.0, at))
    }

    /// The bytes of a zone descriptor extension in the LBA format with this index (ZDES).
    #[must_use]
    pub fn extension_size(self, index: u8) -> usize {
        let units = format_at(index).map_or(0, |at| u8_at(self.0, at.saturating_add(8)));
        usize::from(units).saturating_mul(ZONE_EXTENSION_UNIT)
    }
}

impl ZonedNamespaceImage {
    /// Writes the LBA format extension with this index, below 64: blocks of a zone, and units of 64 bytes of its descriptor extension.
    pub fn set_format(&mut self, index: u8, zone_size: u64, extension_units: u8) -> &mut Self {
        if let Some(at) = format_at(index) {
            put(&mut self.0, at, &zone_size.to_le_bytes());
            put(&mut self.0, at.saturating_add(8), &[extension_units]);
        }
        self
    }
}

impl Default for ZonedControllerImage {
    fn default() -> Self {
        Self([0; IDENTIFY_SIZE])
    }
}

impl Default for ZonedNamespaceImage {
    fn default() -> Self {
        Self([0; IDENTIFY_SIZE])
    }
}

/// A zone as a report has it (ZNS figure 37).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ZoneDescriptor {
    /// Its state.
    pub state: ZoneState,
    /// ZA.
    pub attributes: u8,
    /// Blocks that can be written, which are no more than the zone has.
    pub capacity: u64,
    /// Its first block.
    pub start: u64,
    /// The block that is to be written next; meaningless where nothing can be written.
    pub write_pointer: u64,
}

impl ZoneDescriptor {
    /// Its size in a report.
    pub const SIZE: usize = 64;

    /// As a report has it.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut data = [0; Self::SIZE];
        put(&mut data, 0, &[ZONE_TYPE_SEQUENTIAL, self.state.0.wrapping_shl(4), self.attributes]);
        put(&mut data, 8, &self.capacity.to_le_bytes());
        put(&mut data, 16, &self.start.to_le_bytes());
        put(&mut data, 24, &self.write_pointer.to_le_bytes());
        data
    }

    /// From a report.
    #[must_use]
    pub fn decode(data: &[u8; Self::SIZE]) -> Self {
        Self {
            state: ZoneState(u8_at(data, 1) >> 4),
            attributes: u8_at(data, 2),
            capacity: u64_at(data, 8),
            start: u64_at(data, 16),
            write_pointer: u64_at(data, 24),
        }
    }
}

impl Command {
    /// Zone Management Send (ZNS 3.4.3) to the zone that begins at `lba`, or to all zones without one.
    #[must_use]
    pub const fn zone_send(nsid: u32, action: ZoneSend, lba: Option<u64>) -> Self {
        let mut command = Self::new(ZonedOpcode::ZONE_MANAGEMENT_SEND.0);
        command.set_nsid(nsid);
        match lba {
            Some(lba) => {
                command.set_lba(lba);
                command.set_cdw13(action.0 as u32);
            }
            None => command.set_cdw13(action.0 as u32 | SELECT_ALL),
        }
        command
    }

    /// Zone Management Receive (ZNS 3.4.2): `length` bytes (at least 4, what exceeds a multiple of 4 does not count) about the zones from that
    /// of `lba` on. `which` is Zone Receive Action Specific: the states that are reported.
    #[must_use]
    pub const fn zone_receive(
        nsid: u32,
        action: ZoneReceive,
        lba: u64,
        which: u8,
        is_partial: bool,
        length: u32,
    ) -> Self {
        let mut command = Self::new(ZonedOpcode::ZONE_MANAGEMENT_RECEIVE.0);
        command.set_nsid(nsid);
        command.set_lba(lba);
        command.set_cdw12((length / 4).saturating_sub(1));
        command.set_cdw13(action.0 as u32 | (which as u32) << 8 | if is_partial { PARTIAL } else { 0 });
        command
    }

    /// Zone Append (ZNS 3.4.1) of 1 to 65,536 blocks to the zone that begins at `lba`.
    #[must_use]
    pub const fn zone_append(nsid: u32, lba: u64, blocks: u32) -> Self {
        let mut command = Self::new(ZonedOpcode::ZONE_APPEND.0);
        command.set_nsid(nsid);
        command.set_lba(lba);
        command.set_block_count(blocks);
        command
    }

    /// What Zone Management Send is to do.
    #[must_use]
    pub const fn zone_send_action(&self) -> ZoneSend {
        ZoneSend(self.cdw13() as u8)
    }

    /// Whether Zone Management Send is for all zones.
    #[must_use]
    pub const fn selects_all_zones(&self) -> bool {
        self.cdw13() & SELECT_ALL != 0
    }

    /// What Zone Management Receive asks for.
    #[must_use]
    pub const fn zone_receive_action(&self) -> ZoneReceive {
        ZoneReceive(self.cdw13() as u8)
    }

    /// Which zones Zone Management Receive asks for: 0 all, or a number of a state.
    #[must_use]
    pub const fn zone_report_which(&self) -> u8 {
        (self.cdw13() >> 8) as u8
    }

    /// Whether the number of zones in the report is that of those which fit.
    #[must_use]
    pub const fn is_partial_zone_report(&self) -> bool {
        self.cdw13() & PARTIAL != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_fields_where_the_specification_puts_them() {
        let one = Command::zone_send(3, ZoneSend::RESET, Some(0x1_0000_0002));
        assert_eq!((one.opcode(), one.nsid(), one.lba(), one.cdw13()), (0x79, 3, 0x1_0000_0002, 4));
        let all = Command::zone_send(3, ZoneSend::FINISH, None);
        assert_eq!((all.lba(), all.cdw13(), all.selects_all_zones()), (0, 0x102, true));
        assert_eq!(all.zone_send_action(), ZoneSend::FINISH);
        let report = Command::zone_receive(1, ZoneReceive::EXTENDED_REPORT, 64, 5, true, 4099);
        assert_eq!(
            (report.opcode(), report.lba(), report.cdw12(), report.cdw13()),
            (0x7a, 64, 1023, 0x1_0501)
        );
        assert_eq!(Command::zone_receive(1, ZoneReceive::REPORT, 0, 0, false, 0).cdw12(), 0);
        assert_eq!((report.zone_report_which(), report.is_partial_zone_report()), (5, true));
        let append = Command::zone_append(2, 128, 8);
        assert_eq!((append.opcode(), append.lba(), append.block_count()), (0x7d, 128, 8));
    }

    #[test]
    fn identify_data() {
        let mut image = ZonedNamespaceImage::default();
        image.set_mar(5).set_mor(u32::MAX).set_format(63, 0x1_0000_0001, 2);
        assert_eq!((image.0[4], image.0[8]), (5, 0xff));
        assert_eq!((image.0[2816 + 63 * 16], image.0[2816 + 63 * 16 + 8]), (1, 2));
        let view = ZonedNamespaceView(&image.0);
        assert_eq!((view.zone_size(63), view.extension_size(63)), (0x1_0000_0001, 128));
        assert_eq!((view.zone_size(64), view.extension_size(255), view.zone_size(0)), (0, 0, 0));
        let mut image = ZonedControllerImage::default();
        assert_eq!(ZonedControllerView(&image.0).most_appended(0), None);
        image.set_zasl(3);
        assert_eq!(ZonedControllerView(&image.0).most_appended(1), Some(65_536));
        image.set_zasl(255);
        assert_eq!(ZonedControllerView(&image.0).most_appended(15), Some(u64::MAX));
    }

    #[test]
    fn a_zone_comes_back_from_a_report() {
        let zone = ZoneDescriptor {
            state: ZoneState::FULL,
            attributes: ZONE_HAS_EXTENSION,
            capacity: 60,
            start: 64,
            write_pointer: 70,
        };
        let data = zone.encode();
        assert_eq!(data[..3], [2, 0xe0, 0x80]);
        assert_eq!(ZoneDescriptor::decode(&data), zone);
    }
}
