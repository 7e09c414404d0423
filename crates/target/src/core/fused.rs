//! Compare and Write as one operation (Base 2.0, 3.4.2; NVM Command Set 2.1): two commands next to each other on a queue.
//!
//! The first half waits until the second is here; then both are done at one go. A half without the other is aborted.

use spec::{Command, Completion, NvmOpcode, Status};

use super::step::{CompareAndWrite, DataPointer, Source};
use super::{Core, Extent, Queue, Release, Step};

/// FUSE: the first command of two.
pub(super) const FIRST: u8 = 1;
/// FUSE: the second command of two.
pub(super) const SECOND: u8 = 2;
/// Logical blocks that are compared and written at one go; ACWU is one less.
pub(super) const COMPARE_AND_WRITE_BLOCKS: u16 = 16;

/// What became of the last command of a queue, if it was the first of two.
#[derive(Clone, Debug)]
pub(super) enum FirstHalf {
    /// It was in order, and waits.
    Waits { tag: usize, command: Command, source: Source, extent: Extent },
    /// It was answered with an error.
    Failed,
}

impl Core {
    /// A command comes that is not the second of two: a first half in front of it is alone.
    pub(super) fn abandon_first_half(&mut self, queue: &mut Queue) {
        if let Some(FirstHalf::Waits { tag, command, .. }) = queue.first_half.take() {
            self.answer_later(queue, tag, Completion::new(0, command.cid(), Status::ABORTED_MISSING_FUSED));
        }
    }

    /// One of two commands.
    pub(super) fn fused(
        &mut self,
        queue: &mut Queue,
        cntlid: u16,
        tag: usize,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        if command.fuse() == FIRST {
            let step = self.first_half(cntlid, command, data);
            queue.first_half = Some(match &step {
                Ok((source, extent)) => {
                    FirstHalf::Waits { tag, command: *command, source: source.clone(), extent: *extent }
                }
                Err(_) => FirstHalf::Failed,
            });
            return step.map(|_| Step::Hold);
        }
        let (first, compared, compare, extent) = match queue.first_half.take() {
            None => return Err(Status::ABORTED_MISSING_FUSED),
            Some(FirstHalf::Failed) => return Err(Status::ABORTED_FAILED_FUSED),
            Some(FirstHalf::Waits { tag, command, source, extent }) => (tag, command, source, extent),
        };
        let range = |command: &Command| (command.nsid(), command.lba(), command.block_count());
        let write = if NvmOpcode(command.opcode()) != NvmOpcode::WRITE || range(command) != range(&compared) {
            Err(Status::INVALID_FIELD.with_dnr(true))
        } else {
            self.io(cntlid, command, data)
        };
        let write = match write {
            Ok(Step::FetchBlocks { remote, .. }) => Source::Remote(remote),
            Ok(Step::CopyBlocks { offset, .. }) => Source::Capsule { offset },
            other => {
                let failed = Completion::new(0, compared.cid(), Status::ABORTED_FAILED_FUSED);
                self.answer_later(queue, first, failed);
                return Err(other.err().unwrap_or(Status::INVALID_FIELD.with_dnr(true)));
            }
        };
        let success = |cid| Completion::new(0, cid, Status::SUCCESS);
        let completions = [success(compared.cid()), success(command.cid())];
        Ok(Step::CompareAndWrite(Box::new(CompareAndWrite { first, compare, write, extent, completions })))
    }

    fn first_half(
        &mut self,
        cntlid: u16,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<(Source, Extent), Status> {
        if NvmOpcode(command.opcode()) != NvmOpcode::COMPARE {
            return Err(Status::INVALID_FIELD.with_dnr(true));
        }
        let step = self.io(cntlid, command, data)?;
        // What is in a zone lies before its write pointer: a write of the same blocks is none that the zone takes.
        let subsystem = self.controllers.get(&cntlid).and_then(|controller| controller.subsystem);
        let subsystem = subsystem.and_then(|index| self.subsystems.get(index));
        if subsystem.and_then(|it| it.namespace(command.nsid())).is_some_and(|it| it.zones.is_some()) {
            return Err(Status::INVALID_FIELD.with_dnr(true));
        }
        if command.block_count() > COMPARE_AND_WRITE_BLOCKS.into() {
            return Err(Status::ATOMIC_WRITE_UNIT_EXCEEDED.with_dnr(true));
        }
        match step {
            Step::CompareBlocks { source, extent, .. } => Ok((source, extent)),
            // Protection information is checked command by command.
            _ => Err(Status::INVALID_FIELD.with_dnr(true)),
        }
    }

    fn answer_later(&mut self, queue: &Queue, tag: usize, completion: Completion) {
        self.releases.extend(Release::answer(queue, tag, completion));
    }
}
