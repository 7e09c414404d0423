//! Firmware and boot partitions: the commands that bring an image to a controller (Base 2.0, 5.11 and 5.12) and what it says of its boot
//! partitions (Base 2.0, 3.1.3.13 and 8.2).

use crate::command::Command;
use crate::opcode::AdminOpcode;

/// Bytes of the unit in which BPINFO counts a boot partition (BPSZ).
pub const BOOT_PARTITION_UNIT: u32 = 128 << 10;
/// Bytes of the unit in which FWUG counts.
pub const UPDATE_UNIT: u32 = 4096;
/// FWUG: pieces of an image may be of any number of dwords.
pub const FWUG_ANY: u8 = 0xff;

/// What Firmware Commit does (CA).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum CommitAction {
    /// The image that was downloaded replaces a boot partition.
    ReplaceBootPartition = 6,
    /// A boot partition becomes the active one.
    ActivateBootPartition = 7,
}

/// A boot partition, of the two that a controller has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BootPartition {
    /// Boot partition 0.
    First,
    /// Boot partition 1.
    Second,
}

impl BootPartition {
    /// By its id (BPID), which is 0 or 1.
    #[must_use]
    pub const fn of(id: u32) -> Option<Self> {
        match id {
            0 => Some(Self::First),
            1 => Some(Self::Second),
            _ => None,
        }
    }

    /// Its id (BPID).
    #[must_use]
    pub const fn id(self) -> u32 {
        self as u32
    }
}

/// Boot partition information.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bpinfo(pub u32);

impl Bpinfo {
    /// Of boot partitions that have so many units of 128 KiB, of which this is the active one, and none is being read.
    #[must_use]
    pub const fn new(units: u16, active: BootPartition) -> Self {
        Self(units as u32 & 0x7fff | active.id() << 31)
    }

    /// Bytes of a boot partition.
    #[must_use]
    pub const fn size(self) -> u64 {
        ((self.0 & 0x7fff) as u64).saturating_mul(BOOT_PARTITION_UNIT as u64)
    }

    /// The active one (ABPID).
    #[must_use]
    pub const fn active(self) -> BootPartition {
        if self.0 >> 31 == 0 { BootPartition::First } else { BootPartition::Second }
    }
}

impl Command {
    /// Firmware Image Download of `length` bytes, a multiple of 4 and not 0, which begin at byte `offset` of the image, a multiple of 4.
    #[must_use]
    pub const fn firmware_image_download(offset: u32, length: u32) -> Self {
        let mut command = Self::new(AdminOpcode::FIRMWARE_IMAGE_DOWNLOAD.0);
        command.set_cdw10((length / 4).saturating_sub(1));
        command.set_cdw11(offset / 4);
        command
    }

    /// Firmware Commit of a boot partition.
    #[must_use]
    pub const fn commit_boot_partition(action: CommitAction, partition: BootPartition) -> Self {
        let mut command = Self::new(AdminOpcode::FIRMWARE_COMMIT.0);
        command.set_cdw10((action as u32) << 3 | partition.id() << 31);
        command
    }
}

/// Bytes of the pieces in which an image is downloaded to a controller: as its update granularity (FWUG) has it where it says one, else a
/// page of the smallest size; never more than it takes at a time, a multiple of 4.
#[must_use]
pub fn piece(fwug: u8, page: u32, largest_transfer: u32) -> u32 {
    let wanted = match fwug {
        0 | FWUG_ANY => page,
        units => u32::from(units).saturating_mul(UPDATE_UNIT),
    };
    wanted.min(largest_transfer & !3).max(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_as_the_specification_has_them() {
        let download = Command::firmware_image_download(8192, 4096);
        assert_eq!((download.opcode(), download.cdw10(), download.cdw11()), (0x11, 1023, 2048));
        let replace =
            Command::commit_boot_partition(CommitAction::ReplaceBootPartition, BootPartition::Second);
        assert_eq!((replace.opcode(), replace.cdw10()), (0x10, 0x8000_0030));
        let activate =
            Command::commit_boot_partition(CommitAction::ActivateBootPartition, BootPartition::First);
        assert_eq!(activate.cdw10(), 0x38);
    }

    #[test]
    fn what_a_controller_says_of_its_boot_partitions() {
        let info = Bpinfo::new(3, BootPartition::Second);
        assert_eq!((info.0, info.size(), info.active()), (0x8000_0003, 393_216, BootPartition::Second));
        // A reading that is under way (BRS) is no part of the size.
        let info = Bpinfo(0x0100_7fff);
        assert_eq!((info.size(), info.active()), (0xfffe_0000, BootPartition::First));
        assert_eq!((BootPartition::of(1), BootPartition::of(2)), (Some(BootPartition::Second), None));
    }

    #[test]
    fn pieces_are_as_large_as_the_controller_wants_them() {
        assert_eq!((piece(0, 4096, 131_072), piece(FWUG_ANY, 8192, 131_072)), (4096, 8192));
        assert_eq!((piece(3, 4096, 131_072), piece(3, 8192, 131_072)), (12_288, 12_288));
        assert_eq!((piece(254, 4096, 131_072), piece(0, 4096, 514), piece(1, 4096, 0)), (131_072, 512, 4));
    }
}
