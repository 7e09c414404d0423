//! Transfers that take several commands: too long for one, across a boundary of the namespace, or in too many pieces.
//!
//! What must hold: all commands are made before the first goes out, so that a transfer that can never be made is refused whole.

use super::{
    Data, Error, IoQpair, Limits, Namespace, Request, build,
    data::{Cut, Source},
};
use crate::transport::{self, Completer, Context, Upcall};
use spec::Completion;
use std::{cell::Cell, rc::Rc};

/// One command of a transfer.
struct Part {
    lba: u64,
    blocks: u32,
    cut: Cut,
}

impl IoQpair {
    /// Sends a transfer as several commands. The callback runs once, after the last of them, with the first error if there was one.
    /// Either all parts find a request slot or the whole is refused.
    pub(super) fn transfer_split(
        &self,
        namespace: &Namespace,
        request: &Request,
        data: &mut Data<'_>,
        limits: &Limits,
        context: Context,
    ) -> Result<(), Error> {
        let parts = self.parts(request, data, limits)?;
        if !self.qpair.has_free_requests(parts.len()) {
            return Err(transport::Error::NoRequests.into());
        }
        let upcall = self.qpair.upcall();
        let left = Cell::new(parts.len());
        let parent = Rc::new(Split { left, result: Cell::new(None), upcall, context });
        for (sent, part) in parts.iter().enumerate() {
            let command = build(namespace, request, part.lba, part.blocks);
            let whole = parent.clone();
            let completer =
                Completer::Named(Rc::new(move |completion| whole.part_done(completion)), context.argument);
            match self.submit_pieces(&command, part.cut.pieces(), completer) {
                Ok(()) => {}
                Err(error) if sent == 0 => return Err(error),
                Err(error) => {
                    // Parts are on their way, so the transfer was accepted: it ends as failed once they are
                    // done (T111).
                    tracing::error!("{}: part of a long transfer: {error}", self.qpair.label());
                    parent.never_sent(self.id(), parts.len() - sent);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What each of the commands has. What can never be accepted must not be answered with "try again".
    fn parts(&self, request: &Request, data: &mut Data<'_>, limits: &Limits) -> Result<Vec<Part>, Error> {
        let most = self.qpair.request_count() as usize;
        let pieces = self.most_pieces();
        let mut source = Source::new(data);
        let mut parts: Vec<Part> = Vec::new();
        let mut done = 0;
        while done < request.blocks {
            let lba = request.lba.wrapping_add(u64::from(done));
            let wanted = limits.first(lba, request.blocks - done);
            if parts.len() == most {
                let text = format!(
                    "a transfer of {} blocks takes more commands than the {most} requests of the qpair",
                    request.blocks
                );
                return Err(Error::InvalidArgument(text));
            }
            let cut = source.cut(wanted * limits.block, limits.block, pieces)?;
            let blocks = cut.length / limits.block.max(1);
            parts.try_reserve(1).map_err(|_| Error::NoMemory)?;
            parts.push(Part { lba, blocks, cut });
            done += blocks;
        }
        Ok(parts)
    }
}

/// A transfer that went out as several commands.
struct Split {
    left: Cell<usize>,
    result: Cell<Option<Completion>>,
    upcall: Upcall,
    context: Context,
}

impl Split {
    fn part_done(&self, completion: &Completion) {
        self.count(1, completion);
    }

    fn never_sent(&self, queue_id: u16, parts: usize) {
        self.count(parts, &Completion::new(queue_id, 0, spec::Status::INTERNAL_ERROR));
    }

    fn count(&self, parts: usize, completion: &Completion) {
        let worse = match self.result.get() {
            Some(result) if !result.is_success() => result,
            _ => *completion,
        };
        self.result.set(Some(worse));
        self.left.set(self.left.get().saturating_sub(parts));
        if self.left.get() == 0 {
            let Context { function, argument } = self.context;
            if !function.is_null() {
                (self.upcall)(argument, &worse, function);
            }
        }
    }
}
