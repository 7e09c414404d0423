//! Transfers that are too long for one command.

use super::{Error, IoQpair, Namespace, Transfer, build};
use crate::transport::{self, Completer, Context, Payload, Upcall};
use spec::Completion;
use std::{cell::Cell, ffi::c_void, rc::Rc};

impl IoQpair {
    /// Sends a transfer as several commands, of `each` blocks at most. The callback runs once, after the last of them, with the
    /// first error if there was one. Either all parts find a request slot or the whole is refused.
    #[allow(clippy::too_many_arguments)] // as for `transfer`
    pub(super) fn transfer_split(
        &self,
        transfer: Transfer,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        each: u32,
        flags: u32,
        context: Context,
    ) -> Result<(), Error> {
        let block = namespace.transferred_size(flags);
        let parts = blocks.div_ceil(each);
        // What can never be accepted must not be answered with "try again".
        let most = self.qpair.request_count();
        if parts > most {
            let text = format!("a transfer takes {parts} commands, and the qpair has {most} requests");
            return Err(Error::InvalidArgument(text));
        }
        if !self.qpair.has_free_requests(parts as usize) {
            return Err(transport::Error::NoRequests.into());
        }
        let upcall = self.qpair.upcall();
        let parent = Rc::new(Split { left: Cell::new(parts), result: Cell::new(None), upcall, context });
        let mut sent = 0;
        let mut done = 0;
        while sent < parts {
            let count = each.min(blocks - done);
            let offset = u64::from(done) * u64::from(block);
            let length = count * block;
            let payload = Payload::Memory { address: (buffer.addr() as u64).wrapping_add(offset), length };
            let command = build(transfer, namespace, lba.wrapping_add(u64::from(done)), count, flags);
            let part = parent.clone();
            let completer = Completer::Shared(Rc::new(move |completion| part.part_done(completion)));
            match self.qpair.submit(&command, payload, completer) {
                Ok(()) => {}
                Err(error) if sent == 0 => return Err(error.into()),
                Err(error) => {
                    // Parts are on their way, so the transfer was accepted: it ends as failed once they are
                    // done (T111).
                    tracing::error!("{}: part of a long transfer: {error}", self.qpair.label());
                    parent.never_sent(self.id(), parts - sent);
                    return Ok(());
                }
            }
            sent += 1;
            done += count;
        }
        Ok(())
    }
}

/// A transfer that went out as several commands.
struct Split {
    left: Cell<u32>,
    result: Cell<Option<Completion>>,
    upcall: Upcall,
    context: Context,
}

impl Split {
    fn part_done(&self, completion: &Completion) {
        self.count(1, completion);
    }

    fn never_sent(&self, queue_id: u16, parts: u32) {
        self.count(parts, &Completion::new(queue_id, 0, spec::Status::INTERNAL_ERROR));
    }

    fn count(&self, parts: u32, completion: &Completion) {
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
