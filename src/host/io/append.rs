//! Zone Append: blocks that the controller puts at the write pointer of a zone.
//!
//! What must hold: it is one command or none. Parts of it would land wherever others' blocks leave room, so nothing is split.

use super::{Data, Error, FUSE, IO_FLAGS, IoQpair, Namespace, WRONG_FLAGS, data::Source};
use crate::transport::{Completer, Context, Payload};
use spec::Command;

/// An append, but for its namespace and its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Append {
    /// The first block of the zone.
    pub(crate) zone: u64,
    pub(crate) blocks: u32,
    /// As those of a `Request`.
    pub(crate) flags: u32,
    /// The application tag and, in the upper half, its mask.
    pub(crate) cdw15: u32,
}

impl IoQpair {
    /// Appends blocks to a zone. Where they are is in the result of the completion.
    pub(crate) fn append(
        &self,
        namespace: &Namespace,
        append: &Append,
        data: &mut Data<'_>,
        context: Context,
    ) -> Result<(), Error> {
        self.notice_changes();
        let Append { zone, blocks, flags, cdw15 } = *append;
        let invalid = |why: String| Err(Error::InvalidArgument(why));
        let most = self.shared.largest_append();
        if most == 0 {
            return invalid(String::from("the controller has no Zone Append"));
        }
        if !namespace.is_active() {
            return invalid(String::from("the namespace is not active"));
        }
        if flags & !(IO_FLAGS | FUSE) != 0 {
            return invalid(String::from(WRONG_FLAGS));
        }
        let block = namespace.transferred_size(flags);
        let length =
            blocks.checked_mul(block).filter(|length| (1..=most).contains(length) && blocks <= 0x1_0000);
        let Some(length) = length else {
            return invalid(format!(
                "an append of {blocks} blocks of {block} bytes: one has 1 to {most} bytes"
            ));
        };
        let mut command = Command::zone_append(namespace.id(), zone, blocks);
        command.set_io_flags(flags & IO_FLAGS);
        command.set_fuse((flags & FUSE) as u8);
        if let Some(tag) = namespace.reference_tag(zone) {
            command.set_cdw14(tag);
        }
        command.set_cdw15(cdw15);
        if let Data::Contiguous(buffer) = data {
            let payload = Payload::Memory { address: buffer.addr() as u64, length };
            return Ok(self.qpair.submit(&command, payload, Completer::Upcall(context))?);
        }
        let cut = Source::new(data).cut(length, block, self.most_pieces())?;
        if cut.length < length {
            return invalid(format!(
                "an append of data in more than the {} pieces that a command can have",
                self.most_pieces()
            ));
        }
        self.submit_pieces(&command, &cut.pieces, Completer::Upcall(context))
    }
}
