//! Blocks with protection information that is checked, added or taken away on their way.
//!
//! All of a command's blocks are checked before any is written or sent; those of commands without data a part at a time.

use std::rc::Rc;

use spec::{Completion, Status};
use verbs::Memory;

use super::{Capsule, Connection, Turn};
use crate::core::{Extent, Protected, Protection};
use crate::rdma::io::{Failure, pieces};
use crate::rdma::slots::Then;

/// Blocks of a command without data that are looked at together.
const PART: u64 = 64;

impl Connection {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn protected(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        capsule: Capsule<'_>,
        what: Protected,
        extent: Extent,
        protection: Protection,
        completion: Completion,
    ) -> Result<(), Failure> {
        let blocks = extent.length / protection.block() as u64;
        let length = usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(protection.host_block());
        let (source, compares) = match what {
            Protected::Send(remote) => {
                let bytes = read(turn.stores, &extent).and_then(|blocks| protection.to_host(blocks));
                return match bytes {
                    Ok(bytes) => match self.buffer(slot, &bytes) {
                        Some(segment) => self.send(turn, slot, segment, remote, completion),
                        None => self.respond(turn, slot, failed(completion, Status::INTERNAL_ERROR), None),
                    },
                    Err(status) => self.respond(turn, slot, failed(completion, status), None),
                };
            }
            Protected::Check | Protected::Zero => {
                let done = in_parts(turn.stores, &extent, &protection, what == Protected::Zero);
                return self.respond(turn, slot, ended(completion, done), None);
            }
            Protected::Fetch(source) => (source, false),
            Protected::Compare(source) => (source, true),
        };
        let then = Then::Protect { extent, protection, compares, completion };
        self.bring(turn, slot, source, capsule, length, then)
    }

    /// The data of a command on such blocks is here.
    pub(super) fn protected_arrived(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        extent: &Extent,
        protection: &Protection,
        compares: bool,
    ) -> Result<(), Status> {
        let blocks = usize::try_from(extent.length).unwrap_or(usize::MAX) / protection.block();
        let mut bytes = vec![0; blocks.saturating_mul(protection.host_block())];
        if !self.read_buffer(slot, &mut bytes) {
            return Err(Status::INTERNAL_ERROR);
        }
        if compares {
            if protection.host_block() == protection.block() {
                protection.check(&bytes, 0)?;
            }
            let there = protection.to_host(read(turn.stores, extent)?)?;
            return if there == bytes { Ok(()) } else { Err(Status::COMPARE_FAILURE) };
        }
        write(turn.stores, extent, &protection.from_host(bytes)?)
    }
}

fn failed(completion: Completion, status: Status) -> Completion {
    Completion::new(0, completion.cid(), status)
}

/// The answer to a command that ended like this.
pub(super) fn ended(completion: Completion, result: Result<(), Status>) -> Completion {
    result.map_or_else(|status| failed(completion, status), |()| completion)
}

/// Checks blocks, or makes them zeros with protection information.
fn in_parts(
    stores: &[Option<Rc<Memory>>],
    extent: &Extent,
    protection: &Protection,
    zeros: bool,
) -> Result<(), Status> {
    let block = protection.block() as u64;
    let blocks = extent.length / block;
    for first in (0..blocks).step_by(PART as usize) {
        let length = PART.min(blocks - first) * block;
        let part = Extent { offset: extent.offset + first * block, length, ..*extent };
        if zeros {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            protection.generate(&mut bytes, first);
            write(stores, &part, &bytes)?;
        } else {
            protection.check(&read(stores, &part)?, first)?;
        }
    }
    Ok(())
}

fn read(stores: &[Option<Rc<Memory>>], extent: &Extent) -> Result<Vec<u8>, Status> {
    let mut bytes = Vec::new();
    let read = pieces(stores, extent, |store, offset, length| {
        let start = bytes.len();
        bytes.resize(start + length, 0);
        bytes.get_mut(start..).is_some_and(|chunk| store.read(offset, chunk))
    });
    if read { Ok(bytes) } else { Err(Status::INTERNAL_ERROR) }
}

fn write(stores: &[Option<Rc<Memory>>], extent: &Extent, bytes: &[u8]) -> Result<(), Status> {
    let mut at = 0;
    let written = pieces(stores, extent, |store, offset, length| {
        let chunk = bytes.get(at..at + length);
        at += length;
        chunk.is_some_and(|chunk| store.write(offset, chunk))
    });
    if written { Ok(()) } else { Err(Status::INTERNAL_ERROR) }
}
