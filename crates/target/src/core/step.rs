//! What the transport is to do for a command, and the check of a command's data pointer.

use std::ops::Range;

use spec::sgl::{SglSubtype, SglType};
use spec::{Command, Completion, Status};

use super::Limits;

/// What is to be done for a command. Exactly one response goes out for each, except where it is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Answer.
    Respond(Completion),
    /// Answer later: an Asynchronous Event Request.
    Hold,
    /// Answer this and also the held request under `tag`.
    RespondAndRelease {
        /// The answer to the command.
        completion: Completion,
        /// The tag of the held request.
        tag: usize,
        /// Its answer.
        released: Completion,
    },
    /// Answer, and forget the held requests under these tags: a reset ended them without an answer.
    RespondAndForget {
        /// The answer to the command.
        completion: Completion,
        /// The tags of the held requests.
        tags: Vec<usize>,
    },
    /// Answer, then close the connection.
    Disconnect(Completion),
    /// Write these bytes to the host, then answer.
    SendBytes {
        /// The bytes.
        bytes: Vec<u8>,
        /// Where to.
        remote: Remote,
        /// The answer.
        completion: Completion,
    },
    /// Write from a store to the host, then answer.
    SendBlocks {
        /// Where from.
        extent: Extent,
        /// Where to.
        remote: Remote,
        /// The answer.
        completion: Completion,
    },
    /// Read from the host into a store, then answer.
    FetchBlocks {
        /// Where to.
        extent: Extent,
        /// Where from.
        remote: Remote,
        /// The answer.
        completion: Completion,
    },
    /// Read the Connect data from the host, then call [`super::Core::connect`].
    FetchConnect {
        /// Where from.
        remote: Remote,
    },
    /// The Connect data is in the capsule: call [`super::Core::connect`].
    ConnectInCapsule {
        /// Offset of the data in the capsule.
        offset: usize,
    },
    /// Copy from the capsule into a store, then answer.
    CopyBlocks {
        /// Offset of the data in the capsule.
        offset: usize,
        /// Where to.
        extent: Extent,
        /// The answer.
        completion: Completion,
    },
    /// Zero part of a store, then answer.
    ZeroBlocks {
        /// Where.
        extent: Extent,
        /// The answer.
        completion: Completion,
    },
}

/// Part of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// Which store.
    pub store: usize,
    /// First byte.
    pub offset: u64,
    /// Number of bytes, not 0.
    pub length: u64,
}

/// Memory of the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Its address.
    pub address: u64,
    /// Its key.
    pub key: u32,
    /// The host wants the key invalidated with the response.
    pub invalidate: bool,
}

/// Where a command's data is.
#[derive(Clone, Copy, Debug)]
pub(super) enum DataPointer {
    Remote { remote: Remote, length: u32 },
    Capsule { offset: usize, length: u32 },
}

impl DataPointer {
    pub(super) fn length(&self) -> u32 {
        match self {
            DataPointer::Remote { length, .. } | DataPointer::Capsule { length, .. } => *length,
        }
    }

    /// The length must be what the command transfers.
    pub(super) fn expect(self, length: u64) -> Result<DataPointer, Status> {
        if u64::from(self.length()) == length {
            Ok(self)
        } else {
            Err(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true))
        }
    }

    /// Memory of the host, for data that goes to it.
    pub(super) fn remote(self) -> Result<Remote, Status> {
        match self {
            DataPointer::Remote { remote, .. } => Ok(remote),
            DataPointer::Capsule { .. } => Err(Status::INVALID_FIELD.with_dnr(true)),
        }
    }
}

/// Checks PSDT, FUSE and SGL1. What the RDMA transport allows is one keyed data block, or one data block with an offset
/// into the capsule (RDMA Transport 2.5); this holds for commands without data too.
pub(super) fn data_pointer(
    command: &Command,
    limits: &Limits,
    capsule_data: usize,
) -> Result<DataPointer, Status> {
    if command.fuse() != 0 || command.psdt() == 0 || command.psdt() == 3 {
        return Err(Status::INVALID_FIELD.with_dnr(true));
    }
    let sgl = command.sgl1();
    match (sgl.kind(), sgl.subtype()) {
        (SglType::KEYED_DATA_BLOCK, SglSubtype::ADDRESS | SglSubtype::INVALIDATE_KEY) => {
            let invalidate = sgl.subtype() == SglSubtype::INVALIDATE_KEY;
            let remote = Remote { address: sgl.address(), key: sgl.key(), invalidate };
            Ok(DataPointer::Remote { remote, length: sgl.length() })
        }
        (SglType::DATA_BLOCK, SglSubtype::OFFSET) => {
            let Range { start, end } = capsule_range(limits, capsule_data);
            let offset = usize::try_from(sgl.address()).ok().and_then(|offset| offset.checked_add(start));
            let offset = offset.filter(|offset| *offset <= end);
            let offset = offset.ok_or(Status::INVALID_SGL_OFFSET.with_dnr(true))?;
            if end - offset < sgl.length() as usize {
                return Err(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true));
            }
            Ok(DataPointer::Capsule { offset, length: sgl.length() })
        }
        _ => Err(Status::SGL_DESCRIPTOR_TYPE_INVALID.with_dnr(true)),
    }
}

/// The part of a capsule that holds data, when `capsule_data` bytes came behind the command.
fn capsule_range(limits: &Limits, capsule_data: usize) -> Range<usize> {
    let start = limits.data_offset();
    let end = capsule_data.saturating_add(spec::command::COMMAND_SIZE);
    start..end.min(start + limits.in_capsule_data as usize).max(start)
}
