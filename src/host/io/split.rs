//! Transfers that take several commands: too long for one, across a boundary of the namespace, or in too many pieces.
//!
//! What must hold: all commands are made before the first goes out, so that a transfer that can never be made is refused whole.

use super::{
    Data, Error, IoQpair, Limits, Namespace, Request, build,
    data::{Cut, Source},
    seen::InPieces,
};
use crate::transport::{self, Completer, Context, Piece};
use spec::{Completion, Status};

/// One command of a transfer, with its data.
struct Part<P> {
    lba: u64,
    blocks: u32,
    data: P,
}

/// The commands of a transfer whose data are in one piece.
#[derive(Clone)]
struct InOnePiece<'a> {
    limits: &'a Limits,
    lba: u64,
    blocks: u32,
    address: u64,
}

impl Iterator for InOnePiece<'_> {
    type Item = Part<[Piece; 1]>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { limits, lba, blocks, address } = *self;
        if blocks == 0 {
            return None;
        }
        let first = limits.first(lba, blocks);
        // `first` blocks are no more than one command can have.
        let length = first.wrapping_mul(limits.block);
        self.lba = lba.wrapping_add(u64::from(first));
        self.blocks = blocks.wrapping_sub(first);
        self.address = address.wrapping_add(u64::from(length));
        Some(Part { lba, blocks: first, data: [Piece { address, length }] })
    }
}

/// What all parts of a transfer have in common.
struct Common<'a> {
    /// What the caller calls the namespace.
    name: *const (),
    namespace: &'a Namespace,
    request: &'a Request,
    context: Context,
}

impl IoQpair {
    /// Sends a transfer as several commands. The callback runs once, after the last of them, with the first error if there was one.
    /// Either all parts find a request slot or the whole is refused.
    pub(super) fn transfer_split(
        &self,
        name: *const (),
        namespace: &Namespace,
        request: &Request,
        data: &mut Data<'_>,
        limits: &Limits,
        context: Context,
    ) -> Result<(), Error> {
        let common = Common { name, namespace, request, context };
        if let Data::Contiguous(buffer) = data {
            let address = buffer.addr() as u64;
            let parts = InOnePiece { limits, lba: request.lba, blocks: request.blocks, address };
            let most = self.qpair.request_count();
            let count = match limits.boundary {
                0 => request.blocks.div_ceil(limits.each),
                _ => (0..=most).zip(parts.clone()).count() as u32, // `most` and 1 at most
            };
            if count > most {
                return Err(self.too_many(request));
            }
            self.send_parts(&common, count, parts)
        } else {
            let parts = self.parts(request, data, limits)?;
            // No more than there are requests.
            self.send_parts(&common, parts.len() as u32, parts)
        }
    }

    fn send_parts<P: AsRef<[Piece]>>(
        &self,
        common: &Common<'_>,
        count: u32,
        parts: impl IntoIterator<Item = Part<P>>,
    ) -> Result<(), Error> {
        if !self.qpair.has_free_requests(count as usize) {
            return Err(transport::Error::NoRequests.into());
        }
        let Common { name, namespace, request, context } = common;
        let split = self.qpair.begin_split(count, *context)?;
        let head = self.head_named(request.transfer.opcode(), *name);
        for (sent, Part { lba, blocks, data }) in (0..count).zip(parts) {
            let pieces = data.as_ref();
            if let Some(head) = head {
                let tail = request.tail(lba, blocks);
                let data = InPieces(request.transfer, pieces);
                if self.wire.submit_part(head, tail, data, split, context.argument) {
                    continue;
                }
            }
            let command = build(namespace, request, lba, blocks);
            match self.submit_pieces(&command, pieces, Completer::Part(split, context.argument)) {
                Ok(()) => {}
                Err(error) if sent == 0 => {
                    self.qpair.forget_split(split);
                    return Err(error);
                }
                Err(error) => {
                    // Parts are on their way, so the transfer was accepted: it ends as failed once they are
                    // done (T111).
                    tracing::error!("{}: part of a long transfer: {error}", self.qpair.label());
                    let status = Status::INTERNAL_ERROR.with_dnr(self.qpair.abort_dnr());
                    let never_sent = Completion::new(self.id(), 0, status);
                    self.qpair.parts_ended(split, count - sent, &never_sent);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What each of the commands has. What can never be accepted must not be answered with "try again".
    fn parts(
        &self,
        request: &Request,
        data: &mut Data<'_>,
        limits: &Limits,
    ) -> Result<Vec<Part<Cut>>, Error> {
        let most = self.qpair.request_count() as usize;
        let pieces = self.most_pieces();
        let mut source = Source::new(data);
        let mut parts = Vec::new();
        let mut done = 0;
        while done < request.blocks {
            let lba = request.lba.wrapping_add(u64::from(done));
            let wanted = limits.first(lba, request.blocks - done);
            if parts.len() == most {
                return Err(self.too_many(request));
            }
            let cut = source.cut(wanted * limits.block, limits.block, pieces)?;
            let blocks = cut.length / limits.block.max(1);
            parts.try_reserve(1).map_err(|_| Error::NoMemory)?;
            parts.push(Part { lba, blocks, data: cut });
            done += blocks;
        }
        Ok(parts)
    }

    fn too_many(&self, request: &Request) -> Error {
        Error::InvalidArgument(format!(
            "a transfer of {} blocks takes more commands than the {} requests of the qpair",
            request.blocks,
            self.qpair.request_count()
        ))
    }
}
