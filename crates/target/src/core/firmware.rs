//! Firmware and boot partitions of a subsystem: what hosts download in pieces and commit (Base 2.0, 5.11, 5.12, 8.2).
//!
//! What must hold: an image is one controller's, and is committed only if each of its bytes came. Boot partitions cannot be read over
//! fabrics; [`Core::boot_partition`] is for tests of hosts.

use spec::firmware::{BOOT_PARTITION_UNIT, BootPartition, Bpinfo, CommitAction};
use spec::{Command, Status};

use super::{Core, UnknownSubsystem};

/// Bytes of a firmware image at most.
const IMAGE_MAX: usize = 1 << 20;
/// The slots for firmware: the first one is read only.
pub(super) const FIRMWARE_SLOTS: u8 = 2;
/// Bytes of a firmware revision, which the image here begins with.
const REVISION: usize = 8;

const INVALID_FIELD: Status = Status::INVALID_FIELD.with_dnr(true);

/// An image that a controller is given in pieces, each of its bytes once.
#[derive(Debug, Default)]
struct Image {
    bytes: Vec<u8>,
    /// Which of its dwords came.
    came: Vec<bool>,
    /// The controller. What another one was given is no part of it (Base 2.0, 5.12: a reset ends an image, and is another controller here).
    cntlid: u16,
}

impl Image {
    /// Takes a piece that begins at this byte.
    fn take(&mut self, cntlid: u16, begin: usize, piece: &[u8], most: usize) -> Result<(), Status> {
        let end = begin.checked_add(piece.len()).filter(|end| *end <= most).ok_or(INVALID_FIELD)?;
        if begin == 0 || self.cntlid != cntlid {
            *self = Self { cntlid, ..Self::default() };
        }
        let dwords = begin / 4..end.div_ceil(4);
        if self.came.iter().take(dwords.end).skip(dwords.start).any(|came| *came) {
            return Err(Status::OVERLAPPING_RANGE.with_dnr(true));
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.came.resize(dwords.end, false);
        }
        if let (Some(place), Some(came)) = (self.bytes.get_mut(begin..end), self.came.get_mut(dwords)) {
            place.copy_from_slice(piece);
            came.fill(true);
        }
        Ok(())
    }

    /// The image of a controller, if all of it is there; it is gone then.
    fn whole(&mut self, cntlid: u16) -> Result<Vec<u8>, Status> {
        let image = std::mem::take(self);
        let is_whole =
            image.cntlid == cntlid && !image.came.is_empty() && image.came.iter().all(|came| *came);
        if is_whole { Ok(image.bytes) } else { Err(Status::INVALID_FIRMWARE_IMAGE.with_dnr(true)) }
    }
}

/// The firmware of a subsystem.
#[derive(Debug, Default)]
pub(super) struct Firmware {
    /// What was downloaded since the last commit.
    image: Image,
    /// What the next reset activates.
    next: Option<String>,
    /// The revision that runs, if it is another one than at the start.
    pub(super) revision: Option<String>,
    /// What the boot partitions hold, if there are any, and which is the active one.
    boot: Option<[Vec<u8>; 2]>,
    active: Option<BootPartition>,
}

impl Firmware {
    /// Firmware of a subsystem whose boot partitions have so many bytes; 0 for none.
    pub(super) fn with_boot_partitions(size: u32) -> Self {
        let blank = || vec![0; size as usize];
        Self { boot: (size > 0).then(|| [blank(), blank()]), ..Self::default() }
    }

    /// BPINFO, if there are boot partitions.
    pub(super) fn boot_partitions(&self) -> Option<Bpinfo> {
        let units = self.boot.as_ref()?[0].len() / BOOT_PARTITION_UNIT as usize;
        Some(Bpinfo::new(units as u16, self.active.unwrap_or(BootPartition::First)))
    }

    /// What a boot partition holds.
    pub(super) fn boot_partition(&self, partition: BootPartition) -> Option<&[u8]> {
        let [first, second] = self.boot.as_ref()?;
        Some(match partition {
            BootPartition::First => first,
            BootPartition::Second => second,
        })
    }

    /// Bytes of an image at most.
    pub(super) fn image_max(&self) -> usize {
        self.boot.as_ref().map_or(IMAGE_MAX, |boot| boot[0].len().max(IMAGE_MAX))
    }

    /// Puts the image that a controller was given into a boot partition, from its first byte on.
    fn replace(&mut self, cntlid: u16, partition: BootPartition) -> Result<(), Status> {
        let [first, second] = self.boot.as_mut().ok_or(INVALID_FIELD)?;
        let image = self.image.whole(cntlid)?;
        let place = match partition {
            BootPartition::First => first,
            BootPartition::Second => second,
        };
        let place = place.get_mut(..image.len());
        place.ok_or(Status::INVALID_FIRMWARE_IMAGE.with_dnr(true))?.copy_from_slice(&image);
        Ok(())
    }

    /// Makes a boot partition the active one.
    fn activate_boot(&mut self, partition: BootPartition) -> Result<(), Status> {
        self.boot.as_ref().ok_or(INVALID_FIELD)?;
        self.active = Some(partition);
        Ok(())
    }

    /// A controller is enabled: what was committed runs, and what it was given of an image is forgotten.
    pub(super) fn activate(&mut self, cntlid: u16) {
        if self.image.cntlid == cntlid {
            self.image = Image::default();
        }
        if let Some(next) = self.next.take() {
            self.revision = Some(next);
        }
    }
}

impl Core {
    /// What a boot partition of a subsystem holds; `None` if it has none.
    ///
    /// # Errors
    /// There is no such subsystem.
    pub fn boot_partition(
        &self,
        nqn: &str,
        partition: BootPartition,
    ) -> Result<Option<&[u8]>, UnknownSubsystem> {
        let subsystem = self.subsystems.get(self.index_of(nqn)?);
        Ok(subsystem.and_then(|subsystem| subsystem.firmware.boot_partition(partition)))
    }

    pub(super) fn download(
        &mut self,
        index: usize,
        cntlid: u16,
        dwords: u32,
        bytes: &[u8],
    ) -> Result<(), Status> {
        let firmware = self.subsystems.get_mut(index).map(|subsystem| &mut subsystem.firmware);
        let firmware = firmware.ok_or(INVALID_FIELD)?;
        let begin =
            usize::try_from(dwords).ok().and_then(|dwords| dwords.checked_mul(4)).ok_or(INVALID_FIELD)?;
        let most = firmware.image_max();
        firmware.image.take(cntlid, begin, bytes, most)
    }

    /// Puts the image that was downloaded into a slot, to be activated by a reset if it is to be.
    pub(super) fn commit(&mut self, index: usize, cntlid: u16, command: &Command) -> Result<(), Status> {
        let firmware = self.subsystems.get_mut(index).map(|subsystem| &mut subsystem.firmware);
        let firmware = firmware.ok_or(INVALID_FIELD)?;
        let (slot, action) = (command.cdw10() & 7, command.cdw10() >> 3 & 7);
        let partition = BootPartition::of(command.cdw10() >> 31).unwrap_or(BootPartition::First);
        if action == CommitAction::ReplaceBootPartition as u32 {
            return firmware.replace(cntlid, partition);
        }
        if action == CommitAction::ActivateBootPartition as u32 {
            return firmware.activate_boot(partition);
        }
        // 0 leaves the slot to the controller; the first one is read only.
        if slot == 1 || slot > FIRMWARE_SLOTS.into() {
            return Err(Status::INVALID_FIRMWARE_SLOT.with_dnr(true));
        }
        if action > 1 {
            return Err(INVALID_FIELD);
        }
        let image = firmware.image.whole(cntlid)?;
        let revision =
            image.first_chunk::<REVISION>().and_then(|revision| std::str::from_utf8(revision).ok());
        let revision = revision.filter(|revision| revision.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let revision = revision.ok_or(Status::INVALID_FIRMWARE_IMAGE.with_dnr(true))?.to_owned();
        if action == 1 {
            firmware.next = Some(revision);
        }
        Ok(())
    }
}
