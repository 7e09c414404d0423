//! The memory and the prepared work requests of a connection, and moving bytes in the stores.

use std::rc::Rc;
use std::sync::Arc;

use spec::command::COMMAND_SIZE;
use spec::completion::COMPLETION_SIZE;
use verbs::{
    Access, CompletionQueue, Memory, PostError, ReceiveRing, RegisteredMemory, Segment, SendRing, WcStatus,
};

use super::device::DeviceState;
use super::slots::Token;
use crate::core::{CapsuleData, Extent};
use crate::options::Options;

/// What work requests name, with the slots' buffers: kept until the queue pair is gone.
pub(super) struct Io {
    pub completions: Arc<CompletionQueue>,
    pub sends: SendRing,
    pub receives: ReceiveRing,
    pub capsules: RegisteredMemory,
    pub capsule_size: usize,
    pub responses: RegisteredMemory,
    pub device: Rc<DeviceState>,
}

impl Io {
    pub(super) fn new(
        device: Rc<DeviceState>,
        qid: u16,
        entries: usize,
        slots: usize,
        spares: usize,
        options: &Options,
    ) -> Result<Io, Failure> {
        // A capsule of the Admin Queue is a command and nothing else; a longer one ends its connection.
        let data =
            if qid == 0 { 0 } else { usize::from(options.icdoff) * 16 + options.in_capsule_data as usize };
        let capsule_size = (COMMAND_SIZE + data).next_multiple_of(64);
        let sends = 2 * slots + spares;
        let completions = u32::try_from(entries + sends).unwrap_or(u32::MAX);
        let domain = device.domain();
        let io = Io {
            completions: CompletionQueue::new(device.device(), completions)?,
            sends: SendRing::new(sends, 1).ok_or(Failure::Slot)?,
            receives: ReceiveRing::new(entries).ok_or(Failure::Slot)?,
            capsules: RegisteredMemory::new(domain, entries * capsule_size, Access::LocalWrite)?,
            capsule_size,
            responses: RegisteredMemory::new(domain, slots * COMPLETION_SIZE, Access::LocalRead)?,
            device,
        };
        for index in 0..entries {
            let segment = Segment::of(&io.capsules, index * capsule_size, capsule_size as u32);
            let id = Token::Receive(index).encode();
            if !segment.is_some_and(|segment| io.receives.prepare(index, id, segment)) {
                return Err(Failure::Slot);
            }
        }
        let set_id = |token: Token| io.sends.set_id(token.place(slots), token.encode());
        for slot in 0..slots {
            let segment = Segment::of(&io.responses, slot * COMPLETION_SIZE, COMPLETION_SIZE as u32);
            let response = Token::Response(slot);
            let prepared = set_id(Token::Data(slot))
                && set_id(response)
                && segment.is_some_and(|segment| io.sends.set_segment(response.place(slots), 0, segment));
            if !prepared {
                return Err(Failure::Slot);
            }
        }
        if !(0..spares).all(|index| set_id(Token::Spare(index))) {
            return Err(Failure::Slot);
        }
        Ok(io)
    }
}

/// What came behind a command, in the memory of the receives.
pub(super) struct Behind<'a> {
    pub capsules: &'a RegisteredMemory,
    /// Where it starts in that memory.
    pub start: usize,
    pub length: usize,
}

impl CapsuleData for Behind<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn read_16(&self, offset: usize) -> Option<[u8; 16]> {
        let end = offset.checked_add(16).filter(|end| *end <= self.length)?;
        self.capsules.read_16(self.start.checked_add(end - 16)?)
    }
}

/// Zeroes an extent; false when it is not inside its store.
pub(super) fn zero(stores: &[Option<Rc<Memory>>], extent: &Extent) -> bool {
    let zeros = [0; 4096];
    pieces(stores, extent, |store, offset, length| {
        zeros.get(..length).is_some_and(|zeros| store.write(offset, zeros))
    })
}

/// Calls `each` with every piece of at most 4096 bytes of an extent; false when it said false or the store is not there.
pub(super) fn pieces(
    stores: &[Option<Rc<Memory>>],
    extent: &Extent,
    mut each: impl FnMut(&Memory, usize, usize) -> bool,
) -> bool {
    let (Ok(mut offset), Ok(mut left)) = (usize::try_from(extent.offset), usize::try_from(extent.length))
    else {
        return false;
    };
    let Some(Some(store)) = stores.get(extent.store) else { return false };
    while left > 0 {
        let length = left.min(4096);
        if !each(store, offset, length) {
            return false;
        }
        offset += length;
        left -= length;
    }
    true
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("a work request ended with {0}")]
    WorkRequest(WcStatus),
    #[error("a capsule of {0} bytes")]
    ShortCapsule(usize),
    #[error("a completion of an unknown work request")]
    Token,
    #[error(transparent)]
    Post(#[from] PostError),
    #[error(transparent)]
    Verbs(#[from] verbs::Error),
    #[error("a work request slot is not there")]
    Slot,
}
