//! What the transport is to do for a command, and the check of a command's data pointer, with the list of descriptors that
//! may come in the capsule.

use spec::command::COMMAND_SIZE;
use spec::opcode::DataTransfer;
use spec::sgl::{SglSubtype, SglType};
use spec::{AdminOpcode, Command, Completion, Sgl, Status};

use super::Limits;
use super::Protection;
use super::fused::{FIRST, SECOND};

/// Bytes of an SGL descriptor.
const DESCRIPTOR_SIZE: u32 = 16;
/// PSDT: SGLs, the metadata pointer is a contiguous buffer (Base figure 87).
const PSDT_SGL: u8 = 1;

/// What is to be done for a command. Exactly one response goes out for each, except where it is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Answer.
    Respond(Completion),
    /// Answer or execute later: an Asynchronous Event Request, the first of two fused commands, or whatever the target was
    /// told to keep waiting. The capsule may be needed again.
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
    /// Get the command's data and compare it with part of a store, then answer: this, or Compare Failure.
    CompareBlocks {
        /// Where the data is.
        source: Source,
        /// What to compare it with.
        extent: Extent,
        /// The answer if both are the same.
        completion: Completion,
    },
    /// Get this much of the command's data, then call [`super::Core::supplied`] with it.
    FetchBytes {
        /// Where the data is.
        source: Source,
        /// Bytes of it.
        length: u32,
    },
    /// Change stores, then answer.
    ChangeBlocks {
        /// What to do, in this order.
        changes: Vec<Change>,
        /// The answer.
        completion: Completion,
    },
    /// Do something with blocks whose protection information is checked, added or taken away, then answer: this, or what is
    /// wrong with them.
    Protected {
        /// What to do.
        what: Protected,
        /// The blocks.
        extent: Extent,
        /// What to do with the protection information.
        protection: Protection,
        /// The answer if all is right.
        completion: Completion,
    },
    /// Compare and Write as one: see there.
    CompareAndWrite(Box<CompareAndWrite>),
}

/// Where a command has the data that goes to the controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Memory of the host.
    Remote(Remote),
    /// The command's own capsule.
    Capsule {
        /// Offset of the data in the capsule.
        offset: usize,
    },
}

/// What to do with blocks that have protection information.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Protected {
    /// Write them to the host.
    Send(Remote),
    /// Get the command's data and write it to them.
    Fetch(Source),
    /// Get the command's data and compare it with them.
    Compare(Source),
    /// Check them.
    Check,
    /// Zero them.
    Zero,
}

/// A change of stores that needs no data of the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Zeros.
    Zero(Extent),
    /// Zeros, with the protection information of blocks that nobody wrote.
    Blank {
        /// Which blocks.
        extent: Extent,
        /// Bytes of one of them.
        block: usize,
    },
    /// Copies of what was there before, one behind the other. The parts have the length of the whole.
    Copy {
        /// Where from.
        from: Vec<Extent>,
        /// Where to.
        to: Extent,
    },
}

/// A fused Compare and Write. When the data of both commands is here, then without anything in between: if the first's data
/// is the same as the extent, the second's is written there, and both get their answers. If not, the first fails with
/// Compare Failure and the second is aborted (Failed Fused Command).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompareAndWrite {
    /// The tag of the first command, which was held.
    pub first: usize,
    /// Its data.
    pub compare: Source,
    /// The second command's data.
    pub write: Source,
    /// The blocks.
    pub extent: Extent,
    /// The answers to both.
    pub completions: [Completion; 2],
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

/// What came in a capsule behind its command.
pub trait CapsuleData {
    /// Bytes of it.
    fn length(&self) -> usize;
    /// The 16 bytes at `offset`. `None` if they did not all come.
    fn read_16(&self, offset: usize) -> Option<[u8; 16]>;
}

impl CapsuleData for Vec<u8> {
    fn length(&self) -> usize {
        self.len()
    }

    fn read_16(&self, offset: usize) -> Option<[u8; 16]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// Memory of the host, as a keyed data block names it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Piece {
    /// Its address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Its key.
    pub key: u32,
}

/// Where a command's data is at the host: in one piece, or in several of which each continues the one before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// The first piece.
    pub first: Piece,
    /// Those behind it. Most commands have none, and then nothing is allocated.
    pub rest: Vec<Piece>,
    /// The key that the host wants invalidated with the response.
    pub invalidate: Option<u32>,
}

impl Remote {
    /// What a single keyed data block names.
    pub(crate) fn block(sgl: Sgl) -> Remote {
        let first = Piece { address: sgl.address(), length: sgl.length(), key: sgl.key() };
        let invalidate = (sgl.subtype() == SglSubtype::INVALIDATE_KEY).then_some(first.key);
        Remote { first, rest: Vec::new(), invalidate }
    }

    /// All pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// All pieces, to be changed.
    pub fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        std::iter::once(&mut self.first).chain(&mut self.rest)
    }

    /// Bytes of all pieces.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.pieces().map(|piece| u64::from(piece.length)).sum()
    }
}

/// Where a command's data is.
#[derive(Clone, Debug)]
pub(super) enum DataPointer {
    Remote(Remote),
    Capsule { offset: usize, length: u32 },
}

impl DataPointer {
    fn length(&self) -> u64 {
        match self {
            DataPointer::Remote(remote) => remote.length(),
            DataPointer::Capsule { length, .. } => u64::from(*length),
        }
    }

    /// The length must be what the command transfers.
    pub(super) fn expect(self, length: u64) -> Result<DataPointer, Status> {
        if self.length() == length { Ok(self) } else { Err(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true)) }
    }

    /// The length must be at least this.
    pub(super) fn at_least(self, length: u64) -> Result<DataPointer, Status> {
        if self.length() >= length { Ok(self) } else { Err(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true)) }
    }

    /// The command has no data.
    pub(super) fn none(self) -> Result<(), Status> {
        self.expect(0).map(drop)
    }

    /// Memory of the host, for data that goes to it.
    pub(super) fn remote(self) -> Result<Remote, Status> {
        match self {
            DataPointer::Remote(remote) => Ok(remote),
            DataPointer::Capsule { .. } => Err(Status::INVALID_FIELD.with_dnr(true)),
        }
    }

    /// Where the data is, for data that goes to the controller.
    pub(super) fn source(self) -> Source {
        match self {
            DataPointer::Remote(remote) => Source::Remote(remote),
            DataPointer::Capsule { offset, .. } => Source::Capsule { offset },
        }
    }

    /// Has so many bytes of the data fetched.
    pub(super) fn fetch(self, length: u32) -> Step {
        Step::FetchBytes { source: self.source(), length }
    }
}

/// Checks FUSE and PSDT: nothing fused but on I/O queues, and SGLs with the metadata in one buffer, which there is none of.
/// It holds for every command, those of Fabrics and those without data too.
pub(super) fn check_form(command: &Command, qid: u16) -> Result<(), Status> {
    let fuse = match command.fuse() {
        0 => true,
        FIRST | SECOND => qid != 0 && command.opcode() != AdminOpcode::FABRICS.0,
        _ => false,
    };
    if !fuse || command.psdt() != PSDT_SGL {
        return Err(Status::INVALID_FIELD.with_dnr(true));
    }
    Ok(())
}

/// Reads SGL1. What the RDMA transport allows is one keyed data block, a list of them in the capsule, or for data to the
/// controller one data block with an offset into the capsule (RDMA Transport 2.5); this holds for commands without data too.
pub(super) fn data_pointer(
    command: &Command,
    limits: &Limits,
    qid: u16,
    capsule: &dyn CapsuleData,
) -> Result<DataPointer, Status> {
    let sgl = command.sgl1();
    match (sgl.kind(), sgl.subtype()) {
        (SglType::KEYED_DATA_BLOCK, SglSubtype::ADDRESS | SglSubtype::INVALIDATE_KEY) => {
            Ok(DataPointer::Remote(Remote::block(sgl)))
        }
        (SglType::DATA_BLOCK, SglSubtype::OFFSET) => {
            if !writes(command) {
                return Err(Status::INVALID_FIELD.with_dnr(true));
            }
            let came = capsule.length().saturating_sub(limits.data_offset() - COMMAND_SIZE);
            let end = end_in_capsule(sgl, limits.capsule_data(qid), came)?;
            let offset = limits.data_offset() + end - sgl.length() as usize;
            Ok(DataPointer::Capsule { offset, length: sgl.length() })
        }
        (SglType::LAST_SEGMENT, SglSubtype::OFFSET) if limits.descriptors > 1 => {
            list(sgl, limits, qid, capsule).map(DataPointer::Remote)
        }
        (SglType::LAST_SEGMENT, _) if limits.descriptors > 1 => Err(Status::INVALID_FIELD.with_dnr(true)),
        // A known type with a subtype that it does not have here.
        (SglType::KEYED_DATA_BLOCK | SglType::DATA_BLOCK, _) => Err(Status::INVALID_FIELD.with_dnr(true)),
        _ => Err(Status::SGL_DESCRIPTOR_TYPE_INVALID.with_dnr(true)),
    }
}

/// Where what a descriptor with an offset names ends, counted from where its offset counts: first within what the capsules
/// of this queue have room for there, then within what this one brought.
fn end_in_capsule(sgl: Sgl, room: usize, came: usize) -> Result<usize, Status> {
    let end = sgl.address().checked_add(sgl.length().into()).and_then(|end| usize::try_from(end).ok());
    let end = end.filter(|end| *end <= room).ok_or(Status::INVALID_SGL_OFFSET.with_dnr(true))?;
    if end > came {
        return Err(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true));
    }
    Ok(end)
}

/// Reads the list of keyed data blocks that a last segment descriptor names. Its offset counts from the end of the command,
/// since descriptors come right behind it, in front of the data if ICDOFF leaves room there (Base 2.1, 3.3.2.1.3.1). What
/// does not fit there has too many descriptors, for MSDBD counts those that fit.
///
/// A response invalidates one key at most: that of the last descriptor that asks for it.
fn list(sgl: Sgl, limits: &Limits, qid: u16, capsule: &dyn CapsuleData) -> Result<Remote, Status> {
    let length = sgl.length();
    // Base 2.1, figure 120; a segment begins at a multiple of 8 (4.3.2).
    if length == 0 || !length.is_multiple_of(DESCRIPTOR_SIZE) || !sgl.address().is_multiple_of(8) {
        return Err(Status::INVALID_SGL_SEGMENT_DESCRIPTOR.with_dnr(true));
    }
    if length / DESCRIPTOR_SIZE > limits.descriptors.into() {
        return Err(Status::INVALID_NUMBER_OF_SGL_DESCRIPTORS.with_dnr(true));
    }
    let end = end_in_capsule(sgl, limits.descriptor_room(qid), capsule.length())?;
    let mut remote = Remote { first: Piece::default(), rest: Vec::new(), invalidate: None };
    for at in (end - length as usize..end).step_by(DESCRIPTOR_SIZE as usize) {
        let descriptor = capsule.read_16(at).ok_or(Status::DATA_SGL_LENGTH_INVALID.with_dnr(true))?;
        let block = element(Sgl::from_bytes(&descriptor))?;
        remote.invalidate = block.invalidate.or(remote.invalidate);
        // A block of no bytes moves nothing (Base 2.1, figure 117). The first piece has none until one is found.
        if remote.first.length == 0 {
            remote.first = block.first;
        } else if block.first.length > 0 {
            remote.rest.push(block.first);
        }
    }
    Ok(remote)
}

/// What a descriptor of a list names.
fn element(sgl: Sgl) -> Result<Remote, Status> {
    match (sgl.kind(), sgl.subtype()) {
        (SglType::KEYED_DATA_BLOCK, SglSubtype::ADDRESS | SglSubtype::INVALIDATE_KEY) => {
            Ok(Remote::block(sgl))
        }
        (SglType::KEYED_DATA_BLOCK, _) => Err(Status::INVALID_FIELD.with_dnr(true)),
        // The last segment is not the last one then (Base 2.1, figure 102, Invalid SGL Segment Descriptor).
        (SglType::SEGMENT | SglType::LAST_SEGMENT, _) => {
            Err(Status::INVALID_SGL_SEGMENT_DESCRIPTOR.with_dnr(true))
        }
        _ => Err(Status::SGL_DESCRIPTOR_TYPE_INVALID.with_dnr(true)),
    }
}

/// Whether data goes to the controller (Base 3.3.3.1; for Fabrics commands the type says it).
fn writes(command: &Command) -> bool {
    let code = match AdminOpcode(command.opcode()) {
        AdminOpcode::FABRICS => command.fabrics_type().0,
        AdminOpcode(opcode) => opcode,
    };
    DataTransfer::of(code) == DataTransfer::HostToController
}
