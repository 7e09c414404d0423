//! Commands of I/O queues (NVM Command Set 3.2): read, write, flush and write zeroes.

use spec::{Command, Completion, NvmOpcode, Status};

use super::step::DataPointer;
use super::{Extent, Limits, Namespace, Step, Subsystem};

/// The namespace counts before the opcode. A flush of all namespaces (NSID FFFFFFFFh) is not offered by VWC, so that id is
/// no namespace here.
pub(super) fn execute(
    limits: &Limits,
    subsystem: &Subsystem,
    command: &Command,
    data: Result<DataPointer, Status>,
) -> Result<Step, Status> {
    let namespace = subsystem.namespace(command.nsid());
    let namespace = namespace.ok_or(Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true))?;
    let completion = Completion::new(0, command.cid(), Status::SUCCESS);
    match NvmOpcode(command.opcode()) {
        NvmOpcode::READ => {
            let (extent, data) = transfer(limits, namespace, command, data?)?;
            Ok(Step::SendBlocks { extent, remote: data.remote()?, completion })
        }
        NvmOpcode::WRITE => {
            let (extent, data) = transfer(limits, namespace, command, data?)?;
            Ok(match data {
                DataPointer::Remote(remote) => Step::FetchBlocks { extent, remote, completion },
                DataPointer::Capsule { offset, .. } => Step::CopyBlocks { offset, extent, completion },
            })
        }
        NvmOpcode::WRITE_ZEROES => {
            data?.none()?;
            let extent = extent(namespace, command)?;
            Ok(Step::ZeroBlocks { extent, completion })
        }
        NvmOpcode::FLUSH => {
            data?.none()?;
            // A write is in the store before its answer goes out: there is nothing to flush.
            Ok(Step::Respond(completion))
        }
        _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
    }
}

/// The extent of a command that transfers data, whose length must be within MDTS and that of the SGL, and its data.
fn transfer(
    limits: &Limits,
    namespace: &Namespace,
    command: &Command,
    data: DataPointer,
) -> Result<(Extent, DataPointer), Status> {
    let length = u64::from(command.block_count()) << namespace.block_shift;
    if length > limits.max_transfer() {
        return Err(Status::INVALID_FIELD.with_dnr(true));
    }
    let data = data.expect(length)?;
    Ok((extent(namespace, command)?, data))
}

fn extent(namespace: &Namespace, command: &Command) -> Result<Extent, Status> {
    let (lba, blocks) = (command.lba(), u64::from(command.block_count()));
    if lba >= namespace.blocks || blocks > namespace.blocks - lba {
        return Err(Status::LBA_OUT_OF_RANGE.with_dnr(true));
    }
    let shift = namespace.block_shift;
    Ok(Extent { store: namespace.store, offset: lba << shift, length: blocks << shift })
}
