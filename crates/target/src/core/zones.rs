//! Zones of a namespace (Zoned Namespace Command Set 1.1): their states, their write pointers, and what is done to them.
//!
//! What must hold: a write moves the pointer of its zone when it is accepted, so that those which follow it find it where it will be; no
//! more zones are open or active than there may be.

use spec::identify::IDENTIFY_SIZE;
use spec::zoned::{
    ZONE_EXTENSION_UNIT, ZONE_HAS_EXTENSION, ZONE_REPORT_HEADER_SIZE, ZoneDescriptor, ZoneReceive, ZoneSend,
    ZoneState, ZonedControllerImage, ZonedNamespaceImage,
};
use spec::{Command, Completion, Status, ZonedOpcode};

use super::step::DataPointer;
use super::{Core, Limits, Namespace, NamespaceError, Step};
use crate::options::ZoneOptions;

const INVALID_FIELD: Status = Status::INVALID_FIELD.with_dnr(true);
const INVALID_TRANSITION: Status = Status::INVALID_ZONE_STATE_TRANSITION.with_dnr(true);

/// The zones of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Zones {
    /// Logical blocks of each, and how many of them can be written.
    size: u64,
    capacity: u64,
    /// The most that may be open, and active; 0 for any number.
    most_open: u32,
    most_active: u32,
    zones: Vec<Zone>,
}

#[derive(Clone, Debug)]
struct Zone {
    state: ZoneState,
    /// Blocks that are written.
    written: u64,
    extension: Option<[u8; ZONE_EXTENSION_UNIT]>,
}

impl Zone {
    const EMPTY: Self = Self { state: ZoneState::EMPTY, written: 0, extension: None };

    fn is_open(&self) -> bool {
        matches!(self.state, ZoneState::IMPLICITLY_OPEN | ZoneState::EXPLICITLY_OPEN)
    }

    fn is_active(&self) -> bool {
        self.is_open() || self.state == ZoneState::CLOSED
    }
}

/// The limit of an append: half of MDTS where that can be said, so that hosts meet one of its own.
fn append_limit(limits: &Limits) -> u8 {
    limits.mdts.saturating_sub(1)
}

/// The Identify Controller data of the command set.
pub(super) fn controller_data(limits: &Limits) -> [u8; IDENTIFY_SIZE] {
    let mut image = ZonedControllerImage::default();
    image.set_zasl(append_limit(limits));
    image.0
}

impl Zones {
    /// Empty zones over so many blocks of 2^`shift` bytes.
    pub(super) fn new(options: &ZoneOptions, blocks: u64, shift: u8) -> Self {
        let size = (options.size >> shift).max(1);
        Self {
            size,
            capacity: options.capacity >> shift,
            most_open: options.most_open,
            most_active: options.most_active,
            zones: vec![Zone::EMPTY; usize::try_from(blocks / size).unwrap_or(0)],
        }
    }

    /// The Identify Namespace data of the command set.
    pub(super) fn data(&self) -> [u8; IDENTIFY_SIZE] {
        let mut image = ZonedNamespaceImage::default();
        // Zero-based; any number is all ones.
        image.set_mar(self.most_active.wrapping_sub(1)).set_mor(self.most_open.wrapping_sub(1));
        image.set_format(0, self.size, 1);
        image.0
    }

    /// All zones are empty.
    pub(super) fn clear(&mut self) {
        self.zones.fill(Zone::EMPTY);
    }

    /// The zone that begins at a block.
    fn beginning_at(&self, lba: u64) -> Result<usize, Status> {
        let index = usize::try_from(lba / self.size).ok().filter(|index| *index < self.zones.len());
        let index = index.ok_or(Status::LBA_OUT_OF_RANGE.with_dnr(true))?;
        if lba.is_multiple_of(self.size) { Ok(index) } else { Err(INVALID_FIELD) }
    }

    /// Whether blocks can be read: they are of one zone, which is not offline.
    pub(super) fn readable(&self, lba: u64, blocks: u64) -> Result<(), Status> {
        let zone = usize::try_from(lba / self.size).ok().and_then(|index| self.zones.get(index));
        let zone = zone.ok_or(Status::LBA_OUT_OF_RANGE.with_dnr(true))?;
        if zone.state == ZoneState::OFFLINE {
            return Err(Status::ZONE_IS_OFFLINE.with_dnr(true));
        }
        if lba % self.size + blocks > self.size {
            return Err(Status::ZONE_BOUNDARY_ERROR.with_dnr(true));
        }
        Ok(())
    }

    /// Blocks are written: at the write pointer of their zone, which moves.
    pub(super) fn write(&mut self, lba: u64, blocks: u64) -> Result<(), Status> {
        let index = usize::try_from(lba / self.size).unwrap_or(usize::MAX);
        let zone = self.zones.get(index).ok_or(Status::LBA_OUT_OF_RANGE.with_dnr(true))?;
        let offset = lba % self.size;
        match zone.state {
            ZoneState::FULL => return Err(Status::ZONE_IS_FULL.with_dnr(true)),
            ZoneState::READ_ONLY => return Err(Status::ZONE_IS_READ_ONLY.with_dnr(true)),
            ZoneState::OFFLINE => return Err(Status::ZONE_IS_OFFLINE.with_dnr(true)),
            _ if offset != zone.written => return Err(Status::ZONE_INVALID_WRITE.with_dnr(true)),
            _ if offset + blocks > self.capacity => return Err(Status::ZONE_BOUNDARY_ERROR.with_dnr(true)),
            _ => {}
        }
        self.open(index, ZoneState::IMPLICITLY_OPEN)?;
        let capacity = self.capacity;
        if let Some(zone) = self.zones.get_mut(index) {
            zone.written += blocks;
            if zone.written == capacity {
                zone.state = ZoneState::FULL;
            }
        }
        Ok(())
    }

    /// Blocks are appended to the zone that begins there: the first of them.
    pub(super) fn append(&mut self, start: u64, blocks: u64) -> Result<u64, Status> {
        let index = self.beginning_at(start)?;
        let lba = start + self.zones.get(index).map_or(0, |zone| zone.written.min(self.size - 1));
        self.write(lba, blocks).map(|()| lba)
    }

    /// A zone is open, if that may be. One that a host opened stays so; of those that writes opened one is closed where there are too many.
    fn open(&mut self, index: usize, how: ZoneState) -> Result<(), Status> {
        let count = |is: fn(&Zone) -> bool, zones: &[Zone]| zones.iter().filter(|zone| is(zone)).count();
        let zone = self.zones.get(index).ok_or(INVALID_FIELD)?;
        let (is_open, is_active) = (zone.is_open(), zone.is_active());
        if !is_active
            && self.most_active > 0
            && count(Zone::is_active, &self.zones) >= self.most_active as usize
        {
            return Err(Status::TOO_MANY_ACTIVE_ZONES);
        }
        if !is_open && self.most_open > 0 && count(Zone::is_open, &self.zones) >= self.most_open as usize {
            let mut zones = self.zones.iter_mut();
            let other = zones.find(|zone| zone.state == ZoneState::IMPLICITLY_OPEN);
            other.ok_or(Status::TOO_MANY_OPEN_ZONES)?.state = ZoneState::CLOSED;
        }
        if let Some(zone) = self.zones.get_mut(index)
            && !(zone.is_open() && how == ZoneState::IMPLICITLY_OPEN)
        {
            zone.state = how;
        }
        Ok(())
    }

    /// What Zone Management Send does to one zone, or to all whose state lets it. The zones whose blocks are gone.
    fn manage(&mut self, action: ZoneSend, lba: Option<u64>) -> Result<Vec<usize>, Status> {
        let one = lba.map(|lba| self.beginning_at(lba)).transpose()?;
        let all: Vec<usize> = match one {
            Some(index) => vec![index],
            None => (0..self.zones.len()).filter(|index| self.is_meant(action, *index)).collect(),
        };
        let mut emptied = Vec::new();
        for index in all {
            if self.manage_one(action, index)? {
                emptied.push(index);
            }
        }
        Ok(emptied)
    }

    /// Whether an action for all zones is for this one.
    fn is_meant(&self, action: ZoneSend, index: usize) -> bool {
        self.zones.get(index).is_some_and(|zone| match action {
            ZoneSend::CLOSE => zone.is_open(),
            ZoneSend::FINISH => zone.is_active(),
            ZoneSend::OPEN => zone.state == ZoneState::CLOSED,
            ZoneSend::RESET => zone.is_active() || zone.state == ZoneState::FULL,
            ZoneSend::OFFLINE => zone.state == ZoneState::READ_ONLY,
            _ => false,
        })
    }

    /// Whether the zone's blocks are gone.
    fn manage_one(&mut self, action: ZoneSend, index: usize) -> Result<bool, Status> {
        let zone = self.zones.get_mut(index).ok_or(INVALID_FIELD)?;
        let can_be_written = zone.is_active() || zone.state == ZoneState::EMPTY;
        match action {
            ZoneSend::CLOSE if zone.is_active() => zone.state = ZoneState::CLOSED,
            ZoneSend::FINISH if can_be_written || zone.state == ZoneState::FULL => {
                zone.state = ZoneState::FULL
            }
            ZoneSend::OPEN if can_be_written => self.open(index, ZoneState::EXPLICITLY_OPEN)?,
            ZoneSend::RESET if can_be_written || zone.state == ZoneState::FULL => {
                let was = std::mem::replace(zone, Zone::EMPTY);
                return Ok(was.written > 0);
            }
            ZoneSend::OFFLINE if matches!(zone.state, ZoneState::READ_ONLY | ZoneState::OFFLINE) => {
                zone.state = ZoneState::OFFLINE;
            }
            ZoneSend::CLOSE | ZoneSend::FINISH | ZoneSend::OPEN | ZoneSend::RESET | ZoneSend::OFFLINE => {
                return Err(INVALID_TRANSITION);
            }
            _ => return Err(INVALID_FIELD),
        }
        Ok(false)
    }

    /// A zone that is empty gets a descriptor extension, and is closed then.
    pub(super) fn extend(&mut self, lba: u64, bytes: &[u8]) -> Result<(), Status> {
        let index = self.beginning_at(lba)?;
        let extension = *bytes.first_chunk().ok_or(INVALID_FIELD)?;
        if self.zones.get(index).is_none_or(|zone| zone.state != ZoneState::EMPTY) {
            return Err(INVALID_TRANSITION);
        }
        self.open(index, ZoneState::EXPLICITLY_OPEN)?;
        if let Some(zone) = self.zones.get_mut(index) {
            (zone.state, zone.extension) = (ZoneState::CLOSED, Some(extension));
        }
        Ok(())
    }

    /// What Zone Management Receive answers in so many bytes.
    fn report(&self, command: &Command, room: usize) -> Result<Vec<u8>, Status> {
        let is_extended = match command.zone_receive_action() {
            ZoneReceive::REPORT => false,
            ZoneReceive::EXTENDED_REPORT => true,
            _ => return Err(INVALID_FIELD),
        };
        let first = usize::try_from(command.lba() / self.size).ok().filter(|first| *first < self.zones.len());
        let first = first.ok_or(Status::LBA_OUT_OF_RANGE.with_dnr(true))?;
        let wanted = match command.zone_report_which() {
            0 => None,
            which => Some(*REPORTED.get(usize::from(which) - 1).ok_or(INVALID_FIELD)?),
        };
        let each = ZoneDescriptor::SIZE + if is_extended { ZONE_EXTENSION_UNIT } else { 0 };
        let mut report = vec![0; ZONE_REPORT_HEADER_SIZE];
        let (mut all, mut there) = (0u64, 0u64);
        for (index, zone) in self.zones.iter().enumerate().skip(first) {
            if wanted.is_some_and(|state| state != zone.state) {
                continue;
            }
            all += 1;
            if report.len() + each > room {
                continue;
            }
            there += 1;
            report.extend_from_slice(&self.describe(index, zone).encode());
            if is_extended {
                report.extend_from_slice(&zone.extension.unwrap_or([0; ZONE_EXTENSION_UNIT]));
            }
        }
        let count = if command.is_partial_zone_report() { there } else { all };
        report.splice(..8, count.to_le_bytes());
        report.resize(room, 0);
        Ok(report)
    }

    fn describe(&self, index: usize, zone: &Zone) -> ZoneDescriptor {
        let start = index as u64 * self.size;
        let can_be_written = zone.is_active() || zone.state == ZoneState::EMPTY;
        ZoneDescriptor {
            state: zone.state,
            attributes: if zone.extension.is_some() { ZONE_HAS_EXTENSION } else { 0 },
            capacity: self.capacity,
            start,
            write_pointer: if can_be_written { start + zone.written } else { u64::MAX },
        }
    }
}

/// The states that a report can be of, from 1 on (ZRASF; ZNS figure 30).
const REPORTED: [ZoneState; 7] = [
    ZoneState::EMPTY,
    ZoneState::IMPLICITLY_OPEN,
    ZoneState::EXPLICITLY_OPEN,
    ZoneState::CLOSED,
    ZoneState::FULL,
    ZoneState::READ_ONLY,
    ZoneState::OFFLINE,
];

impl Namespace {
    /// The commands that the Zoned Namespace Command Set adds.
    pub(super) fn zoned(
        &mut self,
        limits: &Limits,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let Some(zones) = &mut self.zones else { return Err(Status::INVALID_OPCODE.with_dnr(true)) };
        match ZonedOpcode(command.opcode()) {
            ZonedOpcode::ZONE_APPEND => {
                let block = 1 << self.block_shift;
                let (data, length) = (data?, u64::from(command.block_count()) * block);
                let most = match append_limit(limits) {
                    0 => limits.max_transfer(),
                    zasl => 4096 << zasl,
                };
                if length > most {
                    return Err(INVALID_FIELD);
                }
                let data = data.expect(length)?;
                let lba = zones.append(command.lba(), command.block_count().into())?;
                let extent = self.extent(lba, command.block_count().into())?;
                self.marks.clear(lba, command.block_count().into());
                let completion = completion.with_result(lba);
                Ok(match data {
                    DataPointer::Remote(remote) => Step::FetchBlocks { extent, remote, completion },
                    DataPointer::Capsule { offset, .. } => Step::CopyBlocks { offset, extent, completion },
                })
            }
            ZonedOpcode::ZONE_MANAGEMENT_RECEIVE => {
                let length = (u64::from(command.cdw12()) + 1) * 4;
                if length > limits.max_transfer() {
                    return Err(INVALID_FIELD);
                }
                let remote = data?.expect(length)?.remote()?;
                let bytes = zones.report(command, usize::try_from(length).map_err(|_| INVALID_FIELD)?)?;
                Ok(Step::SendBytes { bytes, remote, completion })
            }
            _ if command.zone_send_action() == ZoneSend::SET_DESCRIPTOR_EXTENSION => {
                Ok(data?.expect(ZONE_EXTENSION_UNIT as u64)?.fetch(ZONE_EXTENSION_UNIT as u32))
            }
            _ => {
                data?.none()?;
                let lba = (!command.selects_all_zones()).then_some(command.lba());
                let (emptied, size) = (zones.manage(command.zone_send_action(), lba)?, zones.size);
                let mut changes = Vec::new();
                for index in emptied {
                    let extent = self.extent(index as u64 * size, size)?;
                    self.marks.clear(index as u64 * size, size);
                    changes.push(self.blank(extent));
                }
                Ok(if changes.is_empty() {
                    Step::Respond(completion)
                } else {
                    Step::ChangeBlocks { changes, completion }
                })
            }
        }
    }
}

impl Core {
    /// The zone of a namespace that begins at a block is in this state from now on, as if its medium had failed.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn set_zone_state(
        &mut self,
        nqn: &str,
        nsid: u32,
        lba: u64,
        state: ZoneState,
    ) -> Result<(), NamespaceError> {
        let index = self.index_of(nqn)?;
        let namespace = self.subsystems.get_mut(index).and_then(|subsystem| subsystem.namespace_mut(nsid));
        let zones = namespace.and_then(|namespace| namespace.zones.as_mut());
        let zones = zones.ok_or(NamespaceError::Unknown(nsid))?;
        let zone = zones.beginning_at(lba).map_err(|_| NamespaceError::Zone(lba))?;
        if let Some(zone) = zones.zones.get_mut(zone) {
            zone.state = state;
        }
        Ok(())
    }
}
