//! Commands of I/O queues (NVM Command Set 3.2): which blocks they are about, and whether they may come.

use spec::ranges::{CopyRange, DSM_DEALLOCATE, DatasetRange};
use spec::{Command, Completion, KeyValueOpcode, NvmOpcode, Status, ZonedOpcode};

use super::reservations::Access;
use super::step::{Change, DataPointer, Protected};
use super::{Core, Extent, Limits, Namespace, Protection, Queue, Step};

/// MSSRL: logical blocks of a source range of Copy.
pub(super) const COPY_RANGE_BLOCKS: u16 = 128;
/// MCL: logical blocks of a Copy.
pub(super) const COPY_BLOCKS: u32 = 512;
/// MSRC: source ranges of a Copy.
pub(super) const COPY_RANGES: u8 = 16;
/// The one format of Copy's source ranges that there is.
const COPY_FORMAT: u32 = 0;

const ZONE_APPEND: u8 = ZonedOpcode::ZONE_APPEND.0;
const ZONE_MANAGEMENT_SEND: u8 = ZonedOpcode::ZONE_MANAGEMENT_SEND.0;
const ZONE_MANAGEMENT_RECEIVE: u8 = ZonedOpcode::ZONE_MANAGEMENT_RECEIVE.0;

const INVALID_NAMESPACE: Status = Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true);
const UNRECOVERED: Status = Status::UNRECOVERED_READ_ERROR;

impl Core {
    /// The namespace counts before the opcode. A flush of all namespaces (NSID FFFFFFFFh) is not offered by VWC, so that id
    /// is no namespace here. Then what stands in the way of the command as a whole: the path, or a reservation.
    pub(super) fn io(
        &mut self,
        cntlid: u16,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        let limits = self.limits;
        let controller = self.controllers.get(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let (hostid, index, port) = (controller.hostid, controller.subsystem, controller.port);
        let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
        let subsystem = subsystem.ok_or(Status::INVALID_OPCODE.with_dnr(true))?;
        let group = subsystem.namespace(command.nsid()).ok_or(INVALID_NAMESPACE)?.group;
        subsystem.ana.check(group, port)?;
        subsystem.check_locks(command, access(NvmOpcode(command.opcode())))?;
        let namespace = subsystem.namespace_mut(command.nsid()).ok_or(INVALID_NAMESPACE)?;
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let opcode = NvmOpcode(command.opcode());
        if let Some(access) = access(opcode) {
            namespace.reservations.check(&hostid, access)?;
        }
        if namespace.keys.is_some() && is_key_value(opcode) {
            return namespace.key_value(&limits, command, data);
        }
        match opcode {
            NvmOpcode(ZONE_APPEND | ZONE_MANAGEMENT_SEND | ZONE_MANAGEMENT_RECEIVE) => {
                namespace.zoned(&limits, command, data)
            }
            // What has keys has no blocks, and Copy knows no write pointer.
            _ if namespace.keys.is_some() && !is_reservation(opcode) => {
                Err(Status::INVALID_OPCODE.with_dnr(true))
            }
            NvmOpcode::COPY if namespace.zones.is_some() => Err(Status::INVALID_OPCODE.with_dnr(true)),
            NvmOpcode::READ => {
                let Transfer { extent, data, protection } = transfer(&limits, namespace, command, data?)?;
                namespace.readable(command.lba(), command.block_count())?;
                if let Some(protection) = protection {
                    let what = Protected::Send(data.remote()?);
                    return Ok(Step::Protected { what, extent, protection, completion });
                }
                Ok(Step::SendBlocks { extent, remote: data.remote()?, completion })
            }
            NvmOpcode::WRITE => {
                let Transfer { extent, data, protection } = transfer(&limits, namespace, command, data?)?;
                namespace.written(command)?;
                if let Some(protection) = protection {
                    let what = Protected::Fetch(data.source());
                    return Ok(Step::Protected { what, extent, protection, completion });
                }
                Ok(match data {
                    DataPointer::Remote(remote) => Step::FetchBlocks { extent, remote, completion },
                    DataPointer::Capsule { offset, .. } => Step::CopyBlocks { offset, extent, completion },
                })
            }
            NvmOpcode::COMPARE => {
                let Transfer { extent, data, protection } = transfer(&limits, namespace, command, data?)?;
                namespace.readable(command.lba(), command.block_count())?;
                if let Some(protection) = protection {
                    let what = Protected::Compare(data.source());
                    return Ok(Step::Protected { what, extent, protection, completion });
                }
                Ok(Step::CompareBlocks { source: data.source(), extent, completion })
            }
            NvmOpcode::WRITE_ZEROES => {
                data?.none()?;
                let extent = extent(namespace, command)?;
                let protection = Protection::of(namespace, command)?;
                namespace.written(command)?;
                Ok(match (protection, namespace.blank(extent)) {
                    (Some(protection), _) => {
                        Step::Protected { what: Protected::Zero, extent, protection, completion }
                    }
                    (None, Change::Zero(extent)) => Step::ZeroBlocks { extent, completion },
                    (None, blank) => Step::ChangeBlocks { changes: vec![blank], completion },
                })
            }
            NvmOpcode::WRITE_UNCORRECTABLE => {
                data?.none()?;
                extent(namespace, command)?;
                namespace.written(command)?;
                namespace.marks.set(command.lba(), command.block_count().into());
                Ok(Step::Respond(completion))
            }
            NvmOpcode::VERIFY => {
                data?.none()?;
                let extent = extent(namespace, command)?;
                namespace.readable(command.lba(), command.block_count())?;
                Ok(match Protection::of(namespace, command)? {
                    Some(protection) => {
                        Step::Protected { what: Protected::Check, extent, protection, completion }
                    }
                    None => Step::Respond(completion),
                })
            }
            NvmOpcode::FLUSH => {
                data?.none()?;
                // A write is in the store before its answer goes out: there is nothing to flush.
                Ok(Step::Respond(completion))
            }
            NvmOpcode::DATASET_MANAGEMENT => {
                let length = ((command.cdw10() & 0xff) + 1) * DatasetRange::SIZE as u32;
                // Hosts give room for all ranges that there may be, and fill in some.
                Ok(data?.at_least(length.into())?.fetch(length))
            }
            NvmOpcode::COPY => {
                let count = (command.cdw12() & 0xff) + 1;
                // Protection information names the block that it is of: it cannot go elsewhere as it is.
                if namespace.protection != 0 {
                    return Err(Status::INVALID_PROTECTION_INFORMATION.with_dnr(true));
                }
                if command.cdw12() >> 8 & 0xf != COPY_FORMAT {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                if count > COPY_RANGES.into() {
                    return Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED.with_dnr(true));
                }
                let length = count * CopyRange::SIZE as u32;
                Ok(data?.at_least(length.into())?.fetch(length))
            }
            NvmOpcode::RESERVATION_REGISTER
            | NvmOpcode::RESERVATION_REPORT
            | NvmOpcode::RESERVATION_ACQUIRE
            | NvmOpcode::RESERVATION_RELEASE => self.reservation(cntlid, command, data?),
            _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
    }

    /// What comes of a command whose data, which is no blocks, is here.
    pub(super) fn io_supplied(
        &mut self,
        queue: &Queue,
        command: &Command,
        bytes: &[u8],
    ) -> Result<Step, Status> {
        let controller = queue.controller.and_then(|cntlid| self.controllers.get(&cntlid));
        let index = controller.and_then(|controller| controller.subsystem);
        let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
        let subsystem = subsystem.ok_or(Status::ABORTED_SQ_DELETION)?;
        subsystem.check_locks_of_list(command, bytes)?;
        // It may have gone meanwhile.
        let namespace = subsystem.namespace_mut(command.nsid()).ok_or(INVALID_NAMESPACE)?;
        if let Some(keys) = &mut namespace.keys
            && command.opcode() == KeyValueOpcode::STORE.0
        {
            return keys.store(command, bytes);
        }
        if let Some(zones) = &mut namespace.zones
            && command.opcode() == ZONE_MANAGEMENT_SEND
        {
            zones.extend(command.lba(), bytes)?;
            return Ok(Step::Respond(Completion::new(0, command.cid(), Status::SUCCESS)));
        }
        match NvmOpcode(command.opcode()) {
            NvmOpcode::DATASET_MANAGEMENT => namespace.manage(command, bytes),
            NvmOpcode::COPY => namespace.copy(command, bytes),
            _ => self.reserve(queue, command, bytes),
        }
    }
}

impl Namespace {
    /// Blocks are written: they can be, where there are zones, and no mark is left there.
    fn written(&mut self, command: &Command) -> Result<(), Status> {
        let (lba, blocks) = (command.lba(), command.block_count().into());
        if let Some(zones) = &mut self.zones {
            zones.write(lba, blocks)?;
        }
        self.marks.clear(lba, blocks);
        Ok(())
    }

    /// None of the blocks is marked, and they can be read, where there are zones.
    fn readable(&self, lba: u64, blocks: u32) -> Result<(), Status> {
        if let Some(zones) = &self.zones {
            zones.readable(lba, blocks.into())?;
        }
        if self.marks.hit(lba, blocks.into()) { Err(UNRECOVERED) } else { Ok(()) }
    }

    pub(super) fn extent(&self, lba: u64, blocks: u64) -> Result<Extent, Status> {
        if lba >= self.blocks || blocks > self.blocks - lba {
            return Err(Status::LBA_OUT_OF_RANGE.with_dnr(true));
        }
        // The store, which has all of the blocks, is no longer than a number.
        let block = self.block();
        Ok(Extent { store: self.store, offset: lba * block, length: blocks * block })
    }

    /// Makes blocks ones that nobody wrote.
    pub(super) fn blank(&self, extent: Extent) -> Change {
        if self.protection == 0 {
            return Change::Zero(extent);
        }
        Change::Blank { extent, block: (1 << self.block_shift) + usize::from(self.metadata) }
    }

    /// Dataset Management: what is deallocated reads as zeros. Everything else is advice, and not taken.
    fn manage(&mut self, command: &Command, bytes: &[u8]) -> Result<Step, Status> {
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        if command.cdw11() & DSM_DEALLOCATE == 0 {
            return Ok(Step::Respond(completion));
        }
        let ranges = bytes.as_chunks::<{ DatasetRange::SIZE }>().0.iter().map(DatasetRange::decode);
        let mut ranges: Vec<DatasetRange> = ranges.filter(|range| range.blocks > 0).collect();
        for range in &ranges {
            self.extent(range.lba, range.blocks.into())?;
        }
        // Each block is zeroed once, however often the ranges name it.
        ranges.sort_by_key(|range| range.lba);
        let (mut changes, mut done) = (Vec::new(), 0);
        for range in ranges {
            let end = range.lba.saturating_add(range.blocks.into());
            let lba = range.lba.max(done);
            if end > lba {
                self.marks.clear(lba, end - lba);
                changes.push(self.blank(self.extent(lba, end - lba)?));
                done = end;
            }
        }
        Ok(Step::ChangeBlocks { changes, completion })
    }

    /// Copy: all ranges or none. If one cannot be read, dword 0 says which (NVM Command Set 3.2.2).
    fn copy(&mut self, command: &Command, bytes: &[u8]) -> Result<Step, Status> {
        let limit = Status::COMMAND_SIZE_LIMIT_EXCEEDED.with_dnr(true);
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let ranges = bytes.as_chunks::<{ CopyRange::SIZE }>().0.iter().map(CopyRange::decode);
        let ranges: Vec<CopyRange> = ranges.collect();
        let blocks = ranges.iter().map(|range| range.blocks).sum::<u32>();
        if blocks > COPY_BLOCKS || ranges.iter().any(|range| range.blocks > COPY_RANGE_BLOCKS.into()) {
            return Err(limit);
        }
        let to = self.extent(command.lba(), blocks.into())?;
        let mut from = Vec::with_capacity(ranges.len());
        for (index, range) in (0..).zip(&ranges) {
            let extent = self.extent(range.lba, range.blocks.into());
            match extent.and_then(|extent| self.readable(range.lba, range.blocks).map(|()| extent)) {
                Ok(extent) => from.push(extent),
                Err(status) => {
                    let completion = Completion::new(0, command.cid(), status).with_cdw0(index);
                    return Ok(Step::Respond(completion));
                }
            }
        }
        self.marks.clear(command.lba(), blocks.into());
        Ok(Step::ChangeBlocks { changes: vec![Change::Copy { from, to }], completion })
    }
}

/// Which of a reservation's rights a command needs (Base figure 498); none for those on reservations themselves.
fn access(opcode: NvmOpcode) -> Option<Access> {
    // The others of the Key Value Command Set have the numbers of reads and writes.
    match KeyValueOpcode(opcode.0) {
        KeyValueOpcode::LIST | KeyValueOpcode::EXIST => return Some(Access::Read),
        KeyValueOpcode::DELETE => return Some(Access::Write),
        _ => {}
    }
    match opcode {
        NvmOpcode::READ | NvmOpcode::COMPARE | NvmOpcode::VERIFY | NvmOpcode(ZONE_MANAGEMENT_RECEIVE) => {
            Some(Access::Read)
        }
        NvmOpcode::WRITE
        | NvmOpcode::WRITE_ZEROES
        | NvmOpcode::WRITE_UNCORRECTABLE
        | NvmOpcode::FLUSH
        | NvmOpcode::DATASET_MANAGEMENT
        | NvmOpcode::COPY
        | NvmOpcode(ZONE_APPEND | ZONE_MANAGEMENT_SEND) => Some(Access::Write),
        _ => None,
    }
}

fn is_key_value(opcode: NvmOpcode) -> bool {
    let all = [
        KeyValueOpcode::STORE,
        KeyValueOpcode::RETRIEVE,
        KeyValueOpcode::LIST,
        KeyValueOpcode::DELETE,
        KeyValueOpcode::EXIST,
    ];
    all.contains(&KeyValueOpcode(opcode.0))
}

fn is_reservation(opcode: NvmOpcode) -> bool {
    let all = [
        NvmOpcode::RESERVATION_REGISTER,
        NvmOpcode::RESERVATION_REPORT,
        NvmOpcode::RESERVATION_ACQUIRE,
        NvmOpcode::RESERVATION_RELEASE,
    ];
    all.contains(&opcode)
}

/// A command that transfers data: the blocks, where the data is, and what becomes of protection information.
struct Transfer {
    extent: Extent,
    data: DataPointer,
    protection: Option<Protection>,
}

/// The length of the data must be within MDTS and that of the SGL. Metadata is part of it, unless it is nothing but protection
/// information that the controller adds and takes away.
fn transfer(
    limits: &Limits,
    namespace: &Namespace,
    command: &Command,
    data: DataPointer,
) -> Result<Transfer, Status> {
    let protection = Protection::of(namespace, command)?;
    let block = protection.map_or(namespace.block(), |protection| protection.host_block() as u64);
    let length = u64::from(command.block_count()) * block;
    if length > limits.max_transfer() {
        return Err(Status::INVALID_FIELD.with_dnr(true));
    }
    let data = data.expect(length)?;
    Ok(Transfer { extent: extent(namespace, command)?, data, protection })
}

fn extent(namespace: &Namespace, command: &Command) -> Result<Extent, Status> {
    namespace.extent(command.lba(), command.block_count().into())
}
