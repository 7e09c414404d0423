//! Commands of I/O queues (NVM Command Set 3.2): read, write, flush and write zeroes.

use spec::command::NSID_ALL;
use spec::{Command, Completion, NvmOpcode, Status};

use super::step::DataPointer;
use super::{Extent, Limits, Step, Subsystem};

pub(super) fn execute(
    limits: &Limits,
    subsystem: &Subsystem,
    command: &Command,
    data: DataPointer,
) -> Result<Step, Status> {
    let completion = Completion::new(0, command.cid(), Status::SUCCESS);
    match NvmOpcode(command.opcode()) {
        NvmOpcode::READ => {
            let extent = transfer(limits, subsystem, command, data)?;
            let remote = data.remote()?;
            Ok(Step::SendBlocks { extent, remote, completion })
        }
        NvmOpcode::WRITE => {
            let extent = transfer(limits, subsystem, command, data)?;
            Ok(match data {
                DataPointer::Remote { remote, .. } => Step::FetchBlocks { extent, remote, completion },
                DataPointer::Capsule { offset, .. } => Step::CopyBlocks { offset, extent, completion },
            })
        }
        NvmOpcode::WRITE_ZEROES => {
            let extent = extent(subsystem, command)?;
            Ok(Step::ZeroBlocks { extent, completion })
        }
        NvmOpcode::FLUSH => {
            // A write is in the store before its answer goes out: there is nothing to flush.
            if command.nsid() != NSID_ALL && subsystem.namespace(command.nsid()).is_none() {
                return Err(Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true));
            }
            Ok(Step::Respond(completion))
        }
        _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
    }
}

/// The extent of a command that transfers data, whose length must be that of the SGL and within MDTS.
fn transfer(
    limits: &Limits,
    subsystem: &Subsystem,
    command: &Command,
    data: DataPointer,
) -> Result<Extent, Status> {
    let extent = extent(subsystem, command)?;
    if extent.length > limits.max_transfer() {
        return Err(Status::INVALID_FIELD.with_dnr(true));
    }
    data.expect(extent.length)?;
    Ok(extent)
}

fn extent(subsystem: &Subsystem, command: &Command) -> Result<Extent, Status> {
    let namespace = subsystem.namespace(command.nsid());
    let namespace = namespace.ok_or(Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true))?;
    let (lba, blocks) = (command.lba(), u64::from(command.block_count()));
    if lba >= namespace.blocks || blocks > namespace.blocks - lba {
        return Err(Status::LBA_OUT_OF_RANGE.with_dnr(true));
    }
    let shift = namespace.block_shift;
    Ok(Extent { store: namespace.store, offset: lba << shift, length: blocks << shift })
}
